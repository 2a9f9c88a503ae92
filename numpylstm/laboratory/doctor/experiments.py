"""Experiments: change the point, and see whether the gradient is still wrong.

A mistake in a path cannot be seen where the path carries nothing. So each experiment closes one,
and where the gradient is suddenly right, the mistake was there. They change data only, through the
names of `numpylstm.laboratory.doctor.names`; the code under examination stays as it is.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from numpylstm.laboratory import gradcheck
from numpylstm.laboratory.doctor.names import STATES, Array, Piece, Point, cells, last, timed

STEP = 1e-5
TOLERANCE = 1e-5
"""Relative error above which a directional derivative is wrong; a right one is below 1e-7."""

FAINT = 1e-3
SHUT = -40.0  # sigmoid(-40) is 4e-18


@dataclass(frozen=True)
class Experiment:
    """A change of the point; `change` returns None where the arrays it would change are absent."""

    name: str
    words: str
    change: Callable[[Point, str], Point | None]


def _where(point: Point, names: set[str], change: Callable[[Array], Array]) -> Point | None:
    changed = {path: change(array) for path, array in point.items() if last(path) in names}
    return point | changed if changed else None


def _zero(point: Point, *names: str) -> Point:
    return _where(point, set(names), np.zeros_like) or point


def _first_step(point: Point) -> Point | None:
    changed = {path: array[:1] for path, array in point.items() if timed(path, array)}
    return point | changed if changed else None


def _one_step(point: Point, gates: str) -> Point | None:
    return _first_step(_zero(point, "dhT", "dcT"))


def _one_step_with_dcT(point: Point, gates: str) -> Point | None:
    some = any(np.any(array) for path, array in point.items() if last(path) == "dcT")
    return _first_step(_zero(point, "dhT")) if some else None


def _one_step_without(name: str) -> Callable[[Point, str], Point | None]:
    def change(point: Point, gates: str) -> Point | None:
        one_step = _one_step(point, gates)
        return None if one_step is None else _where(one_step, {name}, np.zeros_like)

    return change


def _one_sequence(point: Point, gates: str) -> Point | None:
    changed = {path: array[:, :1] for path, array in point.items() if timed(path, array)}
    if not changed:
        return None
    cut = point | changed
    return _where(cut, STATES, lambda array: array[..., :1, :]) or cut


def _symmetric_Wh(point: Point, gates: str) -> Point | None:
    def symmetric(W: Array) -> Array:
        H = len(W)
        blocks = [W[:, k : k + H] for k in range(0, W.shape[1], H)]
        return np.concatenate([(block + block.T) / 2 for block in blocks], axis=1)

    return _where(point, {"Wh"}, symmetric) if cells(point, gates) else None


def _with_gate(point: Point, gates: str, gate: str, a: float) -> Point | None:
    """Every such gate has this weighted sum, whatever it reads."""
    gated = [cell for cell in cells(point, gates) if gate in cell.gates and cell.path("b") in point]
    for cell in gated:
        b = point[cell.path("b")].copy()
        b[cell.columns(gate)] = a
        Wx, Wh = (point[cell.path(name)].copy() for name in ("Wx", "Wh"))
        Wx[:, cell.columns(gate)] = Wh[:, cell.columns(gate)] = 0
        point = point | {cell.path("b"): b, cell.path("Wx"): Wx, cell.path("Wh"): Wh}
    return point if gated else None


def _none_from_next_window(name: str) -> Callable[[Point, str], Point | None]:
    def change(point: Point, gates: str) -> Point | None:
        some = any(np.any(array) for path, array in point.items() if last(path) == name)
        return _where(point, {name}, np.zeros_like) if some else None

    return change


def _small_upstream(point: Point, gates: str) -> Point | None:
    if not any(last(path) == "dhs" for path in point):  # another loss may stand above
        return None
    return _where(point, {"dhs", "dhT", "dcT"}, lambda array: FAINT * array)


def _small_cells(point: Point, gates: str) -> Point | None:
    one_step = _one_step(point, gates)
    gated = [cell for cell in cells(point, gates) if "g" in cell.gates]
    if one_step is None or not gated:
        return None
    small = _where(one_step, {"c0"}, lambda array: FAINT * array) or one_step
    for cell in gated:
        for path in small.keys() & {*map(cell.path, ("Wx", "Wh", "b"))}:
            weights = small[path].copy()
            weights[..., cell.columns("g")] *= FAINT
            small = small | {path: weights}
    return small


def _ones(name: str) -> Callable[[Point, str], Point | None]:
    return lambda point, gates: _where(point, {name}, np.ones_like)


def _ids(distinct: bool) -> Callable[[Point, str], Point | None]:
    def change(point: Point, gates: str) -> Point | None:
        one_step = _one_step(point, gates)
        everything = [a for path, a in point.items() if last(path) == "ids" and timed(path, a)]
        if one_step is None or not everything:
            return None
        known, B = np.unique(everything[0]), everything[0].shape[1]
        if len(known) < B or B == 1:
            return None
        row = known[:B] if distinct else np.repeat(known[0], B)
        return _where(one_step, {"ids"}, lambda array: row[None])

    return change


EXPERIMENTS = {
    experiment.name: experiment
    for experiment in [
        Experiment("one step", "with one time step and nothing from the next window", _one_step),
        Experiment("one step, dcT", "with one time step, and dcT kept", _one_step_with_dcT),
        Experiment("one step, c0 = 0", "with one time step and c0 zero", _one_step_without("c0")),
        Experiment("one step, h0 = 0", "with one time step and h0 zero", _one_step_without("h0")),
        Experiment("one sequence", "with a batch of one", _one_sequence),
        Experiment("Wh symmetric", "with every square block of Wh symmetric", _symmetric_Wh),
        Experiment("no path through h", "with Wh and dhT zero",
                   lambda point, _: _where(_zero(point, "dhT"), {"Wh"}, np.zeros_like)),
        Experiment("no path through c", "with the forget gates shut and dcT zero",
                   lambda point, gates: _with_gate(_zero(point, "dcT"), gates, "f", SHUT)),
        Experiment("reset open", "with the reset gates open",
                   lambda point, gates: _with_gate(point, gates, "r", -SHUT)),
        Experiment("small cells", "with one time step and every cell state near zero",
                   _small_cells),
        Experiment("small upstream", "with dhs, dhT and dcT a thousand times smaller",
                   _small_upstream),
        Experiment("dhT zero", "with dhT zero", _none_from_next_window("dhT")),
        Experiment("dcT zero", "with dcT zero", _none_from_next_window("dcT")),
        Experiment("weights one", "with all weights one", _ones("weights")),
        Experiment("mask one", "with nothing masked", _ones("mask")),
        Experiment("ids distinct", "with one time step and no id twice", _ids(True)),
        Experiment("ids equal", "with one time step and one id for the whole batch", _ids(False)),
    ]
}  # fmt: skip


def wrong_pieces(
    f: Callable[[Point], Any],
    gradients: Mapping[str, Array],
    point: Point,
    judged: list[Piece],
    generator: np.random.Generator,
) -> list[Piece]:
    """The pieces along which the slope in a random direction is not what the gradient says.

    Two evaluations for each piece. A wrong gradient agrees along a random direction with
    probability zero.
    """
    noise = 1e-10 * max(1.0, abs(float(f(point))))
    wrong = []
    for piece in judged:
        array = point[piece.path]
        u = np.zeros(array.shape)
        u[piece.where] = generator.standard_normal(u[piece.where].shape)
        u /= np.linalg.norm(u)
        slope = gradcheck.central_slope(f, dict(point), {piece.path: u}, STEP)
        gradient = np.asarray(gradients[piece.path])
        claimed = float(np.sum(gradient * u))
        part = gradient[piece.where]
        scale = max(float(np.linalg.norm(part)) / np.sqrt(part.size), abs(slope))
        if not abs(claimed - slope) <= TOLERANCE * scale + noise:  # NaN is wrong
            wrong.append(piece)
    return wrong
