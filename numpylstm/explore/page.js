// The page: an article with instruments, each made when it comes near the screen.

import { alive_part } from "./alive.js";
import * as arrays from "./arrays.js";
import * as draws from "./draws.js";
import { button, element } from "./elements.js";
import * as engine from "./engine.js";
import { serve } from "./learner.js";
import { load_model } from "./models.js";
import { pulse_part } from "./pulse.js";
import { race_part } from "./race.js";
import { reach_part } from "./reach.js";
import { reading_part } from "./reading.js";
import { staircase_part } from "./staircase.js";
import { step_part } from "./step.js";
import { your_text_part } from "./your_text.js";

const SHARED = ["counts", "step", "reading", "own", "race"]; // whose view a link can reopen
const LONGEST = 2000; // characters of a text in a link
const MOVED = { gates: "counts", reach: "back" }; // figures that are part of another one now
const FADE = { shown: ["tanh"], control: "radius", high: 9, lag: 60 };
const BACK = { shown: ["tanh", "cell", "along"], control: "forget_bias", high: 3, lag: 30 };

function open_page() {
  const data = JSON.parse(document.getElementById("data").textContent);
  const brackets = load_model(data.models.brackets);
  const makers = {
    alive: (root) => alive_part(root, brackets),
    counts: (root) => staircase_part(root, brackets),
    pulse: (root) => pulse_part(root, "vanilla"),
    fade: (root) => reach_part(root, FADE),
    carousel: (root) => pulse_part(root, "carried"),
    back: (root) => reach_part(root, BACK),
    own: (root) => your_text_part(root, { texts: data.texts, cells: data.cells }),
    step: (root) => step_part(root, data.cells),
    reading: (root) => reading_part(root, data.models),
    race: race_part,
  };
  const parts = {};
  const root_of = (name) => document.getElementById(name);

  function make(name) {
    if (parts[name]) return;
    parts[name] = makers[name](root_of(name));
    if (SHARED.includes(name)) root_of(name).append(share_button(name));
  }
  const near = new IntersectionObserver(
    (entries) => {
      for (const { isIntersecting, target } of entries) if (isIntersecting) make(target.id);
    },
    { rootMargin: "600px" },
  );
  const paint = () => {
    for (const [name, part] of Object.entries(parts)) if (root_of(name).offsetParent) part.paint();
  };

  // --- a view as an address: #part?name=value&... -------------------------------------------------

  const inputs = (name) => [...root_of(name).querySelectorAll("input, textarea")];
  const key = (input) => input.name || input.type;

  function share_button(name) {
    const status = element("output");
    const act = button(() => {
      const view = new URLSearchParams(parts[name].extra?.());
      let left_out = "";
      for (const input of inputs(name)) {
        const unused = input.type === "radio" ? !input.checked : input.ariaValueText === "free";
        const long = input.value.length > LONGEST;
        if (!unused && !long && input.type !== "file") view.set(key(input), input.value);
        if (long) left_out = ` The text is longer than ${LONGEST} characters, so it is left out.`;
      }
      history.replaceState(null, "", `#${name}?${view}`);
      const link = element("a", { href: location.href, target: "_top" }, "This link");
      status.replaceChildren(link, ` reopens this view.${left_out}`);
      const copied = () => status.append(" It has been copied.");
      const not_allowed = () => {};
      navigator.clipboard?.writeText(location.href).then(copied, not_allowed);
    }, "Share this");
    return element("p", { class: "share" }, act, " ", status);
  }

  // Set every control that differs; setting one may make others anew.
  function set_controls(name, view) {
    for (const [control, value] of view) {
      const input = inputs(name).find(
        (input) => key(input) === control && (input.type !== "radio" || input.value === value),
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
    const [asked, ...rest] = location.hash.slice(1).split("?");
    const name = MOVED[asked] ?? asked;
    if (!(name in makers)) return;
    const view = new URLSearchParams(rest.join("?"));
    const more = root_of(name).closest("details");
    if (more) more.open = true;
    make(name);
    set_controls(name, view);
    if (view.size && parts[name].restore) {
      parts[name].restore(Object.fromEntries(view));
      set_controls(name, view); // another cell has been chosen, and is not held yet
      parts[name].restore(Object.fromEntries(view));
    }
    if (parent === window) root_of(name).scrollIntoView(); // a frame would scroll the page around it
  }
  addEventListener("hashchange", reopen);
  addEventListener("resize", paint);
  addEventListener("beforeprint", () => Object.keys(makers).forEach(make));
  document.addEventListener("submit", (event) => event.preventDefault());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);

  // Inside another page: the first figure, or the one asked for, alone; the colours of that page; and the
  // height of this one.
  addEventListener("message", (event) => {
    if (!["light", "dark"].includes(event.data?.theme)) return;
    document.documentElement.dataset.theme = event.data.theme;
    paint();
  });
  if (parent !== window) {
    document.documentElement.classList.add("embedded");
    const [name] = location.hash.slice(1).split("?");
    root_of(name in makers ? name : "alive").classList.add("shown");
    const post_height = () => parent.postMessage({ height: document.body.offsetHeight }, "*");
    new ResizeObserver(post_height).observe(document.body);
  }
  for (const name of Object.keys(makers)) near.observe(root_of(name));
  reopen();

  // For the console: the engine, and the state of each part.
  globalThis.explore = { arrays, engine, draws, parts, make };
}

if (globalThis.document) open_page();
else {
  const receive = serve(postMessage); // a worker
  globalThis.onmessage = ({ data }) => receive(data);
}
