"""Dropout: a mask from random numbers, and an array times a mask."""

from .compiling import inner, kernel
from .parts import GRAIN, part
from .simd import widest_vectors


@inner
def mask_piece(uniform, p, kept, mask):
    """Fill a share of a mask."""
    widest_vectors()
    dropped = mask.dtype.type(0)
    for k in range(mask.size):
        mask[k] = kept if uniform[k] >= p else dropped


@inner
def multiply_piece(x, mask, y):
    """Fill a share of y = x * mask."""
    widest_vectors()
    for k in range(y.size):
        y[k] = x[k] * mask[k]


@kernel(shared=True)
def fill_mask(uniform, p, mask, share, shares):
    """Fill a mask of any shape: 1 / (1 - p) where uniform is at least p, else 0."""
    uniform, mask = uniform.reshape(mask.size), mask.reshape(mask.size)
    kept, p = mask.dtype.type(1 / (1 - p)), uniform.dtype.type(p)
    first, last = part(mask.size, share, shares, GRAIN)
    mask_piece(uniform[first:last], p, kept, mask[first:last])


@kernel(shared=True)
def multiply(x, mask, y, share, shares):
    """Fill y = x * mask, arrays of one shape."""
    x, mask, y = x.reshape(y.size), mask.reshape(y.size), y.reshape(y.size)
    first, last = part(y.size, share, shares, GRAIN)
    multiply_piece(x[first:last], mask[first:last], y[first:last])
