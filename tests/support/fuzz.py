"""Calls with good and bad arguments, drawn by Hypothesis, and the judgement of each call.

`examples` turns a good call of a function into good calls in every dtype and memory layout that is
promised, into nearly good calls, where one thing in one argument is wrong, and into absurd ones.
`fault_of` makes the call and returns what is wrong with it: a good call fails or differs from the
reference, a bad one raises another error than ValueError, TypeError or RuntimeError or a sentence
that names no argument, or an argument was changed. `fuzz_calls` has a good call of everything.
"""

import contextlib
import copy
import itertools
import re
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import hypothesis.extra.numpy as hnp
import numpy as np
from hypothesis import strategies as st

from numpylstm import Parameter


class Call(NamedTuple):
    """A good call and its result."""

    function: Callable[..., Any]
    arguments: dict[str, Any]
    reference: Callable[..., Any] | None = None  # called with the same arguments
    fixed: tuple[str, ...] = ()  # arguments that are never changed
    names: tuple[str, ...] = ()  # what a sentence may name besides the arguments
    dtype: str = "float64"  # of the computation, if the result has another


class Example(NamedTuple):
    """A call with the arguments that were drawn for it."""

    kind: str
    arguments: dict[str, Any]
    call: Call


# --- odd but good arguments ----------------------------------------------------------------------


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def misaligned(array):
    view = np.empty(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
    view[...] = array
    return view


def mapped(array):
    """A memory-mapped copy; the file is gone, the memory stays."""
    with tempfile.TemporaryFile() as file:
        file.write(array.tobytes())
        file.flush()
        return np.memmap(file, array.dtype, "r+", shape=array.shape)


LAYOUTS = st.sampled_from([
    np.ascontiguousarray, np.asfortranarray, read_only, misaligned, mapped,
    lambda array: np.repeat(array, 2, axis=-1)[..., ::2],
    lambda array: np.ascontiguousarray(array[::-1])[::-1],
])  # fmt: skip
INTEGERS = hnp.integer_dtypes(endianness="?") | hnp.unsigned_integer_dtypes(endianness="?")


def odd(draw, value):
    """Return an array in another layout, and integers in another type."""
    if type(value) is not np.ndarray or value.ndim == 0:
        return value
    if value.dtype.kind in "iu":
        value = value.astype(draw(INTEGERS))
    return draw(LAYOUTS)(value)


# --- bad arguments -------------------------------------------------------------------------------


def other_shape(draw, array):
    changes = [np.ravel, np.transpose, lambda a: a[0], lambda a: a[:0], lambda a: a[None],
               lambda a: np.repeat(a, 2, -1), lambda a: a.take([0], -1)]  # fmt: skip
    return draw(st.sampled_from(changes))(array)


def other_class(draw, array):
    changes = [np.ndarray.tolist, lambda a: a.view(np.recarray), lambda a: np.ma.masked_less(a, 1),
               lambda a: np.broadcast_to(a[:1], a.shape)]  # fmt: skip
    return draw(st.sampled_from(changes))(array)


def other_dtype(draw, array):
    with contextlib.suppress(TypeError, ValueError):
        return array.astype(draw(hnp.scalar_dtypes() | st.just(np.dtype("U8"))))
    return array.astype(object)


def other_value(draw, array):
    array, value = array.copy(), draw(st.sampled_from([np.nan, np.inf, -1.0, 1e30]))
    if array.dtype.kind in "iu":
        array = array.astype(draw(INTEGERS))
        value = np.array(draw(st.sampled_from([-1, 11, 2**24, 2**40]))).astype(array.dtype)
    array.flat[draw(st.integers(0, array.size - 1))] = value
    return array


ABSURD = st.sampled_from(
    [None, True, -1, 0, 2**70, 10**400, 2.5, float("nan"), float("inf"), "x", "", b"x", (), [], {},
     [[1], [1, 2]], object(), 1j, np.float16(0.5), np.longdouble(2), np.int8(-3), np.array("a"),
     np.array([None]), max]
) | hnp.arrays(hnp.scalar_dtypes(), hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3))  # fmt: skip  # noqa: E501


def wrong(draw, value, near):
    """Return a value that may be bad, one near to the good one or any other."""
    if near and type(value) is np.ndarray and value.size and value.ndim:
        changes = [other_shape, other_dtype, other_value, other_class]
        with np.errstate(all="ignore"):
            return draw(st.sampled_from(changes))(draw, value)
    numbers: list[Any] = []
    if near and type(value) is int:
        numbers = [-1, 0, value + 1, value * 7, -value, float(value), np.uint8(value % 256)]
    if near and type(value) is float:
        numbers = [-value, 0.0, 1.0, np.nan, np.inf, np.float16(value), str(value)]
    return draw(st.sampled_from(numbers) if numbers else ABSURD)


# --- where an argument can be changed ------------------------------------------------------------


def places(value: Any, at: tuple = ()) -> Iterator[tuple[tuple, Any]]:
    """Yield every part of a nest of dicts, tuples and lists, with the way to it.

    A parameter has one part, its array, which its user can replace.
    """
    yield at, value
    parts = value.items() if isinstance(value, dict) else ()
    if isinstance(value, tuple | list):
        parts = enumerate(value)
    elif isinstance(value, Parameter):
        parts = [(".data", value.data)]
    for key, part in parts:
        yield from places(part, (*at, key))


def rebuilt(old: tuple, parts: Iterable[Any]) -> tuple:
    """Return a tuple, or a named one of the same kind, of other parts."""
    return type(old)(*parts) if hasattr(old, "_fields") else tuple(parts)


def with_change(value: Any, at: tuple, change: Callable[[Any], Any]) -> Any:
    """Return the nest with one place changed."""
    if not at:
        return change(value)
    first, rest = at[0], at[1:]
    if isinstance(value, dict):
        return {**value, first: with_change(value[first], rest, change)}
    if isinstance(value, tuple):
        parts = [with_change(part, rest, change) if index == first else part
                 for index, part in enumerate(value)]  # fmt: skip
        return rebuilt(value, parts)
    value = copy.copy(value)
    value.data = change(value.data)
    return value


KINDS = ("good", "nearly good", "absurd")


@st.composite
def examples(draw, make, kind):
    """Calls of one of the `KINDS`, drawn from the good ones that ``make(draw)`` returns."""
    call = make(draw)
    arguments = dict(call.arguments)
    ways = [at for at, _ in places(arguments) if at and at[0] not in call.fixed]
    if kind == "good":
        for at in ways:
            arguments = with_change(arguments, at, lambda value: odd(draw, value))
        return Example(kind, arguments, call)
    ways += [at for at, _ in places(arguments) if at[-1:] == (".data",) and at not in ways]
    some = st.lists(st.sampled_from(ways), min_size=1, max_size=1 + (kind == "absurd"),
                    unique_by=lambda at: at[0])  # fmt: skip
    for at in draw(some):
        near = kind == "nearly good" or draw(st.integers(0, 2)) == 0
        arguments = with_change(arguments, at, lambda value, near=near: wrong(draw, value, near))
    return Example(kind, arguments, call)


# --- the judgement -------------------------------------------------------------------------------

PRECISION = {"float32": 3e-4, "float64": 1e-9}
"""Relative to the largest number of an array. A double loses a few of its 16 digits in the sums of
these sizes; a float has 7, and loses up to 3 where a gradient is a small rest of large parts."""


def same(got: Any, want: Any, dtype: str) -> bool:
    """Return True if two results agree to the precision of the dtype, or of float32 if one is."""
    pairs = itertools.zip_longest(places(got), places(want), fillvalue=("nothing", None))
    return all(at == place and close(one, other, dtype) for (at, one), (place, other) in pairs)


def close(got: Any, want: Any, dtype: str) -> bool:
    if isinstance(got, dict | tuple | list):
        return len(got) == len(want)
    if not isinstance(got, np.ndarray | np.generic | float):
        return bool(got == want)
    got, want = np.asarray(got), np.asarray(want)
    if got.shape != want.shape or got.dtype.kind not in "fc":
        return np.array_equal(got, want)
    precision = PRECISION["float32" if np.float32 in (got.dtype, want.dtype) else dtype]
    scale = max(1.0, float(np.abs(want).max(initial=0)))
    return bool(np.allclose(got, want, precision, precision * scale, equal_nan=True))


def contents(arguments: dict[str, Any]) -> list[Any]:
    """Return the numbers in all arrays but those of parameters."""
    arrays = [(at, part) for at, part in places(arguments) if isinstance(part, np.ndarray)]
    return [(at, array.dtype, array.shape, array.tobytes()) for at, array in arrays
            if array.dtype != object and at[-1] != ".data"]  # fmt: skip


def fault_of(example: Example) -> str:
    """Make the call and return what is wrong with it, or an empty string."""
    kind, arguments, call = example
    before, want = contents(arguments), None
    if kind == "good" and call.reference:
        want = call.reference(**copy.deepcopy(call.arguments))
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
            got = call.function(**arguments)
    except (ValueError, TypeError, RuntimeError) as error:
        said = f"{type(error).__name__}: {error}"
        if kind == "good":
            return f"a good call was refused: {said}"
        words = " ".join(map(str, (*call.names, *(at for at, _ in places(arguments)))))
        named = {*re.findall(r"[a-zA-Z]\w*", words)} & {*re.findall(r"\w+", str(error))}
        return "" if named else f"the error names no argument: {said}"
    except Exception as error:
        return f"another error: {type(error).__name__}: {error}"
    if contents(arguments) != before:
        return "an argument was changed"
    if want is not None and not same(got, want, call.dtype):
        return "not the result of the reference"
    return ""
