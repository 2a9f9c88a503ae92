"""Passes without training: what `numpylstm.network` and `numpylstm.stack` compute, without caches.

A long pass is cut into windows of time, each of which continues from the state after the one
before. So the gates of `ROWS_AT_ONCE` rows, steps times sequences, are in memory at once, in place
of those of all steps; the results are the same.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from numpylstm import network
from numpylstm.cells import ChosenCell
from numpylstm.checks import Array, check_finite
from numpylstm.config import ModelConfig
from numpylstm.masks import Arrays
from numpylstm.stack import reverse, stack_forward

ROWS_AT_ONCE = 2048
"""Steps times sequences of a window, if one step has no more sequences."""


def windows(T: int, B: int) -> Iterator[slice]:
    """Yield the steps of each window."""
    steps = max(1, ROWS_AT_ONCE // B)
    for first in range(0, T, steps):
        yield slice(first, min(first + steps, T))


def lengths_within(window: slice, lengths: Array | None) -> Array | None:
    """Return the lengths of what is in a window of sequences with these lengths."""
    if lengths is None:
        return None
    return np.clip(lengths.astype(np.int64) - window.start, 0, window.stop - window.start)


def outputs(
    functions: Any,
    config: ModelConfig,
    arrays: Arrays,
    x: Array,
    state: Any,
    lengths: Array | None = None,
    every_step: bool = True,
) -> tuple[Array, Any]:
    """Compute the outputs of a network as `network.forward` does; return them and the state.

    Without `every_step`, and in one direction, a sequence of length 0 has the output of its state.
    """
    T, B = x.shape[:2]
    if every_step and T * B <= ROWS_AT_ONCE:
        return network.forward(functions, config, arrays, x, state, {}, lengths)[:2]
    chosen = config.chosen_cell
    table = arrays.get("embedding.W")

    def decoded(hs: Array) -> Array:
        return network.decoder_forward(functions, config, arrays, hs, {}, {})

    if "backward.0.Wx" in arrays:
        hs, state = bidirectional_outputs(
            functions, chosen, arrays, x, state, lengths, table=table, every_step=every_step
        )
        return decoded(hs), state
    found = None
    for window, hs, after in hidden_states(
        functions, chosen, arrays, f"{config.cell}.", x, state, lengths, table
    ):
        state = after
        if every_step:
            part = decoded(hs)
            if found is None:
                found = np.empty((T, *part.shape[1:]), part.dtype)
            found[window] = part
    if found is None:
        found = decoded(state[0][-1][None])  # h of the top layer at the end of each sequence
    return found, state


def stack_outputs(
    functions: Any,
    chosen: ChosenCell,
    arrays: Arrays,
    prefix: str,
    x: Array,
    state: Any,
    lengths: Array | None = None,
    *,
    table: Array | None = None,
    every_step: bool = True,
) -> tuple[Array, Any]:
    """Run layers as `stack_forward` does; return hs (T, B, H), or the last one (1, B, H).

    With a `table`, x are ids.
    """
    found = None
    for window, hs, after in hidden_states(
        functions, chosen, arrays, prefix, x, state, lengths, table
    ):
        state = after
        if every_step and len(hs) == len(x):
            return hs, state
        if every_step:
            if found is None:
                found = np.empty((len(x), *hs.shape[1:]), hs.dtype)
            found[window] = hs
    return state[0][-1][None] if found is None else found, state


def bidirectional_outputs(
    functions: Any,
    chosen: ChosenCell,
    arrays: Arrays,
    x: Array,
    state: Any,
    lengths: Array | None = None,
    *,
    table: Array | None = None,
    every_step: bool = True,
) -> tuple[Array, tuple[Any, Any]]:
    """Run two stacks as `bidirectional_forward` does.

    Returns hs (T, B, 2H), or the last ones (1, B, 2H), and the states.
    """
    first, second = state
    ahead, first = stack_outputs(
        functions, chosen, arrays, "forward.", x, first, lengths, table=table, every_step=every_step
    )
    turned = reverse(x, lengths)
    back, second = stack_outputs(
        functions,
        chosen,
        arrays,
        "backward.",
        turned,
        second,
        lengths,
        table=table,
        every_step=every_step,
    )
    if every_step:
        back = reverse(back, lengths)
    return np.concatenate([ahead, back], axis=-1), (first, second)


def hidden_states(
    functions: Any,
    chosen: ChosenCell,
    arrays: Arrays,
    prefix: str,
    x: Array,
    state: Any,
    lengths: Array | None,
    table: Array | None,
) -> Iterator[tuple[slice, Array, Any]]:
    """Yield each window, its hs and the state after it."""
    for window in windows(*x.shape[:2]):
        part = x[window]
        of_window = lengths_within(window, lengths)
        if table is not None:
            part, _ = functions.embedding_forward(part, table)
        check_finite("network.forward", "x", part, "the embedding may have overflowed", of_window)
        hs, state = stack_forward(functions, chosen, arrays, prefix, part, state, {}, {}, of_window)
        yield window, hs, state
