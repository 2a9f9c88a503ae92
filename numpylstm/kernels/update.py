"""In-place kernels on flat arrays: the gradient norm and the update of each optimiser."""

from typing import Any, NamedTuple

import numpy as np

from .machine import inner, kernel, part, widest_vectors

LANES = 64  # sums side by side
BLOCK = 4096  # elements whose squares are summed together; the partial sums are added in order


@inner
def block_sum_of_squares(g):
    """Return sum(g ** 2) of at most BLOCK elements: LANES sums side by side, added in order.

    The sums are float64, since the square of a float32 overflows at 2e19 and underflows at 1e-23.
    """
    widest_vectors()
    sums = np.zeros(LANES)
    for start in range(0, g.size, LANES):
        piece = g[start : start + LANES]
        for k in range(piece.size):
            value = np.float64(piece[k])
            sums[k] += value * value
    total = 0.0
    for value in sums:
        total += value
    return total


@kernel
def sums_of_squares(g, sums, share, shares):
    """Fill sums (N / BLOCK,) with the sums of g ** 2 of blocks of g (N,)."""
    first, last = part(sums.size, share, shares)
    for block in range(first, last):
        sums[block] = block_sum_of_squares(g[block * BLOCK : (block + 1) * BLOCK])


@kernel
def descend(w, g, lr, share, shares):
    """Update w (N,) -= lr * g, with lr rounded to the dtype of w first."""
    widest_vectors()
    lr = w.dtype.type(lr)
    first, last = part(w.size, share, shares)
    w, g = w[first:last], g[first:last]
    for k in range(w.size):
        w[k] -= lr * g[k]


@kernel
def descend_with_momentum(w, v, g, lr, momentum, share, shares):
    """Update v (N,) = momentum * v + g, w -= lr * v; lr and momentum have the dtype of w."""
    widest_vectors()
    lr, momentum = w.dtype.type(lr), w.dtype.type(momentum)
    first, last = part(w.size, share, shares)
    w, v, g = w[first:last], v[first:last], g[first:last]
    for k in range(w.size):
        v[k] = momentum * v[k] + g[k]
        w[k] -= lr * v[k]


class AdamStep(NamedTuple):
    """Scalars of one step of Adam, in the dtype of the parameters."""

    decay_in_gradient: Any  # weight decay of Adam; 0 for AdamW
    kept_w: Any  # 1 - lr * weight decay for AdamW; 1 for Adam
    new_m: Any  # 1 - beta1
    kept_v: Any  # beta2
    new_v: Any  # 1 - beta2
    rate: Any  # lr / (1 - beta1 ** t)
    root: Any  # sqrt(1 - beta2 ** t)
    eps: Any


@kernel
def descend_by_moments(w, m, v, g, step, share, shares):
    """Update w, m and v (N,) by a step of Adam with these scalars (`AdamStep`)."""
    widest_vectors()
    first, last = part(w.size, share, shares)
    w, m, v, g = w[first:last], m[first:last], v[first:last], g[first:last]
    for k in range(w.size):
        slope = g[k] + step.decay_in_gradient * w[k]
        m[k] += step.new_m * (slope - m[k])
        v[k] = step.kept_v * v[k] + step.new_v * slope * slope
        w[k] = step.kept_w * w[k] - step.rate * m[k] / (np.sqrt(v[k]) / step.root + step.eps)
