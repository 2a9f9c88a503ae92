// Texts, cut into tokens as the page cuts what is typed.

import { tokenize } from "../../numpylstm/explore/tokens.js";
import { answer } from "./exchange.mjs";

const known = (text) => !/\p{Cn}/u.test(text); // assigned in the Unicode of Node

answer(({ texts }) =>
  texts.map(
    (text) =>
      known(text) &&
      [false, true].map((splits_punctuation) =>
        tokenize(text, { level: "word", splits_punctuation }),
      ),
  ),
);
