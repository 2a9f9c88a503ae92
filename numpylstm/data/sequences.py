"""Sequences of different lengths: side by side in one array, and cut into minibatches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from numpylstm.checks import (
    Array,
    Rng,
    any_array,
    check_lengths,
    check_plain,
    check_whole,
    generator,
    real_array,
)


def pad(sequences: Iterable[ArrayLike]) -> tuple[Array, NDArray[np.int64]]:
    """Put sequences side by side, one in a column, and pad them with zeros at the end.

    With their lengths, no model reads the padding.

    Parameters
    ----------
    sequences : several array_like, (T_n,) or (T_n, D)
        Ids, or vectors of one size; in a list, an array of objects or a column of a table.

    Returns
    -------
    x : (T, N) or (T, N, D)
        T is the greatest length.
    lengths : (N,) int64

    Examples
    --------
    >>> x, lengths = pad([[3, 1, 4], [1, 5]])
    >>> x.tolist(), lengths.tolist()
    ([[3, 1], [1, 5], [4, 0]], [3, 2])
    """
    if isinstance(sequences, str | Mapping | Set) or not isinstance(sequences, Iterable):
        got = type(sequences).__name__
        raise TypeError(f"pad: sequences must be a list of sequences, got {got}")
    arrays = []
    for n, one in enumerate(sequences):
        name = f"sequences[{n}]"
        array = any_array("pad", name, one)
        if array.dtype == object:  # a column of a table
            array = any_array("pad", name, [*array])
            array = any_array("pad", name, array.tolist()) if array.dtype == object else array
        arrays.append(real_array("pad", name, array))
    filled = [array for array in arrays if array.size]  # NumPy makes floats of an empty list
    if not filled:
        raise ValueError("pad: sequences must hold at least one step, got none")
    step = filled[0].shape[1:]
    for n, array in enumerate(arrays):
        if array.size and (array.ndim == 0 or array.shape[1:] != step):
            raise ValueError(
                f"pad: sequences[{n}] must have shape ({', '.join(map(str, ['T', *step]))}), got "
                f"{array.shape}; all steps have one shape"
            )
    lengths = np.array([len(array) for array in arrays])
    x = np.zeros((lengths.max(), len(arrays), *step), np.result_type(*filled))
    for n, array in enumerate(arrays):
        if array.size:
            x[: len(array), n] = array
    return x, lengths


def minibatches(
    x: ArrayLike,
    y: ArrayLike,
    lengths: ArrayLike | None = None,
    size: int = 32,
    rng: Rng = None,
    weights: ArrayLike | None = None,
) -> Iterator[tuple[Any, ...]]:
    """Cut sequences into minibatches in random order, once through all of them.

    Parameters
    ----------
    x : (T, N) or (T, N, D)
        Sequences, one in a column.
    y : (N,), (N, K), (T, N) or (T, N, K)
        Their targets: one for each sequence, or one for each step.
    lengths : (N,) integers, optional
        A minibatch ends with its longest sequence.
    size : int
        Sequences in a minibatch; the last one may be smaller.
    rng : Generator or int, optional
        Source of the order. A Generator gives another order in each epoch.
    weights : (N,) or (T, N), optional
        One for each target.

    Yields
    ------
    batch : tuple
        ``(x, y)``, ``(x, y, lengths)`` or ``(x, y, lengths, weights)``: the arguments of the
        models, in the order in which `numpylstm.fit` passes them on. They are copies.

    Examples
    --------
    >>> x, lengths = pad([[3, 1, 4], [1, 5], [9, 2, 6, 5]])
    >>> for x_some, y_some, ends in minibatches(x, [0, 1, 0], lengths, size=2, rng=0):
    ...     print(x_some.shape, ends)
    (4, 2) [4 3]
    (2, 1) [2]
    """
    where = "minibatches"
    size = check_whole(where, "size", size)
    x = real_array(where, "x", x)
    y = real_array(where, "y", y)
    if x.ndim < 2 or not x.size:
        raise ValueError(f"{where}: x must have shape (T, N) or (T, N, D), got {x.shape}")
    T, N = x.shape[:2]
    if lengths is not None:
        lengths = check_lengths(where, "lengths", any_array(where, "lengths", lengths), T, N)
    if weights is not None:
        weights = any_array(where, "weights", weights)
        check_plain(where, "weights", weights)
    every_step = y.shape[:2] == (T, N)
    shape = (T, N) if every_step else (N,)
    for name, array in (("y", y), ("weights", weights)):
        if array is not None and array.shape[: len(shape)] != shape:
            raise ValueError(
                f"{where}: {name} must begin with the shape ({N},) or ({T}, {N}), that of x, got "
                f"shape {array.shape}; time comes first"
            )
    order = generator(rng).permutation(N)

    def cut() -> Iterator[tuple[Any, ...]]:
        for first in range(0, N, size):
            chosen = order[first : first + size]
            ends = None if lengths is None else lengths[chosen]
            steps = T if ends is None else max(1, ends.max())
            targets = np.s_[:steps, chosen] if every_step else chosen
            batch = x[:steps, chosen], y[targets], ends
            if weights is not None:
                yield *batch, weights[targets]
            elif lengths is not None:
                yield batch
            else:
                yield batch[:2]

    return cut()  # the arguments are checked by the call, not by the first minibatch
