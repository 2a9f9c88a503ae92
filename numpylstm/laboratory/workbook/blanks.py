"""Blanks of the workbook: functions that the student writes.

Each has its arguments and results, the points at which it is called, and the lines of its
solution. `numpylstm.laboratory.workbook.grading` judges what a student's function returns.
"""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np

from numpylstm import reference
from numpylstm.cells import CELLS
from numpylstm.checks import Array
from numpylstm.laboratory.doctor.lines import Layer
from numpylstm.laboratory.mistakes.source import SIZES, Text, read
from numpylstm.laboratory.workbook import solutions

Point = dict[str, Any]


@dataclass(frozen=True)
class Place:
    """Where blanks are called: the sizes, and how large the numbers are."""

    sizes: Mapping[str, int]
    large: float = 1.0  # factor of upstream gradients: clipping inside a blank shows
    edge: bool = False  # with the rare numbers that `Blank.edge` names

    def __str__(self) -> str:
        return ", ".join(f"{letter}={size}" for letter, size in self.sizes.items())


FIRST = Place({"T": 5, "B": 3, "D": 4, "H": 6, "V": 7})
OTHERS = {
    "second": Place({"T": 9, "B": 5, "D": 7, "H": 8, "V": 11}, large=1000.0),
    "third": Place({"T": 40, "B": 1, "D": 4, "H": 6, "V": 7}, edge=True),
    "fourth": Place({"T": 1, "B": 2, "D": 3, "H": 4, "V": 5}),
}
"""The other places, by their names among the numbers of a submission."""
OPTIONS = {"activation": "tanh", "reset": "before"}
OF_STEP = ("i", "f", "g", "o", "c", "tanh_c", "h")


# --- points --------------------------------------------------------------------------------------


MakePoint = Callable[[Place, np.random.Generator], Point]


def _of_layer(layer: Layer, place: Place, rng: np.random.Generator) -> Point:
    """Return arrays of a layer, everything its forward pass keeps, and the cache itself, ``kept``.

    Of an LSTM over a sequence also ``steps``, a tuple of arrays for each step, and the same as one
    array, ``stacked``.
    """
    p: Point = {n: 0.7 * rng.standard_normal(s) for n, s in layer.shapes(place.sizes).items()}
    p |= {n: place.large * p[n] for n in layer.upstream}
    if place.edge:
        p["x"] *= 10
    kept = layer.run(p)[-1]
    p |= {"kept": kept} | {n: v for n, v in kept._asdict().items() if n not in p}
    p |= {gate: getattr(kept, gate) for gate in layer.gates}
    if layer.name == "lstm":
        p["steps"] = list(zip(*(p[n] for n in OF_STEP), strict=True))
        p["stacked"] = np.array(p["steps"])
    return p


def _of_embedding(place: Place, rng: np.random.Generator) -> Point:
    T, B, D, V = (place.sizes[letter] for letter in "TBDV")
    ids = rng.integers(0, V - 2, (T, B))
    ids[0] = ids[0, 0]
    if place.edge:
        ids[:4, 0] = 0, V - 1, V - 1, 0
    dx = place.large * rng.standard_normal((T, B, D))
    return {"dx": dx, "ids": ids, "V": V, "kept": reference.EmbeddingCache(ids, (V, D))}


def _of_scores(place: Place, rng: np.random.Generator) -> Point:
    B, V = place.sizes["B"], place.sizes["V"]
    logits, targets = rng.standard_normal((B, V)), rng.integers(0, V, B)
    if place.edge:
        logits[0, targets[0]] -= 600  # its probability is the float 1e-261
    else:
        logits[1] += 800  # exp(800) is infinite
    return {"logits": logits, "targets": targets}


def _of_update(place: Place, rng: np.random.Generator) -> Point:
    D, H = place.sizes["D"], place.sizes["H"]
    p = {name: rng.standard_normal((D, H)) for name in ("W", "dW", "dWx")}
    p["dWh"] = rng.standard_normal((H, H))
    p["dW"] *= place.large
    limits = np.array([rng.uniform(1.2, 2), 99.0])  # 1 would hide its square and its root
    return p | {
        "gradients": [p["dWx"], p["dWh"]],
        "max_norm": limits,
        "lr": rng.uniform(0.1, 0.9) + 2 * place.edge,
    }


def _of_gate(place: Place, rng: np.random.Generator) -> Point:
    shape = place.sizes["B"], place.sizes["H"]
    a = 2 * rng.standard_normal(shape)
    a[0, :2] = (0.0, -1e-9) if place.edge else (800.0, -800.0)
    return {"a": a, "s": reference.sigmoid(rng.standard_normal(shape))}


# --- the blanks ----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Blank:
    """A function that the student writes.

    `takes` and `returns` name its arguments and results.
    """

    takes: str
    returns: str
    make_point: MakePoint
    textbook: Callable[..., Any]
    reads: str = ""  # the arguments of the textbook, if they differ
    values: str = ""  # the results of the textbook, if they have other names
    layer: Layer | None = None
    gates: tuple[str, ...] = ()  # the blocks of columns, if there are several
    order: int = 0  # 1 for a loop through time, -1 for one back
    each: str = ""  # an argument of which several values are tried
    words: Mapping[str, str] = field(default_factory=dict)  # meaning of names in `textbook`
    edge: str = ""  # what is rare at the place `edge`
    points: int = 1

    @property
    def results(self) -> list[str]:
        """Names of the results."""
        return self.returns.split()

    def point(self, place: Place = FIRST, student: str = "") -> Point:
        """Return the arrays at a place; the name of a student seeds them."""
        seed = zlib.crc32(student.encode("utf-8", "surrogatepass"))
        return self.make_point(place, np.random.default_rng([21, seed]))

    def arguments(self, p: Point) -> list[Any]:
        """Return the arguments of the textbook at a point."""
        return [p[n] for n in (self.reads or self.takes).split()]

    def given(self, place: Place = FIRST, student: str = "") -> list[list[Any]]:
        """Return the arguments of each call of the student's function."""
        p = self.point(place, student)
        values = p[self.each] if self.each else [None]
        return [[v if n == self.each else p[n] for n in self.takes.split()] for v in values]

    def right(self, p: Point) -> dict[str, Array]:
        """Return the results of the textbook at a point."""
        with np.errstate(over="ignore"):
            values = self.text.changed()(*self.arguments(p))
        return {n: np.asarray(v) for n, v in zip(self.results, values, strict=True)}

    @cached_property
    def text(self) -> Text:
        """Lines of the textbook."""
        returned = (self.values or self.returns).split()
        result = self.results if len(self.results) == 1 else ()
        arguments = self.arguments(self.point(Place(SIZES)))
        with np.errstate(over="ignore"):
            return read(self.textbook, arguments, self.gates, result, OPTIONS, returned)


def _of(function: str) -> dict[str, Any]:
    """Return what a blank has of a layer, of a GRU the one that resets before the product."""
    cell, *step, way = function.split("_")
    options = tuple((n, v) for n, v in OPTIONS.items() if n in CELLS[cell].options)
    layer = Layer(cell, bool(step), options)
    blank: dict[str, Any] = {
        "make_point": partial(_of_layer, layer),
        "textbook": layer.function(way),
        "gates": layer.gates,
        "edge": "weighted sums above 10",
    }
    if way == "backward" and step:
        blank["reads"] = " ".join([*layer.upstream, "kept"])
    elif way == "backward":
        blank |= {"layer": layer, "order": -1}
    return blank


FAR = "a target whose logit is 600 below the largest"


BLANKS = {
    "sigmoid": Blank("a", "s", _of_gate, solutions.sigmoid, edge="an a of 0"),
    "sigmoid_slope": Blank("s", "ds", _of_gate, solutions.sigmoid_slope),
    "rnn_step_forward": Blank("x h_prev Wx Wh b", "h", **_of("rnn_step_forward")),
    "rnn_step_backward": Blank(
        "dh x h_prev h Wx Wh", "dx dh_prev dWx dWh db", points=3, **_of("rnn_step_backward")
    ),
    "rnn_backward": Blank(
        "dhs dhT x h_prev h Wx Wh", "dx dh0 dWx dWh db", values="dx dh dWx dWh db", points=3,
        **_of("rnn_backward") | {"textbook": solutions.rnn_backward},
    ),
    "lstm_step_forward": Blank(
        "x h_prev c_prev Wx Wh b", " ".join(OF_STEP), points=2, **_of("lstm_step_forward")
    ),
    "lstm_step_backward": Blank(
        "dh dc x h_prev c_prev i f g o tanh_c Wx Wh",
        "do dc di df dg da_i da_f da_g da_o dx dh_prev dc_prev dWx dWh db", points=5,
        **_of("lstm_step_backward"),
    ),
    "lstm_forward": Blank(
        "x h0 c0 Wx Wh b", " ".join([*OF_STEP, "hT", "cT"]),
        values=" ".join([*(f"cache.{n}" for n in OF_STEP), "h", "c"]), order=1, points=2,
        **_of("lstm_forward"),
    ),
    "lstm_backward": Blank(
        "dhs dhT dcT x h0 c0 steps Wx Wh", "dx dh0 dc0 dWx dWh db", values="dx dh dc dWx dWh db",
        points=3,
        **_of("lstm_backward") | {
            "textbook": solutions.lstm_backward,
            "reads": "dhs dhT dcT x h0 c0 stacked Wx Wh",
        },
    ),
    "cross_entropy": Blank(
        "logits targets", "loss", _of_scores, solutions.cross_entropy,
        words={"nll": "-log p[target] of each row"}, edge=FAR,
    ),
    "cross_entropy_backward": Blank(
        "logits targets", "dlogits", _of_scores, solutions.cross_entropy_backward,
        points=2,
        words={"onehot": "1 at the target of each row, 0 elsewhere"}, edge=FAR,
    ),
    "embedding_backward": Blank(
        "dx ids V", "dW", _of_embedding, reference.embedding_backward, "dx kept",
        edge="the ids 0 and V - 1",
    ),
    "clip": Blank(
        "gradients max_norm", "clipped_dWx clipped_dWh", _of_update, solutions.clip,
        "dWx dWh max_norm", each="max_norm",
    ),
    "sgd": Blank("W dW lr", "new_W", _of_update, solutions.sgd, edge="a rate above 2"),
    "gru_step_backward": Blank(
        "dh x h_prev r z n Wx Wh", "dz dn da_n dr da_r da_z dx dh_prev dWx dWh db",
        words={"dh_prev_n": "ds * r"}, points=3, **_of("gru_step_backward"),
    ),
}  # fmt: skip
"""Blanks by the name of their function, in the order of the workbook."""
