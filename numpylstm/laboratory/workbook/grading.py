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
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from numpylstm.laboratory.workbook import cases, engine
from numpylstm.laboratory.workbook.answers import (
    Answer,
    called_by,
    is_empty,
    name_of,
    plain_functions,
    textbook_parts,
)
from numpylstm.laboratory.workbook.blanks import BLANKS
from numpylstm.laboratory.workbook.calls import enter, outcome_at
from numpylstm.laboratory.workbook.causes import cause_of
from numpylstm.laboratory.workbook.comparison import Comparison
from numpylstm.laboratory.workbook.findings import Cause, Trouble, What, Why
from numpylstm.laboratory.workbook.kept import restore_numpy, state_of
from numpylstm.laboratory.workbook.outcomes import Outcome, Outcomes
from numpylstm.laboratory.workbook.places import BEYOND, FIRST, New
from numpylstm.laboratory.workbook.words import NOT_ANSWERED, UNPROVED, Verdict

TRIES = 3
"""Number of different wrong answers after which a `Grader` shows the right line."""


def new_seed() -> int:
    """Draw a seed that nobody can know beforehand."""
    return secrets.randbelow(10**6)


# --- judging -------------------------------------------------------------------------------------


def judge(
    name: str,
    outcomes: Outcomes | None,
    student: str = "",
    states: Mapping[str, str] | None = None,
) -> Verdict:
    """Judge a blank by its numbers alone.

    Parameters
    ----------
    name : str
        A key of `BLANKS`.
    outcomes : Outcomes or None
        What `outcomes_of` returns.
    student : str
        The name that seeds the arguments.
    states : dict of name -> str, optional
        The states of the blanks that the function calls.
    """
    if name not in BLANKS:
        raise ValueError(f"judge: name must be one of {', '.join(BLANKS)}; got {name!r}")
    if outcomes is None:
        return Verdict(name, NOT_ANSWERED)
    known = states or {}
    parts = {part: known.get(part, "not right") for part in outcomes.parts if part in BLANKS}
    verdict = Verdict(name, "right", parts=parts, seed=outcomes.seed)
    agreeing = 0
    for case in comparisons(name, outcomes, student):
        if case.trouble:
            step_is_right = any(called.endswith("step_backward") for called in outcomes.calls)
            cause = _of_called(outcomes, known) or cause_of(case, step_is_right=step_is_right)
            state = NOT_ANSWERED if case.trouble.what is What.OPEN else "wrong"
            return replace(
                verdict, state=state, place=case.place, trouble=case.trouble, cause=cause
            )
        agreeing += sum(array.size for array in case.results.values())
    state = UNPROVED if outcomes.unproved else "right"
    return replace(verdict, state=state, agreeing=agreeing, unproved=outcomes.unproved)


def comparisons(name: str, outcomes: Outcomes, student: str) -> Iterator[Comparison]:
    """Yield the comparison with the textbook at each place."""
    absent = Outcome(trouble=Trouble(What.ABSENT))
    for place in BLANKS[name].places(outcomes.seed):
        yield Comparison(BLANKS[name], place, student, outcomes.at.get(place.name, absent))


def _is_right(name: str, outcomes: Outcomes, student: str) -> bool:
    return not any(case.trouble for case in comparisons(name, outcomes, student))


def _of_called(outcomes: Outcomes, states: Mapping[str, str]) -> Cause | None:
    """Find a blank that the function calls and that is not right."""
    for name, state in states.items():
        if (
            name in outcomes.calls
            and name not in outcomes.parts
            and state in ("wrong", NOT_ANSWERED)
        ):
            return Cause(Why.CALLED, {"name": name, "state": state})
    return None


# --- the workbook --------------------------------------------------------------------------------


def outcomes_of(function: Answer, student: str = "", seed: int = 0) -> Outcomes | None:
    """Call a student's function at the places of its blank, up to the first where it is wrong.

    None if the blank is still empty. If blanks that the function calls are not right, the
    textbook's are called in their place.
    """
    return _outcomes(name_of("grade", function), function, student, seed, ())


def _outcomes(
    name: str, function: Answer, student: str, seed: int, above: tuple[str, ...]
) -> Outcomes | None:
    """Return `outcomes_of`; `above` are the blanks whose parts are being tried."""
    if is_empty(function):
        return None
    called = called_by(name, function)
    outcomes = _called_at_places(name, function, student, seed)
    outcomes.calls = [*called]
    if _is_right(name, outcomes, student):
        return outcomes
    parts = []
    for part, own in called.items():
        if part not in above:
            below = _outcomes(part, own, student, seed, (*above, name))
            # One that is right only with the textbook's parts still calls the student's here.
            if below is None or below.parts or not _is_right(part, below, student):
                parts.append(part)
    if parts:
        outcomes = _with_parts(name, function, student, outcomes, parts)
    for part in called:  # it may be wrong where its own places do not look
        if not _is_right(name, outcomes, student) and part not in (*parts, *above):
            judged = _with_parts(name, function, student, outcomes, [*parts, part])
            outcomes = judged if _is_right(name, judged, student) else outcomes
    return outcomes


def _with_parts(
    name: str, function: Answer, student: str, own: Outcomes, parts: list[str]
) -> Outcomes:
    """Call a function with the textbook's parts; return its own outcomes if it needs its own."""
    with textbook_parts(function, parts):
        judged = _called_at_places(name, function, student, own.seed)
    if judged.at[FIRST.name].trouble:  # it may need what only the student's own returns
        return own
    return replace(judged, calls=own.calls, parts=parts)


def _called_at_places(name: str, function: Answer, student: str, seed: int) -> Outcomes:
    outcomes = Outcomes(seed)
    own = plain_functions(function)
    before = state_of(function, own)
    with cases.noted(own) as notes:
        for place in BLANKS[name].places(seed):
            outcome = outcome_at(BLANKS[name], function, place, student)
            outcomes.at[place.name] = outcome
            if Comparison(BLANKS[name], place, student, outcome).trouble:
                break
        else:
            for place in BEYOND:
                notes.words = cases.NOT_FINITE if place.new is New.NOT_FINITE else ("",)
                enter(BLANKS[name], function, place, student)
            outcomes.unproved = [*notes.unproved(own), *_kept(before, state_of(function, own))]
    return outcomes


def _kept(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return what a function has changed between its calls."""
    return [{"kept": name} for name in after if after[name] != before.get(name)]


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
    replaced = restore_numpy()
    if replaced:
        return Verdict(name, "wrong", trouble=Trouble(What.REPLACES, {"name": replaced}))
    seed = new_seed() if seed is None else seed
    called = called_by(name, function).items()
    states = {p: judge(p, _outcomes(p, f, "", seed, (name,))).state for p, f in called}
    return judge(name, _outcomes(name, function, "", seed, ()), "", states)


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
    restore_numpy()
    mine = {name_of("submission", f): f for f in functions}
    outcomes = {name: _outcomes(name, f, student, seed, ()) for name, f in mine.items()}
    answered = {name: found for name, found in outcomes.items() if found is not None}
    content: dict[str, Any] = {
        "student": student,
        "answers": {name: found and asdict(found) for name, found in outcomes.items()},
        "engine": None,
    }
    if answered.keys() == BLANKS.keys():
        losses = engine.numbers_of(mine)
        guilty: list[str] = []
        if engine.first_wrong(losses):
            right = {n: mine[n] for n, found in answered.items() if _is_right(n, found, student)}
            guilty = engine.guilty(right)
        content["engine"] = losses | {"guilty": guilty}
    return json.dumps(content, default=np.ndarray.tolist)
