"""The rows of a batch in the order of `recurrence`, to which sequences of any lengths are brought.

`Batch` has the sequences of one length: nothing moves, and arrays over time stay (T, B, .).
`PaddedBatch` sorts sequences by length and leaves out the steps past their ends: (1, N, .).
"""

import functools

import numpy as np

from .memory import empty


class Batch:
    """All rows at every step."""

    def __init__(self, T, B):
        self.T, self.B, self.N = T, B, T * B
        self.offsets = np.append(np.arange(0, (T + 2) * B, B), (T + 1) * B)
        self.steps_done, self.known_cuts = np.arange(B + 1), {}

    def cuts(self, shares):
        """Return where the rows of each share begin, and B: about the same work for each."""
        if shares not in self.known_cuts:
            done = self.steps_done
            cuts = done.searchsorted(done[-1] * np.arange(shares + 1) // shares)
            self.known_cuts[shares] = cuts
        return self.known_cuts[shares]

    def packed(self, values):
        """Return (T, B, .) as an array over time."""
        return values

    def padded(self, values):
        """Return an array over time as (T, B, .)."""
        return values

    def ordered(self, values):
        """Return a copy of (B, .) in the order of the rows."""
        return np.array(values, order="C")

    def given(self, values):
        """Return (B, .) in the order of the batch."""
        return values

    def states(self, start):
        """Return room for a state, with that of step 0 filled in."""
        states = empty((self.T + 1, *start.shape), start.dtype)
        states[0] = start
        return states

    def before(self, states):
        """Return the states before each step, as an array over time."""
        return states[:-1]

    def after(self, states):
        """Return the states after each step, as an array over time."""
        return states[1:]

    def last(self, states):
        """Return the state after the last step of each sequence, (B, .)."""
        return states[-1].copy()


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

    def packed(self, values):  # noqa: D102
        return _rows(values, self.place)

    def padded(self, values):  # noqa: D102
        whole = np.zeros((self.T * self.B, values.shape[-1]), values.dtype)
        _as_elements(whole)[self.place] = _as_elements(values[0])
        return whole.reshape(self.T, self.B, -1)

    def ordered(self, values):  # noqa: D102
        return values[self.order]

    def given(self, values):  # noqa: D102
        return values[self.rank]

    def states(self, start):  # noqa: D102
        states = empty((1, self.B + self.N, start.shape[1]), start.dtype)
        states[0, : self.B] = start[self.order]
        return states

    def before(self, states):  # noqa: D102
        return _rows(states, self.place_before)

    def after(self, states):  # noqa: D102
        return states[:, self.B :]

    def last(self, states):  # noqa: D102
        return states[0, self.place_last]


def _rows(values, places):
    """Return these rows of a contiguous array (., ., .) as one step (1, ., .)."""
    rows = empty((len(places), values.shape[-1]), values.dtype)
    values.reshape(-1, values.shape[-1]).take(places, axis=0, out=rows, mode="clip")
    return rows[None]


def _as_elements(rows):
    """Return rows (N, .) as an array (N,), whose elements NumPy moves in half the time."""
    return rows.view(np.dtype((np.void, rows.shape[1] * rows.itemsize)))[:, 0]


@functools.lru_cache(maxsize=8)  # every layer of a stack has the same, forward and backward
def batch_of(T, B, lengths=None):
    """Return the batch for this T and B, with the lengths in the bytes of an int64 array if any."""
    return Batch(T, B) if lengths is None else PaddedBatch(T, np.frombuffer(lengths, np.int64))
