// Every number of a golden tape, computed by the engine of the page.

import {
  add,
  add_row,
  matmul_T_left,
  matmul_T_right,
  zeros_like,
} from "../../numpylstm/explore/arrays.js";
import * as engine from "../../numpylstm/explore/engine.js";
import { answer, into, map_values, out } from "./exchange.mjs";

answer(({ golden, cell }) => {
  const { state: fields, parameters: keys, step_backward } = engine.CELLS[cell];
  const parameters = map_values(golden.parameters, (a) => into(Array.isArray(a[0]) ? a : [a]));
  const { ids, targets, h0 } = golden.inputs;
  const state = h0.map((_, layer) => fields.map((s) => into([golden.inputs[`${s}0`][layer]])));
  const first_rows = (values, names = Object.keys(values)) =>
    Object.fromEntries(names.map((name) => [name, out(values[name])[0]]));
  const each = ids.map((id) => [id]);
  const [logits, , caches] = engine.language_model_forward(cell, parameters, each, state);
  const scored = logits.map((scores, t) =>
    engine.cross_entropy_step_forward(scores, [targets[t]], [1]),
  );
  const forward = {};
  ids.forEach((_, t) => {
    const step = { x: out(caches[0][t].x)[0] };
    forward[`t${t}`] = step;
    caches.forEach((steps, layer) => {
      const name = `${cell}.${layer}`;
      step[name] = first_rows(steps[t], Object.keys(golden.forward.t0[name]));
    });
    step.logits = out(logits[t])[0];
    step.probabilities = out(engine.softmax(logits[t]))[0];
    [step.nll] = scored[t][1].nll;
  });
  const backward = {};
  const gradients = map_values(parameters, zeros_like);
  const collect = (path, gradient) => {
    gradients[path] = add(gradients[path], gradient);
  };
  const future = state.map((parts) => parts.map(zeros_like));
  for (let t = ids.length - 1; t >= 0; t--) {
    const dlogits = engine.cross_entropy_step_backward(scored[t][1]);
    const back = { dlogits: out(dlogits)[0] };
    backward[`t${t}`] = back;
    collect("decoder.W", matmul_T_left(caches.at(-1)[t].h, dlogits));
    collect("decoder.b", dlogits);
    let above = matmul_T_right(dlogits, parameters["decoder.W"]);
    for (let layer = caches.length - 1; layer >= 0; layer--) {
      const [dh_next, ...rest] = future[layer];
      const step = caches[layer][t];
      const [dx, ...results] = step_backward(add(above, dh_next), ...rest, step);
      const before = Object.fromEntries(fields.map((s, k) => [`d${s}_prev`, results[k]]));
      back[`${cell}.${layer}`] = first_rows({ ...results.at(-1), dx, ...before });
      [above, future[layer]] = [dx, results.slice(0, fields.length)];
      keys.forEach((key, k) => {
        const path = `${cell}.${layer}.${key}`;
        if (path in parameters) collect(path, results[fields.length + k]);
      });
    }
    add_row(gradients["embedding.W"], ids[t], 1, above, 0);
  }
  const flat = (A, path) => (/\.bn?$/.test(path) ? out(A)[0] : out(A));
  const at_start = fields.map((s, k) => [`${s}0`, future.map((parts) => out(parts[k])[0])]);
  return {
    inputs: golden.inputs,
    parameters: golden.parameters,
    forward,
    loss: scored.reduce((sum, [loss]) => sum + loss, 0),
    backward,
    gradients: { ...map_values(gradients, flat), ...Object.fromEntries(at_start) },
  };
});
