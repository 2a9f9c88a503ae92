"""An LSTM language model that writes: each token is drawn from its scores, and read as the next.

One sequence, one step: each product is a vector times a matrix, and takes as long as to read the
matrix. The interpreter takes longer than the whole step of a small model. So if one thread does the
work, one call draws many tokens. Several threads read faster, but must be woken for each product.
The arithmetic of a step is that of `lstm` and `matmul`, bit for bit.
"""

import numpy as np

from .compiling import inlined, inner, kernel
from .elementary import exp
from .lstm import cell_forward
from .matmul import multiply, multiply_part, multiply_share
from .simd import widest_vectors
from .softmax import BLOCK, first_equal, largest, sum_in_pairs
from .views import at_time

# ---------------------------------------------------------------------------------------------
# From scores to a token
# ---------------------------------------------------------------------------------------------


@inner
def all_finite(row):
    """Whether a row (N,) holds neither NaN nor an infinity."""
    count = 0
    for k in range(row.size):
        count += np.isfinite(row[k])
    return count == row.size


@inner
def how_many_reach(row, value):
    """How many numbers of a row (N,) are at least this value."""
    widest_vectors()
    count = 0
    for k in range(row.size):
        count += row[k] >= value
    return count


@inner
def kth_largest(row, k, peak):
    """The k-th largest number of a row (N,), whose largest is the peak.

    At least k numbers reach `low`, fewer reach `high`. Halving what lies between ends when no float
    does, and `low` is then a number of the row. To count vectorises; to sort does not.
    """
    if how_many_reach(row, peak) >= k:
        return peak
    half, width = row.dtype.type(0.5), row.dtype.type(1)
    least = -np.finfo(row.dtype).max
    low, high = peak - width, peak
    while how_many_reach(row, low) < k:
        width += width
        low, high = max(peak - width, least), low
    middle = half * low + half * high  # the difference could overflow
    while low < middle < high:
        if how_many_reach(row, middle) >= k:
            low = middle
        else:
            high = middle
        middle = half * low + half * high
    return low


@inner
def keep_largest(scores, k, peak):
    """Set all but the k largest of scores (V,) to -inf; of equal ones the first are kept."""
    least = kth_largest(scores, k, peak)
    ties = k
    for j in range(scores.size):
        ties -= scores[j] > least
    for j in range(scores.size):
        if scores[j] == least and ties > 0:
            ties -= 1
        elif scores[j] <= least:
            scores[j] = -np.inf


@inner
def fill_weights(scores, peak, temperature, weights, sums):
    """Fill weights (N*BLOCK,) = exp((scores - peak) / temperature), and their sums by blocks (N,).

    Behind the scores (V,) follow zeros.
    """
    widest_vectors()
    real = scores.dtype.type
    # The inverse of the smallest temperatures is infinite, that of the largest 0, and 0 * infinity
    # would be NaN.
    kind = np.finfo(scores.dtype)
    inverse = real(max(min(1.0 / temperature, np.float64(kind.max)), np.float64(kind.tiny)))
    scratch = np.empty(BLOCK, scores.dtype)
    for n in range(sums.size):
        start = n * BLOCK
        piece, w = scores[start : start + BLOCK], weights[start : start + BLOCK]
        w[piece.size :] = real(0)
        for k in range(piece.size):
            w[k] = exp((piece[k] - peak) * inverse)
        for k in range(BLOCK):  # `scratch[:] = w` takes Numba seconds, for the text of its error
            scratch[k] = w[k]
        sums[n] = sum_in_pairs(scratch)


@inner
def place_on_line(number, weights, first, last):
    """Where a number falls if weights[first:last] lie end to end: the index, and how far into it.

    If, by rounding, it falls beyond the end: the last weight that is not zero.
    """
    place, rest = first, number
    for k in range(first, last):
        if weights[k] > 0:
            place, rest = k, number
            if number < weights[k]:
                break
            number -= weights[k]
    return place, rest


@inner
def draw(scores, temperature, k, banned, uniform, weights, sums):
    """A token from the softmax of scores / temperature over the k best that are not banned.

    Inverse transform: `uniform`, from [0, 1), is a place on the line of all weights, first sought
    among the sums of blocks, which are float64. -1 stands for scores that are not finite. Writes
    into scores (V,), weights and sums.
    """
    if not all_finite(scores):
        return -1
    for token in banned:
        scores[token] = -np.inf
    peak = largest(scores, np.empty(BLOCK, scores.dtype))
    if k == 1:
        return first_equal(scores, peak)
    if k < scores.size - banned.size:
        keep_largest(scores, k, peak)
    fill_weights(scores, peak, temperature, weights, sums)
    total = 0.0
    for n in range(sums.size):
        total += sums[n]
    n, rest = place_on_line(uniform * total, sums, 0, sums.size)
    return place_on_line(rest, weights, n * BLOCK, (n + 1) * BLOCK)[0]


# ---------------------------------------------------------------------------------------------
# Token after token
# ---------------------------------------------------------------------------------------------


def room(h, bias):
    """Arrays for gates (1, 4H), tanh_c (1, H), scores (1, V), and for what `draw` writes."""
    H, V = h.shape[2], bias.size
    blocks = (V + BLOCK - 1) // BLOCK
    return (
        np.empty((1, 4 * H), h.dtype), np.empty((1, H), h.dtype), np.empty((1, V), h.dtype),
        np.empty(blocks * BLOCK, h.dtype), np.empty(blocks),
    )  # fmt: skip


room_in_kernel = inlined(room)


@inner
def gates_part(x, h, Wx, Wh, b, gates, share, shares):
    """The `share`-th part of gates = b + x @ Wx + h @ Wh, before the nonlinearity."""
    multiply_part(x, False, Wx, False, b, gates, share, shares)
    multiply_part(h, False, Wh, False, gates, gates, share, shares)


@kernel(calls=(multiply_share,))
def write_alone(
    table, Wx, Wh, b, W, transposed, bias, h, c, ids, uniforms, temperature, k, banned
):  # fmt: skip
    """`write` on the calling thread."""
    L, _, H = h.shape
    gates, tanh_c, scores, weights, sums = room_in_kernel(h, bias)
    for n in range(uniforms.size):
        x = table[ids[n] : ids[n] + 1]
        for layer in range(L):
            h_l, c_l = at_time(h, layer), at_time(c, layer)
            gates_part(x, h_l, Wx[layer], Wh[layer], b[layer], gates, 0, 1)
            cell_forward(0, gates, c_l, c_l, tanh_c, h_l, 0, H)
            x = h_l
        multiply_part(x, False, W, transposed, bias, scores, 0, 1)
        ids[n + 1] = next_token(
            table, ids[n], scores, temperature, k, banned, uniforms[n], weights, sums
        )
        if ids[n + 1] < 0:
            break


@inner
def next_token(table, token, scores, temperature, k, banned, uniform, weights, sums):
    """Draw the token after one that was read; -1 if its row or the scores (1, V) are not finite."""
    if not all_finite(table[token]):  # the gates would hide an infinity
        return -1
    return draw(scores[0], temperature, k, banned, uniform, weights, sums)


@kernel(shared=True, calls=(multiply_share,))
def fill_gates(x, h, Wx, Wh, b, gates, share, shares):
    """Fill gates (1, 4H) = b + x @ Wx + h @ Wh."""
    gates_part(x, h, Wx, Wh, b, gates, share, shares)


@kernel
def update_cell(gates, c, tanh_c, h):
    """From gates (1, 4H) and c (1, H), fill h, tanh_c and the new c."""
    cell_forward(0, gates, c, c, tanh_c, h, 0, h.shape[1])


@kernel
def draw_next(table, token, scores, temperature, k, banned, uniform, weights, sums):
    """`next_token`, for Python."""
    return next_token(table, token, scores, temperature, k, banned, uniform, weights, sums)


def write(
    table, Wx, Wh, b, W, transposed, bias, h, c, ids, uniforms, temperature, k, banned, shares
):  # fmt: skip
    """Fill ids[1:] with the tokens that follow ids[0]; -1 ends them if scores are not finite.

    table (V, D); Wx, Wh, b (1, 4H): a tuple each, with an array for each layer; h, c (L, 1, H), the
    state, which changes; the decoder's W (H, V), or (V, H) if stored transposed, and bias (1, V);
    ids (N+1,); uniforms (N,); banned, ids that differ.
    """
    if shares == 1:
        write_alone(
            table, Wx, Wh, b, W, transposed, bias, h, c, ids, uniforms, temperature, k, banned
        )
        return
    gates, tanh_c, scores, weights, sums = room(h, bias)
    for n, uniform in enumerate(uniforms.tolist()):
        x = table[ids[n] : ids[n] + 1]
        for layer in range(len(h)):
            fill_gates(x, h[layer], Wx[layer], Wh[layer], b[layer], gates, shares)
            update_cell(gates, c[layer], tanh_c, h[layer])
            x = h[layer]
        multiply(x, False, W, transposed, bias, scores, shares)
        ids[n + 1] = draw_next(
            table, int(ids[n]), scores, temperature, k, banned, uniform, weights, sums
        )
        if ids[n + 1] < 0:
            break
