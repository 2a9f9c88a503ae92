// "Your own text": a model that learns it in a worker, while the page draws what it has learned so far.

import { draw_lines, draw_norms, round_axis } from "./charts.js";
import { button, choice, element, lr_slider, number, slider } from "./elements.js";
import { zero_state } from "./engine.js";
import { norms_by_input } from "./lag.js";
import {
  beginning,
  cleaned,
  encode,
  LONGEST,
  objection,
  prompt_of,
  size,
  vocabulary,
} from "./learner.js";
import { most_probable, read } from "./models.js";
import { safetensors } from "./safetensors.js";
import { as_picture } from "./sample_picture.js";
import { draw_staircase } from "./staircase.js";
import { in_text, visible } from "./tokens.js";

const SAMPLES = 4; // of the latest that are shown

// A worker made of the page's own script.
function open_learner(receive) {
  const source = document.querySelector("script[type=module]").textContent;
  const worker = new Worker(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
  worker.onmessage = ({ data }) => receive(data);
  return worker;
}

// The unit that changes most, but not at every step: with the largest covariance of one step and the next.
function most_telling(reading, memory_field) {
  const covariance = (unit) => {
    const values = reading.map(({ steps }) => Math.tanh(steps[0][memory_field].data[unit]));
    const mean = values.reduce((a, b) => a + b) / values.length;
    return values.reduce((sum, v, t) => sum + (t && (v - mean) * (values[t - 1] - mean)), 0);
  };
  return most_probable([...reading[0].steps[0].h.data.keys()].map(covariance));
}

// cells: the records of the cells by name
export function your_text_part(root, { texts, cells }) {
  const $ = (selector) => root.querySelector(selector);
  const textarea = $("textarea");
  const status = $("[data-name=said]");
  const chosen = { cell: "lstm", H: 64, lr: 0.05 }; // for the next start; lr acts at once
  const part = { state: "empty", unit: 0, chosen };

  // --- learning -----------------------------------------------------------------------------------

  function start() {
    const text = cleaned(textarea.value);
    const wrong = objection(text);
    status.textContent = wrong ?? "";
    if (wrong && size(text) > LONGEST) status.append(" ", use_beginning(text));
    if (wrong) return status.scrollIntoView({ block: "nearest" });
    part.learner?.terminate();
    const { tokens, distinct } = vocabulary(text);
    if (distinct >= tokens.length)
      status.textContent = `${distinct} different characters: the ${tokens.length - 1} most frequent are learned, the others are read as one sign.`;
    const ids = encode(text, tokens);
    const prompt = [...encode(prompt_of(text), tokens)];
    Object.assign(part, { ...chosen, tokens, prompt, report: null, reading: null });
    Object.assign(part, { losses: [], samples: [], unit: 0, picked: false });
    part.memory_field = cells[part.cell].memory_field;
    part.learner = open_learner(receive);
    part.learner.postMessage({ start: { ids, V: tokens.length, prompt, ...chosen } });
    build_unit();
    run(true);
  }

  const use_beginning = (text) =>
    button(() => {
      textarea.value = beginning(text);
      start();
    }, "Use the beginning");

  function run(on) {
    part.state = on ? "running" : "paused";
    part.learner.postMessage({ running: on });
    paint();
  }

  function receive(report) {
    const { loss, held_out, sample, characters, parameters } = report;
    part.report = report;
    part.losses.push([characters, loss, held_out]);
    part.samples.push(sample.map((id) => part.tokens[id]));
    const ids = [...part.prompt, ...sample];
    part.words = ids.map((id) => part.tokens[id]);
    part.model = { cell: { name: part.cell }, parameters, options: [] };
    part.reading = read(part.model, parameters, zero_state(part.cell, parameters, 1), ids);
    if (!part.picked) set_unit(most_telling(part.reading, part.memory_field));
    paint();
  }

  // --- drawing ------------------------------------------------------------------------------------

  function paint() {
    const { state, report, losses } = part;
    buttons.train.textContent = { empty: "Train", running: "Pause", paused: "Continue" }[state];
    buttons.again.hidden = state === "empty";
    $(".learning").hidden = !report;
    if (!report) return;
    const free = [];
    if (report.free !== null)
      free.push(" (", number("free", report.free), " if the held gate were free)");
    $(".progress").replaceChildren(
      number("loss", report.loss),
      " nats per character on the text, ",
      number("held-out", report.held_out),
      " on the tenth held out",
      ...free,
      "; ",
      number("characters", report.characters, (v) => v.toLocaleString("en")),
      " characters read, ",
      number("speed", report.speed, (v) => Math.round(v).toLocaleString("en")),
      " a second.",
    );
    draw_losses(losses);
    const prompt = part.prompt.map((id) => part.tokens[id]);
    const of_sample = (sample) => element("p", {}, element("b", {}, shown(prompt)), shown(sample));
    $(".samples").replaceChildren(...part.samples.slice(-SAMPLES).map(of_sample));
    paint_unit();
  }

  const shown = (words) => words.map((word) => in_text(word)).join("");

  function draw_losses(losses) {
    const most = losses[losses.length - 1][0];
    const high = Math.ceil(losses.reduce((a, [, loss, held]) => Math.max(a, loss, held), 1));
    const line = (name, style, k) => ({
      name,
      style,
      points: losses.map((point) => [point[0], point[k]]),
    });
    draw_lines($("svg.losses"), {
      x: { ...round_axis(most), label: "characters read" },
      y: { ...round_axis(high), label: "nats" },
      lines: [line("training", part.cell, 1), line("held out", `${part.cell} dashed`, 2)],
    });
  }

  // One unit while the network reads the newest sample, and how far back the next character depends.
  function paint_unit() {
    const { cell, words, unit, tokens, model, reading } = part;
    const of_unit = (name) => reading.map(({ steps }) => steps[0][name].data[unit]);
    const strips = (cell === "lstm" ? ["f", "i", "o"] : []).map((name) => [name, of_unit(name)]);
    draw_staircase($("svg.staircase"), { words, values: of_unit(part.memory_field), strips });
    const best = most_probable(reading[reading.length - 1].p);
    const norms = norms_by_input(model, reading, best).toReversed();
    const label = `steps back from “${visible(tokens[best])}”, the most probable next`;
    draw_norms($("svg.low"), norms, cell, label);
  }

  // --- controls -----------------------------------------------------------------------------------

  function build_unit() {
    const pick = slider("unit", "unit", [0, part.H - 1, 1], part.unit, (unit) => {
      part.unit = unit;
      if (part.reading) paint_unit();
    });
    const title = "Hold a gate of all units while it learns";
    const gates = ["free", "f = 0", "f = 1", "i = 0", "o = 0"];
    const hold = choice("own-hold", title, gates, "free", (chosen) => {
      const [gate, to] = chosen.split(" = ");
      part.learner.postMessage({ hold: chosen === "free" ? null : { gate, value: Number(to) } });
    });
    $(".unit").replaceChildren(pick, ...(part.cell === "lstm" ? [hold] : []));
  }

  function set_unit(unit) {
    const input = $("[name=unit]");
    input.value = unit;
    input.dispatchEvent(new Event("input"));
  }

  function download() {
    const file = safetensors(part.report.parameters, part.tokens);
    const href = URL.createObjectURL(new Blob([file], { type: "application/octet-stream" }));
    element("a", { href, download: "model.safetensors" }).click();
    setTimeout(() => URL.revokeObjectURL(href), 10_000);
  }

  // The newest sample, after its beginning.
  const newest = () =>
    [...part.prompt.map((id) => part.tokens[id]), ...part.samples.at(-1)].join("");
  const about_sample = () =>
    `after ${part.report.characters.toLocaleString("en")} characters, loss ${part.report.held_out.toFixed(2)} nats`;

  async function copy(make, what) {
    try {
      await navigator.clipboard.write([new ClipboardItem(await make())]);
      copied.textContent = `The ${what} has been copied.`;
    } catch (error) {
      copied.textContent = `This browser does not let the page copy: ${error.message}`;
    }
  }
  const copied = element("output");
  const text_of = async () => ({ "text/plain": new Blob([newest()], { type: "text/plain" }) });
  const picture_of = async () => ({ "image/png": await as_picture(newest(), about_sample()) });

  async function take(file) {
    if (!file) return;
    textarea.value = beginning(await file.slice(0, LONGEST).text());
    const cut = file.size > LONGEST ? `, of which the first ${LONGEST / 1000} kB are here` : "";
    status.textContent = `${file.name}: ${Math.ceil(file.size / 1000)} kB${cut}.`;
  }

  const buttons = {
    train: button(() => (part.state === "empty" ? start() : run(part.state === "paused")), "Train"),
    again: button(start, "Start again"),
  };
  const changed = () => {
    if (part.state !== "empty") status.textContent = "Press “Start again” to train with this.";
  };
  const set = (name, read) => (value) => {
    chosen[name] = read(value);
    changed();
  };
  const titles = ["lstm", "rnn"].map((name) => [name, cells[name].title]);
  const use = ([name, text]) =>
    button(() => {
      textarea.value = text;
      changed();
    }, name);
  $(".texts").append(...Object.entries(texts).map(use));
  $(".controls").append(
    choice("own-cell", "Cell", titles, chosen.cell, set("cell", String)),
    choice("own-size", "Units", ["32", "64", "128"], chosen.H, set("H", Number)),
    lr_slider("own-rate", [-3, 0], chosen.lr, (lr) => {
      chosen.lr = lr;
      part.learner?.postMessage({ lr });
    }),
  );
  $(".buttons").append(...Object.values(buttons));
  $(".unit").addEventListener("input", ({ isTrusted }) => (part.picked ||= isTrusted));
  textarea.addEventListener("input", changed);
  $(".copy").append(
    button(() => copy(text_of, "sample"), "Copy the newest sample"),
    button(() => copy(picture_of, "picture"), "Copy it as a picture"),
    copied,
  );
  $(".download").append(button(download, "Download the model"));
  $("input[type=file]").addEventListener("change", (event) => take(event.target.files[0]));
  textarea.addEventListener("dragover", (event) => event.preventDefault());
  textarea.addEventListener("drop", (event) => {
    if (!event.dataTransfer.files.length) return;
    event.preventDefault();
    take(event.dataTransfer.files[0]);
  });
  textarea.value = Object.values(texts)[0];
  Object.assign(part, { paint });
  paint();
  return part;
}
