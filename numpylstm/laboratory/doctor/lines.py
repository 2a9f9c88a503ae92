"""Layers of the textbook, their mistakes of one line, and the most common of those that fit.

The only module of the doctor that uses the textbook, `numpylstm.reference`. Everything else about
a layer comes from its record in `numpylstm.cells` and from the source of its functions.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import product
from types import FunctionType
from typing import Any

import numpy as np

from numpylstm import reference
from numpylstm.cells import CELLS
from numpylstm.checks import Array
from numpylstm.laboratory.mistakes.catalogue import mistakes_in
from numpylstm.laboratory.mistakes.record import Mistake
from numpylstm.laboratory.mistakes.source import SIZES, Text, mentions, read
from numpylstm.laboratory.mistakes.words import OF_FORM, OF_SIZE, Kind

AGREE = 1e-9
"""Relative error up to which two gradients are the same."""
MOST_LINES = 3
"""If more lines than this explain the numbers, the point does not tell which is wrong."""

Backward = Callable[..., Any]


@dataclass(frozen=True)
class Layer:
    """A forward and a backward function of the textbook: a cell, a step of one, or another layer.

    `options` are arguments of forward, such as an activation.
    """

    kind: str  # "lstm", "linear"
    step: bool = False
    options: tuple[tuple[str, Any], ...] = ()

    @property
    def name(self) -> str:
        """``lstm`` or ``lstm_step``: the beginning of the names of its functions."""
        return f"{self.kind}_step" if self.step else self.kind

    def function(self, way: str) -> Any:
        """Return a function of the layer: ``lstm_forward`` for the way "forward"."""
        return getattr(reference, f"{self.name}_{way}")

    @property
    def gates(self) -> tuple[str, ...]:
        """The blocks of columns, if there are several."""
        blocks = CELLS[self.kind].blocks if self.kind in CELLS else ()
        return blocks if len(blocks) > 1 else ()

    @cached_property
    def inputs(self) -> list[str]:
        """The arrays that forward takes."""
        if self.kind in CELLS:
            cell = CELLS[self.kind]
            before = "_prev" if self.step else "0"
            parameters = cell.parameters(dict(self.options))
            return ["x", *(f"{state}{before}" for state in cell.states), *parameters]
        names = inspect.signature(self.function("forward")).parameters
        return [name for name in names if not name.startswith("average")]

    @cached_property
    def judged(self) -> list[str]:
        """The inputs whose gradients backward returns, in this order."""
        return [name for name in self.inputs if name not in GIVEN]

    @cached_property
    def upstream(self) -> list[str]:
        """The gradients that backward takes, in the order of forward's results."""
        parameters = inspect.signature(self.function("backward")).parameters
        return [name for name in parameters if name not in ("cache", "dloss")]

    def shapes(self, sizes: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
        """Return the shapes of inputs and upstream gradients."""
        T, B, D = (sizes.get(letter, 1) for letter in "TBD")
        H, V = sizes.get("H", 1), sizes.get("V", 1)
        usual: tuple[int, ...] = (T, B, D)
        known: dict[str, tuple[int, ...]] = dict.fromkeys(("ids", "targets", "weights"), (T, B))
        known |= {"W": (V, D), "b": (D,), "x": (T, B, V if "W" in self.inputs else D)}
        if self.kind in CELLS:
            usual = (B, H)
            known = {"x": (B, D) if self.step else (T, B, D), "dhs": (T, B, H)}
            known |= CELLS[self.kind].shapes(D, H, dict(self.options))
        return {name: known.get(name, usual) for name in (*self.inputs, *self.upstream)}

    def run(self, given: Mapping[str, Array]) -> list[Any]:
        """Run the forward pass and return the arguments of backward."""
        arrays = {name: given[name] for name in self.inputs}
        results = self.function("forward")(**arrays, **dict(self.options))
        return [*(given[name] for name in self.upstream), results[-1]]

    def sample(self) -> dict[str, Array]:
        """Draw inputs and upstream gradients of the sizes `SIZES`."""
        rng = np.random.default_rng(0)
        return {
            name: rng.integers(0, SIZES["D"], shape)
            if name in ("ids", "targets")
            else rng.uniform(0.1, 1, shape)
            for name, shape in self.shapes(SIZES).items()
        }


GIVEN = ("ids", "targets", "weights", "mask")
EMBEDDING, LINEAR, DROPOUT = Layer("embedding"), Layer("linear"), Layer("dropout")
LOSSES = tuple(
    Layer(
        "sequence_cross_entropy",
        False,
        (("average_across_timesteps", time), ("average_across_batch", batch)),
    )
    for time in (False, True)
    for batch in (True, False)
)


def layers() -> Iterator[Layer]:
    """Yield every cell with every choice of its options, for a sequence and for a step."""
    for cell in CELLS.values():
        choices = {n: o.choices or (o.default,) for n, o in cell.arguments(cell.options).items()}
        for values, step in product(product(*choices.values()), (False, True)):
            yield Layer(cell.name, step, tuple(zip(choices, values, strict=True)))


# --- their lines, and mistakes -------------------------------------------------------------------


@cache
def text(layer: Layer) -> Text:
    """Return the backward pass of a layer as lines; for a loss, that of the step that it calls."""
    function = layer.function("backward")
    results = [f"d{name}" for name in layer.judged]
    if layer in LOSSES:
        function = reference.cross_entropy_step_backward
    return read(function, layer.run(layer.sample()), layer.gates, results, dict(layer.options))


def texts(layer: Layer) -> list[Text]:
    """Return the functions of a backward pass as lines, that of the step first."""
    steps = [replace(layer, step=True)] if layer.kind in CELLS and not layer.step else []
    return [text(part) for part in (*steps, layer)]


def backward(layer: Layer, mistake: Mistake) -> Backward:
    """Return the backward pass of a layer with a mistake in it, or in the step that it calls."""
    own: Backward = layer.function("backward")
    name = mistake.function
    if name not in (own.__name__, *own.__code__.co_names):
        return own
    (of,) = (of for of in texts(layer) if of.name == name)
    wrong = of.changed(*mistake.changes)
    if own.__name__ == name:
        return wrong
    scope = own.__globals__ | {name: wrong}
    return FunctionType(own.__code__, scope, own.__name__, own.__defaults__)


@cache
def mistakes(layer: Layer, joined: tuple[str, ...] = ()) -> tuple[Mistake, ...]:
    """Return mistakes of a layer: in each line, and in the arrays that a step reads.

    If the results `joined` are rows of one array, also those made in all of their lines at once.
    """
    in_lines = [mistake for of_function in texts(layer) for mistake in mistakes_in(of_function)]
    loops = layer.kind in CELLS and not layer.step
    in_arrays = _arrays_of_other_steps(layer) if loops else ()
    return (*in_lines, *_in_all_lines(in_lines, joined), *in_arrays)


def _in_all_lines(in_lines: Sequence[Mistake], joined: Sequence[str]) -> Iterator[Mistake]:
    """Yield mistakes that the lines of several results have in common."""
    alike: dict[tuple[Any, ...], dict[str, Mistake]] = {}
    for mistake in in_lines:
        same_kind = (mistake.function, mistake.kind, mistake.about, mistake.array, mistake.gate)
        for name in joined:
            if mistake.line.names == (name,) and len(mistake.changes) == 1:
                alike.setdefault(same_kind, {}).setdefault(name, mistake)
    for found in alike.values():
        if len(found) == len(joined) > 1:
            first = next(iter(found.values()))
            changes = tuple(mistake.changes[0] for mistake in found.values())
            yield replace(first, changes=changes, in_all_rows=True)


TAKEN = {
    Kind.FROM_THE_STEP_BEFORE: "np.roll({0}, 1, axis=0)",
    Kind.FROM_THE_STEP_AFTER: "np.roll({0}, -1, axis=0)",
    Kind.FROM_THE_FIRST_STEP: "np.broadcast_to({0}[:1], {0}.shape)",
    Kind.ZERO_AT_THE_FIRST_STEP: "np.concatenate([0 * {0}[:1], {0}[1:]])",
    Kind.FROM_THE_LAST_AT_THE_FIRST_STEP: "np.concatenate([{1}[-1:], {0}[1:]])",
}
"""Mistakes in the step from which an array is taken, such as hs[-1] for h_prev[0]."""


def _arrays_of_other_steps(layer: Layer) -> Iterator[Mistake]:
    """Yield the backward pass with an array of the cache, or all of the past, of another step."""
    step, loop = texts(layer)
    first = loop.source.split("\n")[1]
    readers = {
        field: [line for line in step.lines if mentions(line.expression, field)]
        for field, a in layer.run(layer.sample())[-1]._asdict().items()
        if np.ndim(a) == 3
    }
    groups: list[tuple[str, ...]] = [(field,) for field in readers if len(readers[field]) == 1]
    groups.append(tuple(field for field in readers if field.endswith("_prev")))
    groups.append(tuple(field for field in readers if field in ("x", "h_prev")))
    for fields, (kind, way) in product(dict.fromkeys(filter(None, groups)), TAKEN.items()):
        moved = ", ".join(
            f"{n}={way.format(f'cache.{n}', f'cache.{n}'.removesuffix('_prev'))}" for n in fields
        )
        row = f"    cache = cache._replace({moved})"
        change = (f"\n{first}\n", f"\n{row}\n{first}\n")
        line = readers[fields[0]][0]
        yield Mistake(loop.name, (change,), line=line, kind=kind, about=fields)


def wrong(one: Any, claim: Any) -> Any:
    """Return True for each number that differs by more than `AGREE` of the largest."""
    return ~(np.abs(one - claim) <= AGREE * max(float(np.abs(claim).max()), 1e-3))


def same(one: Any, claim: Any) -> bool:
    """Return True if two arrays agree in every entry."""
    return np.shape(one) == np.shape(claim) and not np.any(wrong(one, claim))


# --- the most common mistake ----------------------------------------------------------------------


def best(found: Sequence[Mistake]) -> list[Mistake]:
    """Return the most common of mistakes that give the same numbers, one for each line."""
    least = min(map(rank, found))
    of_line: dict[str, Mistake] = {}
    for mistake in found:
        if rank(mistake) == least:
            of_line.setdefault(str(mistake.line), mistake)
    return list(of_line.values())


LESS_COMMON = OF_FORM | {
    Kind.EXCHANGED,
    Kind.COLUMNS_OF_ANOTHER_GATE,
    Kind.SIGN,
    Kind.SIGN_OF_ARRAY,
    Kind.SIGN_OF_GATE,
    Kind.SIGN_OF_BOTH_TERMS,
}
"""Kinds that are no likelier than an array used instead of another one in a later line."""


def rank(mistake: Mistake) -> int:
    """Sort key of mistakes that give the same numbers: common ones first, odd ones last."""
    if mistake.gate:
        return 0
    if mistake.kind is Kind.USED_INSTEAD:
        used = mistake.about[0]
        return 2 if used.startswith("d") else 1  # a gradient is seldom taken for a value
    if mistake.kind in OF_SIZE:
        return 2
    return int(mistake.kind in LESS_COMMON)
