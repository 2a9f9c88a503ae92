"""Rules for code that is not a chain of textbook layers.

Some mistakes show in the gradients themselves: one array for two, or a factor. For the rest
there are experiments: a mistake in a path has no effect where the path carries nothing. So each
array in turn is set to zero or to one, or only one time step is kept; the first change that makes
the gradient right tells where the mistake is. Data are changed, never code.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from numpylstm.checks import Array
from numpylstm.laboratory import gradcheck
from numpylstm.laboratory.doctor.findings import Finding, Outcome
from numpylstm.laboratory.doctor.names import FINAL, STATES, Point, last, sizes, timed
from numpylstm.laboratory.doctor.words import Change, Evidence, Kind


class Experiment(NamedTuple):
    """A change of the data, and the kind of finding if the gradient is right there."""

    change: Change
    changed: tuple[str, ...]  # the names of the arrays
    point: Point
    kind: Kind


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
    outcomes: list[Outcome] = field(default_factory=list)

    def right_at(self, experiment: Experiment) -> bool:
        """Return True if all gradients are right at a changed point, and not because all are 0."""
        if self.backward is None:
            return False
        outcome = self._outcome(self.backward, experiment)
        self.outcomes.append(outcome)
        return outcome.right

    def _outcome(
        self, backward: Callable[[Point], Mapping[str, Array]], experiment: Experiment
    ) -> Outcome:
        """Check the gradients at a changed point."""
        change, changed, point = experiment.change, experiment.changed, experiment.point
        try:
            given = backward(point)
            gradients = {path: given[path] for path in self.gradients}
            report = gradcheck.check(
                lambda moved: self.f(point | moved),
                {path: point[path] for path in gradients},
                gradients,
                along="arrays",
                tolerance=1e-5,  # a wrong gradient never agrees in a random direction
                rng=self.generator,
            )
        except Exception as error:  # the user's code may have fixed sizes, and say so in any way
            return Outcome(change, changed, error=type(error).__name__, message=str(error))
        wrong = tuple(entry.path for entry in report.entries if not entry.passed)
        arrives = any(np.any(gradients[path]) for path in self.wrong_paths)
        return Outcome(change, changed, wrong, arrives)


# --- patterns in the gradients -------------------------------------------------------------------


def shared_gradient(case: Examination) -> Finding | None:
    """Finding: two arrays have the same gradient, but different slopes."""
    for one, other in combinations(case.wrong_paths, 2):
        a = case.gradients[one]
        if np.array_equal(a, case.gradients[other]) and a.any():
            observed = [Evidence.EQUAL_GRADIENTS]
            if np.allclose(a, case.slopes[one] + case.slopes[other], rtol=1e-6):
                observed.append(Evidence.SUM_OF_SLOPES)
            return Finding(Kind.SHARED_GRADIENT, (one, other), tuple(observed))
    return None


def factor(case: Examination) -> Finding | None:
    """Finding: the direction of a gradient is right, its length is not."""
    factors: dict[str, float] = {}
    for path in case.wrong_paths:
        g, s = case.gradients[path], case.slopes[path]
        value = float(np.sum(g * s) / np.sum(s * s)) if s.any() else float("nan")
        if s.size > 1 and np.linalg.norm(g - value * s) <= 1e-6 * np.linalg.norm(s):
            factors[path] = value
    values = list(factors.values())
    if absent := tuple(path for path, value in factors.items() if value == 0):
        return Finding(Kind.NO_GRADIENT, absent, (Evidence.SLOPES_NOT_ZERO,))
    if values and np.ptp(values) <= 1e-6 * max(map(abs, values)):
        facts = {"factor": values[0], "sizes": sizes(case.point), "ratio": values[0]}
        return Finding(Kind.FACTOR, tuple(factors), (Evidence.ONE_RATIO,), facts)
    norms = [float(np.linalg.norm(case.gradients[path])) for path in factors]
    capped = sum(abs(norm - max(norms)) <= 1e-9 * max(norms) for norm in norms)
    if len(factors) < len(case.wrong_paths) or capped < 2:
        return None
    ratios = ", ".join(f"{path} {value:.4g}" for path, value in factors.items())
    facts = {"ratios": ratios, "capped": capped, "norm": max(norms)}
    observed = (Evidence.RATIOS, Evidence.EQUAL_NORMS)
    return Finding(Kind.PER_PARAMETER_CLIPPING, tuple(factors), observed, facts)


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


def experiments(case: Examination) -> Iterator[Experiment]:
    """Yield the experiments, from the one that tells most to the one that tells least."""
    point = case.point
    names = dict.fromkeys(last(path) for path, a in point.items() if a.dtype.kind == "f")
    fixed = [name for name in names if not any(last(p) == name for p in case.gradients)]

    def with_(change: Callable[[Array], Array], *changed: str) -> Point:
        return point | {p: change(a) for p, a in point.items() if last(p) in changed}

    for name in fixed:
        ones = with_(np.ones_like, name)
        yield Experiment(Change.ONES, (name,), ones, Kind.ARRAY_NOT_USED)
    upstream = tuple(name for name in fixed if name.startswith("d"))
    if upstream:
        small = with_(lambda a: a / 1000, *upstream)
        yield Experiment(Change.SMALL, upstream, small, Kind.CLIPPED)
    for name in (name for name in names if name not in {*fixed, *STATES}):
        symmetric = with_(_symmetric, name)
        yield Experiment(Change.SYMMETRIC, (name,), symmetric, Kind.TRANSPOSE)
    for name in [*fixed, *(name for name in names if name not in fixed)]:
        zero = with_(np.zeros_like, name)
        yield Experiment(Change.ZERO, (name,), zero, Kind.ARRAY_IGNORED)
    yield Experiment(Change.ONE_STEP, (), one_step(point), Kind.LOST_TIME_STEP)
    states = {path: a[..., :1, :] for path, a in point.items() if last(path) in STATES}
    single = point | states | {path: a[:, :1] for path, a in point.items() if timed(path, a)}
    yield Experiment(Change.ONE_SEQUENCE, (), single, Kind.BATCH)


def explain(case: Examination) -> Finding:
    """Return the finding of the first rule that fits, or a finding that none does."""
    if pattern := shared_gradient(case) or factor(case):
        return pattern
    wrong = tuple(case.wrong_paths)
    for experiment in experiments(case):
        unchanged = all(np.array_equal(a, case.point[path]) for path, a in experiment.point.items())
        if not unchanged and case.right_at(experiment):
            facts = {"change": experiment.change, "changed": experiment.changed}
            observed = (Evidence.WRONG_ARRAYS, Evidence.RIGHT_IF_CHANGED)
            return Finding(experiment.kind, wrong, observed, facts)
    right = [path for path in case.gradients if path not in case.wrong_paths]
    seen = [Evidence.WRONG_ARRAYS, Evidence.RIGHT_ARRAYS]
    if case.backward is None:
        seen.append(Evidence.NO_FUNCTION)
    return Finding(Kind.UNKNOWN, wrong, tuple(seen), {"right_arrays": right})
