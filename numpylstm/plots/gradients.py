"""Pictures of the results of `numpylstm.laboratory.diagnostics`.

Gradients shrink by many powers of ten, so axes and colours are logarithmic. Zeros, and values
below the rounding error of a float64 relative to the largest, have no place there: they are marked
at the lower edge, have the darkest colour, or are left out.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from numpylstm.checks import Array
from numpylstm.laboratory.diagnostics import CarouselNorms
from numpylstm.plots.style import (
    DRAWN,
    GREY,
    as_label,
    draw_line,
    line_style,
    new_figure,
    one_panel,
    whole_ticks,
)

SMALLEST = float(np.finfo(np.float64).eps)
"""Relative to the largest value; a smaller part does not change a sum in float64."""
PARTS = "direct: product of the gates", "indirect: through h"  # of `CarouselNorms`
COLOURS = "cividis"  # even steps of lightness, the same for every kind of colour vision


def gradient_by_lag(
    lines: Mapping[str, Array], *, quantity: str = "gradient norm", xlabel: str = "lag (steps)"
) -> Figure:
    """Draw norms against the lag, one line for each name, on a logarithmic axis.

    Parameters
    ----------
    lines : dict of name -> (T,) array
        The norm at lag 0, 1, 2, ...
    quantity, xlabel : str
        Labels of the axes.

    Returns
    -------
    Figure
        A triangle at the lower edge marks a value that is zero, or below 2e-16 of the largest;
        a triangle at the upper edge an infinity, NaN, or a value above 1e100.
    """
    figure, axes = one_panel(8, 4.5)
    named = {as_label(name): np.asarray(line, float) for name, line in lines.items()}
    floor, highest = _limits(np.concatenate(list(named.values())))
    top = _log_axis(axes, floor, highest)
    used = {}  # triangle -> label
    for k, (name, values) in enumerate(named.items()):
        lags = np.arange(len(values))
        style = line_style(k)
        low = values < floor
        high = ~(values <= DRAWN[1])  # or NaN
        axes.plot(
            lags,
            np.where(low | high, np.nan, values),
            **style,
            marker="o",
            ms=3,
            lw=1.6,
            label=name,
        )
        for beyond, level, triangle, words in (
            (low, floor, "v", "zero, or below the axis"),
            (high, top, "^", "infinite, too large, or no number"),
        ):
            if beyond.any():
                axes.plot(
                    lags[beyond],
                    np.full(beyond.sum(), level),
                    triangle,
                    color=style["color"],
                    ms=5,
                    clip_on=False,
                )
                used[triangle] = words
    for triangle, words in used.items():
        axes.plot([], [], triangle, color=GREY, ms=5, label=words)
    whole_ticks(axes.xaxis)
    axes.set(xlabel=xlabel, ylabel=f"{quantity} (log scale)")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper", frameon=False)
    return figure


def training_lag_heatmap(steps: Sequence[int], norms: Array) -> Figure:
    """Draw how far back the gradient reaches as a network learns.

    Parameters
    ----------
    steps : sequence of int
        Updates after which it was measured, rising.
    norms : (L, N, T)
        For each layer and each of the N steps, the norm at lag 0, 1, 2, ...

    Returns
    -------
    Figure
        A panel for each layer, all with the same colour scale.
    """
    L = len(norms)
    figure = new_figure(1.4 + 3.4 * L, 4.5)
    panels = figure.subplots(1, L, sharey=True, squeeze=False)[0]
    between = (np.asarray(steps[1:], float) + steps[:-1]) / 2
    edges = np.concatenate([[steps[0]], between, [max(steps[-1], steps[0] + 1)]])
    floor, highest = _limits(norms)
    raised = np.where(norms < floor, floor / 2, norms)  # they get the darkest colour, NaN none
    for layer, axes in enumerate(panels):
        mesh = axes.pcolormesh(
            np.arange(norms.shape[2] + 1) - 0.5,
            edges,
            np.ma.masked_array(raised[layer], ~(norms[layer] <= DRAWN[1])),
            cmap=COLOURS,
            norm=LogNorm(floor, max(highest, 2 * floor)),
            rasterized=True,
        )
        axes.set_xlabel("lag (steps back from the loss)")
        axes.set_title(f"layer {layer}", fontsize=11)
    panels[0].set_ylabel("training step (updates)")
    figure.colorbar(mesh, ax=panels, label="norm of dL/dh (log scale)", extend="min")
    return figure


def carousel_lines(settings: Mapping[str, CarouselNorms]) -> Figure:
    """Draw both parts of d c_t / d c_0 (GRU: d h_t / d h_0) over time, and the indirect share.

    Parameters
    ----------
    settings : dict of name -> CarouselNorms

    Returns
    -------
    Figure
        Above, a panel for each setting; below, the shares of all settings.
    """
    named = {as_label(name): norms for name, norms in settings.items()}
    columns = len(named)
    figure = new_figure(max(2.7 * columns, 6), 5.6)
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=(1.15, 1)).ravel()
    panels = above.subplots(1, columns, sharey=True, squeeze=False)[0]
    share_axes = below.subplots()
    floor, highest = _limits(np.concatenate([part for norms in named.values() for part in norms]))
    for k, (axes, (name, norms)) in enumerate(zip(panels, named.items(), strict=True)):
        steps = np.arange(1, len(norms.direct) + 1)
        for j, (part, label) in enumerate(zip(norms, PARTS, strict=True)):
            inside = (part >= floor) & (part <= DRAWN[1])
            draw_line(axes, steps, np.where(inside, part, np.nan), j, label)
        _log_axis(axes, floor, highest)
        axes.set_title(name, fontsize=9)
        axes.set_xlabel("t (steps)")
        whole_ticks(axes.xaxis, 5)
        axes.grid(alpha=0.3)
        draw_line(share_axes, steps, 100 * norms.share, k, name)
    panels[0].set_ylabel("norm of its part of the Jacobian")
    above.legend(
        *panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=2, frameon=False
    )
    share_axes.set(xlabel="t (steps)", ylabel="indirect share (%)", ylim=(-2, 102))
    whole_ticks(share_axes.xaxis)
    share_axes.grid(alpha=0.3)
    below.legend(loc="outside right upper", frameon=False)
    return figure


def _limits(values: Array) -> tuple[float, float]:
    """Return the smallest value to draw, unless it is negligible, and the largest."""
    values = values[(values > 0) & (values <= DRAWN[1])]
    if not values.size:
        return SMALLEST, 0.0
    return max(values.min(), values.max() * SMALLEST), values.max()


def _log_axis(axes: Axes, floor: float, highest: float) -> float:
    """Set up a logarithmic axis and return its upper end."""
    top = 3 * max(highest, floor)
    axes.set(yscale="log", ylim=(floor / 1.5, top))
    return top
