"""The kernels by themselves: elementary functions, products, updates, memory."""

import numba
import numpy as np
import pytest
from numba import njit
from support.processes import run_python

from numpylstm import reference
from numpylstm.kernels import memory, update
from numpylstm.kernels.machine import elementary, kernel, matmul, meeting, row_slice, simd, tile
from numpylstm.kernels.threads import run_parallel

DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
EPSILON = {np.float32: 1e-5, np.float64: 1e-12}
JIT = not numba.config.DISABLE_JIT


def normal(rng, dtype, *shape):
    return rng.standard_normal(shape).astype(dtype)


# --- elementary functions ----------------------------------------------------------------------


def loop_of(function):
    @njit(error_model="numpy")
    def loop(x, y):
        for k in range(x.size):
            y[k] = function(x[k])

    return loop


FUNCTIONS = {  # the same in any float of NumPy
    "exp": np.exp,
    "sigmoid": reference.sigmoid,
    "tanh": np.tanh,
    "log_sigmoid": reference.log_sigmoid,
}
LOOPS = {name: loop_of(getattr(elementary, name)) for name in FUNCTIONS}
EVERY_FUNCTION = pytest.mark.parametrize("name", FUNCTIONS)


def apply(name, x):
    y = np.empty_like(x)
    LOOPS[name](x, y)
    return y


@DTYPES
@EVERY_FUNCTION
def test_accuracy(rng, name, dtype):
    """2 ulp in float32; 2.2 in float64, compared with the longest float of the machine.

    log_sigmoid, an exponential, a quotient and a series, has twice that. Without fused
    multiply-adds each term is rounded twice, and 2.4 ulp are lost.
    """
    longer = np.float64 if dtype == np.float32 else np.longdouble
    if np.finfo(longer).precision <= np.finfo(dtype).precision:
        pytest.skip("no longer float to compare with")
    n = 50_000 if JIT else 300
    lowest = -103 if dtype == np.float32 else -744
    x = np.concatenate(
        [
            rng.uniform(lowest, -lowest * 0.85, n),  # to the subnormal numbers, and near overflow
            rng.uniform(-12, 12, n),
            rng.uniform(-1, 1, n),
            10.0 ** rng.uniform(-30, 0, n) * rng.choice([-1, 1], n),
        ]
    ).astype(dtype)
    want = FUNCTIONS[name](x.astype(longer))
    ulp = np.spacing(np.abs(want).astype(dtype)).astype(longer)
    errors = np.abs(apply(name, x) - want) / ulp
    limit = 2 if dtype == np.float32 else 2.2
    limit = (limit if simd.HAS_FMA else 2.5) * (2 if name == "log_sigmoid" else 1)
    assert errors.max() <= limit


@DTYPES
@EVERY_FUNCTION
def test_extremes(name, dtype):
    x = np.array([np.inf, -np.inf, np.nan, 0, -0.0, 1e30, -1e30], dtype)
    with np.errstate(all="ignore"):
        want = FUNCTIONS[name](x)
    np.testing.assert_allclose(apply(name, x), want, rtol=np.finfo(dtype).eps)


@pytest.mark.skipif(not JIT, reason="looks at machine code")
@EVERY_FUNCTION
def test_vectorised(name):
    """The compiled loop works on whole vectors."""
    loop = LOOPS[name]
    apply(name, np.ones(1, np.float32))
    signature = next(s for s in loop.signatures if s[0].dtype == numba.float32)
    text = loop.inspect_llvm(signature)
    assert "call <" in text and "x float> @llvm.fma" in text if simd.HAS_FMA else "fmul <" in text


# --- products ----------------------------------------------------------------------------------

SIZES = [  # M, K, N
    *((rows, 4, 30 + rows) for rows in range(1, tile.TILE_ROWS + 1)),
    *((2 * tile.TILE_ROWS + rows, 7, rows) for rows in range(1, tile.TILE_ROWS + 1)),
    (1, 1, 1),
    (1, 21, 70),
    (2, 40, 33),
    (20, 65, 70),
    pytest.param((14, 300, 31), marks=pytest.mark.big),
    pytest.param((33, 17, 129), marks=pytest.mark.big),
    pytest.param((257, 513, 66), marks=pytest.mark.big),
    pytest.param((115, 260, 531), marks=pytest.mark.big),
]


@DTYPES
@pytest.mark.parametrize("sizes", SIZES)
def test_multiply(rng, sizes, dtype):
    """Operands stored plain or transposed, one thread or several."""
    M, K, N = sizes
    for a_turned in (False, True):
        for b_turned in (False, True):
            A, B, d = normal(rng, dtype, M, K), normal(rng, dtype, K, N), normal(rng, dtype, 1, N)
            a = np.ascontiguousarray(A.T) if a_turned else A
            b = np.ascontiguousarray(B.T) if b_turned else B
            C, shared = np.full((M, N), np.nan, dtype), np.full((M, N), np.nan, dtype)
            matmul.multiply(a, a_turned, b, b_turned, d, C, 0, 1)
            run_parallel(matmul.multiply, (a, a_turned, b, b_turned, d, shared), 3)
            want = d + A.astype(np.float64) @ B
            assert np.abs(C - want).max() <= EPSILON[dtype] * np.abs(want).max()
            assert np.array_equal(C, shared), "the same bits, however it is shared"


@DTYPES
@pytest.mark.parametrize("sizes", [(15, 33), (16, 32), (17, 31), (40, 50), (64, 9)])
def test_a_transposed_copy_is_exact(rng, sizes, dtype):
    """In squares of the widest vectors, and number by number at the edges."""
    K, N = sizes
    B = normal(rng, dtype, K, N)
    plenty = 3 * tile.TILE_ROWS  # rows, for which B is copied
    picks = rng.integers(0, K, plenty)
    C = np.full((plenty, N), np.nan, dtype)
    zeros = np.zeros((1, N), dtype)
    rows = np.eye(K, dtype=dtype)[picks]
    matmul.multiply(rows, False, np.ascontiguousarray(B.T), True, zeros, C, 0, 1)
    assert np.array_equal(C, B[picks])


# --- threads that meet in a kernel -------------------------------------------------------------


@njit(nogil=True)
def in_stages(counts, log, stages, patient, share, shares):
    """Write the number of pieces done so far, of all stages, for each piece of each stage."""
    stage = 0
    while stage < stages:
        if not meeting.all_done(counts, stage):
            if not patient:
                return stage
            continue
        for turn in range(shares):
            taken = (share + turn) % shares
            if meeting.take(counts, taken, stage):
                log[stage, taken] += 1 + log[:stage].sum()
                meeting.finish(counts, taken, stage)
        stage += 1
    return stage


@pytest.mark.parametrize("shares", [1, 2, 3])
def test_each_piece_is_done_once_after_all_of_the_stage_before(shares):
    """A piece of stage n sees all pieces of the stages before, and no other thread does it."""
    stages = 12
    for _ in range(100 if JIT else 2):
        log = np.zeros((stages, shares))
        counts = meeting.counters(shares)
        run_parallel(in_stages, (counts, log, stages, True), shares)
        want = np.empty((stages, shares))
        for stage in range(stages):
            want[stage] = 1 + want[:stage].sum()
        assert np.array_equal(log, want)


def test_a_thread_alone_does_the_pieces_of_all():
    counts, log = meeting.counters(3), np.zeros((4, 3))
    assert in_stages(counts, log, 4, False, 1, 3) == 4
    assert (log > 0).all()


def test_who_waits_too_long_returns():
    """A piece of the first stage is taken and never done."""
    counts, log = meeting.counters(2), np.zeros((4, 2))
    counts[0, 0] = 1
    assert in_stages(counts, log, 4, False, 1, 2) == 1
    assert log.tolist() == [[0, 1], [0, 0], [0, 0], [0, 0]]
    counts[0, 0] = 2  # now it is
    assert in_stages(counts, log, 4, False, 1, 2) == 4


# --- optimiser ---------------------------------------------------------------------------------


@DTYPES
@pytest.mark.parametrize("size", [1, 17, update.BLOCK + 5])
def test_updates_do_not_depend_on_the_threads(rng, size, dtype):
    """To the bit; `test_optim` compares the updates with the textbook."""
    if not JIT and size > 100:
        pytest.skip("too large without compilation")
    step = update.AdamStep(*np.array([0.1, 0.9, 0.2, 0.99, 0.01, 0.3, 0.6, 1e-3], dtype))
    w, m, v, g = (normal(rng, dtype, size) for _ in range(4))
    v *= v
    results = []
    for shares in (1, 2, 16):
        arrays = plain, moved, velocity, adam, mean, square = [a.copy() for a in (w, w, m, w, m, v)]
        run_parallel(update.descend, (plain, g, 0.3), shares)
        run_parallel(update.descend_with_momentum, (moved, velocity, g, 0.3, 0.9), shares)
        run_parallel(update.descend_by_moments, (adam, mean, square, g, step), shares)
        sums = np.empty(-(-size // update.BLOCK))
        run_parallel(update.sums_of_squares, (g, sums), shares)
        results.append([sums, *arrays])
    for one, *others in zip(*results, strict=True):
        assert all(np.array_equal(one, other) for other in others)


# --- views -------------------------------------------------------------------------------------


@EVERY_FUNCTION
def test_a_store_to_a_view_is_kept(name):
    """Numba deletes it as dead code if it inlines one of these functions by itself."""
    function = getattr(elementary, name)

    @kernel
    def fill(x, rows, share, shares):
        for i in range(len(rows)):
            row = row_slice(rows, i, 0, rows.shape[1])
            for k in range(row.size):
                row[k] = function(x[k])
            row[0] = 7

    rows = np.zeros((2, 3))
    fill(np.ones(3), rows, 0, 1)
    assert np.array_equal(rows[:, 0], [7, 7])
    assert rows[:, 1:].all()


# --- memory ------------------------------------------------------------------------------------


def test_memory_is_used_again_only_when_nobody_holds_it():
    shape, dtype = (123, 457), np.dtype(np.float32)
    first = memory.empty(shape, dtype)
    assert first.shape == shape
    assert first.dtype == dtype
    assert first.flags.carray
    assert first.ctypes.data % memory.CACHE_LINE == 0
    at, view = first.ctypes.data, first[1:].reshape(-1)[5:]
    del first
    second = memory.empty(shape, dtype)
    assert not np.shares_memory(view, second)
    del view
    third = memory.empty((100, 500), dtype)  # nearly as many bytes
    assert third.ctypes.data == at
    third[...] = 1
    assert not np.shares_memory(second, third)


def kept_bytes():
    """Return the bytes of the memory that no array uses."""
    return sum(size * len(blocks) for size, blocks in memory.POOL.kept.items())


def test_memory_is_kept_in_silence_when_python_ends_and_has_emptied_its_modules():
    ending = """
import numpy as np
from numpylstm.kernels import memory
array = memory.empty((300, 500), np.dtype("float32"))
pool = memory.POOL
for name in set(vars(memory)) - {"__builtins__"}:
    vars(memory)[name] = None
del array
assert pool.bytes_kept >= 4 * 300 * 500
"""
    assert run_python(ending) == ("", "")


def test_kept_memory_is_freed_when_asked_for():
    for rows in range(200, 3_000, 90):
        memory.empty((rows, 100), np.dtype(np.float32))
    assert kept_bytes() > 3_000_000
    memory.release_memory()
    assert kept_bytes() == 0


def test_no_more_memory_is_kept_than_the_limit(monkeypatch):
    monkeypatch.setattr(memory.POOL, "limit", 1_000_000)
    memory.release_memory()
    arrays = [memory.empty((300, 500), np.dtype(np.float32)) for _ in range(9)]
    assert kept_bytes() == 0
    del arrays
    assert 0 < kept_bytes() <= memory.POOL.limit
    memory.empty((600, 500), np.dtype(np.float32))  # larger than the limit
    assert kept_bytes() <= memory.POOL.limit
