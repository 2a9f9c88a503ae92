"""Pictures: functions from data to a matplotlib Figure.

Nothing is shown or saved here. Figures are made without pyplot, so no window system is needed and
no figure is kept alive.
"""

from numpylstm.plots.checking import v_curve
from numpylstm.plots.coloured import coloured_text
from numpylstm.plots.gradients import (
    carousel_lines,
    gradient_by_lag,
    training_lag_heatmap,
)
from numpylstm.plots.inline import inline_svg
from numpylstm.plots.memory import horizon_curve
from numpylstm.plots.training import (
    comparison_curves,
    training_curves,
)

__all__ = [
    "carousel_lines",
    "coloured_text",
    "comparison_curves",
    "gradient_by_lag",
    "horizon_curve",
    "inline_svg",
    "training_curves",
    "training_lag_heatmap",
    "v_curve",
]
