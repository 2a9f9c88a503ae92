// A staircase: one number of a trained network while it reads a text, with its gates as strips of colour.

import { held } from "./clamps.js";
import { cividis } from "./colours.js";
import { button, choice, element, number } from "./elements.js";
import { BRACKETS, read } from "./models.js";
import { fixed } from "./numbers.js";
import { visible } from "./tokens.js";

export const UNFINISHED = BRACKETS.slice(0, -2); // two brackets are for the reader to close
const CLAMPS = { free: {}, "i = 1": { i: 1 }, "f = 0": { f: 0 }, "f = 1": { f: 1 } };
const [HIGH, BELOW, STRIP] = [120, 24, 18]; // of the staircase, of the letters, of a strip
const LABELS = { f: "forget gate f", i: "input gate i", "⏎": "line ends? ⏎" };

// Draw `values`, one for each of `words`, as a staircase with the words below it, then the strips:
// [[name, values between 0 and 1], ...]. Only the end that fits is drawn; `shaded` are places in grey, and
// `before` is a second staircase in grey.
export function draw_staircase(svg, { words, values, strips = [], shaded = [], before = [] }) {
  const width = Math.max(svg.clientWidth, 300);
  const left = strips.some(([name]) => LABELS[name]) ? 92 : 34;
  const first = Math.max(0, words.length - Math.floor((width - left) / 9));
  const count = words.length - first;
  const wide = Math.min(26, (width - left) / Math.max(count, 1));
  const high = HIGH + BELOW + STRIP * strips.length;
  const drawn = [...values.slice(first), ...before.slice(first)];
  const most = drawn.reduce((a, v) => Math.max(a, Math.abs(v)), 1);
  const limit = 1.1 * most; // so that a tick at `most` is not cut
  const X = (k) => (left + k * wide).toFixed(1);
  const Y = (value) => ((HIGH / 2) * (1 - value / limit)).toFixed(1);
  const out = [`<path class="grid" d="M${left} ${Y(0)}H${width}"/>`];
  const text = (x, y, content, more) =>
    out.push(`<text x="${x}" y="${y}" ${more}>${content}</text>`);
  const escaped = (word) => word.replace(/&/g, "&amp;").replace(/</g, "&lt;");
  const across = (wide + 0.3).toFixed(1); // of a box, which overlaps the next
  const box = (k, y, height, fill, inside = "") => {
    const place = `x="${X(k)}" y="${y}" width="${across}" height="${height}"`;
    out.push(`<rect ${place} ${fill}>${inside}</rect>`);
  };
  const staircase = (series, style) => {
    const steps = series.slice(first).map((value, k) => `${X(k)} ${Y(value)}H${X(k + 1)}`);
    if (steps.length) out.push(`<path class="${style}" d="M${steps.join("L")}"/>`);
  };
  for (const t of shaded) if (t >= first) box(t - first, 0, HIGH, 'class="shade"');
  const top = Math.floor(most);
  for (const value of [top, 0, -top])
    text(left - 6, Number(Y(value)) + 4, fixed(value, 0), 'text-anchor="end"');
  for (let k = 0; k < count; k++) {
    const word = visible(words[first + k]);
    const middle = (left + (k + 0.5) * wide).toFixed(1);
    text(middle, HIGH + 16, escaped(word), 'text-anchor="middle" class="letter"');
    strips.forEach(([, shares], row) => {
      const fill = `fill="rgb(${cividis(shares[first + k]).join(" ")})"`;
      const title = `<title>${fixed(shares[first + k])}</title>`;
      box(k, HIGH + BELOW + STRIP * row, STRIP - 3, fill, title);
    });
  }
  strips.forEach(([name], row) => {
    const label = LABELS[name] ?? name;
    text(left - 6, HIGH + BELOW + STRIP * row + 12, label, 'text-anchor="end" class="strong"');
  });
  staircase(before, "line before");
  staircase(values, "line lstm");
  svg.style.height = `${high}px`;
  svg.setAttribute("viewBox", `0 0 ${width} ${high}`);
  svg.innerHTML = out.join("");
}

// The places between quotation marks, closing one included.
function quoted(words) {
  let inside = false;
  return [...words.keys()].filter((t) => {
    const before = inside;
    if (words[t] === '"') inside = !inside;
    return before || inside;
  });
}

// What the figure shows of a reading: the count, the gates, and the probability that the line ends.
export function picture({ unit, tokens }, words, reading) {
  const of_unit = (name) => reading.map(({ steps }) => steps[0][name].data[unit]);
  const strips = ["f", "i"].map((name) => [name, of_unit(name)]);
  strips.push(["⏎", reading.map(({ p }) => p[tokens.indexOf("\n")])]);
  return { words, values: of_unit("c"), strips, shaded: quoted(words) };
}

// The cell that counts brackets, with its gates, and a choice of what is held.
export function staircase_part(root, model) {
  const $ = (selector) => root.querySelector(selector);
  const part = { words: [...UNFINISHED], clamp: "free", model, reading: [] };
  const { unit, tokens } = model;

  function update() {
    const ids = part.words.map((word) => tokens.indexOf(word));
    const clamped = (name) => read(model, ...held(model, 0, unit, CLAMPS[name]), ids);
    part.reading = clamped(part.clamp);
    part.free = clamped("free");
    paint();
  }

  function paint() {
    const drawn = picture(model, part.words, part.reading);
    const before = picture(model, part.words, part.free).values;
    draw_staircase($("svg"), { ...drawn, before });
    $(".said").replaceChildren(
      "Now c = ",
      number("c", drawn.values.at(-1), (v) => fixed(v, 2)),
      ". Probability that the line ends here: ",
      number("p", drawn.strips.at(-1)[1].at(-1)),
      ".",
    );
  }

  const type = (word) =>
    button(
      () => {
        part.words = [...part.words, word];
        update();
      },
      word === "\n" ? "⏎" : word,
    );
  const erase = button(() => {
    if (part.words.length > 1) part.words = part.words.slice(0, -1);
    update();
  }, "⌫");
  erase.setAttribute("aria-label", "delete the last character");
  const again = button(() => {
    part.words = [...UNFINISHED];
    update();
  }, "Start again");
  $(".buttons").append(...["(", ")", '"', "a", "\n"].map(type), erase, again);
  const clamps = choice("hand", "Hold a gate", Object.keys(CLAMPS), part.clamp, (name) => {
    part.clamp = name;
    update();
  });
  $(".buttons").after(element("div", { class: "controls" }, clamps));
  part.extra = () => ({ text: part.words.join("") });
  part.restore = ({ text }) => {
    part.words = [...(text ?? "")].filter((word) => tokens.includes(word));
    if (!part.words.length) part.words = [...UNFINISHED];
    update();
  };
  Object.assign(part, { paint, update });
  update();
  return part;
}
