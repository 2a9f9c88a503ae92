// Clamps: gates held at 0 or 1, and a cell held at a value; with the controls of a reader.

import { map } from "./arrays.js";
import { button, choice, slider } from "./elements.js";
import { CELLS, FAR, zero_state } from "./engine.js";
import { words_of } from "./models.js";
import { fixed } from "./numbers.js";
import { LEVELS } from "./tokens.js";

const INVERSE = { tanh: Math.atanh, sigmoid: (h) => Math.log(h / (1 - h)), relu: (h) => h };

const candidate_of = ({ units }) => units.find(({ role }) => role === "candidate")?.name;

// Return the weights and the first state that clamp one unit; as numpylstm.explore.own.held. clamps: values
// by name. A gate or candidate is clamped by a column of zeros and a large bias. The memory is held at a value
// by keeping everything and writing nothing, and that value as its start; a cell without such a gate gets a
// constant pre-activation.
export function held(model, layer, unit, clamps) {
  const { cell, H } = model;
  const candidate = candidate_of(cell);
  const changed = { ...model.parameters };
  const state = zero_state(cell.name, model.parameters, 1);
  const { [cell.memory_field]: value, ...gates } = clamps;
  const biases = {};
  for (const [name, to] of Object.entries(gates)) {
    biases[name] = to ? FAR : name === candidate ? 0 : -FAR;
  }
  if (value !== undefined) {
    state[layer][CELLS[cell.name].state.indexOf(cell.memory_field)].data[unit] = value;
    if (cell.keep) Object.assign(biases, { [cell.keep]: FAR, [candidate]: 0 });
    else biases[cell.memory_field] = INVERSE[model.options[0]](value);
  }
  for (const key of ["Wx", "Wh", "b", "bn"]) {
    const path = `${cell.name}.${layer}.${key}`;
    if (!changed[path]) continue;
    const A = map((entry) => entry, changed[path]);
    changed[path] = A;
    for (const [name, bias] of Object.entries(biases)) {
      if (key === "bn" && name !== candidate) continue; // it has the candidate's columns only
      const column = (key === "bn" ? 0 : cell.blocks.indexOf(name) * H) + unit;
      for (let r = 0; r < A.rows; r++) A.data[r * A.columns + column] = key === "b" ? bias : 0;
    }
  }
  return [changed, state];
}

// Build the controls of the chosen unit. part: model, layer, unit, clamps, and the reading of the free model;
// change: called after `part.clamps` has changed; release: sets all free.
export function build_clamps(place, { model, layer, unit, clamps, free }, change, release) {
  const { cell, level, options } = model;
  const { memory_field, keep } = cell;
  const candidate = candidate_of(cell);
  const clamped = cell.units.filter(({ role }) => role === "gate" || role === "candidate");
  const choices = clamped.map(({ name }) => {
    const title = `${name}, ${words_of(cell, name)}`;
    return choice(`clamp-${name}`, title, ["free", "0", "1"], clamps[name] ?? "free", (to) => {
      if (to === "free") delete clamps[name];
      else clamps[name] = Number(to);
      change();
    });
  });
  // A held memory needs the gate that keeps it, and the candidate.
  const mark_held = () => {
    for (const [k, { name }] of clamped.entries())
      choices[k].disabled = memory_field in clamps && (name === keep || name === candidate);
  };
  const size = ({ steps }) => Math.ceil(Math.abs(steps[layer][memory_field].data[unit]));
  const most = Math.max(memory_field === "c" ? 3 : 1, ...free.map(size));
  const least = ["sigmoid", "relu"].includes(options[0]) ? 0 : -most;
  const hold = (value) => {
    clamps[memory_field] = value;
    mark_held();
    change();
  };
  const format = (value) => (memory_field in clamps ? fixed(value, 2) : "free");
  const range = [least, most, 0.05];
  const title = `${memory_field}, held at`;
  const memory_slider = slider("hold", title, range, clamps[memory_field] ?? 0, hold, format);
  const release_all = button(() => {
    release();
    place.querySelector("button").focus(); // this one has been replaced
  }, "Release");
  place.querySelector(".clamps").replaceChildren(...choices, memory_slider, release_all);
  mark_held();
  const how = keep
    ? `${memory_field} is held by ${keep} = 1, ${candidate} = 0 and this value at the start`
    : "a constant bias holds it";
  place.querySelector(".note").textContent =
    "Holding only changes weights: the gate's column becomes zero, its bias ±1000 (0 for a candidate of 0); " +
    `${how}. It acts from the first ${LEVELS[level].unit} on.`;
}
