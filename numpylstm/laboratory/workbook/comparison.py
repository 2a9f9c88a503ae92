"""Comparison of a student's results at a place with the textbook's, part by part.

The parts are in the order of computation: by step in a loop, by call if there are several.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from numpylstm.checks import Array
from numpylstm.laboratory.workbook.arguments import Call
from numpylstm.laboratory.workbook.blanks import Blank
from numpylstm.laboratory.workbook.findings import Trouble, What
from numpylstm.laboratory.workbook.outcomes import Outcome
from numpylstm.laboratory.workbook.places import Place
from numpylstm.laboratory.workbook.results import as_numbers

Part = tuple[str, tuple[int, ...]]
"""A result, and the step or the call if there are several."""
Parts = dict[Part, Array]


class Comparison:
    """Results of a function at a place, beside those of the textbook."""

    def __init__(self, blank: Blank, place: Place, student: str, outcome: Outcome) -> None:
        self.blank = blank
        self.place = place
        self.outcome = outcome
        self.calls = blank.calls(place, student)
        right = blank.right(place, student)
        self.results, trouble = self._read(right)
        self.right_results = {name: right[name] for name in self.results}
        self.theirs = self.parts(self.results)
        self.right = self.parts(self.right_results)
        alike = {name for name in self.results if self._is_alike(name)}
        doubtful = [part for part in self.theirs if part[0] not in alike]
        self.wrong = [n for n in doubtful if not self.same(self.theirs[n], self.right[n])]
        self.clear = [n for n in self.theirs if n[0] in alike or n not in self.wrong]
        self.trouble = self._first_wrong() if self.wrong else trouble

    def _is_alike(self, name: str) -> bool:
        """Return True if all parts of a result agree, without a look at each."""
        a, b = self.results[name], self.right_results[name]
        in_parts = self.several or (self.blank.order and a.ndim == 3)
        if self.blank.by_row or not in_parts or not b.size:
            return self.same(a, b)
        smallest = np.abs(b).reshape(len(b), -1).max(axis=1).min()
        return bool((np.abs(a - b) <= self.blank.agree * smallest).all())

    def _read(self, right: Mapping[str, Array]) -> tuple[dict[str, Array], Trouble | None]:
        """Return the results up to the first that is no array of the right shape, and why not."""
        results: dict[str, Array] = {}
        if self.outcome.trouble:
            return results, self.outcome.trouble
        for name, answer in right.items():
            value = self.outcome.results.get(name)
            array = as_numbers(value)
            shape = self._of_one_call(answer)
            about: dict[str, Any] = {"result": name, "shape": shape}
            if value is None:
                return results, Trouble(What.OPEN, about)
            if isinstance(array, str):
                about["got"] = value if isinstance(value, str) else array
                return results, Trouble(What.NO_NUMBERS, about)
            if array.shape != answer.shape:
                about["got"] = self._of_one_call(array)
                return results, Trouble(What.SHAPE, about)
            results[name] = array
        return results, None

    def _of_one_call(self, array: Array) -> tuple[int, ...]:
        """Return the shape of a result, without the axis of several calls."""
        return array.shape[int(self.several) :]

    @property
    def several(self) -> bool:
        """True if the function is called several times at the place."""
        return len(self.calls) > 1

    def parts(self, results: Mapping[str, Any]) -> Parts:
        """Return results in the order of computation."""
        if self.several:
            count = len(self.calls)
            return {(name, (k,)): a[k] for k in range(count) for name, a in results.items()}
        order = self.blank.order
        through_time = {name: a for name, a in results.items() if order and np.ndim(a) == 3}
        T = max(map(len, through_time.values()), default=0)
        found: Parts = {
            (name, (t,)): a[t]
            for t in range(T)[:: order or 1]
            for name, a in through_time.items()
            if t < len(a)
        }
        found |= {(n, ()): np.asarray(a) for n, a in results.items() if n not in through_time}
        return found

    def wrong_entries(self, a: Array, b: Array) -> Any:
        """Return True for each number that differs by too much of the largest one.

        Unlike the doctor's measure, which is for measured slopes, it has no smallest scale: numbers
        that must be 0 must be 0.
        """
        by_row = self.blank.by_row and b.ndim > 0
        largest = np.abs(b).max(axis=-1 if by_row else None, keepdims=by_row, initial=0)
        return ~(np.abs(a - b) <= self.blank.agree * largest)

    def same(self, a: Any, b: Any) -> bool:
        """Return True if two arrays agree in every entry."""
        return np.shape(a) == np.shape(b) and not self.wrong_entries(np.asarray(a), b).any()

    def _first_wrong(self) -> Trouble:
        """Return the first wrong number."""
        part = self.wrong[0]
        name, number = part
        bad = self.wrong_entries(self.theirs[part], self.right[part])
        index = tuple(map(int, np.unravel_index(np.argmax(bad), bad.shape)))
        alike = [part] if self.several else [n for n in self.theirs if n[0] == name]
        counts = [self.wrong_entries(self.theirs[n], self.right[n]).sum() for n in alike]
        about: dict[str, Any] = {
            "result": name,
            "index": index if self.several else (*number, *index),
            "must": float(self.right[part][index]) + 0.0,  # never -0
            "got": float(self.theirs[part][index]) + 0.0,
            "count": int(sum(counts)),
            "size": sum(self.right[n].size for n in alike),
        }
        return Trouble(What.NUMBER, about | self.of_call(number))

    def of_call(self, number: Sequence[int]) -> dict[str, Any]:
        """Return the number of a call, what is new in it, and its limit or rate, if several."""
        if not self.several:
            return {}
        (k,) = number
        plain = {name: v for name, v in self.calls[k].items() if isinstance(v, float | str)}
        return {"call": {"number": k} | plain}

    def given(self, number: tuple[int, ...]) -> Call:
        """Return the arrays of a call; of a loop, those of a step."""
        call = self.calls[number[0]] if self.several else self.calls[0]
        arrays = {name: a for name, a in call.items() if isinstance(a, np.ndarray)}
        if not self.blank.order:
            return arrays
        of_step = {name: a[number] for name, a in arrays.items() if a.ndim == 3}
        return of_step | {name: a for name, a in arrays.items() if a.ndim < 3}


def distance(a: Array, b: Array) -> float:
    """Return the largest difference, relative to the largest number of b."""
    return float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-30))
