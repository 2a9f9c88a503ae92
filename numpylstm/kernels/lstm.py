"""The LSTM over a whole sequence, forward and backward.

What has no order in time (``x @ Wx + b`` for all steps, and the products that give dx, dWx and dWh)
is left to `matmul`. Here is what does: at each step a product with Wh, and the gates.

The gate columns of one vector of hidden units lie H apart in Wh: i at j, f at H + j, g at 2H + j,
o at 3H + j. A tile computes two such runs, so two tiles bring all four gates of the same units at
once, and the cell update follows while they are still in the cache.

Threads share the work in one of two ways, with the same bits:

by rows   The sequences of a batch know nothing of each other, so each thread runs some of them
          from the first step to the last, and no thread ever waits. Each reads all of Wh.
by units  All threads compute a step together, each some units, and meet after it. Each reads its
          part of Wh only, which pays when Wh is larger than a core's own cache.

Arrays: h and c (T+1, B, H), where step t reads [t] and writes [t+1]; gates, da (T, B, 4H); tanh_c,
dhs (T, B, H); dh, dc (B, H), what the future asks of the present.
"""

import numpy as np
from numba import prange

from .compiling import inner, kernel
from .elementary import sigmoid, tanh
from .matmul import aligned_empty, multiply_here, pack_vector, rows_of_next_tile, strided
from .parts import part
from .simd import borrowed, lanes_of, prefetch_rows, tile, widest_vectors

CHUNK = 8  # vectors of units that are finished before the next ones are begun


# ---------------------------------------------------------------------------------------------
# Forward
# ---------------------------------------------------------------------------------------------


@inner
def empty_gate_panels(Wh):
    """Room for `pack_gates`."""
    H, width = Wh.shape[0], lanes_of(Wh)
    panels = 2 * ((H + width - 1) // width)
    return aligned_empty(panels * H * 2 * width, Wh).reshape(panels * H, 2 * width)


@inner
def pack_gates(Wh, j0, j1, panels):
    """Copy the columns of units j0:j1: for each vector of units a panel i, f and a panel g, o."""
    H, width = Wh.shape[0], lanes_of(Wh)
    wh = strided(Wh, False)
    for j in range(j0, j1, width):
        lanes = min(width, H - j)
        for half in range(2):
            at = (j // width * 2 + half) * H
            pack_vector(wh[:, 2 * half * H + j :], lanes, panels[at : at + H])
            pack_vector(wh[:, (2 * half + 1) * H + j :], lanes, panels[at : at + H, width:])


@inner
def cell_forward(gates, c_prev, c, tanh_c, h, j0, j1):
    """One row of one step: gates (4H,) hold the weighted sums, and then the activated gates."""
    widest_vectors()
    H, n = h.size, j1 - j0
    i, f, g, o = gates[j0:], gates[H + j0 :], gates[2 * H + j0 :], gates[3 * H + j0 :]
    c_prev, c, tanh_c, h = c_prev[j0:], c[j0:], tanh_c[j0:], h[j0:]
    for k in range(n):
        i_k, f_k, g_k, o_k = sigmoid(i[k]), sigmoid(f[k]), tanh(g[k]), sigmoid(o[k])
        c_k = f_k * c_prev[k] + i_k * g_k
        tanh_c_k = tanh(c_k)
        i[k], f[k], g[k], o[k] = i_k, f_k, g_k, o_k
        c[k], tanh_c[k], h[k] = c_k, tanh_c_k, o_k * tanh_c_k


@inner
def step_forward(W, packed, h_prev, c_prev, gates, c, tanh_c, h, i0, i1, j0, j1):
    """One step for rows i0:i1 and units j0:j1; W is Wh, or its panels."""
    H, width = h.shape[1], lanes_of(h)
    for j in range(j0, j1, CHUNK * width):
        j_stop = min(j1, j + CHUNK * width)
        for jj in range(j, j_stop, width):
            lanes = min(width, H - jj)
            for half in range(2):
                column = 2 * half * H + jj
                next_column = jj + width if half else 2 * H + jj
                at = (jj // width * 2 + half) * H
                i = i0
                while i < i1:
                    rows = rows_of_next_tile(i1 - i)
                    a = gates[i:, column:]
                    prefetch_rows(rows, gates[i:, next_column:], H)
                    if packed:
                        tile(rows, lanes, lanes, h_prev[i:], W[at : at + H], width, a, a, H)
                    else:
                        tile(rows, lanes, lanes, h_prev[i:], W[:, column:], H, a, a, H)
                    i += rows
        for i in range(i0, i1):
            cell_forward(gates[i], c_prev[i], c[i], tanh_c[i], h[i], j, j_stop)


@kernel(tiles=True)
def forward_alone(x, Wx, Wh, b, h, c, gates, tanh_c):
    """All of the forward pass on one thread; fills gates, h[1:], c[1:], tanh_c. x is (T*B, D)."""
    x, Wx, Wh, b = borrowed(x), borrowed(Wx), borrowed(Wh), borrowed(b)
    h, c, gates, tanh_c = borrowed(h), borrowed(c), borrowed(gates), borrowed(tanh_c)
    T, B, H = tanh_c.shape
    multiply_here(x, False, Wx, False, b.reshape(1, 4 * H), gates.reshape(T * B, 4 * H))
    for t in range(T):
        step_forward(
            Wh, False, h[t], c[t], gates[t], c[t + 1], tanh_c[t], h[t + 1], 0, B, 0, H
        )  # fmt: skip


@kernel(parallel=True, tiles=True)
def forward_by_rows(Wh, h, c, gates, tanh_c, shares):
    """Time steps 0...T-1; gates hold x @ Wx + b; fills gates, h[1:], c[1:] and tanh_c."""
    T, B, H = tanh_c.shape
    panels = empty_gate_panels(Wh)
    for share in prange(shares):
        j0, j1 = part(H, np.intp(share), shares, lanes_of(Wh))
        pack_gates(Wh, j0, j1, panels)
    for share in prange(shares):
        i0, i1 = part(B, np.intp(share), shares, 1)
        for t in range(T):
            step_forward(
                panels, True, h[t], c[t], gates[t], c[t + 1], tanh_c[t], h[t + 1], i0, i1, 0, H
            )  # fmt: skip


@kernel(parallel=True, tiles=True)
def forward_by_units(Wh, h, c, gates, tanh_c, shares):
    """As `forward_by_rows`."""
    T, B, H = tanh_c.shape
    panels = empty_gate_panels(Wh)
    for t in range(T):
        for share in prange(shares):
            j0, j1 = part(H, np.intp(share), shares, lanes_of(Wh))
            if t == 0:
                pack_gates(Wh, j0, j1, panels)
            step_forward(
                panels, True, h[t], c[t], gates[t], c[t + 1], tanh_c[t], h[t + 1], 0, B, j0, j1
            )  # fmt: skip


# ---------------------------------------------------------------------------------------------
# Backward
# ---------------------------------------------------------------------------------------------


@inner
def empty_transposed_panels(W):
    """Room for `pack_transposed`."""
    N, K = W.shape
    width = 2 * lanes_of(W)
    panels = (N + width - 1) // width
    return aligned_empty(panels * K * width, W).reshape(panels * K, width)


@inner
def pack_transposed(W, j0, j1, panels):
    """Copy columns j0:j1 of W.T, two vectors to a panel; j0 is the beginning of a panel."""
    N, K = W.shape
    width = lanes_of(W)
    turned = strided(W, True)
    for j in range(j0, j1, width):
        at = j // (2 * width) * K
        panel = panels[at : at + K, j // width % 2 * width :]
        pack_vector(turned[:, j:], min(width, N - j), panel)


@inner
def through_weights(da, panels, start, dh, i0, i1, j0, j1):
    """dh = start + da @ W.T, for rows i0:i1 and columns j0:j1."""
    K, N, width = da.shape[1], dh.shape[1], lanes_of(dh)
    for j in range(j0, j1, 2 * width):
        lanes0, lanes1 = min(width, N - j), max(0, min(width, N - j - width))
        at = j // (2 * width) * K
        i = i0
        while i < i1:
            rows = rows_of_next_tile(i1 - i)
            tile(
                rows, lanes0, lanes1, da[i:], panels[at : at + K], width,
                start[i:, j:], dh[i:, j:], width,
            )  # fmt: skip
            i += rows


@inner
def cell_backward(dh, dc, gates, c_prev, tanh_c, da, j0, j1):
    """One row of one step: dh and dc of this step give da (4H,), and dc becomes that of t-1."""
    one = gates.dtype.type(1)
    H, n = dh.size, j1 - j0
    i, f, g, o = gates[j0:], gates[H + j0 :], gates[2 * H + j0 :], gates[3 * H + j0 :]
    da_i, da_f, da_g, da_o = da[j0:], da[H + j0 :], da[2 * H + j0 :], da[3 * H + j0 :]
    dh, dc, c_prev, tanh_c = dh[j0:], dc[j0:], c_prev[j0:], tanh_c[j0:]
    for k in range(n):
        i_k, f_k, g_k, o_k, tanh_c_k = i[k], f[k], g[k], o[k], tanh_c[k]
        do = dh[k] * tanh_c_k
        dc_k = dc[k] + dh[k] * o_k * (one - tanh_c_k * tanh_c_k)
        da_i[k] = dc_k * g_k * i_k * (one - i_k)
        da_f[k] = dc_k * c_prev[k] * f_k * (one - f_k)
        da_g[k] = dc_k * i_k * (one - g_k * g_k)
        da_o[k] = do * o_k * (one - o_k)
        dc[k] = dc_k * f_k


@inner
def start_backward(t, panels, dhs, da, dh, i0, i1, j0, j1):
    """What step t is asked for: dh = dhs[t] + da[t+1] @ Wh.T; the ends of time are different."""
    if 0 <= t < dhs.shape[0] - 1:
        through_weights(da[t + 1], panels, dhs[t], dh, i0, i1, j0, j1)
        return
    for i in range(i0, i1):
        for k in range(j0, j1):
            dh[i, k] = dh[i, k] + dhs[t, i, k] if t >= 0 else 0
    if t < 0:
        through_weights(da[0], panels, dh, dh, i0, i1, j0, j1)


@inner
def step_backward(t, panels, dhs, gates, c, tanh_c, da, dh, dc, i0, i1, j0, j1):
    """Step t for rows i0:i1 and units j0:j1. At the last step dh is dhT; before step 0, t is -1.

    Fills da[t] and makes dc that of step t-1; t = -1 fills dh, which is then dh0.
    """
    T = tanh_c.shape[0]
    for j in range(j0, j1, CHUNK * lanes_of(dh)):
        j_stop = min(j1, j + CHUNK * lanes_of(dh))
        start_backward(t, panels, dhs, da, dh, i0, i1, j, j_stop)
        if t >= 0:
            for i in range(i0, i1):
                cell_backward(
                    dh[i], dc[i], gates[t, i], c[t, i], tanh_c[t, i], da[t, i], j, j_stop
                )  # fmt: skip


@kernel(tiles=True)
def backward_alone(x, Wx, Wh, h, c, gates, tanh_c, dhs, dh, dc, da, dx, dWx, dWh, db):
    """All of the backward pass on one thread; dh, dc arrive as dhT, dcT and leave as dh0, dc0.

    Fills da, dx, dWx, dWh and db. x and dx are (T*B, D).
    """
    x, Wx, Wh, h, c = borrowed(x), borrowed(Wx), borrowed(Wh), borrowed(h), borrowed(c)
    gates, tanh_c, dhs = borrowed(gates), borrowed(tanh_c), borrowed(dhs)
    dh, dc, da, db = borrowed(dh), borrowed(dc), borrowed(da), borrowed(db)
    T, B, H = tanh_c.shape
    panels = empty_transposed_panels(Wh)
    pack_transposed(Wh, 0, H, panels)
    for step in range(T + 1):
        step_backward(
            T - 1 - step, panels, dhs, gates, c, tanh_c, da, dh, dc, 0, B, 0, H
        )  # fmt: skip
    rows = da.reshape(T * B, 4 * H)
    h_prev = h[:T].reshape(T * B, H)
    none = np.zeros((1, max(x.shape[1], 4 * H)), x.dtype)
    multiply_here(rows, False, Wx, True, none, dx)
    multiply_here(x, True, rows, False, none, dWx)
    multiply_here(h_prev, True, rows, False, none, dWh)
    for row in rows:
        for j in range(4 * H):
            db[j] += row[j]


@kernel(parallel=True, tiles=True)
def backward_by_rows(Wh, c, gates, tanh_c, dhs, dh, dc, da, shares):
    """Time steps T-1...0; dh, dc arrive as dhT, dcT and leave as dh0, dc0; fills da."""
    T, B, H = tanh_c.shape
    panels = empty_transposed_panels(Wh)
    for share in prange(shares):
        j0, j1 = part(H, np.intp(share), shares, 2 * lanes_of(Wh))
        pack_transposed(Wh, j0, j1, panels)
    for share in prange(shares):
        i0, i1 = part(B, np.intp(share), shares, 1)
        for step in range(T + 1):
            step_backward(
                T - 1 - step, panels, dhs, gates, c, tanh_c, da, dh, dc, i0, i1, 0, H
            )  # fmt: skip


@kernel(parallel=True, tiles=True)
def backward_by_units(Wh, c, gates, tanh_c, dhs, dh, dc, da, shares):
    """As `backward_by_rows`."""
    T, B, H = tanh_c.shape
    panels = empty_transposed_panels(Wh)
    for step in range(T + 1):
        for share in prange(shares):
            j0, j1 = part(H, np.intp(share), shares, 2 * lanes_of(Wh))
            if step == 0:
                pack_transposed(Wh, j0, j1, panels)
            step_backward(
                T - 1 - step, panels, dhs, gates, c, tanh_c, da, dh, dc, 0, B, j0, j1
            )  # fmt: skip
