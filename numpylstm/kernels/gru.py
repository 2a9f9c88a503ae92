"""The GRU's pointwise functions, with the reset gate after the product; `recurrence` does the rest.

The candidate's sum over the past, s, is kept apart from its sum over x, since r scales only s. On
the way back there are two gradients: da of ``x @ Wx + b``, and du of ``h_prev @ Wh``, where the
block of the candidate is r times as large.

sums: gates (N, 3H), which end as the activated gates, and s (N, H), which arrives as bn. states: h.
kept: h_prev, gates, s, h. dstates: dh. da: da and du (N, 3H).
"""

from .machine import run, sigmoid, tanh, widest_vectors
from .recurrence import recurrence, three_gates


def forward(row, before, after, j0, j1, sums, states):
    """Activate the gates and fill h."""
    widest_vectors()
    (gates, s), (h,) = sums, states
    one = gates.dtype.type(1)
    r, z, n = three_gates(gates, row, h.shape[1], j0, j1)
    s = run(s, row, j0, j1)
    h_prev, h = run(h, before, j0, j1), run(h, after, j0, j1)
    for k in range(j1 - j0):
        r_k, z_k = sigmoid(r[k]), sigmoid(z[k])
        n_k = tanh(n[k] + r_k * s[k])
        r[k], z[k], n[k] = r_k, z_k, n_k
        h[k] = (one - z_k) * n_k + z_k * h_prev[k]


def backward(row, i, j0, j1, kept, dstates, da):
    """Compute da, du and the part of dh that reaches h_prev through z, from dh."""
    widest_vectors()
    (h_prev, gates, s, _), (dh,), (da, du) = kept, dstates, da
    one = gates.dtype.type(1)
    H = dh.shape[1]
    r, z, n = three_gates(gates, row, H, j0, j1)
    da_r, da_z, da_n = three_gates(da, row, H, j0, j1)
    du_r, du_z, du_n = three_gates(du, row, H, j0, j1)
    dh = run(dh, i, j0, j1)
    s, h_prev = run(s, row, j0, j1), run(h_prev, row, j0, j1)
    for k in range(j1 - j0):
        r_k, z_k, n_k, dh_k = r[k], z[k], n[k], dh[k]
        of_n = dh_k * (one - z_k) * (one - n_k * n_k)
        of_z = dh_k * (h_prev[k] - n_k) * z_k * (one - z_k)
        of_r = of_n * s[k] * r_k * (one - r_k)
        da_r[k], da_z[k], da_n[k] = of_r, of_z, of_n
        du_r[k], du_z[k], du_n[k] = of_r, of_z, of_n * r_k
        dh[k] = dh_k * z_k


GRU = recurrence("gru", forward, backward, carries_dh=True, separate_da=True)
