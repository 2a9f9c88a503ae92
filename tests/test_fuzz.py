"""Any arrays: each function is right or refuses; ``--hypothesis-profile long`` makes more calls.

`FUNCTIONS` has the shapes of the arguments of every function with kernels, `MODULES` those of
layers and models. A good call, in any dtype, integer type and memory layout, has the result of the
reference. A call with a wrong array works, or is refused in a sentence that names an argument. With
``NUMBA_BOUNDSCHECK=1``, a kernel that would leave an array raises an IndexError here.
"""

import copy
import functools
import inspect
import itertools
import re
import tempfile
import warnings

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import numpylstm as nl
from numpylstm import functional, reference
from numpylstm.cells import CELLS

LARGEST = {"T": 5, "B": 4, "D": 7, "H": 7, "V": 11}
FUNCTIONS = {  # "ids<V T B" are integers below V; half the calls have no "bn? H"
    "embedding": "ids<V T B, W V D",
    "linear": "x T B D, W D V, b V",
    "dropout": "x T B D, mask T B D",
    "scan": "a T B H, b T B H, h0 B H",
    "sequence_cross_entropy": "logits T B V, targets<V T B, weights? T B",
}


def arguments_of(cell):
    """Return the shapes of the arguments of a cell; those of "bn?" may be None."""
    columns = f"{len(cell.blocks)}H"
    known = {"Wx": f"D {columns}", "Wh": f"H {columns}", "b": columns}
    parameters = inspect.signature(cell.function(reference, "forward")).parameters
    shapes = ["x T B D", *(f"{name}0 B H" for name in cell.states)]
    for name in (*cell.matrices, "b", *cell.vectors):
        optional = "?" if parameters[name].default is None else ""
        shapes.append(f"{name}{optional} {known.get(name, 'H')}")
    return ", ".join([*shapes, "lengths?<=T B"])


FUNCTIONS |= {cell.name: arguments_of(cell) for cell in CELLS.values()}
IN_PLACE = {  # and those without a reference of the same form, with their other arguments
    "sgd_update": ("w V D, dw V D", {"lr": 0.1}),
    "momentum_update": ("w V D, v V D, dw V D", {"lr": 0.1, "momentum": 0.5}),
    "adam_update": (
        "w V D, m V D, v V D, dw V D",
        {"t": 1, "lr": 0.1, "beta1": 0.9, "beta2": 0.99, "eps": 1e-8},
    ),
    "sum_of_squares": ("g V D", {}),
    "dropout_mask": ("uniform V D", {"p": 0.5, "dtype": np.dtype("float32")}),
}
OPTIONS = {
    "sequence_cross_entropy": {
        "average_across_timesteps": (False, True),
        "average_across_batch": (False, True),
    },
}
for of_cell in CELLS.values():
    OPTIONS[of_cell.name] = {
        name: option.choices for name, option in of_cell.options.items() if option.choices
    }
MODULES = {  # a layer or model, the arguments of its two passes, and the sizes of its constructor
    nl.Embedding: ("ids<V T B, dx T B D", "V D"),
    nl.Linear: ("x T B D, dy T B V", "D V"),
    nl.RNN: ("x T B D, h 1 B H, dhs T B H, lengths?<=T B", "D H"),
    nl.GRU: ("x T B D, h 1 B H, dhs T B H, lengths?<=T B", "D H"),
    nl.LSTM: ("x T B D, h 1 B H, c 1 B H, dhs T B H, lengths?<=T B", "D H"),
    nl.LanguageModel: ("x<V T B, y<V T B, h 1 B H, c 1 B H, weights? T B", "V H"),
    nl.SequenceClassifier: ("x<V T B, y<D B, lengths?<=T B, weights? B", "V D H"),
    nl.SequenceTagger: ("x<V T B, y<D T B, lengths?<=T B, weights? T B", "V D H"),
    nl.SequenceRegressor: ("x<V T B, y T B D, lengths?<=T B, weights? T B", "V D H"),
}


@st.composite
def sizes_and_dtype(draw):
    sizes = {letter: draw(st.integers(1, largest)) for letter, largest in LARGEST.items()}
    return sizes, draw(st.sampled_from(["float32", "float64"]))


def arrays_of(draw, table, sizes, dtype):
    """Return the arrays of a table by their names."""
    arrays = {}
    for entry in table.split(", "):
        name, *letters = entry.split()
        name, optional, below, limit = re.fullmatch(r"(\w+)(\??)(<?=?)(.?)", name).groups()
        if optional and draw(st.booleans()):
            continue
        shape = [size_of(letter, sizes) for letter in letters]
        if limit:
            largest = sizes[limit] - (below == "<")
            arrays[name] = draw(hnp.arrays(np.int64, shape, elements=st.integers(0, largest)))
        else:
            arrays[name] = numbers(draw, shape, dtype)
        if name == "weights":
            arrays[name] = np.abs(arrays[name])
    return arrays


def size_of(letter, sizes):
    """Return the size that "H", "4H" or "1" stands for."""
    factor, letter = re.fullmatch(r"(\d*)([A-Z]?)", letter).groups()
    return int(factor or 1) * sizes.get(letter, 1)


def numbers(draw, shape, dtype):
    """Return an array in which all numbers differ, so that no exchange of axes remains unseen."""
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    return rng.normal(size=shape).astype(dtype)


# --- one array changed -------------------------------------------------------------------------


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def misaligned(array):
    view = np.empty(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
    view[...] = array
    return view


def mapped(array):
    """Return a memory-mapped copy; the file is gone, the memory stays."""
    with tempfile.TemporaryFile() as file:
        file.write(array.tobytes())
        file.flush()
        return np.memmap(file, array.dtype, "r+", shape=array.shape)


LAYOUTS = [
    np.ascontiguousarray,
    np.asfortranarray,
    read_only,
    misaligned,
    mapped,
    lambda array: np.repeat(array, 2, axis=-1)[..., ::2],
    lambda array: np.ascontiguousarray(array[::-1])[::-1],
]
INTEGERS = hnp.integer_dtypes(endianness="?") | hnp.unsigned_integer_dtypes(endianness="?")


def in_another_form(draw, array):
    """Return the same numbers in another layout, and integers in another type."""
    if array.dtype.kind == "i":
        array = array.astype(draw(INTEGERS))
    return draw(st.sampled_from(LAYOUTS))(array)


CHANGES = [
    np.ravel,
    np.transpose,
    lambda array: array[0],
    lambda array: array[:0],
    lambda array: array[None],
    lambda array: np.repeat(array, 2, axis=-1),
    lambda array: array.take([0], axis=-1),
    np.ndarray.tolist,
    lambda array: array.view(np.recarray),
    lambda array: np.ma.masked_less(array, 1),
    lambda array: array.astype(object),
]
ABSURD = st.sampled_from(
    [None, True, -1, 2**70, float("nan"), "x", b"x", (), {}, [[1], [1, 2]], 1j]
)
ANY_ARRAY = hnp.arrays(
    hnp.scalar_dtypes(), hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3)
)


def wrong(draw, array):
    """Return an array with another shape, class, dtype or one other number, or anything else."""
    kind = draw(st.sampled_from(["form", "number", "dtype", "anything"]))
    if kind == "form":
        return draw(st.sampled_from(CHANGES))(array)
    if kind == "dtype":
        return array.astype(draw(hnp.floating_dtypes() | INTEGERS | st.just(np.dtype("?"))))
    if kind == "anything":
        return draw(ABSURD | ANY_ARRAY)
    array, value = array.copy(), draw(st.sampled_from([np.nan, np.inf, -1.0, 1e30]))
    if array.dtype.kind == "i":
        array = array.astype(draw(INTEGERS))
        value = np.array(draw(st.integers(-1, 12) | st.just(2**40))).astype(array.dtype)
    array.flat[draw(st.integers(0, array.size - 1))] = value
    return array


def arrays_on(arguments):
    """Return the way to each array, also in the tuples of a cache."""
    return [
        way
        for way, part in parts(arguments)
        if isinstance(part, np.ndarray) and part.ndim * part.size
    ]


def in_other_forms(draw, arguments):
    """Return the same arguments, each array in another form."""
    for way in arrays_on(arguments):
        arguments = replaced(arguments, way, functools.partial(in_another_form, draw))
    return arguments


def with_one_wrong(draw, arguments):
    """Yield the arguments with each array wrong in turn."""
    for way in arrays_on(arguments):
        yield replaced(arguments, way, functools.partial(wrong, draw))


def parts(value, way=()):
    """Yield what is in dicts and tuples, and they themselves, with the names on the way to it."""
    yield way, value
    if isinstance(value, tuple):
        value = dict(zip(getattr(value, "_fields", range(len(value))), value, strict=True))
    if isinstance(value, dict):
        for name, part in value.items():
            yield from parts(part, (*way, name))


def replaced(value, way, change):
    if not way:
        return change(value)
    name, *rest = way
    if isinstance(value, dict):
        return {**value, name: replaced(value[name], rest, change)}
    return value._replace(**{name: replaced(getattr(value, name), rest, change)})


# --- the judgement -----------------------------------------------------------------------------


def assert_same(got, want, dtype):
    precision = 1e-9 if dtype == "float64" else 3e-4  # a small rest of large parts loses digits
    for (way, one), (place, other) in itertools.zip_longest(parts(got), parts(want)):
        assert way == place
        if isinstance(other, np.ndarray | float | np.floating):
            scale = max(1.0, np.max(np.abs(other), initial=0))
            np.testing.assert_allclose(one, other, precision, precision * scale, err_msg=str(way))
        elif not isinstance(other, dict | tuple):
            assert one == other


def quietly(function, arguments):
    with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
        return function(**arguments)


def refusal(function, arguments):
    """Make the call; return the sentence with which it was refused, or "" and its results."""
    try:
        return "", quietly(function, arguments)
    except (ValueError, TypeError, RuntimeError) as error:
        return str(error), None


def assert_names(said, arguments):
    names = {str(name) for way, _ in parts(arguments) for name in way}
    names |= {"ids", "targets"}  # x and y of a model, in its layers
    assert not said or names & {*re.findall(r"\w+", said)}, f"{said!r} names no argument"


def as_the_reference_takes_it(given):
    """Return integers of any type, also in lists, as int64, and all else unchanged."""
    array = np.asarray(given)
    return array.astype(np.int64) if array.dtype.kind in "iu" else given


def assert_right_or_refused(function, arguments, slow=None):
    """Fail unless a call works as `slow` does, in the same shapes, or is refused by name."""
    before = copy.deepcopy(arguments)
    said, results = refusal(function, arguments)
    assert_names(said, before)
    for (_, old), (_, new) in zip(parts(before), parts(arguments), strict=True):
        if isinstance(old, np.ndarray) and old.dtype != object:
            assert old.tobytes() == new.tobytes(), "an argument was changed"
    if not said and slow:
        for way, part in parts(before):
            if isinstance(part, list | np.ndarray):
                before = replaced(before, way, as_the_reference_takes_it)
        wanted, want = refusal(slow, before)
        assert not wanted, f"accepted, where the reference says {wanted!r}"
        for (_, one), (way, other) in zip(parts(results), parts(want), strict=True):
            assert getattr(one, "shape", ()) == getattr(other, "shape", ()), way


# --- functions, layers and models --------------------------------------------------------------

FEW = settings(
    suppress_health_check=list(HealthCheck), max_examples=max(10, settings().max_examples // 2)
)


def test_every_function_with_kernels_is_in_the_table():
    own = {
        name
        for name in dir(reference)
        if getattr(functional, name, None) not in (None, getattr(reference, name))
    }
    passes = {name for name in own if re.search("(?<!_step)_(forward|backward)", name)}
    assert {re.split("_(forward|backward)", name)[0] for name in passes} == FUNCTIONS.keys()
    assert {name for name in own if name.endswith("_update")} <= IN_PLACE.keys()


@st.composite
def calls(draw, name, direction):
    """The good arguments of a function, and their dtype."""
    sizes, dtype = draw(sizes_and_dtype())
    arguments = arrays_of(draw, FUNCTIONS[name], sizes, dtype)
    arguments |= {key: draw(st.sampled_from(of)) for key, of in OPTIONS.get(name, {}).items()}
    for vector, record in CELLS[name].vectors.items() if name in CELLS else ():
        if record.needs and arguments.get(record.needs[0]) != record.needs[1]:
            arguments.pop(vector, None)
    if direction != "forward":
        forward = getattr(draw(st.sampled_from([functional, reference])), f"{name}_forward")
        *results, cache = forward(**arguments)
        taken = inspect.signature(getattr(reference, f"{name}_{direction}")).parameters
        shapes = map(np.shape, results)
        upstream = (each for each in taken if each != "cache")
        arguments = {"cache": cache}
        arguments |= {
            name: numbers(draw, shape, dtype)[()]
            for name, shape in zip(upstream, shapes, strict=True)
        }
    return arguments, dtype


PASSES = [(name, direction) for name in FUNCTIONS for direction in ("forward", "backward")]
PASSES.append(("embedding", "backward_rows"))
EVERY_PASS = pytest.mark.parametrize(("name", "direction"), PASSES)


@EVERY_PASS
def test_functions_are_right(name, direction):
    @FEW
    @given(calls(name, direction), st.data())
    def check(call, data):
        arguments, dtype = call
        want = quietly(getattr(reference, f"{name}_{direction}"), copy.deepcopy(arguments))
        arguments = in_other_forms(data.draw, arguments)
        got = quietly(getattr(functional, f"{name}_{direction}"), arguments)
        assert_same(got, want, dtype)

    check()


@EVERY_PASS
def test_functions_refuse_what_is_wrong(name, direction):
    @FEW
    @given(calls(name, direction), st.data())
    def check(call, data):
        fast, slow = (getattr(module, f"{name}_{direction}") for module in (functional, reference))
        for arguments in with_one_wrong(data.draw, call[0]):
            assert_right_or_refused(fast, arguments, slow)

    check()


@pytest.mark.parametrize("name", IN_PLACE)
def test_functions_in_place_refuse_what_is_wrong(name):
    table, others = IN_PLACE[name]

    @FEW
    @given(sizes_and_dtype(), st.data())
    def check(sizes_and_dtype, data):
        arguments = arrays_of(data.draw, table, *sizes_and_dtype)
        for call in with_one_wrong(data.draw, arguments):
            said, _ = refusal(getattr(functional, name), call | others)
            assert_names(said, arguments)

    check()


def both_passes(kind, sizes, options, **arguments):
    """Make a layer or model; return the results of its passes and all gradients."""
    module = kind(*sizes, **options)
    upstream = [arguments.pop(name) for name in ("dx", "dy", "dhs") if name in arguments]
    state = [arguments.pop(name) for name in ("h", "c") if name in arguments]
    if state:
        arguments["state"] = type(module.zero_state(1))(*state)
    results = module.forward(**arguments), module.backward(*upstream)
    return results, {path: one.grad for path, one in module.parameters().items()}


@st.composite
def modules(draw, kind):
    """A function that makes one and calls it, and its good arguments."""
    sizes, dtype = draw(sizes_and_dtype())
    table, needed = MODULES[kind]
    options = {"dtype": dtype, "rng": draw(st.integers(0, 999))}
    sizes_needed = [sizes[letter] for letter in needed.split()]

    call = functools.partial(both_passes, kind, sizes_needed, options)
    return call, arrays_of(draw, table, sizes, dtype)


@pytest.mark.parametrize("kind", MODULES)
def test_layers_and_models_refuse_what_is_wrong(kind):
    @FEW
    @given(modules(kind), st.data())
    def check(made, data):
        call, arguments = made
        for call_with in with_one_wrong(data.draw, arguments):
            assert_right_or_refused(call, call_with)

    check()
