"""Picture of the memory horizon."""

from matplotlib.figure import Figure

from numpylstm.cells import CELLS
from numpylstm.config import cell_options
from numpylstm.laboratory.diagnostics.horizon import SOLVED, Horizon, split_cell
from numpylstm.plots.style import GREY, SERIES, draw_level, one_panel

MARKERS = ("o", "s", "^", "D")


def horizon_curve(horizon: Horizon) -> Figure:
    """Draw the share of a task learnt at each distance: a line per cell, a dot per seed.

    Parameters
    ----------
    horizon : Horizon
        From `numpylstm.laboratory.diagnostics.memory_horizon`.
    """
    figure, axes = one_panel(7.5, 4.5)
    distances = sorted({point.distance for point in horizon.points})
    for level, name in ((0, "chance: nothing is remembered"), (1, "floor: the best possible")):
        draw_level(axes, level, name)
    axes.axhline(SOLVED, color=GREY, lw=0.8, ls=":")
    for k, cell in enumerate(horizon.cells):
        points = horizon.curve(cell)
        kind, options = split_cell(cell)
        title = CELLS[kind].describe(cell_options(kind, options))  # "relu RNN" for "rnn-relu"
        colour, marker = SERIES[k % len(SERIES)], MARKERS[k % len(MARKERS)]
        axes.plot(
            [point.distance for point in points],
            [point.share for point in points],
            color=colour,
            marker=marker,
            ms=6,
            lw=1.8,
            label=f"{title}: horizon {horizon.horizon(cell)} steps",
        )
        for point in points:
            axes.plot(
                [point.distance] * len(point.probes),
                [run.share for run in point.probes],
                ls="",
                marker=marker,
                ms=4,
                mfc="none",
                color=colour,
                alpha=0.6,
            )
    lowest = min(run.share for point in horizon.points for run in point.probes)
    axes.set(
        xscale="log",
        xlabel="distance, in steps (log scale)",
        ylabel="share of the way from chance to floor",
        ylim=(min(-0.08, lowest - 0.05), 1.12),
    )
    axes.set_xticks(distances, [str(distance) for distance in distances])
    axes.set_xticks([], minor=True)
    axes.set_yticks(
        [0, 0.25, 0.5, 0.75, SOLVED, 1], ["0 %", "25 %", "50 %", "75 %", "90 %", "100 %"]
    )
    figure.legend(frameon=False, loc="outside upper center", ncols=min(len(horizon.cells), 2))
    return figure
