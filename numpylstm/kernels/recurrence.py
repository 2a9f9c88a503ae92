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
    multiply_in_place,
    multiply_packed,
    pack,
    packed,
    panels_shape,
    part,
    row_slice,
    take,
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
    dh_read: Any  # (B, H) zeros, room for the gradient of h times the mask; or (0, H)


class HiddenStates(NamedTuple):
    """The array that the forward pass fills if a cell has no state but h."""

    h: Any


class Pass(NamedTuple):
    """The kernels of one direction, for each of the two ways to share the work."""

    split_batch: Any
    split_hidden: Any


class Recurrence(NamedTuple):
    """The kernels of a cell, and the records of its arrays."""

    States: Any  # the states, and what else the forward pass fills
    Kept: Any  # what the backward pass reads
    forward: Pass
    backward: Pass
    separate_da: bool  # the gradient of h @ Wh is not that of x @ Wx + b


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
def units_of(share, shares, H, width):
    """Return the range of hidden units of a share: whole panels of this width."""
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
    fourth = row_slice(gates, row, 3 * H + j0, 3 * H + j1)
    return (*three_gates(gates, row, H, j0, j1), fourth)


def recurrence(name, States, Kept, forward, backward, separate_da=False):
    """Make the kernels of a cell from its two pointwise functions, which are compiled here.

    ``forward(row, before, after, j0, j1, sums, states)`` reads the weighted sums in a row and the
    states in row `before`, and fills the states in row `after`, for units j0:j1.
    ``backward(row, b, j0, j1, kept, dstates, da)`` reads a row of `kept` and the gradients of the
    states of sequence b in `dstates`, and fills this row of `da`. It leaves the gradients of the
    states of the step before in `dstates`, without what reaches them through Wh. `States` and
    `Kept` are the classes of `states` and `kept`.

    The kernels are made anew for each cell, around its pointwise functions, which they do not take
    as arguments: Numba finds no kernel on disk that was compiled for a function as an argument, so
    every process would compile it again.
    """

    def of_cell(decorate, direction="step"):
        # Names tell functions of other cells and directions apart, on disk and in the linker.
        def named(function):
            function.__qualname__ = f"{name}.{direction}.{function.__name__}"
            return decorate(function)

        return named

    forward = of_cell(fused)(forward)
    backward = of_cell(fused)(backward)

    # A pass multiplies with W: Wh on the way forward, Wh.T on the way back. `packed_W` is a copy,
    # without rows if W is better read in place.

    @of_cell(fused)
    def step_forward(W, packed_W, t, arrays, rows, units):
        """Step t for some sequences and units."""
        offsets = arrays.offsets
        sums = arrays.sums
        i0, i1 = rows
        j0, j1 = units
        H, columns = W.shape
        before = offsets[t]  # rows of the states
        after = offsets[t + 1]
        n = after - offsets[1]  # row of the sums
        i1 = min(i1, offsets[t + 2] - after)
        if i1 <= i0:
            return
        h = block(arrays.h_read, before + i0, before + i1, 0, H)
        # All, or 1 for a GRU or a share of the units.
        gates_in_block = columns // H // packed_W.blocks
        columns_of_units = gates_in_block * j0, gates_in_block * j1
        in_place = len(packed_W.panels) == 0 and columns > 0
        for number in range(packed_W.blocks):
            into = sums[0]
            first = number * packed_W.size
            if number == packed_W.blocks - 1:  # it belongs to the end of the last sum
                into = sums[-1]
                first = into.shape[1] - packed_W.size
            total = block(into, n + i0, n + i1, first, first + packed_W.size)
            if in_place:
                W_block = block(W, 0, H, number * packed_W.size, (number + 1) * packed_W.size)
                multiply_in_place(h, W_block, total, total, columns_of_units)
            else:
                multiply_packed(h, packed_W, number, total, total, columns_of_units)
        for i in range(i0, i1):
            forward(n + i, before + i, after + i, j0, j1, sums, arrays.states)
        if len(arrays.h_mask) > 0:
            h = arrays.states.h
            for i in range(i0, i1):
                for j in range(j0, j1):
                    arrays.h_read[after + i, j] = h[after + i, j] * arrays.h_mask[i, j]

    @of_cell(fused)
    def step_backward(W, packed_W, step, arrays, rows, units):
        """The same from the last step, where dh is dhT, to step -1, where it becomes dh0."""
        offsets = arrays.offsets
        t = len(offsets) - 4 - step
        dhs = arrays.dhs
        dh_read = arrays.dh_read
        masked = len(arrays.h_mask) > 0
        i0, i1 = rows
        j0, j1 = units
        n = offsets[t + 1] - offsets[1]  # row where the step begins
        n_next = offsets[t + 2] - offsets[1]
        begun = min(i1, offsets[t + 2] - offsets[t + 1])  # sequences that have a step t
        continued = min(i1, offsets[t + 3] - offsets[t + 2])  # those that have a step t + 1
        dh = arrays.dstates[0]
        H = dh.shape[1]
        if t >= 0:
            for i in range(i0, begun):
                for j in range(j0, j1):
                    dh[i, j] += dhs[n + i, j]
        if i0 < continued:  # dh += da[t + 1] @ Wh.T, times the mask
            into = block(dh, i0, continued, 0, H)
            if masked:
                into = block(dh_read, i0, continued, 0, H)
            du = arrays.da[-1]  # of h @ Wh
            du_next = block(du, n_next + i0, n_next + continued, 0, du.shape[1])
            multiply_packed(du_next, packed_W, 0, into, into, units)
            if masked:
                for i in range(i0, continued):
                    for j in range(j0, j1):
                        dh[i, j] += dh_read[i, j] * arrays.h_mask[i, j]
                        dh_read[i, j] = 0
        if t >= 0:
            for i in range(i0, begun):
                backward(n + i, i, j0, j1, arrays.kept, arrays.dstates, arrays.da)

    def kernels_of(direction, compute_step):
        """Make the kernels of a direction from its step."""

        @of_cell(kernel, direction)
        def split_batch(W, blocks, packs, arrays, steps_done, steps, share, shares):
            """All steps for a share of the sequences, which packs W for itself."""
            rows = sequences_of(share, shares, steps_done)
            units = 0, arrays.h_mask.shape[1]
            W = uncounted(W)
            arrays = uncounted(arrays)
            K, columns = W.shape
            packed_W = packed(block(W, 0, K if packs else 0, 0, columns), blocks)
            for step in range(steps):
                compute_step(W, uncounted(packed_W), step, arrays, rows, units)

        @of_cell(kernel, direction)
        def split_hidden(W, blocks, panels, arrays, counts, step, steps, share, shares):
            """The steps from `step`, of each the units of those shares that no other thread takes.

            `panels` is room for W packed, or empty. Return `steps`, or the step before which
            another thread is late.
            """
            W = uncounted(W)
            arrays = uncounted(arrays)
            K, columns = W.shape
            packed_W = Packed(uncounted(panels), blocks, columns // blocks)
            rows = 0, arrays.offsets[1]
            H = arrays.h_mask.shape[1]
            while step < steps and all_done(counts, step):
                for turn in range(shares):  # its own units first, whose part of W its cache holds
                    taken = (share + turn) % shares
                    if take(counts, taken, step):
                        units = units_of(taken, shares, H, panels.shape[1])
                        if step == 0 and len(panels) > 0:
                            pack(block(W, 0, K, 0, columns), packed_W, units)
                        compute_step(W, packed_W, step, arrays, rows, units)
                        finish(counts, taken, step)
                step += 1
            return step

        return Pass(split_batch, split_hidden)

    return Recurrence(
        States=States,
        Kept=Kept,
        forward=kernels_of("forward", step_forward),
        backward=kernels_of("backward", step_backward),
        separate_da=separate_da,
    )


def run_steps(kernel, arguments, steps, shares):
    """Run a kernel that splits the hidden units; its threads meet after each of the steps."""
    counts = counters(shares)

    def work(share, shares):
        step = 0
        while step < steps:
            if step > 0:
                time.sleep(SLEEP)  # another program runs where the late thread should
            step = kernel(*arguments, counts, step, steps, share, shares)

    run_parallel(work, (), shares)


def pays_to_pack(T, B, Wh):
    """Return False if Wh is better read in place.

    A copy would be used once in a single step of few rows. For a single row it is read no faster
    than Wh, unless it stays in the second cache.
    """
    if B == 1 and Wh.nbytes > SECOND_CACHE:
        return False
    return T > 1 or B > FEW_ROWS


def run_forward(cell, Wh, arrays, batch, split):
    """Run the forward pass of a cell, divided among threads as `split` says."""
    H, columns = Wh.shape
    T = len(batch.offsets) - 3
    packs = pays_to_pack(T, batch.offsets[1], Wh)
    # The units of a share stand in a block for each gate, and so does the second sum of a GRU.
    blocks = 1 if split.split_batch and len(arrays.sums) == 1 else columns // H
    _run(cell.forward, Wh, blocks, packs, arrays, batch, split, T)


def run_backward(cell, Wh, arrays, batch, split):
    """Run the backward pass of a cell, with the step before the first one, which completes dh0."""
    _run(cell.backward, Wh.T, 1, True, arrays, batch, split, len(batch.offsets) - 2)


def _run(kernels, W, blocks, packs, arrays, batch, split, steps):
    if split.split_batch:
        arguments = W, blocks, packs, arrays, batch.steps_done, steps
        run_parallel(kernels.split_batch, arguments, split.shares)
        return
    rows, width = panels_shape(W, blocks)
    panels = empty((rows if packs else 0, width), W.dtype)
    run_steps(kernels.split_hidden, (W, blocks, panels, arrays), steps, split.shares)
