"""Measure the error of exp, sigmoid, tanh and log(sigmoid) in float64 at drawn points.

``python -m tests.support.drawn_float64 --points 100000000`` writes
``tests/figures/drawn_float64.json``. Sign, exponent (from -30 to 9) and mantissa are drawn
uniformly; above 709, where exp is infinite, x is divided by 4. The truth is in the longest float of
the machine, which must have more digits.
"""

import argparse
import functools
import json
from pathlib import Path

import numpy as np
from numba import njit

from numpylstm.kernels.machine import elementary

FILE = Path(__file__).parents[1] / "figures" / "drawn_float64.json"
PIECE = 1_000_000
LARGEST = 709  # exp is finite


def sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


TRUTHS = {
    "exp": np.exp,
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "log_sigmoid": lambda x: np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x))),
}


def draw(rng, number):
    sizes = np.ldexp(rng.uniform(1, 2, number), rng.integers(-30, 10, number))
    return np.where(sizes > LARGEST, sizes / 4, sizes) * rng.choice([-1.0, 1.0], number)


@functools.cache
def loop_of(name):
    function = getattr(elementary, name)

    @njit(error_model="numpy")
    def compute(x, y):
        for k in range(x.size):
            y[k] = function(x[k])

    return compute


def errors_at(name, x):
    """Return the errors at points (N,), in ulp."""
    y = np.empty_like(x)
    loop_of(name)(x, y)
    want = TRUTHS[name](x.astype(np.longdouble))
    ulp = np.spacing(np.abs(want).astype(np.float64)).astype(np.longdouble)
    return (np.abs(y - want) / ulp).astype(np.float64)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--points", type=int, default=100 * PIECE)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    assert np.finfo(np.longdouble).nmant >= 63, "this machine has no longer float"
    figures = {}
    for name in TRUTHS:
        rng = np.random.default_rng(options.seed)
        worst, at = -1.0, 0.0
        for _ in range(options.points // PIECE):
            x = draw(rng, PIECE)
            errors = errors_at(name, x)
            k = int(errors.argmax())
            if not errors[k] <= worst:  # NaN too
                worst, at = errors[k], x[k]
        figures[name] = {"worst_ulp": round(float(worst), 4), "at": float(at).hex()}
        print(name, figures[name], flush=True)
    content = {"points": options.points, "seed": options.seed, "functions": figures}
    FILE.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
