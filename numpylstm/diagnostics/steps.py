"""Backpropagation through time, one step at a time, for whoever wants to look in between.

`numpylstm.reference` adds up what each step contributes; here each step is handed out before it is
added. The mathematics stays in the reference: every step is one call of `rnn_step_backward` or
`lstm_step_backward`.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numpylstm import arguments, reference
from numpylstm.checks import check_array, check_ids
from numpylstm.layers import RNN
from numpylstm.models import LanguageModel, State

Array = NDArray[Any]
Cache = reference.RNNCache | reference.LSTMCache


class StepBack(NamedTuple):
    """What backpropagation knows when it has passed step t.

    ``dh`` and ``dc`` are total derivatives: through everything that used h_t and c_t. The weights'
    gradients are the part of step t alone.
    """

    t: int
    dh: Array  # (B, H)
    dc: Array | None  # (B, H); None for the vanilla cell
    dx: Array  # (B, D)
    dWx: Array
    dWh: Array
    db: Array


def step_cache(cache: Cache, t: int) -> Cache:
    """Step t of the cache of a sequence: views, (B, .)."""
    return _replace_values(cache, lambda values: values[t])


def _replace_values(cache: Cache, change: Callable[[Array], Array]) -> Cache:
    """The cache with all its values changed, and its weights as they are."""
    names = [name for name in cache._fields if name not in ("Wx", "Wh", "activation")]
    changed: dict[str, Any] = {name: change(getattr(cache, name)) for name in names}
    return cache._replace(**changed)


def check_cache(where: str, cache: Any) -> None:
    """Raise a TypeError unless this is the cache of a sequence from the textbook."""
    if not isinstance(cache, Cache) or np.ndim(cache.h) != 3:
        raise TypeError(
            f"{where}: cache must be that of a sequence from numpylstm.reference, got "
            f"{type(cache).__module__}.{type(cache).__name__}"
        )
    arguments.recurrent_cache(where, cache)


def steps_back(dhs: Array, cache: Cache) -> Iterator[StepBack]:
    """Walk back through a sequence: from step ``len(dhs) - 1`` to step 0.

    Parameters
    ----------
    dhs : (t + 1, B, H)
        What is asked of each hidden state. With fewer steps than the cache has, the walk begins in
        the middle of the sequence, and nothing arrives there from later steps.
    cache : RNNCache or LSTMCache
        Of `numpylstm.reference`, for a sequence.

    Yields
    ------
    StepBack
    """
    dh_next = np.zeros_like(dhs[0])
    dc_next = np.zeros_like(dhs[0])
    for t in reversed(range(len(dhs))):
        step = step_cache(cache, t)
        dh = dhs[t] + dh_next
        if isinstance(step, reference.RNNCache):
            dx, dh_next, dWx, dWh, db = reference.rnn_step_backward(dh, step)
            yield StepBack(t, dh, None, dx, dWx, dWh, db)
        else:
            # c_t was used by step t+1 and by h_t; the step adds the second part within itself
            dc = dc_next + dh * step.o * (1 - step.tanh_c * step.tanh_c)
            dx, dh_next, dc_next, dWx, dWh, db = reference.lstm_step_backward(dh, dc_next, step)
            yield StepBack(t, dh, dc, dx, dWx, dWh, db)


def step_jacobian(step: Cache) -> Array:
    """The Jacobian of one step's state with respect to the state before it.

    Its rows are backward passes: one for each unit of the state, with a gradient of 1 in it.

    Parameters
    ----------
    step : RNNCache or LSTMCache
        Of one step.

    Returns
    -------
    J : (B, S, S)
        ``J[b, j, k]`` is d state_t[j] / d state_{t-1}[k]. The state is h, S = H, for the vanilla
        cell, and h followed by c, S = 2H, for the LSTM.
    """
    B, H = step.h.shape
    S = H if isinstance(step, reference.RNNCache) else 2 * H
    J = np.empty((B, S, S), step.h.dtype)
    for row in range(B):
        copies = _replace_values(step, lambda v: np.repeat(v[row : row + 1], S, axis=0))  # noqa: B023
        if isinstance(copies, reference.RNNCache):
            _, J[row], *_ = reference.rnn_step_backward(np.eye(H), copies)
        else:
            dh, dc = np.hsplit(np.eye(S), 2)
            _, dh_prev, dc_prev, *_ = reference.lstm_step_backward(dh, dc, copies)
            J[row] = np.concatenate([dh_prev, dc_prev], axis=1)
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
    check_ids(where, "x", x, model.vocab_size, ("T", "B"), "time comes first")
    check_ids(where, "y", y, model.vocab_size, x.shape, "y has the shape of x")
    stack = model.encoder.recurrent
    state = model.zero_state(x.shape[1]) if state is None else state
    if not isinstance(state, stack.State):
        raise TypeError(
            f"{where}: state must be {stack.State.__name__}, got {type(state).__name__}; "
            "model.zero_state(batch_size) makes one"
        )
    for field, part in zip(state._fields, state, strict=True):
        shape = (len(stack.layers), x.shape[1], stack.hidden_size)
        check_array(where, f"state.{field}", part, shape, stack.dtype, "(L, B, H); B is x's")

    arrays = {path: array.astype(np.float64) for path, array in model.state_dict().items()}
    hs, _ = reference.embedding_forward(x, arrays["embedding.W"])
    caches: list[Cache] = []
    for layer in range(len(stack.layers)):
        Wx, Wh, b = (arrays[f"{stack.cell}.{layer}.{key}"] for key in ("Wx", "Wh", "b"))
        initial = [part[layer].astype(np.float64) for part in state]
        if isinstance(stack, RNN):
            hs, _, cache = reference.rnn_forward(hs, initial[0], Wx, Wh, b, stack.activation)
        else:
            hs, _, _, cache = reference.lstm_forward(hs, initial[0], initial[1], Wx, Wh, b)
        caches.append(cache)
    W = arrays["embedding.W"].T if model.decoder.tied else arrays["decoder.W"]
    logits, decoder = reference.linear_forward(hs, W, arrays["decoder.b"])
    loss, criterion = reference.sequence_cross_entropy_forward(
        logits, y, None, **model.criterion.averaging
    )
    dlogits = reference.sequence_cross_entropy_backward(criterion)
    dhs, _, _ = reference.linear_backward(dlogits, decoder)
    return WindowPass(caches, dhs, float(loss))
