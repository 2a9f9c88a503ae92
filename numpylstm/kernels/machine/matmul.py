"""Matrix products: C = D + A @ B.

`tile` computes a few rows of one *panel*, two vectors of columns. The loops around it keep close
together what is read repeatedly (Goto and van de Geijn 2008):

    for `WIDTH` panels of B                    C: these columns are revisited for each depth
        for `DEPTH` terms of the sum           B: copied into panels, stays in the second cache
            for the rows of each tile          A: copied if transposed, stays in the first cache
                for each panel of B

The copies ("packing") also transpose operands, so ``x.T @ dy`` and ``dy @ W.T`` run like ``x @ W``.
For a few rows, a copy of B would cost more than it saves, and B is read in place: by tiles, or, for
a single row, in long runs at the speed of memory. A matrix that many products share, such as Wh of
a recurrent layer, is copied once for all of them (`pack`, `multiply_packed`).

The tiles are numbered panel by panel, and each thread takes an equal run of them; if C has more
rows than columns, each thread takes rows. Each element of C is one chain of multiply-adds along k,
in order, whatever the blocks and the thread.
"""

from typing import Any, NamedTuple

import numpy as np

from .compiling import fused, inlined, inner, kernel, part
from .simd import VECTOR_BYTES, copy_square, copy_vector, fma, lanes_of, widest_vectors
from .tile import TILE_ROWS, tile
from .views import block, equal_rows, row_slice, transposed

DEPTH = 384  # of a panel of B: 48 KiB with 512-bit vectors; of a tile of A: 21 KiB
WIDTH = 16  # panels of B at a time: 768 KiB
TILES_COPIED = 8  # of A at a time, if A is copied: 170 KiB, in squares of whole vectors
SIDE_BY_SIDE = 32  # rows of a matrix that are copied at a time, each from left to right
DEPTH_IN_PLACE = 32  # rows of an unpacked B read together, each from left to right
FEW_ROWS = 2 * TILE_ROWS  # of A, for which B is not copied
PAGE = 4096  # bytes; addresses this far apart share a set of the first cache
RUNS = 8  # rows of B read together for a single row of A: a core prefetches that many streams


class Packed(NamedTuple):
    """A matrix (K, blocks * size) copied into panels; no panel crosses two blocks of columns."""

    panels: Any  # (blocks * panels of a block * K, two vectors)
    blocks: int
    size: int


@inlined
def operand(X, is_transposed):
    """Return X or X.T as an array of any strides."""
    if is_transposed:
        return transposed(X)
    return block(X, 0, X.shape[0], 0, X.shape[1])


@inlined
def aligned_empty(size, like):
    """Return an uninitialised array (size,) that starts at a cache line."""
    line = 64 // like.itemsize
    room = np.empty(size + line, like.dtype)
    start = -(room.ctypes.data // like.itemsize) % line
    return room[start : start + size]


def panels_shape(W, blocks):
    """Return the shape of the panels of W (K, blocks * size)."""
    K, N = W.shape
    width = 2 * VECTOR_BYTES // W.itemsize
    return blocks * -(-N // blocks // width) * K, width


_panels_shape = inlined(panels_shape)


@inner
def packed(W, blocks):
    """Return a packed copy of W (K, blocks * size), in any strides."""
    rows, width = _panels_shape(W, blocks)
    size = W.shape[1] // blocks
    copy = Packed(aligned_empty(rows * width, W).reshape(rows, width), blocks, size)
    pack(W, copy, (0, size))
    return copy


@inner
def first_row(copy, K, number, j):
    """Return the row where the panel with column j of block `number` begins."""
    width = copy.panels.shape[1]
    return (number * ((copy.size + width - 1) // width) + j // width) * K


@inner
def pack(W, copy, columns):
    """Copy a range of columns of each block of W (K, .), in any strides; it begins at a panel."""
    K = W.shape[0]
    width = lanes_of(W)
    for k in range(0, K, SIDE_BY_SIDE):
        k_stop = min(K, k + SIDE_BY_SIDE)
        for number in range(copy.blocks):
            for j in range(columns[0], columns[1], width):
                row = first_row(copy, K, number, j)
                column = j // width % 2 * width  # the first vector of a panel, or the second
                first = number * copy.size + j
                lanes = min(width, copy.size - j)
                copy_columns(
                    block(W, k, k_stop, first, first + lanes),
                    block(copy.panels, row + k, row + k_stop, column, column + width),
                )


@inner
def copy_columns(S, P):
    """P[:, :lanes] = S for a vector of columns S (K, lanes), in any strides."""
    K, lanes = S.shape
    width = lanes_of(S)
    if S.strides[1] == S.itemsize:
        for k in range(K):
            copy_vector(lanes, S, P, k)
        return
    if S.strides[0] == S.itemsize and lanes == width <= K:
        for k in range(0, K, width):
            first = min(k, K - width)  # the last square may overlap the one before
            copy_square(
                block(S, first, first + width, 0, width), block(P, first, first + width, 0, width)
            )
        return
    for k in range(K):
        for j in range(lanes):
            P[k, j] = S[k, j]


@inner
def copy_of(S, room):
    """Copy S, in any strides, into a corner of `room`, whose rows are contiguous; return it."""
    rows, columns = S.shape
    width = lanes_of(S)
    for j in range(0, columns, width):
        stop = min(columns, j + width)
        copy_columns(block(S, 0, rows, j, stop), block(room, 0, rows, j, stop))
    return block(room, 0, rows, 0, columns)


@inlined
def height(rows):
    """Return the height of the next tile if `rows` are cut into nearly equal tiles.

    A high tile uses each number of B more often; a low one waits for its own sums.
    """
    tiles = (rows + TILE_ROWS - 1) // TILE_ROWS
    return (rows + tiles - 1) // tiles


@fused
def multiply_panel(A, panel, D, C, j):
    """C = D + A @ panel for the columns of C from j, at most two vectors of them."""
    M, K = A.shape
    stop = min(C.shape[1], j + 2 * lanes_of(C))
    i = 0
    while i < M:
        i_stop = i + height(M - i)
        tile(
            block(A, i, i_stop, 0, K), panel, block(D, i, i_stop, j, stop),
            block(C, i, i_stop, j, stop),
        )  # fmt: skip
        i = i_stop


@fused
def multiply_packed(A, W, number, D, C, columns):
    """C = D + A @ W for a range of columns of block `number` of a packed matrix W.

    D and C have the columns of that block.
    """
    K = A.shape[1]
    width = W.panels.shape[1]
    depths = (K + DEPTH - 1) // DEPTH
    for j in range(columns[0], columns[1], width):
        row = first_row(W, K, number, j)
        for depth in range(depths):
            k, k_stop = part(K, depth, depths)
            panel = block(W.panels, row + k, row + k_stop, 0, width)
            multiply_panel(block(A, 0, A.shape[0], k, k_stop), panel, C if depth else D, C, j)


@inner
def multiply_in_place(A, B, D, C, columns):
    """C = D + A @ B for a range of columns and few rows; the rows of B are contiguous."""
    K, N = B.shape
    j0, j1 = columns
    if len(A) == 1 and A.strides[1] == A.itemsize:
        a = row_slice(A, 0, 0, K)
        d = row_slice(D, 0, 0, N)
        c = row_slice(C, 0, 0, N)
        multiply_one_row(a, B, d, c, j0, j1)
        return
    for k in range(0, K, DEPTH_IN_PLACE):
        k_stop = min(K, k + DEPTH_IN_PLACE)
        for j in range(j0, j1, 2 * lanes_of(C)):
            panel = block(B, k, k_stop, j, N)
            multiply_panel(block(A, 0, A.shape[0], k, k_stop), panel, C if k else D, C, j)


@fused
def multiply_by_panels(A, panels, D, C):
    """C = D + A @ B for a packed matrix B, all of whose panels meet each tile in turn."""
    M, K = A.shape
    N = C.shape[1]
    width = panels.shape[1]
    i = 0
    while i < M:
        i_stop = i + height(M - i)
        for j in range(0, N, width):
            row = j // width * K
            stop = min(N, j + width)
            tile(
                block(A, i, i_stop, 0, K), block(panels, row, row + K, 0, width),
                block(D, i, i_stop, j, stop), block(C, i, i_stop, j, stop),
            )  # fmt: skip
        i = i_stop


@inner
def multiply_in_blocks(A, B, D, C, columns, rows_copied, panels):
    """C = D + A @ B for a range of columns; A and B have any strides; the last two are scratch."""
    M, K = A.shape
    j0, j1 = columns
    width = panels.shape[1]
    depths = (K + DEPTH - 1) // DEPTH
    tiles = (M + TILE_ROWS - 1) // TILE_ROWS
    # Rows are read in place, unless all of them would fall into one set of the cache.
    in_place = A.strides[1] == A.itemsize and A.strides[0] % PAGE != 0
    for j in range(j0, j1, width * WIDTH):
        j_stop = min(j1, j + width * WIDTH)
        for depth in range(depths):
            k, k_stop = part(K, depth, depths)
            start = C if depth else D
            pack(block(B, k, k_stop, j, j_stop), Packed(panels, 1, j_stop - j), (0, j_stop - j))
            for first in range(0, tiles, TILES_COPIED):
                i0 = M * first // tiles
                i1 = M * min(tiles, first + TILES_COPIED) // tiles
                rows = block(A, i0, i1, k, k_stop)
                if not in_place:
                    rows = copy_of(rows, rows_copied)
                multiply_by_panels(
                    rows, panels, block(start, i0, i1, j, j_stop), block(C, i0, i1, j, j_stop)
                )


def adder(rows):
    """Make a function for this number of rows."""

    @inner
    def add(a, B, k, j0, j1, c):
        """Add a[k : k+rows] @ B[k : k+rows, j0:j1] to c (n,), term by term."""
        widest_vectors()
        for j in range(c.size):
            total = c[j]
            for r in range(rows):
                total = fma(a[k + r], row_slice(B, k + r, j0, j1)[j], total)
            c[j] = total

    return add


add_runs = adder(RUNS)
add_row = adder(1)


@inner
def multiply_one_row(a, B, d, c, j0, j1):
    """Fill c = d + a @ B, columns j0:j1 of a single row; a, d, c, rows of B are contiguous."""
    K = B.shape[0]
    c, d = c[j0:j1], d[j0:j1]
    for j in range(c.size):
        c[j] = d[j]
    grouped = K // RUNS * RUNS
    for k in range(0, grouped, RUNS):
        add_runs(a, B, k, j0, j1, c)
    for k in range(grouped, K):
        add_row(a, B, k, j0, j1, c)


@kernel
def multiply(A, a_transposed, B, b_transposed, d, C, share, shares):
    """C (M, N) = d (1, N or more) + A (M, K) @ B (K, N); A and B may be stored transposed."""
    A = operand(A, a_transposed)
    B = operand(B, b_transposed)
    C = operand(C, False)
    M, N = C.shape
    K = A.shape[1]
    if M > N:  # A is larger than B: a thread copies all of B, but only its own rows of A
        i0, i1 = part(M, share, shares)
        A = block(A, i0, i1, 0, K)
        C = block(C, i0, i1, 0, N)
        M = i1 - i0
        share, shares = 0, 1
    width = 2 * lanes_of(C)
    D = equal_rows(d, M)
    if K == 0:  # an empty sum: a padded batch may be all padding
        for i in range(M):
            for j in range(N):
                C[i, j] = D[i, j]
        return
    row_blocks = (M + TILE_ROWS - 1) // TILE_ROWS
    tiles = row_blocks * ((N + width - 1) // width)
    first, stop = part(tiles, share, shares)
    in_place = M <= FEW_ROWS and B.strides[1] == B.itemsize
    if not in_place:
        rows = TILES_COPIED * TILE_ROWS
        rows_copied = aligned_empty(rows * (DEPTH + width), C).reshape(rows, DEPTH + width)
        panel_rows = min(WIDTH, (N + width - 1) // width) * min(DEPTH, K)
        panels = aligned_empty(panel_rows * width, C).reshape(panel_rows, width)
    # A run of tiles: the end of one panel, whole panels, the beginning of another.
    while first < stop:
        panel = first // row_blocks
        top = first - panel * row_blocks
        bottom = min(row_blocks, top + stop - first)
        whole = (stop - first) // row_blocks if top == 0 and bottom == row_blocks else 1
        i0 = M * top // row_blocks
        i1 = M * bottom // row_blocks
        columns = panel * width, min(N, (panel + whole) * width)
        a = block(A, i0, i1, 0, K)
        d = block(D, i0, i1, 0, N)
        c = block(C, i0, i1, 0, N)
        if in_place:
            multiply_in_place(a, B, d, c, columns)
        else:
            multiply_in_blocks(a, B, d, c, columns, rows_copied, panels)
        first += (bottom - top) * whole


def multiply_all(products, share, shares):
    """Compute a share of several products, each the arguments of `multiply`.

    So threads are woken once, and none waits for another between two products.
    """
    for arguments in products:
        multiply(*arguments, share, shares)
