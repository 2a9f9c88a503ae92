"""The fast path agrees with the textbook: results, caches and gradients, in both dtypes.

Errors are relative to the largest entry of each array: 1e-10 in float64, 1e-5 in float32.
"""

import numpy as np
import pytest
from conftest import B, D, H, T, V
from support.agreement import DTYPES, all_close, close
from support.arguments import normal
from support.bad_calls import assert_refused, bad_call
from support.every_cell import CALLS as TEXTBOOK_CALLS
from support.every_cell import SIZES as TEXTBOOK_SIZES
from support.processes import run_python

from numpylstm import functional, reference
from numpylstm.cells import CELLS

SIZES = [  # T, B, D, H
    *TEXTBOOK_SIZES,
    pytest.param((T, B, 1, H), id="D=1"),
    pytest.param((3, 17, 33, 34), id="no multiple of a tile"),
    pytest.param((4, 19, 40, 130), id="shared by threads", marks=pytest.mark.big),
    pytest.param((3, 30, 300, 70), id="several blocks", marks=pytest.mark.big),
]


CALLS = TEXTBOOK_CALLS | {"gru without-bn": ("gru", {"reset": "after"})}
KINDS = pytest.mark.parametrize("kind", CALLS)


def a_pass(rng, kind, sizes, dtype):
    """Return the cell, the arguments of its forward pass, and gradients of its results."""
    cell, options = CALLS[kind]
    T, B, D, H = sizes
    x, states = normal(rng, dtype, T, B, D), CELLS[cell].states
    states = [normal(rng, dtype, B, H) for _ in states]
    states[2:3] = [0.5 + np.abs(n) for n in states[2:3]]  # a normaliser is positive
    upstream = [normal(rng, dtype, *shape) for shape in ((T, B, H), *[(B, H)] * len(states))]
    shapes = CELLS[cell].shapes(D, H, options)
    weights = {name: normal(rng, dtype, *shape) for name, shape in shapes.items()}
    for w in weights.values():
        if w.ndim == 2:
            w /= np.sqrt(len(w), dtype=dtype)
    if kind == "gru without-bn":
        del weights["bn"]
    names = *CELLS[cell].matrices, "b", *CELLS[cell].vectors
    arguments = [x, *states, *map(weights.get, names), *options.values()]
    return cell, arguments, upstream


def both_directions(module, cell, arguments, upstream):
    """Return all results of the forward and of the backward pass."""
    forward = getattr(module, f"{cell}_forward")(*arguments)
    backward = getattr(module, f"{cell}_backward")(*upstream, forward[-1])
    return *forward, *backward


def fast_and_textbook(cell, arguments, upstream):
    return [
        both_directions(module, cell, arguments, upstream) for module in (functional, reference)
    ]


# --- recurrent layers --------------------------------------------------------------------------


@DTYPES
@KINDS
@pytest.mark.parametrize("sizes", SIZES)
def test_recurrent_layers(rng, sizes, kind, dtype):
    all_close(*fast_and_textbook(*a_pass(rng, kind, sizes, dtype)), dtype)


@pytest.mark.big
@pytest.mark.parametrize("sizes", [(2, 5, 70, 610), (1, 20, 70, 610)], ids=["window", "step"])
@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        ("lstm", "float32"),
        ("lstm", "float64"),
        ("rnn tanh", "float32"),
        ("gru after", "float32"),
        ("gru before", "float32"),
        ("slstm sigmoid", "float32"),
    ],
)
def test_layers_larger_than_a_cores_cache(rng, sizes, kind, dtype):
    """Threads share the hidden units, in kernels that differ from the others by no formula."""
    all_close(*fast_and_textbook(*a_pass(rng, kind, sizes, dtype)), dtype)


@pytest.mark.big
def test_a_gru_step_by_step_has_the_bits_of_the_window(rng):
    """Each number is one sum in one order, however many steps a call has."""
    _, (x, h, *weights), _ = a_pass(rng, "gru after", (4, 20, 70, 610), "float32")
    hs, _, _ = functional.gru_forward(x, h, *weights)
    for t in range(4):
        _, h, _ = functional.gru_forward(x[t : t + 1], h, *weights)
        assert np.array_equal(h, hs[t])


@DTYPES
@pytest.mark.parametrize(
    "kind", ["lstm", "rnn tanh", "gru without-bn", "gru before", "mingru positive", "slstm sigmoid"]
)
def test_saturated(rng, kind, dtype):
    """Weighted sums in the thousands: every gate is 0 or 1, and nothing overflows.

    In float32 only LSTM and RNN are compared: where r closes, z is half open, or an exponent is a
    difference of such sums, their rounding error shows.
    """
    cell, arguments, upstream = a_pass(rng, kind, (T, B, D, H), dtype)
    Wx = 1 + len(CELLS[cell].states)
    arguments[Wx:] = [1000 * w if isinstance(w, np.ndarray) else w for w in arguments[Wx:]]
    got, want = fast_and_textbook(cell, arguments, upstream)
    for g, w in zip(got, want, strict=True):
        if isinstance(w, np.ndarray):
            assert np.isfinite(g).all()
            if cell in ("lstm", "rnn") or dtype == "float64":
                close(g, w, dtype, scale=max(1, np.abs(w).max()))
    if cell == "gru":
        gates = got[2].gates[..., : 2 * H]
        assert ((gates < 1e-6) | (gates > 1 - 1e-6)).mean() > 0.9


def test_relu_passes_nan_on(rng):
    """A NaN is passed on and does not become zero."""
    for activation in ("tanh", "relu", "sigmoid"):
        _, arguments, _ = a_pass(rng, f"rnn {activation}", (T, B, D, H), "float32")
        arguments[0][0, 0, 0] = np.nan
        hs, _, _ = functional.rnn_forward(*arguments)
        assert np.isnan(hs[:, 0]).all()
        assert np.isfinite(hs[:, 1:]).all()


# --- the linear recurrence ---------------------------------------------------------------------


@DTYPES
@pytest.mark.parametrize(
    "shape", [(T, B, H), (1, B, H), (T, 1, 1), pytest.param((9, 40, 700), marks=pytest.mark.big)]
)
def test_scan(rng, shape, dtype):
    a, b, dhs = (normal(rng, dtype, *shape) for _ in range(3))
    h0, dhT = (normal(rng, dtype, *shape[1:]) for _ in range(2))
    all_close(*fast_and_textbook("scan", (a, b, h0), (dhs, dhT)), dtype)


# --- embedding, linear, dropout ----------------------------------------------------------------


@DTYPES
@pytest.mark.parametrize("shape", [(T, B), (B,), (1, 1)])
def test_embedding(rng, shape, dtype):
    W = normal(rng, dtype, V, D)
    ids = rng.integers(0, 3, shape)  # three rows, each many times
    x, cache = functional.embedding_forward(ids, W)
    assert np.array_equal(x, W[ids])
    dx = normal(rng, dtype, *x.shape)
    dW = functional.embedding_backward(dx, cache)
    close(dW, reference.embedding_backward(dx, cache), dtype)
    rows, drows = functional.embedding_backward_rows(dx, cache)
    assert np.array_equal(rows, np.unique(ids))
    assert np.array_equal(drows, dW[rows])


@DTYPES
@pytest.mark.parametrize("tied", [False, True], ids=["W", "W = table.T"])
@pytest.mark.parametrize(
    "shape",
    [
        (T, B, D, V),
        (B, D, V),
        (1, 1, 1, 1),
        (3, 11, 17, 35),
        pytest.param((7, 20, 150, 101), marks=pytest.mark.big),
        pytest.param((2, 300, 530, 70), marks=pytest.mark.big),
    ],
)
def test_linear(rng, shape, tied, dtype):
    *rows, D, V = shape
    W = normal(rng, dtype, V, D).T if tied else normal(rng, dtype, D, V)
    x, b, dy = normal(rng, dtype, *rows, D), normal(rng, dtype, V), normal(rng, dtype, *rows, V)
    got, want = fast_and_textbook("linear", (x, W, b), (dy,))
    all_close(got, want, dtype)
    assert got[3].flags.f_contiguous or not tied, "the gradient lies as the matrix does"


@DTYPES
def test_dropout(rng, dtype):
    x, dy = normal(rng, dtype, T, B, D), normal(rng, dtype, T, B, D)
    mask = (rng.random(x.shape) < 0.5).astype(dtype) * 2
    y, cache = functional.dropout_forward(x, mask)
    assert np.array_equal(y, x * mask)
    assert np.array_equal(functional.dropout_backward(dy, cache), dy * mask)


@DTYPES
@pytest.mark.parametrize(
    "shape", [(T, B, D), pytest.param((7, 100, 131), id="shared", marks=pytest.mark.big)]
)
def test_dropout_mask(rng, shape, dtype):
    """A number of exactly p is kept; the array may have any layout."""
    uniform = rng.random(shape, dtype=np.float32)
    uniform[0, 0, 0] = 0.3
    for numbers in (uniform, uniform.T):
        mask = functional.dropout_mask(numbers, np.float64(0.3), np.dtype(dtype))
        assert mask.dtype == dtype
        assert np.array_equal(mask, reference.dropout_mask(numbers, 0.3, np.dtype(dtype)))
    assert mask[0, 0, 0] == np.dtype(dtype).type(1 / 0.7)


# --- cross-entropy -----------------------------------------------------------------------------


@DTYPES
@pytest.mark.parametrize("average_across_timesteps", [False, True])
@pytest.mark.parametrize("average_across_batch", [False, True])
@pytest.mark.parametrize("weights", ["none", "random", "masked"])
def test_cross_entropy(rng, weights, average_across_timesteps, average_across_batch, dtype):
    logits, targets = 3 * normal(rng, dtype, T, B, V), rng.integers(0, V, (T, B))
    if weights == "none":
        weights = None
    else:
        masked = weights == "masked"
        weights = rng.random((T, B)).astype(dtype)
        if masked:
            weights[-1] = 0  # a time step that is padding for the whole batch
            weights[1, 2] = 0
    flags = {
        "average_across_timesteps": average_across_timesteps,
        "average_across_batch": average_across_batch,
    }
    results = []
    for module in (functional, reference):
        loss, cache = module.sequence_cross_entropy_forward(logits, targets, weights, **flags)
        results.append((loss, cache, module.sequence_cross_entropy_backward(cache, 0.7)))
    (loss, cache, dlogits), (want, want_cache, want_dlogits) = results
    close(loss, want, dtype)
    all_close(cache, want_cache, dtype)
    close(dlogits, want_dlogits, dtype, scale=cache.coefficients.max())


@DTYPES
@pytest.mark.parametrize("V", [1, 2, 63, 64, 65, 200])
def test_cross_entropy_of_any_width(rng, V, dtype):
    logits, targets = normal(rng, dtype, 2, 3, V), rng.integers(0, V, (2, 3))
    loss, cache = functional.sequence_cross_entropy_forward(logits, targets)
    want, want_cache = reference.sequence_cross_entropy_forward(logits, targets)
    close(loss, want, dtype, scale=1)
    assert np.array_equal(cache.predicted, want_cache.predicted)
    np.testing.assert_array_equal(cache.peak, want_cache.peak)
    close(cache.total, want_cache.total, dtype, scale=1)


@DTYPES
def test_cross_entropy_of_extreme_logits(dtype):
    """Probabilities of 1, near 0 and exactly 0: no overflow and no NaN."""
    logits = np.array([[[1e4, -1e4, 0], [-1e4, 1e4, 0], [-np.inf, 0, 0]]], dtype)
    _, cache = functional.sequence_cross_entropy_forward(logits, np.array([[0, 0, 1]]))
    assert np.allclose(cache.nll, [[0, 2e4, np.log(2)]])
    assert np.array_equal(cache.predicted, [[0, 1, 1]]), "of equals the first"
    dlogits = functional.sequence_cross_entropy_backward(cache)
    assert np.allclose(dlogits * 3, [[[0, 0, 0], [-1, 1, 0], [0, -0.5, 0.5]]])


def test_cross_entropy_keeps_nan(rng):
    logits = normal(rng, "float32", T, B, V)
    logits[1, 2, 3] = np.nan
    loss, cache = functional.sequence_cross_entropy_forward(logits, np.zeros((T, B), int))
    assert np.isnan(loss)
    assert np.isnan(functional.sequence_cross_entropy_backward(cache)[1, 2]).any()


# --- squared error and attention ---------------------------------------------------------------


@DTYPES
def test_squared_error(rng, dtype):
    y, targets = normal(rng, dtype, 2, T, B, D)
    for weights in (None, rng.random((T, B)).astype(dtype)):
        results = []
        for module in (functional, reference):
            loss, cache = module.squared_error_forward(y, targets, weights)
            results.append((loss, cache, module.squared_error_backward(cache, 0.7)))
        all_close(*results, dtype)


@DTYPES
@pytest.mark.parametrize("lengths", [None, np.array([4, 1, 3], np.uint8)], ids=["all", "padded"])
def test_attention(rng, lengths, dtype):
    arguments = [normal(rng, dtype, *shape) for shape in ((T, B, H), (4, B, H), (4, B, D))]
    results = []
    for module in (functional, reference):
        context, cache = module.attention_forward(*arguments, lengths)
        results.append((context, *cache, *module.attention_backward(context, cache)))
    all_close(*results, dtype)


# --- who does how much ---------------------------------------------------------------------------


def test_twice_the_threads_for_four_times_the_work(monkeypatch):
    enough = functional.WORTH_WAKING
    monkeypatch.setattr(functional, "get_num_threads", lambda: 5)
    work = (0, enough - 1, enough, 4 * enough - 1, 4 * enough, 99 * enough)
    assert [functional.shares_for(n, 9) for n in work] == [1, 1, 2, 3, 4, 9]
    assert functional.shares_for(99 * enough) == 5


SPLITS = [  # T, N, H, columns; changes; split batch, shares
    ((2, 10, 6, 10), {"WORTH_WAKING": 3001}, (True, 1)),  # too little work
    ((4, 61, 4, 4), {}, (True, 4)),  # as many as all steps together pay for
    ((4, 27, 10, 40), {}, (True, 3)),  # no more than one for two rows
    ((4, 27, 10, 40), {"OWN_CACHE": 1599}, (False, 3)),  # Wh does not fit in
    ((4, 8, 40, 10), {}, (False, 2)),  # few rows, many units
    ((4, 80, 40, 99), {"PANEL": 13}, (False, 3)),  # whole panels of units
    ((4, 8, 40, 0), {}, (True, 1)),  # there is no Wh to share
    ((99, 99, 6, 10), {}, (True, 1)),  # a single row
    ((99, 99, 6, 10), {"MEETING": 20}, (False, 2)),  # many steps pay for waking a thread once
    ((2, 2, 6, 10), {"MEETING": 20}, (True, 1)),  # two steps do not
    ((4, 20, 10, 40), {"MEETING": 20}, (True, 2)),  # two rows and more go without meeting
]


@pytest.mark.parametrize(("sizes", "changes", "split"), SPLITS)
def test_the_split_of_a_pass(sizes, changes, split, monkeypatch):
    settings = {"WORTH_WAKING": 1000, "MEETING": 1, "PANEL": 1, "OWN_CACHE": 1600}
    for name, value in (settings | changes).items():
        monkeypatch.setattr(functional, name, value)
    assert functional.split_work.__wrapped__(*sizes, itemsize=4, threads=99) == split


# --- memory layout, threads ----------------------------------------------------------------------


def test_what_kernels_can_read_is_not_copied(rng):
    x = rng.random((T, B, D))
    assert functional.contiguous(x)[0] is x
    locked = x.view()
    locked.flags.writeable = False
    for array in (locked, x.T, x[:, ::2], np.frombuffer(bytes(8 * D))):
        (got,) = functional.contiguous(array)
        assert got.flags.carray
        assert np.array_equal(got, array)
        assert np.shares_memory(got, array) == (array is locked)
    table, turned = functional._matrix(locked[0].T)  # of a tied model whose table is read-only
    assert turned
    assert np.shares_memory(table, x)


def arrays_in(nest):
    for part in nest:
        if isinstance(part, tuple | list):
            yield from arrays_in(part)
        elif not isinstance(part, str):
            yield part


@pytest.mark.big
@pytest.mark.parametrize("H", [130, 610], ids=["threads share the batch", "or the units"])
def test_bits_do_not_depend_on_the_number_of_threads(rng, H, monkeypatch):
    T, B, D, V = 6, 23, 71, 301
    kinds = ("lstm", "rnn tanh", "gru after", "gru before")
    passes = [a_pass(rng, kind, (T, B, D, H), "float32") for kind in kinds]
    W, b = normal(rng, "float32", H, V), normal(rng, "float32", V)
    E, ids = normal(rng, "float32", V, D), rng.integers(0, 9, (T, B))
    uniform = rng.random((T, B, 1000), dtype=np.float32)
    results = []
    for threads in (1, 2, 8, 16):  # so many shares, on any number of processors
        with monkeypatch.context() as patch:
            patch.setattr(functional, "shares_for", lambda *_, threads=threads: threads)
            found = [both_directions(functional, *one) for one in passes]
            hs, _, _, _, dx, *_ = found[0]
            y, linear = functional.linear_forward(hs, W, b)
            loss, entropy = functional.sequence_cross_entropy_forward(y, ids)
            dy = functional.sequence_cross_entropy_backward(entropy)
            dE = functional.embedding_backward(dx, functional.embedding_forward(ids, E)[1])
            mask = functional.dropout_mask(uniform, 0.3, np.dtype("float32"))
            masked, _ = functional.dropout_forward(uniform, mask)
            found += [y, loss, dy, dE, functional.linear_backward(dy, linear), mask, masked]
            found += [*both_directions(functional, "scan", (hs, hs, hs[0]), (hs, hs[0]))]
            results.append(list(arrays_in(found)))
    for one, *others in zip(*results, strict=True):
        assert all(np.array_equal(one, other) for other in others)


NARROW = """
import numpy as np
from numpylstm import functional, reference
from numpylstm.kernels.machine import simd
assert simd.VECTOR_BYTES == 16
rng = np.random.default_rng(3)
T, B, D, H = 3, 11, 9, 21
def normal(*shape): return rng.standard_normal(shape).astype(np.float32)
x, h0, c0, Wx, Wh, b = (normal(*s) for s in
    ((T, B, D), (B, H), (B, H), (D, 4 * H), (H, 4 * H), (4 * H,)))
W, found = normal(H, 37), []
for module in (functional, reference):
    *results, _ = module.lstm_forward(x, h0, c0, Wx, Wh, b)
    y, cache = module.linear_forward(results[0], W, W[0])
    found.append([*results, y, *module.linear_backward(y, cache)])
for one, two in zip(*found):
    assert np.abs(one - two).max() <= 1e-5 * np.abs(two).max()
"""


@pytest.mark.big
def test_narrower_vectors():
    """The tiles of other processors, used on this one."""
    run_python(NARROW, NUMPYLSTM_VECTOR_BITS="128")


def test_import_compiles_one_kernel_and_the_tile(tmp_path):
    """With an empty cache; the smallest one, which shows whether kernels can be compiled."""
    code = (
        "import numba.core.event as event\n"
        "with event.install_recorder('numba:compile') as recorder:\n"
        "    import numpylstm\n"
        "    assert not recorder.buffer, recorder.buffer\n"
        "    import numpylstm.functional\n"
        "names = {seen.data['dispatcher'].py_func.__name__ for _, seen in recorder.buffer}\n"
        "assert names == {'_address_of_tile', 'scatter_add'}, names\n"
    )
    run_python(code, NUMBA_CACHE_DIR=str(tmp_path), NUMBA_DISABLE_JIT="0")


# --- errors ------------------------------------------------------------------------------------


def ones(*shape, dtype="float32"):
    return np.ones(shape, dtype)


def forward_with(cell, **changes):
    blocks, c0 = {"rnn": (1, {}), "gru": (3, {}), "lstm": (4, {"c0": ones(B, H)})}[cell]
    arrays = {
        "x": ones(T, B, D),
        "h0": ones(B, H),
        "Wx": ones(D, blocks * H),
        "Wh": ones(H, blocks * H),
        "b": ones(blocks * H),
        **c0,
        **changes,
    }
    return getattr(functional, f"{cell}_forward")(**arrays)


def lstm_backward_with(**changes):
    arrays = {"dhs": ones(T, B, H), "dhT": ones(B, H), "dcT": ones(B, H), **changes}
    return functional.lstm_backward(**arrays, cache=forward_with("lstm")[-1])


def embedding_with(ids, *table):
    ids = np.array(ids, int) if type(ids) is tuple else ids
    return functional.embedding_forward(ids, ones(*(table or (V, D))))


def entropy_with(**changes):
    arrays = {"logits": ones(T, B, V), "targets": np.zeros((T, B), int), **changes}
    return functional.sequence_cross_entropy_forward(**arrays)


@pytest.mark.parametrize(
    ("call", "says", "error"),
    [
        bad_call(
            lambda: forward_with("lstm", x=ones(T, B, D + 1)),
            "^lstm_forward: x must have shape (T, B, 4), got (5, 3, 5); D is fixed by Wx",
        ),
        bad_call(
            lambda: forward_with("lstm", x=ones(0, B, D)),
            "^lstm_forward: x must not be empty, got shape (0, 3, 4)",
        ),
        bad_call(
            lambda: forward_with("lstm", x=ones(T, B, D, dtype="float64")),
            "^lstm_forward: x must have dtype float32, got float64; "
            "all arrays of a call have one dtype",
            TypeError,
        ),
        bad_call(
            lambda: forward_with("lstm", Wx=ones(D, 4 * H, dtype="complex128")),
            "^lstm_forward: Wx must have dtype float32 or float64, got complex128; "
            "numpylstm.reference",
            TypeError,
        ),
        bad_call(
            lambda: forward_with("lstm", Wx=ones(D, 4 * H + 1)),
            "^lstm_forward: Wx must have shape (D, 4H), got (4, 25); its columns are 4 blocks",
        ),
        bad_call(
            lambda: forward_with("lstm", b=ones(H)),
            "^lstm_forward: b must have shape (24,), got (6,); H is fixed by Wx",
        ),
        bad_call(
            lambda: forward_with("lstm", h0=ones(B + 1, H)),
            "^lstm_forward: h0 must have shape (3, 6), got (4, 6); "
            "B is fixed by x (T, B, D), H is fixed by Wx",
        ),
        bad_call(
            lambda: lstm_backward_with(dhT=ones(H)),
            "^lstm_backward: dhT must have shape (3, 6), got (6,); it has the shape of hT",
        ),
        bad_call(
            lambda: forward_with("rnn", activation="elu"),
            "^rnn_forward: activation must be 'tanh', 'relu' or 'sigmoid', got 'elu'",
        ),
        bad_call(
            lambda: forward_with("gru", reset="never"),
            "^gru_forward: reset must be 'after' or 'before', got 'never'",
        ),
        bad_call(
            lambda: forward_with("gru", bn=ones(H), reset="before"),
            "^gru_forward: bn must be None with reset='before', got an array",
        ),
        bad_call(
            lambda: forward_with("gru", bn=ones(H + 1)),
            "^gru_forward: bn must have shape (6,), got (7,); H is fixed by Wh",
        ),
        bad_call(
            lambda: functional.gru_backward(ones(T, B, H), ones(B, H), forward_with("rnn")[-1]),
            "^gru_backward: cache must be GRUCache, got RNNCache",
            TypeError,
        ),
        bad_call(
            lambda: embedding_with((0, V, 1)),
            "^embedding_forward: ids must lie in [0, 11), got 11 at [1]; "
            "ids and table come from different vocabularies",
        ),
        bad_call(
            lambda: embedding_with((0, -1)),
            "^embedding_forward: ids must lie in [0, 11), got -1 at [1]; "
            "padding takes lengths, or weights of 0 and any id",
        ),
        bad_call(
            lambda: embedding_with(np.array([2**64 - 1], np.uint64)),
            "^embedding_forward: ids must lie in [0, 11), got 18446744073709551615 at [0]",
        ),
        bad_call(lambda: embedding_with(()), "^embedding_forward: ids must not be empty"),
        bad_call(
            lambda: embedding_with((1, 2), V),
            "^embedding_forward: W must have shape (V, D), got (11,)",
        ),
        bad_call(
            lambda: functional.embedding_backward(ones(B, D + 1), embedding_with((0,) * B)[1]),
            "^embedding_backward: dx must have shape (3, 4), got (3, 5)",
        ),
        bad_call(
            lambda: functional.linear_forward(ones(B, D), ones(H, V), ones(V)),
            "^linear_forward: x must have shape (B, 6), got (3, 4); D is fixed by W",
        ),
        bad_call(
            lambda: functional.dropout_forward(ones(T, B, D), ones(T, B)),
            "^dropout_forward: mask must have shape (5, 3, 4), got (5, 3)",
        ),
        bad_call(
            lambda: entropy_with(targets=np.full((T, B), V)),
            "^sequence_cross_entropy_forward: targets must lie in [0, 11), got 11 at [0, 0]",
        ),
        bad_call(
            lambda: entropy_with(targets=np.zeros((B, T), int)),
            "^sequence_cross_entropy_forward: targets must have shape (5, 3), got (3, 5); "
            "T and B are fixed by logits",
        ),
        bad_call(
            lambda: entropy_with(weights=-ones(T, B)),
            "^sequence_cross_entropy_forward: weights must be at least 0, got -1.0 at [0, 0]",
        ),
        bad_call(
            lambda: entropy_with(weights=ones(T, B) > 0),
            "^sequence_cross_entropy_forward: weights must have dtype float32, got bool",
            TypeError,
        ),
        bad_call(
            lambda: entropy_with(average_across_batch=1),
            "^sequence_cross_entropy_forward: average_across_batch must be True or False, got 1",
            TypeError,
        ),
    ],
)
def test_a_bad_call_gets_one_sentence(call, says, error):
    """Of four parts: the argument, what was expected, what it got, the cause."""
    assert_refused(call, says, error)
