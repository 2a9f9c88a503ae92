"""Two recurrent stacks over one sequence: one from its start, one from its end.

At each step the result depends on the whole sequence, future included. So a language model cannot
be bidirectional: the token that it should predict at step t is the input of step t+1, and the
backward stack would read it there. Taggers, classifiers and regressors may be.
"""

from __future__ import annotations  # so that help() says DTypeLike, not all that it stands for

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from numpylstm.checks import Array, Rng, check_array, generator
from numpylstm.layers import RecurrentStack
from numpylstm.masks import check_masks
from numpylstm.parameters import DIRECTIONS, Module
from numpylstm.stack import reverse


def pair(argument: str, state: Any) -> tuple[Any, Any]:
    """Return the states of both directions; they are None if `state` is."""
    if state is None:
        return None, None
    if type(state) is tuple and len(state) == 2:
        return state
    got = type(state).__name__
    raise TypeError(f"{argument} must be a pair of states, got {got}; one for each direction")


def of_direction(prefix: str, masks: Mapping[str, Array]) -> dict[str, Array]:
    """Return the masks of one direction, by their names in its stack."""
    own = {}
    for name, mask in masks.items():
        if name.startswith(prefix):
            own[name.removeprefix(prefix)] = mask
    return own


class PendingPair(NamedTuple):
    """What the layer keeps of a forward pass, besides what its stacks keep."""

    shape: tuple[int, ...]  # of hs
    lengths: Array | None


class Bidirectional(Module):
    """A stack that reads forward and one that reads backward, their hidden states side by side.

    With several layers, each direction has its own stack, and the two are joined at the top only.
    PyTorch joins them after each layer; for that, stack `Bidirectional` layers of one layer each.

    Parameters
    ----------
    cell, input_size, hidden_size, num_layers, dropout, dropout_locked, dropout_weights,
    init_scale, dtype, impl, rng, options
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
        dropout: float = 0.0,
        dropout_locked: bool = False,
        dropout_weights: float = 0.0,
        init_scale: float = 0.05,
        dtype: DTypeLike = "float32",
        impl: str = "fast",
        rng: Rng = None,
        name: str | None = None,
        **options: Any,
    ) -> None:
        rng = generator(rng)
        self.prefix = name or ""
        self.path_names = {"ahead": "forward", "back": "backward"}

        def stack(direction: str) -> RecurrentStack:
            return RecurrentStack(
                cell,
                input_size,
                hidden_size,
                num_layers,
                dropout=dropout,
                dropout_locked=dropout_locked,
                dropout_weights=dropout_weights,
                init_scale=init_scale,
                dtype=dtype,
                impl=impl,
                rng=rng,
                name=direction,
                **options,
            )

        self.ahead = stack("forward")
        self.back = stack("backward")

    def zero_state(self, batch_size: int) -> tuple[Any, Any]:
        """Return the initial states of both stacks: zeros, (L, B, H)."""
        return self.ahead.zero_state(batch_size), self.back.zero_state(batch_size)

    def draw_masks(self, T: int, B: int) -> dict[str, Array]:
        """Draw the dropout masks of both stacks by name: ``forward.1.x``, ``backward.0.Wh``."""
        masks: dict[str, Array] = {}
        for direction, stack in zip(DIRECTIONS, (self.ahead, self.back), strict=True):
            for name, mask in stack.draw_masks(T, B).items():
                masks[f"{direction}.{name}"] = mask
        return masks

    def mask_names(self) -> set[str]:
        """Return the names that masks may have."""
        return {
            f"{direction}.{name}" for direction in DIRECTIONS for name in self.ahead.mask_names()
        }

    def forward(
        self,
        x: Array,
        state: Any = None,
        training: bool = True,
        lengths: Array | None = None,
        masks: Mapping[str, Array] | None = None,
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
        of_ahead = of_back = None  # each stack draws its own
        if masks is not None:
            check_masks("Bidirectional.forward", masks, self.mask_names())
            of_ahead = of_direction("forward.", masks)
            of_back = of_direction("backward.", masks)
        ahead, after = self.ahead.forward(x, first, training, lengths, of_ahead)
        back, before = self.back.forward(reverse(x, lengths), second, training, lengths, of_back)
        hs = np.concatenate([ahead, reverse(back, lengths)], axis=-1)
        if training:
            self.pending = PendingPair(hs.shape, None if lengths is None else lengths.copy())
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
