"""Grading of the workbook: blanks judged by their numbers.

A student's function is called at four places (`numpylstm.laboratory.workbook.blanks`), of other
sizes, with large upstream gradients, with forty steps and with one; after that only its numbers
count. They are compared with the textbook's. For a wrong answer,
`numpylstm.laboratory.workbook.causes` names the line that is probably wrong.
`numpylstm.laboratory.workbook.desk` grades a class.
"""

import copy
import dis
import json
import linecache
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import CodeType, FunctionType
from typing import Any

import numpy as np

from numpylstm.checks import Array
from numpylstm.laboratory.mistakes.source import mentions
from numpylstm.laboratory.workbook.blanks import BLANKS, FIRST, OF_STEP, OTHERS, Blank, Place
from numpylstm.laboratory.workbook.causes import Case, Cause

Numbers = dict[str, Any]  # name of a result -> array, or what the student returned for it

NOT_ANSWERED = "not answered yet"
NO_NUMBERS = "no numbers"
AT_ONE_PLACE = (
    "Look for a size or another argument that is written as a number, and for something that is "
    "clipped, cut off, squeezed or kept from 0 by a constant."
)
TRIES = 3
"""Number of different wrong answers after which a `Grader` shows the right line."""


# --- judging -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Verdict:
    """Verdict on a blank; ``print(verdict)`` shows it as sentences."""

    name: str
    state: str  # "right", "wrong" or "not answered yet"
    first_wrong: str = ""
    diagnosis: str = ""
    correction: str = ""
    agreement: str = ""

    def __str__(self) -> str:
        diagnosis = f"{self.diagnosis} {self.correction}".strip()
        lines = [f"{self.name}: {self.state}.", self.first_wrong, diagnosis, self.agreement]
        return "\n".join(line for line in lines if line)


def judge(
    name: str,
    numbers: Mapping[str, Any] | None,
    student: str = "",
    states: Mapping[str, str] | None = None,
) -> Verdict:
    """Judge a blank by its numbers alone.

    Parameters
    ----------
    name : str
        A key of `BLANKS`.
    numbers : dict of name -> array or nested list, or None
        What `numbers_of` returns.
    student : str
        The name that seeds the points.
    states : dict of name -> str, optional
        The states of the blanks that the function calls.
    """
    blank = _blank("judge", name)
    if numbers is None:
        return Verdict(name, NOT_ANSWERED)
    agreeing = 0
    for where, place in {"": FIRST, **OTHERS}.items():
        given = numbers.get(where) if where else numbers
        case, said = _first_wrong(
            blank, place, student, given if isinstance(given, Mapping) else {}
        )
        if said:
            if where:
                edge = blank.edge if place.edge else "larger gradients" if place.large > 1 else ""
                at = f"{place} and {edge}" if edge else place
                said = f"It is right at one point, but not with {at}.\n{said}"
            return Verdict(name, "wrong", said, *_cause(case, numbers, states or {}))
        agreeing += sum(array.size for array in case.results.values())
    return Verdict(name, "right", agreement=f"Numbers that agree with the textbook's: {agreeing}.")


def _first_wrong(
    blank: Blank, place: Place, student: str, numbers: Mapping[str, Any]
) -> tuple[Case, str]:
    """Describe the first result that is wrong at a place, in the order of computation."""
    p = blank.point(place, student)
    right, problem = blank.right(p), str(numbers.get("error", ""))
    theirs: dict[str, Array] = {}
    for result, answer in right.items():
        if problem:
            break
        shape, value = answer.shape, numbers.get(result)
        array = _array(value)
        if value is None:
            before = "; the results before it are right" if theirs else ""
            problem = f"{result} is None: it is not answered yet{before}."
        elif array is None or array.shape != shape:
            got = NO_NUMBERS if array is None else array.shape
            problem = f"{result} must have the shape {shape}, got {got}."
        else:
            theirs[result] = array
    case = Case(blank, place, p, theirs, {n: right[n] for n in theirs})
    return case, case.first_number() if case.wrong else problem


def _array(value: Any) -> Array | None:
    """Return an array of floats, or None if the value is no such array."""
    try:
        return np.asarray(value, dtype=float)
    except (TypeError, ValueError, OverflowError):
        return None


def _cause(case: Case, numbers: Mapping[str, Any], states: Mapping[str, str]) -> Cause:
    """Name the blank, or the line, that is wrong, as far as the numbers tell."""
    calls = [name for name in states if name in (numbers.get("calls") or ())]
    for called in calls:
        if states[called] != "right":
            advice = "correct" if states[called] == "wrong" else "answer"
            return f"It calls {called}, which is {states[called]}: {advice} that one first.", ""
    if not case.wrong:
        return "", ""
    if case.place is not FIRST:
        with np.errstate(all="ignore"):
            return case.by_clipping() or (AT_ONE_PLACE, "")
    said, must = case.cause(any(called.endswith("step_backward") for called in calls))
    words = case.blank.words.items()
    known = (f"({word} is {what}.)" for word, what in words if mentions(said + must, word))
    return " ".join([said, *known]), must


# --- the workbook --------------------------------------------------------------------------------


def numbers_of(function: Callable[..., Any], student: str = "") -> Numbers | None:
    """Call a student's function at the points of its blank and return its results by name.

    None if the blank is still empty; ``{"error": ...}`` if the function raises, returns something
    else, changes its arguments, or has other results when it is called again. Under the names of
    `OTHERS` are the results there, and under "calls" the blanks that the function calls.
    """
    own = written(function)
    if not isinstance(own, FunctionType):
        raise TypeError(f"grade: the answer must be a function, got {type(own).__name__}")
    name = own.__name__
    blank = _blank("grade", name)
    if own.__code__.co_code == (lambda: None).__code__.co_code:
        return None  # the compiled body of every function that only returns None
    numbers = _numbers_twice(blank, function, student)
    if "error" not in numbers:
        for where, place in OTHERS.items():
            numbers[where] = _numbers_at(blank, function, blank.given(place, student))
    return numbers | {"calls": list(_called(own))}


def written(function: Any) -> Any:
    """Return the function that a student wrote, under ``@njit`` or ``@np.vectorize``."""
    return getattr(function, "py_func", getattr(function, "pyfunc", function))


def _numbers_twice(blank: Blank, function: Callable[..., Any], student: str) -> Numbers:
    """Return the results at the first point, if further calls there and elsewhere keep them."""
    given = blank.given(FIRST, student)
    first = _numbers_at(blank, function, given)
    kept = _as_text(first)
    _numbers_at(blank, function, blank.given(FIRST, f"{student} again"))
    if _as_text(first) != kept:
        said = "the next call overwrites it; make a new array in each call."
        return {"error": f"What it returned changes later: {said}"}
    if "error" not in first and _as_text(_numbers_at(blank, function, given)) != kept:
        said = "something lives between two calls, such as a global array or a default argument."
        return {"error": f"Called again with the same arguments it returns other numbers: {said}"}
    return first


def _as_text(value: Any) -> str:
    """Return numbers, arrays, and lists and dicts of them, as JSON, in which NaN equals NaN."""

    def as_list(value: Any) -> Any:
        array = _array(value)
        return NO_NUMBERS if array is None else array.tolist()

    return json.dumps(value, default=as_list, skipkeys=True)


def _blank(where: str, name: str) -> Blank:
    if name not in BLANKS:
        hint = "; write def sigmoid(a):" if name == "<lambda>" else ""
        raise ValueError(
            f"{where}: the function must be one of {', '.join(BLANKS)}; got {name!r}{hint}"
        )
    return BLANKS[name]


def _called(function: FunctionType) -> dict[str, Callable[..., Any]]:
    """Return the blanks that a function calls."""
    scope, names = function.__globals__, _globals_of(function.__code__) - {function.__name__}
    return {
        name: scope[name]
        for name in BLANKS
        if name in names and isinstance(written(scope.get(name)), FunctionType)
    }


def _globals_of(code: CodeType) -> set[str]:
    """Return the global names that a function reads; ``np.clip`` is not ``clip``."""
    read = {i.argval for i in dis.get_instructions(code) if i.opname == "LOAD_GLOBAL"}
    return read.union(*(_globals_of(c) for c in code.co_consts if isinstance(c, CodeType)))


class _NotGradable(Exception):
    """A function that does not return its results, or changes an argument."""


def _numbers_at(blank: Blank, function: Callable[..., Any], given: list[list[Any]]) -> Numbers:
    """Return the results of the calls by name, stacked if there are several; or the error."""
    with np.errstate(all="ignore"):
        try:
            calls = [_call(blank, function, arguments) for arguments in given]
            if len(calls) == 1:
                return calls[0]
            return {n: np.stack([call[n] for call in calls]) for n in calls[0]}
        except _NotGradable as error:
            return {"error": str(error)}
        except Exception as error:  # whatever a student's code does is an answer
            steps = traceback.walk_tb(error.__traceback__)
            own = [(frame, n) for frame, n in steps if frame.f_globals is function.__globals__]
            where = ""
            for frame, n in own[-1:]:
                text = linecache.getline(frame.f_code.co_filename, n).strip()
                where = f" (line {n} of {frame.f_code.co_name}{f': {text}' if text else ''})"
            return {"error": f"It stopped: {type(error).__name__}: {error}{where}"}


def _call(blank: Blank, function: Callable[..., Any], given: list[Any]) -> Numbers:
    own = copy.deepcopy(given)
    returned = function(*own)
    if returned is None:
        raise _NotGradable("It returns None: is a return missing?")
    numbers = _named(blank, returned)
    for name, before, after in zip(blank.takes.split(), given, own, strict=True):
        if _as_text(before) != _as_text(after):
            raise _NotGradable(
                f"It changes its argument {name}: += and *= write into the caller's array."
            )
    return numbers


def _named(blank: Blank, returned: Any) -> Numbers:
    values = _listed(returned) if len(blank.results) > 1 else [returned]
    if blank.order > 0 and values is not None:  # steps, of seven results each
        if len(values) != 3:
            raise _NotGradable("It must return steps, hT, cT.")
        steps = [_listed(step) or () for step in _listed(values[0]) or ()]
        if not steps or any(len(step) != len(OF_STEP) for step in steps):
            raise _NotGradable(f"Each of the steps must hold {', '.join(OF_STEP)}.")
        values = [*map(np.stack, zip(*steps, strict=True)), *values[1:]]
    if values is None or len(values) != len(blank.results):
        raise _NotGradable(f"It must return {', '.join(blank.results)}.")
    return dict(zip(blank.results, values, strict=True))


def _listed(value: Any) -> list[Any] | None:
    """Return the parts of a list, a tuple or an array with an axis; None for anything else."""
    parted = isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim)
    return list(value) if parted else None


def grade(function: Callable[..., Any]) -> Verdict:
    """Grade a blank.

    Parameters
    ----------
    function : callable
        The student's function, under the name of its blank. One whose body is ``return None`` is
        not answered yet.

    Examples
    --------
    >>> from numpylstm import grading
    >>> def sigmoid_slope(s):
    ...     return 1 - s
    >>> print(grading.grade(sigmoid_slope))  # doctest: +ELLIPSIS
    sigmoid_slope: wrong.
    The first wrong number: ds[0, 0] must be ...
    ds: the factor s is missing. It must be ds = s * (1 - s).
    """
    numbers, own = numbers_of(function), written(function)
    called = _called(own).items()
    states = {name: judge(name, numbers_of(f)).state for name, f in called}
    return judge(own.__name__, numbers, "", states)


class Grader:
    """Grader like `grade` that shows the right line only from the third wrong answer on.

    With ``corrections=False`` it never shows the right line, and with ``exam=True`` it says which
    blanks are right and nothing else.
    """

    def __init__(self, *, exam: bool = False, corrections: bool = True) -> None:
        self.exam = exam
        self.corrections = corrections
        self._tries: dict[str, set[Verdict]] = {}

    def __call__(self, function: Callable[..., Any]) -> Verdict:
        """Grade a blank."""
        verdict = grade(function)
        if verdict.state == "wrong":
            tries = self._tries.setdefault(verdict.name, set())
            tries.add(verdict)
            if self.exam:
                return Verdict(verdict.name, verdict.state)
            if len(tries) < TRIES or not self.corrections:
                return replace(verdict, correction="")
        return verdict


def submission(functions: Sequence[Callable[..., Any]], student: str = "") -> str:
    """Return the file that a student hands in: the numbers of each blank, as JSON.

    The name of the student seeds the points, so nobody else has the same numbers.
    """
    answers = {written(f).__name__: numbers_of(f, student) for f in functions}
    return _as_text({"student": student, "answers": answers})
