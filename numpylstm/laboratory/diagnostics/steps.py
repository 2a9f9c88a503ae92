"""Backpropagation through time, one step at a time, for whoever wants to look in between.

`numpylstm.reference` adds up what each step contributes; here each step is handed out before it is
added. The mathematics stays in the reference: every step is one call of the cell's own backward
step, such as `lstm_step_backward`.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numpylstm import reference
from numpylstm.cells import CELLS, Cell, State
from numpylstm.checks import check_ids
from numpylstm.doors import textbook
from numpylstm.models import (
    LanguageModel,
    Window,
    check_language_model,
    language_model_forward,
)

Array = NDArray[Any]
Cache = Any
"""What a forward pass of a cell leaves, a NamedTuple such as `numpylstm.reference.LSTMCache`."""


class StepBack(NamedTuple):
    """What backpropagation knows when it has passed step t.

    ``dstate`` are total derivatives, through everything that used the state of step t. The
    gradients of the parameters are the part of step t alone.
    """

    t: int
    dstate: tuple[Array, ...]  # (B, H) for each field of the state
    dx: Array  # (B, D)
    dparameters: tuple[Array, ...]


def step_cache(cache: Cache, t: int) -> Cache:
    """Step t of the cache of a sequence: views, (B, .)."""
    return _replace_values(cache, lambda values: values[t])


def cell_of(cache: Cache) -> Cell:
    """The cell that left this cache."""
    return next(cell for cell in CELLS.values() if cell.cache == type(cache).__name__)


def options_of(cache: Cache) -> dict[str, Any]:
    """The options of the cell that left this cache, as far as the backward pass needs them."""
    cell = cell_of(cache)
    return {name: getattr(cache, name) for name in cell.options if name in cache._fields}


def _replace_values(cache: Cache, change: Callable[[Array], Array]) -> Cache:
    """The cache with all its values changed, and its parameters and options as they are."""
    cell = cell_of(cache)
    kept = {"Wx", "Wh", "b", *cell.vectors, *cell.options}
    names = [name for name in cache._fields if name not in kept]
    return cache._replace(**{name: change(getattr(cache, name)) for name in names})


def check_cache(where: str, cache: Any) -> None:
    """Raise a TypeError unless this is the cache of a sequence from the textbook."""
    known = {cell.cache for cell in CELLS.values()}
    if type(cache).__name__ not in known or getattr(cache.h, "ndim", 0) != 3 or not len(cache.h):
        raise TypeError(
            f"{where}: cache must be that of a sequence from numpylstm.reference, got "
            f"{type(cache).__module__}.{type(cache).__name__}"
        )
    cell = cell_of(cache)
    backward = cell.function(textbook, "backward")
    if hasattr(backward, "check"):
        backward.check(where, (cache.h, *[cache.h[-1]] * len(cell.states), cache), {})


def steps_back(dhs: Array, cache: Cache) -> Iterator[StepBack]:
    """Walk back through a sequence: from step ``len(dhs) - 1`` to step 0.

    Parameters
    ----------
    dhs : (t + 1, B, H)
        What is asked of each hidden state. With fewer steps than the cache has, the walk begins in
        the middle of the sequence, and nothing arrives there from later steps.
    cache : NamedTuple
        Of a cell of `numpylstm.reference`, for a sequence.

    Yields
    ------
    StepBack
    """
    cell = cell_of(cache)
    backward = cell.function(reference, "step_backward")
    dstate = [np.zeros_like(dhs[0]) for _ in cell.states]
    for t in reversed(range(len(dhs))):
        step = step_cache(cache, t)
        dstate[0] = dhs[t] + dstate[0]
        total = list(dstate)
        if cell.show is not None:  # the memory was used by step t+1 and, within the step, by h
            show, memory = getattr(step, cell.show), getattr(step, cell.states[-1])
            total[-1] = dstate[-1] + dstate[0] * show * (1 - np.tanh(memory) ** 2)
        dx, *rest = backward(*dstate, step)
        dstate = rest[: len(cell.states)]
        yield StepBack(t, tuple(total), dx, tuple(rest[len(cell.states) :]))


def step_jacobian(step: Cache) -> Array:
    """The Jacobian of one step's state with respect to the state before it.

    Its rows are backward passes: one for each unit of the state, with a gradient of 1 in it.

    Parameters
    ----------
    step : NamedTuple
        The cache of one step.

    Returns
    -------
    J : (B, S, S)
        ``J[b, j, k]`` is d state_t[j] / d state_{t-1}[k]. The state is h, S = H, for the vanilla
        cell and the GRU, and h followed by c, S = 2H, for the LSTM.
    """
    cell = cell_of(step)
    backward = cell.function(reference, "step_backward")
    fields = len(cell.states)
    B, H = step.h.shape
    S = fields * H
    J = np.empty((B, S, S), step.h.dtype)
    for row in range(B):
        copies = _replace_values(step, lambda v: np.repeat(v[row : row + 1], S, axis=0))  # noqa: B023
        _, *rest = backward(*np.hsplit(np.eye(S), fields), copies)
        J[row] = np.hstack(rest[:fields])
    return J


class WindowPass(NamedTuple):
    """A window that went forward through a language model in the textbook, in float64.

    ``dhs`` is the gradient of the window's loss with respect to the top hidden states by way of
    the decoder alone: ``dhs[t]`` comes from the loss at step t and from no other.
    """

    caches: list[Cache]  # one for each layer, from the input up
    dhs: Array  # (T, B, H)
    loss: float  # nats, reduced as the model does


def forward_pass(
    model: LanguageModel, x: Array, y: Array, state: State | None = None
) -> WindowPass:
    """Run a window through the textbook with the weights of a model.

    Nothing is dropped, no random number is drawn, and the model is not touched. All is computed in
    float64, whatever the dtype of the model.

    Parameters
    ----------
    model : LanguageModel
    x, y : (T, B) integers in [0, V)
    state : LSTMState or RNNState, optional
        The state before the window; by default zeros.

    Returns
    -------
    WindowPass
    """
    where = "diagnostics"
    check_language_model(where, model)
    check_ids(where, "x", x, model.vocab_size, ("T", "B"), "time comes first")
    check_ids(where, "y", y, model.vocab_size, x.shape, "y has the shape of x")
    state = model.zero_state(x.shape[1]) if state is None else state
    model.encoder.recurrent.check_state(where, "state", state, x.shape[1])
    arrays = {path: array.astype(np.float64) for path, array in model.state_dict().items()}
    window = Window(x, y, tuple(part.astype(np.float64) for part in state))
    passed = language_model_forward(arrays, window, reference, model.config)
    dlogits = reference.sequence_cross_entropy_backward(passed.criterion)
    dhs, _, _ = reference.linear_backward(dlogits, passed.decoder)
    return WindowPass(passed.cells, dhs, float(passed.loss))
