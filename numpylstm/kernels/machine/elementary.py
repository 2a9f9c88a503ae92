"""exp, sigmoid, tanh and log(sigmoid) in straight-line arithmetic, so that loops vectorise.

A loop that calls the C library for each number cannot be vectorised. Here

    exp(x) = 2**n * exp(r),    n = round(x / ln 2),    r = x - n ln 2,    |r| <= ln(2) / 2

where exp(r) is its Taylor series, truncated below the rounding error, and 2**n is written into the
exponent bits, without a branch, a table or a call. Adding 1.5 * 2**mantissa rounds to an integer,
since a float of that size has no bits left for a fraction. ln 2 is subtracted in two parts, the
first of which has so few bits that n times it is exact (Cody and Waite 1980).

The error is at most 2 ulp in float32 and 2.2 ulp in float64, down to the subnormal numbers, and
twice that for the logarithm of the sigmoid, which adds a quotient and a series. exp(-inf) = 0,
exp(inf) = inf, NaN stays NaN. The functions take and return a scalar. Each multiply-add is explicit
(`fma`), so the result is the same wherever a function is inlined.
"""

from math import factorial

import numpy as np
from numba import types
from numba.extending import overload

from .compiling import inlined, inner
from .simd import fma, power_of_two


def _make(real, degree, mantissa, ln2_high, ln2_low, lowest, highest, tanh_limit):
    """Return the functions for a dtype by name, with all constants in that dtype."""
    inverse_factorials = tuple(real(1 / factorial(k)) for k in range(degree, 1, -1))
    inverse_odds = tuple(real(1 / k) for k in range(5 * degree // 2, 1, -1) if k % 2)
    one_over_ln2 = real(1.4426950408889634)
    shift = real(1.5 * 2**mantissa)
    ln2_high, ln2_low = real(ln2_high), real(ln2_low)
    lowest, highest, tanh_limit = real(lowest), real(highest), real(tanh_limit)
    zero, half, one, two = real(0), real(0.5), real(1), real(2)

    @inlined
    def reduce(x):
        """Return the integer n, n + shift and exp(r) - 1."""
        shifted = fma(x, one_over_ln2, shift)
        n = shifted - shift
        r = fma(n, -ln2_low, fma(n, -ln2_high, x))
        series = inverse_factorials[0]
        for c in inverse_factorials[1:]:
            series = fma(series, r, c)
        return n, shifted, fma(series * r, r, r)

    @inner
    def exp(x):
        x = lowest if x < lowest else x
        x = highest if x > highest else x
        n, _, em1 = reduce(x)
        # Two factors, since 2**n alone would leave the range before the product does.
        shifted_half = fma(n, half, shift)
        rest = n - (shifted_half - shift)
        return (em1 + one) * power_of_two(shifted_half, shift) * power_of_two(rest + shift, shift)

    @inlined
    def divide_by_sum(numerator, large, small):
        """Return numerator / (large + small), corrected for the rounding error of the sum."""
        denominator = large + small
        lost = small - (denominator - large)
        inverse = one / denominator
        quotient = numerator * inverse
        remainder = fma(-quotient, denominator, numerator) - quotient * lost
        return fma(remainder, inverse, quotient)

    @inner
    def sigmoid(x):
        """1 / (1 + exp(-x)), or exp(x) / (1 + exp(x)) for x < 0 to keep the smallest values."""
        e = exp(-abs(x))
        return divide_by_sum(one if x >= zero else e, one, e)

    @inner
    def tanh(x):
        """(exp(y) - 1) / (exp(y) + 1) for y = -2 |x|, from exp(y) - 1, which is accurate near 0."""
        y = abs(x)
        y = tanh_limit if y > tanh_limit else y
        _, shifted, em1 = reduce(-(y + y))
        power = power_of_two(shifted, shift)
        e = fma(em1, power, power - one)
        y = abs(divide_by_sum(e, two, e))
        return -y if x < zero else y

    @inner
    def log_sigmoid(x):
        """min(x, 0) - log(1 + e) for e = exp(-|x|), where log(1 + e) = 2 atanh(e / (2 + e))."""
        e = exp(-abs(x))
        y = e / (two + e)  # at most 1/3
        square = y * y
        series = zero
        for c in inverse_odds:
            series = fma(series, square, c)
        return (x if x < zero else zero) - two * fma(series * square, y, y)

    return {"exp": exp, "sigmoid": sigmoid, "tanh": tanh, "log_sigmoid": log_sigmoid}


_FLOAT32 = _make(np.float32, 7, 23, 0.693359375, -2.12194440e-4, -104.0, 89.0, 10.0)
_FLOAT64 = _make(
    np.float64, 13, 52, 0.6931471803691238, 1.9082149292705877e-10, -746.0, 710.0, 20.0
)


def _of_number(x):
    return _FLOAT32 if isinstance(x, np.float32) else _FLOAT64


def _of_type(x):
    return _FLOAT32 if x == types.float32 else _FLOAT64


def _for_each_dtype(name, meaning):
    """Make a function that is plain Python, and in compiled code that of the dtype.

    The plain one does not warn of infinities, which are valid: compiled code does not either.
    """

    @np.errstate(all="ignore")
    def function(x):
        return _of_number(x)[name](x)

    # Numba does not inline an overload, which would delete stores to views that nobody reads again.
    @overload(function, jit_options={"error_model": "numpy", "fastmath": False})
    def compiled(x):
        return _of_type(x)[name].py_func

    function.__name__ = name
    function.__doc__ = meaning
    return function


exp = _for_each_dtype("exp", "Return e ** x.")
sigmoid = _for_each_dtype("sigmoid", "Return 1 / (1 + exp(-x)).")
tanh = _for_each_dtype("tanh", "Return the hyperbolic tangent.")
log_sigmoid = _for_each_dtype("log_sigmoid", "Return -log(1 + exp(-x)).")
