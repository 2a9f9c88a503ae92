// Random numbers, initial weights, and the sequences of the race; the seed determines all of them.

import { map, matmul, matrix, norm } from "./arrays.js";
import { CELLS } from "./engine.js";

// A generator of numbers in [0, 1): a scrambled counter.
export function random_numbers(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return ((z ^ (z >>> 15)) >>> 0) / 2 ** 32;
  };
}

export function uniform(random, rows, columns, scale) {
  return map(() => scale * (2 * random() - 1), matrix(rows, columns));
}

export function normal(random, rows, columns) {
  const radius = () => Math.sqrt(-2 * Math.log(1 - random()));
  return map(() => radius() * Math.cos(2 * Math.PI * random()), matrix(rows, columns));
}

// The largest absolute eigenvalue: the n-th root of the norm of the n-th power (Gelfand), n = 2^16.
export function spectral_radius(A) {
  let power = A;
  let log = 0;
  for (let squarings = 0; squarings <= 16; squarings++) {
    const size = norm(power);
    log += Math.log(size) / 2 ** squarings;
    const unit = map((value) => value / size, power);
    power = matmul(unit, unit);
  }
  return Math.exp(log);
}

// A language model as the package draws one: every parameter from U(-init_scale, init_scale), and
// the forget bias added to the block f of an LSTM's b.
export function new_model(cell, random, { V, D, H, init_scale, forget_bias = 0 }) {
  const draw = (rows, columns) => uniform(random, rows, columns, init_scale);
  const { blocks } = CELLS[cell];
  const parameters = {
    "embedding.W": draw(V, D),
    [`${cell}.0.Wx`]: draw(D, blocks * H),
    [`${cell}.0.Wh`]: draw(H, blocks * H),
    [`${cell}.0.b`]: draw(1, blocks * H),
    "decoder.W": draw(H, V),
    "decoder.b": draw(1, V),
  };
  if (cell === "lstm") {
    for (let k = H; k < 2 * H; k++) parameters["lstm.0.b"].data[k] += forget_bias;
  }
  return parameters;
}

// Delayed copy: a letter, filler of several kinds, and at the end a question mark, where the letter
// must be repeated. As numpylstm.laboratory.tasks.DelayedCopy; one answer in ten is wrong at random.
const TASK = { num_symbols: 4, num_fillers: 2, noise: 0.1 };
export const VOCABULARY = TASK.num_symbols + TASK.num_fillers + 1;

// The loss without memory, and the best possible loss, in nats.
export const CHANCE = Math.log(TASK.num_symbols);
export const FLOOR =
  -(1 - TASK.noise) * Math.log(1 - TASK.noise) -
  TASK.noise * Math.log(TASK.noise / (TASK.num_symbols - 1));

export function delayed_copy(random, distance, B) {
  const { num_symbols, num_fillers, noise } = TASK;
  const whole = (n) => Math.floor(random() * n);
  const row = (draw) => Array.from({ length: B }, draw);
  const shown = row(() => whole(num_symbols));
  const ids = [shown];
  for (let t = 1; t < distance; t++) ids.push(row(() => num_symbols + whole(num_fillers)));
  ids.push(row(() => num_symbols + num_fillers));
  const answers = shown.map((letter) =>
    random() < noise ? (letter + 1 + whole(num_symbols - 1)) % num_symbols : letter,
  );
  return { ids, answers };
}
