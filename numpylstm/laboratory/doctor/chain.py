"""Chains of textbook layers: find the chain of a function, and the line that was copied wrongly.

A chain is a stack of layers, from the ids or x up to the loss. It is found by its numbers: it has
the value of the function at the same point. Then the given gradients are compared with the
gradients of the chain with one line exchanged, for each of some thousand mistakes; numbers that
agree in every entry name the line. Of the code under examination, only the names and the shapes of
its arrays are used. Arrays of other layouts are read as the textbook's (`layouts`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain as concatenated
from itertools import product
from typing import Any

import numpy as np

from numpylstm.cells import CELLS
from numpylstm.checks import Array
from numpylstm.laboratory.doctor import lines
from numpylstm.laboratory.doctor.findings import Finding
from numpylstm.laboratory.doctor.layouts import Reading, orders, readings
from numpylstm.laboratory.doctor.lines import Backward, Layer
from numpylstm.laboratory.doctor.names import Point, last, timed
from numpylstm.laboratory.doctor.reasoning import Examination
from numpylstm.laboratory.doctor.words import Evidence, Kind
from numpylstm.laboratory.mistakes.record import Mistake
from numpylstm.laboratory.mistakes.rules import clippings

Chain = Sequence[tuple[Layer, Mapping[str, str]]]
"""Layers, and the paths of their arrays, by their names in the textbook.

An input without a path is the value from the layer below; an upstream gradient without one is the
gradient from the layer above, or zero.
"""
Run = list[tuple[Any, list[Any]]]  # the cache and the outputs of each layer


def forward(chain: Chain, point: Mapping[str, Array]) -> tuple[Any, Run]:
    """Return the loss plus the upstream gradients times the outputs, and the run of the chain."""
    value: Any = None
    total: Any = 0.0
    run: Run = []
    for layer, paths in chain:
        own = {name: point[paths[name]] for name in layer.inputs if name in paths}
        given = {layer.inputs[0]: value} | own
        results = layer.function("forward")(**given, **dict(layer.options))
        outputs = list(results[:-1])
        run.append((results[-1], outputs))
        value = outputs[0]
        for name, output in zip(layer.upstream, outputs, strict=False):
            if name in paths:
                total = total + np.sum(point[paths[name]] * output)
    return (total + value if np.ndim(value) == 0 else total), run


def backward(
    chain: Chain, run: Run, point: Mapping[str, Array], function: Callable[[Layer], Backward]
) -> Iterator[tuple[str, Array]]:
    """Yield gradients by path, from the loss down; `function` returns a backward pass."""
    below: Any = None
    for (layer, paths), (kept, outputs) in zip(reversed(chain), reversed(run), strict=True):
        arriving = [
            point[paths[name]] if name in paths else np.zeros_like(output)
            for name, output in zip(layer.upstream, outputs, strict=False)
        ]
        if below is not None:
            arriving[0] = below
        results = function(layer)(*arriving, kept)
        results = results if isinstance(results, tuple) else (results,)
        for name, gradient in zip(layer.judged, results, strict=False):  # no bn: a None at the end
            if name in paths:
                yield paths[name], gradient
            elif name == layer.inputs[0]:
                below = gradient


# --- which chain ---------------------------------------------------------------------------------


def fitting(f: Callable[[Point], Any], point: Point) -> tuple[Chain, Reading] | None:
    """Return a chain that has the value of the function at a point, and how the point is read."""
    value = float(f(point))
    tried = [(chain, reading) for reading in readings(point) for chain in _chains(reading, point)]
    in_other_orders = (
        (chain, in_order) for chain, reading in tried for in_order in _orders(chain, reading)
    )
    for chain, reading in concatenated(tried, in_other_orders):
        try:
            theirs, _ = forward(chain, reading.arrays(point))
        except Exception:  # arrays that do not fit may stop the textbook in any way
            continue
        if np.ndim(theirs) == 0 and abs(theirs - value) <= lines.AGREE * max(abs(value), 1e-3):
            cells = [paths for layer, paths in chain if layer.kind in CELLS]
            return chain, reading.of_layer(cells[0] if cells else {})
    return None


def _chains(reading: Reading, point: Point) -> Iterator[Chain]:
    arrays = reading.arrays(point)
    yield from _by_names(arrays)
    yield from _by_shapes(arrays)


def _orders(chain: Chain, reading: Reading) -> Iterator[Reading]:
    """Yield the reading with the blocks of all cells of a chain in each other order."""
    gates = {layer.gates for layer, _ in chain if layer.gates}
    for of_cells in gates:
        for order in orders(of_cells):
            in_order = reading
            for layer, paths in chain:
                if layer.gates:
                    in_order = in_order.ordered(paths, of_cells, order)
            yield in_order


def _by_names(point: Point) -> Iterator[Chain]:
    """Yield the chains of layers whose arrays the point has, by name."""
    known = {last(path) for path in point}
    cells = [layer for layer in lines.layers() if not layer.step] if "Wx" in known else [None]
    losses = lines.LOSSES if "targets" in known else [None]
    most = 2 + sum(last(path) in ("W", "Wx") for path in point)
    for cell, loss, place in product(cells, losses, range(most) if "mask" in known else [None]):
        if chain := stacked(point, cell, loss, place):
            yield chain


def stacked(
    point: Mapping[str, Array], cell: Layer | None, loss: Layer | None, place: int | None
) -> Chain:
    """Return an embedding, cells, linear layers and a loss, as far as the point has their arrays.

    The dropout layer is inserted at `place`. A chain without an input is empty.
    """
    single = {last(path): path for path in point}
    tables = [path.removesuffix("W") for path in point if last(path) == "W"]
    chain: list[tuple[Layer, dict[str, str]]] = []
    if "ids" in single and tables:
        chain.append((lines.EMBEDDING, {"ids": single["ids"], "W": f"{tables.pop(0)}W"}))
    if cell is not None:
        for prefix in (path.removesuffix("Wx") for path in point if last(path) == "Wx"):
            names = (*cell.inputs[1:], *cell.upstream[1:])
            chain.append((cell, {n: prefix + n for n in names if prefix + n in point}))
    chain += [
        (lines.LINEAR, {"W": f"{prefix}W", "b": f"{prefix}b"})
        for prefix in tables
        if f"{prefix}b" in point
    ]
    if loss is not None:
        chain.append((loss, {n: single[n] for n in ("targets", "weights") if n in single}))
    if place is not None:
        chain.insert(place, (lines.DROPOUT, {"mask": single["mask"]}))
    below = next((single[name] for name in ("x", "logits") if name in single), "")
    if not chain or not (below or "ids" in chain[0][1]):
        return []
    first, final = chain[0], chain[-1]
    first[1].setdefault(first[0].inputs[0], below)
    above = [single[name] for name in ("dhs", "dy", "dx", "dlogits") if name in single]
    if final[0].upstream and above:
        final[1][final[0].upstream[0]] = above[0]
    return chain


def _by_shapes(point: Point) -> Iterator[Chain]:
    """Yield chains of one cell or one step of it; arrays are recognised by name, else by shape."""
    numbers = {path: array.shape for path, array in point.items() if array.dtype.kind == "f"}
    named = {last(path): [path] for path in numbers}
    lengths = sorted({n for shape in numbers.values() for n in shape})
    for layer, x, H in product(lines.layers(), named.get("x", numbers), lengths):
        if len(numbers[x]) != (2 if layer.step else 3):
            continue
        T, B, D = (1, *numbers[x])[-3:]
        shapes = layer.shapes({"T": T, "B": B, "D": D, "H": H})
        known = named | {"x": [x]}
        choices = []
        for name, shape in shapes.items():
            all_paths = [*numbers, ""] if name in layer.upstream else [*numbers]
            alike = known.get(name, all_paths)
            choices.append([path for path in alike if not path or numbers[path] == shape])
        for chosen in product(*choices):
            paths = {n: path for n, path in zip(shapes, chosen, strict=True) if path}
            distinct = len({*paths.values()}) == len(paths)
            if distinct and not paths.keys().isdisjoint(layer.upstream):
                yield [(layer, paths)]


# --- which line ----------------------------------------------------------------------------------


def wrong_line(case: Examination, chain: Chain, reading: Reading) -> Finding | None:
    """Return the line of a chain whose mistake gives the gradients, or None."""
    claims = [(case.point, case.gradients)]
    first = {path: array[:1] for path, array in case.point.items() if timed(path, array)}
    if case.backward is not None and first:  # one step alone excludes most mistakes
        point = case.point | first
        try:
            gradients = case.backward(point)
            if all(np.shape(gradients[path]) == point[path].shape for path in case.gradients):
                claims.insert(0, (point, {path: gradients[path] for path in case.gradients}))
        except Exception:  # the user's code may refuse in any way
            pass
    with np.errstate(all="ignore"):
        runs = []
        for point, gradients in claims:
            own = reading.arrays(point)
            runs.append((own, forward(chain, own)[1], reading.arrays(gradients)))
        parts = dict.fromkeys(layer for layer, _ in chain)
        joined = reading.joined
        for tried in (
            lambda of: lines.mistakes(of, joined),
            lambda of: clippings(lines.texts(of)[0]),
        ):
            found = [
                mistake
                for layer in parts
                for mistake in tried(layer)
                if _agrees(chain, runs, mistake)
            ]
            if found:
                return _finding(lines.best(found), reading)
    return None


def _finding(found: Sequence[Mistake], reading: Reading) -> Finding:
    """Return the finding of mistakes that give the same numbers, the most common of each line."""
    first = found[0]
    observed: tuple[Evidence, ...] = (Evidence.AS_THE_TEXTBOOK,)
    kind = Kind.LINE
    if len(found) > lines.MOST_LINES:
        kind = Kind.SEVERAL_LINES
        observed = ()
    elif first.lost in ("dh", "dc"):
        kind = Kind.LOST_GRADIENT
    facts = {"lost": first.lost}
    if reading.order:
        observed += (Evidence.ORDER_OF_BLOCKS,)
        facts["order"] = ", ".join(reading.order)
    if reading.pile:
        observed += (Evidence.ROWS_OF_A_MATRIX,)
        facts["matrix"] = reading.matrix
        facts["rows"] = ", ".join(reading.pile)
    return Finding(kind, first.line.names, observed, facts, tuple(found), reading)


def _agrees(
    chain: Chain, runs: Sequence[tuple[Point, Run, Mapping[str, Any]]], mistake: Mistake
) -> bool:
    """Return True if the chain with this mistake has all gradients, at each point."""
    try:
        return all(
            lines.same(gradient, claimed[path])
            for point, run, claimed in runs
            for path, gradient in backward(
                chain, run, point, lambda layer: lines.backward(layer, mistake)
            )
            if path in claimed
        )
    except Exception:  # a wrong line may stop in any way
        return False
