"""Arguments: the arrays with which a blank is called at a place, drawn by the name of a student.

Some blanks are called several times at a place, so these functions return a list of calls.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations, cycle, islice
from typing import Any, NamedTuple

import numpy as np

from numpylstm import reference
from numpylstm.checks import Array
from numpylstm.laboratory.doctor.lines import Layer
from numpylstm.laboratory.workbook.places import FIRST, New, Place

Call = dict[str, Any]
"""The arguments of a call by name, and other arrays of the same pass."""
Generator = np.random.Generator


class Step(NamedTuple):
    """The results of a step of an LSTM: a tuple, whose parts have names too."""

    i: Array
    f: Array
    g: Array
    o: Array
    c: Array
    tanh_c: Array
    h: Array


def steps_of(columns: Sequence[Any]) -> list[Step]:
    """Return the steps of a sequence from its results, each over time."""
    return [Step._make(column[t] for column in columns) for t in range(len(columns[0]))]


# --- forms of an argument -------------------------------------------------------------------------


def varied(call: Call, place: Place) -> list[Call]:
    """Return the calls at a place: with one argument at a time in other forms, or only this one.

    A call has under ``new`` in words what is new in it.
    """
    arrays = {name: value for name, value in call.items() if not isinstance(value, int)}
    if place.new is New.ONE_ARGUMENT:
        others = [
            call | {n: _each(change, v), "new": f"another {n}"}
            for n, v in arrays.items()
            for change in (_inside_out, _halved)
        ]
        return [call | {"new": "the numbers of the first place"}, *others]
    if place.new is New.ZEROS:
        numbers = {name: value for name, value in arrays.items() if not isinstance(value, float)}
        return plain(call, numbers)
    if place.new is New.NOT_FINITE:
        return [
            call | {name: _each(partial(_with_a, number), value), "new": f"a {number} in {name}"}
            for name, value in arrays.items()
            if not _is_of_integers(value)
            for number in (np.nan, np.inf, -np.inf)
        ]
    return [call]


PLAIN: dict[str, Callable[[Array], Array]] = {
    "of zeros": np.zeros_like,
    "of ones": np.ones_like,
    "of negative numbers": lambda a: -np.abs(a),
    "of positive numbers": np.abs,
    "of whole numbers": lambda a: np.round(3 * a),
    "with equal rows": lambda a: np.repeat(a[:1], len(a), axis=0),
    "with equal columns": lambda a: np.repeat(a[..., :1], a.shape[-1], axis=-1),
    "with rows whose sum is 0": lambda a: _balanced(a, -1),
    "with columns whose sum is 0": lambda a: _balanced(a, 0),
    "of zeros but for the first row": lambda a: np.concatenate([a[:1], 0 * a[1:]]),
    "of zeros but for the last row": lambda a: np.concatenate([0 * a[:-1], a[-1:]]),
    "with a last row of zeros": lambda a: np.concatenate([a[:-1], 0 * a[-1:]]),
    "with a first column of zeros": lambda a: np.concatenate([0 * a[..., :1], a[..., 1:]], -1),
    "with a last column of zeros": lambda a: np.concatenate([a[..., :-1], 0 * a[..., -1:]], -1),
    "times 1e-6": lambda a: 1e-6 * a,
    "with rows that fall by 1e-4": lambda a: (a.T * 10.0 ** (-4 * np.arange(len(a)))).T,
}
"""Plain forms of an array; its rows are the sequences, the units, or the steps."""
OF_FRACTIONS = (
    "of negative numbers",
    "of whole numbers",
    "with rows whose sum is 0",
    "with columns whose sum is 0",
    "times 1e-6",
    "with rows that fall by 1e-4",
)
"""Forms that ids cannot have."""


def plain(call: Call, numbers: Mapping[str, Any]) -> list[Call]:
    """Return calls with one argument at a time in each plain form, and with two of zeros."""
    calls = []
    for name, value in numbers.items():
        for said, form in PLAIN.items():
            if not (said in OF_FRACTIONS and _is_of_integers(value)):
                calls.append(call | {name: _each(form, value), "new": f"{name} {said}"})
    for pair in combinations(numbers, 2):
        zeros = {name: _each(np.zeros_like, numbers[name]) for name in pair}
        calls.append(call | zeros | {"new": f"{pair[0]} and {pair[1]} of zeros"})
    return calls


def _each(form: Callable[[Array], Array], value: Any) -> Any:
    """Return an array in another form, or each of a list, or a number."""
    if isinstance(value, list):
        return [_each(form, array) for array in value]
    if isinstance(value, float):
        return float(form(np.array([value]))[0])
    return form(np.atleast_1d(value)).reshape(np.shape(value))


def _balanced(a: Array, axis: int) -> Array:
    """Return an array whose sums along an axis are 0 to the last digit: pairs x, -x, then 0."""
    balanced = np.zeros_like(a)
    entries = np.moveaxis(balanced, axis, 0)
    half = np.moveaxis(a, axis, 0)[: len(entries) // 2]
    entries[0 : 2 * len(half) : 2] = half
    entries[1 : 2 * len(half) : 2] = -half
    return balanced


def _is_of_integers(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind == "i"


def _inside_out(a: Array) -> Array:
    """Return the same numbers in another order, with the same first and last row."""
    return np.concatenate([a[:1], np.flip(a[1:-1]), a[1:][-1:]])


def _halved(a: Array) -> Array:
    return a // 2 if a.dtype.kind == "i" else a / 2


def _with_a(number: float, a: Array) -> Array:
    """Return an array with another first number."""
    changed = a.copy()
    changed.flat[:1] = number
    return changed


STORED: dict[str, Callable[[Array], Array]] = {
    "in Fortran order": lambda a: a.copy(order="F"),
    "with a stride": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "that run backwards in memory": lambda a: np.flip(np.flip(a).copy()),
    "with the last axis first in memory": lambda a: np.moveaxis(
        np.moveaxis(a, -1, 0).copy(), 0, -1
    ),
}
"""Copies of an array with the same numbers in another order in memory."""
TYPES = ("uint8", "int32")
"""Types of integers; some bytes of a text are letters of a vocabulary."""


def stored(call: Call, place: Place) -> list[Call]:
    """Return a call with its arrays in every order in memory, or its integers in every type.

    The arrays of a call are copied before a function gets them, under ``stored`` in the way it
    names.
    """
    if place.new is New.LAYOUT:
        return [call | {"new": f"arrays {way}", "stored": way} for way in STORED]
    if place.new is New.INTEGERS and {"ids", "targets"}.intersection(call):
        return [call | {"new": f"integers of the type {kind}", "stored": kind} for kind in TYPES]
    return [call]


def beyond(call: Call) -> list[Call]:
    """Return a call, and others that no blank must handle.

    Their arrays are of whole numbers, of fewer digits, without the axis of the batch, or with one
    axis more, or single numbers, or the ids are those of no word; or they are of zeros, and numbers
    have another sign.
    """
    forms: list[Callable[[Array], Any]] = [
        lambda a: np.where(np.isfinite(a), a, 0).astype(int),
        lambda a: a.astype(np.float32) if a.dtype.kind == "f" else a,
        lambda a: a[..., 0, :] if a.ndim > 1 and a.shape[-2] else a,
        lambda a: a[..., None],
        lambda a: a.flat[0] if a.size else a,
        lambda a: a - a.max(initial=0) - 1 if _is_of_integers(a) else a,
    ]
    changed = [
        {name: form(a) for name, a in call.items() if isinstance(a, np.ndarray)} for form in forms
    ]
    zeros = {name: _each(np.zeros_like, v) for name, v in call.items() if _is_of_arrays(v)}
    negative = {name: -value for name, value in call.items() if isinstance(value, float)}
    return [call, *(call | arrays for arrays in changed), call | zeros | negative]


def _is_of_arrays(value: Any) -> bool:
    """Return True for an array, and for a list of arrays, which must not be empty."""
    if isinstance(value, list):
        return bool(value) and all(isinstance(part, np.ndarray) for part in value)
    return isinstance(value, np.ndarray)


def copied(value: Any, way: str) -> Any:
    """Return a copy of an argument, stored in a way of `STORED` or `TYPES`."""
    if isinstance(value, Step):
        return Step._make(copied(array, way) for array in value)
    if isinstance(value, list):
        copies = {id(part): copied(part, way) for part in value}  # one array twice stays one
        return [copies[id(part)] for part in value]
    if not isinstance(value, np.ndarray):
        return value
    if way in STORED and value.ndim:
        return STORED[way](value)
    if way in TYPES and _is_of_integers(value):
        return value.astype(way)
    return value.copy(order="C")


# --- recurrent layers -----------------------------------------------------------------------------


def of_layer(layer: Layer, place: Place, rng: Generator) -> list[Call]:
    """Draw the arrays of a layer, and compute everything that its forward pass keeps.

    Of an LSTM over a sequence also ``steps``, a tuple of arrays for each step.
    """
    p: Call = {n: 0.7 * rng.standard_normal(s) for n, s in layer.shapes(place.sizes).items()}
    for name in layer.upstream:
        p[name] *= place.scale
    if place.new is New.EXTREMES:
        _make_extreme(layer, p)
    if place.new is New.SMALL:
        for name in layer.inputs:
            p[name] *= 1 if name.startswith("W") else place.sums
    if place.sizes["T"] == 0:
        return [_without_steps(layer, place, rng)]
    drawn = varied(p, place)
    if place.new is New.ZEROS:
        drawn += _plain_gates(layer, p)
        if not layer.step:
            drawn += _late_gradients_vanish(layer, p)
    return [_with_what_is_kept(layer, call) for call in drawn]


def _without_steps(layer: Layer, place: Place, rng: Generator) -> Call:
    """Return the arrays of no steps: those of one, cut."""
    (call,) = of_layer(layer, replace(place, sizes={**place.sizes, "T": 1}), rng)
    arrays = {name: a for name, a in call.items() if isinstance(a, np.ndarray) and a.ndim == 3}
    return call | {name: a[:0] for name, a in arrays.items()} | {"steps": []}


def _with_what_is_kept(layer: Layer, drawn: Call) -> Call:
    """Add what the forward pass computes."""
    kept = layer.run(drawn)[-1]
    p = drawn | {name: array for name, array in kept._asdict().items() if name not in drawn}
    for gate in layer.gates:
        p[gate] = getattr(kept, gate)
    if layer.name == "lstm":
        p["steps"] = steps_of([p[name] for name in Step._fields])
    return p


CLOSED = -900
"""Sum of a gate that lets no digit through."""
OPEN = 900
"""Sum of a gate that lets everything through, to the last digit."""
NEARLY = (-16, -12, -9, -6, 6, 9, 12, 16)
"""Sums of a gate that is nearly closed or open.

Only one unit has them: `1 - h * h` and `(1 - h) * (1 + h)` differ beside other numbers of their
size.
"""


def _plain_gates(layer: Layer, p: Call) -> list[Call]:
    """Return calls in which all sums of a gate are 0, or large, so that it is open or closed.

    With a candidate of 0, and with a cell of 0 before, the new cell is 0 too.
    """
    H = p["Wh"].shape[0]
    gates = layer.gates or ("h",)
    cells = [name for name in layer.inputs if name.startswith("c")]
    calls = []
    for k, gate in enumerate(gates):
        block = slice(k * H, (k + 1) * H)
        without = {name: p[name].copy() for name in ("Wx", "Wh", "b")}
        for array in without.values():
            array[..., block] = 0
        calls.append(p | without | {"new": f"sums of 0 for {gate}"})
        for cell in cells:
            zero = {cell: 0 * p[cell], "new": f"sums of 0 for {gate} and {cell} of zeros"}
            calls.append(p | without | zero)
        for sums in (CLOSED, OPEN):
            b = _raised(p["b"], block, sums)
            calls.append(p | {"b": b, "new": f"sums near {sums} for {gate}"})
        for sums in NEARLY:
            b = _raised(p["b"], k * H, sums)
            calls.append(p | {"b": b, "new": f"sums near {sums} for a unit of {gate}"})
    for sums in NEARLY:
        b = _raised(p["b"], slice(None, None, H), sums)
        calls.append(p | {"b": b, "new": f"sums near {sums} for a unit"})
    for cell in cells:
        for value in NEARLY:
            c = _raised(p[cell], (..., 0), value)
            calls.append(p | {cell: c, "new": f"{cell} near {value} for a unit"})
    for name, weights in (("x", "Wx"), (layer.inputs[1], "Wh")):
        large = {name: p[name].copy(), weights: p[weights].copy()}
        large[name][..., 0] *= 1e6
        large[weights][0] = 0  # so that the gates stay as they are
        calls.append(p | large | {"new": f"a column of {name} times 1e6, whose weights are 0"})
    blocks = {n: np.tile(p[n][..., :H], len(gates)) for n in ("Wx", "Wh", "b")}
    return [
        *calls,
        p | {"b": blocks["b"], "new": "equal blocks of b"},
        p | blocks | {"new": "equal blocks of Wx, Wh and b"},
    ]


def _raised(a: Array, where: Any, by: float) -> Array:
    """Return an array with a number added to some entries."""
    raised = a.copy()
    raised[where] += by
    return raised


def _late_gradients_vanish(layer: Layer, p: Call) -> list[Call]:
    """Return calls whose gradients are tiny or zero after the first step, or but for one of them.

    A text of which only the first letters are scored has such gradients.
    """
    first = np.zeros_like(p["dhs"])
    first[0] = 1
    calls = []
    for rest, said in ((0.0, "zeros"), (1e-12, "tiny")):
        late = {name: rest * p[name] for name in layer.upstream}
        late["dhs"] = p["dhs"] * np.maximum(first, rest)
        calls.append(p | late | {"new": f"gradients that are {said} after the first step"})
    for alone in layer.upstream:
        others = {name: 0 * p[name] for name in layer.upstream if name != alone}
        calls.append(p | others | {"new": f"all gradients but {alone} of zeros"})
    return calls


def _make_extreme(layer: Layer, p: Call) -> None:
    """Write rows of zeros, cells up to 900, and biases that close or open a gate."""
    for k, name in enumerate(layer.upstream):
        p[name][1 + k] = 0  # a row, or all rows of a step; another one in each array
        p[name][..., k, :2] = 0
    p["x"][..., 1, :] = 0
    for name in layer.inputs:
        if name.startswith("h"):
            p[name][1] = 0
        if name.startswith("c"):
            p[name][:, 2:8] = [-900, 9, 900, 7, 25, -40]  # the gates of both 900 and of 7 are open
            p[name][1, -1] = 0
    H = p["Wh"].shape[0]
    for block in range(len(layer.gates) or 1):
        start = block * H + block
        p["b"][start : start + 5] = [-900, 40, -22, 900, 40]
        p["b"][(block + 1) * H - 1] = 0  # in row 1 this sum is 0


# --- functions of each element --------------------------------------------------------------------

FAR_OUT = np.array([800, np.inf, 1e300, 1e-9, 1e-4, 9.0, 12.0, 16.0, 20.0, 31.0, 40.0, 100.0])


def of_sigmoid(place: Place, rng: Generator) -> list[Call]:
    """Draw sums of a gate; some are so large that exp overflows."""
    a = 2 * rng.standard_normal((place.sizes["B"], place.sizes["H"]))
    if place.new is New.EXTREMES:
        far = [*-FAR_OUT, 0.0, *FAR_OUT]
        a.flat[: len(far)] = far
    elif place.new is New.INTEGERS:
        a = np.round(10 * a).astype(np.int64)
    elif place.new is New.SMALL:
        a *= place.sums
    elif a.size > 1:
        a.flat[:2] = 800.0, -800.0
    return varied({"a": _with_axes(a, place)}, place)


def of_slope(place: Place, rng: Generator) -> list[Call]:
    """Draw outputs of a sigmoid: numbers from 0 to 1."""
    s = reference.sigmoid(rng.standard_normal((place.sizes["B"], place.sizes["H"])))
    if place.new is New.EXTREMES:
        s.flat[:8] = 0.0, 1.0, 1e-9, 1e-7, 1 - 1e-9, 0.5, 0.99995, 1 - 1e-12
    calls = varied({"s": _with_axes(s, place)}, place)
    if place.new is New.ZEROS:
        calls = [call for call in calls if call["s"].min() >= 0 and call["s"].max() <= 1]
    return calls


def _with_axes(array: Array, place: Place) -> Array:
    """Return the same numbers with as many axes as the place has."""
    if place.axes == 2:
        return array
    return array.reshape(-1) if place.axes == 1 else array.reshape(*array.shape, 1)


# --- embedding and loss ---------------------------------------------------------------------------


def _words_of(place: Place) -> int:
    """Return the number of words of which ids are drawn: at most as many as a byte can tell apart.

    An id may be a byte although the vocabulary is larger.
    """
    V = place.sizes["V"]
    return min(V, 256) if place.new is New.INTEGERS else V


def of_embedding(place: Place, rng: Generator) -> list[Call]:
    """Draw ids; with the first numbers the last two do not occur, elsewhere all may."""
    T, B, D, V = (place.sizes[letter] for letter in "TBDV")
    words = _words_of(place)
    if (place.sizes, place.seed) == (FIRST.sizes, FIRST.seed):
        ids = rng.integers(0, V - 2, (T, B))
        ids[0] = ids[0, 0]
    else:
        ids = rng.integers(0, words, (T, B))
        ids.flat[-3:] = words - 1
    dx = place.scale * rng.standard_normal((T, B, D))
    if place.new is New.EXTREMES:
        dx[0, 0] *= 1e14  # beside which the others of a running sum are lost
        dx[1] = 0
        dx[:, 2] = 0
        ids[2:5] = [[V - 1], [0], [V - 1]]  # whole steps
    return varied({"dx": dx, "ids": ids, "V": V}, place)


def of_loss(place: Place, rng: Generator) -> list[Call]:
    """Draw several batches: a loss is one number, and one number is easily hit."""
    B, V = place.sizes["B"], place.sizes["V"]
    words = _words_of(place)

    def batch() -> Call:
        return {"logits": rng.standard_normal((B, V)), "targets": rng.integers(0, words, B)}

    if place.new in (New.EMPTY, New.NOT_FINITE):
        return varied(batch(), place)
    last = batch()
    last["targets"][-1] = words - 1
    overflowing = batch()
    overflowing["logits"][-1] += 800  # exp is infinite
    usual = [batch(), batch()]
    if place.new in (New.ONE_ARGUMENT, New.ZEROS):
        return varied(usual[0], place)
    if place.new is not New.EXTREMES:
        return [last, overflowing, *usual]
    underflowing = batch()
    underflowing["logits"] -= 5000  # exp is 0
    unlikely = batch()
    unlikely["logits"][0, unlikely["targets"][0]] -= 700  # its probability is about 1e-304
    hopeless = batch()
    hopeless["logits"][0, hopeless["targets"][0]] -= 2000  # its probability is 0 as a number
    sure = batch()
    sure["logits"][np.arange(B), sure["targets"]] += 12  # all gradients are below 1e-4
    for row, more in enumerate((4, 9, 800)):  # down to 1e-9 of them, and 0
        sure["logits"][row, sure["targets"][row]] += more
    large = batch()
    large["logits"] *= 100
    equal = batch()
    equal["logits"][:] = 3
    spread = batch()
    spread["logits"][:] = -5000
    spread["logits"][::2, [0, -1]] = 715, 0  # exp(715) is infinite, exp(-715) is not 0
    spread["logits"][1::2, [0, -1]] = 0, 715
    spread["targets"][::2] = V - 1
    spread["targets"][1::2] = 0
    return [last, overflowing, underflowing, unlikely, hopeless, sure, large, equal, spread]


# --- updates --------------------------------------------------------------------------------------


def of_clipping(place: Place, rng: Generator) -> list[Call]:
    """Draw two arrays, or B; limits far below and above their norm, next to it, below 1, and 0."""
    T, B, D = (place.sizes[letter] for letter in "TBD")
    H, V = (place.sizes[letter] for letter in "HV")
    shapes = [(D, H), (H, H), (H,), (T, B, D), (), (V, D), (H, V), (V,)]
    count = 2 if place.sizes == FIRST.sizes else B
    drawn = [place.scale * rng.standard_normal(s) for s in islice(cycle(shapes), count)]
    gradients = [_with_axes(array, place) for array in drawn]
    if place.new is New.NOTHING:
        gradients[1] *= 1.5  # so that the first array is never the longest
    if place.new is New.EMPTY:
        return [{"gradients": gradients, "max_norm": 1.0}]
    if place.new is New.EXTREMES:
        gradients[0][1] = 0
        gradients[-1][:] = 0
    norm = float(np.sqrt(sum((g * g).sum() for g in gradients))) or 1.0
    # At the first place the low limit is above 1, which would hide its square and its root.
    limits = [rng.uniform(0.2, 0.3) * norm, 12 * norm]
    if place.new in (New.ONE_ARGUMENT, New.ZEROS, New.NOT_FINITE):
        return varied({"gradients": gradients, "max_norm": limits[0]}, place)
    if place.new in (New.EXTREMES, New.DRAWN):
        limits += [(1 - 1e-6) * norm, (1 + 1e-6) * norm, rng.uniform(0.3, 0.9), 0.0]
    if place.new is New.EXTREMES:
        limits += [np.inf, (1 - 1e-3) * norm, (1 - 1e-8) * norm]
    calls = [{"gradients": gradients, "max_norm": limit} for limit in limits]
    if place.sizes != FIRST.sizes:
        tied = [*gradients, gradients[0]]  # one array twice
        calls.append({"gradients": tied, "max_norm": limits[0]})
    return calls


def of_update(place: Place, rng: Generator) -> list[Call]:
    """Draw an array of one to three axes; rates: usual, tiny, large, negative, and 0."""
    T, B, D, H = (place.sizes[letter] for letter in "TBDH")
    shape: tuple[int, ...] = (D, H)
    if place.sizes != FIRST.sizes and place.new is not New.ZEROS:
        shape = ((H,), (D, H), (T, B, D))[T % 3]
    W = min(1.0, place.scale) * rng.standard_normal(shape)  # beside which dW is not lost
    dW = place.scale * rng.standard_normal(shape)
    W, dW = _with_axes(W, place), _with_axes(dW, place)
    if place.new is New.EXTREMES:
        W[1] = 0
        dW[2] = 0
    rates = [rng.uniform(0.1, 0.9)]
    if place.new in (New.ONE_ARGUMENT, New.ZEROS, New.NOT_FINITE):
        return varied({"W": W, "dW": dW, "lr": rates[0]}, place)
    if place.new in (New.EXTREMES, New.DRAWN):
        rates += [3e-4 * rates[0], 30 * rates[0], -rates[0], 0.0]
    return [{"W": W, "dW": dW, "lr": rate} for rate in rates]
