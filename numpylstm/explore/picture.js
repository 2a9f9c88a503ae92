// The picture of the whole network: a column for each token, in it embedding, cells, scores and loss. Its
// numbers stand where they are computed; between them are pipes, in two lanes for the two units.
//
// The cells are drawings in picture.json, each in a box COLUMN wide. places: the middle of the numbers of a
// step. pipes: from a number, into another one or past the edge, along a path; the width of a pipe is the
// derivative of the one by the other, through numbers named in `through`. valves: the same derivative as an
// opening, on a pipe. wires, up: thin lines without numbers.

import { theme_colours } from "./colours.js";
import { fixed } from "./numbers.js";
import { slope } from "./textbook.js";

const [COLUMN, LEFT, TOP, MIDDLE] = [238, 12, 122, 110]; // width, place of the first cell, x of a token
const [CHIP, HIGH, LANE] = [37, 13, 6.5]; // size of a number; from the middle of a pipe to a lane
const [WIDE, THIN] = [9, 1.4]; // of a pipe that passes everything, or nothing
const UNITS = [0, 1];

export const short = (v) => fixed(v, Math.abs(v) < 9.995 ? 3 : 1);

// Where everything is: chips {path, back, x, y, label}, a place for a number and its gradient by their names.
export function layout({ high, places }, { layers, numbers }, T) {
  const chips = [];
  const tops = layers.map((_, k) => TOP + high * (layers.length - 1 - k));
  // The numbers of an array, one below the other or side by side; the first has the label.
  function add(label, value, back, [x, y], across = false) {
    const entries = numbers.has(value)
      ? [""]
      : ["[0]", "[1]", "[2]", "[3]"].filter((entry) => numbers.has(value + entry));
    entries.forEach((entry, k) => {
      const shift = k - (entries.length - 1) / 2;
      const [right, down] = across ? [shift * (CHIP + 1), 0] : [0, shift * HIGH];
      const place = { x: x + right, y: y + down, label: k ? "" : label };
      chips.push({ path: value + entry, back: back + entry, ...place });
    });
  }
  for (let t = 0; t < T; t++) {
    const [left, value, back] = [LEFT + t * COLUMN, `forward.t${t}`, `backward.t${t}`];
    layers.forEach((layer, k) => {
      for (const [name, [x, y]] of Object.entries(places)) {
        const across = k === 0 && name === "x"; // the embedded token, of three numbers
        const at = [left + x, tops[k] + y];
        add(name, `${value}.${layer}.${name}`, `${back}.${layer}.d${name}`, at, across);
      }
    });
    const top = layers.at(-1);
    add("h", `${value}.${top}.h`, `${back}.dx`, [left + MIDDLE, TOP - 14], true);
    add("logits", `${value}.logits`, `${back}.dlogits`, [left + 94, TOP - 44], true);
    add("probabilities", `${value}.probabilities`, "", [left + 94, TOP - 78], true);
    add("nll", `${value}.nll`, "", [left + 208, TOP - 44]);
  }
  add("loss", "loss", "", [LEFT + (T - 1) * COLUMN + 208, TOP - 78]);
  return { chips, tops, high, width: LEFT + T * COLUMN + 4, height: tops[0] + high + 30 };
}

// The part of the picture that is shown: all, or on a narrow screen the cell around a place {x, y}.
export function view_of({ tops, high, width, height }, place) {
  if (!place) return `0 0 ${width} ${height}`;
  const column = Math.floor((place.x - LEFT) / COLUMN);
  const top = tops.find((each) => place.y >= each) ?? 24;
  return `${LEFT + COLUMN * column - 8} ${top - 36} ${COLUMN + 48} ${high + 64}`;
}

// The place of a call in the picture, if it has one.
export function place_of({ tops }, { t, layer }) {
  if (t === undefined) return undefined;
  return { x: LEFT + COLUMN * t, y: tops[layer === "x" ? 0 : layer] ?? 0 };
}

// The classes of a number: chosen, a source of the chosen one, a use of it, wrong.
export function states_of(number, { chosen, from, uses, marks }) {
  const states = { from: from.has(number), use: uses.has(number), wrong: marks.has(number) };
  states.chosen = number === chosen;
  return Object.keys(states)
    .filter((state) => states[state])
    .join(" ");
}

// Draw the state after step `at`. Returns the chip of each number that is shown.
export function draw(svg, picture, update, drawn, shown) {
  const { at, backward, chosen, from, uses, marks, inputs } = shown;
  const { numbers, layers } = update;
  const { diverging, behind_text } = theme_colours();
  const out = [
    '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z"/></marker></defs>',
  ];
  const known = (path) => {
    const number = numbers.get(path);
    return number?.step <= at ? number : undefined;
  };
  const largest = Math.max(
    ...[...numbers].map(([path, { v }]) => (path.startsWith("back") ? Math.abs(v) : 0)),
  );
  const strength = (v, back) =>
    Math.sign(v) * Math.min(1, 0.12 + 0.88 * Math.sqrt(Math.abs(v) / (back ? 0.6 * largest : 1)));

  const tint = (v, back) => `rgb(${diverging(strength(v, back)).join(" ")})`;
  function pipe(d, [x, y], unit, size, colour) {
    const [dx, dy] = lane(d, unit);
    const path = `transform="translate(${x + dx} ${y + dy})" d="${d}"`;
    const wide = Math.max(THIN, WIDE * Math.min(1, Math.abs(size)));
    out.push(`<path class="casing" stroke-width="${wide + 1.4}" ${path}/>`);
    out.push(`<path class="pipe" style="stroke:${colour}" stroke-width="${wide}" ${path}/>`);
  }

  function cell(t, k) {
    const corner = [LEFT + t * COLUMN, tops[k]];
    const [x, y] = corner;
    const [value, grad] = [`forward.t${t}.${layers[k]}.`, `backward.t${t}.${layers[k]}.d`];
    const moved = `transform="translate(${x} ${y})"`;
    out.push(
      `<rect class="cell" x="-4" y="2" width="${COLUMN - 6}" height="${drawn.high - 18}" rx="10" ${moved}/>`,
    );
    out.push(`<path class="wire" ${moved} d="${picture.wires}${picture.up}"/>`);
    const entry = (name, unit) => numbers.get(`${value}${name}[${unit}]`);
    for (const [source, target, d] of picture.pipes) {
      if (t === 0 && d.startsWith("M-")) continue; // from the step before
      for (const unit of UNITS) {
        const [one, other] = [entry(source, unit), entry(target, unit)];
        const derivative = other ? slope(other, one, picture.through) : 1;
        const gradient = backward ? known(`${grad}${target || source}[${unit}]`) : undefined;
        const flows = !backward && one.step <= at && !(other?.step > at);
        if (gradient) pipe(d, corner, unit, derivative, tint(gradient.v * derivative, true));
        else if (flows) pipe(d, corner, unit, derivative, tint(one.v));
        else pipe(d, corner, unit, backward ? derivative : 0, "var(--paper)");
      }
    }
    for (const [source, target, right, down, way] of picture.valves) {
      for (const unit of UNITS) {
        const other = entry(target, unit);
        const open =
          other.step <= at ? Math.min(1, Math.abs(slope(other, entry(source, unit)))) : 0;
        const side = LANE * (2 * unit - 1);
        const middle = `cx="${x + right + (way === "v" ? side : 0)}" cy="${y + down + (way === "h" ? side : 0)}"`;
        out.push(`<circle class="valve" r="5.6" ${middle}/>`);
        out.push(`<circle class="opening" r="${4.8 * open}" ${middle}/>`);
      }
    }
  }

  const { tops, height } = drawn;
  const places = new Map();
  const labels = []; // above all numbers
  function chip({ path, back, label, x, y }) {
    const gradient = backward ? known(back) : undefined;
    const number = gradient ?? known(path);
    const past = backward && !gradient;
    const written = gradient?.variable ?? label;
    if (label)
      labels.push(`<text class="label" x="${x - CHIP / 2 - 2}" y="${y - 9}">${written}</text>`);
    const box = `<rect x="${x - CHIP / 2}" y="${y - HIGH / 2}" width="${CHIP}" height="${HIGH}" rx="2.5"`;
    if (!number) return out.push(`<g class="chip empty">${box}/></g>`);
    if (!places.has(number)) places.set(number, { x, y });
    const style = `${past ? "past " : ""}${states_of(number, shown)}`;
    const of_value = `rgb(${behind_text(strength(number.v, Boolean(gradient))).join(" ")})`;
    const fill = marks.has(number) ? "var(--wrong)" : past ? "var(--paper)" : of_value;
    const text = `<text x="${x}" y="${y + 3.6}">${short(marks.get(number) ?? number.v)}</text>`;
    out.push(
      `<g class="chip ${style}" data-n="${number.id}">${box} style="fill:${fill}"/>${text}</g>`,
    );
  }

  // Where the way from the middle of a chip to a point leaves the chip.
  function edge({ x, y }, to) {
    const [dx, dy] = [to.x - x, to.y - y];
    const share = Math.min(CHIP / 2 / Math.abs(dx), HIGH / 2 / Math.abs(dy));
    return `${x + share * dx} ${y + share * dy}`;
  }
  function arrow(one, other, kind) {
    const [a, b] = [places.get(one), places.get(other)];
    if (!a || !b || a === b) return;
    const [dx, dy] = [b.x - a.x, b.y - a.y];
    const bend = Math.min(0.25, 30 / Math.hypot(dx, dy)) * (dx < 0 ? -1 : 1);
    const middle = { x: a.x + dx / 2 + dy * bend, y: a.y + dy / 2 - dx * bend };
    out.push(
      `<path class="arrow ${kind}" d="M${edge(a, middle)}Q${middle.x} ${middle.y} ${edge(b, middle)}" marker-end="url(#head)"/>`,
    );
  }

  const { ids, targets } = inputs;
  for (const t of ids.keys()) {
    for (const k of tops.keys()) cell(t, k);
    const x = LEFT + t * COLUMN;
    const token = (list, style, place, text) => {
      const wrong = marks.has(`inputs.${list}[${t}]`) ? "wrong" : "";
      out.push(`<text class="token ${style} ${wrong}" ${place}>${text}</text>`);
    };
    const says = `t = ${t}: after token ${ids[t]} comes ${targets[t]}`;
    token("targets", "", `x="${x}" y="${TOP - 103}"`, says);
    token("ids", "middle", `x="${x + MIDDLE}" y="${height - 5}"`, `token ${ids[t]}`);
  }
  drawn.chips.forEach(chip);
  out.push(...labels);
  for (const number of from) arrow(number, chosen, "from");
  for (const number of uses) arrow(chosen, number, "use");
  svg.innerHTML = out.join("");
  return places;
}

// The shift of a lane: across a straight pipe; in a corner such that the lanes do not cross.
function lane(d, unit) {
  const side = LANE * (2 * unit - 1);
  const [x, y, first, second] = d.match(/-?[\d.]+/g).map(Number);
  const starts_across = /^M\S+ [-\d.]+H/.test(d);
  if (second === undefined) return starts_across ? [0, side] : [side, 0];
  const [right, down] = starts_across ? [first - x, second - y] : [second - x, first - y];
  return right > 0 === down > 0 ? [-side, side] : [side, side];
}
