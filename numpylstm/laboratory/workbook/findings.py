"""Findings: what is wrong with an answer, and why, as data.

Nothing here is a sentence: `numpylstm.laboratory.workbook.words` makes those, last of all.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import Any

from numpylstm.laboratory.mistakes.record import Mistake


class What(StrEnum):
    """The first thing wrong: of a function, of what it returns, of one result, or of a number.

    Files of students hold the values.
    """

    STOPPED = "stopped"
    CHANGES = "changes an argument"
    REPLACES = "replaces a function of NumPy"
    NOTHING = "returns nothing"
    ENDLESS = "an iterator with too many rows"
    RESULTS = "other results"
    ALONE = "more than the result"
    LIST = "a list of another length"
    STEPS = "a list of steps of another length"
    STEP = "a step with other entries"
    OVERWRITTEN = "results change later"
    KEPT = "other numbers in a second call"
    ABSENT = "no numbers for a place"
    OPEN = "a result is None"
    NO_NUMBERS = "a result is no array of numbers"
    SHAPE = "a result of another shape"
    NUMBER = "a number"
    ABOVE = "a blank that calls it is wrong"
    ENGINE = "a loss of the engine"


class Why(Enum):
    """Why it is wrong, as far as the numbers tell."""

    CALLED = "it calls a blank that is not right"
    SHARED = "two entries are one array"
    TYPE = "a type with fewer digits"
    NOT_FINITE = "infinite or NaN"
    DIGITS = "all wrong numbers are nearly right"
    SMALL = "the differences are small"
    NEXT_TO_LIMIT = "only limits next to the norm are wrong"
    PLACE = "whatever is new at a place"
    LINE = "a mistake in one line"
    PAIR = "mistakes in two lines"
    FACTORS = "each result is the right one times a number"
    ENTRIES = "clipped entry by entry"
    OWN_FACTORS = "clipped array by array"
    ONE_FACTOR = "clipped by another factor"
    TAKEN = "another array was returned"
    LIMITED = "its largest numbers are cut off"
    LINES = "one of some lines"
    SUMS = "the steps are right, the sums are not"
    KEPT = "what is kept of a step"
    FIRST_STEP = "the first step that is computed"
    LATER_STEP = "a step after the first"


@dataclass(frozen=True)
class Trouble:
    """The first thing that is wrong, with names and numbers for its sentence."""

    what: What
    about: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Cause:
    """Why it is wrong, with names and numbers for its sentence, and the likely mistakes.

    Of each mistake, the forms that give the same numbers; the numbers do not tell which it is.
    """

    why: Why
    about: Mapping[str, Any] = field(default_factory=dict)
    mistakes: tuple[tuple[Mistake, ...], ...] = ()
