// Trained models: from the data of the page, reading a text, with gates clamped and cells held.

import { map, matrix, transposed } from "./arrays.js";
import {
  CELLS,
  language_model_forward,
  sequence_cross_entropy_forward,
  zero_state,
} from "./engine.js";

export const BRACKETS = '\n(()(("a(b"))())\n((("))a"())))'; // what the page shows their model
const FAR = 1000; // sigmoid and tanh are exactly 0, 1 or -1 there
const INVERSE = { tanh: Math.atanh, sigmoid: (h) => Math.log(h / (1 - h)), relu: (h) => h };

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
  return matrix(
    rows,
    columns,
    Float64Array.from({ length: rows * columns }, (_, k) => number(k)),
  );
}

// A model as the page stores it, with its arrays. `rows` are the cells of each layer that are shown,
// the most interesting first; without a ranking, all in order.
export function load_model(stored) {
  if (stored.recorded) return stored;
  const parameters = {};
  for (const [path, packed] of Object.entries(stored.parameters))
    parameters[path] = unpacked(packed);
  const { rows: V, columns, data } = parameters["embedding.W"];
  parameters["decoder.W"] ??= matrix(columns, V, transposed(data, V, columns)); // tied
  const { name } = stored.cell;
  const H = parameters[`${name}.0.Wh`].rows;
  const layers = zero_state(name, parameters, 1).length;
  const rows = stored.rows ?? Array.from({ length: layers }, () => [...Array(H).keys()]);
  return { ...stored, parameters, H, rows };
}

// --- clamps ---------------------------------------------------------------------------------------

export const candidate_of = ({ units }) => units.find(({ role }) => role === "candidate")?.name;

// A clamp only changes weights and the first state. A gate or candidate is clamped by a column of zeros
// and a large bias. The memory is held at a value by keeping everything and writing nothing, and that
// value as its start; a cell without such a gate gets a constant pre-activation.
export function in_hand(model, layer, unit, hands) {
  const { cell, H } = model;
  const changed = { ...model.parameters };
  const state = zero_state(cell.name, model.parameters, 1);
  const held = hands[cell.memory] ?? null;
  const biases = {};
  for (const { name, role } of cell.units) {
    if ((hands[name] ?? null) === null || name === cell.memory) continue;
    biases[name] = hands[name] === 1 ? FAR : role === "candidate" ? 0 : -FAR;
  }
  if (held !== null && cell.keep)
    Object.assign(biases, { [cell.keep]: FAR, [candidate_of(cell)]: 0 });
  else if (held !== null) biases[cell.memory] = INVERSE[model.options[0]](held);
  for (const key of ["Wx", "Wh", "b", "bn"]) {
    const path = `${cell.name}.${layer}.${key}`;
    if (!changed[path]) continue;
    const A = map((value) => value, changed[path]);
    changed[path] = A;
    for (const [name, bias] of Object.entries(biases)) {
      if (key === "bn" && name !== candidate_of(cell)) continue; // it has the candidate's columns only
      const column = (key === "bn" ? 0 : cell.blocks.indexOf(name) * H) + unit;
      for (let r = 0; r < A.rows; r++) A.data[r * A.columns + column] = key === "b" ? bias : 0;
    }
  }
  if (held !== null) state[layer][CELLS[cell.name].state.indexOf(cell.memory)].data[unit] = held;
  return [changed, state];
}

// --- reading --------------------------------------------------------------------------------------

// Continue an earlier reading that begins with the same tokens. A reading has, for each token, its id,
// the state after it, the caches of its step by layer, and the probabilities of the next token.
export function read(model, parameters, state, ids, earlier = []) {
  let same = 0;
  while (same < earlier.length && same < ids.length && earlier[same].id === ids[same]) same += 1;
  const reading = earlier.slice(0, same);
  for (const id of ids.slice(same)) {
    const before = reading.length ? reading[reading.length - 1].state : state;
    const [logits, after, { caches }] = language_model_forward(
      model.cell.name,
      parameters,
      [[id]],
      before,
      ...model.options,
    );
    const [, [{ p }]] = sequence_cross_entropy_forward(logits, [[0]]);
    reading.push({ id, state: after, steps: caches.map(([step]) => step), p: p.data });
  }
  return reading;
}

// The numbers of a cell at a place of a reading; x, and h_prev beside a cell c, are vectors.
export function numbers_of({ cell, H, options }, reading, at, layer, unit) {
  const { memory } = cell;
  const vectors = memory === "h" ? ["x"] : ["x", "h_prev"];
  const before = reading[at - 1]?.steps[layer][memory].data[unit] ?? 0;
  const numbers = { activation: options[0], [`${memory}_prev`]: before };
  for (const [name, A] of Object.entries(reading[at].steps[layer])) {
    if (A?.columns === H && !vectors.includes(name)) numbers[name] = A.data[unit];
  }
  return numbers;
}

export const most_probable = (p) => p.reduce((best, share, v) => (share > p[best] ? v : best), 0);

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
    p: p[t].reduce((all, [v, share]) => all.fill(share, v, v + 1), new Float64Array(tokens.length)),
  }));
}

export function recorded_norms({ recorded: { listens } }) {
  const { columns, data } = unpacked(listens);
  return (t) => [...data.subarray(t * columns, t * columns + t + 1)];
}

// --- typed text -----------------------------------------------------------------------------------

// As numpylstm.data.text: words, numbers, emoji, flags, runs of one mark, brackets. White space is
// Python's, which differs from \s in U+001C to U+001F, U+0085 and U+FEFF; an accent or a vowel sign
// stays in its word.
const SPACE = String.raw`\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000`;
const LETTER = String.raw`\p{L}\p{N}_`;
const JOINERS = String.raw`\u200c\u200d`;
const MARK = String.raw`[^${LETTER}${SPACE}()[\]{}]`;
const SYMBOL = String.raw`[^${LETTER}${SPACE}()[\]{}${JOINERS}]`;
const WORD = new RegExp(`[^${SPACE}]+`, "gu");
const PUNCTUATED = new RegExp(
  [
    "<unk>|<eos>",
    String.raw`(?!\p{Nd})[${LETTER}][${LETTER}\p{M}${JOINERS}]*(?:['’](?:d|ll|m|re|s|t|ve)(?![${LETTER}]))?`,
    String.raw`\p{Nd}[${LETTER}\p{M}]*(?:\.\p{Nd}[${LETTER}]*)*`,
    String.raw`${SYMBOL}(?:[\p{M}\u{1f3fb}-\u{1f3ff}]|\u200d${SYMBOL})+`,
    String.raw`[\u{1f1e6}-\u{1f1ff}]{2}`,
    String.raw`(${MARK})\1*`,
    String.raw`[()[\]{}]`,
  ].join("|"),
  "gu",
);

export function tokenize(text, { level, splits_punctuation }) {
  if (level === "char") return [...text];
  const cut = (line) =>
    splits_punctuation
      ? [...line.matchAll(PUNCTUATED)].map(([word, mark]) =>
          mark ? word.slice(0, 3 * mark.length) : word,
        )
      : (line.match(WORD) ?? []);
  return text.split("\n").flatMap((line, k) => (k ? ["<eos>", ...cut(line)] : cut(line)));
}

// --- tokens to look at ----------------------------------------------------------------------------

// A token as it is shown.
const SIGNS = new Map([
  ["\n", "⏎"],
  ["\t", "tab"],
  [" ", "␣"],
  ["\u200d", "joiner"],
  ["<unk>", "unknown"],
  ["<eos>", "⏎"],
]);
// Characters that control, and those that turn the direction of writing, by their numbers.
const CONTROL = /[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/gu;
export const visible = (token) =>
  SIGNS.get(token) ??
  token.replace(CONTROL, (c) => `U+${c.codePointAt(0).toString(16).padStart(4, "0")}`);
