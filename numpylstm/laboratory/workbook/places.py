"""Places: the sizes and the kinds of numbers with which every blank is called.

Each place differs from the first in one respect, so that a function that is right before and
wrong there tells what it depends on. A last few are drawn by a seed of their own each time, so
that no answer can be made for the places alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from functools import lru_cache
from types import MappingProxyType

import numpy as np


class New(Enum):
    """The one thing of a place that the places before it do not have."""

    NOTHING = "nothing"
    NUMBERS = "other numbers"
    ONE_ARGUMENT = "one argument at a time is another one"
    LAYOUT = "another order in memory"
    INTEGERS = "integers of other types"
    AXES = "another number of axes"
    SIZES = "other sizes"
    EQUAL = "equal sizes"
    ONES = "sizes of 1"
    SCALE = "the size of the gradients"
    ZERO = "gradients of zeros"
    ZEROS = "one argument at a time is all zeros, or as plain in another way"
    SMALL = "small sums"
    EXTREMES = "extreme numbers"
    DRAWN = "sizes and numbers drawn at random"
    EMPTY = "an empty array, or a single word"
    NOT_FINITE = "NaN and infinite numbers"


@dataclass(frozen=True, eq=False)
class Place:
    """Sizes and numbers with which blanks are called."""

    name: str  # among the numbers of a submission
    sizes: Mapping[str, int]
    new: New = New.NOTHING
    scale: float = 1.0  # factor of upstream gradients
    sums: float = 1.0  # factor of all numbers but the weights
    seed: int = 0  # places of the same sizes and seed have the same numbers
    axes: int = 2  # of the arrays of a function of each element

    def __str__(self) -> str:
        return ", ".join(f"{letter}={size}" for letter, size in self.sizes.items())


def _sizes(*numbers: int) -> Mapping[str, int]:
    return MappingProxyType(dict(zip("TBDHV", numbers, strict=True)))


FIRST = Place("first", _sizes(5, 3, 4, 6, 7))
OTHER_NUMBERS = replace(FIRST, name="again", new=New.NUMBERS, seed=1)
FIXED = (
    OTHER_NUMBERS,
    replace(FIRST, name="one argument", new=New.ONE_ARGUMENT),
    replace(FIRST, name="layout", new=New.LAYOUT),
    replace(FIRST, name="one axis", new=New.AXES, axes=1),
    replace(FIRST, name="three axes", new=New.AXES, axes=3),
    Place("larger", _sizes(9, 5, 7, 8, 11), New.SIZES),
    Place("rows", _sizes(1, 260, 2, 3, 6), New.SIZES),
    Place("columns", _sizes(2, 2, 260, 3, 5), New.SIZES),
    Place("units", _sizes(2, 2, 2, 40, 300), New.SIZES),
    Place("steps", _sizes(1100, 1, 1, 2, 2), New.SIZES),
    Place("equal", _sizes(6, 6, 6, 6, 6), New.EQUAL),
    Place("equal to 4 H", _sizes(8, 8, 8, 2, 8), New.EQUAL),
    Place("equal to 3 H", _sizes(6, 6, 6, 2, 6), New.EQUAL),
    Place("ones", _sizes(1, 1, 1, 1, 2), New.ONES),
    Place("integers", _sizes(5, 3, 4, 6, 300), New.INTEGERS),
    replace(FIRST, name="large", new=New.SCALE, scale=1e12, seed=1),
    replace(FIRST, name="tiny", new=New.SCALE, scale=1e-12, seed=1),
    replace(FIRST, name="vast", new=New.SCALE, scale=1e100, seed=1),
    replace(FIRST, name="minute", new=New.SCALE, scale=1e-100, seed=1),
    replace(FIRST, name="zero", new=New.ZERO, scale=0.0, seed=1),
    Place("zeros", _sizes(3, 3, 4, 2, 7), New.ZEROS, seed=1),
    replace(FIRST, name="small", new=New.SMALL, sums=1e-4, seed=1),
    replace(FIRST, name="smaller", new=New.SMALL, sums=1e-5, seed=1),
    Place("extremes", _sizes(6, 4, 5, 9, 8), New.EXTREMES),
)
BEYOND = (
    Place("no steps", _sizes(0, 3, 4, 5, 7), New.EMPTY),
    Place("no rows", _sizes(2, 0, 4, 5, 7), New.EMPTY),
    Place("one word", _sizes(2, 3, 4, 5, 1), New.EMPTY),
    Place("not finite", _sizes(2, 3, 4, 5, 7), New.NOT_FINITE),
)
"""Places beyond what a blank must handle: nothing is judged there, but a case is entered."""
DRAWN = 3
"""Number of places that a seed draws."""


OF_SOME_BLANKS = (New.INTEGERS, New.AXES)
"""News of places that only some blanks have: those with integers, or for any shape."""


@lru_cache(maxsize=32)
def places(seed: int) -> tuple[Place, ...]:
    """Return all places; the last ones are drawn with a seed.

    Their five sizes are drawn from three numbers, so that some are equal.
    """
    rng = np.random.default_rng(seed)
    drawn = []
    for k in range(DRAWN):
        sizes = _sizes(*map(int, rng.choice(rng.integers(2, 12, 3), 5)))
        scale = float(10 ** rng.uniform(-8, 8))
        drawn.append(Place(f"drawn {k}", sizes, New.DRAWN, scale, int(rng.integers(2**32))))
    return FIRST, *FIXED, *drawn
