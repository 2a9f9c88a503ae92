"""Grading: the blanks of the workbook, judged by their numbers, and a folder of submissions.

A blank is a function that the student writes. It is called once, at a point that is always the
same, and from then on only its numbers count: a submission is a file of numbers, and whoever grades
it executes nothing. Gradients are held against the complex step and against central differences,
one step of the LSTM against the golden tape too. A wrong answer is looked for among what the
textbook gives with one line exchanged (`numpylstm.laboratory.doctor`), and that line is named.

    python -m numpylstm.tape grade FOLDER --csv
"""

import csv
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numpylstm import reference
from numpylstm.cells import CELLS
from numpylstm.laboratory import doctor, gradcheck, tape
from numpylstm.laboratory.doctor.lines import Layer, layers, recognised
from numpylstm.laboratory.doctor.reasoning import named_factor
from numpylstm.laboratory.doctor.source import SIZES, Text, read
from numpylstm.laboratory.doctor.variants import HELPERS
from numpylstm.reference import sigmoid
from numpylstm.untrusted import printable

Array = NDArray[Any]
Point = dict[str, Any]
Numbers = dict[str, Any]  # name of a result -> array, or what the student returned for it

AT = {"T": 5, "B": 3, "D": 4, "H": 6, "V": 7}
"""Sizes of the point at which a blank is judged: all different."""
TOLERANCE = 1e-9
NOT_ANSWERED = "not answered yet"
OF_STEP = ("i", "f", "g", "o", "c", "tanh_c", "h")


# --- four lines that the textbook has in another form ---------------------------------------------


def _sigmoid(a: Array) -> Array:
    """The textbook's sigmoid, without its care for large numbers."""
    s = 1 / (1 + np.exp(-a))
    return s


def _sigmoid_slope(s: Array) -> Array:
    """In terms of the output."""
    ds = s * (1 - s)
    return ds


def _clip(dWx: Array, dWh: Array, max_norm: float) -> tuple[Array, Array]:
    """One factor for all gradients."""
    norm = np.sqrt((dWx * dWx).sum() + (dWh * dWh).sum())
    factor = np.minimum(1, max_norm / norm)  # (2,): one for each limit
    clipped_dWx = factor[:, None, None] * dWx
    clipped_dWh = factor[:, None, None] * dWh
    return clipped_dWx, clipped_dWh


def _sgd(W: Array, dW: Array, lr: float) -> Array:
    """One step down the slope."""
    new_W = W - lr * dW
    return new_W


# --- points --------------------------------------------------------------------------------------


def _layer(cell: str, step: bool) -> Layer:
    """A cell as it is without any option."""
    return next(layer for layer in layers() if (layer.cell, layer.step) == (cell, step))


def _of_layer(layer: Layer, of_step: Sequence[str] = ()) -> Callable[[Mapping[str, int]], Point]:
    """Arrays of a layer with what its forward pass keeps, and ``kept``, the textbook's cache.

    With `of_step`, also ``steps``: for each step a tuple of these arrays.
    """

    def point(sizes: Mapping[str, int]) -> Point:
        rng = np.random.default_rng(21)
        p: Point = {n: 0.7 * rng.standard_normal(s) for n, s in layer.shapes(sizes).items()}
        kept = layer.run(p)[1][-1]
        p |= {"kept": kept} | {n: v for n, v in kept._asdict().items() if n not in p}
        p |= {gate: getattr(kept, gate) for gate in layer.gates}
        if of_step:
            p["steps"] = [tuple(p[n][t] for n in of_step) for t in range(len(p["x"]))]
        return p

    return point


def _of_embedding(sizes: Mapping[str, int]) -> Point:
    T, B, D, V = (sizes[letter] for letter in "TBDV")
    rng = np.random.default_rng(21)
    ids = rng.integers(0, V - 2, (T, B))
    ids[0] = ids[0, 0]
    return {"dx": rng.standard_normal((T, B, D)), "ids": ids, "V": V, "W": rng.random((V, D))}


def _of_scores(sizes: Mapping[str, int]) -> Point:
    B, V = sizes["B"], sizes["V"]
    rng = np.random.default_rng(21)
    logits = rng.standard_normal((B, V))
    logits[1] += 800  # exp(800) is infinite
    return {"logits": logits, "targets": rng.integers(0, V, B), "share": np.full(B, 1 / B)}


def _of_update(sizes: Mapping[str, int]) -> Point:
    D, H = sizes["D"], sizes["H"]
    rng = np.random.default_rng(21)
    p = {name: rng.standard_normal((D, H)) for name in ("W", "dW", "dWx")}
    p["dWh"] = rng.standard_normal((H, H))
    return p | {"gradients": [p["dWx"], p["dWh"]], "max_norm": np.array([1.0, 99.0]), "lr": 0.1}


def _of_gate(sizes: Mapping[str, int]) -> Point:
    rng = np.random.default_rng(21)
    a = 2 * rng.standard_normal((sizes["B"], sizes["H"]))
    a[0, :2] = 800.0, -800.0
    return {"a": a, "s": sigmoid(rng.standard_normal((sizes["B"], sizes["H"])))}


# --- the blanks ----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Blank:
    """A function that the student writes: what it takes and returns, and whose lines it has.

    `arguments` of `textbook` are read off the point; `slopes` names, for each gradient that is
    returned, the array it belongs to.
    """

    takes: str
    returns: str
    point: Callable[[Mapping[str, int]], Point]
    textbook: Callable[..., Any]
    arguments: Callable[[Point], Sequence[Any]]
    values: str = ""  # what the textbook returns it as, where the names differ
    loss: Callable[[Point], Any] | None = None
    slopes: Mapping[str, str] = field(default_factory=dict)
    layer: Layer | None = None
    gates: tuple[str, ...] = ()  # the blocks of columns, where there are several
    each: str = ""  # the argument whose values are given one after the other

    @property
    def results(self) -> list[str]:
        """Names of the results."""
        return self.returns.split()

    def given(self) -> list[list[Any]]:
        """The arguments of each call of the student's function."""
        p = self.point(AT)
        values = p[self.each] if self.each else [None]
        return [[v if n == self.each else p[n] for n in self.takes.split()] for v in values]


def _linear(layer: Layer) -> Callable[[Point], Any]:
    def loss(p: Point) -> Any:
        *outputs, _ = layer.function("forward")(*(p[n] for n in layer.inputs))
        return sum((p[d] * y).sum() for d, y in zip(layer.upstream, outputs, strict=True))

    return loss


def _step(cell: str) -> dict[str, Any]:
    layer = _layer(cell, True)
    return {"point": _of_layer(layer), "textbook": layer.function("backward"),
            "arguments": lambda p: [*(p[n] for n in layer.upstream), p["kept"]],
            "loss": _linear(layer), "slopes": {f"d{n}": n for n in layer.inputs},
            "gates": layer.gates}  # fmt: skip


def _loop(cell: str, of_step: Sequence[str] = ()) -> dict[str, Any]:
    layer = _layer(cell, False)
    return {"point": _of_layer(layer, of_step), "textbook": layer.function("backward"),
            "arguments": lambda p: [*(p[n] for n in layer.upstream), p["kept"]],
            "loss": _linear(layer), "slopes": {f"d{n}": n for n in layer.inputs},
            "layer": layer, "gates": layer.gates,
            "values": " ".join(f"d{n}" for n in layer.inputs)}  # fmt: skip


def _forward(cell: str) -> dict[str, Any]:
    layer = _layer(cell, True)
    return {"point": _of_layer(layer), "textbook": layer.function("forward"),
            "arguments": lambda p: [p[n] for n in layer.inputs], "gates": layer.gates}  # fmt: skip


def _scores_loss(p: Point) -> Any:
    return reference.cross_entropy_step_forward(p["logits"], p["targets"], p["share"])[0]


BLANKS = {
    "sigmoid": Blank("a", "s", _of_gate, _sigmoid, lambda p: [p["a"]]),
    "sigmoid_slope": Blank("s", "ds", _of_gate, _sigmoid_slope, lambda p: [p["s"]]),
    "embedding_backward": Blank(
        "dx ids V", "dW", _of_embedding, reference.embedding_backward,
        lambda p: [p["dx"], reference.EmbeddingCache(p["ids"], p["W"].shape)],
        loss=lambda p: (p["dx"] * p["W"][p["ids"]]).sum(), slopes={"dW": "W"},
    ),
    "rnn_step_forward": Blank("x h_prev Wx Wh b", "h", **_forward("rnn")),
    "rnn_step_backward": Blank(
        "dh x h_prev h Wx Wh", "dx dh_prev dWx dWh db", **_step("rnn")
    ),
    "rnn_backward": Blank(
        "dhs dhT x h_prev h Wx Wh", "dx dh0 dWx dWh db", **_loop("rnn")
    ),
    "lstm_step_forward": Blank("x h_prev c_prev Wx Wh b", " ".join(OF_STEP), **_forward("lstm")),
    "lstm_step_backward": Blank(
        "dh dc x h_prev c_prev i f g o tanh_c Wx Wh",
        "do dc di df dg da_i da_f da_g da_o dx dh_prev dc_prev dWx dWh db", **_step("lstm"),
    ),
    "lstm_forward": Blank(
        "x h0 c0 Wx Wh b", "hs hT cT", _of_layer(_layer("lstm", False)), reference.lstm_forward,
        lambda p: [p[n] for n in ("x", "h0", "c0", "Wx", "Wh", "b")], values="cache.h h c",
        gates=CELLS["lstm"].blocks,
    ),
    "lstm_backward": Blank(
        "dhs dhT dcT x h0 c0 steps Wx Wh", "dx dh0 dc0 dWx dWh db", **_loop("lstm", OF_STEP)
    ),
    "cross_entropy": Blank(
        "logits targets", "loss", _of_scores, reference.cross_entropy_step_forward,
        lambda p: [p["logits"], p["targets"], p["share"]],
    ),
    "cross_entropy_backward": Blank(
        "logits targets", "dlogits", _of_scores, reference.cross_entropy_step_backward,
        lambda p: [reference.cross_entropy_step_forward(p["logits"], p["targets"], p["share"])[1]],
        loss=_scores_loss, slopes={"dlogits": "logits"},
    ),
    "clip": Blank(
        "gradients max_norm", "clipped_dWx clipped_dWh", _of_update, _clip,
        lambda p: [p["dWx"], p["dWh"], p["max_norm"]], each="max_norm",
    ),
    "sgd": Blank(
        "W dW lr", "new_W", _of_update, _sgd, lambda p: [p["W"], p["dW"], p["lr"]]
    ),
}  # fmt: skip
"""The blanks by the name of their function, in the order of the workbook."""


@cache
def _text(name: str) -> Text:
    blank = BLANKS[name]
    p = blank.point(SIZES)
    returned = (blank.values or blank.returns).split()
    result = blank.results if len(blank.results) == 1 else ()
    with np.errstate(over="ignore"):
        return read(
            blank.textbook,
            blank.arguments(p),
            blank.gates,
            result,
            {"activation": "tanh"},
            returned,
            HELPERS,
        )


# --- judging -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Verdict:
    """What became of a blank: ``print(verdict)`` says it."""

    name: str
    state: str  # "right", "wrong" or "not answered yet"
    first_wrong: str = ""
    diagnosis: str = ""
    checks: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.state == NOT_ANSWERED:
            return f"{self.name}: {NOT_ANSWERED}."
        lines = [self.first_wrong, self.diagnosis, *self.checks]
        return "\n".join([f"{self.name}: {self.state}.", *(line for line in lines if line)])


@cache
def _right(name: str) -> tuple[Numbers, tuple[str, ...]]:
    """What a blank must return: measured where it is a gradient; and how it was measured."""
    blank = BLANKS[name]
    p = blank.point(AT)
    with np.errstate(over="ignore"):
        values = _text(name).run(*blank.arguments(p)) if blank.layer is None else ()
    right = dict(zip(blank.results, values, strict=False))
    if name == "sigmoid":
        right["s"] = sigmoid(p["a"])
    if name == "lstm_forward":
        right["hs"] = p["h"]
    if blank.loss is None:
        return right, ()
    moved = {array: p[array] for array in blank.slopes.values()}
    loss = blank.loss
    measured = [
        method(lambda a: loss({**p, **a}), moved)
        for method in (gradcheck.complex_step, gradcheck.central_difference)
    ]
    right |= {d: measured[0][array] for d, array in blank.slopes.items()}
    return right | {"central": measured[1]}, tuple(blank.slopes)


def judge(name: str, numbers: Mapping[str, Any] | None) -> Verdict:
    """Judge a blank by its numbers alone.

    Parameters
    ----------
    name : str
        A key of `BLANKS`.
    numbers : dict of name -> array or nested list, or None
        What the student's function returned at the blank's point, and under "tape" its numbers for
        the golden tape, where it has a part there; None for a blank that is empty.

    Returns
    -------
    Verdict
    """
    if numbers is None:
        return Verdict(name, NOT_ANSWERED)
    if "error" in numbers:
        return Verdict(name, "wrong", f"It stopped: {numbers['error']}")
    blank = BLANKS[name]
    right, measured = _right(name)
    theirs: dict[str, Array] = {}
    for result in blank.results:
        must = np.asarray(right[result])
        try:
            theirs[result] = np.asarray(numbers.get(result), dtype=float)
        except (TypeError, ValueError, OverflowError):
            must_be = f"must be an array of numbers of the shape {must.shape}, got none"
            return Verdict(name, "wrong", f"{result} {must_be}.")
        if theirs[result].shape != must.shape:
            got = f"got {theirs[result].shape}"
            return Verdict(name, "wrong", f"{result} must have the shape {must.shape}, {got}.")
    first = _first_wrong(blank, theirs, right)
    if first:
        return Verdict(name, "wrong", first, _diagnosis(blank, name, theirs), _of_tape(numbers)[1])
    how = f"{sum(array.size for array in theirs.values())} numbers agree with the textbook's."
    checks = [how]
    if measured:
        paths = {d: blank.slopes[d] for d in measured}
        worst = {
            words: max(_distance(theirs[d], slopes[d if words == "complex step" else paths[d]])
                       for d in paths)
            for words, slopes in (("complex step", right), ("central differences",
                                                            right["central"]))
        }  # fmt: skip
        checks.append("; ".join(f"{w}: largest error {e:.0e}" for w, e in worst.items()) + ".")
    tape_is_right, of_tape = _of_tape(numbers)
    return Verdict(name, "right" if tape_is_right else "wrong", checks=(*checks, *of_tape))


def _distance(a: Array, b: Array) -> float:
    return float(np.abs(a - b).max() / max(float(np.abs(b).max()), 1e-12))


def _first_wrong(blank: Blank, theirs: Numbers, right: Numbers) -> str:
    """The first wrong number, by its name, in the order of computation."""
    for result in blank.results:
        a, b = theirs[result], np.asarray(right[result])
        bad = ~(np.abs(a - b) <= TOLERANCE * max(float(np.abs(b).max()), 1e-3))
        if bad.any():
            index = np.unravel_index(int(np.argmax(bad)), a.shape)
            place = f"{result}[{', '.join(map(str, index))}]" if index else result
            few = f"{int(bad.sum())} of {a.size} numbers of {result} are wrong"
            numbers = f"{place} must be {b[index]:.6g}, got {a[index]:.6g}"
            if f"{b[index]:.6g}" == f"{a[index]:.6g}":
                numbers = f"{place} must be {b[index]:.12g}, got {a[index]:.12g}"
            return f"The first wrong number: {numbers}; {few}."
    return ""


def _diagnosis(blank: Blank, name: str, theirs: Numbers) -> str:
    """Which line it is, computed from the numbers."""
    bad = [result for result, array in theirs.items() if not np.isfinite(array).all()]
    if bad and name in ("sigmoid", "cross_entropy", "cross_entropy_backward"):
        return (
            f"{bad[0]} is not finite: exp of a large number is infinite, and infinite / infinite "
            "is no number; let exp see only what is not positive."
        )
    if bad:
        return f"{bad[0]} is not finite: look for a division by zero, or an array never filled."
    right = _right(name)[0]
    if max(_distance(theirs[r], np.asarray(right[r])) for r in blank.results) < 1e-5:
        return "The numbers agree to 5 digits or more, and not to 9: something is in float32."
    p = blank.point(AT)
    if blank.layer is not None:
        arrays = {n: p[n] for n in blank.layer.inputs}
        fixed = {n: p[n] for n in blank.layer.upstream}
        slopes = {array: _right(name)[0][d] for d, array in blank.slopes.items()}
        loss = blank.loss or (lambda p: 0.0)
        claimed = {array: theirs[d] for d, array in blank.slopes.items()}
        found = doctor.examine(loss, claimed, arrays, fixed, slopes=slopes)
        return found.findings[0].sentence if found.findings else ""
    with np.errstate(all="ignore"):
        finding = recognised(_text(name), blank.arguments(p), [theirs[r] for r in blank.results])
    return finding.sentence if finding else _by_factor(blank, theirs, _right(name)[0])


def _first_line(blank: Blank, theirs: Numbers, right: Numbers) -> str:
    """The line of the first result that is wrong: what is before it is right."""
    first = next(r for r in blank.results if _distance(theirs[r], right[r]) > TOLERANCE)
    name = next(name for name, other in BLANKS.items() if other is blank)
    must = [f"; it must be {line}" for line in _text(name).lines if line.names == (first,)]
    return f"{first}: the doctor cannot tell what is wrong with it{must[0] if must else ''}."


def _by_factor(blank: Blank, theirs: Numbers, right: Numbers) -> str:
    """What can be read off results that no single line explains: factors, and limits."""
    parts: Numbers = {}
    for result in blank.results:
        if blank.each:
            limits = blank.point(AT)[blank.each]
            parts |= {f"{result} at {v:g}": (theirs[result][k], right[result][k])
                      for k, v in enumerate(limits)}  # fmt: skip
        else:
            parts[result] = (theirs[result], np.asarray(right[result]))
    tops = [np.abs(a) == np.abs(a).max() for a, _ in parts.values()]
    if blank.each and any(top.sum() > 1 for top in tops):
        return (
            f"{blank.results[0]}: its largest entries are all equal, it is limited entry by entry."
        )
    factors = {name: float((a * b).sum() / (b * b).sum()) for name, (a, b) in parts.items()}
    if any(_distance(a, factors[name] * b) > TOLERANCE for name, (a, b) in parts.items()):
        return _first_line(blank, theirs, right)
    words = ", ".join(f"{r} {named_factor(factor, AT)}" for r, factor in factors.items())
    sentence = f"Each result is the right one times a number: {words}."
    if len({round(factor, 9) for factor in factors.values()}) == 1:
        return sentence
    return (
        f"{sentence} The arrays must have one factor in common: the norm is that of all together."
    )


# --- the golden tape -----------------------------------------------------------------------------

ON_TAPE = {"lstm_step_forward": ("forward", "t0", "lstm.0"),
           "lstm_step_backward": ("backward", "t2", "lstm.1")}  # fmt: skip


def _tape_arguments(name: str) -> list[Array]:
    """Arguments for one step of the tape: a batch of one."""
    golden = tape.load()
    _, t, layer = ON_TAPE[name]
    step = int(t[1])
    number = int(layer[-1])
    now = golden["forward"][t]
    p = {w: golden["parameters"][f"{layer}.{w}"] for w in ("Wx", "Wh", "b")}
    p["x"] = [now["x"] if number == 0 else now["lstm.0"]["h"]]
    for state in "hc":
        before = golden["forward"][f"t{step - 1}"][layer][state] if step else (
            golden["inputs"][f"{state}0"][number])  # fmt: skip
        p[f"{state}_prev"] = [before]
    p |= {n: [now[layer][n]] for n in ("i", "f", "g", "o", "tanh_c")}
    p |= {"dh": [golden["backward"][t][layer]["dh"]], "dc": [[0.0] * len(p["h_prev"][0])]}
    return [np.array(p[n]) for n in BLANKS[name].takes.split()]


def _tape_answers(name: str, results: Mapping[str, Any]) -> dict[str, Any]:
    way, t, layer = ON_TAPE[name]
    on_tape = tape.load()[way][t][layer]
    known = {n: np.asarray(v)[0].tolist() for n, v in results.items() if n in on_tape}
    return {way: {t: {layer: known}}}


def _of_tape(numbers: Mapping[str, Any]) -> tuple[bool, tuple[str, ...]]:
    """Whether nothing is wrong with the part of the tape, and what is said about it."""
    if "tape" not in numbers:
        return True, ()
    try:
        found = tape.grade(numbers["tape"])
    except tape.TapeError as error:
        return False, (f"Golden tape: {error}.",)
    if not found.wrong:
        return True, (f"Golden tape: {found.right} of {found.right} numbers are right.",)
    first = found.wrong[0]
    must = f"expected {first.expected:.6g}, got {first.got:.6g}"
    return False, (f"Golden tape: {first.name}: {must}; {first.made_of}.",)


# --- the workbook --------------------------------------------------------------------------------


def numbers_of(function: Callable[..., Any]) -> Numbers | None:
    """What a student's function returns at its blank's point; None if it is still empty."""
    name = function.__name__
    if name not in BLANKS:
        raise ValueError(f"grade: the function must be one of {', '.join(BLANKS)}; got {name!r}")
    blank = BLANKS[name]
    with np.errstate(all="ignore"):
        try:
            calls = [_named(blank, function(*given)) for given in blank.given()]
            numbers = calls[0]
            if blank.each and numbers is not None:
                numbers = {n: np.stack([call[n] for call in calls if call]) for n in numbers}
            if numbers is not None and name in ON_TAPE:
                on_tape = _named(blank, function(*_tape_arguments(name)))
                numbers["tape"] = _tape_answers(name, on_tape or {})
        except Exception as error:  # whatever a student's code does is an answer
            return {"error": f"{type(error).__name__}: {error}"}
    return numbers


def _named(blank: Blank, given: Any) -> Numbers | None:
    if given is None:
        return None
    values = given if len(blank.results) > 1 else [given]
    if blank.textbook is reference.lstm_forward:  # the list of steps, which holds h of each
        steps, *last = values
        values = [np.stack([step[-1] for step in steps]), *last]
    if not isinstance(values, list | tuple) or len(values) != len(blank.results):
        raise ValueError(f"it must return {', '.join(blank.results)}")
    return dict(zip(blank.results, values, strict=True))


def grade(function: Callable[..., Any]) -> Verdict:
    """Grade a blank at once.

    Parameters
    ----------
    function : callable
        The student's function, under the name of its blank. One that returns None is empty.

    Returns
    -------
    Verdict

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
    """The file that a student hands in: the numbers of each blank, as JSON."""
    answers = {f.__name__: numbers_of(f) for f in functions}
    return json.dumps({"student": student, "answers": answers}, default=_as_list)


def _as_list(value: Any) -> Any:
    try:
        return np.asarray(value, dtype=float).tolist()
    except (TypeError, ValueError, OverflowError):
        return None  # no numbers, and judged like such


# --- the teacher's desk --------------------------------------------------------------------------


def grade_file(path: Path) -> tuple[str, list[Verdict]]:
    """The student's name and the verdicts of one submission. Nothing in it is executed.

    Raises
    ------
    tape.TapeError
        If it is no submission.
    """
    content = tape.read(path)
    if not isinstance(content, dict) or not isinstance(content.get("answers"), dict):
        raise tape.TapeError(f"{path}: must be a submission that the workbook wrote")
    verdicts = []
    for name in BLANKS:
        numbers = content["answers"].get(name)
        verdicts.append(judge(name, numbers if isinstance(numbers, dict) else None))
    return str(content.get("student") or path.stem), verdicts


def grade_folder(folder: Path, *, as_csv: bool) -> int:
    """Print a line for each ``.json`` file of a folder; returns the exit status of the command."""
    paths = sorted(folder.glob("*.json"))
    if not paths:
        print(f"grade: {folder} must hold submissions, .json files; it holds none", file=sys.stderr)
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
            wrong = [v for v in verdicts if v.state == "wrong"]
            right = sum(v.state == "right" for v in verdicts)
            answered = sum(v.state != NOT_ANSWERED for v in verdicts)
            said = (f"{wrong[0].name}: {wrong[0].first_wrong}", wrong[0].diagnosis) if wrong else (
                "", "")  # fmt: skip
            row = (student, right, len(BLANKS), answered, *said)
        if as_csv:
            writer.writerow([printable(str(entry)) for entry in row])
        else:
            entries = (f"{title}: {value}" for title, value in zip(titles, row, strict=True))
            print(printable("  ".join(entries)))
    return status
