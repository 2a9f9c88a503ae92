"""The vanilla recurrent network (Elman 1990), and backpropagation through time (Werbos 1990)."""

from typing import NamedTuple

import numpy as np

from numpylstm.reference.nonlinearities import activate, activation_derivative
from numpylstm.reference.padded_batches import PaddedCache, padded_backward, padded_forward
from numpylstm.reference.state_dropout import state_dropout_backward, state_dropout_forward

__all__ = [
    "RNNCache",
    "rnn_step_forward",
    "rnn_step_backward",
    "rnn_forward",
    "rnn_backward",
]


class RNNCache(NamedTuple):
    """Values for the backward pass. One step holds (B, .) arrays, a sequence (T, B, .) arrays."""

    x: np.ndarray  # (T, B, D)
    h_prev: np.ndarray  # (T, B, H): h at t-1; h_prev[0] is h0
    h: np.ndarray  # (T, B, H)
    Wx: np.ndarray  # (D, H)
    Wh: np.ndarray  # (H, H)
    activation: str
    h_mask: np.ndarray | None = None  # (B, H): what of h enters the product with Wh

    def at(self, t):
        """Return the cache of step t alone."""
        return self._replace(x=self.x[t], h_prev=self.h_prev[t], h=self.h[t])


def rnn_step_forward(x, h_prev, Wx, Wh, b, activation="tanh"):
    """One step: the new state is a squashed mixture of the input and of the old state.

    Parameters
    ----------
    x : (B, D)
    h_prev : (B, H)
    Wx : (D, H)
    Wh : (H, H)
    b : (H,)
    activation : "tanh", "relu" or "sigmoid"

    Returns
    -------
    h : (B, H)
    cache : RNNCache
    """
    a = x @ Wx + h_prev @ Wh + b
    h = activate(a, activation)
    return h, RNNCache(x, h_prev, h, Wx, Wh, activation)


def rnn_step_backward(dh, cache):
    """Turn dh, (B, H), summed over every use of h, into the gradients of the arguments.

    Returns
    -------
    dx, dh_prev, dWx, dWh, db
        With the shapes of x, h_prev, Wx, Wh and b.
    """
    x, h_prev, h = cache.x, cache.h_prev, cache.h
    Wx, Wh = cache.Wx, cache.Wh
    activation = cache.activation

    # h = activate(a)
    da = dh * activation_derivative(h, activation)

    # a = x @ Wx + h_prev @ Wh + b
    dx = da @ Wx.T
    dh_prev = da @ Wh.T  # on its way to step t-1: once more times Wh.T, once more times f'
    dWx = x.T @ da
    dWh = h_prev.T @ da
    db = da.sum(axis=0)
    return dx, dh_prev, dWx, dWh, db


def rnn_forward(x, h0, Wx, Wh, b, activation="tanh", lengths=None, h_mask=None):
    """Unroll the step over a sequence: the same weights at every time step.

    Parameters
    ----------
    x : (T, B, D)
    h0 : (B, H)
        The state before the first step: zeros, or where the previous window ended.
    Wx, Wh, b : (D, H), (H, H), (H,)
    activation : "tanh", "relu" or "sigmoid"
    lengths : (B,) integers from 0 to T, optional
        Where each sequence ends, if the batch is padded; see `padded_forward`.
    h_mask : (B, H), optional
        Dropout of h where it enters the product with Wh; see `state_dropout_forward`.

    Returns
    -------
    hs : (T, B, H)
        The state after each step, for the layer above.
    hT : (B, H)
        The state after the last step, for the next window.
    cache : RNNCache, or PaddedCache with lengths
    """
    if lengths is not None:
        return padded_forward(rnn_forward, lengths, x, [h0], Wx, Wh, b, activation, h_mask=h_mask)
    if h_mask is not None:
        return state_dropout_forward(rnn_forward, h_mask, x, [h0], Wx, Wh, b, activation)
    h = h0
    hs = []
    for x_t in x:
        h, _ = rnn_step_forward(x_t, h, Wx, Wh, b, activation)
        hs.append(h)
    hs = np.stack(hs)
    h_prev = np.concatenate([h0[None], hs[:-1]])
    return hs, h, RNNCache(x, h_prev, hs, Wx, Wh, activation)


def rnn_backward(dhs, dhT, cache):
    """Backpropagation through time.

    Parameters
    ----------
    dhs : (T, B, H)
        The gradient from the layer above, at each step.
    dhT : (B, H)
        The gradient from the next window; zeros when backpropagation is truncated here.
    cache : RNNCache or PaddedCache

    Returns
    -------
    dx, dh0, dWx, dWh, db
        With the shapes of x, h0, Wx, Wh and b.
    """
    if isinstance(cache, PaddedCache):
        return padded_backward(rnn_backward, dhs, [dhT], cache)
    if cache.h_mask is not None:
        return state_dropout_backward(rnn_backward, dhs, [dhT], cache)
    dtype = np.result_type(dhs, cache.h)
    dx = np.zeros(cache.x.shape, dtype)
    dWx = np.zeros(cache.Wx.shape, dtype)
    dWh = np.zeros(cache.Wh.shape, dtype)
    db = np.zeros(cache.Wh.shape[1:], dtype)
    dh = dhT  # from the future; before the last step there is only dhT
    for t in reversed(range(len(dhs))):
        step = cache.at(t)
        dx[t], dh, dWx_t, dWh_t, db_t = rnn_step_backward(dhs[t] + dh, step)  # rule 3
        dWx += dWx_t
        dWh += dWh_t
        db += db_t
    return dx, dh, dWx, dWh, db
