"""Functions that wrong lines call: on the columns of gates, and on rows."""

from collections.abc import Sequence

import numpy as np

from numpylstm.checks import Array


def sigmoid(a: Array) -> Array:
    """Return the sigmoid of an array, for chapters of the textbook that have none."""
    with np.errstate(over="ignore"):
        return np.asarray(1 / (1 + np.exp(-a)))


def without(W: Array, n: int, *left_out: int) -> Array:
    """Return W with the columns of some gates zero."""
    blocks = [0 * W if k in left_out else W for k, W in enumerate(np.split(W, n, axis=-1))]
    return np.concatenate(blocks, axis=-1)


def only(W: Array, n: int, kept: int) -> Array:
    """Return W with the columns of all gates but one zero."""
    return without(W, n, *(k for k in range(n) if k != kept))


def reordered(W: Array, order: Sequence[int]) -> Array:
    """Return W with the columns of the gates in another order."""
    blocks = np.split(W, len(order), axis=-1)
    return np.concatenate([blocks[k] for k in order], axis=-1)


def untransposed(W: Array, n: int) -> Array:
    """Return ``W.T``, but with no gate's own matrix transposed."""
    return W if W.shape[0] == W.shape[1] else np.concatenate(np.split(W, n, axis=1), axis=0)


def each_transposed(W: Array, n: int) -> Array:
    """Return W with the square block of each gate transposed."""
    return np.concatenate([block.T for block in np.split(W, n, axis=1)], axis=1)


def last_step(rows: Array, long: Array) -> Array:
    """Return rows (T B, .), zero at every step but the last of `long`, (T, B, .)."""
    return rows * (np.arange(len(rows)) // len(long[0]) == len(long) - 1)[:, None]
