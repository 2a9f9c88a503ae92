"""Checks that prove little: points at which some mistakes cannot be seen."""

from collections.abc import Mapping
from itertools import combinations

import numpy as np

from numpylstm.checks import Array
from numpylstm.laboratory.doctor.names import FINAL, INITIAL, last, sizes

ZERO = dict.fromkeys(("b", "bn"), "a wrong or swapped bias")
ZERO |= dict.fromkeys(INITIAL, "a factor of the state before the first step")
CONSTANT = dict.fromkeys(("weights", "mask"), "a mistake in its use cannot be seen")
CONSTANT |= dict.fromkeys(
    ("dhs", "dy", *FINAL),
    "an upstream gradient taken from the wrong place cannot be seen; draw it at random",
)


def weak_points(point: Mapping[str, Array]) -> tuple[str, ...]:
    """List what to change at a point before you believe a passed check; empty if nothing.

    Parameters
    ----------
    point : dict of name -> array
        All arguments of the function, also those that are not checked. Names as in
        `numpylstm.laboratory.doctor.names`.
    """
    warnings = []
    for path, array in point.items():
        name = last(path)
        if name in ZERO and not np.any(array):
            warnings.append(f"{path} is all zeros: {ZERO[name]} cannot be seen; draw it at random")
        elif name in CONSTANT and array.size > 1 and np.all(array == array.flat[0]):
            warnings.append(f"{path} is constant: {CONSTANT[name]}")
        elif name == "ids" and len(np.unique(array)) == array.size > 1:
            warnings.append(f"{path} has no repetition: a row's gradients are never added")
    known = sizes(point)
    for letter, what in (("T", "what passes between time steps"), ("B", "a sum over the batch")):
        if known.get(letter) == 1:
            warnings.append(f"{letter} is 1: {what} cannot be seen; use at least 3")
    for (one, size), (other, same) in combinations(known.items(), 2):
        if size == same != 1:
            warnings.append(
                f"{one} and {other} are both {size}: a swapped axis or a missing transpose has the "
                "right shape; use different sizes"
            )
    return tuple(warnings)
