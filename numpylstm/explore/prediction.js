// What a model predicts: the next token, the loss of a text, and where it was surprised.

import { button, element, number } from "./elements.js";
import { fixed } from "./numbers.js";
import { in_text, LEVELS, visible } from "./tokens.js";

const as_text = (p) => (p < 0.0005 ? "<\u202f0.001" : fixed(p, 3));

// -log p of each token of a reading but the first, in nats.
export const surprises = (reading) =>
  reading.map(({ id }, t) => (t ? -Math.log(reading[t - 1].p[id]) : Number.NaN));

// The places of a text from the most to the least surprising.
export const by_surprise = (nll) =>
  [...nll.keys()].slice(1).sort((one, other) => nll[other] - nll[one]);

const mean = (nll) => nll.slice(1).reduce((sum, v) => sum + v, 0) / (nll.length - 1);

// The loss of the text, free and with clamps, in a line; part: model, ids, nll, and the free reading.
export function show_loss(line, { model, ids, nll, free, is_held }) {
  line.replaceChildren();
  if (ids.length < 2) return;
  const digits = (v) => fixed(v, 4);
  const loss = mean(surprises(free));
  line.append("Loss of this text: ", number("loss", loss, digits), " nats per token");
  line.append(` (perplexity ${fixed(Math.exp(loss), 2)}; ${ids.length - 1} tokens scored)`);
  if (is_held) line.append("; with the cell held ", number("loss-held", mean(nll), digits));
  line.append(".");
  const is_its_text = model.loss !== undefined && String(ids) === String(model.ids);
  if (is_its_text && !(Math.abs(loss - model.loss) < 1e-5 * Math.max(1, model.loss)))
    line.append(` numpylstm computes ${model.loss}: do not trust this page, and report it.`);
}

// The most surprising and the best predicted places, each with what is before it.
export function list_places(root, { model, words, nll }, point) {
  const { context } = LEVELS[model.level];
  const shown = (word) => in_text(word, model.level).replace("\n", "");
  const entry = (t) => {
    const before = words.slice(Math.max(0, t - context), t).map(shown);
    const go = button(() => point(t - 1), ...before, element("mark", {}, visible(words[t])));
    return element("li", {}, go, ` ${as_text(Math.exp(-nll[t]))}`);
  };
  const order = by_surprise(nll);
  root.querySelector("[data-name=worst]").replaceChildren(...order.slice(0, 5).map(entry));
  const best = order.toReversed().slice(0, 5);
  root.querySelector("[data-name=best]").replaceChildren(...best.map(entry));
}

// The most probable tokens after place `at`, and the one that came; the second bar is with the clamps.
export function draw_bars(table, { model, ids, at, free, reading, is_held }) {
  const [p, q] = [free[at].p, reading[at].p];
  const came = ids[at + 1];
  const order = [...p.keys()].sort((a, b) => Math.max(p[b], q[b]) - Math.max(p[a], q[a]));
  const listed = order.slice(0, 8);
  if (came !== undefined && !listed.includes(came)) listed[7] = came;
  const bar = (kind, size) =>
    element("i", { class: kind, style: `width:${(100 * size).toFixed(1)}%` });
  const row = (v) => {
    const bars = [bar("free", p[v])];
    const numbers = [number("p", p[v], as_text, { "data-token": v })];
    if (is_held) {
      bars.push(bar("hand", q[v]));
      numbers.push(number("q", q[v], as_text, { "data-token": v }));
    }
    const token = element("th", {}, element("code", {}, visible(model.tokens[v])));
    const bar_cell = element("td", { class: "bar" }, ...bars);
    const number_cell = element("td", { class: "numbers" }, ...numbers);
    return element("tr", { class: v === came ? "came" : "" }, token, bar_cell, number_cell);
  };
  table.querySelector("[data-name=held-head]").hidden = !is_held;
  table.querySelector("tbody").replaceChildren(...listed.map(row));
}
