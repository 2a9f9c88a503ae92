"""Sentences for arguments that do not fit.

Kernels check nothing: an id out of range would be a wild write, a short row would read past its
end. So every function that a person calls looks at its arguments first, and what it says has four
parts: which argument, what was expected, what came, and the likely cause.

    lstm_forward: x must have shape (T, B, 65), got (35, 20, 64); D is fixed by Wx
"""

import functools
import numbers
import reprlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
Shape = tuple[int | str, ...]
LARGEST_SIZE = 500_000_000  # a matrix (H, 4H) still has a number of bytes that fits 64 bits


class NotFinite(ValueError):
    """Numbers that have become infinite, or NaN."""


def check_plain(where: str, name: str, array: Any) -> None:
    """Raise a TypeError unless it is an array, and of no kind that means more than its numbers."""
    if type(array) is np.ndarray or type(array) is np.memmap:
        return
    got = type(array).__name__
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{where}: {name} must be a NumPy array, got {got}")
    raise TypeError(
        f"{where}: {name} must be a plain NumPy array, got {got}; what a {got} knows beyond its "
        f"numbers would be lost"
    )


def check_array(
    where: str,
    name: str,
    array: Any,
    shape: Shape,
    dtype: "np.dtype[Any] | None" = None,
    because: str = "",
) -> None:
    """Raise unless `array` is a non-empty float array of this shape and dtype.

    Parameters
    ----------
    where : str
        The function that was called, for the message.
    name : str
        The argument.
    array : object
        What came.
    shape : tuple of int and str
        A number must be met; a letter stands for any size from 1.
    dtype : numpy.dtype, optional
        float32 or float64; by default either will do.
    because : str, optional
        The likely cause, for a wrong shape.

    Raises
    ------
    TypeError
        If it is no array, or has another dtype.
    ValueError
        If it has another shape, or no elements.
    """
    if type(array) is not np.ndarray:
        check_plain(where, name, array)
    _check_one(where, name, array.dtype, array.shape, shape, dtype, because)


def check_arrays(where: str, arguments: tuple[str, ...], *arrays: Any) -> None:
    """Raise unless non-empty float arrays of one dtype have shapes that agree.

    Parameters
    ----------
    where : str
        The function that was called, for the message.
    arguments : tuple of str
        For each array its name and its shape, such as ``"Wx D 4H"``: the first array with a letter
        fixes its size.
    *arrays
        What came, in that order.

    Raises
    ------
    TypeError, ValueError
        As `check_array`, for the first array that does not fit.
    """
    try:
        facts = (
            arguments, *map(type, arrays), *[array.dtype for array in arrays],
            *[array.shape for array in arrays],
        )  # fmt: skip
        if facts in _FITTING:  # a model asks the same few questions at every step
            return
    except (AttributeError, TypeError):  # no arrays: the first gets its sentence below
        facts = ()
    for argument, array in zip(arguments, arrays, strict=True):
        check_plain(where, argument.split()[0], array)
    _check_together(where, arguments, arrays)
    if len(_FITTING) >= 1024:
        _FITTING.clear()
    _FITTING.add(facts)


def check_ids(
    where: str, name: str, ids: Any, size: int, shape: Shape | None = None, because: str = ""
) -> NDArray[np.int64]:
    """Return `ids` as kernels want them, if it is a non-empty integer array of ids in [0, size).

    Integers of any width and byte order, in any layout, will do.

    Parameters
    ----------
    where, name : str
        The function that was called and its argument, for the message.
    ids : object
        What came.
    size : int
        The number of rows that an id can name.
    shape : tuple of int and str, optional
        As in `check_array`; by default any.
    because : str, optional
        The likely cause, for a wrong shape.

    Returns
    -------
    ids : int64 array
        A C-contiguous copy in the machine's own byte order, so that what was checked is what is
        used.

    Raises
    ------
    TypeError
        If it is no array of integers.
    ValueError
        If it has another shape, no elements, or an id out of range (the first one is named).
    """
    if type(ids) is not np.ndarray:
        check_plain(where, name, ids)
    if ids.dtype.kind not in "iu":
        raise TypeError(f"{where}: {name} must hold integers, got {ids.dtype}")
    if shape is not None or not ids.size:
        _check_shape(where, name, ids.shape, ids.shape if shape is None else shape, because)
    native = np.array(ids, np.int64, order="C")
    unsigned = native.view(np.uint64)  # a negative id is a very large one there
    if unsigned.item(unsigned.argmax()) >= size:  # NumPy finds where sooner than how large
        raise ValueError(
            f"{where}: {name} must lie in [0, {size}), got {_first(ids, unsigned >= size)}; "
            f"ids and table come from different vocabularies"
        )
    return native


def any_array(where: str, name: str, value: Any) -> NDArray[Any]:
    """The array that a sequence makes; for arguments that may be lists."""
    try:
        return np.asanyarray(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise TypeError(
            f"{where}: {name} must be an array or a sequence of numbers, got "
            f"{reprlib.repr(value)}; {error}"
        ) from error


def real_array(where: str, name: str, value: Any) -> NDArray[Any]:
    """The plain array of real numbers that a sequence makes."""
    array = any_array(where, name, value)
    check_plain(where, name, array)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{where}: {name} must hold real numbers, got {array.dtype}")
    return array


def check_finite(where: str, name: str, array: NDArray[Any], because: str = "") -> None:
    """Raise NotFinite unless every number in `array` is finite; the first other one is named.

    For arrays that are kept or carried on (parameters, tables, states). Of the activations inside a
    model only what enters the recurrent layers is searched; what goes bad later shows in the loss.
    """
    finite = np.isfinite(array)
    if np.count_nonzero(finite) < finite.size:
        because = f"; {because}" if because else ""
        raise NotFinite(f"{where}: {name} must be finite, got {_first(array, ~finite)}{because}")


def check_whole(
    where: str,
    name: str,
    value: Any,
    at_least: int = 1,
    at_most: int | None = None,
    because: str = "",
) -> None:
    """Raise unless `value` is a whole number within bounds.

    Raises
    ------
    TypeError
        If it is a bool, or no integer.
    ValueError
        If it is out of bounds.
    """
    if not isinstance(value, int | np.integer) or isinstance(value, bool):
        raise TypeError(f"{where}: {name} must be a whole number, got {value!r}")
    if value < at_least or (at_most is not None and value > at_most):
        expected = f"at least {at_least}" if at_most is None else f"from {at_least} to {at_most}"
        because = f", {because};" if because else ","
        raise ValueError(f"{where}: {name} must be {expected}{because} got {value}")


def check_number(where: str, name: str, value: Any) -> None:
    """Raise unless `value` is one real number that a float can hold; NaN and infinity are such."""
    if type(value) is float:
        return
    if isinstance(value, numbers.Real):
        try:
            float(value)
        except (OverflowError, TypeError):  # TypeError: "not a time" of NumPy
            raise ValueError(f"{where}: {name} must be a number that a float can hold") from None
    else:
        raise TypeError(f"{where}: {name} must be a number, got {reprlib.repr(value)}")


def generator(rng: Any) -> np.random.Generator:
    """A random generator: itself, or a new one from a seed; None takes a seed from the system."""
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError) as error:
        raise type(error)(
            f"rng must be a Generator, a whole number from 0 or None, got {reprlib.repr(rng)}; "
            f"{error}"
        ) from error


def check_kind(where: str, name: str, value: Any, kind: type) -> None:
    """Raise a TypeError unless `value` is of this class."""
    if not isinstance(value, kind):
        got = type(value).__name__
        raise TypeError(f"{where}: {name} must be a {kind.__name__}, got {got}")


def check_flag(where: str, name: str, value: Any) -> None:
    """Raise a TypeError unless `value` is True or False."""
    if not isinstance(value, bool):
        raise TypeError(f"{where}: {name} must be True or False, got {reprlib.repr(value)}")


def check_dtype(where: str, dtype: Any) -> None:
    """Raise unless `dtype` means float32 or float64, in the machine's own byte order."""
    if dtype is None:  # which NumPy takes for float64
        raise TypeError(f"{where}: dtype must be float32 or float64, got None")
    try:
        known = np.dtype(dtype) in FLOATS
    except (TypeError, ValueError) as error:
        raise TypeError(f"{where}: dtype must be float32 or float64; {error}") from error
    if not known:
        raise ValueError(f"{where}: dtype must be float32 or float64, got {np.dtype(dtype)}")


def check_sizes(where: str, **sizes: Any) -> None:
    """Raise unless every size is a whole number from 1, and one that an array can have."""
    for name, size in sizes.items():
        check_whole(where, name, size)
        if size > LARGEST_SIZE:
            raise ValueError(
                f"{where}: {name} must be at most {LARGEST_SIZE:,}, got {size}; it fits no memory"
            )


def check_weights(
    where: str, name: str, weights: Any, shape: Shape, dtype: "np.dtype[Any]"
) -> None:
    """Raise unless `weights` is a float array of this shape, none negative, with a finite sum."""
    check_array(where, name, weights, shape, dtype, "one weight for each target")
    if not weights.min() >= 0:
        raise ValueError(
            f"{where}: {name} must not be negative, got {_first(weights, ~(weights >= 0))}; "
            f"0 leaves a token out"
        )
    with np.errstate(over="ignore"):
        if not np.isfinite(weights.sum()):
            raise ValueError(f"{where}: {name} must be finite, and so must their sum")


@functools.lru_cache(maxsize=1024)  # a model asks the same few questions at every step
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
                f"other numbers are for numpylstm.reference"
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


_FITTING: set[tuple[Any, ...]] = set()
"""Arguments of `check_arrays` with the types, dtypes and shapes of arrays that fitted them."""


def _check_together(where: str, arguments: tuple[str, ...], arrays: tuple[Any, ...]) -> None:
    sizes: dict[str, int] = {}  # what a letter stands for
    fixed_by: dict[str, str] = {}
    for argument, array in zip(arguments, arrays, strict=True):
        got = array.shape
        name, *axes = argument.split()
        factors = [int(axis[:-1] or 1) for axis in axes]
        letters = [axis[-1] for axis in axes]
        shape = tuple(
            factor * sizes[letter] if letter in sizes else axis
            for axis, factor, letter in zip(axes, factors, letters, strict=True)
        )
        expected = arrays[0].dtype if fixed_by else None
        because = _because(name, letters, fixed_by)
        _check_one(where, name, array.dtype, got, shape, expected, because)
        for size, factor, letter in zip(got, factors, letters, strict=True):
            if size % factor:
                raise ValueError(
                    f"{where}: {name} must have shape ({', '.join(axes)}), got {got}; "
                    f"its columns are {factor} blocks side by side"
                )
            sizes.setdefault(letter, size // factor)
            fixed_by.setdefault(letter, name)


def _because(name: str, letters: list[str], fixed_by: dict[str, str]) -> str:
    """Why a shape is what it is, such as "B is fixed by x, H by Wx"."""
    if name.startswith("d"):
        return f"it has the shape of {name[1:]}"
    causes: dict[str, list[str]] = {}
    for letter in dict.fromkeys(letters):
        if letter in fixed_by:
            causes.setdefault(fixed_by[letter], []).append(letter)
    parts = [
        f"{' and '.join(fixed)} {'are' if len(fixed) > 1 else 'is'} fixed by {cause}"
        for cause, fixed in causes.items()
    ]
    return ", ".join([*parts[:1], *(part.replace(" is fixed", "") for part in parts[1:])])


def _first(array: NDArray[Any], wrong: NDArray[np.bool_]) -> str:
    """The first wrong value, and where it is."""
    position = np.unravel_index(np.argmax(wrong), wrong.shape)
    return f"{array[position]} at [{', '.join(map(str, position))}]"
