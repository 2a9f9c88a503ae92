"""Names of arrays, which tell their axes: the part of a path after its last dot counts.

Arrays with other names are checked too, but no experiment shortens them.
"""

from collections.abc import Iterable, Mapping

from numpylstm.cells import CELLS
from numpylstm.checks import Array
from numpylstm.laboratory.mistakes.record import enumeration

Point = dict[str, Array]

AXES_IF_TIMED = {"x": 3, "hs": 3, "dhs": 3, "mask": 3, "ids": 2, "targets": 2, "weights": 2}
"""Number of axes of the arrays (T, B, ...)."""
INITIAL = {f"{state}0" for cell in CELLS.values() for state in cell.states}
FINAL = {f"d{state}T" for cell in CELLS.values() for state in cell.states}
STATES = INITIAL | FINAL
"""Initial states, and gradients of final ones, (..., B, H)."""


def last(path: str) -> str:
    """Return the last part of a path: ``Wx`` for ``lstm.0.Wx``."""
    return path.rpartition(".")[2]


def timed(path: str, array: Array) -> bool:
    """Return True if the array has a time axis, by its name and its number of axes."""
    return AXES_IF_TIMED.get(last(path)) == array.ndim


def sizes(point: Mapping[str, Array]) -> dict[str, int]:
    """Return T, B, D and H, as far as the names tell them."""
    known: dict[str, int] = {}
    for path, array in point.items():
        if timed(path, array):
            known |= {"T": array.shape[0], "B": array.shape[1]} | known
        elif last(path) in STATES and array.ndim >= 2:
            known.setdefault("B", array.shape[-2])
        elif last(path) in ("Wx", "Wh") and array.ndim == 2:
            known.setdefault("D" if last(path) == "Wx" else "H", len(array))
    return known


def symbols(paths: Iterable[str]) -> str:
    """List gradients in symbols: ``dWx and db`` for lstm.0.Wx, lstm.0.b and lstm.1.b."""
    return enumeration(dict.fromkeys(f"d{last(path)}" for path in paths))
