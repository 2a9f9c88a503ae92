"""The textbook: every forward pass with its backward pass, in plain NumPy.

Read this file from top to bottom and you have read backpropagation through time. Nothing here is
fast and nothing is hidden; `numpylstm.functional` computes the same numbers quickly, and the tests
hold the two together.

How to read it
--------------
Letters
    T time steps (a long text is read in *windows* of T), B batch, D inputs, H hidden units, V words
    in the vocabulary. Time comes first: ids are (T, B), activations are (T, B, D), and ``x[t]`` is
    what the network sees at time t.
Names
    ``a`` is a weighted sum before its nonlinearity. ``dh`` is the gradient of the loss with respect
    to ``h`` and has its shape, and likewise for every name. ``h_prev`` is the ``h`` of step t-1.
Pairs
    ``y, cache = NAME_forward(x, ...)`` computes a value and keeps what its derivative will need.
    ``dx, ... = NAME_backward(dy, cache)`` turns the gradient of the result into the gradients of
    the arguments, in the order of the arguments. It is the chain rule, read from the last line of
    the forward pass to the first.

Three rules give every line of every backward pass:

1. ``y = f(a)`` elementwise:  ``da = dy * f'(a)``. So too for each factor of a product:
   ``y = u * v`` gives ``du = dy * v`` and ``dv = dy * u``; a term of a sum receives ``dy`` itself.
2. ``y = x @ W``:             ``dx = dy @ W.T``  and  ``dW = x.T @ dy``. (The shapes allow no other
   product, unless W is square as ``Wh`` of a vanilla network is: there nothing but a check tells
   ``dy @ W.T`` from ``dy @ W``.)
3. A value used in several places receives the **sum** of the gradients from those places. A weight
   used at every time step is such a value, a bias used in every row is another, and so is ``h``:
   step t hands it both to the layer above and to step t+1. That is all that "through time" means.

The functions are pure (no argument is changed, no randomness is drawn) and accept float32, float64
and complex128; only the updates of the optimisers, at the end, write in place. Complex numbers are
not a curiosity: with a parameter set to ``w + 1e-30j``, the imaginary part of the loss divided by
1e-30 is the derivative, with no rounding error to speak of (the complex step). Every gradient in
this file is checked that way. It is why maxima, signs and comparisons below look at the real part
only.

The matrix products are NumPy's, and the library below it, a BLAS, may add up in another order with
another number of threads: every bit of a result is the same with one number of BLAS threads
(``OPENBLAS_NUM_THREADS`` fixes it for the BLAS that NumPy brings). `numpylstm.functional` does not
depend on it.

Sources: Elman (1990) for the vanilla network; Werbos (1990) for backpropagation through time;
Hochreiter and Schmidhuber (1997) and Gers, Schmidhuber and Cummins (2000) for the LSTM with its
forget gate; Cho et al. (2014) for the GRU; Feng et al. (2024) for minGRU and minLSTM; Beck et al.
(2024) for the sLSTM; Zaremba, Sutskever and Vinyals (2014) for where dropout goes; Luong, Pham and
Manning (2015) for attention; Schmidhuber (1992), Katharopoulos et al. (2020), Schlag, Irie and
Schmidhuber (2021) and Yang et al. (2024) for states that are matrices; Pascanu, Mikolov and Bengio
(2013) for clipping; Kingma and Ba (2015) for Adam; Loshchilov and Hutter (2019) for AdamW; Squire
and Trapp (1998) for the complex step.
"""

from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np

# ---------------------------------------------------------------------------------------------
# Nonlinearities, and their derivatives written in terms of the *output*, which is already there
# ---------------------------------------------------------------------------------------------


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


# ---------------------------------------------------------------------------------------------
# Embedding: row lookup. The same formula for one step, ids (B,), and for a sequence, ids (T, B)
# ---------------------------------------------------------------------------------------------


class EmbeddingCache(NamedTuple):
    """Cache of `embedding_forward`: the ids, and the shape of the table, (V, D)."""

    ids: np.ndarray
    shape: tuple[int, ...]


def embedding_forward(ids, W):
    """Look up one row of the table for each id: the product with W of a row that is 1 at the id.

    Parameters
    ----------
    ids : (T, B) or (B,) integers in [0, V)
    W : (V, D)

    Returns
    -------
    x : (T, B, D) or (B, D)
        ``x[t, b] = W[ids[t, b]]``: the product of a one-hot row with W, without the zeros.
    cache : EmbeddingCache
    """
    return W[ids], EmbeddingCache(ids, W.shape)


def embedding_backward(dx, cache):
    """Give each row of the table the gradients of all the places where it was used.

    Returns
    -------
    dW : (V, D)
        A word that occurs twice receives two gradients, and they **add**: ``dW[ids] += dx`` would
        keep only one of them.
    """
    ids, shape = cache
    dW = np.zeros(shape, dx.dtype)
    np.add.at(dW, ids, dx)
    return dW


def embedding_backward_rows(dx, cache):
    """The same gradient without its zeros.

    A window of text holds some hundred words, a vocabulary thousands. Filling, clipping and
    subtracting zeros for all the words that did not occur would cost more than everything else.

    Returns
    -------
    rows : (n,)
        The rows of the table that were used, each once, in order.
    drows : (n, D)
        Their gradients: ``dW[rows] = drows``, and all else is zero.
    """
    rows, place = np.unique(cache.ids, return_inverse=True)
    return rows, embedding_backward(
        dx, EmbeddingCache(place.reshape(cache.ids.shape), (len(rows), dx.shape[-1]))
    )


# ---------------------------------------------------------------------------------------------
# Vanilla recurrent network
# ---------------------------------------------------------------------------------------------


class RNNCache(NamedTuple):
    """Values for the backward pass. One step holds (B, .) arrays, a sequence (T, B, .) arrays."""

    x: np.ndarray  # (T, B, D)
    h_prev: np.ndarray  # (T, B, H): h at t-1; h_prev[0] is h0
    h: np.ndarray  # (T, B, H)
    Wx: np.ndarray  # (D, H)
    Wh: np.ndarray  # (H, H)
    activation: str


def rnn_step_forward(x, h_prev, Wx, Wh, b, activation="tanh"):
    """One step: the new state is a squashed mixture of the input and of the old state.

    Parameters
    ----------
    x : (B, D)
    h_prev : (B, H)
    Wx : (D, H)
    Wh : (H, H)
    b : (H,)
    activation : "tanh", "relu" or "sigmoid"

    Returns
    -------
    h : (B, H)
    cache : RNNCache
    """
    a = x @ Wx + h_prev @ Wh + b
    h = activate(a, activation)
    return h, RNNCache(x, h_prev, h, Wx, Wh, activation)


def rnn_step_backward(dh, cache):
    """Turn dh, (B, H), summed over every use of h, into the gradients of the arguments.

    Returns
    -------
    dx, dh_prev, dWx, dWh, db
        With the shapes of x, h_prev, Wx, Wh and b.
    """
    x, h_prev, h, Wx, Wh, activation = cache
    da = dh * activation_derivative(h, activation)
    dx = da @ Wx.T
    dh_prev = da @ Wh.T  # on its way to step t-1: once more times Wh.T, once more times f'
    dWx = x.T @ da
    dWh = h_prev.T @ da
    db = da.sum(axis=0)
    return dx, dh_prev, dWx, dWh, db


def rnn_forward(x, h0, Wx, Wh, b, activation="tanh", lengths=None):
    """Unroll the step over a sequence: the same weights at every time step.

    Parameters
    ----------
    x : (T, B, D)
    h0 : (B, H)
        The state before the first step: zeros, or where the previous window ended.
    Wx, Wh, b : (D, H), (H, H), (H,)
    activation : "tanh", "relu" or "sigmoid"
    lengths : (B,) integers from 0 to T, optional
        Where each sequence ends, if the batch is padded; see `padded_forward`.

    Returns
    -------
    hs : (T, B, H)
        The state after each step, for the layer above.
    hT : (B, H)
        The state after the last step, for the next window.
    cache : RNNCache, or PaddedCache with lengths
    """
    if lengths is not None:
        return padded_forward(rnn_forward, lengths, x, [h0], Wx, Wh, b, activation)
    h, hs = h0, []
    for x_t in x:
        h, _ = rnn_step_forward(x_t, h, Wx, Wh, b, activation)
        hs.append(h)
    hs = np.stack(hs)
    h_prev = np.concatenate([h0[None], hs[:-1]])
    return hs, h, RNNCache(x, h_prev, hs, Wx, Wh, activation)


def rnn_backward(dhs, dhT, cache):
    """Backpropagation through time.

    Parameters
    ----------
    dhs : (T, B, H)
        The gradient from the layer above, at each step.
    dhT : (B, H)
        The gradient from the next window; zeros when backpropagation is truncated here.
    cache : RNNCache or PaddedCache

    Returns
    -------
    dx, dh0, dWx, dWh, db
        With the shapes of x, h0, Wx, Wh and b.
    """
    if isinstance(cache, PaddedCache):
        return padded_backward(rnn_backward, dhs, [dhT], cache)
    x, h_prev, h, Wx, Wh, activation = cache
    dtype = np.result_type(dhs, h)
    dx, dWx, dWh = (np.zeros(like.shape, dtype) for like in (x, Wx, Wh))
    db = np.zeros(Wh.shape[1:], dtype)
    dh = dhT  # from the future; before the last step there is only dhT
    for t in reversed(range(len(x))):
        step = RNNCache(x[t], h_prev[t], h[t], Wx, Wh, activation)
        dx[t], dh, dWx_t, dWh_t, db_t = rnn_step_backward(dhs[t] + dh, step)  # rule 3
        dWx += dWx_t
        dWh += dWh_t
        db += db_t
    return dx, dh, dWx, dWh, db


# ---------------------------------------------------------------------------------------------
# Long short-term memory
# ---------------------------------------------------------------------------------------------


def _gates(**meanings):
    """Decorator: give a cache its gates, blocks of `gates` in this order, by name, as views."""

    def named(kind):
        for k, (name, meaning) in enumerate(meanings.items()):
            setattr(kind, name, property(partial(block, k), doc=meaning))
        return kind

    def block(k, cache):
        H = cache.h.shape[-1]
        return cache.gates[..., k * H : (k + 1) * H]

    return named


@_gates(
    i="Input gate: how much of the candidate is written.",
    f="Forget gate: how much of the old cell is kept.",
    g="Candidate: what would be written.",
    o="Output gate: how much of the cell is shown.",
)
class LSTMCache(NamedTuple):
    """Values for the backward pass. One step holds (B, .) arrays, a sequence (T, B, .) arrays.

    ``cache.i``, ``.f``, ``.g`` and ``.o`` are views of ``gates``.
    """

    x: np.ndarray  # (T, B, D)
    h_prev: np.ndarray  # (T, B, H): h at t-1; h_prev[0] is h0
    c_prev: np.ndarray  # (T, B, H): c at t-1; c_prev[0] is c0
    gates: np.ndarray  # (T, B, 4H): i, f, g, o side by side, after their nonlinearities
    c: np.ndarray  # (T, B, H)
    tanh_c: np.ndarray  # (T, B, H)
    h: np.ndarray  # (T, B, H)
    Wx: np.ndarray  # (D, 4H)
    Wh: np.ndarray  # (H, 4H)


def lstm_step_forward(x, h_prev, c_prev, Wx, Wh, b):
    """One step of the memory cell.

    Parameters
    ----------
    x : (B, D)
    h_prev, c_prev : (B, H)
    Wx : (D, 4H)
    Wh : (H, 4H)
    b : (4H,)
        The columns of Wx, Wh and b are four blocks of H, in the order i, f, g, o.

    Returns
    -------
    h, c : (B, H)
    cache : LSTMCache
    """
    a = x @ Wx + h_prev @ Wh + b  # (B, 4H)
    a_i, a_f, a_g, a_o = np.split(a, 4, axis=1)  # four times (B, H)
    i = sigmoid(a_i)  # write?
    f = sigmoid(a_f)  # keep?
    g = np.tanh(a_g)  # what to write
    o = sigmoid(a_o)  # show?
    c = f * c_prev + i * g  # the carousel: a sum, no matrix and no squashing between c_prev and c
    tanh_c = np.tanh(c)
    h = o * tanh_c
    gates = np.concatenate([i, f, g, o], axis=1)
    return h, c, LSTMCache(x, h_prev, c_prev, gates, c, tanh_c, h, Wx, Wh)


def lstm_step_backward(dh, dc, cache):
    """Turn the gradients from every use of h and c into the gradients of the arguments.

    Parameters
    ----------
    dh : (B, H)
        From the layer above and from step t+1, already added.
    dc : (B, H)
        From step t+1 along the carousel.
    cache : LSTMCache

    Returns
    -------
    dx, dh_prev, dc_prev, dWx, dWh, db
        With the shapes of x, h_prev, c_prev, Wx, Wh and b.
    """
    x, h_prev, c_prev, _, _, tanh_c, _, Wx, Wh = cache
    i, f, g, o = cache.i, cache.f, cache.g, cache.o

    # h = o * tanh_c
    do = dh * tanh_c
    dc = dc + dh * o * (1 - tanh_c * tanh_c)  # c was used twice: by step t+1 and by h

    # c = f * c_prev + i * g
    df = dc * c_prev
    di = dc * g
    dg = dc * i
    dc_prev = dc * f  # straight back along the carousel, scaled only by the forget gate

    # i, f, o = sigmoid(a), g = tanh(a)
    da_i = di * i * (1 - i)
    da_f = df * f * (1 - f)
    da_g = dg * (1 - g * g)
    da_o = do * o * (1 - o)
    da = np.concatenate([da_i, da_f, da_g, da_o], axis=1)  # (B, 4H)

    # a = x @ Wx + h_prev @ Wh + b
    dx = da @ Wx.T
    dh_prev = da @ Wh.T  # the other way back in time: through the gates
    dWx = x.T @ da
    dWh = h_prev.T @ da
    db = da.sum(axis=0)
    return dx, dh_prev, dc_prev, dWx, dWh, db


def lstm_through_h(dh, cache):
    """Turn dh, (B, H), into the part of dc that arrives through h within the step, as a tuple."""
    return (dh * cache.o * (1 - cache.tanh_c * cache.tanh_c),)


def lstm_forward(x, h0, c0, Wx, Wh, b, lengths=None):
    """Unroll the cell over a sequence.

    Parameters
    ----------
    x : (T, B, D)
    h0, c0 : (B, H)
        The state before the first step: zeros, or where the previous window ended.
    Wx, Wh, b : (D, 4H), (H, 4H), (4H,)
        Four blocks of columns, in the order i, f, g, o.
    lengths : (B,) integers from 0 to T, optional
        Where each sequence ends, if the batch is padded; see `padded_forward`.

    Returns
    -------
    hs : (T, B, H)
    hT, cT : (B, H)
    cache : LSTMCache, or PaddedCache with lengths
    """
    if lengths is not None:
        return padded_forward(lstm_forward, lengths, x, [h0, c0], Wx, Wh, b)
    h, c, steps = h0, c0, []
    for x_t in x:
        h, c, step = lstm_step_forward(x_t, h, c, Wx, Wh, b)
        steps.append(step)
    over_time = {name: np.stack([getattr(step, name) for step in steps]) for name in
                 ("x", "h_prev", "c_prev", "gates", "c", "tanh_c", "h")}  # fmt: skip
    cache = LSTMCache(**over_time, Wx=Wx, Wh=Wh)
    return cache.h, h, c, cache


def lstm_backward(dhs, dhT, dcT, cache):
    """Backpropagation through time.

    Parameters
    ----------
    dhs : (T, B, H)
        The gradient from the layer above, at each step.
    dhT, dcT : (B, H)
        The gradient from the next window; zeros when backpropagation is truncated here.
    cache : LSTMCache or PaddedCache

    Returns
    -------
    dx, dh0, dc0, dWx, dWh, db
        With the shapes of x, h0, c0, Wx, Wh and b.
    """
    if isinstance(cache, PaddedCache):
        return padded_backward(lstm_backward, dhs, [dhT, dcT], cache)
    *over_time, Wx, Wh = cache
    dtype = np.result_type(dhs, cache.h)
    dx, dWx, dWh = (np.zeros(like.shape, dtype) for like in (cache.x, Wx, Wh))
    db = np.zeros(Wh.shape[1:], dtype)
    dh, dc = dhT, dcT  # from the future
    for t in reversed(range(len(dhs))):
        step = LSTMCache(*(values[t] for values in over_time), Wx, Wh)
        dx[t], dh, dc, dWx_t, dWh_t, db_t = lstm_step_backward(dhs[t] + dh, dc, step)  # rule 3
        dWx += dWx_t
        dWh += dWh_t
        db += db_t
    return dx, dh, dc, dWx, dWh, db


# ---------------------------------------------------------------------------------------------
# Gated recurrent unit
# ---------------------------------------------------------------------------------------------


@_gates(
    r="Reset gate: how much of the past the candidate sees.",
    z="Update gate: how much of the old state is kept.",
    n="Candidate: the new state, as far as the old one is not kept.",
)
class GRUCache(NamedTuple):
    """Values for the backward pass. One step holds (B, .) arrays, a sequence (T, B, .) arrays.

    ``cache.r``, ``.z`` and ``.n`` are views of ``gates``.
    """

    x: np.ndarray  # (T, B, D)
    h_prev: np.ndarray  # (T, B, H): h at t-1; h_prev[0] is h0
    gates: np.ndarray  # (T, B, 3H): r, z, n side by side, after their nonlinearities
    s: np.ndarray  # (T, B, H): where r meets the past; see `gru_step_forward`
    h: np.ndarray  # (T, B, H)
    Wx: np.ndarray  # (D, 3H)
    Wh: np.ndarray  # (H, 3H)
    bn: np.ndarray | None  # (H,)
    reset: str


def gru_step_forward(x, h_prev, Wx, Wh, b, bn=None, reset="after"):
    """One step: the new state lies between the candidate and the old state, and z sets where.

    The reset gate scales the past **after** it went through Wh_n, or **before**. Cho et al. (2014)
    scale it before; after, as PyTorch and Keras do, all of ``h_prev @ Wh`` is one product that
    waits for no gate. The two are different functions of the same weights: a model trained with one
    is wrong with the other, and so is its gradient.

    Parameters
    ----------
    x : (B, D)
    h_prev : (B, H)
    Wx : (D, 3H)
    Wh : (H, 3H)
    b : (3H,)
        The columns of Wx, Wh and b are three blocks of H, in the order r, z, n.
    bn : (H,), optional
        Added to the past of the candidate, so that r scales it too; for "after" only.
    reset : "after" or "before"

    Returns
    -------
    h : (B, H)
    cache : GRUCache
    """
    x_r, x_z, x_n = np.split(x @ Wx + b, 3, axis=1)  # what the input adds: three times (B, H)
    Wh_r, Wh_z, Wh_n = np.split(Wh, 3, axis=1)  # three times (H, H)
    a_r = x_r + h_prev @ Wh_r
    a_z = x_z + h_prev @ Wh_z
    r = sigmoid(a_r)  # how much of the past to see?
    z = sigmoid(a_z)  # keep?
    if reset == "after":
        s = h_prev @ Wh_n + (0 if bn is None else bn)
        a_n = x_n + r * s
    elif reset == "before" and bn is None:
        s = r * h_prev
        a_n = x_n + s @ Wh_n
    else:
        raise ValueError(f"reset must be 'after', or 'before' without bn, got {reset!r}")
    n = np.tanh(a_n)
    h = (1 - z) * n + z * h_prev  # the straight way: no matrix and no squashing to h from h_prev
    gates = np.concatenate([r, z, n], axis=1)
    return h, GRUCache(x, h_prev, gates, s, h, Wx, Wh, bn, reset)


def gru_step_backward(dh, cache):
    """Turn dh, (B, H), summed over every use of h, into the gradients of the arguments.

    Returns
    -------
    dx, dh_prev, dWx, dWh, db, dbn
        With the shapes of x, h_prev, Wx, Wh, b and bn; dbn is None if bn was.
    """
    x, h_prev, _, s, _, Wx, Wh, bn, reset = cache
    r, z, n = cache.r, cache.z, cache.n
    Wh_r, Wh_z, Wh_n = np.split(Wh, 3, axis=1)

    # h = (1 - z) * n + z * h_prev
    dz = dh * (h_prev - n)
    dn = dh * (1 - z)

    # n = tanh(a_n); below, b_n is the block n of b, and bn the argument
    da_n = dn * (1 - n * n)
    if reset == "after":  # a_n = x @ Wx_n + b_n + r * s,  s = h_prev @ Wh_n + bn
        dr = da_n * s
        ds = da_n * r
        dh_prev_n = ds @ Wh_n.T
        dWh_n = h_prev.T @ ds
        dbn = None if bn is None else ds.sum(axis=0)
    else:  # a_n = x @ Wx_n + b_n + s @ Wh_n,  s = r * h_prev
        ds = da_n @ Wh_n.T
        dr = ds * h_prev
        dh_prev_n = ds * r
        dWh_n = s.T @ da_n
        dbn = None

    # r, z = sigmoid(a)
    da_r = dr * r * (1 - r)
    da_z = dz * z * (1 - z)

    # a_r = x @ Wx_r + h_prev @ Wh_r + b_r, and likewise for z; x and b enter all three
    # h_prev is used by h, scaled only by the update gate, by n, by r and by z
    dh_prev = dh * z + dh_prev_n + da_r @ Wh_r.T + da_z @ Wh_z.T
    dWh = np.concatenate([h_prev.T @ da_r, h_prev.T @ da_z, dWh_n], axis=1)
    da = np.concatenate([da_r, da_z, da_n], axis=1)  # (B, 3H)
    dx = da @ Wx.T
    dWx = x.T @ da
    db = da.sum(axis=0)
    return dx, dh_prev, dWx, dWh, db, dbn


def gru_forward(x, h0, Wx, Wh, b, bn=None, reset="after", lengths=None):
    """Unroll the unit over a sequence.

    Parameters
    ----------
    x : (T, B, D)
    h0 : (B, H)
        The state before the first step: zeros, or where the previous window ended.
    Wx, Wh, b : (D, 3H), (H, 3H), (3H,)
        Three blocks of columns, in the order r, z, n.
    bn : (H,), optional
        For the reset "after" only.
    reset : "after" or "before"
    lengths : (B,) integers from 0 to T, optional
        Where each sequence ends, if the batch is padded; see `padded_forward`.

    Returns
    -------
    hs : (T, B, H)
    hT : (B, H)
    cache : GRUCache, or PaddedCache with lengths
    """
    if lengths is not None:
        return padded_forward(gru_forward, lengths, x, [h0], Wx, Wh, b, bn, reset)
    h, steps = h0, []
    for x_t in x:
        h, step = gru_step_forward(x_t, h, Wx, Wh, b, bn, reset)
        steps.append(step)
    over_time = {name: np.stack([getattr(step, name) for step in steps]) for name in
                 ("x", "h_prev", "gates", "s", "h")}  # fmt: skip
    cache = GRUCache(**over_time, Wx=Wx, Wh=Wh, bn=bn, reset=reset)
    return cache.h, h, cache


def gru_backward(dhs, dhT, cache):
    """Backpropagation through time.

    Parameters
    ----------
    dhs : (T, B, H)
        The gradient from the layer above, at each step.
    dhT : (B, H)
        The gradient from the next window; zeros when backpropagation is truncated here.
    cache : GRUCache or PaddedCache

    Returns
    -------
    dx, dh0, dWx, dWh, db, dbn
        With the shapes of x, h0, Wx, Wh, b and bn; dbn is None if bn was.
    """
    if isinstance(cache, PaddedCache):
        return padded_backward(gru_backward, dhs, [dhT], cache)
    *over_time, Wx, Wh, bn, reset = cache
    dtype = np.result_type(dhs, cache.h)
    dx, dWx, dWh = (np.zeros(like.shape, dtype) for like in (cache.x, Wx, Wh))
    db = np.zeros(Wh.shape[1:], dtype)
    dbn = None if bn is None else np.zeros(bn.shape, dtype)
    dh = dhT  # from the future
    for t in reversed(range(len(dhs))):
        step = GRUCache(*(values[t] for values in over_time), Wx, Wh, bn, reset)
        dx[t], dh, dWx_t, dWh_t, db_t, dbn_t = gru_step_backward(dhs[t] + dh, step)  # rule 3
        dWx += dWx_t
        dWh += dWh_t
        db += db_t
        if bn is not None:
            dbn += dbn_t
    return dx, dh, dWx, dWh, db, dbn


# ---------------------------------------------------------------------------------------------
# Sequences of different lengths in one batch, filled up with anything ("padded") to T steps
# ---------------------------------------------------------------------------------------------


class PaddedCache(NamedTuple):
    """Cache of a forward pass with `lengths`: of the steps before the end of their sequence only.

    The arrays over time of `packed` are (N, .) with ``N = lengths.sum()``: the rows of step 0, then
    those of step 1, and so on, each time the longest sequence first.
    """

    packed: "RNNCache | LSTMCache | GRUCache | MinGRUCache | MinLSTMCache | SLSTMCache"
    lengths: np.ndarray  # (B,)


def padded_windows(lengths, T):
    """Cut time wherever a sequence ends: in between, the same rows of the batch take part.

    Yields
    ------
    steps : slice
        From one cut to the next.
    rows : (n,)
        The rows of the batch that have not ended, the longest sequence first.
    packed : slice
        Where these steps of these rows stand in a `PaddedCache`.
    """
    longest_first, N = np.argsort(T - lengths, kind="stable"), 0
    for start, stop in pairwise(np.unique([0, *lengths, T])):
        rows = longest_first[: np.count_nonzero(lengths >= stop)]
        yield slice(start, stop), rows, slice(N, N := N + (stop - start) * len(rows))


def padded_forward(forward, lengths, x, state, *arguments):
    """Run a recurrent layer over sequences of different lengths: what has ended drops out.

    A row that has ended no longer takes part: its state stays as it is, and nothing of x is read.
    Between two ends the rest is an ordinary batch, so this is a text read in windows: the state
    after one is the state before the next.

    Parameters
    ----------
    forward : function
        Such as `lstm_forward`.
    lengths : (B,) integers from 0 to T
    x : (T, B, D)
        ``x[lengths[b]:, b]`` may be anything, even NaN.
    state : list of (B, H)
        The arguments of `forward` that follow x: h0 and, for the LSTM, c0.
    *arguments
        The arguments of `forward` after these.

    Returns
    -------
    hs : (T, B, H)
        Zero from the end of each sequence.
    *state : (B, H)
        After the last step of each sequence.
    cache : PaddedCache
    """
    arrays = [value for value in (x, *state, *arguments) if isinstance(value, np.ndarray)]
    dtype = np.result_type(*arrays)
    state, windows = [np.array(part, dtype) for part in state], []
    hs = np.zeros((len(x), *state[0].shape), dtype)
    for steps, rows, _ in padded_windows(lengths, len(x)):
        before = [part[rows] for part in state]
        hs[steps, rows], *after, cache = forward(x[steps, rows], *before, *arguments)
        for part, new in zip(state, after, strict=True):
            part[rows] = new
        windows.append(cache)
    n = cache._fields.index("Wx")  # what stands before it has one entry for each step
    packed = [np.concatenate([array.reshape(-1, array.shape[-1]) for array in arrays])
              for arrays in zip(*(cache[:n] for cache in windows), strict=True)]  # fmt: skip
    return hs, *state, PaddedCache(type(cache)(*packed, *cache[n:]), lengths)


def padded_backward(backward, dhs, dstate, cache):
    """Go back through the windows of `padded_forward`, from the last to the first.

    Parameters
    ----------
    backward : function
        Such as `lstm_backward`.
    dhs : (T, B, H)
        Past the end of each sequence it may hold anything, even NaN.
    dstate : list of (B, H)
        dhT and, for the LSTM, dcT.
    cache : PaddedCache

    Returns
    -------
    dx : (T, B, D)
        Zero from the end of each sequence.
    dh0, ..., dWx, ...
        The other results of `backward`.
    """
    whole, lengths = cache
    n = whole._fields.index("Wx")
    dtype = np.result_type(dhs, whole.h)
    dx = np.zeros((*dhs.shape[:2], whole.x.shape[1]), dtype)
    dstate, sums = [np.array(part, dtype) for part in dstate], None
    for steps, rows, packed in reversed([*padded_windows(lengths, len(dhs))]):
        shape = (steps.stop - steps.start, len(rows))
        arrays = [array[packed].reshape(*shape, array.shape[1]) for array in whole[:n]]
        after = [part[rows] for part in dstate]
        dx[steps, rows], *gradients = backward(
            dhs[steps, rows], *after, type(whole)(*arrays, *whole[n:])
        )
        for part in dstate:
            part[rows] = gradients.pop(0)
        sums = sums or [0] * len(gradients)
        sums = [d if d is None else s + d for s, d in zip(sums, gradients, strict=True)]  # rule 3
    return dx, *dstate, *sums


# ---------------------------------------------------------------------------------------------
# Linear recurrence: no weights, no nonlinearity
# ---------------------------------------------------------------------------------------------


class ScanCache(NamedTuple):
    """Cache of `scan_forward`: the factors, and the state before each step, both (T, B, H)."""

    a: np.ndarray
    h_prev: np.ndarray


def scan_forward(a, b, h0):
    """Unroll ``h_t = a_t * h_(t-1) + b_t``, each entry by itself.

    The carousel of the LSTM is such a recurrence, with ``a = f`` and ``b = i * g``. There f and g
    wait for ``h_prev``. Where a and b depend on the input only, the whole sequence is one *scan*
    (Blelloch 1990): two steps in a row are one step with ``a1 * a2`` and ``a2 * b1 + b2``, and
    pairs may be joined in any grouping.

    Parameters
    ----------
    a, b : (T, B, H)
    h0 : (B, H)

    Returns
    -------
    hs : (T, B, H)
    hT : (B, H)
    cache : ScanCache
    """
    h, hs = h0, []
    for a_t, b_t in zip(a, b, strict=True):
        h = a_t * h + b_t
        hs.append(h)
    return np.stack(hs), h, ScanCache(a, np.stack([h0, *hs[:-1]]))


def scan_backward(dhs, dhT, cache):
    """Backpropagation through time: the same recurrence, from right to left.

    Parameters
    ----------
    dhs : (T, B, H)
    dhT : (B, H)
    cache : ScanCache

    Returns
    -------
    da, db : (T, B, H)
    dh0 : (B, H)
    """
    a, h_prev = cache
    da, db = np.zeros((2, *dhs.shape), np.result_type(dhs, h_prev))
    dh = dhT  # from the future
    for t in reversed(range(len(dhs))):
        db[t] = dhs[t] + dh  # rule 3
        da[t] = db[t] * h_prev[t]
        dh = db[t] * a[t]
    return da, db, dh


# ---------------------------------------------------------------------------------------------
# minGRU and minLSTM (Feng et al. 2024): no gate looks at h, so a layer is a scan
# ---------------------------------------------------------------------------------------------


@_gates(z="Update gate: how much of the candidate is written.", n="Candidate.")
class MinGRUCache(NamedTuple):
    """Values for the backward pass. One step holds (B, .) arrays, a sequence (T, B, .) arrays."""

    x: np.ndarray  # (T, B, D)
    h_prev: np.ndarray  # (T, B, H): h at t-1; h_prev[0] is h0
    gates: np.ndarray  # (T, B, 2H): z after its sigmoid, and n, side by side
    h: np.ndarray  # (T, B, H)
    Wx: np.ndarray  # (D, 2H)
    factors: str

    @property
    def a(self):
        """Factor of the old state."""
        return mingru_factor(self.z, self.factors)


def mingru_factor(z, factors):
    """The factor of the old state in a minGRU: ``1 - z``, or ``1 - 2 * z`` if "signed".

    In (0, 1) it lets the state fade, and no number of such states can count modulo two over a
    sequence of any length. In (-1, 1) it can also flip the sign of the state, where it is near -1,
    and a state that flips at every 1 counts modulo two (Grazzi et al. 2024).
    """
    if factors == "positive":
        return 1 - z
    if factors == "signed":
        return 1 - 2 * z
    raise ValueError(f"factors must be 'positive' or 'signed', got {factors!r}")


def mingru_step_forward(x, h_prev, Wx, b, factors="positive"):
    """One step of a GRU whose gate and candidate depend on x, (B, D), alone: there is no Wh.

    The other arguments are those of `mingru_forward`; returns h, (B, H), and a `MinGRUCache`.
    """
    a_z, n = np.split(x @ Wx + b, 2, axis=1)  # twice (B, H); n has no nonlinearity
    z = sigmoid(a_z)
    h = mingru_factor(z, factors) * h_prev + z * n
    return h, MinGRUCache(x, h_prev, np.concatenate([z, n], axis=1), h, Wx, factors)


def mingru_step_backward(dh, cache):
    """Turn dh, summed over every use of h, into dx, dh_prev, dWx and db."""
    x, h_prev, _, _, Wx, factors = cache
    z, n = cache.z, cache.n

    # h = a * h_prev + z * n,  a = 1 - z or 1 - 2 * z
    if factors == "positive":
        a, dz = 1 - z, dh * (n - h_prev)
    else:
        a, dz = 1 - 2 * z, dh * (n - 2 * h_prev)
    dh_prev = dh * a  # the only way back in time
    dn = dh * z

    # z = sigmoid(a_z)
    da_z = dz * z * (1 - z)
    da = np.concatenate([da_z, dn], axis=-1)
    dx, dWx, db = linear_backward(da, LinearCache(x, Wx))
    return dx, dh_prev, dWx, db


def mingru_forward(x, h0, Wx, b, factors="positive", lengths=None):
    """Compute all gates at once, and then the states, by a scan.

    Feng et al. have a form in logarithms too: it is for scans in parallel, whose products of all
    factors so far underflow. Here a state is multiplied by one factor at a time.

    Parameters
    ----------
    x, h0 : (T, B, D), (B, H)
    Wx, b : (D, 2H), (2H,)
        Two blocks of columns, in the order z, n.
    factors : "positive" or "signed"
    lengths : (B,) integers from 0 to T, optional

    Returns
    -------
    hs, hT : (T, B, H), (B, H)
    cache : MinGRUCache, or PaddedCache with lengths
    """
    if lengths is not None:
        return padded_forward(mingru_forward, lengths, x, [h0], Wx, b, factors)
    a_z, n = np.split(x @ Wx + b, 2, axis=2)
    z = sigmoid(a_z)
    hs, hT, scan = scan_forward(mingru_factor(z, factors), z * n, h0)
    return hs, hT, MinGRUCache(x, scan.h_prev, np.concatenate([z, n], axis=2), hs, Wx, factors)


def mingru_backward(dhs, dhT, cache):
    """Backpropagation through time: a scan, and then one step for all steps at once.

    Returns
    -------
    dx, dh0, dWx, db
        With the shapes of x, h0, Wx and b.
    """
    if isinstance(cache, PaddedCache):
        return padded_backward(mingru_backward, dhs, [dhT], cache)
    _, dh, dh0 = scan_backward(dhs, dhT, ScanCache(cache.a, cache.h_prev))
    dx, _, dWx, db = mingru_step_backward(dh, cache)  # in dh is what comes from the future
    return dx, dh0, dWx, db


@_gates(i="Input gate.", f="Forget gate.", g="Candidate.")
class MinLSTMCache(NamedTuple):
    """Values for the backward pass. One step holds (B, .) arrays, a sequence (T, B, .) arrays."""

    x: np.ndarray  # (T, B, D)
    h_prev: np.ndarray  # (T, B, H): h at t-1; h_prev[0] is h0
    gates: np.ndarray  # (T, B, 3H): i and f after their sigmoids, and g, side by side
    h: np.ndarray  # (T, B, H)
    log_odds: np.ndarray  # (T, B, H): log(f / i)
    Wx: np.ndarray  # (D, 3H)

    @property
    def a(self):
        """Factor of the old state: f / (f + i)."""
        return sigmoid(self.log_odds)


def minlstm_step_forward(x, h_prev, Wx, b):
    """One step of an LSTM whose gates depend on x alone; h is a mean, weighted by f and i.

    As `mingru_step_forward`, with three blocks of H columns, in the order i, f, g. The weights,
    f / (f + i) and i / (f + i), depend on f / i only. Its logarithm is known even where both gates
    are too small for a float.
    """
    a_i, a_f, g = np.split(x @ Wx + b, 3, axis=1)  # three times (B, H); g has no nonlinearity
    i, f = sigmoid(a_i), sigmoid(a_f)
    log_odds = log_sigmoid(a_f) - log_sigmoid(a_i)
    h = sigmoid(log_odds) * h_prev + sigmoid(-log_odds) * g
    gates = np.concatenate([i, f, g], axis=1)
    return h, MinLSTMCache(x, h_prev, gates, h, log_odds, Wx)


def minlstm_step_backward(dh, cache):
    """Turn dh, summed over every use of h, into dx, dh_prev, dWx and db."""
    x, h_prev, _, _, _, Wx = cache
    i, f, g = cache.i, cache.f, cache.g

    # h = a * h_prev + w * g,  a = f / (f + i),  w = i / (f + i) = 1 - a
    a, w = sigmoid(cache.log_odds), sigmoid(-cache.log_odds)
    dh_prev = dh * a  # the only way back in time
    dg = dh * w
    da = dh * (h_prev - g)

    # f and i = sigmoid(.);  the slope of a is a * w / f along f, and -a * w / i along i
    da_f = da * a * w * (1 - f)
    da_i = -da * a * w * (1 - i)
    dx, dWx, db = linear_backward(np.concatenate([da_i, da_f, dg], axis=-1), LinearCache(x, Wx))
    return dx, dh_prev, dWx, db


def minlstm_forward(x, h0, Wx, b, lengths=None):
    """As `mingru_forward`, with three blocks of H columns, in the order i, f, g."""
    if lengths is not None:
        return padded_forward(minlstm_forward, lengths, x, [h0], Wx, b)
    a_i, a_f, g = np.split(x @ Wx + b, 3, axis=2)
    log_odds = log_sigmoid(a_f) - log_sigmoid(a_i)
    hs, hT, scan = scan_forward(sigmoid(log_odds), sigmoid(-log_odds) * g, h0)
    gates = np.concatenate([sigmoid(a_i), sigmoid(a_f), g], axis=2)
    return hs, hT, MinLSTMCache(x, scan.h_prev, gates, hs, log_odds, Wx)


def minlstm_backward(dhs, dhT, cache):
    """As `mingru_backward`; return dx, dh0, dWx and db."""
    if isinstance(cache, PaddedCache):
        return padded_backward(minlstm_backward, dhs, [dhT], cache)
    _, dh, dh0 = scan_backward(dhs, dhT, ScanCache(cache.a, cache.h_prev))
    dx, _, dWx, db = minlstm_step_backward(dh, cache)
    return dx, dh0, dWx, db


# ---------------------------------------------------------------------------------------------
# sLSTM (Beck et al. 2024, equations 8 to 17, one head): exponential gates, and a mean as cell
# ---------------------------------------------------------------------------------------------


@_gates(i="Input gate, scaled.", f_scaled="Forget gate, scaled.", z="Candidate.", o="Output gate.")
class SLSTMCache(NamedTuple):
    """Values for the backward pass. One step holds (B, .) arrays, a sequence (T, B, .) arrays."""

    x: np.ndarray  # (T, B, D)
    h_prev: np.ndarray  # (T, B, H): h at t-1; h_prev[0] is h0
    c_prev: np.ndarray  # (T, B, H)
    n_prev: np.ndarray  # (T, B, H)
    m_prev: np.ndarray  # (T, B, H)
    gates: np.ndarray  # (T, B, 4H): i and f scaled by exp(-m), z and o, side by side
    h: np.ndarray  # (T, B, H)
    c: np.ndarray  # (T, B, H)
    n: np.ndarray  # (T, B, H)
    m: np.ndarray  # (T, B, H)
    log_f: np.ndarray  # (T, B, H)
    Wx: np.ndarray  # (D, 4H)
    Wh: np.ndarray  # (H, 4H)
    forget_gate: str

    @property
    def f(self):
        """Forget gate, before it is scaled."""
        return np.exp(self.log_f)


def slstm_step_forward(x, h_prev, c_prev, n_prev, m_prev, Wx, Wh, b, forget_gate="sigmoid"):
    """One step of an LSTM whose input gate is an exponential, so that it can outweigh all before.

    c is a sum of weighted candidates and n the sum of their weights, so c / n is a mean. Both are
    divided by exp(m), where m is the logarithm of the larger of the two gates, lest they overflow.

    Parameters
    ----------
    x : (B, D)
    h_prev, c_prev, n_prev, m_prev : (B, H)
    Wx, Wh, b : (D, 4H), (H, 4H), (4H,)
        Four blocks of columns, in the order i, f, z, o.
    forget_gate : "sigmoid" or "exp"

    Returns
    -------
    h, c, n, m : (B, H)
    cache : SLSTMCache
    """
    a = x @ Wx + h_prev @ Wh + b  # (B, 4H)
    a_i, a_f, a_z, a_o = np.split(a, 4, axis=1)  # four times (B, H)
    if forget_gate not in ("sigmoid", "exp"):
        raise ValueError(f"forget_gate must be 'sigmoid' or 'exp', got {forget_gate!r}")
    log_f = log_sigmoid(a_f) if forget_gate == "sigmoid" else a_f
    m = np.maximum(log_f.real + m_prev.real, a_i.real).astype(a.dtype)
    i = np.exp(a_i - m)
    f = np.exp(log_f + m_prev - m)
    z = np.tanh(a_z)
    o = sigmoid(a_o)
    c = f * c_prev + i * z
    n = f * n_prev + i
    h = o * (c / n)  # exp(m) cancels
    before, gates = (h_prev, c_prev, n_prev, m_prev), np.concatenate([i, f, z, o], axis=1)
    return h, c, n, m, SLSTMCache(x, *before, gates, h, c, n, m, log_f, Wx, Wh, forget_gate)


def slstm_step_backward(dh, dc, dn, dm, cache):
    """Turn dh, dc and dn, (B, H), into dx, dh_prev, dc_prev, dn_prev, dm_prev, dWx, dWh and db.

    Nothing flows back through m, and dm is not read: with another m, c and n would be larger by
    one factor, and every h the same. So m is a constant here, like the maximum in a softmax, and dc
    and dn are the gradients of c and n at this m.
    """
    x, h_prev, c_prev, n_prev, _, _, _, c, n, _, _, Wx, Wh, forget_gate = cache
    i, f, z, o = cache.i, cache.f_scaled, cache.z, cache.o

    # h = o * (c / n)
    do = dh * (c / n)
    dc = dc + dh * o / n  # c and n were used twice: by step t+1 and by h
    dn = dn - dh * o * (c / n) / n  # n * n might underflow

    # c = f * c_prev + i * z,  n = f * n_prev + i
    di = dc * z + dn
    df = dc * c_prev + dn * n_prev
    dz = dc * i
    dc_prev = dc * f
    dn_prev = dn * f

    # i = exp(a_i - m),  f = exp(log_f + m_prev - m),  log_f = log(sigmoid(a_f)) or a_f
    da_i = di * i
    if forget_gate == "sigmoid":
        dm_prev, da_f = df * f, df * f * (1 - cache.f)
    else:
        dm_prev, da_f = df * f, df * f

    # z = tanh(a_z),  o = sigmoid(a_o),  a = x @ Wx + h_prev @ Wh + b
    da_z = dz * (1 - z * z)
    da_o = do * o * (1 - o)
    da = np.concatenate([da_i, da_f, da_z, da_o], axis=1)  # (B, 4H)
    dx = da @ Wx.T
    dh_prev = da @ Wh.T
    dWx = x.T @ da
    dWh = h_prev.T @ da
    db = da.sum(axis=0)
    return dx, dh_prev, dc_prev, dn_prev, dm_prev, dWx, dWh, db


def slstm_through_h(dh, cache):
    """Turn dh, (B, H), into the parts of dc, dn and dm that arrive through h within the step."""
    dc = dh * cache.o / cache.n
    return dc, -dc * cache.c / cache.n, np.zeros_like(dc)


def slstm_forward(x, h0, c0, n0, m0, Wx, Wh, b, forget_gate="sigmoid", lengths=None):
    """Unroll the cell over a sequence, as `lstm_forward` does.

    Parameters
    ----------
    x : (T, B, D)
    h0, c0, n0, m0 : (B, H)
        At the start of a text zeros, but -1e30 for m0: with 0, exp(a_i - m) may underflow, and n
        be 0.
    Wx, Wh, b, forget_gate, lengths
        As for one step, and for an LSTM.

    Returns
    -------
    hs : (T, B, H)
    hT, cT, nT, mT : (B, H)
    cache : SLSTMCache, or PaddedCache with lengths
    """
    state, steps = [h0, c0, n0, m0], []
    if lengths is not None:
        return padded_forward(slstm_forward, lengths, x, state, Wx, Wh, b, forget_gate)
    for x_t in x:
        *state, step = slstm_step_forward(x_t, *state, Wx, Wh, b, forget_gate)
        steps.append(step)
    over_time = [np.stack(values) for values in list(zip(*steps, strict=True))[:-3]]
    cache = SLSTMCache(*over_time, Wx, Wh, forget_gate)
    return cache.h, *state, cache


def slstm_backward(dhs, dhT, dcT, dnT, dmT, cache):
    """Backpropagation through time, as in `lstm_backward`; dmT is not read.

    Returns
    -------
    dx, dh0, dc0, dn0, dm0, dWx, dWh, db
        With the shapes of x, h0, c0, n0, m0, Wx, Wh and b.
    """
    if isinstance(cache, PaddedCache):
        return padded_backward(slstm_backward, dhs, [dhT, dcT, dnT, dmT], cache)
    *over_time, Wx, Wh, forget_gate = cache
    dtype = np.result_type(dhs, cache.h)
    dx, dWx, dWh, db = (np.zeros(like.shape, dtype) for like in (cache.x, Wx, Wh, Wh[0]))
    dh, dc, dn, dm = dhT, dcT, dnT, dmT  # from the future
    for t in reversed(range(len(dhs))):
        step = SLSTMCache(*(values[t] for values in over_time), Wx, Wh, forget_gate)
        dx[t], dh, dc, dn, dm, dWx_t, dWh_t, db_t = slstm_step_backward(
            dhs[t] + dh, dc, dn, dm, step
        )
        dWx += dWx_t
        dWh += dWh_t
        db += db_t
    return dx, dh, dc, dn, dm, dWx, dWh, db


# ---------------------------------------------------------------------------------------------
# Linear layer. The same formula for one step, x (B, D), and for a sequence, x (T, B, D)
# ---------------------------------------------------------------------------------------------


class LinearCache(NamedTuple):
    """Cache of `linear_forward`."""

    x: np.ndarray  # (T, B, D)
    W: np.ndarray  # (D, V)


def linear_forward(x, W, b):
    """``y = x @ W + b``: the decoder that turns a hidden state into one score for each word.

    Parameters
    ----------
    x : (T, B, D) or (B, D)
    W : (D, V)
    b : (V,)

    Returns
    -------
    y : (T, B, V) or (B, V)
    cache : LinearCache
    """
    return x @ W + b, LinearCache(x, W)


def linear_backward(dy, cache):
    """Rule 2, with time and batch read as one long batch.

    Returns
    -------
    dx, dW, db
        With the shapes of x, W and b.
    """
    x, W = cache
    rows, drows = x.reshape(-1, x.shape[-1]), dy.reshape(-1, dy.shape[-1])  # (T*B, D), (T*B, V)
    return dy @ W.T, rows.T @ drows, drows.sum(axis=0)


# ---------------------------------------------------------------------------------------------
# Dropout: entries set to zero at random in training, by a given mask; one step or a sequence
# ---------------------------------------------------------------------------------------------


class DropoutCache(NamedTuple):
    """Cache of `dropout_forward`."""

    mask: np.ndarray


def dropout_mask(uniform, p, dtype):
    """Turn random numbers into a mask: 1 / (1 - p) where a number is at least p (kept), else 0.

    Parameters
    ----------
    uniform : array, float32
        Numbers from U(0, 1), one for each entry.
    p : float
        Probability of dropping, in [0, 1).
    dtype : dtype
        Of the mask.

    Returns
    -------
    mask : the shape of uniform
    """
    return np.where(uniform >= p, 1 / (1 - p), 0).astype(dtype)


def dropout_forward(x, mask):
    """``y = x * mask``, where the mask holds 0 (dropped) and 1 / (1 - p) (kept).

    The scaling keeps the expected value, so nothing changes when dropout is switched off
    ("inverted dropout"). The mask is an argument: the function stays pure, and a gradient check
    sees the same mask twice.

    Parameters
    ----------
    x, mask : arrays of one shape

    Returns
    -------
    y : the shape of x
    cache : DropoutCache
    """
    return x * mask, DropoutCache(mask)


def dropout_backward(dy, cache):
    """Return the gradient of x: zero where x was dropped.

    Returns
    -------
    dx : the shape of x
    """
    return dy * cache.mask


# ---------------------------------------------------------------------------------------------
# Softmax and cross-entropy
# ---------------------------------------------------------------------------------------------


class CrossEntropyCache(NamedTuple):
    """Values for the backward pass and for evaluation.

    One step holds (B,) arrays, a sequence (T, B) arrays; logits have one more axis, V.
    """

    logits: np.ndarray  # (T, B, V)
    peak: np.ndarray  # (T, B): the largest logit
    total: np.ndarray  # (T, B): sum(exp(logits - peak)), from 1 to V
    targets: np.ndarray  # (T, B)
    coefficients: np.ndarray  # (T, B): the share of each token in the loss
    nll: np.ndarray  # (T, B): -log p(target), in nats, before any weighting
    predicted: np.ndarray  # (T, B): the most probable id


def token_coefficients(weights, *, average_across_timesteps, average_across_batch):
    """The factor with which each token's -log p enters the loss.

    A weight divided by the sum of the weights along each averaged axis. With all weights one: 1/B
    (average across the batch), 1/T (across time), 1/(T B) (both) or 1 (neither). Where the weights
    to divide by are all zero (a time step that is padding for the whole batch: filler after the end
    of shorter sequences), nothing is counted.

    Parameters
    ----------
    weights : (T, B), not negative

    Returns
    -------
    coefficients : (T, B)
    """
    axes = (0,) * average_across_timesteps + (1,) * average_across_batch  # 0 is time, 1 is batch
    if not axes:
        return weights
    total = weights.sum(axis=axes, keepdims=True)
    return weights / np.where(total > 0, total, 1)


def softmax(scores):
    """Probabilities from scores, along the last axis: ``p = exp(scores) / sum(exp(scores))``.

    Parameters
    ----------
    scores : (..., V)
        ``scores / temperature`` gives sharper probabilities below a temperature of 1.

    Returns
    -------
    p : (..., V)
        Positive, with a sum of 1.
    """
    exponentials = np.exp(scores - scores.real.max(axis=-1, keepdims=True))  # no overflow
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def cross_entropy_step_forward(logits, targets, coefficients):
    """Softmax turns scores into probabilities; the loss is -log of the probability of the truth.

    Parameters
    ----------
    logits : (B, V)
    targets : (B,) integers in [0, V)
    coefficients : (B,)

    Returns
    -------
    loss : scalar
        ``sum(coefficients * nll)`` with ``nll = -log softmax(logits)[target]``, in nats.
    cache : CrossEntropyCache
    """
    peak = logits.real.max(axis=-1)  # exp(logits - peak) is at most 1: no overflow
    total = np.exp(logits - peak[..., None]).sum(axis=-1)
    target_logits = np.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
    nll = np.log(total) + (peak - target_logits)  # peak + log(total) would round log(total) away
    predicted = logits.real.argmax(axis=-1)
    loss = (coefficients * nll).sum()
    return loss, CrossEntropyCache(logits, peak, total, targets, coefficients, nll, predicted)


def cross_entropy_step_backward(cache, dloss=1.0):
    """``dlogits = coefficient * (p - onehot(target))``: predicted minus true.

    ``nll = log(sum(exp(logits))) - logits[target]``: the derivative of the first term is p, that
    of the second is -onehot.
    ``dloss`` is the gradient that arrives at the loss: 1 if nothing follows it.

    Returns
    -------
    dlogits : (B, V)
    """
    p = np.exp(cache.logits - cache.peak[..., None]) / cache.total[..., None]  # (B, V): softmax
    onehot = cache.targets[..., None] == np.arange(p.shape[-1])
    return dloss * cache.coefficients[..., None] * (p - onehot)


def sequence_cross_entropy_forward(
    logits,
    targets,
    weights=None,
    *,
    average_across_timesteps=False,
    average_across_batch=True,
):
    """The loss of a sequence: one scalar.

    Parameters
    ----------
    logits : (T, B, V)
    targets : (T, B) integers in [0, V)
    weights : (T, B), optional
        How much each token counts; 0 for padding. All ones by default.
    average_across_timesteps, average_across_batch : bool
        The weighted losses are summed over time and batch, and divided by the sum of the weights
        along each averaged axis (for the batch axis: at each time step). By default the loss is
        the **sum over time of the mean over the batch**; with a rate of 1 and gradients clipped
        at 5 this is the recipe of Zaremba et al. (2014). The mean over both axes with a rate of T
        and a clip of 5/T is the same algorithm.

    Returns
    -------
    loss : scalar, in nats
    cache : CrossEntropyCache
    """
    if weights is None:
        weights = np.ones(targets.shape, logits.real.dtype)
    coefficients = token_coefficients(
        weights,
        average_across_timesteps=average_across_timesteps,
        average_across_batch=average_across_batch,
    )
    # The softmax looks at one token at a time, so the step formula serves all of them at once.
    return cross_entropy_step_forward(logits, targets, coefficients)


def sequence_cross_entropy_backward(cache, dloss=1.0):
    """The gradient of the loss with respect to the scores; ``dloss`` as for the step.

    Returns
    -------
    dlogits : (T, B, V)
    """
    dloss = cache.logits.dtype.type(dloss)  # a float64 would turn float32 gradients into float64
    return cross_entropy_step_backward(cache, dloss)


# ---------------------------------------------------------------------------------------------
# Squared error, the loss of real numbers. For one answer, y (B, K), and for a sequence, y (T, B, K)
# ---------------------------------------------------------------------------------------------


class SquaredErrorCache(NamedTuple):
    """Cache of `squared_error_forward`."""

    difference: np.ndarray  # (T, B, K): y - targets, and 0 where the weight is 0
    coefficients: np.ndarray  # (T, B): the factor of each square in the loss


def squared_error_forward(y, targets, weights=None):
    """The mean of the squared differences: over the K numbers, and by weight over time and batch.

    ``loss = sum(weights * mean((y - targets)**2 over K)) / sum(weights)``, without a factor of 1/2.
    With all weights one this is the mean over all T B K numbers, as in PyTorch and Keras.

    Parameters
    ----------
    y, targets : (T, B, K) or (B, K)
    weights : (T, B) or (B,), optional
        How much each answer counts; where it is 0, y and targets are not read. If all are 0, the
        loss is 0.

    Returns
    -------
    loss : scalar
    cache : SquaredErrorCache
    """
    if weights is None:
        weights = np.ones(y.shape[:-1], y.real.dtype)
    total = weights.sum()
    coefficients = weights / np.where(total > 0, total, 1) / y.shape[-1]
    difference = np.where(weights[..., None] > 0, y - targets, 0)
    loss = (coefficients[..., None] * difference * difference).sum()
    return loss, SquaredErrorCache(difference, coefficients)


def squared_error_backward(cache, dloss=1.0):
    """Rule 1: the derivative of a square is twice its root.

    Returns
    -------
    dy : the shape of y
    """
    dloss = cache.difference.dtype.type(dloss)  # as for the cross-entropy
    return 2 * dloss * cache.coefficients[..., None] * cache.difference


# ---------------------------------------------------------------------------------------------
# Attention: each step of one sequence reads a weighted mean of all steps of another
# ---------------------------------------------------------------------------------------------


class AttentionCache(NamedTuple):
    """Cache of `attention_forward`. Past the end of a sequence, keys, values and weights are 0."""

    queries: np.ndarray  # (T, B, H)
    keys: np.ndarray  # (S, B, H)
    values: np.ndarray  # (S, B, K)
    weights: np.ndarray  # (T, B, S): how much step t reads of each place; they sum to 1


def attention_forward(queries, keys, values, lengths=None):
    """Dot-product attention (Luong et al. 2015): a softmax over places in place of a last state.

    Step t has a query and each place s of the other sequence a key, and their dot product scores
    how well the two fit; the softmax of the scores says how much of the value of each place the
    step receives. So a decoder need not find a whole sequence in one state, and the gradient goes
    from each step straight to the places that it read.

    Parameters
    ----------
    queries : (T, B, H)
        The hidden states of the decoder.
    keys : (S, B, H)
    values : (S, B, K)
        Both are often the hidden states of the encoder.
    lengths : (B,) integers in [0, S], optional
        Places at and past the length of a sequence are not read. If it is 0, the context is 0.

    Returns
    -------
    context : (T, B, K)
    cache : AttentionCache
    """
    S = len(keys)
    inside = np.arange(S)[:, None] < (S if lengths is None else lengths)  # (S, B)
    if lengths is not None:
        keys, values = (np.where(inside[..., None], array, 0) for array in (keys, values))
    q, k, v = (array.swapaxes(0, 1) for array in (queries, keys, values))  # a product per sequence
    scores = np.where(inside.T[:, None], q @ k.swapaxes(1, 2), -np.inf)  # (B, T, S)
    peak = scores.real.max(axis=-1, keepdims=True)
    e = np.exp(scores - np.where(peak > -np.inf, peak, 0))  # at most 1: no overflow
    total = e.sum(axis=-1, keepdims=True)
    weights = e / np.where(total == 0, 1, total)
    context = (weights @ v).swapaxes(0, 1)
    return context, AttentionCache(queries, keys, values, weights.swapaxes(0, 1))


def attention_backward(dcontext, cache):
    """Rules 2 and 3 for each sequence of the batch.

    The softmax: ``dscores = weights * (dweights - sum(weights * dweights))``. Raising one weight
    lowers all others, so only what exceeds the weighted mean of the gradients has an effect.

    Returns
    -------
    dqueries, dkeys, dvalues
        With the shapes of queries, keys and values; 0 at places that were not read.
    """
    q, k, v, weights, dc = (array.swapaxes(0, 1) for array in (*cache, dcontext))  # (B, ., .)
    dweights = dc @ v.swapaxes(1, 2)  # (B, T, S)
    dscores = weights * (dweights - (weights * dweights).sum(axis=-1, keepdims=True))
    gradients = dscores @ k, dscores.swapaxes(1, 2) @ q, weights.swapaxes(1, 2) @ dc
    return tuple(gradient.swapaxes(0, 1) for gradient in gradients)


# ---------------------------------------------------------------------------------------------
# A state that is a matrix: values are written at keys and read by queries. K entries of a key, and
# here V entries of a value
# ---------------------------------------------------------------------------------------------


class LinearAttentionCache(NamedTuple):
    """Cache of `linear_attention_forward`. One step holds (B, .) arrays, a sequence (T, B, .)."""

    q: np.ndarray  # (T, B, K)
    k: np.ndarray  # (T, B, K)
    v: np.ndarray  # (T, B, V)
    S: np.ndarray  # (T, B, K, V): the state after each write


class DeltaRuleCache(NamedTuple):
    """Cache of the delta rules. One step holds (B, .) arrays, a sequence (T, B, .) arrays."""

    q: np.ndarray  # (T, B, K)
    k: np.ndarray  # (T, B, K)
    error: np.ndarray  # (T, B, V): the value minus what was stored at its key
    beta: np.ndarray  # (T, B)
    S_prev: np.ndarray  # (T, B, K, V): the state before each write; with a decay, after the decay
    S: np.ndarray  # (T, B, K, V): the state after each write


class GatedDeltaRuleCache(NamedTuple):
    """Cache of `gated_delta_rule_forward`: the decay, and the cache of the delta rule after it."""

    decay: np.ndarray  # (T, B)
    S_prev: np.ndarray  # (T, B, K, V): the state before each decay
    write: DeltaRuleCache


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
    q, k, v, S = cache

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
    (Schmidhuber 1992). Nothing is scaled or normalised: that is up to the caller.

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
    S, os, steps = S0, [], []
    for q_t, k_t, v_t in zip(q, k, v, strict=True):
        o_t, S, step = linear_attention_step_forward(q_t, k_t, v_t, S)
        os.append(o_t)
        steps.append(step)
    return np.stack(os), S, LinearAttentionCache(*map(np.stack, zip(*steps, strict=True)))


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
    steps = []
    for t in reversed(range(len(do))):
        step = LinearAttentionCache(*(array[t] for array in cache))
        *gradients, dS = linear_attention_step_backward(do[t], dS, step)
        steps.append(gradients)
    dq, dk, dv = (np.stack(arrays) for arrays in zip(*reversed(steps), strict=True))
    return dq, dk, dv, dS


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
    q, k, error, beta, S_prev, S = cache

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


def delta_rule_forward(q, k, v, beta, S0):
    """Unroll ``S_t = S_(t-1) + beta_t outer(k_t, v_t - k_t @ S_(t-1))``; read ``o_t = q_t @ S_t``.

    Written out, ``S_t = (I - beta_t outer(k_t, k_t)) @ S_(t-1) + beta_t outer(k_t, v_t)``: for keys
    of length 1, the matrix in front has the eigenvalue ``1 - beta_t`` along the key and 1 across
    it. With beta in [0, 2] it stays within [-1, 1]; above 1 it is negative, and the state can
    count parity (Grazzi et al. 2024). Yang et al. (2024) compute windows of steps at a time.

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
    S, os, steps = S0, [], []
    for q_t, k_t, v_t, beta_t in zip(q, k, v, beta, strict=True):
        o_t, S, step = delta_rule_step_forward(q_t, k_t, v_t, beta_t, S)
        os.append(o_t)
        steps.append(step)
    return np.stack(os), S, DeltaRuleCache(*map(np.stack, zip(*steps, strict=True)))


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
    steps = []
    for t in reversed(range(len(do))):
        step = DeltaRuleCache(*(array[t] for array in cache))
        *gradients, dS = delta_rule_step_backward(do[t], dS, step)
        steps.append(gradients)
    dq, dk, dv, dbeta = (np.stack(arrays) for arrays in zip(*reversed(steps), strict=True))
    return dq, dk, dv, dbeta, dS


def gated_delta_rule_forward(q, k, v, beta, decay, S0):
    """The delta rule on a state that fades: ``decay_t * S_(t-1)`` stands for ``S_(t-1)``.

    The decay is a forget gate for all of the matrix at once, and the delta rule forgets at one key
    (Yang, Kautz and Hatamizadeh 2025). With beta = 0 the state only fades.

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
    S, os, before, steps = S0, [], [], []
    for q_t, k_t, v_t, beta_t, decay_t in zip(q, k, v, beta, decay, strict=True):
        before.append(S)
        o_t, S, step = delta_rule_step_forward(q_t, k_t, v_t, beta_t, decay_t[:, None, None] * S)
        os.append(o_t)
        steps.append(step)
    write = DeltaRuleCache(*map(np.stack, zip(*steps, strict=True)))
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
    decay, S_prev, write = cache
    steps = []
    for t in reversed(range(len(do))):
        step = DeltaRuleCache(*(array[t] for array in write))
        *gradients, dfaded = delta_rule_step_backward(do[t], dS, step)
        ddecay = (dfaded * S_prev[t]).sum(axis=(1, 2))  # faded = decay * S_prev
        dS = dfaded * decay[t][:, None, None]
        steps.append([*gradients, ddecay])
    gradients = (np.stack(arrays) for arrays in zip(*reversed(steps), strict=True))
    return *gradients, dS


# ---------------------------------------------------------------------------------------------
# Optimisers: from a gradient dw to the next value of w. Unlike all else here, they write in place
# ---------------------------------------------------------------------------------------------


def sum_of_squares(g):
    """The squares of all entries, summed in float64; a float32 square would overflow at 2e19.

    The root of the sum over all gradients is their **global norm**. If it is above a limit, each
    gradient is multiplied by ``limit / norm``: the step gets shorter and keeps its direction.
    """
    return float(np.square(g, dtype=np.float64).sum())


def sgd_update(w, dw, lr):
    """Gradient descent: ``w -= lr * dw``.

    Parameters
    ----------
    w, dw : arrays of one shape
        A parameter, which changes, and its gradient.
    lr : float
    """
    w -= lr * dw


def momentum_update(w, v, dw, lr, momentum):
    """Descent along the velocity v, a sum of past gradients that fades: w and v change."""
    v *= momentum
    v += dw
    w -= lr * v


def adam_update(w, m, v, dw, t, lr, beta1, beta2, eps, weight_decay=0.0, decoupled=False):
    """A step of about `lr` in every entry, whatever the size of its gradient: w, m and v change.

    Parameters
    ----------
    w, m, v, dw : arrays of one shape
        A parameter, the decaying means of its gradients and of their squares, and its gradient.
    t : int
        The number of this step, from 1. Both means start at zero, so after t steps the weights in
        them sum to ``1 - beta ** t``, by which they are divided.
    lr, beta1, beta2, eps : float
    weight_decay : float
        Adam adds ``weight_decay * w`` to the gradient. AdamW (`decoupled`) shrinks w by itself, so
        that the decay is not divided by the size of the gradients.
    """
    if decoupled:
        w *= 1 - lr * weight_decay
    else:
        dw = dw + weight_decay * w
    m += (1 - beta1) * (dw - m)  # beta1 * m + (1 - beta1) * dw
    v *= beta2
    v += (1 - beta2) * dw * dw
    root = float(np.sqrt(1 - beta2**t))
    w -= lr / (1 - beta1**t) * m / (np.sqrt(v) / root + eps)
