"""Two recurrent stacks over one sequence: one from its start, one from its end.

At each step the result depends on the whole sequence, future included. So a language model cannot
be bidirectional: the token that it should predict at step t is the input of step t+1, and the
backward stack would read it there. Taggers, classifiers and regressors may be.
"""

from __future__ import annotations  # so that help() says DTypeLike, not all that it stands for

from collections.abc import Mapping
from typing import Any

from numpy.typing import DTypeLike

from numpylstm.checks import Array, Rng, check_array, generator
from numpylstm.inference import bidirectional_outputs
from numpylstm.layers import PendingStack, RecurrentStack
from numpylstm.masks import check_masks
from numpylstm.parameters import Module, Parameter
from numpylstm.stack import bidirectional_backward, bidirectional_forward


class Bidirectional(Module):
    """A stack that reads forward and one that reads backward, their hidden states side by side.

    With several layers, each direction has its own stack, and the two are joined at the top only.
    PyTorch joins them after each layer; for that, stack `Bidirectional` layers of one layer each.

    Parameters
    ----------
    cell, input_size, hidden_size, num_layers, dropout, dropout_locked, dropout_weights,
    dropout_state, init_scale, dtype, impl, rng, options
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
        dropout_state: float = 0.0,
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
                dropout_state=dropout_state,
                init_scale=init_scale,
                dtype=dtype,
                impl=impl,
                rng=rng,
                name=direction,
                **options,
            )

        self.ahead = stack("forward")
        self.back = stack("backward")

    def stacks(self) -> dict[str, RecurrentStack]:
        """Return the two stacks by the names of their directions."""
        return {"forward": self.ahead, "backward": self.back}

    def by_path(self) -> dict[str, Parameter]:
        """Return the parameters by their paths within the layer, such as ``forward.0.Wx``."""
        found: dict[str, Parameter] = {}
        for direction, stack in self.stacks().items():
            for path, parameter in stack.by_path.items():
                found[f"{direction}.{path}"] = parameter
        return found

    def zero_state(self, batch_size: int) -> tuple[Any, Any]:
        """Return the initial states of both stacks: zeros, (L, B, H)."""
        return self.ahead.zero_state(batch_size), self.back.zero_state(batch_size)

    def draw_masks(self, T: int, B: int) -> dict[str, Array]:
        """Draw the dropout masks of both stacks by name: ``forward.1.x``, ``backward.0.Wh``."""
        masks: dict[str, Array] = {}
        for direction, stack in self.stacks().items():
            for name, mask in stack.draw_masks(T, B).items():
                masks[f"{direction}.{name}"] = mask
        return masks

    def mask_names(self) -> set[str]:
        """Return the names that masks may have."""
        names = self.ahead.mask_names()
        return {f"{direction}.{name}" for direction in self.stacks() for name in names}

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
        where = "Bidirectional.forward"
        self.begin_pass(training)
        lengths = self.ahead.check_input(where, x, lengths)
        T, B, _ = x.shape
        if state is None:
            state = self.zero_state(B)
        else:
            self.check_pair(where, "state", state, B)
        if masks is not None:
            check_masks(where, masks, self.mask_names())
        arrays = {path: parameter.data for path, parameter in self.by_path().items()}
        if not training:
            return bidirectional_outputs(
                self.ahead.functions, self.ahead.chosen, arrays, x, state, lengths
            )
        if masks is None:
            masks = self.draw_masks(T, B)
        cache: dict[str, Any] = {}
        hs, state = bidirectional_forward(
            self.ahead.functions, self.ahead.chosen, arrays, x, state, masks, cache, lengths
        )
        self.pending = PendingStack(hs.shape, cache)
        return hs, state

    def backward(self, dhs: Array, dstate: Any = None) -> tuple[Array, tuple[Any, Any]]:
        """Return dx (T, B, D) and the gradients of both initial states.

        They come from dhs (T, B, 2H) and from the gradients of both final states, by default zeros.
        """
        where = "Bidirectional.backward"
        pending = self.take_pending()
        stack = self.ahead
        check_array(where, "dhs", dhs, pending.shape, stack.dtype, "it has the shape of hs")
        if dstate is not None:
            self.check_pair(where, "dstate", dstate, pending.shape[1])
        gradients: dict[str, Array] = {}
        dx, dstate = bidirectional_backward(
            stack.functions, stack.chosen, stack.num_layers, dhs, dstate, pending.cache, gradients
        )
        for path, parameter in self.by_path().items():
            parameter.accumulate(gradients[path])
        return dx, dstate

    def check_pair(self, where: str, argument: str, state: Any, batch_size: int) -> None:
        """Raise unless `state` is a pair of states, one for each direction."""
        if not (type(state) is tuple and len(state) == 2):
            raise TypeError(
                f"{where}: {argument} must be a pair of states, got {type(state).__name__}; one "
                "for each direction"
            )
        for k, part in enumerate(state):
            self.ahead.check_state(where, f"{argument}[{k}]", part, batch_size)

    def sizes(self) -> dict[str, Any]:
        """Return the settings that `repr` shows."""
        return self.ahead.sizes()
