"""Long short-term memory: the cell of Hochreiter and Schmidhuber (1997) with a forget gate."""

from typing import NamedTuple

import numpy as np

from numpylstm.reference.nonlinearities import sigmoid
from numpylstm.reference.padded_batches import PaddedCache, padded_backward, padded_forward
from numpylstm.reference.state_dropout import state_dropout_backward, state_dropout_forward

__all__ = [
    "LSTMCache",
    "lstm_step_forward",
    "lstm_step_backward",
    "lstm_through_h",
    "lstm_forward",
    "lstm_backward",
]


class LSTMCache(NamedTuple):
    """Values for the backward pass. One step holds (B, .) arrays, a sequence (T, B, .) arrays.

    ``cache.i``, ``.f``, ``.g`` and ``.o`` are views of ``gates``.
    """

    x: np.ndarray  # (T, B, D)
    h_prev: np.ndarray  # (T, B, H): h at t-1; h_prev[0] is h0
    c_prev: np.ndarray  # (T, B, H): c at t-1; c_prev[0] is c0
    gates: np.ndarray  # (T, B, 4H): i, f, g, o side by side, after their nonlinearities
    c: np.ndarray  # (T, B, H)
    tanh_c: np.ndarray  # (T, B, H)
    h: np.ndarray  # (T, B, H)
    Wx: np.ndarray  # (D, 4H)
    Wh: np.ndarray  # (H, 4H)
    h_mask: np.ndarray | None = None  # (B, H): what of h enters the product with Wh

    @property
    def i(self):
        """Input gate: how much of the candidate is written."""
        H = self.h.shape[-1]
        return self.gates[..., :H]

    @property
    def f(self):
        """Forget gate: how much of the old cell is kept."""
        H = self.h.shape[-1]
        return self.gates[..., H : 2 * H]

    @property
    def g(self):
        """Candidate: what would be written."""
        H = self.h.shape[-1]
        return self.gates[..., 2 * H : 3 * H]

    @property
    def o(self):
        """Output gate: how much of the cell is shown."""
        H = self.h.shape[-1]
        return self.gates[..., 3 * H :]

    def at(self, t):
        """Return the cache of step t alone."""
        return self._replace(
            x=self.x[t],
            h_prev=self.h_prev[t],
            c_prev=self.c_prev[t],
            gates=self.gates[t],
            c=self.c[t],
            tanh_c=self.tanh_c[t],
            h=self.h[t],
        )


def lstm_step_forward(x, h_prev, c_prev, Wx, Wh, b):
    """One step of the memory cell.

    Parameters
    ----------
    x : (B, D)
    h_prev, c_prev : (B, H)
    Wx : (D, 4H)
    Wh : (H, 4H)
    b : (4H,)
        The columns of Wx, Wh and b are four blocks of H, in the order i, f, g, o.

    Returns
    -------
    h, c : (B, H)
    cache : LSTMCache
    """
    a = x @ Wx + h_prev @ Wh + b  # (B, 4H)
    a_i, a_f, a_g, a_o = np.split(a, 4, axis=1)  # four times (B, H)
    i = sigmoid(a_i)  # write?
    f = sigmoid(a_f)  # keep?
    g = np.tanh(a_g)  # what to write
    o = sigmoid(a_o)  # show?
    c = f * c_prev + i * g  # the carousel: a sum, no matrix and no squashing between c_prev and c
    tanh_c = np.tanh(c)
    h = o * tanh_c
    gates = np.concatenate([i, f, g, o], axis=1)
    return h, c, LSTMCache(x, h_prev, c_prev, gates, c, tanh_c, h, Wx, Wh)


def lstm_step_backward(dh, dc, cache):
    """Turn the gradients from every use of h and c into the gradients of the arguments.

    Parameters
    ----------
    dh : (B, H)
        From the layer above and from step t+1, already added.
    dc : (B, H)
        From step t+1 along the carousel.
    cache : LSTMCache

    Returns
    -------
    dx, dh_prev, dc_prev, dWx, dWh, db
        With the shapes of x, h_prev, c_prev, Wx, Wh and b.
    """
    x, h_prev, c_prev = cache.x, cache.h_prev, cache.c_prev
    i, f, g, o = cache.i, cache.f, cache.g, cache.o
    tanh_c = cache.tanh_c
    Wx, Wh = cache.Wx, cache.Wh

    # h = o * tanh_c
    do = dh * tanh_c
    dc = dc + dh * o * (1 - tanh_c * tanh_c)  # c was used twice: by step t+1 and by h

    # c = f * c_prev + i * g
    df = dc * c_prev
    di = dc * g
    dg = dc * i
    dc_prev = dc * f  # straight back along the carousel, scaled only by the forget gate

    # i, f, o = sigmoid(a), g = tanh(a)
    da_i = di * i * (1 - i)
    da_f = df * f * (1 - f)
    da_g = dg * (1 - g * g)
    da_o = do * o * (1 - o)
    da = np.concatenate([da_i, da_f, da_g, da_o], axis=1)  # (B, 4H)

    # a = x @ Wx + h_prev @ Wh + b
    dx = da @ Wx.T
    dh_prev = da @ Wh.T  # the other way back in time: through the gates
    dWx = x.T @ da
    dWh = h_prev.T @ da
    db = da.sum(axis=0)
    return dx, dh_prev, dc_prev, dWx, dWh, db


def lstm_through_h(dh, cache):
    """Turn dh, (B, H), into the part of dc that arrives through h within the step, as a tuple."""
    dc = dh * cache.o * (1 - cache.tanh_c * cache.tanh_c)
    return (dc,)


def lstm_forward(x, h0, c0, Wx, Wh, b, lengths=None, h_mask=None):
    """Unroll the cell over a sequence.

    Parameters
    ----------
    x : (T, B, D)
    h0, c0 : (B, H)
        The state before the first step: zeros, or where the previous window ended.
    Wx, Wh, b : (D, 4H), (H, 4H), (4H,)
        Four blocks of columns, in the order i, f, g, o.
    lengths : (B,) integers from 0 to T, optional
        Where each sequence ends, if the batch is padded; see `padded_forward`.
    h_mask : (B, H), optional
        Dropout of h where it enters the product with Wh; see `state_dropout_forward`.

    Returns
    -------
    hs : (T, B, H)
    hT, cT : (B, H)
    cache : LSTMCache, or PaddedCache with lengths
    """
    if lengths is not None:
        return padded_forward(lstm_forward, lengths, x, [h0, c0], Wx, Wh, b, h_mask=h_mask)
    if h_mask is not None:
        return state_dropout_forward(lstm_forward, h_mask, x, [h0, c0], Wx, Wh, b)
    h, c = h0, c0
    steps = []
    for x_t in x:
        h, c, step = lstm_step_forward(x_t, h, c, Wx, Wh, b)
        steps.append(step)
    cache = LSTMCache(
        x=np.stack([step.x for step in steps]),
        h_prev=np.stack([step.h_prev for step in steps]),
        c_prev=np.stack([step.c_prev for step in steps]),
        gates=np.stack([step.gates for step in steps]),
        c=np.stack([step.c for step in steps]),
        tanh_c=np.stack([step.tanh_c for step in steps]),
        h=np.stack([step.h for step in steps]),
        Wx=Wx,
        Wh=Wh,
    )
    return cache.h, h, c, cache


def lstm_backward(dhs, dhT, dcT, cache):
    """Backpropagation through time.

    Parameters
    ----------
    dhs : (T, B, H)
        The gradient from the layer above, at each step.
    dhT, dcT : (B, H)
        The gradient from the next window; zeros when backpropagation is truncated here.
    cache : LSTMCache or PaddedCache

    Returns
    -------
    dx, dh0, dc0, dWx, dWh, db
        With the shapes of x, h0, c0, Wx, Wh and b.
    """
    if isinstance(cache, PaddedCache):
        return padded_backward(lstm_backward, dhs, [dhT, dcT], cache)
    if cache.h_mask is not None:
        return state_dropout_backward(lstm_backward, dhs, [dhT, dcT], cache)
    dtype = np.result_type(dhs, cache.h)
    dx = np.zeros(cache.x.shape, dtype)
    dWx = np.zeros(cache.Wx.shape, dtype)
    dWh = np.zeros(cache.Wh.shape, dtype)
    db = np.zeros(cache.Wh.shape[1:], dtype)
    dh, dc = dhT, dcT  # from the future
    for t in reversed(range(len(dhs))):
        step = cache.at(t)
        dx[t], dh, dc, dWx_t, dWh_t, db_t = lstm_step_backward(dhs[t] + dh, dc, step)  # rule 3
        dWx += dWx_t
        dWh += dWh_t
        db += db_t
    return dx, dh, dc, dWx, dWh, db
