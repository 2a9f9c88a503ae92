"""Answers to exercises: their form, whatever kind of number they hold."""

from fractions import Fraction

import numpy as np
import pytest

from numpylstm.laboratory import expect


@pytest.mark.parametrize(
    "given", [Fraction(1, 4), 0.25, np.float32(0.25), np.float64(0.25), np.array(0.25)]
)
def test_a_number_of_any_kind_is_a_number(given):
    assert expect.number(given) == 0.25


def test_whole_numbers_stay_whole():
    assert f"{expect.number(np.int32(66_022_000)):,}" == "66,022,000"


@pytest.mark.parametrize(
    "given", ["0.25", 1j, None, (), (0.25,), float("nan"), float("inf"), np.zeros(2), object()]
)
def test_anything_else_is_no_number(given):
    with pytest.raises(AssertionError, match="one number is asked for, got "):
        expect.number(given)


def test_as_many_numbers_as_names():
    assert expect.numbers([1, Fraction(1, 2)], "rho", "s_max") == (1, 0.5)
    assert expect.numbers(np.array([1.0, 2.0]), "rho", "s_max") == (1, 2)
    sentence = r"2 numbers are asked for, \(rho, s_max\), got "
    for given in ("12", 3.0, (1,), (1, 2, 3), object()):
        with pytest.raises(AssertionError, match=sentence):
            expect.numbers(given, "rho", "s_max")
    with pytest.raises(AssertionError, match="one number is asked for, got 'one'"):
        expect.numbers(("one", 2), "rho", "s_max")


def test_arrays_by_name_and_shape():
    W, b = expect.arrays(([[1, Fraction(1, 2)]], np.zeros(2, "f4")), W=(1, 2), b=(2,))
    assert W.tolist() == [[1, 0.5]]
    assert W.dtype == b.dtype == np.float64
    for given, sentence in (
        ("W, b", r"2 arrays are asked for, \(W, b\), got 'W, b'"),
        ((1, 2, 3), r"2 arrays are asked for, \(W, b\), got 3"),
        (([[1, 2]], [1]), r"b should be numbers of shape \(2,\), got the shape \(1,\)"),
        ((1.0, [1, 2]), r"W should be numbers of shape \(1, 2\), got 1.0"),
        (([[1, 2], [3]], [1, 2]), r"W should be numbers of shape \(1, 2\), got "),
        (([["1", "2"]], [1, 2]), r"W should be numbers of shape \(1, 2\), got "),
        (([[1j, 2]], [1, 2]), r"W should be numbers of shape \(1, 2\), got "),
    ):
        with pytest.raises(AssertionError, match=sentence):
            expect.arrays(given, W=(1, 2), b=(2,))


def test_a_function_is_anything_that_can_be_called():
    assert expect.function(np.tanh)(0.0) == 0
    with pytest.raises(AssertionError, match="a function is asked for, got 'tanh'"):
        expect.function("tanh")
