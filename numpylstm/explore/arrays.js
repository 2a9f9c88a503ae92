// Matrices {rows, columns, data} of doubles, and a few of the operations of NumPy.

export function matrix(rows, columns, data = zeros(rows * columns)) {
  return { rows, columns, data };
}

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

// x @ W
export function matmul(x, W) {
  const y = matrix(x.rows, W.columns);
  for (let r = 0; r < x.rows; r++) {
    add_rows(y, r, x.data, r * x.columns, 1, W);
  }
  return y;
}

// x.T @ y
export function matmul_T_left(x, y) {
  const W = matrix(x.columns, y.columns);
  for (let k = 0; k < x.columns; k++) {
    add_rows(W, k, x.data, k, x.columns, y);
  }
  return W;
}

// out[r] += sum over k of factors[start + k * stride] * W[k]; four rows of W at a time
function add_rows(out, r, factors, start, stride, W) {
  const n = W.columns;
  const y = out.data;
  const w = W.data;
  const last = W.rows - (W.rows % 4);
  for (let k = 0, at = start; k < last; k += 4, at += 4 * stride) {
    const f0 = factors[at];
    const f1 = factors[at + stride];
    const f2 = factors[at + 2 * stride];
    const f3 = factors[at + 3 * stride];
    for (let j = 0, a = r * n, b = k * n; j < n; j++, a++, b++) {
      y[a] += f0 * w[b] + f1 * w[b + n] + f2 * w[b + 2 * n] + f3 * w[b + 3 * n];
    }
  }
  for (let k = last; k < W.rows; k++) add_row(out, r, factors[start + k * stride], W, k);
}

// out[r] += factor * W[k]
export function add_row(out, r, factor, W, k) {
  const n = W.columns;
  const y = out.data;
  const w = W.data;
  for (let j = 0, a = r * n, b = k * n; j < n; j++) y[a + j] += factor * w[b + j];
}

// y @ W.T; four rows of W at a time
export function matmul_T_right(y, W) {
  const x = matrix(y.rows, W.rows);
  const n = W.columns;
  const [p, w] = [y.data, W.data];
  const last = W.rows - (W.rows % 4);
  for (let r = 0; r < y.rows; r++) {
    for (let k = 0; k < last; k += 4) {
      let [s0, s1, s2, s3] = [0, 0, 0, 0];
      for (let j = 0, a = r * n, b = k * n; j < n; j++, a++, b++) {
        s0 += p[a] * w[b];
        s1 += p[a] * w[b + n];
        s2 += p[a] * w[b + 2 * n];
        s3 += p[a] * w[b + 3 * n];
      }
      const at = r * W.rows + k;
      x.data[at] = s0;
      x.data[at + 1] = s1;
      x.data[at + 2] = s2;
      x.data[at + 3] = s3;
    }
    for (let k = last; k < W.rows; k++) {
      for (let j = 0; j < n; j++) x.data[r * W.rows + k] += p[r * n + j] * w[k * n + j];
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
