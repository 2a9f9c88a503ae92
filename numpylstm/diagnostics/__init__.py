"""What goes on inside a model while it reads and learns."""

from numpylstm.diagnostics.activations import (
    CellActivations,
    Saturation,
    cell_activations,
    gate_saturation,
)

__all__ = ["CellActivations", "Saturation", "cell_activations", "gate_saturation"]
