// Drawing: numbers, sliders, lines and strips of colour, for any data.

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

// --- numbers --------------------------------------------------------------------------------------

const MINUS = "\u2212";

export function fixed(value, digits = 3) {
  if (!Number.isFinite(value)) return "not finite";
  const text = Math.abs(value).toFixed(digits);
  return (value < 0 && Number(text) !== 0 ? MINUS : "") + text;
}

const superscript = (exponent) =>
  String(exponent).replace(/./g, (digit) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(digit)]);

const power_of_ten = (exponent) => (exponent === 0 ? "1" : `10${superscript(exponent)}`);

// Two digits: 0.052, 17, 3.1 × 10⁻⁷
export function scientific(value) {
  if (!Number.isFinite(value)) return "not finite";
  if (value === 0) return "0";
  const [digits, exponent] = value.toExponential(1).split("e").map(Number);
  if (exponent >= -3 && exponent < 3) return String(Number(value.toPrecision(2)));
  return `${digits.toFixed(1)} × ${power_of_ten(exponent)}`;
}

// Show a value as text, and with all its digits as data. Screen readers do not announce each change:
// there are dozens at a time.
export function show(output, value, format = fixed) {
  output.setAttribute("aria-live", "off");
  output.textContent = format(value);
  output.dataset.value = value;
}

// Show a text at all places of its name.
export function say(root, name, text) {
  for (const place of root.querySelectorAll(`[data-name="${name}"]`)) place.textContent = text;
}

// A value as a new output; more: further attributes.
export function number(name, value, format = fixed, more = {}) {
  const output = element("output", { "data-name": name, ...more });
  show(output, value, format);
  return output;
}

// --- controls -------------------------------------------------------------------------------------

const plain = (step) => (value) => fixed(value, Number.isInteger(step) ? 0 : 2);

export function slider(name, label, [min, max, step], value, change, format = plain(step)) {
  const said = element("span", { class: "value" }); // a label would attach to an <output>
  const input = element("input", { type: "range", name, min, max, step, value });
  const tell = () => {
    said.textContent = format(input.valueAsNumber);
    input.setAttribute("aria-valuetext", said.textContent);
  };
  input.addEventListener("input", () => {
    change(input.valueAsNumber);
    tell();
  });
  tell();
  const span = element("span", { class: "label" });
  span.innerHTML = label;
  return element("label", { class: "slider" }, span, said, input);
}

// One of several, as radio buttons. An option is its value, or [value, text] where the text differs.
export function choice(name, label, options, value, change) {
  const box = element("fieldset", { class: "choice" }, element("legend", {}, label));
  for (const option of options) {
    const [key, text] = Array.isArray(option) ? option : [option, option];
    const input = element("input", {
      type: "radio",
      name,
      value: key,
      checked: key === String(value),
      onchange: () => change(key),
    });
    box.append(element("label", {}, input, element("span", {}, text)));
  }
  return box;
}

export function button(act, ...children) {
  return element("button", { type: "button", onclick: act }, ...children);
}

export const STEPS = {
  ArrowLeft: -1,
  ArrowRight: 1,
  ArrowDown: -1,
  ArrowUp: 1,
  Home: -Infinity,
  End: Infinity,
};

// Keys of a slider element, and the step of each. Keys with a modifier are left to the browser.
export function on_keys(target, moves, act) {
  target.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || !(event.key in moves)) return;
    event.preventDefault();
    act(moves[event.key]);
  });
}

// --- lines ----------------------------------------------------------------------------------------

const FRAME = { left: 46, right: 18, top: 10, bottom: 38 };

// Draw lines into an svg. x and y: {min, max, ticks: [[value, text], ...], label}; values above the
// maximum are drawn at the edge. A line: {name, points: [[x, y], ...], style}; a mark: {y, text, above}.
// names: true writes each name at the end of its line. Returns a function from a pointer event to x.
export function draw_lines(svg, { x, y, lines, marks = [], at, names = false }) {
  const [width, height] = [Math.max(svg.clientWidth, 300), Math.max(svg.clientHeight, 160)];
  const right = width - FRAME.right - (names ? 80 : 0);
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
  if (names) {
    below.sort((a, b) => a.x - b.x);
    below.forEach(({ name, style, x }, k) => {
      const close = k > 0 && x - below[k - 1].x < 90 && k % 2 === 1;
      text(x, bottom - (close ? 24 : 8), name, `class="name ${style}"`);
    });
    ends.sort((a, b) => a.y - b.y);
    for (let round = 0; round < 20; round++) {
      for (let k = 1; k < ends.length; k++) {
        const apart = Math.max(0, ends[k - 1].y + 14 - ends[k].y) / 2; // each gives way
        ends[k - 1].y = Math.max(FRAME.top, ends[k - 1].y - apart);
        ends[k].y = Math.min(bottom, ends[k].y + apart);
      }
    }
    for (const { name, style, y } of ends) text(right + 8, y + 4, name, `class="name ${style}"`);
  }
  svg.innerHTML = out.join("");
  return (event) => {
    const box = svg.getBoundingClientRect();
    const share = (event.clientX - box.left - FRAME.left) / (right - FRAME.left);
    return x.min + Math.max(0, Math.min(1, share)) * (x.max - x.min);
  };
}

// An axis from 0 to max, with at most five ticks at round values.
export function round_axis(max, said = (value) => value.toLocaleString("en")) {
  const power = 10 ** Math.floor(Math.log10(max / 4));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= max / 4);
  const ticks = [];
  for (let k = 0; k * step <= max; k++) {
    const value = Number((k * step).toPrecision(2));
    ticks.push([value, said(value)]);
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

// --- colours --------------------------------------------------------------------------------------

const channels = (hex) => [0, 2, 4].map((k) => Number.parseInt(hex.slice(k, k + 2), 16));

// cividis (Nunez, Anderton and Renslow 2018) at nine places: even steps of lightness.
const CIVIDIS = "00224e 123570 3b496c 575d6d 707173 8a8678 a59c74 c3b369 fee838"
  .split(" ")
  .map(channels);
// From blue (-1) through the paper (0) to orange (1), as numpylstm.plots.coloured_text.
const [BLUE, ORANGE] = ["56b4e9", "e69f00"].map(channels);

function between(from, to, share) {
  const mix = (k) => Math.round(from[k] + share * (to[k] - from[k]));
  return [mix(0), mix(1), mix(2)];
}

export function cividis(share) {
  const place = Math.max(0, Math.min(1, share || 0)) * (CIVIDIS.length - 1);
  const k = Math.min(Math.floor(place), CIVIDIS.length - 2);
  return between(CIVIDIS[k], CIVIDIS[k + 1], place - k);
}

function is_dark() {
  const { theme } = document.documentElement.dataset;
  return theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

// Colours that depend on the theme: for values from -1 to 1, for the same behind letters, which stay
// legible in the colour of the theme, and for empty places.
export function theme_colours() {
  const dark = is_dark();
  const paper = dark ? [20, 23, 31] : [255, 255, 255];
  const diverging = (share) =>
    between(paper, share > 0 ? ORANGE : BLUE, Math.min(1, Math.abs(share || 0)));
  return {
    diverging,
    behind_text: (share) => diverging(Math.max(-1, Math.min(1, share)) * (dark ? 0.5 : 1)),
    empty: dark ? [28, 32, 41] : [245, 247, 250],
  };
}

// Colour a canvas, one pixel for each of rows x columns values; the style sheet sets its size.
export function paint_pixels(canvas, rows, columns, colour) {
  [canvas.width, canvas.height] = [columns, rows];
  const context = canvas.getContext("2d");
  const image = context.createImageData(columns, rows);
  for (let k = 0; k < rows * columns; k++) {
    image.data.set(colour(Math.floor(k / columns), k % columns), 4 * k);
    image.data[4 * k + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}
