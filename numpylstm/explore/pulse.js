// One number that remembers a pulse: rewritten at every step by a vanilla cell, or carried by the cell
// state of an LSTM.

import { matrix } from "./arrays.js";
import { draw_lines, fixed, number, round_axis, slider } from "./charts.js";
import { forward, sigmoid } from "./engine.js";

const T = 30;
const PULSES = [1, 0.5, 0.25]; // three sequences, side by side
const STYLES = ["", " dashed", " dotted"];
const SAID = [0, 1, 5, 20]; // steps
const FAR = 1000; // opens or shuts a gate

const row = (...values) => matrix(1, values.length, Float64Array.from(values));
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

// What is computed, how it is drawn, its slider, and the line beside it.
const KINDS = {
  vanilla: {
    compute: rewritten,
    style: "rnn",
    control: ["w", "weight w", [0, 1.5, 0.01], 0.9],
  },
  carried: {
    compute: carried,
    style: "lstm",
    control: ["bias", "bias of the forget gate", [-2, 6, 0.05], 3],
    format: (bias) => `${fixed(bias, 2)}, so f = ${fixed(sigmoid(bias), 2)}`,
    beside: () => rewritten(0.9),
  },
};

export function pulse_part(root, kind) {
  const $ = (selector) => root.querySelector(selector);
  const { compute, style, control, format, beside } = KINDS[kind];
  const part = { values: [] };

  function paint() {
    const letter = kind === "vanilla" ? "h" : "c";
    const line = (values, k, name, drawn) => ({
      name,
      style: drawn,
      points: values.map((each, t) => [t, each[k]]),
    });
    const lines = PULSES.map((size, k) => line(part.values, k, `x = ${size}`, style + STYLES[k]));
    if (beside) lines.push(line(beside(), 0, "vanilla", "rnn"));
    draw_lines($("svg"), {
      x: { ...round_axis(T), label: "steps after the pulse x" },
      y: { ...round_axis(1), label: letter },
      lines,
      names: true,
    });
    $(".said").replaceChildren(
      `${letter} of the three pulses: `,
      ...SAID.flatMap((t) => {
        const [first, ...others] = part.values[t].map((v) => fixed(v, 2));
        const end = t === SAID.at(-1) ? "." : "; ";
        return [
          number(`after-${t}`, part.values[t][0], () => first),
          `, ${others.join(", ")} at step ${t}${end}`,
        ];
      }),
    );
  }
  function update(value) {
    part.values = compute(value);
    paint();
  }
  $(".controls").append(slider(...control, update, format));
  Object.assign(part, { paint });
  update(control[3]);
  return part;
}
