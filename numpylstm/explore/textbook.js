// The textbook, run from its own source: an interpreter for the Python of numpylstm.reference.
//
// The page holds the syntax trees of the functions (numpylstm.explore.player). For one sequence (B = 1),
// this module runs them statement by statement and remembers of every number how it was made: its
// operation, the numbers that it was made of, and the statement. So the lines, the formulas and the
// arrows of the page are those of the textbook, and there is no second engine that could differ.
//
// A number is {v, op, from}; if a statement has named it, also {name, variable, step, uses}. An array is
// {rows, columns, of}, where `of` lists its numbers row by row.

import { sigmoid } from "./engine.js";

// --- numbers ------------------------------------------------------------------------------------

// Each operation, and where a pipe may follow it its derivative by each operand, from the operands and the result.
const OPERATIONS = {
  "+": { of: (a, b) => a + b, slopes: () => [1, 1] },
  "-": { of: (a, b) => a - b, slopes: () => [1, -1] },
  "*": { of: (a, b) => a * b, slopes: ([a, b]) => [b, a] },
  "/": { of: (a, b) => a / b, slopes: ([a, b]) => [1 / b, -a / (b * b)] },
  neg: { of: (a) => -a, slopes: () => [-1] },
  sigmoid: { of: sigmoid, slopes: (_, y) => [y * (1 - y)] },
  log_sigmoid: {
    of: (a) => Math.min(a, 0) - Math.log1p(Math.exp(-Math.abs(a))),
    slopes: (_, y) => [1 - Math.exp(y)],
  },
  tanh: { of: Math.tanh, slopes: (_, y) => [1 - y * y] },
  exp: { of: Math.exp, slopes: (_, y) => [y] },
  copy: { of: (a) => a, slopes: () => [1] },
  log: { of: Math.log },
  sqrt: { of: Math.sqrt },
  max: { of: Math.max },
  min: { of: Math.min },
};
const MADE_BY = { Add: "+", Sub: "-", Mult: "*", Div: "/" };

export const constant = (v) => ({ v, op: "", from: [] });
const values_of = (numbers) => numbers.map(({ v }) => v);
export const make = (op, ...from) => ({ v: OPERATIONS[op].of(...values_of(from)), op, from });
export const array = (rows, columns, of) => ({ rows, columns, of });
export const row = (values) => array(1, values.length, values.map(constant));
const scalar = (number) => array(1, 1, [number]);
const as_array = (value) => (typeof value === "number" ? scalar(constant(value)) : value);
const is_array = (value) => Array.isArray(value?.of);

// The place of entry k in an array: [1], [0][1], or nothing in an array of one number.
export function index({ rows, columns }, k) {
  if (rows === 1) return columns === 1 ? "" : `[${k}]`;
  return `[${Math.floor(k / columns)}][${k % columns}]`;
}

// The named numbers that a number was made of, in the order of its formula.
export function made_of(number) {
  const found = new Set();
  const visit = (part) => {
    if (part.name) found.add(part);
    else part.from.forEach(visit);
  };
  number.from.forEach(visit);
  return [...found];
}

// The derivative of a number by one that it was made of. Names end a formula, but those in `through`.
export function slope(number, by, through = []) {
  const inside = ({ op, from, v }) => {
    const slopes = OPERATIONS[op]?.slopes?.(values_of(from), v) ?? [];
    return from.reduce((sum, part, k) => sum + (slopes[k] ? slopes[k] * of(part) : 0), 0);
  };
  const of = (part) => {
    if (part === by) return 1;
    return part.name && !through.includes(part.variable) ? 0 : inside(part);
  };
  return inside(number);
}

// The value of a number if the k-th number that it was made of were another one.
export function evaluated({ op, from }, k, value) {
  return OPERATIONS[op].of(...from.map(({ v }, n) => (n === k ? value : v)));
}

// A formula as a list of strings, and what `leaf` makes of each number in it. Long sums are cut.
const BINDS = { "+": 1, "-": 1, "*": 2, "/": 2, neg: 3 };
const MOST_TERMS = 12;

export function written(number, leaf, within = 0, top = true) {
  const { op, from } = number;
  const part = (each, binding = 0) => written(each, leaf, binding, false);
  if (!op || op === "given" || (number.name && !top)) return [leaf(number)];
  if (op === "copy") return part(from[0], within);
  const binds = BINDS[op];
  if (!binds) return [`${op}(`, ...from.flatMap((each, k) => [k ? ", " : "", ...part(each)]), ")"];
  const terms = op === "+" ? summands(number) : [];
  if (terms.length > MOST_TERMS) {
    const shown = terms.slice(0, 3).flatMap((term) => [...part(term, 1), " + "]);
    return [...shown, `… ${terms.length - 3} more`];
  }
  const [first, second] = from;
  const text = second
    ? [...part(first, binds), ` ${op} `, ...part(second, binds + (op === "-" || op === "/"))]
    : ["-", ...part(first, binds)];
  return binds < within ? ["(", ...text, ")"] : text;
}

// The terms of a sum, from left to right.
function summands(number) {
  const terms = [];
  let rest = number;
  while (rest.op === "+" && (rest === number || !rest.name)) {
    terms.unshift(rest.from[1]);
    [rest] = rest.from;
  }
  return [rest, ...terms];
}

// --- arrays -------------------------------------------------------------------------------------

export function elementwise(op, ...arrays) {
  const given = arrays.map(as_array);
  const { rows, columns, of } = given.reduce((a, b) => (b.of.length > a.of.length ? b : a));
  const entry = (a, k) => a.of[a.of.length === 1 ? 0 : k % a.of.length];
  const numbers = of.map((_, k) => make(op, ...given.map((a) => entry(a, k))));
  return array(rows, columns, numbers);
}

function matmul(A, B) {
  const numbers = [];
  for (let r = 0; r < A.rows; r++) {
    for (let c = 0; c < B.columns; c++) {
      const products = Array.from({ length: A.columns }, (_, k) =>
        make("*", A.of[r * A.columns + k], B.of[k * B.columns + c]),
      );
      numbers.push(products.reduce((sum, product) => make("+", sum, product)));
    }
  }
  return array(A.rows, B.columns, numbers);
}

function transposed({ rows, columns, of }) {
  const numbers = of.map((_, k) => of[(k % rows) * columns + Math.floor(k / rows)]);
  return array(columns, rows, numbers);
}

function columns(A, from = 0, to = A.columns) {
  const numbers = A.of.filter((_, k) => k % A.columns >= from && k % A.columns < to);
  return array(A.rows, to - from, numbers);
}

// Blocks of columns; `block` says that their numbers are named by them.
function split(A, n) {
  const wide = A.columns / n;
  const block = (_, k) => ({ ...columns(A, k * wide, (k + 1) * wide), block: true });
  return Array.from({ length: n }, block);
}

function concatenate(parts) {
  const rows = Array.from({ length: parts[0].rows }, (_, r) =>
    parts.flatMap(({ columns, of }) => of.slice(r * columns, (r + 1) * columns)),
  );
  return array(rows.length, rows[0].length, rows.flat());
}

// --- the interpreter ----------------------------------------------------------------------------

const of_np = (op) => (A) => elementwise(op, A);
const NUMPY = {
  tanh: of_np("tanh"),
  exp: of_np("exp"),
  log: of_np("log"),
  maximum: (A, B) => elementwise("max", A, B),
  split,
  concatenate,
  arange: (n) => [...Array(n).keys()],
  take_along_axis: (A, k) => scalar(A.of[k]),
};
const METHODS = {
  reshape: (A) => A,
  astype: (A) => A,
  max: (A) => scalar(make("max", ...A.of)),
  argmax: (A) => A.of.reduce((best, { v }, k) => (v > A.of[best].v ? k : best), 0),
  sum: (A, axis) => (axis === 0 ? A : scalar(A.of.reduce((sum, part) => make("+", sum, part)))),
};
const OPEN = { sigmoid: of_np("sigmoid"), log_sigmoid: of_np("log_sigmoid") }; // not entered

// Runs functions of the textbook. functions: {name: {tree, ...}}; caches: {class: {fields, properties}}.
// After each statement that makes new numbers, record({call, line, last, results}) returns its step.
export function interpreter({ functions, caches }, record) {
  // Name the new numbers of a statement. Those of a block, which was split from an array of the same call,
  // get its name.
  function name(value, variable, call, again = value?.block) {
    if (!is_array(value) || !variable) return;
    value.of.forEach((number, k) => {
      if (!number.op || (number.name && !(again && number.call === call))) return;
      Object.assign(number, { name: `${variable}${index(value, k)}`, variable, entry: k, call });
      number.first ??= variable;
    });
  }

  const fields_of = (value) => (value.fields ? Object.values(value.fields) : value);

  function assign(target, value, call) {
    if (target.kind === "Tuple") {
      const parts = fields_of(value);
      target.elts.forEach((each, k) => {
        assign(each, parts[k], call);
      });
    } else {
      call.env[target.id] = value;
      name(value, target.id, call);
    }
  }

  function note(value, statement, call) {
    if (!call.name && !call.lines) return; // a property of a cache is part of the line that reads it
    const all = Array.isArray(value) ? value.flat() : [value];
    const results = all.filter(is_array).flatMap(({ of }) => of);
    const fresh = results.filter((number) => number.op && number.step === undefined);
    if (!fresh.length) return;
    const { lineno: line, end_lineno: last } = statement;
    const step = record({ call, line, last, results: fresh });
    for (const number of fresh) {
      Object.assign(number, { step, uses: [] });
      for (const part of made_of(number)) part.uses?.push(number);
    }
  }

  function property({ type, fields }, field) {
    if (field in fields) return fields[field];
    return execute(caches[type].properties[field], { env: { self: { type, fields } } });
  }

  const list = ({ elts }, env) => elts.map((each) => evaluate(each, env));
  const EVALUATE = {
    Name: ({ id }, env) => env[id],
    Constant: ({ value }) => value,
    Tuple: list,
    List: list,
    BinOp: ({ left, op, right }, env) => {
      const [A, B] = [evaluate(left, env), evaluate(right, env)];
      if (op.kind === "MatMult") return matmul(A, B);
      if (is_array(A) || is_array(B)) return elementwise(MADE_BY[op.kind], A, B);
      return OPERATIONS[MADE_BY[op.kind]].of(A, B); // sizes
    },
    UnaryOp: ({ op, operand }, env) => {
      const value = evaluate(operand, env);
      if (is_array(value)) return elementwise("neg", value);
      return op.kind === "USub" ? -value : !value;
    },
    BoolOp: ({ op, values }, env) => {
      const truth = (each) => Boolean(evaluate(each, env));
      return op.kind === "And" ? values.every(truth) : values.some(truth);
    },
    Compare: ({ left, ops, comparators }, env) => {
      const [A, B] = [evaluate(left, env), evaluate(comparators[0], env)];
      if (ops[0].kind.endsWith("In")) return B.includes(A) === (ops[0].kind === "In");
      return Array.isArray(B) ? row(B.map((each) => Number(each === A))) : A === B;
    },
    IfExp: ({ test, body, orelse }, env) => evaluate(evaluate(test, env) ? body : orelse, env),
    Attribute: ({ value, attr }, env) => {
      const owner = evaluate(value, env);
      if (owner.type) return property(owner, attr);
      if (attr === "T") return transposed(owner);
      return attr === "shape" ? [owner.rows, owner.columns] : owner; // .real, .dtype
    },
    Subscript: ({ value, slice }, env) => {
      const [A, k] = [evaluate(value, env), evaluate(slice, env)];
      if (k?.[1]?.slice) return columns(A, ...k[1].slice); // [..., H : 2 * H]
      if (Array.isArray(k)) return A; // [..., None]: a batch of one needs no axis
      if (Array.isArray(A)) return A.at(k);
      const numbers = A.of.slice(k * A.columns, (k + 1) * A.columns);
      const copies = numbers.map((number) => make("copy", number));
      return array(1, A.columns, copies);
    },
    Slice: ({ lower, upper }, env) => ({
      slice: [lower, upper].map((end) => (end ? evaluate(end, env) : undefined)),
    }),
    Call: ({ func, args, keywords }, env) => {
      const given = args.flatMap((each) =>
        each.kind === "Starred" ? evaluate(each.value, env) : [evaluate(each, env)],
      );
      const [axis] = keywords.map(({ value }) => evaluate(value, env));
      if (func.kind === "Attribute") {
        if (func.value.id === "np") return NUMPY[func.attr](...given);
        return METHODS[func.attr](evaluate(func.value, env), axis);
      }
      if (func.id in OPEN) return OPEN[func.id](...given);
      if (func.id in functions) return call_function(func.id, given, env.place).result;
      const { fields } = caches[func.id];
      const entries = fields.map((field, k) => [field, given[k]]);
      return { type: func.id, fields: Object.fromEntries(entries) };
    },
  };
  const evaluate = (node, env) => EVALUATE[node.kind](node, env);

  const EXECUTE = {
    Expr: () => {},
    Assign: (statement, call) => {
      const value = evaluate(statement.value, call.env);
      note(fields_of(value ?? []), statement, call);
      assign(statement.targets[0], value, call);
    },
    AugAssign: (statement, call) => {
      const { target, op, value } = statement;
      const sum = evaluate({ kind: "BinOp", left: target, op, right: value }, call.env);
      note(sum, statement, call);
      assign(target, sum, call);
    },
    If: ({ test, body, orelse }, call) => execute(evaluate(test, call.env) ? body : orelse, call),
    Return: (statement, call) => {
      const value = evaluate(statement.value, call.env);
      note(value, statement, call);
      for (const part of Array.isArray(value) ? value : [value]) name(part, call.name, call);
      return value;
    },
  };

  function execute(body, call) {
    for (const statement of body) {
      const value = EXECUTE[statement.kind](statement, call);
      if (value !== undefined) return value;
    }
  }

  // place is kept with the call, and with those that it makes.
  function call_function(called, given, place) {
    const { args, defaults, body } = functions[called].tree;
    const call = { name: called, place, env: { place } };
    args.forEach((argument, k) => {
      const missing = defaults[k - args.length + defaults.length];
      call.env[argument] = k < given.length ? given[k] : evaluate(missing, {});
    });
    const result = execute(body, call);
    return { result, call };
  }

  return { call: call_function, name, note };
}
