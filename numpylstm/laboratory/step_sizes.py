"""The error of a central difference against the step: the V-shaped curve."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from numpylstm.checks import Array, Rng, generator
from numpylstm.laboratory.gradcheck import central_slope, check_arguments

STEPS = np.logspace(-1, -10, 37)
"""From 1e-1 to 1e-10, four in each decade."""


@dataclass(frozen=True)
class StepSweep:
    """The result of `sweep_steps` along one random direction.

    `errors` are relative to the slope that the gradient claims. `slope` is the exponent p in
    error = constant * step**p on the falling branch: 2 for a right gradient of a smooth function,
    near 0 where the error does not depend on the step, NaN if the branch has too few points.
    """

    steps: Array
    errors: Array
    slope: float
    best_step: float

    @property
    def smallest_error(self) -> float:
        """The error at the bottom of the V; infinite if no step gave a number."""
        return float(np.fmin.reduce(self.errors, initial=np.inf))


def sweep_steps(
    f: Callable[[dict[str, Array]], Any],
    arrays: Mapping[str, Array],
    gradients: Mapping[str, Array],
    *,
    rng: Rng = 0,
) -> StepSweep:
    """Measure the error of the central difference at many steps, in one random direction.

    With u a random direction of length 1 in all arrays together, the central difference is

    ``(f(x + h u) - f(x - h u)) / 2h = df/du + h**2 f'''/6 + rounding / h``.

    For large h the second term dominates and the curve falls with slope 2; for small h the third
    does and the curve rises again. They meet near h = 1e-5 and an error of 1e-10 in float64, near
    1e-2 and 1e-4 in float32.

    Parameters
    ----------
    f : callable
        Takes a dict like `arrays` and returns a real scalar.
    arrays, gradients : dict of name -> array
        The point, and the result of the backward pass there.
    rng : Generator or int
        Draws the direction.

    Returns
    -------
    StepSweep
        `numpylstm.plots.v_curve` draws it.

    Examples
    --------
    >>> import numpy as np
    >>> from numpylstm.laboratory.doctor import sweep_steps
    >>> x = {"x": np.array([1.0, -2.0, 3.0])}
    >>> sweep = sweep_steps(lambda a: np.exp(a["x"]).sum(), x, {"x": np.exp(x["x"])})
    >>> round(sweep.slope, 2), bool(sweep.smallest_error < 1e-9)
    (2.0, True)
    """
    check_arguments("sweep_steps", arrays, gradients)
    direction = unit_direction(arrays, generator(rng))
    claimed = sum(np.sum(gradients[path] * u) for path, u in direction.items())

    measured = np.array([central_slope(f, dict(arrays), direction, step) for step in STEPS])
    scale = abs(claimed) or np.abs(measured[np.isfinite(measured)]).max(initial=0.0) or 1.0
    errors = np.abs(measured - claimed) / scale
    best = int(np.argmin(np.nan_to_num(errors, nan=np.inf)))
    return StepSweep(STEPS, errors, _exponent(errors, best), float(STEPS[best]))


def unit_direction(arrays: Mapping[str, Array], rng: np.random.Generator) -> dict[str, Array]:
    """Draw a direction of length 1 in all arrays together."""
    direction = {path: rng.standard_normal(np.shape(a)) for path, a in arrays.items()}
    length = np.sqrt(sum(np.sum(u * u) for u in direction.values()))
    return {path: u / length for path, u in direction.items()}


def _exponent(errors: Array, best: int) -> float:
    """Return the slope of the falling branch, well above the floor, on logarithmic axes."""
    falling = (np.arange(len(STEPS)) < best) & (errors > 100 * errors[best]) & (errors > 0)
    if falling.sum() < 4:
        falling = (STEPS >= 1e-4) & (errors > 0)
        if falling.sum() < 4 or np.ptp(np.log(errors[falling])) > 1:  # noise, not a flat line
            return float("nan")
    return float(np.polyfit(np.log(STEPS[falling]), np.log(errors[falling]), 1)[0])
