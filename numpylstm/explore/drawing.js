// A drawing of a cell with one unit: data from left to right, gates as valves, and what comes back.

import { fixed, theme_colours } from "./charts.js";

const TOP = 52; // of the straight way
const LOW = 178; // of x and h_prev
const WIDE = 16; // of a pipe that is fully open

// The pipes of a cell in the order of the data: path, the value that flows, and how open it is. Back
// through a pipe flows the gradient of the value at its start; `open` is then the local derivative.
const CELLS = {
  lstm: {
    pipes: (v) => [
      { d: `M16 ${TOP}H170`, value: v.c_prev, open: 1, back: v.dc_prev, slope: v.f },
      { d: `M170 ${TOP}H330`, value: v.f * v.c_prev, open: v.f, back: v.dc_total, slope: 1 },
      { d: `M330 ${LOW - 18}V${TOP}`, value: v.i * v.g, open: v.i, back: v.dg, slope: v.i },
      { d: `M330 ${TOP}H624`, value: v.c, open: 1, back: v.dc, slope: 1 },
      {
        d: `M470 ${TOP}V${LOW}H624`,
        value: v.h,
        open: v.o,
        back: v.dh,
        slope: v.o * (1 - v.tanh_c ** 2),
      },
    ],
    valves: (v) => [
      { x: 170, y: TOP, name: "f", open: v.f },
      { x: 330, y: 108, name: "i", open: v.i },
      { x: 470, y: 128, name: "o", open: v.o },
    ],
    boxes: (v) => [
      { x: 330, y: LOW, name: "g", value: v.g, back: v.dg },
      { x: 330, y: TOP, name: "+" },
      { x: 470, y: 88, name: "tanh" },
    ],
    ends: { from: "c_prev", to: "c" },
    buses: [170, 330, 470],
  },
  gru: {
    pipes: (v) => [
      { d: `M16 ${TOP}H170`, value: v.h_prev, open: 1, back: v.dh * v.z, slope: v.z },
      { d: `M170 ${TOP}H330`, value: v.z * v.h_prev, open: v.z, back: v.dh, slope: 1 },
      {
        d: `M330 ${LOW - 18}V${TOP}`,
        value: (1 - v.z) * v.n,
        open: 1 - v.z,
        back: v.dn,
        slope: 1 - v.z,
      },
      { d: `M330 ${TOP}H624`, value: v.h, open: 1, back: v.dh, slope: 1 },
    ],
    valves: (v) => [
      { x: 170, y: TOP, name: "z", open: v.z },
      { x: 330, y: 108, name: "1 − z", open: 1 - v.z },
      { x: 232, y: LOW, name: "r", open: v.r },
    ],
    boxes: (v) => [
      { x: 330, y: LOW, name: "n", value: v.n, back: v.dn },
      { x: 330, y: TOP, name: "+" },
    ],
    ends: { from: "h_prev", to: "h" },
    buses: [170],
  },
  rnn: {
    pipes: (v) => [
      {
        d: `M16 ${TOP}H330`,
        value: v.h_prev,
        open: 1,
        back: v.dh_prev,
        slope: v.slope_h * Math.abs(v.Wh_h),
      },
      { d: `M330 ${TOP}H624`, value: v.h, open: 1, back: v.dh, slope: 1 },
    ],
    valves: () => [],
    boxes: () => [
      { x: 170, y: TOP, name: "· Wh" },
      { x: 330, y: TOP, name: "tanh" },
    ],
    ends: { from: "h_prev", to: "h" },
    buses: [],
  },
};

// Draw a cell into an svg. values: the numbers of one step, by name; back: draw the gradients.
export function draw_cell(svg, cell, values, back = false) {
  const { pipes, valves, boxes, ends, buses } = CELLS[cell];
  const { diverging } = theme_colours();
  const out = [];
  const text = (x, y, content, more = "") =>
    out.push(`<text x="${x}" y="${y}" ${more}>${content}</text>`);
  // x and h_prev, to the candidate and to every gate
  const far = Math.max(...buses, 330);
  if (cell !== "rnn") out.push(`<path class="wire" d="M16 ${LOW}H314M16 ${LOW + 34}H${far}"/>`);
  else out.push(`<path class="wire" d="M16 ${LOW}H330V${TOP + 14}"/>`);
  for (const x of buses) {
    const [y] = valves(values)
      .filter((valve) => valve.x === x)
      .map((valve) => valve.y);
    if (y !== undefined)
      out.push(
        `<path class="wire" d="M${x === 330 ? 356 : x} ${LOW + 34}V${y + 14}${x === 330 ? "H346" : ""}"/>`,
      );
  }
  for (const pipe of pipes(values)) {
    const [value, open] = back ? [pipe.back, pipe.slope] : [pipe.value, pipe.open];
    const size = Math.max(1.5, WIDE * Math.min(1, Math.abs(open)));
    const [red, green, blue] = diverging(
      Math.sign(value) * (0.25 + 0.75 * Math.min(1, Math.abs(value))),
    );
    out.push(`<path class="casing" stroke-width="${size + 2}" d="${pipe.d}"/>`);
    out.push(
      `<path class="pipe" stroke="rgb(${red} ${green} ${blue})" stroke-width="${size}" d="${pipe.d}"/>`,
    );
  }
  for (const { x, y, name, open } of valves(values)) {
    out.push(`<circle class="valve" r="13" cx="${x}" cy="${y}"/>`);
    out.push(`<circle class="opening" r="${(12 * open).toFixed(1)}" cx="${x}" cy="${y}"/>`);
    text(x + 18, y - 12, `${name} ${fixed(open, 2)}`, 'class="strong"');
  }
  for (const { x, y, name, value, back: gradient } of boxes(values)) {
    const half = name.length > 1 ? 22 : 14;
    out.push(
      `<rect class="box" x="${x - half}" y="${y - 14}" width="${2 * half}" height="28" rx="6"/>`,
    );
    text(x, y + 4, name, 'text-anchor="middle" class="strong"');
    if (value !== undefined) text(x + 20, y + 4, fixed(back ? gradient : value, 2));
  }
  const at = (name) => (name in values ? `${name} ${fixed(values[name], 2)}` : name);
  const end = (x, y, name, anchor) =>
    text(x, y, at(back ? `d${name}` : name), `text-anchor="${anchor}" class="strong"`);
  end(16, TOP - 16, ends.from, "start");
  end(624, TOP - 16, ends.to, "end");
  if (cell === "lstm") end(624, LOW - 14, "h", "end");
  if (cell === "lstm")
    text(16, LOW - 8, back ? `${at("dx")}, ${at("dh_prev")}` : `${at("x")}, ${at("h_prev")}`);
  else text(16, LOW - 8, at(back ? "dx" : "x"));
  if (cell !== "rnn") text(16, LOW + 28, "to the gates");
  out.push(
    back
      ? `<path class="arrow" d="M300 16H230l8 -5m-8 5l8 5"/>`
      : `<path class="arrow" d="M230 16H300l-8 -5m8 5l-8 5"/>`,
  );
  svg.setAttribute("viewBox", "0 0 640 224");
  svg.innerHTML = out.join("");
}
