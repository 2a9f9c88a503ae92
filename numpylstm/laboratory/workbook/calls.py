"""Calls of a student's function, and what it returns: numbers by name, or what went wrong.

An answer is any callable under the name of its blank: a function, a lambda, a
`functools.partial`, an object with ``__call__``, a function under a decorator. What it returns may
be anything that unpacks.
"""

import contextlib
import copy
import dis
import functools
import io
import linecache
import numbers
import sys
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from types import CodeType, FrameType, FunctionType
from typing import Any

import numpy as np

from numpylstm.checks import Array
from numpylstm.laboratory.workbook.blanks import (
    BLANKS,
    OF_STEP,
    Blank,
    Point,
    Step,
    stacked,
)
from numpylstm.laboratory.workbook.findings import What
from numpylstm.laboratory.workbook.places import FIRST, New, Place, others
from numpylstm.laboratory.workbook.words import TROUBLES, described

Numbers = dict[str, Any]  # name of a result -> array, or in words what stands in its place
Answer = Callable[..., Any]

Leaves = dict[str, Any]  # name of a result -> what the student returned for it
Call = tuple[Point, Any, Leaves]  # the arguments, what was returned, and that by name

TIMES, MANY_TIMES = 20, 200
"""Numbers of calls at the first place, and at the smallest one: all must give the same numbers."""
MOST_NUMBERS, MOST_ROWS = 10**6, 1000
"""No result of a blank has as many."""
LONGEST = 300
"""Number of letters of the longest message of an error."""


# --- the function --------------------------------------------------------------------------------


def name_of(where: str, answer: Any) -> str:
    """Return the name of the blank that an answer fills: its own, or that of its variable."""
    if not callable(answer):
        got = type(answer).__name__
        raise TypeError(f"{where}: the answer must be a function, got {got}")
    own = functions_in(answer)
    name = own[0].__name__ if own else getattr(answer, "__name__", type(answer).__name__)
    spaces = [*(f.__globals__ for f in own), *_callers(sys._getframe(1))]
    bound = [n for space in spaces for n in BLANKS if space.get(n) is answer]
    if name in BLANKS and (isinstance(answer, FunctionType) or not bound):
        return name
    if not bound:
        raise ValueError(
            f"{where}: the function must be one of {', '.join(BLANKS)}; got {name!r}, and "
            "no variable of these names holds it"
        )
    return bound[0]


def _callers(frame: FrameType | None) -> Iterator[Mapping[str, Any]]:
    while frame is not None:
        yield from (frame.f_locals, frame.f_globals)
        frame = frame.f_back


def functions_in(answer: Any) -> list[FunctionType]:
    """Return the Python functions of an answer: its own, and those that it wraps."""
    found: list[FunctionType] = []
    waiting = [answer]
    while waiting:
        part = waiting.pop(0)
        if isinstance(part, FunctionType):
            if part in found:
                continue
            found.append(part)
            waiting += [cell.cell_contents for cell in part.__closure__ or () if _filled(cell)]
        elif isinstance(part, functools.partial):
            waiting.append(part.func)
        elif wrapped := [
            getattr(part, name)
            for name in ("py_func", "pyfunc", "__wrapped__", "__func__")  # of Numba, np.vectorize
            if hasattr(part, name)
        ]:
            waiting += wrapped
        elif part is answer and callable(part):
            waiting.append(type(part).__call__)
    return found


def _filled(cell: Any) -> bool:
    try:
        return callable(cell.cell_contents)
    except ValueError:  # a name that is bound later
        return False


def is_empty(answer: Any) -> bool:
    """Return True for a function that only returns None."""
    body = (lambda: None).__code__.co_code  # compiled
    function = getattr(answer, "py_func", getattr(answer, "pyfunc", answer))
    return isinstance(function, FunctionType) and function.__code__.co_code == body


def called_by(own: str, answer: Any) -> dict[str, Answer]:
    """Return the blanks that an answer to one calls, itself or through helpers beside it."""
    called: dict[str, Answer] = {}
    seen: list[FunctionType] = []
    waiting = functions_in(answer)
    while waiting:
        function = waiting.pop(0)
        if function in seen:
            continue
        seen.append(function)
        scope = function.__globals__
        for name in _globals_of(function.__code__):
            part: Any = scope.get(name)
            if name in BLANKS and name != own and functions_in(part):
                called[name] = part
            elif name not in BLANKS and isinstance(part, FunctionType):
                waiting += [part] if part.__globals__ is scope else []
    return {name: called[name] for name in BLANKS if name in called}


def _globals_of(code: CodeType) -> set[str]:
    """Return the global names that a function reads; ``np.clip`` is not ``clip``."""
    read = {i.argval for i in dis.get_instructions(code) if i.opname == "LOAD_GLOBAL"}
    return read.union(*(_globals_of(c) for c in code.co_consts if isinstance(c, CodeType)))


@contextlib.contextmanager
def textbook_parts(answer: Any, names: Iterable[str]) -> Iterator[None]:
    """Put the textbook's functions in the place of blanks that an answer calls."""
    names, scopes = list(names), [f.__globals__ for f in functions_in(answer)]
    kept = [(scope, name, scope[name]) for scope in scopes for name in names if name in scope]
    try:
        for scope, name, _ in kept:
            scope[name] = BLANKS[name].part
        yield
    finally:
        for scope, name, own in kept:
            scope[name] = own


# --- its calls -----------------------------------------------------------------------------------


class NotGradable(Exception):
    """A function that does not return its results, or changes an argument."""

    def __init__(self, what: What, **about: Any) -> None:
        super().__init__(TROUBLES[what].format_map(about))
        self.error = {"what": what.value, **about}


def numbers_at_places(
    blank: Blank, answer: Any, student: str, seed: int, is_wrong: Callable[[Place, Numbers], bool]
) -> Numbers:
    """Call a function at all places, up to the first where it is wrong; return results by name.

    Those at the first place, and under the names of the other places those there. Under "error" is
    what is wrong if the function stops, returns something else, changes its arguments, or has
    other results when it is called again.
    """
    another, *more = others(seed)
    _soil_memory()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        calls = blank.calls(FIRST, student)
        kept, first = _at(blank, answer, calls)
        numbers: Numbers = {"seed": seed, **first}
        with contextlib.redirect_stdout(io.StringIO()):  # each print of the student once
            if "error" not in first:
                numbers |= _again(blank, answer, calls, first, TIMES) or _changed(
                    blank, answer, kept, first, blank.calls(another, student)
                )
            if is_wrong(FIRST, numbers):
                return numbers
            for place in (another, *more):
                calls = blank.calls(place, student)
                _, there = _at(blank, answer, calls, strided=place.new is New.LAYOUT)
                if place.new is New.ONES and "error" not in there:
                    there |= _again(blank, answer, calls, there, MANY_TIMES)
                numbers[place.name] = there
                if is_wrong(place, there):
                    return numbers
    return numbers


def _soil_memory() -> None:
    """Fill the memory that NumPy hands out next, so that an array of np.empty is not 0 by luck."""
    for size in range(1, 128):  # numbers; NumPy keeps up to seven freed arrays of each size
        del [np.full(size, np.nan) for _ in range(7)][:]


def _again(
    blank: Blank, answer: Any, calls: Sequence[Point], numbers: Numbers, times: int
) -> Numbers:
    """Call a function again; return an error if the numbers are others, or nothing."""
    for _ in range(times):
        if not _alike(numbers, _at(blank, answer, calls)[1]):
            return {"error": {"what": What.KEPT.value}}
    return {}


def _changed(
    blank: Blank, answer: Any, kept: Sequence[Call], numbers: Numbers, calls: Sequence[Point]
) -> Numbers:
    """Call a function with other numbers; return an error if its earlier results change by that."""
    _at(blank, answer, calls)
    later = _numbers(blank, [_later(blank, *call) for call in kept])
    return {} if _alike(numbers, later) else {"error": {"what": What.OVERWRITTEN.value}}


def _at(
    blank: Blank, answer: Any, calls: Sequence[Point], *, strided: bool = False
) -> tuple[list[Call], Numbers]:
    """Return the calls with their results, and the numbers; or none, and the error."""
    with np.errstate(all="ignore"):
        try:
            made = [(p, *called(blank, answer, p, strided)) for p in calls]
            return made, _numbers(blank, [leaves for _, _, leaves in made])
        except NotGradable as error:
            return [], {"error": error.error}
        except BaseException as error:  # whatever a student's code does is an answer
            said = f"{stopped(error)}{_line(answer, error)}"
            return [], {"error": {"what": What.STOPPED.value, "said": said}}


def stopped(error: BaseException) -> str:
    """Return the kind and the words of an error, as one line."""
    said = " ".join(traceback.format_exception_only(error)[-1].split())
    return said if len(said) <= LONGEST else f"{said[:LONGEST]} ..."


def _line(answer: Any, error: BaseException) -> str:
    spaces = [f.__globals__ for f in functions_in(answer)]
    steps = traceback.walk_tb(error.__traceback__)
    own = [(frame, n) for frame, n in steps if any(frame.f_globals is s for s in spaces)]
    if not own:
        return ""
    frame, n = own[-1]
    text = linecache.getline(frame.f_code.co_filename, n).strip()
    return f" (line {n} of {frame.f_code.co_name}{f': {text}' if text else ''})"


def called(blank: Blank, answer: Any, p: Point, strided: bool = False) -> tuple[Any, Leaves]:
    """Call a function with copies of its arguments; return what it returns, and that by name."""
    given = [_copied(p[name], strided) for name in blank.takes.split()]
    returned = answer(*given)
    leaves = _named(blank, returned, p)
    for name, own in zip(blank.takes.split(), given, strict=True):
        if not _same(p[name], own):
            raise NotGradable(What.CHANGES, name=name)
    return returned, leaves


def _later(blank: Blank, p: Point, returned: Any, leaves: Leaves) -> Leaves:
    """Return the results once more, of lists that may have changed; an iterator has none left."""
    if not isinstance(returned, list | tuple) or isinstance(returned[0], Iterator):
        return leaves
    try:
        return _named(blank, returned, p)
    except NotGradable:  # it has lost some
        return {}


def called_values(blank: Blank, answer: Any, *given: Any) -> list[Any]:
    """Call a function and return its results as arrays, in whatever they were returned."""
    p = dict(zip(blank.takes.split(), given, strict=True))
    return [np.asarray(value) for value in _named(blank, answer(*given), p).values()]


def _copied(value: Any, strided: bool) -> Any:
    """Return a copy of an argument, in another layout if asked."""
    if isinstance(value, Step):
        return Step(*(_copied(array, strided) for array in value))
    if isinstance(value, list):
        return [_copied(part, strided) for part in value]
    if not isinstance(value, np.ndarray):
        return copy.deepcopy(value)
    if not strided:
        return value.copy(order="C")
    if value.ndim % 2 == 0:  # matrices
        return np.asfortranarray(value)
    wide = np.zeros((*value.shape[:-1], 2 * value.shape[-1]), value.dtype)
    wide[..., ::2] = value
    return wide[..., ::2]


def _same(before: Any, after: Any) -> bool:
    if isinstance(before, list | tuple):
        kept = type(after) is type(before) and len(before) == len(after)
        return kept and all(map(_same, before, after))
    return bool(np.array_equal(before, after))


# --- its results ---------------------------------------------------------------------------------


def _named(blank: Blank, returned: Any, p: Point) -> Leaves:
    """Return what a function returned, by the names of the results."""
    if returned is None:
        raise NotGradable(What.NOTHING)
    if blank.order > 0:
        return _of_sequence(blank, returned, p)
    if blank.listed:
        count = len(p["gradients"])
        return blank.named([_parts(returned, count, What.LIST)])
    if len(blank.results) > 1:
        results = ", ".join(blank.results)
        return blank.named(_parts(returned, len(blank.results), What.RESULTS, results=results))
    if isinstance(returned, Iterator):
        returned = [*islice(returned, MOST_ROWS + 1)]
        if len(returned) > MOST_ROWS:
            raise NotGradable(What.ENDLESS, results=blank.returns, count=MOST_ROWS)
    elif isinstance(returned, list | tuple) and isinstance(as_numbers(returned), str):
        got = described(returned, returned)
        raise NotGradable(What.ALONE, results=blank.returns, got=got)
    return {blank.returns: returned}


def _of_sequence(blank: Blank, returned: Any, p: Point) -> Leaves:
    """Return the results of a forward loop: those of its steps, and the last state."""
    of_steps, *last = _parts(returned, 3, What.RESULTS, results="steps, hT, cT")
    T = len(p["x"])
    steps = _parts(of_steps, T, What.STEPS)
    rows = [_parts(step, len(OF_STEP), What.STEP) for step in steps]
    columns = map(list, zip(*rows, strict=True))
    return blank.named([*columns, *last])


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


NOTES = ("types", "shared")
"""Names beside those of the results: of short floats, and of entries that are one array."""
KINDS = {"c": "complex numbers", "U": "text", "S": "text", "b": "truth values"}


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


def _numbers(blank: Blank, leaves: Sequence[Leaves]) -> Numbers:
    """Return the numbers of the results; of short numbers and arrays in common a note."""
    calls = [{n: None if a is None else as_numbers(a) for n, a in own.items()} for own in leaves]
    found: Numbers = {}
    for name in calls[0]:
        values = [call.get(name) for call in calls]
        odd = [value for value in values if not isinstance(value, np.ndarray)]
        shapes = {np.shape(value) for value in values if isinstance(value, np.ndarray)}
        if odd or len(shapes) > 1:
            found[name] = odd[0] if odd else "arrays of different shapes in different calls"
        else:
            found |= stacked([{name: value} for value in values])
    short = {n: kind for own in leaves for n, a in own.items() if (kind := _short(a))}
    shared = _shared(leaves[0])
    return found | ({"types": short} if short else {}) | ({"shared": shared} if shared else {})


def _short(value: Any) -> str:
    """Return the type of an array with fewer digits than the arguments."""
    kind = getattr(value, "dtype", np.dtype(int if type(value) is int else float))
    return str(kind) if kind in (np.float32, np.float16) or kind.kind in "iu" else ""


def _shared(leaves: Leaves) -> list[str]:
    """Return two entries of a result that are one array in memory."""
    for name, value in leaves.items():
        seen: dict[int, int] = {}
        for k, a in enumerate(value if isinstance(value, list) else []):
            if isinstance(a, np.ndarray) and a.size and a.flags.owndata:
                other = seen.setdefault(a.ctypes.data, k)
                if other != k:
                    return [f"{name}[{other}]", f"{name}[{k}]"]
    return []


def _alike(one: Numbers, other: Numbers) -> bool:
    """Return True if results are the same, but for rounding."""
    if one.keys() != other.keys():
        return False
    return all(_close(a, other[n]) for n, a in one.items() if n not in NOTES)


def _close(a: Any, b: Any) -> bool:
    if not (isinstance(a, np.ndarray) and isinstance(b, np.ndarray)):
        return type(a) is type(b) and bool(a == b)
    if a.tobytes() == b.tobytes():
        return a.shape == b.shape
    largest = np.abs(a[np.isfinite(a)]).max(initial=0)
    return a.shape == b.shape and np.allclose(a, b, rtol=0, atol=1e-10 * largest, equal_nan=True)
