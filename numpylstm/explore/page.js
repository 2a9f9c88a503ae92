// The page: its four parts, one at a time.

import * as arrays from "./arrays.js";
import { element } from "./charts.js";
import * as draws from "./draws.js";
import * as engine from "./engine.js";
import { look, race_part } from "./race.js";
import { reach_part } from "./reach.js";
import { reading_part } from "./reading.js";
import { step_part } from "./step.js";

const data = JSON.parse(document.getElementById("data").textContent);
const MAKERS = {
  step: (root) => step_part(root, data.reference),
  reading: (root) => reading_part(root, data.models),
  reach: reach_part,
  race: race_part,
};
const names = Object.keys(MAKERS);
const parts = {};

// A part is made when it is first shown.
function open(name) {
  for (const other of names) {
    document.getElementById(other).hidden = other !== name;
    const tab = document.getElementById(`tab-${other}`);
    tab.setAttribute("aria-selected", other === name);
    tab.tabIndex = other === name ? 0 : -1;
  }
  document.getElementById("shared").replaceChildren(); // it links to another view
  if (parts[name]) parts[name].paint();
  else parts[name] = MAKERS[name](document.getElementById(name));
  tell_height();
}

const asked = () => {
  const [name] = location.hash.slice(1).split("?");
  return names.includes(name) ? name : names[0];
};
const shown = () => names.find((name) => !document.getElementById(name).hidden);

names.forEach((name, k) => {
  const tab = document.getElementById(`tab-${name}`);
  tab.addEventListener("click", () => {
    history.replaceState(null, "", `#${name}`);
    open(name);
  });
  tab.addEventListener("keydown", (event) => {
    const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!move) return;
    const next = document.getElementById(`tab-${names[(k + move + names.length) % names.length]}`);
    next.focus();
    next.click();
  });
});

// --- a view as an address: #part?name=value&... ---------------------------------------------------

const inputs = () => document.getElementById(shown()).querySelectorAll("input, textarea");
const key = (input) => input.name || input.type;

function share() {
  const view = new URLSearchParams(parts[shown()].extra?.());
  for (const input of inputs()) {
    const unused = input.type === "radio" ? !input.checked : input.ariaValueText === "free";
    if (!unused) view.set(key(input), input.value);
  }
  history.replaceState(null, "", `#${shown()}?${view}`);
  const said = document.getElementById("shared");
  const link = element("a", { href: location.href, target: "_top" }, "This link");
  said.replaceChildren(link, " reopens this view.");
  navigator.clipboard?.writeText(location.href).then(
    () => {
      said.append(" It has been copied.");
    },
    () => {}, // not allowed
  );
}

// Set every control that differs; setting one may make others anew.
function set_controls(view) {
  for (const [name, value] of view) {
    const input = [...inputs()].find(
      (input) => key(input) === name && (input.type !== "radio" || input.value === value),
    );
    if (!input) continue;
    if (input.type === "radio") {
      if (!input.checked) input.click();
    } else if (input.value !== value || input.ariaValueText === "free") {
      input.value = value;
      input.dispatchEvent(new Event("input", { bubbles: true }));
    }
  }
}

function reopen() {
  open(asked());
  const view = new URLSearchParams(location.hash.split("?").slice(1).join("?"));
  set_controls(view);
  if (view.size && parts[shown()].restore) {
    parts[shown()].restore(Object.fromEntries(view));
    set_controls(view); // another cell has been chosen, and is not held yet
    parts[shown()].restore(Object.fromEntries(view));
  }
}
document.getElementById("share").addEventListener("click", share);
addEventListener("hashchange", reopen);
addEventListener("resize", () => parts[shown()].paint());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => parts[shown()].paint());

// Inside another page: take its colours, and report the height of this one.
addEventListener("message", (event) => {
  if (!["light", "dark"].includes(event.data?.theme)) return;
  document.documentElement.dataset.theme = event.data.theme;
  parts[shown()].paint();
});
function tell_height() {
  if (parent !== window) parent.postMessage({ height: document.body.offsetHeight }, "*");
}
if (parent !== window) document.documentElement.classList.add("embedded");
new ResizeObserver(tell_height).observe(document.body);

reopen();

// For the console: the engine, and the state of each part.
globalThis.explore = { arrays, engine, draws, look, parts };
