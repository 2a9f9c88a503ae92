"""Dropout: a mask from random numbers, and an array times a mask."""

from .compiling import kernel
from .parts import GRAIN, part
from .simd import widest_vectors


@kernel(shared=True)
def fill_mask(uniform, p, mask, share, shares):
    """Fill a mask of any shape: 1 / (1 - p) where uniform is at least p, else 0."""
    widest_vectors()
    uniform, mask = uniform.reshape(mask.size), mask.reshape(mask.size)
    kept, p = mask.dtype.type(1 / (1 - p)), uniform.dtype.type(p)
    dropped = mask.dtype.type(0)
    first, last = part(mask.size, share, shares, GRAIN)
    uniform, mask = uniform[first:last], mask[first:last]
    for k in range(mask.size):
        mask[k] = kept if uniform[k] >= p else dropped


@kernel(shared=True)
def multiply(x, mask, y, share, shares):
    """Fill y = x * mask, arrays of one shape."""
    widest_vectors()
    x, mask, y = x.reshape(y.size), mask.reshape(y.size), y.reshape(y.size)
    first, last = part(y.size, share, shares, GRAIN)
    x, mask, y = x[first:last], mask[first:last], y[first:last]
    for k in range(y.size):
        y[k] = x[k] * mask[k]
