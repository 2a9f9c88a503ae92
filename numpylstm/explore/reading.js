// A trained model reads a text, and its cells can be clamped.

import {
  button,
  choice,
  cividis,
  draw_lines,
  element,
  fixed,
  log_axis,
  number,
  on_keys,
  paint_pixels,
  round_axis,
  STEPS,
  show,
  slider,
  theme_colours,
} from "./charts.js";
import { draw_cell } from "./drawing.js";
import { zero_state } from "./engine.js";
import { norms_by_input } from "./lag.js";
import {
  BRACKETS,
  candidate_of,
  in_hand,
  load_model,
  most_probable,
  numbers_of,
  read,
  recorded,
  recorded_norms,
  tokenize,
  visible,
} from "./models.js";

const PRESETS = {
  brackets: { title: "brackets", text: BRACKETS },
  python: {
    title: "Python's language reference",
    text: 'The value of the expression is a "string" (or None). A class definition is an executable statement.',
  },
};
const FULL = 7; // nats of surprise at full colour: a probability of a thousandth
const ROLES = { cell: "cell", hidden: "output" };

export function reading_part(root, stored) {
  const $ = (selector) => root.querySelector(selector);
  const say = (name, text) => {
    for (const place of root.querySelectorAll(`[data-name="${name}"]`)) place.textContent = text;
  };
  const models = Object.fromEntries(
    Object.entries(stored).map(([name, model]) => [name, load_model(model)]),
  );
  const part = { models, colour: "surprise", at: 0, hands: {}, in_hand: false };
  const textarea = $("textarea");
  const [text, heat] = [$(".text"), $(".heat")];
  const rows = () => part.model.rows[part.layer];

  // --- what is chosen -----------------------------------------------------------------------------

  function choose_model(name) {
    const model = models[name];
    const preset = PRESETS[name] ?? {};
    const layer = model.rows.length - 1;
    Object.assign(part, { name, model, layer, unit: model.unit ?? model.rows[layer][0] });
    part.quantity = model.cell.memory;
    part.untouched = part.touched = [];
    part.norms = model.recorded ? recorded_norms(model) : null;
    part.words = model.words ?? [...preset.text];
    textarea.value =
      preset.text ??
      model.words
        .map((word) => typed(word))
        .join("")
        .trimEnd();
    textarea.parentNode.hidden = Boolean(model.recorded);
    textarea.maxLength = Math.max(1000, 2 * textarea.value.length);
    say("kind", model.level === "char" ? "character" : "word");
    $(".ranking").hidden = !model.ranking;
    part.at = Number.POSITIVE_INFINITY;
    build();
    hold({});
    if (model.words) point(order_of_surprise()[0] - 1);
  }

  function choose_layer(layer) {
    Object.assign(part, { layer, unit: part.model.rows[layer][0] });
    build();
    hold({});
  }

  function choose_unit(unit) {
    if (unit === undefined || unit === part.unit) return point(part.at); // keep its clamps
    part.unit = unit;
    hold({});
  }

  function hold(hands) {
    part.hands = hands;
    update();
    build_hands();
  }

  // --- reading ------------------------------------------------------------------------------------

  // The text, the model or the clamps have changed: read, then paint.
  function update() {
    const { model, hands, words } = part;
    const known = new Map(model.tokens.map((token, id) => [token, id]));
    part.ids = words.map((word) => known.get(word) ?? known.get("<unk>"));
    const unknown = [...new Set(words.filter((word) => !known.has(word)))];
    const more = unknown.length > 20 ? ` and ${unknown.length - 20} more` : "";
    say(
      "unknown",
      unknown.length
        ? `Read as <unk>, because the model does not know it: ${unknown.slice(0, 20).map(visible).join(" ")}${more}`
        : "",
    );
    part.in_hand = Object.values(hands).some((value) => value !== null);
    if (model.recorded) part.untouched = part.touched = recorded(model);
    else {
      const zeros = zero_state(model.cell.name, model.parameters, 1);
      part.untouched = read(model, model.parameters, zeros, part.ids, part.untouched);
      const [parameters, state] = in_hand(model, part.layer, part.unit, hands);
      part.touched = part.in_hand ? read(model, parameters, state, part.ids) : part.untouched;
    }
    part.nll = nll(part.touched);
    text.replaceChildren(
      ...words.map((word, t) => {
        const said = t
          ? `p ${fixed(Math.exp(-part.nll[t]), 4)}, surprise ${fixed(part.nll[t], 2)} nats`
          : "";
        const span = element("span", { "data-t": t, title: said }, shown(word));
        if (t) span.dataset.nll = part.nll[t];
        return span;
      }),
    );
    text.setAttribute("aria-valuemax", words.length);
    tell_loss();
    list_places();
    paint();
  }

  // A token as it is typed, and as it is shown.
  const typed = (word) => {
    if (part.model.level === "char") return word.replace("<unk>", "\ufffd"); // one character, too
    return word === "<eos>" ? "\n" : `${word} `;
  };
  const shown = (word) => {
    if (word === "\n" || word === "<eos>") return "⏎\n";
    return word === " " ? word : typed(visible(word));
  };

  // -log p of each token but the first.
  const nll = (reading) =>
    reading.map(({ id }, t) => (t ? -Math.log(reading[t - 1].p[id]) : Number.NaN));
  const mean = (values) => values.slice(1).reduce((sum, v) => sum + v, 0) / (values.length - 1);
  const order_of_surprise = () =>
    part.nll
      .map((_, t) => t)
      .slice(1)
      .sort((a, b) => part.nll[b] - part.nll[a]);

  function tell_loss() {
    const line = $("[data-name=loss-said]");
    line.replaceChildren();
    if (part.ids.length < 2) return;
    const digits = (v) => fixed(v, 4);
    const free = mean(nll(part.untouched));
    line.append("Loss of this text: ", number("loss", free, digits), " nats per token");
    line.append(` (perplexity ${fixed(Math.exp(free), 2)}; ${part.ids.length - 1} tokens scored)`);
    if (part.in_hand)
      line.append("; with the cell held ", number("loss-held", mean(part.nll), digits));
    line.append(".");
    const { loss, ids } = part.model;
    if (
      loss !== undefined &&
      String(ids) === String(part.ids) &&
      !(Math.abs(free - loss) < 1e-5 * Math.max(1, loss))
    )
      line.append(` numpylstm computes ${loss}: do not trust this page, and report it.`);
  }

  function list_places() {
    const places = order_of_surprise();
    const few = part.model.level === "char" ? 8 : 2;
    const before = (t) =>
      part.words.slice(Math.max(0, t - few), t).map((word) => shown(word).replace("⏎\n", "⏎"));
    const entry = (t) =>
      element(
        "li",
        {},
        button(() => point(t - 1), ...before(t), element("mark", {}, visible(part.words[t]))),
        ` ${share(Math.exp(-part.nll[t]))}`,
      );
    $("[data-name=worst]").replaceChildren(...places.slice(0, 5).map(entry));
    $("[data-name=best]").replaceChildren(...places.toReversed().slice(0, 5).map(entry));
  }

  // --- drawing ------------------------------------------------------------------------------------

  const role_of = (name) => part.model.cell.units.find((unit) => unit.name === name);
  const is_gate = (name) => role_of(name).role === "gate";
  const in_words = (name) => role_of(name).words || ROLES[role_of(name).role];

  function paint() {
    const { diverging, behind_text } = theme_colours();
    const { touched, layer, unit, quantity, colour } = part;
    const drawn = rows();
    const gate = is_gate(quantity);
    const value = (t, k) => touched[t].steps[layer][quantity].data[k];
    const largest = gate
      ? 1
      : touched.reduce(
          (most, _, t) => drawn.reduce((a, k) => Math.max(a, Math.abs(value(t, k))), most),
          0.5,
        );
    const own = touched.map((_, t) => value(t, unit));
    const limit = own.reduce((a, v) => Math.max(a, Math.abs(v)), 1e-9);
    part.spans = [...text.children];
    part.spans.forEach((span, t) => {
      const of_unit = gate ? 2 * own[t] - 1 : own[t] / limit;
      const tint = behind_text(colour === "unit" ? of_unit : (part.nll[t] || 0) / FULL);
      span.style.backgroundColor = `rgb(${tint.join(" ")})`;
    });
    if (touched.length) {
      paint_pixels(heat, drawn.length, touched.length, (row, t) =>
        gate ? cividis(value(t, drawn[row])) : diverging(value(t, drawn[row]) / largest),
      );
    }
    heat.style.height = `${Math.max(120, Math.min(256, 12 * drawn.length))}px`;
    $(".row-mark").style.top = `${(100 * (drawn.indexOf(unit) + 0.5)) / drawn.length}%`;
    strips();
    say(
      "coloured",
      colour === "surprise"
        ? `surprise, −log p: orange is ${FULL} nats, p = 0.001, or more`
        : `${quantity} of cell ${unit}` +
            (own.length
              ? `, from ${fixed(Math.min(...own), 2)} to ${fixed(Math.max(...own), 2)}`
              : ""),
    );
    root.classList.toggle("nothing-read", own.length === 0);
    const { H, ranking } = part.model;
    say(
      "heat-title",
      `${quantity}, the ${in_words(quantity)}, of ` +
        (ranking ? `the ${drawn.length} cells that matter most` : `all ${H} cells`) +
        (gate ? ": dark 0, bright 1" : `: blue −${fixed(largest, 1)}, orange ${fixed(largest, 1)}`),
    );
    heat.setAttribute("aria-valuemax", H - 1);
    heat.setAttribute("aria-valuenow", unit);
    heat.setAttribute("aria-valuetext", `cell ${unit}`);
    for (const made of root.querySelectorAll(".ranking button")) {
      made.setAttribute("aria-pressed", Number(made.value) === unit);
    }
    point(part.at);
  }

  // All quantities of the chosen cell, one above the other.
  function strips() {
    const { diverging } = theme_colours();
    const { touched, layer, unit } = part;
    for (const { name } of part.model.cell.units) {
      const values = touched.map(({ steps }) => steps[layer][name].data[unit]);
      const largest = values.reduce((a, b) => Math.max(a, Math.abs(b)), 1);
      const colour = (_, t) =>
        is_gate(name) ? cividis(values[t]) : diverging(values[t] / largest);
      if (values.length) paint_pixels($(`[data-strip=${name}]`), 1, values.length, colour);
    }
  }

  function rank() {
    const { ranking, H, cell } = part.model;
    if (!ranking) return;
    const ranked = ranking[part.layer];
    const all =
      ranked.length === H ? "all" : `the ${ranked.length} of ${H} that vary most were measured`;
    say(
      "ranking-note",
      `By how much the loss per token rises if ${cell.memory} of the cell is held at its mean (${all}).`,
    );
    const entry = ([unit, rise]) => {
      const choose = button(() => choose_unit(unit), `cell ${unit}`);
      choose.value = unit;
      return element("li", {}, choose, ` ${fixed(rise, 4).replace(/^\d/, "+$&")}`);
    };
    $(".ranking ol").replaceChildren(...ranked.slice(0, 10).map(entry));
  }

  function point(at) {
    const { touched, untouched, model, layer, unit, spans, words } = part;
    part.at = Math.max(0, Math.min(touched.length - 1, at));
    for (const span of spans) {
      span.classList.toggle("here", Number(span.dataset.t) === part.at);
      span.classList.toggle("next", Number(span.dataset.t) === part.at + 1);
    }
    const here = touched[part.at];
    for (const mark of root.querySelectorAll(".column-mark")) {
      mark.style.left = `${(100 * (part.at + 0.5)) / touched.length}%`;
    }
    say("place", here ? visible(words[part.at]) : "");
    say("unit", unit);
    text.setAttribute("aria-valuenow", here ? part.at + 1 : 0);
    if (!here) {
      text.removeAttribute("aria-valuetext");
      return;
    }
    text.setAttribute("aria-valuetext", `${part.at + 1}, ${visible(words[part.at])}`);
    bars(untouched[part.at].p, here.p, part.ids[part.at + 1]);
    for (const { name } of model.cell.units) {
      show($(`[data-name=value-${name}]`), here.steps[layer][name].data[unit]);
    }
    draw_cell($(".drawing"), model.cell.name, numbers_of(model, touched, part.at, layer, unit));
    clearTimeout(part.later);
    part.later = setTimeout(listen, part.slow ? 150 : 0); // a large model cannot follow the pointer
  }

  // The true next token, or the most probable one at the end of the text.
  const target_at = (at) => part.ids[at + 1] ?? most_probable(part.touched[at].p);

  function listen() {
    const { touched, at, model, spans } = part;
    if (!touched[at]) return;
    const began = performance.now();
    const target = target_at(at);
    if (model.recorded) part.listens = at < part.ids.length - 1 ? part.norms(at) : [];
    else part.listens = norms_by_input(model, touched.slice(0, at + 1), target);
    part.slow = performance.now() - began > 30;
    say("target", visible(model.tokens[target]));
    const most = part.listens.reduce((a, b) => Math.max(a, b), 0);
    spans.forEach((span, s) => {
      const norm = part.listens[s];
      span.style.boxShadow = norm > 0.02 * most ? `inset 0 ${(-6 * norm) / most}px var(--rnn)` : "";
      if (norm === undefined) delete span.dataset.listens;
      else span.dataset.listens = norm;
    });
    draw_listening(most);
  }

  function draw_listening(most) {
    const high = Math.ceil(Math.log10(Math.min(most || 1, Number.MAX_VALUE)));
    const points = part.listens
      .toReversed()
      .slice(0, 61)
      .map((norm, lag) => [lag, Math.log10(norm)]);
    const last = Math.max(10, points.length - 1);
    draw_lines($("svg.low"), {
      x: { ...round_axis(last), label: "steps back" },
      y: log_axis(high - 6, high, 2),
      lines: [{ name: "", style: "rnn", points }],
    });
  }

  const share = (p) => (p < 0.0005 ? "<\u202f0.001" : fixed(p, 3));

  // The most probable next tokens, and the one that came; the second bar is with the clamps.
  function bars(p, q, came) {
    const { tokens } = part.model;
    const order = [...p.keys()].sort((a, b) => Math.max(p[b], q[b]) - Math.max(p[a], q[a]));
    const listed = order.slice(0, 8);
    if (came !== undefined && !listed.includes(came)) listed[7] = came;
    const bar = (kind, size) =>
      element("i", { class: kind, style: `width:${(100 * size).toFixed(1)}%` });
    const both = (make) => [make("p", p), ...(part.in_hand ? [make("q", q)] : [])];
    $("[data-name=held-head]").hidden = !part.in_hand;
    $(".bars tbody").replaceChildren(
      ...listed.map((v) =>
        element(
          "tr",
          { class: v === came ? "came" : "" },
          element("th", {}, element("code", {}, visible(tokens[v]))),
          element(
            "td",
            { class: "bar" },
            ...both((name, from) => bar(name === "p" ? "free" : "hand", from[v])),
          ),
          element(
            "td",
            { class: "numbers" },
            ...both((name, from) => number(name, from[v], share, { "data-token": v })),
          ),
        ),
      ),
    );
  }

  // --- controls -----------------------------------------------------------------------------------

  function build_hands() {
    const { hands, model, layer, unit } = part;
    const { cell } = model;
    $(".clamping").hidden = Boolean(model.recorded);
    if (model.recorded) return;
    const change = (name) => (value) => {
      hands[name] = value;
      mark_held();
      update();
    };
    const clamps = cell.units
      .filter(
        ({ name, role }) =>
          role === "gate" || role === "candidate" || (name !== cell.memory && !cell.keep),
      )
      .map(({ name }) =>
        choice(
          `clamp-${name}`,
          `${name}, ${in_words(name)}`,
          ["free", "0", "1"],
          hands[name] ?? "free",
          (value) => change(name)(value === "free" ? null : Number(value)),
        ),
      );
    const natural = part.untouched.map(({ steps }) => steps[layer][cell.memory].data[unit]);
    const range = Math.max(
      role_of(cell.memory).role === "cell" ? 3 : 1,
      ...natural.map((v) => Math.ceil(Math.abs(v))),
    );
    const held = slider(
      "hold",
      `${cell.memory}, held at`,
      [model.options[0] === "sigmoid" || model.options[0] === "relu" ? 0 : -range, range, 0.05],
      hands[cell.memory] ?? 0,
      change(cell.memory),
      (value) => ((hands[cell.memory] ?? null) === null ? "free" : fixed(value, 2)),
    );
    const release = button(() => {
      hold({});
      $(".clamps button").focus(); // this one has been replaced
    }, "Release");
    $(".clamps").replaceChildren(...clamps, held, release);
    mark_held();
    const how = cell.keep
      ? `${cell.memory} is held by ${cell.keep} = 1, ${candidate_of(cell)} = 0 and this value at the start`
      : "a constant bias holds it";
    say(
      "clamp-note",
      `Holding only changes weights: the gate's column becomes zero, its bias ±1000 (0 for a candidate of 0); ${how}. It acts from the first ${model.level === "char" ? "character" : "word"} on.`,
    );
  }

  function mark_held() {
    const { cell } = part.model;
    const held = (part.hands[cell.memory] ?? null) !== null;
    for (const name of cell.keep ? [cell.keep, candidate_of(cell)] : []) {
      $(`[name=clamp-${name}]`).closest("fieldset").disabled = held;
    }
  }

  // The controls, tables, strips and ranking of a model.
  function build() {
    rank();
    const { units } = part.model.cell;
    const set = (key) => (value) => {
      part[key] = value;
      paint();
    };
    const colours = ["surprise", ["unit", "the chosen cell"]];
    const names = units.map(({ name }) => name);
    const controls = [
      choice("colour", "Colour of the text", colours, part.colour, set("colour")),
      choice("quantity", "Quantity of the cells", names, part.quantity, set("quantity")),
    ];
    if (Object.keys(models).length > 1) {
      const options = Object.entries(PRESETS).map(([key, { title }]) => [key, title]);
      controls.unshift(choice("model", "Model trained on", options, part.name, choose_model));
    }
    if (part.model.rows.length > 1) {
      const options = part.model.rows.map((_, layer) => `${layer}`);
      const change = (layer) => choose_layer(Number(layer));
      controls.push(choice("layer", "Layer, from the input", options, part.layer, change));
    }
    const focus = document.activeElement?.name;
    $(".controls").replaceChildren(...controls);
    if (focus) $(`.controls [name=${focus}]:checked`)?.focus();
    $(".values tbody").replaceChildren(
      ...units.map(({ name }) =>
        element(
          "tr",
          {},
          element("th", {}, name),
          element("td", {}, element("output", { "data-name": `value-${name}` })),
          element("td", {}, in_words(name)),
        ),
      ),
    );
    $(".own-strips").replaceChildren(
      ...units.flatMap(({ name }) => [
        element("span", {}, name),
        element("canvas", { "data-strip": name, role: "img", "aria-label": `${name} over time` }),
      ]),
    );
  }

  textarea.addEventListener("input", () => {
    part.words = tokenize(textarea.value, part.model);
    part.at = Number.POSITIVE_INFINITY;
    update();
  });
  const at_pointer = (event) => {
    // not event.target, which stays the same while a finger moves
    const t = document.elementFromPoint(event.clientX, event.clientY)?.dataset.t;
    if (t !== undefined) point(Number(t));
  };
  text.addEventListener("pointermove", at_pointer);
  text.addEventListener("pointerdown", at_pointer);
  on_keys(text, STEPS, (move) => point(part.at + move));
  heat.addEventListener("click", (event) => {
    const box = heat.getBoundingClientRect();
    part.at = Math.floor(((event.clientX - box.left) / box.width) * part.touched.length);
    choose_unit(rows()[Math.floor(((event.clientY - box.top) / box.height) * rows().length)]);
  });
  on_keys(heat, { ArrowUp: -1, ArrowDown: 1 }, (move) =>
    choose_unit(rows()[rows().indexOf(part.unit) + move]),
  );
  part.extra = () => ({ unit: part.unit, at: part.at });
  part.restore = ({ unit, at, hold: held }) => {
    if (held === undefined) hold({ ...part.hands, [part.model.cell.memory]: null });
    if (rows().includes(Number(unit))) choose_unit(Number(unit));
    if (at !== undefined) point(Number(at) || 0);
  };
  Object.assign(part, { paint, point, hold, listen });
  choose_model(Object.keys(PRESETS).find((name) => name in models) ?? Object.keys(models)[0]);
  return part;
}
