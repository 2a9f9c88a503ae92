"""A small BLAS in Numba: what the kernels of the layers are built from."""

from .compiling import GRAIN, inlined, inner, kernel, part
from .elementary import exp, log_sigmoid, sigmoid, tanh
from .matmul import (
    FEW_ROWS,
    Packed,
    gradients,
    multiply,
    multiply_in_place,
    multiply_packed,
    pack,
    packed,
    panels_shape,
)
from .simd import lanes_of, widest_vectors
from .views import block, run, transposed, uncounted

__all__ = [
    "FEW_ROWS", "GRAIN", "Packed", "block", "exp", "gradients", "inlined", "inner", "kernel",
    "lanes_of", "log_sigmoid", "multiply", "multiply_in_place", "multiply_packed", "pack", "packed",
    "panels_shape", "part", "run", "sigmoid", "tanh", "transposed", "uncounted", "widest_vectors",
]  # fmt: skip
