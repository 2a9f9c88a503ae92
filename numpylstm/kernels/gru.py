"""The GRU with its reset gate after the product, over a whole sequence; see `lstm` for the plan.

What the candidate takes from the past, s, is summed up apart from what it takes from x. On the way
back there are two gradients: da of ``x @ Wx + b``, and du of ``h_prev @ Wh``, where the candidate's
block is r times as large.

Arrays: h (T+1, B, H), where step t reads [t] and writes [t+1]; backward h_prev (T, B, H); gates,
da, du (T, B, 3H); s, dhs (T, B, H); dh (B, H), what the future asks of the present; panels (shares
or 1, ., .), room for copies of Wh in three blocks, or of Wh.T. gates arrive as x @ Wx + b, and s as
bn.
"""

import numpy as np

from .compiling import inlined, inner, kernel, outside
from .elementary import sigmoid, tanh
from .matmul import gradients_here, multiply_here, multiply_share
from .parts import part
from .recurrence import multiply, pack
from .simd import lanes_of, widest_vectors
from .views import at_time, run, turned

# ---------------------------------------------------------------------------------------------
# Forward
# ---------------------------------------------------------------------------------------------


@inlined
def gate_runs(gates, i, H, j0, j1):
    """The columns r, z and n of units j0:j1 in row i of gates (B, 3H)."""
    return (
        run(gates, i, j0, j1),
        run(gates, i, H + j0, H + j1),
        run(gates, i, 2 * H + j0, 2 * H + j1),
    )


@inner
def cell_forward(i, gates, s, h_prev, h, j0, j1):
    """Units j0:j1 of row i: gates (B, 3H) hold the weighted sums, and then the activated gates."""
    widest_vectors()
    one = gates.dtype.type(1)
    r, z, n = gate_runs(gates, i, h.shape[1], j0, j1)
    s, h_prev, h = run(s, i, j0, j1), run(h_prev, i, j0, j1), run(h, i, j0, j1)
    for k in range(j1 - j0):
        r_k, z_k = sigmoid(r[k]), sigmoid(z[k])
        n_k = tanh(n[k] + r_k * s[k])
        r[k], z[k], n[k] = r_k, z_k, n_k
        h[k] = (one - z_k) * n_k + z_k * h_prev[k]


@inner
def step_forward(panels, t, h, gates, s, i0, i1, j0, j1):
    """Step t for rows i0:i1 and units j0:j1."""
    h_prev, a, s, H = at_time(h, t), at_time(gates, t), at_time(s, t), h.shape[2]
    multiply(panels, 0, H, h_prev, i0, i1, a, a, 0, j0, j1)
    multiply(panels, 1, H, h_prev, i0, i1, a, a, H, j0, j1)
    multiply(panels, 2, H, h_prev, i0, i1, s, s, 0, j0, j1)
    for i in range(i0, i1):
        cell_forward(i, a, s, h_prev, at_time(h, t + 1), j0, j1)


@outside("matrix", "matrix", "sequence", "sequence", "sequence", "index", "index")
def forward_rows(Wh, panels, h, gates, s, i0, i1):
    """All steps for rows i0:i1."""
    T, _, H = s.shape
    pack(Wh, 3, 0, H, panels)
    for t in range(T):
        step_forward(panels, t, h, gates, s, i0, i1, 0, H)


@kernel(calls=(multiply_share, forward_rows))
def forward_alone(x, Wx, Wh, b, panels, h, gates, s):
    """All of the forward pass on one thread; fills gates, h[1:] and s. x is (T*B, D)."""
    T, B, H = s.shape
    multiply_here(x, False, Wx, False, b.reshape(1, 3 * H), gates.reshape(T * B, 3 * H))
    forward_rows(Wh, at_time(panels, 0), h, gates, s, 0, B)


@kernel
def cells_forward(gates, s, h):
    """One time step, from all its weighted sums: gates (1, B, 3H) and s; fills h[1]."""
    _, B, H = s.shape
    for i in range(B):
        cell_forward(i, at_time(gates, 0), at_time(s, 0), at_time(h, 0), at_time(h, 1), 0, H)


@kernel(shared=True, calls=(forward_rows,))
def forward_by_rows(Wh, panels, h, gates, s, share, shares):
    """Time steps 0...T-1; fills gates, h[1:] and s."""
    i0, i1 = part(h.shape[1], share, shares, 1)
    forward_rows(Wh, at_time(panels, share), h, gates, s, i0, i1)


@outside("matrix", "matrix", "index", "sequence", "sequence", "sequence", "index", "index")
def forward_units(Wh, panels, t, h, gates, s, share, shares):
    """Step t for all rows and the `share`-th part of the units."""
    _, B, H = s.shape
    j0, j1 = part(H, share, shares, 2 * lanes_of(Wh))
    if t == 0:
        pack(Wh, 3, j0, j1, panels)
    step_forward(panels, t, h, gates, s, 0, B, j0, j1)


@kernel(shared=True, calls=(forward_units,))
def forward_step_by_units(Wh, panels, t, h, gates, s, share, shares):
    """Step t of `forward_by_units`."""
    forward_units(Wh, at_time(panels, 0), t, h, gates, s, share, shares)


def forward_by_units(Wh, panels, h, gates, s, shares):
    """As `forward_by_rows`, with panels for all threads together."""
    for t in range(len(s)):
        forward_step_by_units(Wh, panels, t, h, gates, s, shares)


# ---------------------------------------------------------------------------------------------
# Backward
# ---------------------------------------------------------------------------------------------


@inner
def cell_backward(i, dh, gates, s, h_prev, da, du, j0, j1):
    """Units j0:j1 of row i: dh of this step gives da, du (B, 3H), and becomes its straight part."""
    widest_vectors()
    one = gates.dtype.type(1)
    H = dh.shape[1]
    r, z, n = gate_runs(gates, i, H, j0, j1)
    da_r, da_z, da_n = gate_runs(da, i, H, j0, j1)
    du_r, du_z, du_n = gate_runs(du, i, H, j0, j1)
    dh, s, h_prev = run(dh, i, j0, j1), run(s, i, j0, j1), run(h_prev, i, j0, j1)
    for k in range(j1 - j0):
        r_k, z_k, n_k, dh_k = r[k], z[k], n[k], dh[k]
        of_n = dh_k * (one - z_k) * (one - n_k * n_k)
        of_z = dh_k * (h_prev[k] - n_k) * z_k * (one - z_k)
        of_r = of_n * s[k] * r_k * (one - r_k)
        da_r[k], da_z[k], da_n[k] = of_r, of_z, of_n
        du_r[k], du_z[k], du_n[k] = of_r, of_z, of_n * r_k
        dh[k] = dh_k * z_k


@inner
def step_backward(t, panels, dhs, gates, s, h_prev, da, du, dh, i0, i1, j0, j1):
    """Step t for rows i0:i1 and units j0:j1. At the last step dh is dhT; before step 0, t is -1.

    Fills da[t] and du[t], and leaves in dh what goes straight to step t-1; t = -1 makes it dh0.
    """
    if t < dhs.shape[0] - 1:
        multiply(panels, 0, dh.shape[1], at_time(du, t + 1), i0, i1, dh, dh, 0, j0, j1)
    if t >= 0:
        for i in range(i0, i1):
            for k in range(j0, j1):
                dh[i, k] += dhs[t, i, k]
            cell_backward(
                i, dh, at_time(gates, t), at_time(s, t), at_time(h_prev, t), at_time(da, t),
                at_time(du, t), j0, j1,
            )  # fmt: skip


@outside(
    "matrix", "matrix", "sequence", "sequence", "sequence", "sequence", "matrix", "sequence",
    "sequence", "index", "index",
)  # fmt: skip
def backward_rows(Wh, panels, h_prev, gates, s, dhs, dh, da, du, i0, i1):
    """All steps, last to first, for rows i0:i1."""
    T, _, H = s.shape
    pack(turned(Wh), 1, 0, H, panels)
    for step in range(T + 1):
        step_backward(T - 1 - step, panels, dhs, gates, s, h_prev, da, du, dh, i0, i1, 0, H)


@kernel(calls=(multiply_share, backward_rows))
def backward_alone(x, Wx, Wh, panels, h_prev, gates, s, dhs, dh, da, du, dx, dWx, dWh, db):
    """All of the backward pass on one thread; dh arrives as dhT and leaves as dh0.

    Fills da, du, dx, dWx, dWh and db. x and dx are (T*B, D).
    """
    T, B, H = s.shape
    backward_rows(Wh, at_time(panels, 0), h_prev, gates, s, dhs, dh, da, du, 0, B)
    gradients_here(x, Wx, False, da.reshape(T * B, 3 * H), dx, dWx, db)
    none = np.zeros((1, 3 * H), x.dtype)
    states = h_prev.reshape(T * B, H)
    multiply_here(states, True, du.reshape(T * B, 3 * H), False, none, dWh)


@kernel(shared=True, calls=(backward_rows,))
def backward_by_rows(Wh, panels, h_prev, gates, s, dhs, dh, da, du, share, shares):
    """Time steps T-1...0; dh arrives as dhT and leaves as dh0; fills da and du."""
    i0, i1 = part(dh.shape[0], share, shares, 1)
    backward_rows(Wh, at_time(panels, share), h_prev, gates, s, dhs, dh, da, du, i0, i1)


@outside(
    "matrix", "matrix", "index", "sequence", "sequence", "sequence", "sequence", "matrix",
    "sequence", "sequence", "index", "index",
)  # fmt: skip
def backward_units(Wh, panels, t, h_prev, gates, s, dhs, dh, da, du, share, shares):
    """Step t for all rows and the `share`-th part of the units."""
    T, B, H = s.shape
    j0, j1 = part(H, share, shares, 2 * lanes_of(Wh))
    if t == T - 1:
        pack(turned(Wh), 1, j0, j1, panels)
    step_backward(t, panels, dhs, gates, s, h_prev, da, du, dh, 0, B, j0, j1)


@kernel(shared=True, calls=(backward_units,))
def backward_step_by_units(Wh, panels, t, h_prev, gates, s, dhs, dh, da, du, share, shares):
    """Step t of `backward_by_units`."""
    backward_units(Wh, at_time(panels, 0), t, h_prev, gates, s, dhs, dh, da, du, share, shares)


def backward_by_units(Wh, panels, h_prev, gates, s, dhs, dh, da, du, shares):
    """As `backward_by_rows`, with panels for all threads together."""
    for t in reversed(range(-1, len(s))):
        backward_step_by_units(Wh, panels, t, h_prev, gates, s, dhs, dh, da, du, shares)
