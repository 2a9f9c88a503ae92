"""The GRU's pointwise functions, with the reset gate after the product; `recurrence` does the rest.

The candidate's sum over the past, s, is kept apart from its sum over x, since r scales only s. On
the way back there are two gradients: da of ``x @ Wx + b``, and du of ``h_prev @ Wh``, where the
block of the candidate is r times as large.

states: h (T+1, B, H). sums: gates (T, B, 3H), which end as the activated gates, and s (T, B, H),
which arrives as bn. kept: gates, s, h_prev. dstates: dh. das: da and du (T, B, 3H).
"""

from .machine import at_time, inlined, run, sigmoid, tanh, widest_vectors
from .recurrence import recurrence


@inlined
def columns(gates, t, i, H, j0, j1):
    """Return columns r, z and n of units j0:j1 in row i of gates (T, B, 3H) at step t."""
    gates = at_time(gates, t)
    return (
        run(gates, i, j0, j1),
        run(gates, i, H + j0, H + j1),
        run(gates, i, 2 * H + j0, 2 * H + j1),
    )


def forward(t, i, j0, j1, sums, states):
    """Activate the gates and fill h of step t."""
    widest_vectors()
    (gates, s), (h,) = sums, states
    one = gates.dtype.type(1)
    r, z, n = columns(gates, t, i, h.shape[2], j0, j1)
    s = run(at_time(s, t), i, j0, j1)
    h_prev, h = run(at_time(h, t), i, j0, j1), run(at_time(h, t + 1), i, j0, j1)
    for k in range(j1 - j0):
        r_k, z_k = sigmoid(r[k]), sigmoid(z[k])
        n_k = tanh(n[k] + r_k * s[k])
        r[k], z[k], n[k] = r_k, z_k, n_k
        h[k] = (one - z_k) * n_k + z_k * h_prev[k]


def backward(t, i, j0, j1, kept, dstates, das):
    """Compute da, du and the part of dh that reaches h_prev through z, from dh of step t."""
    widest_vectors()
    (gates, s, h_prev), (dh,), (da, du) = kept, dstates, das
    one = gates.dtype.type(1)
    H = dh.shape[1]
    r, z, n = columns(gates, t, i, H, j0, j1)
    da_r, da_z, da_n = columns(da, t, i, H, j0, j1)
    du_r, du_z, du_n = columns(du, t, i, H, j0, j1)
    dh = run(dh, i, j0, j1)
    s, h_prev = run(at_time(s, t), i, j0, j1), run(at_time(h_prev, t), i, j0, j1)
    for k in range(j1 - j0):
        r_k, z_k, n_k, dh_k = r[k], z[k], n[k], dh[k]
        of_n = dh_k * (one - z_k) * (one - n_k * n_k)
        of_z = dh_k * (h_prev[k] - n_k) * z_k * (one - z_k)
        of_r = of_n * s[k] * r_k * (one - r_k)
        da_r[k], da_z[k], da_n[k] = of_r, of_z, of_n
        du_r[k], du_z[k], du_n[k] = of_r, of_z, of_n * r_k
        dh[k] = dh_k * z_k


GRU = recurrence("gru", forward, backward, carries_dh=True)
