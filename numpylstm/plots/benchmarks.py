"""Pictures of measured times."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from numpylstm.plots.style import GREY, SERIES, check_some, log_ticks, new_figure, one_panel


def ratio_bars(ratios: Mapping[str, Mapping[str, float]]) -> Figure:
    """Draw the time of each peer, relative to numpylstm; a line marks equal speed.

    Parameters
    ----------
    ratios : dict of label -> dict of peer -> ratio
        A group of bars for each label, and in it a bar for each peer.
    """
    peers = list(dict.fromkeys(peer for group in ratios.values() for peer in group))
    check_some("ratio_bars", "ratios", peers)
    all_ratios = [ratio for group in ratios.values() for ratio in group.values()]
    figure, axes = one_panel(8, 4.5)
    width = 0.8 / len(peers)
    for k, peer in enumerate(peers):
        heights = [(x, group[peer]) for x, group in enumerate(ratios.values()) if peer in group]
        positions = [x + (k - (len(peers) - 1) / 2) * width for x, _ in heights]
        bars = axes.bar(
            positions, [ratio for _, ratio in heights], 0.92 * width,
            color=SERIES[(k + 1) % len(SERIES)], label=peer,  # the first is ours
        )  # fmt: skip
        axes.bar_label(bars, fmt="%.2f", padding=2, fontsize=9)
    axes.axhline(1, color=GREY, lw=1, ls="--", label="numpylstm")
    axes.set_xticks(range(len(ratios)), list(ratios))
    axes.set_ylabel("its time / ours")
    axes.set_title("Above the line numpylstm is faster", fontsize=11)
    highest = max(all_ratios)
    if highest > 5:  # one ratio would flatten all others
        low = min(*all_ratios, 1) / 2
        axes.set(yscale="log", ylim=(low, highest * 1.5))
        ticks = log_ticks(low, highest)
        axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.set_yticks([], minor=True)
    else:
        axes.set_ylim(0, highest * 1.15)
    axes.legend(frameon=False)
    return figure


def scaling_lines(
    lines: Sequence[tuple[str, str, Sequence[int], Sequence[float], float]],
) -> Figure:
    """Draw time against size, both on logarithmic axes, with a panel for each dimension.

    Parameters
    ----------
    lines : sequence of (dimension, library, sizes, seconds, exponent)
        The exponent of the fitted power is shown in the legend.
    """
    check_some("scaling_lines", "lines", lines)
    dimensions = list(dict.fromkeys(dimension for dimension, *_ in lines))
    libraries = list(dict.fromkeys(library for _, library, *_ in lines))
    figure = new_figure(3.4 * len(dimensions), 3.6)
    panels = figure.subplots(1, len(dimensions), sharey=True, squeeze=False)[0]
    for axes, dimension in zip(panels, dimensions, strict=True):
        for drawn, library, sizes, seconds, exponent in lines:
            if drawn == dimension:
                axes.plot(
                    sizes, [1000 * s for s in seconds], marker="o", ms=4, lw=1.4,
                    color=SERIES[libraries.index(library) % len(SERIES)],
                    label=f"{library}: {dimension}$^{{{exponent:.2f}}}$",
                )  # fmt: skip
                ticks = list(sizes)
        axes.set(xscale="log", yscale="log", xlabel=dimension)
        axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks], fontsize=8)
        axes.set_xticks([], minor=True)
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, fontsize=8)
    panels[0].set_ylabel("ms a training step")
    return figure
