"""The general rule, for code that is no chain of the textbook's layers: what the numbers tell.

First what can be read off the gradients: one array for two, a factor, the columns of one gate.
Then the first experiment in which the gradient is right gives the finding. Where several mistakes
leave the same symptoms, the sentence names them all.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from numpylstm.laboratory.doctor.experiments import (
    COARSE,
    EXPERIMENTS,
    of_gates,
    one_step,
    wrong_pieces,
)
from numpylstm.laboratory.doctor.names import (
    Array,
    Piece,
    Point,
    cells,
    enumeration,
    in_words,
    pieces,
    sizes,
    symbols,
)


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
    """Everything that is known in one examination."""

    f: Callable[[Point], Any]
    backward: Callable[[Point], Mapping[str, Array]] | None
    point: Point
    gates: str | None
    gradients: Mapping[str, Array]
    slopes: Mapping[str, Array]
    wrong_paths: list[str]
    generator: np.random.Generator
    outcomes: list[str] = field(default_factory=list)
    """What became of each experiment, in words."""

    @property
    def pieces(self) -> list[Piece]:
        """Everything that is judged."""
        return pieces(self.gradients, self.point, self.gates)

    @property
    def wrong(self) -> list[Piece]:
        """What is wrong at the point itself, by the slopes along every entry."""
        found = []
        for piece in self.pieces:
            if piece.path in self.wrong_paths:
                slope, gradient = self.slopes[piece.path], np.asarray(self.gradients[piece.path])
                error = np.abs(gradient - slope)[piece.where].max()
                if not error <= 1e-6 * max(np.abs(slope).max(), np.abs(gradient).max()):
                    found.append(piece)
        return found

    def wrong_in(self, words: str, change: Callable[[Point], Point | None]) -> list[Piece] | None:
        """What is wrong in an experiment; None where it cannot be made."""
        wrong, outcome = None, "not made, the arrays that it would change are absent"
        if self.backward is None:
            outcome = "not made, backward was not given as a function"
        elif (changed := change(self.point)) is not None:
            try:
                gradients = self.backward(changed)
                judged = pieces(self.gradients, changed, self.gates)
                wrong = wrong_pieces(self.f, gradients, changed, judged, self.generator)
            except (
                Exception
            ) as error:  # the user's code may have fixed sizes, and say so in any way
                said = f": {error}" if str(error) else ""
                name = type(error).__name__
                outcome = f"not made, the code refused the changed arrays ({name}{said})"
            else:
                outcome = f"wrong in {in_words(wrong, self.pieces)}" if wrong else "right"
        self.outcomes.append(f"{words}: {outcome}")
        return wrong


def shared_gradient(case: Examination) -> Finding | None:
    """Two arrays receive the same numbers though their slopes differ."""
    for k, one in enumerate(case.wrong_paths):
        a = np.asarray(case.gradients[one])
        for other in case.wrong_paths[k + 1 :]:
            if np.array_equal(a, case.gradients[other]) and a.any():
                summed = np.allclose(a, case.slopes[one] + case.slopes[other], rtol=1e-6)
                return Finding(
                    "shared gradient",
                    f"{one} and {other} share one gradient array, {symbols([one])}: each must have "
                    "its own.",
                    (
                        "the two gradients are equal in every number, the two slopes are not",
                        *(["each is the sum of the two slopes"] if summed else []),
                    ),
                )
    return None


def constant_factors(case: Examination) -> dict[str, float]:
    """Gradient / slope of the wrong arrays in which it is one number."""
    factors = {}
    for path in case.wrong_paths:
        g, s = np.asarray(case.gradients[path]), case.slopes[path]
        square = float(np.sum(s * s))
        factor = float(np.sum(g * s)) / square if square else float("nan")
        if s.size > 1 and np.linalg.norm(g - factor * s) <= 1e-6 * np.linalg.norm(s):
            factors[path] = factor
    return factors


def named_factor(factor: float, known: Mapping[str, int]) -> str:
    """``2``, or ``0.2 = 1/T`` where a size or a product of sizes explains the number."""
    names = {"-1 (the sign)": -1.0, "2 (counted twice)": 2.0, "1/2": 0.5}
    products = {**known, "T B": known.get("T", 0) * known.get("B", 0)}
    for name, size in products.items():
        if size > 1:
            bracketed = f"({name})" if " " in name else name
            names |= {f"{size} = {name}": size, f"1/{size} = 1/{bracketed}": 1 / size}
    for name, value in names.items():
        if abs(factor - value) <= 1e-6 * abs(value):
            return name
    return f"{factor:.6g}"


def factor(case: Examination) -> Finding | None:
    """The direction is right and the length is not."""
    factors = constant_factors(case)
    if not factors:
        return None
    absent = [path for path, value in factors.items() if value == 0]
    if absent:
        return Finding(
            "no gradient",
            f"{enumeration(absent)}: no gradient arrives, {symbols(absent)} is zero everywhere.",
            ("the slopes are not zero",),
        )
    values = list(factors.values())
    if np.ptp(values) <= 1e-6 * max(map(abs, values)):
        name = named_factor(values[0], sizes(case.point))
        everything = len(factors) == len(case.gradients)
        where = "every gradient" if everything else f"the gradient of {enumeration(factors)}"
        mixed = [path for path in case.wrong_paths if path not in factors]
        return Finding(
            "factor",
            f"A factor: {where}, {symbols(factors)}, is the slope times {name}. The loss and its "
            "gradient disagree on a mean or a sum, or a sign, or something is added twice.",
            (
                f"gradient / slope is {values[0]:.6g} in every entry",
                *(
                    [f"{len(mixed)} other arrays are wrong too, but not by one factor: something "
                     "else arrives there as well"]
                    if mixed else []
                ),
            ),
        )  # fmt: skip
    if len(factors) < len(case.wrong_paths):
        return None
    norms = {path: float(np.linalg.norm(case.gradients[path])) for path in factors}
    highest = max(norms.values())
    capped = [path for path, norm in norms.items() if abs(norm - highest) <= 1e-9 * highest]
    evidence = [f"gradient / slope: {', '.join(f'{p} {v:.4g}' for p, v in factors.items())}"]
    if len(capped) > 1:
        evidence.append(
            f"{len(capped)} arrays have exactly the same norm, {highest:.6g}, and none a larger one"
        )
        return Finding(
            "per-parameter clipping",
            f"{symbols(factors)}: each is clipped by its own norm, and the direction of the step "
            "changes. Clip by the norm of all arrays together.",
            tuple(evidence),
        )
    return Finding(
        "factor of its own",
        f"{symbols(factors)}: each is right but for a factor of its own: clipped, averaged or "
        "scaled one by one.",
        tuple(evidence),
    )


def gate(case: Examination) -> Finding | None:
    """Within one step, the same gates are wrong in Wx, Wh and b, and others are right."""
    wrong = case.wrong_in("with one time step and nothing from the next window", one_step)
    wrong = case.wrong if wrong is None else wrong
    for cell in reversed(cells(case.point, case.gates)):
        parts = [{p.part for p in wrong if p.path == cell.path(name)} for name in ("Wx", "Wh", "b")
                 if cell.path(name) in case.gradients]  # fmt: skip
        bad = [g for g in cell.gates if any(g in part for part in parts)]
        if not bad or len(bad) == len(cell.gates) or any(p and p != set(bad) for p in parts):
            continue
        own = [p for p in wrong if p.path in map(cell.path, ("Wx", "Wh", "b"))]
        return Finding(
            "gate " + "".join(bad),
            f"{enumeration(f'da_{g}' for g in bad)}: the gradient of "
            f"{'gate' if len(bad) == 1 else 'gates'} {enumeration(bad)} is wrong inside one step: "
            "look at the derivative of the nonlinearity and at its factors.",
            (
                f"in {cell.prefix.rstrip('.') or 'the cell'}, wrong: {in_words(own, case.pieces)}",
                f"in the same arrays, right: {enumeration(g for g in cell.gates if g not in bad)}",
            ),
        )
    return None


def experiment(case: Examination) -> Finding | None:
    """The first experiment in which the gradient is right."""
    for made in (*EXPERIMENTS, *of_gates(case.point, case.gates), *COARSE):
        if case.wrong_in(made.words, made.change) == []:
            wrong = in_words(case.wrong, case.pieces) or enumeration(case.wrong_paths)
            sentence = made.sentence.format(arrays=symbols(case.wrong_paths))
            return Finding(made.kind, sentence, (f"wrong in {wrong}", f"{made.words}: right"))
    return None


def explain(case: Examination) -> Finding:
    """The first rule that fits; or the plain word that none does."""
    for rule in (shared_gradient, factor, gate, experiment):
        finding = rule(case)
        if finding is not None:
            return finding
    right = [path for path in case.gradients if path not in case.wrong_paths]
    advice = "pass the backward pass as a function of the arrays, and the doctor can experiment"
    return Finding(
        "unknown",
        "The gradient is wrong, and the doctor cannot tell why.",
        (
            f"wrong in {in_words(case.wrong, case.pieces) or enumeration(case.wrong_paths)}",
            f"right in {enumeration(right) if right else 'none'}",
            *(outcome for outcome in case.outcomes if "not made" not in outcome),
            *([advice] if case.backward is None else []),
        ),
    )
