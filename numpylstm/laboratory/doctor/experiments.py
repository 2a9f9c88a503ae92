"""Experiments: close one path, and see whether the gradient is still wrong.

A mistake in a path cannot be seen where the path carries nothing. Where the gradient is right as
soon as a path is closed, the mistake is in that path. Experiments change data only, through the
names of `numpylstm.laboratory.doctor.names`; the code under examination stays the same.
"""

from collections.abc import Callable, Iterator, Mapping
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
    """A change of the point, and what follows where the gradient is right there.

    `change` returns None where the arrays that it would change are absent. In the sentence,
    ``{arrays}`` are the gradients that are wrong.
    """

    kind: str
    words: str
    sentence: str
    change: Callable[[Point], Point | None]


def _where(names: set[str], change: Callable[[Array], Array]) -> Callable[[Point], Point | None]:
    def changed(point: Point) -> Point | None:
        new = {path: change(array) for path, array in point.items() if last(path) in names}
        moved = any(not np.array_equal(array, point[path]) for path, array in new.items())
        return point | new if moved else None

    return changed


def _zero(*names: str) -> Callable[[Point], Point | None]:
    return _where(set(names), np.zeros_like)


def _ones(name: str) -> Callable[[Point], Point | None]:
    return _where({name}, np.ones_like)


def one_step(point: Point) -> Point | None:
    """The first step alone, with nothing from the next window."""
    changed = {path: array[:1] for path, array in point.items() if timed(path, array)}
    return (_zero("dhT", "dcT")(point) or point) | changed if changed else None


def _one_sequence(point: Point) -> Point | None:
    changed = {path: array[:, :1] for path, array in point.items() if timed(path, array)}
    cut = point | changed
    return _where(STATES, lambda array: array[..., :1, :])(cut) or cut if changed else None


def _symmetric(W: Array) -> Array:
    H = len(W)
    if not H or W.shape[1] % H:
        return W
    blocks = [W[:, k : k + H] for k in range(0, W.shape[1], H)]
    return np.concatenate([(block + block.T) / 2 for block in blocks], axis=1)


def _no_id_twice(point: Point) -> Point | None:
    first = one_step(point)
    everything = [a for path, a in point.items() if last(path) == "ids" and timed(path, a)]
    if first is None or not everything or everything[0].shape[1] == 1:
        return None
    known, B = np.unique(everything[0]), everything[0].shape[1]
    return first | {p: known[None, :B] for p in first if last(p) == "ids"} if len(known) >= B else (
        None)  # fmt: skip


def _faint_upstream(point: Point) -> Point | None:
    if not any(last(path) == "dhs" for path in point):  # another loss may stand above
        return None
    return _where({"dhs", "dhT", "dcT"}, lambda array: FAINT * array)(point)


EXPERIMENTS = (
    Experiment(
        "loss weights", "with all weights one",
        "dlogits, the gradient of the loss, does not use the weights as the loss does: the "
        "gradient of each token must be scaled by its weight.",
        _ones("weights"),
    ),
    Experiment(
        "mask", "with nothing masked",
        "The backward pass does not apply the mask of the forward pass: dx must be dy * mask.",
        _ones("mask"),
    ),
    Experiment(
        "repeated ids", "with one time step and no id twice",
        "{arrays}: where an id occurs more than once, its gradients are overwritten and not added "
        "(numpy.add.at adds them); or the time steps are not all counted.",
        _no_id_twice,
    ),
    Experiment(
        "clipped", "with dhs, dhT and dcT a thousand times smaller",
        "Something is clipped inside the backward pass, or at its end entry by entry, and the "
        "doctor cannot tell whether dh, dc, a sum or the result: clip the finished gradients by "
        "their norm together, and not what travels back.",
        _faint_upstream,
    ),
    Experiment(
        "transpose", "with every square block of Wh symmetric",
        "Wh is not transposed on the way back: dh_prev must be da @ Wh.T.",
        _where({"Wh"}, _symmetric),
    ),
    Experiment(
        "dhT", "with dhT zero",
        "dhT is ignored or miscounted: at the last step, dh begins with it.",
        _zero("dhT"),
    ),
    Experiment(
        "dcT", "with dcT zero",
        "dcT is ignored or miscounted: at the last step, dc begins with it.",
        _zero("dcT"),
    ),
    Experiment(
        "dh_next", "with Wh and dhT zero",
        "dh: what goes back through Wh to the step before is dropped or miscounted, or not added "
        "to what the layer above sends.",
        _zero("Wh", "dhT"),
    ),
)  # fmt: skip

COARSE = (
    Experiment(
        "lost time step", "with one time step and nothing from the next window",
        "{arrays}: something between the time steps is lost, overwritten or miscounted, and the "
        "doctor cannot tell what: within one step all is right.",
        one_step,
    ),
    Experiment(
        "batch", "with a batch of one",
        "{arrays}: something is wrong between the sequences of a batch: a mean for a sum, a sum "
        "that is not taken, or an axis.",
        _one_sequence,
    ),
)  # fmt: skip


def of_gates(point: Point, gates: str | None) -> Iterator[Experiment]:
    """For each kind of gate that scales something from the past: the same with all of them shut."""
    known = [cell for cell in cells(point, gates) if cell.record is not None]
    for record in {cell.record.name: cell.record for cell in known if cell.record}.values():
        for unit in sorted(record.units, key=lambda unit: unit.name != record.keep):
            if unit.role != "gate" or unit.name == record.show:
                continue

            def shut(point: Point, gate: str = unit.name) -> Point | None:
                return _with_gate(point, gates, gate)

            yield Experiment(
                f"through {unit.name}",
                f"with the {unit.words}s shut",
                f"{{arrays}}: the mistake is in what the {unit.words} {unit.name} scales, which on "
                "the way back is dropped, miscounted or scaled at another place, or in its own "
                f"gradient, da_{unit.name}.",
                shut,
            )


def _with_gate(point: Point, gates: str | None, gate: str) -> Point | None:
    """Every such gate is shut, whatever it reads, and nothing comes from the next window."""
    point = _zero("dcT")(point) or point
    gated = [c for c in cells(point, gates) if gate in c.gates and c.path("b") in point]
    for cell in gated:
        columns = cell.columns(gate)
        new = {cell.path(name): point[cell.path(name)].copy() for name in ("Wx", "Wh", "b")}
        for path, array in new.items():
            array[..., columns] = SHUT if path == cell.path("b") else 0
        point = point | new
    return point if gated else None


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
