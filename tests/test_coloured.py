"""Text coloured by one number for each token."""

import re

import pytest
from matplotlib.colors import to_rgb
from support.bad_calls import assert_refused, bad_call
from support.pages import contrast

import numpylstm as nl
from numpylstm.plots import coloured_text
from numpylstm.plots.style import SKY, YELLOW


def backgrounds(page):
    return re.findall(r"<span style=\"background:(#\w{6})\">", page)


def test_blue_is_negative_white_zero_orange_positive():
    page = coloured_text(["a", "b", "c", "d"], [-2.0, 0.0, 1.0, 2.0])
    low, zero, half, high = backgrounds(page)
    assert (low, zero, high) == (SKY.lower(), "#ffffff", YELLOW.lower())
    assert half not in (zero, high)


def test_beyond_the_limit_the_colour_is_full():
    assert backgrounds(coloured_text(["a", "b"], [-9, 0.5], limit=0.5)) == [
        SKY.lower(),
        YELLOW.lower(),
    ]


def test_all_zero_is_white():
    assert backgrounds(coloured_text(["a", "b"], [0, 0])) == ["#ffffff"] * 2
    assert backgrounds(coloured_text([], [])) == []


def test_the_text_is_text_and_not_markup():
    page = coloured_text(["<", "\n", "&"], [1, 2, 3])
    assert ">&lt;</span>" in page
    assert ">\n</span>" in page
    assert ">&amp;</span>" in page


@pytest.mark.parametrize("share", [-1.0, -0.5, 0.3, 1.0])
def test_black_letters_are_readable_on_every_colour(share):
    (colour,) = backgrounds(coloured_text(["a"], [share], limit=1.0))
    assert contrast((0, 0, 0), to_rgb(colour)) > 7


@pytest.mark.parametrize(
    ("call", "says", "error"),
    [
        bad_call(
            lambda: nl.plots.coloured_text(["a", "b"], [1, 2, 3]),
            "values must have shape (2,), got (3,)",
        ),
        bad_call(lambda: nl.plots.coloured_text(["a"], [float("nan")]), "values must be finite"),
        bad_call(
            lambda: nl.plots.coloured_text(["a"], [1], limit=0), "limit must be positive, got 0"
        ),
    ],
)
def test_a_bad_call_gets_one_sentence(call, says, error):
    assert_refused(call, says, error)
