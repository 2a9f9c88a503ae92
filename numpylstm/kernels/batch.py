"""Batches of sequences of any lengths, and the order in which `recurrence` takes their rows.

Without lengths nothing moves, and a cache keeps arrays over time as (T, B, .). With lengths, the
longest sequence comes first and the steps past the ends are left out: (N, .).
"""

import functools
from typing import Any, NamedTuple

import numpy as np


class Batch(NamedTuple):
    """The places of the rows of a batch: indices, or a slice if nothing moves."""

    shape: tuple[int, ...]  # of the rows in a cache: (T, B), or (N,) with lengths
    offsets: Any  # (T+3,), as in `recurrence`
    steps_done: Any  # (B+1,): steps of all sequences before this one
    order: Any  # of the sequences
    rank: Any  # of each sequence in this order
    place: Any  # of each row in (T*B, .)
    before: Any  # of the states before each step in (B+N, H)
    last: Any  # of the last states in (B+N, H)


@functools.lru_cache(maxsize=8)  # every layer of a stack has the same, forward and backward
def batch_of(T, B, lengths):
    """Return the batch for this T and B, with the lengths (B,) as bytes, or None."""
    if lengths is None:
        offsets, whole = np.append(np.arange(0, (T + 2) * B, B), (T + 1) * B), slice(None)
        before, last = slice(T * B), slice(T * B, None)
        return Batch((T, B), offsets, np.arange(B + 1), whole, whole, whole, before, last)
    lengths = np.frombuffer(lengths, np.int64)
    order = np.argsort(T - lengths, kind="stable")
    rank, lengths = np.argsort(order), lengths[order]
    t, row = np.nonzero(np.arange(T)[:, None] < lengths)
    ends = B + np.append(0, np.bincount(t, minlength=T).cumsum())
    offsets = np.concatenate([[0], ends, ends[-1:]])
    steps_done = np.append(0, lengths.cumsum())
    place, before = t * B + order[row], offsets[t] + row
    last = (offsets[lengths] + np.arange(B))[rank]
    return Batch((len(t),), offsets, steps_done, order, rank, place, before, last)


def put(rows, places, T, B):
    """Return an array (T, B, .) with rows (N, .) at these places and zeros elsewhere."""
    if isinstance(places, slice):
        return rows.reshape(T, B, rows.shape[1])
    whole = np.zeros((T * B, rows.shape[1]), rows.dtype)
    whole[places] = rows
    return whole.reshape(T, B, rows.shape[1])
