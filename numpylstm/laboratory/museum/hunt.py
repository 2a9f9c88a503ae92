"""The blind hunt: exhibits by number, to recognise by checks and experiments."""

import numpy as np

from numpylstm.laboratory.museum.mutants import MUTANTS, exhibit
from numpylstm.laboratory.museum.patient import Case, case

_ORDER = tuple(np.random.default_rng(21).permutation(list(MUTANTS)).tolist())


def blind(number: int) -> Case:
    """Return the patient with the mistake of one exhibit, without its name.

    Parameters
    ----------
    number : int
        From 1 to the number of exhibits; the order is not that of the rooms.

    Returns
    -------
    Case
        ``f``, ``backward``, ``arrays`` and ``fixed``, as a check and the doctor take them.

    Examples
    --------
    >>> from numpylstm import museum
    >>> museum.blind(3).check().passed
    False
    >>> museum.guess(3, "dc-overwritten")
    False
    """
    return case(MUTANTS[_name(number)])


def guess(number: int, name: str) -> bool:
    """Return True if the exhibit behind a number has this name."""
    return _name(number) == exhibit("guess", name).name


def _name(number: int) -> str:
    if number not in range(1, len(_ORDER) + 1):
        raise ValueError(f"museum: number must be between 1 and {len(_ORDER)}, got {number!r}")
    return str(_ORDER[number - 1])
