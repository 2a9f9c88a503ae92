"""Batches of sequences of any lengths, and the order in which `recurrence` takes their rows.

`Batch` has the sequences of one length: nothing moves, and arrays over time stay (T, B, .).
`PaddedBatch` sorts sequences by length and leaves out the steps past their ends: (N, .).
"""

import functools

import numpy as np

from .memory import empty


class Batch:
    """All rows at every step."""

    def __init__(self, T, B):
        self.T, self.B, self.N = T, B, T * B
        self.order = slice(None)
        self.offsets = np.append(np.arange(0, (T + 2) * B, B), (T + 1) * B)
        self.steps_done, self.known_cuts = np.arange(B + 1), {}

    def cuts(self, shares):
        """Return where the rows of each share begin, and B; all shares have about equal work."""
        if shares not in self.known_cuts:
            done = self.steps_done
            cuts = done.searchsorted(done[-1] * np.arange(shares + 1) // shares)
            self.known_cuts[shares] = cuts
        return self.known_cuts[shares]

    def begin(self, x, starts, others):
        """Return x as a cache keeps it, states (B+N, H) that begin with `starts`, and others."""
        states, filled = [], []
        shape = self.B + self.N, starts[0].shape[1]
        for start in starts:
            states.append(empty(shape, x.dtype))
            states[-1][: self.B] = start[self.order]
        for _ in range(others):
            filled.append(empty(shape, x.dtype))
        return self.rows(x), states, filled

    def end(self, states, others):
        """Return hs (T, B, H), states before and all arrays after each step, and last states."""
        shape, before, after, last = (self.T, self.B, -1), [], [], []
        for state in states:
            before.append(state[: self.N].reshape(shape))
            last.append(state[self.N :].copy())
        for array in (*states, *others):
            after.append(array[self.B :].reshape(shape))
        return after[0], before, after, last

    def begin_backward(self, dhs, dstates):
        """Return dhs as a cache would keep it, and copies of the dstates in the rows' order."""
        copies = []
        for dstate in dstates:
            copies.append(np.array(dstate[self.order], order="C"))
        return self.rows(dhs), copies

    def end_backward(self, dx, dstates):
        """Return dx (N, D) as (T, B, D), and the dstates in the order of the batch."""
        return dx.reshape(self.T, self.B, -1), dstates

    def rows(self, values):
        """Return values (T, B, .) as a cache keeps them."""
        return values


class PaddedBatch(Batch):
    """The longest sequence first, and those that have ended left out."""

    def __init__(self, T, lengths):
        self.T, self.B, self.N = T, len(lengths), int(lengths.sum())
        self.order = np.argsort(T - lengths, kind="stable")
        lengths_in_order = lengths[self.order]
        self.steps_done, self.known_cuts = np.append(0, lengths_in_order.cumsum()), {}
        t, row = np.nonzero(np.arange(T)[:, None] < lengths_in_order)
        ends = self.B + np.append(0, np.bincount(t, minlength=T).cumsum())
        self.offsets = np.concatenate([[0], ends, ends[-1:]])
        self.place = t * self.B + self.order[row]  # of each row in (T*B, .)
        self.place_before = self.offsets[t] + row
        self.rank = np.argsort(self.order)
        self.place_last = (self.offsets[lengths_in_order] + np.arange(self.B))[self.rank]

    def end(self, states, others):  # noqa: D102
        before = [_rows(state, self.place_before) for state in states]
        after = [array[self.B :] for array in (*states, *others)]
        last = [state[self.place_last] for state in states]
        return self.padded(after[0]), before, after, last

    def rows(self, values):
        """Return the rows (N, .) before the ends."""
        return _rows(values, self.place)

    def end_backward(self, dx, dstates):  # noqa: D102
        return self.padded(dx), [dstate[self.rank] for dstate in dstates]

    def padded(self, values):
        """Return rows (N, .) as (T, B, .), with zeros past the ends."""
        whole = np.zeros((self.T * self.B, values.shape[-1]), values.dtype)
        whole[self.place] = values
        return whole.reshape(self.T, self.B, -1)


def _rows(values, places):
    """Return these rows of a contiguous array (..., .)."""
    rows = empty((len(places), values.shape[-1]), values.dtype)
    values.reshape(-1, values.shape[-1]).take(places, axis=0, out=rows, mode="clip")
    return rows


@functools.lru_cache(maxsize=8)  # every layer of a stack has the same, forward and backward
def _known(T, B, lengths):
    return Batch(T, B) if lengths is None else PaddedBatch(T, np.frombuffer(lengths, np.int64))


def batch_of(T, B, lengths):
    """Return the batch for this T and B, with the lengths (B,) of its sequences if not None."""
    return _known(T, B, None if lengths is None else lengths.tobytes())
