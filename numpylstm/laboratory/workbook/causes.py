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
from numpylstm.laboratory.mistakes.catalogue import mistakes_in
from numpylstm.laboratory.mistakes.record import Mistake
from numpylstm.laboratory.mistakes.rules import clippings
from numpylstm.laboratory.mistakes.source import combined, mentions
from numpylstm.laboratory.workbook.blanks import Blank, Point
from numpylstm.laboratory.workbook.findings import Cause, Trouble, What, Why
from numpylstm.laboratory.workbook.places import FIRST, Place

Part = tuple[str, tuple[int, ...]]  # a result, and the step or the call if there are several
Parts = dict[Part, Array]

MOST_PAIRS = 3000
NEARLY = 1e-5
"""Largest difference that hardly shows, relative to the largest number of a part."""


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


class Case:
    """Results of an answer at a place, beside those of the textbook."""

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
        self.wrong = [n for n in self.theirs if not self.same(self.theirs[n], self.right[n])]
        self.clear = [n for n in self.theirs if n not in self.wrong]

    def wrong_entries(self, a: Array, b: Array) -> Any:
        """Return True for each number that differs by too much of the largest.

        Unlike the doctor's measure, which is for measured slopes, it has no smallest scale: numbers
        that must be 0 must be 0.
        """
        return ~(np.abs(a - b) <= self.blank.agree * float(np.abs(b).max(initial=0)))

    def same(self, a: Any, b: Any) -> bool:
        """Return True if two arrays agree in every entry."""
        return np.shape(a) == np.shape(b) and not np.any(self.wrong_entries(np.asarray(a), b))

    def trouble(self) -> Trouble | None:
        """Return the first wrong number."""
        if not self.wrong:
            return None
        name, number = part = self.wrong[0]
        bad = self.wrong_entries(self.theirs[part], self.right[part])
        index = tuple(map(int, np.unravel_index(np.argmax(bad), bad.shape)))
        several = len(self.calls) > 1
        alike = [part] if several else [n for n in self.theirs if n[0] == name]
        about: dict[str, Any] = {
            "result": name,
            "index": index if several else (*number, *index),
            "must": float(self.right[part][index]) + 0.0,  # never -0
            "got": float(self.theirs[part][index]) + 0.0,
            "count": sum(
                int(self.wrong_entries(self.theirs[n], self.right[n]).sum()) for n in alike
            ),
            "size": sum(self.right[n].size for n in alike),
        }
        return Trouble(What.NUMBER, about | self._of_call(number))

    def _of_call(self, number: Sequence[int]) -> dict[str, Any]:
        """Return the number of a call and the limit or the rate in it, if there are several."""
        if len(self.calls) == 1:
            return {}
        k = number[0]
        plain = {n: v for n, v in self.calls[k].items() if isinstance(v, float)}
        return {"call": {"number": k} | plain}

    # --- causes ---

    def cause(self, step_is_right: bool, types: Mapping[str, str], shared: Sequence[str]) -> Cause:
        """Return the likeliest cause.

        `step_is_right` if the step that a loop calls is right. `types` and `shared` tell of the
        arrays themselves: short types by result, and two entries that are one array in memory.
        """
        name, _ = first = self.wrong[0]
        theirs = self.theirs[first]
        if len(shared) == 2 and shared[0].partition("[")[0] == name:
            return Cause(Why.SHARED, {"one": shared[0], "other": shared[1]})
        kind = types.get(name, "")
        if "int" in kind or (kind and distance(theirs, self.right[first]) < 0.01):
            return Cause(Why.TYPE, {"result": name, "type": kind})
        if not np.isfinite(theirs).all():
            return Cause(Why.NOT_FINITE, {"result": name})
        if all(distance(self.theirs[n], self.right[n]) < NEARLY for n in self.wrong):
            return Cause(Why.DIGITS if self._everywhere() else Why.SMALL)
        with np.errstate(all="ignore"):
            if self.place is not FIRST:
                return self._clipped() or Cause(Why.PLACE)
            found, complete = self._one_line(step_is_right)
            if found and complete:
                return found
            return self._clipped() or self._factors() or found or self._suspects()

    def _everywhere(self) -> bool:
        """Return True if most numbers are wrong, and each is nearly right."""
        pairs = [(self.theirs[n], self.right[n]) for n in self.wrong]
        count = sum(int(self.wrong_entries(a, b).sum()) for a, b in pairs)
        nearly = all((np.abs(a - b) <= 1e-3 * np.abs(b)).all() for a, b in pairs)
        return nearly and 2 * count > sum(a.size for a, _ in pairs)

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
            if all(n in run and self.same(run[n], self.theirs[n]) for n in self.clear):
                yield mistake, run

    def _explained(self, run: Parts) -> list[Part]:
        return [n for n in self.wrong if n in run and self.same(run[n], self.theirs[n])]

    def _one_line(self, step_is_right: bool) -> tuple[Cause | None, bool]:
        """Find the lines whose mistakes give the numbers; return True if they give all of them."""
        blank = self.blank
        tried = list(mistakes_in(blank.text))
        if blank.layer and not step_is_right:
            tried += mistakes_in(lines.texts(blank.layer)[0])
        possible = list(self._runs(tried))
        found = [(v, explained) for v, run in possible if (explained := self._explained(run))]
        most = max((len(explained) for _, explained in found), default=0)
        if blank.order and most < len(self.wrong) and (pair := self._two_lines(possible, most)):
            return pair, True
        alike = [n for n in self.wrong if n[0] == self.wrong[0][0]]  # all steps of a result
        first = [(v, explained) for v, explained in found if {*alike} <= {*explained}]
        if not first or (len(self.calls) > 1 and most < len(self.wrong)):
            return None, False
        longest = max(len(explained) for _, explained in first)
        best = lines.best([v for v, explained in first if len(explained) == longest])
        if len(best) > lines.MOST_LINES:
            return None, False
        return Cause(Why.LINE, mistakes=tuple(best)), most == len(self.wrong)

    def _two_lines(self, possible: Sequence[tuple[Mistake, Parts]], most: int) -> Cause | None:
        """Find two mistakes of a loop that together give more of the numbers than one does.

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
            for _, run in self._runs([Mistake(text.name, changes)]):
                if len(self._explained(run)) > most:
                    best, most = pair, len(self._explained(run))
            if most == len(self.wrong):
                break
        how_many = "Two" if most == len(self.wrong) else "At least two"
        return Cause(Why.PAIR, {"how_many": how_many}, tuple(best)) if best else None

    # --- other causes ---

    def _clipped(self) -> Cause | None:
        """Find a line that is clipped at a usual limit."""
        texts = [self.blank.text]
        texts += lines.texts(self.blank.layer)[:1] if self.blank.layer else []
        tried = [v for text in texts for v in clippings(text)]
        found = (v for v, run in self._runs(tried) if len(self._explained(run)) == len(self.wrong))
        first = next(found, None)
        return Cause(Why.LINE, mistakes=(first,)) if first else None

    def _factors(self) -> Cause | None:
        """Find the factor by which each result is wrong, in each call if there are several."""
        if self.blank.listed:
            return self._factors_of_clipping()
        factors: dict[str, float] = {}
        for name, a in self.results.items():
            b = self.right_results[name]
            if a.size == len(self.calls):  # one number is any other one times it
                return None
            factors[name] = _factor(a, b)
            if distance(a, factors[name] * b) > self.blank.agree:
                return None
        return Cause(Why.FACTORS, {"factors": factors})

    def _factors_of_clipping(self) -> Cause | None:
        """Find the factor of each array in the first wrong call; it must be one for all."""
        (bad, number), *_ = self.wrong
        here = {n: (a, self.right[n, k]) for (n, k), a in self.theirs.items() if k == number}
        if any(_is_limited(a) for a, _ in here.values()):
            return Cause(Why.ENTRIES, {"result": self.blank.returns})
        factors = {name: _factor(a, b) for name, (a, b) in here.items()}
        if any(distance(a, factors[name] * b) > self.blank.agree for name, (a, b) in here.items()):
            return None
        of_call = self._of_call(number)
        if not np.allclose(list(factors.values()), factors[bad], rtol=1e-6):
            return Cause(Why.OWN_FACTORS, {"factors": factors} | of_call)
        return Cause(Why.ONE_FACTOR, {"factor": factors[bad]} | of_call)

    def _suspects(self) -> Cause:
        """Name the lines that may be wrong: that of the first wrong result, and those before it."""
        (name, number), text = part, _ = self.wrong[0], self.blank.text.lines
        got = self.theirs[part]
        own = [line for line in text if name.partition("[")[0] in line.names]
        right = {n: a for (n, k), a in self.right.items() if k == number}
        for other, a in {**self._given(number), **right}.items():
            if other != name and np.shape(a) == got.shape != () and self.same(got, a):
                alone = [] if self.blank.order else own
                return Cause(Why.TAKEN, {"result": name, "other": other, "lines": alone})
        if self.blank.order:
            return self._through_time(name, number)
        clear = {n for n, _ in self.clear}
        hidden = {n for line in text for n in line.names} - {*self.blank.results}
        for line in reversed(text):  # what a right result uses is right
            if clear & {*line.names}:
                clear |= {n for n in hidden if mentions(line.expression, n)}
        before = text[: text.index(own[-1])] if own else []
        used = [line for line in before if hidden - clear & {*line.names}]
        names = dict.fromkeys(n for line in used for n in line.names if n in hidden - clear)
        return Cause(Why.LINES, {"names": [*names, name], "lines": [*used, *own]})

    def _given(self, number: tuple[int, ...]) -> Point:
        """Return the arguments of a call; of a loop, those of a step."""
        call = self.calls[number[0]] if len(self.calls) > 1 else self.calls[0]
        given = {n: a for n, a in call.items() if isinstance(a, np.ndarray)}
        if not self.blank.order:
            return given
        of_step = {n: a[number] for n, a in given.items() if a.ndim == 3}
        return of_step | {n: a for n, a in given.items() if a.ndim < 3}

    def _through_time(self, name: str, step: tuple[int, ...]) -> Cause:
        """Name suspects in a loop: the inputs of a step, what it passes on, or its results."""
        first = next(iter(self.right))
        if not step:
            return Cause(Why.SUMS, {"result": name})
        if self.blank.order > 0 and name != first[0] and step == first[1]:
            return Cause(Why.KEPT, {"result": name})
        return Cause(Why.FIRST_STEP if first in self.wrong else Why.LATER_STEP)


def _factor(a: Array, b: Array) -> float:
    """Return the factor with which b comes nearest to a."""
    return float((a * b).sum() / (b * b).sum())


def _is_limited(a: Array) -> bool:
    top = np.abs(a).max()
    return top > 0 and int((np.abs(a) == top).sum()) > 1
