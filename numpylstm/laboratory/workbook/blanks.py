"""Blanks of the workbook: functions that the student writes.

Each has its arguments and results, the places at which it is called, and the lines of its
solution. `numpylstm.laboratory.workbook.calls` calls a student's function there, and
`numpylstm.laboratory.workbook.grading` judges what it returns.
"""

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, NamedTuple

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
    """Where blanks are called: the sizes, how large the gradients are, and what is rare there."""

    name: str  # among the numbers of a submission
    sizes: Mapping[str, int]
    large: float = 1.0  # factor of upstream gradients
    strided: bool = False  # arrays in Fortran order, or with a stride
    rare: str = ""  # in words, for every blank
    advice: str = ""  # if a function is right at all places before

    def __str__(self) -> str:
        return ", ".join(f"{letter}={size}" for letter, size in self.sizes.items())


SMALL = {"T": 5, "B": 3, "D": 4, "H": 6, "V": 7}
OF_SIZES = (
    "Look for a size that is written as a number, for a row or a step that is left out, and for "
    "something that is clipped, cut off, or kept from 0 by a constant."
)
OF_RARE_NUMBERS = (
    "Look for a division by a number that can be 0, for something that is clipped, cut off or kept "
    "from 0, and for a case (if, np.where) that 0 or a large number enters."
)
OF_LAYOUT = (
    "Look for code that depends on the order of numbers in memory (order='K' or 'A', view, "
    "strides), and for results that are kept from an earlier call with the same shapes."
)
FIRST = Place("first", SMALL)
OTHERS = {
    place.name: place
    for place in (
        Place("second", {"T": 9, "B": 5, "D": 7, "H": 8, "V": 11}, 1e6, advice=OF_SIZES),
        Place("third", {"T": 40, "B": 1, "D": 4, "H": 6, "V": 7}, advice=OF_SIZES),
        Place("fourth", {"T": 1, "B": 2, "D": 3, "H": 4, "V": 5}, 1e-6, advice=OF_SIZES),
        Place("fifth", {"T": 3, "B": 7, "D": 1, "H": 24, "V": 30}, advice=OF_SIZES),
        Place("sixth", {"T": 6, "B": 4, "D": 5, "H": 9, "V": 8}, advice=OF_RARE_NUMBERS),
        Place(
            "seventh",
            SMALL,
            strided=True,
            rare="arrays in Fortran order or with a stride",
            advice=OF_LAYOUT,
        ),
    )
}
"""The other places, by their names among the numbers of a submission."""
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
    p |= {n: place.large * p[n] for n in layer.upstream}
    if place.name == "third":
        p["x"] *= 10
    if place.name == "sixth":
        _make_rare(layer, p)
    kept = layer.run(p)[-1]
    p |= {n: v for n, v in kept._asdict().items() if n not in p}
    p |= {gate: getattr(kept, gate) for gate in layer.gates}
    if layer.step:
        p["kept"] = kept
    if layer.name == "lstm":
        p["steps"] = steps_of([p[n] for n in OF_STEP])
    return [p]


def _make_rare(layer: Layer, p: Point) -> None:
    """Write rows of zeros, cells beyond 8, and biases that close or open a gate."""
    for k, name in enumerate(layer.upstream):
        p[name][1 + k] = 0  # a row, or all rows of a step; another one in each array
        p[name][..., k, :2] = 0
    p["x"][..., 1, :] = 0
    for name in layer.inputs:
        if name.startswith("h"):
            p[name][1] = 0
        if name.startswith("c"):
            p[name][:, 3:7] = [9, -12, 25, -40]
            p[name][1, -1] = 0
    H = p["Wh"].shape[0]
    for block in range(len(layer.gates) or 1):
        start = block * H + block
        p["b"][start : start + 3] = [-900, 40, -22]
        p["b"][(block + 1) * H - 1] = 0  # in row 1 this sum is 0


def _of_embedding(place: Place, rng: np.random.Generator) -> list[Point]:
    T, B, D, V = (place.sizes[letter] for letter in "TBDV")
    ids = rng.integers(0, V - 2, (T, B))
    ids[0] = ids[0, 0]
    if place.name == "third":
        ids[:4, 0] = 0, V - 1, V - 1, 0
    if place.name == "fifth":
        ids[1:3] = V - 1 - np.arange(2 * B).reshape(2, B)  # all of the last rows
    dx = place.large * rng.standard_normal((T, B, D))
    if place.name == "sixth":
        dx[1] = 0
        dx[:, 2] = 0
    return [{"dx": dx, "ids": ids, "V": V}]


def _of_scores(place: Place, rng: np.random.Generator) -> list[Point]:
    """Four batches: a loss is one number, and one number is easily hit."""
    B, V = place.sizes["B"], place.sizes["V"]
    batches = [
        {"logits": rng.standard_normal((B, V)), "targets": rng.integers(0, V, B)} for _ in range(4)
    ]
    one, other, *_ = batches
    one["targets"][-1] = V - 1
    if place.name == "third":
        one["logits"][0, one["targets"][0]] -= 700  # its probability is about 1e-304
    elif place.name == "sixth":
        one["logits"] -= 5000  # exp is 0
        other["logits"] *= 100
        batches[2]["logits"][:] = 3
    else:
        one["logits"][1] += 800  # exp is infinite
    return batches


def _of_clipping(place: Place, rng: np.random.Generator) -> list[Point]:
    """Limits below and above the norm; at one place a limit below 1, and gradients of zeros."""
    D, H, V = (place.sizes[letter] for letter in "DHV")
    shapes = [(D, H), (H, H), (H,), (V, D), (H, V), (V,)]
    count = {"third": 6, "fourth": 1, "fifth": 3}.get(place.name, 2)
    gradients = [place.large * rng.standard_normal(shape) for shape in shapes[:count]]
    if place.name == "sixth":
        gradients[1][:] = 0
    norm = float(np.sqrt(sum((g * g).sum() for g in gradients)))
    # At the first place the lower limit is above 1, which would hide its square and its root.
    low = (
        rng.uniform(0.3, 0.9) if place.name in ("third", "fifth") else rng.uniform(0.2, 0.3) * norm
    )
    calls: list[Point] = [{"gradients": gradients, "max_norm": m} for m in (low, 12 * norm)]
    if place.name == "sixth":
        calls.append({"gradients": [0 * g for g in gradients], "max_norm": low})
        calls.append({"gradients": gradients, "max_norm": 0.0})
    return calls


def _of_update(place: Place, rng: np.random.Generator) -> list[Point]:
    shape = place.sizes["D"], place.sizes["H"]
    W, dW = rng.standard_normal(shape), place.large * rng.standard_normal(shape)
    lr = rng.uniform(0.1, 0.9) + {"third": 2, "fifth": 4, "sixth": 30}.get(place.name, 0)
    if place.name == "sixth":
        W[1] = 0
        dW[2] = 0
    return [
        {"W": W, "dW": dW, "lr": rate} for rate in ((lr, 0.0) if place.name == "sixth" else (lr,))
    ]


FAR_OUT = (9.0, 12.0, 16.0, 20.0, 40.0, 100.0)


def _of_gate(place: Place, rng: np.random.Generator) -> list[Point]:
    a = 2 * rng.standard_normal((place.sizes["B"], place.sizes["H"]))
    if place.name == "third":
        a[0, :2] = 0.0, -1e-9
    elif place.name == "sixth":
        a.flat[: 2 * len(FAR_OUT)] = [*FAR_OUT, *(-n for n in FAR_OUT)]
    else:
        a[0, :2] = 800.0, -800.0
    return [{"a": a}]


def _of_output(place: Place, rng: np.random.Generator) -> list[Point]:
    s = reference.sigmoid(rng.standard_normal((place.sizes["B"], place.sizes["H"])))
    if place.name == "sixth":
        s.flat[:6] = 0.0, 1.0, 1e-9, 1e-7, 1 - 1e-9, 0.5
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
    rare: Mapping[str, str] = field(default_factory=dict)  # what is rare at a place
    points: int = 1

    @property
    def results(self) -> list[str]:
        """Names of the results."""
        return self.returns.split()

    def calls(self, place: Place = FIRST, student: str = "") -> list[Point]:
        """Return the arrays of each call at a place; the name of a student seeds them."""
        seed = zlib.crc32(student.encode("utf-8", "surrogatepass"))
        drawn = [place.name == "seventh"]  # the same sizes as the first, other numbers
        return self.make_points(place, np.random.default_rng([21, seed, *drawn]))

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


RARE_IN_LAYER = {
    "second": "gradients a million times as large",
    "third": "weighted sums above 10",
    "fourth": "gradients of 1e-6",
    "sixth": "rows of zeros, and gates that are closed or open altogether",
}


def _of(function: str) -> dict[str, Any]:
    """Return what a blank has of a layer, of a GRU the one that resets before the product."""
    cell, *step, way = function.split("_")
    options = tuple((n, v) for n, v in OPTIONS.items() if n in CELLS[cell].options)
    layer = Layer(cell, bool(step), options)
    rare = RARE_IN_LAYER
    if cell == "lstm":
        rare = rare | {"sixth": f"cells beyond 8, {rare['sixth']}"}
    if way == "forward":
        rare = {name: words for name, words in rare.items() if "gradients" not in words}
    blank: dict[str, Any] = {
        "make_points": partial(_of_layer, layer),
        "textbook": layer.function(way),
        "gates": layer.gates,
        "rare": rare,
    }
    if way == "backward" and step:
        kept = {"rnn": _of_rnn_step, "lstm": _of_lstm_step, "gru": _of_gru_step}[cell]
        blank |= {"reads": " ".join([*layer.upstream, "kept"]), "keep": kept}
    elif way == "backward":
        blank |= {"layer": layer, "order": -1}
    return blank


OF_SCORES: dict[str, Any] = {
    "make_points": _of_scores,
    "call": "batch {}",
    "rare": {
        "third": "a target whose logit is 700 below the largest",
        "sixth": "logits near -5000, of 100, and all equal",
    },
}

BLANKS = {
    "sigmoid": Blank(
        "a", "s", _of_gate, solutions.sigmoid,
        rare={"third": "an a of 0", "sixth": "an a between -100 and 100"},
    ),
    "sigmoid_slope": Blank(
        "s", "ds", _of_output, solutions.sigmoid_slope, rare={"sixth": "an s of 0, 1 and 1e-9"}
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
        rare={"third": "the ids 0 and V - 1", "fifth": "the largest ids", "sixth": "rows of zeros"},
    ),
    "clip": Blank(
        "gradients max_norm", "clipped", _of_clipping, solutions.clip, listed=True,
        call="max_norm={max_norm:.3g}",
        words={"norm": "the norm of all arrays together", "factor": "one number for all arrays"},
        rare={
            "third": "six arrays and a limit below 1", "fourth": "one array of small numbers",
            "fifth": "three arrays and a limit below 1",
            "sixth": "arrays of zeros, and a limit of 0",
        },
    ),
    "sgd": Blank(
        "W dW lr", "new_W", _of_update, solutions.sgd, call="lr={lr:.3g}",
        rare={"second": "gradients a million times as large", "third": "a rate above 2",
              "fourth": "gradients of 1e-6", "fifth": "a rate above 4",
              "sixth": "rates of 0 and above 30, and rows of zeros"},
    ),
    "gru_step_backward": Blank(
        "dh x h_prev r z n Wx Wh", "dz dn da_n dr da_r da_z dx dh_prev dWx dWh db",
        words={"dh_prev_n": "ds * r"}, points=3, **_of("gru_step_backward"),
    ),
}  # fmt: skip
"""Blanks by the name of their function, in the order of the workbook."""
