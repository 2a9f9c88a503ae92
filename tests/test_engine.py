"""The engine of the interactive page, in Node, against the golden tapes and the textbook."""

import unicodedata

import numpy as np
import pytest
from support.node import assert_close, needs_node, node
from test_reference import recurrent_arrays

from numpylstm import reference, tape
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


CASES = (  # the cell, with bn or without, and its option
    ("lstm", False, []), ("rnn", False, ["tanh"]), ("rnn", False, ["relu"]),
    ("rnn", False, ["sigmoid"]), ("gru", True, ["after"]), ("gru", False, ["after"]),
    ("gru", False, ["before"]),
)  # fmt: skip


def random_layer(seed):
    """Return a cell with random arrays of sizes that all differ, and the textbook's results."""
    rng = np.random.default_rng(seed)
    cell, bn, options = CASES[seed % len(CASES)]
    sizes = rng.permutation([3, 4, 5, 6, 7])[:4].tolist()
    x, *arrays = recurrent_arrays(rng, sizes, cell, bn).values()
    states = len(CELLS[cell].states)
    state, weights = arrays[:states], arrays[states:]
    if cell == "gru" and not bn:
        weights.append(None)
    forward, backward = (getattr(reference, f"{cell}_{way}") for way in ("forward", "backward"))
    *results, cache = forward(x, *state, *weights, *options)
    dhs, *dstate = (rng.standard_normal(result.shape) for result in results)
    given = {"cell": cell, "options": options, "x": x, "state": state, "weights": weights}
    return given | {"dhs": dhs, "dstate": dstate}, [*results, *backward(dhs, *dstate, cache)]


def test_layers():
    """States and gradients; without bn where the package's model has none."""
    layers = [random_layer(seed) for seed in range(len(CASES))]
    found = node("engine", layers=[given for given, _ in layers])
    for (given, expected), results in zip(layers, found, strict=True):
        for k, (one, other) in enumerate(zip(results, expected, strict=True)):
            what = f"{given['cell']} {given['options']}, result {k}"
            if other is None:  # without bn there is no dbn
                assert one is None, what
            else:
                assert_close(what, one, other)


def test_typed_text_is_cut_as_the_package_cuts_it():
    """Also between any two letters: with every 16th ideograph, and nearly all other characters."""
    numbers = (
        *range(0x3400),
        *range(0x3400, 0xD800, 16),
        *range(0xF900, 0x20000),
        *range(0x20000, 0x110000, 16),
    )
    assigned = [chr(n) for n in numbers if unicodedata.category(chr(n)) != "Cn"]
    texts = [
        "It's a list, f([1.5])\n----------\n",
        "2x 3.5e7 __init__ <unk> a<eos>b",
        "x... ¡é! …… {}",
        "o’ve don't’s 4's",
        "½ ² ٣٤ 數 _9 a\u0301b हिन्दी",
        "👩🏽\u200d💻! ❤\ufe0f 🇩🇪🇫🇷 1\ufe0f\u20e3 می\u200cخواهم 👍👍",
        *(f"a{c}b" for c in assigned),
    ]
    found = node("tokenize", texts=texts)
    assert sum(words is not False for words in found) > 0.9 * len(texts)
    for text, words in zip(texts, found, strict=True):
        if words is not False:
            assert words == [tokenize(text), tokenize(split_punctuation(text))], ascii(text)
