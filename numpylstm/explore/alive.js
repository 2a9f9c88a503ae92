// The opening: the cell that counts brackets reads its text by itself, in the drawing of the cell.

import { button, fixed, number, on_keys, STEPS, theme_colours } from "./charts.js";
import { draw_cell } from "./drawing.js";
import { zero_state } from "./engine.js";
import { BRACKETS, in_hand, numbers_of, read, visible } from "./models.js";

const PACE = 1000 / 3; // milliseconds a character
const CALM = 8; // the place that is shown if nothing may move

export function alive_part(root, model) {
  const $ = (selector) => root.querySelector(selector);
  const words = [...BRACKETS];
  const ids = words.map((word) => model.tokens.indexOf(word));
  const [cell, text] = [model.unit, $(".text")];
  const [held, state] = in_hand(model, 0, cell, { f: 1 });
  const readings = {
    free: read(model, model.parameters, zero_state("lstm", model.parameters, 1), ids),
    held: read(model, held, state, ids),
  };
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const part = { at: calm ? CALM : 0, hand: "free", paused: calm };
  const values = (at) => numbers_of(model, readings[part.hand], at, 0, cell);

  function paint() {
    const { at, hand } = part;
    const { behind_text } = theme_colours();
    text.replaceChildren(
      ...words.map((word, t) => {
        const span = document.createElement("span");
        span.textContent = word === "\n" && t ? "⏎\n" : visible(word);
        span.dataset.t = t;
        span.className = t === at ? "here" : "";
        const seen = t <= at ? behind_text(values(t).c / 4) : [];
        if (t <= at) span.style.backgroundColor = `rgb(${seen.join(" ")})`;
        return span;
      }),
    );
    text.setAttribute("aria-valuemax", words.length);
    text.setAttribute("aria-valuenow", at + 1);
    text.setAttribute("aria-valuetext", `${visible(words[at])}, cell ${fixed(values(at).c, 2)}`);
    draw_cell($(".drawing"), "lstm", values(at));
    const p = readings[hand][at].p[model.tokens.indexOf("\n")];
    said.replaceChildren(
      "Probability that the line ends here: ",
      number("p", p, (v) => fixed(v, 2)),
    );
    hold.setAttribute("aria-pressed", hand === "held");
  }
  function go(at) {
    part.at = (at + words.length) % words.length;
    paint();
  }
  function tick() {
    const { top, bottom } = root.getBoundingClientRect();
    if (!part.paused && bottom > 0 && top < innerHeight) go(part.at + 1);
  }

  const hold = button(() => {
    part.hand = part.hand === "free" ? "held" : "free";
    paint();
  }, "Hold the forget gate open");
  const said = document.createElement("p");
  $(".buttons").append(hold, said);
  const pause = (on) => () => {
    part.paused = on || calm;
  };
  for (const [event, on] of Object.entries({
    pointerenter: true,
    focusin: true,
    pointerleave: false,
    focusout: false,
  }))
    root.addEventListener(event, pause(on));
  text.addEventListener("pointermove", ({ clientX, clientY }) => {
    const t = document.elementFromPoint(clientX, clientY)?.dataset.t;
    if (t !== undefined) go(Number(t));
  });
  const ends = { [-Infinity]: 0, [Infinity]: words.length - 1 };
  on_keys(text, STEPS, (move) => go(ends[move] ?? part.at + move));
  setInterval(tick, PACE);
  Object.assign(part, { paint, go });
  paint();
  return part;
}
