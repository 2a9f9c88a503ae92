"""Linear attention: a state that is a matrix, where values are written at keys and read by queries.

K is the number of entries of a key, and here V that of a value. No layer or model uses it; the
functions are for a `numpylstm.Module` of your own.
"""

from typing import NamedTuple

import numpy as np

__all__ = [
    "LinearAttentionCache",
    "outer",
    "read",
    "linear_attention_step_forward",
    "linear_attention_step_backward",
    "linear_attention_forward",
    "linear_attention_backward",
]


class LinearAttentionCache(NamedTuple):
    """Cache of `linear_attention_forward`. One step holds (B, .) arrays, a sequence (T, B, .)."""

    q: np.ndarray  # (T, B, K)
    k: np.ndarray  # (T, B, K)
    v: np.ndarray  # (T, B, V)
    S: np.ndarray  # (T, B, K, V): the state after each write

    def at(self, t):
        """Return the cache of step t alone."""
        return self._replace(q=self.q[t], k=self.k[t], v=self.v[t], S=self.S[t])


def outer(k, v):
    """The matrix (B, K, V) that stores the value v, (B, V), at the key k, (B, K)."""
    return k[:, :, None] * v[:, None, :]


def read(q, S):
    """The row (B, V) that the query q, (B, K), reads from the matrix S, (B, K, V): q @ S."""
    return (q[:, None, :] @ S)[:, 0, :]


def linear_attention_step_forward(q, k, v, S_prev):
    """One step: store a value at a key, then read.

    If the keys are orthogonal and have length 1, a query equal to one of them reads its value
    alone: ``k @ outer(k, v) = v``. In general each value arrives with the dot product of its key
    and the query as its weight, so a query near two keys reads a mixture, and a second value
    stored at one key is added to the first.

    Parameters
    ----------
    q, k : (B, K)
    v : (B, V)
    S_prev : (B, K, V)

    Returns
    -------
    o : (B, V)
    S : (B, K, V)
    cache : LinearAttentionCache
    """
    S = S_prev + outer(k, v)
    o = read(q, S)
    return o, S, LinearAttentionCache(q, k, v, S)


def linear_attention_step_backward(do, dS, cache):
    """Turn do, (B, V), and the dS of step t+1, (B, K, V), into the gradients of the arguments.

    Returns
    -------
    dq, dk, dv, dS_prev
        With the shapes of q, k, v and S_prev.
    """
    q, k, v, S = cache.q, cache.k, cache.v, cache.S

    # o = q @ S
    dq = read(do, S.swapaxes(1, 2))
    dS = dS + outer(q, do)  # S was used twice: by step t+1 and by the query

    # S = S_prev + outer(k, v)
    dk = read(v, dS.swapaxes(1, 2))
    dv = read(k, dS)
    return dq, dk, dv, dS  # a sum: dS goes back unchanged


def linear_attention_forward(q, k, v, S0):
    """Unroll ``S_t = S_(t-1) + outer(k_t, v_t)`` and read ``o_t = q_t @ S_t``.

    This is attention without its softmax (Katharopoulos et al. 2020): ``o_t`` is the sum of the
    values so far, each times ``q_t @ k_s``. Attention keeps all keys and values and grows with the
    text; here their sum is kept, whose size is fixed. As fast weights it is older than the LSTM
    (Schmidhuber 1992). Nothing is scaled or normalised: that is up to the caller. No layer or model
    uses this function.

    Parameters
    ----------
    q, k : (T, B, K)
    v : (T, B, V)
    S0 : (B, K, V)
        The state before the first step: zeros, or where the previous window ended.

    Returns
    -------
    o : (T, B, V)
    S : (B, K, V)
        The state after the last step, for the next window.
    cache : LinearAttentionCache
    """
    S = S0
    os, states = [], []
    for q_t, k_t, v_t in zip(q, k, v, strict=True):
        o_t, S, _ = linear_attention_step_forward(q_t, k_t, v_t, S)
        os.append(o_t)
        states.append(S)
    return np.stack(os), S, LinearAttentionCache(q, k, v, np.stack(states))


def linear_attention_backward(do, dS, cache):
    """Backpropagation through time.

    Parameters
    ----------
    do : (T, B, V)
    dS : (B, K, V)
        The gradient from the next window; zeros when backpropagation is truncated here.
    cache : LinearAttentionCache

    Returns
    -------
    dq, dk, dv, dS0
        With the shapes of q, k, v and S0.
    """
    dtype = np.result_type(do, dS, cache.q, cache.S)
    dq = np.zeros(cache.q.shape, dtype)
    dk = np.zeros(cache.k.shape, dtype)
    dv = np.zeros(cache.v.shape, dtype)
    for t in reversed(range(len(do))):
        dq[t], dk[t], dv[t], dS = linear_attention_step_backward(do[t], dS, cache.at(t))
    return dq, dk, dv, dS
