"""What goes on inside a model while it reads and learns."""

from numpylstm.diagnostics.activations import (
    CellActivations,
    GateSaturation,
    cell_activations,
    gate_saturation,
)

__all__ = ["CellActivations", "GateSaturation", "cell_activations", "gate_saturation"]
