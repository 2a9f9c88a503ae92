"""Dropout: masks from uniform numbers, and the product with a mask."""

import numpy as np
from numba import prange

from .compiling import inner, kernel
from .parts import part
from .simd import widest_vectors


@inner
def mask_piece(uniform, p, scale, mask):
    """Fill a share of a mask: scale where the number is at least p, else 0."""
    widest_vectors()
    zero = mask.dtype.type(0)
    for k in range(mask.size):
        mask[k] = scale if uniform[k] >= p else zero


@inner
def product_piece(x, mask, y):
    """Fill a share: y = x * mask."""
    widest_vectors()
    for k in range(y.size):
        y[k] = x[k] * mask[k]


@kernel(parallel=True)
def fill_mask(uniform, p, scale, mask, shares):
    """Fill mask (N,): scale (of its dtype) where uniform (N,) >= p (both float32), else 0."""
    if shares == 1:
        mask_piece(uniform, p, scale, mask)
        return
    for share in prange(shares):
        first, last = part(mask.size, np.intp(share), shares, 16)
        mask_piece(uniform[first:last], p, scale, mask[first:last])


@kernel(parallel=True)
def multiply(x, mask, y, shares):
    """Fill y (N,) = x (N,) * mask (N,)."""
    if shares == 1:
        product_piece(x, mask, y)
        return
    for share in prange(shares):
        first, last = part(y.size, np.intp(share), shares, 16)
        product_piece(x[first:last], mask[first:last], y[first:last])
