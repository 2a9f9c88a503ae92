"""What the names of arrays say about their axes.

The doctor knows no layer, only names. Those of this project have a meaning, wherever they stand
after the last dot of a path; arrays with other names are checked like all others and left as they
are in experiments.

====================================  ==========================================================
``x hs dhs mask``                      time first, then batch: (T, B, .)
``ids targets weights``                (T, B)
``h0 c0 dhT dcT``                      a state or its gradient, batch before last: (B, H), (L, B, H)
``Wx Wh b``                            weights of a recurrent cell: (D, n H), (H, n H), (n H,), with
                                       n = 1, or n = 3 or 4 blocks of columns, side by side
====================================  ==========================================================
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from numpy.typing import NDArray

from numpylstm.cells import CELLS

Array = NDArray[Any]
Point = dict[str, Array]

AXES_IF_TIMED = {"x": 3, "hs": 3, "dhs": 3, "mask": 3, "ids": 2, "targets": 2, "weights": 2}
STATES = {"h0", "c0", "dhT", "dcT"}


def last(path: str) -> str:
    """``lstm.0.Wx`` is a ``Wx``."""
    return path.rpartition(".")[2]


def timed(path: str, array: Array) -> bool:
    """Whether the array has a time axis: by its name, and by its number of axes."""
    return AXES_IF_TIMED.get(last(path)) == array.ndim


class Cell(NamedTuple):
    """The arrays of one recurrent layer: those whose paths start with `prefix`."""

    prefix: str  # "lstm.0.", or "" for arrays called Wx, Wh, b
    hidden_size: int
    gates: str  # "ifgo", "rzn", or "" for a cell without gates

    def path(self, name: str) -> str:
        """The path of this cell's `name`."""
        return self.prefix + name

    def columns(self, gate: str) -> slice:
        """The columns of one gate in Wx, Wh and b."""
        k = self.gates.index(gate)
        return slice(k * self.hidden_size, (k + 1) * self.hidden_size)


def cells(point: Mapping[str, Array], gates: str) -> list[Cell]:
    """The recurrent layers, in the order of their names: each has a Wh, (H, H) or (H, n H)."""
    found = []
    for path, array in point.items():
        if last(path) == "Wh" and array.ndim == 2:
            H, columns = array.shape
            gated = columns == len(gates) * H
            if gated or columns == H:
                found.append(Cell(path.removesuffix("Wh"), H, gates if gated else ""))
    return sorted(found)


def usual_gates(point: Mapping[str, Array]) -> str:
    """The order of the blocks in the cell of this package that has as many: "ifgo" for four."""
    known = {len(cell.blocks): "".join(cell.blocks) for cell in CELLS.values()}
    for path, array in point.items():
        if last(path) == "Wh" and array.ndim == 2:
            H, columns = array.shape
            if H and columns > H and columns % H == 0 and columns // H in known:
                return known[columns // H]
    return known[max(known)]


def sizes(point: Mapping[str, Array], gates: str) -> dict[str, int]:
    """T, B, D and H, as far as the names tell them."""
    known: dict[str, int] = {}
    for path, array in point.items():
        if timed(path, array):
            known.setdefault("T", array.shape[0])
            known.setdefault("B", array.shape[1])
    for path, array in point.items():
        if last(path) in STATES and array.ndim >= 2:
            known.setdefault("B", array.shape[-2])
    for cell in cells(point, gates):
        if cell.path("Wx") in point:
            known.setdefault("D", point[cell.path("Wx")].shape[0])
        known.setdefault("H", cell.hidden_size)
    return known


@dataclass(frozen=True)
class Piece:
    """A part of an array that is judged by itself: one gate's columns, or one time step."""

    path: str
    part: str  # "f", "2" or "" for the whole array
    where: tuple[Any, ...] = field(compare=False)  # index of the part


def pieces(paths: Iterable[str], point: Mapping[str, Array], gates: str) -> list[Piece]:
    """Weights in gates, inputs in time steps, all else whole."""
    owner = {
        cell.path(name): cell for cell in cells(point, gates) if cell.gates
        for name in ("Wx", "Wh", "b")
    }  # fmt: skip
    parts = []
    for path in paths:
        if path in owner:
            cell = owner[path]
            parts += [Piece(path, gate, (..., cell.columns(gate))) for gate in cell.gates]
        elif last(path) == "x" and timed(path, point[path]):
            parts += [Piece(path, str(t), (t,)) for t in range(len(point[path]))]
        else:
            parts.append(Piece(path, "", (...,)))
    return parts


def in_words(wrong: Iterable[Piece], all_pieces: Iterable[Piece]) -> str:
    """``all of lstm.0 and lstm.1.b (f)``: parts are named where others of the array are right."""
    wrong, every = set(wrong), list(all_pieces)
    if wrong == set(every):
        return "every array"
    phrases: list[str] = []
    for layer in dict.fromkeys(piece.path.rpartition(".")[0] for piece in every):
        own = [piece for piece in every if piece.path.rpartition(".")[0] == layer]
        paths = dict.fromkeys(piece.path for piece in own)
        if layer and len(paths) > 2 and set(own) <= wrong:
            phrases.append(f"all of {layer}")
            continue
        for path in paths:
            of_path = [piece for piece in own if piece.path == path]
            bad = [piece.part for piece in of_path if piece in wrong]
            if len(bad) == len(of_path):
                phrases.append(path)
            elif bad:
                phrases.append(f"{path} ({', '.join(bad)})")
    return enumeration(phrases)


def enumeration(words: Iterable[str]) -> str:
    """``a, b and c``."""
    *head, tail = words
    return f"{', '.join(head)} and {tail}" if head else tail


def symbols(paths: Iterable[str]) -> str:
    """The gradients of arrays, in symbols: ``dWx and db`` for lstm.0.Wx, lstm.0.b and lstm.1.b."""
    return enumeration(dict.fromkeys(f"d{last(path)}" for path in paths))
