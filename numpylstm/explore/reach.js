// How far does the gradient reach? Untrained networks, on one scale.

import { concatenate, map, matrix, norm } from "./arrays.js";
import {
  button,
  choice,
  draw_lines,
  element,
  log_axis,
  number,
  on_keys,
  STEPS,
  scientific,
  slider,
} from "./charts.js";
import { normal, orthogonal, random_numbers, spectral_radius, uniform } from "./draws.js";
import { lstm_forward, rnn_forward } from "./engine.js";
import { norms_along_cell, norms_by_lag } from "./lag.js";

const SIZES = { T: 120, B: 2, D: 8, H: 32, init_scale: 0.05 };
const LINES = [
  { key: "tanh", name: "vanilla RNN", style: "rnn" },
  { key: "relu", name: "RNN relu", style: "rnn dashed" },
  { key: "sigmoid", name: "RNN sigmoid", style: "rnn dotted" },
  { key: "lstm", name: "LSTM h", style: "lstm dotted" },
  { key: "cell", name: "LSTM c", style: "lstm" },
  { key: "along", name: "f alone", style: "lstm dashed" },
];

// All random numbers, drawn once: inputs, weights as in the package, square blocks with a spectral
// radius of 1 (one for the RNN, four for the LSTM), and the gradient of the last state.
export function draw_networks(seed) {
  const random = random_numbers(seed);
  const { T, B, D, H, init_scale } = SIZES;
  const weights = (columns) => uniform(random, D, columns, init_scale);
  const biases = (columns) => uniform(random, 1, columns, init_scale);
  const unit = (A) => {
    const radius = spectral_radius(A);
    return map((value) => value / radius, A);
  };
  const blocks = Array.from({ length: 5 }, () => unit(uniform(random, H, H, 1)));
  const turns = Array.from({ length: 5 }, () => orthogonal(random, H));
  return {
    x: Array.from({ length: T }, () => normal(random, B, D)),
    dhT: normal(random, B, H),
    rnn: { Wx: weights(H), b: biases(H) },
    lstm: { Wx: weights(4 * H), b: biases(4 * H) },
    Wh: { random: blocks, orthogonal: turns },
  };
}

// The weights of both networks with their recurrent blocks scaled, and the forget bias in b.
export function networks(drawn, { kind, radius, forget_bias }) {
  const [first, ...four] = drawn.Wh[kind].map((W) => map((value) => radius * value, W));
  const b = map((value) => value, drawn.lstm.b);
  for (let k = SIZES.H; k < 2 * SIZES.H; k++) b.data[k] += forget_bias;
  return {
    rnn: [drawn.rnn.Wx, first, drawn.rnn.b],
    lstm: [drawn.lstm.Wx, concatenate(four), b],
  };
}

// |dL/dh_T-k| / |dL/dh_T| for k = 0 .. T, for each of `keys`; "cell" is the same of c, and "along" of c by
// its forget gates alone.
export function reach(drawn, settings, keys = LINES.map(({ key }) => key)) {
  const { rnn, lstm } = networks(drawn, settings);
  const x = drawn.x.slice(0, settings.T);
  const zeros = matrix(SIZES.B, SIZES.H);
  const curves = {};
  for (const key of ["tanh", "relu", "sigmoid"].filter((key) => keys.includes(key))) {
    const [, , cache] = rnn_forward(x, zeros, ...rnn, key);
    [curves[key]] = norms_by_lag("rnn", drawn.dhT, cache);
  }
  if (keys.includes("cell")) {
    const [, , , cache] = lstm_forward(x, zeros, zeros, ...lstm);
    [curves.lstm, curves.cell] = norms_by_lag("lstm", drawn.dhT, cache);
    curves.along = norms_along_cell(drawn.dhT, cache);
  }
  const whole = norm(drawn.dhT);
  for (const key in curves) curves[key] = curves[key].map((value) => value / whole);
  return curves;
}

// --- a figure -------------------------------------------------------------------------------------

const CONTROLS = {
  kind: ["Wh of both networks", ["random", "orthogonal"]],
  radius: ["spectral radius of W<sub>h</sub>", [0.3, 3, 0.01]],
  forget_bias: ["forget bias of the LSTM", [-1, 5, 0.05]],
  T: ["steps T", [10, SIZES.T, 1]],
};
const START = { kind: "random", radius: 0.9, forget_bias: 3, T: 60, seed: 1 };

// shown: the lines and the controls of this figure; all of both, and other weights, if it names none.
// high: the power of ten where its axis ends. lag: the step that is read first.
export function reach_part(root, { shown, controls, high = 9, lag = 30, ...start } = {}) {
  const settings = { ...START, ...start };
  const lines = LINES.filter(({ key }) => !shown || shown.includes(key));
  const part = { settings, lag, curves: {} };
  const svg = root.querySelector("svg");
  const rows = element("tbody");
  const caption = element("caption");
  let lag_at = () => 0;

  function update() {
    part.curves = reach(part.drawn, settings, shown);
    paint();
  }

  function draw(seed) {
    settings.seed = seed;
    part.drawn = draw_networks(seed);
    update();
  }

  function paint() {
    const { T } = settings;
    part.lag = Math.max(0, Math.min(T, part.lag));
    const step = T > 60 ? 20 : 10;
    const ticks = [];
    for (let k = 0; k <= T; k += step) ticks.push([k, k]);
    lag_at = draw_lines(svg, {
      x: { min: 0, max: T, ticks, label: "steps back from the loss" },
      y: { ...log_axis(-12, high, 3), label: "size of the gradient; 1 at the last step" },
      lines: lines.map(({ key, name, style }) => ({
        name,
        style,
        points: part.curves[key].map((value, k) => [k, Math.log10(value)]),
      })),
      at: part.lag,
      names: true,
    });
    caption.textContent = `${part.lag} steps back`;
    rows.replaceChildren(...lines.map((line) => row(line, part.curves[line.key][part.lag])));
    const values = lines.map(
      ({ key, name }) => `${name} ${scientific(part.curves[key][part.lag])}`,
    );
    svg.setAttribute("aria-valuemax", T);
    svg.setAttribute("aria-valuenow", part.lag);
    svg.setAttribute("aria-valuetext", `${part.lag} steps back: ${values.join(", ")}`);
  }

  function point(lag) {
    part.lag = lag;
    paint();
  }
  svg.addEventListener("pointermove", (event) => point(Math.round(lag_at(event))));
  svg.addEventListener("pointerdown", (event) => point(Math.round(lag_at(event))));
  on_keys(svg, { ...STEPS, PageDown: -10, PageUp: 10 }, (move) => point(part.lag + move));

  const change = (name) => (value) => {
    settings[name] = value;
    update();
  };
  const made = Object.entries(CONTROLS)
    .filter(([name]) => !controls || controls.includes(name))
    .map(([name, [label, values]]) =>
      (name === "kind" ? choice : slider)(name, label, values, settings[name], change(name)),
    );
  const again = button(() => draw(settings.seed + 1), "Draw other weights");
  svg.after(
    element("div", { class: "controls" }, ...made),
    element("table", { class: "values" }, caption, rows),
    ...(shown ? [] : [again]),
  );
  part.extra = () => ({ draw: settings.seed, lag: part.lag });
  part.restore = ({ draw: seed, lag }) => {
    draw(Number(seed) || settings.seed);
    point(Number(lag) || 0);
  };
  part.paint = paint;
  draw(settings.seed);
  return part;
}

function row({ key, name, style }, value) {
  const sample = element("td");
  sample.innerHTML = `<svg class="sample" viewBox="0 0 30 10" aria-hidden="true"><path class="line ${style}" d="M0 5H30"/></svg> ${name}`;
  const shown = number(key, value, (v) => (v ? scientific(v) : "–"));
  return element("tr", {}, sample, element("td", {}, shown));
}
