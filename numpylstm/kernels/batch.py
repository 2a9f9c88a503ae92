"""Batches of sequences of any lengths, and the order in which `recurrence` takes their rows.

Without lengths nothing moves, and a cache keeps arrays over time as (T, B, .). With lengths, the
longest sequence comes first and the steps past the ends are left out: (N, .).
"""

import functools
from typing import Any, NamedTuple

import numpy as np


class Batch(NamedTuple):
    """Places of the rows of a batch: indices, or slices if nothing moves.

    The numbers are those of three steps of three sequences, a, b and c, with lengths 1, 3 and 2.
    Sorted by length they are b, c, a. Their N = 6 rows are b0 c0 a0, b1 c1, b2, step after step.
    """

    shape: tuple[int, ...]  # of the rows in a cache: (T, B), or (N,) with lengths; (6,)
    offsets: Any  # (T+3,) where each step finds its states (`recurrence`): 0 3 6 8 9 9
    steps_done: Any  # (B+1,) steps of all sequences before b, c, a and the end: 0 3 5 6
    order: Any  # (B,) sequences, the longest first; b, c, a: 1 2 0
    rank: Any  # (B,) places of a, b and c in this order: 2 0 1
    place: Any  # (N,) of each row in (T*B, .), where time comes first: 1 2 0 4 5 7
    before: Any  # (N,) of the state before each row in (B+N, H): 0 1 2 3 4 6
    last: Any  # (B,) of the last states of a, b and c in (B+N, H): 5 8 7


@functools.lru_cache(maxsize=8)  # every layer of a stack has the same, forward and backward
def batch_of(T, B, lengths):
    """Return the batch for this T and B, with the lengths (B,) as bytes, or None."""
    if lengths is None:
        return _whole_batch(T, B)
    return _sorted_batch(T, np.frombuffer(lengths, np.int64))


def _whole_batch(T, B):
    """Return the batch of sequences that all have T steps."""
    starts = np.arange(0, (T + 2) * B, B)
    everything = slice(None)
    return Batch(
        shape=(T, B),
        offsets=np.append(starts, starts[-1]),
        steps_done=np.arange(B + 1),
        order=everything,
        rank=everything,
        place=everything,
        before=slice(T * B),
        last=slice(T * B, None),
    )


def _sorted_batch(T, lengths):
    """Return the batch of sequences with these lengths (B,), the longest first."""
    B = len(lengths)
    order = np.argsort(T - lengths, kind="stable")
    rank = np.argsort(order)
    lengths = lengths[order]
    t, sequence = np.nonzero(np.arange(T)[:, None] < lengths)  # of each row, in this order
    rows_at = np.bincount(t, minlength=T)
    ends = B + np.append(0, rows_at.cumsum())
    offsets = np.concatenate([[0], ends, ends[-1:]])
    return Batch(
        shape=(len(t),),
        offsets=offsets,
        steps_done=np.append(0, lengths.cumsum()),
        order=order,
        rank=rank,
        place=t * B + order[sequence],
        before=offsets[t] + sequence,
        last=(offsets[lengths] + np.arange(B))[rank],
    )


def place_rows(rows, places, T, B):
    """Return an array (T, B, .) with rows (N, .) at these places and zeros elsewhere."""
    if isinstance(places, slice):
        return rows.reshape(T, B, rows.shape[1])
    whole = np.zeros((T * B, rows.shape[1]), rows.dtype)
    whole[places] = rows
    return whole.reshape(T, B, rows.shape[1])
