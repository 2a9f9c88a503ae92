"""Two recurrent stacks over one sequence: one from its start, one from its end.

At each step the result depends on the whole sequence, future included. So a language model cannot
be bidirectional: the token that it should predict at step t is the input of step t+1, and the
backward stack would read it there. Taggers, classifiers and regressors may be.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from numpylstm.checks import Array, Rng, check_array, generator
from numpylstm.layers import RecurrentStack
from numpylstm.parameters import Module


def reverse(x: Array, lengths: Array | None) -> Array:
    """Reverse each sequence of x (T, B, .) in time; what lies past its end stays in place."""
    if lengths is None:
        return x[::-1]
    t, ends = np.arange(len(x))[:, None], lengths.astype(np.int64)
    return x[np.where(t < ends, ends - 1 - t, t), np.arange(len(ends))]


def pair(argument: str, state: Any) -> tuple[Any, Any]:
    """Return the states of both directions; they are None if `state` is."""
    if state is None:
        return None, None
    if type(state) is tuple and len(state) == 2:
        return state
    got = type(state).__name__
    raise TypeError(f"{argument} must be a pair of states, got {got}; one for each direction")


class Bidirectional(Module):
    """A stack that reads forward and one that reads backward, their hidden states side by side.

    With several layers, each direction has its own stack, and the two are joined at the top only.
    PyTorch joins them after each layer; for that, stack `Bidirectional` layers of one layer each.

    Parameters
    ----------
    cell, input_size, hidden_size, num_layers, rng, settings
        As for `numpylstm.layers.RecurrentStack`; H is the size of each direction.
    name : str, optional
        Prefix of the paths: ``name="low"`` gives ``low.forward.0.Wx`` instead of
        ``forward.0.Wx``.

    Examples
    --------
    >>> import numpy as np, numpylstm as nl
    >>> both = nl.Bidirectional("lstm", 4, 6, rng=0)
    >>> x = np.ones((5, 3, 4), np.float32)  # (T, B, D)
    >>> hs, (forward, backward) = both.forward(x)
    >>> hs.shape, backward.h.shape
    ((5, 3, 12), (1, 3, 6))
    """

    def __init__(
        self,
        cell: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        rng: Rng = None,
        name: str | None = None,
        **settings: Any,
    ) -> None:
        rng, self.prefix = generator(rng), name or ""
        self.path_names = {"ahead": "forward", "back": "backward"}
        sizes = input_size, hidden_size, num_layers
        self.ahead = RecurrentStack(cell, *sizes, rng=rng, name="forward", **settings)
        self.back = RecurrentStack(cell, *sizes, rng=rng, name="backward", **settings)

    def zero_state(self, batch_size: int) -> tuple[Any, Any]:
        """Return the initial states of both stacks: zeros, (L, B, H)."""
        return self.ahead.zero_state(batch_size), self.back.zero_state(batch_size)

    def draw_masks(self, T: int, B: int) -> dict[str, dict[str, Array]]:
        """Draw the dropout masks of both stacks, by direction."""
        return {"forward": self.ahead.draw_masks(T, B), "backward": self.back.draw_masks(T, B)}

    def forward(
        self,
        x: Array,
        state: Any = None,
        training: bool = True,
        lengths: Array | None = None,
        masks: Mapping[str, Any] | None = None,
    ) -> tuple[Array, tuple[Any, Any]]:
        """Run both stacks over whole sequences.

        The arguments are those of `RecurrentStack.forward`, except that `state` is a pair and
        `masks` are those of `draw_masks`.

        Returns
        -------
        hs : (T, B, 2H)
            At each step, the hidden states of the stack that has read up to it from the start, and
            of the one that has read back to it from the end.
        state : pair of states of the cell
            After the last step of each sequence, and after its first.
        """
        self.begin_pass(training)  # if a stack refuses, the other must not mix two passes
        first, second = pair("Bidirectional.forward: state", state)
        low = high = None  # each stack draws its own
        if masks is not None:
            low, high = masks.get("forward", {}), masks.get("backward", {})
        ahead, after = self.ahead.forward(x, first, training, lengths, low)
        back, before = self.back.forward(reverse(x, lengths), second, training, lengths, high)
        hs = np.concatenate([ahead, reverse(back, lengths)], axis=-1)
        if training:
            self.pending = hs.shape, None if lengths is None else lengths.copy()
        return hs, (after, before)

    def backward(self, dhs: Array, dstate: Any = None) -> tuple[Array, tuple[Any, Any]]:
        """Return dx (T, B, D) and the gradients of both initial states.

        They come from dhs (T, B, 2H) and from the gradients of both final states, by default zeros.
        """
        shape, lengths = self.take_pending()
        check_array("Bidirectional.backward", "dhs", dhs, shape, because="it has the shape of hs")
        first, second = pair("Bidirectional.backward: dstate", dstate)
        ahead, back = np.split(dhs, 2, axis=-1)
        dx, dfirst = self.ahead.backward(ahead, first)
        dback, dsecond = self.back.backward(reverse(back, lengths), second)
        return dx + reverse(dback, lengths), (dfirst, dsecond)

    def sizes(self) -> dict[str, Any]:
        """Return the settings that `repr` shows."""
        return self.ahead.sizes()
