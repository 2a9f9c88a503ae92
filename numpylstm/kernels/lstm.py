"""The pointwise functions of the LSTM, and of the sLSTM; `recurrence` does the rest.

sums: gates (N, 4H), which end as the activated gates. states: h, c, and tanh_c, whose first B rows
are not used. kept: h_prev, c_prev, gates, c, tanh_c, h. dstates: dh, dc. da: of the gates' sums.

sLSTM: states: h, c, n, m, and log_f, whose first B rows are not used. kept: h_prev, c_prev, n_prev,
m_prev, gates, h, c, n, m, log_f. dstates: dh, dc, dn, dm.
"""

from .machine import exp, log_sigmoid, run, sigmoid, tanh, widest_vectors
from .recurrence import four_gates, recurrence


def forward(n, before, after, j0, j1, sums, states):
    """Activate the gates and fill c and h."""
    widest_vectors()
    (gates,), (h, c, tanh_c) = sums, states
    i, f, g, o = four_gates(gates, n, h.shape[1], j0, j1)
    c_prev, c = run(c, before, j0, j1), run(c, after, j0, j1)
    tanh_c, h = run(tanh_c, after, j0, j1), run(h, after, j0, j1)
    for k in range(j1 - j0):
        i_k, f_k, g_k, o_k = sigmoid(i[k]), sigmoid(f[k]), tanh(g[k]), sigmoid(o[k])
        c_k = f_k * c_prev[k] + i_k * g_k
        tanh_c_k = tanh(c_k)
        i[k], f[k], g[k], o[k] = i_k, f_k, g_k, o_k
        c[k], tanh_c[k], h[k] = c_k, tanh_c_k, o_k * tanh_c_k


def backward(n, r, j0, j1, kept, dstates, da):
    """Compute da, and dc of the step before, from dh and dc."""
    (_, c_prev, gates, _, tanh_c, _), (dh, dc) = kept, dstates
    one = gates.dtype.type(1)
    H = dh.shape[1]
    i, f, g, o = four_gates(gates, n, H, j0, j1)
    da_i, da_f, da_g, da_o = four_gates(da[0], n, H, j0, j1)
    dh, dc = run(dh, r, j0, j1), run(dc, r, j0, j1)
    c_prev, tanh_c = run(c_prev, n, j0, j1), run(tanh_c, n, j0, j1)
    for k in range(j1 - j0):
        i_k, f_k, g_k, o_k, tanh_c_k = i[k], f[k], g[k], o[k], tanh_c[k]
        do = dh[k] * tanh_c_k
        dc_k = dc[k] + dh[k] * o_k * (one - tanh_c_k * tanh_c_k)
        da_i[k] = dc_k * g_k * i_k * (one - i_k)
        da_f[k] = dc_k * c_prev[k] * f_k * (one - f_k)
        da_g[k] = dc_k * i_k * (one - g_k * g_k)
        da_o[k] = do * o_k * (one - o_k)
        dc[k] = dc_k * f_k


LSTM = recurrence("lstm", forward, backward)


def _slstm(name, exponential):
    """Make the kernels of the sLSTM with one forget gate."""

    def forward(row, before, after, j0, j1, sums, states):
        """Activate the gates and fill the states."""
        widest_vectors()
        (gates,), (h, c, n, m, log_f) = sums, states
        i, f, z, o = four_gates(gates, row, h.shape[1], j0, j1)
        c_prev, c = run(c, before, j0, j1), run(c, after, j0, j1)
        n_prev, n = run(n, before, j0, j1), run(n, after, j0, j1)
        m_prev, m = run(m, before, j0, j1), run(m, after, j0, j1)
        log_f, h = run(log_f, after, j0, j1), run(h, after, j0, j1)
        for k in range(j1 - j0):
            log_f_k = f[k] if exponential else log_sigmoid(f[k])
            past, now = log_f_k + m_prev[k], i[k]
            m_k = past if past > now else now
            i_k, f_k, z_k, o_k = exp(now - m_k), exp(past - m_k), tanh(z[k]), sigmoid(o[k])
            c_k, n_k = f_k * c_prev[k] + i_k * z_k, f_k * n_prev[k] + i_k
            i[k], f[k], z[k], o[k] = i_k, f_k, z_k, o_k
            c[k], n[k], m[k], log_f[k], h[k] = c_k, n_k, m_k, log_f_k, o_k * (c_k / n_k)

    def backward(row, r, j0, j1, kept, dstates, da):
        """Compute da, and dc, dn and dm of the step before, from dh, dc and dn."""
        widest_vectors()
        (_, c_prev, n_prev, _, gates, _, c, n, _, log_f), (dh, dc, dn, dm) = kept, dstates
        one = gates.dtype.type(1)
        H = dh.shape[1]
        i, f, z, o = four_gates(gates, row, H, j0, j1)
        da_i, da_f, da_z, da_o = four_gates(da[0], row, H, j0, j1)
        dh, dc = run(dh, r, j0, j1), run(dc, r, j0, j1)
        dn, dm = run(dn, r, j0, j1), run(dm, r, j0, j1)
        c, n = run(c, row, j0, j1), run(n, row, j0, j1)
        c_prev, n_prev = run(c_prev, row, j0, j1), run(n_prev, row, j0, j1)
        log_f = run(log_f, row, j0, j1)
        for k in range(j1 - j0):
            i_k, f_k, z_k, o_k = i[k], f[k], z[k], o[k]
            mean = c[k] / n[k]
            of_mean = dh[k] * o_k / n[k]
            do = dh[k] * mean
            dc_k, dn_k = dc[k] + of_mean, dn[k] - of_mean * mean
            dlog_f = (dc_k * c_prev[k] + dn_k * n_prev[k]) * f_k
            da_i[k] = (dc_k * z_k + dn_k) * i_k
            da_f[k] = dlog_f if exponential else dlog_f * (one - exp(log_f[k]))
            da_z[k] = dc_k * i_k * (one - z_k * z_k)
            da_o[k] = do * o_k * (one - o_k)
            dc[k], dn[k], dm[k] = dc_k * f_k, dn_k * f_k, dlog_f

    return recurrence(f"slstm_{name}", forward, backward)


SLSTM = {"sigmoid": _slstm("sigmoid", False), "exp": _slstm("exp", True)}
