"""Diagnostics of recurrent networks: how far gradients reach, and why.

Every gradient is computed by the step functions of `numpylstm.reference`, that of a model in
float64, and is proved in the tests by finite differences, the complex step or an exact identity.
"""

from numpylstm.laboratory.diagnostics.activations import (
    GateSaturation,
    cell_activations,
    gate_saturation,
)
from numpylstm.laboratory.diagnostics.carousel import (
    CarouselNorms,
    CarouselSplit,
    carousel,
    carousel_norms,
    carousel_share,
)
from numpylstm.laboratory.diagnostics.flow import (
    CellFlow,
    Flow,
    Saturation,
    compare_cells,
    gradient_flow,
    singular_values,
    step_jacobians,
)
from numpylstm.laboratory.diagnostics.horizon import Horizon, HorizonPoint, memory_horizon
from numpylstm.laboratory.diagnostics.lag import (
    LagTable,
    lag_table,
    model_lag_norms,
    model_lag_table,
)
from numpylstm.laboratory.diagnostics.probe import Probe, probe

__all__ = [
    "CarouselNorms",
    "CarouselSplit",
    "CellFlow",
    "Flow",
    "GateSaturation",
    "Horizon",
    "HorizonPoint",
    "LagTable",
    "Probe",
    "Saturation",
    "carousel",
    "carousel_norms",
    "carousel_share",
    "cell_activations",
    "compare_cells",
    "gate_saturation",
    "gradient_flow",
    "lag_table",
    "memory_horizon",
    "model_lag_norms",
    "model_lag_table",
    "probe",
    "singular_values",
    "step_jacobians",
]
