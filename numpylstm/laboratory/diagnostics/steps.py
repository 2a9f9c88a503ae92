"""Backpropagation through time, one step at a time.

`numpylstm.reference` adds up the contributions of all steps; here each step is returned before it
is added. The mathematics stays in the reference: every step is one call of the cell's own backward
step, such as `lstm_step_backward`. The way from layer to layer stays in `numpylstm.network`.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from numpylstm import network, reference
from numpylstm.cells import CELLS, Cell, State
from numpylstm.checks import Array
from numpylstm.config import ModelConfig
from numpylstm.models import LanguageModel, check_window

Cache = Any
"""The cache of a cell's forward pass, such as `numpylstm.reference.LSTMCache`."""


class StepBack(NamedTuple):
    """Gradients at step t of backpropagation.

    ``dstate`` holds total derivatives: through every use of the state of step t. ``dbefore`` are
    those of the state before it, through step t and later ones. The gradients of the parameters are
    the part of step t alone.
    """

    t: int
    dstate: Mapping[str, Array]  # field of the state -> (B, H)
    dx: Array  # (B, D)
    dbefore: Mapping[str, Array]  # field of the state -> (B, H)
    dparameters: tuple[Array, ...]


def step_cache(cache: Cache, t: int) -> Cache:
    """Return step t of the cache of a sequence: views, (B, .)."""
    return _replace_values(cache, lambda values: values[t])


def cell_of(cache: Cache) -> Cell:
    """Return the cell that a cache belongs to."""
    return next(cell for cell in CELLS.values() if cell.cache == type(cache).__name__)


def options_of(cache: Cache) -> dict[str, Any]:
    """Return the options of the cell that the cache holds for the backward pass."""
    return {name: getattr(cache, name) for name in cell_of(cache).options if name in cache._fields}


def _replace_values(cache: Cache, change: Callable[[Array], Array]) -> Cache:
    """Apply a function to all arrays of the cache but the parameters."""
    n = cache._fields.index("Wx")  # what stands before it has one entry for each step
    return type(cache)(*map(change, cache[:n]), *cache[n:])


def check_cache(where: str, cache: Any) -> None:
    """Raise a TypeError unless this is the cache of a sequence from the textbook."""
    known = {cell.cache for cell in CELLS.values()}
    if type(cache).__name__ not in known or getattr(cache.h, "ndim", 0) != 3 or not len(cache.h):
        raise TypeError(
            f"{where}: cache must come from a sequence of numpylstm.reference without lengths, got "
            f"{type(cache).__module__}.{type(cache).__name__}"
        )


def steps_back(dhs: Array, cache: Cache) -> Iterator[StepBack]:
    """Walk back through a sequence from step ``len(dhs) - 1`` to step 0.

    ``dhs`` (t + 1, B, H) holds the gradient of each hidden state, without the recurrent paths. With
    fewer steps than the cache, the walk begins in the middle, with zeros from later steps.
    """
    cell = cell_of(cache)
    backward = cell.function(reference, "step_backward")
    dstate = {name: np.zeros_like(dhs[0]) for name in cell.states}
    for t in reversed(range(len(dhs))):
        step = step_cache(cache, t)
        dstate["h"] = dhs[t] + dstate["h"]
        total = dict(dstate)
        if others := cell.states[1:]:  # they were used by step t+1 and, within the step, by h
            within = cell.function(reference, "through_h")(dstate["h"], step)
            total |= {n: dstate[n] + part for n, part in zip(others, within, strict=True)}
        own = dict(zip(cell.gradients, backward(*dstate.values(), step), strict=True))
        dx = own.pop("x")
        dstate = {name: own.pop(f"{name}0") for name in cell.states}
        yield StepBack(t, total, dx, dstate, tuple(own.values()))  # of the parameters


class WindowPass(NamedTuple):
    """The forward pass of a language model over a window, in the textbook and in float64."""

    config: ModelConfig
    cache: Mapping[str, Any]  # of `network.forward`, without that of the decoder
    dhs: Array  # (T, B, H), the gradient of the top hidden states by way of the decoder alone

    @property
    def layers(self) -> list[Cache]:
        """The cache of each recurrent layer, from the input up."""
        config = self.config
        return [self.cache[f"{config.cell}.{k}"] for k in range(config.num_layers)]

    def go_back(self, dhs: Array, watch: Callable[[int, StepBack], object]) -> None:
        """Go back through the recurrent layers, from step ``len(dhs) - 1`` to step 0.

        It is `network.recurrent_backward` with a backward pass of the cell that calls
        ``watch(layer, step)`` at each step.
        """
        layers = self.layers

        def backward(dhs: Array, *dstate_and_cache: Any) -> tuple[Any, ...]:
            cache = dstate_and_cache[-1]
            [layer] = [k for k, known in enumerate(layers) if known is cache]
            return _layer_back(dhs, cache, partial(watch, layer))

        functions = SimpleNamespace(**vars(reference))
        setattr(functions, f"{self.config.cell}_backward", backward)
        network.recurrent_backward(
            functions, self.config, dhs, None, dict(self.cache), gradients={}
        )


def _layer_back(
    dhs: Array, cache: Cache, watch: Callable[[StepBack], object]
) -> tuple[Array | None, ...]:
    """Go back through a layer as `lstm_backward` does, step by step.

    The gradients of the parameters are None: the parts of single steps are not added up here.
    """
    cell = cell_of(cache)
    dx = np.empty_like(dhs, shape=(len(dhs), *cache.x.shape[1:]))
    for step in steps_back(dhs, cache):
        watch(step)
        dx[step.t] = step.dx
    dbefore = step.dbefore.values()  # of step 0
    dparameters = [None] * (len(cell.gradients) - 1 - len(cell.states))
    return dx, *dbefore, *dparameters


def step_jacobian(step: Cache) -> Array:
    """Return one step of `numpylstm.laboratory.diagnostics.step_jacobians`, (B, S, S).

    Its rows are backward passes: one for each unit of the state, with a gradient of 1 in it.
    """
    cell = cell_of(step)
    backward = cell.function(reference, "step_backward")
    fields = len(cell.states)
    B, H = step.h.shape
    S = fields * H
    J = np.empty((B, S, S), step.h.dtype)
    for row in range(B):
        copies = _replace_values(step, lambda v: np.repeat(v[row : row + 1], S, axis=0))  # noqa: B023
        results = backward(*np.hsplit(np.eye(S), fields), copies)  # dx, then the state
        J[row] = np.hstack(results[1 : 1 + fields])
    return J


def forward_pass(
    model: LanguageModel, x: Array, y: Array, state: State | None = None
) -> WindowPass:
    """Run a window through the textbook with the weights of a model.

    Step t of its `dhs` comes from the loss at step t only. No dropout, no random numbers; the model
    is not changed. Computed in float64, whatever the dtype of the model.
    """
    x, y, state = check_window("diagnostics", model, x, y, state)
    arrays = {path: array.astype(np.float64) for path, array in model.state_dict().items()}
    start = tuple(part.astype(np.float64) for part in state)
    config = model.config
    _, _, cache = network.loss_forward(reference, config, arrays, x, y, start, masks={})
    dlogits = reference.sequence_cross_entropy_backward(cache["cross_entropy"])
    dhs, _ = network.decoder_backward(reference, dlogits, cache, gradients={})
    return WindowPass(config, cache, dhs)
