"""Likely causes of wrong results: the mistake in one line, or in two, that gives the same numbers.

The results of a student are compared, part by part, with those of the textbook with one line
exchanged (`numpylstm.laboratory.mistakes`). With two mistakes a part may show only one of them, so
the first wrong part counts most; parts that are right clear the lines that they use.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from numpylstm.checks import Array
from numpylstm.laboratory.doctor import lines
from numpylstm.laboratory.doctor.reasoning import named_factor
from numpylstm.laboratory.mistakes.catalogue import mistakes_in
from numpylstm.laboratory.mistakes.record import Mistake
from numpylstm.laboratory.mistakes.rules import clippings
from numpylstm.laboratory.mistakes.source import combined, mentions
from numpylstm.laboratory.workbook.blanks import Blank, Place, Point

Part = tuple[str, tuple[int, ...]]  # a result, and the step if it has a time axis
Parts = dict[Part, Array]
Cause = tuple[str, str]  # what is probably wrong, and the right line

MOST_PAIRS = 3000
OF_ROWS = (
    "exp of a large number is infinite, and a whole row of exp of very negative numbers is 0; "
    "subtract the maximum of each row from that row first."
)
NOT_FINITE = {
    "s": "exp of a large number is infinite, and infinite / infinite is not a number; call exp "
    "with numbers up to 0 only.",
    "loss": OF_ROWS,
    "dlogits": OF_ROWS,
}
"""Advice for a result that is infinite or NaN."""
ODD = re.compile("squared|1 - |sigmoid|tanh of|gate [ifgo]|columns|block|multiplied|divided")
"""Words of mistakes that are too rare to be looked for beside another one."""


def parts(blank: Blank, results: Mapping[str, Any]) -> Parts:
    """Return the results in the order of computation, those of a loop step by step."""
    long = {n: a for n, a in results.items() if blank.order and np.ndim(a) == 3}
    steps = range(len(next(iter(long.values()), ())))[:: blank.order or 1]
    return {(n, (t,)): a[t] for t in steps for n, a in long.items() if t < len(a)} | {
        (n, ()): np.asarray(a) for n, a in results.items() if n not in long
    }


def distance(a: Array, b: Array) -> float:
    """Return the largest difference, relative to the largest number of b."""
    return float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-12))


class Case:
    """A wrong answer at a point."""

    def __init__(
        self,
        blank: Blank,
        place: Place,
        p: Point,
        theirs: Mapping[str, Array],
        right: Mapping[str, Array],
    ) -> None:
        self.blank, self.place, self.p = blank, place, p
        self.results, self.right_results = theirs, right
        self.theirs, self.right = parts(blank, theirs), parts(blank, right)
        self.wrong = [n for n, a in self.theirs.items() if lines.wrong(a, self.right[n]).any()]
        self.clear = [n for n in self.theirs if n not in self.wrong]

    def first_number(self) -> str:
        """Name the first wrong number."""
        name, step = part = self.wrong[0]
        a, b = self.theirs[part], self.right[part]
        index = np.unravel_index(np.argmax(lines.wrong(a, b)), a.shape)
        place = ", ".join(map(str, (*step, *index)))
        bad = lines.wrong(self.results[name], self.right_results[name])
        few = f"; wrong: {bad.sum()} of the {bad.size} numbers of {name}" if bad.size > 1 else ""
        must = f"must be {b[index]:.10g}, got {a[index]:.10g}"
        return f"The first wrong number: {name}{f'[{place}]' if place else ''} {must}{few}."

    def cause(self, step_is_right: bool) -> Cause:
        """Return the likeliest cause; `step_is_right` if the step that a loop calls is right."""
        bad = next((n for n, array in self.results.items() if not np.isfinite(array).all()), "")
        if bad:
            usual = "look for a division by zero, or an array never filled."
            return f"{bad} is not finite: {NOT_FINITE.get(bad, usual)}", ""
        if max(distance(self.theirs[n], self.right[n]) for n in self.wrong) < 1e-5:
            return (
                "The numbers agree to 5 digits or more, and not to 9: digits are lost (float32, "
                "a central difference), or a small constant is added, such as 1e-6."
            ), ""
        with np.errstate(all="ignore"):
            cause, complete = self.by_lines(step_is_right)
            if cause and complete:
                return cause
            return self.by_clipping() or self.by_factor() or cause or self.suspects()

    # --- mistakes of one line, and of two ---

    def _runs(self, tried: Sequence[Mistake]) -> Iterator[tuple[Mistake, Parts]]:
        """Yield the mistakes that change no right part, with their results."""
        blank, layer = self.blank, self.blank.layer
        for mistake in tried:
            try:
                if layer and mistake.function == f"{layer.kind}_step_backward":
                    f = lines.backward(layer, mistake)
                    arguments = [*(self.p[n] for n in layer.upstream), self.p["kept"]]
                else:
                    f, arguments = blank.text.changed(*mistake.changes), blank.arguments(self.p)
                run = parts(self.blank, dict(zip(self.blank.results, f(*arguments), strict=False)))
            except Exception:  # a wrong line may stop in any way
                continue
            if all(n in run and lines.same(run[n], self.theirs[n]) for n in self.clear):
                yield mistake, run

    def _explained(self, run: Parts) -> list[Part]:
        return [n for n in self.wrong if n in run and lines.same(run[n], self.theirs[n])]

    def by_lines(self, step_is_right: bool) -> tuple[Cause | None, bool]:
        """Name the lines whose mistakes give the numbers; return True if they give all of them."""
        blank = self.blank
        tried = list(mistakes_in(blank.text))
        if blank.layer and not step_is_right:
            tried += mistakes_in(lines.texts(blank.layer)[0])
        possible = list(self._runs(tried))
        found = [(v, explained) for v, run in possible if (explained := self._explained(run))]
        most = max((len(explained) for _, explained in found), default=0)
        if blank.order and most < len(self.wrong) and (pair := self._pair(possible, most)):
            return pair, True
        first = [(v, explained) for v, explained in found if explained[0] == self.wrong[0]]
        if not first or (blank.each and most < len(self.wrong)):
            return None, False
        longest = max(len(explained) for _, explained in first)
        best = lines.best([v for v, explained in first if len(explained) == longest])
        if len(best) > lines.MOST_LINES:
            return None, False
        return _cause(best, "", "Or else: "), most == len(self.wrong)

    def _pair(self, possible: Sequence[tuple[Mistake, Parts]], most: int) -> Cause | None:
        """Name two mistakes of a loop that together give more of the numbers than one does.

        On the first wrong part the effects of two mistakes nearly add up, unless one hides the
        other, so the pairs that come nearest are tried.
        """
        part, text = self.wrong[0], self.blank.text
        right, got = self.right[part], self.theirs[part]
        usual: dict[bytes, tuple[Mistake, Array]] = {}  # with its effect; one for each result
        for mistake, run in possible:
            of_loop = mistake.function == text.name and len(mistake.changes) == 1
            if of_loop and not ODD.search(mistake.words):
                result = b"".join(np.round(array, 9).tobytes() for array in run.values())
                given = run.get(part, right)
                effect = given - right if np.shape(given) == right.shape else 0 * right
                usual.setdefault(result, (mistake, np.ravel(effect)))
        if len(usual) < 2:
            return None
        tried = [mistake for mistake, _ in usual.values()]
        effects = np.array([effect for _, effect in usual.values()])
        rest = np.ravel(got - right) - effects
        alone = np.abs(rest).max(axis=1)
        together = np.array([np.abs(r - effects).max(axis=1) for r in rest])
        misfit = np.minimum(together, np.minimum(alone[:, None], alone))
        ranks = np.array([lines.rank(mistake) for mistake in tried])
        j, k = np.triu_indices(len(tried), 1)
        best = None
        for n in np.lexsort((ranks[j] + ranks[k], misfit[j, k].round(9)))[:MOST_PAIRS]:
            pair = [tried[j[n]], tried[k[n]]]
            changes = combined(pair[0].changes[0], pair[1].changes[0])
            for _, run in self._runs([Mistake(text.name, changes, "")]):
                if len(self._explained(run)) > most:
                    best, most = pair, len(self._explained(run))
            if most == len(self.wrong):
                break
        count = "Two" if most == len(self.wrong) else "At least two"
        return _cause(best, f"{count} mistakes. ") if best else None

    # --- other causes ---

    def by_clipping(self) -> Cause | None:
        """Name a line that is clipped at a usual limit."""
        texts = [self.blank.text]
        texts += lines.texts(self.blank.layer)[:1] if self.blank.layer else []
        tried = [v for text in texts for v in clippings(text)]
        found = [v for v, run in self._runs(tried) if len(self._explained(run)) == len(self.wrong)]
        return _cause(found[:1]) if found else None

    def suspects(self) -> Cause:
        """Name the lines that may be wrong: that of the first wrong result, and those before it."""
        (name, step), text, got = self.wrong[0], self.blank.text.lines, self.theirs[self.wrong[0]]
        own = [line for line in text if name in line.names]
        for other, a in {**self.p, **self.right_results}.items():
            alike = isinstance(a, np.ndarray) and () != a.shape == self.results[name].shape
            if alike and other != name and distance(got, a[step]) < lines.AGREE:
                return f"{name}: it is {other}.", " ".join(f"It must be {line}." for line in own)
        if self.blank.order:
            return self._through_time(name, step), ""
        clear = {n for n, _ in self.clear}
        hidden = {n for line in text for n in line.names} - {*self.blank.results}
        for line in reversed(text):  # what a right result uses is right
            if clear & {*line.names}:
                clear |= {n for n in hidden if mentions(line.expression, n)}
        before = text[: text.index(own[-1])] if own else []
        used = [line for line in before if hidden - clear & {*line.names}]
        names = dict.fromkeys(n for line in used for n in line.names if n in hidden - clear)
        where = f"{', '.join(names)} or {name}" if names else name
        what = "the grader cannot tell what is wrong there; all lines before are right"
        must = dict.fromkeys(f"It must be {line}." for line in [*used, *own])
        return f"{where}: {what}.", " ".join(must)

    def _through_time(self, name: str, step: tuple[int, ...]) -> str:
        """Name suspects in a loop: the inputs of a step, what it passes on, or its results."""
        back, first = self.blank.order < 0, next(iter(self.right))
        if not step:
            alone = {"dWx": ", and at x", "dWh": ", and at h_prev"}.get(name, "")
            return f"{name}: the steps are right; look at how it is made of their parts{alone}."
        if not back and name != first[0] and step == first[1]:
            return f"{name}: the results before it are right; look at what is kept of a step."
        if first in self.wrong:
            given = "dhs, dhT (and dcT), and the arrays of that step" if back else "x, h0 and c0"
            return f"The first step computed is wrong already: look at what it gets, {given}."
        return (
            "The first step computed is right and a later one is wrong: look at what a step hands "
            f"on ({'dh or dc' if back else 'h or c'}), and from which step each array is taken."
        )

    def by_factor(self) -> Cause | None:
        """Find the factor by which each result is wrong, at each limit if there are several."""
        each = self.blank.each
        limits = [f" at {each} {v:.3g}" for v in self.p[each]] if each else [""]
        pairs = {
            n + at: (a[k], self.right_results[n][k]) if at else (a, self.right_results[n])
            for (k, at), (n, a) in product(enumerate(limits), self.results.items())
        }
        tops = [(np.abs(a) == np.abs(a).max()).sum() for a, _ in pairs.values()]
        if each and max(tops) > 1:
            name = self.blank.results[0]
            return f"{name}: its largest entries are all equal, it is limited entry by entry.", ""
        found = []
        for name, (a, b) in pairs.items():
            factor = float((a * b).sum() / (b * b).sum())
            named = named_factor(factor, self.place.sizes)
            found.append(f"{name}: {named}")
            odd = a.size == 1 and named == f"{factor:.6g}"  # one number is any other one times it
            if odd or distance(a, factor * b) > lines.AGREE:
                return None
        more = " The arrays must have one factor in common: the norm is the norm of all together."
        said = f"Each result is the right one times a number: {', '.join(found)}."
        return said + more * bool(each), ""


def _cause(found: Sequence[Mistake], before: str = "", between: str = "") -> Cause:
    """Describe mistakes, and the right lines."""
    said = f" {between}".join(f"{mistake.said}." for mistake in found)
    return before + said, f" {between}".join(f"It must {mistake.must}." for mistake in found)
