"""The embedding, a row lookup. The same formula for one step, ids (B,), and a sequence, (T, B)."""

from typing import NamedTuple

import numpy as np

__all__ = [
    "EmbeddingCache",
    "embedding_forward",
    "embedding_backward",
    "embedding_backward_rows",
]


class EmbeddingCache(NamedTuple):
    """Cache of `embedding_forward`: the ids, and the shape of the table, (V, D)."""

    ids: np.ndarray
    shape: tuple[int, ...]


def embedding_forward(ids, W):
    """Look up one row of the table for each id: the product with W of a row that is 1 at the id.

    Parameters
    ----------
    ids : (T, B) or (B,) integers in [0, V)
    W : (V, D)

    Returns
    -------
    x : (T, B, D) or (B, D)
        ``x[t, b] = W[ids[t, b]]``: the product of a one-hot row with W, without the zeros.
    cache : EmbeddingCache
    """
    return W[ids], EmbeddingCache(ids, W.shape)


def embedding_backward(dx, cache):
    """Give each row of the table the gradients of all the places where it was used.

    Returns
    -------
    dW : (V, D)
        A word that occurs twice receives two gradients, and they **add**: ``dW[ids] += dx`` would
        keep only one of them.
    """
    ids = cache.ids
    dW = np.zeros(cache.shape, dx.dtype)
    np.add.at(dW, ids, dx)
    return dW


def embedding_backward_rows(dx, cache):
    """The same gradient without its zeros.

    A window of text holds some hundred words, a vocabulary thousands. Filling, clipping and
    subtracting zeros for all the words that did not occur would cost more than everything else.

    Returns
    -------
    rows : (n,)
        The rows of the table that were used, each once, in order.
    drows : (n, D)
        Their gradients: ``dW[rows] = drows``, and all else is zero.
    """
    rows, place = np.unique(cache.ids, return_inverse=True)
    place = place.reshape(cache.ids.shape)  # where each id stands among the rows
    small = EmbeddingCache(place, (len(rows), dx.shape[-1]))  # a table of these rows alone
    return rows, embedding_backward(dx, small)
