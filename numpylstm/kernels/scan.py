"""The linear recurrence; all arrays are (T, N), and each of the N entries is a chain of its own.

Every number is read once and used once, so the time is that of the memory.
"""

from .machine import GRAIN, kernel, part, widest_vectors


@kernel(shared=True)
def forward(a, b, h, share, shares):
    """Fill h (T+1, N), which begins with h0: h[t+1] = a[t] * h[t] + b[t]."""
    widest_vectors()
    first, last = part(h.shape[1], share, shares, GRAIN)
    for t in range(len(a)):
        a_t, b_t = a[t, first:last], b[t, first:last]
        h_prev, h_t = h[t, first:last], h[t + 1, first:last]
        for k in range(a_t.size):
            h_t[k] = a_t[k] * h_prev[k] + b_t[k]


@kernel(shared=True)
def backward(dhs, a, h_prev, da, db, dh, share, shares):
    """Fill da and db; dh (1, N) arrives as dhT and leaves as dh0."""
    widest_vectors()
    first, last = part(dh.shape[1], share, shares, GRAIN)
    dh_t = dh[0, first:last]
    for step in range(len(a)):
        t = len(a) - 1 - step
        dhs_t, a_t, h_t = dhs[t, first:last], a[t, first:last], h_prev[t, first:last]
        da_t, db_t = da[t, first:last], db[t, first:last]
        for k in range(a_t.size):
            db_t[k] = dhs_t[k] + dh_t[k]
            da_t[k] = db_t[k] * h_t[k]
            dh_t[k] = db_t[k] * a_t[k]
