// The engine of the page: layers on random arrays, forwards, and back step by step.

import { add } from "../../numpylstm/explore/arrays.js";
import { CELLS, forward } from "../../numpylstm/explore/engine.js";
import { answer, into } from "./exchange.mjs";

function layer({ cell, options, x, state, weights, dhs, dstate }) {
  const results = forward(cell, into(x), ...state.map(into), ...weights.map(into), ...options);
  const cache = results.pop();
  return [...results, ...back(cell, into(dhs), dstate.map(into), cache)];
}

// The sums over time of the gradients of a step: dx, dstate, and those of the weights.
function back(cell, dhs, future, cache) {
  const { state, parameters, step_backward } = CELLS[cell];
  const dx = [];
  let dstate = future;
  let totals = parameters.map(() => null); // without bn there is no dbn
  for (let t = cache.length - 1; t >= 0; t--) {
    const [dh, ...rest] = dstate;
    const [dx_t, ...results] = step_backward(add(dhs[t], dh), ...rest, cache[t]);
    dx[t] = dx_t;
    dstate = results.splice(0, state.length);
    totals = totals.map((total, k) => (total ? add(total, results[k]) : results[k]));
  }
  return [dx, ...dstate, ...totals];
}

answer(({ layers }) => layers.map(layer));
