"""Updates: from a gradient dw to the next value of w. Unlike all else here, they write in place."""

import numpy as np

__all__ = [
    "sum_of_squares",
    "sgd_update",
    "momentum_update",
    "adam_update",
]


def sum_of_squares(g):
    """The squares of all entries, summed in float64; a float32 square would overflow at 2e19.

    The root of the sum over all gradients is their **global norm**. If it is above a limit, each
    gradient is multiplied by ``limit / norm``: the step gets shorter and keeps its direction.
    """
    return float(np.square(g, dtype=np.float64).sum())


def sgd_update(w, dw, lr):
    """Gradient descent: ``w -= lr * dw``.

    Parameters
    ----------
    w, dw : arrays of one shape
        A parameter, which changes, and its gradient.
    lr : float
    """
    w -= lr * dw


def momentum_update(w, v, dw, lr, momentum):
    """Descent along the velocity v, a sum of past gradients that fades: w and v change."""
    v *= momentum
    v += dw
    w -= lr * v


def adam_update(w, m, v, dw, t, lr, beta1, beta2, eps, weight_decay=0.0, decoupled=False):
    """A step of about `lr` in every entry, whatever the size of its gradient: w, m and v change.

    Parameters
    ----------
    w, m, v, dw : arrays of one shape
        A parameter, the decaying means of its gradients and of their squares, and its gradient.
    t : int
        The number of this step, from 1. Both means start at zero, so after t steps the weights in
        them sum to ``1 - beta ** t``, by which they are divided.
    lr, beta1, beta2, eps : float
    weight_decay : float
        Adam adds ``weight_decay * w`` to the gradient. AdamW (`decoupled`) shrinks w by itself, so
        that the decay is not divided by the size of the gradients.
    """
    if decoupled:
        w *= 1 - lr * weight_decay
    else:
        dw = dw + weight_decay * w
    m += (1 - beta1) * (dw - m)  # beta1 * m + (1 - beta1) * dw
    v *= beta2
    v += (1 - beta2) * dw * dw
    root = float(np.sqrt(1 - beta2**t))
    w -= lr / (1 - beta1**t) * m / (np.sqrt(v) / root + eps)
