// The race. An RNN and an LSTM learn the delayed copy from the same sequences.

import { matmul_T_right } from "./arrays.js";
import { draw_lines, round_axis } from "./charts.js";
import { CHANCE, delayed_copy, FLOOR, new_model, random_numbers, VOCABULARY } from "./draws.js";
import { button, choice, element, lr_slider, number, show, slider } from "./elements.js";
import {
  cross_entropy_step_backward,
  cross_entropy_step_forward,
  language_model_forward,
  softmax,
  zero_state,
} from "./engine.js";
import { norms_by_lag } from "./lag.js";
import { fixed, scientific } from "./numbers.js";
import { make_trainer } from "./trainer.js";

const RECIPE = { D: 16, H: 16, B: 16, momentum: 0.9, updates: 2000 };
// Initial scales and clips of numpylstm.laboratory.diagnostics.horizon, found by a search there.
const RACERS = {
  rnn: { name: "RNN", init_scale: 0.4, clip: 1 },
  lstm: { name: "LSTM", init_scale: 0.4, forget_bias: 5, clip: 0.2 },
};
const SMOOTH = 0.03; // weight of the newest loss in the smoothed line
const LETTERS = "ABCD";
const AHEAD = 150; // updates when it comes into view

export function new_race({ seed, distance }) {
  const { D, H, B } = RECIPE;
  const T = distance + 1;
  const coefficients = new Float64Array(T * B).fill(1 / B, distance * B); // the answer alone counts
  const racers = {};
  for (const [cell, { init_scale, forget_bias }] of Object.entries(RACERS)) {
    const sizes = { V: VOCABULARY, D, H, init_scale, forget_bias };
    const parameters = new_model(cell, random_numbers(seed), sizes);
    racers[cell] = {
      cell,
      parameters,
      trainer: make_trainer(cell, parameters, { T, B, carry_state: false, coefficients }),
      loss: CHANCE,
      norm: 0,
      history: [[0, CHANCE]],
    };
  }
  return { updates: 0, distance, random: random_numbers(seed + 1e6), racers };
}

// How much of |dL/dh_T| arrives at each lag: at h of the RNN, at c of the LSTM.
export function arriving({ cell, parameters }, { ids, answers }) {
  const state = zero_state(cell, parameters, answers.length);
  const [logits, , caches] = language_model_forward(cell, parameters, ids, state);
  const coefficients = answers.map(() => 1 / answers.length);
  const [, cache] = cross_entropy_step_forward(logits.at(-1), answers, coefficients);
  const dh = matmul_T_right(cross_entropy_step_backward(cache), parameters["decoder.W"]);
  const norms = norms_by_lag(cell, dh, caches[0]);
  return norms.at(-1).map((norm) => norm / norms[0][0]);
}

// One update of both, on the same sequences.
export function update(race, { lr, clip }) {
  const batch = delayed_copy(race.random, race.distance, RECIPE.B);
  const ids = batch.ids.flat();
  const targets = new Int32Array(ids.length);
  targets.set(batch.answers, race.distance * RECIPE.B);
  race.updates += 1;
  race.batch = batch;
  for (const racer of Object.values(race.racers)) {
    const limit = clip ? RACERS[racer.cell].clip : Infinity;
    const settings = { lr, momentum: RECIPE.momentum, clip: limit };
    const { loss, norm } = racer.trainer.update(ids, targets, settings);
    racer.loss += SMOOTH * (loss - racer.loss);
    racer.norm = norm;
    racer.history.push([race.updates, racer.loss]);
  }
}

// --- the part of the page -------------------------------------------------------------------------

export function race_part(root) {
  const $ = (selector) => root.querySelector(selector);
  const more = $("details");
  const settings = { seed: 3, distance: 40, lr: 0.05, clip: true };
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const part = { settings, race: null, running: false, until: RECIPE.updates };

  function reset() {
    part.running = false;
    part.race = new_race(settings);
    part.random = random_numbers(settings.seed + 2e6);
    part.shown = delayed_copy(part.random, settings.distance, 1);
    paint();
  }

  function step(updates) {
    for (let k = 0; k < updates && !finished(); k++) update(part.race, settings);
    if (finished()) part.running = false;
    paint();
  }

  const finished = () => part.race.updates >= RECIPE.updates;
  const done = () => part.race.updates >= part.until;

  // A few updates at a time; what they change is painted less often, with reduced motion much less.
  function frame() {
    if (!part.running) return;
    part.next = setTimeout(frame, 4);
    const { top, bottom } = root.getBoundingClientRect();
    const hidden = bottom < 0 || top > innerHeight;
    if (hidden && part.until > AHEAD) return; // wait until it is in view again
    const began = performance.now();
    while (!done() && performance.now() - began < 12) update(part.race, settings);
    if (done()) part.running = false;
    if (!part.running || began - part.painted > (calm ? 500 : 50)) paint();
  }

  function run() {
    if (finished()) reset();
    part.running = part.until === AHEAD || !part.running;
    begin(RECIPE.updates);
  }

  function begin(until) {
    part.until = until;
    paint();
    clearTimeout(part.next);
    frame();
  }

  function paint() {
    const { race } = part;
    part.painted = performance.now();
    const racers = Object.values(race.racers);
    const most = 200 * 2 ** Math.max(0, Math.ceil(Math.log2(race.updates / 200)));
    const end = Math.min(most, RECIPE.updates);
    const losses = racers.flatMap(({ history, loss }) => [...history.map(([, v]) => v), loss]);
    const largest = losses.filter(Number.isFinite).reduce((a, b) => Math.max(a, b));
    const high = 2 ** Math.max(1, Math.ceil(Math.log2(largest)));
    const crowded = high > 4; // there is no room for two
    const chance_is = crowded ? `, floor ${fixed(FLOOR)}` : ": without memory";
    draw_lines($("svg.chart"), {
      x: { ...round_axis(end), label: "updates" },
      y: round_axis(high, (v) => (v < 1e5 ? v : scientific(v))),
      marks: [
        { y: FLOOR, text: crowded ? "" : `floor ${fixed(FLOOR)}: best possible` },
        { y: CHANCE, text: `chance ${fixed(CHANCE)}${chance_is}`, above: high > 2 },
      ],
      lines: racers.map(({ cell, history, loss }) => ({
        name: RACERS[cell].name,
        style: cell,
        points: [...history, [race.updates, loss]],
      })),
    });
    if (more.open) racers.forEach(show_racer);
    answer();
    const runs = part.running && part.until > AHEAD;
    buttons.run.textContent = runs ? "Pause" : finished() ? "Run again" : "Run";
    const progress = `${race.updates} of ${RECIPE.updates} updates`;
    show($("[data-name=updates]"), race.updates, () => progress);
  }

  function show_racer(racer) {
    const { cell, loss, norm } = racer;
    show($(`[data-name=loss-${cell}]`), loss);
    show($(`[data-name=norm-${cell}]`), norm, scientific);
    const { batch, distance } = part.race;
    if (batch) show($(`[data-name=arrives-${cell}]`), arriving(racer, batch)[distance], scientific);
  }

  // A sequence that is not learned from, and what each network answers.
  function answer() {
    const { ids } = part.shown;
    const [letter] = ids[0];
    const fillers = ids.slice(1, -1).map(([id]) => "·–"[id - LETTERS.length]);
    const cut =
      fillers.length > 24 ? [...fillers.slice(0, 12), "…", ...fillers.slice(-8)] : fillers;
    $(".sequence p").replaceChildren(
      element("b", {}, LETTERS[letter]),
      ` ${cut.join(" ")} ? The answer is ${LETTERS[letter]}.`,
    );
    const rows = Object.values(part.race.racers).map(({ cell, parameters }) => {
      const state = zero_state(cell, parameters, 1);
      const [logits] = language_model_forward(cell, parameters, ids, state);
      const p = softmax(logits.at(-1)).data;
      const best = [...LETTERS].reduce((most, _, k) => (p[k] > p[most] ? k : most), 0);
      const chances = [...LETTERS].map((name, k) => {
        const chance = number(`p-${cell}-${name}`, p[k], (v) => fixed(v, 2));
        return element("td", { class: k === letter ? "came" : "" }, chance);
      });
      const name = element("td", { class: cell }, RACERS[cell].name);
      const verdict = `says ${LETTERS[best]}${best === letter ? "" : ", wrong"}`;
      return element("tr", {}, name, ...chances, element("td", {}, verdict));
    });
    $(".sequence tbody").replaceChildren(...rows);
  }

  function another() {
    part.shown = delayed_copy(part.random, part.race.distance, 1);
    answer();
  }

  const buttons = {
    run: button(run, "Run"),
    step: button(() => step(1), "One update"),
    reset: button(reset, "Reset"),
    another: button(another, "Another sequence"),
  };
  $(".buttons").prepend(...Object.values(buttons));
  more.addEventListener("toggle", () => paint());
  const set = (name, again) => (value) => {
    settings[name] = value;
    if (again) reset();
    else paint();
  };
  const clips = `clip (RNN ${RACERS.rnn.clip}, LSTM ${RACERS.lstm.clip})`;
  $(".controls").append(
    slider("delay", "delay, in steps", [3, 60, 1], settings.distance, set("distance", true)),
    lr_slider("rate", [-2.5, 0], settings.lr, set("lr")),
    slider("seed", "seed", [1, 20, 1], settings.seed, set("seed", true)),
    choice("clip", clips, ["on", "off"], "on", (v) => set("clip")(v === "on")),
  );
  Object.assign(part, { paint, step, reset });
  reset();
  part.running = true;
  begin(AHEAD);
  return part;
}
