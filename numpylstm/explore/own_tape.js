// Your own numbers against the tape: which are wrong, and by which mistake in its line the first one is.
//
// Names and checks are those of `python -m numpylstm.tape check` (numpylstm/tape/comparison.py), and the
// sentences those of the doctor (numpylstm/laboratory/mistakes/rules.py).

import { evaluated, written } from "./textbook.js";

export const TOLERANCE = 1e-6;

// Returns {right, wrong: [{path, expected, got}], missing: [names]} in the order of the tape, or {error}.
export function grade(golden, given) {
  const found = { right: 0, wrong: [], missing: [] };
  const visit = (expected, got, path) => {
    if (Array.isArray(expected)) {
      if (!Array.isArray(got) || got.length !== expected.length)
        throw new Error(`${path} must be a list of ${expected.length}`);
      expected.forEach((each, k) => {
        visit(each, got[k], `${path}[${k}]`);
      });
    } else if (typeof expected === "object") {
      const [whole, start] = [path || "the file", path && `${path}.`];
      const names = Object.keys(expected);
      if (got === null || typeof got !== "object" || Array.isArray(got))
        throw new Error(`${whole} must be an object of ${names.join(", ")}`);
      const unknown = Object.keys(got).find((name) => !names.includes(name));
      if (unknown !== undefined)
        throw new Error(`${start}${unknown} is not on the tape; ${whole} has ${names.join(", ")}`);
      for (const name of names) {
        if (Object.hasOwn(got, name)) visit(expected[name], got[name], start + name);
        else found.missing.push(start + name);
      }
    } else if (!Number.isFinite(got)) throw new Error(`${path} must be a finite number`);
    else if (Math.abs(expected - got) > TOLERANCE) found.wrong.push({ path, expected, got });
    else found.right += 1;
  };
  try {
    visit(golden, given, "");
  } catch (error) {
    return { error: error.message };
  }
  if (!found.right && !found.wrong.length)
    return {
      error: `no number of the tape is given; its parts are ${Object.keys(golden).join(", ")}`,
    };
  return found;
}

// What a formula is called in a sentence: its names without their indices.
const formula_of = (number) => written(number, (part) => part.variable ?? String(part.v)).join("");

// Mistakes in the formula of a number: [value with the mistake, words for it].
function* mistakes(number, top = true) {
  const { op, from, v } = number;
  if (number.name && !top) {
    for (const [other, A] of Object.entries(number.call?.env ?? {})) {
      const entry = number.entry < A?.of?.length ? A.of[number.entry] : undefined;
      if (entry && other !== number.variable)
        yield [entry.v, `${other} is used instead of ${number.variable}`];
    }
    return;
  }
  const [a, b] = from;
  if (op === "+" || op === "-") {
    const other = op === "+" ? a.v - b.v : a.v + b.v;
    yield [other, `the sign of ${formula_of(b)} is wrong`];
    yield [-v + 2 * (op === "+" ? b.v : -b.v), `the sign of ${formula_of(a)} is wrong`];
    yield [a.v, `the term ${formula_of(b)} is missing`];
    yield [op === "+" ? b.v : -b.v, `the term ${formula_of(a)} is missing`];
  } else if (op === "*") {
    yield [a.v, `the factor ${formula_of(b)} is missing`];
    yield [b.v, `the factor ${formula_of(a)} is missing`];
    yield [a.v + b.v, `${formula_of(a)} and ${formula_of(b)} are added, not multiplied`];
  } else if (op === "/") {
    yield [a.v, `the division by ${formula_of(b)} is missing`];
    yield [b.v / a.v, "the quotient is upside down"];
  } else if (op === "sigmoid") yield [Math.tanh(a.v), "tanh instead of the sigmoid"];
  else if (op === "tanh") yield [1 / (1 + Math.exp(-a.v)), "the sigmoid instead of tanh"];
  if (from.length === 1) yield [a.v, `the ${op} is missing`];
  for (const [k, part] of from.entries()) {
    for (const [value, words] of mistakes(part, false)) yield [evaluated(number, k, value), words];
  }
  if (top) yield [-v, "the sign is wrong"];
}

// The words for a mistake that gives all the wrong numbers of one array: [{number, got}]; or undefined.
export function cause(entries) {
  let common;
  for (const { number, got } of entries) {
    const words = new Set();
    for (const [value, sentence] of mistakes(number))
      if (Math.abs(value - got) <= TOLERANCE) words.add(sentence);
    common = common ? new Set([...common].filter((each) => words.has(each))) : words;
  }
  return common && [...common][0];
}
