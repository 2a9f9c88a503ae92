"""The linear recurrence by itself, and as the layer of a minGRU or minLSTM.

By itself, all arrays are (T, N), and each of the N entries is a chain of its own. Every number is
read once and used once, so the time is that of the memory.

For a layer, `recurrence` does the rest, with a Wh of no columns. sums: gates (N, 2H) or (N, 3H),
which end as the activated gates. dstates: dh. da: of the gates' sums, and that of h @ Wh, (N, 0).
"""

from typing import Any, NamedTuple

from .machine import kernel, log_sigmoid, part, row_slice, sigmoid, widest_vectors
from .recurrence import HiddenStates, recurrence, three_gates


@kernel
def forward(a, b, h, share, shares):
    """Fill h (T+1, N), which begins with h0: h[t+1] = a[t] * h[t] + b[t]."""
    widest_vectors()
    first, last = part(h.shape[1], share, shares)
    for t in range(len(a)):
        a_t, b_t, h_prev = row_slice((a, b, h), t, first, last)
        h_t = row_slice(h, t + 1, first, last)
        for k in range(a_t.size):
            h_t[k] = a_t[k] * h_prev[k] + b_t[k]


@kernel
def backward(dhs, a, h_prev, da, db, dh, share, shares):
    """Fill da and db; dh (1, N) arrives as dhT and leaves as dh0."""
    widest_vectors()
    first, last = part(dh.shape[1], share, shares)
    dh_t = row_slice(dh, 0, first, last)
    for step in range(len(a)):
        t = len(a) - 1 - step
        a_t, h_prev_t, dhs_t = row_slice((a, h_prev, dhs), t, first, last)
        da_t, db_t = row_slice((da, db), t, first, last)
        for k in range(a_t.size):
            db_t[k] = dhs_t[k] + dh_t[k]
            da_t[k] = db_t[k] * h_prev_t[k]
            dh_t[k] = db_t[k] * a_t[k]


class MinGRUKept(NamedTuple):
    """Arrays that the backward pass of the minGRU reads."""

    h_prev: Any
    gates: Any
    h: Any


def _mingru(name, times):
    """Make the kernels of the minGRU whose factor is 1 - times * z."""

    def forward(row, before, after, j0, j1, sums, states):
        """Activate z and fill h."""
        widest_vectors()
        (gates,) = sums
        one = gates.dtype.type(1)
        scale = gates.dtype.type(times)
        H = states.h.shape[1]
        z = row_slice(gates, row, j0, j1)
        n = row_slice(gates, row, H + j0, H + j1)
        h_prev = row_slice(states.h, before, j0, j1)
        h = row_slice(states.h, after, j0, j1)
        for k in range(j1 - j0):
            z_k = sigmoid(z[k])
            z[k] = z_k
            h[k] = (one - scale * z_k) * h_prev[k] + z_k * n[k]

    def backward(row, b, j0, j1, kept, dstates, da):
        """Compute da, and dh of the step before, from dh."""
        widest_vectors()
        da, _ = da
        H = kept.h.shape[1]
        z = row_slice(kept.gates, row, j0, j1)
        n = row_slice(kept.gates, row, H + j0, H + j1)
        da_z = row_slice(da, row, j0, j1)
        da_n = row_slice(da, row, H + j0, H + j1)
        h_prev = row_slice(kept.h_prev, row, j0, j1)
        (dh,) = row_slice(dstates, b, j0, j1)
        one = dh.dtype.type(1)
        scale = dh.dtype.type(times)
        for k in range(j1 - j0):
            z_k = z[k]
            dh_k = dh[k]
            da_z[k] = dh_k * (n[k] - scale * h_prev[k]) * z_k * (one - z_k)
            da_n[k] = dh_k * z_k
            dh[k] = dh_k * (one - scale * z_k)

    return recurrence(
        f"mingru_{name}",
        HiddenStates,
        MinGRUKept,
        forward,
        backward,
        separate_da=True,
    )


MINGRU = {"positive": _mingru("positive", 1), "signed": _mingru("signed", 2)}


class MinLSTMStates(NamedTuple):
    """Arrays that the forward pass of the minLSTM fills."""

    h: Any
    log_odds: Any  # its first B rows are not used


class MinLSTMKept(NamedTuple):
    """Arrays that the backward pass of the minLSTM reads."""

    h_prev: Any
    gates: Any
    h: Any
    log_odds: Any


def _forward(row, before, after, j0, j1, sums, states):
    """Activate i and f and fill h."""
    widest_vectors()
    (gates,) = sums
    i, f, g = three_gates(gates, row, states.h.shape[1], j0, j1)
    h_prev = row_slice(states.h, before, j0, j1)
    h, log_odds = row_slice(states, after, j0, j1)
    for k in range(j1 - j0):
        log_odds_k = log_sigmoid(f[k]) - log_sigmoid(i[k])
        i[k] = sigmoid(i[k])
        f[k] = sigmoid(f[k])
        log_odds[k] = log_odds_k
        h[k] = sigmoid(log_odds_k) * h_prev[k] + sigmoid(-log_odds_k) * g[k]


def _backward(row, b, j0, j1, kept, dstates, da):
    """Compute da, and dh of the step before, from dh."""
    widest_vectors()
    da, _ = da
    H = kept.h.shape[1]
    i, f, g = three_gates(kept.gates, row, H, j0, j1)
    da_i, da_f, da_g = three_gates(da, row, H, j0, j1)
    h_prev = row_slice(kept.h_prev, row, j0, j1)
    (dh,) = row_slice(dstates, b, j0, j1)
    one = dh.dtype.type(1)
    log_odds = row_slice(kept.log_odds, row, j0, j1)
    for k in range(j1 - j0):
        dh_k = dh[k]
        a = sigmoid(log_odds[k])
        w = sigmoid(-log_odds[k])
        of_a = dh_k * (h_prev[k] - g[k]) * a * w
        da_i[k] = of_a * (i[k] - one)
        da_f[k] = of_a * (one - f[k])
        da_g[k] = dh_k * w
        dh[k] = dh_k * a


MINLSTM = recurrence(
    "minlstm",
    MinLSTMStates,
    MinLSTMKept,
    _forward,
    _backward,
    separate_da=True,
)
