"""Pictures of a training run."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from numpylstm.plots.style import BLUE, GREEN, GREY, ORANGE
from numpylstm.training import Row


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

    top.plot(epochs, [row.perplexity for row in rows], color=BLUE, lw=1.2, label="training")
    top.plot(
        [epochs[k] for k in validated], [rows[k].valid_perplexity for k in validated],
        color=ORANGE, marker="o", lw=1.5, label="validation",
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
    levels = [row.perplexity for row in rows] + [level for _, level in references]
    levels += [perplexity for row in rows if (perplexity := row.valid_perplexity) is not None]
    top.set_ylim(min(levels) / 1.2, max(levels) * 1.2)
    top.legend(frameon=False)
    top.grid(alpha=0.3)

    norms = [row.gradient_norm for row in rows]
    bottom.plot(epochs, norms, color=GREEN, lw=1.2, label="gradient norm before clipping")
    if clip < 3 * max(norms):
        bottom.axhline(clip, color=GREY, lw=1, ls="--", label=f"clip at {clip:g}")
    bottom.set_ylabel("gradient norm")
    bottom.set_xlabel("epoch")
    bottom.set_ylim(0, 1.5 * max(norms))  # room for the legend
    rates = bottom.twinx()
    rates.step(epochs, [row.lr for row in rows], color=ORANGE, lw=1.2, where="post", ls=":",
               label="learning rate")  # fmt: skip
    rates.set_ylabel("learning rate")
    rates.set_ylim(0, 1.5 * max(row.lr for row in rows))
    lines = [*bottom.get_lines(), *rates.get_lines()]
    bottom.legend(
        lines, [str(line.get_label()) for line in lines], frameon=False, loc="upper center", ncols=3
    )
    bottom.grid(alpha=0.3)
    return figure


def epoch_positions(rows: Sequence[Row]) -> list[float]:
    """Where each row ends, in epochs: an epoch's last row lies on a whole number."""
    positions: list[float] = []
    epoch_start = 0
    for k, row in enumerate(rows):
        same_epoch = [later.step for later in rows[k:] if later.epoch == row.epoch]
        if k and rows[k - 1].epoch != row.epoch:
            epoch_start = rows[k - 1].step
        steps = max(same_epoch) - epoch_start
        positions.append(row.epoch - 1 + (row.step - epoch_start) / steps)
    return positions
