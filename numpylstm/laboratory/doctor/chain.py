"""Which textbook the function is, and which of its lines was copied wrongly.

A chain is layers one above the other, from the ids or x up to the loss. It is found by its
numbers: it has the value of the function, at the same point. Then the given gradients are compared
with those of the chain with one line exchanged, for each of some thousand mistakes; numbers that
agree in every entry name the line. Of the code under examination, only the names and the shapes of
its arrays are used.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from numpylstm.laboratory.doctor.lines import (
    AGREE,
    DROPOUT,
    EMBEDDING,
    LINEAR,
    LOSSES,
    UNRUNNABLE,
    Backward,
    Layer,
    Plain,
    calling,
    clippings,
    layers,
    mistakes,
    named,
    same,
)
from numpylstm.laboratory.doctor.names import Array, Point, last, timed
from numpylstm.laboratory.doctor.reasoning import Examination, Finding


@dataclass(frozen=True)
class Link:
    """A layer in a chain, and the paths of its arrays.

    `arrays` has None for the value from the layer below. `upstream` has None for the gradient from
    the layer above, and for one that is zero.
    """

    layer: Layer | Plain
    arrays: tuple[str | None, ...]
    upstream: tuple[str | None, ...]

    @property
    def judged(self) -> tuple[str | None, ...]:
        """The paths of the gradients that backward returns, in their order."""
        if isinstance(self.layer, Layer):
            return self.arrays
        roles = zip(self.layer.inputs, self.arrays, strict=False)  # weights may be absent
        return tuple(path for name, path in roles if name in self.layer.results)


Chain = Sequence[Link]
Run = list[tuple[Any, list[Any]]]  # the cache and the outputs of each layer


def forward(chain: Chain, point: Mapping[str, Array]) -> tuple[Any, Run]:
    """The value of the loss: its own, and the upstream gradients times the outputs."""
    value: Any = None
    total: Any = 0.0
    run: Run = []
    for link in chain:
        given = (value if path is None else point[path] for path in link.arrays)
        *outputs, kept = link.layer.function("forward")(*given, **dict(link.layer.options))
        run.append((kept, outputs))
        value = outputs[0]
        for path, output in zip(link.upstream, outputs, strict=False):
            if path is not None:
                total = total + np.sum(point[path] * output)
    return (total + value if np.ndim(value) == 0 else total), run


def backward(
    chain: Chain, run: Run, point: Mapping[str, Array], function: Callable[[Any], Backward]
) -> Iterator[tuple[str, Array]]:
    """The gradients by path, from the loss down; `function` gives the backward pass of a layer."""
    below: Any = None
    for link, (kept, outputs) in zip(reversed(chain), reversed(run), strict=True):
        arriving = [np.zeros_like(y) if path is None else point[path]
                    for path, y in zip(link.upstream, outputs, strict=False)]  # fmt: skip
        if below is not None:
            arriving[0] = below
        results = function(link.layer)(*arriving, kept)
        results = results if isinstance(results, tuple) else (results,)
        for path, gradient in zip(link.judged, results, strict=False):  # no bn: a None at the end
            if path is None:
                below = gradient
            else:
                yield path, gradient


# --- which one -----------------------------------------------------------------------------------


def fitting(f: Callable[[Point], Any], point: Point) -> Iterator[Chain]:
    """The chains that have the value of the function at a point."""
    value, seen = float(f(point)), set()
    for chain in (*_by_names(point), *_by_shapes(point)):
        kinds = tuple(link.layer for link in chain)
        try:
            theirs, _ = forward(chain, point)
        except UNRUNNABLE:
            continue
        close = np.ndim(theirs) == 0 and abs(theirs - value) <= AGREE * max(abs(value), 1e-3)
        if close and kinds not in seen:
            seen.add(kinds)
            yield chain


def _by_names(point: Point) -> Iterator[Chain]:
    """An embedding, cells, a mask, a linear layer and a loss, as far as their arrays are there."""
    single = {last(path): path for path in point}
    tables = [path for path in point if last(path) == "W"]
    prefixes = [path.removesuffix("Wx") for path in point if last(path) == "Wx"]
    bottom: list[Link] = []
    if "ids" in single and tables:
        bottom = [Link(EMBEDDING, (single["ids"], tables.pop(0)), (None,))]
    top = [Link(LINEAR, (None, path, path.removesuffix("W") + "b"), (None,))
           for path in tables if path.removesuffix("W") + "b" in point]  # fmt: skip
    losses: list[list[Link]] = [[]]
    if "targets" in single:
        given = (None, *(single[name] for name in ("targets", "weights") if name in single))
        losses = [[Link(loss, given, ())] for loss in LOSSES]
    for layer in layers():
        if layer.step or (not prefixes and layer.cell != next(iter(layers())).cell):
            continue
        cells = [_cell(layer, prefix, point) for prefix in prefixes]
        for loss in losses:
            chain = [*bottom, *cells, *top, *loss]
            masks = range(len(chain) + 1) if "mask" in single else [None]
            for place in masks:
                whole = list(chain)
                if place is not None:
                    whole.insert(place, Link(DROPOUT, (None, single["mask"]), (None,)))
                if closed := _closed(whole, point, single):
                    yield closed


def _cell(layer: Layer, prefix: str, point: Point) -> Link:
    arrays = (None, *(prefix + name for name in layer.inputs[1:]))
    upstream = (None, *(prefix + n if prefix + n in point else None for n in layer.upstream[1:]))
    return Link(layer, arrays, upstream)


def _closed(chain: list[Link], point: Point, single: Mapping[str, str]) -> Chain | None:
    """The chain with its input below, and the gradient that arrives above; None without one."""
    if not chain:
        return None
    first, final = chain[0], chain[-1]
    if None in first.arrays:
        path = next((single[n] for n in ("x", "logits") if n in single), None)
        if path is None:
            return None
        chain[0] = replace(first, arrays=(path, *first.arrays[1:]))
    if final.upstream:
        names = ("dhs", "dy", "dx", "dlogits")
        path = next((single[n] for n in names if n in single), None)
        chain[-1] = replace(chain[-1], upstream=(path, *final.upstream[1:]))
    return chain


def _by_shapes(point: Point) -> Iterator[Chain]:
    """One cell, or one step of it, its arrays told by their names or else by their shapes."""
    numbers = {path: array.shape for path, array in point.items() if array.dtype.kind == "f"}
    named = {last(path): path for path in numbers}
    lengths = sorted({n for shape in numbers.values() for n in shape})
    for layer in layers():
        axes = 2 if layer.step else 3
        inputs = [named["x"]] if "x" in named else list(numbers)
        for x, H in product([p for p in inputs if len(numbers[p]) == axes], lengths):
            T, B, D = (1, *numbers[x])[-3:]
            choices: list[list[str | None]] = []
            for name, shape in layer.shapes({"T": T, "B": B, "D": D, "H": H}).items():
                alike = [named[name]] if name in named else list(numbers)
                fit: list[str | None] = [path for path in alike if numbers[path] == shape]
                absent = name in layer.upstream and name not in named
                choices.append([x] if name == "x" else fit + [None] * absent)
            for paths in product(*choices):
                taken = [path for path in paths if path is not None]
                n = len(layer.inputs)
                if len(set(taken)) == len(taken) and any(paths[n:]):
                    yield [Link(layer, paths[:n], paths[n:])]


# --- which line ----------------------------------------------------------------------------------

LIMITS = (0.1, 0.2, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0)
"""Usual limits of clipping; the largest entry and the norm of each gradient are tried too."""


class Claim(NamedTuple):
    """A point, the textbook's forward pass there, and the gradients that were given."""

    point: Point
    run: Run
    gradients: Mapping[str, Any]


def wrong_line(case: Examination) -> Finding | None:
    """The line whose mistake gives the gradients; None where no chain or no mistake fits."""
    norms = [n for g in case.gradients.values() for n in (np.abs(g).max(), np.linalg.norm(g))]
    limits = [*LIMITS, *map(float, norms)]
    with np.errstate(all="ignore"):
        for chain in fitting(case.f, case.point):
            claims = list(_claims(chain, case))
            parts = dict.fromkeys(link.layer for link in chain)
            for tried in (mistakes, lambda layer: clippings(layer, limits)):
                found = [variant for layer in parts for variant, functions in tried(layer)
                         if _agree(chain, claims, functions)]  # fmt: skip
                if found:
                    return named(found)
    return None


def _claims(chain: Chain, case: Examination) -> Iterator[Claim]:
    """The first step alone, where the code accepts it: it excludes most mistakes; then all."""
    first = {path: array[:1] for path, array in case.point.items() if timed(path, array)}
    if case.backward is not None and first:
        point = case.point | first
        try:
            gradients = case.backward(point)
            if all(np.shape(gradients[path]) == point[path].shape for path in case.gradients):
                yield Claim(point, forward(chain, point)[1], gradients)
        except Exception:  # the user's code may refuse in any way
            pass
    yield Claim(case.point, forward(chain, case.point)[1], case.gradients)


def _agree(chain: Chain, claims: Sequence[Claim], functions: Mapping[str, Backward]) -> bool:
    """Return True if these functions give all gradients that were given."""
    try:
        return all(
            same(gradient, claim.gradients[path])
            for claim in claims
            for path, gradient in backward(
                chain, claim.run, claim.point, lambda layer: calling(layer, functions)
            )
            if path in claims[-1].gradients
        )
    except UNRUNNABLE:
        return False
