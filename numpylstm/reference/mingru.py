"""minGRU (Feng et al. 2024): a GRU whose gate and candidate do not look at h, so it is a scan."""

from typing import NamedTuple

import numpy as np

from numpylstm.reference.linear import LinearCache, linear_backward
from numpylstm.reference.nonlinearities import sigmoid
from numpylstm.reference.padded_batches import PaddedCache, padded_backward, padded_forward
from numpylstm.reference.scan import ScanCache, scan_backward, scan_forward

__all__ = [
    "MinGRUCache",
    "mingru_factor",
    "mingru_step_forward",
    "mingru_step_backward",
    "mingru_forward",
    "mingru_backward",
]


class MinGRUCache(NamedTuple):
    """Values for the backward pass. One step holds (B, .) arrays, a sequence (T, B, .) arrays."""

    x: np.ndarray  # (T, B, D)
    h_prev: np.ndarray  # (T, B, H): h at t-1; h_prev[0] is h0
    gates: np.ndarray  # (T, B, 2H): z after its sigmoid, and n, side by side
    h: np.ndarray  # (T, B, H)
    Wx: np.ndarray  # (D, 2H)
    factors: str

    @property
    def z(self):
        """Update gate: how much of the candidate is written."""
        H = self.h.shape[-1]
        return self.gates[..., :H]

    @property
    def n(self):
        """Candidate."""
        H = self.h.shape[-1]
        return self.gates[..., H:]

    @property
    def a(self):
        """Factor of the old state."""
        return mingru_factor(self.z, self.factors)


def mingru_factor(z, factors):
    """The factor of the old state in a minGRU: ``1 - z``, or ``1 - 2 * z`` if "signed".

    In (0, 1) it lets the state fade, and no number of such states can count modulo two over a
    sequence of any length. In (-1, 1) it can also flip the sign of the state, where it is near -1,
    and a state that flips at every 1 counts modulo two (Grazzi et al. 2024).
    """
    if factors == "positive":
        return 1 - z
    if factors == "signed":
        return 1 - 2 * z
    raise ValueError(f"factors must be 'positive' or 'signed', got {factors!r}")


def mingru_step_forward(x, h_prev, Wx, b, factors="positive"):
    """One step of a GRU whose gate and candidate depend on x, (B, D), alone: there is no Wh.

    The other arguments are those of `mingru_forward`; returns h, (B, H), and a `MinGRUCache`.
    """
    a_z, n = np.split(x @ Wx + b, 2, axis=1)  # twice (B, H); n has no nonlinearity
    z = sigmoid(a_z)
    h = mingru_factor(z, factors) * h_prev + z * n
    gates = np.concatenate([z, n], axis=1)
    return h, MinGRUCache(x, h_prev, gates, h, Wx, factors)


def mingru_step_backward(dh, cache):
    """Turn dh, summed over every use of h, into dx, dh_prev, dWx and db."""
    x, h_prev = cache.x, cache.h_prev
    z, n = cache.z, cache.n
    factors = cache.factors

    # h = a * h_prev + z * n,  a = 1 - z or 1 - 2 * z
    if factors == "positive":
        a = 1 - z
        dz = dh * (n - h_prev)
    else:
        a = 1 - 2 * z
        dz = dh * (n - 2 * h_prev)
    dh_prev = dh * a  # the only way back in time
    dn = dh * z

    # z = sigmoid(a_z)
    da_z = dz * z * (1 - z)
    dy = np.concatenate([da_z, dn], axis=-1)

    # y = x @ Wx + b, its two blocks a_z and n; of one step, or of all steps at once
    dx, dWx, db = linear_backward(dy, LinearCache(x, cache.Wx))
    return dx, dh_prev, dWx, db


def mingru_forward(x, h0, Wx, b, factors="positive", lengths=None):
    """Compute all gates at once, and then the states, by a scan.

    Feng et al. have a form in logarithms too: it is for scans in parallel, whose products of all
    factors so far underflow. Here a state is multiplied by one factor at a time.

    Parameters
    ----------
    x, h0 : (T, B, D), (B, H)
    Wx, b : (D, 2H), (2H,)
        Two blocks of columns, in the order z, n.
    factors : "positive" or "signed"
    lengths : (B,) integers from 0 to T, optional

    Returns
    -------
    hs, hT : (T, B, H), (B, H)
    cache : MinGRUCache, or PaddedCache with lengths
    """
    if lengths is not None:
        return padded_forward(mingru_forward, lengths, x, [h0], Wx, b, factors)
    a_z, n = np.split(x @ Wx + b, 2, axis=2)
    z = sigmoid(a_z)
    hs, hT, scan = scan_forward(mingru_factor(z, factors), z * n, h0)
    gates = np.concatenate([z, n], axis=2)
    return hs, hT, MinGRUCache(x, scan.h_prev, gates, hs, Wx, factors)


def mingru_backward(dhs, dhT, cache):
    """Backpropagation through time: a scan, and then one step for all steps at once.

    Returns
    -------
    dx, dh0, dWx, db
        With the shapes of x, h0, Wx and b.
    """
    if isinstance(cache, PaddedCache):
        return padded_backward(mingru_backward, dhs, [dhT], cache)
    _, dh, dh0 = scan_backward(dhs, dhT, ScanCache(cache.a, cache.h_prev))
    dx, _, dWx, db = mingru_step_backward(dh, cache)  # in dh is what comes from the future
    return dx, dh0, dWx, db
