"""Cut ids into parallel streams, and the streams into time-major windows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from numpylstm.checks import Rng, any_array, check_flag, check_shape, check_whole, generator


def num_batches(
    num_tokens: int, batch_size: int, num_steps: int, *, keep_last: bool = False
) -> int:
    """Return how many windows `batches` cuts from this many tokens; at least 1.

    Raises
    ------
    TypeError, ValueError
        As `batches`.
    """
    batch_size = check_whole("batches", "batch_size", batch_size)
    num_steps = check_whole("batches", "num_steps", num_steps)
    num_tokens = check_whole("batches", "num_tokens", num_tokens, 0)
    check_flag("batches", "keep_last", keep_last)
    targets = num_tokens // batch_size - 1  # in each stream
    shortest = 1 if keep_last else num_steps
    if targets < shortest:
        raise ValueError(
            f"batches: {batch_size} streams (batch_size) with a window of {shortest} need at "
            f"least {batch_size * (shortest + 1)} tokens, got {num_tokens}; use a longer text or "
            "fewer streams"
        )
    return (targets + num_steps - 1) // num_steps if keep_last else targets // num_steps


def batches(
    ids: ArrayLike,
    batch_size: int,
    num_steps: int,
    *,
    keep_last: bool = False,
    start: int = 0,
    rng: Rng = None,
) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Cut a sequence into parallel streams and walk along them, window by window.

    N ids are cut into B contiguous streams of ``L = N // B`` (the last ``N % B`` ids are left
    out), one for each column of a batch. Window k holds the steps from ``k * T`` of every stream,
    and its targets are the same steps one later. So each window continues the one before it, and
    the state of the network can be carried over. There are ``(L - 1) // T`` windows.

    Parameters
    ----------
    ids : (N,) array_like of int
        Token ids. Their range is not checked here.
    batch_size : int
        B, the number of streams.
    num_steps : int
        T, the steps of a window.
    keep_last : bool
        Also yield the last, shorter window, so that every id of a stream but its first is a
        target once. Evaluation needs it: with one stream only the first token goes unscored.
    start : int
        The first window to yield, from 0. A run that stopped after k windows of an epoch resumes
        with ``start=k``, at no cost.
    rng : Generator or int, optional
        Begin each stream at a step that is drawn from this generator or seed; after its end comes
        its beginning. With other draws in each epoch, a token is not always at the same place of a
        window, nor beside the same tokens of other streams. By default each stream begins at its
        first step.

    Yields
    ------
    x, y : (T, B) arrays
        Inputs and targets, time-major, C-contiguous, with the dtype of `ids`. They are copies:
        words of x may be replaced (word dropout), and y and the next window stay as they are.

    Raises
    ------
    TypeError
        If the ids or the sizes are not integers.
    ValueError
        If `ids` is not one-dimensional or too short for one window, or a size is out of range.

    Examples
    --------
    >>> x, y = next(batches(range(1, 19), batch_size=3, num_steps=2))
    >>> x.T.tolist(), y.T.tolist()
    ([[1, 2], [7, 8], [13, 14]], [[2, 3], [8, 9], [14, 15]])
    >>> x, y = next(batches(range(1, 19), batch_size=3, num_steps=2, rng=0))
    >>> x.T.tolist(), y.T.tolist()
    ([[6, 1], [10, 11], [16, 17]], [[1, 2], [11, 12], [17, 18]])
    """
    array = any_array("batches", "ids", ids)
    check_shape("batches", "ids", array, ("N",), "batches cuts them into streams itself")
    if array.dtype.kind not in "iu":
        raise TypeError(
            f"batches: ids must have an integer dtype, got {array.dtype}; "
            f"token ids come from Vocabulary.encode"
        )
    count = num_batches(len(array), batch_size, num_steps, keep_last=keep_last)
    start = check_whole("batches", "start", start, 0, count, "the number of windows")
    batch_size, num_steps = int(batch_size), int(num_steps)
    length = len(array) // batch_size
    rows = array[: length * batch_size].reshape(batch_size, length)
    if rng is not None:
        first = generator(rng).integers(length, size=batch_size)
        rows = np.array([np.roll(row, -step) for row, step in zip(rows, first, strict=True)])
    streams = rows.T
    x, y = streams[:-1], streams[1:]  # (L - 1, B)
    return (
        (x[i : i + num_steps].copy(), y[i : i + num_steps].copy())
        for i in range(start * num_steps, count * num_steps, num_steps)
    )
