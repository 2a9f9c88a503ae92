"""The delta rules: a state that is a matrix, where a value replaces what is stored at its key.

K is the number of entries of a key, and here V that of a value. No layer or model uses them; the
functions are for a `numpylstm.Module` of your own.
"""

from typing import NamedTuple

import numpy as np

from numpylstm.reference.linear_attention import outer, read

__all__ = [
    "DeltaRuleCache",
    "GatedDeltaRuleCache",
    "delta_rule_step_forward",
    "delta_rule_step_backward",
    "delta_rule_cache",
    "delta_rule_forward",
    "delta_rule_backward",
    "gated_delta_rule_forward",
    "gated_delta_rule_backward",
]


class DeltaRuleCache(NamedTuple):
    """Cache of the delta rules. One step holds (B, .) arrays, a sequence (T, B, .) arrays."""

    q: np.ndarray  # (T, B, K)
    k: np.ndarray  # (T, B, K)
    error: np.ndarray  # (T, B, V): the value minus what was stored at its key
    beta: np.ndarray  # (T, B)
    S_prev: np.ndarray  # (T, B, K, V): the state before each write; with a decay, after the decay
    S: np.ndarray  # (T, B, K, V): the state after each write

    def at(self, t):
        """Return the cache of step t alone."""
        return self._replace(
            q=self.q[t],
            k=self.k[t],
            error=self.error[t],
            beta=self.beta[t],
            S_prev=self.S_prev[t],
            S=self.S[t],
        )


class GatedDeltaRuleCache(NamedTuple):
    """Cache of `gated_delta_rule_forward`: the decay, and the cache of the delta rule after it."""

    decay: np.ndarray  # (T, B)
    S_prev: np.ndarray  # (T, B, K, V): the state before each decay
    write: DeltaRuleCache


def delta_rule_step_forward(q, k, v, beta, S_prev):
    """One step: correct what is stored at a key, then read.

    The new value is not added to the old one, it replaces it, as far as beta says. For a key of
    length 1, ``k @ S = (1 - beta) * (k @ S_prev) + beta * v``: beta = 0 writes nothing, beta = 1
    replaces. It is also one step of gradient descent, with the rate beta, on the recall loss
    ``sum((v - k @ S) ** 2) / 2``: the state is a linear network that learns while it reads (Widrow
    and Hoff 1960; Schlag, Irie and Schmidhuber 2021).

    Parameters
    ----------
    q, k : (B, K)
    v : (B, V)
    beta : (B,)
    S_prev : (B, K, V)

    Returns
    -------
    o : (B, V)
    S : (B, K, V)
    cache : DeltaRuleCache
    """
    error = v - read(k, S_prev)  # the value minus what is stored at its key
    S = S_prev + outer(beta[:, None] * k, error)
    o = read(q, S)
    return o, S, DeltaRuleCache(q, k, error, beta, S_prev, S)


def delta_rule_step_backward(do, dS, cache):
    """Turn do, (B, V), and the dS of step t+1, (B, K, V), into the gradients of the arguments.

    Returns
    -------
    dq, dk, dv, dbeta, dS_prev
        With the shapes of q, k, v, beta and S_prev.
    """
    q, k, error, beta = cache.q, cache.k, cache.error, cache.beta
    S_prev, S = cache.S_prev, cache.S

    # o = q @ S
    dq = read(do, S.swapaxes(1, 2))
    dS = dS + outer(q, do)  # S was used twice: by step t+1 and by the query

    # S = S_prev + outer(beta * k, error)
    dbeta_k = read(error, dS.swapaxes(1, 2))  # the gradient of the product beta * k
    dbeta = (dbeta_k * k).sum(axis=1)
    dk = dbeta_k * beta[:, None]
    derror = read(beta[:, None] * k, dS)

    # error = v - k @ S_prev
    dv = derror
    dk = dk - read(derror, S_prev.swapaxes(1, 2))  # k was used twice: to write and to look
    dS_prev = dS - outer(k, derror)  # what was overwritten has no effect on the future
    return dq, dk, dv, dbeta, dS_prev


def delta_rule_cache(steps):
    """Join the caches of steps into that of a sequence."""
    return DeltaRuleCache(
        q=np.stack([step.q for step in steps]),
        k=np.stack([step.k for step in steps]),
        error=np.stack([step.error for step in steps]),
        beta=np.stack([step.beta for step in steps]),
        S_prev=np.stack([step.S_prev for step in steps]),
        S=np.stack([step.S for step in steps]),
    )


def delta_rule_forward(q, k, v, beta, S0):
    """Unroll ``S_t = S_(t-1) + beta_t outer(k_t, v_t - k_t @ S_(t-1))``; read ``o_t = q_t @ S_t``.

    Written out, ``S_t = (I - beta_t outer(k_t, k_t)) @ S_(t-1) + beta_t outer(k_t, v_t)``: for keys
    of length 1, the matrix in front has the eigenvalue ``1 - beta_t`` along the key and 1 across
    it. With beta in [0, 2] it stays within [-1, 1]; above 1 it is negative, and the state can
    count parity (Grazzi et al. 2024). Yang et al. (2024) compute windows of steps at a time. No
    layer or model uses this function.

    Parameters
    ----------
    q, k : (T, B, K)
        Keys of length 1, usually: longer ones can make the state grow without bound.
    v : (T, B, V)
    beta : (T, B)
    S0 : (B, K, V)
        The state before the first step: zeros, or where the previous window ended.

    Returns
    -------
    o : (T, B, V)
    S : (B, K, V)
        The state after the last step, for the next window.
    cache : DeltaRuleCache
    """
    S = S0
    os, steps = [], []
    for q_t, k_t, v_t, beta_t in zip(q, k, v, beta, strict=True):
        o_t, S, step = delta_rule_step_forward(q_t, k_t, v_t, beta_t, S)
        os.append(o_t)
        steps.append(step)
    return np.stack(os), S, delta_rule_cache(steps)


def delta_rule_backward(do, dS, cache):
    """Backpropagation through time.

    Parameters
    ----------
    do : (T, B, V)
    dS : (B, K, V)
        The gradient from the next window; zeros when backpropagation is truncated here.
    cache : DeltaRuleCache

    Returns
    -------
    dq, dk, dv, dbeta, dS0
        With the shapes of q, k, v, beta and S0.
    """
    dtype = np.result_type(do, dS, cache.q, cache.S)
    dq = np.zeros(cache.q.shape, dtype)
    dk = np.zeros(cache.k.shape, dtype)
    dv = np.zeros(cache.error.shape, dtype)
    dbeta = np.zeros(cache.beta.shape, dtype)
    for t in reversed(range(len(do))):
        dq[t], dk[t], dv[t], dbeta[t], dS = delta_rule_step_backward(do[t], dS, cache.at(t))
    return dq, dk, dv, dbeta, dS


def gated_delta_rule_forward(q, k, v, beta, decay, S0):
    """The delta rule on a state that fades: ``decay_t * S_(t-1)`` stands for ``S_(t-1)``.

    The decay is a forget gate for all of the matrix at once, and the delta rule forgets at one key
    (Yang, Kautz and Hatamizadeh 2025). With beta = 0 the state only fades. No layer or model uses
    this function.

    Parameters
    ----------
    q, k, v, beta, S0
        As in `delta_rule_forward`.
    decay : (T, B)
        From 0 (forget) to 1 (keep).

    Returns
    -------
    o : (T, B, V)
    S : (B, K, V)
    cache : GatedDeltaRuleCache
    """
    S = S0
    os, before, steps = [], [], []
    for q_t, k_t, v_t, beta_t, decay_t in zip(q, k, v, beta, decay, strict=True):
        before.append(S)
        faded = decay_t[:, None, None] * S
        o_t, S, step = delta_rule_step_forward(q_t, k_t, v_t, beta_t, faded)
        os.append(o_t)
        steps.append(step)
    write = delta_rule_cache(steps)
    return np.stack(os), S, GatedDeltaRuleCache(decay, np.stack(before), write)


def gated_delta_rule_backward(do, dS, cache):
    """Backpropagation through time.

    Parameters
    ----------
    do, dS
        As in `delta_rule_backward`.
    cache : GatedDeltaRuleCache

    Returns
    -------
    dq, dk, dv, dbeta, ddecay, dS0
        With the shapes of q, k, v, beta, decay and S0.
    """
    write = cache.write
    dtype = np.result_type(do, dS, write.q, write.S)
    dq = np.zeros(write.q.shape, dtype)
    dk = np.zeros(write.k.shape, dtype)
    dv = np.zeros(write.error.shape, dtype)
    dbeta = np.zeros(write.beta.shape, dtype)
    ddecay = np.zeros(cache.decay.shape, dtype)
    for t in reversed(range(len(do))):
        dq[t], dk[t], dv[t], dbeta[t], dfaded = delta_rule_step_backward(do[t], dS, write.at(t))

        # faded = decay * S_prev
        ddecay[t] = (dfaded * cache.S_prev[t]).sum(axis=(1, 2))
        dS = dfaded * cache.decay[t][:, None, None]
    return dq, dk, dv, dbeta, ddecay, dS
