"""Rules for code that is not a chain of textbook layers.

Some mistakes show in the gradients themselves: one array for two, or a factor. For the rest
there are experiments: a mistake in a path has no effect where the path carries nothing. So each
array in turn is set to zero or to one, or only one time step is kept; the first change that makes
the gradient right tells where the mistake is. Data are changed, never code.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np

from numpylstm.checks import Array
from numpylstm.laboratory import gradcheck
from numpylstm.laboratory.doctor.names import FINAL, STATES, Point, last, sizes, symbols, timed
from numpylstm.laboratory.mistakes.record import enumeration


@dataclass(frozen=True)
class Finding:
    """A likely cause, a word for it, and the evidence."""

    kind: str
    sentence: str
    evidence: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n".join([self.sentence, *(f"  - {line}" for line in self.evidence)])


@dataclass
class Examination:
    """The function, the gradients, and the results of one examination."""

    f: Callable[[Point], Any]
    backward: Callable[[Point], Mapping[str, Array]] | None
    point: Point
    gradients: Mapping[str, Array]
    generator: np.random.Generator
    slopes: Mapping[str, Array] = field(default_factory=dict)
    wrong_paths: list[str] = field(default_factory=list)
    outcomes: list[str] = field(default_factory=list)
    """The result of each experiment, as text."""

    def right_at(self, words: str, changed: Point) -> bool:
        """Return True if all gradients are right at a changed point, and not because all are 0."""
        if self.backward is None:
            return False
        try:
            given = self.backward(changed)
            gradients = {path: given[path] for path in self.gradients}
            report = gradcheck.check(
                lambda moved: self.f(changed | moved),
                {path: changed[path] for path in gradients},
                gradients,
                along="arrays",
                tolerance=1e-5,  # a wrong gradient never agrees in a random direction
                rng=self.generator,
            )
        except Exception as error:  # the user's code may have fixed sizes, and say so in any way
            said = f": {error}" if str(error) else ""
            refused = f"the code refused the changed arrays ({type(error).__name__}{said})"
            self.outcomes.append(f"{words}: skipped, {refused}")
            return False
        wrong = [entry.path for entry in report.entries if not entry.passed]
        seen = any(np.any(gradients[path]) for path in self.wrong_paths)
        outcome = f"wrong in {enumeration(wrong)}" if wrong else "right"
        self.outcomes.append(f"{words}: {outcome if seen else 'nothing arrives'}")
        return seen and not wrong


# --- patterns in the gradients -------------------------------------------------------------------


def shared_gradient(case: Examination) -> Finding | None:
    """Finding: two arrays have the same gradient, but different slopes."""
    for one, other in combinations(case.wrong_paths, 2):
        a = case.gradients[one]
        if np.array_equal(a, case.gradients[other]) and a.any():
            evidence = ["the two gradients are equal in every number, the two slopes are not"]
            if np.allclose(a, case.slopes[one] + case.slopes[other], rtol=1e-6):
                evidence.append("each is the sum of the two slopes")
            sentence = f"{one} and {other} share one gradient array, {symbols([one])}: each "
            return Finding("shared gradient", f"{sentence}must have its own.", tuple(evidence))
    return None


def named_factor(factor: float, known: Mapping[str, int]) -> str:
    """Format ``2``, or ``0.2 = 1/T`` where a size or a product of sizes explains the number."""
    names = {"-1 (the sign)": -1.0, "2 (counted twice)": 2.0, "1/2": 0.5}
    for name, size in {**known, "T B": known.get("T", 0) * known.get("B", 0)}.items():
        if size > 1:
            bracketed = f"({name})" if " " in name else name
            names |= {f"{size} = {name}": size, f"1/{size} = 1/{bracketed}": 1 / size}
    same = (name for name, value in names.items() if abs(factor - value) <= 1e-6 * abs(value))
    return next(same, f"{factor:.6g}")


def factor(case: Examination) -> Finding | None:
    """Finding: the direction of a gradient is right, its length is not."""
    factors: dict[str, float] = {}
    for path in case.wrong_paths:
        g, s = case.gradients[path], case.slopes[path]
        value = float(np.sum(g * s) / np.sum(s * s)) if s.any() else float("nan")
        if s.size > 1 and np.linalg.norm(g - value * s) <= 1e-6 * np.linalg.norm(s):
            factors[path] = value
    judged, values = symbols(factors), list(factors.values())
    if absent := [path for path, value in factors.items() if value == 0]:
        zero = f"no gradient arrives, {symbols(absent)} is zero everywhere."
        sentence = f"{enumeration(absent)}: {zero}"
        return Finding("no gradient", sentence, ("the slopes are not zero",))
    if values and np.ptp(values) <= 1e-6 * max(map(abs, values)):
        return Finding(
            "factor",
            f"A factor: {judged}, the gradient of {enumeration(factors)}, is the slope times "
            f"{named_factor(values[0], sizes(case.point))}. The loss and its gradient disagree on "
            "a mean, a sum or a sign, or something is added twice.",
            (f"gradient / slope is {values[0]:.6g} in every entry",),
        )
    norms = [float(np.linalg.norm(case.gradients[path])) for path in factors]
    capped = sum(abs(norm - max(norms)) <= 1e-9 * max(norms) for norm in norms)
    if len(factors) < len(case.wrong_paths) or capped < 2:
        return None
    ratios = f"gradient / slope: {', '.join(f'{p} {v:.4g}' for p, v in factors.items())}"
    return Finding(
        "per-parameter clipping",
        f"{judged}: each is clipped by its own norm, and the direction of the step changes. Clip "
        "by the norm of all arrays together.",
        (
            ratios,
            f"{capped} arrays have exactly the same norm, {max(norms):.6g}, and none a larger one",
        ),
    )


# --- experiments ---------------------------------------------------------------------------------


def one_step(point: Point) -> Point:
    """Return the first step alone, with nothing from the next window."""
    none = {path: 0 * a for path, a in point.items() if last(path) in FINAL}
    return point | none | {path: a[:1] for path, a in point.items() if timed(path, a)}


def _symmetric(W: Array) -> Array:
    """Return the array with every square block of columns symmetric, if it has such blocks."""
    if W.ndim != 2 or len(W) < 2 or W.shape[1] % len(W):
        return W
    blocks = np.split(W, W.shape[1] // len(W), axis=1)
    return np.concatenate([(block + block.T) / 2 for block in blocks], axis=1)


def experiments(case: Examination) -> Iterator[tuple[str, Point, str, str]]:
    """Yield words, a changed point, and the kind and sentence if the gradient is right there."""
    point, judged = case.point, symbols(case.wrong_paths)
    names = dict.fromkeys(last(path) for path, a in point.items() if a.dtype.kind == "f")
    fixed = [name for name in names if not any(last(p) == name for p in case.gradients)]

    def with_(change: Callable[[Array], Array], *changed: str) -> Point:
        return point | {p: change(a) for p, a in point.items() if last(p) in changed}

    for name in fixed:
        yield (
            f"with all of {name} one",
            with_(np.ones_like, name),
            name,
            f"{judged}: the backward pass does not use {name} as f does.",
        )
    if upstream := [name for name in fixed if name.startswith("d")]:
        yield (
            f"with {', '.join(upstream)} a thousand times smaller",
            with_(lambda a: a / 1000, *upstream),
            "clipped",
            f"{judged}: something is clipped, inside the backward pass or at its end entry by "
            "entry. Clip only the finished gradients, all by one norm.",
        )
    for name in (name for name in names if name not in {*fixed, *STATES}):
        yield (
            f"with every square block of {name} symmetric",
            with_(_symmetric, name),
            "transpose",
            f"{judged}: the backward pass does not transpose {name}, or transposes it where it "
            "must not.",
        )
    for name in [*fixed, *(name for name in names if name not in fixed)]:
        yield (
            f"with {name} zero",
            with_(np.zeros_like, name),
            name,
            f"{judged}: the backward pass ignores, overwrites or miscounts what passes through "
            f"{name}.",
        )
    yield (
        "with one time step",
        one_step(point),
        "lost time step",
        f"{judged}: something between the time steps is lost, overwritten or miscounted, and "
        "the doctor cannot tell what: within one step all is right.",
    )
    states = {path: a[..., :1, :] for path, a in point.items() if last(path) in STATES}
    single = point | states | {path: a[:, :1] for path, a in point.items() if timed(path, a)}
    yield (
        "with a batch of one",
        single,
        "batch",
        f"{judged}: something is wrong between the sequences of a batch: a mean for a sum, a "
        "missing sum, or the wrong axis.",
    )


def explain(case: Examination) -> Finding:
    """Return the finding of the first rule that fits, or a finding that none does."""
    if pattern := shared_gradient(case) or factor(case):
        return pattern
    wrong = f"wrong in {enumeration(case.wrong_paths)}"
    for words, changed, kind, sentence in experiments(case):
        same = all(np.array_equal(array, case.point[path]) for path, array in changed.items())
        if not same and case.right_at(words, changed):
            return Finding(kind, sentence, (wrong, f"{words}: right"))
    right = [path for path in case.gradients if path not in case.wrong_paths]
    evidence = [wrong, f"right in {enumeration(right) or 'none'}"]
    if case.backward is None:
        evidence.append("pass backward as a function, so that the doctor can experiment")
    sentence = "The gradient is wrong, and the doctor cannot tell why."
    return Finding("unknown", sentence, tuple(evidence))
