"""Pictures: labelled axes, all the data, marks for zeros, and nothing left open."""

import base64
import io
import math
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from matplotlib.cbook import STEP_LOOKUP_MAP
from support.metrics import row_of

from numpylstm.laboratory.diagnostics import CarouselNorms
from numpylstm.plots import (
    carousel_lines,
    comparison_curves,
    gradient_by_lag,
    inline_svg,
    training_curves,
    training_lag_heatmap,
)
from numpylstm.plots.style import as_label
from numpylstm.plots.training import epoch_positions

ROWS = [
    row_of(1, 10, perplexity=400.0, gradient_norm=8.0),
    row_of(1, 25, perplexity=150.0, gradient_norm=6.0, valid_perplexity=140.0),
    row_of(2, 35, lr=0.5, perplexity=95.0, gradient_norm=4.0),
    row_of(2, 50, lr=0.5, perplexity=80.0, gradient_norm=4.0, valid_perplexity=90.0),
]


def drawn(figure):
    """Draw the figure as PNG; return its visible axes."""
    file = io.BytesIO()
    figure.savefig(file, format="png")
    assert file.getvalue().startswith(b"\x89PNG")
    return [axes for axes in figure.axes if axes.get_visible()]


# --- a run ---------------------------------------------------------------------------------------


def test_the_end_of_an_epoch_lies_on_a_whole_number():
    assert epoch_positions(ROWS) == [0.4, 1.0, 1.4, 2.0]
    assert epoch_positions(ROWS[:3]) == [0.4, 1.0, 1.4]  # the second is not over
    assert epoch_positions([]) == []


def test_training_curves():
    top, bottom, rates = drawn(training_curves(ROWS, clip=5.0, references=[("unigram", 250.0)]))
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


def test_the_learning_rate_changes_where_an_epoch_begins():
    """A row ends at its place, so its rate is drawn up to there."""
    (line,) = training_curves(ROWS, clip=5.0).axes[2].get_lines()
    x, y = STEP_LOOKUP_MAP[line.get_drawstyle()](line.get_xdata(), line.get_ydata())
    assert set(y[x < 1.0]) == {1.0}
    assert list(y[x == 1.0]) == [1.0, 0.5]
    assert set(y[x > 1.0]) == {0.5}


def test_one_row_or_step_is_seen():
    """A line of one point has no length."""
    one = np.ones(1)
    for figure in (
        training_curves(ROWS[:1], clip=5.0),
        comparison_curves([("a", ROWS[:1])], groups=[0]),
        gradient_by_lag({"RNN": one}),
        carousel_lines({"large Wh": CarouselNorms(one, one)}),
    ):
        for axes in drawn(figure):
            points = [line for line in axes.get_lines() if len(line.get_xdata()) == 1]
            assert points
            assert all(line.get_marker() == "o" for line in points)


@pytest.mark.parametrize("low", [1.0, 90.0])
@pytest.mark.parametrize("high", [92.0, 4e2, 3e5, 1e9, 1e40, math.inf])
def test_every_range_of_perplexities_has_ticks_that_can_be_read(low, high):
    rows = [ROWS[0]._replace(perplexity=high), ROWS[3]._replace(perplexity=low)]
    top = training_curves(rows, clip=5.0).axes[0]
    bottom, end = top.get_ylim()
    assert 3 <= sum(bottom <= tick <= end for tick in top.get_yticks()) <= 20


def test_a_name_is_written_as_it_is():
    assert as_label("$a_b$") == r"\$a_b\$"
    assert as_label("_x") == " _x"  # matplotlib leaves out labels that begin with "_"
    assert as_label("a_b") == "a_b"
    assert as_label(40) == "40"


@pytest.mark.parametrize("scale", [1e5, 1e90])
def test_labels_of_training_curves_are_in_the_picture(scale):
    rows = [row._replace(lr=1e-3, perplexity=scale, gradient_norm=1 / scale) for row in ROWS]
    figure = training_curves(rows, clip=1 / scale)
    figure.draw_without_rendering()
    for axes in figure.axes:
        extent = axes.yaxis.label.get_window_extent()
        assert figure.bbox.x0 < extent.x0 < extent.x1 < figure.bbox.x1


def test_comparison_curves():
    """Validation and training of each run; runs of one group have one colour and one label."""
    other = [row._replace(perplexity=30.0) for row in ROWS]
    runs = [("seed 0", ROWS), ("seed 1", other), ("_$wide", ROWS)]
    axes = comparison_curves(runs, groups=[0, 0, 1]).axes[0]
    thin, validation = axes.get_lines()[::2], axes.get_lines()[1::2]
    assert thin[1].get_ydata() == pytest.approx([30.0] * 4)
    assert [list(line.get_ydata()) for line in validation] == [[140, 90]] * 3
    colours = [line.get_color() for line in validation]
    assert colours[0] == colours[1] != colours[2]
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["seed 0 and 1 more", r" _\$wide"]
    assert axes.get_ylim()[0] < 30
    assert len(comparison_curves(runs).axes[0].get_legend().get_texts()) == 3
    many = comparison_curves([(f"run {k}", ROWS) for k in range(13)], groups=range(13))
    many = many.axes[0].get_lines()[1::2]
    assert len({(line.get_color(), line.get_linestyle()) for line in many}) == 13


def test_an_inline_picture_is_one_and_always_the_same():
    one, other = (inline_svg(training_curves(ROWS, clip=5.0)) for _ in range(2))
    assert one == other
    head, content = one.split(",")
    assert head == "data:image/svg+xml;base64"
    root = ET.fromstring(base64.b64decode(content))
    assert root.tag.endswith("svg")


# --- the gradient laboratory ---------------------------------------------------------------------


def legend_texts(figure):
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def test_gradient_by_lag():
    lines = {"RNN": np.array([1.0, 0.1, 0.01]), "LSTM": np.array([1.0, 0.9, 0.8])}
    figure = gradient_by_lag(lines, quantity="norm of dL/dh")
    (axes,) = drawn(figure)
    assert axes.get_yscale() == "log"
    assert axes.get_xlabel() == "lag (steps)"
    assert axes.get_ylabel() == "norm of dL/dh (log scale)"
    assert legend_texts(figure) == ["RNN", "LSTM"]
    for line, values in zip(axes.get_lines(), lines.values(), strict=True):
        assert line.get_ydata() == pytest.approx(values)
    low, high = axes.get_ylim()
    assert low < 0.01
    assert high > 1
    styles = {(line.get_color(), line.get_linestyle()) for line in axes.get_lines()}
    assert len(styles) == 2


def test_zeros_are_marked_where_the_axis_ends_and_named():
    figure = gradient_by_lag({"RNN": np.array([1.0, 1e-3, 1e-30, 0.0])})
    (axes,) = drawn(figure)
    line, triangles, _ = axes.get_lines()
    assert np.isnan(line.get_ydata()[2:]).all()
    assert list(triangles.get_xdata()) == [2, 3]
    assert legend_texts(figure) == ["RNN", "zero, or below the axis"]
    drawn(gradient_by_lag({"nothing": np.zeros(4)}))


@pytest.mark.parametrize("value", [np.inf, np.nan, 1e308])
def test_what_exploded_is_marked_at_the_upper_edge(value):
    figure = gradient_by_lag({"relu RNN": np.array([1.0, 1e10, value, value])})
    (axes,) = drawn(figure)
    line, triangles, _ = axes.get_lines()
    assert list(line.get_ydata()[:2]) == [1.0, 1e10]
    assert np.isnan(line.get_ydata()[2:]).all()
    assert list(triangles.get_xdata()) == [2, 3]
    assert set(triangles.get_ydata()) == {axes.get_ylim()[1]}
    assert legend_texts(figure) == ["relu RNN", "infinite, too large, or no number"]
    drawn(gradient_by_lag({"nothing": np.full(4, value)}))
    norms = np.tril(np.ones((3, 3)))
    norms[2] = value
    drawn(training_lag_heatmap([0, 10, 20], norms[None]))
    part = np.array([1.0, value])
    drawn(carousel_lines({"large Wh": CarouselNorms(part, part)}))


@pytest.mark.parametrize("steps", [[0], [0, 100, 150, 300]])
def test_training_lag_heatmap(steps):
    rng = np.random.default_rng(0)
    norms = 10.0 ** rng.uniform(-5, 0, (2, len(steps), 7))
    norms[0, 0, 6] = 0
    norms[1, 0, 5] = np.nan  # a run that failed
    first, second, bar = drawn(training_lag_heatmap(steps, norms))
    limits = {mesh.get_clim() for axes in (first, second) for mesh in axes.collections}
    assert len(limits) == 1  # the panels compare
    assert first.get_title() == "layer 0"
    assert first.get_ylabel() == "training step (updates)"
    assert "lag" in second.get_xlabel()
    assert "dL/dh" in bar.get_ylabel()
    values = second.collections[0].get_array().reshape(len(steps), 7)
    assert values.mask.sum() == 1
    assert values.data[:, :5] == pytest.approx(norms[1, :, :5])
    assert first.collections[0].get_array().reshape(len(steps), 7)[0, 6] > 0


def test_carousel_lines():
    settings = {
        "small Wh": CarouselNorms(np.array([1.0, 0.5]), np.array([0.0, 0.1])),
        "large Wh": CarouselNorms(np.array([1.0, 0.5]), np.array([0.0, 1.5])),
    }
    *panels, share = drawn(carousel_lines(settings))
    assert [axes.get_title() for axes in panels] == list(settings)
    for axes, norms in zip(panels, settings.values(), strict=True):
        direct, indirect = axes.get_lines()
        assert direct.get_ydata() == pytest.approx(norms.direct)
        assert indirect.get_ydata()[1] == pytest.approx(norms.indirect[1])
        assert axes.get_ylim()[1] > 1.5  # nothing is cut off
    assert [line.get_ydata()[1] for line in share.get_lines()] == pytest.approx([100 / 6, 75])
    assert share.get_ylabel() == "indirect share (%)"
    for axes in (*panels, share):  # there is no half a step
        assert (axes.get_xticks() == axes.get_xticks().round()).all()
