"""The kernels' exp, sigmoid, tanh and log(sigmoid) at every float32: the figures, and again."""

import json

import numpy as np
import pytest
from mpmath import mp, mpf
from support import drawn_float64, every_float32

from numpylstm import functional
from numpylstm.kernels.machine import simd

FIGURES = json.loads(every_float32.FILE.read_text(encoding="utf-8"))
LIMITS = {"exp": 2, "sigmoid": 2, "tanh": 2, "log_sigmoid": 4}  # ulp, as elementary.py promises


@pytest.mark.parametrize("name", every_float32.TRUTHS)
def test_the_figures_keep_the_promise(name):
    figures = FIGURES[name]
    assert figures["inputs"] == 2**32
    assert figures["wrong_nan_or_infinity"] == 0
    assert figures["worst_ulp"] <= LIMITS[name]
    lowest, highest = float(figures["lowest"]), float(figures["highest"])
    assert {"exp": 0, "sigmoid": 0, "tanh": -1}.get(name, lowest) == lowest
    assert {"sigmoid": 1, "tanh": 1, "log_sigmoid": 0}.get(name, highest) == highest


@pytest.mark.slow
@pytest.mark.skipif(not simd.HAS_FMA, reason="the figures are of fused multiply-adds")
@pytest.mark.parametrize("name", every_float32.TRUTHS)
def test_every_float32_again(name):
    found = every_float32.figures_of(name)
    for key, figure in FIGURES[name].items():
        expected = pytest.approx(figure, abs=1e-4) if isinstance(figure, float) else figure
        assert found[key] == expected, key


@pytest.mark.skipif(not simd.HAS_FMA, reason="the figures are of fused multiply-adds")
@pytest.mark.parametrize("name", every_float32.TRUTHS)
def test_the_worst_float_is_as_bad_as_it_is_said_to_be(name):
    compute, true_values = every_float32.loops_of(name)
    x = np.full(1, float.fromhex(FIGURES[name]["at"]), np.float32)
    y, want, errors = np.empty(1, np.float32), np.empty(1), np.empty(1)
    compute(x, y)
    true_values(x, want)
    every_float32.errors_of(y, want, want.view(np.int64), errors)
    assert errors[0] == pytest.approx(FIGURES[name]["worst_ulp"], abs=1e-4)


@pytest.mark.parametrize("forget_gate", ["sigmoid", "exp"])
def test_a_layer_computes_with_these_functions(rng, forget_gate):
    """The gates of an sLSTM, bit by bit: what is measured is what `functional` uses."""
    x = rng.normal(scale=30, size=(1, 4096, 1)).astype(np.float32)
    one, zero = np.ones((1, 4), np.float32), np.zeros((4096, 1), np.float32)
    recurrent, b = np.zeros((1, 4), np.float32), np.zeros(4, np.float32)
    *_, cache = functional.slstm_forward(
        x, zero, zero, zero, zero, one, recurrent, b, forget_gate=forget_gate
    )

    def computed(name, at):
        y = np.empty_like(at).ravel()
        every_float32.loops_of(name)[0](np.ascontiguousarray(at).ravel(), y)
        return y.reshape(at.shape)

    log_f = computed("log_sigmoid", x) if forget_gate == "sigmoid" else x
    m = np.maximum(log_f, x)
    for got, want in [
        (cache.log_f, log_f),
        (cache.i, computed("exp", x - m)),
        (cache.z, computed("tanh", x)),
        (cache.o, computed("sigmoid", x)),
    ]:
        np.testing.assert_array_equal(got, want)


def test_the_truth_of_small_and_of_large_floats_is_that_of_the_library():
    """The polynomials and limits at the ends of their ranges, against the C library."""
    for name, truth in every_float32.TRUTHS.items():
        for x in (2.0**-12, -(2.0**-12), 2.0**-20, -(2.0**-20)):
            assert truth.small(x) == pytest.approx(truth.by_library(x), rel=1e-15), name
        for x in (2.0**7, -(2.0**7)):
            far = min(truth.by_library(x), every_float32.ABOVE)
            assert abs(truth.large(x) - far) <= 2.0**-149 / 1e6 + 1e-15 * abs(far), name


MPMATH = {
    "exp": mp.exp,
    "sigmoid": lambda x: 1 / (1 + mp.exp(-x)),
    "tanh": mp.tanh,
    "log_sigmoid": lambda x: -mp.log1p(mp.exp(-x)),
}


@pytest.mark.skipif(not simd.HAS_FMA, reason="the figures are of fused multiply-adds")
@pytest.mark.parametrize("name", MPMATH)
def test_mpmath_confirms_the_worst_float64(name):
    figures = json.loads(drawn_float64.FILE.read_text(encoding="utf-8"))["functions"][name]
    x, y = np.full(1, float.fromhex(figures["at"])), np.empty(1)
    drawn_float64.loop_of(name)(x, y)
    with mp.workdps(60):
        want = MPMATH[name](mpf(float(x[0])))
        error = abs(mpf(float(y[0])) - want) / mpf(float(np.spacing(abs(float(want)))))
    assert float(error) == pytest.approx(figures["worst_ulp"], abs=2e-3)
    assert figures["worst_ulp"] <= 2.2 * (2 if name == "log_sigmoid" else 1)
