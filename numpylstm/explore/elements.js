// Elements of a page: numbers that are shown, sliders, choices, buttons, keys.

import { fixed, scientific } from "./numbers.js";

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

// Show a value as text, and with all its digits as data. Screen readers do not announce each change:
// there are dozens at a time.
export function show(output, value, format = fixed) {
  output.setAttribute("aria-live", "off");
  output.textContent = format(value);
  output.dataset.value = value;
}

// Show a text at all places of its name.
export function show_text(root, name, text) {
  for (const place of root.querySelectorAll(`[data-name="${name}"]`)) place.textContent = text;
}

// A value as a new output; more: further attributes.
export function number(name, value, format = fixed, more = {}) {
  const output = element("output", { "data-name": name, ...more });
  show(output, value, format);
  return output;
}

const plain = (step) => (value) => fixed(value, Number.isInteger(step) ? 0 : 2);

export function slider(name, label, [min, max, step], value, change, format = plain(step)) {
  const readout = element("span", { class: "value" }); // a label would attach to an <output>
  const input = element("input", { type: "range", name, min, max, step, value });
  const show_value = () => {
    readout.textContent = format(input.valueAsNumber);
    input.setAttribute("aria-valuetext", readout.textContent);
  };
  input.addEventListener("input", () => {
    change(input.valueAsNumber);
    show_value();
  });
  show_value();
  const span = element("span", { class: "label" });
  span.innerHTML = label;
  return element("label", { class: "slider" }, span, readout, input);
}

// A slider for a learning rate, on a logarithmic scale from 10^low to 10^high.
export function lr_slider(name, [low, high], lr, change) {
  const of = (power) => Number((10 ** power).toPrecision(2));
  const format = (power) => scientific(of(power));
  const set = (power) => change(of(power));
  return slider(name, "learning rate", [low, high, 0.05], Math.log10(lr), set, format);
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
