"""A recurrent layer over a whole sequence, forward and backward, for any cell.

Work without an order in time (``x @ Wx + b`` for all steps, and the products for dx, dWx and dWh)
is a few large products before or after the loop. The rest is here: at each step a product with Wh,
or with Wh.T on the way back, and the cell's pointwise function.

Threads share the work in one of two ways, with the same bits:

by rows   The sequences of a batch are independent, so each thread runs some of them from the first
          step to the last, and no thread ever waits. Each reads all of Wh.
by units  All threads compute a step together, each some units, and meet after it. Each reads only
          its part of Wh, which pays if Wh is larger than a core's own cache.

Forward arrays
    states: tuple of (T, B, H) or (T+1, B, H), where step t reads [t] and writes [t+1]. The first
    is h.
    sums: tuple of (T, B, .). The first arrives as x @ Wx + b and receives the product h @ Wh. A
    second receives the product with the last block of Wh instead.
Backward arrays
    kept: tuple of (T, B, .), what the forward pass kept; dhs (T, B, H).
    dstates: tuple of (B, H), which arrive as dhT, ... and leave as dh0, .... The first is dh.
    das: tuple of (T, B, .), filled. The first is the gradient of x @ Wx + b, the last that of
    h @ Wh.
panels (shares or 1, ., .) is room for copies of Wh.
"""

from typing import Any, NamedTuple

import numpy as np

from .machine import (
    at_time,
    block,
    borrowed,
    gradients_inside,
    inner,
    kernel,
    lanes_of,
    multiply_inside,
    multiply_panels,
    multiply_share,
    pack,
    part,
    turned,
)

alone = kernel(calls=(multiply_share,))
shared = kernel(shared=True, calls=(multiply_share,))


class Recurrence(NamedTuple):
    """The kernels of a cell."""

    forward_alone: Any
    forward_by_rows: Any
    forward_by_units: Any
    backward_alone: Any
    backward_by_rows: Any
    backward_by_units: Any


def recurrence(name, forward, backward, carries_dh=False):
    """Make the kernels of a cell from its two pointwise functions, which are compiled here.

    ``forward(t, i, j0, j1, sums, states)`` and ``backward(t, i, j0, j1, kept, dstates, das)``
    compute units j0:j1 of row i at step t. `forward` reads the weighted sums in `sums`. `backward`
    reads the whole gradient of h in dh and fills das[.][t]; it leaves the gradients of the other
    states of step t-1 in `dstates`, and with `carries_dh` also the part of dh that reaches h of
    step t-1 without Wh.
    """

    def of_cell(decorate):
        # Names tell the cells' functions apart on disk and in the linker.
        def named(function):
            function.__qualname__ = f"{name}.{function.__name__}"
            return decorate(function)

        return named

    forward, backward = map(of_cell(inner), (forward, backward))

    @of_cell(inner)
    def step_forward(Wh, panels, blocks, t, sums, states, i0, i1, j0, j1):
        H, columns = Wh.shape
        h, size, gates = at_time(states[0], t), columns // blocks, columns // H // blocks
        for number in range(blocks):
            into = at_time(sums[0] if number < blocks - 1 else sums[-1], t)
            first = min(number * size, into.shape[1] - size)
            if len(sums[0]) > 1:
                multiply_panels(
                    panels, number, size, h, i0, i1, into, into, first, gates * j0, gates * j1
                )
            else:  # a copy of Wh would be used once
                j, j_stop = number * size + gates * j0, number * size + gates * j1
                C = block(into, i0, i1, first + gates * j0, first + gates * j1)
                multiply_share(block(h, i0, i1, 0, H), block(Wh, 0, H, j, j_stop), C, C, 0, 1)
        for i in range(i0, i1):
            forward(t, i, j0, j1, sums, states)

    @of_cell(inner)
    def rows_forward(Wh, panels, sums, states, i0, i1):
        H, columns = Wh.shape
        blocks = 1 if len(sums) == 1 else columns // H
        if len(sums[0]) > 1:
            pack(Wh, blocks, 0, columns // blocks, panels)
        for t in range(len(sums[0])):
            step_forward(Wh, panels, blocks, t, sums, states, i0, i1, 0, H)

    @of_cell(alone)
    def forward_alone(x, Wx, Wh, b, panels, sums, states):
        """All of the forward pass on the calling thread; x is (T*B, D)."""
        sums, states = borrowed(sums), borrowed(states)
        N, columns = len(x), len(b)
        multiply_inside(
            x, False, Wx, False, b.reshape(1, columns), sums[0].reshape(N, columns), 0, 1
        )
        rows_forward(borrowed(Wh), at_time(panels, 0), sums, states, 0, states[0].shape[1])

    @of_cell(shared)
    def forward_by_rows(Wh, panels, sums, states, share, shares):
        """All steps."""
        i0, i1 = part(states[0].shape[1], share, shares, 1)
        # Each thread packs Wh for itself: waiting would take as long.
        rows_forward(borrowed(Wh), at_time(panels, share), borrowed(sums), borrowed(states), i0, i1)

    @of_cell(shared)
    def forward_step_by_units(Wh, panels, t, sums, states, share, shares):
        """Step t."""
        Wh, sums, states, panels = (
            borrowed(Wh),
            borrowed(sums),
            borrowed(states),
            at_time(panels, 0),
        )
        H, columns = Wh.shape
        j0, j1 = part(H, share, shares, 2 * lanes_of(Wh))
        if t == 0 and len(sums[0]) > 1:
            pack(Wh, columns // H, j0, j1, panels)
        step_forward(Wh, panels, columns // H, t, sums, states, 0, states[0].shape[1], j0, j1)

    def forward_by_units(Wh, panels, sums, states, shares):
        """All steps, with panels for all threads together."""
        for t in range(len(sums[0])):
            forward_step_by_units(Wh, panels, t, sums, states, shares)

    @of_cell(inner)
    def step_backward(t, panels, kept, dhs, dstates, das, i0, i1, j0, j1):
        # From the last step, where dh is dhT, to t = -1, which makes dh that of h0.
        T, _, H = dhs.shape
        dh = dstates[0]
        if t < T - 1:
            if t < 0 and not carries_dh:
                for i in range(i0, i1):
                    for j in range(j0, j1):
                        dh[i, j] = 0
            start = dh if t < 0 or carries_dh else at_time(dhs, t)
            multiply_panels(panels, 0, H, at_time(das[-1], t + 1), i0, i1, start, dh, 0, j0, j1)
        if t >= 0:
            for i in range(i0, i1):
                if t == T - 1 or carries_dh:
                    for j in range(j0, j1):
                        dh[i, j] += dhs[t, i, j]
                backward(t, i, j0, j1, kept, dstates, das)

    @of_cell(inner)
    def rows_backward(Wh, panels, kept, dhs, dstates, das, i0, i1):
        T, _, H = dhs.shape
        pack(turned(Wh), 1, 0, H, panels)
        for step in range(T + 1):
            step_backward(T - 1 - step, panels, kept, dhs, dstates, das, i0, i1, 0, H)

    @of_cell(alone)
    def backward_alone(x, Wx, Wh, panels, h_prev, kept, dhs, dstates, das, dx, dWx, dWh, db):
        """All of the backward pass on the calling thread; x and dx are (T*B, D)."""
        kept, dstates, das = borrowed(kept), borrowed(dstates), borrowed(das)
        N, (H, columns) = len(x), Wh.shape
        rows_backward(
            borrowed(Wh), at_time(panels, 0), kept, borrowed(dhs), dstates, das, 0, dhs.shape[1]
        )
        gradients_inside(x, Wx, False, das[0].reshape(N, columns), dx, dWx, db)
        none = np.zeros((1, columns), x.dtype)
        multiply_inside(
            h_prev.reshape(N, H), True, das[-1].reshape(N, columns), False, none, dWh, 0, 1
        )

    @of_cell(shared)
    def backward_by_rows(Wh, panels, kept, dhs, dstates, das, share, shares):
        """All steps, last to first."""
        i0, i1 = part(dhs.shape[1], share, shares, 1)
        rows_backward(
            borrowed(Wh), at_time(panels, share), borrowed(kept), borrowed(dhs), borrowed(dstates),
            borrowed(das), i0, i1,
        )  # fmt: skip

    @of_cell(shared)
    def backward_step_by_units(Wh, panels, t, kept, dhs, dstates, das, share, shares):
        """Step t."""
        Wh, panels, dhs = borrowed(Wh), at_time(panels, 0), borrowed(dhs)
        T, B, H = dhs.shape
        j0, j1 = part(H, share, shares, 2 * lanes_of(Wh))
        if t == T - 1:
            pack(turned(Wh), 1, j0, j1, panels)
        step_backward(
            t, panels, borrowed(kept), dhs, borrowed(dstates), borrowed(das), 0, B, j0, j1
        )

    def backward_by_units(Wh, panels, kept, dhs, dstates, das, shares):
        """All steps, last to first, with panels for all threads together."""
        for t in reversed(range(-1, len(dhs))):
            backward_step_by_units(Wh, panels, t, kept, dhs, dstates, das, shares)

    return Recurrence(
        forward_alone, forward_by_rows, forward_by_units,
        backward_alone, backward_by_rows, backward_by_units,
    )  # fmt: skip
