"""Grading of the workbook: blanks judged by their numbers.

A student's function is called at several places (`numpylstm.laboratory.workbook.places`), the last
of them drawn at random; after that only its numbers count. They are compared with the textbook's.
For a wrong answer, `numpylstm.laboratory.workbook.causes` finds the line that is probably wrong,
and `numpylstm.laboratory.workbook.words` says so. If a blank is wrong because one that it calls is,
it is called again with the textbook's function in that place.
`numpylstm.laboratory.workbook.desk` grades a class.
"""

import json
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from numpylstm.checks import Array
from numpylstm.laboratory.workbook import engine
from numpylstm.laboratory.workbook.blanks import BLANKS, Blank
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
from numpylstm.laboratory.workbook.causes import Case
from numpylstm.laboratory.workbook.findings import Cause, Trouble, What, Why
from numpylstm.laboratory.workbook.places import FIRST, Place, others
from numpylstm.laboratory.workbook.words import NOT_ANSWERED, Verdict

TRIES = 3
"""Number of different wrong answers after which a `Grader` shows the right line."""


def new_seed() -> int:
    """Draw a seed that nobody can know beforehand."""
    return secrets.randbelow(10**6)


# --- judging -------------------------------------------------------------------------------------


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
    states = states or {}
    parts = [part for part in numbers.get("parts") or () if part in BLANKS]
    verdict = Verdict(
        name,
        "right",
        parts={part: states.get(part, "not right") for part in parts},
        seed=_seed(numbers),
    )
    agreeing = 0
    for place, here in _places(numbers):
        case, trouble = _first_wrong(BLANKS[name], place, student, here)
        if trouble:
            cause = _of_called(numbers, states) or _of_case(case, here, numbers)
            return replace(verdict, state="wrong", place=place, trouble=trouble, cause=cause)
        agreeing += sum(array.size for array in case.results.values())
    return replace(verdict, agreeing=agreeing)


def _seed(numbers: Mapping[str, Any]) -> int:
    seed = numbers.get("seed")
    return seed if isinstance(seed, int) and 0 <= seed < 2**64 else 0


def _places(numbers: Mapping[str, Any]) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    """Yield the places, each with the numbers there."""
    yield FIRST, numbers
    for place in others(_seed(numbers)):
        here = numbers.get(place.name)
        absent = {"error": {"what": What.ABSENT.value}}
        yield place, here if isinstance(here, Mapping) else absent


def _first_wrong(
    blank: Blank, place: Place, student: str, numbers: Mapping[str, Any]
) -> tuple[Case, Trouble | None]:
    """Find the first result that is wrong at a place, in the order of computation."""
    calls = blank.calls(place, student)
    right = blank.right(calls)
    trouble = _of_error(numbers["error"]) if "error" in numbers else None
    theirs: dict[str, Array] = {}
    for result, answer in right.items():
        if trouble:
            break
        value = numbers.get(result)
        array = as_numbers(value)
        several = int(len(calls) > 1)  # one in front of the shape of each
        about = {"result": result, "shape": answer.shape[several:]}
        if value is None:
            trouble = Trouble(What.OPEN, about)
        elif isinstance(array, str):
            got = value if isinstance(value, str) else array
            trouble = Trouble(What.NO_NUMBERS, about | {"got": got})
        elif array.shape != answer.shape:
            trouble = Trouble(What.SHAPE, about | {"got": array.shape[several:]})
        else:
            theirs[result] = array
    case = Case(blank, place, calls, theirs, {n: right[n] for n in theirs})
    return case, case.trouble() or trouble


def _of_error(error: Any) -> Trouble:
    """Return what is wrong with a function; a file may hold anything in its place."""
    known = {what.value: what for what in What}
    about = dict(error) if isinstance(error, Mapping) else {}
    return Trouble(known.get(str(about.pop("what", "")), What.ABSENT), about)


def right_at(place: Place, name: str, numbers: Mapping[str, Any], student: str) -> bool:
    """Return True if the numbers of a blank are right at a place."""
    here = next((here for at, here in _places(numbers) if at == place), {})
    return not _first_wrong(BLANKS[name], place, student, here)[1]


def _is_right(name: str, numbers: Mapping[str, Any], student: str) -> bool:
    places = _places(numbers)
    return not any(_first_wrong(BLANKS[name], place, student, here)[1] for place, here in places)


def _of_called(numbers: Mapping[str, Any], states: Mapping[str, str]) -> Cause | None:
    """Find a blank that the function calls and that is not right."""
    calls, parts = numbers.get("calls") or (), numbers.get("parts") or ()
    for called, state in states.items():
        if called in calls and called not in parts and state != "right":
            return Cause(Why.CALLED, {"name": called, "state": state})
    return None


def _of_case(case: Case, here: Mapping[str, Any], numbers: Mapping[str, Any]) -> Cause | None:
    """Find the line that is wrong, as far as the numbers tell."""
    if not case.wrong:
        return None
    step_is_right = any(called.endswith("step_backward") for called in numbers.get("calls") or ())
    return case.cause(step_is_right, here.get("types") or {}, here.get("shared") or [])


# --- the workbook --------------------------------------------------------------------------------


def numbers_of(function: Answer, student: str = "", seed: int = 0) -> Numbers | None:
    """Call a student's function at the places of its blank and return its results by name.

    None if the blank is still empty; what is wrong under "error" if the function stops, returns
    something else, changes its arguments, or has other results when it is called again. Under the
    names of the other places are the results there, under "seed" the seed of the drawn ones, under
    "calls" the blanks that the function calls, and under "parts" those of them that are not right,
    for which the textbook's were called.
    """
    return _numbers_of(name_of("grade", function), function, student, seed, ())


def _numbers_of(
    name: str, function: Answer, student: str, seed: int, above: tuple[str, ...]
) -> Numbers | None:
    """Return `numbers_of`; `above` are the blanks whose parts are being tried."""
    blank = BLANKS[name]
    if is_empty(function):
        return None

    def is_wrong(place: Place, numbers: Numbers) -> bool:
        return _first_wrong(blank, place, student, numbers)[1] is not None

    called = called_by(name, function)
    numbers = numbers_at_places(blank, function, student, seed, is_wrong)
    parts: list[str] = []
    if called and not _is_right(name, numbers, student):
        for part, of_student in called.items():
            if part in above:
                continue
            below = _numbers_of(part, of_student, student, seed, (*above, name))
            # One that is right only with the textbook's parts still calls the student's here.
            if not below or below["parts"] or not _is_right(part, below, student):
                parts.append(part)
        with textbook_parts(function, parts):
            judged = (
                numbers_at_places(blank, function, student, seed, is_wrong) if parts else numbers
            )
        if "error" in judged:  # it may need what only the student's own returns
            parts = []
        else:
            numbers = judged
    return numbers | {"calls": [*called], "parts": parts}


def grade(function: Callable[..., Any], name: str = "", seed: int | None = None) -> Verdict:
    """Grade a blank.

    Parameters
    ----------
    function : callable
        The student's function, or any other callable, under the name of its blank. One whose body
        is ``return None`` is not answered yet.
    name : str
        The name of the blank, for a function that is in no variable of that name.
    seed : int, optional
        The seed of the places that are drawn at random; the verdict names it. By default another
        one each time.

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
    seed = new_seed() if seed is None else seed
    called = called_by(name, function).items()
    states = {p: judge(p, _numbers_of(p, f, "", seed, (name,))).state for p, f in called}
    return judge(name, _numbers_of(name, function, "", seed, ()), "", states)


class Grader:
    """Grader like `grade` that shows the right line only from the third wrong answer on.

    With ``corrections=False`` it never shows the right line, and with ``exam=True`` it says which
    blanks are right and nothing else. All its places drawn at random have one seed.
    """

    def __init__(
        self, *, exam: bool = False, corrections: bool = True, seed: int | None = None
    ) -> None:
        self.exam = exam
        self.corrections = corrections
        self.seed = new_seed() if seed is None else seed
        self._tries: dict[str, set[str]] = {}

    def __call__(self, function: Callable[..., Any], name: str = "") -> Verdict:
        """Grade a blank."""
        verdict = grade(function, name, self.seed)
        if verdict.state != "wrong":
            return verdict
        if self.exam:
            return Verdict(verdict.name, verdict.state)
        tries = self._tries.setdefault(verdict.name, set())
        tries.add(repr((verdict.place, verdict.trouble)))  # data, where NaN equals itself
        return replace(verdict, corrected=self.corrections and len(tries) >= TRIES)


def submission(functions: Sequence[Answer], student: str = "", seed: int | None = None) -> str:
    """Return the file that a student hands in: the numbers of each blank, as JSON.

    The name of the student seeds the points, so nobody else has the same numbers. If all blanks
    are answered, the losses of `numpylstm.laboratory.workbook.engine` are among them, and the
    functions that are right at all places but not in the engine.
    """
    seed = new_seed() if seed is None else seed
    mine = {name_of("submission", f): f for f in functions}
    answers = {name: _numbers_of(name, f, student, seed, ()) for name, f in mine.items()}
    complete = mine.keys() == BLANKS.keys() and None not in answers.values()
    content: dict[str, Any] = {
        "student": student,
        "answers": answers,
        "engine": None,
    }
    if complete:
        losses = engine.numbers_of(mine)
        right = {n: f for n, f in mine.items() if _is_right(n, answers[n] or {}, student)}
        guilty = engine.guilty(right) if engine.first_wrong(losses) else []
        content["engine"] = losses | {"guilty": guilty}
    return json.dumps(content, default=np.ndarray.tolist)
