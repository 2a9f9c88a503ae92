"""Pictures of the results of `numpylstm.laboratory.diagnostics`.

Gradients shrink by many powers of ten, so axes and colours are logarithmic. Zeros, and values
below the rounding error of a float64 relative to the largest, have no place there: they are marked
at the lower edge, have the darkest colour, or are left out.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from numpylstm.checks import Array
from numpylstm.laboratory.diagnostics import CarouselNorms, Saturation
from numpylstm.plots.style import (
    DRAWN,
    GREY,
    SERIES,
    as_label,
    draw_line,
    line_style,
    new_figure,
    one_panel,
    point,
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
        lags, style = np.arange(len(values)), line_style(k)
        low, high = values < floor, ~(values <= DRAWN[1])
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


def lag_heatmap(norms: Array, *, title: str = "") -> Figure:
    """Draw the lag table of one weight: the step of the loss down, the lag across.

    Parameters
    ----------
    norms : (T, T)
        As from `LagTable.norms` or `model_lag_norms`. Lags beyond the first step stay white.
    title : str
    """
    T = len(norms)
    if norms.shape != (T, T) or not T:
        raise ValueError(f"lag_heatmap: norms must have shape (T, T), got {norms.shape}")
    figure, axes = one_panel(6.4, 5)
    used = np.where(np.tri(T, dtype=bool), norms, np.nan)
    mesh = _heatmap(axes, np.arange(T + 1) - 0.5, used, _limits(used))
    axes.invert_yaxis()
    whole_ticks(axes.xaxis)
    whole_ticks(axes.yaxis)
    axes.set(xlabel="lag k (steps): the weight was used at t - k", ylabel="step t of the loss")
    axes.set_title(as_label(title), fontsize=11)
    figure.colorbar(mesh, ax=axes, label="gradient norm (log scale)", extend="min")
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
    limits = _limits(norms)
    for layer, axes in enumerate(panels):
        mesh = _heatmap(axes, edges, norms[layer], limits)
        axes.set_xlabel("lag (steps back from the loss)")
        axes.set_title(f"layer {layer}", fontsize=11)
    panels[0].set_ylabel("training step (updates)")
    figure.colorbar(mesh, ax=panels, label="norm of dL/dh (log scale)", extend="min")
    return figure


def singular_value_spread(cells: Mapping[str, Array]) -> Figure:
    """Draw all singular values of the step Jacobians: how much one step stretches and shrinks.

    Parameters
    ----------
    cells : dict of name -> (T, B, S) array
        As from `diagnostics.singular_values`; a panel for each.

    Returns
    -------
    Figure
        The line is the median over units and batch; the dark band holds the middle half, the light
        band all values; the axis ends at 1e-4. A dashed line marks 1, which keeps a length.
    """
    columns = min(3, len(cells))
    rows = -(-len(cells) // columns)
    width = max(2.9 * columns, 4.2)  # the legend has room beside one panel
    figure = new_figure(width, 2.5 * rows + 0.4)
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    floor, highest = _limits(np.concatenate([values.ravel() for values in cells.values()]))
    floor = max(floor, 1e-4)
    for k, (axes, (name, values)) in enumerate(zip(panels, cells.items(), strict=False)):
        colour = SERIES[k % len(SERIES)]
        together = np.clip(values.reshape(len(values), -1), floor / 10, DRAWN[1])  # (T, B*S)
        low, lower, median, upper, high = np.percentile(together, (0, 25, 50, 75, 100), axis=1)
        steps = np.arange(len(values))
        axes.fill_between(steps, low, high, color=colour, alpha=0.2, lw=0, label="all")
        axes.fill_between(steps, lower, upper, color=colour, alpha=0.45, lw=0, label="middle half")
        axes.plot(steps, median, color=colour, lw=1.6, marker=point(len(steps)), label="median")
        axes.axhline(1, color=GREY, lw=1, ls="--")
        axes.set_title(as_label(name), fontsize=10)
        axes.set(yscale="log", ylim=(floor, max(2 * highest, 3)))  # room above 1, to show growth
        axes.grid(alpha=0.3)
    for axes in panels[len(cells) :]:
        axes.set_visible(False)
    for axes in panels[::columns]:
        axes.set_ylabel("singular value")
    for axes in panels[len(cells) - columns : len(cells)]:
        axes.set_xlabel("step t")
        axes.tick_params(labelbottom=True)
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False
    )
    return figure


def gate_saturation(saturation: Mapping[str, Saturation], *, layer: int = 0) -> Figure:
    """Draw the share of units at either end of their curve, step by step, a panel for each kind.

    Parameters
    ----------
    saturation : dict of name -> Saturation
        As in `diagnostics.Flow`.
    layer : int
    """
    figure = new_figure(2.4 * len(saturation) + 1.5, 3)
    panels = figure.subplots(1, len(saturation), sharey=True, squeeze=False)[0]
    for axes, (name, shares) in zip(panels, saturation.items(), strict=True):
        for k, (label, share) in enumerate((("upper end", shares.high), ("lower end", shares.low))):
            draw_line(axes, np.arange(share.shape[1]), 100 * share[layer], k, label)
        axes.set_title(as_label(f"{shares.words} {name}".lstrip()), fontsize=10)
        axes.set(xlabel="step t", ylim=(-2, 102))
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("share of units (%)")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right upper", frameon=False)
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
    return float(max(values.min(), values.max() * SMALLEST)), float(values.max())


def _log_axis(axes: Axes, floor: float, highest: float) -> float:
    """Set up a logarithmic axis and return its upper end."""
    top = 3 * max(highest, floor)
    axes.set(yscale="log", ylim=(floor / 1.5, top))
    return top


def _heatmap(axes: Axes, y_edges: Array, values: Array, limits: tuple[float, float]) -> QuadMesh:
    """Colour by the logarithm: too small values get the darkest colour, NaN none."""
    floor, highest = limits
    raised = np.where(values < floor, floor / 2, values)
    return axes.pcolormesh(
        np.arange(values.shape[1] + 1) - 0.5,
        y_edges,
        np.ma.masked_array(raised, ~(values <= DRAWN[1])),
        cmap=COLOURS,
        norm=LogNorm(floor, max(highest, 2 * floor)),
        rasterized=True,
    )
