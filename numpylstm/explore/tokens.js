// Tokens: as a typed text is cut, as they are shown, and as places that a reader points at.

import { on_keys, STEPS } from "./elements.js";

// --- cut ------------------------------------------------------------------------------------------

// As numpylstm.data.text: words, numbers, emoji, flags, runs of one mark, brackets. White space is
// Python's, which differs from \s in U+001C to U+001F, U+0085 and U+FEFF; an accent or a vowel sign
// stays in its word.
const SPACE = String.raw`\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000`;
const LETTER = String.raw`\p{L}\p{N}_`;
const JOINERS = String.raw`\u200c\u200d`;
const MARK = String.raw`[^${LETTER}${SPACE}()[\]{}]`;
const SYMBOL = String.raw`[^${LETTER}${SPACE}()[\]{}${JOINERS}]`;
const WORD = new RegExp(`[^${SPACE}]+`, "gu");
const PUNCTUATED = new RegExp(
  [
    "<unk>|<eos>",
    String.raw`(?!\p{Nd})[${LETTER}][${LETTER}\p{M}${JOINERS}]*(?:['’](?:d|ll|m|re|s|t|ve)(?![${LETTER}]))?`,
    String.raw`\p{Nd}[${LETTER}\p{M}]*(?:\.\p{Nd}[${LETTER}]*)*`,
    String.raw`${SYMBOL}(?:[\p{M}\u{1f3fb}-\u{1f3ff}]|\u200d${SYMBOL})+`,
    String.raw`[\u{1f1e6}-\u{1f1ff}]{2}`,
    String.raw`(${MARK})\1*`,
    String.raw`[()[\]{}]`,
  ].join("|"),
  "gu",
);

function cut_words(text, { splits_punctuation }) {
  const cut = (line) =>
    splits_punctuation
      ? [...line.matchAll(PUNCTUATED)].map(([word, mark]) =>
          mark ? word.slice(0, 3 * mark.length) : word,
        )
      : (line.match(WORD) ?? []);
  return text.split("\n").flatMap((line, k) => (k ? ["<eos>", ...cut(line)] : cut(line)));
}

const join_words = (words) => words.map((word) => (word === "<eos>" ? "\n" : `${word} `)).join("");
const join_characters = (words) => words.join("").replaceAll("<unk>", "\ufffd"); // one character, too

// The levels of tokens by name: what a token is called, how a typed text is cut and how tokens are joined into one,
// what stands between tokens in a running text, and how many tokens are shown before one.
export const LEVELS = {
  word: { unit: "word", cut: cut_words, join: join_words, separator: " ", context: 2 },
  char: {
    unit: "character",
    cut: (text) => [...text],
    join: join_characters,
    separator: "",
    context: 8,
  },
};

export const tokenize = (text, model) => LEVELS[model.level].cut(text, model);

// --- shown ----------------------------------------------------------------------------------------

const SIGNS = new Map([
  ["\n", "⏎"],
  ["\t", "tab"],
  [" ", "␣"],
  ["\u200d", "joiner"],
  ["<unk>", "unknown"],
  ["<eos>", "⏎"],
]);
// Characters that control, and those that turn the direction of writing, by their numbers.
const CONTROL = /[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/gu;
export const visible = (token) =>
  SIGNS.get(token) ??
  token.replace(CONTROL, (c) => `U+${c.codePointAt(0).toString(16).padStart(4, "0")}`);

// A token in a running text.
export function in_text(token, level = "char") {
  if (token === "\n" || token === "<eos>") return "⏎\n";
  if (token === " ") return token;
  return visible(token) + LEVELS[level].separator;
}

// Let a reader point at a token: a span whose data-t is its place, in the element `text`. `place` returns the
// place where the reader is; point(t) is called with another one, which may lie outside of the text.
export function on_tokens(text, place, point) {
  const at_pointer = ({ clientX, clientY }) => {
    // not event.target, which stays the same while a finger moves
    const t = document.elementFromPoint(clientX, clientY)?.dataset.t;
    if (t !== undefined) point(Number(t));
  };
  text.addEventListener("pointermove", at_pointer);
  text.addEventListener("pointerdown", at_pointer);
  on_keys(text, STEPS, (move) => point(place() + move));
}
