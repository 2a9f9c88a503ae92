// A model that learns a text as on the page: its gradients, its file and its continuation.

import { writeFileSync } from "node:fs";
import { new_model, random_numbers } from "../../numpylstm/explore/draws.js";
import {
  beginning,
  cleaned,
  continuation,
  encode,
  make_learner,
  objection,
  prompt_of,
  vocabulary,
} from "../../numpylstm/explore/learner.js";
import { safetensors } from "../../numpylstm/explore/safetensors.js";
import { make_trainer } from "../../numpylstm/explore/trainer.js";
import { answer, out } from "./exchange.mjs";

const TASKS = {
  // Two updates with lr 1 without momentum: the weights change by minus the gradients.
  gradients({ cell, sizes, windows }) {
    const parameters = new_model(cell, random_numbers(3), {
      ...sizes,
      D: sizes.H,
      init_scale: 0.6,
    });
    const trainer = make_trainer(cell, parameters, sizes);
    const steps = [out(parameters)];
    const losses = windows.map(([ids, targets]) => {
      const settings = { lr: 1, momentum: 0, clip: Number.POSITIVE_INFINITY };
      const found = trainer.update(ids.flat(), targets.flat(), settings);
      steps.push(out(parameters));
      return found;
    });
    return { steps, losses };
  },

  learn({ text, cell, H, updates, file, length, hold }) {
    const { tokens } = vocabulary(text);
    const ids = encode(text, tokens);
    const learner = make_learner({ ids, V: tokens.length, cell, H });
    const prompt = ids.slice(0, 5);
    const first = learner.report(prompt, 0.8, 20).held_out;
    const before = out(learner.parameters);
    if (hold) learner.hold(hold);
    for (let k = 0; k < updates; k++) learner.update();
    const held = out(learner.parameters);
    const with_hold = learner.report(prompt, 0, 1);
    learner.hold(null);
    const { held_out, sample } = learner.report(prompt, 0.8, 50);
    if (file) writeFileSync(file, safetensors(learner.parameters, tokens));
    const greedy = continuation(cell, learner.parameters, prompt, length, 0);
    const written = (drawn) => drawn.map((id) => tokens[id]).join("");
    return {
      first,
      held_out,
      before,
      held,
      with_hold,
      after: learner.parameters,
      prompt: written([...prompt]),
      sample: written(sample),
      greedy: written(greedy),
    };
  },

  texts: ({ texts }) =>
    texts.map((text) => ({
      said: objection(cleaned(text)),
      begins: beginning(text).length,
      prompt: prompt_of(cleaned(text)).join(""),
      ...vocabulary(cleaned(text)),
    })),
};

answer(({ task, ...given }) => TASKS[task](given));
