"""The LSTM over a whole sequence, forward and backward.

What has no order in time (``x @ Wx + b`` for all steps, and the products that give dx, dWx and dWh)
is left to `matmul`. Here is what does: at each step a product with Wh, and the gates.

Threads share the work in one of two ways, with the same bits:

by rows   The sequences of a batch know nothing of each other, so each thread runs some of them
          from the first step to the last, and no thread ever waits. Each reads all of Wh.
by units  All threads compute a step together, each some units, and meet after it. Each reads its
          part of Wh only, which pays when Wh is larger than a core's own cache.

Arrays: h and c (T+1, B, H), where step t reads [t] and writes [t+1]; gates, da (T, B, 4H); tanh_c,
dhs (T, B, H); dh, dc (B, H), what the future asks of the present; panels (shares or 1, ., .), room
for copies of Wh: forward in one block by rows, and in four by units; backward of Wh.T.
"""

import numpy as np

from .compiling import inlined, inner, kernel, outside
from .elementary import sigmoid, tanh
from .matmul import gradients_here, multiply_here, multiply_share
from .parts import part
from .recurrence import multiply, pack, start_backward
from .simd import lanes_of, widest_vectors
from .views import at_time, run, turned

# ---------------------------------------------------------------------------------------------
# Forward
# ---------------------------------------------------------------------------------------------


@inlined
def gate_runs(gates, r, H, j0, j1):
    """The columns i, f, g and o of units j0:j1 in row r of gates (B, 4H)."""
    return (
        run(gates, r, j0, j1),
        run(gates, r, H + j0, H + j1),
        run(gates, r, 2 * H + j0, 2 * H + j1),
        run(gates, r, 3 * H + j0, 3 * H + j1),
    )


@inner
def cell_forward(r, gates, c_prev, c, tanh_c, h, j0, j1):
    """Units j0:j1 of row r: gates (B, 4H) hold the weighted sums, and then the activated gates."""
    widest_vectors()
    i, f, g, o = gate_runs(gates, r, h.shape[1], j0, j1)
    c_prev, c, tanh_c, h = (
        run(c_prev, r, j0, j1), run(c, r, j0, j1), run(tanh_c, r, j0, j1), run(h, r, j0, j1)
    )  # fmt: skip
    for k in range(j1 - j0):
        i_k, f_k, g_k, o_k = sigmoid(i[k]), sigmoid(f[k]), tanh(g[k]), sigmoid(o[k])
        c_k = f_k * c_prev[k] + i_k * g_k
        tanh_c_k = tanh(c_k)
        i[k], f[k], g[k], o[k] = i_k, f_k, g_k, o_k
        c[k], tanh_c[k], h[k] = c_k, tanh_c_k, o_k * tanh_c_k


@inner
def step_forward(panels, blocks, t, h, c, gates, tanh_c, i0, i1, j0, j1):
    """Step t for rows i0:i1, units j0:j1; one block of panels has all units, or four have some."""
    a, h_prev, H = at_time(gates, t), at_time(h, t), h.shape[2]
    gates_in_block = 4 // blocks
    size, first, stop = gates_in_block * H, gates_in_block * j0, gates_in_block * j1
    for number in range(blocks):
        multiply(panels, number, size, h_prev, i0, i1, a, a, number * size, first, stop)
    for i in range(i0, i1):
        cell_forward(
            i, a, at_time(c, t), at_time(c, t + 1), at_time(tanh_c, t), at_time(h, t + 1), j0, j1
        )  # fmt: skip


@outside(
    "matrix", "matrix", "sequence", "sequence", "sequence", "sequence", "index", "index"
)  # fmt: skip
def forward_rows(Wh, panels, h, c, gates, tanh_c, i0, i1):
    """All steps for rows i0:i1. Each thread packs Wh for itself: to wait would take as long."""
    T, _, H = tanh_c.shape
    pack(Wh, 1, 0, 4 * H, panels)
    for t in range(T):
        step_forward(panels, 1, t, h, c, gates, tanh_c, i0, i1, 0, H)


@kernel(calls=(multiply_share, forward_rows))
def forward_alone(x, Wx, Wh, b, panels, h, c, gates, tanh_c):
    """All of the forward pass on one thread; fills gates, h[1:], c[1:], tanh_c. x is (T*B, D)."""
    T, B, H = tanh_c.shape
    multiply_here(x, False, Wx, False, b.reshape(1, 4 * H), gates.reshape(T * B, 4 * H))
    forward_rows(Wh, at_time(panels, 0), h, c, gates, tanh_c, 0, B)


@kernel
def cells_forward(gates, c, tanh_c, h):
    """One time step, from all its weighted sums: gates (1, B, 4H); fills c[1], h[1] and tanh_c."""
    _, B, H = tanh_c.shape
    for i in range(B):
        cell_forward(
            i, at_time(gates, 0), at_time(c, 0), at_time(c, 1), at_time(tanh_c, 0), at_time(h, 1),
            0, H,
        )  # fmt: skip


@kernel(shared=True, calls=(forward_rows,))
def forward_by_rows(Wh, panels, h, c, gates, tanh_c, share, shares):
    """Time steps 0...T-1; gates hold x @ Wx + b; fills gates, h[1:], c[1:] and tanh_c."""
    i0, i1 = part(h.shape[1], share, shares, 1)
    forward_rows(Wh, at_time(panels, share), h, c, gates, tanh_c, i0, i1)


@outside(
    "matrix", "matrix", "index", "sequence", "sequence", "sequence", "sequence", "index", "index"
)  # fmt: skip
def forward_units(Wh, panels, t, h, c, gates, tanh_c, share, shares):
    """Step t for all rows and the `share`-th part of the units."""
    _, B, H = tanh_c.shape
    j0, j1 = part(H, share, shares, 2 * lanes_of(Wh))
    if t == 0:
        pack(Wh, 4, j0, j1, panels)
    step_forward(panels, 4, t, h, c, gates, tanh_c, 0, B, j0, j1)


@kernel(shared=True, calls=(forward_units,))
def forward_step_by_units(Wh, panels, t, h, c, gates, tanh_c, share, shares):
    """Step t of `forward_by_units`."""
    forward_units(Wh, at_time(panels, 0), t, h, c, gates, tanh_c, share, shares)


def forward_by_units(Wh, panels, h, c, gates, tanh_c, shares):
    """As `forward_by_rows`, with panels for all threads together."""
    for t in range(len(tanh_c)):
        forward_step_by_units(Wh, panels, t, h, c, gates, tanh_c, shares)


# ---------------------------------------------------------------------------------------------
# Backward
# ---------------------------------------------------------------------------------------------


@inner
def cell_backward(r, dh, dc, gates, c_prev, tanh_c, da, j0, j1):
    """Units j0:j1 of row r: dh and dc of this step give da (B, 4H), and dc becomes that of t-1."""
    one = gates.dtype.type(1)
    H = dh.shape[1]
    i, f, g, o = gate_runs(gates, r, H, j0, j1)
    da_i, da_f, da_g, da_o = gate_runs(da, r, H, j0, j1)
    dh, dc, c_prev, tanh_c = (
        run(dh, r, j0, j1), run(dc, r, j0, j1), run(c_prev, r, j0, j1), run(tanh_c, r, j0, j1)
    )  # fmt: skip
    for k in range(j1 - j0):
        i_k, f_k, g_k, o_k, tanh_c_k = i[k], f[k], g[k], o[k], tanh_c[k]
        do = dh[k] * tanh_c_k
        dc_k = dc[k] + dh[k] * o_k * (one - tanh_c_k * tanh_c_k)
        da_i[k] = dc_k * g_k * i_k * (one - i_k)
        da_f[k] = dc_k * c_prev[k] * f_k * (one - f_k)
        da_g[k] = dc_k * i_k * (one - g_k * g_k)
        da_o[k] = do * o_k * (one - o_k)
        dc[k] = dc_k * f_k


@inner
def step_backward(t, panels, dhs, gates, c, tanh_c, da, dh, dc, i0, i1, j0, j1):
    """Step t for rows i0:i1 and units j0:j1. At the last step dh is dhT; before step 0, t is -1.

    Fills da[t] and makes dc that of step t-1; t = -1 fills dh, which is then dh0.
    """
    start_backward(t, panels, dhs, da, dh, i0, i1, j0, j1)
    if t >= 0:
        for i in range(i0, i1):
            cell_backward(
                i, dh, dc, at_time(gates, t), at_time(c, t), at_time(tanh_c, t), at_time(da, t),
                j0, j1,
            )  # fmt: skip


@outside(
    "matrix", "matrix", "sequence", "sequence", "sequence", "sequence", "matrix", "matrix",
    "sequence", "index", "index",
)  # fmt: skip
def backward_rows(Wh, panels, c, gates, tanh_c, dhs, dh, dc, da, i0, i1):
    """All steps, last to first, for rows i0:i1."""
    T, _, H = tanh_c.shape
    pack(turned(Wh), 1, 0, H, panels)
    for step in range(T + 1):
        step_backward(
            T - 1 - step, panels, dhs, gates, c, tanh_c, da, dh, dc, i0, i1, 0, H
        )  # fmt: skip


@kernel(calls=(multiply_share, backward_rows))
def backward_alone(x, Wx, Wh, panels, h_prev, c, gates, tanh_c, dhs, dh, dc, da, dx, dWx, dWh, db):
    """All of the backward pass on one thread; dh, dc arrive as dhT, dcT and leave as dh0, dc0.

    Fills da, dx, dWx, dWh and db. x and dx are (T*B, D).
    """
    T, B, H = tanh_c.shape
    backward_rows(Wh, at_time(panels, 0), c, gates, tanh_c, dhs, dh, dc, da, 0, B)
    rows = da.reshape(T * B, 4 * H)
    gradients_here(x, Wx, False, rows, dx, dWx, db)
    none = np.zeros((1, 4 * H), x.dtype)
    multiply_here(h_prev.reshape(T * B, H), True, rows, False, none, dWh)


@kernel(shared=True, calls=(backward_rows,))
def backward_by_rows(Wh, panels, c, gates, tanh_c, dhs, dh, dc, da, share, shares):
    """Time steps T-1...0; dh, dc arrive as dhT, dcT and leave as dh0, dc0; fills da."""
    i0, i1 = part(dh.shape[0], share, shares, 1)
    backward_rows(Wh, at_time(panels, share), c, gates, tanh_c, dhs, dh, dc, da, i0, i1)


@outside(
    "matrix", "matrix", "index", "sequence", "sequence", "sequence", "sequence", "matrix",
    "matrix", "sequence", "index", "index",
)  # fmt: skip
def backward_units(Wh, panels, t, c, gates, tanh_c, dhs, dh, dc, da, share, shares):
    """Step t for all rows and the `share`-th part of the units."""
    T, B, H = tanh_c.shape
    j0, j1 = part(H, share, shares, 2 * lanes_of(Wh))
    if t == T - 1:
        pack(turned(Wh), 1, j0, j1, panels)
    step_backward(t, panels, dhs, gates, c, tanh_c, da, dh, dc, 0, B, j0, j1)


@kernel(shared=True, calls=(backward_units,))
def backward_step_by_units(Wh, panels, t, c, gates, tanh_c, dhs, dh, dc, da, share, shares):
    """Step t of `backward_by_units`."""
    backward_units(
        Wh, at_time(panels, 0), t, c, gates, tanh_c, dhs, dh, dc, da, share, shares
    )  # fmt: skip


def backward_by_units(Wh, panels, c, gates, tanh_c, dhs, dh, dc, da, shares):
    """As `backward_by_rows`, with panels for all threads together."""
    for t in reversed(range(-1, len(tanh_c))):
        backward_step_by_units(Wh, panels, t, c, gates, tanh_c, dhs, dh, dc, da, shares)
