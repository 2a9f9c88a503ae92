"""A recurrent layer over a whole sequence, forward and backward, for any cell.

Work without an order in time (``x @ Wx + b`` for all steps, and the products for dx, dWx and dWh)
is a few large products before or after the loop. The rest is here: at each step a product with Wh,
or with Wh.T on the way back, and the cell's pointwise function.

A cell without Wh has one of no columns, (H, 0): its products are empty.

Threads share the work in one of two ways, with the same bits:

by rows   The sequences of a batch are independent, so each thread runs some of them from the first
          step to the last, and no thread ever waits. Each reads all of Wh.
by units  All threads compute a step together, each some units, and meet after it. Each reads only
          its part of Wh, which pays if Wh is larger than a core's own cache.

A sequence that has ended takes part no more. The rows of a batch are ordered by their lengths, the
longest first, so that the first rows of a step are those of the step before, and an array over time
holds the rows of one step after those of another, (1, N, .) in all. Without lengths that is the
same as (T, B, .).

at (T+3,)
    Step t finds its states in rows at[t]:at[t+1] of `states`, and leaves them in the following
    rows up to at[t+2]; in an array without states of step 0, all rows stand at[1] earlier. The last
    number stands twice, as no row is left after the last step.
Forward arrays
    states: tuple of (T+1, B, H), where step t reads [t] and writes [t+1]. The first is h.
    sums: tuple of (T, B, .). The first arrives as x @ Wx + b and receives the product h @ Wh. A
    second receives the product with the last block of Wh instead.
Backward arrays
    kept: tuple of (T, B, .), what the forward pass kept; dhs (T, B, H).
    dstates: tuple of (B, H), which arrive as dhT, ... and leave as dh0, .... The first is dh.
    das: tuple of (T, B, .), filled. The first is the gradient of x @ Wx + b, the last that of
    h @ Wh.
panels (shares or 1, ., .) is room for copies of Wh, except where one thread does all and makes its
own. By rows, each share has rows cuts[share]:cuts[share+1].
"""

from typing import Any, NamedTuple

import numpy as np

from .machine import (
    at_time,
    block,
    borrowed,
    from_row,
    gradients_inside,
    inner,
    kernel,
    lanes_of,
    multiply_inside,
    multiply_panels,
    multiply_share,
    pack,
    part,
    room,
    turned,
)

alone = kernel(calls=(multiply_share,))
shared = kernel(shared=True, calls=(multiply_share,))


@inner
def products_inside(x, Wx, h_prev, dax, dah, dx, dWx, dWh, db, share, shares):
    """`products` for use inside kernels."""
    gradients_inside(x, Wx, False, dax, dx, dWx, db, share, shares)
    none = np.zeros((1, dah.shape[1]), x.dtype)
    multiply_inside(h_prev, True, dah, False, none, dWh, share, shares)


@shared
def products(x, Wx, h_prev, dax, dah, dx, dWx, dWh, db, share, shares):
    """Fill dx (N, D), dWx, dWh and db from the first and the last of `das`, as matrices (N, .)."""
    products_inside(x, Wx, h_prev, dax, dah, dx, dWx, dWh, db, share, shares)


class Recurrence(NamedTuple):
    """The kernels of a cell."""

    forward_alone: Any
    forward_by_rows: Any
    forward_by_units: Any
    backward_alone: Any
    backward_by_rows: Any
    backward_by_units: Any
    products: Any  # the same for every cell


def recurrence(name, forward, backward, carries_dh=False):
    """Make the kernels of a cell from its two pointwise functions, which are compiled here.

    ``forward(t, i, j0, j1, sums, states)`` and ``backward(t, i, j0, j1, kept, dstates, das)``
    compute units j0:j1 of row i at step t, which is 0 since the arrays begin there. `forward` reads
    the weighted sums in `sums`. `backward` reads the whole gradient of h in dh and fills das[.][t];
    it leaves the gradients of the other states of step t-1 in `dstates`, and with `carries_dh` also
    the part of dh that reaches h of step t-1 without Wh.
    """

    def of_cell(decorate):
        # Names tell the cells' functions apart on disk and in the linker.
        def named(function):
            function.__qualname__ = f"{name}.{function.__name__}"
            return decorate(function)

        return named

    forward, backward = map(of_cell(inner), (forward, backward))

    @of_cell(inner)
    def step_forward(Wh, panels, blocks, t, at, sums, states, i0, i1, j0, j1):
        H, columns = Wh.shape
        i1 = min(i1, at[t + 2] - at[t + 1])
        if i1 <= i0:
            return
        sums = from_row(sums, at[t + 1] - at[1], at[t + 2] - at[t + 1])
        states = from_row(states, at[t], at[t + 1] - at[t])
        h, size, gates = at_time(states[0], 0), columns // blocks, columns // H // blocks
        for number in range(blocks):
            into = at_time(sums[0] if number < blocks - 1 else sums[-1], 0)
            first = min(number * size, into.shape[1] - size)
            if len(at) > 4:
                multiply_panels(
                    panels, number, size, h, i0, i1, into, into, first, gates * j0, gates * j1
                )
            else:  # a copy of Wh would be used once
                j, j_stop = number * size + gates * j0, number * size + gates * j1
                C = block(into, i0, i1, first + gates * j0, first + gates * j1)
                multiply_share(block(h, i0, i1, 0, H), block(Wh, 0, H, j, j_stop), C, C, 0, 1)
        for i in range(i0, i1):
            forward(0, i, j0, j1, sums, states)

    @of_cell(inner)
    def rows_forward(Wh, panels, at, sums, states, i0, i1):
        H, columns = Wh.shape
        blocks = 1 if len(sums) == 1 else columns // H
        if len(at) > 4:
            pack(Wh, blocks, 0, columns // blocks, panels)
        for t in range(len(at) - 3):
            step_forward(Wh, panels, blocks, t, at, sums, states, i0, i1, 0, H)

    @of_cell(alone)
    def forward_alone(x, Wx, Wh, b, at, sums, states):
        """All of the forward pass on the calling thread; x is (N, D)."""
        sums, states = borrowed(sums), borrowed(states)
        panels = room(Wh, len(Wh), 1 if len(sums) == 1 else len(b) // len(Wh))
        N, columns = len(x), len(b)
        multiply_inside(
            x, False, Wx, False, b.reshape(1, columns), sums[0].reshape(N, columns), 0, 1
        )
        rows_forward(borrowed(Wh), borrowed(panels), borrowed(at), sums, states, 0, at[1])

    @of_cell(shared)
    def forward_by_rows(Wh, panels, at, sums, states, cuts, share, shares):
        """All steps."""
        # Each thread packs Wh for itself: waiting would take as long.
        rows_forward(
            borrowed(Wh), at_time(panels, share), borrowed(at), borrowed(sums), borrowed(states),
            cuts[share], cuts[share + 1],
        )  # fmt: skip

    @of_cell(shared)
    def forward_step_by_units(Wh, panels, t, at, sums, states, share, shares):
        """Step t."""
        Wh, sums, states, panels = (
            borrowed(Wh),
            borrowed(sums),
            borrowed(states),
            at_time(panels, 0),
        )
        H, columns = Wh.shape
        j0, j1 = part(H, share, shares, 2 * lanes_of(Wh))
        if t == 0 and len(at) > 4:
            pack(Wh, columns // H, j0, j1, panels)
        step_forward(Wh, panels, columns // H, t, borrowed(at), sums, states, 0, at[1], j0, j1)

    def forward_by_units(Wh, panels, at, sums, states, shares):
        """All steps, with panels for all threads together."""
        for t in range(np.searchsorted(at, at[-1]) - 1):  # as long as rows are left
            forward_step_by_units(Wh, panels, t, at, sums, states, shares)

    @of_cell(inner)
    def step_backward(t, panels, at, kept, dhs, dstates, das, i0, i1, j0, j1):
        # From the last step, where dh is dhT, to t = -1, which makes dh that of h0.
        n, rows, rows_after = at[t + 1] - at[1], at[t + 2] - at[t + 1], at[t + 3] - at[t + 2]
        dh_t = at_time(from_row((dhs,), n, rows)[0], 0)
        dh, going_on = dstates[0], min(i1, rows_after)
        if i0 < going_on:
            if t < 0 and not carries_dh:
                for i in range(i0, going_on):
                    for j in range(j0, j1):
                        dh[i, j] = 0
            start = dh if t < 0 or carries_dh else dh_t
            da = at_time(from_row(das, at[t + 2] - at[1], rows_after)[-1], 0)
            multiply_panels(panels, 0, dh.shape[1], da, i0, going_on, start, dh, 0, j0, j1)
        if t >= 0:
            kept, das = from_row(kept, n, rows), from_row(das, n, rows)
            for i in range(i0, min(i1, rows)):
                if i >= going_on or carries_dh:  # the last step of a sequence begins with dhT
                    for j in range(j0, j1):
                        dh[i, j] += dh_t[i, j]
                backward(0, i, j0, j1, kept, dstates, das)

    @of_cell(inner)
    def rows_backward(Wh, panels, at, kept, dhs, dstates, das, i0, i1):
        T, H = len(at) - 3, len(Wh)
        pack(turned(Wh), 1, 0, H, panels)
        for step in range(T + 1):
            step_backward(T - 1 - step, panels, at, kept, dhs, dstates, das, i0, i1, 0, H)

    @of_cell(alone)
    def backward_alone(x, Wx, Wh, at, h_prev, kept, dhs, dstates, das, dx, dWx, dWh, db):
        """All of the backward pass on the calling thread; x and dx are (N, D)."""
        kept, dstates, das = borrowed(kept), borrowed(dstates), borrowed(das)
        N, (H, columns) = len(x), Wh.shape
        panels = room(Wh, columns, 1)
        rows_backward(
            borrowed(Wh), borrowed(panels), borrowed(at), kept, borrowed(dhs), dstates, das,
            0, at[1],
        )  # fmt: skip
        products_inside(
            x, Wx, h_prev.reshape(N, H), das[0].reshape(N, len(db)), das[-1].reshape(N, columns),
            dx, dWx, dWh, db, 0, 1,
        )  # fmt: skip

    @of_cell(shared)
    def backward_by_rows(Wh, panels, at, kept, dhs, dstates, das, cuts, share, shares):
        """All steps, last to first."""
        rows_backward(
            borrowed(Wh), at_time(panels, share), borrowed(at), borrowed(kept), borrowed(dhs),
            borrowed(dstates), borrowed(das), cuts[share], cuts[share + 1],
        )  # fmt: skip

    @of_cell(shared)
    def backward_step_by_units(Wh, panels, t, at, kept, dhs, dstates, das, share, shares):
        """Step t."""
        Wh, panels = borrowed(Wh), at_time(panels, 0)
        j0, j1 = part(len(Wh), share, shares, 2 * lanes_of(Wh))
        if at[t + 2] == at[-1]:  # no row is left after this step
            pack(turned(Wh), 1, j0, j1, panels)
        step_backward(
            t, panels, borrowed(at), borrowed(kept), borrowed(dhs), borrowed(dstates),
            borrowed(das), 0, at[1], j0, j1,
        )  # fmt: skip

    def backward_by_units(Wh, panels, at, kept, dhs, dstates, das, shares):
        """All steps, last to first, with panels for all threads together."""
        for t in reversed(range(-1, np.searchsorted(at, at[-1]) - 1)):
            backward_step_by_units(Wh, panels, t, at, kept, dhs, dstates, das, shares)

    return Recurrence(
        forward_alone, forward_by_rows, forward_by_units,
        backward_alone, backward_by_rows, backward_by_units, products,
    )  # fmt: skip
