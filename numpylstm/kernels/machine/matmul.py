"""Matrix products: C = D + A @ B.

`tile` computes a few rows of one *panel*, two vectors of columns. The loops around it keep close
together what is read repeatedly (Goto and van de Geijn 2008):

    for `WIDTH` panels of B                    C: these columns are revisited for each depth
        for `DEPTH` terms of the sum           B: copied into panels, stays in the second cache
            for the rows of each tile          A: copied if necessary, stays in the first cache
                for each panel of B

The copies ("packing") also transpose operands, so ``x.T @ dy`` and ``dy @ W.T`` run like ``x @ W``.
For a few rows, a copy of B would cost more than it saves, and B is read in place: by tiles, or, for
a single row, in long runs at the speed of memory. A matrix that many products share, such as Wh of
a recurrent layer, is copied once for all of them (`pack`, `multiply_panels`).

The tiles are numbered panel by panel, and each thread takes an equal run of them. Each element of C
is one chain of multiply-adds along k, in order, whatever the blocks and the thread.
"""

import numpy as np

from .compiling import inlined, inner, kernel, outside
from .simd import VECTOR_BYTES, address, copy_columns, fma, lanes_of, widest_vectors
from .tile import AHEAD, TILE_ROWS, rows_side_by_side, tile
from .views import block, equal_rows, run, turned

DEPTH = 384  # of a panel of B: 48 KiB with 512-bit vectors; of a tile of A: 21 KiB
WIDTH = 16  # panels of B at a time: 768 KiB
SIDE_BY_SIDE = 32  # rows of a matrix that are copied at a time, each from left to right
DEPTH_IN_PLACE = 32  # rows of an unpacked B read together, each from left to right
PAGE = 4096  # bytes; addresses this far apart share a set of the first cache
RUNS = 8  # rows of B read together for a single row of A: a core prefetches that many streams

side_by_side = inlined(rows_side_by_side)


@inlined
def operand(X, transposed):
    """Return X or X.T as an array of any strides."""
    if transposed:
        return turned(X)
    return block(X, 0, X.shape[0], 0, X.shape[1])


@inlined
def aligned_empty(size, like):
    """Return an uninitialised array (size,) that starts at a cache line."""
    line = 64 // like.itemsize
    flat = np.empty(size + line, like.dtype)
    start = -(address(flat) // like.itemsize) % line
    return flat[start : start + size]


@inner
def pack_vector(S, lanes, P):
    """P[:, :lanes] = S[:, :lanes]: one vector of columns of S (K, .), in any strides."""
    if S.strides[1] == S.itemsize:
        copy_columns(lanes, S, P)
        return
    for k in range(S.shape[0]):
        for j in range(lanes):
            P[k, j] = S[k, j]


def panels_shape(W, blocks=1):
    """Return the shape of the array that `pack` fills."""
    (K, N), width = W.shape, 2 * VECTOR_BYTES // W.itemsize
    return blocks * -(-N // blocks // width) * K, width


@inner
def room(W, K, blocks):
    """Return room for `pack` of W, or of W.T, with K rows; it begins at a cache line."""
    columns, width = W.size // max(1, K) // blocks, 2 * lanes_of(W)
    rows = blocks * ((columns + width - 1) // width) * K
    return aligned_empty(rows * width, W).reshape(rows, width)


@inner
def panel_of(number, size, K, j, width):
    """Return the row where the panel with column j of block `number` begins."""
    return (number * ((size + 2 * width - 1) // (2 * width)) + j // (2 * width)) * K


@inner
def pack(W, blocks, j0, j1, panels):
    """Copy columns j0:j1 of each block of W (K, .), in any strides; a panel begins at j0.

    Blocks of columns, such as gates, may have separate panels: a thread that computes some
    units of every gate then reads whole panels.
    """
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


@inlined
def rows_of_next_tile(rows):
    """Return the height of the next tile if `rows` are cut into nearly equal tiles.

    A high tile uses each number of B more often; a low one waits for its own sums.
    """
    tiles = (rows + TILE_ROWS - 1) // TILE_ROWS
    return (rows + tiles - 1) // tiles


@inner
def pack_rows(S, flat):
    """Copy S (rows, K), at most a tile high, into `flat`; the contiguous axis stays contiguous."""
    rows, depth = S.shape
    width = lanes_of(S)
    if S.strides[1] == S.itemsize:
        step = DEPTH + width
        packed = block(flat[: TILE_ROWS * step].reshape(TILE_ROWS, step), 0, rows, 0, depth)
        for k in range(0, depth, width):
            lanes = min(width, depth - k)
            copy_columns(lanes, block(S, 0, rows, k, depth), block(packed, 0, rows, k, depth))
        return packed
    step = side_by_side(width)
    packed = block(flat[: DEPTH * step].reshape(DEPTH, step), 0, depth, 0, rows)
    source = turned(S)
    for i in range(0, rows, width):
        lanes = min(width, rows - i)
        copy_columns(lanes, block(source, 0, depth, i, rows), block(packed, 0, depth, i, rows))
    return turned(packed)


@inner
def multiply_tile(A, panel, D, C, i, j):
    """C = D + A @ panel for at most a tile of rows, rows i... of C from column j."""
    i_stop, j_stop = i + A.shape[0], min(C.shape[1], j + 2 * lanes_of(C))
    tile(
        A, panel, block(D, i, i_stop, j, j_stop), block(C, i, i_stop, j, j_stop),
        block(panel, AHEAD, AHEAD + A.shape[1], 0, panel.shape[1]),
    )  # fmt: skip


@inner
def multiply_in_place(A, B, D, C, i0, i1, j0, j1):
    """C = D + A @ B for a rectangle of C with few rows; the rows of B are contiguous."""
    K, N = B.shape
    for k in range(0, K, DEPTH_IN_PLACE):
        k_stop = min(K, k + DEPTH_IN_PLACE)
        start = D if k == 0 else C
        for j in range(j0, j1, 2 * lanes_of(C)):
            panel = block(B, k, k_stop, j, N)
            i = i0
            while i < i1:
                i_stop = i + rows_of_next_tile(i1 - i)
                multiply_tile(block(A, i, i_stop, k, k_stop), panel, start, C, i, j)
                i = i_stop


@inner
def add_runs(a, B, k, j0, j1, c):
    """Add a[k : k+RUNS] @ B[k : k+RUNS, j0:j1] to c (n,), term by term."""
    widest_vectors()
    a0, a1, a2, a3 = a[k], a[k + 1], a[k + 2], a[k + 3]
    a4, a5, a6, a7 = a[k + 4], a[k + 5], a[k + 6], a[k + 7]
    b0, b1, b2, b3 = (
        run(B, k, j0, j1), run(B, k + 1, j0, j1), run(B, k + 2, j0, j1), run(B, k + 3, j0, j1)
    )  # fmt: skip
    b4, b5, b6, b7 = (
        run(B, k + 4, j0, j1), run(B, k + 5, j0, j1), run(B, k + 6, j0, j1), run(B, k + 7, j0, j1)
    )  # fmt: skip
    for j in range(c.size):
        s = fma(a3, b3[j], fma(a2, b2[j], fma(a1, b1[j], fma(a0, b0[j], c[j]))))
        c[j] = fma(a7, b7[j], fma(a6, b6[j], fma(a5, b5[j], fma(a4, b4[j], s))))


@inner
def add_run(a, B, k, j0, j1, c):
    """Add a[k] * B[k, j0:j1] to c (n,)."""
    widest_vectors()
    a0, b0 = a[k], run(B, k, j0, j1)
    for j in range(c.size):
        c[j] = fma(a0, b0[j], c[j])


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
        add_run(a, B, k, j0, j1, c)


@inner
def multiply_packed(A, B, D, C, i0, i1, j0, j1, packed_a, packed_b):
    """C = D + A @ B for a rectangle of C; A and B have any strides."""
    width = lanes_of(C)
    K = B.shape[0]
    depths = (K + DEPTH - 1) // DEPTH
    # Rows are read in place, unless all of them would fall into one set of the cache.
    in_runs = A.strides[1] == A.itemsize and A.strides[0] % PAGE != 0
    for jj in range(j0, j1, 2 * width * WIDTH):
        j_stop = min(j1, jj + 2 * width * WIDTH)
        for depth in range(depths):
            k, k_stop = K * depth // depths, K * (depth + 1) // depths
            start = D if k == 0 else C
            pack(block(B, k, k_stop, jj, j_stop), 1, 0, j_stop - jj, packed_b)
            i = i0
            while i < i1:
                i_stop = i + rows_of_next_tile(i1 - i)
                rows = block(A, i, i_stop, k, k_stop)
                if not in_runs:
                    rows = pack_rows(rows, packed_a)
                for j in range(jj, j_stop, 2 * width):
                    at = (j - jj) // (2 * width) * (k_stop - k)
                    panel = block(packed_b, at, at + k_stop - k, 0, 2 * width)
                    multiply_tile(rows, panel, start, C, i, j)
                i = i_stop


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


@outside
def multiply_share(A, B, D, C, share, shares):
    """Compute the `share`-th of `shares` equal parts of C = D + A @ B; arrays have any strides."""
    width = 2 * lanes_of(C)
    M, N = C.shape
    row_blocks = (M + TILE_ROWS - 1) // TILE_ROWS
    blocks = row_blocks * ((N + width - 1) // width)
    block, stop = blocks * share // shares, blocks * (share + 1) // shares
    in_place = M <= 2 * TILE_ROWS and B.strides[1] == B.itemsize
    if in_place and M == 1 and A.strides[1] == A.itemsize:
        j0, j1 = block * width, min(N, stop * width)
        multiply_one_row(run(A, 0, 0, A.shape[1]), B, run(D, 0, 0, N), run(C, 0, 0, N), j0, j1)
        return
    if not in_place:
        packed_a = aligned_empty((TILE_ROWS + width) * (DEPTH + width), C)
        packed_b = aligned_empty(WIDTH * DEPTH * width, C).reshape(WIDTH * DEPTH, width)
    # A run of tiles: the end of one panel, whole panels, the beginning of another.
    while block < stop:
        panel = block // row_blocks
        first = block - panel * row_blocks
        panels = 1
        last = min(row_blocks, first + stop - block)
        if first == 0 and last == row_blocks:
            panels = (stop - block) // row_blocks
        rows, more = M // row_blocks, M % row_blocks  # M * last might be too large
        i0, i1 = rows * first + more * first // row_blocks, rows * last + more * last // row_blocks
        j0, j1 = panel * width, (panel + panels) * width
        if in_place:
            multiply_in_place(A, B, D, C, i0, i1, j0, min(N, j1))
        else:
            multiply_packed(A, B, D, C, i0, i1, j0, min(N, j1), packed_a, packed_b)
        block += (last - first) * panels


@inner
def multiply_inside(A, a_transposed, B, b_transposed, D, C, share, shares):
    """`multiply` for use inside kernels; with share 0 of 1 the calling thread does all of it."""
    a, b, c = operand(A, a_transposed), operand(B, b_transposed), operand(C, False)
    multiply_share(a, b, equal_rows(D, C.shape[0]), c, share, shares)


@inner
def gradients_inside(x, W, transposed, dy, dx, dW, db, share, shares):
    """`gradients` for use inside kernels."""
    none = np.zeros((1, max(W.shape)), x.dtype)
    multiply_inside(dy, False, W, not transposed, none, dx, share, shares)
    if transposed:  # C = A B is also C' = B' A'
        multiply_inside(dy, True, x, False, none, dW, share, shares)
    else:
        multiply_inside(x, True, dy, False, none, dW, share, shares)
    # As a product, column sums run on all threads, and each sum is taken in order.
    ones = np.ones((1, len(dy)), x.dtype)
    multiply_inside(ones, False, dy, False, none, db.reshape(1, db.size), share, shares)


@kernel(shared=True, calls=(multiply_share,))
def gradients(x, W, transposed, dy, dx, dW, db, share, shares):
    """Compute dx (N, D), dW and db (V,) from dy (N, V) of y = x @ W + b.

    W is (D, V), or (V, D) if it is stored transposed; dW is stored as W is.
    """
    gradients_inside(x, W, transposed, dy, dx, dW, db, share, shares)


@kernel(shared=True, calls=(multiply_share,))
def multiply(A, a_transposed, B, b_transposed, D, C, share, shares):
    """C (M, N) = D (M or 1, N) + A (M, K) @ B (K, N); A and B may be stored transposed."""
    multiply_inside(A, a_transposed, B, b_transposed, D, C, share, shares)
