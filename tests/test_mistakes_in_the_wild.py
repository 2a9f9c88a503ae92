"""Published mistakes: the page about them is current, and each is found by what it says."""

import re
from pathlib import Path

import numpy as np
import pytest

import numpylstm as nl
from docs.experiments import mistakes_in_the_wild as wild
from numpylstm import museum, reference
from numpylstm.laboratory.mistakes.wild import WILD

ROOT = Path(__file__).parent.parent
EVERY_ENTRY = pytest.mark.parametrize("entry", wild.ENTRIES, ids=lambda entry: entry.title)


@EVERY_ENTRY
def test_the_test_that_finds_it_exists(entry):
    file, name = entry.test.split("::")
    assert re.search(rf"^ *def {name}\(", (ROOT / file).read_text(encoding="utf-8"), re.M)


@pytest.mark.rare
@EVERY_ENTRY
def test_the_verdicts_of_the_page(entry):
    number = wild.ENTRIES.index(entry) + 1
    row = f"| {number} | {entry.title} | {' | '.join(wild.verdicts(entry))} |"
    assert row in wild.PAGE.read_text(encoding="utf-8")


def test_every_record_is_on_the_page():
    assert {entry.mistake for entry in wild.ENTRIES} >= WILD.keys()
    assert not WILD.keys() & museum.MUTANTS.keys()


@pytest.mark.slow
def test_the_page_is_current():
    assert wild.PAGE.read_text(encoding="utf-8") == wild.page(), (
        "write it again: python -m docs.experiments.mistakes_in_the_wild"
    )


def test_a_check_with_two_steps_and_a_state_of_zero_misses_the_carousel(rng):
    """It sees nothing in dWh; three steps, a state or another array show it."""

    def gradients(module, T, state):
        B, D, H = 3, 4, 6
        draw = np.random.default_rng(0).standard_normal
        x, Wx, Wh, b = draw((T, B, D)), draw((D, 4 * H)), draw((H, 4 * H)), draw(4 * H)
        h0, c0 = state * draw((2, B, H))
        hs, *_, cache = module.lstm_forward(x, h0, c0, Wx, Wh, b)
        dhs = np.zeros_like(hs)
        dhs[-1] = 1  # the loss is the sum of the last h
        _, _, _, dWx, dWh, _ = module.lstm_backward(dhs, 0 * h0, 0 * c0, cache)
        return dWx, dWh

    wrong = museum.MUTANTS["dc-next-dropped"].functions()
    same = {}
    for T, state in [(2, 0), (3, 0), (2, 1)]:
        pairs = zip(gradients(reference, T, state), gradients(wrong, T, state), strict=True)
        same[T, state] = [bool(np.allclose(right, other)) for right, other in pairs]
    assert same == {(2, 0): [False, True], (3, 0): [False, False], (2, 1): [False, False]}


def test_dropped_weights_come_back():
    model = nl.LanguageModel(11, 6, 2, dropout_weights=0.9, rng=0)
    before = {path: array.copy() for path, array in model.state_dict().items()}
    x = np.arange(15).reshape(5, 3) % 11
    for _ in range(3):
        model.forward(x, x)
        model.backward()
    np.testing.assert_equal(model.state_dict(), before)


@pytest.mark.parametrize("name", ["Wx", "Wh"])
def test_the_gates_begin_with_different_weights(name):
    gates = np.split(nl.LSTM(4, 6, rng=0).state_dict()[f"lstm.0.{name}"], 4, axis=1)
    for k, one in enumerate(gates):
        assert all(not np.array_equal(one, other) for other in gates[k + 1 :])
