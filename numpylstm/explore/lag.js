// Norms of a gradient by the number of steps back.

import { add, map, matmul_T_right, matrix, norm, zeros_like } from "./arrays.js";
import { CELLS } from "./engine.js";

// Norms of dL/dh_t by lag, [|dh_T|, |dh_{T-1}|, ...], one list for each part of the state: h, then c.
// The gradient of the loss is dhT at the last state and zero at the others. The first entry is the last
// state itself; the last entry is the state before the first step.
export function norms_by_lag(cell, dhT, cache) {
  const { state, step_backward } = CELLS[cell];
  let dstate = [dhT, ...state.slice(1).map(() => zeros_like(dhT))];
  const norms = dstate.map((part) => [norm(part)]);
  for (const step of cache.toReversed()) {
    dstate = step_backward(...dstate, step).slice(1, 1 + state.length);
    dstate.forEach((part, k) => {
      norms[k].push(norm(part));
    });
  }
  return norms;
}

// Norms of dL/dc_t by lag along the cell alone: from the last h into its cell, then a product of forget
// gates. The path through the gates and h is left out.
export function norms_along_cell(dhT, cache) {
  const [last, ...earlier] = cache.toReversed();
  let [, , dc] = CELLS.lstm.step_backward(dhT, zeros_like(dhT), last);
  const norms = [0, norm(dc)];
  for (const { f } of earlier) {
    dc = map((gradient, gate) => gradient * gate, dc, f);
    norms.push(norm(dc));
  }
  return norms;
}

// |d log p(target) / dx_s| for each place s of a reading: how much the prediction after its last place
// depends on each input.
export function norms_by_input({ cell, parameters }, reading, target) {
  const { state, step_backward } = CELLS[cell.name];
  const { p, steps: last } = reading.at(-1);
  const dlogits = p.map((p_v, v) => (v === target ? 1 : 0) - p_v);
  const x = matrix(1, 0); // in place of the input, so that dWx, which is not used, costs nothing
  const above = reading.map(() => null); // gradients of the layer's outputs
  above[reading.length - 1] = matmul_T_right(matrix(1, p.length, dlogits), parameters["decoder.W"]);
  for (let layer = last.length - 1; layer >= 0; layer--) {
    let dstate = state.map(() => zeros_like(last[layer].h));
    for (let s = reading.length - 1; s >= 0; s--) {
      const [from_later, ...rest] = dstate;
      const upstream = above[s] ? add(above[s], from_later) : from_later;
      const step = { ...reading[s].steps[layer], x };
      const [dx, ...before] = step_backward(upstream, ...rest, step);
      above[s] = dx;
      dstate = before.slice(0, state.length);
    }
  }
  return above.map(norm);
}
