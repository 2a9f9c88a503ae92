"""The pointwise functions of the LSTM, and of the sLSTM; `recurrence` does the rest.

sums: gates (N, 4H), which end as the activated gates. states: h, c, and tanh_c, whose first B rows
are not used. kept: h_prev, c_prev, gates, c, tanh_c, h. dstates: dh, dc. da: of the gates' sums.

sLSTM: states: h, c, n, m, and log_f, whose first B rows are not used. kept: h_prev, c_prev, n_prev,
m_prev, gates, h, c, n, m, log_f. dstates: dh, dc, dn, dm.
"""

from .machine import exp, log_sigmoid, row_slice, sigmoid, tanh, widest_vectors
from .recurrence import four_gates, recurrence


def forward(n, before, after, j0, j1, sums, states):
    """Activate the gates and fill c and h."""
    widest_vectors()
    (gates,) = sums
    h, c, tanh_c = states
    i, f, g, o = four_gates(gates, n, h.shape[1], j0, j1)
    c_prev = row_slice(c, before, j0, j1)
    c = row_slice(c, after, j0, j1)
    tanh_c = row_slice(tanh_c, after, j0, j1)
    h = row_slice(h, after, j0, j1)
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


def backward(n, r, j0, j1, kept, dstates, da):
    """Compute da, and dc of the step before, from dh and dc."""
    _, c_prev, gates, _, tanh_c, _ = kept
    dh, dc = dstates
    one = gates.dtype.type(1)
    H = dh.shape[1]
    i, f, g, o = four_gates(gates, n, H, j0, j1)
    da_i, da_f, da_g, da_o = four_gates(da[0], n, H, j0, j1)
    dh = row_slice(dh, r, j0, j1)
    dc = row_slice(dc, r, j0, j1)
    c_prev = row_slice(c_prev, n, j0, j1)
    tanh_c = row_slice(tanh_c, n, j0, j1)
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
        dc[k] = dc_k * f_k


LSTM = recurrence("lstm", forward, backward)


def _slstm(name, exponential):
    """Make the kernels of the sLSTM with one forget gate."""

    def forward(row, before, after, j0, j1, sums, states):
        """Activate the gates and fill the states."""
        widest_vectors()
        (gates,) = sums
        h, c, n, m, log_f = states
        i, f, z, o = four_gates(gates, row, h.shape[1], j0, j1)
        c_prev = row_slice(c, before, j0, j1)
        n_prev = row_slice(n, before, j0, j1)
        m_prev = row_slice(m, before, j0, j1)
        c = row_slice(c, after, j0, j1)
        n = row_slice(n, after, j0, j1)
        m = row_slice(m, after, j0, j1)
        log_f = row_slice(log_f, after, j0, j1)
        h = row_slice(h, after, j0, j1)
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

    def backward(row, r, j0, j1, kept, dstates, da):
        """Compute da, and dc, dn and dm of the step before, from dh, dc and dn."""
        widest_vectors()
        _, c_prev, n_prev, _, gates, _, c, n, _, log_f = kept
        dh, dc, dn, dm = dstates
        one = gates.dtype.type(1)
        H = dh.shape[1]
        i, f, z, o = four_gates(gates, row, H, j0, j1)
        da_i, da_f, da_z, da_o = four_gates(da[0], row, H, j0, j1)
        dh = row_slice(dh, r, j0, j1)
        dc = row_slice(dc, r, j0, j1)
        dn = row_slice(dn, r, j0, j1)
        dm = row_slice(dm, r, j0, j1)
        c = row_slice(c, row, j0, j1)
        n = row_slice(n, row, j0, j1)
        c_prev = row_slice(c_prev, row, j0, j1)
        n_prev = row_slice(n_prev, row, j0, j1)
        log_f = row_slice(log_f, row, j0, j1)
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
            dc[k] = dc_k * f_k
            dn[k] = dn_k * f_k
            dm[k] = dlog_f

    return recurrence(f"slstm_{name}", forward, backward)


SLSTM = {"sigmoid": _slstm("sigmoid", False), "exp": _slstm("exp", True)}
