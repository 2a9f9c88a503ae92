"""The embedding's gradient; NumPy gathers the rows forward."""

from .machine import kernel


@kernel
def scatter_add(dx, ids, dW):
    """Fill dW (V, D): zeros, and dx[n] (D,) added to dW[ids[n]] for all n, in order."""
    for row in dW:
        row[:] = 0
    for n in range(ids.size):
        source, target = dx[n], dW[ids[n]]
        for k in range(source.size):
            target[k] += source[k]
