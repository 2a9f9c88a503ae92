// A model as the page stores it: the scores of all words, at each step of one stream.

import { language_model_forward, zero_state } from "../../numpylstm/explore/engine.js";
import { load_model } from "../../numpylstm/explore/models.js";
import { answer } from "./exchange.mjs";

answer(({ stored, ids }) => {
  const { cell, parameters, options } = load_model(stored);
  const state = zero_state(cell.name, parameters, 1);
  const [logits] = language_model_forward(cell.name, parameters, ids, state, ...options);
  return logits;
});
