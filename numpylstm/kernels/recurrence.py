"""What the cells share: at each step a product with Wh forward, and with Wh.T on the way back.

A tile computes two runs of columns, so each cell says which two belong together. Wh is read at each
step, so it is copied once into panels of two vectors side by side.
"""

from .compiling import inner
from .matmul import DEPTH, pack_vector, rows_of_next_tile
from .simd import VECTOR_BYTES, lanes_of
from .tile import AHEAD, tile
from .views import at_time, block, turned

SIDE_BY_SIDE = 32  # rows of Wh that are copied at a time, each from left to right


@inner
def multiply_panel_in(panels, at, A, i0, i1, D, C, j, lanes0, lanes1, apart):
    """C = D + A @ panel, rows i0:i1 and two runs of columns from j; `at` is where the panel begins.

    D and C are whole arrays (., N), A is (., K).
    """
    width, N, K = lanes_of(A), C.shape[1], A.shape[1]
    blocks = (K + DEPTH - 1) // DEPTH
    for n in range(blocks):
        k0, k1 = K * n // blocks, K * (n + 1) // blocks
        panel = block(panels, at + k0, at + k1, 0, 2 * width)
        start = D if n == 0 else C
        i = i0
        while i < i1:
            rows = rows_of_next_tile(i1 - i)
            tile(
                rows, lanes0, lanes1, block(A, i, i1, k0, k1), panel, width,
                block(start, i, i1, j, N), block(C, i, i1, j, N), apart,
                block(panels, at + k0 + AHEAD, at + k1 + AHEAD, 0, 2 * width),
            )  # fmt: skip
            i += rows


@inner
def multiply_in(W, column, A, i0, i1, C, j, lanes0, lanes1, apart):
    """C += A @ W where it lies, rows i0:i1: two runs of columns of W from `column`, of C from j."""
    H, N = W.shape
    panel = block(W, 0, H, column, N)
    i = i0
    while i < i1:
        rows = rows_of_next_tile(i1 - i)
        sums = block(C, i, i1, j, C.shape[1])
        tile(
            rows, lanes0, lanes1, block(A, i, i1, 0, H), panel, apart, sums, sums, apart, panel
        )  # fmt: skip
        i += rows


def transposed_panels_shape(W):
    """The shape of the room that `pack_transposed` needs."""
    (N, K), width = W.shape, 2 * VECTOR_BYTES // W.itemsize
    return -(-N // width) * K, width


@inner
def pack_transposed(W, j0, j1, panels):
    """Copy columns j0:j1 of W.T, two vectors to a panel; j0 is the beginning of a panel."""
    N, K = W.shape
    width = lanes_of(W)
    for j in range(j0, j1, width):
        at, column = j // (2 * width) * K, j // width % 2 * width
        panel = block(panels, at, at + K, column, column + width)
        pack_vector(turned(block(W, j, N, 0, K)), min(width, N - j), panel)


@inner
def through_weights(da, panels, start, dh, i0, i1, j0, j1):
    """Fill dh = start + da @ W.T, for rows i0:i1 and columns j0:j1."""
    K, N, width = da.shape[1], dh.shape[1], lanes_of(dh)
    for j in range(j0, j1, 2 * width):
        lanes0, lanes1 = min(width, N - j), max(0, min(width, N - j - width))
        at = j // (2 * width) * K
        multiply_panel_in(panels, at, da, i0, i1, start, dh, j, lanes0, lanes1, width)


@inner
def start_backward(t, panels, dhs, da, dh, i0, i1, j0, j1):
    """Add up the gradient that reaches h of step t: dh = dhs[t] + da[t+1] @ Wh.T.

    At the last step dh already holds dhT, and there is no da[t+1]. At t = -1, h0, there is no dhs.
    """
    last = t == dhs.shape[0] - 1
    if last or t < 0:
        for i in range(i0, i1):
            for k in range(j0, j1):
                dh[i, k] = dh[i, k] + dhs[t, i, k] if last else 0
    if not last:
        start = at_time(dhs, t) if t >= 0 else dh
        through_weights(at_time(da, t + 1), panels, start, dh, i0, i1, j0, j1)
