"""A recurrent layer over a whole sequence, forward and backward, for any cell.

Work without an order in time (``x @ Wx + b`` for all steps, and the products for dx, dWx and dWh)
is a few large products before or after the loop. The rest is here: at each step a product with Wh,
or with Wh.T on the way back, and the cell's pointwise function. For a cell without Wh it has no
columns, (H, 0), and the products are empty.

Threads share the work in one of two ways, with the same bits:

split batch   The sequences of a batch are independent, so each thread runs some of them from the
              first step to the last, and no thread ever waits. Each reads all of Wh.
split hidden  All threads compute a step together, each for some of the units, and meet after it
              (`machine.meeting`). Each reads only its part of Wh, which pays if Wh is larger than a
              core's own cache, or if there is a single sequence.

An array over time is a matrix here: the rows of one step follow those of another. Sequences are
ordered by length, the longest first, so that the rows of a step are the first of those of the step
before; a sequence that has ended has no more rows. N is the number of rows of all T steps.

The kernels take the arrays of a pass as one record, `ForwardArrays` or `BackwardArrays`.
"""

import time
from typing import Any, NamedTuple

from .machine import (
    FEW_ROWS,
    Packed,
    all_done,
    block,
    counters,
    finish,
    fused,
    inlined,
    kernel,
    lanes_of,
    multiply_in_place,
    multiply_packed,
    pack,
    packed,
    panels_shape,
    part,
    row_slice,
    take,
    transposed,
    uncounted,
)
from .memory import empty
from .threads import run_parallel

SECOND_CACHE = 1 << 20  # bytes
SLEEP = 5e-5  # seconds


class ForwardArrays(NamedTuple):
    """The arrays of a forward pass.

    Step t finds its states in the first rows from offsets[t], and leaves them in rows offsets[t+1]
    to offsets[t+2]; in an array without initial states all rows stand offsets[1] earlier. The last
    offset stands at least twice, as no row is left after the last step. For lengths 3 and 1,
    offsets are 0, 2, 4, 5, 6, 6, and the rows of h: 0, 1 initial; 2, 3 of step 0; 4 of step 1; 5 of
    step 2.

    The sums are x @ Wx + b, then plus h @ Wh, whose last block a second array takes; the cell
    leaves its gates there.
    """

    offsets: Any  # (T+3,)
    sums: Any  # (N, .) each
    states: Any  # (B+N, H) each, a record of the cell; the initial states first
    h_mask: Any  # (B, H) dropout of the state, or (0, H)
    h_read: Any  # (B+N, H) what is multiplied with Wh: h times the mask, or h itself


class BackwardArrays(NamedTuple):
    """The arrays of a backward pass."""

    offsets: Any  # as of the forward pass
    kept: Any  # (N, .) each, a record of the cell: from the forward pass
    dhs: Any  # (N, H)
    dstates: Any  # (B, H) each: first dhT, ..., and at the end dh0, ...; the first array is dh
    da: Any  # (N, .) each: the gradient of x @ Wx + b; the last array is that of h @ Wh
    h_mask: Any
    dh_read: Any  # (B, H) room for the gradient of h times the mask, or (0, H)


class Recurrence(NamedTuple):
    """The kernels of a cell, and the records of its arrays."""

    States: Any  # the states, and what else the forward pass fills
    Kept: Any  # what the backward pass reads
    forward_split_batch: Any
    forward_split_hidden: Any
    backward_split_batch: Any
    backward_split_hidden: Any
    separate_da: bool  # the gradient of h @ Wh is not that of x @ Wx + b


@inlined
def pays_to_pack(offsets, Wh):
    """Return False if Wh is better read in place.

    A copy would be used once in a single step of few rows. For a single row it is read no faster
    than Wh, unless it stays in the second cache.
    """
    if offsets[1] == 1 and Wh.size * Wh.itemsize > SECOND_CACHE:
        return False
    return len(offsets) > 4 or offsets[1] > FEW_ROWS


@inlined
def sequences_of(share, shares, steps_done):
    """Return the range of sequences of a share; all shares have about equal work."""
    first, stop = part(steps_done[-1], share, shares)
    i0 = 0
    while steps_done[i0] < first:
        i0 += 1
    i1 = i0
    while steps_done[i1] < stop:
        i1 += 1
    return i0, i1


@inlined
def units_of(share, shares, Wh):
    """Return the range of hidden units of a share: whole panels."""
    H = len(Wh)
    width = 2 * lanes_of(Wh)
    first, stop = part((H + width - 1) // width, share, shares)
    return first * width, min(H, stop * width)


@inlined
def three_gates(gates, row, H, j0, j1):
    """Return units j0:j1 of each of the three blocks in a row of gates (N, 3H)."""
    return (
        row_slice(gates, row, j0, j1),
        row_slice(gates, row, H + j0, H + j1),
        row_slice(gates, row, 2 * H + j0, 2 * H + j1),
    )


@inlined
def four_gates(gates, row, H, j0, j1):
    """Return the same of gates (N, 4H)."""
    return (
        row_slice(gates, row, j0, j1),
        row_slice(gates, row, H + j0, H + j1),
        row_slice(gates, row, 2 * H + j0, 2 * H + j1),
        row_slice(gates, row, 3 * H + j0, 3 * H + j1),
    )


def recurrence(name, States, Kept, forward, backward, carries_dh=False, separate_da=False):
    """Make the kernels of a cell from its two pointwise functions, which are compiled here.

    ``forward(row, before, after, j0, j1, sums, states)`` reads the weighted sums in a row and the
    states in row `before`, and fills the states in row `after`, for units j0:j1.
    ``backward(row, b, j0, j1, kept, dstates, da)`` reads a row of `kept` and the gradients of the
    states of sequence b in `dstates`, dh complete, and fills this row of `da`. It leaves the
    gradients of the other states of the step before in `dstates`, and with `carries_dh` also the
    part of dh that reaches h of the step before without Wh. `States` and `Kept` are the classes of
    `states` and `kept`.

    The kernels are made anew for each cell, around its pointwise functions, which they do not take
    as arguments: Numba finds no kernel on disk that was compiled for a function as an argument, so
    every process would compile it again.
    """

    def of_cell(decorate):
        # Names tell the cells' functions apart on disk and in the linker.
        def named(function):
            function.__qualname__ = f"{name}.{function.__name__}"
            return decorate(function)

        return named

    fused_of_cell, kernel_of_cell = of_cell(fused), of_cell(kernel)
    forward = fused_of_cell(forward)
    backward = fused_of_cell(backward)

    # --- Forward ---

    @fused_of_cell
    def step_forward(Wh, packed_Wh, t, arrays, rows, units):
        """Step t for some sequences and units; `packed_Wh` is a copy of Wh, if that pays."""
        offsets = arrays.offsets
        sums = arrays.sums
        i0, i1 = rows
        j0, j1 = units
        H, columns = Wh.shape
        before = offsets[t]  # rows of the states
        after = offsets[t + 1]
        n = after - offsets[1]  # row of the sums
        i1 = min(i1, offsets[t + 2] - after)
        if i1 <= i0:
            return
        h = block(arrays.h_read, before + i0, before + i1, 0, H)
        # All, or 1 for a GRU or a share of the units.
        gates_in_block = columns // H // packed_Wh.blocks
        columns_of_units = gates_in_block * j0, gates_in_block * j1
        for number in range(packed_Wh.blocks):
            into = sums[0]
            first = number * packed_Wh.size
            if number == packed_Wh.blocks - 1:  # it belongs to the end of the last sum
                into = sums[-1]
                first = into.shape[1] - packed_Wh.size
            total = block(into, n + i0, n + i1, first, first + packed_Wh.size)
            if pays_to_pack(offsets, Wh):
                multiply_packed(h, packed_Wh, number, total, total, columns_of_units)
            else:
                W = block(Wh, 0, H, number * packed_Wh.size, (number + 1) * packed_Wh.size)
                multiply_in_place(h, W, total, total, columns_of_units)
        for i in range(i0, i1):
            forward(n + i, before + i, after + i, j0, j1, sums, arrays.states)
        if len(arrays.h_mask) > 0:
            h = arrays.states.h
            for i in range(i0, i1):
                for j in range(j0, j1):
                    arrays.h_read[after + i, j] = h[after + i, j] * arrays.h_mask[i, j]

    @kernel_of_cell
    def forward_split_batch(Wh, arrays, steps_done, share, shares):
        """All steps for a share of the sequences, which packs Wh for itself."""
        rows = sequences_of(share, shares, steps_done)
        Wh = uncounted(Wh)
        arrays = uncounted(arrays)
        H, columns = Wh.shape
        blocks = 1 if len(arrays.sums) == 1 else columns // H
        rows_to_pack = H if pays_to_pack(arrays.offsets, Wh) else 0
        packed_Wh = packed(block(Wh, 0, rows_to_pack, 0, columns), blocks)
        for t in range(len(arrays.offsets) - 3):
            step_forward(Wh, uncounted(packed_Wh), t, arrays, rows, (0, H))

    @kernel_of_cell
    def forward_split_hidden(Wh, panels, arrays, counts, t, T, share, shares):
        """The steps from t, of each the units of those shares that no other thread takes.

        `panels` is room for Wh packed. Return T, or the step before which another thread is late.
        """
        H, columns = Wh.shape
        Wh = uncounted(Wh)
        arrays = uncounted(arrays)
        packed_Wh = Packed(uncounted(panels), columns // H, H)
        rows = 0, arrays.offsets[1]
        while t < T and all_done(counts, t):
            for turn in range(shares):  # its own units first, whose part of Wh its cache holds
                taken = (share + turn) % shares
                if take(counts, taken, t):
                    units = units_of(taken, shares, Wh)
                    if t == 0 and pays_to_pack(arrays.offsets, Wh):
                        pack(block(Wh, 0, H, 0, columns), packed_Wh, units)
                    step_forward(Wh, packed_Wh, t, arrays, rows, units)
                    finish(counts, taken, t)
            t += 1
        return t

    # --- Backward, from the last step, where dh is dhT, to step -1, where dh becomes dh0 ---

    @fused_of_cell
    def step_backward(packed_Wh_T, t, arrays, rows, units):
        """Step t for some sequences and units; `packed_Wh_T` is a copy of Wh.T."""
        offsets = arrays.offsets
        dhs = arrays.dhs
        dh_read = arrays.dh_read
        masked = len(arrays.h_mask) > 0
        i0, i1 = rows
        j0, j1 = units
        n = offsets[t + 1] - offsets[1]  # row where the step begins
        n_next = offsets[t + 2] - offsets[1]
        continued = min(i1, offsets[t + 3] - offsets[t + 2])
        dh = arrays.dstates[0]
        H = dh.shape[1]
        # dh = dhs[t] + da[t + 1] @ Wh.T, and with carries_dh also what dh holds already; with a
        # mask the product comes first, in dh_read
        if i0 < continued:  # the sequences that have a step t + 1
            through_h = block(dh, i0, continued, 0, H)
            start = through_h
            if masked:
                through_h = start = block(dh_read, i0, continued, 0, H)
                for i in range(i0, continued):
                    for j in range(j0, j1):
                        dh_read[i, j] = 0
            elif not carries_dh and t >= 0:
                start = block(dhs, n + i0, n + continued, 0, H)
            elif not carries_dh:
                for i in range(i0, continued):
                    for j in range(j0, j1):
                        dh[i, j] = 0
            du = arrays.da[-1]  # of h @ Wh
            da_next = block(du, n_next + i0, n_next + continued, 0, du.shape[1])
            multiply_packed(da_next, packed_Wh_T, 0, start, through_h, units)
            if masked:
                for i in range(i0, continued):
                    for j in range(j0, j1):
                        if not carries_dh:
                            dh[i, j] = 0
                        dh[i, j] += dh_read[i, j] * arrays.h_mask[i, j]
        if t >= 0:
            for i in range(i0, min(i1, offsets[t + 2] - offsets[t + 1])):
                # the last step of a sequence begins with dhT
                if i >= continued or carries_dh or masked:
                    for j in range(j0, j1):
                        dh[i, j] += dhs[n + i, j]
                backward(n + i, i, j0, j1, arrays.kept, arrays.dstates, arrays.da)

    @kernel_of_cell
    def backward_split_batch(Wh, arrays, steps_done, share, shares):
        """All steps for a share of the sequences, last to first."""
        rows = sequences_of(share, shares, steps_done)
        Wh = uncounted(Wh)
        arrays = uncounted(arrays)
        T = len(arrays.offsets) - 3
        packed_Wh_T = packed(transposed(Wh), 1)
        for step in range(T + 1):
            t = T - 1 - step
            step_backward(uncounted(packed_Wh_T), t, arrays, rows, (0, len(Wh)))

    @kernel_of_cell
    def backward_split_hidden(Wh, panels, arrays, counts, step, steps, share, shares):
        """The same from the last step to the first; `panels` is room for Wh.T packed."""
        Wh = uncounted(Wh)
        arrays = uncounted(arrays)
        packed_Wh_T = Packed(uncounted(panels), 1, len(Wh))
        rows = 0, arrays.offsets[1]
        while step < steps and all_done(counts, step):
            for turn in range(shares):
                taken = (share + turn) % shares
                if take(counts, taken, step):
                    units = units_of(taken, shares, Wh)
                    if step == 0:
                        pack(transposed(Wh), packed_Wh_T, units)
                    t = steps - 2 - step  # the last of the steps is -1
                    step_backward(packed_Wh_T, t, arrays, rows, units)
                    finish(counts, taken, step)
            step += 1
        return step

    return Recurrence(
        States=States,
        Kept=Kept,
        forward_split_batch=forward_split_batch,
        forward_split_hidden=forward_split_hidden,
        backward_split_batch=backward_split_batch,
        backward_split_hidden=backward_split_hidden,
        separate_da=separate_da,
    )


def run_steps(kernel, Wh, panels, arrays, steps, shares):
    """Run a kernel that splits the hidden units; its threads meet after each of the steps."""
    counts = counters(shares)

    def work(share, shares):
        step = 0
        while step < steps:
            if step > 0:
                time.sleep(SLEEP)  # another program runs where the late thread should
            step = kernel(Wh, panels, arrays, counts, step, steps, share, shares)

    run_parallel(work, (), shares)


def run_forward(kernels, Wh, arrays, batch, split_batch, shares):
    """Run the forward pass of a cell, divided among threads in one of the two ways."""
    if split_batch:
        run_parallel(kernels.forward_split_batch, (Wh, arrays, batch.steps_done), shares)
        return
    H, columns = Wh.shape
    panels = empty(panels_shape(Wh, columns // H), Wh.dtype)
    run_steps(kernels.forward_split_hidden, Wh, panels, arrays, len(batch.offsets) - 3, shares)


def run_backward(kernels, Wh, arrays, batch, split_batch, shares):
    """Run the backward pass of a cell, with the step before the first one, which completes dh0."""
    if split_batch:
        run_parallel(kernels.backward_split_batch, (Wh, arrays, batch.steps_done), shares)
        return
    panels = empty(panels_shape(Wh.T, 1), Wh.dtype)
    run_steps(kernels.backward_split_hidden, Wh, panels, arrays, len(batch.offsets) - 2, shares)
