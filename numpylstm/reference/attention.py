"""Attention: each step of one sequence reads a weighted mean of all steps of another.

No layer or model uses it; the functions are for a `numpylstm.Module` of your own.
"""

from typing import NamedTuple

import numpy as np

__all__ = [
    "AttentionCache",
    "attention_forward",
    "attention_backward",
]


class AttentionCache(NamedTuple):
    """Cache of `attention_forward`. Past the end of a sequence, keys, values and weights are 0."""

    queries: np.ndarray  # (T, B, H)
    keys: np.ndarray  # (S, B, H)
    values: np.ndarray  # (S, B, K)
    weights: np.ndarray  # (T, B, S): how much step t reads of each place; they sum to 1


def attention_forward(queries, keys, values, lengths=None):
    """Dot-product attention (Luong et al. 2015): a softmax over places in place of a last state.

    Step t has a query and each place s of the other sequence a key, and their dot product scores
    how well the two fit; the softmax of the scores says how much of the value of each place the
    step receives. So a decoder need not find a whole sequence in one state, and the gradient goes
    from each step straight to the places that it read. No layer or model uses this function.

    Parameters
    ----------
    queries : (T, B, H)
        The hidden states of the decoder.
    keys : (S, B, H)
    values : (S, B, K)
        Both are often the hidden states of the encoder.
    lengths : (B,) integers in [0, S], optional
        Places at and past the length of a sequence are not read. If it is 0, the context is 0.

    Returns
    -------
    context : (T, B, K)
    cache : AttentionCache
    """
    if lengths is not None:
        inside = np.arange(len(keys))[:, None] < lengths  # (S, B)
        keys = np.where(inside[..., None], keys, 0)
        values = np.where(inside[..., None], values, 0)
    q = queries.swapaxes(0, 1)  # (B, T, H): one product per sequence of the batch
    k = keys.swapaxes(0, 1)  # (B, S, H)
    v = values.swapaxes(0, 1)  # (B, S, K)
    scores = q @ k.swapaxes(1, 2)  # (B, T, S)
    if lengths is not None:
        scores = np.where(inside.T[:, None], scores, -np.inf)
    peak = scores.real.max(axis=-1, keepdims=True)
    e = np.exp(scores - np.where(peak > -np.inf, peak, 0))  # at most 1: no overflow
    total = e.sum(axis=-1, keepdims=True)  # 0 for a sequence of length 0
    weights = e / np.where(total == 0, 1, total)
    context = (weights @ v).swapaxes(0, 1)
    return context, AttentionCache(queries, keys, values, weights.swapaxes(0, 1))


def attention_backward(dcontext, cache):
    """Rules 2 and 3 for each sequence of the batch.

    The softmax: ``dscores = weights * (dweights - sum(weights * dweights))``. Raising one weight
    lowers all others, so only what exceeds the weighted mean of the gradients has an effect.

    Returns
    -------
    dqueries, dkeys, dvalues
        With the shapes of queries, keys and values; 0 at places that were not read.
    """
    q = cache.queries.swapaxes(0, 1)  # (B, T, H)
    k = cache.keys.swapaxes(0, 1)  # (B, S, H)
    v = cache.values.swapaxes(0, 1)  # (B, S, K)
    weights = cache.weights.swapaxes(0, 1)  # (B, T, S)
    dc = dcontext.swapaxes(0, 1)  # (B, T, K)

    # context = weights @ v
    dweights = dc @ v.swapaxes(1, 2)
    dv = weights.swapaxes(1, 2) @ dc

    # weights = softmax(scores)
    dscores = weights * (dweights - (weights * dweights).sum(axis=-1, keepdims=True))

    # scores = q @ k.T
    dq = dscores @ k
    dk = dscores.swapaxes(1, 2) @ q
    return dq.swapaxes(0, 1), dk.swapaxes(0, 1), dv.swapaxes(0, 1)
