// Trained models: from the data of the page, and what they do with a text.

import { matmul, matrix, transposed } from "./arrays.js";
import { language_model_forward, softmax, zero_state } from "./engine.js";

export const BRACKETS = '\n(()(("a(b"))())\n((("))a"())))'; // what the page shows their model
const ROLES = { cell: "cell", hidden: "output" };

// --- from base64 ----------------------------------------------------------------------------------

// float16: a sign, 5 bits of exponent, 10 bits of fraction.
function from_float16(bits) {
  const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023];
  const size = exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -24 * fraction;
  return bits >> 15 ? -size : size;
}

function unpacked({ shape, float16, float32 }) {
  const text = atob(float16 ?? float32);
  const view = new DataView(new ArrayBuffer(text.length));
  for (let k = 0; k < text.length; k++) view.setUint8(k, text.charCodeAt(k));
  const number = float16
    ? (k) => from_float16(view.getUint16(2 * k, true))
    : (k) => view.getFloat32(4 * k, true);
  const [rows, columns] = shape.length === 1 ? [1, shape[0]] : shape;
  const numbers = Float64Array.from({ length: rows * columns }, (_, k) => number(k));
  return matrix(rows, columns, numbers);
}

// A model as the page stores it, with its arrays. `rows` are the cells of each layer that are shown,
// the most interesting first; without a ranking, all in order.
export function load_model(stored) {
  if (stored.recorded) return stored;
  const parameters = {};
  for (const [path, packed] of Object.entries(stored.parameters))
    parameters[path] = unpacked(packed);
  const { rows: V, columns, data } = parameters["embedding.W"];
  if (!parameters["decoder.W"]) {
    const tied = matrix(columns, V, transposed(data, V, columns));
    const projection = parameters["projection.W"];
    parameters["decoder.W"] = projection ? matmul(projection, tied) : tied;
  }
  const { name } = stored.cell;
  const H = parameters[`${name}.0.Wh`].rows;
  const layers = zero_state(name, parameters, 1).length;
  const rows = stored.rows ?? Array.from({ length: layers }, () => [...Array(H).keys()]);
  return { ...stored, parameters, H, rows };
}

const unit_of = ({ units }, name) => units.find((unit) => unit.name === name);
export const is_gate = (cell, name) => unit_of(cell, name).role === "gate";

// The name of a quantity in prose: forget gate, candidate, cell, output.
export const words_of = (cell, name) => {
  const { words, role } = unit_of(cell, name);
  return words || ROLES[role];
};

// --- reading --------------------------------------------------------------------------------------

// Continue an earlier reading that begins with the same tokens. A reading has, for each token, its id,
// the state after it, the caches of its step by layer, and the probabilities of the next token.
export function read(model, parameters, state, ids, earlier = []) {
  let same = 0;
  while (same < earlier.length && same < ids.length && earlier[same].id === ids[same]) same += 1;
  const reading = earlier.slice(0, same);
  for (const id of ids.slice(same)) {
    const before = reading.length ? reading[reading.length - 1].state : state;
    const { name } = model.cell;
    const step = language_model_forward(name, parameters, [[id]], before, ...model.options);
    const [[logits], after, caches] = step;
    const steps = caches.map(([of_layer]) => of_layer);
    reading.push({ id, state: after, steps, p: softmax(logits).data });
  }
  return reading;
}

// The numbers of a cell at a place of a reading; x, and h_prev beside a cell c, are vectors.
export function numbers_of({ cell, H, options }, reading, at, layer, unit) {
  const { memory_field } = cell;
  const vectors = memory_field === "h" ? ["x"] : ["x", "h_prev"];
  const before = reading[at - 1]?.steps[layer][memory_field].data[unit] ?? 0;
  const numbers = { activation: options[0], [`${memory_field}_prev`]: before };
  for (const [name, A] of Object.entries(reading[at].steps[layer])) {
    if (A?.columns === H && !vectors.includes(name)) numbers[name] = A.data[unit];
  }
  return numbers;
}

export const most_probable = (p) => p.reduce((best, p_v, v) => (p_v > p[best] ? v : best), 0);

// The reading that was recorded of a model too large for the page; cells that were not are zero.
export function recorded({ tokens, ids, recorded: { p, units }, rows, H }) {
  const layers = units.map((layer) =>
    Object.entries(layer).map(([name, packed]) => [name, unpacked(packed)]),
  );
  return ids.map((id, t) => ({
    id,
    steps: layers.map((layer, l) =>
      Object.fromEntries(
        layer.map(([name, values]) => {
          const full = matrix(1, H);
          rows[l].forEach((unit, k) => {
            full.data[unit] = values.data[t * values.columns + k];
          });
          return [name, full];
        }),
      ),
    ),
    p: p[t].reduce((all, [v, p_v]) => all.fill(p_v, v, v + 1), new Float64Array(tokens.length)),
  }));
}

export function recorded_norms({ recorded: { norms_by_input } }) {
  const { columns, data } = unpacked(norms_by_input);
  return (t) => [...data.subarray(t * columns, t * columns + t + 1)];
}
