"""Random arguments of forward passes."""

import numpy as np
from conftest import B, T

from numpylstm.cells import CELLS


def normal(rng, dtype, *shape):
    return rng.standard_normal(shape).astype(dtype)


def recurrent_arrays(rng, sizes, cell, options=None):
    """Return the arguments of a forward pass by name, in order; a normaliser is positive.

    `options` tell which parameters the cell has; by default they have their defaults.
    """
    T, B, D, H = sizes
    arrays = {"x": rng.standard_normal((T, B, D))}
    arrays |= {f"{name}0": rng.standard_normal((B, H)) for name in CELLS[cell].states}
    if "n0" in arrays:
        arrays["n0"] = 0.5 + np.abs(arrays["n0"])
    chosen = {name: option.default for name, option in CELLS[cell].options.items()}
    shapes = CELLS[cell].shapes(D, H, chosen | (options or {}))
    return arrays | {name: rng.standard_normal(shape) for name, shape in shapes.items()}


def matrix_arrays(rng, kind, T=T, B=B, K=7, M=7):
    """Return the arguments of a forward pass by name, in order; keys have K entries, values M."""
    arrays = {name: rng.standard_normal((T, B, K)) for name in "qk"}
    arrays["v"] = rng.standard_normal((T, B, M))
    if kind != "linear_attention":
        arrays["beta"] = rng.uniform(0, 2, (T, B))
    if kind == "gated_delta_rule":
        arrays["decay"] = rng.uniform(0, 1, (T, B))
    return arrays | {"S0": rng.standard_normal((B, K, M))}
