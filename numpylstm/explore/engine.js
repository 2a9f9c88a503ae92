// The textbook in JavaScript: a language model of RNN, LSTM or GRU layers, without dropout, and the way
// back through each step. (`trainer.js` learns.)
//
// Read numpylstm/reference/ beside it: functions, letters and names are the same, in the same order.
// Expressions such as `f * c_prev + i * g` are a `map` over entries here; everything else is line for
// line the same. The tests compare both with the golden tapes.
//
// A sequence, (T, B, D), is a list of T matrices (B, D); a bias (H,) is a matrix of one row. Results are
// lists, in the order of the textbook, and the cache of a sequence is the list of the caches of its
// steps. No argument is changed.

import {
  add,
  add_row,
  add_to,
  concatenate,
  map,
  matmul,
  matmul_T_left,
  matmul_T_right,
  matrix,
  split,
  sum_rows,
  zeros_like,
} from "./arrays.js";

// --- nonlinearities, and their derivatives in terms of the output ---------------------------------

export function sigmoid(a) {
  const e = Math.exp(a >= 0 ? -a : a); // the exponent is never positive
  return (a >= 0 ? 1 : e) / (1 + e);
}

export const FAR = 1000; // a bias of it holds a gate: sigmoid and tanh are exactly 0, 1 or -1 there
const ACTIVATIONS = {
  tanh: { of: Math.tanh, derivative: (h) => 1 - h * h },
  relu: { of: (a) => Math.max(a, 0), derivative: Math.sign }, // NaN stays NaN
  sigmoid: { of: sigmoid, derivative: (h) => h * (1 - h) },
};

// --- embedding ------------------------------------------------------------------------------------

// ids: a list of T lists of B integers
export function embedding_forward(ids, W) {
  return ids.map((row) => {
    const out = matrix(row.length, W.columns);
    row.forEach((id, r) => {
      add_row(out, r, 1, W, id);
    });
    return out;
  });
}

// --- vanilla recurrent network --------------------------------------------------------------------

// x @ Wx + h_prev @ Wh + b
function weighted_sum(x, h_prev, Wx, Wh, b) {
  return add_bias(add(matmul(x, Wx), matmul(h_prev, Wh)), b);
}

// a += b, in every row
function add_bias(a, b) {
  for (let r = 0; r < a.rows; r++) add_row(a, r, 1, b, 0);
  return a;
}

// a * b, entry by entry
function times(a, b) {
  return map((a, b) => a * b, a, b);
}

export function rnn_step_forward(x, h_prev, Wx, Wh, b, activation = "tanh") {
  const a = weighted_sum(x, h_prev, Wx, Wh, b);
  const h = map(ACTIVATIONS[activation].of, a);
  return [h, { x, h_prev, a, h, Wx, Wh, activation }];
}

export function rnn_step_backward(dh, cache) {
  const { x, h_prev, h, Wx, Wh, activation } = cache;
  const da = times(dh, map(ACTIVATIONS[activation].derivative, h));
  const dx = matmul_T_right(da, Wx);
  const dh_prev = matmul_T_right(da, Wh); // on its way to step t-1: once more times Wh.T, times f'
  const dWx = matmul_T_left(x, da);
  const dWh = matmul_T_left(h_prev, da);
  const db = sum_rows(da);
  return [dx, dh_prev, dWx, dWh, db, { da }];
}

// --- long short-term memory -----------------------------------------------------------------------

export function lstm_step_forward(x, h_prev, c_prev, Wx, Wh, b) {
  const a = weighted_sum(x, h_prev, Wx, Wh, b); // (B, 4H)
  const [a_i, a_f, a_g, a_o] = split(a, 4); // four times (B, H)
  const i = map(sigmoid, a_i); // write?
  const f = map(sigmoid, a_f); // keep?
  const g = map(Math.tanh, a_g); // what to write
  const o = map(sigmoid, a_o); // show?
  const c = map((f, c_prev, i, g) => f * c_prev + i * g, f, c_prev, i, g); // the carousel
  const tanh_c = map(Math.tanh, c);
  const h = map((o, tanh_c) => o * tanh_c, o, tanh_c);
  return [h, c, { x, h_prev, c_prev, a_i, a_f, a_g, a_o, i, f, g, o, c, tanh_c, h, Wx, Wh }];
}

export function lstm_step_backward(dh, dc_next, cache) {
  const { x, h_prev, c_prev, i, f, g, o, tanh_c, Wx, Wh } = cache;

  // h = o * tanh_c
  const do_ = times(dh, tanh_c);
  const dc = map((dc, dh, o, tc) => dc + dh * o * (1 - tc * tc), dc_next, dh, o, tanh_c);

  // c = f * c_prev + i * g
  const df = times(dc, c_prev);
  const di = times(dc, g);
  const dg = times(dc, i);
  const dc_prev = times(dc, f); // straight back along the carousel, scaled only by the forget gate

  // i, f, o = sigmoid(a), g = tanh(a)
  const da_i = map((di, i) => di * i * (1 - i), di, i);
  const da_f = map((df, f) => df * f * (1 - f), df, f);
  const da_g = map((dg, g) => dg * (1 - g * g), dg, g);
  const da_o = map((do_, o) => do_ * o * (1 - o), do_, o);
  const da = concatenate([da_i, da_f, da_g, da_o]); // (B, 4H)

  // a = x @ Wx + h_prev @ Wh + b
  const dx = matmul_T_right(da, Wx);
  const dh_prev = matmul_T_right(da, Wh); // the other way back in time: through gates and candidate
  const dWx = matmul_T_left(x, da);
  const dWh = matmul_T_left(h_prev, da);
  const db = sum_rows(da);
  const inside = { dh, do: do_, dc, di, df, dg, da_i, da_f, da_g, da_o };
  return [dx, dh_prev, dc_prev, dWx, dWh, db, inside];
}

// --- gated recurrent unit -------------------------------------------------------------------------

export function gru_step_forward(x, h_prev, Wx, Wh, b, bn = null, reset = "after") {
  const [x_r, x_z, x_n] = split(add_bias(matmul(x, Wx), b), 3); // three times (B, H)
  const [Wh_r, Wh_z, Wh_n] = split(Wh, 3); // three times (H, H)
  const a_r = add(x_r, matmul(h_prev, Wh_r));
  const a_z = add(x_z, matmul(h_prev, Wh_z));
  const r = map(sigmoid, a_r); // how much of the past to see?
  const z = map(sigmoid, a_z); // keep?
  let s = null;
  let a_n = null;
  if (reset === "after") {
    s = matmul(h_prev, Wh_n);
    if (bn) add_bias(s, bn);
    a_n = map((x_n, r, s) => x_n + r * s, x_n, r, s);
  } else {
    s = times(r, h_prev);
    a_n = add(x_n, matmul(s, Wh_n));
  }
  const n = map(Math.tanh, a_n);
  const h = map((z, n, h_prev) => (1 - z) * n + z * h_prev, z, n, h_prev); // the straight way
  return [h, { x, h_prev, a_r, a_z, a_n, r, z, n, s, h, Wx, Wh, bn, reset }];
}

export function gru_step_backward(dh, cache) {
  const { x, h_prev, r, z, n, s, Wx, Wh, bn, reset } = cache;
  const [Wh_r, Wh_z, Wh_n] = split(Wh, 3);

  // h = (1 - z) * n + z * h_prev
  const dz = map((dh, h_prev, n) => dh * (h_prev - n), dh, h_prev, n);
  const dn = map((dh, z) => dh * (1 - z), dh, z);
  const dh_prev = times(dh, z); // straight back, scaled only by the update gate

  // n = tanh(a_n); below, b_n is the block n of b, and bn the argument
  const da_n = map((dn, n) => dn * (1 - n * n), dn, n);
  let [dr, ds, dWh_n, dbn] = [null, null, null, null];
  if (reset === "after") {
    // a_n = x @ Wx_n + b_n + r * s,  s = h_prev @ Wh_n + bn
    dr = times(da_n, s);
    ds = times(da_n, r);
    add_to(dh_prev, matmul_T_right(ds, Wh_n));
    dWh_n = matmul_T_left(h_prev, ds);
    if (bn) dbn = sum_rows(ds);
  } else {
    // a_n = x @ Wx_n + b_n + s @ Wh_n,  s = r * h_prev
    ds = matmul_T_right(da_n, Wh_n);
    dr = times(ds, h_prev);
    add_to(dh_prev, times(ds, r));
    dWh_n = matmul_T_left(s, da_n);
  }

  // r, z = sigmoid(a)
  const da_r = map((dr, r) => dr * r * (1 - r), dr, r);
  const da_z = map((dz, z) => dz * z * (1 - z), dz, z);

  // a_r = x @ Wx_r + h_prev @ Wh_r + b_r, and so for z; x and b enter all three
  add_to(dh_prev, matmul_T_right(da_r, Wh_r));
  add_to(dh_prev, matmul_T_right(da_z, Wh_z));
  const dWh = concatenate([matmul_T_left(h_prev, da_r), matmul_T_left(h_prev, da_z), dWh_n]);
  const da = concatenate([da_r, da_z, da_n]); // (B, 3H)
  const dx = matmul_T_right(da, Wx);
  const dWx = matmul_T_left(x, da);
  const db = sum_rows(da);
  return [dx, dh_prev, dWx, dWh, db, dbn, { dh, dz, dn, da_n, dr, ds, da_r, da_z }];
}

// --- a cell over a sequence -----------------------------------------------------------------------

// rnn_forward, lstm_forward and gru_forward: from a sequence, ...state, ...weights, ...options to
// [hs, ...state, cache].
export function forward(cell, x, ...given) {
  const { state, step_forward } = CELLS[cell];
  let before = given.slice(0, state.length);
  const others = given.slice(state.length);
  const cache = x.map((x_t) => {
    const results = step_forward(x_t, ...before, ...others);
    const step = results.pop();
    before = results;
    return step;
  });
  return [cache.map(({ h }) => h), ...before, cache];
}

// --- linear layer, softmax and cross-entropy --------------------------------------------------------

export function linear_forward(x, W, b) {
  return x.map((x_t) => add_bias(matmul(x_t, W), b));
}

const row_of = ({ columns, data }, r) => data.subarray(r * columns, (r + 1) * columns);

function peak_and_total(row) {
  const peak = row.reduce((a, b) => Math.max(a, b)); // exp(score - peak) is at most 1
  const total = row.reduce((sum, score) => sum + Math.exp(score - peak), 0);
  return [peak, total];
}

export function softmax(scores) {
  const p = zeros_like(scores);
  for (let r = 0; r < p.rows; r++) {
    const row = row_of(scores, r);
    const [peak, total] = peak_and_total(row);
    row_of(p, r).set(row.map((score) => Math.exp(score - peak) / total));
  }
  return p;
}

// targets and coefficients: a number for each row
export function cross_entropy_step_forward(logits, targets, coefficients) {
  const nll = targets.map((target, r) => {
    const row = row_of(logits, r);
    const [peak, total] = peak_and_total(row);
    return Math.log(total) + (peak - row[target]);
  });
  const loss = nll.reduce((sum, each, r) => sum + coefficients[r] * each, 0);
  return [loss, { logits, targets, coefficients, nll }];
}

export function cross_entropy_step_backward({ logits, targets, coefficients }) {
  const p = softmax(logits);
  const dlogits = zeros_like(p);
  for (let r = 0; r < p.rows; r++) {
    add_row(dlogits, r, coefficients[r], p, r);
    dlogits.data[r * p.columns + targets[r]] -= coefficients[r];
  }
  return dlogits;
}

// --- cells and models ----------------------------------------------------------------------

// The cells: the blocks of columns of their weights, their state, parameters and functions of a step. The last
// parameter of a GRU, bn, is optional.
export const CELLS = {
  rnn: {
    blocks: 1,
    state: ["h"],
    parameters: ["Wx", "Wh", "b"],
    step_forward: rnn_step_forward,
    step_backward: rnn_step_backward,
  },
  lstm: {
    blocks: 4,
    state: ["h", "c"],
    parameters: ["Wx", "Wh", "b"],
    step_forward: lstm_step_forward,
    step_backward: lstm_step_backward,
  },
  gru: {
    blocks: 3,
    state: ["h"],
    parameters: ["Wx", "Wh", "b", "bn"],
    step_forward: gru_step_forward,
    step_backward: gru_step_backward,
  },
};

// The layers of a language model: embedding, the recurrent stack, decoder. Parameters are stored by
// path, "embedding.W", "lstm.0.Wx"; a state is a list of the parts of each layer.
function recurrent_layers(cell, parameters) {
  const layers = [];
  while (`${cell}.${layers.length}.Wx` in parameters) {
    const path = `${cell}.${layers.length}`;
    layers.push(CELLS[cell].parameters.map((key) => parameters[`${path}.${key}`]));
  }
  return layers;
}

export function zero_state(cell, parameters, B) {
  return recurrent_layers(cell, parameters).map(([, Wh]) =>
    CELLS[cell].state.map(() => matrix(B, Wh.rows)),
  );
}

// From ids to the scores of each step, the state after the last, and the caches of each layer. The options
// are the last arguments of the cell's forward: an RNN's activation, a GRU's reset.
export function language_model_forward(cell, parameters, ids, state, ...options) {
  let hs = embedding_forward(ids, parameters["embedding.W"]);
  const after = [];
  const caches = [];
  recurrent_layers(cell, parameters).forEach((weights, layer) => {
    const [out, ...rest] = forward(cell, hs, ...state[layer], ...weights, ...options);
    caches.push(rest.pop());
    after.push(rest);
    hs = out;
  });
  const logits = linear_forward(hs, parameters["decoder.W"], parameters["decoder.b"]);
  return [logits, after, caches];
}
