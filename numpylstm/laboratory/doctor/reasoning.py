"""From symptoms to causes: each rule is one function, and says what it concludes from what.

The order matters: what can be read off the gradients comes first, then the experiments from the
loss down to the cell. The first rule that fits gives the finding. Where several mistakes leave the
same symptoms, the sentence names them all.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from numpylstm.laboratory.doctor.experiments import EXPERIMENTS, wrong_pieces
from numpylstm.laboratory.doctor.names import (
    Array,
    Cell,
    Piece,
    Point,
    cells,
    enumeration,
    in_words,
    last,
    pieces,
    sizes,
    symbols,
    timed,
)


@dataclass(frozen=True)
class Finding:
    """A likely cause, a word for it, and what speaks for it."""

    kind: str
    sentence: str
    evidence: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n".join([self.sentence, *(f"  - {line}" for line in self.evidence)])


@dataclass
class Examination:
    """All that is known of one examination. Experiments are made when a rule first asks."""

    f: Callable[[Point], Any]
    backward: Callable[[Point], Mapping[str, Array]] | None
    point: Point
    gates: str
    gradients: Mapping[str, Array]
    slopes: Mapping[str, Array]
    wrong_paths: list[str]
    generator: np.random.Generator
    outcomes: dict[str, list[Piece] | str] = field(default_factory=dict)
    """Of each experiment: the pieces that were wrong, or why it could not be made."""

    @property
    def pieces(self) -> list[Piece]:
        """All that is judged."""
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

    @property
    def cells(self) -> list[Cell]:
        """The recurrent layers."""
        return cells(self.point, self.gates)

    def wrong_in(self, name: str) -> list[Piece] | None:
        """What is wrong in an experiment; None where it cannot be made."""
        if name not in self.outcomes:
            self.outcomes[name] = self._experiment(name)
        outcome = self.outcomes[name]
        return None if isinstance(outcome, str) else outcome

    def _experiment(self, name: str) -> list[Piece] | str:
        if self.backward is None:
            return "backward was not given as a function"
        try:
            changed = EXPERIMENTS[name].change(self.point, self.gates)
            if changed is None:
                return "the arrays that it would change have other names, or are absent"
            gradients = self.backward(changed)
            judged = pieces(self.gradients, changed, self.gates)
            return wrong_pieces(self.f, gradients, changed, judged, self.generator)
        except Exception as error:  # the user's code may have fixed sizes, and say so in any way
            said = f": {error}" if str(error) else ""
            return f"the code refused the changed arrays ({type(error).__name__}{said})"

    def right(self, name: str) -> bool:
        """The experiment was made, and the gradient was right."""
        return self.wrong_in(name) == []

    def evidence(self, *names: str) -> tuple[str, ...]:
        """What experiments showed, in words."""
        lines = []
        for name in names:
            wrong, words = self.wrong_in(name), EXPERIMENTS[name].words
            if wrong is not None:
                judged = in_words(wrong, self.pieces) if wrong else ""
                lines.append(f"{words}: {f'wrong in {judged}' if wrong else 'right'}")
        return tuple(lines)


Rule = Callable[[Examination], Finding | None]


def right_with(experiment: str, kind: str, sentence: str, *shown: str) -> Rule:
    """A rule: a gradient that is right in this experiment has this mistake."""

    def rule(case: Examination) -> Finding | None:
        return Finding(kind, sentence, case.evidence(*shown)) if case.right(experiment) else None

    return rule


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
        name = named_factor(values[0], sizes(case.point, case.gates))
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


loss_weights = right_with(
    "weights one",
    "loss weights",
    "dlogits, the gradient of the loss, does not use the weights as the loss does: each token's "
    "gradient must be scaled by its weight.",
    "weights one",
)

mask = right_with(
    "mask one",
    "mask",
    "The backward pass does not apply the mask of the forward pass: dx must be dy * mask.",
    "mask one",
)


def repeated_ids(case: Examination) -> Finding | None:
    """One table is wrong, and only where a row is used twice."""
    if len(case.wrong_paths) == 1 and case.right("ids distinct") and case.wrong_in("ids equal"):
        return Finding(
            "repeated ids",
            f"{case.wrong_paths[0]}: where an id occurs more than once, its gradients in dW are "
            "overwritten and not added (numpy.add.at adds them).",
            case.evidence("ids distinct", "ids equal"),
        )
    return None


def bias_sum(case: Examination) -> Finding | None:
    """Only biases are wrong."""
    if any(last(path) not in ("b", "bn") for path in case.wrong_paths):
        return None
    for name, axis in (("one step", "time"), ("one sequence", "the batch")):
        if case.right(name):
            return Finding(
                "bias sum",
                f"{enumeration(case.wrong_paths)}: db, the gradient of the bias, is not summed "
                f"over {axis}.",
                (f"every other gradient is right; {case.evidence(name)[0]}",),
            )
    return None


transpose = right_with(
    "Wh symmetric",
    "transpose",
    "Wh is not transposed on the way back: dh_prev must be da @ Wh.T.",
    "Wh symmetric", "one step",
)  # fmt: skip


def input_gradient(case: Examination) -> Finding | None:
    """A cell's own gradients are right, and what is below it is not."""
    if not case.right("one step"):
        return None
    for path in case.wrong_paths:
        if last(path) == "x" and timed(path, case.point[path]):
            steps = [np.any(step) for step in case.gradients[path]]
            if sum(steps) < len(steps) / 2:  # it is not built, rather than built of too little
                return None
    for cell in reversed(case.cells):
        own = {cell.path(name) for name in ("Wx", "Wh", "b")}
        if own <= case.gradients.keys() and not own & set(case.wrong_paths):
            return Finding(
                "input gradient",
                f"dx of {cell.prefix.rstrip('.') or 'the layer'} leaves out what comes back from "
                "later steps: it must be taken from the whole da, as dWx is.",
                (
                    f"its own Wx, Wh and b are right, but {in_words(case.wrong, case.pieces)} not",
                    *case.evidence("one step"),
                ),
            )
    return None


clipped = right_with(  # the backward pass is not linear in what arrives
    "small upstream",
    "clipped",
    "Something is clipped inside the backward pass, or at its end entry by entry, and the doctor "
    "cannot tell whether dh, dc, a sum or what is returned: clip the finished gradients by their "
    "norm together, and not what travels back.",
    "small upstream",
)


def next_window(case: Examination) -> Finding | None:
    """Right as soon as the next window asks for nothing of h, or of c."""
    for name in ("dhT", "dcT"):
        if case.right(f"{name} zero"):
            return Finding(
                name,
                f"{name} is ignored or miscounted: at the last step, {name[:2]} begins with it.",
                case.evidence(f"{name} zero", "one step"),
            )
    return None


def lost_path(case: Examination) -> Finding | None:
    """Right where one of the two ways back in time carries nothing."""
    if not case.right("one step"):
        return None
    if case.right("no path through c"):
        seen = case.evidence("no path through c", "no path through h", "one step", "one step, dcT")
        at_last = case.wrong_in("one step, dcT")
        if at_last:
            return Finding(
                "dc overwritten",
                "dc is overwritten or miscounted in each step: what arrives along the carousel "
                "must be added to dh * o * (1 - tanh_c**2).",
                seen,
            )
        also = (
            ""
            if at_last == []
            else " (or overwritten inside the step: with a dcT that is not zero the two differ)"
        )
        return Finding(
            "dc_next",
            "dc does not travel to the step before as it must: dc_next is dropped or miscounted"
            f"{also}.",
            seen,
        )
    if case.right("no path through h"):
        return Finding(
            "dh_next",
            "dh does not travel to the step before as it must: dh_next is dropped or miscounted, "
            "or not added to what the layer above sends.",
            case.evidence("no path through h", "Wh symmetric", "one step"),
        )
    return None


def between_steps(case: Examination) -> Finding | None:
    """Right with one step; no single path explains it."""
    if not case.right("one step"):
        return None
    return Finding(
        "lost time step",
        "Something between the time steps is lost or counted wrongly, and the doctor cannot tell "
        "what: within one step all is right.",
        (f"wrong in {in_words(case.wrong, case.pieces)}", *case.evidence("one step")),
    )


def reset(case: Examination) -> Finding | None:
    """Right where the reset gates are open, and wrong in what the candidate takes from the past."""
    wrong = case.wrong_in("one step")
    for cell in reversed(case.cells):
        if not wrong or "r" not in cell.gates or not case.right("reset open"):
            continue
        seen = [(path, gate) for path in ("Wx", "Wh") for gate in cell.gates
                if any((p.path, p.part) == (cell.path(path), gate) for p in wrong)]  # fmt: skip
        if {("Wx", "r"), ("Wh", "n")} <= set(seen) and ("Wx", "n") not in seen:
            return Finding(
                "reset",
                "dr, and what is below it: the reset gate scales the past before its product with "
                "Wh in one pass, and after it in the other.",
                (
                    *case.evidence("reset open", "one step"),
                    f"in {cell.prefix.rstrip('.') or 'the cell'}, what the candidate takes from x "
                    "is right and what it takes from the past is not",
                ),
            )
    return None


def gate(case: Examination) -> Finding | None:
    """Within one step, some gates are right and others are not."""
    wrong = case.wrong_in("one step")
    wrong = case.wrong if wrong is None else wrong
    for cell in reversed(case.cells):
        own = [p for p in wrong if p.path in map(cell.path, ("Wx", "Wh", "b"))]
        bad = [g for g in cell.gates if any(p.part == g for p in own)]
        if not bad or len(bad) == len(cell.gates):
            continue
        name = cell.prefix.rstrip(".") or "the cell"
        good = [g for g in cell.gates if g not in bad]
        evidence = (
            f"in {name}, wrong: {in_words(own, case.pieces)}",
            f"in the same arrays, right: {enumeration(good)}",
        )
        if bad == ["f"] and any(p.part == "f" for p in case.wrong_in("one step, c0 = 0") or []):
            return Finding(
                "forget gate: c",
                "The forget gate's derivative uses the wrong c: df must be dc * c_prev.",
                (*evidence, "with c0 zero its slope is zero in the first step, its gradient not"),
            )
        return Finding(
            "gate " + "".join(bad),
            f"{enumeration(f'da_{g}' for g in bad)}: the gradient of "
            f"{'gate' if len(bad) == 1 else 'gates'} {enumeration(bad)} is wrong inside one step: "
            "look at its nonlinearity's derivative and at what multiplies it.",
            evidence,
        )
    return None


def previous_state(case: Examination) -> Finding | None:
    """Only Wh is wrong, and not even zero where h_prev is."""
    if any(last(path) != "Wh" for path in case.wrong_paths):
        return None
    still = case.wrong_in("one step, h0 = 0")
    if still:
        return Finding(
            "dWh",
            "dWh is built from h where it must be h_prev: dWh = h_prev.T @ da.",
            (
                "every gradient but that of Wh is right",
                "with one time step and h0 zero the slope of Wh is zero, its gradient not",
            ),
        )
    return None


missing_tanh = right_with(  # where cells are small, tanh(c) is c
    "small cells",
    "tanh of c",
    "do and dc: the backward pass treats h as o * c, and tanh(c), or its derivative 1 - tanh_c**2, "
    "is missing.",
    "one step", "small cells",
)  # fmt: skip


def batch(case: Examination) -> Finding | None:
    """Right for one sequence."""
    if case.right("one sequence"):
        return Finding(
            "batch",
            f"{symbols(case.wrong_paths)}: something is wrong between the sequences of a batch, a "
            "mean for a sum, or an axis.",
            case.evidence("one sequence"),
        )
    return None


RULES: tuple[Rule, ...] = (
    shared_gradient, factor, loss_weights, mask, repeated_ids, bias_sum, clipped, transpose,
    next_window, input_gradient, lost_path, between_steps, previous_state, reset, gate,
    missing_tanh, batch,
)  # fmt: skip


def explain(case: Examination) -> Finding:
    """The first rule that fits; or an honest word that none does."""
    for rule in RULES:
        finding = rule(case)
        if finding is not None:
            return finding
    right = [path for path in case.gradients if path not in case.wrong_paths]
    advice = (
        ("pass the backward pass as a function of the arrays, and the doctor can experiment",)
        if case.backward is None
        else ()
    )
    return Finding(
        "unknown",
        "The gradient is wrong, and the doctor cannot tell why.",
        (
            f"wrong in {in_words(case.wrong, case.pieces) or enumeration(case.wrong_paths)}",
            f"right in {enumeration(right) if right else 'none'}",
            *case.evidence(*case.outcomes),
            *advice,
        ),
    )
