"""The engine beside exact arithmetic, at extreme gates and offsets.

The reference, the kernels and the interactive page share their algebra, so their agreement cannot
show that it is unstable. Here mpmath computes every cell and the cross-entropy from their
definitions, and the gradients as differences, with so many digits that neither has an error to
speak of. An error is given in units of the rounding error of the largest number that enters;
``pytest -s tests/test_oracle.py`` prints the worst ones.
"""

import numpy as np
import pytest
from conftest import V
from mpmath import mp, mpf

from numpylstm import functional, reference
from numpylstm.cells import CELLS

mp.dps = 120
STEP = mpf(10) ** -40  # of a difference
EXTREME = [-1e8, -1e4, -710, -104, -95, -88.5, -20, -5, -1, 0.375, 3, 17, 90, 710, 1e4, 1e8]


def exactly(numbers):
    """Turn an array of floats into one of numbers of mpmath."""
    return np.vectorize(mpf, otypes=[object])(np.asarray(numbers, np.float64))


def worst(got, want, scale):
    """Return the largest error in rounding errors of `scale`; NaN counts as infinite."""
    info = np.finfo(got.dtype)
    unit = np.maximum(exactly(scale) * mpf(float(info.eps)), mpf(float(info.smallest_subnormal)))
    errors = np.asarray(np.abs(exactly(got) - want) / unit, np.float64)
    return np.nan_to_num(errors, nan=np.inf).max()


def check(limit, words, found):
    """Print the largest error of some (got, want, scale), and assert that it is below a limit."""
    error = max(worst(*each) for each in found)
    print(f"{words:45} {found[0][0].dtype}  {error:.2f}")
    assert error < limit


def slopes(function, arrays, upstream):
    """Return the gradients of sum(upstream * results), each row by itself, as differences."""

    def loss(moved):
        return sum(u * y for u, y in zip(upstream, function(*moved), strict=True))

    found = []
    for k, array in enumerate(arrays):
        above = loss([*arrays[:k], array + STEP, *arrays[k + 1 :]])
        below = loss([*arrays[:k], array - STEP, *arrays[k + 1 :]])
        found.append((above - below) / (2 * STEP))
    return found


# --- cells -------------------------------------------------------------------------------------

exp, log, tanh = (np.vectorize(f, otypes=[object]) for f in (mp.exp, mp.log, mp.tanh))


def sigmoid(a):
    return 1 / (1 + exp(-a))


def rnn(activation):
    return lambda a, h: (activation(a),)


def lstm(i, f, g, o, h, c):
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(c), c


def gru(r, z, n, h):  # with Wh_n = 1, the same for both kinds of reset
    z, n = sigmoid(z), tanh(n + sigmoid(r) * h)
    return ((1 - z) * n + z * h,)


def mingru(times):
    return lambda z, n, h: ((1 - times * sigmoid(z)) * h + sigmoid(z) * n,)


def minlstm(i, f, g, h):
    i, f = sigmoid(i), sigmoid(f)
    return ((f * h + i * g) / (f + i),)


def slstm(forget_gate):
    def step(i, f, z, o, h, c, n, m):
        log_f = log(forget_gate(f))
        top = np.maximum(log_f + m, i)
        i, f = exp(i - top), exp(log_f + m - top)
        c, n = f * c + i * tanh(z), f * n + i
        return sigmoid(o) * c / n, c, n, top

    return step


STEPS = {
    "rnn tanh": rnn(tanh),
    "rnn relu": rnn(lambda a: np.maximum(a, 0)),
    "rnn sigmoid": rnn(sigmoid),
    "lstm": lstm,
    "gru after": gru,
    "gru before": gru,
    "mingru positive": mingru(1),
    "mingru signed": mingru(2),
    "minlstm": minlstm,
    "slstm sigmoid": slstm(sigmoid),
    "slstm exp": slstm(exp),
}


def one_step(rng, kind, rows=120):
    """Return weighted sums, states and upstream gradients, (., rows), of a step of one unit.

    All are float32. The sums of the gates are extreme, and in half of the rows all alike.
    """
    cell = CELLS[kind.split()[0]]
    gates = len(cell.blocks)
    sums = rng.choice(EXTREME, (rows, gates))
    half = rows // 2
    sums[half:] = sums[half:, :1] + rng.integers(-16, 16, (half, gates)) / 8
    for k, unit in enumerate(cell.units[:gates]):
        if unit.role == "candidate":
            sums[:, k] = rng.standard_normal(rows)
    states = rng.standard_normal((len(cell.states), rows))
    upstream = rng.standard_normal(states.shape)
    if cell.name == "slstm":
        states[2:] = 0.5 + rng.random(rows), rng.choice([-1e4, -95, 0.5, 200], rows)
        upstream[1:] = 0  # m is a constant only where it cancels, as in h
    return (array.astype(np.float32) for array in (sums.T, states, upstream))


def step_of_engine(module, kind, sums, states, upstream):
    """Return the states after a step, and the gradients of the sums and states, (., rows).

    Each sum is an input of its own, Wx is the identity, and Wh is 0 except for the candidate of a
    GRU, whose reset needs it.
    """
    name, _, option = kind.partition(" ")
    G, dtype = len(sums), sums.dtype
    weights = {
        path: np.zeros(shape, dtype)
        for path, shape in CELLS[name].shapes(G, 1, {"reset": option}).items()
    }
    weights["Wx"][...] = np.eye(G)
    if name == "gru":
        weights["Wh"][0, 2] = 1
    options = [None] * (kind == "gru before") + [option] * bool(option)
    _, *after, cache = getattr(module, f"{name}_forward")(
        sums.T[None].copy(), *states[..., None], *weights.values(), *options
    )
    gradients = getattr(module, f"{name}_backward")(
        np.zeros((1, len(sums.T), 1), dtype), *upstream[..., None], cache
    )
    of_states = [array[:, 0] for array in gradients[1 : 1 + len(states)]]
    return [state[:, 0] for state in after], [*gradients[0][0].T, *of_states]


@pytest.mark.parametrize("kind", STEPS)
def test_cells(rng, kind):
    """One step. (A relu is unbounded, and an exponent of the sLSTM is a sum of large numbers.)"""
    sums, states, upstream = one_step(rng, kind)
    inputs = list(exactly([*sums, *states]))
    want = STEPS[kind](*inputs)
    want_slopes = slopes(STEPS[kind], inputs, exactly(upstream))
    scale = np.maximum(1, np.abs(states[:3]).max(axis=0))
    if kind == "rnn relu":
        scale = np.maximum(scale, np.abs(sums[0]))
    if "slstm" in kind:
        scale *= np.maximum(1, np.abs([*sums[:2], states[3]]).max(axis=0))
    slope_scale = scale * np.abs(upstream).max(axis=0)
    for module in (reference, functional):
        for dtype in (np.float32, np.float64):
            with np.errstate(all="raise", under="ignore"):
                got, got_slopes = step_of_engine(
                    module, kind, *(array.astype(dtype) for array in (sums, states, upstream))
                )
            name = f"{module.__name__} {kind}"
            pairs = zip(got, want, strict=True)
            check(4, f"{name}, states", [(*pair, scale) for pair in pairs])
            pairs = zip(got_slopes, want_slopes, strict=True)
            check(4, f"{name}, gradients", [(*pair, slope_scale) for pair in pairs])


# --- the loss ----------------------------------------------------------------------------------


def logits_and_targets(rng):
    """Return rows of logits far from zero, or far apart, (1, rows, V), and their targets."""
    offsets = np.repeat([0, 1e4, -1e4, 1e6, 1e8, -1e8, 1e30, -1e38], 6)
    spreads = np.tile([0, 1, 30, 100, 1e3, 1e4], 8)
    logits = offsets[:, None] + spreads[:, None] * rng.standard_normal((len(offsets), V))
    return logits.astype(np.float32)[None], rng.integers(0, V, (1, len(offsets)))


@pytest.mark.parametrize("module", [reference, functional], ids=["reference", "fast"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_cross_entropy(rng, module, dtype):
    logits, targets = logits_and_targets(rng)
    exact = exactly(logits)
    p = exp(exact - exact.max(axis=-1, keepdims=True))
    p /= p.sum(axis=-1, keepdims=True)
    onehot = targets[..., None] == np.arange(V)
    want = -log(p[onehot])
    _, cache = module.sequence_cross_entropy_forward(
        logits.astype(dtype), targets, average_across_batch=False
    )
    dlogits = module.sequence_cross_entropy_backward(cache)
    check(2, f"{module.__name__} cross-entropy", [(cache.nll[0], want, np.maximum(1, want))])
    check(2, f"{module.__name__} cross-entropy, gradient", [(dlogits, p - onehot, 1)])
