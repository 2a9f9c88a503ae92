"""The embedding's gradient; NumPy gathers the rows forward."""

from .machine import kernel, part


@kernel
def scatter_add(dx, ids, dW, share, shares):
    """Fill dW (V, D): zeros, and dx[n] (D,) added to dW[ids[n]] for all n, in order."""
    first, stop = part(len(dW), share, shares)
    for row in dW[first:stop]:
        row[:] = 0
    for n in range(ids.size):
        if first <= ids[n] < stop:
            source = dx[n]
            target = dW[ids[n]]
            for k in range(source.size):
                target[k] += source[k]
