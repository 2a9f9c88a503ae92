"""Calls of a student's function at a place: what it returns there, or what goes wrong."""

import contextlib
import copy
import io
import linecache
import sys
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from numpylstm.laboratory.workbook.answers import Answer, functions_in
from numpylstm.laboratory.workbook.arguments import Call, beyond, copied
from numpylstm.laboratory.workbook.blanks import BLANKS, Blank
from numpylstm.laboratory.workbook.findings import Trouble, What
from numpylstm.laboratory.workbook.kept import restore_numpy
from numpylstm.laboratory.workbook.outcomes import Outcome
from numpylstm.laboratory.workbook.places import FIRST, OTHER_NUMBERS, New, Place
from numpylstm.laboratory.workbook.results import (
    Named,
    NotGradable,
    alike,
    named,
    outcome_of,
)

TIMES = {New.NOTHING: 20, New.ONES: 200}
"""Number of calls again at the first place and at the smallest: all must give the same numbers."""
LONGEST = 300
"""Number of letters of the longest message of an error."""


class Made(NamedTuple):
    """A call that was made: its arguments, what the function returned, and that by name."""

    call: Call
    returned: Any
    results: Named


def outcome_at(blank: Blank, answer: Answer, place: Place, student: str) -> Outcome:
    """Call a function at a place.

    It makes trouble if it stops, returns something else, changes its arguments, or has other
    results when it is called again.
    """
    calls = blank.calls(place, student)
    _soil_memory()
    each_print_once = sys.stdout if place is FIRST else io.StringIO()
    with contextlib.redirect_stdout(each_print_once):
        made, outcome = _called(blank, answer, calls, place.new)
    replaced = restore_numpy()
    if replaced:
        outcome.trouble = Trouble(What.REPLACES, {"name": replaced})
    if outcome.trouble is None:
        with contextlib.redirect_stdout(io.StringIO()):
            outcome.trouble = _again(blank, answer, calls, outcome, TIMES.get(place.new, 0))
            if place is FIRST and outcome.trouble is None:
                _call_all_blanks(answer, student)
                others = blank.calls(OTHER_NUMBERS, student)
                outcome.trouble = _overwritten(blank, answer, made, outcome, others) or _again(
                    blank, answer, calls, outcome, 1
                )
    return outcome


def _call_all_blanks(answer: Answer, student: str) -> None:
    """Call each blank beside an answer with other numbers; it must depend on none of them."""
    spaces = [function.__globals__ for function in functions_in(answer)]
    for name, blank in BLANKS.items():
        for part in [space[name] for space in spaces if name in space]:
            if callable(part):
                _called(blank, part, blank.calls(OTHER_NUMBERS, student))


def enter(blank: Blank, answer: Answer, place: Place, student: str) -> None:
    """Make the calls at a place, and others beyond the task, whatever comes of them."""
    calls = [call for one in blank.calls(place, student) for call in beyond(one)]
    for call in calls:
        with contextlib.redirect_stdout(io.StringIO()):
            _called(blank, answer, [call])


def _soil_memory() -> None:
    """Fill the memory that NumPy hands out next, so that an array of np.empty is not 0 by luck."""
    for size in range(1, 128):  # numbers; NumPy keeps up to seven freed arrays of each size
        freed = [np.empty(size) for _ in range(7)]
        for array in freed:
            array.fill(np.nan)


def _called(
    blank: Blank, answer: Answer, calls: Sequence[Call], new: New = New.NOTHING
) -> tuple[list[Made], Outcome]:
    """Make the calls; return them with their outcome, or none with the trouble."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            made = _made(blank, answer, calls, new)
            return made, outcome_of([one.results for one in made])
        except NotGradable as error:
            return [], Outcome(trouble=error.trouble)
        except BaseException as error:  # whatever a student's code does is an answer
            said = f"{stopped(error)}{_line(answer, error)}"
            return [], Outcome(trouble=Trouble(What.STOPPED, {"said": said}))


def _made(blank: Blank, answer: Answer, calls: Sequence[Call], new: New) -> list[Made]:
    if new is not New.ONE_ARGUMENT:
        return [_call(blank, answer, call, _copied(blank, call)) for call in calls]
    given = _copied(blank, calls[0])
    made = []
    for call in calls:  # with the same arrays, which hold other numbers
        given = {name: _written(array, call[name]) for name, array in given.items()}
        one = _call(blank, answer, call, given)
        made.append(one._replace(results=copy.deepcopy(one.results)))  # they may be views of them
    return made


def _call(blank: Blank, answer: Answer, call: Call, given: Mapping[str, Any]) -> Made:
    """Call a function with arguments that it must leave as they are."""
    returned = answer(*given.values())
    results = named(blank, returned, call)
    for name, argument in given.items():
        if not _same(call[name], argument):
            raise NotGradable(What.CHANGES, name=name)
    return Made(call, returned, results)


def _again(
    blank: Blank, answer: Answer, calls: Sequence[Call], first: Outcome, times: int
) -> Trouble | None:
    """Call a function again and again; it must give the same numbers."""
    for _ in range(times):
        if not alike(first, _called(blank, answer, calls)[1]):
            return Trouble(What.KEPT)
    return None


def _overwritten(
    blank: Blank, answer: Answer, made: Sequence[Made], first: Outcome, others: Sequence[Call]
) -> Trouble | None:
    """Call a function with other numbers; its earlier results must not change by that."""
    _called(blank, answer, others)
    later = outcome_of([_named_again(blank, one) for one in made])
    return None if alike(first, later) else Trouble(What.OVERWRITTEN)


def _named_again(blank: Blank, made: Made) -> Named:
    """Name the results once more, of lists that may have changed; an iterator has none left."""
    returned = made.returned
    if not isinstance(returned, list | tuple) or isinstance(returned[0], Iterator):
        return made.results
    try:
        return named(blank, returned, made.call)
    except NotGradable:  # it has lost some
        return {}


def called_values(blank: Blank, answer: Answer, *given: Any) -> list[Any]:
    """Call a function and return its results as arrays, in whatever they were returned."""
    call = dict(zip(blank.takes.split(), given, strict=True))
    return [np.asarray(value) for value in named(blank, answer(*given), call).values()]


# --- errors --------------------------------------------------------------------------------------


def stopped(error: BaseException) -> str:
    """Return the kind and the words of an error, as one line."""
    said = " ".join(traceback.format_exception_only(error)[-1].split())
    return said if len(said) <= LONGEST else f"{said[:LONGEST]} ..."


def _line(answer: Answer, error: BaseException) -> str:
    """Return the last line of the student's own code at which it stopped."""
    spaces = [f.__globals__ for f in functions_in(answer)]
    steps = traceback.walk_tb(error.__traceback__)
    own = [(frame, n) for frame, n in steps if any(frame.f_globals is s for s in spaces)]
    if not own:
        return ""
    frame, n = own[-1]
    text = linecache.getline(frame.f_code.co_filename, n).strip()
    return f" (line {n} of {frame.f_code.co_name}{f': {text}' if text else ''})"


# --- arguments -----------------------------------------------------------------------------------


def _copied(blank: Blank, call: Call) -> dict[str, Any]:
    """Return copies of the arguments of a call, stored as it says."""
    way = call.get("stored", "")
    return {name: copied(call[name], way) for name in blank.takes.split()}


def _written(argument: Any, value: Any) -> Any:
    """Return an argument with the numbers of another one written into it."""
    if isinstance(argument, list | tuple):
        for part, of_other in zip(argument, value, strict=True):
            _written(part, of_other)
        return argument
    if isinstance(argument, np.ndarray):
        argument[...] = value
        return argument
    return value


def _same(before: Any, after: Any) -> bool:
    if isinstance(before, list | tuple):
        kept = type(after) is type(before) and len(before) == len(after)
        return kept and all(map(_same, before, after))
    return bool(np.array_equal(before, after))
