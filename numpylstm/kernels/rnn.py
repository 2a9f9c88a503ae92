"""The vanilla network over a whole sequence, forward and backward; see `lstm` for the plan.

Arrays: h (T+1, B, H) forward, (T, B, H) backward; a, da, dhs (T, B, H), where a arrives as x @ Wx + b;
dh (B, H).
The activation is a number: 0 tanh, 1 relu, 2 sigmoid.
"""

import numpy as np
from numba import prange

from .compiling import inner, kernel
from .elementary import sigmoid, tanh
from .lstm import empty_transposed_panels, pack_transposed, start_backward
from .matmul import rows_of_next_tile, strided
from .parts import part
from .simd import lanes_of, tile, widest_vectors

ACTIVATIONS = ("tanh", "relu", "sigmoid")
TANH, RELU = 0, 1


@inner
def activate(h, activation):
    """One row (n,) of weighted sums becomes a row of states."""
    widest_vectors()
    zero = h.dtype.type(0)
    if activation == TANH:
        for k in range(h.size):
            h[k] = tanh(h[k])
    elif activation == RELU:
        for k in range(h.size):
            h[k] = zero if h[k] <= zero else h[k]
    else:
        for k in range(h.size):
            h[k] = sigmoid(h[k])


@inner
def through_activation(dh, h, activation, da):
    """da = dh * f', for one row (n,), with f' in terms of the state h."""
    widest_vectors()
    zero, one = h.dtype.type(0), h.dtype.type(1)
    if activation == TANH:
        for k in range(h.size):
            da[k] = dh[k] * (one - h[k] * h[k])
    elif activation == RELU:
        for k in range(h.size):
            da[k] = dh[k] * (one if h[k] > zero else zero)
    else:
        for k in range(h.size):
            da[k] = dh[k] * (h[k] * (one - h[k]))


@inner
def step_forward(Wh, h_prev, a, h, activation, i0, i1, j0, j1):
    """One step for rows i0:i1 and units j0:j1."""
    H, width = h.shape[1], lanes_of(h)
    for j in range(j0, j1, 2 * width):
        lanes0, lanes1 = min(width, H - j), max(0, min(width, H - j - width))
        i = i0
        while i < i1:
            rows = rows_of_next_tile(i1 - i)
            tile(
                rows, lanes0, lanes1, h_prev[i:], Wh[:, j:], width, a[i:, j:], h[i:, j:], width
            )  # fmt: skip
            i += rows
    for i in range(i0, i1):
        activate(h[i, j0:j1], activation)


@kernel(parallel=True, tiles=True)
def forward_by_rows(Wh, a, h, activation, shares):
    """Time steps 0...T-1; fills h[1:]."""
    T, B, H = a.shape
    wh = strided(Wh, False)
    for share in prange(shares):
        i0, i1 = part(B, np.intp(share), shares, 1)
        for t in range(T):
            step_forward(wh, h[t], a[t], h[t + 1], activation, i0, i1, 0, H)


@inner
def step_backward(t, panels, dhs, h, da, dh, activation, i0, i1, j0, j1):
    """Step t for rows i0:i1 and units j0:j1. At the last step dh is dhT; before step 0, t is -1."""
    start_backward(t, panels, dhs, da, dh, i0, i1, j0, j1)
    if t >= 0:
        for i in range(i0, i1):
            through_activation(dh[i, j0:j1], h[t, i, j0:j1], activation, da[t, i, j0:j1])


@kernel(parallel=True, tiles=True)
def backward_by_rows(Wh, h, dhs, dh, da, activation, shares):
    """Time steps T-1...0; dh arrives as dhT and leaves as dh0; fills da."""
    T, B, H = da.shape
    panels = empty_transposed_panels(Wh)
    for share in prange(shares):
        j0, j1 = part(H, np.intp(share), shares, 2 * lanes_of(Wh))
        pack_transposed(Wh, j0, j1, panels)
    for share in prange(shares):
        i0, i1 = part(B, np.intp(share), shares, 1)
        for step in range(T + 1):
            step_backward(T - 1 - step, panels, dhs, h, da, dh, activation, i0, i1, 0, H)
