"""The gated recurrent unit (Cho et al. 2014), with the reset gate before or after the product."""

from typing import NamedTuple

import numpy as np

from numpylstm.reference.nonlinearities import sigmoid
from numpylstm.reference.padded_batches import PaddedCache, padded_backward, padded_forward
from numpylstm.reference.state_dropout import state_dropout_backward, state_dropout_forward

__all__ = [
    "GRUCache",
    "gru_step_forward",
    "gru_step_backward",
    "gru_forward",
    "gru_backward",
]


class GRUCache(NamedTuple):
    """Values for the backward pass. One step holds (B, .) arrays, a sequence (T, B, .) arrays.

    ``cache.r``, ``.z`` and ``.n`` are views of ``gates``.
    """

    x: np.ndarray  # (T, B, D)
    h_prev: np.ndarray  # (T, B, H): h at t-1; h_prev[0] is h0
    gates: np.ndarray  # (T, B, 3H): r, z, n side by side, after their nonlinearities
    s: np.ndarray  # (T, B, H): where r meets the past; see `gru_step_forward`
    h: np.ndarray  # (T, B, H)
    Wx: np.ndarray  # (D, 3H)
    Wh: np.ndarray  # (H, 3H)
    bn: np.ndarray | None  # (H,)
    reset: str
    h_mask: np.ndarray | None = None  # (B, H): what of h enters the product with Wh

    @property
    def r(self):
        """Reset gate: how much of the past the candidate sees."""
        H = self.h.shape[-1]
        return self.gates[..., :H]

    @property
    def z(self):
        """Update gate: how much of the old state is kept."""
        H = self.h.shape[-1]
        return self.gates[..., H : 2 * H]

    @property
    def n(self):
        """Candidate: the new state, as far as the old one is not kept."""
        H = self.h.shape[-1]
        return self.gates[..., 2 * H :]

    def at(self, t):
        """Return the cache of step t alone."""
        return self._replace(
            x=self.x[t],
            h_prev=self.h_prev[t],
            gates=self.gates[t],
            s=self.s[t],
            h=self.h[t],
        )


def gru_step_forward(x, h_prev, Wx, Wh, b, bn=None, reset="after"):
    """One step: the new state lies between the candidate and the old state, and z sets where.

    The reset gate scales the past **after** it went through Wh_n, or **before**. Cho et al. (2014)
    scale it before; after, as PyTorch and Keras do, all of ``h_prev @ Wh`` is one product that
    waits for no gate. The two are different functions of the same weights: a model trained with one
    is wrong with the other, and so is its gradient.

    Parameters
    ----------
    x : (B, D)
    h_prev : (B, H)
    Wx : (D, 3H)
    Wh : (H, 3H)
    b : (3H,)
        The columns of Wx, Wh and b are three blocks of H, in the order r, z, n.
    bn : (H,), optional
        Added to the past of the candidate, so that r scales it too; for "after" only.
    reset : "after" or "before"

    Returns
    -------
    h : (B, H)
    cache : GRUCache
    """
    x_r, x_z, x_n = np.split(x @ Wx + b, 3, axis=1)  # what the input adds: three times (B, H)
    Wh_r, Wh_z, Wh_n = np.split(Wh, 3, axis=1)  # three times (H, H)
    a_r = x_r + h_prev @ Wh_r
    a_z = x_z + h_prev @ Wh_z
    r = sigmoid(a_r)  # how much of the past to see?
    z = sigmoid(a_z)  # keep?
    if reset == "after":
        s = h_prev @ Wh_n + (0 if bn is None else bn)
        a_n = x_n + r * s
    elif reset == "before" and bn is None:
        s = r * h_prev
        a_n = x_n + s @ Wh_n
    else:
        raise ValueError(f"reset must be 'after', or 'before' without bn, got {reset!r}")
    n = np.tanh(a_n)
    h = (1 - z) * n + z * h_prev  # the straight way: no matrix and no squashing to h from h_prev
    gates = np.concatenate([r, z, n], axis=1)
    return h, GRUCache(x, h_prev, gates, s, h, Wx, Wh, bn, reset)


def gru_step_backward(dh, cache):
    """Turn dh, (B, H), summed over every use of h, into the gradients of the arguments.

    Returns
    -------
    dx, dh_prev, dWx, dWh, db, dbn
        With the shapes of x, h_prev, Wx, Wh, b and bn; dbn is None if bn was.
    """
    x, h_prev = cache.x, cache.h_prev
    r, z, n = cache.r, cache.z, cache.n
    s = cache.s
    Wx, Wh, bn = cache.Wx, cache.Wh, cache.bn
    reset = cache.reset
    Wh_r, Wh_z, Wh_n = np.split(Wh, 3, axis=1)

    # h = (1 - z) * n + z * h_prev
    dz = dh * (h_prev - n)
    dn = dh * (1 - z)

    # n = tanh(a_n); below, b_n is the block n of b, and bn the argument
    da_n = dn * (1 - n * n)
    if reset == "after":  # a_n = x @ Wx_n + b_n + r * s,  s = h_prev @ Wh_n + bn
        dr = da_n * s
        ds = da_n * r
        dh_prev_n = ds @ Wh_n.T
        dWh_n = h_prev.T @ ds
        dbn = None if bn is None else ds.sum(axis=0)
    else:  # a_n = x @ Wx_n + b_n + s @ Wh_n,  s = r * h_prev
        ds = da_n @ Wh_n.T
        dr = ds * h_prev
        dh_prev_n = ds * r
        dWh_n = s.T @ da_n
        dbn = None

    # r, z = sigmoid(a)
    da_r = dr * r * (1 - r)
    da_z = dz * z * (1 - z)

    # a_r = x @ Wx_r + h_prev @ Wh_r + b_r, and likewise for z; x and b enter all three
    # h_prev is used by h, scaled only by the update gate, by n, by r and by z
    dh_prev = dh * z + dh_prev_n + da_r @ Wh_r.T + da_z @ Wh_z.T
    dWh = np.concatenate([h_prev.T @ da_r, h_prev.T @ da_z, dWh_n], axis=1)
    da = np.concatenate([da_r, da_z, da_n], axis=1)  # (B, 3H)
    dx = da @ Wx.T
    dWx = x.T @ da
    db = da.sum(axis=0)
    return dx, dh_prev, dWx, dWh, db, dbn


def gru_forward(x, h0, Wx, Wh, b, bn=None, reset="after", lengths=None, h_mask=None):
    """Unroll the unit over a sequence.

    Parameters
    ----------
    x : (T, B, D)
    h0 : (B, H)
        The state before the first step: zeros, or where the previous window ended.
    Wx, Wh, b : (D, 3H), (H, 3H), (3H,)
        Three blocks of columns, in the order r, z, n.
    bn : (H,), optional
        For the reset "after" only.
    reset : "after" or "before"
    lengths : (B,) integers from 0 to T, optional
        Where each sequence ends, if the batch is padded; see `padded_forward`.
    h_mask : (B, H), optional
        Dropout of h where it enters the product with Wh; see `state_dropout_forward`.

    Returns
    -------
    hs : (T, B, H)
    hT : (B, H)
    cache : GRUCache, or PaddedCache with lengths
    """
    if lengths is not None:
        return padded_forward(gru_forward, lengths, x, [h0], Wx, Wh, b, bn, reset, h_mask=h_mask)
    if h_mask is not None:
        return state_dropout_forward(gru_forward, h_mask, x, [h0], Wx, Wh, b, bn, reset)
    h = h0
    steps = []
    for x_t in x:
        h, step = gru_step_forward(x_t, h, Wx, Wh, b, bn, reset)
        steps.append(step)
    cache = GRUCache(
        x=np.stack([step.x for step in steps]),
        h_prev=np.stack([step.h_prev for step in steps]),
        gates=np.stack([step.gates for step in steps]),
        s=np.stack([step.s for step in steps]),
        h=np.stack([step.h for step in steps]),
        Wx=Wx,
        Wh=Wh,
        bn=bn,
        reset=reset,
    )
    return cache.h, h, cache


def gru_backward(dhs, dhT, cache):
    """Backpropagation through time.

    Parameters
    ----------
    dhs : (T, B, H)
        The gradient from the layer above, at each step.
    dhT : (B, H)
        The gradient from the next window; zeros when backpropagation is truncated here.
    cache : GRUCache or PaddedCache

    Returns
    -------
    dx, dh0, dWx, dWh, db, dbn
        With the shapes of x, h0, Wx, Wh, b and bn; dbn is None if bn was.
    """
    if isinstance(cache, PaddedCache):
        return padded_backward(gru_backward, dhs, [dhT], cache)
    if cache.h_mask is not None:
        return state_dropout_backward(gru_backward, dhs, [dhT], cache)
    dtype = np.result_type(dhs, cache.h)
    dx = np.zeros(cache.x.shape, dtype)
    dWx = np.zeros(cache.Wx.shape, dtype)
    dWh = np.zeros(cache.Wh.shape, dtype)
    db = np.zeros(cache.Wh.shape[1:], dtype)
    dbn = None if cache.bn is None else np.zeros(cache.bn.shape, dtype)
    dh = dhT  # from the future
    for t in reversed(range(len(dhs))):
        step = cache.at(t)
        dx[t], dh, dWx_t, dWh_t, db_t, dbn_t = gru_step_backward(dhs[t] + dh, step)  # rule 3
        dWx += dWx_t
        dWh += dWh_t
        db += db_t
        if dbn is not None:
            dbn += dbn_t
    return dx, dh, dWx, dWh, db, dbn
