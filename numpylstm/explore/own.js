// The explorer: a trained model of the reader's reads a text.

import * as arrays from "./arrays.js";
import * as engine from "./engine.js";
import { reading_part } from "./reading.js";

const { models } = JSON.parse(document.getElementById("data").textContent);
const { name, about, source, recorded } = models.own;
document.title = `${name}: numpylstm`;
document.getElementById("name").textContent = name;
document.getElementById("about").textContent = `${about}. It reads: ${source}.`;
document.getElementById(recorded ? "embedded" : "recorded").hidden = true;
const reading = reading_part(document.getElementById("reading"), models);
addEventListener("resize", reading.paint);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", reading.paint);

// For the console.
globalThis.explore = { arrays, engine, parts: { reading } };
