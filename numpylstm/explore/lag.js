// Norms of a gradient by the number of steps back.

import { zeros_like } from "./arrays.js";
import { CELLS } from "./engine.js";

const norm = (A) => Math.sqrt(A.data.reduce((sum, value) => sum + value * value, 0));

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
