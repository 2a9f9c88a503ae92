"""The engine of the interactive page, in Node, against the golden tapes and the textbook."""

import re
import unicodedata

import numpy as np
import pytest
from support.arguments import recurrent_arrays
from support.leaves import leaves
from support.node import assert_close, needs_node, node
from support.pages import data_of

from numpylstm import reference, tape
from numpylstm.cells import CELLS
from numpylstm.data.text import split_punctuation, tokenize
from numpylstm.explore.player import player_page
from numpylstm.tape.golden import CELLS as ON_TAPE

pytestmark = needs_node


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_every_number_of_the_golden_tape(cell):
    """All except the inputs and parameters, which the engine is given."""
    golden = tape.load(cell)
    found = node("tape", golden=golden, cell=cell)
    grade = tape.grade(found, 1e-12, cell)
    assert not grade.wrong, str(grade)
    assert not grade.not_given, str(grade)


# --- the player ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def played():
    """Return one update of each tape as the player computes it, by cell, and the player's data."""
    data = data_of(player_page())
    return node("update", data=data, lr=0.5, max_norm=1.0), data


@pytest.mark.parametrize("cell", ON_TAPE)
def test_the_player_shows_the_numbers_of_the_tape(played, cell):
    """All of them, within 1e-12."""
    values = played[0][cell]["values"]
    golden = {
        name: value
        for name, value in leaves(tape.load(cell))
        if not name.startswith(("inputs.ids", "inputs.targets"))
    }
    assert golden.keys() <= values.keys()
    for name, value in golden.items():
        assert values[name] == pytest.approx(value, rel=0, abs=1e-12), name


@pytest.mark.parametrize("cell", ON_TAPE)
def test_the_player_clips_and_descends(played, cell):
    """The norm is that of the tape's gradients, and the step that of `sgd_update`."""
    values, golden = played[0][cell]["values"], tape.load(cell)
    gradients = {path: np.array(golden["gradients"][path]) for path in golden["parameters"]}
    norm = np.sqrt(sum(reference.sum_of_squares(g) for g in gradients.values()))
    assert values["norm"] == pytest.approx(norm, rel=0, abs=1e-12)
    for path, g in gradients.items():
        w = np.array(golden["parameters"][path])
        reference.sgd_update(w, g / max(norm, 1), 0.5)
        for name, value in leaves({f"after.{path}": w.tolist()}):
            assert values[name] == pytest.approx(value, rel=0, abs=1e-12), name


@pytest.mark.parametrize("cell", ON_TAPE)
def test_each_number_of_the_player_comes_from_the_line_that_it_shows(played, cell):
    """The line of the textbook that is marked assigns, returns or adds up the number's variable."""
    steps, functions = played[0][cell]["steps"], played[1]["functions"]
    for step in steps:
        lines = functions[step["function"]]["lines"] if step["function"] else step["lines"]
        code = " ".join(lines[step["line"] - 1 : step["last"]])
        assert re.search(rf"\b{step['variable']}\b|return|\bdhs\[t\] \+ dh\b|loss", code), step
    of_cells = [step["function"] for step in steps if step["function"].startswith(cell)]
    assert {f"{cell}_step_forward", f"{cell}_step_backward"} <= {*of_cells}


def test_what_a_number_of_the_player_is_made_of(played):
    """Its operands by name, as in its formula; and the numbers that use it."""
    made_of, uses = (played[0]["lstm"][key] for key in ("made_of", "uses"))
    assert made_of["forward.t1.lstm.0.c[0]"] == ["f[0]", "c[0]", "i[0]", "g[0]"]
    assert made_of["backward.t1.lstm.0.dh[1]"] == ["dx[1]", "dh_prev[1]"]
    assert made_of["backward.t2.lstm.1.dc_prev[0]"] == ["dc[0]", "f[0]"]
    assert uses["forward.t0.lstm.0.c[0]"] == ["tanh_c[0]", "c[0]", "df[0]"]


# --- the engine ----------------------------------------------------------------------------------

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
    reset = {"reset": "after" if bn else "before"}  # which tells whether there is a bn
    x, *arrays = recurrent_arrays(rng, sizes, cell, reset).values()
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
