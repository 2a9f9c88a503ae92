"""Sentences for arguments that do not fit.

Kernels check nothing: an id out of range would be a wild write, a short row would read past its
end. So every function that a person calls looks at its arguments first, and what it says has four
parts: which argument, what was expected, what came, and the likely cause.

    lstm_forward: x must have shape (T, B, 65), got (35, 20, 64); D is fixed by Wx
"""

import numpy as np

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def check_array(where, name, array, shape, dtype=None, because=""):
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
    got = array.shape
    if len(got) != len(shape) or any(
        want != size for want, size in zip(shape, got, strict=True) if not isinstance(want, str)
    ):
        because = f"; {because}" if because else ""
        raise ValueError(f"{where}: {name} must have shape {_spell(shape)}, got {got}{because}")
    if array.size == 0:
        raise ValueError(f"{where}: {name} must not be empty, got shape {got}")


def check_ids(where, name, ids, size, shape=None, because=""):
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
    if shape is not None and (
        len(ids.shape) != len(shape)
        or any(w != s for w, s in zip(shape, ids.shape, strict=True) if not isinstance(w, str))
    ):
        because = f"; {because}" if because else ""
        raise ValueError(
            f"{where}: {name} must have shape {_spell(shape)}, got {ids.shape}{because}"
        )
    if ids.size == 0:
        raise ValueError(f"{where}: {name} must not be empty, got shape {ids.shape}")
    if ids.min() < 0 or ids.max() >= size:
        position = np.unravel_index(np.argmax((ids < 0) | (ids >= size)), ids.shape)
        at = ", ".join(map(str, position))
        raise ValueError(
            f"{where}: {name} must lie in [0, {size}), got {ids[position]} at [{at}]; "
            f"ids and table come from different vocabularies"
        )


def check_weights(where, name, weights, shape, dtype):
    """Raise unless `weights` is a float array of this shape without negative (or NaN) values."""
    check_array(where, name, weights, shape, dtype, "one weight for each target")
    if not weights.min() >= 0:
        position = np.unravel_index(np.argmax(~(weights >= 0)), weights.shape)
        at = ", ".join(map(str, position))
        raise ValueError(
            f"{where}: {name} must not be negative, got {weights[position]} at [{at}]; "
            f"0 leaves a token out"
        )


def _spell(shape):
    """(T, B, 65), and (V,) with the comma that Python itself prints."""
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"
