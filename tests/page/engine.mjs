// The engine of the page: layers on random arrays.

import * as engine from "../../numpylstm/explore/engine.js";
import { answer, into } from "./exchange.mjs";

function layer({ cell, options, x, state, weights, dhs, dstate }) {
  const { forward, backward } = engine.CELLS[cell];
  const results = forward(into(x), ...state.map(into), ...weights.map(into), ...options);
  const cache = results.pop();
  return [...results, ...backward(into(dhs), ...dstate.map(into), cache)];
}

answer(({ layers }) => layers.map(layer));
