"""The form of an answer to an exercise, which its check reads before the content.

Each function returns the answer in one form, whatever kind of number or sequence it came in, or
raises an AssertionError with one sentence, as the checks of the notebooks do.
"""

import math
from collections.abc import Callable, Iterable
from numbers import Integral, Real
from reprlib import repr as shortened
from typing import Any

import numpy as np
from numpy.typing import NDArray


def number(answer: object) -> int | float:
    """Return a finite real number: int, float, Fraction, or a number of NumPy.

    Examples
    --------
    >>> import numpy as np
    >>> from fractions import Fraction
    >>> from numpylstm.laboratory import expect
    >>> expect.number(Fraction(1, 4)), expect.number(np.float32(0.25)), expect.number(np.int64(3))
    (0.25, 0.25, 3)
    >>> expect.number("a quarter")
    Traceback (most recent call last):
        ...
    AssertionError: one number is asked for, got 'a quarter'
    """
    value = answer.item() if isinstance(answer, np.ndarray) and answer.ndim == 0 else answer
    if not isinstance(value, Real) or not math.isfinite(value):
        raise AssertionError(f"one number is asked for, got {shortened(answer)}")
    return int(value) if isinstance(value, Integral) else float(value)


def numbers(answer: object, *names: str) -> tuple[int | float, ...]:
    """Return as many numbers as there are names."""
    wanted = f"{len(names)} numbers are asked for, ({', '.join(names)})"
    if not isinstance(answer, Iterable) or isinstance(answer, str):
        raise AssertionError(f"{wanted}, got {shortened(answer)}")
    values = tuple(answer)
    if len(values) != len(names):
        raise AssertionError(f"{wanted}, got {len(values)}")
    return tuple(map(number, values))


def array(answer: object, *shape: int, name: str = "the answer") -> NDArray[np.float64]:
    """Return an array of real numbers of this shape, in float64."""
    wanted = f"{name} should be numbers of shape {shape}"
    try:
        found = np.asarray(answer)
    except ValueError:  # rows of different lengths
        raise AssertionError(f"{wanted}, got {shortened(answer)}") from None
    if found.shape != shape:
        got = f"the shape {found.shape}" if found.shape else shortened(answer)
        raise AssertionError(f"{wanted}, got {got}")
    if not all(isinstance(entry, Real) for entry in found.flat):
        raise AssertionError(f"{wanted}, got {shortened(answer)}")
    return found.astype(np.float64)


def arrays(answer: object, **shapes: tuple[int, ...]) -> tuple[NDArray[np.float64], ...]:
    """Return one array for each name, of the shape given for it."""
    wanted = f"{len(shapes)} arrays are asked for, ({', '.join(shapes)})"
    if not isinstance(answer, tuple | list):
        raise AssertionError(f"{wanted}, got {shortened(answer)}")
    if len(answer) != len(shapes):
        raise AssertionError(f"{wanted}, got {len(answer)}")
    pairs = zip(answer, shapes.items(), strict=True)
    return tuple(array(given, *shape, name=name) for given, (name, shape) in pairs)


def function(answer: object) -> Callable[..., Any]:
    """Return a function, or anything else that can be called."""
    if not callable(answer):
        raise AssertionError(f"a function is asked for, got {shortened(answer)}")
    return answer
