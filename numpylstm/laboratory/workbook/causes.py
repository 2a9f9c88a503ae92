"""Likely causes of wrong results: the mistake in one line, or in two, that gives the same numbers.

The results of a student are compared, part by part, with those of the textbook with one line
exchanged (`numpylstm.laboratory.mistakes`). With two mistakes a part may show only one of them, so
the first wrong part counts most; parts that are right clear the lines that they use.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from numpylstm.checks import Array
from numpylstm.laboratory.doctor import lines
from numpylstm.laboratory.doctor.words import named_factor
from numpylstm.laboratory.mistakes.catalogue import mistakes_in
from numpylstm.laboratory.mistakes.record import Mistake
from numpylstm.laboratory.mistakes.rules import clippings
from numpylstm.laboratory.mistakes.source import combined, mentions
from numpylstm.laboratory.workbook.blanks import FIRST, Blank, Place, Point

Part = tuple[str, tuple[int, ...]]  # a result, and the step or the call if there are several
Parts = dict[Part, Array]
Cause = tuple[str, str]  # what is probably wrong, and the right line

MOST_PAIRS = 3000
AGREE = 1e-10
"""Largest difference between right numbers, relative to the largest of an array."""
OF_ROWS = (
    "exp of a large number, which is infinite, or a row of exp of very negative numbers, which is "
    "all 0 (subtract the maximum of each row from that row first)"
)
NOT_FINITE = {
    "s": "exp of a large number, which is infinite, and infinite / infinite (call exp with numbers "
    "up to 0 only)",
    "loss": f"{OF_ROWS}, or the logarithm of 0 or of a negative number",
    "dlogits": OF_ROWS,
}
"""Usual reasons why a result is infinite or NaN, beside those of all."""


def parts(blank: Blank, results: Mapping[str, Any], calls: int = 1) -> Parts:
    """Return the results in the order of computation: by step in a loop, by call if several."""
    if calls > 1:
        return {(n, (k,)): a[k] for k in range(calls) for n, a in results.items()}
    long = {n: a for n, a in results.items() if blank.order and np.ndim(a) == 3}
    steps = range(len(next(iter(long.values()), ())))[:: blank.order or 1]
    return {(n, (t,)): a[t] for t in steps for n, a in long.items() if t < len(a)} | {
        (n, ()): np.asarray(a) for n, a in results.items() if n not in long
    }


def distance(a: Array, b: Array) -> float:
    """Return the largest difference, relative to the largest number of b."""
    return float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-30))


def wrong_entries(a: Array, b: Array) -> Any:
    """Return True for each number that differs by more than `AGREE` of the largest.

    Unlike the doctor's measure, which is for measured slopes, it has no smallest scale: numbers
    that must be 0 must be 0.
    """
    return ~(np.abs(a - b) <= AGREE * float(np.abs(b).max(initial=0)))


def same(a: Any, b: Any) -> bool:
    """Return True if two arrays agree in every entry."""
    return np.shape(a) == np.shape(b) and not np.any(wrong_entries(np.asarray(a), b))


class Case:
    """A wrong answer at a point."""

    def __init__(
        self,
        blank: Blank,
        place: Place,
        calls: Sequence[Point],
        theirs: Mapping[str, Array],
        right: Mapping[str, Array],
    ) -> None:
        self.blank, self.place, self.calls = blank, place, calls
        self.results, self.right_results = theirs, right
        self.theirs = parts(blank, theirs, len(calls))
        self.right = parts(blank, right, len(calls))
        self.wrong = [n for n, a in self.theirs.items() if wrong_entries(a, self.right[n]).any()]
        self.clear = [n for n in self.theirs if n not in self.wrong]

    def label(self, part: Part) -> str:
        """Name a part, of several calls with the call: ``loss of batch 2``."""
        name, number = part
        if len(self.calls) == 1:
            return name
        call = self.blank.call.format(*number, **self.calls[number[0]])
        return f"{name} of {call}" if "=" not in call else f"{name} with {call}"

    def first_number(self) -> str:
        """Name the first wrong number."""
        name, step = part = self.wrong[0]
        a, b = self.theirs[part], self.right[part]
        index = np.unravel_index(np.argmax(wrong_entries(a, b)), a.shape)
        place = ", ".join(map(str, index if len(self.calls) > 1 else (*step, *index)))
        alike = [n for n in self.theirs if n[0] == name and (len(self.calls) == 1 or n == part)]
        bad = sum(wrong_entries(self.theirs[n], self.right[n]).sum() for n in alike)
        size = sum(self.right[n].size for n in alike)
        few = f"; wrong: {bad} of the {size} numbers of {name}" if size > 1 else ""
        got = f"{a[index]:.10g}"
        digits = 10 if got != f"{b[index]:.10g}" else 17
        must = f"must be {b[index]:.{digits}g}, got {a[index]:.{digits}g}"
        named = f"{name}[{place}]" if place else name
        return f"The first wrong number: {self.label(part).replace(name, named, 1)} {must}{few}."

    def of_notes(self, types: Mapping[str, str], shared: Sequence[str]) -> str:
        """Name a cause that shows in the arrays themselves: their type, their memory."""
        name, _ = self.wrong[0]
        if len(shared) == 2 and shared[0].partition("[")[0] == name:
            one, other = shared
            return (
                f"{one} and {other} are one array: what is written into it later changes both. "
                "Make a new array each time."
            )
        part, kind = self.wrong[0], types.get(name, "")
        near = distance(self.theirs[part], self.right[part]) < 0.01
        if "int" in kind or (kind and near):
            return f"{name} has the type {kind}, which loses digits; the arguments are float64."
        return ""

    def cause(self, step_is_right: bool) -> Cause:
        """Return the likeliest cause; `step_is_right` if the step that a loop calls is right."""
        first = self.wrong[0]
        if not np.isfinite(self.theirs[first]).all():
            usual = "a division by zero, or an array that is never filled"
            own = [NOT_FINITE[first[0]]] if first[0] in NOT_FINITE else []
            return f"{first[0]} is not finite. Look for {', '.join([*own, usual])}.", ""
        if max(distance(self.theirs[n], self.right[n]) for n in self.wrong) < 1e-5:
            return (
                "The numbers agree to 5 digits or more, and not to all: digits are lost (float32, "
                "a central difference), a small constant is added, such as 1e-6, or something is "
                "clipped or cut off where it hardly shows."
            ), ""
        with np.errstate(all="ignore"):
            if self.place is not FIRST:
                return self.by_clipping() or (self.place.advice, "")
            cause, complete = self.by_lines(step_is_right)
            if cause and complete:
                return cause
            return self.by_clipping() or self.by_factor() or cause or self.suspects()

    # --- mistakes of one line, and of two ---

    def _runs(self, tried: Sequence[Mistake]) -> Iterator[tuple[Mistake, Parts]]:
        """Yield the mistakes that change no right part, with their results."""
        blank, layer, (p, *_) = self.blank, self.blank.layer, self.calls
        for mistake in tried:
            try:
                if layer and mistake.function == f"{layer.kind}_step_backward":
                    f, kept = lines.backward(layer, mistake), layer.run(p)[-1]
                    results = blank.named(f(*(p[n] for n in layer.upstream), kept))
                else:
                    results = blank.results_of(blank.text.changed(*mistake.changes), self.calls)
                run = parts(blank, results, len(self.calls))
            except Exception:  # a wrong line may stop in any way
                continue
            if all(n in run and same(run[n], self.theirs[n]) for n in self.clear):
                yield mistake, run

    def _explained(self, run: Parts) -> list[Part]:
        return [n for n in self.wrong if n in run and same(run[n], self.theirs[n])]

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
        alike = [n for n in self.wrong if n[0] == self.wrong[0][0]]  # all steps of a result
        first = [(v, explained) for v, explained in found if {*alike} <= {*explained}]
        if not first or (len(self.calls) > 1 and most < len(self.wrong)):
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
        for mistake, run in sorted(possible, key=lambda found: found[0].line.kind != "sum"):
            of_loop = mistake.function == text.name and len(mistake.changes) == 1
            if of_loop and not mistake.is_rare:
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
            pair = sorted((tried[j[n]], tried[k[n]]), key=lambda m: text.lines.index(m.line))
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
        part, text = self.wrong[0], self.blank.text.lines
        (name, number), got = part, self.theirs[part]
        own = [line for line in text if name.partition("[")[0] in line.names]
        right = {n: a for (n, k), a in self.right.items() if k == number}
        for other, a in {**self._given(number), **right}.items():
            if other != name and np.shape(a) == got.shape != () and distance(got, a) < AGREE:
                alone = [] if self.blank.order else own
                return f"{name}: it is {other}.", " ".join(f"It must be {line}." for line in alone)
        if self.blank.order:
            return self._through_time(name, number), ""
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

    def _given(self, number: tuple[int, ...]) -> Point:
        """Return the arguments of a call; of a loop, those of a step."""
        call = self.calls[number[0]] if len(self.calls) > 1 else self.calls[0]
        given = {n: a for n, a in call.items() if isinstance(a, np.ndarray)}
        if not self.blank.order:
            return given
        of_step = {n: a[number] for n, a in given.items() if a.ndim == 3}
        return of_step | {n: a for n, a in given.items() if a.ndim < 3}

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
            return (
                "The first step computed is wrong already: look at its lines, at what it gets, "
                f"{given}, and at its place among the steps."
            )
        gets = "dhs[t], and what the step after it hands on, dh (or dc)" if back else "h and c"
        return (
            "The first step computed is right and a later one is wrong: look at what a later step "
            f"gets, {gets}, and from which step each array is taken."
        )

    def by_factor(self) -> Cause | None:
        """Find the factor by which each result is wrong, in each call if there are several."""
        factors: dict[Part, float] = {}
        whole = len(self.calls) == 1
        pairs = {
            part: (self.results[part[0]], self.right_results[part[0]]) if whole else (a, b)
            for (part, a), b in zip(self.theirs.items(), self.right.values(), strict=True)
        }
        if self.blank.listed and any(_is_limited(a) for a, _ in pairs.values()):
            name = self.blank.returns
            equal = "its largest entries are all equal: they are changed entry by entry"
            return f"{name}: {equal}, not by one factor for all.", ""
        for part, (a, b) in pairs.items():
            factors[part] = float((a * b).sum() / (b * b).sum())
            if distance(a, factors[part] * b) > AGREE:
                return None
        in_words = {part: named_factor(f, self.place.sizes) for part, f in factors.items()}
        if self.blank.listed:
            return self._of_clipping(in_words), ""
        said = dict.fromkeys(f"{name}: {factor}" for (name, _), factor in in_words.items())
        if len(said) > len(self.results):  # another one in each call or step
            return None
        if len(pairs) == 1 and self.theirs[self.wrong[0]].size == 1:
            return None  # one number is any other one times it
        return f"Each result is the right one times a number: {', '.join(said)}.", ""

    def _of_clipping(self, factors: Mapping[Part, str]) -> str:
        """Say with which factors a list was clipped; it must be one for all its arrays."""
        (bad, call), *_ = self.wrong
        here = {name: factor for (name, k), factor in factors.items() if k == call}
        which = self.blank.call.format(**self.calls[call[0]])
        said = ", ".join(f"{name}: {factor}" for name, factor in here.items())
        if len({*here.values()}) > 1:
            return (
                f"With {which}, each array is the right one times a number: {said}. The arrays "
                "must have one factor in common: the norm is the norm of all together."
            )
        return (
            f"With {which}, all arrays have one factor in common, as they must, but it is the "
            f"right one times {here[bad]}: look at how that factor is made."
        )


def _is_limited(a: Array) -> bool:
    top = np.abs(a).max()
    return top > 0 and int((np.abs(a) == top).sum()) > 1


def _cause(found: Sequence[Mistake], before: str = "", between: str = "") -> Cause:
    """Describe mistakes, and the right lines."""
    described = [f"{mistake.description()}." for mistake in found]
    corrected = [f"It must be {mistake.correction()}." for mistake in found]
    joint = f" {between}"
    return before + joint.join(described), joint.join(corrected)
