// A model that learns a text: what happens in the worker of "Your own text", and in a test without one.

import { new_model, random_numbers } from "./draws.js";
import { cross_entropy_step_forward, FAR, language_model_forward, zero_state } from "./engine.js";
import { make_trainer } from "./trainer.js";

export const LONGEST = 200_000; // bytes of a text, as UTF-8
const SHORTEST = 500; // characters
const MOST_SYMBOLS = 255; // the others are read as <unk>
const RECIPE = { T: 25, B: 8, momentum: 0.9, clip: 5, init_scale: 0.1, forget_bias: 1 };
const HELD_OUT = 1000; // characters of the end that are scored, at most
const SLICE = 80; // milliseconds, during which no message is read

// --- text to ids ----------------------------------------------------------------------------------

// The text as the package reads it: one kind of line end, and no halves of characters.
export const cleaned = (text) =>
  text
    .replace(/^\ufeff/, "")
    .replace(/\r\n?/g, "\n")
    .replace(/\p{Surrogate}/gu, "\ufffd");

export const size = (text) => new TextEncoder().encode(text).length;

// One sentence on a text that cannot be learned as it is, or null.
export function objection(text) {
  if (text.includes("\0")) return "This is not a text: it has a NUL character.";
  if ([...text].length < SHORTEST)
    return `This text has ${[...text].length} characters; learning needs at least ${SHORTEST}.`;
  if (size(text) > LONGEST)
    return `This text has ${Math.ceil(size(text) / 1000)} kB; the page learns from at most ${LONGEST / 1000} kB.`;
  return null;
}

// The longest beginning that is short enough, of whole characters.
export function beginning(text) {
  const bytes = new TextEncoder().encode(text).subarray(0, LONGEST);
  return new TextDecoder().decode(bytes, { stream: true });
}

// Eight characters with which samples begin: of a line in the middle, or of the first.
export function prompt_of(text) {
  const line = text.indexOf("\n", text.length / 2) + 1;
  return [...(line + 16 < text.length ? text.slice(line) : text)].slice(0, 8);
}

// <unk> first, then the characters by how often they occur.
export function vocabulary(text) {
  const counts = new Map();
  for (const character of text) counts.set(character, (counts.get(character) ?? 0) + 1);
  const order = [...counts].sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1));
  return {
    tokens: ["<unk>", ...order.slice(0, MOST_SYMBOLS).map(([c]) => c)],
    distinct: order.length,
  };
}

export function encode(text, tokens) {
  const known = new Map(tokens.map((token, id) => [token, id]));
  return Int32Array.from([...text], (character) => known.get(character) ?? 0);
}

// --- text from a model ----------------------------------------------------------------------------

// Continue ids by `length` more, never with <unk>. At temperature 0, the most probable each time.
export function continuation(cell, parameters, ids, length, temperature, random) {
  let state = zero_state(cell, parameters, 1);
  let scores;
  const read = (id) => {
    let logits;
    [logits, state] = language_model_forward(cell, parameters, [[id]], state);
    scores = logits[0].data;
  };
  ids.forEach(read);
  const drawn = [];
  while (drawn.length < length) {
    let best = 1;
    for (let v = 2; v < scores.length; v++) if (scores[v] > scores[best]) best = v;
    let id = best;
    if (temperature > 0) {
      const weights = scores.map((s, v) => (v ? Math.exp((s - scores[best]) / temperature) : 0));
      let place = random() * weights.reduce((sum, weight) => sum + weight, 0);
      for (id = 1; id < weights.length - 1 && place >= weights[id]; id++) place -= weights[id];
    }
    drawn.push(id);
    read(id);
  }
  return drawn;
}

// --- learning -------------------------------------------------------------------------------------

export function make_learner({ ids, V, cell, H, seed = 1, lr = 0.05 }) {
  const { T, B, init_scale, forget_bias, ...settings } = RECIPE;
  const random = random_numbers(seed);
  const parameters = new_model(cell, random, { V, D: H, H, init_scale, forget_bias });
  const trainer = make_trainer(cell, parameters, { T, B });
  const learned = Math.floor(0.9 * ids.length); // characters; the rest is held out
  const stream = Math.floor((learned - 1) / B); // characters of each of the B sequences
  const held_out = ids.slice(learned, learned + HELD_OUT);
  const [window, targets] = [new Int32Array(T * B), new Int32Array(T * B)];
  const learner = { parameters, lr, updates: 0, characters: 0, loss: Math.log(V) };
  let at = 0;
  let hold = null; // {gate, value}, of all units
  let kept = null; // the parameters as they were when the gate was not held

  function update() {
    if (at + T > stream) at = 0;
    for (let t = 0; t < T; t++) {
      for (let r = 0; r < B; r++) {
        window[t * B + r] = ids[r * stream + at + t];
        targets[t * B + r] = ids[r * stream + at + t + 1];
      }
    }
    at += T;
    const { loss } = trainer.update(window, targets, { ...settings, lr: learner.lr });
    learner.updates += 1;
    learner.characters += T * B;
    learner.loss += Math.max(0.02, 1 / learner.updates) * (loss / T - learner.loss); // smoothed
    if (hold) set_columns(held_column);
  }

  // The loss per character of the text held out.
  function score() {
    const inputs = Array.from(held_out.subarray(0, -1), (id) => [id]);
    const state = zero_state(cell, parameters, 1);
    const [logits] = language_model_forward(cell, parameters, inputs, state);
    const losses = logits.map(
      (scores, t) => cross_entropy_step_forward(scores, [held_out[t + 1]], [1])[0],
    );
    return losses.reduce((sum, loss) => sum + loss) / losses.length;
  }

  // A held gate has zero weights and a bias of 1000 or -1000, which no gradient changes; its momentum would.
  const held_column = (path) => (path.endsWith(".b") ? (hold.value ? FAR : -FAR) : 0);
  const kept_column = (path, k) => kept[path].data[k];
  function set_columns(value) {
    const block = ["i", "f", "g", "o"].indexOf(hold.gate);
    for (const key of ["Wx", "Wh", "b"]) {
      const path = `${cell}.0.${key}`;
      const { rows, columns, data } = parameters[path];
      for (let r = 0; r < rows; r++) {
        const start = r * columns + block * H;
        for (let k = start; k < start + H; k++) data[k] = value(path, k);
      }
    }
  }
  learner.hold = (next) => {
    if (hold) set_columns(kept_column);
    kept = structuredClone(parameters);
    hold = next;
    if (hold) set_columns(held_column);
  };

  learner.train = (milliseconds) => {
    const began = performance.now();
    while (performance.now() - began < milliseconds) update();
    return performance.now() - began;
  };
  // The loss per character of the text held out if the held gate were free again.
  function score_free() {
    if (!hold) return null;
    set_columns(kept_column);
    const free = score();
    set_columns(held_column);
    return free;
  }

  // What is shown: losses, a sample that continues `prompt`, and the parameters.
  learner.report = (prompt, temperature, length = 120) => {
    const sample = continuation(cell, parameters, prompt, length, temperature, random);
    const { updates, characters, loss } = learner;
    const losses = { loss, held_out: score(), free: score_free() };
    return { updates, characters, ...losses, sample, parameters };
  };
  learner.update = update;
  return learner;
}

// --- in a worker ----------------------------------------------------------------------------------

// Answer the messages of the page: {start}, {running}, {lr}, {hold}. Reports come once a second.
export function serve(post) {
  let learner = null;
  let prompt = [];
  let running = false;
  let busy = 0; // milliseconds of learning so far
  let next = 0; // of the next report

  const report = () =>
    post({ ...learner.report(prompt, 0.8), speed: learner.characters / (busy / 1000) });
  function loop() {
    if (!running) return;
    busy += learner.train(SLICE);
    if (busy >= next) {
      next = busy + Math.min(1000, 200 + busy);
      report();
    }
    setTimeout(loop, 0);
  }
  return ({ start, hold, lr, running: go }) => {
    if (start) {
      learner = make_learner(start);
      prompt = start.prompt;
      busy = 0;
      next = 200;
    }
    if (lr !== undefined) learner.lr = lr;
    if (hold !== undefined) {
      learner.hold(hold);
      report(); // what it costs, at once
    }
    if (go !== undefined && go !== running) {
      running = go;
      if (running) setTimeout(loop, 0);
    }
  };
}
