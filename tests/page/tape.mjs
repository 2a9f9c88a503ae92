// Every number of a golden tape, computed by the engine of the page.

import * as arrays from "../../numpylstm/explore/arrays.js";
import * as engine from "../../numpylstm/explore/engine.js";
import { answer, into, map_values, out } from "./exchange.mjs";

answer(({ golden, cell }) => {
  const { state: fields, step_backward } = engine.CELLS[cell];
  const parameters = map_values(golden.parameters, (a) => into(Array.isArray(a[0]) ? a : [a]));
  const { ids, targets, h0 } = golden.inputs;
  const state = h0.map((_, layer) => fields.map((s) => into([golden.inputs[`${s}0`][layer]])));
  const each = (list) => list.map((id) => [id]);
  const [logits, , cache] = engine.language_model_forward(cell, parameters, each(ids), state);
  const [loss, losses] = engine.sequence_cross_entropy_forward(logits, each(targets));
  const dlogits = engine.sequence_cross_entropy_backward(losses);
  const [gradients, dstate, dhs] = engine.language_model_backward(dlogits, cache);
  const first_rows = (values, names = Object.keys(values)) =>
    Object.fromEntries(names.map((name) => [name, out(values[name])[0]]));
  const forward = {};
  ids.forEach((_, t) => {
    const step = { x: out(cache.caches[0][t].x)[0] };
    forward[`t${t}`] = step;
    cache.caches.forEach((steps, layer) => {
      const name = `${cell}.${layer}`;
      step[name] = first_rows(steps[t], Object.keys(golden.forward.t0[name]));
    });
    step.logits = out(logits[t])[0];
    step.probabilities = out(losses[t].p)[0];
    step.nll = losses[t].nll[0];
  });
  const backward = {};
  const zeros = fields.map(() => arrays.zeros_like(state[0][0]));
  const future = [zeros, zeros];
  for (let t = ids.length - 1; t >= 0; t--) {
    const back = { dlogits: out(dlogits[t])[0] };
    backward[`t${t}`] = back;
    let above = dhs[t];
    for (let layer = 1; layer >= 0; layer--) {
      const [dh_next, ...rest] = future[layer];
      const step = cache.caches[layer][t];
      const [dx, ...results] = step_backward(arrays.add(above, dh_next), ...rest, step);
      const before = Object.fromEntries(fields.map((s, k) => [`d${s}_prev`, results[k]]));
      back[`${cell}.${layer}`] = first_rows({ ...results.at(-1), dx, ...before });
      [above, future[layer]] = [dx, results.slice(0, fields.length)];
    }
  }
  const flat = (A, path) => (/\.bn?$/.test(path) ? out(A)[0] : out(A));
  const at_start = fields.map((s, k) => [`${s}0`, dstate.map((parts) => out(parts[k])[0])]);
  return {
    inputs: golden.inputs,
    parameters: golden.parameters,
    forward,
    loss,
    backward,
    gradients: { ...map_values(gradients, flat), ...Object.fromEntries(at_start) },
  };
});
