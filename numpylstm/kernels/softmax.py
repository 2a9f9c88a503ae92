"""Softmax and cross-entropy, which read each row of logits from memory once in each direction.

A row is read three times, for its maximum, its sum of exponentials and the index of the maximum,
but only once from memory: a row of ten thousand numbers stays in the cache. Threads share the rows.
The sum over a row runs in vector lanes, in one fixed order for any number of threads.
"""

import numpy as np

from .machine import exp, inner, kernel, part, row_slice, widest_vectors

BLOCK = 64  # numbers compared or added side by side


@inner
def largest(row, peaks):
    """Return the maximum of a row (V,); peaks (BLOCK,) is scratch.

    One chain of comparisons does not vectorise, so BLOCK of them run side by side.
    """
    widest_vectors()
    peaks[:] = row[0]
    for start in range(0, row.size, BLOCK):
        piece = row[start : start + BLOCK]
        for k in range(piece.size):
            peaks[k] = piece[k] if piece[k] > peaks[k] else peaks[k]
    peak = peaks[0]
    for other in peaks[: row.size]:
        peak = other if other > peak else peak
    return peak


@inner
def sum_of_exponentials(row, peak, sums):
    """Return sum(exp(row - peak)) of a row (V,); sums (BLOCK,) is scratch."""
    widest_vectors()
    sums[:] = 0
    whole = row.size // BLOCK * BLOCK
    for start in range(0, whole, BLOCK):
        for k in range(BLOCK):
            sums[k] += exp(row[start + k] - peak)
    for k in range(row.size - whole):
        sums[k] += exp(row[whole + k] - peak)
    return sums[: row.size].sum()


@inner
def first_equal(row, value):
    """Return the first index of this value in a row (V,); 0 if there is none (NaN)."""
    widest_vectors()
    for start in range(0, row.size, BLOCK):
        piece = row[start : start + BLOCK]  # searched to its end, so that the loop vectorises
        found = 0
        for k in range(piece.size):
            found += piece[k] == value
        if found > 0:
            for k in range(piece.size):
                if piece[k] == value:
                    return start + k
    return 0


@inner
def row_backward(row, target, peak, total, coefficient, drow):
    """Fill drow (V,) = coefficient * (softmax(row) - onehot(target))."""
    widest_vectors()
    scale = coefficient / total
    for k in range(row.size):
        drow[k] = scale * exp(row[k] - peak)
    drow[target] = scale * (exp(row[target] - peak) - total)


@kernel
def forward(logits, targets, peak, total, nll, predicted, share, shares):
    """Fill peak, total, nll and predicted, all (N,), from logits (N, V) and targets (N,)."""
    N, V = logits.shape
    first, last = part(N, share, shares)
    scratch = np.empty(BLOCK, logits.dtype)
    for r in range(first, last):
        row = row_slice(logits, r, 0, V)
        peak[r] = largest(row, scratch)
        total[r] = sum_of_exponentials(row, peak[r], scratch)
        nll[r] = np.log(total[r]) + (peak[r] - row[targets[r]])
        predicted[r] = first_equal(row, peak[r])


@kernel
def backward(logits, targets, peak, total, coefficients, dlogits, share, shares):
    """Fill dlogits (N, V) = coefficients (N,) * (softmax(logits) - onehot(targets))."""
    N, V = logits.shape
    first, last = part(N, share, shares)
    for r in range(first, last):
        row = row_slice(logits, r, 0, V)
        drow = row_slice(dlogits, r, 0, V)
        row_backward(row, targets[r], peak[r], total[r], coefficients[r], drow)
