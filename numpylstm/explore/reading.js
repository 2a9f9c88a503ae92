// A trained model reads a text; a reader chooses a place in it and a cell, and holds that cell.

import { draw_norms } from "./charts.js";
import { build_clamps, held } from "./clamps.js";
import { theme_colours } from "./colours.js";
import { draw_cell } from "./drawing.js";
import { choice, element, on_keys, show_text } from "./elements.js";
import { zero_state } from "./engine.js";
import { norms_by_input } from "./lag.js";
import {
  BRACKETS,
  load_model,
  most_probable,
  numbers_of,
  read,
  recorded,
  recorded_norms,
} from "./models.js";
import { fixed } from "./numbers.js";
import { by_surprise, draw_bars, list_places, show_loss, surprises } from "./prediction.js";
import { in_text, LEVELS, on_tokens, tokenize, visible } from "./tokens.js";
import { draw_heat, draw_strips, list_ranking, tints } from "./units.js";

const PRESETS = {
  brackets: { title: "brackets", text: BRACKETS },
  python: {
    title: "Python's language reference",
    text: 'The value of the expression is a "string" (or None). A class definition is an executable statement.',
  },
};
const FULL = 7; // nats of surprise at full colour: a probability of a thousandth

export function reading_part(root, stored) {
  const $ = (selector) => root.querySelector(selector);
  const models = Object.fromEntries(
    Object.entries(stored).map(([name, model]) => [name, load_model(model)]),
  );
  const part = { colour: "surprise", at: 0, clamps: {} };
  const textarea = $("textarea");
  const text = $(".text");
  const heat = $(".heat");

  // --- what is chosen -----------------------------------------------------------------------------

  function choose_model(name) {
    const model = models[name];
    const preset = PRESETS[name] ?? {};
    const layer = model.rows.length - 1;
    Object.assign(part, { name, model, layer, unit: model.unit ?? model.rows[layer][0] });
    part.quantity = model.cell.memory_field;
    part.free = part.reading = [];
    part.recorded_norms = model.recorded ? recorded_norms(model) : null;
    part.words = model.words ?? [...preset.text];
    textarea.value = preset.text ?? as_typed(model);
    textarea.parentNode.hidden = Boolean(model.recorded);
    textarea.maxLength = Math.max(1000, 2 * textarea.value.length);
    show_text(root, "kind", LEVELS[model.level].unit);
    part.at = Number.POSITIVE_INFINITY;
    build();
    hold({});
    if (model.words) point(by_surprise(part.nll)[0] - 1);
  }

  function choose_layer(layer) {
    Object.assign(part, { layer, unit: part.model.rows[layer][0] });
    build();
    hold({});
  }

  function choose_unit(unit) {
    if (unit === undefined || unit === part.unit) return point(part.at); // keep its clamps
    part.unit = unit;
    hold({});
  }

  function hold(clamps) {
    part.clamps = clamps;
    update();
    $(".clamping").hidden = Boolean(part.model.recorded);
    if (!part.model.recorded) build_clamps($(".clamping"), part, update, () => hold({}));
  }

  // --- reading ------------------------------------------------------------------------------------

  // The text, the model or the clamps have changed: read, then paint.
  function update() {
    const { model, layer, unit, clamps, words } = part;
    const known = new Map(model.tokens.map((token, id) => [token, id]));
    part.ids = words.map((word) => known.get(word) ?? known.get("<unk>"));
    part.is_held = Object.keys(clamps).length > 0;
    if (model.recorded) part.free = part.reading = recorded(model);
    else {
      const zeros = zero_state(model.cell.name, model.parameters, 1);
      part.free = read(model, model.parameters, zeros, part.ids, part.free);
      part.reading = part.is_held
        ? read(model, ...held(model, layer, unit, clamps), part.ids)
        : part.free;
    }
    part.nll = surprises(part.reading);
    show_text(root, "unknown", about_unknown(words.filter((word) => !known.has(word))));
    text.replaceChildren(...words.map(span));
    text.setAttribute("aria-valuemax", words.length);
    root.classList.toggle("nothing-read", words.length === 0);
    show_loss($("[data-name=loss-said]"), part);
    list_places(root, part, point);
    paint();
  }

  function span(word, t) {
    const shown = in_text(word, part.model.level);
    if (t === 0) return element("span", { "data-t": t }, shown);
    const nll = part.nll[t];
    const title = `p ${fixed(Math.exp(-nll), 4)}, surprise ${fixed(nll, 2)} nats`;
    return element("span", { "data-t": t, "data-nll": nll, title }, shown);
  }

  // --- painting -----------------------------------------------------------------------------------

  function paint() {
    const { model, layer, unit, reading, quantity } = part;
    const { behind_text } = theme_colours();
    const { shares, range } = tints(part);
    const by_unit = part.colour === "unit";
    part.spans = [...text.children];
    part.spans.forEach((each, t) => {
      const tint = behind_text(by_unit ? shares[t] : (part.nll[t] || 0) / FULL);
      each.style.backgroundColor = `rgb(${tint.join(" ")})`;
    });
    const coloured = by_unit
      ? `${quantity} of cell ${unit}${range}`
      : `surprise, −log p: orange is ${FULL} nats, p = 0.001, or more`;
    show_text(root, "coloured", coloured);
    show_text(root, "heat-title", draw_heat(heat, part));
    const rows = model.rows[layer];
    $(".row-mark").style.top = `${(100 * (rows.indexOf(unit) + 0.5)) / rows.length}%`;
    draw_strips($(".own-strips"), part);
    for (const made of root.querySelectorAll(".ranking button"))
      made.setAttribute("aria-pressed", Number(made.value) === unit);
    if (reading.length) point(part.at);
    else show_text(root, "place", "");
  }

  function point(at) {
    const { reading, model, layer, unit, spans, words } = part;
    part.at = Math.max(0, Math.min(reading.length - 1, at));
    spans.forEach((each, t) => {
      each.classList.toggle("here", t === part.at);
      each.classList.toggle("next", t === part.at + 1);
    });
    for (const mark of root.querySelectorAll(".column-mark"))
      mark.style.left = `${(100 * (part.at + 0.5)) / reading.length}%`;
    show_text(root, "place", visible(words[part.at]));
    show_text(root, "unit", unit);
    text.setAttribute("aria-valuenow", part.at + 1);
    text.setAttribute("aria-valuetext", `${part.at + 1}, ${visible(words[part.at])}`);
    draw_bars($(".bars"), part);
    draw_cell($(".drawing"), model.cell.name, numbers_of(model, reading, part.at, layer, unit));
    clearTimeout(part.later);
    part.later = setTimeout(paint_norms, part.slow ? 150 : 0); // a large model cannot follow the pointer
  }

  // How much the prediction depends on each earlier token: in the text, and as a chart.
  function paint_norms() {
    const { reading, at, model, ids } = part;
    if (!reading[at]) return;
    const began = performance.now();
    const target = ids[at + 1] ?? most_probable(reading[at].p); // at the end of the text
    if (model.recorded) part.norms = at < ids.length - 1 ? part.recorded_norms(at) : [];
    else part.norms = norms_by_input(model, reading.slice(0, at + 1), target);
    part.slow = performance.now() - began > 30;
    show_text(root, "target", visible(model.tokens[target]));
    const most = part.norms.reduce((a, b) => Math.max(a, b), 0);
    part.spans.forEach((each, s) => {
      const norm = part.norms[s];
      each.style.boxShadow = norm > 0.02 * most ? `inset 0 ${(-6 * norm) / most}px var(--rnn)` : "";
    });
    draw_norms($("svg.low"), part.norms.toReversed(), "rnn");
  }

  // --- controls -----------------------------------------------------------------------------------

  // The controls and the ranking of a model.
  function build() {
    const { model, layer } = part;
    list_ranking($(".ranking"), part, choose_unit);
    const set = (key) => (value) => {
      part[key] = value;
      paint();
    };
    const colours = ["surprise", ["unit", "the chosen cell"]];
    const names = model.cell.units.map(({ name }) => name);
    const controls = [
      choice("colour", "Colour of the text", colours, part.colour, set("colour")),
      choice("quantity", "Quantity of the cells", names, part.quantity, set("quantity")),
    ];
    if (Object.keys(models).length > 1) {
      const options = Object.entries(PRESETS).map(([key, { title }]) => [key, title]);
      controls.unshift(choice("model", "Model trained on", options, part.name, choose_model));
    }
    if (model.rows.length > 1) {
      const options = model.rows.map((_, k) => `${k}`);
      const change = (chosen) => choose_layer(Number(chosen));
      controls.push(choice("layer", "Layer, from the input", options, layer, change));
    }
    const focus = document.activeElement?.name;
    $(".controls").replaceChildren(...controls);
    if (focus) $(`.controls [name=${focus}]:checked`)?.focus();
  }

  textarea.addEventListener("input", () => {
    part.words = tokenize(textarea.value, part.model);
    part.at = Number.POSITIVE_INFINITY;
    update();
  });
  on_tokens(text, () => part.at, point);
  const rows = () => part.model.rows[part.layer];
  heat.addEventListener("click", (event) => {
    const box = heat.getBoundingClientRect();
    part.at = Math.floor(((event.clientX - box.left) / box.width) * part.reading.length);
    choose_unit(rows()[Math.floor(((event.clientY - box.top) / box.height) * rows().length)]);
  });
  on_keys(heat, { ArrowUp: -1, ArrowDown: 1 }, (move) =>
    choose_unit(rows()[rows().indexOf(part.unit) + move]),
  );
  part.extra = () => ({ unit: part.unit, at: part.at });
  part.restore = ({ unit, at, hold: value }) => {
    if (value === undefined) {
      const { [part.model.cell.memory_field]: _, ...others } = part.clamps;
      hold(others);
    }
    if (rows().includes(Number(unit))) choose_unit(Number(unit));
    if (at !== undefined) point(Number(at) || 0);
  };
  Object.assign(part, { paint, point, hold, paint_norms });
  choose_model(Object.keys(PRESETS).find((name) => name in models) ?? Object.keys(models)[0]);
  return part;
}

// A model's own text as it is typed.
const as_typed = ({ words, level }) => LEVELS[level].join(words).trimEnd();

function about_unknown(words) {
  const unknown = [...new Set(words)];
  if (!unknown.length) return "";
  const more = unknown.length > 20 ? ` and ${unknown.length - 20} more` : "";
  const some = unknown.slice(0, 20).map(visible).join(" ");
  return `Read as <unk>, because the model does not know it: ${some}${more}`;
}
