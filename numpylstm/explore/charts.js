// Lines in a chart, with axes.

import { power_of_ten } from "./numbers.js";

const FRAME = { left: 46, right: 18, top: 10, bottom: 38 };

// Draw lines into an svg. x and y: {min, max, ticks: [[value, text], ...], label}; values above the
// maximum are drawn at the edge. A line: {name, points: [[x, y], ...], style}; a mark: {y, text, above}.
// A line's name is written at its end. Returns a function from a pointer event to x.
export function draw_lines(svg, { x, y, lines, marks = [], at }) {
  const [width, height] = [Math.max(svg.clientWidth, 300), Math.max(svg.clientHeight, 160)];
  const right = width - FRAME.right - Math.max(...lines.map(({ name }) => 7 * name.length));
  const bottom = height - FRAME.bottom;
  const place = (axis, value, from, to) => {
    const share =
      (Math.max(axis.min, Math.min(axis.max, value)) - axis.min) / (axis.max - axis.min);
    return from + share * (to - from);
  };
  const X = (value) => place(x, value, FRAME.left, right);
  const Y = (value) => place(y, value, bottom, FRAME.top);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const out = [];
  const text = (tx, ty, content, more = "") =>
    out.push(`<text x="${tx.toFixed(1)}" y="${ty.toFixed(1)}" ${more}>${content}</text>`);
  const rule = (x1, y1, x2, y2, style) =>
    out.push(
      `<path class="${style}" d="M${x1.toFixed(1)} ${y1.toFixed(1)}L${x2.toFixed(1)} ${y2.toFixed(1)}"/>`,
    );
  for (const [value, label] of y.ticks) {
    rule(FRAME.left, Y(value), right, Y(value), "grid");
    text(FRAME.left - 6, Y(value) + 4, label, 'text-anchor="end"');
  }
  for (const [value, label] of x.ticks) text(X(value), bottom + 17, label, 'text-anchor="middle"');
  text((FRAME.left + right) / 2, height - 4, x.label, 'text-anchor="middle"');
  if (y.label) text(FRAME.left + 6, FRAME.top + 12, y.label);
  if (at !== undefined) rule(X(at), FRAME.top, X(at), bottom, "at");
  const ends = [];
  const below = []; // lines that leave at the lower edge
  for (const { name, points, style } of lines) {
    const drawn = points.filter(([, v]) => v > -Infinity);
    const beyond = drawn.findIndex(([, v], k) => v < y.min && drawn[k + 1]?.[1] < y.min);
    if (beyond >= 0) drawn.length = beyond + 1; // stop at the lower edge
    if (!drawn.length) continue;
    const path = drawn.map(([a, b]) => `${X(a).toFixed(1)} ${Y(b).toFixed(1)}`).join("L");
    out.push(`<path class="line ${style}" d="M${path}"/>`);
    const near = at === undefined ? undefined : points.find(([a]) => a === at);
    if (near && near[1] >= y.min)
      out.push(`<circle class="${style}" r="4" cx="${X(at)}" cy="${Y(near[1])}"/>`);
    const [last_x, last_y] = drawn[drawn.length - 1];
    const leaves = beyond >= 0 && X(last_x) < right - 60; // with room for its name inside
    if (leaves) below.push({ name, style, x: X(last_x) + 6 });
    else ends.push({ name, style, y: Y(last_y) });
  }
  for (const mark of marks) {
    rule(FRAME.left, Y(mark.y), right, Y(mark.y), "mark");
    text(right - 4, Y(mark.y) + (mark.above ? -4 : 15), mark.text, 'text-anchor="end"');
  }
  for (const { name, style, x } of below) text(x, bottom - 8, name, `class="name ${style}"`);
  ends.sort((a, b) => a.y - b.y);
  for (let round = 0; round < 20; round++) {
    for (let k = 1; k < ends.length; k++) {
      const apart = Math.max(0, ends[k - 1].y + 14 - ends[k].y) / 2; // each gives way
      ends[k - 1].y = Math.max(FRAME.top, ends[k - 1].y - apart);
      ends[k].y = Math.min(bottom, ends[k].y + apart);
    }
  }
  for (const { name, style, y } of ends) text(right + 8, y + 4, name, `class="name ${style}"`);
  svg.innerHTML = out.join("");
  return (event) => {
    const box = svg.getBoundingClientRect();
    const share = (event.clientX - box.left - FRAME.left) / (right - FRAME.left);
    return x.min + Math.max(0, Math.min(1, share)) * (x.max - x.min);
  };
}

// An axis from 0 to max, with at most five ticks at round values.
export function round_axis(max, format = (value) => value.toLocaleString("en")) {
  const power = 10 ** Math.floor(Math.log10(max / 4));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= max / 4);
  const ticks = [];
  for (let k = 0; k * step <= max; k++) {
    const value = Number((k * step).toPrecision(2));
    ticks.push([value, format(value)]);
  }
  return { min: 0, max, ticks };
}

// A logarithmic axis from 10^low to 10^high, for logarithms of values.
export function log_axis(low, high, step) {
  const ticks = [];
  for (let e = low; e <= high; e += step) ticks.push([e, power_of_ten(e)]);
  return { min: low, max: high, ticks };
}

// Draw norms of a gradient by the number of steps back, 0 first, over six powers of ten.
export function draw_norms(svg, norms, style, label = "steps back") {
  const points = norms.slice(0, 61).map((norm, lag) => [lag, Math.log10(norm)]);
  const most = norms.reduce((a, b) => Math.max(a, b), 0) || 1;
  const high = Math.ceil(Math.log10(Math.min(most, Number.MAX_VALUE)));
  draw_lines(svg, {
    x: { ...round_axis(Math.max(10, points.length - 1)), label },
    y: log_axis(high - 6, high, 2),
    lines: [{ name: "", style, points }],
  });
}
