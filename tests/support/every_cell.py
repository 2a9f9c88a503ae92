"""Every cell with every choice of its options, and the sizes at which they are tested."""

import itertools

import pytest
from conftest import B, D, H, T

from numpylstm.cells import CELLS

SIZES = [  # T, B, D, H: the usual, then each size one
    pytest.param((T, B, D, H), id="usual"),
    pytest.param((1, B, D, H), id="T=1"),
    pytest.param((T, 1, D, H), id="B=1"),
    pytest.param((T, B, D, 1), id="H=1"),
    pytest.param((1, 1, 1, 1), id="all 1"),
]


def calls():
    """Yield each cell with each choice of its options, by name."""
    for cell in CELLS.values():
        options = cell.arguments(cell.options)
        choices = [option.choices or (option.default,) for option in options.values()]
        for values in itertools.product(*choices):
            chosen = dict(zip(options, values, strict=True))
            yield " ".join([cell.name, *map(str, values)]), (cell.name, chosen)


CALLS = dict(calls())
EVERY_CALL = pytest.mark.parametrize(("cell", "options"), CALLS.values(), ids=CALLS)
