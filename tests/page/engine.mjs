// The engine of the page: layers on random arrays, and a language model.

import { matrix } from "../../numpylstm/explore/arrays.js";
import * as engine from "../../numpylstm/explore/engine.js";
import { answer, into, map_values } from "./exchange.mjs";

function layer({ cell, options, x, state, weights, dhs, dstate }) {
  const { forward, backward } = engine.CELLS[cell];
  const results = forward(into(x), ...state.map(into), ...weights.map(into), ...options);
  const cache = results.pop();
  return [...results, ...backward(into(dhs), ...dstate.map(into), cache)];
}

function language_model({ cell, options, parameters, ids, targets, state }) {
  const [logits, after, cache] = engine.language_model_forward(
    cell,
    map_values(parameters, into),
    ids,
    state.map((parts) => parts.map(into)),
    ...options,
  );
  const [loss, losses] = engine.sequence_cross_entropy_forward(logits, targets);
  const dlogits = engine.sequence_cross_entropy_backward(losses);
  const [gradients] = engine.language_model_backward(dlogits, cache);
  return { loss, after, gradients };
}

function wrong_reset() {
  try {
    const [x, h, Wx, Wh, b] = [
      [1, 2],
      [1, 3],
      [2, 9],
      [3, 9],
      [1, 9],
    ].map(([rows, columns]) => matrix(rows, columns));
    return engine.gru_step_forward(x, h, Wx, Wh, b, h, "before");
  } catch (error) {
    return error.message;
  }
}

answer(({ layers, models }) => ({
  layers: layers.map(layer),
  models: models.map(language_model),
  wrong_reset: wrong_reset(),
}));
