"""Every public callable is right or refuses; ``--hypothesis-profile long`` makes more calls."""

import re
from random import Random

import numpy as np
import pytest
from hypothesis import HealthCheck, find, given, settings
from support.fuzz import KINDS, Call, examples, fault_of
from support.fuzz_calls import CALLS, EXEMPT, Case, discovered


def test_every_public_callable_has_a_call_or_a_reason():
    missing = discovered() - CALLS.keys()
    exempt = [{name for name in missing if re.fullmatch(names, name)} for names in EXEMPT]
    assert missing == set().union(*exempt)
    assert all(exempt), "an exemption of what is no more"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CALLS)
def test_calls_are_right_or_refused(name, kind):
    @settings(max_examples=settings().max_examples // 10, suppress_health_check=list(HealthCheck))
    @given(examples(lambda draw: CALLS[name](Case(draw)), kind))
    def check(example):
        assert fault_of(example) == ""

    check()


@pytest.mark.parametrize(
    ("says", "kind", "function"),
    [
        ("not the result", "good", lambda array: array + (array.strides[0] < 0)),
        ("an argument was changed", "good", lambda array: array.fill(0)),
        ("a good call was refused", "good", lambda array: array.view("i4")),
        ("the error names no argument", "absurd", lambda array: int(array)),
        ("another error: KeyError", "nearly good", lambda array: {np.ndarray: 1}[type(array)]),
    ],
)
def test_planted_faults_are_found(says, kind, function):
    def call(draw):
        return Call(function, {"array": np.ones((2, 3))}, lambda array: array)

    find(examples(call, kind), lambda example: says in fault_of(example), random=Random(0))
