"""minLSTM (Feng et al. 2024): an LSTM whose gates do not look at h, so it is a scan."""

from typing import NamedTuple

import numpy as np

from numpylstm.reference.linear import LinearCache, linear_backward
from numpylstm.reference.nonlinearities import log_sigmoid, sigmoid
from numpylstm.reference.padded_batches import PaddedCache, padded_backward, padded_forward
from numpylstm.reference.scan import ScanCache, scan_backward, scan_forward

__all__ = [
    "MinLSTMCache",
    "minlstm_step_forward",
    "minlstm_step_backward",
    "minlstm_forward",
    "minlstm_backward",
]


class MinLSTMCache(NamedTuple):
    """Values for the backward pass. One step holds (B, .) arrays, a sequence (T, B, .) arrays."""

    x: np.ndarray  # (T, B, D)
    h_prev: np.ndarray  # (T, B, H): h at t-1; h_prev[0] is h0
    gates: np.ndarray  # (T, B, 3H): i and f after their sigmoids, and g, side by side
    h: np.ndarray  # (T, B, H)
    log_odds: np.ndarray  # (T, B, H): log(f / i)
    Wx: np.ndarray  # (D, 3H)

    @property
    def i(self):
        """Input gate."""
        H = self.h.shape[-1]
        return self.gates[..., :H]

    @property
    def f(self):
        """Forget gate."""
        H = self.h.shape[-1]
        return self.gates[..., H : 2 * H]

    @property
    def g(self):
        """Candidate."""
        H = self.h.shape[-1]
        return self.gates[..., 2 * H :]

    @property
    def a(self):
        """Factor of the old state: f / (f + i)."""
        return sigmoid(self.log_odds)


def minlstm_step_forward(x, h_prev, Wx, b):
    """One step of an LSTM whose gates depend on x alone; h is a mean, weighted by f and i.

    As `mingru_step_forward`, with three blocks of H columns, in the order i, f, g. The weights,
    f / (f + i) and i / (f + i), depend on f / i only. Its logarithm is known even where both gates
    are too small for a float.
    """
    a_i, a_f, g = np.split(x @ Wx + b, 3, axis=1)  # three times (B, H); g has no nonlinearity
    i = sigmoid(a_i)
    f = sigmoid(a_f)
    log_odds = log_sigmoid(a_f) - log_sigmoid(a_i)
    h = sigmoid(log_odds) * h_prev + sigmoid(-log_odds) * g
    gates = np.concatenate([i, f, g], axis=1)
    return h, MinLSTMCache(x, h_prev, gates, h, log_odds, Wx)


def minlstm_step_backward(dh, cache):
    """Turn dh, summed over every use of h, into dx, dh_prev, dWx and db."""
    x, h_prev = cache.x, cache.h_prev
    i, f, g = cache.i, cache.f, cache.g

    # h = a * h_prev + w * g,  a = f / (f + i),  w = i / (f + i) = 1 - a
    a = sigmoid(cache.log_odds)
    w = sigmoid(-cache.log_odds)
    dh_prev = dh * a  # the only way back in time
    dg = dh * w
    da = dh * (h_prev - g)

    # f and i = sigmoid(.);  the slope of a is a * w / f along f, and -a * w / i along i
    da_f = da * a * w * (1 - f)
    da_i = -da * a * w * (1 - i)
    dy = np.concatenate([da_i, da_f, dg], axis=-1)

    # y = x @ Wx + b, its three blocks a_i, a_f and g; of one step, or of all steps at once
    dx, dWx, db = linear_backward(dy, LinearCache(x, cache.Wx))
    return dx, dh_prev, dWx, db


def minlstm_forward(x, h0, Wx, b, lengths=None):
    """As `mingru_forward`, with three blocks of H columns, in the order i, f, g."""
    if lengths is not None:
        return padded_forward(minlstm_forward, lengths, x, [h0], Wx, b)
    a_i, a_f, g = np.split(x @ Wx + b, 3, axis=2)
    log_odds = log_sigmoid(a_f) - log_sigmoid(a_i)
    hs, hT, scan = scan_forward(sigmoid(log_odds), sigmoid(-log_odds) * g, h0)
    gates = np.concatenate([sigmoid(a_i), sigmoid(a_f), g], axis=2)
    return hs, hT, MinLSTMCache(x, scan.h_prev, gates, hs, log_odds, Wx)


def minlstm_backward(dhs, dhT, cache):
    """As `mingru_backward`; return dx, dh0, dWx and db."""
    if isinstance(cache, PaddedCache):
        return padded_backward(minlstm_backward, dhs, [dhT], cache)
    _, dh, dh0 = scan_backward(dhs, dhT, ScanCache(cache.a, cache.h_prev))
    dx, _, dWx, db = minlstm_step_backward(dh, cache)
    return dx, dh0, dWx, db
