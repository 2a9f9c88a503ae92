// A drawing of a cell with one unit: data from left to right, gates as valves, and what comes back.

import { theme_colours } from "./colours.js";
import { fixed } from "./numbers.js";

const TOP = 52; // of the straight way
const LOW = 178; // of x and h_prev
const WIDE = 16; // of a pipe that is fully open

// A pipe: its path, the value that flows and how open it is; on the way back, the gradient and the local
// derivative.
const flow = (d, value, open, back, slope) => ({ d, value, open, back, slope });

const ends_of = (state) => [
  [`${state}_prev`, 16, TOP - 16],
  [state, 624, TOP - 16],
];
// Valves are gates, boxes operations, wires thin lines without numbers.
const CELLS = {
  lstm: {
    pipes: (v) => [
      flow(`M16 ${TOP}H170`, v.c_prev, 1, v.dc_prev, v.f),
      flow(`M170 ${TOP}H330`, v.f * v.c_prev, v.f, v.dc_total, 1),
      flow(`M330 ${LOW - 18}V${TOP}`, v.i * v.g, v.i, v.dg, v.i),
      flow(`M330 ${TOP}H624`, v.c, 1, v.dc, 1),
      flow(`M470 ${TOP}V${LOW}H624`, v.h, v.o, v.dh, v.o * (1 - v.tanh_c ** 2)),
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
    wires: `M16 ${LOW}H314M16 212H470V142M170 212V66M356 212V122H346`,
    inputs: ["x", "h_prev"],
    ends: [...ends_of("c"), ["h", 624, LOW - 14]],
  },
  gru: {
    pipes: (v) => [
      flow(`M16 ${TOP}H170`, v.h_prev, 1, v.dh * v.z, v.z),
      flow(`M170 ${TOP}H330`, v.z * v.h_prev, v.z, v.dh, 1),
      flow(`M330 ${LOW - 18}V${TOP}`, (1 - v.z) * v.n, 1 - v.z, v.dn, 1 - v.z),
      flow(`M330 ${TOP}H624`, v.h, 1, v.dh, 1),
    ],
    valves: (v) => [
      { x: 170, y: TOP, name: "z", open: v.z },
      { x: 330, y: 108, name: "1 − z", open: 1 - v.z },
      { x: 110, y: 112, name: "r", open: v.r },
    ],
    boxes: (v) => [
      { x: 330, y: LOW, name: "n", value: v.n, back: v.dn },
      { x: 330, y: TOP, name: "+" },
    ],
    wires: `M16 ${LOW}H314M110 ${TOP}V${LOW}M16 212H170V66M84 212V112H97`,
    inputs: ["x"],
    ends: ends_of("h"),
  },
  rnn: {
    pipes: (v) => [
      flow(`M16 ${TOP}H330`, v.h_prev, 1, v.dh_prev, (1 - v.h ** 2) * Math.abs(v.Wh)),
      flow(`M330 ${TOP}H624`, v.h, 1, v.dh, 1),
    ],
    valves: () => [],
    boxes: (v) => [
      { x: 170, y: TOP, name: "· Wh" },
      { x: 330, y: TOP, name: v.activation ?? "tanh" },
    ],
    wires: `M16 ${LOW}H330V66`,
    inputs: ["x"],
    ends: ends_of("h"),
  },
};

// Draw a cell into an svg. values: the numbers of one step, by name; back: draw the gradients.
export function draw_cell(svg, cell, values, back = false) {
  const { pipes, valves, boxes, wires, inputs, ends } = CELLS[cell];
  const { diverging } = theme_colours();
  const out = [`<path class="wire" d="${wires}"/>`]; // x and h_prev, to the candidate and the gates
  const text = (x, y, content, more = "") =>
    out.push(`<text x="${x}" y="${y}" ${more}>${content}</text>`);
  for (const { d, ...pipe } of pipes(values)) {
    const [value, open] = back ? [pipe.back, pipe.slope] : [pipe.value, pipe.open];
    const size = Math.max(1.5, WIDE * Math.min(1, Math.abs(open)));
    const share = Math.sign(value) * (0.25 + 0.75 * Math.min(1, Math.abs(value)));
    const colour = `rgb(${diverging(share).join(" ")})`;
    out.push(`<path class="casing" stroke-width="${size + 2}" d="${d}"/>`);
    out.push(`<path class="pipe" stroke="${colour}" stroke-width="${size}" d="${d}"/>`);
  }
  for (const { x, y, name, open } of valves(values)) {
    out.push(`<circle class="valve" r="13" cx="${x}" cy="${y}"/>`);
    out.push(`<circle class="opening" r="${(12 * open).toFixed(1)}" cx="${x}" cy="${y}"/>`);
    text(x + 18, y - 12, `${name} ${fixed(open, 2)}`, 'class="strong"');
  }
  for (const { x, y, name, value, back: gradient } of boxes(values)) {
    const half = Math.max(14, 8 + 3.5 * name.length);
    out.push(
      `<rect class="box" x="${x - half}" y="${y - 14}" width="${2 * half}" height="28" rx="6"/>`,
    );
    text(x, y + 4, name, 'text-anchor="middle" class="strong"');
    if (value !== undefined) text(x + 20, y + 4, fixed(back ? gradient : value, 2));
  }
  const at = (name) => (name in values ? `${name} ${fixed(values[name], 2)}` : name);
  for (const [name, x, y] of ends) {
    const anchor = x < 320 ? "start" : "end";
    text(x, y, at(back ? `d${name}` : name), `text-anchor="${anchor}" class="strong"`);
  }
  text(16, LOW - 8, inputs.map((name) => at(back ? `d${name}` : name)).join(", "));
  if (valves(values).length) text(180, LOW + 28, "to the gates");
  const arrow = back ? "M300 16H230l8 -5m-8 5l8 5" : "M230 16H300l-8 -5m8 5l-8 5";
  out.push(`<path class="arrow" d="${arrow}"/>`);
  svg.setAttribute("viewBox", "0 0 640 224");
  svg.innerHTML = out.join("");
}
