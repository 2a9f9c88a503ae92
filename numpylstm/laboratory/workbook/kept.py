"""State of an answer: what its functions keep between calls, and what they replace in NumPy.

The numbers of a few hundred calls tell nothing about later ones if a function counts its calls, or
returns what it has kept of another one.
"""

import pickle
from collections.abc import Iterable, Iterator
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

from numpylstm.laboratory.workbook.answers import globals_of
from numpylstm.laboratory.workbook.blanks import BLANKS
from numpylstm.laboratory.workbook.cases import NAME

NUMPY = {name: value for name, value in vars(np).items() if callable(value)}
"""NumPy's functions, as they were when this module was imported."""
OF_OTHERS = ("numpy", "numba", "functools", "numpylstm")
"""Packages whose objects may keep what they compile."""


def state_of(answer: Any, functions: Iterable[FunctionType]) -> dict[str, bytes | int]:
    """Return a fingerprint of everything that an answer may change between calls, by name."""
    found: dict[str, bytes | int] = {}
    for function in functions:
        for name, value in _within_reach(function):
            if not isinstance(value, ModuleType | type | FunctionType):
                found[name] = _fingerprint(value)
    package = type(answer).__module__.partition(".")[0]
    is_function = isinstance(answer, FunctionType)  # it is among the functions
    if hasattr(answer, "__dict__") and not is_function and package not in OF_OTHERS:
        found[type(answer).__name__] = _fingerprint(vars(answer))
    return found


def _within_reach(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """Yield the globals, closures, defaults and attributes of a function, with their names."""
    for name in globals_of(function.__code__) - {NAME, *BLANKS}:
        if name in function.__globals__:
            yield name, function.__globals__[name]
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # a name that is bound later
            continue
    for value in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
        yield f"a default of {function.__name__}", value
    for name, value in vars(function).items():
        yield f"{function.__name__}.{name}", value


def _fingerprint(value: Any) -> bytes | int:
    try:
        return pickle.dumps(value)
    except Exception:  # of whatever a student made
        return id(value)


def restore_numpy() -> str:
    """Put NumPy's functions back where they were replaced; return the name of one of these."""
    replaced = [name for name, value in NUMPY.items() if getattr(np, name, None) is not value]
    for name in replaced:
        setattr(np, name, NUMPY[name])
    return f"np.{replaced[0]}" if replaced else ""
