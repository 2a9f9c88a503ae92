// Matrices {rows, columns, data} of doubles, and a few of the operations of NumPy.

export function matrix(rows, columns, data = zeros(rows * columns)) {
  return { rows, columns, data };
}

export const row = (...values) => matrix(1, values.length, Float64Array.from(values));

// Small arrays are pieces of a larger one: allocation costs more than the arithmetic.
let pool = new Float64Array(0);
let used = 0;

function zeros(n) {
  if (n > 4096) return new Float64Array(n);
  if (used + n > pool.length) [pool, used] = [new Float64Array(32768), 0];
  used += n;
  return pool.subarray(used - n, used);
}

export function zeros_like(A) {
  return matrix(A.rows, A.columns);
}

export const norm = (A) => Math.sqrt(A.data.reduce((sum, value) => sum + value * value, 0));

// The numbers of the transpose of a matrix whose numbers are `data`.
export function transposed(data, rows, columns) {
  const out = new Float64Array(data.length);
  for (let r = 0; r < rows; r++)
    for (let k = 0; k < columns; k++) out[k * rows + r] = data[r * columns + k];
  return out;
}

// f at every entry of one or several matrices of one shape.
export function map(f, A, B, C, D) {
  const out = zeros_like(A);
  const y = out.data;
  const a = A.data;
  const b = B?.data;
  const c = C?.data;
  const d = D?.data;
  const n = y.length;
  if (D) for (let k = 0; k < n; k++) y[k] = f(a[k], b[k], c[k], d[k]);
  else if (C) for (let k = 0; k < n; k++) y[k] = f(a[k], b[k], c[k]);
  else if (B) for (let k = 0; k < n; k++) y[k] = f(a[k], b[k]);
  else for (let k = 0; k < n; k++) y[k] = f(a[k]);
  return out;
}

export function add(A, B) {
  return add_to(add_to(zeros_like(A), A), B);
}

// total += A
export function add_to(total, A) {
  const y = total.data;
  const a = A.data;
  for (let k = 0; k < y.length; k++) y[k] += a[k];
  return total;
}

// out (m, n) += a (m, k) @ w (k, n), arrays of numbers, with their places o0 and at. Entry (r, p) of a is at
// a[at + r * row + p * column]: a transpose is a stride. Two rows of a and four of w at a time.
export function add_product(out, o0, a, at, row, column, w, m, k, n) {
  const fours = k - (k % 4);
  for (let r = 0, o = o0; r < m; r += 2, o += 2 * n) {
    const pair = r + 1 < m;
    let [x, b] = [at + r * row, 0];
    for (let p = 0; p < fours; p += 4, x += 4 * column, b += 4 * n) {
      const x0 = a[x];
      const x1 = a[x + column];
      const x2 = a[x + 2 * column];
      const x3 = a[x + 3 * column];
      const y = pair ? x + row : x;
      const y0 = a[y];
      const y1 = a[y + column];
      const y2 = a[y + 2 * column];
      const y3 = a[y + 3 * column];
      for (let j = 0; j < n; j++) {
        const w0 = w[b + j];
        const w1 = w[b + n + j];
        const w2 = w[b + 2 * n + j];
        const w3 = w[b + 3 * n + j];
        out[o + j] += x0 * w0 + x1 * w1 + x2 * w2 + x3 * w3;
        if (pair) out[o + n + j] += y0 * w0 + y1 * w1 + y2 * w2 + y3 * w3;
      }
    }
    for (let p = fours; p < k; p++, x += column, b += n) {
      for (let j = 0; j < n; j++) {
        out[o + j] += a[x] * w[b + j];
        if (pair) out[o + n + j] += a[x + row] * w[b + j];
      }
    }
  }
}

// x @ W
export function matmul(x, W) {
  const y = matrix(x.rows, W.columns);
  add_product(y.data, 0, x.data, 0, x.columns, 1, W.data, x.rows, x.columns, W.columns);
  return y;
}

// x.T @ y
export function matmul_T_left(x, y) {
  const W = matrix(x.columns, y.columns);
  add_product(W.data, 0, x.data, 0, 1, x.columns, y.data, x.columns, x.rows, y.columns);
  return W;
}

// out[r] += factor * W[k]
export function add_row(out, r, factor, W, k) {
  const n = W.columns;
  const y = out.data;
  const w = W.data;
  for (let j = 0, a = r * n, b = k * n; j < n; j++) y[a + j] += factor * w[b + j];
}

// y @ W.T
export function matmul_T_right(y, W) {
  const x = matrix(y.rows, W.rows);
  const n = W.columns;
  for (let r = 0; r < y.rows; r++) {
    for (let k = 0; k < W.rows; k++) {
      let sum = 0;
      for (let j = 0; j < n; j++) sum += y.data[r * n + j] * W.data[k * n + j];
      x.data[r * W.rows + k] = sum;
    }
  }
  return x;
}

export function sum_rows(A) {
  const total = matrix(1, A.columns);
  for (let r = 0; r < A.rows; r++) add_row(total, 0, 1, A, r);
  return total;
}

// The columns of A as n blocks side by side, and back.
export function split(A, n) {
  const H = A.columns / n;
  return Array.from({ length: n }, (_, block) => {
    const part = matrix(A.rows, H);
    for (let r = 0; r < A.rows; r++) {
      const start = r * A.columns + block * H;
      part.data.set(A.data.subarray(start, start + H), r * H);
    }
    return part;
  });
}

export function concatenate(parts) {
  const [{ rows, columns: H }] = parts;
  const A = matrix(rows, H * parts.length);
  parts.forEach((part, block) => {
    for (let r = 0; r < rows; r++) {
      A.data.set(part.data.subarray(r * H, (r + 1) * H), r * A.columns + block * H);
    }
  });
  return A;
}
