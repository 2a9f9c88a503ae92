"""The examination, from the coarse to the fine: the function first, then the gradient."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from numpylstm.checks import Array, Rng, any_array, generator
from numpylstm.laboratory import gradcheck
from numpylstm.laboratory.doctor.chain import fitting, wrong_line
from numpylstm.laboratory.doctor.findings import Finding, Outcome
from numpylstm.laboratory.doctor.names import Point
from numpylstm.laboratory.doctor.reasoning import Examination, explain
from numpylstm.laboratory.doctor.weak import weak_points
from numpylstm.laboratory.doctor.words import Evidence, Kind
from numpylstm.laboratory.step_sizes import StepSweep, sweep_steps, unit_direction

Backward = Callable[[dict[str, Array]], Mapping[str, Array]]


@dataclass(frozen=True)
class Diagnosis:
    """The result of `examine`.

    `findings` is empty for a healthy gradient; otherwise the most likely cause comes first.
    `outcomes` are the results of the experiments.
    """

    findings: tuple[Finding, ...]
    warnings: tuple[str, ...]
    report: gradcheck.Report | None
    sweep: StepSweep
    outcomes: tuple[Outcome, ...] = ()

    @property
    def experiments(self) -> tuple[str, ...]:
        """The result of each experiment in words."""
        return tuple(map(str, self.outcomes))

    @property
    def healthy(self) -> bool:
        """True if no mistake was found; `warnings` lists weaknesses of the check."""
        return not self.findings

    def __str__(self) -> str:
        lines = [str(finding) for finding in self.findings] or ["Healthy: no mistake was found."]
        if not np.isnan(self.sweep.slope):
            lines.append(
                f"Step sweep: slope {self.sweep.slope:z.2f} (2 for a right gradient), smallest "
                f"error {self.sweep.smallest_error:.0e} at step {self.sweep.best_step:.0e}."
            )
        lines += [f"Warning: {warning}." for warning in self.warnings]
        return "\n".join(lines)


def examine(
    f: Callable[[dict[str, Array]], Any],
    backward: Backward | Mapping[str, Array],
    arrays: Mapping[str, Array],
    fixed: Mapping[str, Array] | None = None,
    *,
    slopes: Mapping[str, Array] | None = None,
    rng: Rng = 0,
) -> Diagnosis:
    """Check a gradient and, if it is wrong, name the likely mistake in the code.

    Parameters
    ----------
    f : callable
        The scalar function whose gradient is claimed. Takes one dict, `arrays` and `fixed`
        together. It receives copies, as `backward` does: writing into them changes nothing else
        and is named in a warning.
    backward : callable or dict of name -> array
        The backward pass, as a function of the same dict: the gradient of f for every name of
        `arrays`. With finished gradients the doctor cannot experiment.
    arrays : dict of name -> float64 array
        The arrays to differentiate. The names of `numpylstm.laboratory.doctor.names` tell their
        axes.
    fixed : dict of name -> array, optional
        The other arguments of f: ids, targets, weights, a mask, upstream gradients.
    slopes : dict of name -> array, optional
        Measured slopes of f; central differences by default.
    rng : Generator or int
        Draws the directions of the sweep and of the experiments.

    Returns
    -------
    Diagnosis
        ``print(diagnosis)`` shows it as sentences.

    Examples
    --------
    >>> import numpy as np
    >>> from numpylstm import doctor
    >>> rng = np.random.default_rng(0)
    >>> arrays = {"x": rng.standard_normal((5, 3, 4)), "W": rng.standard_normal((4, 6))}
    >>> f = lambda a: (np.tanh(a["x"] @ a["W"])).mean()
    >>> def backward(a):
    ...     da = 1 - np.tanh(a["x"] @ a["W"]) ** 2
    ...     return {"x": da @ a["W"].T, "W": np.tensordot(a["x"], da, axes=([0, 1], [0, 1]))}
    >>> doctor.examine(f, backward, arrays).findings[0].evidence  # the mean was forgotten
    ('gradient / slope is 90 in every entry',)
    """
    rng = generator(rng)
    gradcheck.check_real("examine", "arrays", arrays)
    if not isinstance(fixed, Mapping | None):
        got = type(fixed).__name__
        raise TypeError(
            f"examine: fixed must be a dict of name -> array, got {got}; it holds what f needs "
            "beside arrays"
        )
    fixed = {name: any_array("examine", name, array) for name, array in (fixed or {}).items()}
    point: Point = fixed | {path: np.array(a) for path, a in arrays.items()}
    changed: dict[str, set[str]] = {"f": set(), "backward": set()}
    f = _on_copies(f, changed["f"])

    def of_arrays(moved: dict[str, Array]) -> float:
        return float(gradcheck.scalar(f(point | moved)))

    function = None if isinstance(backward, Mapping) else _on_copies(backward, changed["backward"])
    given: Any = backward if function is None else function(point)
    if isinstance(given, Mapping):  # it may hold more
        given = {path: given[path] for path in arrays if path in given}
    gradcheck.check_arguments("examine", arrays, given)
    # Copies, since the backward pass may add to its own.
    gradients = {path: np.array(a, np.float64) for path, a in given.items()}
    sweep = sweep_steps(of_arrays, arrays, gradients, rng=rng)
    case = Examination(f, function, point, gradients, rng)
    unfit = _unfit(case)
    warnings = (
        *weak_points(point),
        *(
            f"{function} changes its argument {name}, and later code sees the changed numbers; += "
            "and *= write into an array"
            for function, names in changed.items()
            for name in sorted(names)
        ),
    )
    if unfit is not None:
        return Diagnosis((unfit,), warnings, None, sweep)

    case.slopes = gradcheck.central_difference(of_arrays, arrays) if slopes is None else slopes
    central = gradcheck.METHODS["central"]
    entries = tuple(
        gradcheck.compare(path, gradients[path], case.slopes[path], central.tolerance)
        for path in arrays
    )
    report = gradcheck.Report(entries, central.words, central.tolerance)
    wrong = [entry.path for entry in entries if not entry.passed]
    error = report.worst.relative_error
    if wrong and error <= 1e-5:  # no usual mistake is so small
        digits = Finding(Kind.DIGITS, tuple(wrong), facts={"error": error})
        return Diagnosis((digits,), warnings, report, sweep)
    findings = []
    for path in wrong:
        kink = _kink(case, path)
        if kink is None:
            case.wrong_paths.append(path)
        else:
            findings.append(kink)
    if case.wrong_paths:
        with np.errstate(all="ignore"):
            known = fitting(f, point)
        of_line = None if known is None else wrong_line(case, *known)
        findings.insert(0, of_line or explain(case))
    return Diagnosis(tuple(findings), warnings, report, sweep, tuple(case.outcomes))


def _on_copies(function: Callable[[Point], Any], changed: set[str]) -> Callable[[Point], Any]:
    """Wrap a function: it gets copies of the arrays, and those it writes into are recorded."""

    def called(given: Point) -> Any:
        own = {name: array.copy() for name, array in given.items()}
        result = function(dict(own))
        changed.update(n for n, array in given.items() if own[n].tobytes() != array.tobytes())
        return result

    return called


def _unfit(case: Examination) -> Finding | None:
    """Return a reason why a comparison would prove nothing: NaN, randomness, float32."""
    every = tuple(case.gradients)
    values = [float(case.f(case.point)) for _ in range(3)]
    bad = tuple(path for path in every if not np.isfinite(case.gradients[path]).all())
    if bad:
        return Finding(Kind.GRADIENT_NOT_FINITE, bad)
    if not np.isfinite(values).all():
        return Finding(Kind.FUNCTION_NOT_FINITE, every)
    if len(set(values)) > 1:
        facts = {"values": ", ".join(f"{value:.8g}" for value in values)}
        return Finding(Kind.RANDOM_FUNCTION, every, (Evidence.VALUES_DIFFER,), facts)
    again = case.gradients if case.backward is None else case.backward(case.point)
    twice = tuple(p for p in every if not np.array_equal(case.gradients[p], again[p]))
    if twice:
        doubled = all(np.allclose(again[path], 2 * case.gradients[path]) for path in twice)
        kind = Kind.ACCUMULATION if doubled else Kind.RANDOM_GRADIENT
        return Finding(kind, twice, (Evidence.CALLS_DIFFER,))
    precision = _precision(case)
    if precision > 1e-10:
        return Finding(Kind.FLOAT32, every, (Evidence.PRECISION,), {"precision": precision})
    return None


def _precision(case: Examination) -> float:
    """Return the relative rounding error of f: its fourth difference over a short distance.

    Curvature cancels in it and rounding does not. It goes to one side of the point, which may lie
    at a kink, in each of eight directions.
    """
    base = float(case.f(case.point))
    worst = 0.0
    for _ in range(8):
        direction = unit_direction(case.gradients, case.generator)
        values = [base]
        for step in (2.5e-7, 5e-7, 7.5e-7, 1e-6):
            values.append(float(case.f(gradcheck.moved(case.point, direction, step))))
        worst = max(worst, abs(np.diff(values, 4)[0]))
    return worst / max(abs(base), 1.0)


def _kink(case: Examination, path: str) -> Finding | None:
    """Return a kink of f, if the worst entry of an array lies at one.

    There the gradient lies between the slopes to the left and to the right over a short distance,
    and the central difference over a longer one does not agree with it.
    """
    gradient, slope = case.gradients[path], case.slopes[path]
    error = np.abs(gradient - slope)
    worst = np.unravel_index(np.argmax(error), error.shape)
    step = np.zeros(error.shape)
    step[worst] = 1e-7
    before, here, after = (
        float(case.f(gradcheck.moved(case.point, {path: step}, n))) for n in (-1, 0, 1)
    )
    left, right = (here - before) / 1e-7, (after - here) / 1e-7
    near = 1e-6 * max(np.abs(gradient).max(), np.abs(slope).max())
    between = min(left, right) - near <= gradient[worst] <= max(left, right) + near
    bend = max(abs(left - right), abs((left + right) / 2 - slope[worst]))
    if not between or bend < error[worst] / 2:  # f is smooth here
        return None
    facts = {
        "index": ", ".join(map(str, worst)),
        "left": left,
        "right": right,
        "slope": slope[worst],
        "gradient": gradient[worst],
    }
    return Finding(Kind.KINK, (path,), (Evidence.SLOPES_AT_A_KINK,), facts)
