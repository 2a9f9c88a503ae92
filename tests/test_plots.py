"""Pictures: labelled axes, all the data, and nothing left open."""

import io

import pytest

from numpylstm.plots import epoch_positions, training_curves
from numpylstm.training.loop import Row

ROWS = [
    Row(1, 10, 1.0, 60.0, 400.0, 0.1, 8.0),
    Row(1, 25, 1.0, 50.0, 150.0, 0.2, 6.0, 140.0, 0.21),
    Row(2, 35, 0.5, 45.0, 95.0, 0.25, 4.0),
    Row(2, 50, 0.5, 44.0, 80.0, 0.27, 4.0, 90.0, 0.26),
]


def test_the_end_of_an_epoch_lies_on_a_whole_number():
    assert epoch_positions(ROWS) == [0.4, 1.0, 1.4, 2.0]


def test_training_curves():
    figure = training_curves(ROWS, clip=5.0, references=[("unigram", 250.0)])
    top, bottom, rates = figure.axes
    assert "perplexity" in top.get_ylabel()
    assert (bottom.get_xlabel(), bottom.get_ylabel()) == ("epoch", "gradient norm")
    assert rates.get_ylabel() == "learning rate"
    training, validation, *_ = top.get_lines()
    assert training.get_ydata() == pytest.approx([400, 150, 95, 80])
    assert validation.get_xdata() == pytest.approx([1, 2])
    assert validation.get_ydata() == pytest.approx([140, 90])
    low, high = top.get_ylim()
    assert low < 80
    assert high > 400
    assert "unigram 250" in [text.get_text() for text in top.texts]
    file = io.BytesIO()
    figure.savefig(file, format="png")
    assert file.getvalue().startswith(b"\x89PNG")


def test_one_row_is_enough():
    training_curves(ROWS[:1], clip=5.0)
