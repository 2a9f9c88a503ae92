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
import operator
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
    check_in_place,
    check_interval,
    check_lengths,
    check_number,
    check_shapes,
    check_weights,
    check_whole,
)
from numpylstm.kernels.batch import Batch, batch_of, place_rows
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
    from numpylstm.kernels import recurrence as _recurrence
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
PRODUCT = 4  # a multiply-add inside a matrix product costs a quarter of one outside
MEETING = 20  # threads are woken in the time in which they meet so many times inside a kernel
PANEL = 32  # hidden units for which a thread takes part: two vectors of a float32 product
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
    unless its own cache holds Wh. If they split the hidden units, all meet after each step and
    together read Wh once. Wh has H columns for each gate, or none.
    """
    B = -(-N // T)
    step = B * H * max(columns, EXP)
    woken = shares_for(T * step, threads)
    rows = min(woken, max(1, B // 2))  # a tile of one row is slow
    units = min(woken, shares_for(MEETING * step, threads), max(1, H // PANEL))
    fits = H * columns * itemsize <= OWN_CACHE
    split_batch = not columns or (fits and rows >= min(units, 2))
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
    dx = empty(x.shape, x.dtype)
    dW = empty(W.shape, x.dtype)
    db = np.empty(dy.shape[1:], x.dtype)
    zeros = np.zeros((1, max(W.shape)), x.dtype)
    ones = np.empty((1, len(dy)), x.dtype)
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
    values = _scattered(where, dx, place.reshape(ids.shape), (len(rows), D))
    return rows, values


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


class Layout:
    """The arrays of one kind of recurrent layer, by name.

    Parameters
    ----------
    cache : class of the cache
    over_time : dict of name -> columns
        Of the arrays in the cache that have a row for each step: x, and those that the kernel reads
        on the way back, the fields of its `Kept`.
    weights : dict of name -> shape
        Of the matrices in the cache.
    sums : tuple of str
        The arrays that begin as sums of products: of x @ Wx + b, and the second one of a GRU.
    filled : tuple of str
        The arrays that the kernel fills, the fields of its `States`: the states, and others.
    states : tuple of str
    """

    def __init__(
        self,
        cache: Any,
        over_time: dict[str, str],
        weights: dict[str, str],
        sums: tuple[str, ...],
        filled: tuple[str, ...],
        states: tuple[str, ...] = ("h",),
    ) -> None:
        self.cache = cache
        self.over_time = tuple(over_time)
        self.names = *over_time, *weights  # of all arrays of the cache
        self.arrays_of = operator.attrgetter(*self.names)
        self.has_Wh = "Wh" in weights
        self.sums = sums
        self.filled = filled
        self.states = states
        fixed = [f"cache.{name} {shape}" for name, shape in weights.items()]
        fixed += ["dhs T B H", *(f"d{name}T B H" for name in states)]
        whole = [f"cache.{name} T B {columns}" for name, columns in over_time.items()]
        packed = [f"cache.{name} N {columns}" for name, columns in over_time.items()]
        self.shapes = ", ".join(whole + fixed)  # as for `check_shapes`
        self.shapes_with_lengths = ", ".join(packed + fixed)


RNN = Layout(
    RNNCache,
    {"x": "D", "h_prev": "H", "h": "H"},
    {"Wx": "D H", "Wh": "H H"},
    sums=("a",),
    filled=("h",),
)
LSTM = Layout(
    LSTMCache,
    {"x": "D", "h_prev": "H", "c_prev": "H", "gates": "4H", "c": "H", "tanh_c": "H", "h": "H"},
    {"Wx": "D 4H", "Wh": "H 4H"},
    sums=("gates",),
    filled=("h", "c", "tanh_c"),
    states=("h", "c"),
)
GRU = Layout(
    GRUCache,
    {"x": "D", "h_prev": "H", "gates": "3H", "s": "H", "h": "H"},
    {"Wx": "D 3H", "Wh": "H 3H"},
    sums=("gates", "s"),
    filled=("h",),
)
MINGRU = Layout(
    MinGRUCache,
    {"x": "D", "h_prev": "H", "gates": "2H", "h": "H"},
    {"Wx": "D 2H"},
    sums=("gates",),
    filled=("h",),
)
MINLSTM = Layout(
    MinLSTMCache,
    {"x": "D", "h_prev": "H", "gates": "3H", "h": "H", "log_odds": "H"},
    {"Wx": "D 3H"},
    sums=("gates",),
    filled=("h", "log_odds"),
)
SLSTM = Layout(
    SLSTMCache,
    {
        "x": "D",
        "h_prev": "H",
        "c_prev": "H",
        "n_prev": "H",
        "m_prev": "H",
        "gates": "4H",
        "h": "H",
        "c": "H",
        "n": "H",
        "m": "H",
        "log_f": "H",
    },
    {"Wx": "D 4H", "Wh": "H 4H"},
    sums=("gates",),
    filled=("h", "c", "n", "m", "log_f"),
    states=("h", "c", "n", "m"),
)


def _forward(
    where: str,
    layout: Layout,
    kernel: Any,
    x: Array,
    state: tuple[Array, ...],
    weights: dict[str, Array],
    b: Array,
    lengths: Array | None,
    options: dict[str, Any],
    h_mask: Array | None = None,
    second_sum: Any = None,
) -> tuple[Any, ...]:
    """Run a cell over a sequence; return hs, the last states and the cache.

    `weights` and `options` are those that the cache holds. `second_sum` is what the second sum of a
    GRU starts from, h_prev @ Wh of its candidate.
    """
    T, B, D = x.shape
    H = state[0].shape[1]
    mask = np.empty((0, H), x.dtype)
    if h_mask is not None:
        check_array(where, "h_mask", h_mask, (B, H), x.dtype, "it has the shape of h0")
        options = options | {"h_mask": h_mask}
    encoded = None
    if lengths is not None:
        lengths = check_lengths(where, "lengths", lengths, T, B)
        encoded = lengths.tobytes()
    batch = batch_of(T, B, encoded)
    Wh = weights["Wh"] if "Wh" in weights else np.empty((H, 0), x.dtype)
    x, Wx, Wh, b = contiguous(x, weights["Wx"], Wh, b)
    x = x.reshape(T * B, D)[batch.place]
    N = len(x)

    sums = {layout.sums[0]: _affine(x, Wx, b)}
    for name in layout.sums[1:]:
        sums[name] = empty((N, H), x.dtype)
        sums[name][...] = second_sum
    filled: dict[str, Array] = {}
    for name in layout.filled:
        filled[name] = empty((B + N, H), x.dtype)
    for name, start in zip(layout.states, state, strict=True):
        filled[name][:B] = start[batch.order]
    h_read = filled["h"]
    if h_mask is not None:
        (mask,) = contiguous(h_mask[batch.order])
        h_read = empty((B + N, H), x.dtype)
        np.multiply(filled["h"][:B], mask, out=h_read[:B])
    arrays = _recurrence.ForwardArrays(
        offsets=batch.offsets,
        sums=tuple(sums.values()),
        states=kernel.States(**filled),
        h_mask=mask,
        h_read=h_read,
    )
    split = split_work(T, N, H, Wh.shape[1], Wh.itemsize, get_num_threads())
    _recurrence.run_forward(kernel, Wh, arrays, batch, split)

    steps = {"x": x, **sums}  # every array with a row for each step, by name
    last = []
    for name, array in filled.items():
        steps[name] = array[B:]
    for name in layout.states:
        steps[f"{name}_prev"] = filled[name][batch.before]
        last.append(filled[name][batch.last].copy())
    over_time = {}
    for name in layout.over_time:
        array = steps[name]
        over_time[name] = array.reshape(*batch.shape, array.shape[1])
    cache = layout.cache(**over_time, **weights, **options)
    hs = place_rows(steps["h"], batch.place, T, B)
    return hs, *last, cache if lengths is None else PaddedCache(cache, lengths)


def _check_backward(
    where: str, layout: Layout, cache: Any, dhs: Array, *dstate: Array
) -> tuple[Batch, Any]:
    """Check the arguments of a backward pass; return its batch, and the cache of the cell.

    That is the cache itself, or the one that a `PaddedCache` holds.
    """
    cell_cache: Any = cache.packed if isinstance(cache, PaddedCache) else cache
    check_cache(where, cell_cache, layout.cache)
    arrays = layout.arrays_of(cell_cache)
    if cell_cache is cache:
        sizes = check_shapes(where, layout.shapes, *arrays, dhs, *dstate)
        _check_mask(where, layout, cell_cache, sizes, dhs)
        return batch_of(sizes["T"], sizes["B"], None), cell_cache
    sizes = check_shapes(where, layout.shapes_with_lengths, *arrays, dhs, *dstate)
    T = sizes["T"]
    B = sizes["B"]
    _check_mask(where, layout, cell_cache, sizes, dhs)
    lengths = check_lengths(where, "cache.lengths", cache.lengths, T, B, sizes["N"])
    return batch_of(T, B, lengths.tobytes()), cell_cache


def _check_mask(where: str, layout: Layout, cache: Any, sizes: dict[str, int], dhs: Array) -> None:
    """Check the mask of the state in a cache, if there is one."""
    if layout.has_Wh and cache.h_mask is not None:
        shape = sizes["B"], sizes["H"]
        because = "it has the shape of dhT"
        check_array(where, "cache.h_mask", cache.h_mask, shape, dhs.dtype, because)


def _backward(
    layout: Layout, kernel: Any, batch: Batch, cache: Any, dhs: Array, *dstate: Array
) -> tuple[tuple[Any, ...], Array]:
    """Go back through a sequence after `_forward`.

    Return all gradients, in the order of the arguments of the forward pass, and the last da of
    `kernels.recurrence`.
    """
    T, B, H = dhs.shape
    given = dict(zip(layout.names, layout.arrays_of(cache), strict=True))
    given["dhs"] = dhs
    kept = dict(zip(given, contiguous(*given.values()), strict=True))
    dhs = kept.pop("dhs")
    Wx = kept.pop("Wx")
    Wh = kept.pop("Wh") if layout.has_Wh else np.empty((H, 0), dhs.dtype)
    columns = Wh.shape[1]
    dhs = dhs.reshape(T * B, H)[batch.place]
    N = len(dhs)
    for name, array in kept.items():
        kept[name] = array.reshape(N, array.shape[-1])
    x = kept.pop("x")
    dstates = []
    for array in dstate:
        dstates.append(np.array(array[batch.order], order="C"))
    h_read = kept["h_prev"]
    mask = np.empty((0, H), dhs.dtype)
    if layout.has_Wh and cache.h_mask is not None:
        (mask,) = contiguous(cache.h_mask[batch.order])
        h_read = h_read * np.tile(cache.h_mask, (T, 1))[batch.place]  # that of each row
    da = [empty((N, Wx.shape[1]), dhs.dtype)]
    if kernel.separate_da:
        da.append(empty((N, columns), dhs.dtype))
    arrays = _recurrence.BackwardArrays(
        offsets=batch.offsets,
        kept=kernel.Kept(**kept),
        dhs=dhs,
        dstates=tuple(dstates),
        da=tuple(da),
        h_mask=mask,
        dh_read=np.zeros(mask.shape, mask.dtype),
    )
    split = split_work(T, N, H, columns, Wh.itemsize, get_num_threads())
    _recurrence.run_backward(kernel, Wh, arrays, batch, split)

    dWh = empty(Wh.shape, Wh.dtype)
    dx, dWx, db = _gradients(da[0], x, Wx, False, (h_read, da[-1], dWh))
    dx = place_rows(dx, batch.place, T, B)
    for k, array in enumerate(dstates):
        dstates[k] = array[batch.rank]
    dweights = (dWx, dWh, db) if layout.has_Wh else (dWx, db)
    return (dx, *dstates, *dweights), da[-1]


def rnn_forward(
    x: Array,
    h0: Array,
    Wx: Array,
    Wh: Array,
    b: Array,
    activation: str = "tanh",
    lengths: Array | None = None,
    h_mask: Array | None = None,
) -> tuple[Any, ...]:
    """Unroll the vanilla network over a sequence."""
    where = "rnn_forward"
    check_shapes(where, "Wx D H, Wh H H, b H, x T B D, h0 B H", Wx, Wh, b, x, h0)
    check_choice(where, "activation", activation, _rnn.CELLS)
    weights = {"Wx": Wx, "Wh": Wh}
    options = {"activation": activation}
    kernel = _rnn.CELLS[activation]
    return _forward(where, RNN, kernel, x, (h0,), weights, b, lengths, options, h_mask)


def rnn_backward(dhs: Array, dhT: Array, cache: RNNCache | PaddedCache) -> tuple[Any, ...]:
    """Backpropagate through time; return dx, dh0, dWx, dWh and db."""
    where = "rnn_backward"
    batch, cell_cache = _check_backward(where, RNN, cache, dhs, dhT)
    check_choice(where, "cache.activation", cell_cache.activation, _rnn.CELLS)
    gradients, _ = _backward(RNN, _rnn.CELLS[cell_cache.activation], batch, cell_cache, dhs, dhT)
    return gradients


def lstm_forward(
    x: Array,
    h0: Array,
    c0: Array,
    Wx: Array,
    Wh: Array,
    b: Array,
    lengths: Array | None = None,
    h_mask: Array | None = None,
) -> tuple[Any, ...]:
    """Unroll the memory cell over a sequence."""
    where = "lstm_forward"
    needed = "Wx D 4H, Wh H 4H, b 4H, x T B D, h0 B H, c0 B H"
    check_shapes(where, needed, Wx, Wh, b, x, h0, c0)
    weights = {"Wx": Wx, "Wh": Wh}
    return _forward(where, LSTM, _lstm.LSTM, x, (h0, c0), weights, b, lengths, {}, h_mask)


def lstm_backward(
    dhs: Array, dhT: Array, dcT: Array, cache: LSTMCache | PaddedCache
) -> tuple[Any, ...]:
    """Backpropagate through time; return dx, dh0, dc0, dWx, dWh and db."""
    batch, cell_cache = _check_backward("lstm_backward", LSTM, cache, dhs, dhT, dcT)
    gradients, _ = _backward(LSTM, _lstm.LSTM, batch, cell_cache, dhs, dhT, dcT)
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
    h_mask: Array | None = None,
) -> tuple[Any, ...]:
    """Unroll the gated unit over a sequence.

    With the reset "before", each step waits for its own reset gate, and the reference computes.
    """
    where = "gru_forward"
    check_shapes(where, "Wx D 3H, Wh H 3H, b 3H, x T B D, h0 B H", Wx, Wh, b, x, h0)
    _check_reset(where, "", bn, reset, Wh)
    if reset == "before":
        if lengths is not None:
            lengths = check_lengths(where, "lengths", lengths, *x.shape[:2])
        if h_mask is not None:
            check_array(where, "h_mask", h_mask, h0.shape, h0.dtype, "it has the shape of h0")
        x, h0, Wx, Wh, b = contiguous(x, h0, Wx, Wh, b)  # the same five
        return reference.gru_forward(x, h0, Wx, Wh, b, bn, reset, lengths, h_mask)
    weights = {"Wx": Wx, "Wh": Wh}
    options = {"bn": bn, "reset": reset}
    second_sum = 0 if bn is None else bn
    return _forward(
        where, GRU, _gru.GRU, x, (h0,), weights, b, lengths, options, h_mask, second_sum
    )


def gru_backward(dhs: Array, dhT: Array, cache: GRUCache | PaddedCache) -> tuple[Any, ...]:
    """Backpropagate through time; return dx, dh0, dWx, dWh, db and dbn."""
    where = "gru_backward"
    batch, cell_cache = _check_backward(where, GRU, cache, dhs, dhT)
    _check_reset(where, "cache.", cell_cache.bn, cell_cache.reset, cell_cache.Wh)
    if cell_cache.reset == "before":
        if isinstance(cache, PaddedCache):
            cache = PaddedCache(cell_cache, cache.lengths.astype(np.int64))
        dhs, dhT = contiguous(dhs, dhT)
        return reference.gru_backward(dhs, dhT, cache)
    gradients, du = _backward(GRU, _gru.GRU, batch, cell_cache, dhs, dhT)
    H = len(cell_cache.Wh)
    dbn = None if cell_cache.bn is None else du[:, 2 * H :].sum(axis=0)
    return *gradients, dbn


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
    kernel = _scan.MINGRU[factors]
    options = {"factors": factors}
    return _forward(where, MINGRU, kernel, x, (h0,), {"Wx": Wx}, b, lengths, options)


def mingru_backward(dhs: Array, dhT: Array, cache: MinGRUCache | PaddedCache) -> tuple[Any, ...]:
    """Backpropagate through time; return dx, dh0, dWx and db."""
    where = "mingru_backward"
    batch, cell_cache = _check_backward(where, MINGRU, cache, dhs, dhT)
    check_choice(where, "cache.factors", cell_cache.factors, _scan.MINGRU)
    gradients, _ = _backward(MINGRU, _scan.MINGRU[cell_cache.factors], batch, cell_cache, dhs, dhT)
    return gradients


def minlstm_forward(
    x: Array, h0: Array, Wx: Array, b: Array, lengths: Array | None = None
) -> tuple[Any, ...]:
    """As `mingru_forward`, with three blocks of H columns, in the order i, f, g."""
    where = "minlstm_forward"
    check_shapes(where, "Wx D 3H, b 3H, x T B D, h0 B H", Wx, b, x, h0)
    return _forward(where, MINLSTM, _scan.MINLSTM, x, (h0,), {"Wx": Wx}, b, lengths, options={})


def minlstm_backward(dhs: Array, dhT: Array, cache: MinLSTMCache | PaddedCache) -> tuple[Any, ...]:
    """As `mingru_backward`; return dx, dh0, dWx and db."""
    batch, cell_cache = _check_backward("minlstm_backward", MINLSTM, cache, dhs, dhT)
    gradients, _ = _backward(MINLSTM, _scan.MINLSTM, batch, cell_cache, dhs, dhT)
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
    h_mask: Array | None = None,
) -> tuple[Any, ...]:
    """Unroll the cell over a sequence."""
    where = "slstm_forward"
    needed = "Wx D 4H, Wh H 4H, b 4H, x T B D, h0 B H, c0 B H, n0 B H, m0 B H"
    check_shapes(where, needed, Wx, Wh, b, x, h0, c0, n0, m0)
    check_choice(where, "forget_gate", forget_gate, _lstm.SLSTM)
    kernel = _lstm.SLSTM[forget_gate]
    state = h0, c0, n0, m0
    weights = {"Wx": Wx, "Wh": Wh}
    options = {"forget_gate": forget_gate}
    return _forward(where, SLSTM, kernel, x, state, weights, b, lengths, options, h_mask)


def slstm_backward(
    dhs: Array, dhT: Array, dcT: Array, dnT: Array, dmT: Array, cache: SLSTMCache | PaddedCache
) -> tuple[Any, ...]:
    """Backpropagate through time; return dx, dh0, dc0, dn0, dm0, dWx, dWh and db.

    dmT is not read.
    """
    where = "slstm_backward"
    dstate = dhT, dcT, dnT, dmT
    batch, cell_cache = _check_backward(where, SLSTM, cache, dhs, *dstate)
    check_choice(where, "cache.forget_gate", cell_cache.forget_gate, _lstm.SLSTM)
    kernel = _lstm.SLSTM[cell_cache.forget_gate]
    gradients, _ = _backward(SLSTM, kernel, batch, cell_cache, dhs, *dstate)
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
    check_shapes("scan_backward", needed, cache.a, cache.h_prev, dhs, dhT)
    a, h_prev, dhs = contiguous(cache.a, cache.h_prev, dhs)
    da = empty(a.shape, a.dtype)
    db = empty(a.shape, a.dtype)
    dh = np.array(dhT, order="C")
    arrays = dhs, a, h_prev, da, db, dh[None]
    by_step = [array.reshape(len(array), -1) for array in arrays]
    run_parallel(_scan.backward, by_step, shares_for(a.size))
    return da, db, dh


# --- Linear layer ------------------------------------------------------------------------------


def linear_forward(x: Array, W: Array, b: Array) -> tuple[Array, LinearCache]:
    """``y = x @ W + b``."""
    check_shapes("linear_forward", "W D V, b V, x * D", W, b, x)
    x, b = contiguous(x, b)
    W_as_stored, transposed = _matrix(W)
    y = _affine(x.reshape(-1, x.shape[-1]), W_as_stored, b, transposed)
    return y.reshape(*x.shape[:-1], len(b)), LinearCache(x, W)


def linear_backward(dy: Array, cache: LinearCache) -> tuple[Array, Array, Array]:
    """Return the gradients of a linear layer; dW has the memory layout of W."""
    check_cache("linear_backward", cache, LinearCache)
    needed = "cache.x * D, cache.W D V, dy * V"
    check_shapes("linear_backward", needed, cache.x, cache.W, dy)
    x, dy = contiguous(cache.x, dy)
    W, transposed = _matrix(cache.W)
    D, V = cache.W.shape
    dx, dW, db = _gradients(dy.reshape(-1, V), x.reshape(-1, D), W, transposed)
    return dx.reshape(x.shape), dW.T if transposed else dW, db


# --- Dropout with a given mask -----------------------------------------------------------------


def dropout_mask(uniform: Array, p: float, dtype: "np.dtype[Any]") -> Array:
    """Turn random numbers into a mask: 1 / (1 - p) where one is at least p, else 0."""
    check_array("dropout_mask", "uniform", uniform)
    check_interval("dropout_mask", "p", p, "[0, 1)")
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
        check_weights(where, weights, (T, B), logits.dtype)
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
    needed = "cache.logits T B V, cache.peak T B, cache.total T B, cache.coefficients T B"
    check_shapes(where, needed, cache.logits, cache.peak, cache.total, cache.coefficients)
    T, B, V = cache.logits.shape
    because = "T and B are fixed by cache.logits"
    targets = check_ids(where, "cache.targets", cache.targets, V, (T, B), because)
    check_number(where, "dloss", dloss)
    coefficients = cache.coefficients * cache.logits.dtype.type(dloss)
    logits, peak, total, coefficients = contiguous(
        cache.logits, cache.peak, cache.total, coefficients
    )
    dlogits = empty(logits.shape, logits.dtype)
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


def _check_update(where: str, w: Array, dw: Array, **state: Array) -> None:
    """Raise unless w, which changes in place, its gradient and the optimiser state fit together."""
    check_in_place(where, "w", w)
    before = {"w": w}
    for name, array in {**state, "dw": dw}.items():
        check_array(where, name, array, w.shape, w.dtype, "it has the shape of w")
        if array is not dw:
            check_in_place(where, name, array)
        for other in before:
            if np.may_share_memory(before[other], array):  # threads would race
                raise ValueError(
                    f"{where}: {other} must not share memory with {name}; copy one of them"
                )
        before[name] = array


def sgd_update(w: Array, dw: Array, lr: float) -> None:
    """Gradient descent."""
    _check_update("sgd_update", w, dw)
    check_interval("sgd_update", "lr", lr, "[0, inf)")
    run_parallel(_update.descend, (w.ravel(), dw.ravel(), float(lr)), shares_for(w.size))


def momentum_update(w: Array, v: Array, dw: Array, lr: float, momentum: float) -> None:
    """Gradient descent with momentum: w and the velocity v change."""
    _check_update("momentum_update", w, dw, v=v)
    check_interval("momentum_update", "lr", lr, "[0, inf)")
    check_interval("momentum_update", "momentum", momentum, "[0, inf)")
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
        check_interval(where, name, beta, "[0, 1)")
    for name, value in {"lr": lr, "eps": eps, "weight_decay": weight_decay}.items():
        check_interval(where, name, value, "[0, inf)")
    lr = float(lr)  # a float32 of NumPy would round what is computed from it
    beta1 = float(beta1)
    beta2 = float(beta2)
    weight_decay = float(weight_decay)
    step = _update.AdamStep(
        decay_in_gradient=0.0 if decoupled else weight_decay,
        kept_w=1 - lr * weight_decay if decoupled else 1.0,
        new_m=1 - beta1,
        kept_v=beta2,
        new_v=1 - beta2,
        rate=lr / (1 - beta1**t),
        root=math.sqrt(1 - beta2**t),
        eps=float(eps),
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
