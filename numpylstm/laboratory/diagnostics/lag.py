"""Gradient by lag: how much of a gradient comes from how long ago.

A recurrent layer uses the same weights at every step, so the gradient of the loss at step t is a
sum over the steps s = t, t-1, ..., 0 at which they were used, and the gradient of a window is a sum
over a triangle::

    dL/dW = sum over t, sum over k <= t of  part[t, k]      loss at t, use at t - k

`lag_table` returns the whole triangle. Truncated backpropagation through time, cut after tau steps,
keeps the columns k <= tau and loses the others: exactly ``table.beyond(tau)``.

Sources: Williams and Peng (1990) for truncated backpropagation through time; Pascanu, Mikolov and
Bengio (2013), equation 4, for the sum over steps.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from numpylstm.cells import CELLS, State
from numpylstm.checks import Array, check_shape, check_whole, real_array
from numpylstm.laboratory.diagnostics import steps
from numpylstm.models import LanguageModel

Measure = Callable[[Array], Any]


@dataclass(frozen=True, repr=False)
class LagTable:
    """Gradient of every weight of a window, split by the step of the loss and by the lag.

    Attributes
    ----------
    parts : dict of name -> (T, T, ...) array
        ``parts[name][t, k]`` is the gradient of the loss at step t with respect to the use of the
        weight at step t - k. It is zero for k > t: there is no step before the first.
    """

    parts: Mapping[str, Array]

    def total(self, name: str) -> Array:
        """Return the gradient of backpropagation through time: the sum over the whole table."""
        return self.parts[name].sum(axis=(0, 1))

    def within(self, tau: int) -> dict[str, Array]:
        """Return the part that truncated backpropagation over tau steps keeps: lags up to tau."""
        check_whole("LagTable.within", "tau", tau, at_least=0)
        return {name: part[:, : tau + 1].sum(axis=(0, 1)) for name, part in self.parts.items()}

    def beyond(self, tau: int) -> dict[str, Array]:
        """Return the part that truncated backpropagation loses: lags greater than tau."""
        check_whole("LagTable.beyond", "tau", tau, at_least=0)
        return {name: part[:, tau + 1 :].sum(axis=(0, 1)) for name, part in self.parts.items()}

    def norms(self, name: str) -> Array:
        """Return the Euclidean norm of every part, (T, T).

        Norms do not add up: parts may cancel, so the norm of the total is at most their sum.
        """
        part = self.parts[name]
        return np.linalg.norm(part.reshape(*part.shape[:2], -1), axis=-1)

    def norms_by_lag(self, name: str) -> Array:
        """Return the norm of the part of each lag, summed over the steps of the loss: (T,)."""
        part = self.parts[name].sum(axis=0)
        return np.linalg.norm(part.reshape(len(part), -1), axis=-1)


def lag_table(dhs: Array, cache: steps.Cache) -> LagTable:
    """Split the gradient of one layer by the step of the loss and by the lag.

    Parameters
    ----------
    dhs : (T, B, H)
        The gradient of the loss with respect to each hidden state, without the recurrent paths, as
        passed to `reference.lstm_backward`. ``dhs[t]`` is the loss "at t".
    cache : cache of any cell
        Of `rnn_forward` or `lstm_forward`, say, in the textbook or on the fast path.

    Returns
    -------
    LagTable
        Of ``Wx``, ``Wh`` and ``b``. It holds T * T arrays of the size of each weight and takes
        T (T + 1) / 2 backward steps, so it is for small sizes; `model_lag_norms` keeps norms only.

    Examples
    --------
    >>> import numpy as np
    >>> from numpylstm import diagnostics, reference
    >>> rng = np.random.default_rng(0)
    >>> T, B, D, H = 5, 3, 4, 6
    >>> x, dhs, h0 = rng.normal(size=(T, B, D)), rng.normal(size=(T, B, H)), np.zeros((B, H))
    >>> Wx, Wh, b = rng.normal(size=(D, H)), rng.normal(size=(H, H)), rng.normal(size=H)
    >>> _, _, cache = reference.rnn_forward(x, h0, Wx, Wh, b)
    >>> table = diagnostics.lag_table(dhs, cache)
    >>> _, _, dWx, dWh, db = reference.rnn_backward(dhs, np.zeros((B, H)), cache)
    >>> np.allclose(table.total("Wh"), dWh, rtol=0, atol=1e-12)
    True
    """
    steps.check_cache("lag_table", cache)
    because = "it is the gradient of every h of the cache"
    check_shape("lag_table", "dhs", real_array("lag_table", "dhs", dhs), cache.h.shape, because)
    names = steps.cell_of(cache).parameters(steps.options_of(cache))

    def go_back(dhs: Array, watch: Callable[[int, steps.StepBack], object]) -> None:
        for step in steps.steps_back(dhs, cache):
            watch(0, step)

    return LagTable(_tables(dhs, go_back, [names], np.asarray))


def model_lag_table(
    model: LanguageModel, x: Array, y: Array, state: State | None = None
) -> LagTable:
    """Split the gradient of every recurrent weight of a language model for one window.

    In a stack the gradient of the loss at step t reaches a lower layer through the layers above it,
    and can go back in time in any of them. The part [t, k] of a weight is the sum over *all* paths
    from the loss at t to the use of that weight at step t - k. So the tables add up to the gradient
    of the model, and ``beyond(tau)`` is the part lost if the states of all layers are cut tau steps
    before each loss.

    The decoder is used in the step of the loss only: its gradient has lag 0 and no table.

    Parameters
    ----------
    model, x, y, state
        As in `gradient_flow`.

    Returns
    -------
    LagTable
        By parameter path: ``lstm.0.Wx``, ...
    """
    return LagTable(_of_model(model, x, y, state, np.asarray))


def model_lag_norms(
    model: LanguageModel, x: Array, y: Array, state: State | None = None
) -> dict[str, Array]:
    """Compute the Euclidean norm of each part of `model_lag_table`: path -> (T, T)."""
    return _of_model(model, x, y, state, np.linalg.norm)


def _of_model(
    model: LanguageModel, x: Array, y: Array, state: State | None, measure: Measure
) -> dict[str, Array]:
    window = steps.forward_pass(model, x, y, state)
    config = model.config
    keys = CELLS[config.cell].parameters(config.options)
    names = [[f"{config.cell}.{k}.{key}" for key in keys] for k in range(config.num_layers)]
    return _tables(window.dhs, window.go_back, names, measure)


def _tables(
    dhs: Array,
    go_back: Callable[[Array, Callable[[int, steps.StepBack], object]], None],
    names: Sequence[Sequence[str]],
    measure: Measure,
) -> dict[str, Array]:
    """Measure each part [t, k] of each parameter; `names` has those of each layer.

    `go_back` takes dhs and what to call with each layer and step, as `steps.WindowPass.go_back`.
    """
    T = len(dhs)
    tables: dict[str, Array] = {}

    def enter(t: int, layer: int, step: steps.StepBack) -> None:
        for name, part in zip(names[layer], step.dparameters, strict=False):
            if part is None:  # of a GRU without bn
                continue
            measured = measure(part)
            if name not in tables:
                tables[name] = np.zeros((T, T, *np.shape(measured)))
            tables[name][t, t - step.t] = measured

    for t in range(T):
        upstream = np.zeros_like(dhs[: t + 1])
        upstream[t] = dhs[t]  # the loss at t and no other
        go_back(upstream, partial(enter, t))
    return tables
