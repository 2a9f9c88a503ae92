"""A small BLAS in Numba: what the kernels of the layers are built from.

Decorators
    `kernel` compiles a function that Python calls, `inner` and `inlined` one that kernels call.
Products
    `multiply` and `gradients` are kernels; `multiply_inside`, `gradients_inside` and
    `multiply_share` do the same inside a kernel, declared with ``calls=(multiply_share,)``.
A pack
    `pack` copies a matrix that many products share, `multiply_panels` multiplies by the copy, and
    `panels_shape` says how much room it needs, which `room` makes inside a kernel.
A share-out
    `part` gives each thread its range; `GRAIN` keeps threads out of each other's cache lines.
Elements and views
    `exp`, `sigmoid`, `tanh` and `log_sigmoid` vectorise; `at_time`, `from_row`, `run`, `turned`,
    `block` and `borrowed` are views without bounds checks or reference counts; `lanes_of` and
    `widest_vectors` concern the vector registers.

Why not NumPy's product? The bits of a BLAS may depend on the number of threads and on the layout,
and its threads keep spinning on the processors that the next kernel needs: medium then takes 1.11
times as long, char 1.41. Why not Numba's loops alone? Numba neither keeps a block of results in
registers nor vectorises a loop with ``math.exp`` (a step takes 1.3 to 2.0 times as long), and
its slices make the first step 1.4 times as long. All figures are in docs/explanation/kernels.md.

No result depends on the number of threads, the vector width or the sizes of blocks.
"""

from .compiling import GRAIN, inlined, inner, kernel, part
from .elementary import exp, log_sigmoid, sigmoid, tanh
from .matmul import (
    gradients,
    gradients_inside,
    multiply,
    multiply_inside,
    multiply_panels,
    multiply_share,
    pack,
    panels_shape,
    room,
)
from .simd import lanes_of, widest_vectors
from .views import at_time, block, borrowed, from_row, run, turned

__all__ = [
    "GRAIN", "at_time", "block", "borrowed", "exp", "from_row", "gradients", "gradients_inside",
    "inlined", "inner", "kernel", "lanes_of", "log_sigmoid", "multiply",
    "multiply_inside", "multiply_panels", "multiply_share", "pack", "panels_shape", "part", "room",
    "run", "sigmoid", "tanh", "turned", "widest_vectors",
]  # fmt: skip
