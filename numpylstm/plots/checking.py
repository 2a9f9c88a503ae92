"""Pictures of gradient checks."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from numpylstm.laboratory.doctor import StepSweep
from numpylstm.plots.style import DRAWN, GREY, SERIES, as_label, one_panel


def v_curve(sweeps: Mapping[str, StepSweep]) -> Figure:
    """Draw the error of central differences against the step, both on logarithmic axes.

    The curve of a right gradient is a V: it falls with slope 2 (a dashed guide) and rises again
    where rounding takes over. The curve of a wrong gradient is flat.

    Parameters
    ----------
    sweeps : dict of label -> StepSweep
    """
    figure, axes = one_panel(8, 4.8)
    for k, (label, sweep) in enumerate(sweeps.items()):
        errors = np.clip(sweep.errors, 1e-16, DRAWN[1])  # an error of zero has no logarithm
        slope = f": slope {round(sweep.slope, 2) + 0.0:.2f}" if np.isfinite(sweep.slope) else ""
        axes.loglog(
            sweep.steps,
            errors,
            color=SERIES[k % len(SERIES)],
            marker="osD^v"[k % 5],
            ms=3.5,
            lw=1.3,
            label=as_label(label) + slope,
        )
    best = min(sweeps.values(), key=lambda sweep: sweep.smallest_error)
    largest = np.argmax(best.steps)
    guide = np.array([best.best_step * 20, best.steps[largest]])
    if guide[0] < guide[1] and np.isfinite(best.errors[largest]):
        axes.loglog(
            guide,
            3 * best.errors[largest] * (guide / guide[1]) ** 2,
            color=GREY,
            lw=1,
            ls="--",
            label="guide: error = constant · step²",
        )
    lowest = np.clip(best.smallest_error, 1e-16, 1)
    axes.set(
        xlabel="step ε (log scale)", ylabel="relative error (log scale)", ylim=(lowest / 10, None)
    )
    axes.grid(alpha=0.3)
    figure.legend(loc="outside upper center", ncols=2, frameon=False)
    return figure
