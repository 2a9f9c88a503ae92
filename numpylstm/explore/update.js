// One update of the small network of a golden tape, in the order of computation: forwards in time,
// backwards, clipping, gradient descent. The functions are those of the textbook, run by `textbook.js`.

import { array, constant, elementwise, index, interpreter, make, row } from "./textbook.js";

const RULE_3 = "# rule 3: the sum of the gradients from every use";

const letter_of = (path) => path.replace(/^.*\./, "");
function zeros({ rows, columns, of }) {
  const numbers = of.map(() => constant(0));
  return array(rows, columns, numbers);
}

// Returns {steps, all, numbers, history, layers}. steps: the statements; all: the numbers by id; numbers: by their
// names on the tape, with `clipped.` and `after.` for those beyond it; history: {path: stages of a weight}.
// given: {inputs, parameters} as on the tape.
export function run_update(data, cell, { inputs, parameters }, { lr, max_norm }) {
  const { functions } = data;
  const { ids, targets } = inputs;
  const steps = [];
  const all = [];
  const numbers = new Map();
  const history = {};
  const with_ids = (made) => {
    for (const number of made) number.id = all.push(number) - 1;
  };
  const textbook = interpreter(data, (step) => {
    with_ids(step.results);
    return steps.push(step) - 1;
  });

  // Keep an array, or all of a call, under the names of the tape.
  function put(path, A) {
    A.of.forEach((number, k) => {
      numbers.set(`${path}${index(A, k)}`, number);
    });
  }
  function put_all(path, { env }) {
    for (const [name, A] of Object.entries(env)) if (A?.of) put(`${path}.${name}`, A);
  }

  // Numbers of the tape that are given: [[...]] to a matrix, [...] to a row.
  function given(part, path, values) {
    const A = Array.isArray(values[0])
      ? array(values.length, values[0].length, values.flat().map(constant))
      : row(values);
    A.of.forEach((number, k) => {
      const name = `${path}${index(A, k)}`;
      Object.assign(number, { op: "given", name, variable: path, uses: [], step: -1 });
    });
    put(`${part}.${path}`, A);
    with_ids(A.of);
    return A;
  }

  // A statement between the functions, by its text; the line is quoted from `name` if that has it.
  function between(name, text, variable, place, A) {
    const line = functions[name].lines.findIndex((each) => each.includes(text)) + 1;
    const call = line
      ? { name, place, env: {} }
      : { lines: [`${text}  ${RULE_3}`], place, env: {} };
    textbook.note(A, { lineno: line || 1, end_lineno: line || 1 }, call);
    textbook.name(A, variable, call);
    return A;
  }

  const p = {};
  for (const [path, values] of Object.entries(parameters)) {
    p[path] = given("parameters", path, values);
    history[path] = [{ title: (W) => W, A: p[path] }];
  }
  const layers = Object.keys(data.cells[cell].tape.forward.t0).filter((key) => key.includes("."));
  const paths = layers.map((layer) => Object.keys(p).filter((path) => path.startsWith(layer)));
  const initial = Object.keys(inputs).filter((key) => key.endsWith("0"));
  const state = layers.map((_, k) =>
    initial.map((name) => given("inputs", `${name}[${k}]`, inputs[name][k])),
  );

  // --- forwards -----------------------------------------------------------------------------------

  const kept = ids.map((id, t) => {
    const name = `forward.t${t}`;
    const run = (called, values, layer) =>
      textbook.call(called, values, { way: "forward", t, layer });
    let [x] = run("embedding_forward", [id, p["embedding.W"]], "x").result;
    textbook.name(x, "x", x.of[0].call, true);
    put(`${name}.x`, x);
    const caches = layers.map((layer, k) => {
      const weights = paths[k].map((path) => p[path]);
      const { result, call } = run(`${cell}_step_forward`, [x, ...state[k], ...weights], k);
      put_all(`${name}.${layer}`, call);
      const cache = result.pop();
      state[k] = result;
      [x] = result;
      return cache;
    });
    const decoder = [x, p["decoder.W"], p["decoder.b"]];
    const [logits, decoded] = run("linear_forward", decoder, "scores").result;
    textbook.name(logits, "logits", logits.of[0].call, true);
    put(`${name}.logits`, logits);
    const { result, call } = run("cross_entropy_step_forward", [logits, targets[t], 1], "loss");
    const { nll } = call.env;
    put(`${name}.nll`, nll);
    return { caches, decoded, scored: result[1], nll };
  });
  const loss = kept.map(({ nll }) => nll).reduce((sum, nll) => elementwise("+", sum, nll));
  const end = { way: "forward", t: ids.length - 1, layer: "loss" };
  put("loss", between("cross_entropy_step_forward", "loss = ", "loss", end, loss));

  // --- backwards ----------------------------------------------------------------------------------

  const gradients = {};
  function collect(path, gradient, place) {
    const dW = `d${letter_of(path)}`;
    const sum = elementwise("+", gradients[path] ?? zeros(gradient), gradient);
    gradients[path] = between(`${cell}_backward`, `${dW} += ${dW}_t`, dW, { ...place, path }, sum);
    history[path].push({ title: (W) => `d${W}, added up so far,`, A: sum });
  }
  const future = state.map((parts) => parts.map(zeros));
  for (let t = ids.length - 1; t >= 0; t--) {
    const name = `backward.t${t}`;
    const place = (layer) => ({ way: "backward", t, layer });
    const run = (called, values, layer) => textbook.call(called, values, place(layer));
    const { caches, decoded, scored } = kept[t];
    const { result: dlogits, call } = run("cross_entropy_step_backward", [scored, 1], "loss");
    put(`forward.t${t}.probabilities`, call.env.p);
    put(`${name}.dlogits`, dlogits);
    textbook.name(dlogits, "dlogits", call, true);
    let [dx, dW, db] = run("linear_backward", [dlogits, decoded], "scores").result;
    for (const [name, A] of Object.entries({ dx, dW })) textbook.name(A, name, A.of[0].call, true);
    put(`${name}.dx`, dx);
    collect("decoder.W", dW, place("scores"));
    collect("decoder.b", db, place("scores"));
    for (let k = layers.length - 1; k >= 0; k--) {
      const [later, ...rest] = future[k];
      const sum = elementwise("+", dx, later);
      const dh = between(`${cell}_backward`, "dhs[t] + dh", "dh", place(k), sum);
      const { result, call } = run(`${cell}_step_backward`, [dh, ...rest, caches[k]], k);
      put_all(`${name}.${layers[k]}`, call);
      [dx, ...future[k]] = result.slice(0, 1 + initial.length);
      paths[k].forEach((path, n) => {
        collect(path, result[1 + initial.length + n], place(k));
      });
    }
    const table = zeros(p["embedding.W"]);
    table.of.splice(ids[t] * dx.columns, dx.columns, ...dx.of);
    collect("embedding.W", table, place("x"));
  }
  for (const [path, gradient] of Object.entries(gradients)) put(`gradients.${path}`, gradient);
  initial.forEach((name, s) => {
    future.forEach((parts, k) => {
      put(`gradients.${name}[${k}]`, parts[s]);
    });
  });

  // --- clip, and descend --------------------------------------------------------------------------

  const squares = Object.values(gradients).flatMap(({ of }) => of.map((g) => make("*", g, g)));
  const sum_of_squares = squares.reduce((sum, square) => make("+", sum, square));
  const root = make("sqrt", sum_of_squares);
  const norm = between("clip", "norm = ", "norm", { way: "update" }, array(1, 1, [root]));
  const factor = array(1, 1, [make("min", constant(1), make("/", constant(max_norm), norm.of[0]))]);
  put("norm", norm);
  for (const path of Object.keys(p)) {
    const place = { way: "update", path };
    const scaled = elementwise("*", gradients[path], factor);
    const clipped = between("clip", "max_norm / norm", `d${letter_of(path)}`, place, scaled);
    put(`clipped.${path}`, clipped);
    history[path].push({ title: (W) => `d${W}, clipped,`, A: clipped });
  }
  for (const path of Object.keys(p)) {
    const clipped = history[path].at(-1).A;
    const place = { way: "update", path };
    const { w } = textbook.call("sgd_update", [p[path], clipped, lr], place).call.env;
    put(`after.${path}`, w);
    history[path].push({ title: (W) => `new ${W}`, A: w });
  }
  return { steps, all, numbers, history, layers };
}
