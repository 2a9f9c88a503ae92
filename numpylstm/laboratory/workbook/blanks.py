"""Blanks of the workbook: functions that the student writes.

Each has its arguments and results, the places at which it is called, and the function of the
textbook with which it is compared. `numpylstm.laboratory.workbook.calls` calls a student's function
there, and `numpylstm.laboratory.workbook.grading` judges what it returns.
"""

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial
from typing import Any

import numpy as np

from numpylstm import reference
from numpylstm.cells import CELLS
from numpylstm.checks import Array
from numpylstm.laboratory.doctor.lines import Layer
from numpylstm.laboratory.mistakes.source import SIZES, Text, read
from numpylstm.laboratory.workbook import arguments, solutions
from numpylstm.laboratory.workbook.arguments import Call, Step, steps_of
from numpylstm.laboratory.workbook.places import FIRST, OF_SOME_BLANKS, New, Place, places

OPTIONS = {"activation": "tanh", "reset": "before"}
"""The options of the cells of the workbook."""


def as_they_are(*given: Any) -> tuple[Any, ...]:
    """Return the arguments of a textbook's function that takes those of the workbook."""
    return given


@dataclass(frozen=True, eq=False)
class Blank:
    """A function that the student writes.

    `takes` and `returns` name its arguments and results.
    """

    takes: str
    returns: str
    make_calls: Callable[[Place, np.random.Generator], list[Call]]
    textbook: Callable[..., Any]
    given: Callable[..., Sequence[Any]] = as_they_are  # makes the textbook's arguments
    values: str = ""  # the results of the textbook, if they have other names
    layer: Layer | None = None  # of which it is a function
    order: int = 0  # 1 for a loop through time, -1 for one back
    listed: bool = False  # it returns a list, of as many arrays as it gets
    call: str = ""  # name of a call, with its arguments in braces, if there are several
    words: Mapping[str, str] = field(default_factory=dict)  # meaning of names in `textbook`
    plain: str = "arguments of zeros, of ones, of one sign, with equal rows or tiny numbers"
    extremes: str = ""  # the numbers at the place "extremes"
    scaled: bool = True  # it takes gradients, which some places scale
    also: tuple[New, ...] = ()  # what it has of `OF_SOME_BLANKS`
    agree: float = 1e-10  # largest difference, relative to the largest number of a result
    by_row: bool = False  # or of each of its rows, which are sums of their own
    points: int = 1

    @property
    def results(self) -> list[str]:
        """Names of the results."""
        return self.returns.split()

    def places(self, seed: int) -> list[Place]:
        """Return its places; the last ones are drawn with a seed."""
        return [p for p in places(seed) if p.new not in OF_SOME_BLANKS or p.new in self.also]

    def calls(self, place: Place = FIRST, student: str = "") -> list[Call]:
        """Return the arrays of each call at a place; the name of a student seeds them."""
        return _calls(self, place, student)

    def named(self, values: Sequence[Any]) -> dict[str, Any]:
        """Return results by their names; those of a list have its name and a number."""
        if self.listed:
            return {f"{self.returns}[{k}]": v for k, v in enumerate(values[0])}
        return dict(zip(self.results, values, strict=False))

    # --- the textbook ---

    @cached_property
    def text(self) -> Text:
        """Lines of the textbook."""
        returned = (self.values or self.returns).split()
        result = self.results if len(self.results) == 1 else ()
        gates = self.layer.gates if self.layer else ()
        p = self.calls(Place("text", SIZES))[0]
        with np.errstate(over="ignore"):
            return read(self.textbook, self._given_at(p), gates, result, OPTIONS, returned)

    def _given_at(self, p: Call) -> Sequence[Any]:
        """Return the arguments of the textbook for a call."""
        return self.given(*(p[name] for name in self.takes.split()))

    def results_of(self, f: Callable[..., Any], calls: Sequence[Call]) -> dict[str, Array]:
        """Return the results of a form of the textbook by name, stacked if there are more calls."""
        with np.errstate(all="ignore"):
            return stacked([self.named(f(*self._given_at(p))) for p in calls])

    def right(self, place: Place, student: str) -> dict[str, Array]:
        """Return the results of the textbook at a place."""
        return _right(self, place, student)

    def part(self, *given: Any) -> Any:
        """Return what the solution returns for the arguments of the workbook."""
        with np.errstate(all="ignore"):
            values = self.text.changed()(*self.given(*given))
        if self.order > 0:
            return steps_of(values[:-2]), *values[-2:]
        return values if len(values) > 1 else values[0]


MOST_KEPT = 600
"""Number of places whose arrays are kept: those of all blanks for one student."""


@lru_cache(maxsize=MOST_KEPT)
def _calls(blank: Blank, place: Place, student: str) -> list[Call]:
    seed = zlib.crc32(student.encode("utf-8", "surrogatepass"))
    with np.errstate(all="ignore"):
        drawn = blank.make_calls(place, np.random.default_rng([21, seed, place.seed]))
    return [call for one in drawn for call in arguments.stored(one, place)]


@lru_cache(maxsize=MOST_KEPT)
def _right(blank: Blank, place: Place, student: str) -> dict[str, Array]:
    return blank.results_of(blank.text.changed(), blank.calls(place, student))


def stacked(runs: Sequence[Mapping[str, Any]]) -> dict[str, Array]:
    """Return the arrays of a call by name, or of several calls, stacked."""
    if len(runs) == 1:
        return {name: np.asarray(array) for name, array in runs[0].items()}
    return {name: np.stack([np.asarray(run[name]) for run in runs]) for name in runs[0]}


# --- the blanks ----------------------------------------------------------------------------------


def _layer(cell: str, *, step: bool = False) -> Layer:
    options = tuple((name, OPTIONS[name]) for name in OPTIONS if name in CELLS[cell].options)
    return Layer(cell, step, options)


def _of_layer(layer: Layer, takes: str, returns: str, **others: Any) -> Blank:
    """Return the blank of a function of a layer."""
    cells = "cells up to 900, " if "c" in CELLS[layer.kind].states else ""
    return Blank(
        takes,
        returns,
        partial(arguments.of_layer, layer),
        plain=f"{Blank.plain}, and units whose sums are 0 or large",
        layer=layer,
        extremes=f"{cells}rows of zeros, and gates that are closed or open altogether",
        scaled="dh" in takes,
        **others,
    )


def _of_loss(returns: str, textbook: Callable[..., Any], **others: Any) -> Blank:
    """Return a blank that takes logits and targets."""
    return Blank(
        "logits targets",
        returns,
        arguments.of_loss,
        textbook,
        call="batch {number}",
        scaled=False,
        also=(New.INTEGERS,),
        extremes="logits near -5000, of 100, all equal, and 12 above or 700 and 2000 below the "
        "others, and rows of 0, 715 and -5000",
        **others,
    )


RNN, RNN_STEP = _layer("rnn"), _layer("rnn", step=True)
LSTM, LSTM_STEP = _layer("lstm"), _layer("lstm", step=True)
GRU_STEP = _layer("gru", step=True)
OF_STEP = " ".join(Step._fields)
OF_A_NUMBER = 1e-14
"""Sums lose digits in their own ways; a function of one number has no such excuse."""

BLANKS = {
    "sigmoid": Blank(
        "a", "s", arguments.of_sigmoid, solutions.sigmoid, scaled=False, agree=OF_A_NUMBER,
        also=(New.INTEGERS, New.AXES),
        extremes="an a from -inf to inf",
    ),
    "sigmoid_slope": Blank(
        "s", "ds", arguments.of_slope, solutions.sigmoid_slope, scaled=False, agree=OF_A_NUMBER,
        also=(New.AXES,),
        extremes="an s of 0, of 1, and close to them",
    ),
    "rnn_step_forward": _of_layer(
        RNN_STEP, "x h_prev Wx Wh b", "h", textbook=reference.rnn_step_forward,
    ),
    "rnn_step_backward": _of_layer(
        RNN_STEP, "dh x h_prev h Wx Wh", "dx dh_prev dWx dWh db",
        textbook=reference.rnn_step_backward, given=solutions.of_rnn_step, points=3,
    ),
    "rnn_backward": _of_layer(
        RNN, "dhs dhT x h_prev h Wx Wh", "dx dh0 dWx dWh db",
        textbook=solutions.rnn_backward, values="dx dh dWx dWh db", order=-1, points=3,
    ),
    "lstm_step_forward": _of_layer(
        LSTM_STEP, "x h_prev c_prev Wx Wh b", OF_STEP,
        textbook=reference.lstm_step_forward, points=2,
    ),
    "lstm_step_backward": _of_layer(
        LSTM_STEP, "dh dc x h_prev c_prev i f g o tanh_c Wx Wh",
        "do dc di df dg da_i da_f da_g da_o dx dh_prev dc_prev dWx dWh db",
        textbook=reference.lstm_step_backward, given=solutions.of_lstm_step, points=5,
        words={"dc_next": "the dc that is given"},
    ),
    "lstm_forward": _of_layer(
        LSTM, "x h0 c0 Wx Wh b", f"{OF_STEP} hT cT",
        textbook=reference.lstm_forward,
        values=" ".join([*(f"cache.{name}" for name in Step._fields), "h", "c"]),
        order=1, points=2,
    ),
    "lstm_backward": _of_layer(
        LSTM, "dhs dhT dcT x h0 c0 steps Wx Wh", "dx dh0 dc0 dWx dWh db",
        textbook=solutions.lstm_backward, given=solutions.of_lstm,
        values="dx dh dc dWx dWh db", order=-1, points=3,
    ),
    "cross_entropy": _of_loss(
        "loss", solutions.cross_entropy, words={"nll": "-log p[target] of each row"},
    ),
    "cross_entropy_backward": _of_loss(
        "dlogits", solutions.cross_entropy_backward, points=2,
        words={"onehot": "1 at the target of each row, 0 elsewhere"},
    ),
    "embedding_backward": Blank(
        "dx ids V", "dW", arguments.of_embedding, reference.embedding_backward,
        given=solutions.of_embedding, by_row=True, also=(New.INTEGERS,),
        extremes="rows of zeros, steps of one id, and a row times 1e14",
    ),
    "clip": Blank(
        "gradients max_norm", "clipped", arguments.of_clipping, solutions.clip, listed=True,
        also=(New.AXES,), call="max_norm={max_norm:.3g}", agree=1e-12,
        words={"norm": "the norm of all arrays together", "factor": "one number for all arrays"},
        extremes="an array of zeros, and limits of 0, below 1, next to the norm, and infinite",
    ),
    "sgd": Blank(
        "W dW lr", "new_W", arguments.of_update, solutions.sgd, call="lr={lr:.3g}", agree=1e-13,
        also=(New.AXES,),
        extremes="rows of zeros, and rates that are tiny, large, negative and 0",
    ),
    "gru_step_backward": _of_layer(
        GRU_STEP, "dh x h_prev r z n Wx Wh", "dz dn da_n dr da_r da_z dx dh_prev dWx dWh db",
        textbook=reference.gru_step_backward, given=solutions.of_gru_step, points=3,
        words={"dh_prev_n": "ds * r"},
    ),
}  # fmt: skip
"""Blanks by the name of their function, in the order of the workbook."""
