"""sLSTM (Beck et al. 2024, equations 8 to 17, one head): exponential gates, and a mean as cell."""

from typing import NamedTuple

import numpy as np

from numpylstm.reference.nonlinearities import log_sigmoid, sigmoid
from numpylstm.reference.padded_batches import PaddedCache, padded_backward, padded_forward
from numpylstm.reference.state_dropout import state_dropout_backward, state_dropout_forward

__all__ = [
    "SLSTMCache",
    "slstm_step_forward",
    "slstm_step_backward",
    "slstm_through_h",
    "slstm_forward",
    "slstm_backward",
]


class SLSTMCache(NamedTuple):
    """Values for the backward pass. One step holds (B, .) arrays, a sequence (T, B, .) arrays."""

    x: np.ndarray  # (T, B, D)
    h_prev: np.ndarray  # (T, B, H): h at t-1; h_prev[0] is h0
    c_prev: np.ndarray  # (T, B, H)
    n_prev: np.ndarray  # (T, B, H)
    m_prev: np.ndarray  # (T, B, H)
    gates: np.ndarray  # (T, B, 4H): i and f scaled by exp(-m), z and o, side by side
    h: np.ndarray  # (T, B, H)
    c: np.ndarray  # (T, B, H)
    n: np.ndarray  # (T, B, H)
    m: np.ndarray  # (T, B, H)
    log_f: np.ndarray  # (T, B, H)
    Wx: np.ndarray  # (D, 4H)
    Wh: np.ndarray  # (H, 4H)
    forget_gate: str
    h_mask: np.ndarray | None = None  # (B, H): what of h enters the product with Wh

    @property
    def i(self):
        """Input gate, scaled."""
        H = self.h.shape[-1]
        return self.gates[..., :H]

    @property
    def f_scaled(self):
        """Forget gate, scaled."""
        H = self.h.shape[-1]
        return self.gates[..., H : 2 * H]

    @property
    def z(self):
        """Candidate."""
        H = self.h.shape[-1]
        return self.gates[..., 2 * H : 3 * H]

    @property
    def o(self):
        """Output gate."""
        H = self.h.shape[-1]
        return self.gates[..., 3 * H :]

    @property
    def f(self):
        """Forget gate, before it is scaled."""
        return np.exp(self.log_f)

    def at(self, t):
        """Return the cache of step t alone."""
        return self._replace(
            x=self.x[t],
            h_prev=self.h_prev[t],
            c_prev=self.c_prev[t],
            n_prev=self.n_prev[t],
            m_prev=self.m_prev[t],
            gates=self.gates[t],
            h=self.h[t],
            c=self.c[t],
            n=self.n[t],
            m=self.m[t],
            log_f=self.log_f[t],
        )


def slstm_step_forward(x, h_prev, c_prev, n_prev, m_prev, Wx, Wh, b, forget_gate="sigmoid"):
    """One step of an LSTM whose input gate is an exponential, so that it can outweigh all before.

    c is a sum of weighted candidates and n the sum of their weights, so c / n is a mean. Both are
    divided by exp(m), where m is the logarithm of the larger of the two gates, lest they overflow.

    Parameters
    ----------
    x : (B, D)
    h_prev, c_prev, n_prev, m_prev : (B, H)
    Wx, Wh, b : (D, 4H), (H, 4H), (4H,)
        Four blocks of columns, in the order i, f, z, o.
    forget_gate : "sigmoid" or "exp"

    Returns
    -------
    h, c, n, m : (B, H)
    cache : SLSTMCache
    """
    a = x @ Wx + h_prev @ Wh + b  # (B, 4H)
    a_i, a_f, a_z, a_o = np.split(a, 4, axis=1)  # four times (B, H)
    if forget_gate not in ("sigmoid", "exp"):
        raise ValueError(f"forget_gate must be 'sigmoid' or 'exp', got {forget_gate!r}")
    log_f = log_sigmoid(a_f) if forget_gate == "sigmoid" else a_f
    m = np.maximum(log_f.real + m_prev.real, a_i.real).astype(a.dtype)
    i = np.exp(a_i - m)
    f = np.exp(log_f + m_prev - m)
    z = np.tanh(a_z)
    o = sigmoid(a_o)
    c = f * c_prev + i * z
    n = f * n_prev + i
    h = o * (c / n)  # exp(m) cancels
    gates = np.concatenate([i, f, z, o], axis=1)
    cache = SLSTMCache(
        x, h_prev, c_prev, n_prev, m_prev, gates, h, c, n, m, log_f, Wx, Wh, forget_gate
    )
    return h, c, n, m, cache


def slstm_step_backward(dh, dc, dn, dm, cache):
    """Turn dh, dc and dn, (B, H), into dx, dh_prev, dc_prev, dn_prev, dm_prev, dWx, dWh and db.

    Nothing flows back through m, and dm is not read: with another m, c and n would be larger by
    one factor, and every h the same. So m is a constant here, like the maximum in a softmax, and dc
    and dn are the gradients of c and n at this m.
    """
    x, h_prev, c_prev, n_prev = cache.x, cache.h_prev, cache.c_prev, cache.n_prev
    i, f, z, o = cache.i, cache.f_scaled, cache.z, cache.o
    c, n = cache.c, cache.n
    Wx, Wh = cache.Wx, cache.Wh
    forget_gate = cache.forget_gate

    # h = o * (c / n)
    do = dh * (c / n)
    dc = dc + dh * o / n  # c and n were used twice: by step t+1 and by h
    dn = dn - dh * o * (c / n) / n  # n * n might underflow

    # c = f * c_prev + i * z,  n = f * n_prev + i
    di = dc * z + dn
    df = dc * c_prev + dn * n_prev
    dz = dc * i
    dc_prev = dc * f
    dn_prev = dn * f

    # i = exp(a_i - m),  f = exp(log_f + m_prev - m),  log_f = log(sigmoid(a_f)) or a_f
    da_i = di * i
    dm_prev = df * f
    if forget_gate == "sigmoid":
        da_f = df * f * (1 - cache.f)
    else:
        da_f = df * f

    # z = tanh(a_z),  o = sigmoid(a_o),  a = x @ Wx + h_prev @ Wh + b
    da_z = dz * (1 - z * z)
    da_o = do * o * (1 - o)
    da = np.concatenate([da_i, da_f, da_z, da_o], axis=1)  # (B, 4H)
    dx = da @ Wx.T
    dh_prev = da @ Wh.T
    dWx = x.T @ da
    dWh = h_prev.T @ da
    db = da.sum(axis=0)
    return dx, dh_prev, dc_prev, dn_prev, dm_prev, dWx, dWh, db


def slstm_through_h(dh, cache):
    """Turn dh, (B, H), into the parts of dc, dn and dm that arrive through h within the step."""
    dc = dh * cache.o / cache.n
    dn = -dc * cache.c / cache.n
    dm = np.zeros_like(dc)
    return dc, dn, dm


def slstm_forward(x, h0, c0, n0, m0, Wx, Wh, b, forget_gate="sigmoid", lengths=None, h_mask=None):
    """Unroll the cell over a sequence, as `lstm_forward` does.

    Parameters
    ----------
    x : (T, B, D)
    h0, c0, n0, m0 : (B, H)
        At the start of a text zeros, but -1e30 for m0: with 0, exp(a_i - m) may underflow, and n
        be 0.
    Wx, Wh, b, forget_gate, lengths, h_mask
        As for one step, and for an LSTM.

    Returns
    -------
    hs : (T, B, H)
    hT, cT, nT, mT : (B, H)
    cache : SLSTMCache, or PaddedCache with lengths
    """
    state = [h0, c0, n0, m0]
    if lengths is not None:
        return padded_forward(
            slstm_forward, lengths, x, state, Wx, Wh, b, forget_gate, h_mask=h_mask
        )
    if h_mask is not None:
        return state_dropout_forward(slstm_forward, h_mask, x, state, Wx, Wh, b, forget_gate)
    h, c, n, m = h0, c0, n0, m0
    steps = []
    for x_t in x:
        h, c, n, m, step = slstm_step_forward(x_t, h, c, n, m, Wx, Wh, b, forget_gate)
        steps.append(step)
    cache = SLSTMCache(
        x=np.stack([step.x for step in steps]),
        h_prev=np.stack([step.h_prev for step in steps]),
        c_prev=np.stack([step.c_prev for step in steps]),
        n_prev=np.stack([step.n_prev for step in steps]),
        m_prev=np.stack([step.m_prev for step in steps]),
        gates=np.stack([step.gates for step in steps]),
        h=np.stack([step.h for step in steps]),
        c=np.stack([step.c for step in steps]),
        n=np.stack([step.n for step in steps]),
        m=np.stack([step.m for step in steps]),
        log_f=np.stack([step.log_f for step in steps]),
        Wx=Wx,
        Wh=Wh,
        forget_gate=forget_gate,
    )
    return cache.h, h, c, n, m, cache


def slstm_backward(dhs, dhT, dcT, dnT, dmT, cache):
    """Backpropagation through time, as in `lstm_backward`; dmT is not read.

    Returns
    -------
    dx, dh0, dc0, dn0, dm0, dWx, dWh, db
        With the shapes of x, h0, c0, n0, m0, Wx, Wh and b.
    """
    if isinstance(cache, PaddedCache):
        return padded_backward(slstm_backward, dhs, [dhT, dcT, dnT, dmT], cache)
    if cache.h_mask is not None:
        return state_dropout_backward(slstm_backward, dhs, [dhT, dcT, dnT, dmT], cache)
    dtype = np.result_type(dhs, cache.h)
    dx = np.zeros(cache.x.shape, dtype)
    dWx = np.zeros(cache.Wx.shape, dtype)
    dWh = np.zeros(cache.Wh.shape, dtype)
    db = np.zeros(cache.Wh.shape[1:], dtype)
    dh, dc, dn, dm = dhT, dcT, dnT, dmT  # from the future
    for t in reversed(range(len(dhs))):
        step = cache.at(t)
        dx[t], dh, dc, dn, dm, dWx_t, dWh_t, db_t = slstm_step_backward(
            dhs[t] + dh, dc, dn, dm, step
        )
        dWx += dWx_t
        dWh += dWh_t
        db += db_t
    return dx, dh, dc, dn, dm, dWx, dWh, db
