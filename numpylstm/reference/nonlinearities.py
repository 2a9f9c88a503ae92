"""Nonlinearities, and their derivatives in terms of the *output*, which is already there."""

import numpy as np

__all__ = [
    "sigmoid",
    "log_sigmoid",
    "relu",
    "activate",
    "activation_derivative",
]


def sigmoid(a):
    """1 / (1 + exp(-a)), without overflow on either side."""
    positive = a.real >= 0
    e = np.exp(np.where(positive, -a, a))  # the exponent is never positive
    return np.where(positive, 1, e) / (1 + e)  # for a < 0 the same, times exp(a) / exp(a)


def log_sigmoid(a):
    """log(sigmoid(a)), which is a where sigmoid(a) underflows."""
    positive = a.real >= 0
    return np.where(positive, 0, a) - np.log1p(np.exp(np.where(positive, -a, a)))


def relu(a):
    """max(a, 0); NaN stays NaN."""
    return np.where(a.real <= 0, 0, a)


def activate(a, activation):
    """The nonlinearity of the vanilla network: "tanh", "relu" or "sigmoid"."""
    if activation == "tanh":
        return np.tanh(a)
    if activation == "relu":
        return relu(a)
    if activation == "sigmoid":
        return sigmoid(a)
    raise ValueError(f"activation must be 'tanh', 'relu' or 'sigmoid', got {activation!r}")


def activation_derivative(h, activation):
    """The derivative of `activate` at the point where its output is `h`.

    tanh' = 1 - h^2 is at most 1; sigmoid' = h (1 - h) is at most 1/4: a product of many of them
    goes to zero. This is one half of the vanishing gradient; the other is ``Wh.T``, at every step.
    """
    if activation == "tanh":
        return 1 - h * h
    if activation == "relu":
        return np.sign(h.real)  # 1 or 0, and NaN where h is NaN, as for the other two
    if activation == "sigmoid":
        return h * (1 - h)
    raise ValueError(f"activation must be 'tanh', 'relu' or 'sigmoid', got {activation!r}")
