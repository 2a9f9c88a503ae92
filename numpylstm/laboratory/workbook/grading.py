"""Grading of the workbook: blanks judged by their numbers, and a folder of submissions.

A student's function is called at the fixed point of its blank
(`numpylstm.laboratory.workbook.blanks`); after that only its numbers count. A submission is a file
of numbers, and grading it executes nothing. Gradients are compared with the complex step and with
central differences, one step of the LSTM with the golden tape too. A wrong answer is compared with
the results of the textbook with one line exchanged (`numpylstm.laboratory.doctor`); if they agree,
that line is named.

    python -m numpylstm.tape grade FOLDER --csv
"""

import copy
import csv
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from numpylstm import reference
from numpylstm.laboratory import doctor, gradcheck, tape
from numpylstm.laboratory.doctor.lines import recognised
from numpylstm.laboratory.doctor.reasoning import named_factor
from numpylstm.laboratory.doctor.source import mentions
from numpylstm.laboratory.tape.comparison import how_many
from numpylstm.laboratory.workbook.blanks import AT, BLANKS, OF_STEP, Array, Blank
from numpylstm.reference import sigmoid
from numpylstm.untrusted import printable

Numbers = dict[str, Any]  # name of a result -> array, or what the student returned for it

TOLERANCE = 1e-9
NOT_ANSWERED = "not answered yet"


# --- judging -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Verdict:
    """Verdict on a blank; ``print(verdict)`` shows it as sentences."""

    name: str
    state: str  # "right", "wrong" or "not answered yet"
    first_wrong: str = ""
    diagnosis: str = ""
    checks: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"{self.name}: {self.state}.", self.first_wrong, self.diagnosis, *self.checks]
        return "\n".join(line for line in lines if line)


@cache
def _right(name: str) -> Numbers:
    """Return the right results. Gradients are measured, by differences too, under "central"."""
    blank = BLANKS[name]
    p = blank.point(AT)
    with np.errstate(over="ignore"):
        values = blank.text.run(*blank.arguments(p)) if blank.layer is None else ()
    right = {r: np.asarray(v) for r, v in zip(blank.results, values, strict=False)}
    if name == "sigmoid":
        right["s"] = sigmoid(p["a"])
    if blank.loss is None:
        return right
    moved = {array: p[array] for array in blank.slopes.values()}
    loss = blank.loss
    exact, central = (
        method(lambda a: loss({**p, **a}), moved)
        for method in (gradcheck.complex_step, gradcheck.central_difference)
    )
    return right | {d: exact[array] for d, array in blank.slopes.items()} | {"central": central}


def judge(name: str, numbers: Mapping[str, Any] | None) -> Verdict:
    """Judge a blank by its numbers alone.

    Parameters
    ----------
    name : str
        A key of `BLANKS`.
    numbers : dict of name -> array or nested list, or None
        The results of the student's function at the point of the blank, and under "tape" its
        numbers for the golden tape, if it has a part there; None for a blank that is empty.
    """
    blank = _blank("judge", name)
    if numbers is None:
        return Verdict(name, NOT_ANSWERED)
    if "error" in numbers:
        return Verdict(name, "wrong", str(numbers["error"]))
    right = _right(name)
    theirs: dict[str, Array] = {}
    for result in blank.results:
        shape = right[result].shape
        try:
            theirs[result] = np.asarray(numbers.get(result), dtype=float)
            got = str(theirs[result].shape)
        except (TypeError, ValueError, OverflowError):
            got = "no numbers"
        if got != str(shape):
            return Verdict(name, "wrong", f"{result} must have the shape {shape}, got {got}.")
    tape_is_right, of_tape = _of_tape(numbers)
    first = _first_wrong(theirs, right)
    if first:
        return Verdict(name, "wrong", first, _diagnosis(name, theirs), of_tape)
    n = sum(array.size for array in theirs.values())
    checks = [f"{n} number{' agrees' if n == 1 else 's agree'} with the textbook's."]
    if blank.slopes:
        exact = max(_distance(theirs[d], right[d]) for d in blank.slopes)
        central = max(_distance(theirs[d], right["central"][x]) for d, x in blank.slopes.items())
        checks.append(
            f"complex step: largest error {exact:.0e}; central differences: largest error "
            f"{central:.0e}."
        )
    return Verdict(name, "right" if tape_is_right else "wrong", checks=(*checks, *of_tape))


def _distance(a: Array, b: Array) -> float:
    return float(np.abs(a - b).max() / max(float(np.abs(b).max()), 1e-12))


def _first_wrong(theirs: Numbers, right: Numbers) -> str:
    """Name the first wrong number, in the order of computation."""
    for result, a in theirs.items():
        b = right[result]
        bad = ~(np.abs(a - b) <= TOLERANCE * max(float(np.abs(b).max()), 1e-3))
        if bad.any():
            index = np.unravel_index(int(np.argmax(bad)), a.shape)
            place = f"{result}[{', '.join(map(str, index))}]" if index else result
            verb = "is" if bad.sum() == 1 else "are"
            few = f"; {bad.sum()} of {a.size} numbers of {result} {verb} wrong" if index else ""
            digits = 12 if f"{b[index]:.6g}" == f"{a[index]:.6g}" else 6
            numbers = f"{place} must be {b[index]:.{digits}g}, got {a[index]:.{digits}g}"
            return f"The first wrong number: {numbers}{few}."
    return ""


def _diagnosis(name: str, theirs: Numbers) -> str:
    """Name the wrong line, as far as the numbers tell, and explain the names in it."""
    sentence, words = _likely(name, theirs), BLANKS[name].words
    known = (f"({word} is {what}.)" for word, what in words.items() if mentions(sentence, word))
    return " ".join([sentence, *known])


def _likely(name: str, theirs: Numbers) -> str:
    blank, right = BLANKS[name], _right(name)
    bad = [result for result, array in theirs.items() if not np.isfinite(array).all()]
    if bad and name in ("sigmoid", "cross_entropy", "cross_entropy_backward"):
        return (
            f"{bad[0]} is not finite: exp of a large number is infinite, and infinite / infinite "
            "is not a number; call exp with numbers up to 0 only."
        )
    if bad:
        return f"{bad[0]} is not finite: look for a division by zero, or an array never filled."
    if max(_distance(theirs[r], right[r]) for r in blank.results) < 1e-5:
        return (
            "The numbers agree to 5 digits or more, and not to 9: digits are lost (float32), or a "
            "small constant is added, such as 1e-6."
        )
    p = blank.point(AT)
    if blank.layer is not None:
        arrays = {n: p[n] for n in blank.layer.inputs}
        fixed = {n: p[n] for n in blank.layer.upstream}
        slopes = {array: right[d] for d, array in blank.slopes.items()}
        claimed = {array: theirs[d] for d, array in blank.slopes.items()}
        loss = blank.loss or (lambda p: 0.0)
        found = doctor.examine(loss, claimed, arrays, fixed, slopes=slopes)
        return found.findings[0].sentence if found.findings else ""
    with np.errstate(all="ignore"):
        finding = recognised(blank.text, blank.arguments(p), [theirs[r] for r in blank.results])
    return finding.sentence if finding else _by_factor(name, theirs)


def _first_line(name: str, theirs: Numbers) -> str:
    """Name the line of the first result that is wrong; those before it are right."""
    blank, right = BLANKS[name], _right(name)
    first = next(r for r in blank.results if _distance(theirs[r], right[r]) > TOLERANCE)
    lines = BLANKS["lstm_step_forward" if name == "lstm_forward" else name].text.lines
    must = [f"; it must be {line}" for line in lines if line.names == (first,)]
    known = {n: a for n, a in {**blank.point(AT), **right}.items() if isinstance(a, np.ndarray)}
    got = theirs[first]
    same = [n for n, a in known.items() if a.shape == got.shape and _distance(got, a) < TOLERANCE]
    what = f"it is {same[0]}" if same else "the doctor cannot tell what is wrong with it"
    return f"{first}: {what}{must[-1] if must else ''}."


def _by_factor(name: str, theirs: Numbers) -> str:
    """Find factors and limits, if no single line explains the results."""
    blank, right = BLANKS[name], _right(name)
    limits = [f" at {v:g}" for v in blank.point(AT)[blank.each]] if blank.each else [""]
    parts = {
        result + limit: (theirs[result][k], right[result][k]) if limit else (
            theirs[result], right[result])
        for result in blank.results for k, limit in enumerate(limits)
    }  # fmt: skip
    tops = [np.abs(a) == np.abs(a).max() for a, _ in parts.values()]
    if blank.each and any(top.sum() > 1 for top in tops):
        return (
            f"{blank.results[0]}: its largest entries are all equal, it is limited entry by entry."
        )
    factors = {part: float((a * b).sum() / (b * b).sum()) for part, (a, b) in parts.items()}
    named = {part: named_factor(factor, AT) for part, factor in factors.items()}
    for part, (a, b) in parts.items():  # any one number is another one times a factor
        unknown = a.size == 1 and named[part] == f"{factors[part]:.6g}"
        if unknown or _distance(a, factors[part] * b) > TOLERANCE:
            return _first_line(name, theirs)
    words = ", ".join(f"{result} {factor}" for result, factor in named.items())
    sentence = f"Each result is the right one times a number: {words}."
    if not blank.each or len({round(factor, 9) for factor in factors.values()}) == 1:
        return sentence
    values = np.round(list(factors.values()), 9).reshape(len(blank.results), -1)  # (result, limit)
    if (values == values[0]).all():
        return (
            f"{sentence} It is one factor at each limit, but the norm is not the norm of all "
            "arrays together."
        )
    return (
        f"{sentence} The arrays must have one factor in common: the norm is the norm of all "
        "arrays together."
    )


# --- the golden tape -----------------------------------------------------------------------------

ON_TAPE = {"lstm_step_forward": "forward", "lstm_step_backward": "backward"}
"""Blanks that are compared with the tape too, at step t2 of layer lstm.1."""


def _tape_arguments(name: str) -> list[Array]:
    """Return the arguments for a step of the tape: a batch of one."""
    golden = tape.load()
    now, before = golden["forward"]["t2"], golden["forward"]["t1"]["lstm.1"]
    rows = now["lstm.1"] | {"x": now["lstm.0"]["h"], "dc": [0.0, 0.0]}
    rows |= {"h_prev": before["h"], "c_prev": before["c"]}
    rows["dh"] = golden["backward"]["t2"]["lstm.1"]["dh"]
    p = {n: [row] for n, row in rows.items()}
    p |= {w: golden["parameters"][f"lstm.1.{w}"] for w in ("Wx", "Wh", "b")}
    return [np.array(p[n]) for n in BLANKS[name].takes.split()]


def _of_tape(numbers: Mapping[str, Any]) -> tuple[bool, tuple[str, ...]]:
    """Return False if the part on the tape is wrong, and a sentence about it."""
    if "tape" not in numbers:
        return True, ()
    try:
        found = tape.grade(numbers["tape"])
    except tape.TapeError as error:
        return False, (f"Golden tape: {error}.",)
    if not found.wrong:
        return True, (f"Golden tape: {how_many(found.right, found.right)} right.",)
    first = found.wrong[0]
    must = f"expected {first.expected:.6g}, got {first.got:.6g}"
    return False, (f"Golden tape: {first.name}: {must}; {first.made_of}.",)


# --- the workbook --------------------------------------------------------------------------------


def numbers_of(function: Callable[..., Any]) -> Numbers | None:
    """Call a student's function at the point of its blank and return its results by name.

    None if the blank is still empty; ``{"error": ...}`` if the function raises, returns something
    else, or changes its arguments.
    """
    name = function.__name__
    blank = _blank("grade", name)
    with np.errstate(all="ignore"):
        try:
            calls = [_call(blank, function, given) for given in blank.given()]
            numbers = calls[0]
            if blank.each and numbers is not None:
                numbers = {n: np.stack([call[n] for call in calls if call]) for n in numbers}
            if numbers is not None and name in ON_TAPE:
                results = _call(blank, function, _tape_arguments(name)) or {}
                known = tape.load()[ON_TAPE[name]]["t2"]["lstm.1"]
                rows = {n: np.asarray(v)[0].tolist() for n, v in results.items() if n in known}
                numbers["tape"] = {ON_TAPE[name]: {"t2": {"lstm.1": rows}}}
        except _ChangesArgument as error:
            return {"error": str(error)}
        except Exception as error:  # whatever a student's code does is an answer
            return {"error": f"It stopped: {type(error).__name__}: {error}"}
    return numbers


def _blank(where: str, name: str) -> Blank:
    if name not in BLANKS:
        raise ValueError(f"{where}: the function must be one of {', '.join(BLANKS)}; got {name!r}")
    return BLANKS[name]


class _ChangesArgument(Exception):
    """The function changed an array of its caller."""


def _call(blank: Blank, function: Callable[..., Any], given: list[Any]) -> Numbers | None:
    """Return the results of a call by name; raise if it changes its arguments."""
    own = copy.deepcopy(given)
    returned = function(*own)
    if returned is None:
        return None
    numbers = _named(blank, returned)
    for name, before, after in zip(blank.takes.split(), given, own, strict=True):
        if not _same(before, after):
            raise _ChangesArgument(
                f"It changes its argument {name}: += and *= write into the caller's array."
            )
    return numbers


def _same(before: Any, after: Any) -> bool:
    """Return True if arrays, or lists and tuples of arrays, hold the same numbers."""
    if isinstance(before, list | tuple):
        return len(before) == len(after) and all(map(_same, before, after))
    return np.array_equal(before, after)


def _named(blank: Blank, returned: Any) -> Numbers:
    values = returned if len(blank.results) > 1 else [returned]
    if blank.textbook is reference.lstm_forward:  # the list of steps, each of seven results
        steps, *last = values
        if len(last) != 2:
            raise ValueError("it must return steps, hT, cT")
        if not len(steps) or any(len(step) != len(OF_STEP) for step in steps):
            raise ValueError(f"each of the steps must hold {', '.join(OF_STEP)}")
        values = [*(np.stack(values) for values in zip(*steps, strict=True)), *last]
    if not isinstance(values, list | tuple) or len(values) != len(blank.results):
        raise ValueError(f"it must return {', '.join(blank.results)}")
    return dict(zip(blank.results, values, strict=True))


def grade(function: Callable[..., Any]) -> Verdict:
    """Grade a blank.

    Parameters
    ----------
    function : callable
        The student's function, under the name of its blank. One that returns None is empty.

    Examples
    --------
    >>> from numpylstm import grading
    >>> def sigmoid_slope(s):
    ...     return 1 - s
    >>> print(grading.grade(sigmoid_slope))  # doctest: +ELLIPSIS
    sigmoid_slope: wrong.
    The first wrong number: ds[0, 0] must be ...
    ds: the factor s is missing; it must be ds = s * (1 - s).
    """
    return judge(function.__name__, numbers_of(function))


def submission(functions: Sequence[Callable[..., Any]], student: str = "") -> str:
    """Return the file that a student hands in: the numbers of each blank, as JSON."""
    answers = {f.__name__: numbers_of(f) for f in functions}
    return json.dumps({"student": student, "answers": answers}, default=_as_list)


def _as_list(value: Any) -> Any:
    try:
        return np.asarray(value, dtype=float).tolist()
    except (TypeError, ValueError, OverflowError):
        return None  # not numbers; judged as wrong


# --- a class -------------------------------------------------------------------------------------


def grade_file(path: Path) -> tuple[str, list[Verdict]]:
    """Return the student's name and the verdicts of one submission; nothing in it is executed.

    Raises
    ------
    tape.TapeError
        If the file is not a submission.
    """
    content = tape.read(path)
    if not isinstance(content, dict) or not isinstance(content.get("answers"), dict):
        raise tape.TapeError(f"{path}: must be a submission that the workbook wrote")
    answers = {n: numbers for n, numbers in content["answers"].items() if isinstance(numbers, dict)}
    verdicts = [judge(name, answers.get(name)) for name in BLANKS]
    return str(content.get("student") or path.stem), verdicts


def grade_folder(folder: Path, *, as_csv: bool) -> int:
    """Print a line for each ``.json`` file of a folder; return the exit status of the command."""
    paths = sorted(folder.glob("*.json"))
    if not paths:
        got = "a file" if folder.is_file() else "none" if folder.exists() else "no such folder"
        print(f"grade: {folder} must be a folder of .json submissions, got {got}", file=sys.stderr)
        return 2
    writer = csv.writer(sys.stdout, lineterminator="\n")
    titles = ("student", "right", "of", "answered", "first wrong", "diagnosis")
    if as_csv:
        writer.writerow(titles)
    status = 0
    for path in paths:
        row: tuple[Any, ...]
        try:
            student, verdicts = grade_file(path)
        except tape.TapeError as error:
            status = 1
            row = (path.stem, "", len(BLANKS), "", "cannot be graded", str(error))
        else:
            wrong = [(f"{v.name}: {v.first_wrong}", v.diagnosis) for v in verdicts
                     if v.state == "wrong"]  # fmt: skip
            right = sum(v.state == "right" for v in verdicts)
            answered = sum(v.state != NOT_ANSWERED for v in verdicts)
            row = (student, right, len(BLANKS), answered, *(wrong or [("", "")])[0])
        if as_csv:
            writer.writerow([printable(str(entry)) for entry in row])
        else:
            entries = (f"{title}: {value}" for title, value in zip(titles, row, strict=True))
            print(printable("  ".join(entries)))
    return status
