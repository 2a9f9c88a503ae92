"""The fast path: the functions of `numpylstm.reference`, with the same arguments and results.

The reference explains what is computed and why. Names, order of results and caches are the same
here, and the tests hold the two together (1e-10 in float64). A function checks its arguments,
allocates its results and hands both to a kernel (`numpylstm.kernels`), which checks nothing. A
backward pass checks its cache too, whoever made it: no kernel reads or writes outside an array.

Arrays are float32 or float64, all of one dtype in a call. Any memory layout is accepted: an array
that is not contiguous is copied once, except the matrix of a linear layer, which may be transposed
(a table of embeddings used as decoder: ``W = table.T``). No argument is changed, and results do not
depend on the number of threads, to the last bit. (The updates of the optimisers change parameters
in place. A GRU with ``reset="before"`` is computed by the reference, with NumPy's products.)

A cache holds arguments without copying them where it can, and `hs` is a view of it. Change neither
before the backward pass: nothing here is read-only, since a caller holds the cache as well. Copy
`hs` to change it. (The layers in `numpylstm.layers` keep their caches, and return read-only views.)

If the kernels cannot be used, because Numba cannot be imported or cannot compile them, one warning
says so, and all functions of this module are those of the reference.
"""

import functools
import math
import re
import warnings
from typing import Any, NamedTuple

import numpy as np

from numpylstm import reference
from numpylstm.checks import (
    Array,
    check_array,
    check_cache,
    check_choice,
    check_flag,
    check_ids,
    check_in,
    check_in_place,
    check_lengths,
    check_number,
    check_shapes,
    check_weights,
    check_whole,
)
from numpylstm.kernels.batch import Batch, batch_of, put
from numpylstm.kernels.memory import empty
from numpylstm.kernels.threads import get_num_threads, run_parallel
from numpylstm.reference import (
    CrossEntropyCache,
    DropoutCache,
    EmbeddingCache,
    GRUCache,
    LinearCache,
    LSTMCache,
    MinGRUCache,
    MinLSTMCache,
    PaddedCache,
    RNNCache,
    ScanCache,
    SLSTMCache,
    token_coefficients,
)

try:
    from numpylstm.kernels import embedding as _embedding
    from numpylstm.kernels import gru as _gru
    from numpylstm.kernels import lstm as _lstm
    from numpylstm.kernels import rnn as _rnn
    from numpylstm.kernels import scan as _scan
    from numpylstm.kernels import softmax as _softmax
    from numpylstm.kernels import update as _update
    from numpylstm.kernels.machine import matmul as _matmul

    _row = np.zeros((1, 1), np.float32)
    _embedding.scatter_add(_row, np.zeros(1, np.int64), _row, 0, 1)  # Numba compiles or loads it
    _failure: Exception | None = None
except Exception as error:
    _failure = error

# Computed by the reference: they have no kernels.
attention_backward = reference.attention_backward
attention_forward = reference.attention_forward
delta_rule_backward = reference.delta_rule_backward
delta_rule_forward = reference.delta_rule_forward
gated_delta_rule_backward = reference.gated_delta_rule_backward
gated_delta_rule_forward = reference.gated_delta_rule_forward
linear_attention_backward = reference.linear_attention_backward
linear_attention_forward = reference.linear_attention_forward
softmax = reference.softmax
squared_error_backward = reference.squared_error_backward
squared_error_forward = reference.squared_error_forward

WORTH_WAKING = 1_000_000  # multiply-adds that make a second thread worth waking
PRODUCT = 4  # multiply-adds of a product in the time of one anywhere else
EXP = 16  # multiply-adds that an exponential takes
OWN_CACHE = 1_250_000  # bytes of Wh that a core can keep to itself, next to all else


def shares_for(work: int, threads: int | None = None) -> int:
    """Return the number of parts for this many multiply-adds: at most one for each thread.

    Waking n threads takes n times as long as waking one, so twice the threads pay off for four
    times the work.
    """
    if work < WORTH_WAKING:
        return 1
    return min(math.isqrt(4 * work // WORTH_WAKING), threads or get_num_threads())


class WorkSplit(NamedTuple):
    """Division of the work of a recurrent layer among threads (`kernels.recurrence`)."""

    split_batch: bool  # each share takes some rows of the batch through all steps, or else units
    shares: int


@functools.lru_cache(maxsize=256)  # a model repeats the same few calls at every step
def split_work(T: int, N: int, H: int, columns: int, itemsize: int, threads: int) -> WorkSplit:
    """Return the division of a pass of N rows in T steps. No result depends on it.

    If they split the batch, no thread waits, and each reads all of Wh at each step, which is slow
    unless its own cache holds Wh. If they split the hidden units, all wait for all at each step and
    together read Wh once. Wh has H columns for each gate, or none.
    """
    B = -(-N // T)
    step = B * H * max(columns, EXP)
    rows = min(shares_for(T * step, threads), max(1, B // 2))  # a tile of one row is slow
    units = shares_for(step, threads)
    split_batch = not columns or (H * columns * itemsize <= OWN_CACHE and rows >= units)
    return WorkSplit(split_batch, rows if split_batch else units)


def contiguous(*arrays: Array) -> list[Array]:
    """Return arrays for kernels to read: C-contiguous and aligned; copies only where needed."""
    ready = list(arrays)
    for k, array in enumerate(arrays):
        if not (type(array) is np.ndarray and array.flags.carray):
            ready[k] = _readable(array)
    return ready


def _readable(array: Array) -> Array:
    """Return a writeable view of a contiguous array, and a copy of any other.

    Results of layers are read-only, which is another type for Numba. Nobody writes to the view.
    """
    if type(array) is np.ndarray and array.flags.c_contiguous and array.flags.aligned:
        view = array.view()
        try:
            view.flags.writeable = True
        except ValueError:  # the memory itself is read-only
            pass
        else:
            return view
    return np.array(array, order="C")


def _matrix(array: Array) -> tuple[Array, bool]:
    """Return a matrix for `matmul.multiply`: the array and False, or its transpose and True."""
    transposed = not array.flags.c_contiguous and array.T.flags.c_contiguous
    return contiguous(array.T if transposed else array)[0], transposed


def _affine(x: Array, W: Array, b: Array, transposed: bool = False) -> Array:
    """Compute x (N, D) @ W + b, or with W.T if `transposed`."""
    y = empty((len(x), len(b)), x.dtype)
    shares = shares_for(y.size * x.shape[1] // PRODUCT)
    run_parallel(_matmul.multiply, (x, False, W, transposed, b[None], y), shares)
    return y


def _gradients(
    dy: Array,
    x: Array,
    W: Array,
    transposed: bool = False,
    *more: tuple[Array, Array, Array],
) -> tuple[Array, Array, Array]:
    """Return dx (N, D), dW and db from dy (N, V) of `_affine`; dW has the shape of W.

    `more` are A, B and C of other products C = A.T @ B, with at most as many columns.
    """
    dx, dW, db = empty(x.shape, x.dtype), empty(W.shape, x.dtype), np.empty(dy.shape[1:], x.dtype)
    zeros, ones = np.zeros((1, max(W.shape)), x.dtype), np.empty((1, len(dy)), x.dtype)
    ones.fill(1)
    first, second = (dy, x) if transposed else (x, dy)  # dW = x.T @ dy, or its transpose
    products = [  # A, A is transposed, B, B is transposed, d, C: C = d + A @ B
        (dy, False, W, not transposed, zeros, dx),
        (first, True, second, False, zeros, dW),
        # As a product, column sums run on all threads, and each sum is taken in order.
        (ones, False, dy, False, zeros, db[None]),
    ]
    work = 2 * dy.size * x.shape[1]
    for A, B, C in more:
        products.append((A, True, B, False, zeros, C))
        work += A.size * C.shape[1]
    run_parallel(_matmul.multiply_all, (products,), shares_for(work // PRODUCT))
    return dx, dW, db


# --- Embedding ---------------------------------------------------------------------------------


def embedding_forward(ids: Array, W: Array) -> tuple[Array, EmbeddingCache]:
    """Look up one row of the table for each id."""
    check_shapes("embedding_forward", "W V D", W)
    ids = check_ids("embedding_forward", "ids", ids, len(W))
    x = empty((*ids.shape, W.shape[1]), W.dtype)
    W.take(ids, axis=0, out=x, mode="clip")  # the ids are checked; mode="raise" would copy x
    return x, EmbeddingCache(ids, W.shape)


def embedding_backward(dx: Array, cache: EmbeddingCache) -> Array:
    """Add up the gradients of each row of the table."""
    where = "embedding_backward"
    check_cache(where, cache, EmbeddingCache)
    ids = check_ids(where, "cache.ids", cache.ids, cache.shape[0])
    return _scattered(where, dx, ids, cache.shape)


def embedding_backward_rows(dx: Array, cache: EmbeddingCache) -> tuple[Array, Array]:
    """Return the same gradient without its zeros: the rows that are used, and their gradients."""
    where = "embedding_backward_rows"
    check_cache(where, cache, EmbeddingCache)
    V, D = cache.shape
    ids = check_ids(where, "cache.ids", cache.ids, V)
    rows, place = np.unique(ids, return_inverse=True)
    return rows, _scattered(where, dx, place.reshape(ids.shape), (len(rows), D))


def _scattered(where: str, dx: Array, ids: Array, shape: tuple[int, ...]) -> Array:
    """Return a table (V, D): the sums of the rows of dx (., D) that have the same id."""
    V, D = shape
    check_array(where, "dx", dx, (*ids.shape, D), because="it has the shape of x")
    dW = empty((V, D), dx.dtype)
    (dx,) = contiguous(dx)
    arrays = dx.reshape(-1, D), ids.reshape(-1), dW
    run_parallel(_embedding.scatter_add, arrays, shares_for(dx.size))
    return dW


# --- Recurrent layers --------------------------------------------------------------------------


class Unrolled(NamedTuple):
    """A sequence after its forward pass, for the cache of its cell."""

    results: list[Array]  # hs and the last states
    kept: list[Array]  # x, the states before each step, its sums, and all arrays after it
    lengths: Array | None

    def with_cache(self, kind: Any, *values: Any) -> tuple[Any, ...]:
        """Return the results and a cache of this class, which holds the lengths too if given."""
        cache = kind(*values)
        return *self.results, cache if self.lengths is None else PaddedCache(cache, self.lengths)


def _forward(
    where: str,
    cell: Any,
    x: Array,
    state: tuple[Array, ...],
    Wx: Array,
    Wh: Array | None,
    b: Array,
    lengths: Array | None,
    *,
    others: int = 0,
    second_sum: Any = None,
) -> Unrolled:
    """Run a cell over a sequence.

    `others` is the number of arrays (T, B, H) that the kernel fills besides the states. A GRU has a
    second sum, h_prev @ Wh of its candidate; `second_sum` is what it starts from.
    """
    T, B, D = x.shape
    H, encoded = state[0].shape[1], None
    if lengths is not None:
        lengths = check_lengths(where, "lengths", lengths, T, B)
        encoded = lengths.tobytes()
    batch = batch_of(T, B, encoded)
    if Wh is None:
        Wh = np.empty((H, 0), x.dtype)
    x, Wx, Wh, b = contiguous(x, Wx, Wh, b)
    x = x.reshape(T * B, D)[batch.place]
    N, sums, arrays = len(x), [_affine(x, Wx, b)], []
    if second_sum is not None:
        sums.append(empty((N, H), x.dtype))
        sums[1][...] = second_sum
    for start in state:
        arrays.append(empty((B + N, H), x.dtype))
        arrays[-1][:B] = start[batch.order]
    for _ in range(others):
        arrays.append(empty((B + N, H), x.dtype))
    split_batch, shares = split_work(T, N, H, Wh.shape[1], Wh.itemsize, get_num_threads())
    passed = batch.offsets, tuple(sums), tuple(arrays)
    if split_batch:
        run_parallel(cell.forward_split_batch, (Wh, passed, batch.steps_done), shares)
    else:
        cell.forward_split_hidden(Wh, passed, shares)
    results, kept = [put(arrays[0][B:], batch.place, T, B)], [x.reshape(*batch.shape, D)]
    shape = *batch.shape, H
    for array in arrays[: len(state)]:
        kept.append(array[batch.before].reshape(shape))
        results.append(array[batch.last].copy())
    for array in sums:
        kept.append(array.reshape(*batch.shape, array.shape[1]))
    for array in arrays:
        kept.append(array[B:].reshape(shape))
    return Unrolled(results, kept, lengths)


def _backward(cell: Any, batch: Batch, cache: Any, dhs: Array, *dstate: Array) -> tuple[Any, ...]:
    """Go back through a sequence after `_forward`.

    Return all gradients, in the order of the arguments of the forward pass, and the last da of
    `kernels.recurrence`.
    """
    (T, B, H), n = dhs.shape, cache._fields.index("Wx")
    Wh = cache.Wh if "Wh" in cache._fields else np.empty((H, 0), dhs.dtype)
    Wx, Wh, dhs, *over_time = contiguous(cache.Wx, Wh, dhs, *cache[:n])  # x, h_prev, ...
    dhs, dstates = dhs.reshape(T * B, H)[batch.place], []
    N, columns = len(dhs), Wh.shape[1]
    for array in dstate:
        dstates.append(np.array(array[batch.order], order="C"))
    da = [empty((N, Wx.shape[1]), dhs.dtype)]
    if cell.separate_da:
        da.append(empty((N, columns), dhs.dtype))
    for k, array in enumerate(over_time):
        over_time[k] = array.reshape(N, array.shape[-1])
    x, *kept = over_time
    arrays = batch.offsets, tuple(kept), dhs, tuple(dstates), tuple(da)
    split_batch, shares = split_work(T, N, H, columns, Wh.itemsize, get_num_threads())
    if split_batch:
        run_parallel(cell.backward_split_batch, (Wh, arrays, batch.steps_done), shares)
    else:
        cell.backward_split_hidden(Wh, arrays, shares)
    h_prev, dWh = kept[0], empty(Wh.shape, Wh.dtype)
    dx, dWx, db = _gradients(da[0], x, Wx, False, (h_prev, da[-1], dWh))
    for k, array in enumerate(dstates):
        dstates[k] = array[batch.rank]
    weights = (dWx, dWh, db) if "Wh" in cache._fields else (dWx, db)
    return (put(dx, batch.place, T, B), *dstates, *weights), da[-1]


def _opened(
    where: str, kind: Any, needed: str, cache: Any, dhs: Array, *dstate: Array
) -> tuple[Batch, Any]:
    """Check the arguments of a backward pass; return its batch, and the cache without lengths.

    `needed` are the shapes of the arrays of the cache, in its order, of dhs and of the dstate.
    """
    own: Any = cache.packed if isinstance(cache, PaddedCache) else cache
    check_cache(where, own, kind)
    arrays = own[: needed.count("cache.")]  # options come last in a cache
    if own is cache:
        sizes = check_shapes(where, needed, *arrays, dhs, *dstate)
        return batch_of(sizes["T"], sizes["B"], None), cache
    needed = re.sub(r"(cache\.\w+) T B ", r"\1 N ", needed)  # its arrays over time are (N, .)
    sizes = check_shapes(where, needed, *arrays, dhs, *dstate)
    T, B, N = (sizes[letter] for letter in "TBN")
    lengths = check_lengths(where, "cache.lengths", cache.lengths, T, B, N)
    return batch_of(T, B, lengths.tobytes()), own


def rnn_forward(
    x: Array,
    h0: Array,
    Wx: Array,
    Wh: Array,
    b: Array,
    activation: str = "tanh",
    lengths: Array | None = None,
) -> tuple[Any, ...]:
    """Unroll the vanilla network over a sequence."""
    where, needed = "rnn_forward", "Wx D H, Wh H H, b H, x T B D, h0 B H"
    check_shapes(where, needed, Wx, Wh, b, x, h0)
    check_choice(where, "activation", activation, _rnn.CELLS)
    run = _forward(where, _rnn.CELLS[activation], x, (h0,), Wx, Wh, b, lengths)
    x, h_prev, _, h = run.kept
    return run.with_cache(RNNCache, x, h_prev, h, Wx, Wh, activation)


def rnn_backward(dhs: Array, dhT: Array, cache: RNNCache | PaddedCache) -> tuple[Any, ...]:
    """Backpropagate through time; return dx, dh0, dWx, dWh and db."""
    where = "rnn_backward"
    needed = (
        "cache.x T B D, cache.h_prev T B H, cache.h T B H, cache.Wx D H, cache.Wh H H, "
        "dhs T B H, dhT B H"
    )
    batch, opened = _opened(where, RNNCache, needed, cache, dhs, dhT)
    check_choice(where, "cache.activation", opened.activation, _rnn.CELLS)
    gradients, _ = _backward(_rnn.CELLS[opened.activation], batch, opened, dhs, dhT)
    return gradients


def lstm_forward(
    x: Array, h0: Array, c0: Array, Wx: Array, Wh: Array, b: Array, lengths: Array | None = None
) -> tuple[Any, ...]:
    """Unroll the memory cell over a sequence."""
    where, needed = "lstm_forward", "Wx D 4H, Wh H 4H, b 4H, x T B D, h0 B H, c0 B H"
    check_shapes(where, needed, Wx, Wh, b, x, h0, c0)
    run = _forward(where, _lstm.LSTM, x, (h0, c0), Wx, Wh, b, lengths, others=1)
    x, h_prev, c_prev, gates, h, c, tanh_c = run.kept
    return run.with_cache(LSTMCache, x, h_prev, c_prev, gates, c, tanh_c, h, Wx, Wh)


def lstm_backward(
    dhs: Array, dhT: Array, dcT: Array, cache: LSTMCache | PaddedCache
) -> tuple[Any, ...]:
    """Backpropagate through time; return dx, dh0, dc0, dWx, dWh and db."""
    where = "lstm_backward"
    needed = (
        "cache.x T B D, cache.h_prev T B H, cache.c_prev T B H, cache.gates T B 4H, "
        "cache.c T B H, cache.tanh_c T B H, cache.h T B H, cache.Wx D 4H, cache.Wh H 4H, "
        "dhs T B H, dhT B H, dcT B H"
    )
    batch, opened = _opened(where, LSTMCache, needed, cache, dhs, dhT, dcT)
    gradients, _ = _backward(_lstm.LSTM, batch, opened, dhs, dhT, dcT)
    return gradients


def gru_forward(
    x: Array,
    h0: Array,
    Wx: Array,
    Wh: Array,
    b: Array,
    bn: Array | None = None,
    reset: str = "after",
    lengths: Array | None = None,
) -> tuple[Any, ...]:
    """Unroll the gated unit over a sequence.

    With the reset "before", each step waits for its own reset gate, and the reference computes.
    """
    where, needed = "gru_forward", "Wx D 3H, Wh H 3H, b 3H, x T B D, h0 B H"
    check_shapes(where, needed, Wx, Wh, b, x, h0)
    _check_reset(where, "", bn, reset, Wh)
    if reset == "before":
        x, h0, Wx, Wh, b = contiguous(x, h0, Wx, Wh, b)
        if lengths is not None:
            lengths = check_lengths(where, "lengths", lengths, *x.shape[:2])
        return reference.gru_forward(x, h0, Wx, Wh, b, bn, reset, lengths)
    second_sum = 0 if bn is None else bn
    run = _forward(where, _gru.GRU, x, (h0,), Wx, Wh, b, lengths, second_sum=second_sum)
    return run.with_cache(GRUCache, *run.kept, Wx, Wh, bn, reset)


def gru_backward(dhs: Array, dhT: Array, cache: GRUCache | PaddedCache) -> tuple[Any, ...]:
    """Backpropagate through time; return dx, dh0, dWx, dWh, db and dbn."""
    where = "gru_backward"
    needed = (
        "cache.x T B D, cache.h_prev T B H, cache.gates T B 3H, cache.s T B H, "
        "cache.h T B H, cache.Wx D 3H, cache.Wh H 3H, dhs T B H, dhT B H"
    )
    batch, opened = _opened(where, GRUCache, needed, cache, dhs, dhT)
    bn, H = opened.bn, len(opened.Wh)
    _check_reset(where, "cache.", bn, opened.reset, opened.Wh)
    if opened.reset == "before":
        if isinstance(cache, PaddedCache):
            cache = PaddedCache(opened, cache.lengths.astype(np.int64))
        dhs, dhT = contiguous(dhs, dhT)
        return reference.gru_backward(dhs, dhT, cache)
    gradients, du = _backward(_gru.GRU, batch, opened, dhs, dhT)
    return *gradients, None if bn is None else du[:, 2 * H :].sum(axis=0)


def _check_reset(where: str, of: str, bn: Array | None, reset: str, Wh: Array) -> None:
    """Check the kind of reset, and the bias that only one of them has."""
    check_choice(where, f"{of}reset", reset, ("after", "before"))
    if bn is None:
        return
    if reset == "before":
        raise ValueError(
            f"{where}: {of}bn must be None with reset='before', got an array; there r scales no "
            "sum that a bias could be added to"
        )
    check_array(where, f"{of}bn", bn, (len(Wh),), Wh.dtype, "H is fixed by Wh")


def mingru_forward(
    x: Array,
    h0: Array,
    Wx: Array,
    b: Array,
    factors: str = "positive",
    lengths: Array | None = None,
) -> tuple[Any, ...]:
    """Compute the sums of all steps at once, and then the states."""
    where = "mingru_forward"
    check_shapes(where, "Wx D 2H, b 2H, x T B D, h0 B H", Wx, b, x, h0)
    check_choice(where, "factors", factors, _scan.MINGRU)
    run = _forward(where, _scan.MINGRU[factors], x, (h0,), Wx, None, b, lengths)
    return run.with_cache(MinGRUCache, *run.kept, Wx, factors)


def mingru_backward(dhs: Array, dhT: Array, cache: MinGRUCache | PaddedCache) -> tuple[Any, ...]:
    """Backpropagate through time; return dx, dh0, dWx and db."""
    where = "mingru_backward"
    needed = (
        "cache.x T B D, cache.h_prev T B H, cache.gates T B 2H, cache.h T B H, "
        "cache.Wx D 2H, dhs T B H, dhT B H"
    )
    batch, opened = _opened(where, MinGRUCache, needed, cache, dhs, dhT)
    check_choice(where, "cache.factors", opened.factors, _scan.MINGRU)
    gradients, _ = _backward(_scan.MINGRU[opened.factors], batch, opened, dhs, dhT)
    return gradients


def minlstm_forward(
    x: Array, h0: Array, Wx: Array, b: Array, lengths: Array | None = None
) -> tuple[Any, ...]:
    """As `mingru_forward`, with three blocks of H columns, in the order i, f, g."""
    where = "minlstm_forward"
    check_shapes(where, "Wx D 3H, b 3H, x T B D, h0 B H", Wx, b, x, h0)
    run = _forward(where, _scan.MINLSTM, x, (h0,), Wx, None, b, lengths, others=1)
    return run.with_cache(MinLSTMCache, *run.kept, Wx)


def minlstm_backward(dhs: Array, dhT: Array, cache: MinLSTMCache | PaddedCache) -> tuple[Any, ...]:
    """As `mingru_backward`; return dx, dh0, dWx and db."""
    where = "minlstm_backward"
    needed = (
        "cache.x T B D, cache.h_prev T B H, cache.gates T B 3H, cache.h T B H, "
        "cache.log_odds T B H, cache.Wx D 3H, dhs T B H, dhT B H"
    )
    batch, opened = _opened(where, MinLSTMCache, needed, cache, dhs, dhT)
    gradients, _ = _backward(_scan.MINLSTM, batch, opened, dhs, dhT)
    return gradients


def slstm_forward(
    x: Array,
    h0: Array,
    c0: Array,
    n0: Array,
    m0: Array,
    Wx: Array,
    Wh: Array,
    b: Array,
    forget_gate: str = "sigmoid",
    lengths: Array | None = None,
) -> tuple[Any, ...]:
    """Unroll the cell over a sequence."""
    where = "slstm_forward"
    needed = "Wx D 4H, Wh H 4H, b 4H, x T B D, h0 B H, c0 B H, n0 B H, m0 B H"
    check_shapes(where, needed, Wx, Wh, b, x, h0, c0, n0, m0)
    check_choice(where, "forget_gate", forget_gate, _lstm.SLSTM)
    state = h0, c0, n0, m0
    run = _forward(where, _lstm.SLSTM[forget_gate], x, state, Wx, Wh, b, lengths, others=1)
    return run.with_cache(SLSTMCache, *run.kept, Wx, Wh, forget_gate)


def slstm_backward(
    dhs: Array, dhT: Array, dcT: Array, dnT: Array, dmT: Array, cache: SLSTMCache | PaddedCache
) -> tuple[Any, ...]:
    """Backpropagate through time; return dx, dh0, dc0, dn0, dm0, dWx, dWh and db.

    dmT is not read.
    """
    where = "slstm_backward"
    needed = (
        "cache.x T B D, cache.h_prev T B H, cache.c_prev T B H, cache.n_prev T B H, "
        "cache.m_prev T B H, cache.gates T B 4H, cache.h T B H, cache.c T B H, "
        "cache.n T B H, cache.m T B H, cache.log_f T B H, cache.Wx D 4H, cache.Wh H 4H, "
        "dhs T B H, dhT B H, dcT B H, dnT B H, dmT B H"
    )
    dstate = dhT, dcT, dnT, dmT
    batch, opened = _opened(where, SLSTMCache, needed, cache, dhs, *dstate)
    check_choice(where, "cache.forget_gate", opened.forget_gate, _lstm.SLSTM)
    cell = _lstm.SLSTM[opened.forget_gate]
    gradients, _ = _backward(cell, batch, opened, dhs, *dstate)
    return gradients


# --- Linear recurrence -------------------------------------------------------------------------


def scan_forward(a: Array, b: Array, h0: Array) -> tuple[Array, Array, ScanCache]:
    """Unroll a recurrence without weights."""
    check_shapes("scan_forward", "a T B H, b T B H, h0 B H", a, b, h0)
    a, b = contiguous(a, b)
    h = empty((len(a) + 1, *h0.shape), a.dtype)
    h[0] = h0
    by_step = [array.reshape(len(array), -1) for array in (a, b, h)]  # (T, B * H)
    run_parallel(_scan.forward, by_step, shares_for(a.size))
    return h[1:], h[-1].copy(), ScanCache(a, h[:-1])


def scan_backward(dhs: Array, dhT: Array, cache: ScanCache) -> tuple[Array, Array, Array]:
    """Backpropagate through time; return da, db and dh0."""
    check_cache("scan_backward", cache, ScanCache)
    needed = "cache.a T B H, cache.h_prev T B H, dhs T B H, dhT B H"
    check_shapes("scan_backward", needed, *cache, dhs, dhT)
    a, h_prev, dhs = contiguous(*cache, dhs)
    da, db, dh = empty(a.shape, a.dtype), empty(a.shape, a.dtype), np.array(dhT, order="C")
    arrays = dhs, a, h_prev, da, db, dh[None]
    by_step = [array.reshape(len(array), -1) for array in arrays]
    run_parallel(_scan.backward, by_step, shares_for(a.size))
    return da, db, dh


# --- Linear layer ------------------------------------------------------------------------------


def linear_forward(x: Array, W: Array, b: Array) -> tuple[Array, LinearCache]:
    """``y = x @ W + b``."""
    check_shapes("linear_forward", "W D V, b V, x * D", W, b, x)
    (x, b), (W_as_stored, transposed) = contiguous(x, b), _matrix(W)
    y = _affine(x.reshape(-1, x.shape[-1]), W_as_stored, b, transposed)
    return y.reshape(*x.shape[:-1], len(b)), LinearCache(x, W)


def linear_backward(dy: Array, cache: LinearCache) -> tuple[Array, Array, Array]:
    """Return the gradients of a linear layer; dW has the memory layout of W."""
    check_cache("linear_backward", cache, LinearCache)
    needed = "cache.x * D, cache.W D V, dy * V"
    check_shapes("linear_backward", needed, *cache, dy)
    (x, dy), (W, transposed) = contiguous(cache.x, dy), _matrix(cache.W)
    D, V = cache.W.shape
    dx, dW, db = _gradients(dy.reshape(-1, V), x.reshape(-1, D), W, transposed)
    return dx.reshape(x.shape), dW.T if transposed else dW, db


# --- Dropout with a given mask -----------------------------------------------------------------


def dropout_mask(uniform: Array, p: float, dtype: "np.dtype[Any]") -> Array:
    """Turn random numbers into a mask: 1 / (1 - p) where one is at least p, else 0."""
    check_array("dropout_mask", "uniform", uniform)
    check_in("dropout_mask", "p", p, "[0, 1)")
    mask = empty(uniform.shape, np.dtype(dtype))
    mask[...] = uniform >= float(p)
    mask *= 1 / (1 - float(p))
    return mask


def dropout_forward(x: Array, mask: Array) -> tuple[Array, DropoutCache]:
    """``y = x * mask``."""
    check_shapes("dropout_forward", "x *, mask *", x, mask)
    return np.multiply(x, mask, out=empty(x.shape, x.dtype)), DropoutCache(mask)


def dropout_backward(dy: Array, cache: DropoutCache) -> Array:
    """Return the gradient of x."""
    check_cache("dropout_backward", cache, DropoutCache)
    check_shapes("dropout_backward", "cache.mask *, dy *", cache.mask, dy)
    return np.multiply(dy, cache.mask, out=empty(dy.shape, dy.dtype))


# --- Softmax and cross-entropy -----------------------------------------------------------------


def sequence_cross_entropy_forward(
    logits: Array,
    targets: Array,
    weights: Array | None = None,
    *,
    average_across_timesteps: bool = False,
    average_across_batch: bool = True,
) -> tuple[Any, CrossEntropyCache]:
    """Return the loss of a sequence."""
    where = "sequence_cross_entropy_forward"
    check_shapes(where, "logits T B V", logits)
    T, B, V = logits.shape
    targets = check_ids(where, "targets", targets, V, (T, B), "T and B are fixed by logits")
    check_flag(where, "average_across_timesteps", average_across_timesteps)
    check_flag(where, "average_across_batch", average_across_batch)
    if weights is None:
        tokens = (T if average_across_timesteps else 1) * (B if average_across_batch else 1)
        coefficients = np.empty((T, B), logits.dtype)
        coefficients.fill(1 / tokens)
    else:
        check_weights(where, "weights", weights, (T, B), logits.dtype)
        coefficients = token_coefficients(
            weights,
            average_across_timesteps=average_across_timesteps,
            average_across_batch=average_across_batch,
        )
    (logits,) = contiguous(logits)
    peak, total, nll = np.empty((3, T, B), logits.dtype)
    predicted = np.empty((T, B), np.intp)
    arrays = (
        logits.reshape(-1, V),
        targets.ravel(),
        peak.ravel(),
        total.ravel(),
        nll.ravel(),
        predicted.ravel(),
    )
    run_parallel(_softmax.forward, arrays, shares_for(EXP * logits.size))
    loss = np.add.reduce(coefficients * nll, axis=None)
    return loss, CrossEntropyCache(logits, peak, total, targets, coefficients, nll, predicted)


def sequence_cross_entropy_backward(cache: CrossEntropyCache, dloss: float = 1.0) -> Array:
    """Return the gradient of the loss with respect to the logits, times dloss."""
    where = "sequence_cross_entropy_backward"
    check_cache(where, cache, CrossEntropyCache)
    logits, peak, total, targets, coefficients, _, _ = cache
    needed = "cache.logits T B V, cache.peak T B, cache.total T B, cache.coefficients T B"
    check_shapes(where, needed, logits, peak, total, coefficients)
    because = "T and B are fixed by cache.logits"
    targets = check_ids(where, "cache.targets", targets, logits.shape[2], peak.shape, because)
    check_number(where, "dloss", dloss)
    coefficients = coefficients * logits.dtype.type(dloss)
    logits, peak, total, coefficients = contiguous(logits, peak, total, coefficients)
    dlogits = empty(logits.shape, logits.dtype)
    V = logits.shape[2]
    arrays = (
        logits.reshape(-1, V),
        targets.ravel(),
        peak.ravel(),
        total.ravel(),
        coefficients.ravel(),
        dlogits.reshape(-1, V),
    )
    run_parallel(_softmax.backward, arrays, shares_for(EXP * logits.size))
    return dlogits


# --- Optimisers: updates in place --------------------------------------------------------------


def sum_of_squares(g: Array) -> float:
    """Return the sum of the squares of all entries."""
    check_array("sum_of_squares", "g", g)
    sums = np.empty(-(-g.size // _update.BLOCK))
    run_parallel(_update.sums_of_squares, (g.ravel(), sums), shares_for(g.size))
    return float(sums[0] if len(sums) == 1 else sums.cumsum()[-1])  # in order


def _check_update(where: str, w: Array, dw: Array, **memories: Array) -> None:
    """Raise unless a gradient fits w, which it changes in place, and the memories of w."""
    check_in_place(where, "w", w)
    before = {"w": w}
    for name, array in {**memories, "dw": dw}.items():
        check_array(where, name, array, w.shape, w.dtype, "it has the shape of w")
        if array is not dw:
            check_in_place(where, name, array)
        for one in before:
            if np.may_share_memory(before[one], array):  # threads would race
                raise ValueError(
                    f"{where}: {one} must not share memory with {name}; copy one of them"
                )
        before[name] = array


def sgd_update(w: Array, dw: Array, lr: float) -> None:
    """Gradient descent."""
    _check_update("sgd_update", w, dw)
    check_in("sgd_update", "lr", lr, "[0, inf)")
    run_parallel(_update.descend, (w.ravel(), dw.ravel(), float(lr)), shares_for(w.size))


def momentum_update(w: Array, v: Array, dw: Array, lr: float, momentum: float) -> None:
    """Gradient descent with momentum: w and the velocity v change."""
    _check_update("momentum_update", w, dw, v=v)
    check_in("momentum_update", "lr", lr, "[0, inf)")
    check_in("momentum_update", "momentum", momentum, "[0, inf)")
    arguments = w.ravel(), v.ravel(), dw.ravel(), float(lr), float(momentum)
    run_parallel(_update.descend_with_momentum, arguments, shares_for(w.size))


def adam_update(
    w: Array,
    m: Array,
    v: Array,
    dw: Array,
    t: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float = 0.0,
    decoupled: bool = False,
) -> None:
    """Adam, and AdamW if `decoupled`."""
    where = "adam_update"
    _check_update(where, w, dw, m=m, v=v)
    check_whole(where, "t", t)
    for name, beta in (("beta1", beta1), ("beta2", beta2)):
        check_in(where, name, beta, "[0, 1)")
    for name, value in {"lr": lr, "eps": eps, "weight_decay": weight_decay}.items():
        check_in(where, name, value, "[0, inf)")
    lr, beta1, beta2, eps, weight_decay = map(float, (lr, beta1, beta2, eps, weight_decay))
    step = _update.AdamStep(
        decay_in_gradient=0.0 if decoupled else weight_decay,
        kept_w=1 - lr * weight_decay if decoupled else 1.0,
        new_m=1 - beta1,
        kept_v=beta2,
        new_v=1 - beta2,
        rate=lr / (1 - beta1**t),
        root=math.sqrt(1 - beta2**t),
        eps=eps,
    )
    step = _update.AdamStep(*np.array(step, w.dtype))
    arrays = w.ravel(), m.ravel(), v.ravel(), dw.ravel()
    run_parallel(_update.descend_by_moments, (*arrays, step), shares_for(w.size))


# --- Without kernels ---------------------------------------------------------------------------

if _failure is not None:
    reason = " ".join(f"{type(_failure).__name__}: {_failure}".split())
    hint = "; this version of Numba may be too new or too old"
    if isinstance(_failure, ModuleNotFoundError | ValueError):  # not installed; a wrong variable
        hint = ""
    warnings.warn(
        f"the compiled kernels do not work here ({reason:.200}); plain NumPy takes their place, "
        f"with the same results but slowly{hint}",
        RuntimeWarning,
        stacklevel=2,
    )
    from numpylstm.reference import *  # noqa: F403
