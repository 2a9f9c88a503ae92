"""Argument checks and their error sentences.

Kernels check nothing: an id out of range would be a wild write, and a short row would be read past
its end. So every public function checks its arguments first. An error sentence has four parts:
which argument, what was expected, what was given, and the likely cause.

    lstm_forward: x must have shape (T, B, 65), got (35, 20, 64); D is fixed by Wx
"""

import functools
import numbers
import reprlib
from collections.abc import Iterable
from string import ascii_lowercase
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from numpylstm.cells import LARGEST_SIZE
from numpylstm.errors import NumpylstmError, either

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
Shape = tuple[int | str, ...]
Array = NDArray[Any]
Rng = np.random.Generator | int | None
"""A generator, or the seed of a new one; None draws the seed. See `generator`."""


class NotFinite(NumpylstmError, ValueError):
    """Raised when numbers have become infinite or NaN."""

    exit_status = 1


def check_plain(where: str, name: str, array: Any) -> None:
    """Raise a TypeError unless `array` is an ndarray or a memmap, and no other subclass."""
    if type(array) is not np.ndarray and type(array) is not np.memmap:
        raise TypeError(f"{where}: {name} must be a NumPy array, got {type(array).__name__}")


def check_shape(where: str, name: str, array: Any, shape: Shape, because: str = "") -> None:
    """Raise unless `array` is a non-empty array of this shape, as in `check_array`."""
    check_plain(where, name, array)
    _check_shape(where, name, array.shape, shape, because)


def check_array(
    where: str,
    name: str,
    array: Any,
    shape: Shape | None = None,
    dtype: "np.dtype[Any] | None" = None,
    because: str = "",
) -> None:
    """Raise unless `array` is a non-empty float array of this shape and dtype.

    `where` is the function that was called and `name` its argument, for the message. In `shape`, an
    integer is an exact size and a letter any size from 1; without `shape` all sizes are accepted,
    and without `dtype` float32 and float64. `because` is the likely cause of a wrong shape.
    """
    if type(array) is not np.ndarray:
        check_plain(where, name, array)
    elif array.dtype is dtype and array.shape == shape and 0 not in array.shape:
        return  # the usual case, without a look into the cache
    shape = array.shape if shape is None else shape
    _check_one(where, name, array.dtype, array.shape, shape, dtype, because)


def check_shapes(where: str, needed: str, *arrays: Any) -> dict[str, int]:
    """Return the size of each letter; raise unless float arrays of one dtype fit together.

    `needed` has the name and the shape of each array, such as ``"Wx D 4H, b 4H"``: the first array
    with a letter fixes its size. A first axis ``*`` stands for any number of axes, and N may be 0.
    The first array that does not fit is named.
    """
    forms: list[Any] = []
    for array in arrays:
        if type(array) is not np.ndarray:
            argument = needed.split(", ")[len(forms)]
            check_plain(where, argument.split()[0], array)
        forms.append((array.dtype, array.shape))
    return _check_together(where, needed, tuple(forms))


def check_cache(where: str, cache: Any, kind: type) -> None:
    """Raise a TypeError unless `cache` is of the class that the forward pass returns."""
    if not isinstance(cache, kind):
        raise TypeError(
            f"{where}: cache must be {kind.__name__}, got {type(cache).__name__}; the forward pass "
            "returns it last"
        )


def check_ids(
    where: str, name: str, ids: Any, size: int, shape: Shape | None = None, because: str = ""
) -> NDArray[np.int64]:
    """Return a copy of `ids` for kernels; raise unless it is a non-empty array of ids in [0, size).

    Integers of any width, byte order and memory layout are accepted, in an array or in (nested)
    lists. The copy is int64 and C-contiguous, and a later change of `ids` has no effect on it.
    `shape` and `because` are as in `check_array`. The first id out of range is named.
    """
    if type(ids) is not np.ndarray:
        ids = any_array(where, name, ids)
        check_plain(where, name, ids)
    if ids.dtype.kind not in "iu" and ids.size:  # NumPy makes floats of an empty list
        raise TypeError(f"{where}: {name} must hold integers, got {ids.dtype}")
    if not ids.size or (shape is not None and ids.shape != shape):
        _check_shape(where, name, ids.shape, ids.shape if shape is None else shape, because)
    native = np.array(ids, np.int64, order="C")
    unsigned = native.view(np.uint64)  # a negative id is a very large one there
    if unsigned.item(unsigned.argmax()) >= size:  # argmax is faster than max
        cause = "ids and table come from different vocabularies, or ids count from 1"
        if native.min() < 0:
            cause = "padding takes lengths, or weights of 0 and any id"
        raise ValueError(
            f"{where}: {name} must lie in [0, {size}), got {_first(ids, unsigned >= size)}; {cause}"
        )
    return native


def check_lengths(
    where: str, name: str, lengths: Any, T: int, B: int, N: int | None = None
) -> NDArray[np.int64]:
    """Return a copy of `lengths` as int64; raise unless it is (B,) integers in [0, T].

    They must sum to `N`, if given.
    """
    check_plain(where, name, lengths)
    if lengths.dtype.kind not in "iu":
        raise TypeError(
            f"{where}: {name} must hold integers, got {lengths.dtype}; those of a mask (T, B) are "
            "mask.sum(axis=0) if the padding is at the end"
        )
    turned = "; time comes first" if lengths.shape == (T,) else ""
    _check_shape(where, name, lengths.shape, (B,), "one for each sequence" + turned)
    native = np.array(lengths, np.int64, order="C")
    unsigned = native.view(np.uint64)  # a negative length is a very large one there
    if unsigned.item(unsigned.argmax()) > T:  # argmax is faster than max
        raise ValueError(
            f"{where}: {name} must lie in [0, {T}], got {_first(lengths, unsigned > T)}; the "
            f"padded arrays have {T} steps"
        )
    if N is not None and native.sum() != N:
        raise ValueError(
            f"{where}: {name} must sum to {N}, got {native.sum()}; the arrays of the cache have "
            f"{N} rows"
        )
    return native


def check_state(
    where: str,
    argument: str,
    state: Any,
    kind: type[Any],
    shape: tuple[int, ...],
    dtype: "np.dtype[Any]",
) -> None:
    """Raise unless `state` is a finite state of this kind, whose arrays have this shape."""
    if not isinstance(state, kind):
        raise TypeError(
            f"{where}: {argument} must be {kind.__name__}({', '.join(kind._fields)}), got "
            f"{type(state).__name__}; zero_state(batch_size) makes one"
        )
    because = "(L, B, H); B is fixed by x (T, B, D)"
    for field, array in zip(kind._fields, state, strict=True):
        name = f"{argument}.{field}"
        check_array(where, name, array, shape, dtype, because)
        check_finite(where, name, array, "it overflowed where the state was computed")


def before_end(lengths: NDArray[np.int64], T: int) -> NDArray[np.bool_]:
    """Return a mask (T, B): the steps before the end of each sequence."""
    return np.arange(T)[:, None] < lengths


def any_array(where: str, name: str, value: Any) -> NDArray[Any]:
    """Return a sequence as an array; for arguments that may be lists."""
    if type(value) is np.ndarray:
        return value
    try:
        return np.asanyarray(value)
    except (TypeError, ValueError, OverflowError) as error:
        cause: object = error
        if isinstance(value, tuple) and len(value) == 2:
            cause = "Vocabulary.encode returns the ids and a count: take the ids, its first result"
        raise TypeError(
            f"{where}: {name} must be an array or a sequence of numbers, got "
            f"{reprlib.repr(value)}; {cause}"
        ) from error


def real_array(where: str, name: str, value: Any) -> NDArray[Any]:
    """Return a sequence as a plain array of real numbers."""
    array = any_array(where, name, value)
    check_plain(where, name, array)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{where}: {name} must hold real numbers, got {array.dtype}")
    return array


def check_finite(
    where: str,
    name: str,
    array: NDArray[Any],
    because: str = "",
    lengths: NDArray[np.int64] | None = None,
) -> None:
    """Raise NotFinite unless every number in `array` is finite; the first one that is not is named.

    With `lengths`, the array is (T, B, .), and the steps past the end of a sequence do not count.

    For arrays that are kept or passed on (parameters, tables, states). Inside a model only the
    input of the recurrent layers, and the targets of a regressor, are checked; numbers that
    overflow later show in the loss.
    """
    finite = np.isfinite(array)
    if np.count_nonzero(finite) == finite.size:
        return
    if lengths is not None:
        finite |= ~before_end(lengths, len(array))[..., None]
    if not finite.all():
        because = f"; {because}" if because else ""
        raise NotFinite(f"{where}: {name} must be finite, got {_first(array, ~finite)}{because}")


def check_whole(
    where: str,
    name: str,
    value: Any,
    at_least: int = 1,
    at_most: int | None = None,
    because: str = "",
) -> int:
    """Return an integer within bounds; raise a TypeError (also for a bool) or ValueError."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool):
        raise TypeError(f"{where}: {name} must be a whole number, got {value!r}")
    if value < at_least or (at_most is not None and value > at_most):
        expected = f"at least {at_least}" if at_most is None else f"from {at_least} to {at_most}"
        because = f", {because};" if because else ","
        raise ValueError(f"{where}: {name} must be {expected}{because} got {value}")
    return int(value)


def check_number(where: str, name: str, value: Any) -> None:
    """Raise unless `value` is one real number that a float can hold, NaN and infinity included."""
    if not isinstance(value, numbers.Real):
        raise TypeError(f"{where}: {name} must be a number, got {reprlib.repr(value)}")
    try:
        float(value)
    except OverflowError:
        raise ValueError(f"{where}: {name} must be a number that a float can hold") from None


def check_interval(where: str, name: str, value: Any, interval: str) -> None:
    """Raise unless `value` is one real number in an interval, such as ``"[0, 1)"``."""
    if type(value) is not float:
        check_number(where, name, value)
    low, high = _bounds(interval)
    above = value >= low if interval[0] == "[" else value > low
    below = value <= high if interval[-1] == "]" else value < high
    if not (above and below):
        words = {
            "(0, inf]": "positive",
            "(0, inf)": "positive and finite",
            "[0, inf)": "finite and at least 0",
        }.get(interval, f"in {interval}")
        raise ValueError(f"{where}: {name} must be {words}, got {value}")


@functools.cache
def _bounds(interval: str) -> tuple[float, float]:
    low, high = map(float, interval[1:-1].split(","))
    return low, high


def check_choice(where: str, name: str, value: Any, choices: Iterable[str]) -> None:
    """Raise a ValueError unless `value` is one of these words."""
    if not (isinstance(value, str) and value in choices):
        raise ValueError(f"{where}: {name} must be {either(choices)}, got {value!r}")


def generator(rng: Any) -> np.random.Generator:
    """Return `rng` if it is a Generator, else a new one from a seed; None draws the seed."""
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError) as error:
        raise type(error)(
            f"rng must be a Generator, a whole number from 0 or None, got {reprlib.repr(rng)}; "
            f"{error}"
        ) from error


def check_kind(where: str, name: str, value: Any, kind: type, because: str = "") -> None:
    """Raise a TypeError unless `value` is of this class; `because` is the likely cause."""
    if not isinstance(value, kind):
        article = "an" if kind.__name__[0] in "AEIO" else "a"
        expected = f"{article} {kind.__name__}"
        got = type(value).__name__
        because = f"; {because}" if because else ""
        raise TypeError(f"{where}: {name} must be {expected}, got {got}{because}")


def check_flag(where: str, name: str, value: Any) -> None:
    """Raise a TypeError unless `value` is True or False."""
    if not isinstance(value, bool):
        because = "; pass lengths or weights by name" if isinstance(value, np.ndarray) else ""
        raise TypeError(
            f"{where}: {name} must be True or False, got {reprlib.repr(value)}{because}"
        )


def float_dtype(where: str, dtype: Any) -> "np.dtype[Any]":
    """Return a dtype, spelled in any way; raise unless it is native float32 or float64."""
    if dtype is None:  # NumPy would read it as float64
        raise TypeError(f"{where}: dtype must be float32 or float64, got None")
    try:
        known = np.dtype(dtype) in FLOATS
    except (TypeError, ValueError) as error:
        raise TypeError(f"{where}: dtype must be float32 or float64; {error}") from error
    if not known:
        raise ValueError(f"{where}: dtype must be float32 or float64, got {np.dtype(dtype)}")
    return np.dtype(dtype)


def check_sizes(where: str, **sizes: Any) -> list[int]:
    """Return sizes as integers; raise unless each is one from 1 to `LARGEST_SIZE`."""
    for name, size in sizes.items():
        check_whole(where, name, size)
        if size > LARGEST_SIZE:
            raise ValueError(
                f"{where}: {name} must be at most {LARGEST_SIZE:,}, got {size}; it is too large"
            )
    return list(map(int, sizes.values()))


def check_weights(where: str, weights: Any, shape: Shape, dtype: "np.dtype[Any]") -> None:
    """Raise unless `weights` is a float array of this shape, not negative, with a finite sum."""
    check_array(where, "weights", weights, shape, dtype, "one weight for each target")
    if not weights.min() >= 0:
        raise ValueError(
            f"{where}: weights must be at least 0, got {_first(weights, ~(weights >= 0))}; "
            f"0 leaves a token out"
        )
    with np.errstate(over="ignore"):
        if not np.isfinite(weights.sum()):
            raise ValueError(f"{where}: weights must be finite, and so must their sum")


def checked_weights(where: str, weights: Any, shape: Shape, dtype: DTypeLike) -> Array:
    """Return weights in the dtype of the model; bools and real numbers of any dtype are taken."""
    weights = any_array(where, "weights", weights)
    if weights.dtype == bool:
        weights = weights.astype(dtype)
    weights = real_array(where, "weights", weights)
    with np.errstate(over="ignore"):  # what overflows is not finite, and is refused
        weights = weights.astype(dtype)
    check_weights(where, weights, shape, np.dtype(dtype))
    return weights


def check_in_place(where: str, name: str, array: Any) -> None:
    """Raise unless a float array can be changed in place through a flat view."""
    if type(array) is not np.ndarray or array.dtype not in FLOATS:
        check_array(where, name, array)
    if not array.flags.carray:
        got = f"strides {array.strides} for shape {array.shape}"
        if not array.flags.writeable:
            got = "a read-only array; copy it"
        elif not array.flags.aligned:
            got = "a misaligned array; copy it"
        raise ValueError(f"{where}: {name} must be writeable and C-contiguous, got {got}")


@functools.lru_cache(maxsize=1024)  # a model repeats the same few calls at every step
def _check_one(
    where: str,
    name: str,
    got: "np.dtype[Any]",
    got_shape: tuple[int, ...],
    shape: Shape,
    dtype: "np.dtype[Any] | None",
    because: str,
) -> None:
    if dtype is None:
        if got not in FLOATS:
            raise TypeError(
                f"{where}: {name} must have dtype float32 or float64, got {got}; "
                f"numpylstm.reference accepts other numbers"
            )
    elif got != dtype:
        raise TypeError(
            f"{where}: {name} must have dtype {dtype}, got {got}; "
            f"all arrays of a call have one dtype, and it is never cast silently"
        )
    _check_shape(where, name, got_shape, shape, because)


@functools.lru_cache(maxsize=1024)
def _check_shape(
    where: str, name: str, got: tuple[int, ...], shape: Shape, because: str = ""
) -> None:
    if len(got) == len(shape):
        if 0 in got:
            raise ValueError(f"{where}: {name} must not be empty, got shape {got}")
        if all(isinstance(want, str) or want == n for want, n in zip(shape, got, strict=True)):
            return
    spelled = f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"
    because = f"; {because}" if because else ""
    raise ValueError(f"{where}: {name} must have shape {spelled}, got {got}{because}")


@functools.lru_cache(maxsize=1024)
def _check_together(where: str, needed: str, forms: tuple[Any, ...]) -> dict[str, int]:
    sizes: dict[str, int] = {}  # by letter
    fixed_by: dict[str, str] = {}
    leading: str | None = None  # letters in place of *
    dtype: np.dtype[Any] | None = None
    for argument, (got_dtype, got) in zip(needed.split(", "), forms, strict=True):
        words = argument.split()
        name = words[0]
        axes = words[1:]
        if axes[0] == "*":
            if leading is None:
                count = max(len(got) + 1 - len(axes), 0)
                leading = "TB"[2 - count :] if count <= 2 else ascii_lowercase[:count]
            axes[:1] = leading
        if axes[:1] == ["N"] and got[:1] == (0,) and not sizes.get("N"):  # a batch of padding only
            sizes["N"] = 0
            axes = axes[1:]
            got = got[1:]
        factors = [int(axis[:-1] or 1) for axis in axes]
        letters = [axis[-1] for axis in axes]
        shape = tuple(
            factor * sizes[letter] if letter in sizes else axis
            for axis, factor, letter in zip(axes, factors, letters, strict=True)
        )
        because = _because(name, letters, fixed_by)
        _check_one(where, name, got_dtype, got, shape, dtype, because)
        dtype = got_dtype
        for size, factor, letter in zip(got, factors, letters, strict=True):
            if size % factor:
                raise ValueError(
                    f"{where}: {name} must have shape ({', '.join(axes)}), got {got}; "
                    f"its columns are {factor} blocks side by side"
                )
            sizes.setdefault(letter, size // factor)
            timed = f"{name} ({', '.join(axes)})"  # says which axis is time
            fixed_by.setdefault(letter, timed if axes[0] == "T" else name)
    return sizes


def _because(name: str, letters: list[str], fixed_by: dict[str, str]) -> str:
    """Return the cause of an expected shape, such as "B is fixed by x, H is fixed by Wx"."""
    if name.startswith("d"):
        return f"it has the shape of {name[1:]}"
    causes: dict[str, list[str]] = {}
    for letter in dict.fromkeys(letters):
        if letter in fixed_by:
            causes.setdefault(fixed_by[letter], []).append(letter)
    return ", ".join(
        f"{' and '.join(fixed)} {'are' if len(fixed) > 1 else 'is'} fixed by {cause}"
        for cause, fixed in causes.items()
    )


def _first(array: NDArray[Any], wrong: NDArray[np.bool_]) -> str:
    """Return the first wrong value with its position."""
    position = np.unravel_index(np.argmax(wrong), wrong.shape)
    return f"{array[position]} at [{', '.join(map(str, position))}]"
