"""Layouts of other authors, read as the textbook's: other orders of blocks, one matrix for two.

CS231n and Karpathy have the blocks of an LSTM in the order i, f, o, g, and Olah multiplies one
matrix by h and x side by side. A `Reading` turns arrays, and gradients, of such a layout into those
of the textbook, and the names of the textbook's arrays into those of the author's.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import permutations

from numpylstm.cells import CELLS
from numpylstm.checks import Array
from numpylstm.laboratory.doctor.names import last
from numpylstm.laboratory.mistakes.parts import reordered

WEIGHTS = ("Wx", "Wh", "b")
"""The arrays of a cell that have a block of columns for each gate."""
PILES = (("x", "h"), ("h", "x"), ("1", "x", "h"), ("1", "h", "x"), ("x", "h", "1"), ("h", "x", "1"))
"""Orders of the rows of one matrix for x and h, and for 1, whose row is the bias."""
READ_AS = {"x": "Wx", "h": "Wh", "1": "b"}


@dataclass(frozen=True)
class Piece:
    """An array of the textbook in one of the author's: some of its rows, its blocks reordered."""

    path: str
    rows: slice | int | None = None
    where: str = ""  # the rows in symbols, such as "[:D]"
    blocks: tuple[int, ...] = ()  # the author's number of each block of the textbook

    def of(self, arrays: Mapping[str, Array]) -> Array:
        """Return the array of the textbook."""
        array = arrays[self.path]
        array = array if self.rows is None else array[self.rows]
        return reordered(array, self.blocks) if self.blocks else array


@dataclass(frozen=True)
class Reading:
    """The author's arrays as pieces, by paths that end in the textbook's names."""

    pieces: Mapping[str, Piece]
    gates: tuple[str, ...] = ()  # in the textbook's order, if the author's is another
    order: tuple[str, ...] = ()  # in the author's order
    pile: tuple[str, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)  # of the textbook -> paths

    def arrays(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """Return the pieces of arrays or of gradients, of those that are given."""
        return {name: p.of(arrays) for name, p in self.pieces.items() if p.path in arrays}

    def of_layer(self, paths: Mapping[str, str]) -> "Reading":
        """Return the reading with the paths of the arrays of a layer."""
        return replace(self, names=paths)

    def ordered(
        self, paths: Mapping[str, str], gates: tuple[str, ...], order: tuple[str, ...]
    ) -> "Reading":
        """Return the reading with the blocks of a layer in the author's order."""
        blocks = tuple(order.index(gate) for gate in gates)
        changed = {
            path: replace(self.pieces[path], blocks=blocks)
            for name, path in paths.items()
            if name in WEIGHTS
        }
        return replace(self, pieces={**self.pieces, **changed}, gates=gates, order=order)

    @property
    def joined(self) -> tuple[str, ...]:
        """The gradients of the textbook that are rows of one array."""
        return tuple(f"d{READ_AS[what]}" for what in self.pile)

    @property
    def matrix(self) -> str:
        """The name of the array that has the rows of `pile`."""
        return last(next(piece.path for piece in self.pieces.values() if piece.where))

    def translated(self, expression: str) -> str:
        """Return an expression of the textbook's arrays in the author's names."""
        own = {name: self.pieces[path] for name, path in self.names.items()}
        names = "|".join(own)

        def renamed(found: re.Match[str]) -> str:
            gradient, name, of_step = found.groups(default="")
            return f"{gradient}{last(own[name].path)}{of_step}{own[name].where}"

        if own:
            expression = re.sub(rf"(?<![\w.])(d?)({names})(_t)?(?!\w)", renamed, expression)
        if self.order:
            gate = rf"(\w*?)([{''.join(self.gates)}])"
            listed = rf"\b{', '.join([gate] * len(self.gates))}\b"
            expression = re.sub(listed, self._reordered, expression)
        return expression

    def _reordered(self, found: re.Match[str]) -> str:
        """Return a list of all gates in the author's order."""
        words = found[0].split(", ")
        if {word[-1] for word in words} != {*self.gates}:
            return found[0]
        return ", ".join(words[self.gates.index(gate)] for gate in self.order)


def readings(point: Mapping[str, Array]) -> Iterator[Reading]:
    """Yield the arrays as they are; then matrices for x and h as two matrices."""
    own = {path: Piece(path) for path in point}
    yield Reading(own)
    if any(last(path) == "Wx" for path in point):
        return
    for pile in PILES:
        splits = {path: _split(point, path, pile) for path in point}
        found = {path: pieces for path, pieces in splits.items() if pieces}
        for chosen in dict.fromkeys([tuple(found), *((path,) for path in found)]):
            if chosen:
                kept = {path: piece for path, piece in own.items() if path not in chosen}
                for path in chosen:
                    kept |= found[path]
                yield Reading(kept, pile=pile)


def _split(point: Mapping[str, Array], path: str, pile: tuple[str, ...]) -> dict[str, Piece]:
    """Return the pieces of a matrix for x and h; empty if its shape is that of none."""
    array = point[path]
    if array.dtype.kind != "f" or array.ndim != 2 or last(path) in WEIGHTS:
        return {}
    before = path.removesuffix(last(path))
    wide = {a.shape[-1] for other, a in point.items() if other != path and a.ndim >= 2}
    for blocks in sorted({len(cell.blocks) for cell in CELLS.values()}, reverse=True):
        H, rest = divmod(array.shape[1], blocks)
        D = len(array) - H - ("1" in pile)
        if rest or D < 1 or not {D, H} <= wide:
            continue
        sizes, names = {"x": D, "h": H, "1": 1}, {"x": "D", "h": "H", "1": "1"}
        pieces: dict[str, Piece] = {}
        start, symbols = 0, ""
        for k, what in enumerate(pile):
            stop = start + sizes[what]
            end = f"{symbols} + {names[what]}".removeprefix(" + ")
            where = f"[{symbols}:{end if k < len(pile) - 1 else ''}]"
            rows: slice | int = slice(start, stop)
            if what == "1":
                rows = start
                where = f"[{start if k == 0 else -1}]"
            pieces[before + READ_AS[what]] = Piece(path, rows, where)
            start, symbols = stop, end
        return pieces
    return {}


def orders(gates: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yield all orders of the gates but the textbook's."""
    yield from (order for order in permutations(gates) if order != gates)
