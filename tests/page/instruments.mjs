// The numbers of the instruments of the page, without a browser.

import { held } from "../../numpylstm/explore/clamps.js";
import { CHANCE, delayed_copy, FLOOR, random_numbers } from "../../numpylstm/explore/draws.js";
import { zero_state } from "../../numpylstm/explore/engine.js";
import { norms_by_input } from "../../numpylstm/explore/lag.js";
import { load_model, read, recorded, recorded_norms } from "../../numpylstm/explore/models.js";
import { carried, rewritten } from "../../numpylstm/explore/pulse.js";
import { arriving, new_race, update } from "../../numpylstm/explore/race.js";
import { draw_networks, networks, reach } from "../../numpylstm/explore/reach.js";
import { compute } from "../../numpylstm/explore/step.js";
import { answer, out } from "./exchange.mjs";

const INSTRUMENTS = {
  step: ({ cell, outside, weights }) => compute(cell, outside, weights),

  pulse: ({ w, forget_bias }) => ({ rewritten: rewritten(w), carried: carried(forget_bias) }),

  reach(settings) {
    const drawn = draw_networks();
    const { x, dhT } = drawn;
    return { x, dhT, ...networks(drawn, settings), curves: reach(drawn, settings) };
  },

  // A model of the page, or of an explorer, reads ids; one of its cells is in hand.
  reading({ stored, ids, clamps = {}, layer = 0, unit = 0, norms = [] }) {
    const model = load_model(stored);
    if (model.recorded) {
      const found = recorded_norms(model);
      return { places: recorded(model), norms: norms.map((t) => found(t)) };
    }
    const [parameters, state] = held(model, layer, unit, clamps);
    const places = read(model, parameters, state, ids);
    const zeros = zero_state(model.cell.name, parameters, 1);
    const free = read(model, model.parameters, zeros, ids);
    return {
      places: places.map(({ p, steps }) => ({ p, steps: steps.map(units_of) })),
      norms: norms.map((t) => norms_by_input(model, free.slice(0, t + 1), ids[t + 1])),
    };
  },

  // The parameters before and after some updates, and their batches; then a batch after many more.
  race({ settings, few, many }) {
    const race = new_race(settings);
    const racers = Object.values(race.racers);
    const of_racers = (f) => Object.fromEntries(racers.map((racer) => [racer.cell, f(racer)]));
    const parameters_of = () => of_racers(({ parameters }) => out(parameters)); // they will change
    const before = parameters_of();
    const random = random_numbers(settings.seed + 1e6);
    const next = () => delayed_copy(random, settings.distance, 16);
    const batches = Array.from({ length: few }, next);
    for (let k = 0; k < few; k++) update(race, settings);
    const after = parameters_of();
    const shown = of_racers(({ loss, norm }) => ({ loss, norm }));
    while (race.updates < many) update(race, settings);
    const batch = next();
    return {
      before,
      batches,
      after,
      shown,
      batch,
      end: parameters_of(),
      smooth: of_racers(({ loss }) => loss),
      arriving: of_racers((racer) => arriving(racer, batch)),
      chance: CHANCE,
      floor: FLOOR,
    };
  },
};

const units_of = (step) =>
  Object.fromEntries(Object.entries(step).filter(([, value]) => value?.rows === 1));

answer(({ instrument, ...given }) => INSTRUMENTS[instrument](given));
