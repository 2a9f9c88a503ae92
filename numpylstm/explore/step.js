// One step of one cell with one unit, forwards and backwards.

import { matrix } from "./arrays.js";
import { choice, element, fixed, show, slider } from "./charts.js";
import { draw_cell } from "./drawing.js";
import { activation_derivative, CELLS, sigmoid } from "./engine.js";

const scalar = (value) => matrix(1, 1, Float64Array.of(value));
const row = (values) => matrix(1, values.length, Float64Array.from(values));
const sub = (letter, index) => (index ? `${letter}<sub>${index}</sub>` : letter);

// The blocks of each cell: name of the output, its role, and its nonlinearity.
const BLOCKS = {
  lstm: [
    { name: "i", asks: "write?", curve: "sigmoid" },
    { name: "f", asks: "keep?", curve: "sigmoid" },
    { name: "g", asks: "what to write", curve: "tanh" },
    { name: "o", asks: "show?", curve: "sigmoid" },
  ],
  gru: [
    { name: "r", asks: "see the past?", curve: "sigmoid" },
    { name: "z", asks: "keep?", curve: "sigmoid" },
    { name: "n", asks: "what to write", curve: "tanh" },
  ],
  rnn: [{ name: "h", asks: "the new state", curve: "tanh" }],
};
const TITLES = [
  ["lstm", "LSTM"],
  ["gru", "GRU"],
  ["rnn", "vanilla RNN"],
];
const WAYS = [
  ["forward", "Forwards"],
  ["backward", "Backwards"],
];
const TRY = {
  lstm: "move the forget gate's bias b<sub>f</sub> from −4 to 4: the straight way at the top, the constant error carousel, opens. Then choose Backwards, and see how much of <i>dc</i>, which comes from later steps, reaches <i>dc_prev</i>.",
  gru: "move the update gate's bias b<sub>z</sub> from −4 to 4: one gate keeps the old state and closes the way of the new. Then choose Backwards, and see how much of <i>dh</i> reaches <i>dh_prev</i>.",
  rnn: "choose Backwards, and move W<sub>h</sub>: there is no straight way here. What reaches <i>dh_prev</i> has been multiplied by W<sub>h</sub> and by the slope of tanh, at every step again.",
};
const START = {
  lstm: { Wx: [0.8, -0.4, 1.2, 0.6], Wh: [0.5, 0.3, -0.7, -0.4], b: [0, 1, 0, 0.2] },
  gru: { Wx: [0.5, -0.4, 1.2], Wh: [0.4, 0.3, -0.7], b: [0, 1, 0] },
  rnn: { Wx: [0.8], Wh: [0.9], b: [0.1] },
};
// Inputs of the step: from below, from the past, and from the future.
const OUTSIDE = {
  x: ["x", 0.7],
  h_prev: ["h_prev", -0.3],
  c_prev: ["c_prev", 1.2],
  dh: ["dh, from later", 1],
  dc: ["dc, from later", 0.5],
};
// The equations under the gates, forwards and backwards: result and formula.
const EQUATIONS = {
  lstm: {
    forward: [
      ["c", (v) => `f · c_prev + i · g = ${v("f")} · ${v("c_prev")} + ${v("i")} · ${v("g")}`],
      ["h", (v) => `o · tanh c = ${v("o")} · ${v("tanh_c")}`],
    ],
    backward: [
      [
        "dc_total",
        (v) => `dc + dh · o · (1 − tanh² c) = ${v("dc")} + ${v("dh")} · ${v("o")} · ${v("slope")}`,
      ],
      ["dc_prev", (v) => `dc_total · f = ${v("dc_total")} · ${v("f")}`],
      ["dh_prev", () => "da @ Wh.T, through gates and candidate"],
      ["dx", () => "da @ Wx.T"],
    ],
  },
  gru: {
    forward: [
      [
        "h",
        (v) =>
          `(1 − z) · n + z · h_prev = (1 − ${v("z")}) · ${v("n")} + ${v("z")} · ${v("h_prev")}`,
      ],
    ],
    backward: [
      [
        "dh_prev",
        (v) => `dh · z = ${v("dh")} · ${v("z")}, and what comes through gates and candidate`,
      ],
      ["dx", () => "da @ Wx.T"],
    ],
  },
  rnn: {
    forward: [["h", (v) => `tanh a = tanh ${v("a_h")}`]],
    backward: [
      ["da_h", (v) => `dh · (1 − h²) = ${v("dh")} · ${v("slope_h")}`],
      ["dh_prev", (v) => `da · Wh = ${v("da_h")} · ${v("Wh_h")}`],
      ["dx", (v) => `da · Wx = ${v("da_h")} · ${v("Wx_h")}`],
    ],
  },
};

// All numbers of one step by their names in the textbook; names of weights end in the block: Wx_i,
// dWx_i. dc_total is the whole gradient of c; dc is the part from the next step.
export function compute(cell, outside, weights) {
  const { state, step_forward, step_backward } = CELLS[cell];
  const given = (name) => scalar(outside[name]);
  const before = state.map((name) => given(`${name}_prev`));
  const parameters = ["Wx", "Wh", "b"].map((name) => row(weights[name]));
  const cache = step_forward(given("x"), ...before, ...parameters).pop();
  const [dx, ...rest] = step_backward(...state.map((name) => given(`d${name}`)), cache);
  const inside = rest.pop();
  const numbers = { ...cache, ...inside, dx, dc_total: inside.dc };
  for (const name of state) numbers[`d${name}_prev`] = rest.shift();
  const values = {};
  for (const [name, A] of Object.entries(numbers)) if (A?.data) values[name] = A.data[0];
  Object.assign(values, outside);
  BLOCKS[cell].forEach(({ name, curve }, block) => {
    ["Wx", "Wh", "b"].forEach((key, k) => {
      values[`${key}_${name}`] = weights[key][block];
      values[`d${key}_${name}`] = rest[k].data[block];
    });
    for (const sum of ["a", "da"]) values[`${sum}_${name}`] ??= values[sum]; // of the only block
    values[`slope_${name}`] = activation_derivative(scalar(values[name]), curve).data[0];
  });
  if (cell === "lstm") values.slope = 1 - values.tanh_c ** 2;
  return values;
}

// --- the part of the page -------------------------------------------------------------------------

export function step_part(root, reference) {
  const $ = (selector) => root.querySelector(selector);
  const part = {
    cell: "lstm",
    outside: {},
    way: "forward",
    weights: structuredClone(START),
    values: {},
  };
  for (const [name, [, value]] of Object.entries(OUTSIDE)) part.outside[name] = value;
  part.paint = () => update(part, root);

  function build() {
    const { cell } = part;
    const controls = Object.entries(OUTSIDE)
      .filter(([name]) => cell === "lstm" || (!name.startsWith("c_") && name !== "dc"))
      .map(([name, [label]]) => {
        const change = (value) => {
          part.outside[name] = value;
          part.paint();
        };
        const value = part.outside[name];
        return slider(name, label, [-2, 2, 0.05], value, change);
      });
    $(".controls").replaceChildren(
      choice("cell", "Cell", TITLES, cell, (value) => {
        part.cell = value;
        build();
        $(`input[value=${value}]`).focus();
      }),
      choice("way", "Drawing", WAYS, part.way, (value) => {
        part.way = value;
        part.paint();
      }),
      ...controls,
    );
    $(".try span").innerHTML = TRY[cell];
    $(".gates").replaceChildren(...BLOCKS[cell].map((block, k) => gate(part, block, k)));
    $(".equations").replaceChildren(...["forward", "backward"].map((way) => lines(cell, way)));
    for (const [language, text] of Object.entries(sources(cell, reference))) {
      $(`[data-source=${language}]`).textContent = text;
    }
    part.paint();
  }
  build();
  return part;
}

const output = (name) => `<output data-name="${name}"></output>`;

// One block of the weights: its sliders, its curve, its output and its gradients.
function gate(part, { name, asks, curve }, k) {
  const box = element("section", { class: "gate", "aria-label": name });
  const f = curve === "tanh" ? "tanh" : "σ";
  const slope = curve === "tanh" ? `1 − ${name}²` : `${name} (1 − ${name})`;
  const index = part.cell !== "rnn" ? name : "";
  box.innerHTML = `
    <h2><b>${name}</b> = ${f}(${sub("a", index)}) <span>${asks}</span></h2>
    <svg viewBox="-5 ${curve === "tanh" ? "-1.15 10 2.3" : "-1.08 10 1.16"}" preserveAspectRatio="none" aria-hidden="true"></svg>
    <dl><dt>a<span>, weighted sum</span></dt><dd>${output(`a_${name}`)}</dd>
    <dt>${name}</dt><dd class="big">${output(name)}</dd><dt>slope<span>, ${slope}</span></dt><dd>${output(`slope_${name}`)}</dd></dl>
    <dl class="back">${index ? `<dt>d${name}</dt><dd>${output(`d${name}`)}</dd>` : ""}
    <dt>${sub("da", index)}</dt><dd>${output(`da_${name}`)}</dd>
    ${["dWx", "dWh", "db"].map((key) => `<dt>${key}</dt><dd>${output(`${key}_${name}`)}</dd>`).join("")}</dl>`;
  const sliders = ["Wx", "Wh", "b"].map((key) => {
    const change = (value) => {
      part.weights[part.cell][key][k] = value;
      part.paint();
    };
    const value = part.weights[part.cell][key][k];
    const range = key === "b" ? 6 : 3;
    return slider(`${key}_${name}`, sub(key, index), [-range, range, 0.05], value, change);
  });
  box.querySelector("h2").after(...sliders);
  return box;
}

function lines(cell, way) {
  const box = element("dl", { class: way === "backward" ? "back" : "" });
  box.innerHTML = EQUATIONS[cell][way]
    .map(
      ([name]) =>
        `<dt>${name}</dt><dd>= <span data-equation="${name}"></span> = <b>${output(name)}</b></dd>`,
    )
    .join("");
  box.prepend(element("h2", {}, way === "forward" ? "Forwards" : "Backwards"));
  return box;
}

function update(part, root) {
  const { cell } = part;
  part.values = compute(cell, part.outside, part.weights[cell]);
  for (const made of root.querySelectorAll("[data-name]")) {
    show(made, part.values[made.dataset.name]);
  }
  const value = (name) => {
    const text = fixed(part.values[name], 2);
    return part.values[name] < 0 ? `(${text})` : text;
  };
  for (const [name, write] of [...EQUATIONS[cell].forward, ...EQUATIONS[cell].backward]) {
    root.querySelector(`[data-equation=${name}]`).textContent = write(value);
  }
  draw_cell(root.querySelector(".drawing"), cell, part.values, part.way === "backward");
  const pictures = root.querySelectorAll(".gate svg");
  BLOCKS[cell].forEach(({ name, curve }, k) => {
    const [a, y, slope] = [`a_${name}`, name, `slope_${name}`].map((key) => part.values[key]);
    pictures[k].innerHTML = curve_with_tangent(curve, a, y, slope);
  });
}

// The nonlinearity from -5 to 5, with the point of this step and its tangent.
function curve_with_tangent(curve, a, y, slope) {
  const f = curve === "tanh" ? Math.tanh : sigmoid;
  let path = "";
  for (let p = -5; p <= 5; p += 0.25) path += `${path ? "L" : "M"}${p} ${-f(p)}`;
  const at = Math.max(-4.9, Math.min(4.9, a));
  return (
    `<path class="grid" d="M-5 0H5M0 -1.2V1.2"/><path class="curve" d="${path}"/>` +
    `<path class="tangent" d="M${at - 1.6} ${-(y - 1.6 * slope)}L${at + 1.6} ${-(y + 1.6 * slope)}"/>` +
    `<path class="point" d="M${at} ${-y}h0"/>`
  );
}

function sources(cell, reference) {
  const steps = [CELLS[cell].step_forward, CELLS[cell].step_backward];
  return {
    python: steps.map(({ name }) => reference[name]).join("\n\n\n"),
    javascript: steps.join("\n\n"), // the text of a function is its source
  };
}
