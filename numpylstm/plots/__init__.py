"""Pictures: pure functions from data to a matplotlib Figure. Nothing is shown or saved here.

Figures are made without pyplot, so no window system is touched and nothing is kept alive.
"""

from numpylstm.plots.benchmarks import ratio_bars, scaling_lines
from numpylstm.plots.memory import horizon_curve, probe_curves
from numpylstm.plots.training import epoch_positions, training_curves

__all__ = [
    "epoch_positions",
    "horizon_curve",
    "probe_curves",
    "ratio_bars",
    "scaling_lines",
    "training_curves",
]
