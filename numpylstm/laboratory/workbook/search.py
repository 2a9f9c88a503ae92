"""Search for mistakes that give a student's numbers: in one line, or in two lines of a loop.

The results are compared with those of the textbook with one line exchanged
(`numpylstm.laboratory.mistakes`). With two mistakes a part may show only one of them, so the first
wrong part counts most; parts that are right clear the lines that they use.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from numpylstm.laboratory.doctor import lines
from numpylstm.laboratory.mistakes.catalogue import mistakes_in
from numpylstm.laboratory.mistakes.record import Mistake
from numpylstm.laboratory.mistakes.rules import clippings
from numpylstm.laboratory.mistakes.source import Text, combined
from numpylstm.laboratory.workbook.blanks import Blank
from numpylstm.laboratory.workbook.comparison import Comparison, Part, Parts
from numpylstm.laboratory.workbook.findings import Cause, Why

MOST_PAIRS = 3000


@dataclass
class TriedMistake:
    """A mistake that leaves all right parts right, with its results."""

    case: Comparison
    mistake: Mistake
    results: Parts

    def gives(self, part: Part) -> bool:
        """Return True if a part is the student's."""
        return part in self.results and self.case.same(self.results[part], self.case.theirs[part])

    @cached_property
    def explained(self) -> list[Part]:
        """The wrong parts that it gives."""
        return [part for part in self.case.wrong if self.gives(part)]


def _runs(case: Comparison, tried: Iterable[Mistake]) -> Iterator[TriedMistake]:
    """Yield the mistakes that leave all right parts right."""
    for mistake in tried:
        try:
            run = TriedMistake(case, mistake, case.parts(_results_with(mistake, case)))
        except Exception:  # a wrong line may stop in any way
            continue
        if all(map(run.gives, case.clear)):
            yield run


def _results_with(mistake: Mistake, case: Comparison) -> dict[str, Any]:
    """Return the results of the textbook with a mistake in it, or in the step that it calls."""
    blank = case.blank
    layer = blank.layer
    if layer is None or mistake.function == blank.text.name:
        return blank.results_of(blank.text.changed(*mistake.changes), case.calls)
    (p,) = case.calls
    return blank.named(lines.backward(layer, mistake)(*layer.run(p)))


def _texts(blank: Blank, *, step_is_right: bool) -> list[Text]:
    """Return the lines of a blank, and those of the step that it calls if that may be wrong."""
    if blank.layer is None or blank.order >= 0 or step_is_right:
        return [blank.text]
    return [blank.text, lines.texts(blank.layer)[0]]


# --- one line ------------------------------------------------------------------------------------


def wrong_lines(case: Comparison, *, step_is_right: bool) -> tuple[Cause | None, bool]:
    """Find the lines whose mistakes give the numbers; return True if they give all of them."""
    texts = _texts(case.blank, step_is_right=step_is_right)
    runs = list(_runs(case, (mistake for text in texts for mistake in mistakes_in(text))))
    most = max((len(run.explained) for run in runs), default=0)
    complete = most == len(case.wrong)
    if case.blank.order and not complete:
        pair = _two_lines(case, runs)
        if pair:
            return pair, True
    result, _ = case.wrong[0]
    of_result = {part for part in case.wrong if part[0] == result}  # all steps of it
    fitting = [run for run in runs if of_result.issubset(run.explained)]
    if not fitting or (case.several and not complete):
        return None, False
    longest = max(len(run.explained) for run in fitting)
    best = lines.best([run.mistake for run in fitting if len(run.explained) == longest])
    if len(best) > lines.MOST_LINES:
        return None, False
    return Cause(Why.LINE, mistakes=(tuple(best),)), complete


def clipped_line(case: Comparison) -> Cause | None:
    """Find a line that is clipped at a usual limit."""
    texts = _texts(case.blank, step_is_right=False)
    for run in _runs(case, (mistake for text in texts for mistake in clippings(text))):
        if len(run.explained) == len(case.wrong):
            return Cause(Why.LINE, mistakes=((run.mistake,),))
    return None


# --- two lines -----------------------------------------------------------------------------------

Alike = list[TriedMistake]
"""Mistakes that give the same numbers."""


def _two_lines(case: Comparison, runs: Sequence[TriedMistake]) -> Cause | None:
    """Find two mistakes of a loop that together give all of the numbers.

    Two that give some of them more than one does are no finding: the mistake may be a third.
    """
    text = case.blank.text
    for pair in _nearest_pairs(case, _different(case, runs)):
        one, other = sorted(pair, key=lambda alike: text.lines.index(alike[0].mistake.line))
        both = Mistake(text.name, combined(one[0].mistake.changes[0], other[0].mistake.changes[0]))
        alternatives = _likeliest(one), _likeliest(other)
        for run in _runs(case, [both]):
            if len(run.explained) == len(case.wrong) and all(alternatives):
                return Cause(Why.PAIR, mistakes=alternatives)
    return None


def _likeliest(alike: Alike) -> tuple[Mistake, ...]:
    """Return the most common of mistakes that give the same numbers, or none if many do."""
    best = lines.best([run.mistake for run in alike])
    return tuple(best) if len(best) <= lines.MOST_LINES else ()


def _different(case: Comparison, runs: Sequence[TriedMistake]) -> list[Alike]:
    """Return the usual mistakes of the loop itself, those with the same results together."""
    found: dict[bytes, Alike] = {}
    for run in sorted(runs, key=lambda run: run.mistake.line.kind != "sum"):
        mistake = run.mistake
        of_loop = mistake.function == case.blank.text.name and len(mistake.changes) == 1
        if of_loop and not mistake.is_rare:
            result = b"".join(np.round(array, 9).tobytes() for array in run.results.values())
            found.setdefault(result, []).append(run)
    return list(found.values())


def _nearest_pairs(case: Comparison, different: Sequence[Alike]) -> Iterator[tuple[Alike, Alike]]:
    """Yield pairs of mistakes, the likeliest first.

    On the first wrong part the effects of two mistakes nearly add up, unless one hides the other.
    """
    if len(different) < 2:
        return
    runs = [alike[0] for alike in different]
    part = case.wrong[0]
    right = case.right[part]
    effects = np.array(
        [np.ravel(_array_like(right, run.results.get(part)) - right) for run in runs]
    )
    rest = np.ravel(case.theirs[part] - right) - effects
    alone = np.abs(rest).max(axis=1)
    together = np.array([np.abs(left - effects).max(axis=1) for left in rest])
    misfit = np.minimum(together, np.minimum(alone[:, None], alone))
    ranks = np.array([lines.rank(run.mistake) for run in runs])
    j, k = np.triu_indices(len(runs), 1)
    for n in np.lexsort((ranks[j] + ranks[k], misfit[j, k].round(9)))[:MOST_PAIRS]:
        yield different[j[n]], different[k[n]]


def _array_like(right: Any, given: Any) -> Any:
    """Return an array of the right shape: the given one, or else the right one."""
    return given if np.shape(given) == np.shape(right) else right
