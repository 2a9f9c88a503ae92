// The first figure of the page as it stands there before, or without, JavaScript:
//     node tests/page/first_figure.mjs > numpylstm/explore/counts.html

import { readFileSync } from "node:fs";
import { zero_state } from "../../numpylstm/explore/engine.js";
import { load_model, read } from "../../numpylstm/explore/models.js";
import { draw_staircase, picture, UNFINISHED } from "../../numpylstm/explore/staircase.js";

const file = new URL("../../numpylstm/explore/models.json", import.meta.url);
const { brackets } = JSON.parse(readFileSync(file, "utf8"));
const model = load_model({ ...brackets, cell: { name: "lstm" }, options: [] });
const words = [...UNFINISHED];
const ids = words.map((word) => model.tokens.indexOf(word));
const reading = read(model, model.parameters, zero_state("lstm", model.parameters, 1), ids);
const attributes = {
  class: "chart staircase",
  role: "img",
  "aria-label": "The value of one cell at each character of the text",
};
const svg = {
  clientWidth: 736,
  style: {},
  setAttribute: (name, value) => {
    attributes[name] = value;
  },
};
const shown = picture(model, words, reading);
draw_staircase(svg, { ...shown, before: shown.values });
attributes.style = `height: ${svg.style.height}`;
const said = Object.entries(attributes).map(([name, value]) => `${name}="${value}"`);
process.stdout.write(
  `<svg ${said.join(" ")}>${svg.innerHTML.replace(/<(?=rect|text|path)/g, "\n$&")}</svg>\n`,
);
