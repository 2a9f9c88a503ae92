// A drawing of a cell with one unit: data from left to right, gates as valves, and what comes back.

import { fixed, theme_colours } from "./charts.js";

const TOP = 52; // of the straight way
const LOW = 178; // of x and h_prev
const WIDE = 16; // of a pipe that is fully open

// Pipes: path, the value that flows and how open it is; for the way back, the gradient that flows and the
// local derivative. Valves are gates, boxes operations, wires thin lines without numbers.
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
    wires: `M16 ${LOW}H314M16 212H470V142M170 212V66M356 212V122H346`,
    inputs: ["x", "h_prev"],
    ends: [
      ["c_prev", 16, TOP - 16],
      ["c", 624, TOP - 16],
      ["h", 624, LOW - 14],
    ],
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
      { x: 110, y: 112, name: "r", open: v.r },
    ],
    boxes: (v) => [
      { x: 330, y: LOW, name: "n", value: v.n, back: v.dn },
      { x: 330, y: TOP, name: "+" },
    ],
    wires: `M16 ${LOW}H314M110 ${TOP}V${LOW}M16 212H170V66M84 212V112H97`,
    inputs: ["x"],
    ends: [
      ["h_prev", 16, TOP - 16],
      ["h", 624, TOP - 16],
    ],
  },
  rnn: {
    pipes: (v) => [
      {
        d: `M16 ${TOP}H330`,
        value: v.h_prev,
        open: 1,
        back: v.dh_prev,
        slope: (1 - v.h ** 2) * Math.abs(v.Wh),
      },
      { d: `M330 ${TOP}H624`, value: v.h, open: 1, back: v.dh, slope: 1 },
    ],
    valves: () => [],
    boxes: (v) => [
      { x: 170, y: TOP, name: "· Wh" },
      { x: 330, y: TOP, name: v.activation ?? "tanh" },
    ],
    wires: `M16 ${LOW}H330V66`,
    inputs: ["x"],
    ends: [
      ["h_prev", 16, TOP - 16],
      ["h", 624, TOP - 16],
    ],
  },
};

// Draw a cell into an svg. values: the numbers of one step, by name; back: draw the gradients.
export function draw_cell(svg, cell, values, back = false) {
  const { pipes, valves, boxes, wires, inputs, ends } = CELLS[cell];
  const { diverging } = theme_colours();
  const out = [`<path class="wire" d="${wires}"/>`]; // x and h_prev, to the candidate and the gates
  const text = (x, y, content, more = "") =>
    out.push(`<text x="${x}" y="${y}" ${more}>${content}</text>`);
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
    const half = Math.max(14, 8 + 3.5 * name.length);
    out.push(
      `<rect class="box" x="${x - half}" y="${y - 14}" width="${2 * half}" height="28" rx="6"/>`,
    );
    text(x, y + 4, name, 'text-anchor="middle" class="strong"');
    if (value !== undefined) text(x + 20, y + 4, fixed(back ? gradient : value, 2));
  }
  const at = (name) => (name in values ? `${name} ${fixed(values[name], 2)}` : name);
  for (const [name, x, y] of ends) {
    text(
      x,
      y,
      at(back ? `d${name}` : name),
      `text-anchor="${x < 320 ? "start" : "end"}" class="strong"`,
    );
  }
  text(16, LOW - 8, inputs.map((name) => at(back ? `d${name}` : name)).join(", "));
  if (valves(values).length) text(180, LOW + 28, "to the gates");
  out.push(
    back
      ? `<path class="arrow" d="M300 16H230l8 -5m-8 5l8 5"/>`
      : `<path class="arrow" d="M230 16H300l-8 -5m8 5l-8 5"/>`,
  );
  svg.setAttribute("viewBox", "0 0 640 224");
  svg.innerHTML = out.join("");
}
