"""Gradient checks: a backward pass against the measured slope of its forward pass.

There are two ways to measure a slope without calculus:

* the **central difference**, ``(f(x + h) - f(x - h)) / 2h``, works for any function; in float64 it
  agrees with a right gradient to about 1e-9, since the subtraction loses half of the digits;
* the **complex step**, ``imag f(x + ih) / h`` with h = 1e-30, subtracts nothing and agrees to about
  1e-15. It needs a function that accepts complex numbers, such as those of
  `numpylstm.reference` (Squire and Trapp 1998).

A slope is measured along every entry of every array, along one random direction in each array, or
along one random direction through all arrays at once, which costs two evaluations (the complex
step: one) at any size.

A check with zero biases, equal sizes or an upstream gradient of ones misses mistakes: use random
numbers and different sizes everywhere.
"""

import html
import math
import numbers
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from numpylstm.checks import (
    Array,
    Rng,
    check_choice,
    check_interval,
    check_number,
    generator,
    real_array,
)

Arrays = Mapping[str, Array]
Loss = Callable[[dict[str, Array]], Any]


@dataclass(frozen=True)
class Entry:
    """One line of a report: a gradient beside a measured slope.

    Along entries it is the worst entry of one array, where the two differ most, and
    `scale` is the largest absolute value in either of them.

    Along a random direction u (independent standard normal numbers) `index` is None, `gradient` is
    the sum of u times the claimed gradient, `slope` is the slope along u, and `scale` is the length
    of the claimed gradient, or the slope if that is larger, so `relative_error` is the relative
    error of the array times the size of one standard normal number.
    """

    path: str
    index: tuple[int, ...] | None
    gradient: float
    slope: float
    scale: float
    tolerance: float

    @property
    def absolute_error(self) -> float:
        """The absolute difference of gradient and slope."""
        return abs(self.gradient - self.slope)

    @property
    def relative_error(self) -> float:
        """The absolute error over the scale; if the scale is 0, the absolute error: 0 or NaN."""
        return self.absolute_error / (self.scale or 1.0)

    @property
    def passed(self) -> bool:
        """True if the relative error is at most the tolerance; NaN and an infinite scale fail."""
        return math.isfinite(self.scale) and self.relative_error <= self.tolerance

    def cells(self) -> tuple[str, ...]:
        """Return the row of the table, in the order of `COLUMNS`."""
        index = "" if self.index is None else f"[{', '.join(map(str, self.index))}]"
        return (
            "ok" if self.passed else "FAIL",
            self.path,
            f"{self.relative_error:.1e}",
            f"{self.absolute_error:.1e}",
            f"{self.gradient:.6e}",
            f"{self.slope:.6e}",
            index,
        )


COLUMNS = ("", "array", "relative", "absolute", "gradient", "slope", "index")
TEXT_COLUMNS = ("", "array", "index")  # left-aligned; numbers are right-aligned


@dataclass(frozen=True)
class Report:
    """The result of `check`: an `Entry` for each array (one for all of them, along "all").

    ``print(report)`` shows a table; a notebook shows it as HTML.
    """

    entries: tuple[Entry, ...]
    method: str
    tolerance: float
    along: str = "entries"

    @property
    def passed(self) -> bool:
        """True if every array passed."""
        return all(entry.passed for entry in self.entries)

    @property
    def worst(self) -> Entry:
        """The entry with the largest relative error; NaN counts as the largest."""
        return max(self.entries, key=lambda e: np.nan_to_num(e.relative_error, nan=np.inf))

    @property
    def verdict(self) -> str:
        """The last line of the table."""
        return (
            f"{'passed' if self.passed else 'FAILED'}: {self.method}, {ALONG[self.along]}, "
            f"relative tolerance {self.tolerance:g}"
        )

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """The cells of the table, titles first; along directions there is no index."""
        indexed = any(entry.index is not None for entry in self.entries)
        shown = len(COLUMNS) if indexed else -1
        return [row[:shown] for row in (COLUMNS, *(entry.cells() for entry in self.entries))]

    def __str__(self) -> str:
        rows = self.rows
        columns = COLUMNS[: len(rows[0])]
        widths = [max(len(row[k]) for row in rows) for k in range(len(columns))]
        lines = []
        for row in rows:
            cells = []
            for title, cell, width in zip(columns, row, widths, strict=True):
                cells.append(cell.ljust(width) if title in TEXT_COLUMNS else cell.rjust(width))
            lines.append(f"{cells[0]} {'  '.join(cells[1:])}".rstrip())
        return "\n".join([*lines, self.verdict])

    def _repr_html_(self) -> str:
        def row(tag: str, cells: tuple[str, ...], style: str) -> str:
            return (
                f'<tr style="{style}">'
                + "".join(
                    f'<{tag} style="padding: 0.1em 0.7em; text-align: '
                    f'{"left" if title in TEXT_COLUMNS else "right"}">{html.escape(cell)}</{tag}>'
                    for title, cell in zip(COLUMNS, cells, strict=False)
                )
                + "</tr>"
            )

        rows = self.rows
        lines = [row("th", rows[0], "border-bottom: 1px solid")]
        for entry, cells in zip(self.entries, rows[1:], strict=True):
            lines.append(row("td", cells, "" if entry.passed else "font-weight: bold"))
        return (
            '<table style="border-collapse: collapse">'
            '<caption style="caption-side: bottom; text-align: left; padding: 0.3em 0.7em">'
            f"{html.escape(self.verdict)}</caption>{''.join(lines)}</table>"
        )


# --- slopes ------------------------------------------------------------------------------------


def central_slope(f: Loss, point: dict[str, Array], direction: Arrays, step: float = 1e-5) -> float:
    """Return the slope of f along u, ``(f(x + h u) - f(x - h u)) / 2h``: two evaluations.

    Parameters
    ----------
    f : callable
        Takes a dict of float64 arrays and returns a real scalar; must not change its argument.
    point : dict of name -> float64 array
    direction : dict of name -> array of the same shape
        Arrays that are not named do not move.
    step : float
        h. The error is of order step**2 (curvature) plus 1e-16 / step (rounding).
    """
    after = scalar(f(moved(point, direction, step)))
    difference = after - scalar(f(moved(point, direction, -step)))
    if np.iscomplexobj(difference):
        raise TypeError(
            "central difference: f must return a real number, got a complex one; the complex step "
            "is for complex functions"
        )
    return float(difference) / (2 * step)


def complex_slope(f: Loss, point: dict[str, Array], direction: Arrays) -> float:
    """Return the slope of f along u, ``imag f(x + ih u) / h``: one evaluation, no subtraction.

    Parameters
    ----------
    f : callable
        Takes a dict of complex128 arrays and returns a complex scalar. It must be analytic where
        it is evaluated, and compare or take maxima of real parts only.
    point, direction
        As in `central_slope`, but the point is complex128. h is 1e-30.

    Raises
    ------
    TypeError
        If the function returns a real number, so that the imaginary part is lost.
    """
    result = scalar(f(moved(point, direction, 1e-30j)))
    if not np.iscomplexobj(result):
        raise TypeError(
            f"complex_step: f must return a complex number, got {type(result).__name__}; a "
            "cast, a real buffer or abs() inside it drops the imaginary part"
        )
    return float(result.imag) / 1e-30


def moved(point: dict[str, Array], direction: Arrays, step: complex) -> dict[str, Array]:
    """Return x + h u; arrays that the direction does not name stay."""
    return point | {path: point[path] + step * u for path, u in direction.items()}


def scalar(value: Any) -> Any:
    """Return the result of a function; raise a TypeError unless it is one number."""
    if np.ndim(value) != 0:
        raise TypeError(f"check: f must return one number, got shape {np.shape(value)}")
    number = value[()] if isinstance(value, np.ndarray) else value
    if not isinstance(number, numbers.Number):
        got = type(value).__name__
        raise TypeError(f"check: f must return one number, got {got}; is its return missing?")
    return number


def central_difference(f: Loss, arrays: Arrays, step: float = 1e-5) -> dict[str, Array]:
    """Return the slope along every entry of every array, by `central_slope`.

    Parameters
    ----------
    f : callable
        Takes a dict like `arrays` and returns a real scalar; must not change its argument.
    arrays : dict of name -> float64 array
    step : float

    Returns
    -------
    slopes : dict of name -> array of the same shape
    """
    check_interval("central_difference", "step", step, "(0, inf)")
    return _along_every_entry(METHODS["central"], f, arrays, step=step)


def complex_step(f: Loss, arrays: Arrays) -> dict[str, Array]:
    """Return the slope along every entry of every array, by `complex_slope`.

    As `central_difference`, but f takes complex128 arrays and returns a complex scalar.
    """
    return _along_every_entry(METHODS["complex"], f, arrays)


def _point(arrays: Arrays, method: "Method") -> dict[str, Array]:
    """Return copies of the arrays in the dtype of a method."""
    check_real("check", "arrays", arrays)
    return {path: np.array(array, method.dtype) for path, array in arrays.items()}


def check_real(where: str, argument: str, arrays: Arrays) -> None:
    """Raise a TypeError unless it is a dict of arrays of real numbers."""
    if not isinstance(arrays, Mapping):
        raise TypeError(
            f"{where}: {argument} must be a dict of name -> array, got {type(arrays).__name__}"
        )
    for path, value in arrays.items():
        real_array(where, f"{argument}[{path!r}]", value)


def _along_every_entry(
    method: "Method", f: Loss, arrays: Arrays, **step: float
) -> dict[str, Array]:
    point = _point(arrays, method)
    slopes = {path: np.empty(array.shape) for path, array in point.items()}
    for path, array in slopes.items():
        u = np.zeros(array.shape)
        for index in np.ndindex(array.shape):
            u[index] = 1
            array[index] = method.slope(f, point, {path: u}, **step)
            u[index] = 0
    return slopes


@dataclass(frozen=True)
class Method:
    """A way to measure a slope, and the relative error up to which a right gradient passes."""

    slope: Callable[..., float]
    dtype: type
    tolerance: float  # along entries
    directions: float  # along random directions
    words: str


METHODS = {
    "central": Method(central_slope, np.float64, 1e-7, 1e-6, "central differences"),
    "complex": Method(complex_slope, np.complex128, 1e-12, 1e-12, "complex step"),
}
ALONG = {
    "entries": "every entry",
    "arrays": "one random direction in each array",
    "all": "one random direction through all arrays",
}


# --- the check ---------------------------------------------------------------------------------


def check(
    f: Loss,
    arrays: Arrays,
    gradients: Arrays,
    *,
    method: str = "central",
    along: str = "entries",
    tolerance: float | None = None,
    rng: Rng = 0,
) -> Report:
    """Compare gradients with measured slopes.

    Parameters
    ----------
    f : callable
        The scalar function whose gradient is claimed; takes a dict like `arrays`.
    arrays : dict of name -> array
        The point at which to check.
    gradients : dict of name -> array
        The result of the backward pass there; the names and shapes of `arrays`.
    method : "central" or "complex"
        Two evaluations of f for each slope, or one; see `central_slope` and `complex_slope`.
    along : "entries", "arrays" or "all"
        Measure a slope for every entry, for one random direction in each array, or for one
        random direction through all arrays.
    tolerance : float, optional
        Largest relative error that passes; 1e-12 for the complex step; for central differences
        1e-7 along entries and 1e-6 along random directions, where all parameters move at once and
        the curvature of all of them counts.
    rng : Generator or int
        Draws the random directions.

    Returns
    -------
    Report
        ``print(report)`` shows a table; ``report.passed`` is the verdict.

    Notes
    -----
    A random direction finds a wrong entry when that entry's error, times one standard normal
    number, is above the tolerance times the length of the gradient. An error k times above that
    bound goes unseen with a probability of 0.8 / k; another `rng` draws again (see
    docs/laboratory/checking-gradients.md).

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
    >>> gradcheck.check(cube, x, {"x": 3 * x["x"] ** 2}, along="all").passed
    True
    """
    check_choice("check", "method", method, METHODS)
    check_choice("check", "along", along, ALONG)
    way = METHODS[method]
    if tolerance is None:
        tolerance = way.tolerance if along == "entries" else way.directions
    check_number("check", "tolerance", tolerance)
    check_arguments("check", arrays, gradients)
    gradients = {path: np.asarray(gradients[path], np.float64) for path in arrays}
    if along == "entries":
        slopes = _along_every_entry(way, f, arrays)
        worst = (compare(p, gradients[p], slopes[p], tolerance) for p in arrays)
        return Report(tuple(worst), way.words, tolerance, along)
    rng = generator(rng)
    point = _point(arrays, way)
    groups = {"all arrays": tuple(arrays)} if along == "all" else {p: (p,) for p in arrays}
    entries = []
    for name, paths in groups.items():
        u = {path: rng.standard_normal(np.shape(arrays[path])) for path in paths}
        claimed = sum(float(np.vdot(u[path], gradients[path])) for path in paths)
        slope = way.slope(f, point, u)
        flat = np.concatenate([gradients[path].ravel() for path in paths])
        scale = max(float(np.hypot.reduce(flat, initial=0)), abs(slope))  # no square overflows
        entries.append(Entry(name, None, claimed, slope, scale, tolerance))
    return Report(tuple(entries), way.words, tolerance, along)


def check_arguments(where: str, arrays: Arrays, gradients: Arrays) -> None:
    """Raise unless the gradients have the names and the shapes of the arrays."""
    check_real(where, "arrays", arrays)
    check_real(where, "gradients", gradients)
    if arrays.keys() != gradients.keys():
        raise ValueError(
            f"{where}: gradients must have the names of arrays, got "
            f"{sorted(gradients)} for {sorted(arrays)}"
        )
    if not arrays:
        raise ValueError(f"{where}: arrays must hold at least one array, got none")
    for path, array in arrays.items():
        if np.shape(gradients[path]) != np.shape(array):
            raise ValueError(
                f"{where}: the gradient of {path!r} must have its shape {np.shape(array)}, got "
                f"{np.shape(gradients[path])}"
            )
        if np.size(array) == 0:
            raise ValueError(f"{where}: {path!r} must not be empty, got shape {np.shape(array)}")


def compare(path: str, gradient: Array, slope: Array, tolerance: float) -> Entry:
    """Return the worst entry of a gradient beside its measured slope."""
    error = np.abs(gradient - slope)
    worst = np.unravel_index(np.argmax(np.nan_to_num(error, nan=np.inf)), error.shape)
    scale = float(max(np.max(np.abs(gradient)), np.max(np.abs(slope))))
    values = float(gradient[worst]), float(slope[worst])
    return Entry(path, tuple(map(int, worst)), *values, scale, tolerance)
