"""Pictures: pure functions from data to a matplotlib Figure. Nothing is shown or saved here.

Figures are made without pyplot, so no window system is touched and nothing is kept alive.
"""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from numpylstm.training import Row

# Okabe and Ito (2008): distinguishable with every common kind of colour vision, and in print.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#666666"


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


# --- benchmarks --------------------------------------------------------------------------------


def ratio_bars(ratios: Mapping[str, Mapping[str, float]]) -> Figure:
    """How many times longer each peer takes than we do; a line marks equal speed.

    Parameters
    ----------
    ratios : dict of label -> dict of peer -> ratio
        A group of bars for each label, and in it a bar for each peer.

    Returns
    -------
    Figure
    """
    peers = list(dict.fromkeys(peer for group in ratios.values() for peer in group))
    highest = max(ratio for group in ratios.values() for ratio in group.values())
    lowest = min(ratio for group in ratios.values() for ratio in group.values())
    figure = Figure(figsize=(8, 4.5), layout="constrained", dpi=120)
    axes = figure.subplots()
    width = 0.8 / len(peers)
    for k, peer in enumerate(peers):
        heights = [(x, group[peer]) for x, group in enumerate(ratios.values()) if peer in group]
        positions = [x + (k - (len(peers) - 1) / 2) * width for x, _ in heights]
        bars = axes.bar(
            positions, [ratio for _, ratio in heights], 0.92 * width,
            color=(ORANGE, GREEN, BLUE)[k % 3], label=peer,
        )  # fmt: skip
        axes.bar_label(bars, fmt="%.2f", padding=2, fontsize=9)
    axes.axhline(1, color=GREY, lw=1, ls="--", label="numpylstm")
    axes.set_xticks(range(len(ratios)), list(ratios))
    axes.set_ylabel("its time / ours")
    axes.set_title("Above the line numpylstm is faster", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    if highest > 5:  # one ratio would flatten all others
        axes.set_yscale("log")
        axes.set_ylim(min(lowest, 1) / 2, highest * 1.5)
        ticks = [t for t in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if lowest / 2 <= t <= highest]
        axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.set_yticks([], minor=True)
    else:
        axes.set_ylim(0, highest * 1.15)
    axes.legend(frameon=False)
    return figure


def scaling_lines(
    lines: Sequence[tuple[str, str, Sequence[int], Sequence[float], float]],
) -> Figure:
    """Time against size, both on logarithmic axes: a panel for each dimension.

    Parameters
    ----------
    lines : sequence of (dimension, library, sizes, seconds, exponent)
        The exponent of the power that fits the line goes into the legend.

    Returns
    -------
    Figure
    """
    dimensions = list(dict.fromkeys(dimension for dimension, *_ in lines))
    libraries = list(dict.fromkeys(library for _, library, *_ in lines))
    figure = Figure(figsize=(3.4 * len(dimensions), 3.6), layout="constrained", dpi=120)
    panels = figure.subplots(1, len(dimensions), sharey=True, squeeze=False)[0]
    for axes, dimension in zip(panels, dimensions, strict=True):
        for drawn, library, sizes, seconds, exponent in lines:
            if drawn == dimension:
                axes.plot(
                    sizes, [1000 * s for s in seconds], marker="o", ms=4, lw=1.4,
                    color=(BLUE, ORANGE, GREEN, GREY)[libraries.index(library) % 4],
                    label=f"{library}: {dimension}$^{{{exponent:.2f}}}$",
                )  # fmt: skip
                ticks = list(sizes)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks], fontsize=8)
        axes.set_xticks([], minor=True)
        axes.set_xlabel(dimension)
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, fontsize=8)
    panels[0].set_ylabel("ms a training step")
    return figure
