"""A short run of the fuzzer; ``python -m tests.support.fuzz`` is the long one."""

import numpy as np
import pytest
from support import fuzz
from support.fuzz_recipes import EXEMPT, RECIPES, discovered


def test_every_public_callable_has_a_recipe_or_a_reason():
    assert not discovered() - RECIPES.keys() - EXEMPT.keys(), "add a recipe to fuzz_recipes.py"
    assert not RECIPES.keys() & EXEMPT.keys()
    assert not EXEMPT.keys() - discovered(), "of what is no more"


SHORT = [name for name in RECIPES if name.split(".")[0] in ("functional", "layers", "optim")]


@pytest.mark.parametrize("name", SHORT)
def test_calls_are_right_or_refused(name):
    """The first nine calls of each callable that is close to a kernel, in this process."""
    faults = [
        (k, what) for k in range(9) for how, what in [fuzz.fault_of(name, k)] if how == "fault"
    ]
    assert not faults


def test_the_fuzzer_sees_faults(monkeypatch):
    """A wrong number, a changed argument, another error, a sentence without a name."""

    def put(array):
        array[...] = 0
        return array

    wrong = {
        "not what the reference": (lambda array: array + 1, lambda array: array),
        "an argument was changed": (put, None),
        "KeyError": (lambda array: {}["key"], None),
        "a valid call was refused": (lambda array: int("nonsense"), None),
    }
    for says, (function, reference) in wrong.items():
        call = fuzz.Call(function, {"array": np.ones((2, 3))}, reference)
        monkeypatch.setitem(RECIPES, "made up", lambda rng, call=call: call)
        monkeypatch.setattr(fuzz, "odd_but_right", lambda rng, value: value)
        how, what = fuzz.fault_of("made up", 0)
        assert how == "fault"
        assert says in what
