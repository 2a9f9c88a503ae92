// The opening: the cell that counts brackets reads its text by itself, in the drawing of the cell.

import { held } from "./clamps.js";
import { theme_colours } from "./colours.js";
import { draw_cell } from "./drawing.js";
import { button, element, number } from "./elements.js";
import { BRACKETS, numbers_of, read } from "./models.js";
import { fixed } from "./numbers.js";
import { in_text, on_tokens, visible } from "./tokens.js";

const PACE = 1000 / 3; // milliseconds a character
const CALM = 8; // the place that is shown if nothing may move

export function alive_part(root, model) {
  const $ = (selector) => root.querySelector(selector);
  const words = [...BRACKETS];
  const ids = words.map((word) => model.tokens.indexOf(word));
  const { unit } = model;
  const text = $(".text");
  const clamped = (clamps) => read(model, ...held(model, 0, unit, clamps), ids);
  const readings = { free: clamped({}), held: clamped({ f: 1 }) };
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const part = { at: calm ? CALM : 0, shown: "free", paused: calm };

  function paint() {
    const { at, shown } = part;
    const values = (place) => numbers_of(model, readings[shown], place, 0, unit);
    const { behind_text } = theme_colours();
    const span = (word, t) => {
      const tint =
        t <= at ? `background-color: rgb(${behind_text(values(t).c / 4).join(" ")})` : "";
      const attributes = { "data-t": t, class: t === at ? "here" : "", style: tint };
      return element("span", attributes, t ? in_text(word) : visible(word)); // not an empty first line
    };
    text.replaceChildren(...words.map(span));
    text.setAttribute("aria-valuemax", words.length);
    text.setAttribute("aria-valuenow", at + 1);
    text.setAttribute("aria-valuetext", `${visible(words[at])}, cell ${fixed(values(at).c, 2)}`);
    draw_cell($(".drawing"), "lstm", values(at));
    const p = readings[shown][at].p[model.tokens.indexOf("\n")];
    const probability = number("p", p, (v) => fixed(v, 2));
    ending.replaceChildren("Probability that the line ends here: ", probability);
    hold.textContent = shown === "held" ? "Let the forget gate go" : "Hold the forget gate open";
  }
  function go(at) {
    part.at = Math.max(0, Math.min(words.length - 1, at));
    paint();
  }
  function tick() {
    const { top, bottom } = root.getBoundingClientRect();
    if (!part.paused && bottom > 0 && top < innerHeight) go((part.at + 1) % words.length);
  }

  const hold = button(() => {
    part.shown = part.shown === "free" ? "held" : "free";
    paint();
  });
  const ending = element("p");
  $(".buttons").append(hold, ending);
  const pause = (on) => () => {
    part.paused = on || calm;
  };
  for (const event of ["pointerenter", "focusin"]) root.addEventListener(event, pause(true));
  for (const event of ["pointerleave", "focusout"]) root.addEventListener(event, pause(false));
  on_tokens(text, () => part.at, go);
  setInterval(tick, PACE);
  Object.assign(part, { paint, go });
  paint();
  return part;
}
