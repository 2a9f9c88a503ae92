"""Solutions of blanks that the textbook has in another form, or not at all.

Like the textbook, they are plain code without annotations: the grader tries wrong forms of their
lines and shows the right ones. Where the textbook has a blank, but with other arguments, a function
``of_...`` makes its arguments of those of the workbook.
"""

import numpy as np

from numpylstm import reference


def sigmoid(a):
    """Sigmoid of an array."""
    s = 1 / (1 + np.exp(-a))
    return s


def sigmoid_slope(s):
    """Slope of the sigmoid, from its output."""
    ds = s * (1 - s)
    return ds


def cross_entropy(logits, targets):
    """Mean negative log-likelihood of the targets (B,) under the logits (B, V)."""
    z = logits - logits.max(axis=1, keepdims=True)
    nll = np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(z)), targets]
    loss = nll.mean()
    return loss


def cross_entropy_backward(logits, targets):
    """Gradient of `cross_entropy` with respect to the logits, (B, V)."""
    B, V = logits.shape
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    onehot = targets[:, None] == np.arange(V)
    dlogits = (p - onehot) / B
    return dlogits


def clip(gradients, max_norm):
    """Clip a list of arrays by their global norm."""
    norm = np.sqrt(sum((g * g).sum() for g in gradients))
    factor = np.minimum(1, max_norm / norm)
    clipped = [factor * g for g in gradients]
    return clipped


def sgd(W, dW, lr):
    """One step of stochastic gradient descent."""
    new_W = W - lr * dW
    return new_W


# --- arguments of the textbook --------------------------------------------------------------------


def of_rnn_step(dh, x, h_prev, h, Wx, Wh):
    """Arguments of `reference.rnn_step_backward`."""
    return dh, reference.RNNCache(x, h_prev, h, Wx, Wh, "tanh")


def of_lstm_step(dh, dc, x, h_prev, c_prev, i, f, g, o, tanh_c, Wx, Wh):
    """Arguments of `reference.lstm_step_backward`."""
    gates = np.concatenate([i, f, g, o], axis=1)
    c = h = np.full_like(tanh_c, np.nan)  # the backward pass reads neither
    return dh, dc, reference.LSTMCache(x, h_prev, c_prev, gates, c, tanh_c, h, Wx, Wh)


def of_lstm(dhs, dhT, dcT, x, h0, c0, steps, Wx, Wh):
    """Arguments of `lstm_backward` below, with the steps as one array (T, 7, B, H)."""
    return dhs, dhT, dcT, x, h0, c0, np.array(steps), Wx, Wh


def of_gru_step(dh, x, h_prev, r, z, n, Wx, Wh):
    """Arguments of `reference.gru_step_backward`."""
    gates = np.concatenate([r, z, n], axis=1)
    h = np.full_like(n, np.nan)  # the backward pass does not read it
    return dh, reference.GRUCache(x, h_prev, gates, r * h_prev, h, Wx, Wh, None, "before")


def of_embedding(dx, ids, V):
    """Arguments of `reference.embedding_backward`."""
    return dx, reference.EmbeddingCache(ids, (V, dx.shape[-1]))


# --- loops back through time ----------------------------------------------------------------------


def rnn_step_backward(dh, x, h_prev, h, Wx, Wh):
    """Backward pass of a step, with the workbook's arguments."""
    return reference.rnn_step_backward(*of_rnn_step(dh, x, h_prev, h, Wx, Wh))


def rnn_backward(dhs, dhT, x, h_prev, h, Wx, Wh):
    """Backward pass of a sequence."""
    dx, dWx, dWh, db = (np.zeros_like(like) for like in (x, Wx, Wh, Wh[0]))
    dh = dhT
    for t in reversed(range(len(x))):
        dx[t], dh, dWx_t, dWh_t, db_t = rnn_step_backward(
            dhs[t] + dh, x[t], h_prev[t], h[t], Wx, Wh
        )
        dWx += dWx_t
        dWh += dWh_t
        db += db_t
    return dx, dh, dWx, dWh, db


def lstm_step_backward(dh, dc, x, h_prev, c_prev, i, f, g, o, tanh_c, Wx, Wh):
    """Backward pass of a step, with the workbook's arguments."""
    given = of_lstm_step(dh, dc, x, h_prev, c_prev, i, f, g, o, tanh_c, Wx, Wh)
    return reference.lstm_step_backward(*given)


def lstm_backward(dhs, dhT, dcT, x, h0, c0, steps, Wx, Wh):
    """Backward pass of a sequence; `steps` holds i, f, g, o, c, tanh_c, h of each step."""
    dx, dWx, dWh, db = (np.zeros_like(like) for like in (x, Wx, Wh, Wh[0]))
    dh, dc = dhT, dcT
    for t in reversed(range(len(x))):
        i, f, g, o, c, tanh_c, h = steps[t]  # (7, B, H)  # noqa: RUF059
        c_prev = steps[t - 1][4] if t else c0
        h_prev = steps[t - 1][6] if t else h0
        dx[t], dh, dc, dWx_t, dWh_t, db_t = lstm_step_backward(
            dhs[t] + dh, dc, x[t], h_prev, c_prev, i, f, g, o, tanh_c, Wx, Wh
        )
        dWx += dWx_t
        dWh += dWh_t
        db += db_t
    return dx, dh, dc, dWx, dWh, db
