"""The pointwise functions of the LSTM, and of the sLSTM; `recurrence` does the rest.

sums: gates (N, 4H), which end as the activated gates. dstates: dh, dc, and of the sLSTM dn and dm.
da: of the gates' sums.
"""

from typing import Any, NamedTuple

from .machine import exp, log_sigmoid, row_slice, sigmoid, tanh, widest_vectors
from .recurrence import four_gates, recurrence


class States(NamedTuple):
    """Arrays that the forward pass of the LSTM fills."""

    h: Any
    c: Any
    tanh_c: Any  # its first B rows are not used


class Kept(NamedTuple):
    """Arrays that the backward pass of the LSTM reads."""

    h_prev: Any
    c_prev: Any
    gates: Any
    c: Any
    tanh_c: Any
    h: Any


def forward(row, before, after, j0, j1, sums, states):
    """Activate the gates and fill c and h."""
    widest_vectors()
    (gates,) = sums
    i, f, g, o = four_gates(gates, row, states.h.shape[1], j0, j1)
    c_prev = row_slice(states.c, before, j0, j1)
    h, c, tanh_c = row_slice(states, after, j0, j1)
    for k in range(j1 - j0):
        i_k = sigmoid(i[k])
        f_k = sigmoid(f[k])
        g_k = tanh(g[k])
        o_k = sigmoid(o[k])
        c_k = f_k * c_prev[k] + i_k * g_k
        tanh_c_k = tanh(c_k)
        i[k] = i_k
        f[k] = f_k
        g[k] = g_k
        o[k] = o_k
        c[k] = c_k
        tanh_c[k] = tanh_c_k
        h[k] = o_k * tanh_c_k


def backward(row, b, j0, j1, kept, dstates, da):
    """Compute da, and dc of the step before, from dh and dc; h goes on through Wh alone."""
    H = kept.h.shape[1]
    i, f, g, o = four_gates(kept.gates, row, H, j0, j1)
    da_i, da_f, da_g, da_o = four_gates(da[0], row, H, j0, j1)
    dh, dc = row_slice(dstates, b, j0, j1)
    one = dh.dtype.type(1)
    c_prev = row_slice(kept.c_prev, row, j0, j1)
    tanh_c = row_slice(kept.tanh_c, row, j0, j1)
    for k in range(j1 - j0):
        i_k = i[k]
        f_k = f[k]
        g_k = g[k]
        o_k = o[k]
        tanh_c_k = tanh_c[k]
        do = dh[k] * tanh_c_k
        dc_k = dc[k] + dh[k] * o_k * (one - tanh_c_k * tanh_c_k)
        da_i[k] = dc_k * g_k * i_k * (one - i_k)
        da_f[k] = dc_k * c_prev[k] * f_k * (one - f_k)
        da_g[k] = dc_k * i_k * (one - g_k * g_k)
        da_o[k] = do * o_k * (one - o_k)
        dh[k] = 0
        dc[k] = dc_k * f_k


LSTM = recurrence("lstm", States, Kept, forward, backward)


class SLSTMStates(NamedTuple):
    """Arrays that the forward pass of the sLSTM fills."""

    h: Any
    c: Any
    n: Any
    m: Any
    log_f: Any  # its first B rows are not used


class SLSTMKept(NamedTuple):
    """Arrays that the backward pass of the sLSTM reads."""

    h_prev: Any
    c_prev: Any
    n_prev: Any
    m_prev: Any
    gates: Any
    h: Any
    c: Any
    n: Any
    m: Any
    log_f: Any


def _slstm(name, exponential):
    """Make the kernels of the sLSTM with one forget gate."""

    def forward(row, before, after, j0, j1, sums, states):
        """Activate the gates and fill the states."""
        widest_vectors()
        (gates,) = sums
        i, f, z, o = four_gates(gates, row, states.h.shape[1], j0, j1)
        _, c_prev, n_prev, m_prev, _ = row_slice(states, before, j0, j1)
        h, c, n, m, log_f = row_slice(states, after, j0, j1)
        for k in range(j1 - j0):
            log_f_k = f[k] if exponential else log_sigmoid(f[k])
            past = log_f_k + m_prev[k]
            now = i[k]
            m_k = past if past > now else now
            i_k = exp(now - m_k)
            f_k = exp(past - m_k)
            z_k = tanh(z[k])
            o_k = sigmoid(o[k])
            c_k = f_k * c_prev[k] + i_k * z_k
            n_k = f_k * n_prev[k] + i_k
            i[k] = i_k
            f[k] = f_k
            z[k] = z_k
            o[k] = o_k
            c[k] = c_k
            n[k] = n_k
            m[k] = m_k
            log_f[k] = log_f_k
            h[k] = o_k * (c_k / n_k)

    def backward(row, b, j0, j1, kept, dstates, da):
        """Compute da, and dc, dn and dm of the step before, from dh, dc and dn."""
        widest_vectors()
        H = kept.h.shape[1]
        i, f, z, o = four_gates(kept.gates, row, H, j0, j1)
        da_i, da_f, da_z, da_o = four_gates(da[0], row, H, j0, j1)
        dh, dc, dn, dm = row_slice(dstates, b, j0, j1)
        one = dh.dtype.type(1)
        c, n = row_slice((kept.c, kept.n), row, j0, j1)
        c_prev, n_prev = row_slice((kept.c_prev, kept.n_prev), row, j0, j1)
        log_f = row_slice(kept.log_f, row, j0, j1)
        for k in range(j1 - j0):
            i_k = i[k]
            f_k = f[k]
            z_k = z[k]
            o_k = o[k]
            mean = c[k] / n[k]
            of_mean = dh[k] * o_k / n[k]
            do = dh[k] * mean
            dc_k = dc[k] + of_mean
            dn_k = dn[k] - of_mean * mean
            dlog_f = (dc_k * c_prev[k] + dn_k * n_prev[k]) * f_k
            da_i[k] = (dc_k * z_k + dn_k) * i_k
            da_f[k] = dlog_f if exponential else dlog_f * (one - exp(log_f[k]))
            da_z[k] = dc_k * i_k * (one - z_k * z_k)
            da_o[k] = do * o_k * (one - o_k)
            dh[k] = 0
            dc[k] = dc_k * f_k
            dn[k] = dn_k * f_k
            dm[k] = dlog_f

    return recurrence(f"slstm_{name}", SLSTMStates, SLSTMKept, forward, backward)


SLSTM = {"sigmoid": _slstm("sigmoid", False), "exp": _slstm("exp", True)}
