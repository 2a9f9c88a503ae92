"""The vanilla network over a whole sequence, forward and backward; see `lstm` for the plan.

Arrays: h (T+1, B, H) forward, (T, B, H) backward; a, da, dhs (T, B, H); dh (B, H); panels
(shares, ., .), room for copies of Wh; a arrives as x @ Wx + b.
The activation is a number: 0 tanh, 1 relu, 2 sigmoid.
"""

from .compiling import inner, kernel, outside
from .elementary import sigmoid, tanh
from .matmul import rows_of_next_tile
from .parts import part
from .recurrence import pack, start_backward
from .simd import lanes_of, widest_vectors
from .tile import AHEAD, tile
from .views import at_time, block, run, turned

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
    """Fill da = dh * f', for one row (n,), with f' in terms of the state h."""
    widest_vectors()
    zero, one = h.dtype.type(0), h.dtype.type(1)
    if activation == TANH:
        for k in range(h.size):
            da[k] = dh[k] * (one - h[k] * h[k])
    elif activation == RELU:
        for k in range(h.size):
            da[k] = dh[k] * (one if h[k] > zero else h[k])  # 0, or NaN where h is
    else:
        for k in range(h.size):
            da[k] = dh[k] * (h[k] * (one - h[k]))


@inner
def step_forward(Wh, t, a, h, activation, i0, i1, j0, j1):
    """Step t for rows i0:i1 and units j0:j1."""
    H, width = Wh.shape[0], lanes_of(h)
    h_prev, a, h = at_time(h, t), at_time(a, t), at_time(h, t + 1)
    for j in range(j0, j1, 2 * width):
        stop = min(H, j + 2 * width)
        i = i0
        while i < i1:
            i_stop = i + rows_of_next_tile(i1 - i)
            tile(
                block(h_prev, i, i_stop, 0, H), block(Wh, 0, H, j, stop),
                block(a, i, i_stop, j, stop), block(h, i, i_stop, j, stop),
                block(Wh, AHEAD, AHEAD + H, j, stop),
            )  # fmt: skip
            i = i_stop
    for i in range(i0, i1):
        activate(run(h, i, j0, j1), activation)


@outside("matrix", "sequence", "sequence", "index", "index", "index")
def forward_rows(Wh, a, h, activation, share, shares):
    """All steps for the `share`-th part of the rows."""
    T, B, H = a.shape
    i0, i1 = part(B, share, shares, 1)
    for t in range(T):
        step_forward(Wh, t, a, h, activation, i0, i1, 0, H)


@kernel(shared=True, calls=(forward_rows,))
def forward_by_rows(Wh, a, h, activation, share, shares):
    """Time steps 0...T-1; fills h[1:]."""
    forward_rows(Wh, a, h, activation, share, shares)


@inner
def step_backward(t, panels, dhs, h, da, dh, activation, i0, i1, j0, j1):
    """Step t for rows i0:i1 and units j0:j1. At the last step dh is dhT; before step 0, t is -1."""
    start_backward(t, panels, dhs, da, dh, i0, i1, j0, j1)
    if t >= 0:
        h, da = at_time(h, t), at_time(da, t)
        for i in range(i0, i1):
            through_activation(
                run(dh, i, j0, j1), run(h, i, j0, j1), activation, run(da, i, j0, j1)
            )


@outside(
    "matrix", "sequence", "sequence", "sequence", "matrix", "sequence", "index", "index", "index"
)  # fmt: skip
def backward_rows(Wh, panels, h, dhs, dh, da, activation, share, shares):
    """All steps, last to first, for the `share`-th part of the rows."""
    T, B, H = da.shape
    i0, i1 = part(B, share, shares, 1)
    panels = at_time(panels, share)
    pack(turned(Wh), 1, 0, H, panels)
    for step in range(T + 1):
        step_backward(T - 1 - step, panels, dhs, h, da, dh, activation, i0, i1, 0, H)


@kernel(shared=True, calls=(backward_rows,))
def backward_by_rows(Wh, panels, h, dhs, dh, da, activation, share, shares):
    """Time steps T-1...0; dh arrives as dhT and leaves as dh0; fills da."""
    backward_rows(Wh, panels, h, dhs, dh, da, activation, share, shares)
