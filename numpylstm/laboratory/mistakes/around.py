"""The functions around the layers of the patient: zero gradients, and clipping."""

import numpy as np


def zero_gradients(layers):
    """Return arrays of zeros for the gradients of each layer, its own for each."""
    return [{name: np.zeros_like(a) for name, a in layer.items()} for layer in layers]


def clip(gradients, max_norm):
    """Clip by global norm: one factor for all gradients, so that the direction stays."""
    norm = np.sqrt(sum(np.sum(g * g) for g in gradients.values()))
    return {path: g * min(1, max_norm / norm) for path, g in gradients.items()}
