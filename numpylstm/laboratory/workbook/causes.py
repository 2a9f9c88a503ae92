"""Likely causes of wrong results, as far as the numbers tell.

The mistakes in a line or two are searched by `numpylstm.laboratory.workbook.search`. Where none
gives the numbers, they may still show a factor, a wrong array, or the lines that are suspect.
"""

from collections.abc import Iterable

import numpy as np

from numpylstm.checks import Array
from numpylstm.laboratory.mistakes.source import Line, mentions
from numpylstm.laboratory.workbook.comparison import Comparison, distance
from numpylstm.laboratory.workbook.findings import Cause, Why
from numpylstm.laboratory.workbook.outcomes import SharedEntries
from numpylstm.laboratory.workbook.places import FIRST
from numpylstm.laboratory.workbook.results import type_of
from numpylstm.laboratory.workbook.search import clipped_line, wrong_lines

NEARLY = 1e-5
"""Largest difference that hardly shows, relative to the largest number of a part."""
MOST_STEPS = 30
"""Number of steps at a place up to which a search through many mistakes is quick."""


def cause_of(case: Comparison, *, step_is_right: bool) -> Cause | None:
    """Return the likeliest cause of wrong numbers.

    `step_is_right` if the step that a loop calls is right.
    """
    if not case.wrong:
        return None
    with np.errstate(all="ignore"):
        found = _of_kind(case) or _next_to_limit(case) or _of_size(case)
        if found:
            return found
        if case.place is not FIRST:
            steps = len(case.calls) * case.place.sizes["T"]
            line = clipped_line(case) if steps <= MOST_STEPS else None
            return line or _limited(case) or Cause(Why.PLACE)
        lines, complete = wrong_lines(case, step_is_right=step_is_right)
        if lines and complete:
            return lines
        return clipped_line(case) or _factors(case) or lines or _suspects(case)


# --- the numbers themselves -----------------------------------------------------------------------


def _of_kind(case: Comparison) -> Cause | None:
    """Find two entries that are one array, a type with fewer digits, and NaN."""
    part = case.wrong[0]
    result, number = part
    shared = case.outcome.shared
    if shared and shared.result == result and _is_overwritten(case, shared):
        entries = {"one": f"{result}[{shared.one}]", "other": f"{result}[{shared.other}]"}
        return Cause(Why.SHARED, entries)
    kind = case.outcome.types.get(type_of(result, number if case.several else ()), "")
    if "int" in kind or (kind and distance(case.theirs[part], case.right[part]) < 0.01):
        return Cause(Why.TYPE, {"result": result, "type": kind})
    if not np.isfinite(case.theirs[part]).all():
        return Cause(Why.NOT_FINITE, {"result": result})
    return None


def _is_overwritten(case: Comparison, shared: SharedEntries) -> bool:
    """Return True if, of two entries that are one array, the one that is computed first is wrong.

    If that is right, the other one was not computed, and a new array would be as wrong.
    """
    theirs, right = case.results[shared.result], case.right_results[shared.result]
    if case.several:
        theirs, right = theirs[0], right[0]
    first = shared.other if case.blank.order < 0 else shared.one
    exists = right.ndim > 0 and 0 <= first < len(right)  # a file may name any entry
    return exists and not case.same(theirs[first], right[first])


def _of_size(case: Comparison) -> Cause | None:
    """Find numbers that are all nearly right."""
    pairs = [(case.theirs[part], case.right[part]) for part in case.wrong]
    if not all(distance(a, b) < NEARLY for a, b in pairs):
        return None
    count = sum(int(case.wrong_entries(a, b).sum()) for a, b in pairs)
    most_are_wrong = 2 * count > sum(a.size for a, _ in pairs)
    to_three_digits = all((np.abs(a - b) <= 1e-3 * np.abs(b)).all() for a, b in pairs)
    return Cause(Why.DIGITS if most_are_wrong and to_three_digits else Why.SMALL)


def _next_to_limit(case: Comparison) -> Cause | None:
    """Find that clipping is wrong only where the limit is next to the norm."""
    if not case.blank.listed:
        return None
    wrong = {number for _, (number, *_) in case.wrong}
    norms = [np.sqrt(sum((g * g).sum() for g in call["gradients"])) for call in case.calls]
    limits = [call["max_norm"] for call in case.calls]
    far = {k for k, norm in enumerate(norms) if abs(norm - limits[k]) > 0.01 * norm}
    if wrong & far or not far:
        return None
    (_, number) = case.wrong[0]
    return Cause(Why.NEXT_TO_LIMIT, {"norm": float(norms[number[0]])} | case.of_call(number))


# --- factors -------------------------------------------------------------------------------------


def _factors(case: Comparison) -> Cause | None:
    """Find the factor by which each result is wrong, in each call if there are several."""
    if case.blank.listed:
        return _factors_of_clipping(case)
    if any(a.size == len(case.calls) for a in case.results.values()):
        return None  # one number is any other one times a number
    factors = _common_factors(case, case.results, case.right_results)
    return Cause(Why.FACTORS, {"factors": factors}) if factors else None


def _factors_of_clipping(case: Comparison) -> Cause | None:
    """Find the factor of each array in the first wrong call; it must be one for all."""
    result, number = case.wrong[0]
    theirs = {n: a for (n, k), a in case.theirs.items() if k == number}
    right = {n: a for (n, k), a in case.right.items() if k == number}
    if any(map(_is_limited, theirs.values())):
        return Cause(Why.ENTRIES, {"result": case.blank.returns})
    factors = _common_factors(case, theirs, right)
    if not factors:
        return None
    of_call = case.of_call(number)
    if not np.allclose(list(factors.values()), factors[result], rtol=1e-6):
        return Cause(Why.OWN_FACTORS, {"factors": factors} | of_call)
    return Cause(Why.ONE_FACTOR, {"factor": factors[result]} | of_call)


def _common_factors(
    case: Comparison, theirs: dict[str, Array], right: dict[str, Array]
) -> dict[str, float]:
    """Return the factor of each array, or none if one is not the right one times a number."""
    factors = {name: _factor(a, right[name]) for name, a in theirs.items()}
    for name, a in theirs.items():
        if distance(a, factors[name] * right[name]) > case.blank.agree:
            return {}
    return factors


def _factor(a: Array, b: Array) -> float:
    """Return the factor with which b comes nearest to a."""
    return float((a * b).sum() / (b * b).sum())


def _is_limited(a: Array) -> bool:
    top = np.abs(a).max()
    return top > 0 and int((np.abs(a) == top).sum()) > 1


# --- suspects ------------------------------------------------------------------------------------


def _suspects(case: Comparison) -> Cause:
    """Name what may be wrong: another array, something between the steps, or some lines."""
    found = _taken(case) or _limited(case)
    return found or (_through_time(case) if case.blank.order else _lines(case))


def _lines_of(case: Comparison, result: str) -> list[Line]:
    name = result.partition("[")[0]
    return [line for line in case.blank.text.lines if name in line.names]


def _taken(case: Comparison) -> Cause | None:
    """Find another array that was returned."""
    part = case.wrong[0]
    result, number = part
    got = case.theirs[part]
    right = {name: a for (name, k), a in case.right.items() if k == number and name != result}
    given = case.given(number)
    if result in given:
        given[f"the argument {result}"] = given.pop(result)
    for other, a in {**given, **right}.items():
        if np.shape(a) == got.shape != () and case.same(got, a):
            own = [] if case.blank.order else _lines_of(case, result)
            return Cause(Why.TAKEN, {"result": result, "other": other, "lines": own})
    return None


def _limited(case: Comparison) -> Cause | None:
    """Find a limit at which the numbers of a result are cut off."""
    part = case.wrong[0]
    got, right = case.theirs[part], case.right[part]
    bad = case.wrong_entries(got, right)
    limit = float(np.abs(got).max())
    is_round = limit > 0 and limit == float(f"{limit:.1g}")
    cut_off = np.abs(got[bad]) == limit
    beyond = np.sign(got[bad]) * right[bad] > limit
    if not (is_round or bad.sum() > 2) or not (cut_off & beyond).all():
        return None
    return Cause(Why.LIMITED, {"result": part[0], "limit": limit})


def _through_time(case: Comparison) -> Cause:
    """Name suspects in a loop: the inputs of a step, what it passes on, or its results."""
    result, step = case.wrong[0]
    first = next(iter(case.right))
    if not step:
        return Cause(Why.SUMS, {"result": result})
    if case.blank.order > 0 and result != first[0] and step == first[1]:
        return Cause(Why.KEPT, {"result": result})
    return Cause(Why.FIRST_STEP if first in case.wrong else Why.LATER_STEP)


def _lines(case: Comparison) -> Cause:
    """Name the line of the first wrong result, and those before it that nothing clears."""
    result, _ = case.wrong[0]
    text = case.blank.text.lines
    own = _lines_of(case, result)
    before = text[: text.index(own[-1])] if own else []
    open_ = _hidden(text, case.blank.results) - _cleared(case)
    used = [line for line in before if open_.intersection(line.names)]
    names = dict.fromkeys(name for line in used for name in line.names if name in open_)
    return Cause(Why.LINES, {"names": [*names, result], "lines": [*used, *own]})


def _hidden(text: Iterable[Line], results: Iterable[str]) -> set[str]:
    """Return the values that no result shows."""
    return {name for line in text for name in line.names}.difference(results)


def _cleared(case: Comparison) -> set[str]:
    """Return the values that a right result uses, so they are right."""
    text = case.blank.text.lines
    hidden = _hidden(text, case.blank.results)
    clear = {result for result, _ in case.clear}
    for line in reversed(text):
        if clear.intersection(line.names):
            clear |= {name for name in hidden if mentions(line.expression, name)}
    return clear
