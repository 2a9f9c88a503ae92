"""Gradient flow: how far back the gradient of the last step's loss reaches, and where it is lost.

Three views of one window. The norms of dL_T/dh_t and dL_T/dc_t show how much of the gradient is
left after each step back. The singular values of the step Jacobians show how much one step
stretches or shrinks a gradient. The share of saturated units shows why: where a gate is shut, or a
unit is on the flat part of its curve, hardly any gradient passes.

Sources: Bengio, Simard and Frasconi (1994); Pascanu, Mikolov and Bengio (2013), section 2;
Karpathy, Johnson and Fei-Fei (2015), section 4.2, for the share of saturated gates.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from numpylstm.cells import State, examples
from numpylstm.checks import Array, check_finite, check_sizes
from numpylstm.laboratory.diagnostics import steps
from numpylstm.models import LanguageModel

SATURATED = 0.05
"""A sigmoid below this is shut, above 1 minus this open; its slope there is a fifth of the
steepest. The same points of the curve of tanh are -0.9 and 0.9."""

ENDS = {
    "sigmoid": (SATURATED, 1 - SATURATED),
    "tanh": (2 * SATURATED - 1, 1 - 2 * SATURATED),
    "relu": (np.nextafter(0, 1), np.inf),  # dead; it has no upper end
    "exp": (SATURATED, np.inf),  # as relu; its slope is its value
}
"""Flat parts of a curve: below the first number and above the second."""


class Saturation(NamedTuple):
    """Shares of one kind of unit at the ends of its curve, over the batch and all units."""

    low: Array  # (L, T)
    high: Array  # (L, T)


class Flow(NamedTuple):
    """Gradient of the loss of the last step, on its way back through a window.

    ``norms["h"][l, t]`` is the norm of dL_T/dh_t in layer l, over the batch and the units; an LSTM
    has ``norms["c"]`` too.
    """

    norms: Mapping[str, Array]  # field of the state -> (L, T)
    saturation: Mapping[str, Saturation]  # of i, f, g, o; of r, z, n; or of h
    caches: list[steps.Cache]  # one for each layer, for `step_jacobians` and `carousel`


def gradient_flow(model: LanguageModel, x: Array, y: Array, state: State | None = None) -> Flow:
    """Send the gradient of the last step's loss back through a window.

    Parameters
    ----------
    model : LanguageModel
        With any cell, number of layers and dtype. No dropout; computed in float64.
    x, y : (T, B) integers in [0, V)
    state : state of the cell, optional
        The state before the window; by default zeros.

    Returns
    -------
    Flow
        The norms are of total derivatives: through all layers and all steps from t to T.
        dL_T/dc_t includes the path through h_t.

    Examples
    --------
    >>> import numpy as np, numpylstm as nl
    >>> from numpylstm import diagnostics
    >>> model = nl.LanguageModel(11, 6, num_layers=2, rng=0)
    >>> ids = np.arange(18).reshape(6, 3) % 11
    >>> flow = diagnostics.gradient_flow(model, ids[:-1], ids[1:])
    >>> flow.norms["h"].shape, flow.norms["c"].shape, sorted(flow.saturation)
    ((2, 5), (2, 5), ['f', 'g', 'i', 'o'])
    """
    window = steps.forward_pass(model, x, y, state)
    caches = window.layers
    dhs = window.dhs
    dhs[:-1] = 0  # the loss of the last step and no other
    norms = {name: np.empty((len(caches), len(dhs))) for name in steps.cell_of(caches[0]).states}

    def enter(layer: int, step: steps.StepBack) -> None:
        for name, gradient in step.dstate.items():
            norms[name][layer, step.t] = np.linalg.norm(gradient)

    window.go_back(dhs, enter)
    return Flow(norms, _saturation(caches), caches)


def step_jacobians(cache: steps.Cache) -> Array:
    """Return the Jacobian of every step's state with respect to the state before it.

    Parameters
    ----------
    cache : cache of any cell
        Of `rnn_forward` or `lstm_forward`, say, in the textbook or on the fast path.

    Returns
    -------
    J : (T, B, S, S)
        ``J[t, b, j, k]`` is d state_t[b, j] / d state_{t-1}[b, k]. The state is h, S = H, for the
        vanilla cell and the GRU, and h followed by c, S = 2H, for the LSTM. The product of the
        Jacobians, latest first, is the Jacobian of the whole window. Of an sLSTM (h, c, n, m) it is
        the Jacobian at fixed m, as in `numpylstm.reference.slstm_step_backward`.
    """
    steps.check_cache("step_jacobians", cache)
    return np.stack([steps.step_jacobian(steps.step_cache(cache, t)) for t in range(len(cache.h))])


def singular_values(cache: steps.Cache) -> Array:
    """Return the singular values of the step Jacobians, (T, B, S), largest first.

    A step multiplies the norm of a gradient by a factor between the smallest and the largest. If
    the largest is below 1 at every step, the gradient vanishes (Pascanu et al. 2013). Decomposes an
    S x S matrix for each step and sequence.
    """
    jacobians = step_jacobians(cache)
    check_finite("singular_values", "every Jacobian of cache", jacobians)
    return np.linalg.svd(jacobians, compute_uv=False)


class CellFlow(NamedTuple):
    """Result of `compare_cells` for one cell."""

    flow: Flow
    singular_values: Array  # (T, B, S), of the bottom layer


def compare_cells(
    x: Array,
    y: Array,
    *,
    vocab_size: int,
    hidden_size: int,
) -> dict[str, CellFlow]:
    """Compare the gradient flow of all cells at initialisation.

    All read the same ids through the same embedding table, from a state of zeros. Parameters are
    U(-1/sqrt(H), 1/sqrt(H)).

    Parameters
    ----------
    x, y : (T, B) integers in [0, V)
    vocab_size, hidden_size : int
        V and H; the embedding has H columns.

    Returns
    -------
    dict of name -> CellFlow
        With the names of `numpylstm.cells.examples`: ``RNN sigmoid``, ``RNN tanh``,
        ``RNN relu``, ``LSTM, forget bias 0``, ...
    """
    check_sizes("compare_cells", vocab_size=vocab_size, hidden_size=hidden_size)
    scale = 1 / np.sqrt(hidden_size)
    results = {}
    for name, settings in examples().items():
        model = LanguageModel(
            vocab_size, hidden_size, init_scale=scale, dtype="float64", rng=0, **settings
        )
        flow = gradient_flow(model, x, y)
        results[name] = CellFlow(flow, singular_values(flow.caches[0]))
    return results


def _saturation(caches: list[steps.Cache]) -> dict[str, Saturation]:
    """Return the shares of each kind of unit with a curve."""
    options = steps.options_of(caches[0])
    shares = {}
    for unit in steps.cell_of(caches[0]).units:
        if unit.curve is not None:
            low, high = ENDS[options.get(unit.curve, unit.curve)]
            values = np.stack([getattr(cache, unit.name) for cache in caches])  # (L, T, B, H)
            shares[unit.name] = Saturation(
                (values < low).mean(axis=(2, 3)), (values > high).mean(axis=(2, 3))
            )
    return shares
