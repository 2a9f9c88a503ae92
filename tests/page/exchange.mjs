// Between Python and Node: JSON on standard input and output, arrays as nested lists.

import { readFileSync } from "node:fs";
import { matrix } from "../../numpylstm/explore/arrays.js";

// [[...]] to a matrix, [[[...]]] to a sequence; anything else as it is.
export function into(a) {
  if (!Array.isArray(a)) return a;
  if (Array.isArray(a[0]?.[0])) return a.map(into);
  return Array.isArray(a[0]) ? matrix(a.length, a[0].length, Float64Array.from(a.flat())) : a;
}

// The reverse, at any depth.
export function out(value) {
  if (value?.data && value.rows !== undefined) {
    const { rows, columns, data } = value;
    return Array.from({ length: rows }, (_, r) => [
      ...data.subarray(r * columns, (r + 1) * columns),
    ]);
  }
  if (ArrayBuffer.isView(value)) return [...value];
  if (Array.isArray(value)) return value.map(out);
  if (value === null || typeof value !== "object") return value;
  return map_values(value, out);
}

export const map_values = (record, f) =>
  Object.fromEntries(Object.entries(record).map(([name, value]) => [name, f(value, name)]));

export async function answer(compute) {
  const found = await compute(JSON.parse(readFileSync(0, "utf8")));
  process.stdout.write(JSON.stringify(out(found)));
}
