// One step of one cell with one unit, forwards and backwards.

import { row } from "./arrays.js";
import { draw_cell } from "./drawing.js";
import { choice, element, slider } from "./elements.js";
import { CELLS } from "./engine.js";
import { words_of } from "./models.js";

const sub = (letter, index) => `${letter}<sub>${index}</sub>`;

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
const OUTSIDE = { x: 0.7, h_prev: -0.3, c_prev: 1.2, dh: 1, dc: 0.5 };

// The numbers of one step by their names in the textbook. dc_total is the whole gradient of c; dc is the part
// from the next step.
export function compute(cell, outside, weights) {
  const { state, step_forward, step_backward } = CELLS[cell];
  const given = (name) => row(outside[name]);
  const before = state.map((name) => given(`${name}_prev`));
  const parameters = ["Wx", "Wh", "b"].map((key) => row(...weights[key]));
  const cache = step_forward(given("x"), ...before, ...parameters).pop();
  const [dx, ...gradients] = step_backward(...state.map((name) => given(`d${name}`)), cache);
  const inside = gradients.pop();
  const numbers = { ...cache, ...inside, dx, dc_total: inside.dc };
  for (const [k, name] of state.entries()) numbers[`d${name}_prev`] = gradients[k];
  const values = {};
  for (const [name, A] of Object.entries(numbers)) if (A?.columns === 1) values[name] = A.data[0];
  return { ...values, ...outside };
}

// cells: the records of the cells by name
export function step_part(root, cells) {
  const $ = (selector) => root.querySelector(selector);
  const part = { cell: "lstm", way: "forward" };
  Object.assign(part, structuredClone({ outside: OUTSIDE, weights: START }));

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
    const biases = cells[cell].blocks.map((name, k) =>
      set(`b_${name}`, `${sub("b", name)}, bias of the ${words_of(cells[cell], name)}`, 6, b, k),
    );
    const label = (name) => (name.startsWith("d") ? `${name}, from later` : name);
    const inputs = names.map((name) => set(name, label(name), 2, outside, name));
    const titles = Object.entries(cells).map(([name, { title }]) => [name, title]);
    const choose_cell = choice("cell", "Cell", titles, cell, (value) => {
      part.cell = value;
      build();
      $(`input[value=${value}]`).focus();
    });
    const ways = choice("way", "Drawing", WAYS, part.way, (value) => {
      part.way = value;
      paint();
    });
    $(".controls").replaceChildren(
      choose_cell,
      ways,
      ...biases,
      ...(cell === "rnn" ? [set("Wh_h", sub("W", "h"), 3, Wh, 0)] : []),
      element("details", {}, element("summary", {}, "Its inputs, before and later"), ...inputs),
    );
    paint();
  }
  part.paint = paint;
  build();
  return part;
}
