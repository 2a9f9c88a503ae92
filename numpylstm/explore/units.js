// The cells of a layer while the model reads: a picture of them all, and the quantities of the chosen one.

import { cividis, paint_pixels, theme_colours } from "./colours.js";
import { button, element } from "./elements.js";
import { is_gate, words_of } from "./models.js";
import { fixed } from "./numbers.js";

const of_unit = ({ reading, layer, unit }, name) =>
  reading.map(({ steps }) => steps[layer][name].data[unit]);

// A row for each cell that is shown, a column for each token. Returns what the picture shows, in words.
export function draw_heat(heat, { model, reading, layer, unit, quantity }) {
  const { diverging } = theme_colours();
  const drawn = model.rows[layer];
  const gate = is_gate(model.cell, quantity);
  const value = (row, t) => reading[t].steps[layer][quantity].data[drawn[row]];
  let largest = gate ? 1 : 0.5;
  for (const t of reading.keys())
    for (const row of drawn.keys()) largest = Math.max(largest, Math.abs(value(row, t)));
  const colour = (row, t) => (gate ? cividis(value(row, t)) : diverging(value(row, t) / largest));
  if (reading.length) paint_pixels(heat, drawn.length, reading.length, colour);
  heat.style.height = `${Math.max(120, Math.min(256, 12 * drawn.length))}px`;
  heat.setAttribute("aria-valuemax", model.H - 1);
  heat.setAttribute("aria-valuenow", unit);
  heat.setAttribute("aria-valuetext", `cell ${unit}`);
  const which = model.ranking
    ? `the ${drawn.length} cells that matter most`
    : `all ${model.H} cells`;
  const range = fixed(largest, 1);
  const colours = gate ? "dark 0, bright 1" : `blue −${range}, orange ${range}`;
  return `${quantity}, the ${words_of(model.cell, quantity)}, of ${which}: ${colours}`;
}

// All quantities of the chosen cell, one above the other.
export function draw_strips(place, part) {
  const { diverging } = theme_colours();
  const { cell } = part.model;
  const strips = cell.units.flatMap(({ name }) => {
    const values = of_unit(part, name);
    const largest = values.reduce((most, v) => Math.max(most, Math.abs(v)), 1);
    const colour = (_, t) =>
      is_gate(cell, name) ? cividis(values[t]) : diverging(values[t] / largest);
    const canvas = element("canvas", { role: "img", "aria-label": `${name} over time` });
    if (values.length) paint_pixels(canvas, 1, values.length, colour);
    return [element("span", {}, name), canvas];
  });
  place.replaceChildren(...strips);
}

// The tint of each token by a quantity of the chosen cell, between -1 and 1; and its range in words.
export function tints(part) {
  const values = of_unit(part, part.quantity);
  const gate = is_gate(part.model.cell, part.quantity);
  const largest = values.reduce((most, v) => Math.max(most, Math.abs(v)), 1e-9);
  const range = values.length
    ? `, from ${fixed(Math.min(...values), 2)} to ${fixed(Math.max(...values), 2)}`
    : "";
  return { shares: values.map((v) => (gate ? 2 * v - 1 : v / largest)), range };
}

// The cells that matter most, if they have been ranked, as buttons.
export function list_ranking(place, { model, layer }, choose) {
  const { ranking, H, cell } = model;
  place.hidden = !ranking;
  if (!ranking) return;
  const ranked = ranking[layer];
  const all =
    ranked.length === H ? "all" : `the ${ranked.length} of ${H} that vary most were measured`;
  place.querySelector(".note").textContent =
    `By how much the loss per token rises if ${cell.memory_field} of the cell is held at its mean (${all}).`;
  const entry = ([unit, rise]) => {
    const made = button(() => choose(unit), `cell ${unit}`);
    made.value = unit;
    return element("li", {}, made, ` ${fixed(rise, 4).replace(/^\d/, "+$&")}`);
  };
  place.querySelector("ol").replaceChildren(...ranked.slice(0, 10).map(entry));
}
