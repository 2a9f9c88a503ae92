"""Outcomes: what a student's function returned at the places, in memory and in a file.

A file may hold anything. `outcomes_in` takes from it what has the right form.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from numpylstm.laboratory.workbook.findings import Trouble, What

Kind = TypeVar("Kind")


class SharedEntries(NamedTuple):
    """Two entries of a result that are one array in memory."""

    result: str
    one: int
    other: int


@dataclass
class Outcome:
    """The results of a function at a place by name, or the trouble that it made.

    A result is an array, None, or in words what came in the place of an array.
    """

    results: dict[str, Any] = field(default_factory=dict)
    trouble: Trouble | None = None
    types: dict[str, str] = field(default_factory=dict)  # with fewer digits, by result and call
    shared: SharedEntries | None = None


@dataclass
class Outcomes:
    """The outcomes of a function at the places up to the first where it is wrong."""

    seed: int = 0  # of the places that are drawn
    at: dict[str, Outcome] = field(default_factory=dict)  # by name of the place
    calls: list[str] = field(default_factory=list)  # blanks that the function calls
    parts: list[str] = field(default_factory=list)  # for which the textbook's were called instead
    unproved: list[Any] = field(default_factory=list)  # cases in its code that no place enters


def outcomes_in(content: Any) -> Outcomes | None:
    """Read outcomes from what a file holds; None for a blank that is not answered."""
    if not isinstance(content, Mapping):
        return None
    seed = _of_kind(int, content.get("seed"))
    at = _of_kind(dict, content.get("at"))
    return Outcomes(
        seed if 0 <= seed < 2**64 else 0,
        {place: _outcome_in(here) for place, here in at.items() if isinstance(here, Mapping)},
        _of_kind(list, content.get("calls")),
        _of_kind(list, content.get("parts")),
        _of_kind(list, content.get("unproved")),
    )


def _outcome_in(here: Mapping[str, Any]) -> Outcome:
    return Outcome(
        _of_kind(dict, here.get("results")),
        _trouble_in(here.get("trouble")),
        _of_kind(dict, here.get("types")),
        _shared_in(here.get("shared")),
    )


def _trouble_in(content: Any) -> Trouble | None:
    if content is None:
        return None
    said = _of_kind(dict, content)
    what = next((what for what in What if what == said.get("what")), What.ABSENT)
    return Trouble(what, _of_kind(dict, said.get("about")))


def _shared_in(content: Any) -> SharedEntries | None:
    match content:
        case [str(result), int(one), int(other)]:
            return SharedEntries(result, one, other)
    return None


def _of_kind(kind: type[Kind], value: Any) -> Kind:
    """Return a value of this type; an empty one in the place of anything else."""
    return value if isinstance(value, kind) else kind()
