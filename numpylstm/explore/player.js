// The player: the picture of the network, the lines that run, and what can be changed.

import { choice, on_keys, slider } from "./elements.js";
import { FAR } from "./engine.js";
import { fixed } from "./numbers.js";
import { cause, grade } from "./own_tape.js";
import { draw, layout, place_of, short, states_of, view_of } from "./picture.js";
import { made_of, written } from "./textbook.js";
import { run_update } from "./update.js";

const RECIPE = { lr: 0.5, max_norm: 1 };
const SPEEDS = { slow: 2400, normal: 1200, fast: 300 }; // milliseconds a step
const KEEPS = { lstm: "f", gru: "z", mingru: "z", minlstm: "f", slstm: "f" }; // the gate to hold
const NARROW = 640; // pixels, below which the picture shows one cell at a time
const MOST = 12; // numbers in a list
const ARROWS = { forward: "→", backward: "←" };

const data = JSON.parse(document.getElementById("data").textContent);
const $ = (selector) => document.querySelector(selector);
const part = { speed: "normal", at: 0 };

// --- the update ---------------------------------------------------------------------------------

// Start afresh with the tape of a cell.
function choose_cell(cell) {
  const { inputs, parameters } = structuredClone(data.cells[cell].tape);
  Object.assign(part, { cell, inputs, parameters, gate: "free", lr: RECIPE.lr, at: 0 });
  Object.assign(part, { marks: new Map(), pinned: undefined, pointed: undefined });
  show_message();
  build_controls();
  compute();
}

// A held gate has weights of zero and a large bias.
function with_gate_held() {
  if (part.gate === "free") return part.parameters;
  const held = structuredClone(part.parameters);
  const first = 2 * data.cells[part.cell].record.blocks.indexOf(KEEPS[part.cell]);
  for (const [path, values] of Object.entries(held)) {
    if (!/^[^.]+\.\d\.(Wx|Wh|b)$/.test(path)) continue;
    const is_bias = path.endsWith(".b");
    const value = is_bias ? FAR * (2 * part.gate - 1) : 0;
    for (const row of is_bias ? [values] : values) row.fill(value, first, first + 2);
  }
  return held;
}

// pinned: the name of a number that was given and stays pinned.
function compute(pinned) {
  const given = { inputs: part.inputs, parameters: with_gate_held() };
  const recipe = { lr: part.lr, max_norm: RECIPE.max_norm };
  part.update = run_update(data, part.cell, given, recipe);
  part.drawn = layout(data.pictures[part.cell], part.update, part.inputs.ids.length);
  part.last = part.update.steps.length - 1;
  part.pinned = part.update.all.find(({ name, op }) => name === pinned && op === "given");
  part.at = Math.min(part.at, part.last);
  $(".scrubber").max = part.last;
  build_phases();
  paint();
}

function change(values = {}) {
  const { pinned } = part;
  Object.assign(part, values, { marks: new Map(), pinned: undefined, pointed: undefined });
  show_message("Changed: these are no longer the numbers of the tape.");
  compute(pinned?.name);
}

// --- where the player is ------------------------------------------------------------------------

function go(at) {
  part.at = Math.max(0, Math.min(part.last, at));
  part.pinned = part.pointed = undefined;
  paint();
}

// As go, but by the reader.
function step(at) {
  play(false);
  go(at);
}

function play(on) {
  clearInterval(part.timer);
  $(".play").textContent = on ? "Pause" : "Play";
  part.playing = on;
  if (!on) return;
  if (part.at === part.last) go(0);
  part.timer = setInterval(() => {
    go(part.at + 1);
    if (part.at === part.last) play(false);
  }, SPEEDS[part.speed]);
}

// The first step of the next function, or of this one or the one before.
function next_function(direction) {
  const { steps } = part.update;
  const begins = (k) => k <= 0 || k >= part.last || steps[k].call !== steps[k - 1].call;
  let at = part.at + direction;
  while (!begins(at)) at += direction;
  return at;
}

function pin(number) {
  play(false);
  part.pinned = number;
  paint();
}

// --- words --------------------------------------------------------------------------------------

const escaped = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;");
const first_of = (numbers, each) => numbers.slice(0, MOST).map(each).join(", ");

function place_text({ t, layer, path }) {
  if (t === undefined) return path ?? "all gradients";
  return typeof layer === "number" ? `t = ${t}, layer ${layer}` : `t = ${t}`;
}

const number_button = (number, text) =>
  number.id === undefined
    ? text
    : `<button type="button" class="number" data-n="${number.id}">${text}</button>`;

const value_of = (number) => number_button(number, short(number.v));

// The name of a number, with its place where that differs from the place of another number.
function named(number, beside) {
  const [here, there] = [number.call?.place ?? {}, beside.call?.place ?? {}];
  const places = [];
  if (here.t !== undefined && here.t !== there.t) places.push(`t = ${here.t}`);
  if (Number.isInteger(here.layer) && here.layer !== there.layer)
    places.push(`layer ${here.layer}`);
  return number.name + (places.length ? ` (${places.join(", ")})` : "");
}

function list_of(title, numbers, beside) {
  if (!numbers.length) return "";
  const each = (number) => `${number_button(number, named(number, beside))} ${short(number.v)}`;
  const more = numbers.length > MOST ? ` and ${numbers.length - MOST} more` : "";
  return `<p>${title} ${first_of(numbers, each)}${more}</p>`;
}

const is_gradient = ({ op, name }) => op !== "given" && Boolean(name?.startsWith("d"));

// The terms of a gradient that a line of the textbook adds up, from the first on; or none.
function terms_of({ op, from, variable }) {
  const [sum, term] = from;
  if (op !== "+" || !variable?.startsWith("d") || !(is_gradient(sum) || sum.v === 0)) return [];
  const earlier = sum.variable === variable ? terms_of(sum) : [];
  return [...(earlier.length ? earlier : [sum]), term];
}

// Where a term of a gradient comes from, in words.
function origin(term, { call: { place: here } }) {
  const parts = made_of(term);
  const gradient = term.name ? term : parts.find(is_gradient);
  if (!gradient) return "from later: no step follows";
  const there = gradient.call.place;
  if (here.path) return `from step t = ${there.t}`; // of a weight
  const passed = new Set(
    parts.filter((each) => !is_gradient(each)).map(({ variable }) => variable),
  );
  const { units } = data.cells[part.cell].record;
  const words = [...passed].map((name) => {
    const gate = units.find((unit) => unit.name === name && unit.role === "gate");
    return `${gate ? `the ${gate.words} ` : ""}${name.replace(/^\w+\.\d\./, "")}`;
  });
  const through = words.length ? `, through ${words.join(" and ")}` : "";
  if (there.t !== here.t) return `from step t = ${there.t}${through}`;
  if (there.layer === "scores") return `from the scores of this step${through}`;
  if (there.layer !== here.layer) return `from layer ${there.layer}, above${through}`;
  return `from ${gradient.variable.slice(1)} of this step${through}`;
}

// Why a gradient is a sum, and where its terms come from.
function sum_of(number) {
  const { path, layer } = number.call?.place ?? {};
  const beside = path ? { call: { place: { layer } } } : number;
  const terms = terms_of(number).filter(({ op, v }) => op || v !== 0 || !path);
  if (!terms.length) return "";
  // In its names; a gradient that is a product of matrices is only named.
  const formula = (term) => {
    if (term.name && term.op === "+") return named(term, beside);
    return written(term, (leaf) => (leaf.name ? named(leaf, beside) : `${leaf.v}`)).join("");
  };
  const items = terms.map((term) => {
    const how = term.op ? `<br><code>${formula(term)}</code>` : "";
    return `<li><b>${short(term.v)}</b> ${origin(term, number)}${how}</li>`;
  });
  const value = number.variable.slice(1);
  const why = path ? `${value} is used at every step` : `${value} was used twice`;
  const count = terms.length === 2 ? "these two" : `these ${terms.length}`;
  const is = terms.length === 1 ? "begins with this" : `is the sum of ${count}`;
  return `<p><b>${number.name} ${is}</b>, because ${why} (rule 3):</p><ol>${items.join("")}</ol>`;
}

// --- painting -----------------------------------------------------------------------------------

function paint() {
  const { update, at, last, marks } = part;
  const { call, line, results, ...end } = update.steps[at];
  const chosen = part.pointed ?? part.pinned ?? results[0];
  const asked = part.pointed ?? part.pinned;
  const of_weight = chosen.call?.place.path && terms_of(chosen).length > 0;
  const shown = {
    at,
    chosen,
    backward: call.place.way !== "forward",
    from: new Set(of_weight ? terms_of(chosen).flatMap(made_of) : made_of(chosen)),
    uses: new Set(asked ? chosen.uses.filter((number) => number.step <= at) : []),
    marks,
    inputs: part.inputs,
  };
  part.shown = shown;
  const svg = $(".picture");
  const places = draw(svg, data.pictures[part.cell], update, part.drawn, shown);
  const place = places.get(chosen) ?? places.get(results[0]) ?? place_of(part.drawn, call.place);
  const narrow = svg.parentNode.clientWidth < NARROW;
  svg.setAttribute("viewBox", view_of(part.drawn, narrow ? place : undefined));
  paint_listing(call, line, end.last);
  paint_values(results, chosen);
  $(".sum").innerHTML = sum_of(chosen);
  paint_weights(call.place);
  paint_about(chosen, results);
  paint_slider();
  const text = `Step ${at + 1} of ${last + 1}`;
  $(".scrubber").value = at;
  $(".scrubber").setAttribute("aria-valuetext", `${text}: ${call.name}, ${place_text(call.place)}`);
  $(".position").textContent = text;
}

function paint_listing({ name, place, lines: own }, line, last) {
  const { lines, start, first, module } = data.functions[name] ?? { lines: own, start: 1 };
  $(".listing h2").innerHTML = `<b>${own ? "Between the steps" : name}</b> ${place_text(place)}
    <span>${own ? "" : `${module}, line ${first + line - 1}`}</span>`;
  const numbered = lines.map((text, k) => [k + 1, text]);
  const code = numbered.filter(([k]) => k === 1 || k > start);
  const spans = code.map(([k, text]) => {
    const now = k >= line && k <= last ? ' class="now"' : "";
    return `<span${now}>${escaped(text) || " "}</span>`;
  });
  const pre = $(".listing pre");
  pre.innerHTML = spans.join("");
  const now = pre.querySelector(".now");
  pre.scrollTop = now.offsetTop - pre.clientHeight / 2;
}

// A number with its formula, into which numbers are put.
function with_formula(number) {
  const formula = number.from.length ? ` = ${written(number, value_of).join("")}` : "";
  return `<b>${number.name}</b> = ${value_of(number)}${formula}`;
}

// The line that runs with its numbers put in: of both units, or of one of many.
function paint_values(results, chosen) {
  const one = results.includes(chosen) ? chosen : results[0];
  const shown = results.length > 2 ? [one] : results;
  const lines = shown.map((number) => `<p>${with_formula(number)}</p>`);
  if (results.length > 2)
    lines.push(`<p class="note">All of this line: ${results.map(value_of).join(" ")}</p>`);
  $(".put-in").innerHTML = lines.join("");
}

function paint_about(number, results) {
  const yours = part.marks.get(number);
  const wrong =
    yours === undefined ? "" : `<p class="wrong">Yours is ${yours}; the tape has ${number.v}.</p>`;
  const elsewhere = results.includes(number) ? "" : `<p class="code">${with_formula(number)}</p>`;
  $(".about").innerHTML =
    `<h3>${named(number, {})}</h3>${elsewhere}${wrong}` +
    list_of("made of", made_of(number), number) +
    list_of("used by", number.uses, number);
}

// A slider for a pinned number that was given; it stays while it changes the number.
function paint_slider() {
  const { pinned } = part;
  const name = pinned?.op === "given" ? pinned.name : "";
  if ($(".adjust").dataset.name === name) return;
  $(".adjust").dataset.name = name;
  $(".adjust").replaceChildren(...(name ? [weight_slider(pinned)] : []));
}

// name: "lstm.0.Wh[1][3]", or of a state before the first step "h0[1][0]"
function weight_slider({ name }) {
  const [path, ...places] = name.split(/\[|\]\[|\]/).slice(0, -1);
  const last = places.pop();
  const row = places.reduce((values, k) => values[k], part.parameters[path] ?? part.inputs[path]);
  return slider("weight", "change it", [-3, 3, 0.05], row[last], (value) => {
    row[last] = value;
    change();
  });
}

// The weights of the place where the player is; on the way back, the sums of their gradients so far.
function paint_weights({ layer, path }) {
  const { layers, history } = part.update;
  const owner =
    layers[layer] ?? { x: "embedding" }[layer] ?? path?.replace(/\.\w+$/, "") ?? "decoder";
  const tables = Object.entries(history).filter(([each]) => each.startsWith(`${owner}.`));
  $(".weights").innerHTML = tables
    .map(([each, values]) => {
      const { title, A } = values.findLast((stage) => stage.A.of[0].step <= part.at);
      const cells = A.of.map((number, k) => {
        const end = (k + 1) % A.columns ? "" : "</tr><tr>";
        return `<td class="${states_of(number, part.shown)}">${number_button(number, short(part.marks.get(number) ?? number.v))}</td>${end}`;
      });
      const { blocks } = data.cells[part.cell].record;
      const heads = blocks.map((block) => `<th colspan="2">${block}</th>`).join("");
      const head = A.columns === 2 * blocks.length ? `<tr>${heads}</tr>` : "";
      const caption = `<caption>${title(each.slice(owner.length + 1))} of ${owner}</caption>`;
      return `<table>${caption}${head}<tr>${cells.join("")}</tr></table>`;
    })
    .join("");
}

// --- your own numbers ---------------------------------------------------------------------------

function show_message(text = "", bad = false) {
  $(".message").hidden = !text;
  $(".message").classList.toggle("bad", bad);
  $(".message").textContent = text;
}

// Grade the numbers of a reader, and bring the message into view.
function grade_and_show(text) {
  grade_text(text);
  $(".message").scrollIntoView({ block: "nearest" });
}

const array_of = (path) => path.replace(/(\[\d+\])+$/, "");

// The line of the textbook that computes a number.
function line_of(number) {
  if (!(number?.step >= 0)) return "it is given";
  const { call, line } = part.update.steps[number.step];
  const lines = call.lines ?? data.functions[call.name].lines;
  return `its line: ${lines[line - 1].replace(/ *#.*/, "").trim()}`;
}

// The step that reads a token, inputs.ids[1], or compares the scores with one, inputs.targets[1].
function step_of_token(path) {
  const [, list, t] = path.match(/(\w+)\[(\d)\]$/);
  const layer = list === "ids" ? "x" : "loss";
  const is_there = ({ place }) => place.t === Number(t) && place.layer === layer;
  return part.update.steps.findIndex(({ call }) => is_there(call));
}

function grade_text(text) {
  let given;
  try {
    given = JSON.parse(text);
  } catch (error) {
    return show_message(`These numbers cannot be marked: ${error.message}.`, true);
  }
  const cell = Object.keys(data.cells).find((name) => text.includes(`"${name}.0`)) ?? part.cell;
  choose_cell(cell);
  $(`[name=cell][value=${cell}]`).checked = true;
  const { error, right, wrong, missing } = grade(data.cells[cell].tape, given);
  if (error) return show_message(`These numbers cannot be marked: ${error}.`, true);
  const number_of = ({ path }) => part.update.numbers.get(path);
  part.marks = new Map(wrong.map((each) => [number_of(each) ?? each.path, each.got]));
  const total = right + wrong.length;
  const not_given = missing.length ? ` Not given: ${first_of(missing, String)}.` : "";
  if (!wrong.length) return show_message(`All ${total} numbers are right.${not_given}`);
  const [{ path, expected, got }] = wrong;
  const first = number_of(wrong[0]);
  const together = wrong.filter((each) => array_of(each.path) === array_of(path));
  const words =
    first && cause(together.map((each) => ({ number: number_of(each), got: each.got })));
  go(first?.step ?? step_of_token(path));
  if (first) pin(first);
  show_message(
    `${right} of ${total} numbers are right. The first wrong one is ${path}: expected ${fixed(expected, 6)}, got ` +
      `${fixed(got, 6)}. ${words ? `${first.variable}: ${words}; ` : ""}${line_of(first)}.${not_given}`,
    true,
  );
}

// --- controls -----------------------------------------------------------------------------------

function build_phases() {
  const { steps } = part.update;
  const name = ({ way, t }) =>
    way in ARROWS
      ? [`${ARROWS[way]}<span> t =</span> ${t}`, `${way}, t = ${t}`]
      : ["learn", "clip and descend"];
  const names = steps.map(({ call }) => name(call.place));
  const starts = [...names.keys()].filter((k) => names[k][0] !== names[k - 1]?.[0]);
  $(".phases").innerHTML = starts
    .map((k) => {
      const style = `style="left: ${(100 * k) / steps.length}%"`;
      const [text, words] = names[k];
      return `<button type="button" data-step="${k}" aria-label="${words}" ${style}>${text}</button>`;
    })
    .join("");
}

function build_controls() {
  const { ids, targets } = part.inputs;
  const of_token = (list, name, words) =>
    list.map((id, t) =>
      choice(`${name}-${t}`, `${words} t = ${t}`, ["0", "1", "2", "3"], id, (value) => {
        list[t] = Number(value);
        change();
      }),
    );
  const gate = KEEPS[part.cell];
  const { words } = data.cells[part.cell].record.units.find((unit) => unit.name === gate);
  $(".controls").replaceChildren(
    choice("gate", `hold the ${words} ${gate} at`, ["free", "0", "1"], part.gate, (held) =>
      change({ gate: held }),
    ),
    slider("lr", "learning rate", [0, 2, 0.05], part.lr, (lr) => change({ lr })),
    ...of_token(ids, "token", "token at"),
    ...of_token(targets, "target", "next token at"),
  );
}

const titles = Object.entries(data.cells).map(([name, { record }]) => [name, record.title]);
const cell = data.mine?.cell ?? "lstm";
$(".cells").append(
  choice("cell", "Cell", titles, cell, (name) => {
    play(false);
    choose_cell(name);
  }),
);
$(".speed").append(
  choice("speed", "Speed", Object.keys(SPEEDS), part.speed, (speed) => {
    part.speed = speed;
    if (part.playing) play(true);
  }),
);
const PRESSED = {
  play: () => play(!part.playing),
  back: () => step(part.at - 1),
  step: () => step(part.at + 1),
  mark: () => grade_and_show($("textarea").value),
  tape: () => choose_cell(part.cell),
};
function press(target) {
  const { n, step: at, act } = target.closest("[data-n], [data-step], [data-act]")?.dataset ?? {};
  if (n !== undefined) pin(part.update.all[n]);
  else if (at !== undefined) step(Number(at));
  else if (act) PRESSED[act]();
  else if (target.closest(".picture")) go(part.at); // the chosen number is that of the step again
}
for (const place of [$(".picture"), $(".weights")]) {
  place.addEventListener("pointerover", ({ target, pointerType }) => {
    const pointed = part.update.all[target.closest("[data-n]")?.dataset.n];
    if (pointerType !== "mouse" || part.playing || pointed === part.pointed) return;
    part.pointed = pointed;
    paint();
  });
  place.addEventListener("pointerup", ({ target }) => press(target)); // a click would miss what was drawn again
}
addEventListener("click", ({ target, detail }) => {
  if (!detail || !target.closest(".picture, .weights")) press(target); // 0: by the keyboard
});
$(".scrubber").addEventListener("input", ({ target }) => step(target.valueAsNumber));
const MOVES = {
  ArrowRight: () => part.at + 1,
  ArrowLeft: () => part.at - 1,
  ArrowDown: () => next_function(1),
  ArrowUp: () => next_function(-1),
  Home: () => 0,
  End: () => part.last,
};
addEventListener("keydown", (event) => {
  if (event.target.matches("textarea, [type=radio], [name=weight], [name=lr]"))
    event.stopImmediatePropagation();
});
on_keys(window, MOVES, (move) => step(move()));
on_keys(document.body, { " ": PRESSED.play }, (act) => act());
$("[type=file]").addEventListener("change", async ({ target }) =>
  grade_and_show(await target.files[0].text()),
);
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", async (event) => {
  event.preventDefault();
  const [file] = event.dataTransfer.files;
  if (file) grade_and_show(await file.text());
});
addEventListener("resize", paint);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
choose_cell(cell);
if (data.mine) grade_and_show(JSON.stringify(data.mine.numbers));

// For the console.
globalThis.player = { part, go, play, pin, grade_text, change };
