// A training step in plain typed arrays: the equations of engine.js for one layer of an LSTM or a
// vanilla RNN, in buffers that are used again. Letters as there; arrays are flat.

import { add_product, transposed } from "./arrays.js";

// The pointwise part of a step, for the row of pre-activations or their gradients at `a` and the row of
// states at `s`; `later` is the row of h and c at the next step.
const POINTWISE = {
  lstm: {
    blocks: 4,
    forward({ A, h, c, tanh_c }, H, a, s, later) {
      for (let j = 0; j < H; j++) {
        const i = 1 / (1 + Math.exp(-A[a + j]));
        const f = 1 / (1 + Math.exp(-A[a + H + j]));
        const g = Math.tanh(A[a + 2 * H + j]);
        const o = 1 / (1 + Math.exp(-A[a + 3 * H + j]));
        const c_j = f * c[s + j] + i * g;
        const t = Math.tanh(c_j);
        [A[a + j], A[a + H + j], A[a + 2 * H + j], A[a + 3 * H + j]] = [i, f, g, o];
        tanh_c[s + j] = t;
        c[later + j] = c_j;
        h[later + j] = o * t;
      }
    },
    // dh and dc arrive from the next step, one row for each sequence, here at `row`.
    backward({ A, c, tanh_c, dA, dhs, dh, dc }, H, a, s, _, row) {
      for (let j = 0; j < H; j++) {
        const [i, f, g, o] = [A[a + j], A[a + H + j], A[a + 2 * H + j], A[a + 3 * H + j]];
        const t = tanh_c[s + j];
        const dh_j = dhs[s + j] + dh[row + j];
        const dc_j = dc[row + j] + dh_j * o * (1 - t * t);
        dA[a + j] = dc_j * g * i * (1 - i);
        dA[a + H + j] = dc_j * c[s + j] * f * (1 - f);
        dA[a + 2 * H + j] = dc_j * i * (1 - g * g);
        dA[a + 3 * H + j] = dh_j * t * o * (1 - o);
        dc[row + j] = dc_j * f;
      }
    },
  },
  rnn: {
    blocks: 1,
    forward({ A, h }, H, a, _, later) {
      for (let j = 0; j < H; j++) h[later + j] = Math.tanh(A[a + j]);
    },
    backward({ h, dA, dhs, dh }, H, a, s, later, row) {
      for (let j = 0; j < H; j++) {
        const h_j = h[later + j];
        dA[a + j] = (dhs[s + j] + dh[row + j]) * (1 - h_j * h_j);
      }
    },
  },
};

// A trainer of a model {path: matrix}, which it changes, by SGD with momentum on windows of T steps of B
// sequences. The loss is the sum of coefficient * -log p over all places, by default that over time of the mean
// over the batch. With carry_state, the state goes on from one window to the next.
export function make_trainer(cell, parameters, settings) {
  const { T, B, carry_state = true, coefficients = new Float64Array(T * B).fill(1 / B) } = settings;
  const { blocks, forward, backward } = POINTWISE[cell];
  const weights = [
    "embedding.W",
    ...["Wx", "Wh", "b"].map((key) => `${cell}.0.${key}`),
    "decoder.W",
    "decoder.b",
  ].map((path) => parameters[path].data);
  const [E, Wx, Wh, b, Wy, by] = weights;
  const gradients = weights.map((w) => new Float64Array(w.length));
  const velocity = weights.map((w) => new Float64Array(w.length));
  const [dE, dWx, dWh, db, dWy, dby] = gradients;
  const { rows: V, columns: D } = parameters["embedding.W"];
  const H = parameters["decoder.W"].rows;
  const G = blocks * H;
  const N = T * B;
  const zeros = (n) => new Float64Array(n);
  const h = zeros((T + 1) * B * H); // with the one before the window
  const c = zeros((T + 1) * B * H);
  const A = zeros(N * G);
  const dA = zeros(N * G);
  const tanh_c = zeros(N * H);
  const dhs = zeros(N * H);
  const dh = zeros(B * H);
  const dc = zeros(B * H);
  const buffers = { h, c, A, tanh_c, dA, dhs, dh, dc };
  const logits = zeros(N * V);
  const A_by_id = zeros(V * G);
  const dA_by_id = zeros(V * G);

  // The loss of a window, after which logits holds its gradient.
  function forward_pass(ids, targets) {
    A_by_id.fill(0); // embedding @ Wx + b once for each id, not for each place
    for (let v = 0; v < V; v++) A_by_id.set(b, v * G);
    add_product(A_by_id, 0, E, 0, D, 1, Wx, V, D, G);
    if (carry_state) for (const state of [h, c]) state.copyWithin(0, N * H);
    for (let t = 0; t < T; t++) {
      for (let n = t * B; n < (t + 1) * B; n++) {
        A.set(A_by_id.subarray(ids[n] * G, (ids[n] + 1) * G), n * G);
      }
      add_product(A, t * B * G, h, t * B * H, H, 1, Wh, B, H, G);
      for (let n = t * B; n < (t + 1) * B; n++) forward(buffers, H, n * G, n * H, (n + B) * H);
    }
    for (let n = 0; n < N; n++) logits.set(by, n * V);
    add_product(logits, 0, h, B * H, H, 1, Wy, N, H, V);
    let loss = 0;
    for (let n = 0; n < N; n++) {
      const at = n * V;
      let peak = -Infinity;
      let total = 0;
      for (let v = at; v < at + V; v++) if (logits[v] > peak) peak = logits[v];
      loss += coefficients[n] * (peak - logits[at + targets[n]]);
      for (let v = at; v < at + V; v++) {
        logits[v] = Math.exp(logits[v] - peak);
        total += logits[v];
      }
      loss += coefficients[n] * Math.log(total);
      for (let v = at; v < at + V; v++) logits[v] *= coefficients[n] / total;
      logits[at + targets[n]] -= coefficients[n];
    }
    return loss;
  }

  function backward_pass(ids) {
    for (const gradient of gradients) gradient.fill(0);
    for (const values of [dhs, dh, dc, dA_by_id]) values.fill(0);
    add_product(dhs, 0, logits, 0, V, 1, transposed(Wy, H, V), N, V, H);
    add_product(dWy, 0, h, B * H, 1, H, logits, H, N, V);
    for (let n = 0; n < N * V; n++) dby[n % V] += logits[n];
    const WhT = transposed(Wh, H, G);
    for (let t = T - 1; t >= 0; t--) {
      for (let r = 0; r < B; r++) {
        const n = t * B + r;
        backward(buffers, H, n * G, n * H, (n + B) * H, r * H);
      }
      dh.fill(0);
      add_product(dh, 0, dA, t * B * G, G, 1, WhT, B, G, H);
    }
    add_product(dWh, 0, h, 0, 1, H, dA, H, N, G);
    for (let n = 0; n < N; n++) {
      for (let j = 0, to = ids[n] * G, from = n * G; j < G; j++) dA_by_id[to + j] += dA[from + j];
    }
    for (let k = 0; k < V * G; k++) db[k % G] += dA_by_id[k];
    add_product(dWx, 0, E, 0, 1, D, dA_by_id, D, V, G);
    add_product(dE, 0, dA_by_id, 0, G, 1, transposed(Wx, D, G), V, G, D);
  }

  // One step down the gradient, which is clipped by its norm.
  function update(ids, targets, { lr, momentum, clip }) {
    const loss = forward_pass(ids, targets);
    backward_pass(ids);
    let squares = 0;
    for (const gradient of gradients) for (const value of gradient) squares += value * value;
    const norm = Math.sqrt(squares);
    const factor = norm > clip ? clip / norm : 1;
    gradients.forEach((gradient, k) => {
      const v = velocity[k];
      const w = weights[k];
      for (let j = 0; j < w.length; j++) {
        v[j] = momentum * v[j] + factor * gradient[j];
        w[j] -= lr * v[j];
      }
    });
    return { loss, norm };
  }

  return { update };
}
