"""The embedding: gradients scattered back to the rows of the table; NumPy gathers well enough."""

import numpy as np
from numba import prange

from .compiling import inner, kernel
from .parts import part


@inner
def scatter_add_columns(dx, ids, dW, first, last, from_zero):
    """`scatter_add` for columns first:last."""
    if from_zero:
        for row in dW:
            row[first:last] = 0
    for n in range(ids.size):
        source, target = dx[n, first:last], dW[ids[n], first:last]
        for k in range(source.size):
            target[k] += source[k]


@kernel(parallel=True)
def scatter_add(dx, ids, dW, from_zero, shares):
    """Add dx[n] to dW[ids[n]] for all n, in order; each thread has its own columns of dW (V, D).

    With `from_zero`, dW is set to zero first.
    """
    for share in prange(shares):
        first, last = part(dW.shape[1], np.intp(share), shares, 16)
        scatter_add_columns(dx, ids, dW, first, last, from_zero)
