// One update of each golden tape, by the interpreter of the player.

import { made_of } from "../../numpylstm/explore/textbook.js";
import { run_update } from "../../numpylstm/explore/update.js";
import { answer, map_values } from "./exchange.mjs";

const names = (numbers) => numbers.map(({ name }) => name);

answer(({ data, lr, max_norm }) =>
  map_values(data.cells, ({ tape }, cell) => {
    const { numbers, steps } = run_update(data, cell, tape, { lr, max_norm });
    const by_name = (f) => Object.fromEntries([...numbers].map(([name, n]) => [name, f(n)]));
    return {
      values: by_name(({ v }) => v),
      made_of: by_name((number) => names(made_of(number))),
      uses: by_name(({ uses }) => names(uses ?? [])),
      steps: steps.map(({ call, line, last, results }) => ({
        function: call.lines ? "" : call.name,
        lines: call.lines ?? [],
        line,
        last,
        variable: results[0].first,
      })),
    };
  }),
);
