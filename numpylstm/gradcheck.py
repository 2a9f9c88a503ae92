"""Checking gradients: does a backward pass give the slope of what the forward pass computes.

Two ways to measure a slope without calculus:

* the **central difference**, ``(f(x + h) - f(x - h)) / 2h``, works for any function; in float64 it
  agrees with a right gradient to about 1e-9, since the subtraction loses half of the digits;
* the **complex step**, ``imag f(x + ih) / h`` with h = 1e-30, subtracts nothing and agrees to about
  1e-15. It needs a function that lets complex numbers through, such as those of
  `numpylstm.reference` (Squire and Trapp 1998).

Give zero biases, equal sizes or an upstream gradient of ones to a check and it will miss mistakes:
take random numbers and different sizes everywhere.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Arrays = Mapping[str, NDArray[Any]]
Loss = Callable[[dict[str, NDArray[Any]]], Any]


@dataclass(frozen=True)
class Entry:
    """The worst entry of one array: where the gradient and the measured slope differ most.

    `relative_error` is the difference over the largest entry, in size, of either gradient array:
    an entry that is itself nearly zero does not count for more than it is worth.
    """

    path: str
    index: tuple[int, ...]
    gradient: float
    slope: float
    absolute_error: float
    relative_error: float
    passed: bool


@dataclass(frozen=True)
class Report:
    """What `check` found, an `Entry` for each array."""

    entries: tuple[Entry, ...]
    method: str
    tolerance: float

    @property
    def passed(self) -> bool:
        """Every array passed."""
        return all(entry.passed for entry in self.entries)

    @property
    def worst(self) -> Entry:
        """The entry with the largest relative error; NaN counts as largest."""
        return max(self.entries, key=lambda e: np.nan_to_num(e.relative_error, nan=np.inf))

    def __str__(self) -> str:
        width = max(len(entry.path) for entry in self.entries)
        lines = [
            f"{'':4} {'array':{width}}  {'relative':>9}  {'absolute':>9}  {'gradient':>13}  "
            f"{'slope':>13}  index"
        ]
        for e in self.entries:
            index = ", ".join(map(str, e.index))
            lines.append(
                f"{'ok' if e.passed else 'FAIL':4} {e.path:{width}}  {e.relative_error:9.1e}  "
                f"{e.absolute_error:9.1e}  {e.gradient:13.6e}  {e.slope:13.6e}  [{index}]"
            )
        verdict = "passed" if self.passed else "FAILED"
        lines.append(f"{verdict}: {self.method}, relative tolerance {self.tolerance:g}")
        return "\n".join(lines)


def central_difference(f: Loss, arrays: Arrays, step: float = 1e-5) -> dict[str, NDArray[Any]]:
    """Slope of a scalar function along every entry of every array: two evaluations for each.

    Parameters
    ----------
    f : callable
        Takes a dict like `arrays` and returns a real scalar; must not change its argument.
    arrays : dict of name -> float64 array
    step : float
        The error is of order step**2 (curvature) plus 1e-16 / step (rounding).

    Returns
    -------
    slopes : dict of name -> array of the same shape
    """

    def slope(point: dict[str, NDArray[Any]], path: str, index: tuple[int, ...]) -> Any:
        value = point[path][index]
        point[path][index] = value + step
        above = f(point)
        point[path][index] = value - step
        below = f(point)
        point[path][index] = value
        return (above - below) / (2 * step)

    return _along_every_entry(slope, arrays, np.float64)


def complex_step(f: Loss, arrays: Arrays, step: float = 1e-30) -> dict[str, NDArray[Any]]:
    """Slope along every entry from the imaginary part: no subtraction, so no rounding error.

    Parameters
    ----------
    f : callable
        Takes a dict like `arrays`, complex128, and returns a complex scalar. It must be analytic
        where it is evaluated, and compare or take maxima of real parts only.
    arrays : dict of name -> float64 array
    step : float

    Returns
    -------
    slopes : dict of name -> array of the same shape

    Raises
    ------
    TypeError
        If the function returns a real number: it has thrown the imaginary part away.
    """

    def slope(point: dict[str, NDArray[Any]], path: str, index: tuple[int, ...]) -> Any:
        value = point[path][index]
        point[path][index] = value + 1j * step
        result = f(point)
        point[path][index] = value
        if not np.iscomplexobj(result):
            raise TypeError(
                f"complex_step: f must return a complex number, got {type(result).__name__}; a "
                "cast, a real buffer or abs() inside it drops the imaginary part"
            )
        return result.imag / step

    return _along_every_entry(slope, arrays, np.complex128)


def _along_every_entry(
    slope: Callable[..., Any], arrays: Arrays, dtype: DTypeLike
) -> dict[str, NDArray[Any]]:
    point = {path: np.array(array, dtype) for path, array in arrays.items()}
    slopes = {path: np.empty(np.shape(array)) for path, array in arrays.items()}
    for path, array in slopes.items():
        for index in np.ndindex(array.shape):
            array[index] = slope(point, path, index)
    return slopes


METHODS = {"central": (central_difference, 1e-7), "complex": (complex_step, 1e-12)}
"""The measure of each method, and the relative error up to which a right gradient passes."""


def check(
    f: Loss,
    arrays: Arrays,
    gradients: Arrays,
    *,
    method: str = "central",
    tolerance: float | None = None,
) -> Report:
    """Hold gradients against measured slopes, entry by entry.

    Parameters
    ----------
    f : callable
        The scalar function of the arrays whose gradient is claimed: takes a dict like `arrays`.
    arrays : dict of name -> array
        The point at which to check.
    gradients : dict of name -> array
        What the backward pass says there; every name of `arrays`, with its shape.
    method : "central" or "complex"
    tolerance : float, optional
        Largest relative error that passes; 1e-7 for central differences, 1e-12 for the complex
        step.

    Returns
    -------
    Report
        ``print(report)`` shows a table; ``report.passed`` says it in one word.

    Examples
    --------
    >>> import numpy as np
    >>> from numpylstm import gradcheck
    >>> x = {"x": np.array([1.0, -2.0, 3.0])}
    >>> cube = lambda a: (a["x"] ** 3).sum()
    >>> gradcheck.check(cube, x, {"x": 3 * x["x"] ** 2}, method="complex").passed
    True
    >>> gradcheck.check(cube, x, {"x": x["x"] ** 2}).passed
    False
    """
    if method not in METHODS:
        raise ValueError(f"check: method must be one of {', '.join(METHODS)}; got {method!r}")
    measure, usual = METHODS[method]
    tolerance = usual if tolerance is None else tolerance
    if arrays.keys() != gradients.keys():
        raise ValueError(
            "check: gradients must have the names of arrays, got "
            f"{sorted(gradients)} for {sorted(arrays)}"
        )
    for path, array in arrays.items():
        if np.shape(gradients[path]) != np.shape(array):
            raise ValueError(
                f"check: the gradient of {path!r} must have its shape {np.shape(array)}, got "
                f"{np.shape(gradients[path])}"
            )
    slopes = measure(f, arrays)
    entries = tuple(
        compare(path, np.asarray(gradients[path]), slopes[path], tolerance) for path in arrays
    )
    return Report(entries, method, tolerance)


def compare(path: str, gradient: NDArray[Any], slope: NDArray[Any], tolerance: float) -> Entry:
    """The worst entry of a gradient beside its measured slope."""
    error = np.abs(gradient - slope)
    worst = np.unravel_index(np.argmax(np.nan_to_num(error, nan=np.inf)), error.shape)
    scale = max(np.max(np.abs(gradient)), np.max(np.abs(slope)))
    relative = 0.0 if scale == 0 else float(error[worst] / scale)  # NaN stays NaN, and fails
    return Entry(
        path=path,
        index=tuple(int(k) for k in worst),
        gradient=float(gradient[worst]),
        slope=float(slope[worst]),
        absolute_error=float(error[worst]),
        relative_error=relative,
        passed=relative <= tolerance,
    )
