// The page: its four parts, one at a time.

import * as arrays from "./arrays.js";
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
  if (parts[name]) parts[name].paint();
  else parts[name] = MAKERS[name](document.getElementById(name));
  tell_height();
}

const asked = () => (names.includes(location.hash.slice(1)) ? location.hash.slice(1) : names[0]);
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
addEventListener("hashchange", () => open(asked()));
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

open(asked());

// For the console: the engine, and the state of each part.
globalThis.explore = { arrays, engine, draws, look, parts };
