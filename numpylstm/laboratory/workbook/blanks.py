"""Blanks of the workbook: functions that the student writes.

Each has its arguments and results, the places at which it is called, and the lines of its
solution. `numpylstm.laboratory.workbook.calls` calls a student's function there, and
`numpylstm.laboratory.workbook.grading` judges what it returns.
"""

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import cycle, islice
from typing import Any, NamedTuple

import numpy as np

from numpylstm import reference
from numpylstm.cells import CELLS
from numpylstm.checks import Array
from numpylstm.laboratory.doctor.lines import Layer
from numpylstm.laboratory.mistakes.source import SIZES, Text, read
from numpylstm.laboratory.workbook import solutions
from numpylstm.laboratory.workbook.places import FIRST, New, Place

Point = dict[str, Any]

OPTIONS = {"activation": "tanh", "reset": "before"}


class Step(NamedTuple):
    """The results of a step of an LSTM: a tuple, whose parts have names too."""

    i: Array
    f: Array
    g: Array
    o: Array
    c: Array
    tanh_c: Array
    h: Array


OF_STEP = Step._fields


def steps_of(columns: Sequence[Any]) -> list[Step]:
    """Return the steps of a sequence from its results, each over time."""
    return [Step(*parts) for parts in zip(*columns, strict=True)]


# --- points: the arguments of a call, or of several ---------------------------------------------

MakePoints = Callable[[Place, np.random.Generator], list[Point]]


def _of_layer(layer: Layer, place: Place, rng: np.random.Generator) -> list[Point]:
    """Return arrays of a layer, and everything that its forward pass keeps.

    Of an LSTM over a sequence also ``steps``, a tuple of arrays for each step.
    """
    p: Point = {n: 0.7 * rng.standard_normal(s) for n, s in layer.shapes(place.sizes).items()}
    p |= {n: place.scale * p[n] for n in layer.upstream}
    if place.new is New.EXTREMES:
        _make_extreme(layer, p)
    kept = layer.run(p)[-1]
    p |= {n: v for n, v in kept._asdict().items() if n not in p}
    p |= {gate: getattr(kept, gate) for gate in layer.gates}
    if layer.step:
        p["kept"] = kept
    if layer.name == "lstm":
        p["steps"] = steps_of([p[n] for n in OF_STEP])
    return [p]


def _make_extreme(layer: Layer, p: Point) -> None:
    """Write rows of zeros, cells up to 900, and biases that close or open a gate."""
    for k, name in enumerate(layer.upstream):
        p[name][1 + k] = 0  # a row, or all rows of a step; another one in each array
        p[name][..., k, :2] = 0
    p["x"][..., 1, :] = 0
    for name in layer.inputs:
        if name.startswith("h"):
            p[name][1] = 0
        if name.startswith("c"):
            p[name][:, 3:8] = [9, -12, 25, -40, 900]
            p[name][1, -1] = 0
    H = p["Wh"].shape[0]
    for block in range(len(layer.gates) or 1):
        start = block * H + block
        p["b"][start : start + 4] = [-900, 40, -22, 900]
        p["b"][(block + 1) * H - 1] = 0  # in row 1 this sum is 0


def _of_embedding(place: Place, rng: np.random.Generator) -> list[Point]:
    """At the first sizes the last two ids do not occur, elsewhere all may."""
    T, B, D, V = (place.sizes[letter] for letter in "TBDV")
    if place.sizes == FIRST.sizes:
        ids = rng.integers(0, V - 2, (T, B))
        ids[0] = ids[0, 0]
    else:
        ids = rng.integers(0, V, (T, B))
        ids.flat[-3:] = V - 1
    dx = place.scale * rng.standard_normal((T, B, D))
    if place.new is New.EXTREMES:
        dx[1] = 0
        dx[:, 2] = 0
        ids[2:5] = [[V - 1], [0], [V - 1]]  # whole steps
    return [{"dx": dx, "ids": ids, "V": V}]


def _of_scores(place: Place, rng: np.random.Generator) -> list[Point]:
    """Several batches: a loss is one number, and one number is easily hit."""
    B, V = place.sizes["B"], place.sizes["V"]

    def batch() -> Point:
        return {"logits": rng.standard_normal((B, V)), "targets": rng.integers(0, V, B)}

    last, overflowing, *more = [batch() for _ in range(4)]
    last["targets"][-1] = V - 1
    overflowing["logits"][-1] += 800  # exp is infinite
    if place.new is not New.EXTREMES:
        return [last, overflowing, *more]
    underflowing, unlikely, sure, large, equal = [batch() for _ in range(5)]
    rows = np.arange(B)
    underflowing["logits"] -= 5000  # exp is 0
    unlikely["logits"][0, unlikely["targets"][0]] -= 700  # its probability is about 1e-304
    sure["logits"][rows, sure["targets"]] += 12  # all gradients are below 1e-4
    large["logits"] *= 100
    equal["logits"][:] = 3
    return [last, overflowing, underflowing, unlikely, sure, large, equal]


def _of_clipping(place: Place, rng: np.random.Generator) -> list[Point]:
    """Two arrays, or B; limits far below and above their norm, next to it, below 1, and 0."""
    B, D, H, V = (place.sizes[letter] for letter in "BDHV")
    shapes = [(D, H), (H, H), (H,), (V, D), (H, V), (V,)]
    count = 2 if place.sizes == FIRST.sizes else B
    gradients = [place.scale * rng.standard_normal(s) for s in islice(cycle(shapes), count)]
    if place.new is New.EXTREMES:
        gradients[0][1] = 0
        gradients[-1][:] = 0
    norm = float(np.sqrt(sum((g * g).sum() for g in gradients))) or 1.0
    # At the first place the low limit is above 1, which would hide its square and its root.
    limits = [rng.uniform(0.2, 0.3) * norm, 12 * norm]
    if place.new in (New.EXTREMES, New.DRAWN):
        limits += [(1 - 1e-6) * norm, (1 + 1e-6) * norm, rng.uniform(0.3, 0.9), 0.0]
    return [{"gradients": gradients, "max_norm": limit} for limit in limits]


def _of_update(place: Place, rng: np.random.Generator) -> list[Point]:
    """Usual rates, and a tiny, a large and a negative one, and 0; arrays of one to three axes."""
    T, B, D, H = (place.sizes[letter] for letter in "TBDH")
    shape: tuple[int, ...] = (D, H)
    if place.sizes != FIRST.sizes:
        shape = ((H,), (D, H), (T, B, D))[T % 3]
    W, dW = rng.standard_normal(shape), place.scale * rng.standard_normal(shape)
    if place.new is New.EXTREMES:
        W[1] = 0
        dW[2] = 0
    rates = [rng.uniform(0.1, 0.9)]
    if place.new in (New.EXTREMES, New.DRAWN):
        rates += [3e-4 * rates[0], 30 * rates[0], -rates[0], 0.0]
    return [{"W": W, "dW": dW, "lr": rate} for rate in rates]


FAR_OUT = (1e-9, 9.0, 12.0, 16.0, 20.0, 31.0, 40.0, 100.0)


def _of_gate(place: Place, rng: np.random.Generator) -> list[Point]:
    a = 2 * rng.standard_normal((place.sizes["B"], place.sizes["H"]))
    if place.new is New.EXTREMES:
        far = [0.0, *FAR_OUT, *(-n for n in FAR_OUT)]
        a.flat[: len(far)] = far
    elif a.size > 1:
        a.flat[:2] = 800.0, -800.0
    return [{"a": a}]


def _of_output(place: Place, rng: np.random.Generator) -> list[Point]:
    s = reference.sigmoid(rng.standard_normal((place.sizes["B"], place.sizes["H"])))
    if place.new is New.EXTREMES:
        s.flat[:8] = 0.0, 1.0, 1e-9, 1e-7, 1 - 1e-9, 0.5, 0.99995, 1 - 1e-12
    return [{"s": s}]


# --- what the textbook keeps, from the arguments of the workbook --------------------------------


def _of_rnn_step(p: Point) -> Any:
    return reference.RNNCache(p["x"], p["h_prev"], p["h"], p["Wx"], p["Wh"], "tanh")


def _of_lstm_step(p: Point) -> Any:
    gates = np.concatenate([p[gate] for gate in "ifgo"], axis=1)
    c = h = p["tanh_c"]  # the backward pass reads neither
    past = p["x"], p["h_prev"], p["c_prev"]
    return reference.LSTMCache(*past, gates, c, p["tanh_c"], h, p["Wx"], p["Wh"])


def _of_gru_step(p: Point) -> Any:
    gates = np.concatenate([p[gate] for gate in "rzn"], axis=1)
    s, h = p["r"] * p["h_prev"], p["n"]  # the backward pass does not read h
    past = p["x"], p["h_prev"]
    return reference.GRUCache(*past, gates, s, h, p["Wx"], p["Wh"], None, OPTIONS["reset"])


def _of_ids(p: Point) -> Any:
    return reference.EmbeddingCache(p["ids"], (p["V"], p["dx"].shape[-1]))


# --- the blanks ----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Blank:
    """A function that the student writes.

    `takes` and `returns` name its arguments and results.
    """

    takes: str
    returns: str
    make_points: MakePoints
    textbook: Callable[..., Any]
    reads: str = ""  # the arguments of the textbook, if they differ
    values: str = ""  # the results of the textbook, if they have other names
    keep: Callable[[Point], Any] | None = None  # makes ``kept``, which `reads` may name
    layer: Layer | None = None
    gates: tuple[str, ...] = ()  # the blocks of columns, if there are several
    order: int = 0  # 1 for a loop through time, -1 for one back
    listed: bool = False  # it returns a list, of as many arrays as it gets
    call: str = ""  # name of a call, with its arguments in braces, if there are several
    words: Mapping[str, str] = field(default_factory=dict)  # meaning of names in `textbook`
    extremes: str = ""  # the numbers at the place "extremes"
    scaled: bool = True  # it takes gradients, which some places scale
    agree: float = 1e-10  # largest difference, relative to the largest number of a result
    points: int = 1

    @property
    def results(self) -> list[str]:
        """Names of the results."""
        return self.returns.split()

    def calls(self, place: Place = FIRST, student: str = "") -> list[Point]:
        """Return the arrays of each call at a place; the name of a student seeds them."""
        seed = zlib.crc32(student.encode("utf-8", "surrogatepass"))
        return self.make_points(place, np.random.default_rng([21, seed, place.seed]))

    def arguments(self, p: Point) -> list[Any]:
        """Return the arguments of the textbook at a point."""
        known = p if self.keep is None or "kept" in p else p | {"kept": self.keep(p)}
        return [known[n] for n in (self.reads or self.takes).split()]

    def results_of(self, f: Callable[..., Any], calls: Sequence[Point]) -> dict[str, Array]:
        """Return the results of a form of the textbook by name, stacked if there are more calls."""
        with np.errstate(all="ignore"):
            runs = [self.named(f(*self.arguments(p))) for p in calls]
        return stacked(runs)

    def named(self, values: Sequence[Any]) -> dict[str, Any]:
        """Return results by their names; those of a list have its name and a number."""
        if self.listed:
            return {f"{self.returns}[{k}]": v for k, v in enumerate(values[0])}
        return dict(zip(self.results, values, strict=False))

    def right(self, calls: Sequence[Point]) -> dict[str, Array]:
        """Return the results of the textbook."""
        return self.results_of(self.text.changed(), calls)

    def part(self, *given: Any) -> Any:
        """Return what the solution returns for the arguments of the workbook."""
        p = dict(zip(self.takes.split(), given, strict=True))
        with np.errstate(all="ignore"):
            values = self.text.changed()(*self.arguments(p))
        if self.order > 0:
            *of_steps, hT, cT = values
            return steps_of(of_steps), hT, cT
        return values if len(values) > 1 else values[0]

    @cached_property
    def text(self) -> Text:
        """Lines of the textbook."""
        returned = (self.values or self.returns).split()
        result = self.results if len(self.results) == 1 else ()
        arguments = self.arguments(self.calls(Place("text", SIZES))[0])
        with np.errstate(over="ignore"):
            return read(self.textbook, arguments, self.gates, result, OPTIONS, returned)


def stacked(runs: Sequence[Mapping[str, Any]]) -> dict[str, Array]:
    """Return the arrays of a call by name, or of several calls, stacked."""
    first, *more = runs
    if not more:
        return {n: np.asarray(a) for n, a in first.items()}
    return {n: np.stack([np.asarray(run[n]) for run in runs]) for n in first}


def _of(function: str) -> dict[str, Any]:
    """Return what a blank has of a layer, of a GRU the one that resets before the product."""
    cell, *step, way = function.split("_")
    options = tuple((n, v) for n, v in OPTIONS.items() if n in CELLS[cell].options)
    layer = Layer(cell, bool(step), options)
    cells = "cells up to 900, " if cell == "lstm" else ""
    blank: dict[str, Any] = {
        "make_points": partial(_of_layer, layer),
        "textbook": layer.function(way),
        "gates": layer.gates,
        "extremes": f"{cells}rows of zeros, and gates that are closed or open altogether",
        "scaled": way == "backward",
    }
    if way == "backward" and step:
        kept = {"rnn": _of_rnn_step, "lstm": _of_lstm_step, "gru": _of_gru_step}[cell]
        blank |= {"reads": " ".join([*layer.upstream, "kept"]), "keep": kept}
    elif way == "backward":
        blank |= {"layer": layer, "order": -1}
    return blank


OF_SCORES: dict[str, Any] = {
    "make_points": _of_scores,
    "call": "batch {number}",
    "scaled": False,
    "extremes": "logits near -5000, of 100, all equal, and 12 above or 700 below the others",
}
OF_A_NUMBER: dict[str, Any] = {"scaled": False, "agree": 1e-14}
"""Sums lose digits in their own ways; a function of one number has no such excuse."""

BLANKS = {
    "sigmoid": Blank(
        "a", "s", _of_gate, solutions.sigmoid, extremes="an a from -100 to 100", **OF_A_NUMBER
    ),
    "sigmoid_slope": Blank(
        "s", "ds", _of_output, solutions.sigmoid_slope,
        extremes="an s of 0, of 1, and close to them", **OF_A_NUMBER,
    ),
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
            "reads": "dhs dhT dcT x h0 c0 kept Wx Wh",
            "keep": lambda p: np.array(p["steps"]),
        },
    ),
    "cross_entropy": Blank(
        "logits targets", "loss", textbook=solutions.cross_entropy,
        words={"nll": "-log p[target] of each row"}, **OF_SCORES,
    ),
    "cross_entropy_backward": Blank(
        "logits targets", "dlogits", textbook=solutions.cross_entropy_backward, points=2,
        words={"onehot": "1 at the target of each row, 0 elsewhere"}, **OF_SCORES,
    ),
    "embedding_backward": Blank(
        "dx ids V", "dW", _of_embedding, reference.embedding_backward, "dx kept", keep=_of_ids,
        extremes="rows of zeros, and steps of one id",
    ),
    "clip": Blank(
        "gradients max_norm", "clipped", _of_clipping, solutions.clip, listed=True,
        call="max_norm={max_norm:.3g}",
        words={"norm": "the norm of all arrays together", "factor": "one number for all arrays"},
        extremes="an array of zeros, and limits of 0, below 1, and next to the norm",
    ),
    "sgd": Blank(
        "W dW lr", "new_W", _of_update, solutions.sgd, call="lr={lr:.3g}",
        extremes="rows of zeros, and rates that are tiny, large, negative and 0",
    ),
    "gru_step_backward": Blank(
        "dh x h_prev r z n Wx Wh", "dz dn da_n dr da_r da_z dx dh_prev dWx dWh db",
        words={"dh_prev_n": "ds * r"}, points=3, **_of("gru_step_backward"),
    ),
}  # fmt: skip
"""Blanks by the name of their function, in the order of the workbook."""
