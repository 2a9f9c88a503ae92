"""A matrix that many products share, such as Wh of a recurrent layer.

It is copied once into *panels* of two vectors of columns, in the order in which tiles read it. If
it consists of blocks of columns, such as gates, each block may have panels of its own: a thread
that computes some units of every gate then reads whole panels.
"""

from .compiling import inner
from .matmul import DEPTH, pack_vector, rows_of_next_tile
from .simd import VECTOR_BYTES, lanes_of
from .tile import AHEAD, tile
from .views import block

SIDE_BY_SIDE = 32  # rows of a matrix that are copied at a time, each from left to right


def panels_shape(W, blocks=1):
    """Return the shape of the array that `pack` fills."""
    (K, N), width = W.shape, 2 * VECTOR_BYTES // W.itemsize
    return blocks * -(-N // blocks // width) * K, width


@inner
def panel_of(number, size, K, j, width):
    """Return the row where the panel with column j of block `number` begins."""
    return (number * ((size + 2 * width - 1) // (2 * width)) + j // (2 * width)) * K


@inner
def pack(W, blocks, j0, j1, panels):
    """Copy columns j0:j1 of each block of W (K, .), in any strides; a panel begins at j0."""
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
def multiply_panels(panels, number, size, A, i0, i1, D, C, first, j0, j1):
    """C = D + A @ W for rows i0:i1 and columns j0:j1 of one block of W, from its panels.

    The block has `size` columns and begins at column `first` of D and C.
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
