"""The examination, from the coarse to the fine: the function first, then the gradient."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from numpylstm.checks import any_array
from numpylstm.checks import generator as any_generator
from numpylstm.laboratory import gradcheck
from numpylstm.laboratory.doctor.chain import wrong_line
from numpylstm.laboratory.doctor.names import Array, Point, symbols
from numpylstm.laboratory.doctor.reasoning import Examination, Finding, explain
from numpylstm.laboratory.doctor.weak import weak_points
from numpylstm.laboratory.step_sizes import StepSweep, sweep_steps

Backward = Callable[[dict[str, Array]], Mapping[str, Array]]

FEW_DIGITS = 1e-5
"""A relative error up to which digits are more likely lost than a line wrong."""


@dataclass(frozen=True)
class Diagnosis:
    """What `examine` found.

    `findings` is empty for a healthy gradient; otherwise the most likely cause comes first.
    `experiments` says what became of each experiment that was made.
    """

    findings: tuple[Finding, ...]
    warnings: tuple[str, ...]
    report: gradcheck.Report | None
    sweep: StepSweep
    experiments: tuple[str, ...] = ()

    @property
    def healthy(self) -> bool:
        """Nothing was found to be wrong. The warnings say how much that is worth."""
        return not self.findings

    def __str__(self) -> str:
        lines = [str(finding) for finding in self.findings] or ["Healthy: no mistake was found."]
        if not np.isnan(self.sweep.slope):
            slope = round(self.sweep.slope, 2) + 0.0  # no -0.00
            lines.append(
                f"Step sweep: slope {slope:.2f} (2 for a right gradient), smallest error "
                f"{self.sweep.smallest_error:.0e} at step {self.sweep.best_step:.0e}."
            )
        lines += [f"Warning: {warning}." for warning in self.warnings]
        return "\n".join(lines)


def examine(
    f: Callable[[dict[str, Array]], Any],
    backward: Backward | Mapping[str, Array],
    arrays: Mapping[str, Array],
    fixed: Mapping[str, Array] | None = None,
    *,
    gates: str | None = None,
    slopes: Mapping[str, Array] | None = None,
    rng: np.random.Generator | int = 0,
) -> Diagnosis:
    """Check a gradient, and where it is wrong, find out what is likely wrong with the code.

    Parameters
    ----------
    f : callable
        The scalar function whose gradient is claimed. Takes one dict, `arrays` and `fixed`
        together: copies, so that what it writes into them is named in a warning and changes
        nothing else. The same holds for `backward`.
    backward : callable or dict of name -> array
        The backward pass, as a function of the same dict: the gradient of f for every name of
        `arrays`. With a function the doctor can experiment; with the gradients alone it reports
        what can be read off them.
    arrays : dict of name -> float64 array
        What is differentiated. The names of `numpylstm.laboratory.doctor.names` tell the doctor
        their axes.
    fixed : dict of name -> array, optional
        What f needs beside them: ids, targets, weights, a mask, upstream gradients.
    gates : str, optional
        The order of the column blocks of Wx, Wh and b, if they have several; by default that of
        this package: "ifgo" for the four of an LSTM, "rzn" for the three of a GRU.
    slopes : dict of name -> array, optional
        Slopes of f, if they are already measured; central differences by default.
    rng : Generator or int
        Draws the directions of the sweep and of the experiments.

    Returns
    -------
    Diagnosis
        ``print(diagnosis)`` says it in words.

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
    generator = any_generator(rng)
    gradcheck._check_real("examine", "arrays", arrays)
    if not isinstance(fixed, Mapping | None):
        got = type(fixed).__name__
        raise TypeError(
            f"examine: fixed must be a dict of name -> array, got {got}; it holds what f needs "
            "beside arrays"
        )
    fixed = {name: any_array("examine", name, array) for name, array in (fixed or {}).items()}
    point: Point = {**fixed, **{path: np.array(a) for path, a in arrays.items()}}
    changed_by: dict[str, set[str]] = {"f": set(), "backward": set()}
    f = _on_copies(f, changed_by["f"])

    def of_arrays(changed: dict[str, Array]) -> float:
        return float(gradcheck._scalar(f({**point, **changed})))

    given: Mapping[str, Array]
    if isinstance(backward, Mapping):
        given, function = backward, None
    else:
        function = _on_copies(backward, changed_by["backward"])
        given = function(point)
    if not isinstance(given, Mapping):
        got = type(given).__name__
        raise TypeError(f"examine: backward must give a dict of name -> array, got {got}")
    if missing := arrays.keys() - given.keys():
        gave = ", ".join(sorted(map(str, given))) or "nothing"
        names = ", ".join(sorted(missing))
        raise ValueError(f"examine: backward must give a gradient of {names}; it gave {gave}")
    given = {path: given[path] for path in arrays}
    gradcheck._check_arguments("examine", arrays, given)
    gradients = {path: np.array(a) for path, a in given.items()}  # backward may add to its own
    weak = weak_points(point)
    sweep = sweep_steps(of_arrays, arrays, gradients, rng=generator)

    unfit = _unfit(f, function, gradients, point, arrays, generator)
    warnings = (*weak, *_changes(changed_by))
    if unfit is not None:
        return Diagnosis((unfit,), warnings, None, sweep)

    if slopes is None:
        slopes = gradcheck.central_difference(of_arrays, arrays)
    tolerance = gradcheck.METHODS["central"].tolerance
    entries = tuple(
        gradcheck.compare(path, gradients[path], slopes[path], tolerance) for path in arrays
    )
    report = gradcheck.Report(entries, "central", tolerance)
    wrong = [entry.path for entry in entries if not entry.passed]
    worst = max((entry.relative_error for entry in entries), default=0.0)
    if wrong and worst <= FEW_DIGITS:
        return Diagnosis((_digits(wrong, worst),), warnings, report, sweep)
    kinks = [k for k in (_kink(of_arrays, arrays, gradients, slopes, path) for path in wrong) if k]
    findings = [finding for _, finding in kinks]
    wrong = [path for path in wrong if path not in {path for path, _ in kinks}]
    case = Examination(f, function, point, gates, gradients, slopes, wrong, generator)
    if wrong:
        findings.insert(0, wrong_line(case) or explain(case))
    return Diagnosis(tuple(findings), warnings, report, sweep, tuple(case.outcomes))


def _on_copies(function: Callable[[Point], Any], changed: set[str]) -> Callable[[Point], Any]:
    """The function, called with arrays of its own; the names of those that it writes into."""

    def called(given: Point) -> Any:
        own = {name: array.copy() for name, array in given.items()}
        result = function(dict(own))
        changed.update(n for n, array in given.items() if own[n].tobytes() != array.tobytes())
        return result

    return called


def _changes(changed_by: Mapping[str, set[str]]) -> tuple[str, ...]:
    return tuple(
        f"{function} changes its argument {name}: whoever uses {name} after it has other numbers; "
        "+= and *= write into an array"
        for function, names in changed_by.items()
        for name in sorted(names)
    )


def _digits(wrong: list[str], worst: float) -> Finding:
    return Finding(
        "digits",
        f"{symbols(wrong)}: the gradient agrees with the slopes to {worst:.0e}, and no better. "
        "Most likely no line is wrong, but digits are lost: the backward pass computes in float32 "
        "somewhere, or f is so curved that central differences end there; the complex step tells "
        "which. A small constant that only one of the passes has looks the same.",
    )


def _unfit(
    f: Callable[[Point], Any],
    backward: Backward | None,
    gradients: Mapping[str, Array],
    point: Point,
    arrays: Mapping[str, Array],
    generator: np.random.Generator,
) -> Finding | None:
    """What makes every comparison worthless: NaN, randomness, float32."""
    values = [float(f(point)) for _ in range(3)]
    bad = [path for path, gradient in gradients.items() if not np.isfinite(gradient).all()]
    if bad or not np.isfinite(values).all():
        where = f"the gradient of {', '.join(bad)}" if bad else "the function itself"
        return Finding("not finite", f"{symbols(bad or gradients)}: NaN or infinity in {where}.")
    if len(set(values)) > 1:
        return Finding(
            "randomness",
            f"{symbols(gradients)}: the function is random. Something is redrawn between "
            "evaluations, most likely a dropout mask. Draw it once and pass it in.",
            (f"three evaluations at one point: {', '.join(f'{v:.8g}' for v in values)}",),
        )
    if backward is not None:
        again = backward(point)
        twice = [path for path, g in gradients.items() if not np.array_equal(g, again[path])]
        if twice:
            doubled = all(np.allclose(again[path], 2 * gradients[path]) for path in twice)
            return Finding(
                "accumulation" if doubled else "randomness",
                f"{symbols(twice)}: the second call of backward adds to the first, gradients are "
                "not set to zero."
                if doubled
                else f"{symbols(twice)}: the backward pass is random, a mask is redrawn in it. "
                "Draw it once and pass it in.",
                (f"two calls at one point differ in {', '.join(twice)}",),
            )
    precision = _precision(f, point, arrays, generator)
    if precision > 1e-10:
        return Finding(
            "float32",
            f"{symbols(gradients)}: the function computes in float32 or lower somewhere, and its "
            "rounding hides all but gross mistakes. Check in float64.",
            (f"its values are exact to {precision:.0e} only; float64 gives about 1e-16",),
        )
    return None


def _precision(
    f: Callable[[Point], Any],
    point: Point,
    arrays: Mapping[str, Array],
    generator: np.random.Generator,
) -> float:
    """By how much f misses a cubic over a distance at which it must be one.

    That is its fourth difference, in which curvature cancels and rounding does not. Each side has
    one of its own, since the point may lie at a kink.
    """
    base = float(f(point))
    worst = 0.0
    for _ in range(4):
        u = {path: generator.standard_normal(np.shape(a)) for path, a in arrays.items()}
        length = np.sqrt(sum(np.sum(v * v) for v in u.values()))
        for side in (length, -length):
            one, two, three, four = (
                float(f(point | {path: point[path] + step / side * u[path] for path in u}))
                for step in (2.5e-7, 5e-7, 7.5e-7, 1e-6)
            )
            worst = max(worst, abs(base - 4 * one + 6 * two - 4 * three + four))
    return worst / max(abs(base), 1.0)


def _kink(
    f: Callable[[dict[str, Array]], float],
    arrays: Mapping[str, Array],
    gradients: Mapping[str, Array],
    slopes: Mapping[str, Array],
    path: str,
) -> tuple[str, Finding] | None:
    """Whether all the wrong entries of an array (at most five are tried) lie at a kink of f."""
    gradient, slope = gradients[path], slopes[path]
    error = np.abs(gradient - slope)
    scale = max(np.abs(gradient).max(), np.abs(slope).max())
    worst = np.argsort(error, axis=None)[::-1][:5]
    evidence = []
    for flat in worst:
        index = np.unravel_index(int(flat), error.shape)
        if error[index] <= 1e-7 * scale:
            break

        def at(step: float, index: tuple[Any, ...] = index) -> float:
            moved = np.array(arrays[path], float)
            moved[index] += step
            return f({path: moved})

        base = at(0.0)
        place = f"{path}[{', '.join(map(str, index))}]"
        left, right = ((at(s) - base) / s for s in (-1e-7, 1e-7))
        steps = (1e-5, 1e-6, 1e-7)
        gaps = [(at(s) + at(-s) - 2 * base) / s for s in steps]
        low, high = min(left, right) - 1e-6 * scale, max(left, right) + 1e-6 * scale
        if abs(gaps[-1]) > 1e-4 * scale and np.ptp(gaps) < 0.01 * abs(gaps[-1]):
            if not low <= gradient[index] <= high:
                return None
            evidence.append(
                f"at {place} the slope is {left:.4g} to the left and {right:.4g} to the right; the "
                f"gradient says {gradient[index]:.4g}"
            )
        elif low <= gradient[index] <= high and abs(left - right) <= 1e-4 * scale:
            evidence.append(
                f"at {place} the central difference depends on the step: {slope[index]:.4g} with "
                f"1e-5, {left:.4g} with 1e-7, as the gradient says"
            )
        else:
            return None
    if not evidence:
        return None
    return path, Finding(
        "kink",
        f"{path}: a kink (relu, max, abs) lies at or beside the point, where f has no slope to "
        f"compare {symbols([path])} with. This is no mistake; move the point.",
        tuple(evidence),
    )
