// Part 2: a trained model reads typed text, and its cells can be clamped.

import { map, matrix } from "./arrays.js";
import {
  choice,
  cividis,
  element,
  fixed,
  on_keys,
  paint_pixels,
  STEPS,
  show,
  slider,
  theme_colours,
} from "./charts.js";
import { language_model_forward, sequence_cross_entropy_forward, zero_state } from "./engine.js";

const QUANTITIES = {
  i: "input gate",
  f: "forget gate",
  g: "candidate",
  o: "output gate",
  c: "cell",
  h: "output",
};
const GATES = ["i", "f", "g", "o"];
const PRESETS = {
  python: {
    name: "Python's language reference",
    text: 'The value of the expression is a "string" (or None). A class definition is an executable statement.',
  },
  brackets: { name: "brackets", text: '\n(()(("a(b"))())\n((("))a"())))' },
};
const FREE = { i: null, f: null, g: null, o: null, c: null };
const FAR = 1000; // sigmoid and tanh are exactly 0, 1 or -1 there

// --- models ---------------------------------------------------------------------------------------

// float16: a sign, 5 bits of exponent, 10 bits of fraction.
function from_float16(bits) {
  const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023];
  const size = exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -24 * fraction;
  return bits >> 15 ? -size : size;
}

function load_model({ tokens, parameters, unit }) {
  const arrays = {};
  for (const [path, { shape, float16 }] of Object.entries(parameters)) {
    const bytes = Uint8Array.from(atob(float16), (character) => character.charCodeAt(0));
    const data = Float64Array.from({ length: bytes.length / 2 }, (_, k) =>
      from_float16(bytes[2 * k] | (bytes[2 * k + 1] << 8)),
    );
    const [rows, columns] = shape.length === 1 ? [1, shape[0]] : shape;
    arrays[path] = matrix(rows, columns, data);
  }
  return { tokens, parameters: arrays, unit, units: arrays["lstm.0.Wh"].rows };
}

// A clamp only changes weights. A gate is clamped by a column of zeros and a large bias; c is held at a
// value by f = 1, i = 0 and that value as its start.
function in_hand(model, unit, hands) {
  const H = model.units;
  const changed = { ...model.parameters };
  const state = zero_state("lstm", model.parameters, 1);
  const gates = hands.c === null ? hands : { ...hands, f: 1, i: 0 };
  for (const path of ["lstm.0.Wx", "lstm.0.Wh", "lstm.0.b"]) {
    changed[path] = map((value) => value, changed[path]);
  }
  GATES.forEach((gate, block) => {
    if (gates[gate] === null) return;
    const column = block * H + unit;
    for (const path of ["lstm.0.Wx", "lstm.0.Wh"]) {
      const { rows, columns, data } = changed[path];
      for (let r = 0; r < rows; r++) data[r * columns + column] = 0;
    }
    const zero = gate === "g" ? 0 : -FAR;
    changed["lstm.0.b"].data[column] = gates[gate] === 1 ? FAR : zero;
  });
  if (hands.c !== null) state[0][1].data[unit] = hands.c;
  return [changed, state];
}

// Continue an earlier reading that begins with the same characters. A reading has, for each character,
// its id, the state after it, the cache of its step and the probabilities of the next one.
function read(parameters, state, ids, earlier = []) {
  let same = 0;
  while (same < earlier.length && same < ids.length && earlier[same].id === ids[same]) same += 1;
  const reading = earlier.slice(0, same);
  for (const id of ids.slice(same)) {
    const before = reading.length ? reading[reading.length - 1].state : state;
    const [logits, after, { caches }] = language_model_forward("lstm", parameters, [[id]], before);
    const [, [{ p }]] = sequence_cross_entropy_forward(logits, [[0]]);
    reading.push({ id, state: after, step: caches[0][0], p: p.data });
  }
  return reading;
}

// --- the part of the page -------------------------------------------------------------------------

export function reading_part(root, stored) {
  const $ = (selector) => root.querySelector(selector);
  const models = Object.fromEntries(
    Object.entries(stored).map(([name, model]) => [name, load_model(model)]),
  );
  const part = { models, quantity: "c", at: 0, hands: { ...FREE }, in_hand: false };
  const textarea = $("textarea");
  const [text, heat] = [$(".text"), $(".heat")];

  function choose_model(name) {
    Object.assign(part, { name, model: models[name], unit: models[name].unit });
    part.untouched = part.touched = [];
    textarea.value = PRESETS[name].text;
    part.at = Number.POSITIVE_INFINITY;
    let_go();
  }

  function choose_unit(unit) {
    const chosen = Math.max(0, Math.min(part.model.units - 1, unit));
    if (chosen === part.unit) return point(part.at); // keep its clamps
    part.unit = chosen;
    let_go();
  }

  function let_go() {
    part.hands = { ...FREE };
    build_hands();
    update();
  }

  // The text, the model or the clamps have changed: read, then paint.
  function update() {
    const { model, hands } = part;
    const ids = [...textarea.value].map((c) => model.tokens.indexOf(c));
    const unknown = [...new Set([...textarea.value].filter((_, k) => ids[k] < 0))];
    const more = unknown.length > 20 ? ` and ${unknown.length - 20} more` : "";
    $("[data-name=unknown]").textContent = unknown.length
      ? `Skipped, because the model has never seen it: ${unknown.slice(0, 20).map(visible).join(" ")}${more}`
      : "";
    part.ids = ids.filter((id) => id >= 0);
    part.untouched = read(
      model.parameters,
      zero_state("lstm", model.parameters, 1),
      part.ids,
      part.untouched,
    );
    part.in_hand = Object.values(hands).some((value) => value !== null);
    for (const gate of ["i", "f"]) {
      $(`[name=clamp-${gate}]`).closest("fieldset").disabled = hands.c !== null;
    }
    const [parameters, state] = in_hand(model, part.unit, hands);
    part.touched = part.in_hand ? read(parameters, state, part.ids) : part.untouched;
    text.replaceChildren(
      ...part.ids.map((id, t) => {
        const token = model.tokens[id];
        return element("span", { "data-t": t }, token === "\n" ? "⏎\n" : token);
      }),
    );
    text.setAttribute("aria-valuemax", part.ids.length);
    paint();
  }

  function paint() {
    const { diverging } = theme_colours();
    const { touched, unit, quantity } = part;
    const H = part.model.units;
    const gate = quantity === "i" || quantity === "f" || quantity === "o";
    const value = (t, k) => touched[t].step[quantity].data[k];
    const sizes = gate
      ? [1]
      : touched.flatMap(({ step }) => [...step[quantity].data]).map(Math.abs);
    const largest = sizes.reduce((a, b) => Math.max(a, b), 0.5);
    const own = touched.map((_, t) => value(t, unit));
    const [low, high] = [Math.min(...own, 0), Math.max(...own, 0)];
    const limit = Math.max(Math.abs(low), high, 1e-9);
    part.spans = [...text.children];
    part.spans.forEach((span, t) => {
      const shade = gate ? 2 * own[t] - 1 : own[t] / limit;
      const [red, green, blue] = diverging(shade);
      span.style.background = `rgb(${red} ${green} ${blue})`;
      span.style.color = 0.3 * red + 0.6 * green + 0.1 * blue > 110 ? "#000" : "#fff";
    });
    if (touched.length) {
      paint_pixels(heat, H, touched.length, (k, t) =>
        gate ? cividis(value(t, k)) : diverging(value(t, k) / largest),
      );
    }
    heat.style.height = `${Math.max(120, Math.min(256, 12 * H))}px`;
    $(".row-mark").style.top = `${(100 * (unit + 0.5)) / H}%`;
    strips();
    $("[data-name=coloured]").textContent =
      `${quantity} of cell ${unit}` +
      (own.length ? `, from ${fixed(Math.min(...own), 2)} to ${fixed(Math.max(...own), 2)}` : "");
    root.classList.toggle("nothing-read", own.length === 0);
    $("[data-name=heat-title]").textContent =
      `${quantity}, the ${QUANTITIES[quantity]}, of all ${H} cells` +
      (gate ? ": dark 0, bright 1" : `: blue −${fixed(largest, 1)}, orange ${fixed(largest, 1)}`);
    heat.setAttribute("aria-valuemax", H - 1);
    heat.setAttribute("aria-valuenow", unit);
    heat.setAttribute("aria-valuetext", `cell ${unit}`);
    point(part.at);
  }

  // All quantities of the chosen cell, one above the other.
  function strips() {
    const { diverging } = theme_colours();
    const { touched, unit } = part;
    for (const name of Object.keys(QUANTITIES)) {
      const values = touched.map(({ step }) => step[name].data[unit]);
      const largest = values.reduce((a, b) => Math.max(a, Math.abs(b)), 1);
      const gate = name === "i" || name === "f" || name === "o";
      const colour = (_, t) => (gate ? cividis(values[t]) : diverging(values[t] / largest));
      if (values.length) paint_pixels($(`[data-strip=${name}]`), 1, values.length, colour);
    }
  }

  function point(at) {
    const { touched, untouched, model, unit, spans } = part;
    part.at = Math.max(0, Math.min(touched.length - 1, at));
    for (const span of spans) span.classList.toggle("here", Number(span.dataset.t) === part.at);
    const here = touched[part.at];
    for (const mark of root.querySelectorAll(".column-mark")) {
      mark.style.left = `${(100 * (part.at + 0.5)) / touched.length}%`;
    }
    $("[data-name=place]").textContent = here ? visible(model.tokens[here.id]) : "";
    $("[data-name=unit]").textContent = unit;
    text.setAttribute("aria-valuenow", here ? part.at + 1 : 0);
    if (!here) {
      text.removeAttribute("aria-valuetext");
      return;
    }
    text.setAttribute(
      "aria-valuetext",
      `character ${part.at + 1}, ${visible(model.tokens[here.id])}`,
    );
    bars(untouched[part.at].p, here.p);
    for (const name of Object.keys(QUANTITIES)) {
      show($(`[data-name=value-${name}]`), here.step[name].data[unit]);
    }
  }

  // The most probable next characters; the second bar is with the cell clamped.
  function bars(p, q) {
    const { tokens } = part.model;
    const order = [...p.keys()].sort((a, b) => Math.max(p[b], q[b]) - Math.max(p[a], q[a]));
    const bar = (kind, share) =>
      `<i class="${kind}" style="width:${(100 * share).toFixed(1)}%"></i>`;
    const percent = (share) => (share < 0.0005 ? "<\u202f0.001" : fixed(share, 3));
    $(".bars tbody").innerHTML = order
      .slice(0, 8)
      .map((v) => {
        const second = part.in_hand ? bar("hand", q[v]) : "";
        const number = (name, share) =>
          `<output data-name="${name}" data-token="${v}" data-value="${share}">${percent(share)}</output>`;
        const numbers = number("p", p[v]) + (part.in_hand ? number("q", q[v]) : "");
        return `<tr><th><code>${escaped(visible(tokens[v]))}</code></th><td class="bar">${bar("free", p[v])}${second}</td><td class="numbers">${numbers}</td></tr>`;
      })
      .join("");
  }

  function build_hands() {
    const { hands } = part;
    const clamps = GATES.map((gate) =>
      choice({
        name: `clamp-${gate}`,
        label: `${gate}, ${QUANTITIES[gate]}`,
        options: [
          ["free", "free"],
          ["0", "0"],
          ["1", "1"],
        ],
        value: "free",
        change: (value) => {
          hands[gate] = value === "free" ? null : Number(value);
          update();
        },
      }),
    );
    const range = part.name === "brackets" ? 6 : 3;
    const held = slider({
      name: "hold",
      label: `c, held at`,
      min: -range,
      max: range,
      step: 0.05,
      value: 0,
      format: (value) => (hands.c === null ? "free" : fixed(value, 2)),
      change: (value) => {
        hands.c = value;
        update();
      },
    });
    const release = element(
      "button",
      {
        type: "button",
        onclick: () => {
          let_go();
          $(".clamps button").focus(); // this one has been replaced
        },
      },
      "Release",
    );
    $(".clamps").replaceChildren(...clamps, held, release);
  }

  $(".controls").append(
    choice({
      name: "model",
      label: "Model trained on",
      options: Object.entries(PRESETS).map(([key, { name }]) => [key, name]),
      value: "python",
      change: choose_model,
    }),
    choice({
      name: "quantity",
      label: "Show",
      options: Object.keys(QUANTITIES).map((key) => [key, key]),
      value: part.quantity,
      change: (value) => {
        part.quantity = value;
        paint();
      },
    }),
  );
  $(".values tbody").innerHTML = Object.entries(QUANTITIES)
    .map(
      ([key, name]) =>
        `<tr><th>${key}</th><td><output data-name="value-${key}"></output></td><td>${name}</td></tr>`,
    )
    .join("");
  $(".own-strips").append(
    ...Object.keys(QUANTITIES).flatMap((name) => [
      element("span", {}, name),
      element("canvas", { "data-strip": name, role: "img", "aria-label": `${name} over time` }),
    ]),
  );
  textarea.addEventListener("input", () => {
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
    choose_unit(Math.floor(((event.clientY - box.top) / box.height) * part.model.units));
  });
  on_keys(heat, { ArrowUp: -1, ArrowDown: 1 }, (move) => choose_unit(part.unit + move));
  part.paint = paint;
  choose_model("python");
  return part;
}

const SIGNS = { "\n": "⏎", "\t": "tab", " ": "␣", "\u200d": "joiner", "<unk>": "unk" };
const visible = (token) => SIGNS[token] ?? token;
const escaped = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;");
