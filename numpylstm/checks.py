"""Sentences for arguments that do not fit.

Kernels check nothing: an id out of range would be a wild write, a short row would read past its
end. So every function that a person calls looks at its arguments first, and what it says has four
parts: which argument, what was expected, what came, and the likely cause.

    lstm_forward: x must have shape (T, B, 65), got (35, 20, 64); D is fixed by Wx
"""

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
UNSIGNED = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}
Shape = tuple[int | str, ...]


class NotFinite(ValueError):
    """Numbers that have become infinite, or NaN."""


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
    if (
        type(array) is np.ndarray
        and (array.dtype is dtype or (dtype is None and array.dtype in FLOATS))
        and array.size
        and _fits(array.shape, shape)
    ):
        return  # as nearly always; small models spend their time here
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{where}: {name} must be a NumPy array, got {type(array).__name__}")
    if dtype is None:
        if array.dtype not in FLOATS:
            raise TypeError(
                f"{where}: {name} must have dtype float32 or float64, got {array.dtype}; "
                f"other numbers are for numpylstm.reference"
            )
    elif array.dtype != dtype:
        raise TypeError(
            f"{where}: {name} must have dtype {dtype}, got {array.dtype}; "
            f"all arrays of a call have one dtype, and it is never cast silently"
        )
    _check_shape(where, name, array, shape, because)


def check_ids(
    where: str, name: str, ids: Any, size: int, shape: Shape | None = None, because: str = ""
) -> None:
    """Raise unless `ids` is a non-empty integer array with all its values in [0, size).

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

    Raises
    ------
    TypeError
        If it is no array of integers.
    ValueError
        If it has another shape, no elements, or an id out of range (the first one is named).
    """
    if not isinstance(ids, np.ndarray):
        raise TypeError(f"{where}: {name} must be a NumPy array, got {type(ids).__name__}")
    if ids.dtype.kind not in "iu":
        raise TypeError(f"{where}: {name} must hold integers, got {ids.dtype}")
    _check_shape(where, name, ids, ids.shape if shape is None else shape, because)
    unsigned = ids.view(UNSIGNED[ids.itemsize])  # a negative id is a very large one there
    if unsigned.item(unsigned.argmax()) >= size:  # NumPy finds where sooner than how large
        wrong = (ids < 0) | (ids >= size)
        raise ValueError(
            f"{where}: {name} must lie in [0, {size}), got {_first(ids, wrong)}; "
            f"ids and table come from different vocabularies"
        )


def check_finite(where: str, name: str, array: NDArray[Any], because: str = "") -> None:
    """Raise NotFinite unless every number in `array` is finite; the first other one is named.

    For arrays that are kept or carried on (parameters, tables, states). Activations inside a model
    are not searched: what went bad there shows in the loss.
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


def check_sizes(where: str, **sizes: Any) -> None:
    """Raise unless every size is a whole number from 1."""
    for name, size in sizes.items():
        check_whole(where, name, size)


def check_weights(
    where: str, name: str, weights: Any, shape: Shape, dtype: "np.dtype[Any]"
) -> None:
    """Raise unless `weights` is a float array of this shape without negative (or NaN) values."""
    check_array(where, name, weights, shape, dtype, "one weight for each target")
    if not weights.min() >= 0:
        raise ValueError(
            f"{where}: {name} must not be negative, got {_first(weights, ~(weights >= 0))}; "
            f"0 leaves a token out"
        )


@functools.lru_cache(maxsize=1024)  # a model asks the same few questions at every step
def _fits(got: tuple[int, ...], shape: Shape) -> bool:
    return len(got) == len(shape) and all(
        isinstance(want, str) or want == size for want, size in zip(shape, got, strict=True)
    )


def _check_shape(where: str, name: str, array: NDArray[Any], shape: Shape, because: str) -> None:
    got = array.shape
    if array.size and _fits(got, shape):
        return
    if not array.size and len(got) == len(shape):
        raise ValueError(f"{where}: {name} must not be empty, got shape {got}")
    spelled = f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"
    because = f"; {because}" if because else ""
    raise ValueError(f"{where}: {name} must have shape {spelled}, got {got}{because}")


def _first(array: NDArray[Any], wrong: NDArray[np.bool_]) -> str:
    """The first wrong value, and where it is."""
    position = np.unravel_index(np.argmax(wrong), wrong.shape)
    return f"{array[position]} at [{', '.join(map(str, position))}]"
