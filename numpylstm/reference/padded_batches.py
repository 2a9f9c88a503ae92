"""Padded batches: sequences of different lengths in one batch, filled up with anything to T steps.

A row that has ended drops out: its state stays as it is, and nothing of x is read. Wherever a
sequence ends, time is cut. Between two cuts the rows that have not ended are an ordinary batch,
so a padded batch is a text read in windows: the state after one is the state before the next.
With T = 5 and the lengths 5, 2 and 4 there are three windows::

              t = 0  1  2  3  4
    b = 0         x  x | x  x | x
    b = 1         x  x | .  . | .       x is read, . is padding
    b = 2         x  x | x  x | .
    rows        0, 2, 1  0, 2   0       the longest sequence first

The functions here take the forward and backward pass of any recurrent layer of the textbook.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np

__all__ = [
    "PaddedCache",
    "PaddedWindow",
    "padded_windows",
    "per_step",
    "pack",
    "mask_of",
    "unpack",
    "padded_forward",
    "padded_backward",
]


class PaddedCache(NamedTuple):
    """Cache of a forward pass with `lengths`: of the steps before the end of their sequence only.

    The arrays over time of `packed` are (N, .) with ``N = lengths.sum()``: the rows of step 0, then
    those of step 1, and so on, each time the longest sequence first.
    """

    packed: NamedTuple  # the cache of the layer, such as an LSTMCache
    lengths: np.ndarray  # (B,)


class PaddedWindow(NamedTuple):
    """Steps in which the same rows of the batch take part."""

    steps: slice  # from one cut to the next
    rows: np.ndarray  # (n,): the rows of the batch that have not ended, the longest sequence first
    packed: slice  # where these steps of these rows stand in a `PaddedCache`


def padded_windows(lengths, T):
    """Cut time wherever a sequence ends, and yield each `PaddedWindow` between two cuts."""
    longest_first = np.argsort(T - lengths, kind="stable")
    cuts = np.unique([0, *lengths, T])
    begin = 0
    for start, stop in pairwise(cuts):
        rows = longest_first[: np.count_nonzero(lengths >= stop)]
        end = begin + (stop - start) * len(rows)
        yield PaddedWindow(slice(start, stop), rows, slice(begin, end))
        begin = end


def per_step(cache):
    """Return the names of the fields with an entry for each step: those in front of ``Wx``."""
    return cache._fields[: cache._fields.index("Wx")]


def pack(caches):
    """Join the caches of the windows, in their order, to one whose arrays over time are (N, .)."""
    packed = {}
    for name in per_step(caches[0]):
        arrays = [getattr(cache, name) for cache in caches]  # (steps, rows, .) of each window
        packed[name] = np.concatenate([array.reshape(-1, array.shape[-1]) for array in arrays])
    return caches[0]._replace(**packed)


def mask_of(h_mask, window):
    """Return the masks of the rows that take part in a window, if there are masks and rows."""
    return None if h_mask is None or len(window.rows) == 0 else h_mask[window.rows]


def unpack(packed, window):
    """Return the cache of one window, as its forward pass gave it."""
    steps = window.steps.stop - window.steps.start
    arrays = {}
    for name in per_step(packed):
        array = getattr(packed, name)[window.packed]
        arrays[name] = array.reshape(steps, len(window.rows), array.shape[1])
    if hasattr(packed, "h_mask"):
        arrays["h_mask"] = mask_of(packed.h_mask, window)
    return packed._replace(**arrays)


def padded_forward(forward, lengths, x, state, *arguments, h_mask=None):
    """Run a recurrent layer over sequences of different lengths.

    Parameters
    ----------
    forward : function
        Such as `lstm_forward`.
    lengths : (B,) integers from 0 to T
    x : (T, B, D)
        ``x[lengths[b]:, b]`` may be anything, even NaN.
    state : list of (B, H)
        The arguments of `forward` that follow x: h0 and, for the LSTM, c0.
    *arguments
        The arguments of `forward` after these.
    h_mask : (B, H), optional
        The mask of the state, if `forward` takes one.

    Returns
    -------
    hs : (T, B, H)
        Zero from the end of each sequence.
    *state : (B, H)
        After the last step of each sequence.
    cache : PaddedCache
    """
    arrays = [value for value in (x, *state, *arguments) if isinstance(value, np.ndarray)]
    dtype = np.result_type(*arrays)
    state = [np.array(part, dtype) for part in state]  # copies, which change below
    hs = np.zeros((len(x), *state[0].shape), dtype)
    caches = []
    for window in padded_windows(lengths, len(x)):
        inside = window.steps, window.rows
        before = [part[window.rows] for part in state]
        mask_of_rows = mask_of(h_mask, window)
        masked = {} if mask_of_rows is None else {"h_mask": mask_of_rows}
        hs[inside], *after, cache = forward(x[inside], *before, *arguments, **masked)
        for part, new in zip(state, after, strict=True):
            part[window.rows] = new
        caches.append(cache)
    packed = pack(caches)
    if h_mask is not None:
        packed = packed._replace(h_mask=h_mask)
    return hs, *state, PaddedCache(packed, lengths)


def padded_backward(backward, dhs, dstate, cache):
    """Go back through the windows of `padded_forward`, from the last to the first.

    Parameters
    ----------
    backward : function
        Such as `lstm_backward`.
    dhs : (T, B, H)
        Past the end of each sequence it may hold anything, even NaN.
    dstate : list of (B, H)
        dhT and, for the LSTM, dcT.
    cache : PaddedCache

    Returns
    -------
    dx : (T, B, D)
        Zero from the end of each sequence.
    dh0, ..., dWx, ...
        The other results of `backward`.
    """
    T, B, _ = dhs.shape
    D = cache.packed.x.shape[1]
    dtype = np.result_type(dhs, cache.packed.h)
    dx = np.zeros((T, B, D), dtype)
    dstate = [np.array(part, dtype) for part in dstate]  # copies, which change below
    sums = []  # of dWx and all that follows it
    for window in reversed([*padded_windows(cache.lengths, T)]):
        inside = window.steps, window.rows
        dafter = [part[window.rows] for part in dstate]
        of_window = unpack(cache.packed, window)
        dx[inside], *gradients = backward(dhs[inside], *dafter, of_window)
        dbefore, dweights = gradients[: len(dstate)], gradients[len(dstate) :]
        for part, new in zip(dstate, dbefore, strict=True):
            part[window.rows] = new
        if not sums:
            sums = [None if d is None else np.zeros_like(d) for d in dweights]
        for total, d in zip(sums, dweights, strict=True):
            if d is not None:  # as dbn of a GRU without a bn
                total += d  # rule 3
    return dx, *dstate, *sums
