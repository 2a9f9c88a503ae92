"""What the cells share: at each step a product with Wh forward, and with Wh.T on the way back.

The matrix is the same at every step, so it is copied once into panels of two vectors of columns, as
tiles read it. Where it consists of blocks of columns, each block may have panels
of its own: a thread that computes some units of all gates then has them whole.
"""

from .compiling import inner
from .matmul import DEPTH, pack_vector, rows_of_next_tile
from .simd import VECTOR_BYTES, lanes_of
from .tile import AHEAD, tile
from .views import at_time, block

SIDE_BY_SIDE = 32  # rows of a matrix that are copied at a time, each from left to right


def panels_shape(W, blocks=1):
    """The shape of the room that `pack` needs for a matrix."""
    (K, N), width = W.shape, 2 * VECTOR_BYTES // W.itemsize
    return blocks * -(-N // blocks // width) * K, width


@inner
def panel_of(number, size, K, j, width):
    """Where the panel begins that has column j of the block of this number."""
    return (number * ((size + 2 * width - 1) // (2 * width)) + j // (2 * width)) * K


@inner
def pack(W, blocks, j0, j1, panels):
    """Copy columns j0:j1 of each block of W (K, .), whichever way it lies; j0 begins a panel."""
    K, width, size = W.shape[0], lanes_of(W), W.shape[1] // blocks
    for k in range(0, K, SIDE_BY_SIDE):
        k_stop = min(K, k + SIDE_BY_SIDE)
        for number in range(blocks):
            for j in range(j0, j1, width):
                lanes = min(width, size - j)
                at, column = panel_of(number, size, K, j, width) + k, j // width % 2 * width
                source = block(W, k, k_stop, number * size + j, number * size + j + lanes)
                pack_vector(
                    source, lanes, block(panels, at, at + k_stop - k, column, column + width)
                )


@inner
def multiply(panels, number, size, A, i0, i1, D, C, first, j0, j1):
    """C = D + A @ W, for rows i0:i1 and columns j0:j1 of one block of W, from its panels.

    The block is `size` columns wide, and begins at column `first` of D and C.
    """
    K, width = A.shape[1], lanes_of(A)
    depths = (K + DEPTH - 1) // DEPTH
    for j in range(j0, j1, 2 * width):
        at, column = panel_of(number, size, K, j, width), first + j
        stop = first + min(size, j + 2 * width)
        for depth in range(depths):
            k0, k1 = K * depth // depths, K * (depth + 1) // depths
            panel = block(panels, at + k0, at + k1, 0, 2 * width)
            ahead = block(panels, at + k0 + AHEAD, at + k1 + AHEAD, 0, 2 * width)
            start = D if depth == 0 else C
            i = i0
            while i < i1:
                i_stop = i + rows_of_next_tile(i1 - i)
                tile(
                    block(A, i, i_stop, k0, k1), panel, block(start, i, i_stop, column, stop),
                    block(C, i, i_stop, column, stop), ahead,
                )  # fmt: skip
                i = i_stop


@inner
def start_backward(t, panels, dhs, da, dh, i0, i1, j0, j1):
    """Add up the gradient that reaches h of step t: dh = dhs[t] + da[t+1] @ Wh.T.

    The panels are those of Wh.T. At the last step dh already holds dhT, and there is no da[t+1]. At
    t = -1, h0, there is no dhs.
    """
    last = t == dhs.shape[0] - 1
    if last or t < 0:
        for i in range(i0, i1):
            for k in range(j0, j1):
                dh[i, k] = dh[i, k] + dhs[t, i, k] if last else 0
    if not last:
        start = at_time(dhs, t) if t >= 0 else dh
        multiply(panels, 0, dh.shape[1], at_time(da, t + 1), i0, i1, start, dh, 0, j0, j1)
