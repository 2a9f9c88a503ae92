"""Train the two small models of the interactive page: ``python docs/tools/page_models.py``.

One reads Python's language reference, character by character. The other reads nested brackets, a
language whose rules are known, and its cells count (notebook 8). Writes
``numpylstm/explore/models.json``; the copy in the package was made with Python 3.11.
"""

import base64
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

import numpylstm as nl
from numpylstm.explore import FOLDER
from numpylstm.laboratory.diagnostics import cell_activations
from numpylstm.training.metrics import Row

FILE = FOLDER / "models.json"


def nested(length: int, rng: np.random.Generator, deepest: int = 8) -> str:
    """Draw lines of nested brackets and quoted letters; a line ends when its brackets close."""
    out: list[str] = []
    depth = 0
    while len(out) < length:
        if depth and rng.random() < 0.25:
            out += ['"', *rng.choice(list("abc()"), size=rng.integers(1, 8)), '"']
            continue
        opens = depth == 0 or (depth < deepest and rng.random() < 0.5)
        out.append("(" if opens else ")")
        depth += 1 if opens else -1
        if depth == 0:
            out.append("\n")
    return "".join(out)


def train_counter() -> tuple[nl.LanguageModel, nl.Vocabulary]:
    """Train ten cells on brackets, as in notebook 8."""
    text = nested(60_000, np.random.default_rng(0))
    letters = nl.Vocabulary.build(text)
    ids, _ = letters.encode(list(text))
    model = nl.LanguageModel(len(letters), 10, init_scale=0.3, rng=2)
    optimizer = nl.SGD(model.parameters(), lr=0.3)
    for epoch in range(100):
        optimizer.lr = nl.decayed_rate(0.3, epoch, decay=0.8, constant_epochs=51)
        state = model.zero_state(20)
        for x, y in nl.data.batches(ids, batch_size=20, num_steps=40):
            optimizer.zero_grad()
            _, state = model.forward(x, y, state)
            model.backward()
            nl.clip_by_global_norm(model.parameters(), 1.0)
            optimizer.step()
    return model, letters


def train_reader() -> tuple[nl.LanguageModel, nl.Vocabulary]:
    """Train sixty-four cells on Python's language reference."""
    corpus = nl.data.load_embedded(level="char")
    config = nl.from_preset(
        "small", level="char", hidden_size=64, num_layers=1, num_steps=50,
        epochs=12, lr=0.5, constant_epochs=7, decay=0.6,
    )  # fmt: skip
    run = nl.new_run(config, corpus)
    for row in nl.train(run, corpus):
        if isinstance(row, Row) and row.valid_perplexity is not None:
            print(f"epoch {row.epoch}: valid perplexity {row.valid_perplexity:.3f}", flush=True)
    print(f"test perplexity of a character: {nl.evaluate(run.model, corpus.test).perplexity:.3f}")
    return run.model, corpus.vocabulary


def depth(text: str) -> list[int]:
    """Count the open brackets after each character, but for those in quotation marks."""
    quoted, open_now, out = False, 0, []
    for character in text:
        quoted ^= character == '"'
        open_now += 0 if quoted else (character == "(") - (character == ")")
        out.append(open_now)
    return out


def in_quotes(text: str) -> list[bool]:
    """Return True for each character after which a quotation is open; an empty line closes it."""
    quoted, out = False, []
    for before, character in zip("\n" + text, text, strict=False):
        quoted = (quoted ^ (character == '"')) and not before == character == "\n"
        out.append(quoted)
    return out


def best_cell(
    model: nl.LanguageModel, vocabulary: nl.Vocabulary, text: str, feature: Sequence[float]
) -> int:
    """Return the cell whose state correlates most with a feature of the text."""
    ids, _ = vocabulary.encode(list(text))
    c = cell_activations(model, ids[:, None])[-1].c[:, 0]
    correlation = [np.corrcoef(cell, feature)[0, 1] for cell in c.T]
    best = int(np.abs(correlation).argmax())
    print(f"cell {best}: r = {correlation[best]:+.2f}")
    return best


def stored(model: nl.LanguageModel, vocabulary: nl.Vocabulary, unit: int) -> dict[str, Any]:
    """Return a model in the format of the page: float16 weights in base64."""
    return {
        "tokens": list(vocabulary.tokens),
        "parameters": {
            path: {
                "shape": array.shape,
                "float16": base64.b64encode(array.astype("<f2").tobytes()).decode("ascii"),
            }
            for path, array in model.state_dict().items()
        },
        "unit": unit,  # the cell that the page shows first
    }


def main() -> None:
    """Train both and write the file."""
    counter, letters = train_counter()
    text = nested(5_000, np.random.default_rng(1))
    brackets = stored(counter, letters, best_cell(counter, letters, text, depth(text)))
    reader, characters = train_reader()
    text = nl.data.read_embedded()["valid"]
    python = stored(reader, characters, best_cell(reader, characters, text, in_quotes(text)))
    models = {"python": python, "brackets": brackets}
    FILE.write_text(json.dumps(models, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{FILE.name}: {FILE.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
