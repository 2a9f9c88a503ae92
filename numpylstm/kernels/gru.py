"""The GRU's pointwise functions, with the reset gate after the product; `recurrence` does the rest.

The candidate's sum over the past, s, is kept apart from its sum over x, since r scales only s. On
the way back there are two gradients: da of ``x @ Wx + b``, and du of ``h_prev @ Wh``, where the
block of the candidate is r times as large.

sums: gates (N, 3H), which end as the activated gates, and s (N, H), which arrives as bn.
dstates: dh. da: da and du (N, 3H).
"""

from typing import Any, NamedTuple

from .machine import row_slice, sigmoid, tanh, widest_vectors
from .recurrence import HiddenStates, recurrence, three_gates


class Kept(NamedTuple):
    """Arrays that the backward pass reads."""

    h_prev: Any
    gates: Any
    s: Any
    h: Any


def forward(row, before, after, j0, j1, sums, states):
    """Activate the gates and fill h."""
    widest_vectors()
    gates, s = sums
    one = gates.dtype.type(1)
    r, z, n = three_gates(gates, row, states.h.shape[1], j0, j1)
    s = row_slice(s, row, j0, j1)
    h_prev = row_slice(states.h, before, j0, j1)
    h = row_slice(states.h, after, j0, j1)
    for k in range(j1 - j0):
        r_k = sigmoid(r[k])
        z_k = sigmoid(z[k])
        n_k = tanh(n[k] + r_k * s[k])
        r[k] = r_k
        z[k] = z_k
        n[k] = n_k
        h[k] = (one - z_k) * n_k + z_k * h_prev[k]


def backward(row, b, j0, j1, kept, dstates, da):
    """Compute da, du and the part of dh that reaches h_prev through z, from dh."""
    widest_vectors()
    da, du = da
    H = kept.h.shape[1]
    r, z, n = three_gates(kept.gates, row, H, j0, j1)
    da_r, da_z, da_n = three_gates(da, row, H, j0, j1)
    du_r, du_z, du_n = three_gates(du, row, H, j0, j1)
    (dh,) = row_slice(dstates, b, j0, j1)
    one = dh.dtype.type(1)
    s = row_slice(kept.s, row, j0, j1)
    h_prev = row_slice(kept.h_prev, row, j0, j1)
    for k in range(j1 - j0):
        r_k = r[k]
        z_k = z[k]
        n_k = n[k]
        dh_k = dh[k]
        of_n = dh_k * (one - z_k) * (one - n_k * n_k)
        of_z = dh_k * (h_prev[k] - n_k) * z_k * (one - z_k)
        of_r = of_n * s[k] * r_k * (one - r_k)
        da_r[k] = of_r
        da_z[k] = of_z
        da_n[k] = of_n
        du_r[k] = of_r
        du_z[k] = of_z
        du_n[k] = of_n * r_k
        dh[k] = dh_k * z_k


GRU = recurrence("gru", HiddenStates, Kept, forward, backward, separate_da=True)
