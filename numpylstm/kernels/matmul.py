"""Matrix products: C = D + A @ B.

`simd.tile` computes TILE_ROWS rows of one *panel*, two vectors of columns, over at most `DEPTH`
terms of the sum. This file brings the panels to it. What is read again and again must lie close
together: a block of a panel of B, DEPTH x 2 vectors, is copied ("packed") into a small buffer that
stays in the first cache while all rows of A pass over it. A, of which a tile reads one number at a
time, is read where it lies, in any stride, so ``x.T @ dy`` needs no transposed copy; and packing
turns a transposed B round on the way.

The tiles are numbered panel by panel, and each thread takes an equal run of them. Each element of C
is one sum over k in order, cut at multiples of DEPTH, whatever the tile and the thread: the result
depends on neither.
"""

import numpy as np
from numba import get_num_threads, prange

from .compiling import inner, kernel
from .simd import TILE_ROWS, copy_columns, lanes_of, tile, transpose_square

DEPTH = 256  # 32 KiB of a panel with 512-bit vectors
SMALL = 1_000_000  # multiply-adds below which waking the other threads costs more than it brings


@inner
def strided(X, transposed):
    """X or X.T, in a type that admits any strides."""
    rows, columns = X.shape
    if transposed:
        return np.lib.stride_tricks.as_strided(X, (columns, rows), (X.strides[1], X.strides[0]))
    return np.lib.stride_tricks.as_strided(X, (rows, columns), (X.strides[0], X.strides[1]))


@inner
def broadcast_rows(D, rows):
    """D (rows, N) as it is; D (1, N) as `rows` equal rows, without a copy."""
    step = 0 if D.shape[0] == 1 else D.strides[0]
    return np.lib.stride_tricks.as_strided(D, (rows, D.shape[1]), (step, D.strides[1]))


@inner
def aligned_empty(rows, columns, like):
    """An uninitialised array (rows, columns) that starts at a cache line."""
    line = 64 // like.itemsize
    flat = np.empty(rows * columns + line, like.dtype)
    start = (-(flat.ctypes.data // like.itemsize)) % line
    return flat[start : start + rows * columns].reshape(rows, columns)


@inner
def pack_vector(S, lanes, P):
    """P[:, :lanes] = S[:, :lanes]: one vector of columns of S (K, .), whichever way S lies."""
    width = lanes_of(S)
    depth = S.shape[0]
    if S.strides[1] == S.itemsize:
        copy_columns(lanes, S, P)
        return
    k = 0
    if lanes == width and S.strides[0] == S.itemsize:
        while k + width <= depth:
            transpose_square(S[k : k + width].T, P[k : k + width])
            k += width
    for k in range(k, depth):
        for j in range(lanes):
            P[k, j] = S[k, j]


@inner
def rows_of_next_tile(rows):
    """Cut `rows` into tiles of nearly equal height; the height of the first."""
    tiles = (rows + TILE_ROWS - 1) // TILE_ROWS
    return (rows + tiles - 1) // tiles


@inner
def multiply_panel(A, B, D, C, j, i0, i1, packed):
    """C = D + A @ B for rows i0:i1 and the panel that starts at column j; all in any strides."""
    width = lanes_of(C)
    K = A.shape[1]
    lanes0 = min(width, C.shape[1] - j)
    lanes1 = max(0, min(width, C.shape[1] - j - width))
    # For a few rows it does not pay to copy B first, if its columns lie side by side.
    in_place = i1 - i0 <= TILE_ROWS and B.strides[1] == B.itemsize
    for k0 in range(0, K, DEPTH):
        k1 = min(K, k0 + DEPTH)
        if in_place:
            panel = B[k0:k1, j:]
        else:
            panel = packed[: k1 - k0]
            pack_vector(B[k0:k1, j:], lanes0, packed)
            if lanes1 > 0:
                pack_vector(B[k0:k1, j + width :], lanes1, packed[:, width:])
        start = D if k0 == 0 else C
        i = i0
        while i < i1:
            rows = rows_of_next_tile(i1 - i)
            tile(rows, lanes0, lanes1, A[i:, k0:k1], panel, width, start[i:, j:], C[i:, j:], width)
            i += rows


@inner
def multiply_share(A, B, D, C, share, shares):
    """The `share`-th of `shares` equal parts of C = D + A @ B."""
    width = 2 * lanes_of(C)
    M, N = C.shape
    packed = strided(aligned_empty(min(DEPTH, A.shape[1]), width, C), False)
    row_blocks = (M + TILE_ROWS - 1) // TILE_ROWS
    blocks = row_blocks * ((N + width - 1) // width)
    block, stop = blocks * share // shares, blocks * (share + 1) // shares
    while block < stop:
        panel = block // row_blocks
        first = block - panel * row_blocks
        last = min(row_blocks, first + stop - block)
        i0, i1 = M * first // row_blocks, M * last // row_blocks
        multiply_panel(A, B, D, C, panel * width, i0, i1, packed)
        block += last - first


@inner
def multiply_serial(A, a_transposed, B, b_transposed, D, C):
    """`multiply` on the calling thread."""
    a, b, c = strided(A, a_transposed), strided(B, b_transposed), strided(C, False)
    multiply_share(a, b, broadcast_rows(D, C.shape[0]), c, 0, 1)


@kernel(parallel=True)
def multiply(A, a_transposed, B, b_transposed, D, C):
    """C (M, N) = D + A (M, K) @ B (K, N); A, B stored transposed if so flagged; D (M or 1, N)."""
    a, b, c = strided(A, a_transposed), strided(B, b_transposed), strided(C, False)
    d = broadcast_rows(D, C.shape[0])
    if a.shape[1] * c.size < SMALL:
        multiply_share(a, b, d, c, 0, 1)
    else:
        shares = get_num_threads()
        for share in prange(shares):
            multiply_share(a, b, d, c, share, shares)
