"""Pictures of the gradient laboratory: labels, data, and marks for zeros."""

import io

import numpy as np
import pytest

from numpylstm import plots
from numpylstm.laboratory.diagnostics import CarouselNorms


def drawn(figure):
    """Draw the figure as PNG; return its visible axes."""
    file = io.BytesIO()
    figure.savefig(file, format="png")
    assert file.getvalue().startswith(b"\x89PNG")
    return [axes for axes in figure.axes if axes.get_visible()]


def legend_texts(figure):
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def test_gradient_by_lag():
    lines = {"RNN": np.array([1.0, 0.1, 0.01]), "LSTM": np.array([1.0, 0.9, 0.8])}
    figure = plots.gradient_by_lag(lines, quantity="norm of dL/dh")
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
    figure = plots.gradient_by_lag({"RNN": np.array([1.0, 1e-3, 1e-30, 0.0])})
    (axes,) = drawn(figure)
    line, triangles, _ = axes.get_lines()
    assert np.isnan(line.get_ydata()[2:]).all()
    assert list(triangles.get_xdata()) == [2, 3]
    assert legend_texts(figure) == ["RNN", "zero, or below the axis"]
    drawn(plots.gradient_by_lag({"nothing": np.zeros(4)}))


@pytest.mark.parametrize("value", [np.inf, np.nan, 1e308])
def test_what_exploded_is_marked_at_the_upper_edge(value):
    figure = plots.gradient_by_lag({"relu RNN": np.array([1.0, 1e10, value, value])})
    (axes,) = drawn(figure)
    line, triangles, _ = axes.get_lines()
    assert list(line.get_ydata()[:2]) == [1.0, 1e10]
    assert np.isnan(line.get_ydata()[2:]).all()
    assert list(triangles.get_xdata()) == [2, 3]
    assert set(triangles.get_ydata()) == {axes.get_ylim()[1]}
    assert legend_texts(figure) == ["relu RNN", "infinite, too large, or no number"]
    drawn(plots.gradient_by_lag({"nothing": np.full(4, value)}))
    norms = np.tril(np.ones((3, 3)))
    norms[2] = value
    drawn(plots.training_lag_heatmap([0, 10, 20], norms[None]))
    part = np.array([1.0, value])
    drawn(plots.carousel_lines({"large Wh": CarouselNorms(part, part)}))


def test_one_step_is_seen():
    one = np.ones(1)
    figures = (
        plots.gradient_by_lag({"RNN": one}),
        plots.carousel_lines({"large Wh": CarouselNorms(one, one)}),
    )
    for figure in figures:
        for axes in drawn(figure):
            lines = [line for line in axes.get_lines() if len(line.get_xdata()) == 1]
            assert lines
            assert all(line.get_marker() == "o" for line in lines)


@pytest.mark.parametrize("steps", [[0], [0, 100, 150, 300]])
def test_training_lag_heatmap(steps):
    rng = np.random.default_rng(0)
    norms = 10.0 ** rng.uniform(-5, 0, (2, len(steps), 7))
    norms[0, 0, 6] = 0
    norms[1, 0, 5] = np.nan  # a run that failed
    first, second, bar = drawn(plots.training_lag_heatmap(steps, norms))
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
    *panels, share = drawn(plots.carousel_lines(settings))
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
