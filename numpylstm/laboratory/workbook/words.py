"""Verdicts, and their sentences.

A verdict holds findings; every sentence is made here, last of all, and nothing is decided by it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np

from numpylstm.laboratory.doctor.words import OR_ELSE, named_factor
from numpylstm.laboratory.mistakes.record import enumeration
from numpylstm.laboratory.mistakes.source import mentions
from numpylstm.laboratory.workbook.arguments import Step
from numpylstm.laboratory.workbook.blanks import BLANKS, Blank
from numpylstm.laboratory.workbook.findings import Cause, Trouble, What, Why
from numpylstm.laboratory.workbook.places import FIRST, New, Place

NOT_ANSWERED = "not answered yet"
UNPROVED = "unproved"

NEVER = {
    "true": "was never true",
    "false": "was never false",
    "run": "never ran",
    "less": "never left anything out",
    "some": "never held anything",
}
"""Words for that which was never seen of a piece of code."""

KEPT = (
    "It is right at all places, but it keeps something between calls, in {name}, and nothing is "
    "known about later calls. Leave it out if nothing needs it, or ask."
)
TROUBLES = {
    What.STOPPED: "It stopped: {said}",
    What.REPLACES: "It replaces {name}, which everything here uses; now that is NumPy's again. "
    "Leave NumPy as it is.",
    What.CHANGES: "It changes its argument {name}, which the caller still needs: +=, *=, "
    "out= and an assignment to an entry write into the caller's array or list.",
    What.NOTHING: "It returns None: is a return missing?",
    What.ENDLESS: "It must return {results}, got an iterator with more than {count:,} entries.",
    What.RESULTS: "It must return {results}, in this order, got {got}.",
    What.ALONE: "It must return {results} alone, got {got}.",
    What.LIST: "It must return a list of as many arrays as it gets, {count}, got {got}.",
    What.STEPS: "The list of steps must have an entry for each of {count} steps, got {got}.",
    What.STEP: f"Each of the steps must hold {', '.join(Step._fields)}, got {{got}}.",
    What.OVERWRITTEN: "What it returned changes later: a later call overwrites it; make a "
    "new array in each call.",
    What.KEPT: "Called again with the same arguments it returns other "
    "numbers: it keeps something between calls, such as a global array or a default argument, "
    "draws something at random, or returns an array of np.empty that is not filled.",
    What.ABSENT: "The file has no numbers for this place.",
    What.OPEN: "{result} is None: it is not answered yet{before}.",
    What.NO_NUMBERS: "{result} must be real numbers of the shape {shape}, got {got}.",
    What.SHAPE: "{result} must have the shape {shape}, got {got}.",
    What.NUMBER: "The first wrong number: {entry} must be {must}, got {got}{few}.",
    What.ABOVE: "It is right at all its places, but {name} is wrong with it and right with the "
    "textbook's: look for a case (if, np.where) that other numbers enter.",
    What.ENGINE: "It is right at all places, but not in the engine of the last cell, where all "
    "other functions are the textbook's: look for something that is kept between calls, and for a "
    "case (if, np.where) that other sizes or numbers enter.",
}
CAUSES = {
    Why.CALLED: "It calls {name}, which is {state}: that one comes first.",
    Why.SHARED: "{one} and {other} are one array: what is written into it later "
    "changes both. Make a new array each time.",
    Why.TYPE: "{result} has the type {type}, which loses digits; it must have the type float64.",
    Why.NOT_FINITE: "{result} is not finite. Look for {usual}a division by zero, infinity times 0, "
    "or an array that is never filled.",
    Why.DIGITS: "All numbers agree to three digits or more, and most not to ten. Look for digits "
    "that are lost (float32, a central difference), for an approximation, for a small constant "
    "that is added, such as 1e-6, and for a limit that is compared with a number beside it.",
    Why.SMALL: "No number is wrong by more than 1e-5 of the largest. Look for a "
    "number that is clipped or cut off where it hardly shows, for an approximation, for a small "
    "constant that is added, such as 1e-6, for a limit that is compared with a number beside it, "
    "and for lost digits.",
    Why.NEXT_TO_LIMIT: "It is right with limits that are far from the norm, but not with {call}, "
    "where the norm is {norm:.6g}: look at how the two are compared.",
    Why.PLACE: "",
    Why.LINE: "{mistakes}",
    Why.PAIR: "In two places: {mistakes}",
    Why.FACTORS: "Each result is the right one times a number: {factors}.",
    Why.ENTRIES: "{result}: its largest entries are all equal: they are changed entry "
    "by entry, not by one factor for all.",
    Why.OWN_FACTORS: "With {call}, each array is the right one times a number: {factors}. "
    "The arrays must have one factor in common: the norm is the norm of all together.",
    Why.ONE_FACTOR: "With {call}, all arrays have one factor in common, as they must, "
    "but it is the right one times {factor}: look at how that factor is made.",
    Why.TAKEN: "{result}: it is {other}.",
    Why.LIMITED: "{result}: every wrong number is {limit:g} or -{limit:g}, and no other is larger: "
    "it is clipped number by number.",
    Why.LINES: "{where}, or what goes into it: the grader cannot tell what is wrong there; all "
    "results before are right.",
    Why.SUMS: "{result}: the steps are right; look at how it is "
    "made of their parts{factor_of_sum}.",
    Why.KEPT: "{result}: the results before it are right; look at what is kept of a step.",
    Why.FIRST_STEP: "The first step computed is wrong already: look at its "
    "lines, at what it gets, {first_gets}, and at its place among the steps.",
    Why.LATER_STEP: "The first step computed is right and a later one is wrong: look at "
    "what a later step gets, {later_gets}, and from which step each array is taken.",
}
AT_PLACES = {
    New.NUMBERS: "Only the numbers are others there, the sizes are those before. Look for a case "
    "(if, np.where) that these numbers enter, for results that are kept from an earlier call, and "
    "for numbers that are written into the function.",
    New.ONE_ARGUMENT: "There one argument after the other gets other numbers, in the same array. "
    "Look for results that are kept from an earlier call, in a memory that does not compare all "
    "numbers of all arguments, and for a case (if, np.where) that these numbers enter.",
    New.LAYOUT: "The numbers are those of the first place; only their order in memory is another. "
    "Look for code that depends on it: reshape and ravel, which may copy, np.zeros_like and "
    "np.empty_like, which take over that order, np.nditer, order='K', view, strides, and resize.",
    New.INTEGERS: "Look for numbers that are computed in the type of an array of integers, which "
    "is too narrow for them or has no fractions (np.empty_like, ids * D), and for a case (if, "
    "np.where) that these sizes or numbers enter.",
    New.AXES: "The numbers are those of the first place; only the shapes are others. Look for "
    "loops and axes that take two axes for granted, and for results that are kept from an earlier "
    "call.",
    New.SIZES: "Look for a size that is written as a number, for a count that was a size before by "
    "chance, for a row, a column, a step or an array that is left out, or used again, where there "
    "are more or fewer, for sums that are clipped or cut off, for integers of a narrow type, and "
    "for a case (if, np.where) that these shapes or numbers enter.",
    New.EQUAL: "Sizes are equal there that are others elsewhere: all of them, or T, B, D, V and "
    "4 H or 3 H. Look for a transpose, an axis or a case (if) that the shapes of the arrays "
    "choose.",
    New.ONES: "All sizes but V are 1 there. Look for squeeze, and for a case (if) that the shapes "
    "of the arrays choose.",
    New.SCALE: "Look for something that is clipped, cut off, rounded, or compared with a constant, "
    "for an approximation, and for a constant that is added.",
    New.ZERO: "Look for a division by a number that is made of the gradients, and for a case (if, "
    "np.where) that 0 enters.",
    New.ZEROS: "Look for a division by a number that can be 0, for something that is kept from 0, "
    "or from an earlier call, and for a case (if, np.where, break) that such numbers enter.",
    New.SMALL: "Look for a case (if, np.where) that small numbers enter, for an approximation, and "
    "for something that is cut off.",
    New.EXTREMES: "Look for a division by a number that can be 0, for something that is clipped, "
    "cut off or kept from 0, for digits that are lost, and for a case (if, np.where) that 0 or a "
    "large number enters.",
    New.DRAWN: "Look for a case (if, np.where) that these sizes or numbers enter, for a size that "
    "is written as a number, and for something that is clipped, cut off or kept from 0.",
}
OF_ROWS = (
    "exp of a large number, which is infinite, or a row of exp of very negative numbers, which is "
    "all 0 (subtract the maximum of each row from that row first), "
)
OF_TANH = (
    "exp of a large number, which is infinite, and infinite / infinite (np.tanh has neither), "
)
NOT_FINITE = {
    **dict.fromkeys((*Step._fields, "hT", "cT"), OF_TANH),
    "s": "exp of a large number, which is infinite, and infinite / infinite (call exp with numbers "
    "up to 0 only), ",
    "loss": f"{OF_ROWS}the logarithm of 0 or of a negative number, ",
    "dlogits": OF_ROWS,
}
"""Usual reasons why a result is infinite or NaN, beside those of all."""
ALONE = {"dWx": ", and at x", "dWh": ", and at h_prev"}
"""The factor of a sum over the steps that no other result has."""


# --- a verdict -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Verdict:
    """Verdict on a blank; ``print(verdict)`` shows it as sentences."""

    name: str
    state: str  # "right", "wrong", "not answered yet" or "unproved"
    place: Place = FIRST  # the first at which it is wrong
    trouble: Trouble | None = None
    cause: Cause | None = None
    parts: Mapping[str, str] = field(default_factory=dict)  # judged with the textbook's: states
    agreeing: int = 0  # numbers that agree with the textbook's
    seed: int = 0  # of the places drawn at random
    corrected: bool = True  # it shows the right line
    unproved: Sequence[Any] = ()  # cases in its code that no place enters

    def __str__(self) -> str:
        sentences = [
            f"{self.name}: {self.state}.",
            self.first_wrong,
            self.of_cases,
            f"{self.diagnosis} {self.correction}".strip(),
            self.of_parts,
            self.agreement,
        ]
        return "\n".join(sentence for sentence in sentences if sentence)

    @property
    def first_wrong(self) -> str:
        """The place, and what is wrong there first."""
        if self.trouble is None:
            return ""
        said = TROUBLES[self.trouble.what].format_map(self._in_words(self.trouble.about))
        if self.place is FIRST or self.trouble.what is What.KEPT:
            return said
        where = " and ".join([str(self.place), *self._new_numbers()])
        return f"It is right at the places before, but not with {where}.\n{said}"

    @property
    def diagnosis(self) -> str:
        """The likely cause."""
        if self.cause is None:
            return ""
        if self.cause.why is Why.PLACE:
            return AT_PLACES[self.place.new]
        said = CAUSES[self.cause.why].format_map(self._in_words(self.cause.about))
        musts = self._musts()
        meanings = BLANKS[self.name].words.items() if musts else ()
        used = " ".join([said, *chain.from_iterable(musts)])
        glossary = (f"({word} is {meaning}.)" for word, meaning in meanings if mentions(used, word))
        return " ".join([said, *glossary])

    @property
    def correction(self) -> str:
        """The right line, or lines."""
        if self.cause is None or not self.corrected:
            return ""
        corrections = (
            OR_ELSE.join(dict.fromkeys(f"It must be {must}." for must in alike))
            for alike in self._musts()
        )
        return " ".join(dict.fromkeys(corrections))

    @property
    def of_cases(self) -> str:
        """The first case that no place enters, or what is kept between calls."""
        cases = [case for case in self.unproved if isinstance(case, Mapping)]
        if not cases:
            return ""
        if "kept" in cases[0]:
            return KEPT.format(name=cases[0]["kept"])
        line, code, never = (str(cases[0].get(name)) for name in ("line", "code", "never"))
        said = NEVER.get(never, f"never took its operand {never}")
        return (
            f"It is right at all places, but nothing is known about a case that they do not enter: "
            f"in line {line}, `{code}` {said}. Leave it out if nothing needs it, or ask."
        )

    @property
    def of_parts(self) -> str:
        """The functions of the textbook with which it was judged, and why."""
        if not self.parts:
            return ""
        why = " and ".join(
            f"with your {name} its numbers are others"
            if state in ("right", UNPROVED)
            else f"your {name} is {state}"
            for name, state in self.parts.items()
        )
        return f"It was judged with the textbook's {enumeration(self.parts)}, since {why}."

    @property
    def agreement(self) -> str:
        """The count of numbers that agree, and the seed of those that were drawn."""
        if not self.agreeing:
            return ""
        return (
            f"Numbers that agree with the textbook's: {self.agreeing}, some of them drawn with "
            f"seed={self.seed}."
        )

    def _new_numbers(self) -> list[str]:
        """Describe what is new in the numbers of the place."""
        place = self.place
        blank = BLANKS[self.name]
        known = {
            New.NUMBERS: "other numbers",
            New.ONE_ARGUMENT: "one argument at a time changed",
            New.LAYOUT: "arrays that are stored in other ways",
            New.INTEGERS: "integers",
            New.AXES: "one axis" if place.axes == 1 else "three axes",
            New.ZEROS: blank.plain,
            New.SMALL: f"all numbers but the weights times {place.sums:g}",
            New.EXTREMES: blank.extremes,
            New.DRAWN: f"numbers drawn with seed={self.seed}",
        }
        said = [known[place.new]] if place.new in known else []
        if blank.scaled and place.scale != 1:
            said.append(f"gradients times {place.scale:.3g}" if place.scale else "zero gradients")
        return said

    def _musts(self) -> list[list[str]]:
        """Return what must stand in the place of each mistake: one of several lines."""
        if self.cause is None:
            return []
        lines = [[str(line)] for line in self.cause.about.get("lines", ())]
        return lines + [[m.correction() for m in alike] for alike in self.cause.mistakes]

    def _in_words(self, about: Mapping[str, Any]) -> dict[str, Any]:
        """Return the data of a finding with its numbers, calls and mistakes as text."""
        blank = BLANKS[self.name]
        said = dict(about)
        if blank.order < 0:
            said["first_gets"] = "dhs, dhT (and dcT), and the arrays of that step"
            said["later_gets"] = "dhs[t], and what the step after it hands on, dh (or dc)"
        else:
            said["first_gets"] = "x, h0 and c0"
            said["later_gets"] = "h and c"
        if "call" in about:
            said["call"] = blank.call.format_map(about["call"])
        if "result" in about:
            result = about["result"]
            said["usual"] = NOT_FINITE.get(result, "")
            said["factor_of_sum"] = ALONE.get(result, "")
            said["before"] = (
                "" if result == blank.results[0] else "; all results before it are right"
            )
        if "names" in about:
            before = ", ".join(about["names"][:-1])
            name = about["names"][-1]
            said["where"] = f"{before} or {name}" if before else name
        if "factor" in about:
            said["factor"] = named_factor(about["factor"], self.place.sizes)
        if "factors" in about:
            named = {n: named_factor(f, self.place.sizes) for n, f in about["factors"].items()}
            said["factors"] = ", ".join(f"{name}: {factor}" for name, factor in named.items())
        if "index" in about:
            said["entry"] = _entry(blank, about)
            digits = 10 if f"{about['got']:.10g}" != f"{about['must']:.10g}" else 17
            said |= {name: f"{about[name]:.{digits}g}" for name in ("must", "got")}
            few = f"; wrong: {about['count']} of the {about['size']} numbers of {about['result']}"
            said["few"] = few if about["size"] > 1 else ""
        if self.cause is not None:
            said["mistakes"] = " ".join(
                OR_ELSE.join(dict.fromkeys(f"{m.description()}." for m in alike))
                for alike in self.cause.mistakes
            )
        return said


def _entry(blank: Blank, about: Mapping[str, Any]) -> str:
    """Name a number: ``dx[0, 1]``, or ``loss of batch 2``, if there are several calls."""
    index = ", ".join(map(str, about["index"]))
    number = f"[{index}]" if index else ""
    call = about.get("call", {})
    with_call = f" with {call['new']}" if "new" in call else ""
    if call and not with_call:
        named = blank.call.format_map(call)
        with_call = f" with {named}" if "=" in named else f" of {named}"
    return f"{about['result']}{number}{with_call}"


def described(value: Any, parts: Sequence[Any] | None) -> str:
    """Describe a value that came instead of results."""
    if isinstance(value, np.ndarray):
        return f"an array of the shape {value.shape}"
    kind = type(value).__name__
    if parts is None:
        return f"one {kind}"
    return f"{len(value)} in a {kind}" if hasattr(value, "__len__") else f"{len(parts)} or more"
