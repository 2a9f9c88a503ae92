"""Grading of the workbook: blanks judged by their numbers.

A student's function is called at several places (`numpylstm.laboratory.workbook.blanks`), of other
sizes, with large and tiny upstream gradients, with forty steps and with one, with rare numbers and
in another layout; after that only its numbers count. They are compared with the textbook's. For a
wrong answer, `numpylstm.laboratory.workbook.causes` names the line that is probably wrong. If a
blank is wrong because one that it calls is, it is called again with the textbook's function in
that place. `numpylstm.laboratory.workbook.desk` grades a class.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from numpylstm.checks import Array
from numpylstm.laboratory.mistakes.record import enumeration
from numpylstm.laboratory.mistakes.source import mentions
from numpylstm.laboratory.workbook import engine
from numpylstm.laboratory.workbook.blanks import BLANKS, FIRST, OTHERS, Blank, Place
from numpylstm.laboratory.workbook.calls import (
    Answer,
    Numbers,
    as_numbers,
    called_by,
    is_empty,
    name_of,
    numbers_at_places,
    textbook_parts,
)
from numpylstm.laboratory.workbook.causes import Case, Cause

NOT_ANSWERED = "not answered yet"
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
    parts: str = ""  # which functions of the textbook it was judged with

    def __str__(self) -> str:
        diagnosis = f"{self.diagnosis} {self.correction}".strip()
        lines = [
            f"{self.name}: {self.state}.",
            self.first_wrong,
            diagnosis,
            self.parts,
            self.agreement,
        ]
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
    if name not in BLANKS:
        raise ValueError(f"judge: name must be one of {', '.join(BLANKS)}; got {name!r}")
    if numbers is None:
        return Verdict(name, NOT_ANSWERED)
    blank, states = BLANKS[name], states or {}
    parts = _said_of_parts(numbers, states)
    agreeing = 0
    for place in (FIRST, *OTHERS.values()):
        case, said = _first_wrong(blank, place, student, _numbers_at(place, numbers))
        if said:
            if place is not FIRST:
                rare = blank.rare.get(place.name) or place.rare
                at = f"{place} and {rare}" if rare else place
                said = f"It is right at the places before, but not with {at}.\n{said}"
            cause, must = _cause(case, numbers, states)
            return Verdict(name, "wrong", said, cause, must, parts=parts)
        agreeing += sum(array.size for array in case.results.values())
    agreement = f"Numbers that agree with the textbook's: {agreeing}."
    return Verdict(name, "right", agreement=agreement, parts=parts)


def _numbers_at(place: Place, numbers: Mapping[str, Any]) -> Mapping[str, Any]:
    given = numbers if place is FIRST else numbers.get(place.name)
    if isinstance(given, Mapping):
        return given
    return {"error": "The file has no numbers for this place."}


def _said_of_parts(numbers: Mapping[str, Any], states: Mapping[str, str]) -> str:
    """Say with which functions of the textbook a blank was judged, and why."""
    named = [name for name in numbers.get("parts") or () if name in BLANKS]
    if not named:
        return ""
    reasons = []
    for n in named:
        state = states.get(n, "not right")
        if state == "right":
            reasons.append(f"your {n} calls one that is not right")
        else:
            reasons.append(f"your {n} is {state}")
    why = " and ".join(reasons)
    return f"It was judged with the textbook's {enumeration(named)}, since {why}."


def _first_wrong(
    blank: Blank, place: Place, student: str, numbers: Mapping[str, Any]
) -> tuple[Case, str]:
    """Describe the first result that is wrong at a place, in the order of computation."""
    calls = blank.calls(place, student)
    right, problem = blank.right(calls), str(numbers.get("error", ""))
    theirs: dict[str, Array] = {}
    for result, answer in right.items():
        if problem:
            break
        value = numbers.get(result)
        array = as_numbers(value)
        each = answer.shape[1:] if len(calls) > 1 else answer.shape
        if value is None:
            before = "; the results before it are right" if theirs else ""
            problem = f"{result} is None: it is not answered yet{before}."
        elif isinstance(array, str):
            got = value if isinstance(value, str) else array
            problem = f"{result} must be real numbers of the shape {each}, got {got}."
        elif array.shape != answer.shape:
            got_each = array.shape[1:] if len(calls) > 1 else array.shape
            problem = f"{result} must have the shape {each}, got {got_each}."
        else:
            theirs[result] = array
    case = Case(blank, place, calls, theirs, {n: right[n] for n in theirs})
    return case, case.first_number() if case.wrong else problem


def right_at(place: Place, name: str, numbers: Mapping[str, Any], student: str) -> bool:
    """Return True if the numbers of a blank are right at a place."""
    return not _first_wrong(BLANKS[name], place, student, _numbers_at(place, numbers))[1]


def _is_right(name: str, numbers: Mapping[str, Any], student: str) -> bool:
    return all(right_at(place, name, numbers, student) for place in (FIRST, *OTHERS.values()))


def _cause(case: Case, numbers: Mapping[str, Any], states: Mapping[str, str]) -> Cause:
    """Name the blank, or the line, that is wrong, as far as the numbers tell."""
    calls, parts = numbers.get("calls") or (), numbers.get("parts") or ()
    for called in (name for name in states if name in calls and name not in parts):
        if states[called] != "right":
            advice = "correct" if states[called] == "wrong" else "answer"
            return f"It calls {called}, which is {states[called]}: {advice} that one first.", ""
    if not case.wrong:
        return "", ""
    here = _numbers_at(case.place, numbers)
    known = case.of_notes(here.get("types") or {}, here.get("shared") or [])
    if known:
        return known, ""
    said, must = case.cause(any(called.endswith("step_backward") for called in calls))
    words = case.blank.words.items() if must else ()
    glossary = (f"({word} is {what}.)" for word, what in words if mentions(said + must, word))
    return " ".join([said, *glossary]), must


# --- the workbook --------------------------------------------------------------------------------


def numbers_of(function: Answer, student: str = "") -> Numbers | None:
    """Call a student's function at the places of its blank and return its results by name.

    None if the blank is still empty; ``{"error": ...}`` if the function stops, returns something
    else, changes its arguments, or has other results when it is called again. Under the names of
    `OTHERS` are the results there, under "calls" the blanks that the function calls, and under
    "parts" those of them that are not right, for which the textbook's were called.
    """
    return _numbers_of(name_of("grade", function), function, student, ())


def _numbers_of(
    name: str, function: Answer, student: str, above: tuple[str, ...]
) -> Numbers | None:
    """Return `numbers_of`; `above` are the blanks whose parts are being tried."""
    blank = BLANKS[name]
    if is_empty(function):
        return None
    called = called_by(name, function)
    numbers = numbers_at_places(blank, function, student)
    parts: list[str] = []
    if called and not _is_right(name, numbers, student):
        for part, of_student in called.items():
            if part in above:
                continue
            below = _numbers_of(part, of_student, student, (*above, name))
            # One that is right only with the textbook's parts still calls the student's here.
            if not below or below["parts"] or not _is_right(part, below, student):
                parts.append(part)
        with textbook_parts(function, parts):
            judged = numbers_at_places(blank, function, student) if parts else numbers
        if "error" in judged:  # it may need what only the student's own returns
            parts = []
        else:
            numbers = judged
    return numbers | {"calls": [*called], "parts": parts}


def grade(function: Callable[..., Any], name: str = "") -> Verdict:
    """Grade a blank.

    Parameters
    ----------
    function : callable
        The student's function, or any other callable, under the name of its blank. One whose body
        is ``return None`` is not answered yet.
    name : str
        The name of the blank, for a function that is in no variable of that name.

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
    name = name or name_of("grade", function)
    called = called_by(name, function).items()
    states = {part: judge(part, _numbers_of(part, f, "", (name,))).state for part, f in called}
    return judge(name, _numbers_of(name, function, "", ()), "", states)


class Grader:
    """Grader like `grade` that shows the right line only from the third wrong answer on.

    With ``corrections=False`` it never shows the right line, and with ``exam=True`` it says which
    blanks are right and nothing else.
    """

    def __init__(self, *, exam: bool = False, corrections: bool = True) -> None:
        self.exam = exam
        self.corrections = corrections
        self._tries: dict[str, set[Verdict]] = {}

    def __call__(self, function: Callable[..., Any], name: str = "") -> Verdict:
        """Grade a blank."""
        verdict = grade(function, name)
        if verdict.state == "wrong":
            tries = self._tries.setdefault(verdict.name, set())
            tries.add(verdict)
            if self.exam:
                return Verdict(verdict.name, verdict.state)
            if len(tries) < TRIES or not self.corrections:
                return replace(verdict, correction="")
        return verdict


def submission(functions: Sequence[Answer], student: str = "") -> str:
    """Return the file that a student hands in: the numbers of each blank, as JSON.

    The name of the student seeds the points, so nobody else has the same numbers. If all blanks
    are answered, the numbers of `numpylstm.laboratory.workbook.engine` are among them.
    """
    mine = {name_of("submission", f): f for f in functions}
    answers = {name: _numbers_of(name, f, student, ()) for name, f in mine.items()}
    complete = mine.keys() == BLANKS.keys() and None not in answers.values()
    content = {
        "student": student,
        "answers": answers,
        "engine": engine.numbers_of(mine) if complete else None,
    }
    return json.dumps(content, default=np.ndarray.tolist)
