"""The embedding: gradients scattered back to the rows of the table; NumPy gathers well enough."""

import numpy as np
from numba import prange

from .compiling import inner, kernel
from .parts import part


@inner
def scatter_add_share(dx, ids, dW, share, shares):
    """The `share`-th part of `scatter_add`."""
    first, last = part(dW.shape[1], share, shares, 16)
    for row in dW:
        row[first:last] = 0
    for n in range(ids.size):
        source, target = dx[n, first:last], dW[ids[n], first:last]
        for k in range(source.size):
            target[k] += source[k]


@kernel(parallel=True)
def scatter_add(dx, ids, dW, shares):
    """Fill dW (V, D): zeros, and dx[n] added to dW[ids[n]] for all n, in order.

    Each thread has its own columns.
    """
    if shares == 1:
        scatter_add_share(dx, ids, dW, np.intp(0), shares)
        return
    for share in prange(shares):
        scatter_add_share(dx, ids, dW, np.intp(share), shares)
