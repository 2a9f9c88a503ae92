"""Measure the error of exp, sigmoid, tanh and log(sigmoid) in float32 at every float32.

``python -m tests.support.every_float32`` takes two minutes on one free core and writes
``tests/figures/every_float32.json``; the slow test of ``tests/test_every_float32.py`` measures
again. softplus(x) is -log_sigmoid(-x), so its errors are those of log_sigmoid.

The truth is computed in float64, with an error below 1e-7 of a float32's ulp: by the C library, by
a Taylor polynomial below 2**-12, and by the limit from 2**7 on. An ulp (unit in the last place) is
the distance between the two floats around the truth: 2**(e - 23) for a truth in [2**e, 2**(e + 1)),
and 2**-149 among the subnormal numbers. Infinity counts as 2**128, the number after the largest.
"""

import functools
import json
import math
from pathlib import Path

import numpy as np
from numba import njit

from numpylstm.kernels.machine import elementary

FILE = Path(__file__).parents[1] / "figures" / "every_float32.json"
ALL = 2**32
BLOCK = 2**16  # floats that are computed by one vectorised loop; they share sign and exponent
EXPONENTS = 2**23  # floats of one exponent
SMALL, LARGE = 2.0**-12, 2.0**7
SUBNORMAL, ABOVE = 2.0**-126, 2.0**128


class Exp:
    by_library = njit(lambda x: math.exp(x))
    small = njit(lambda x: 1 + x * (1 + x / 2 * (1 + x / 3)))
    large = njit(lambda x: ABOVE if x > 0 else 0.0)


class Sigmoid:
    by_library = njit(lambda x: 1 / (1 + math.exp(-x)))
    small = njit(lambda x: 0.5 + x / 4 * (1 - x * x / 12))
    large = njit(lambda x: 1.0 if x > 0 else 0.0)


class Tanh:
    by_library = njit(lambda x: math.tanh(x))
    small = njit(lambda x: x * (1 - x * x / 3 * (1 - x * x * 0.4)))
    large = njit(lambda x: 1.0 if x > 0 else -1.0)


class LogSigmoid:
    by_library = njit(lambda x: min(x, 0.0) - math.log1p(math.exp(-abs(x))))
    small = njit(lambda x: x / 2 - math.log(2.0) - x * x / 8 * (1 - x * x / 24))
    large = njit(lambda x: 0.0 if x > 0 else x)


TRUTHS = {"exp": Exp, "sigmoid": Sigmoid, "tanh": Tanh, "log_sigmoid": LogSigmoid}


@functools.cache
def loops_of(name):
    """Return three loops: y = f(x) in float32, and the truth of small, medium and large x."""
    function, truth = getattr(elementary, name), TRUTHS[name]
    by_library, small, large = truth.by_library, truth.small, truth.large

    @njit(error_model="numpy")
    def compute(x, y):
        for k in range(x.size):
            y[k] = function(x[k])

    @njit(error_model="numpy")
    def true_values(x, want):
        size = abs(x[0])  # all x are of one size
        if size < SMALL:
            for k in range(x.size):
                want[k] = small(np.float64(x[k]))
        elif size < LARGE:
            for k in range(x.size):
                want[k] = by_library(np.float64(x[k]))
        else:
            for k in range(x.size):
                want[k] = large(np.float64(x[k]))

    return compute, true_values


@njit(error_model="numpy")
def errors_of(y, want, bits, errors):
    """Fill errors, in ulp, and return how many y are the nearest float; bits are those of want."""
    nearest = 0
    for k in range(y.size):
        got = min(np.float64(y[k]), ABOVE)
        true = min(want[k], ABOVE)
        nearest += np.float64(np.float32(want[k])) == np.float64(y[k])
        exponent = ((bits[k] >> 52) & 2047) - 1023
        exponent = min(max(exponent, -126), 127)
        errors[k] = abs(got - true) * 2.0 ** np.float64(23 - exponent)
    return nearest


def figures_of(name, report=lambda text: None):
    """Return what was measured for one function at all 2**32 inputs, as plain data."""
    compute, true_values = loops_of(name)
    x, y = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32)
    want, errors = np.empty(BLOCK), np.empty(BLOCK)
    worst, at, worst_subnormal, nearest, wrong = -1.0, 0.0, 0.0, 0, 0
    offsets = np.arange(BLOCK, dtype=np.uint32)
    lowest, highest = np.inf, -np.inf
    for first in range(0, ALL, BLOCK):
        x.view(np.uint32)[...] = offsets + np.uint32(first)
        compute(x, y)
        if not np.isfinite(x[0]):  # an infinity and NaN, or NaN only
            with np.errstate(all="ignore"):
                limit = np.float64(TRUTHS[name].large.py_func(np.float64(x[0])))
            limit = np.inf if limit == ABOVE else limit
            infinite = np.isinf(x)
            right = np.where(infinite, y == limit, np.isnan(y))
            nearest, wrong = nearest + right.sum(), wrong + (~right).sum()
            continue
        true_values(x, want)
        nearest += errors_of(y, want, want.view(np.int64), errors)
        wrong += np.isnan(y).sum()
        lowest, highest = min(lowest, y.min()), max(highest, y.max())
        k = int(errors.argmax())
        if errors[k] > worst:
            worst, at = errors[k], x[k]
        subnormal = np.abs(want) < SUBNORMAL
        if subnormal.any():
            worst_subnormal = max(worst_subnormal, errors[subnormal].max())
        if first % (32 * EXPONENTS) == 0:
            report(f"{name}: {100 * first // ALL}%")
    return {
        "inputs": ALL,
        "worst_ulp": round(float(worst), 4),
        "at": float(at).hex(),
        "worst_subnormal_ulp": round(float(worst_subnormal), 4),
        "correctly_rounded": round(int(nearest) / ALL, 4),
        "wrong_nan_or_infinity": int(wrong),
        "lowest": repr(float(lowest)),  # JSON has no infinity
        "highest": repr(float(highest)),
    }


if __name__ == "__main__":
    figures = {name: figures_of(name, lambda text: print(text, flush=True)) for name in TRUTHS}
    FILE.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
