"""The linear layer. The same formula for one step, x (B, D), and for a sequence, x (T, B, D)."""

from typing import NamedTuple

import numpy as np

__all__ = [
    "LinearCache",
    "linear_forward",
    "linear_backward",
]


class LinearCache(NamedTuple):
    """Cache of `linear_forward`."""

    x: np.ndarray  # (T, B, D)
    W: np.ndarray  # (D, V)


def linear_forward(x, W, b):
    """``y = x @ W + b``: the decoder that turns a hidden state into one score for each word.

    Parameters
    ----------
    x : (T, B, D) or (B, D)
    W : (D, V)
    b : (V,)

    Returns
    -------
    y : (T, B, V) or (B, V)
    cache : LinearCache
    """
    return x @ W + b, LinearCache(x, W)


def linear_backward(dy, cache):
    """Rule 2, with time and batch read as one long batch.

    Returns
    -------
    dx, dW, db
        With the shapes of x, W and b.
    """
    x, W = cache.x, cache.W
    rows = x.reshape(-1, x.shape[-1])  # (T*B, D)
    drows = dy.reshape(-1, dy.shape[-1])  # (T*B, V)
    dx = dy @ W.T
    dW = rows.T @ drows
    db = drows.sum(axis=0)
    return dx, dW, db
