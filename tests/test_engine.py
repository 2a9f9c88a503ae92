"""The engine of the interactive page, in Node, against the golden tapes and the textbook."""

import unicodedata

import numpy as np
import pytest
from support.node import Held, needs_node, node

from numpylstm import LanguageModel, reference, tape
from numpylstm.cells import CELLS
from numpylstm.data.text import split_punctuation, tokenize

pytestmark = needs_node


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_every_number_of_the_golden_tape(cell):
    """All except the inputs and parameters, which the engine is given."""
    golden = tape.load(cell)
    found = node("tape", golden=golden, cell=cell)
    grade = tape.grade(found, 1e-12, cell)
    assert not grade.wrong, str(grade)
    assert not grade.not_given, str(grade)
    held = Held()
    for name in ("forward", "loss", "backward", "gradients"):
        held(name, found[name], golden[name])
    print(f"\nthe golden tape of the {cell}: {held}")


CASES = (  # the cell, its last argument, and the vectors besides Wx, Wh and b
    ("lstm", None, 0), ("rnn", "tanh", 0), ("rnn", "relu", 0), ("rnn", "sigmoid", 0),
    ("gru", "after", 1), ("gru", "after", 0), ("gru", "before", 0),
)  # fmt: skip


def random_layer(seed):
    """Return a cell with random arrays of sizes that all differ, and the textbook's results."""
    rng = np.random.default_rng(seed)
    T, B, D, H = (int(n) for n in rng.permutation([3, 4, 5, 6, 7])[:4])
    name, option, vectors = CASES[seed % len(CASES)]
    cell, options = CELLS[name], [] if option is None else [option]
    columns = len(cell.blocks) * H
    weights = [rng.normal(size=shape) for shape in ((D, columns), (H, columns), columns)]
    if name == "gru":
        weights.append(rng.normal(size=H) if vectors else None)
    x, dhs = rng.normal(size=(T, B, D)), rng.normal(size=(T, B, H))
    state, dstate = ([rng.normal(size=(B, H)) for _ in cell.states] for _ in range(2))
    *results, cache = cell.function(reference, "forward")(x, *state, *weights, *options)
    results += cell.function(reference, "backward")(dhs, *dstate, cache)
    given = {"cell": name, "options": options, "x": x, "state": state, "weights": weights}
    return given | {"dhs": dhs, "dstate": dstate}, results


def two_layers(cell, options):
    """Return a model in float64, its arguments, and its loss, state and gradients."""
    model = LanguageModel(
        11, 6, 2, embedding_size=4, cell=cell, dtype="float64", impl="reference", init_scale=0.8,
        rng=5, **options,
    )  # fmt: skip
    rng = np.random.default_rng(7)
    ids, targets = rng.integers(11, size=(2, 5, 3))
    state = type(model.zero_state(3))(*(rng.normal(size=(2, 3, 6)) for _ in CELLS[cell].states))
    loss, after = model.forward(ids, targets, state)
    model.backward()
    parameters = model.parameters()
    given = {"cell": cell, "options": list(options.values()), "ids": ids, "targets": targets}
    given["parameters"] = {path: p.data for path, p in parameters.items()}
    given["state"] = [list(layer) for layer in zip(*state, strict=True)]
    gradients = {path: p.grad for path, p in parameters.items()}
    expected = {"loss": loss, "after": np.stack(after, axis=1), "gradients": gradients}
    return given, expected  # after: (L, parts, B, H)


def test_layers_and_models():
    """States, losses and gradients; without bn where the package's model has none."""
    layers = [random_layer(seed) for seed in range(6 * len(CASES))]
    options = {"rnn": {"activation": "relu"}, "lstm": {}, "gru": {"reset": "after"}}
    models = [two_layers(cell, each) for cell, each in options.items()]
    models.append(two_layers("gru", {"reset": "before"}))
    found = node("engine", layers=[given for given, _ in layers], models=[m for m, _ in models])
    held = Held()
    for (given, expected), results in zip(layers, found["layers"], strict=True):
        for k, (one, other) in enumerate(zip(results, expected, strict=True)):
            what = f"{given['cell']} {given['options']}, result {k}"
            if other is None:  # without bn there is no dbn
                assert one is None, what
            else:
                held(what, one, other)
    for (given, expected), results in zip(models, found["models"], strict=True):
        held(f"{given['cell']} {given['options']}", results, expected)
    assert found["wrong_reset"].startswith('reset must be "after", or "before" without bn')
    print(f"\n{len(layers)} layers and {len(models)} models: {held}")


def test_typed_text_is_cut_as_the_package_cuts_it():
    """Also between any two letters, with every character that both Unicodes have."""
    characters = (chr(n) for n in range(0x110000) if not 0xD800 <= n < 0xE000)
    assigned = [c for c in characters if unicodedata.category(c) != "Cn"]
    texts = [
        "It's a list, f([1.5])\n----------\n", "2x 3.5e7 __init__ <unk> a<eos>b", "x... ¡é! …… {}",
        "o’ve don't’s 4's", "½ ² ٣٤ 數 _9 a\u0301b हिन्दी",
        "👩🏽\u200d💻! ❤\ufe0f 🇩🇪🇫🇷 1\ufe0f\u20e3 می\u200cخواهم 👍👍",
        *(f"a{c}b" for c in assigned),
    ]  # fmt: skip
    found = node("tokenize", texts=texts)
    assert sum(words is not False for words in found) > 0.9 * len(texts)
    for text, words in zip(texts, found, strict=True):
        if words is not False:
            assert words == [tokenize(text), tokenize(split_punctuation(text))], ascii(text)
