"""Layers of the textbook at random points, as arguments of `nl.doctor.examine`."""

import numpy as np

from numpylstm import reference
from numpylstm.laboratory.doctor import chain

SIZES = {"T": 5, "B": 3, "D": 4, "H": 6, "V": 7}


def of_textbook(layer, rng, dtype=float, textbook=reference):
    """Return f, backward, arrays and fixed of a layer under a linear loss.

    The layer computes in `dtype`, and its backward pass is that of the module `textbook`.
    """
    shapes = layer.shapes(SIZES)
    arrays = {name: 0.5 * rng.standard_normal(shape) for name, shape in shapes.items()}
    fixed = {name: arrays.pop(name) for name in layer.upstream}
    if layer.kind == "slstm":  # n is a sum of positive weights, and m cancels in h
        arrays["n0"] = np.abs(arrays["n0"])
        fixed |= {name: 0 * fixed[name] for name in ("dcT", "dnT", "dmT")}

    def cast(a):
        return {name: array.astype(dtype) for name, array in a.items()}

    def f(a):
        return float(chain.forward([(layer, {name: name for name in a})], cast(a))[0])

    def backward(a):
        gradients = getattr(textbook, f"{layer.name}_backward")(*layer.run(cast(a)))
        return dict(zip(arrays, gradients, strict=False))

    return f, backward, arrays, fixed
