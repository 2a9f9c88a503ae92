"""Passes without training: what `numpylstm.network` and `numpylstm.stack` compute, without caches.

A long pass is cut into windows of time, each of which continues from the state after the one
before. So the gates of `ROWS_AT_ONCE` rows, steps times sequences, are in memory at once, in place
of those of all steps; the results are the same.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from numpylstm import network
from numpylstm.cells import ChosenCell
from numpylstm.checks import Array
from numpylstm.config import ModelConfig
from numpylstm.masks import Arrays
from numpylstm.stack import output_of_state, reverse, stack_forward

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

    def decode(hs: Array) -> Array:
        return network.decoder_forward(functions, config, arrays, hs, {}, {})

    if "backward.0.Wx" in arrays:
        hs, state = bidirectional_outputs(
            functions, chosen, arrays, x, state, lengths, every_step=every_step
        )
        return decode(hs), state
    prefix = f"{config.cell}."
    if every_step:
        return stack_outputs(functions, chosen, arrays, prefix, x, state, lengths, decode)
    hs, state = last_outputs(functions, chosen, arrays, prefix, x, state, lengths)
    return decode(hs), state


def stack_outputs(
    functions: Any,
    chosen: ChosenCell,
    arrays: Arrays,
    prefix: str,
    x: Array,
    state: Any,
    lengths: Array | None = None,
    decode: Callable[[Array], Array] | None = None,
) -> tuple[Array, Any]:
    """Run layers as `stack_forward` does; return hs (T, B, H) and the state.

    `decode` is applied to the hs of each window, and its results (T, B, K) are returned instead.
    """
    found: Any = None
    for window, _, hs, after in hidden_states(functions, chosen, arrays, prefix, x, state, lengths):
        state = after
        part = hs if decode is None else decode(hs)
        if found is None:
            found = np.empty((len(x), *part.shape[1:]), part.dtype)
        found[window] = part
    return found, state


def last_outputs(
    functions: Any,
    chosen: ChosenCell,
    arrays: Arrays,
    prefix: str,
    x: Array,
    state: Any,
    lengths: Array | None = None,
) -> tuple[Array, Any]:
    """Run layers as `stack_forward` does; return the last hs of each sequence, (1, B, H).

    A sequence of length 0 has that of its state.
    """
    last = output_of_state(state)
    for _, of_window, hs, after in hidden_states(
        functions, chosen, arrays, prefix, x, state, lengths
    ):
        state = after
        newest, _ = network.last_forward(hs, of_window, hs.shape[-1])
        last = newest if of_window is None else np.where(of_window[:, None] > 0, newest, last)
    return last, state


def bidirectional_outputs(
    functions: Any,
    chosen: ChosenCell,
    arrays: Arrays,
    x: Array,
    state: Any,
    lengths: Array | None = None,
    *,
    every_step: bool = True,
) -> tuple[Array, tuple[Any, Any]]:
    """Run two stacks as `bidirectional_forward` does.

    Returns hs (T, B, 2H), or the last ones (1, B, 2H), and the states.
    """
    first, second = state
    of_stack: Callable[..., Any] = stack_outputs if every_step else last_outputs
    ahead, first = of_stack(functions, chosen, arrays, "forward.", x, first, lengths)
    x = reverse(x, lengths)
    back, second = of_stack(functions, chosen, arrays, "backward.", x, second, lengths)
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
) -> Iterator[tuple[slice, Array | None, Array, Any]]:
    """Yield each window, its lengths, its hs and the state after it."""
    for window in windows(*x.shape[:2]):
        of_window = lengths_within(window, lengths)
        part = network.input_forward(functions, arrays, x[window], {}, {}, of_window)
        hs, state = stack_forward(functions, chosen, arrays, prefix, part, state, {}, {}, of_window)
        yield window, of_window, hs, state
