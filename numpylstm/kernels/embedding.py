"""The embedding: rows gathered, and gradients scattered back."""

import numpy as np
from numba import prange

from .compiling import inner, kernel
from .parts import part


@kernel(parallel=True)
def gather(W, ids, x, shares):
    """x (N, D) = W[ids], ids (N,)."""
    for share in prange(shares):
        first, last = part(ids.size, np.intp(share), shares, 1)
        for n in range(first, last):
            source, target = W[ids[n]], x[n]
            for k in range(source.size):
                target[k] = source[k]


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
    """dW[ids[n]] += dx[n] for all n, in order; each thread has its own columns of dW (V, D).

    With `from_zero`, dW is set to zero first.
    """
    for share in prange(shares):
        first, last = part(dW.shape[1], np.intp(share), shares, 16)
        scatter_add_columns(dx, ids, dW, first, last, from_zero)
