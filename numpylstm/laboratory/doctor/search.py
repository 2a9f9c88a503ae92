"""Which line is wrong: the given gradients beside those of some thousand mistakes.

If the function has the value of a chain of the textbook's layers
(`numpylstm.laboratory.doctor.chain`), its wrong gradient is compared with the gradients of the
textbook's backward pass with one line exchanged, at the same point. Numbers that agree in every
entry name the line. The code under examination is not read.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from numpylstm.laboratory.doctor.chain import Chain, Run, backward, fitting, forward
from numpylstm.laboratory.doctor.lines import (
    UNRUNNABLE,
    Backward,
    Layer,
    Plain,
    calling,
    mistakes,
    named,
    same,
    step_of,
    text,
)
from numpylstm.laboratory.doctor.names import Point
from numpylstm.laboratory.doctor.reasoning import Examination, Finding
from numpylstm.laboratory.doctor.source import Line
from numpylstm.laboratory.doctor.variants import Variant, clipped

LIMITS = (0.1, 0.2, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0)
"""Usual limits of clipping; the largest entry and the norm of each gradient are tried too."""
OVER_TIME = {"x", "ids", "mask", "logits", "targets", "weights"}
"""Inputs of layers with a time axis; the first gradient that arrives has one too."""


class Claim(NamedTuple):
    """A point, the textbook's forward pass there, and the gradients that were given."""

    point: Point
    run: Run
    gradients: Mapping[str, Any]


def wrong_line(case: Examination) -> Finding | None:
    """The line whose mistake gives the gradients; None where no chain or no mistake fits."""
    with np.errstate(all="ignore"):
        for chain in fitting(case.f, case.point):
            claims = list(_claims(chain, case))
            found = []
            for layer in dict.fromkeys(link.layer for link in chain):
                suspects = _suspects(chain, layer, claims[0]) if len(claims) > 1 else None
                for variant, functions in mistakes(layer, suspects):
                    if _agree(chain, claims, functions):
                        found.append(variant)
            found = found or list(_clipping(chain, claims))
            if found:
                return named(found)
    return None


def _claims(chain: Chain, case: Examination) -> Iterator[Claim]:
    """The first step alone, where the code accepts it: it excludes most mistakes; then all."""
    if case.backward is not None and any(step_of(link.layer) for link in chain):
        paths = {
            path
            for link in chain
            for name, path in zip(link.layer.inputs, link.arrays)
            if name in OVER_TIME
        } | {chain[-1].upstream[0] if chain[-1].upstream else None}
        point = case.point | {path: case.point[path][:1] for path in paths - {None}}
        try:
            gradients = case.backward(point)
            if all(np.shape(gradients[path]) == point[path].shape for path in case.gradients):
                yield Claim(point, forward(chain, point)[1], gradients)
        except Exception:  # the user's code may refuse in any way
            pass
    yield Claim(case.point, forward(chain, case.point)[1], case.gradients)


def _gradients(
    chain: Chain, claim: Claim, functions: Mapping[str, Backward]
) -> Iterator[tuple[str, Any]]:
    return backward(chain, claim.run, claim.point, lambda layer: calling(layer, functions))


def _agree(chain: Chain, claims: Sequence[Claim], functions: Mapping[str, Backward]) -> bool:
    """Return True if these functions give all gradients that were given."""
    try:
        return all(
            same(gradient, claim.gradients[path])
            for claim in claims
            for path, gradient in _gradients(chain, claim, functions)
            if path in claims[-1].gradients
        )
    except UNRUNNABLE:
        return False


@cache
def _spoilt(layer: Layer) -> dict[Line, Backward]:
    """The step with each of its lines multiplied by 3."""
    return {line: text(layer).exchanged((line, f"{line.target} = 3 * np.array({line.expression})"))
            for line in text(layer).lines}  # fmt: skip


def _suspects(chain: Chain, layer: Layer | Plain, claim: Claim) -> list[Line] | None:
    """The lines of a step that can spoil what is wrong, and no other array of what was given."""
    step = step_of(layer)
    if step is None:
        return None
    right = dict(_gradients(chain, claim, {}))
    name = step.function("backward").__name__

    def different(gradients: Mapping[str, Any]) -> set[tuple[str, int]]:
        """Paths and blocks of columns."""
        n = max(len(layer.gates), 1)
        return {
            (path, k)
            for path in claim.gradients.keys() & right.keys()
            for k, (one, other) in enumerate(
                zip(_blocks(gradients[path], n), _blocks(right[path], n), strict=True)
            )
            if not same(one, other)
        }

    wrong = different(claim.gradients)
    found = []
    for line, function in _spoilt(step).items():
        reached = different(dict(_gradients(chain, claim, {name: function})))
        if wrong <= reached and {path for path, _ in wrong} == {path for path, _ in reached}:
            found.append(line)
    return found


def _blocks(array: Any, n: int) -> Sequence[Any]:
    columns = np.shape(array)[-1]
    return np.split(array, n, -1) if columns % n == 0 else [array]


def _clipping(chain: Chain, claims: Sequence[Claim]) -> Iterator[Variant]:
    """Mistakes that depend on a number: the limits at which something is clipped."""
    given = [np.asarray(gradient) for gradient in claims[-1].gradients.values()]
    limits = [*LIMITS, *(float(np.abs(g).max()) for g in given),
              *(float(np.linalg.norm(g)) for g in given)]  # fmt: skip
    for layer in dict.fromkeys(link.layer for link in chain):
        step = step_of(layer)
        if step is None:
            continue
        name = step.function("backward").__name__
        for line in text(step).lines:
            for variant in clipped(text(step), line):
                for limit in limits:
                    text(step).known["limit"] = limit
                    if _agree(chain, claims, {name: variant.function}):
                        yield variant
                        break
