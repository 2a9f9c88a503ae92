// One step of one cell with one unit, forwards and backwards.

import { matrix } from "./arrays.js";
import { choice, slider } from "./charts.js";
import { draw_cell } from "./drawing.js";
import { activation_derivative, CELLS } from "./engine.js";

const scalar = (value) => matrix(1, 1, Float64Array.of(value));
const row = (values) => matrix(1, values.length, Float64Array.from(values));
const sub = (letter, index) => `${letter}<sub>${index}</sub>`;

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

export function step_part(root) {
  const $ = (selector) => root.querySelector(selector);
  const part = { cell: "lstm", outside: {}, way: "forward", weights: structuredClone(START) };
  for (const [name, [, value]] of Object.entries(OUTSIDE)) part.outside[name] = value;

  function paint() {
    const { cell, outside, weights, way } = part;
    part.values = compute(cell, outside, weights[cell]);
    draw_cell($(".drawing"), cell, part.values, way === "backward");
  }
  // A slider that sets entry `key` of `owner`.
  function set(name, label, range, owner, key) {
    const change = (value) => {
      owner[key] = value;
      paint();
    };
    return slider(name, label, [-range, range, 0.05], owner[key], change);
  }
  function build() {
    const { cell, outside, weights } = part;
    const { Wh, b } = weights[cell];
    const only_of_c = (name) => name.startsWith("c_") || name === "dc";
    const names = Object.keys(OUTSIDE).filter((name) => cell === "lstm" || !only_of_c(name));
    const biases = BLOCKS[cell].map(({ name, asks }, k) =>
      set(`b_${name}`, `${sub("b", name)}, bias: ${asks}`, 6, b, k),
    );
    const cells = choice("cell", "Cell", TITLES, cell, (value) => {
      part.cell = value;
      build();
      $(`input[value=${value}]`).focus();
    });
    const ways = choice("way", "Drawing", WAYS, part.way, (value) => {
      part.way = value;
      paint();
    });
    $(".controls").replaceChildren(
      cells,
      ways,
      ...biases,
      ...(cell === "rnn" ? [set("Wh_h", sub("W", "h"), 3, Wh, 0)] : []),
      ...names.map((name) => set(name, OUTSIDE[name][0], 2, outside, name)),
    );
    paint();
  }
  part.paint = paint;
  build();
  return part;
}
