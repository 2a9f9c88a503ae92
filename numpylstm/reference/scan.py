"""The linear recurrence: no weights, no nonlinearity."""

from typing import NamedTuple

import numpy as np

__all__ = [
    "ScanCache",
    "scan_forward",
    "scan_backward",
]


class ScanCache(NamedTuple):
    """Cache of `scan_forward`: the factors, and the state before each step, both (T, B, H)."""

    a: np.ndarray
    h_prev: np.ndarray


def scan_forward(a, b, h0):
    """Unroll ``h_t = a_t * h_(t-1) + b_t``, each entry by itself.

    The carousel of the LSTM is such a recurrence, with ``a = f`` and ``b = i * g``. There f and g
    wait for ``h_prev``. Where a and b depend on the input only, the whole sequence is one *scan*
    (Blelloch 1990): two steps in a row are one step with ``a1 * a2`` and ``a2 * b1 + b2``, and
    pairs may be joined in any grouping.

    Parameters
    ----------
    a, b : (T, B, H)
    h0 : (B, H)

    Returns
    -------
    hs : (T, B, H)
    hT : (B, H)
    cache : ScanCache
    """
    h = h0
    hs = []
    for a_t, b_t in zip(a, b, strict=True):
        h = a_t * h + b_t
        hs.append(h)
    return np.stack(hs), h, ScanCache(a, np.stack([h0, *hs[:-1]]))


def scan_backward(dhs, dhT, cache):
    """Backpropagation through time: the same recurrence, from right to left.

    Parameters
    ----------
    dhs : (T, B, H)
    dhT : (B, H)
    cache : ScanCache

    Returns
    -------
    da, db : (T, B, H)
    dh0 : (B, H)
    """
    a, h_prev = cache.a, cache.h_prev
    dtype = np.result_type(dhs, h_prev)
    da = np.zeros(dhs.shape, dtype)
    db = np.zeros(dhs.shape, dtype)
    dh = dhT  # from the future
    for t in reversed(range(len(dhs))):
        db[t] = dhs[t] + dh  # rule 3
        da[t] = db[t] * h_prev[t]
        dh = db[t] * a[t]
    return da, db, dh
