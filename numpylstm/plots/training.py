"""Pictures of a training run."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from numpylstm.plots.style import BLUE, GREEN, GREY, ORANGE
from numpylstm.training.loop import Row

DRAWN = 1e-100, 1e100
"""Lowest and highest number that is drawn; near the ends of the floats, matplotlib overflows."""


def training_curves(
    rows: Sequence[Row], *, clip: float, references: Sequence[tuple[str, float]] = ()
) -> Figure:
    """Perplexity over the epochs, and below it what drives it: gradient norm and learning rate.

    Parameters
    ----------
    rows : sequence of Row
        As in metrics.csv.
    clip : float
        The largest global norm, drawn as a line.
    references : sequence of (name, perplexity)
        Levels to compare with, such as a unigram model's.

    Returns
    -------
    Figure
    """
    figure = Figure(figsize=(8, 6), layout="constrained", dpi=120)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    epochs = epoch_positions(rows)
    validated = [k for k, row in enumerate(rows) if row.valid_perplexity is not None]
    training = np.clip([row.perplexity for row in rows], *DRAWN)
    validation = np.clip([rows[k].valid_perplexity for k in validated], *DRAWN)
    norms = np.clip([row.gradient_norm for row in rows], *DRAWN)
    lr = np.clip([row.lr for row in rows], *DRAWN)

    top.plot(epochs, training, color=BLUE, lw=1.2, label="training")
    top.plot(
        [epochs[k] for k in validated], validation, color=ORANGE, marker="o", lw=1.5,
        label="validation",
    )  # fmt: skip
    for name, level in references:
        top.axhline(level, color=GREY, lw=1, ls="--")
        top.annotate(
            f"{name} {level:.0f}", (1, level), xycoords=("axes fraction", "data"),
            xytext=(-4, 3), textcoords="offset points", ha="right", color=GREY,
        )  # fmt: skip
    top.set_yscale("log")
    top.set_ylabel("perplexity (log scale)")
    ticks = [5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000]
    top.set_yticks(ticks, [f"{tick}" for tick in ticks], minor=False)
    top.set_yticks([], minor=True)
    levels = [*training, *validation, *(level for _, level in references)]
    top.set_ylim(min(levels) / 1.2, max(levels) * 1.2)
    top.legend(frameon=False)
    top.grid(alpha=0.3)

    bottom.plot(epochs, norms, color=GREEN, lw=1.2, label="gradient norm before clipping")
    if clip < 3 * max(norms):
        bottom.axhline(clip, color=GREY, lw=1, ls="--", label=f"clip at {clip:g}")
    bottom.set_ylabel("gradient norm")
    bottom.set_xlabel("epoch")
    bottom.set_ylim(0, 1.5 * max(norms))  # room for the legend
    rates = bottom.twinx()
    rates.step(epochs, lr, color=ORANGE, lw=1.2, where="post", ls=":",
               label="learning rate")  # fmt: skip
    rates.set_ylabel("learning rate")
    rates.set_ylim(0, 1.5 * max(lr))
    lines = [*bottom.get_lines(), *rates.get_lines()]
    bottom.legend(
        lines, [str(line.get_label()) for line in lines], frameon=False, loc="upper center", ncols=3
    )
    bottom.grid(alpha=0.3)
    return figure


def epoch_positions(rows: Sequence[Row]) -> list[float]:
    """Where each row ends, in epochs: an epoch's last row lies on a whole number."""
    ends = {row.epoch: row.step for row in rows}  # the last row of an epoch has its last step
    starts = dict(zip(ends, [0, *ends.values()], strict=False))
    return [
        row.epoch - 1 + (row.step - starts[row.epoch]) / (ends[row.epoch] - starts[row.epoch])
        for row in rows
    ]
