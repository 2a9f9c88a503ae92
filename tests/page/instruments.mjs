// The numbers of the instruments of the page, without a browser.

import { held } from "../../numpylstm/explore/clamps.js";
import { CHANCE, delayed_copy, FLOOR, random_numbers } from "../../numpylstm/explore/draws.js";
import { zero_state } from "../../numpylstm/explore/engine.js";
import { norms_by_input } from "../../numpylstm/explore/lag.js";
import { load_model, read, recorded, recorded_norms } from "../../numpylstm/explore/models.js";
import { carried, rewritten } from "../../numpylstm/explore/pulse.js";
import { look, new_race, update } from "../../numpylstm/explore/race.js";
import { draw_networks, networks, reach } from "../../numpylstm/explore/reach.js";
import { compute } from "../../numpylstm/explore/step.js";
import { answer } from "./exchange.mjs";

const parameters_of = (racers) =>
  Object.fromEntries(Object.values(racers).map((racer) => [racer.cell, racer.parameters]));

const INSTRUMENTS = {
  step: ({ cell, outside, weights }) => compute(cell, outside, weights),

  pulse: ({ w, forget_bias }) => ({ rewritten: rewritten(w), carried: carried(forget_bias) }),

  reach({ seed, ...settings }) {
    const drawn = draw_networks(seed);
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

  // The parameters before and after some updates, and their batches; then a look after many more.
  race({ settings, few, many }) {
    const race = new_race(settings);
    const before = parameters_of(race.racers);
    const random = random_numbers(settings.seed + 1e6);
    const next = () => delayed_copy(random, settings.delay, 16);
    const batches = Array.from({ length: few }, next);
    for (let k = 0; k < few; k++) update(race, settings);
    const after = parameters_of(race.racers);
    const shown = Object.values(race.racers).map(({ cell, loss, norm }) => [cell, { loss, norm }]);
    while (race.updates < many) update(race, settings);
    const batch = next();
    const looks = Object.values(race.racers).map((racer) => {
      const { loss, gradients, by_lag } = look(racer, batch);
      return [racer.cell, { loss, gradients, smooth: racer.loss, by_lag: by_lag() }];
    });
    return {
      before,
      batches,
      after,
      shown: Object.fromEntries(shown),
      batch,
      end: parameters_of(race.racers),
      looks: Object.fromEntries(looks),
      chance: CHANCE,
      floor: FLOOR,
    };
  },
};

const units_of = (step) =>
  Object.fromEntries(Object.entries(step).filter(([, value]) => value?.rows === 1));

answer(({ instrument, ...given }) => INSTRUMENTS[instrument](given));
