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
    from numpylstm.kernels import embedding, gru, lstm, machine, rnn, softmax
except Exception as error:
    embedding = gru = lstm = machine = rnn = softmax = Missing(error)  # type: ignore[assignment]

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
    """How the work of a recurrent layer is divided (`kernels.recurrence`)."""

    alone: bool  # one thread does all of it in one call
    by_rows: bool  # each part takes some rows of the batch through all steps, or else some units
    shares: int

    def panels(self, W: Array, blocks: int = 1) -> Array:
        """Return room for copies of a matrix: by rows, each part has one of its own."""
        copies = self.shares if self.by_rows else 1
        return empty((copies, *machine.panels_shape(W, blocks)), W.dtype)


def plan(T: int, B: int, D: int, H: int, *, blocks: int, itemsize: int, threads: int) -> Plan:
    """Return the plan of a pass, which depends on sizes only; no result depends on it.

    By rows, no thread waits, and each reads all of Wh at each step, which is slow unless its own
    cache holds Wh. By units, all wait for all at each step and together read Wh once.
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
    """A matrix for `machine.multiply`: the array and False, or its transpose and True."""
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
    machine.multiply(A_base, A_turned, B_base, B_turned, D, C, shares)
    return C


def _gradients(dy: Array, x: Array, W: Array) -> tuple[Array, Array, Array]:
    """From dy (N, V) of ``y = x @ W + b`` to dx (N, D), dW and db; dW lies in memory as W does.

    x and dy are C-contiguous, W or its transpose is.
    """
    if dy.size * x.shape[1] < WORTH_WAKING:
        base, turned = _matrix(W)
        dx, dW, db = (np.empty(shape, W.dtype) for shape in (x.shape, base.shape, W.shape[1]))
        machine.gradients_alone(x, base, turned, dy, dx, dW, db)
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
# Recurrent layers
# ---------------------------------------------------------------------------------------------


def _unroll(
    cell: Any, x: Array, Wx: Array, Wh: Array, b: Array, states: tuple[Array, ...], *sums: Array
) -> Array:
    """Run a cell over a sequence; fill the states and sums, and return its first sum (T, B, .).

    The arguments are those of `kernels.recurrence`.
    """
    x, Wx, Wh, b = map(contiguous, (x, Wx, Wh, b))
    T, B, D = x.shape
    H, columns = Wh.shape
    rows, shape, blocks = x.reshape(T * B, D), (T, B, columns), columns // H
    how = plan(T, B, D, H, blocks=blocks, itemsize=Wh.itemsize, threads=get_num_threads())
    panels = how.panels(Wh, blocks)
    if how.alone:
        first = empty(shape, x.dtype)
        cell.forward_alone(rows, Wx, Wh, b, panels, (first, *sums), states)
    else:
        first = _product(rows, Wx, b).reshape(shape)
        kernel = cell.forward_by_rows if how.by_rows else cell.forward_by_units
        kernel(Wh, panels, (first, *sums), states, how.shares)
    return first


def _unroll_back(
    cell: Any, x: Array, Wx: Array, Wh: Array, h_prev: Array, kept: tuple[Array, ...], dhs: Array,
    dstates: tuple[Array, ...], das: int = 1,
) -> tuple[Array, Array, Array, Array, Array]:  # fmt: skip
    """Go back through a sequence; change dstates, and return dx, dWx, dWh, db and the last da.

    The arguments are those of `kernels.recurrence`.
    """
    x, Wx, Wh, h_prev, dhs, *others = map(contiguous, (x, Wx, Wh, h_prev, dhs, *kept))
    (T, B, D), (H, columns) = x.shape, Wh.shape
    rows, states, kept = x.reshape(T * B, D), h_prev.reshape(T * B, H), tuple(others)
    of_sums = tuple(empty((T, B, columns), x.dtype) for _ in range(das))
    how = plan(T, B, D, H, blocks=columns // H, itemsize=Wh.itemsize, threads=get_num_threads())
    panels = how.panels(Wh.T)
    if how.alone:
        dx, dWx, dWh = np.empty_like(rows), np.empty_like(Wx), np.empty_like(Wh)
        db = np.empty(columns, x.dtype)
        cell.backward_alone(
            rows, Wx, Wh, panels, h_prev, kept, dhs, dstates, of_sums, dx, dWx, dWh, db
        )
    else:
        kernel = cell.backward_by_rows if how.by_rows else cell.backward_by_units
        kernel(Wh, panels, kept, dhs, dstates, of_sums, how.shares)
        dx, dWx, db = _gradients(of_sums[0].reshape(T * B, columns), rows, Wx)
        dWh = _product(states.T, of_sums[-1].reshape(T * B, columns))
    return dx.reshape(x.shape), dWx, dWh, db, of_sums[-1]


def _states(start: Array, T: int) -> Array:
    """Return room for a state (T+1, B, H), with that of step 0 filled in."""
    states = empty((T + 1, *start.shape), start.dtype)
    states[0] = start
    return states


@_twin_of(reference.rnn_forward)
def rnn_forward(
    x: Array, h0: Array, Wx: Array, Wh: Array, b: Array, activation: str = "tanh"
) -> tuple[Array, Array, RNNCache]:
    """Unroll the vanilla network over a sequence."""
    arguments.rnn_forward(x, h0, Wx, Wh, b, activation)
    x, T, h = contiguous(x), len(x), _states(h0, len(x))
    _unroll(rnn.CELLS[activation], x, Wx, Wh, b, (h,))
    return h[1:], h[T].copy(), RNNCache(x, h[:T], h[1:], Wx, Wh, activation)


@_checked
@_twin_of(reference.rnn_backward)
def rnn_backward(
    dhs: Array, dhT: Array, cache: RNNCache
) -> tuple[Array, Array, Array, Array, Array]:
    """Backpropagation through time."""
    x, h_prev, h, Wx, Wh, activation = cache
    dh = np.array(dhT, order="C")
    dx, dWx, dWh, db, _ = _unroll_back(rnn.CELLS[activation], x, Wx, Wh, h_prev, (h,), dhs, (dh,))
    return dx, dh, dWx, dWh, db


@_twin_of(reference.lstm_forward)
def lstm_forward(
    x: Array, h0: Array, c0: Array, Wx: Array, Wh: Array, b: Array
) -> tuple[Array, Array, Array, LSTMCache]:
    """Unroll the memory cell over a sequence."""
    arguments.lstm_forward(x, h0, c0, Wx, Wh, b)
    x, T, h, c = contiguous(x), len(x), _states(h0, len(x)), _states(c0, len(x))
    tanh_c = empty((T, *c0.shape), x.dtype)
    gates = _unroll(lstm.LSTM, x, Wx, Wh, b, (h, c, tanh_c))
    cache = LSTMCache(x, h[:T], c[:T], gates, c[1:], tanh_c, h[1:], Wx, Wh)
    return h[1:], h[T].copy(), c[T].copy(), cache


@_checked
@_twin_of(reference.lstm_backward)
def lstm_backward(
    dhs: Array, dhT: Array, dcT: Array, cache: LSTMCache
) -> tuple[Array, Array, Array, Array, Array, Array]:
    """Backpropagation through time."""
    x, h_prev, c_prev, gates, _, tanh_c, _, Wx, Wh = cache
    dh, dc = np.array(dhT, order="C"), np.array(dcT, order="C")
    dx, dWx, dWh, db, _ = _unroll_back(
        lstm.LSTM, x, Wx, Wh, h_prev, (gates, c_prev, tanh_c), dhs, (dh, dc)
    )
    return dx, dh, dc, dWx, dWh, db


@_twin_of(reference.gru_forward)
def gru_forward(
    x: Array, h0: Array, Wx: Array, Wh: Array, b: Array, bn: Array | None = None,
    reset: str = "after",
) -> tuple[Array, Array, GRUCache]:  # fmt: skip
    """Unroll the gated unit over a sequence.

    With the reset "before", each step waits for its own reset gate, and the reference computes.
    """
    arguments.gru_forward(x, h0, Wx, Wh, b, bn, reset)
    x, h0, Wx, Wh, b = map(contiguous, (x, h0, Wx, Wh, b))
    if reset == "before":
        return reference.gru_forward(x, h0, Wx, Wh, b, bn, reset)
    T, h = len(x), _states(h0, len(x))
    s = empty((T, *h0.shape), x.dtype)
    s[...] = 0 if bn is None else bn
    gates = _unroll(gru.GRU, x, Wx, Wh, b, (h,), s)
    return h[1:], h[T].copy(), GRUCache(x, h[:T], gates, s, h[1:], Wx, Wh, bn, reset)


@_checked
@_twin_of(reference.gru_backward)
def gru_backward(
    dhs: Array, dhT: Array, cache: GRUCache
) -> tuple[Array, Array, Array, Array, Array, Array | None]:
    """Backpropagation through time."""
    x, h_prev, gates, s, _, Wx, Wh, bn, reset = cache
    if reset == "before":
        return reference.gru_backward(contiguous(dhs), contiguous(dhT), cache)
    dh = np.array(dhT, order="C")
    dx, dWx, dWh, db, du = _unroll_back(
        gru.GRU, x, Wx, Wh, h_prev, (gates, s, h_prev), dhs, (dh,), das=2
    )
    dbn = None if bn is None else du[:, :, 2 * Wh.shape[0] :].sum(axis=(0, 1))
    return dx, dh, dWx, dWh, db, dbn


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
