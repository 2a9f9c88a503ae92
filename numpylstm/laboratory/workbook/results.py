"""Results of a student's function: whatever it returned, by name and as arrays of numbers.

What it returns may be anything that unpacks: a tuple, a list, an array, an iterator, an object of
a class of its own.
"""

import numbers
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np

from numpylstm.checks import Array
from numpylstm.laboratory.workbook.arguments import Call, Step
from numpylstm.laboratory.workbook.blanks import Blank, stacked
from numpylstm.laboratory.workbook.findings import Trouble, What
from numpylstm.laboratory.workbook.outcomes import Outcome, SharedEntries
from numpylstm.laboratory.workbook.words import TROUBLES, described

Named = dict[str, Any]
"""Results of a student, by name of the result."""

MOST_NUMBERS = 10**6
MOST_ROWS = 1000
"""No result of a blank has as many."""
KINDS = {"c": "complex numbers", "U": "text", "S": "text", "b": "truth values"}


class NotGradable(Exception):
    """A function that does not return its results, or changes an argument."""

    def __init__(self, what: What, **about: Any) -> None:
        super().__init__(TROUBLES[what].format_map(about))
        self.trouble = Trouble(what, about)


# --- names ---------------------------------------------------------------------------------------


def named(blank: Blank, returned: Any, call: Call) -> Named:
    """Return what a function returned for a call, by the names of the results."""
    if returned is None:
        raise NotGradable(What.NOTHING)
    if blank.order > 0:
        return _of_sequence(blank, returned, len(call["x"]))
    if blank.listed:
        return blank.named([_parts(returned, len(call["gradients"]), What.LIST)])
    if len(blank.results) > 1:
        results = ", ".join(blank.results)
        return blank.named(_parts(returned, len(blank.results), What.RESULTS, results=results))
    return {blank.returns: _alone(returned, blank.returns)}


def _of_sequence(blank: Blank, returned: Any, T: int) -> Named:
    """Return the results of a forward loop: those of its steps over time, and the last state."""
    of_steps, hT, cT = _parts(returned, 3, What.RESULTS, results="steps, hT, cT")
    steps = [_parts(step, len(Step._fields), What.STEP) for step in _parts(of_steps, T, What.STEPS)]
    columns = [[step[k] for step in steps] for k in range(len(Step._fields))]
    return blank.named([*columns, hT, cT])


def _alone(returned: Any, result: str) -> Any:
    """Return the only result, which may be an iterator over its rows."""
    if isinstance(returned, Iterator):
        rows = [*islice(returned, MOST_ROWS + 1)]
        if len(rows) > MOST_ROWS:
            raise NotGradable(What.ENDLESS, results=result, count=MOST_ROWS)
        return rows
    if isinstance(returned, list | tuple) and isinstance(as_numbers(returned), str):
        raise NotGradable(What.ALONE, results=result, got=described(returned, returned))
    return returned


def _parts(value: Any, count: int, what: What, **about: Any) -> list[Any]:
    """Return a number of parts of anything that unpacks."""
    parts = _unpacked(value, count)
    if parts is None or len(parts) != count:
        raise NotGradable(what, count=count, got=described(value, parts), **about)
    return parts


def _unpacked(value: Any, count: int) -> list[Any] | None:
    """Return the parts of anything that unpacks, at most one too many; None for anything else."""
    if isinstance(value, str | bytes | Mapping | set):
        return None
    try:
        parts = iter(value)
    except TypeError:
        return None
    return [*islice(parts, count + 1)]


# --- numbers -------------------------------------------------------------------------------------


def as_numbers(value: Any) -> Array | str:
    """Return an array of floats, or in words what the value is."""
    try:
        array = np.asarray(value)
        if isinstance(value, np.ndarray) and type(value) is not np.ndarray:
            return f"a {type(value).__name__}, which the next function would not take for an array"
        if array.size > MOST_NUMBERS:
            return f"an array of the shape {array.shape}"
        if array.dtype == object:
            odd = [type(n).__name__ for n in array.flat if not isinstance(n, numbers.Real)]
            if odd and isinstance(value, np.ndarray):
                return f"an array of {odd[0]}"
            array = array.astype(float) if not odd else array
    except BaseException:  # lists of different lengths; any object may refuse
        return type(value).__name__
    if array.dtype.kind in "fiu":
        return array.astype(float)
    return KINDS.get(array.dtype.kind, type(value).__name__)


def outcome_of(calls: Sequence[Named]) -> Outcome:
    """Return the numbers of the results of one or several calls, with what is odd about them."""
    types = {
        type_of(name, (k,) if len(calls) > 1 else ()): _short(value)
        for k, call in enumerate(calls)
        for name, value in call.items()
    }
    return Outcome(
        {name: _stacked(name, calls) for name in calls[0]},
        types={name: kind for name, kind in types.items() if kind},
        shared=_shared(calls[0]),
    )


def type_of(result: str, call: Sequence[int]) -> str:
    """Return the key of the type of a result, or of that of one of several calls."""
    return " ".join([result, *map(str, call)])


def _stacked(name: str, calls: Sequence[Named]) -> Array | str | None:
    """Return a result of all calls as one array, or in words why there is none."""
    given = [call.get(name) for call in calls]
    values = [None if value is None else as_numbers(value) for value in given]
    arrays = [value for value in values if isinstance(value, np.ndarray)]
    if len(arrays) < len(values):
        return next(value for value in values if not isinstance(value, np.ndarray))
    if len({array.shape for array in arrays}) > 1:
        return "arrays of different shapes in different calls"
    return stacked([{name: array} for array in arrays])[name]


def _short(value: Any) -> str:
    """Return the type of an array with fewer digits than the arguments, or nothing."""
    kind = getattr(value, "dtype", None)
    if not isinstance(kind, np.dtype):  # a list, a number, an object with another idea of a type
        kind = np.dtype(int if type(value) is int else float)
    return str(kind) if kind in (np.float32, np.float16) or kind.kind in "iu" else ""


def _shared(results: Named) -> SharedEntries | None:
    """Return two entries of a result that are one array in memory."""
    for name, value in results.items():
        seen: dict[int, int] = {}
        for k, a in enumerate(value if isinstance(value, list) else []):
            if isinstance(a, np.ndarray) and a.size and a.flags.owndata:
                other = seen.setdefault(a.ctypes.data, k)
                if other != k:
                    return SharedEntries(name, other, k)
    return None


# --- comparison of two calls ----------------------------------------------------------------------


def alike(one: Outcome, other: Outcome) -> bool:
    """Return True if two outcomes are the same, but for rounding."""
    if one.trouble != other.trouble or one.results.keys() != other.results.keys():
        return False
    return all(_close(value, other.results[name]) for name, value in one.results.items())


def _close(a: Any, b: Any) -> bool:
    if not (isinstance(a, np.ndarray) and isinstance(b, np.ndarray)):
        return type(a) is type(b) and bool(a == b)
    if a.tobytes() == b.tobytes():
        return a.shape == b.shape
    largest = np.abs(a[np.isfinite(a)]).max(initial=0)
    return a.shape == b.shape and np.allclose(a, b, rtol=0, atol=1e-10 * largest, equal_nan=True)
