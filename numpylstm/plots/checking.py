"""Pictures of gradient checks."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from numpylstm.laboratory.doctor import StepSweep
from numpylstm.plots.style import GREY, SERIES


def v_curve(sweeps: StepSweep | Mapping[str, StepSweep]) -> Figure:
    """Error of the central difference against the step, both on logarithmic axes.

    A right gradient draws a V: it falls with slope 2 (a dashed guide), and rises again where
    rounding takes over. A wrong gradient stays flat: no step makes it right.

    Parameters
    ----------
    sweeps : StepSweep or dict of label -> StepSweep

    Returns
    -------
    Figure
    """
    named = {"gradient": sweeps} if isinstance(sweeps, StepSweep) else sweeps
    figure = Figure(figsize=(8, 4.8), layout="constrained", dpi=120)
    axes = figure.subplots()
    lowest = np.inf
    for k, (label, sweep) in enumerate(named.items()):
        floor = np.maximum(sweep.errors, 1e-16)  # an error of zero has no logarithm
        text = (
            f"{label}: slope {round(sweep.slope, 2) + 0.0:.2f}"
            if np.isfinite(sweep.slope)
            else label
        )
        axes.loglog(
            sweep.steps, floor, color=SERIES[k % len(SERIES)], marker="osD^v"[k % 5], ms=3.5,
            lw=1.3, label=text,
        )  # fmt: skip
        lowest = min(lowest, floor.min())
    best = min(named.values(), key=lambda sweep: sweep.smallest_error)
    guide = np.array([best.best_step * 20, best.steps.max()])
    at = int(np.argmin(np.abs(best.steps - guide[1])))
    axes.loglog(
        guide, 3 * best.errors[at] * (guide / guide[1]) ** 2, color=GREY, lw=1, ls="--",
        label="guide: error = constant · step²",
    )  # fmt: skip
    axes.set_xlabel("step h (log scale)")
    axes.set_ylabel("relative error (log scale)")
    axes.set_ylim(lowest / 10, None)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)
    figure.legend(loc="outside upper center", ncols=2, frameon=False, fontsize=9)
    return figure
