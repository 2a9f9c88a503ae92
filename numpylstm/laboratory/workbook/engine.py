"""A small language model made of the fifteen functions of the workbook.

An embedding, a cell, a linear layer (given here) and the loss. It reads a text that counts from one
to ten, letter by letter, and predicts the next letter. `numbers_of` trains it, first for a few
updates with the cells of the RNN and the GRU, then with the LSTM; the workbook's last cell and the
teacher's desk judge the same losses.
"""

import contextlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any

import numpy as np

from numpylstm import reference
from numpylstm.checks import Array
from numpylstm.data import Vocabulary, batches
from numpylstm.laboratory.mistakes.record import enumeration
from numpylstm.laboratory.workbook.answers import Answer, textbook_parts
from numpylstm.laboratory.workbook.arguments import steps_of
from numpylstm.laboratory.workbook.blanks import BLANKS
from numpylstm.laboratory.workbook.calls import called_values, stopped
from numpylstm.laboratory.workbook.results import NotGradable
from numpylstm.models import LanguageModel

Functions = Mapping[str, Callable[..., Any]]  # by the names of the blanks

LETTERS = list("one two three four five six seven eight nine ten " * 40)
B, T, H = 10, 20, 24
RATE, MAX_NORM = 0.5, 5.0
EPOCHS = {"rnn": 1, "gru": 1, "lstm": 20}
"""Number of passes through the text with each cell."""
AGREE = 1e-6
"""Largest difference between a loss and the textbook's."""


@cache
def vocabulary() -> Vocabulary:
    """Return the letters of the text."""
    return Vocabulary.build(LETTERS)


def new_model(cell: str) -> LanguageModel:
    """Return the library's model of the same kind, with the weights from which both start."""
    options: dict[str, Any] = {"reset": "before"} if cell == "gru" else {}
    settings: dict[str, Any] = {"dtype": "float64", "init_scale": 0.2, "rng": 2}
    return LanguageModel(len(vocabulary()), H, cell=cell, **settings, **options)


def forward(
    of: Functions, cell: str, x: Array, h: Array, c: Array, Wx: Array, Wh: Array, b: Array
) -> tuple[Array, Array, Array, Any]:
    """Return the states, the last state, and what the backward pass needs."""
    if cell == "lstm":
        results = of["lstm_forward"](x, h, c, Wx, Wh, b)
        steps = steps_of(results[:-2])
        return np.stack([step.h for step in steps]), results[-2], results[-1], steps
    if cell == "gru":
        hs, hT, kept = reference.gru_forward(x, h, Wx, Wh, b, reset="before")
        return hs, hT, c, kept
    hs = [h]
    for x_t in x:
        hs.append(of["rnn_step_forward"](x_t, hs[-1], Wx, Wh, b)[0])
    return np.stack(hs[1:]), hs[-1], c, np.stack(hs)


def backward(
    of: Functions, cell: str, dhs: Array, x: Array, h: Array, c: Array, kept: Any, Wx: Array,
    Wh: Array,
) -> Sequence[Array]:  # fmt: skip
    """Return dx, dWx, dWh and db."""
    nothing = np.zeros_like(h)
    if cell == "lstm":
        results = of["lstm_backward"](dhs, nothing, nothing, x, h, c, kept, Wx, Wh)
        return results[0], *results[3:]
    if cell == "rnn":
        results = of["rnn_backward"](dhs, nothing, x, kept[:-1], kept[1:], Wx, Wh)
        return results[0], *results[2:]
    dx = np.zeros_like(x)
    dh = nothing
    dWx: Any = 0
    dWh: Any = 0
    db: Any = 0
    for t in reversed(range(len(x))):
        gates = kept.r[t], kept.z[t], kept.n[t]
        back = of["gru_step_backward"](dhs[t] + dh, x[t], kept.h_prev[t], *gates, Wx, Wh)
        dx[t] = back[-5]
        dh = back[-4]
        dWx = dWx + back[-3]
        dWh = dWh + back[-2]
        db = db + back[-1]
    return dx, dWx, dWh, db


def loss_and_gradients(
    of: Functions, cell: str, p: Mapping[str, Array], x: Array, y: Array, h: Array, c: Array
) -> tuple[float, dict[str, Array], Array, Array]:
    """Return the sum over time of the mean over the batch, its gradients by path, and the state.

    x and y are (T, B) ids.
    """
    embedded = p["embedding.W"][x]
    Wx, Wh, b = (p[f"{cell}.0.{name}"] for name in ("Wx", "Wh", "b"))
    hs, hT, cT, kept = forward(of, cell, embedded, h, c, Wx, Wh, b)
    logits = hs @ p["decoder.W"] + p["decoder.b"]
    pairs = [*zip(logits, y, strict=True)]
    loss = sum(float(of["cross_entropy"](*pair)[0]) for pair in pairs)
    dlogits = np.stack([of["cross_entropy_backward"](*pair)[0] for pair in pairs])
    dhs = dlogits @ p["decoder.W"].T
    dx, dWx, dWh, db = backward(of, cell, dhs, embedded, h, c, kept, Wx, Wh)
    (dW,) = of["embedding_backward"](dx, x, len(p["embedding.W"]))
    gradients = {
        "decoder.W": np.tensordot(hs, dlogits, axes=([0, 1], [0, 1])),
        "decoder.b": dlogits.sum(axis=(0, 1)),
        f"{cell}.0.Wx": dWx,
        f"{cell}.0.Wh": dWh,
        f"{cell}.0.b": db,
        "embedding.W": dW,
    }
    return loss, gradients, hT, cT


def train(functions: Functions, cell: str = "lstm") -> list[float]:
    """Train the model made of the functions; return the loss of each update."""
    of = {name: partial(called_values, BLANKS[name], f) for name, f in functions.items()}
    p = new_model(cell).state_dict()
    losses = []
    ids, _ = vocabulary().encode(LETTERS)
    for _ in range(EPOCHS[cell]):
        h = c = np.zeros((B, H))
        for x, y in batches(ids, B, T):
            loss, d, h, c = loss_and_gradients(of, cell, p, x, y, h, c)
            clipped = dict(zip(d, of["clip"]([*d.values()], MAX_NORM), strict=True))
            p = {path: of["sgd"](p[path], clipped[path], RATE)[0] for path in p}
            losses.append(loss)
    return losses


def numbers_of(functions: Mapping[str, Answer]) -> dict[str, Any]:
    """Return the losses by cell, or under "error" why there are none."""
    losses: dict[str, Any] = {}
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for cell in EPOCHS:
            try:
                losses[cell] = train(functions, cell)
            except BaseException as error:  # whatever a student's code does
                said = str(error) if isinstance(error, NotGradable) else stopped(error)
                return losses | {"error": f"With the {cell} it stopped: {said}"}
    return losses


@cache
def right_numbers() -> dict[str, list[float]]:
    """Return the losses of the textbook."""
    return numbers_of({name: blank.part for name, blank in BLANKS.items()})


def first_wrong(numbers: Mapping[str, Any]) -> str:
    """Name the first wrong loss; empty if there is none."""
    for cell, right in right_numbers().items():
        theirs = numbers.get(cell)
        if not isinstance(theirs, list) or len(theirs) != len(right):
            return str(numbers.get("error", f"There are no losses with the {cell}."))
        for update, (must, got) in enumerate(zip(right, theirs, strict=True)):
            if not (isinstance(got, int | float) and abs(got - must) <= AGREE):
                return (
                    f"With the {cell}, the loss of update {update} must be {must:.10g}, got {got}."
                )
    return ""


def _among_the_textbooks(functions: Mapping[str, Answer]) -> bool:
    """Return True if all losses are right with functions in the place of the textbook's.

    Also in the students' functions that call others.
    """
    with contextlib.ExitStack() as stack:
        for answer in functions.values():
            stack.enter_context(textbook_parts(answer, BLANKS.keys() - functions.keys()))
        parts: dict[str, Answer] = {name: blank.part for name, blank in BLANKS.items()}
        return not first_wrong(numbers_of({**parts, **functions}))


def guilty(functions: Mapping[str, Answer]) -> list[str]:
    """Return the functions with which the losses are wrong, as far as one alone can tell."""
    if _among_the_textbooks(functions):
        return []
    alone = [name for name, own in functions.items() if not _among_the_textbooks({name: own})]
    if alone:
        return alone
    # A step is called by the student's loop only: all are right with the textbook's in its place.
    without = {n: {m: f for m, f in functions.items() if m != n} for n in functions}
    return [name for name, others in without.items() if _among_the_textbooks(others)]


def advice(functions: Mapping[str, Answer]) -> str:
    """Name the functions whose losses are wrong among the textbook's."""
    names = guilty(functions)
    if not names:
        return "The grader cannot tell which of your functions is wrong there."
    return f"Wrong among the textbook's functions: {enumeration(names)}."
