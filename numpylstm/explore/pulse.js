// One number that remembers a pulse: rewritten at every step by a vanilla cell, or carried by the cell
// state of an LSTM.

import { matrix, row } from "./arrays.js";
import { draw_lines, round_axis } from "./charts.js";
import { slider } from "./elements.js";
import { FAR, forward, sigmoid } from "./engine.js";
import { fixed } from "./numbers.js";

const T = 30;
const PULSES = [1, 0.5, 0.25]; // three sequences, side by side
const STYLES = ["", " dashed", " dotted"];

const zeros = matrix(PULSES.length, 1);
const pulses = [matrix(PULSES.length, 1, Float64Array.from(PULSES)), ...Array(T).fill(zeros)];

// h of a vanilla cell without bias: h = tanh(w h_prev + x), for each step the three sequences.
export function rewritten(w) {
  const [hs] = forward("rnn", pulses, zeros, row(1), row(w), row(0));
  return hs.map(({ data }) => [...data]);
}

// c of an LSTM cell that writes tanh x when the pulse comes (i = 1), and nothing later (i = 0).
export function carried(forget_bias) {
  const Wx = row(8 * FAR, 0, 1, 0); // of i, f, g, o
  const b = row(-FAR, forget_bias, 0, FAR);
  const cache = forward("lstm", pulses, zeros, zeros, Wx, row(0, 0, 0, 0), b).pop();
  return cache.map(({ c }) => [...c.data]);
}

// What is computed, how it is drawn, and its slider.
const KINDS = {
  vanilla: {
    letter: "h",
    compute: rewritten,
    style: "rnn",
    control: ["w", "weight w", [0, 1.5, 0.01], 0.9],
  },
  carried: {
    letter: "c",
    compute: carried,
    style: "lstm",
    control: ["bias", "bias of the forget gate", [-2, 6, 0.05], 3],
    format: (bias) => `${fixed(bias, 2)}, so f = ${fixed(sigmoid(bias), 2)}`,
  },
};

export function pulse_part(root, kind) {
  const { letter, compute, style, control, format } = KINDS[kind];
  const part = {};

  function paint() {
    const points = (values, k) => values.map((each, t) => [t, each[k]]);
    const lines = PULSES.map((size, k) => ({
      name: `x = ${size}`,
      style: style + STYLES[k],
      points: points(part.values, k),
    }));
    if (kind === "carried")
      lines.push({ name: "vanilla", style: "rnn", points: points(rewritten(0.9), 0) });
    draw_lines(root.querySelector("svg"), {
      x: { ...round_axis(T), label: "steps after the pulse x" },
      y: { ...round_axis(1), label: letter },
      lines,
    });
  }
  function update(value) {
    part.values = compute(value);
    paint();
  }
  root.querySelector(".controls").append(slider(...control, update, format));
  part.paint = paint;
  update(control[3]);
  return part;
}
