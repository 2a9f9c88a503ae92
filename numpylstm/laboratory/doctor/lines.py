"""Which line is wrong: what each of some thousand mistakes would give, beside what was given.

The code under examination is not read. If its function has the value of one of the textbook's
layers, then its wrong gradient is looked for among those of the textbook's backward pass with one
line exchanged (`numpylstm.laboratory.doctor.variants`), at the same point. Numbers that agree in
every entry name the line. It is the one module of the doctor that uses the textbook.
"""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from types import FunctionType
from typing import Any

import numpy as np

from numpylstm import reference
from numpylstm.cells import CELLS
from numpylstm.laboratory.doctor.names import Array, Point, enumeration, last
from numpylstm.laboratory.doctor.reasoning import Examination, Finding
from numpylstm.laboratory.doctor.source import SIZES, Line, Text, mentions, read
from numpylstm.laboratory.doctor.variants import HELPERS, Variant, clipped, variants

AGREE = 1e-9
LIMITS = (0.1, 0.2, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0)
"""At which people clip; the largest entry and the norm of each gradient are tried too."""
UNRUNNABLE = (ArithmeticError, AttributeError, LookupError, NameError, TypeError, ValueError)
MOST_LINES = 3
"""Where the same numbers come of more lines than these, the point cannot tell which it is."""


@dataclass(frozen=True)
class Layer:
    """A forward and a backward function of the textbook, for one step or for a sequence."""

    cell: str
    step: bool
    options: tuple[tuple[str, Any], ...]

    def function(self, way: str) -> Any:
        """``lstm_forward``, or ``lstm_step_forward``."""
        return CELLS[self.cell].function(reference, f"step_{way}" if self.step else way)

    @property
    def gates(self) -> tuple[str, ...]:
        """The blocks of columns, where there are several."""
        blocks = CELLS[self.cell].blocks
        return blocks if len(blocks) > 1 else ()

    @property
    def inputs(self) -> list[str]:
        """The arrays that forward takes; backward returns their gradients in this order."""
        parameters = inspect.signature(self.function("forward")).parameters
        settings = CELLS[self.cell].options
        unused = CELLS[self.cell].vectors.keys() - set(self.parameters)
        return [name for name in parameters if name not in settings and name not in unused]

    @property
    def parameters(self) -> tuple[str, ...]:
        """The weights and biases."""
        return CELLS[self.cell].parameters(dict(self.options))

    @property
    def upstream(self) -> list[str]:
        """The gradients that backward takes, in the order of what forward returns."""
        return list(inspect.signature(self.function("backward")).parameters)[:-1]

    def shapes(self, sizes: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
        """Of inputs and upstream gradients."""
        T, B, D, H = (sizes[letter] for letter in "TBDH")
        known: dict[str, tuple[int, ...]] = {"x": (B, D) if self.step else (T, B, D)}
        known |= {"dhs": (T, B, H)} | CELLS[self.cell].shapes(D, H, dict(self.options))
        return {name: known.get(name, (B, H)) for name in (*self.inputs, *self.upstream)}

    def run(self, given: Mapping[str, Array]) -> tuple[float, list[Any]]:
        """The value of the linear loss, and what backward takes."""
        arrays = [given[name] for name in self.inputs]
        *outputs, kept = self.function("forward")(*arrays, **dict(self.options))
        upstream = [given[name] for name in self.upstream]
        value = sum(np.sum(d * y) for d, y in zip(upstream, outputs, strict=True))
        return float(value), [*upstream, kept]


def layers() -> Iterator[Layer]:
    """Every cell with every choice of its options, for a sequence and for a step."""
    for cell in CELLS.values():
        choices = {
            name: cell.options[name].choices or (cell.options[name].default,)
            for name in cell.arguments(dict.fromkeys(cell.options))
        }
        for values in product(*choices.values()):
            for step in (False, True):
                yield Layer(cell.name, step, tuple(zip(choices, values, strict=True)))


Mistake = tuple[Variant, Callable[..., Any]]  # and the layer's backward pass that makes it
Pieces = frozenset[tuple[int, int]]  # number of a result of backward, and of its block of columns


@cache
def text(layer: Layer) -> Text:
    """The backward pass of a layer, as lines."""
    rng = np.random.default_rng(0)
    sample = {name: rng.standard_normal(shape) for name, shape in layer.shapes(SIZES).items()}
    _, arguments = layer.run(sample)
    results = [f"d{name}" for name in layer.inputs]
    options = {name: value for name, value in layer.options if isinstance(value, str)}
    backward = layer.function("backward")
    return read(backward, arguments, layer.gates, results, options, helpers=HELPERS)


@cache
def reach(layer: Layer) -> dict[Line, Pieces]:
    """For each line of a step: which pieces of its results a mistake there can spoil."""
    rng = np.random.default_rng(1)
    sample = {name: rng.standard_normal(shape) for name, shape in layer.shapes(SIZES).items()}
    _, arguments = layer.run(sample)
    right = layer.function("backward")(*arguments)
    reached = {}
    for line in text(layer).lines:
        spoilt = text(layer).exchanged(line, f"{line.target} = 3 * np.array({line.expression})")
        reached[line] = _different(layer, spoilt(*arguments), right)
    return reached


def _different(layer: Layer, results: Sequence[Any], right: Sequence[Array]) -> Pieces:
    """The pieces in which results differ; Wx, Wh and b have a piece for each gate."""
    pieces = set()
    for k, (name, one, other) in enumerate(zip(layer.inputs, results, right, strict=False)):
        if one is not None:
            n = len(layer.gates) if layer.gates and name in ("Wx", "Wh", "b") else 1
            for j, (a, b) in enumerate(
                zip(np.split(one, n, -1), np.split(other, n, -1), strict=True)
            ):
                if not np.abs(a - b).max() <= AGREE * max(float(np.abs(b).max()), 1e-6):
                    pieces.add((k, j))
    return frozenset(pieces)


def _suspects(layer: Layer, wrong: Pieces | None, given: set[int]) -> list[Line]:
    """The lines of a step that can spoil these pieces, and no others of what was given."""
    if wrong is None:
        return text(layer).lines
    return [
        line for line, reached in reach(layer).items()
        if wrong <= reached and {k for k, _ in wrong} == {k for k, _ in reached} & given
    ]  # fmt: skip


def mistakes(layer: Layer, wrong: Pieces | None, given: set[int]) -> Iterator[Mistake]:
    """Mistakes of one line: those of a step that can spoil these pieces, and all of the loop."""
    step = Layer(layer.cell, True, layer.options)
    for line in _suspects(step, wrong, given):
        for variant in variants(text(step), line):
            yield variant, _in_place(layer, variant)
    if not layer.step:
        for line in text(layer).lines:
            for variant in variants(text(layer), line):
                yield variant, variant.function
        yield from _shifted(layer)


def _in_place(layer: Layer, of_step: Variant) -> Callable[..., Any]:
    """The backward pass of a layer whose step has the mistake."""
    if layer.step:
        return of_step.function
    own = layer.function("backward")
    name = Layer(layer.cell, True, layer.options).function("backward").__name__
    return FunctionType(own.__code__, own.__globals__ | {name: of_step.function})


def _shifted(layer: Layer) -> Iterator[Mistake]:
    """A line of the step reads the array of another step: h_prev[0] is not h0 but hs[-1], say."""
    own, lines = layer.function("backward"), text(Layer(layer.cell, True, layer.options)).lines
    ways: dict[str, Callable[[Array, Array], Array]] = {
        "that of the step before": lambda a, _: np.roll(a, 1, axis=0),
        "that of the step after": lambda a, _: np.roll(a, -1, axis=0),
        "that of the first step, at every step": lambda a, _: np.broadcast_to(a[:1], a.shape),
        "zero at the first step": lambda a, _: np.r_[0 * a[:1], a[1:]],
        "taken at the first step from the last": lambda a, after: np.r_[after[-1:], a[1:]],
    }
    readers = {
        field: [line for line in lines if mentions(line.expression, field)]
        for field, shape in text(layer).fields.items()
        if len(shape) == 3
    }
    alone = [(field,) for field in readers if len(readers[field]) == 1]
    before = tuple(field for field in readers if field.endswith("_prev"))
    for fields in dict.fromkeys([*alone, before]):
        for words, way in ways.items():

            def spoilt(*given: Any, fields: Any = fields, way: Any = way) -> Any:
                *upstream, kept = given
                moved = {f: way(getattr(kept, f), getattr(kept, f.removesuffix("_prev")))
                         for f in fields}  # fmt: skip
                return own(*upstream, kept._replace(**moved))

            first, *_ = readers[fields[0]]
            verb = "is" if len(fields) == 1 else "are"
            yield Variant(first, f"{enumeration(fields)} {verb} {words}", spoilt), spoilt


# --- which layer the function is -----------------------------------------------------------------


def _fitting(case: Examination) -> Iterator[tuple[Layer, dict[str, str | None]]]:
    """The layers whose linear loss has the value of f, and the path of each of their arrays."""
    value = float(case.f(case.point))
    for layer in layers():
        for roles in _roles(layer, case.point):
            theirs, _ = layer.run(_given(layer, roles, case.point))
            if abs(theirs - value) <= AGREE * max(abs(value), 1e-3):
                yield layer, roles
                break


def _roles(layer: Layer, point: Point) -> Iterator[dict[str, str | None]]:
    """Ways to read the arrays of a point as those of a layer: by their names, else by shapes."""
    named = {last(path): path for path in point if point[path].dtype.kind == "f"}
    numbers = {path: a.shape for path, a in point.items() if a.dtype.kind == "f"}
    axes = 2 if layer.step else 3
    inputs = [named["x"]] if "x" in named else [p for p, s in numbers.items() if len(s) == axes]
    squares = [named["Wh"]] if "Wh" in named else [p for p, s in numbers.items() if len(s) == 2]
    for x, Wh in product(inputs, squares):
        if numbers[x][:1] == () or len(numbers[x]) != axes:
            continue
        *T, B, D = numbers[x]
        sizes = {"T": T[0] if T else 0, "B": B, "D": D, "H": numbers[Wh][0]}
        choices: dict[str, list[str | None]] = {}
        for name, shape in layer.shapes(sizes).items():
            if name in named:
                alike: list[str | None] = [named[name]]
            else:
                alike = [path for path, other in numbers.items() if other == shape]
                alike += [None] if name in layer.upstream else []
            choices[name] = [p for p in alike if p is None or numbers[p] == shape]
        for paths in product(*choices.values()):
            taken = [path for path in paths if path is not None]
            if len(set(taken)) == len(taken):
                yield dict(zip(choices, paths, strict=True))


def _given(layer: Layer, roles: Mapping[str, str | None], point: Point) -> Point:
    """The arrays of the layer at a point; an upstream gradient that is not there is zero."""
    like = {name: point[path] for name, path in roles.items() if path is not None}
    T = len(like["x"])
    B, H = like["x"].shape[-2], like["Wh"].shape[0]
    zeros = {name: np.zeros((T, B, H) if name == "dhs" else (B, H)) for name in layer.upstream}
    return zeros | like


# --- the search ----------------------------------------------------------------------------------


def wrong_line(case: Examination) -> Finding | None:
    """The line whose mistake gives the numbers that were given; None where no layer fits."""
    for layer, roles in _fitting(case):
        points = [(case.point, case.gradients)]
        if not layer.step and case.backward is not None:
            points.insert(0, _one_step(case, roles))  # most mistakes are excluded in one step
        claims = [
            (layer.run(_given(layer, roles, point))[1],
             [gradients.get(roles[name] or "") for name in layer.inputs])
            for point, gradients in points
        ]  # fmt: skip
        arguments, claimed = claims[0]
        given = {k for k, claim in enumerate(claimed) if claim is not None}
        wrong = None
        if layer.step or len(claims) > 1:
            right = layer.function("backward")(*arguments)
            wrong = _different(layer, claimed, right)
        found = [v for v, f in mistakes(layer, wrong, given) if _agrees(f, claims)]
        found = found or list(_clipping(layer, claims))
        if found:
            return _finding(found)
    return None


def recognised(text: Text, arguments: Sequence[Any], claimed: Sequence[Array]) -> Finding | None:
    """The line of a function whose mistake gives the claimed results; None where none does."""
    claims = [(list(arguments), list(claimed))]
    found = [
        variant
        for line in text.lines
        for variant in variants(text, line)
        if _agrees(variant.function, claims)
    ]
    return _finding(found) if found else None


def _one_step(
    case: Examination, roles: Mapping[str, str | None]
) -> tuple[Point, Mapping[str, Array]]:
    """The first step alone, and what the backward pass says of it; the whole where it refuses."""
    timed = [path for name, path in roles.items() if name in ("x", "dhs") and path is not None]
    point = case.point | {path: case.point[path][:1] for path in timed}
    try:
        return point, case.backward(point) if case.backward else {}
    except Exception:  # the user's code may refuse in any way
        return case.point, case.gradients


Claims = list[tuple[list[Any], list[Any]]]


def _agrees(function: Callable[..., Any], claims: Claims) -> bool:
    """Whether a backward pass gives the numbers that were claimed, at every point."""
    with np.errstate(all="ignore"):
        for arguments, claimed in claims:
            try:
                results = function(*arguments)
            except UNRUNNABLE:
                return False
            for result, claim in zip(results, claimed, strict=False):  # no bias: a None at the end
                if claim is None:
                    continue
                if np.shape(result) != np.shape(claim):
                    return False
                scale = max(float(np.abs(claim).max()), 1e-6)
                if not np.abs(result - claim).max() <= AGREE * scale:
                    return False
    return True


def _clipping(layer: Layer, claims: Claims) -> Iterator[Variant]:
    """Mistakes that hang on a number: the limits at which something is clipped."""
    given = [claim for claim in claims[-1][1] if claim is not None]
    limits = [*LIMITS, *(float(np.abs(g).max()) for g in given),
              *(float(np.linalg.norm(g)) for g in given)]  # fmt: skip
    step = Layer(layer.cell, True, layer.options)
    for line in text(step).lines:
        for variant in clipped(text(step), line):
            for limit in limits:
                text(step).known["limit"] = limit
                if _agrees(_in_place(layer, variant), claims):
                    yield variant
                    break


def _finding(found: list[Variant]) -> Finding:
    """Name the line; or the lines, where the same numbers come of several."""
    best = min(map(_rank, found))
    of_line: dict[str, Variant] = {}
    for variant in found:
        if _rank(variant) == best:
            of_line.setdefault(str(variant.line), variant)
    first, *others = of_line.values()
    evidence = "with this line exchanged, the textbook gives these numbers in every array, to 1e-9"
    if len(others) >= MOST_LINES:
        sentence = (
            f"The gradient is wrong, and the doctor cannot tell in which line: {len(of_line)} "
            "mistakes give these numbers. Take T of 3 or more, and let nothing be zero."
        )
        return Finding("unknown", sentence, tuple(map(said, of_line.values())))
    sentence = " Or else: ".join(map(said, (first, *others)))
    lost = re.fullmatch(r"(?:the term )?(d[hc]) is (?:missing|ignored)", first.words)
    if lost:
        sentence += (
            f" So {lost[1]}_next, what comes back from the step after, is dropped or overwritten."
        )
    return Finding(f"{lost[1]}_next" if lost else "line", sentence, (evidence,))


def _rank(variant: Variant) -> int:
    """Of mistakes that give the same numbers: from the ones that people make to the odd ones."""
    odd = ("it takes d", "it is multiplied", "it is divided")
    if variant.words.startswith(odd) or "is taken before" in variant.words:
        return 2
    return int(variant.words.startswith("it takes"))


def said(variant: Variant) -> str:
    """What is wrong with a line, and what it must be, in a sentence."""
    line = variant.line
    if str(line) == f"{enumeration(line.names)} = {enumeration(line.names)}":
        return f"{enumeration(line.names)}: {variant.words}; it must be handed on as it is."
    sentence = f"{enumeration(line.names)}: {variant.words}; it must be {line}."
    return sentence.replace("cache.", "")
