// How far does the gradient reach? Untrained networks, on one scale.

import { concatenate, map, matrix, norm } from "./arrays.js";
import { draw_lines, log_axis, round_axis } from "./charts.js";
import { normal, random_numbers, spectral_radius, uniform } from "./draws.js";
import { element, number, on_keys, STEPS, slider } from "./elements.js";
import { forward } from "./engine.js";
import { norms_along_cell, norms_by_lag } from "./lag.js";
import { scientific } from "./numbers.js";

const SIZES = { T: 60, B: 2, D: 8, H: 32, init_scale: 0.05 };
const SEED = 1;
const LINES = {
  tanh: { name: "vanilla RNN", style: "rnn" },
  cell: { name: "LSTM c", style: "lstm" },
  along: { name: "f alone", style: "lstm dashed" },
};

// All random numbers, drawn once: inputs, weights as in the package, square blocks with a spectral
// radius of 1 (one for the RNN, four for the LSTM), and the gradient of the last state.
export function draw_networks() {
  const random = random_numbers(SEED);
  const { T, B, D, H, init_scale } = SIZES;
  const parameter = (rows, columns) => uniform(random, rows, columns, init_scale);
  const unit = (A) => {
    const radius = spectral_radius(A);
    return map((value) => value / radius, A);
  };
  return {
    Wh: Array.from({ length: 5 }, () => unit(uniform(random, H, H, 1))),
    x: Array.from({ length: T }, () => normal(random, B, D)),
    dhT: normal(random, B, H),
    rnn: { Wx: parameter(D, H), b: parameter(1, H) },
    lstm: { Wx: parameter(D, 4 * H), b: parameter(1, 4 * H) },
  };
}

// The weights of both networks with their recurrent blocks scaled, and the forget bias in b.
export function networks(drawn, { radius, forget_bias }) {
  const [first, ...four] = drawn.Wh.map((W) => map((value) => radius * value, W));
  const b = map((value) => value, drawn.lstm.b);
  for (let k = SIZES.H; k < 2 * SIZES.H; k++) b.data[k] += forget_bias;
  return {
    rnn: [drawn.rnn.Wx, first, drawn.rnn.b],
    lstm: [drawn.lstm.Wx, concatenate(four), b],
  };
}

// |dL/ds_T-k| / |dL/dh_T| for k = 0 .. T, where s is h of the RNN, c of the LSTM, and c by its forget gates
// alone.
export function reach(drawn, settings) {
  const { rnn, lstm } = networks(drawn, settings);
  const { x, dhT } = drawn;
  const zeros = matrix(SIZES.B, SIZES.H);
  const rnn_cache = forward("rnn", x, zeros, ...rnn).pop();
  const lstm_cache = forward("lstm", x, zeros, zeros, ...lstm).pop();
  const [tanh] = norms_by_lag("rnn", dhT, rnn_cache);
  const [, cell] = norms_by_lag("lstm", dhT, lstm_cache);
  const along = norms_along_cell(dhT, lstm_cache);
  const relative = (norms) => norms.map((value) => value / norm(dhT));
  return { tanh: relative(tanh), cell: relative(cell), along: relative(along) };
}

// --- a figure -------------------------------------------------------------------------------------

const CONTROLS = {
  radius: ["spectral radius of W<sub>h</sub>", [0.3, 3, 0.01]],
  forget_bias: ["forget bias of the LSTM", [-1, 5, 0.05]],
};

// shown: the keys of its lines; control: the setting that its slider changes; high: the power of ten where
// its axis ends; lag: the step that is read first.
export function reach_part(root, { shown, control, high, lag }) {
  const part = { lag, settings: { radius: 0.7, forget_bias: 0 } };
  const drawn = draw_networks();
  const { T } = SIZES;
  const svg = root.querySelector("svg");
  const status = element("p", { class: "said", role: "status" });
  let lag_at;

  function update() {
    part.curves = reach(drawn, part.settings);
    paint();
  }

  function paint() {
    lag_at = draw_lines(svg, {
      x: { ...round_axis(T), label: "steps back from the loss" },
      y: { ...log_axis(-12, high, 3), label: "gradient; 1 at the last step" },
      lines: shown.map((key) => ({
        ...LINES[key],
        points: part.curves[key].map((value, k) => [k, Math.log10(value)]),
      })),
      at: part.lag,
    });
    const values = shown.flatMap((key, k) => [
      `${k ? ", " : ""}${LINES[key].name} `,
      number(key, part.curves[key][part.lag], (v) => (v ? scientific(v) : "–")),
    ]);
    status.replaceChildren(`${part.lag} steps back: `, ...values);
    svg.setAttribute("aria-valuemax", T);
    svg.setAttribute("aria-valuenow", part.lag);
    svg.setAttribute("aria-valuetext", status.textContent);
  }

  function point(at) {
    part.lag = Math.max(0, Math.min(T, at));
    paint();
  }
  const at_pointer = (event) => point(Math.round(lag_at(event)));
  svg.addEventListener("pointermove", at_pointer);
  svg.addEventListener("pointerdown", at_pointer);
  on_keys(svg, { ...STEPS, PageDown: -10, PageUp: 10 }, (move) => point(part.lag + move));

  const [label, range] = CONTROLS[control];
  const setting = slider(control, label, range, part.settings[control], (value) => {
    part.settings[control] = value;
    update();
  });
  svg.after(status, element("div", { class: "controls" }, setting));
  part.paint = paint;
  update();
  return part;
}
