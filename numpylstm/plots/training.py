"""Pictures of a training run."""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import Locator, LogLocator, MaxNLocator, NullLocator

from numpylstm.plots.style import (
    BLUE,
    DASHES,
    DRAWN,
    GREEN,
    GREY,
    ORANGE,
    SERIES,
    as_label,
    draw_level,
    new_figure,
    one_panel,
    point,
    whole_ticks,
)
from numpylstm.training.metrics import Row


def training_curves(
    rows: Sequence[Row],
    *,
    clip: float,
    references: Collection[tuple[str, float]] = (),
) -> Figure:
    """Draw perplexity over the epochs, and below it gradient norm and learning rate.

    Parameters
    ----------
    rows : sequence of Row
        As in metrics.csv.
    clip : float
        Largest global norm, drawn as a line unless all norms are far below it.
    references : collection of (name, perplexity)
        Levels for comparison, such as the perplexity of a unigram model.
    """
    # Drawn after each epoch: a layout that fits the labels would take nearly as long again.
    figure = new_figure(8, 6, layout=None)
    frame = {"left": 0.12, "right": 0.87, "bottom": 0.09, "top": 0.98, "hspace": 0.06}
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1), gridspec_kw=frame)
    epochs, training, ends, validation = _perplexities(rows)
    norms = np.clip([row.gradient_norm for row in rows], *DRAWN)
    lr = np.clip([row.lr for row in rows], *DRAWN)

    alone = point(len(rows))
    top.plot(epochs, training, color=BLUE, lw=1.2, marker=alone, label="training")
    top.plot(ends, validation, color=ORANGE, marker="o", lw=1.5, label="validation")
    for name, level in references:
        digits = 0 if level >= 20 else 2
        below = level == min(level for _, level in references)  # keeps neighbours apart
        draw_level(top, level, f"{as_label(name)} {level:.{digits}f}", right=True, below=below)
    perplexity_axis(top, [*training, *validation, *(level for _, level in references)])
    top.legend(frameon=False, loc="upper center")

    bottom.plot(
        epochs, norms, color=GREEN, lw=1.2, marker=alone, label="gradient norm before clipping"
    )
    if clip < 3 * max(norms):
        bottom.axhline(clip, color=GREY, lw=1, ls="--", label=f"clip at {clip:g}")
    bottom.set(xlabel="epoch", ylabel="gradient norm", ylim=(0, 1.5 * max(norms)))
    rates = bottom.twinx()
    rates.step(
        epochs,
        lr,
        color=ORANGE,
        lw=1.2,
        where="pre",
        ls=":",  # up to the end of a row
        marker=alone,
        ms=10,
        mfc="none",
        label="learning rate",
    )
    rates.set(ylabel="learning rate", ylim=(0, 1.5 * max(lr)))
    lines = [*bottom.get_lines(), *rates.get_lines()]
    bottom.legend(handles=lines, frameon=False, loc="upper center", ncols=3)
    bottom.grid(alpha=0.3)
    return figure


def perplexity_axis(axes: Axes, levels: Sequence[float]) -> None:
    """Set up a logarithmic axis that just holds these perplexities."""
    low, high = min(levels) / 1.2, max(levels) * 1.2
    locator: Locator = LogLocator(numticks=13)
    if high < 1e5 * low:
        locator = LogLocator(subs=(1, 2, 5), numticks=13)
    if high < 10 * low:  # the perplexities of characters lie close together
        locator = MaxNLocator(6)
    axes.set(yscale="log", ylabel="perplexity (log scale)", ylim=(low, high))
    axes.yaxis.set_major_locator(locator)
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_locator(NullLocator())
    axes.grid(alpha=0.3)


def comparison_curves(
    runs: Sequence[tuple[str, Sequence[Row]]], *, groups: Sequence[int] | None = None
) -> Figure:
    """Draw validation and, thin, training perplexity over the epochs of several runs.

    Parameters
    ----------
    runs : sequence of (name, rows)
        The rows of metrics of each run.
    groups : sequence of int, optional
        A number for each run. Runs with the same number, such as those that differ only in their
        seed, have one colour and one label. By default each run has its own.
    """
    if groups is None:
        groups = range(len(runs))
    figure, axes = one_panel(8, 5)
    levels: list[float] = []
    for k, ((name, rows), group) in enumerate(zip(runs, groups, strict=True)):
        colour, style = SERIES[group % len(SERIES)], DASHES[group // len(SERIES) % len(DASHES)]
        epochs, training, ends, validation = _perplexities(rows)
        axes.plot(
            epochs, training, color=colour, lw=0.7, ls=style, alpha=0.5, marker=point(len(rows))
        )
        more = groups.count(group) - 1
        label = f"{as_label(name)} and {more} more" if more else as_label(name)
        axes.plot(
            ends,
            validation,
            color=colour,
            marker="o",
            lw=1.5,
            ls=style,
            label=label if groups.index(group) == k else None,  # once for the group
        )
        levels += [*training, *validation]
    perplexity_axis(axes, levels)
    axes.set_xlabel("epoch")
    whole_ticks(axes.xaxis)
    axes.legend(frameon=False, loc="upper right", title="validation (thin: training)")
    return figure


def _perplexities(rows: Sequence[Row]) -> tuple[list[float], Any, list[float], Any]:
    """Return epochs and perplexities of training, and of the rows with a validation."""
    epochs = epoch_positions(rows)
    validated = [k for k, row in enumerate(rows) if row.valid_perplexity is not None]
    training = np.clip([row.perplexity for row in rows], *DRAWN)
    validation = np.clip([rows[k].valid_perplexity for k in validated], *DRAWN)
    return epochs, training, [epochs[k] for k in validated], validation


def epoch_positions(rows: Sequence[Row]) -> list[float]:
    """Return the end of each row in epochs; the last row of a complete epoch is a whole number."""
    ends = {row.epoch: row.step for row in rows}  # the last row of an epoch has its last step
    starts = dict(zip(ends, [0, *ends.values()], strict=False))
    windows = max((ends[k] - starts[k] for k in ends), default=1)  # the last may be incomplete
    return [row.epoch - 1 + (row.step - starts[row.epoch]) / windows for row in rows]
