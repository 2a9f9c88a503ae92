"""The fast path: the functions of `numpylstm.reference`, with the same arguments and results.

Read the reference to learn what is computed and why, and for the shapes: names, order of results,
caches and documentation are the same here, and the tests hold the two together (1e-10 in float64).
A function here checks its arguments, makes room for its results and hands both to a kernel
(`numpylstm.kernels`), which checks nothing.

Arrays are float32 or float64, all of one dtype in a call. Any memory layout is accepted: an array
that is not contiguous is copied once, except the matrix of a linear layer, which may as well lie
transposed (a table of embeddings used as decoder: ``W = table.T``). No argument is changed, and the
results do not depend on the number of threads, to the last bit. A cache holds the arguments as they
are where they fit, and hs is a view of it: change neither before the backward pass.
"""

import functools
from collections.abc import Callable
from math import isqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numpylstm import arguments, reference
from numpylstm.kernels.fallback import Missing, or_else
from numpylstm.kernels.memory import empty
from numpylstm.kernels.threads import get_num_threads
from numpylstm.reference import (
    CrossEntropyCache,
    DropoutCache,
    EmbeddingCache,
    GRUCache,
    LinearCache,
    LSTMCache,
    RNNCache,
    token_coefficients,
)

try:
    from numpylstm.kernels import beside, embedding, gru, lstm, matmul, recurrence, rnn, softmax
except Exception as error:
    beside = embedding = gru = lstm = matmul = recurrence = rnn = softmax = Missing(error)  # type: ignore[assignment]

Array = NDArray[Any]

WORTH_WAKING = 1_000_000  # multiply-adds that make a second thread worth waking
PRODUCT = 4  # multiply-adds of a product in the time of one anywhere else
EXP = 16  # multiply-adds that an exponential takes
OWN_CACHE = 1_250_000  # bytes of Wh that a core can keep to itself, next to all else


def _checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let the function of that name in `arguments` look at, or exchange, the arguments first."""
    check = getattr(arguments, function.__name__)

    @functools.wraps(function)
    def looked_at(*given: Any, **options: Any) -> Any:
        fitted = check(*given, **options)
        return function(*given, **options) if fitted is None else function(*fitted)

    looked_at.unchecked = function  # type: ignore[attr-defined]
    return looked_at


def _twin_of(plain: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a function the documentation of the reference, which also computes without kernels."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        twin: Callable[..., Any] = or_else(plain)(function)
        sections = (plain.__doc__ or "").partition("\n")[2]
        twin.__doc__ = f"{(function.__doc__ or '').rstrip()}\n{sections}"
        return twin

    return decorate


def shares_for(work: int, threads: int | None = None) -> int:
    """Into how many parts to cut this many multiply-adds: at most one for each thread.

    To wake n threads takes n times as long as to wake one. So twice the threads are worth it where
    there is four times the work.
    """
    if work < WORTH_WAKING:
        return 1
    return min(isqrt(4 * work // WORTH_WAKING), threads or get_num_threads())


class Plan(NamedTuple):
    """How the work of a recurrent layer is cut into parts."""

    alone: bool  # one thread does all of it in one call
    by_rows: bool  # each part takes some rows of the batch through all steps, or else some units
    shares: int

    def panels(self, W: Array, blocks: int = 1) -> Array:
        """Room for copies of a matrix: by rows, each part has one of its own."""
        copies = self.shares if self.by_rows else 1
        return empty((copies, *recurrence.panels_shape(W, blocks)), W.dtype)


def plan(T: int, B: int, D: int, H: int, *, blocks: int, itemsize: int, threads: int) -> Plan:
    """The plan of a pass, which depends on sizes only; results do not depend on it.

    By rows, nobody waits for anybody, and each thread reads all of Wh at each step: from its own
    cache, or it is slow. By units, all wait for all at each step, and read Wh once together.
    """
    columns = blocks * H
    if T * B * columns * (D + H) < WORTH_WAKING:
        return Plan(alone=True, by_rows=True, shares=1)
    step = B * H * columns
    rows = min(shares_for(T * step, threads), max(1, B // 2))  # a tile of one row is slow
    units = shares_for(step, threads)
    by_rows = H * columns * itemsize <= OWN_CACHE and rows >= units
    return Plan(alone=False, by_rows=by_rows, shares=rows if by_rows else units)


def contiguous(array: Array) -> Array:
    """The array itself if kernels can work on it (C order, aligned, writeable), else a copy."""
    return array if type(array) is np.ndarray and array.flags.carray else np.array(array, order="C")


def _matrix(array: Array) -> tuple[Array, bool]:
    """A matrix for `matmul.multiply`: the array and False, or its transpose and True."""
    if not array.flags.carray and array.T.flags.carray:
        return array.T, True
    return contiguous(array), False


def _product(A: Array, B: Array, start: Array | None = None) -> Array:
    """Compute start + A @ B for 2-D arrays, each C-contiguous or the transpose of one that is.

    To start from a vector (N,) is to start from a matrix of equal rows.
    """
    (A_base, A_turned), (B_base, B_turned) = _matrix(A), _matrix(B)
    M, N = A.shape[0], B.shape[1]
    C = empty((M, N), A.dtype)
    D = np.zeros((1, N), A.dtype) if start is None else start.reshape(-1, N)
    shares = shares_for(C.size * A.shape[1] // PRODUCT)
    matmul.multiply(A_base, A_turned, B_base, B_turned, D, C, shares)
    return C


def _gradients(dy: Array, x: Array, W: Array) -> tuple[Array, Array, Array]:
    """From dy (N, V) of ``y = x @ W + b`` to dx (N, D), dW and db; dW lies in memory as W does.

    x and dy are C-contiguous, W or its transpose is.
    """
    if dy.size * x.shape[1] < WORTH_WAKING:
        base, turned = _matrix(W)
        dx, dW, db = (np.empty(shape, W.dtype) for shape in (x.shape, base.shape, W.shape[1]))
        matmul.gradients_alone(x, base, turned, dy, dx, dW, db)
        return dx, dW.T if turned else dW, db
    # C = A B is also C' = B' A'
    dW = _product(dy.T, x).T if _matrix(W)[1] else _product(x.T, dy)
    # As a product, column sums run on all threads, and each sum is taken in order.
    return _product(dy, W.T), dW, _product(np.ones((1, len(dy)), dy.dtype), dy)[0]


# ---------------------------------------------------------------------------------------------
# Embedding
# ---------------------------------------------------------------------------------------------


@_twin_of(reference.embedding_forward)
def embedding_forward(ids: Array, W: Array) -> tuple[Array, EmbeddingCache]:
    """Look up one row of the table for each id."""
    ids = arguments.embedding_forward(ids, W)
    x = empty((*ids.shape, W.shape[1]), W.dtype)
    W.take(ids, axis=0, out=x, mode="clip")  # the ids are checked; mode="raise" would copy x
    return x, EmbeddingCache(ids, W.shape)


@_checked
@_twin_of(reference.embedding_backward)
def embedding_backward(dx: Array, cache: EmbeddingCache) -> Array:
    """Add up the gradients of each row of the table."""
    return _scattered(dx, cache.ids, cache.shape[0])


@_checked
@_twin_of(reference.embedding_backward_rows)
def embedding_backward_rows(dx: Array, cache: EmbeddingCache) -> tuple[Array, Array]:
    """The same gradient without its zeros."""
    rows, place = np.unique(cache.ids, return_inverse=True)
    return rows, _scattered(dx, place, len(rows))


def _scattered(dx: Array, ids: Array, V: int) -> Array:
    """A table (V, D) with the sums of the rows of dx (., D) that have the same id."""
    dW = empty((V, dx.shape[-1]), dx.dtype)
    embedding.scatter_add(contiguous(dx).reshape(-1, dx.shape[-1]), ids.reshape(-1), dW)
    return dW


# ---------------------------------------------------------------------------------------------
# Vanilla recurrent network
# ---------------------------------------------------------------------------------------------


@_twin_of(reference.rnn_forward)
def rnn_forward(
    x: Array, h0: Array, Wx: Array, Wh: Array, b: Array, activation: str = "tanh"
) -> tuple[Array, Array, RNNCache]:
    """Unroll the vanilla network over a sequence."""
    arguments.rnn_forward(x, h0, Wx, Wh, b, activation)
    x, Wh = contiguous(x), contiguous(Wh)
    T, B, D = x.shape
    H = Wh.shape[0]
    h = empty((T + 1, B, H), x.dtype)
    h[0] = h0
    beside.expect("rnn.forward_rows", x.dtype)
    a = _product(x.reshape(T * B, D), Wx, contiguous(b)).reshape(T, B, H)
    shares = min(shares_for(a.size * H), max(1, B // 2))
    rnn.forward_by_rows(Wh, a, h, rnn.ACTIVATIONS.index(activation), shares)
    return h[1:], h[T].copy(), RNNCache(x, h[:T], h[1:], Wx, Wh, activation)


@_checked
@_twin_of(reference.rnn_backward)
def rnn_backward(
    dhs: Array, dhT: Array, cache: RNNCache
) -> tuple[Array, Array, Array, Array, Array]:
    """Backpropagation through time."""
    x, h_prev, h, Wx, Wh, activation = cache
    T, B, H = h.shape
    dh = np.array(dhT, order="C")
    da, shares = empty(h.shape, h.dtype), min(shares_for(h.size * H), max(1, B // 2))
    panels = empty((shares, *recurrence.panels_shape(Wh.T)), Wh.dtype)
    rnn.backward_by_rows(
        contiguous(Wh), panels, contiguous(h), contiguous(dhs), dh, da,
        rnn.ACTIVATIONS.index(activation), shares,
    )  # fmt: skip
    da, states = da.reshape(T * B, H), contiguous(h_prev).reshape(T * B, H)
    dx, dWx, db = _gradients(da, contiguous(x).reshape(T * B, -1), Wx)
    return dx.reshape(x.shape), dh, dWx, _product(states.T, da), db


# ---------------------------------------------------------------------------------------------
# Long short-term memory
# ---------------------------------------------------------------------------------------------


@_twin_of(reference.lstm_forward)
def lstm_forward(
    x: Array, h0: Array, c0: Array, Wx: Array, Wh: Array, b: Array
) -> tuple[Array, Array, Array, LSTMCache]:
    """Unroll the memory cell over a sequence."""
    arguments.lstm_forward(x, h0, c0, Wx, Wh, b)
    x, Wx, Wh, b = contiguous(x), contiguous(Wx), contiguous(Wh), contiguous(b)
    T, B, D = x.shape
    H = Wh.shape[0]
    h, c = empty((T + 1, B, H), x.dtype), empty((T + 1, B, H), x.dtype)
    h[0], c[0] = h0, c0
    tanh_c = empty((T, B, H), x.dtype)
    rows = x.reshape(T * B, D)
    how = plan(T, B, D, H, blocks=4, itemsize=Wh.itemsize, threads=get_num_threads())
    beside.expect(f"lstm.forward_{'rows' if how.by_rows else 'units'}", x.dtype)
    if T == 1:  # a copy of Wh would be used once
        gates = _product(h[0], Wh, _product(rows, Wx, b)).reshape(T, B, 4 * H)
        lstm.cells_forward(gates, c, tanh_c, h)
    elif how.alone:
        gates = empty((T, B, 4 * H), x.dtype)
        lstm.forward_alone(rows, Wx, Wh, b, how.panels(Wh), h, c, gates, tanh_c)
    else:
        gates = _product(rows, Wx, b).reshape(T, B, 4 * H)
        panels = how.panels(Wh, blocks=1 if how.by_rows else 4)
        kernel = lstm.forward_by_rows if how.by_rows else lstm.forward_by_units
        kernel(Wh, panels, h, c, gates, tanh_c, how.shares)
    cache = LSTMCache(x, h[:T], c[:T], gates, c[1:], tanh_c, h[1:], Wx, Wh)
    return h[1:], h[T].copy(), c[T].copy(), cache


@_checked
@_twin_of(reference.lstm_backward)
def lstm_backward(
    dhs: Array, dhT: Array, dcT: Array, cache: LSTMCache
) -> tuple[Array, Array, Array, Array, Array, Array]:
    """Backpropagation through time."""
    x, h_prev, c_prev, gates, _, tanh_c, _, Wx, Wh = cache
    T, B, H = tanh_c.shape
    D = x.shape[2]
    dhs, dh, dc = contiguous(dhs), np.array(dhT, order="C"), np.array(dcT, order="C")
    x, h_prev, c_prev, gates, tanh_c, Wx, Wh = map(
        contiguous, (x, h_prev, c_prev, gates, tanh_c, Wx, Wh)
    )
    da = empty(gates.shape, gates.dtype)
    how = plan(T, B, D, H, blocks=4, itemsize=Wh.itemsize, threads=get_num_threads())
    panels = how.panels(Wh.T)
    if how.alone:
        dx, dWx, dWh = (np.empty_like(a) for a in (x, Wx, Wh))
        db = np.empty(4 * H, x.dtype)
        lstm.backward_alone(
            x.reshape(T * B, D), Wx, Wh, panels, h_prev, c_prev, gates, tanh_c, dhs, dh, dc, da,
            dx.reshape(T * B, D), dWx, dWh, db,
        )  # fmt: skip
        return dx, dh, dc, dWx, dWh, db
    kernel = lstm.backward_by_rows if how.by_rows else lstm.backward_by_units
    kernel(Wh, panels, c_prev, gates, tanh_c, dhs, dh, dc, da, how.shares)
    da, states = da.reshape(T * B, 4 * H), h_prev.reshape(T * B, H)
    dx, dWx, db = _gradients(da, x.reshape(T * B, D), Wx)
    return dx.reshape(x.shape), dh, dc, dWx, _product(states.T, da), db


# ---------------------------------------------------------------------------------------------
# Gated recurrent unit
# ---------------------------------------------------------------------------------------------


@_twin_of(reference.gru_forward)
def gru_forward(
    x: Array, h0: Array, Wx: Array, Wh: Array, b: Array, bn: Array | None = None,
    reset: str = "after",
) -> tuple[Array, Array, GRUCache]:  # fmt: skip
    """Unroll the gated unit over a sequence.

    With the reset "before" the steps are NumPy's, and only the products are kernels.
    """
    arguments.gru_forward(x, h0, Wx, Wh, b, bn, reset)
    x, Wx, Wh, b = contiguous(x), contiguous(Wx), contiguous(Wh), contiguous(b)
    T, B, D = x.shape
    H = Wh.shape[0]
    h, s = empty((T + 1, B, H), x.dtype), empty((T, B, H), x.dtype)
    h[0], s[...] = h0, 0 if bn is None else bn
    rows = x.reshape(T * B, D)
    how = plan(T, B, D, H, blocks=3, itemsize=Wh.itemsize, threads=get_num_threads())
    beside.expect(f"gru.forward_{'rows' if how.by_rows else 'units'}", x.dtype)
    if reset == "before":
        gates = _product(rows, Wx, b).reshape(T, B, 3 * H)
        _before_forward(Wh, h, gates, s)
    elif T == 1:  # a copy of Wh would be used once
        a = _product(rows, Wx, b)
        gates = _product(h[0], Wh, np.hstack([a[:, : 2 * H], s[0]]))[None]
        s[0], gates[0, :, 2 * H :] = gates[0, :, 2 * H :], a[:, 2 * H :]
        gru.cells_forward(gates, s, h)
    elif how.alone:
        gates = empty((T, B, 3 * H), x.dtype)
        gru.forward_alone(rows, Wx, Wh, b, how.panels(Wh, blocks=3), h, gates, s)
    else:
        gates, panels = _product(rows, Wx, b).reshape(T, B, 3 * H), how.panels(Wh, blocks=3)
        kernel = gru.forward_by_rows if how.by_rows else gru.forward_by_units
        kernel(Wh, panels, h, gates, s, how.shares)
    return h[1:], h[T].copy(), GRUCache(x, h[:T], gates, s, h[1:], Wx, Wh, bn, reset)


@_checked
@_twin_of(reference.gru_backward)
def gru_backward(
    dhs: Array, dhT: Array, cache: GRUCache
) -> tuple[Array, Array, Array, Array, Array, Array | None]:
    """Backpropagation through time."""
    x, h_prev, gates, s, _, Wx, Wh, bn, reset = cache
    T, B, H = s.shape
    D = x.shape[2]
    dhs, dh = contiguous(dhs), np.array(dhT, order="C")
    x, h_prev, gates, s, Wx, Wh = map(contiguous, (x, h_prev, gates, s, Wx, Wh))
    rows, da = x.reshape(T * B, D), empty(gates.shape, gates.dtype)
    if reset == "before":
        dWh = _before_backward(Wh, h_prev, gates, s, dhs, dh, da)
        dx, dWx, db = _gradients(da.reshape(T * B, 3 * H), rows, Wx)
        return dx.reshape(x.shape), dh, dWx, dWh, db, None
    du = empty(gates.shape, gates.dtype)
    how = plan(T, B, D, H, blocks=3, itemsize=Wh.itemsize, threads=get_num_threads())
    panels = how.panels(Wh.T)
    if how.alone:
        dx, dWx, dWh = np.empty_like(rows), np.empty_like(Wx), np.empty_like(Wh)
        db = np.empty(3 * H, x.dtype)
        gru.backward_alone(
            rows, Wx, Wh, panels, h_prev, gates, s, dhs, dh, da, du, dx, dWx, dWh, db
        )  # fmt: skip
    else:
        kernel = gru.backward_by_rows if how.by_rows else gru.backward_by_units
        kernel(Wh, panels, h_prev, gates, s, dhs, dh, da, du, how.shares)
        dx, dWx, db = _gradients(da.reshape(T * B, 3 * H), rows, Wx)
        dWh = _product(h_prev.reshape(T * B, H).T, du.reshape(T * B, 3 * H))
    dbn = None if bn is None else du[:, :, 2 * H :].sum(axis=(0, 1))
    return dx.reshape(x.shape), dh, dWx, dWh, db, dbn


def _before_forward(Wh: Array, h: Array, gates: Array, s: Array) -> None:
    """The steps with the reset before the product; gates hold x @ Wx + b; fills gates, s, h[1:]."""
    two = 2 * len(Wh)  # columns of r and z
    Wh_rz, Wh_n = map(contiguous, np.hsplit(Wh, [two]))
    for t, a in enumerate(gates):
        a[:, :two] = reference.sigmoid(_product(h[t], Wh_rz, a[:, :two].copy()))
        r, z = np.hsplit(a[:, :two], 2)
        s[t] = r * h[t]
        n = a[:, two:] = np.tanh(_product(s[t], Wh_n, a[:, two:].copy()))
        h[t + 1] = (1 - z) * n + z * h[t]


def _before_backward(
    Wh: Array, h_prev: Array, gates: Array, s: Array, dhs: Array, dh: Array, da: Array
) -> Array:
    """The steps, last to first: dh arrives as dhT and leaves as dh0; fills da, returns dWh."""
    T, B, H = s.shape
    Wh_rz, Wh_n = map(contiguous, np.hsplit(Wh, [2 * H]))
    for t in reversed(range(T)):
        r, z, n = np.hsplit(gates[t], 3)
        dh += dhs[t]
        da_n = dh * (1 - z) * (1 - n * n)
        ds = _product(da_n, Wh_n.T)
        da_rz = np.hstack([ds * h_prev[t] * r * (1 - r), dh * (h_prev[t] - n) * z * (1 - z)])
        da[t] = np.hstack([da_rz, da_n])
        dh[...] = dh * z + ds * r + _product(da_rz, Wh_rz.T)
    of_rz, of_n = np.hsplit(da.reshape(T * B, 3 * H), [2 * H])
    states, scaled = h_prev.reshape(T * B, H), s.reshape(T * B, H)
    return np.hstack([_product(states.T, of_rz), _product(scaled.T, of_n)])


# ---------------------------------------------------------------------------------------------
# Linear layer
# ---------------------------------------------------------------------------------------------


@_twin_of(reference.linear_forward)
def linear_forward(x: Array, W: Array, b: Array) -> tuple[Array, LinearCache]:
    """``y = x @ W + b``."""
    arguments.linear_forward(x, W, b)
    D, V = W.shape
    x = contiguous(x)
    y = _product(x.reshape(-1, D), W, contiguous(b))
    return y.reshape(*x.shape[:-1], V), LinearCache(x, W)


@_checked
@_twin_of(reference.linear_backward)
def linear_backward(dy: Array, cache: LinearCache) -> tuple[Array, Array, Array]:
    """The gradients of a linear layer; dW lies in memory as W does."""
    x, W = cache
    rows = contiguous(x).reshape(-1, len(W))
    drows = contiguous(dy).reshape(len(rows), W.shape[1])
    dx, dW, db = _gradients(drows, rows, W)
    return dx.reshape(x.shape), dW, db


# ---------------------------------------------------------------------------------------------
# Dropout with a given mask
# ---------------------------------------------------------------------------------------------


@_twin_of(reference.dropout_mask)
def dropout_mask(uniform: Array, p: float, dtype: "np.dtype[Any]") -> Array:
    """From random numbers to a mask."""
    arguments.dropout_mask(uniform, p, dtype)
    mask = empty(uniform.shape, np.dtype(dtype))
    return np.multiply(uniform >= float(p), mask.dtype.type(1 / (1 - p)), out=mask)


@_twin_of(reference.dropout_forward)
def dropout_forward(x: Array, mask: Array) -> tuple[Array, DropoutCache]:
    """``y = x * mask``."""
    arguments.dropout_forward(x, mask)
    return _times(x, mask), DropoutCache(mask)


@_checked
@_twin_of(reference.dropout_backward)
def dropout_backward(dy: Array, cache: DropoutCache) -> Array:
    """What was dropped receives no gradient."""
    return _times(dy, cache.mask)


def _times(x: Array, mask: Array) -> Array:
    """The product of two arrays of one shape."""
    return np.multiply(x, mask, out=empty(x.shape, x.dtype))


# ---------------------------------------------------------------------------------------------
# Softmax and cross-entropy
# ---------------------------------------------------------------------------------------------


@_twin_of(reference.sequence_cross_entropy_forward)
def sequence_cross_entropy_forward(
    logits: Array,
    targets: Array,
    weights: Array | None = None,
    *,
    average_across_timesteps: bool = False,
    average_across_batch: bool = True,
) -> tuple[Any, CrossEntropyCache]:
    """The loss of a sequence."""
    averaging = {
        "average_across_timesteps": average_across_timesteps,
        "average_across_batch": average_across_batch,
    }
    targets = arguments.sequence_cross_entropy_forward(logits, targets, weights, **averaging)
    T, B, _ = logits.shape
    if weights is None:
        tokens = (T if average_across_timesteps else 1) * (B if average_across_batch else 1)
        coefficients = np.full((T, B), 1 / tokens, logits.dtype)
    else:
        coefficients = token_coefficients(weights, **averaging)
    logits = contiguous(logits)
    log_z, nll = empty((T, B), logits.dtype), empty((T, B), logits.dtype)
    predicted = np.empty((T, B), np.intp)
    softmax.forward(logits, targets, log_z, nll, predicted, shares_for(EXP * logits.size))
    loss = (coefficients * nll).sum()
    return loss, CrossEntropyCache(logits, log_z, targets, coefficients, nll, predicted)


@_checked
@_twin_of(reference.sequence_cross_entropy_backward)
def sequence_cross_entropy_backward(cache: CrossEntropyCache, dloss: float = 1.0) -> Array:
    """The gradient of the loss."""
    logits, log_z, targets, coefficients, _, _ = cache
    dlogits = empty(logits.shape, logits.dtype)
    softmax.backward(
        contiguous(logits), targets, contiguous(log_z),
        np.ascontiguousarray(coefficients * logits.dtype.type(dloss)), dlogits,
        shares_for(EXP * logits.size),
    )  # fmt: skip
    return dlogits
