"""Dropout: entries set to zero at random in training, by a given mask; one step or a sequence."""

from typing import NamedTuple

import numpy as np

__all__ = [
    "DropoutCache",
    "dropout_mask",
    "dropout_forward",
    "dropout_backward",
]


class DropoutCache(NamedTuple):
    """Cache of `dropout_forward`."""

    mask: np.ndarray


def dropout_mask(uniform, p, dtype):
    """Turn random numbers into a mask: 1 / (1 - p) where a number is at least p (kept), else 0.

    Parameters
    ----------
    uniform : array, float32
        Numbers from U(0, 1), one for each entry.
    p : float
        Probability of dropping, in [0, 1).
    dtype : dtype
        Of the mask.

    Returns
    -------
    mask : the shape of uniform
    """
    return np.where(uniform >= p, 1 / (1 - p), 0).astype(dtype)


def dropout_forward(x, mask):
    """``y = x * mask``, where the mask holds 0 (dropped) and 1 / (1 - p) (kept).

    The scaling keeps the expected value, so nothing changes when dropout is switched off
    ("inverted dropout"). The mask is an argument: the function stays pure, and a gradient check
    sees the same mask twice.

    Parameters
    ----------
    x, mask : arrays of one shape

    Returns
    -------
    y : the shape of x
    cache : DropoutCache
    """
    return x * mask, DropoutCache(mask)


def dropout_backward(dy, cache):
    """Return the gradient of x: zero where x was dropped.

    Returns
    -------
    dx : the shape of x
    """
    return dy * cache.mask
