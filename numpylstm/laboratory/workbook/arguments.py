"""Arguments: the arrays with which a blank is called at a place, drawn by the name of a student.

Some blanks are called several times at a place, so these functions return a list of calls.
"""

from collections.abc import Callable, Mapping, Sequence
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


def varied(call: Call, place: Place) -> list[Call]:
    """Return the calls at a place: with one argument at a time changed, or zero, or only this one.

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
    return [call]


PLAIN: dict[str, Callable[[Array], Array]] = {
    "of zeros": np.zeros_like,
    "of ones": np.ones_like,
    "with equal rows": lambda a: np.repeat(a[:1], len(a), axis=0),
    "of zeros but for the first row": lambda a: np.concatenate([a[:1], 0 * a[1:]]),
    "of zeros but for the last row": lambda a: np.concatenate([0 * a[:-1], a[-1:]]),
    "with a last row of zeros": lambda a: np.concatenate([a[:-1], 0 * a[-1:]]),
    "times 1e-6": lambda a: 1e-6 * a,
}
"""Plain forms of an array; its rows are the sequences, the units, or the steps."""


def plain(call: Call, numbers: Mapping[str, Any]) -> list[Call]:
    """Return calls with one argument at a time in each plain form, and with two of zeros."""
    calls = []
    for name, value in numbers.items():
        for said, form in PLAIN.items():
            if not (said == "times 1e-6" and _is_of_integers(value)):
                calls.append(call | {name: _each(form, value), "new": f"{name} {said}"})
    for pair in combinations(numbers, 2):
        zeros = {name: _each(np.zeros_like, numbers[name]) for name in pair}
        calls.append(call | zeros | {"new": f"{pair[0]} and {pair[1]} of zeros"})
    return calls


def _each(form: Callable[[Array], Array], value: Any) -> Any:
    """Return an array in another form, or each of a list; one without rows as it is."""
    if isinstance(value, list):
        return [_each(form, array) for array in value]
    return form(np.atleast_1d(value)).reshape(np.shape(value))


def _is_of_integers(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind == "i"


def _inside_out(a: Array) -> Array:
    """Return the same numbers in another order, with the same first and last row."""
    return np.concatenate([a[:1], np.flip(a[1:-1]), a[1:][-1:]])


def _halved(a: Array) -> Array:
    return a // 2 if a.dtype.kind == "i" else a / 2


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
            p[name] *= 1 if name.startswith("W") else 1e-4
    drawn = varied(p, place)
    if place.new is New.ZEROS:
        drawn += _plain_gates(layer, p)
        if not layer.step:
            drawn += _late_gradients_vanish(layer, p)
    return [_with_what_is_kept(layer, call) for call in drawn]


def _with_what_is_kept(layer: Layer, drawn: Call) -> Call:
    """Add what the forward pass computes."""
    kept = layer.run(drawn)[-1]
    p = drawn | {name: array for name, array in kept._asdict().items() if name not in drawn}
    for gate in layer.gates:
        p[gate] = getattr(kept, gate)
    if layer.name == "lstm":
        p["steps"] = steps_of([p[name] for name in Step._fields])
    return p


def _plain_gates(layer: Layer, p: Call) -> list[Call]:
    """Return calls in which all sums of a gate are 0, or so large that it is open or closed.

    With a candidate of 0, and with a cell of 0 before, the new cell is 0 too.
    """
    H = p["Wh"].shape[0]
    calls = []
    for k, gate in enumerate(layer.gates or ("h",)):
        block = slice(k * H, (k + 1) * H)
        without = {name: p[name].copy() for name in ("Wx", "Wh", "b")}
        for array in without.values():
            array[..., block] = 0
        calls.append(p | without | {"new": f"sums of 0 for {gate}"})
        for cell in (name for name in layer.inputs if name.startswith("c")):
            zero = {cell: 0 * p[cell], "new": f"sums of 0 for {gate} and {cell} of zeros"}
            calls.append(p | without | zero)
        for limit in (-900.0, 900.0):
            b = p["b"].copy()
            b[block] = limit
            calls.append(p | {"b": b, "new": f"sums of {limit:.0f} for {gate}"})
    equal = np.tile(p["b"][:H], len(p["b"]) // H)
    return [*calls, p | {"b": equal, "new": "equal blocks of b"}]


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

FAR_OUT = np.array([1e-9, 9.0, 12.0, 16.0, 20.0, 31.0, 40.0, 100.0])


def of_sigmoid(place: Place, rng: Generator) -> list[Call]:
    """Draw sums of a gate; some are so large that exp overflows."""
    a = 2 * rng.standard_normal((place.sizes["B"], place.sizes["H"]))
    if place.new is New.EXTREMES:
        far = [0.0, *FAR_OUT, *-FAR_OUT]
        a.flat[: len(far)] = far
    elif place.new is New.SMALL:
        a *= 1e-4
    elif a.size > 1:
        a.flat[:2] = 800.0, -800.0
    return varied({"a": a}, place)


def of_slope(place: Place, rng: Generator) -> list[Call]:
    """Draw outputs of a sigmoid."""
    s = reference.sigmoid(rng.standard_normal((place.sizes["B"], place.sizes["H"])))
    if place.new is New.EXTREMES:
        s.flat[:8] = 0.0, 1.0, 1e-9, 1e-7, 1 - 1e-9, 0.5, 0.99995, 1 - 1e-12
    return varied({"s": s}, place)


# --- embedding and loss ---------------------------------------------------------------------------


def of_embedding(place: Place, rng: Generator) -> list[Call]:
    """Draw ids; with the first numbers the last two do not occur, elsewhere all may."""
    T, B, D, V = (place.sizes[letter] for letter in "TBDV")
    if (place.sizes, place.seed) == (FIRST.sizes, FIRST.seed):
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
    return varied({"dx": dx, "ids": ids, "V": V}, place)


def of_loss(place: Place, rng: Generator) -> list[Call]:
    """Draw several batches: a loss is one number, and one number is easily hit."""
    B, V = place.sizes["B"], place.sizes["V"]

    def batch() -> Call:
        return {"logits": rng.standard_normal((B, V)), "targets": rng.integers(0, V, B)}

    last = batch()
    last["targets"][-1] = V - 1
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
    sure = batch()
    sure["logits"][np.arange(B), sure["targets"]] += 12  # all gradients are below 1e-4
    sure["logits"][0, sure["targets"][0]] += 800  # and 0 in this row
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
    return [last, overflowing, underflowing, unlikely, sure, large, equal, spread]


# --- updates --------------------------------------------------------------------------------------


def of_clipping(place: Place, rng: Generator) -> list[Call]:
    """Draw two arrays, or B; limits far below and above their norm, next to it, below 1, and 0."""
    T, B, D, H, V = (place.sizes[letter] for letter in "TBDHV")
    shapes = [(D, H), (H, H), (H,), (T, B, D), (), (V, D), (H, V), (V,)]
    count = 2 if place.sizes == FIRST.sizes else B
    gradients = [place.scale * rng.standard_normal(s) for s in islice(cycle(shapes), count)]
    if place.new is New.EXTREMES:
        gradients[0][1] = 0
        gradients[-1][:] = 0
    norm = float(np.sqrt(sum((g * g).sum() for g in gradients))) or 1.0
    # At the first place the low limit is above 1, which would hide its square and its root.
    limits = [rng.uniform(0.2, 0.3) * norm, 12 * norm]
    if place.new in (New.ONE_ARGUMENT, New.ZEROS):
        return varied({"gradients": gradients, "max_norm": limits[0]}, place)
    if place.new in (New.EXTREMES, New.DRAWN):
        limits += [(1 - 1e-6) * norm, (1 + 1e-6) * norm, rng.uniform(0.3, 0.9), 0.0]
    calls = [{"gradients": gradients, "max_norm": limit} for limit in limits]
    tied = [*gradients, gradients[0]]  # one array twice
    return calls + [{"gradients": tied, "max_norm": limits[0]}] * (place is not FIRST)


def of_update(place: Place, rng: Generator) -> list[Call]:
    """Draw an array of one to three axes; rates: usual, tiny, large, negative, and 0."""
    T, B, D, H = (place.sizes[letter] for letter in "TBDH")
    shape: tuple[int, ...] = (D, H)
    if place.sizes != FIRST.sizes:
        shape = ((H,), (D, H), (T, B, D))[T % 3]
    W = min(1.0, place.scale) * rng.standard_normal(shape)  # beside which dW is not lost
    dW = place.scale * rng.standard_normal(shape)
    if place.new is New.EXTREMES:
        W[1] = 0
        dW[2] = 0
    rates = [rng.uniform(0.1, 0.9)]
    if place.new in (New.ONE_ARGUMENT, New.ZEROS):
        return varied({"W": W, "dW": dW, "lr": rates[0]}, place)
    if place.new in (New.EXTREMES, New.DRAWN):
        rates += [3e-4 * rates[0], 30 * rates[0], -rates[0], 0.0]
    return [{"W": W, "dW": dW, "lr": rate} for rate in rates]
