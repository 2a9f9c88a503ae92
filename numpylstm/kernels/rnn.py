"""The pointwise functions of the vanilla network, for each activation; `recurrence` does the rest.

sums: a (N, H). dstates: dh. da: that of a.
"""

from typing import Any, NamedTuple

from .machine import inlined, row_slice, sigmoid, tanh, widest_vectors
from .recurrence import HiddenStates, recurrence


class Kept(NamedTuple):
    """Arrays that the backward pass reads."""

    h_prev: Any
    h: Any


def _cell(name, activate, slope):
    """Make the kernels of one activation; `slope` is its derivative as a function of h."""

    def forward(row, before, after, j0, j1, sums, states):
        """Fill h."""
        widest_vectors()
        (a,) = row_slice(sums, row, j0, j1)
        (h,) = row_slice(states, after, j0, j1)
        for k in range(j1 - j0):
            h[k] = activate(a[k])

    def backward(row, b, j0, j1, kept, dstates, da):
        """Compute da from dh."""
        widest_vectors()
        h = row_slice(kept.h, row, j0, j1)
        (dh,) = row_slice(dstates, b, j0, j1)
        (da,) = row_slice(da, row, j0, j1)
        for k in range(j1 - j0):
            da[k] = dh[k] * slope(h[k])
            dh[k] = 0

    return recurrence(f"rnn_{name}", HiddenStates, Kept, forward, backward)


@inlined
def _relu(a):
    return type(a)(0) if a <= 0 else a  # NaN stays NaN


@inlined
def _tanh_slope(h):
    return type(h)(1) - h * h


@inlined
def _relu_slope(h):
    return type(h)(1) if h > 0 else h  # 0, or NaN if h is


@inlined
def _sigmoid_slope(h):
    return h * (type(h)(1) - h)


CELLS = {
    "tanh": _cell("tanh", tanh, _tanh_slope),
    "relu": _cell("relu", _relu, _relu_slope),
    "sigmoid": _cell("sigmoid", sigmoid, _sigmoid_slope),
}
