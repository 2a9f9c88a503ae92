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

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numpylstm.cells import State
from numpylstm.checks import check_plain, check_whole, real_array
from numpylstm.laboratory.diagnostics.steps import (
    Cache,
    cell_of,
    check_cache,
    forward_pass,
    layers_back,
    options_of,
)
from numpylstm.models import LanguageModel

Array = NDArray[Any]


@dataclass(frozen=True)
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

    def by_lag(self, name: str) -> Array:
        """Return the part of each lag, summed over the steps of the loss: (T, ...)."""
        return self.parts[name].sum(axis=0)

    def norms(self, name: str) -> Array:
        """Return the Euclidean norm of every part, (T, T).

        Norms do not add up: parts may cancel, so the norm of the total is at most their sum.
        """
        return _norm(self.parts[name], 2)

    def norms_by_lag(self, name: str) -> Array:
        """Return the Euclidean norm of `by_lag`, (T,)."""
        return _norm(self.by_lag(name), 1)


def lag_table(dhs: Array, cache: Cache) -> LagTable:
    """Split the gradient of one layer by the step of the loss and by the lag.

    Parameters
    ----------
    dhs : (T, B, H)
        The gradient of the loss with respect to each hidden state, without the recurrent paths, as
        passed to `reference.lstm_backward`. ``dhs[t]`` is the loss "at t".
    cache : RNNCache, LSTMCache or GRUCache
        Of `rnn_forward`, `lstm_forward` or `gru_forward`, in the textbook or on the fast path.

    Returns
    -------
    LagTable
        Of ``Wx``, ``Wh`` and ``b``. It holds T * T arrays of the size of each weight and takes
        T (T + 1) / 2 backward steps, so it is for small sizes; `lag_norms` keeps norms only.

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
    _check_dhs("lag_table", dhs, cache)
    return LagTable(_tables(dhs, [cache], _names(cache), np.asarray))


def lag_norms(dhs: Array, cache: Cache) -> dict[str, Array]:
    """Compute the Euclidean norm of each part of `lag_table`: name -> (T, T)."""
    _check_dhs("lag_norms", dhs, cache)
    return _tables(dhs, [cache], _names(cache), np.linalg.norm)


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
    model : LanguageModel
        With any cell, number of layers and dtype. No dropout; computed in float64.
    x, y : (T, B) integers in [0, V)
    state : state of the cell, optional
        The state before the window; by default zeros.

    Returns
    -------
    LagTable
        By parameter path: ``lstm.0.Wx``, ...
    """
    caches, dhs = forward_pass(model, x, y, state)
    return LagTable(_tables(dhs, caches, [*model.encoder.recurrent.all_parameters()], np.asarray))


def model_lag_norms(
    model: LanguageModel, x: Array, y: Array, state: State | None = None
) -> dict[str, Array]:
    """Compute the Euclidean norm of each part of `model_lag_table`: path -> (T, T)."""
    caches, dhs = forward_pass(model, x, y, state)
    return _tables(dhs, caches, [*model.encoder.recurrent.all_parameters()], np.linalg.norm)


def _names(cache: Cache) -> list[str]:
    names = cell_of(cache).parameters(options_of(cache))
    return [name for name in names if getattr(cache, name, ...) is not None]  # `bn` may be None


def _tables(
    dhs: Array, caches: list[Cache], names: list[str], measure: Callable[[Array], Any]
) -> dict[str, Array]:
    """Measure each part [t, k] of each parameter; `names` lists all layers, input first."""
    T = len(dhs)
    tables: dict[str, Array] = {}
    sizes = [len(_names(cache)) for cache in caches]
    for t in range(T):
        upstream = np.zeros_like(dhs[: t + 1])
        upstream[t] = dhs[t]  # the loss at t and no other
        for layer, step in layers_back(upstream, caches):
            own = names[sum(sizes[:layer]) :][: sizes[layer]]
            for name, part in zip(own, step.dparameters, strict=False):
                measured = measure(part)
                if name not in tables:
                    tables[name] = np.zeros((T, T, *np.shape(measured)))
                tables[name][t, t - step.t] = measured
    return {name: tables[name] for name in names}


def _norm(array: Array, kept: int) -> Array:
    """Euclidean norm over all axes but the first ones."""
    return np.linalg.norm(array.reshape(*array.shape[:kept], -1), axis=-1)


def _check_dhs(where: str, dhs: Array, cache: Cache) -> None:
    check_cache(where, cache)
    check_plain(where, "dhs", dhs)
    real_array(where, "dhs", dhs)
    if dhs.shape != cache.h.shape:
        raise ValueError(
            f"{where}: dhs must have shape {cache.h.shape}, got {dhs.shape}; it is the "
            "gradient of every h of the cache"
        )
