"""Gates and cell states of a model as it reads a text, and how often a gate is shut."""

from collections import namedtuple
from typing import Any, NamedTuple

from numpylstm import network
from numpylstm.cells import CELLS, State
from numpylstm.checks import Array, check_ids, check_shape, real_array
from numpylstm.models import LanguageModel
from numpylstm.sequence_models import SequenceClassifier


class GateSaturation(NamedTuple):
    """Shares of steps at which each unit of a gate is nearly shut and nearly open, (H,)."""

    shut: Array
    """Share of the steps with the gate below 0.1."""
    open: Array
    """Share of the steps with the gate above 0.9."""


def cell_activations(
    model: LanguageModel | SequenceClassifier, ids: Array, state: State | None = None
) -> list[Any]:
    """Read a text and return the gates and states of every cell.

    There is no dropout, and a pending forward pass of the model is kept.

    Parameters
    ----------
    model : LanguageModel or SequenceClassifier
    ids : (T, B) integers in [0, V)
        The text; ``ids[:, None]`` makes one stream of a sequence (T,).
    state : state of the cell, optional
        The state before the text; `zero_state` by default.

    Returns
    -------
    list of NamedTuple
        One for each layer, from the input up, with an array (T, B, H) for each kind of unit. For an
        LSTM: the gates ``i`` (how much of the candidate is written), ``f`` (how much of the old
        cell is kept) and ``o`` (how much of it is shown), in (0, 1); the candidate ``g``, in
        (-1, 1); the cell ``c``, unbounded; and ``h = o * tanh(c)``. For a GRU ``r``, ``z``, ``n``
        and ``h``; for a vanilla RNN ``h``.

    Raises
    ------
    ValueError
        If ids do not have shape (T, B) or are out of range, or the state does not fit.

    Examples
    --------
    >>> import numpy as np, numpylstm as nl
    >>> from numpylstm.laboratory.diagnostics import cell_activations
    >>> model = nl.LanguageModel(11, 6, num_layers=2, rng=0)
    >>> bottom, top = cell_activations(model, np.arange(15).reshape(5, 3) % 11)
    >>> top.c.shape, bool(np.allclose(top.h, top.o * np.tanh(top.c)))
    ((5, 3, 6), True)
    """
    where = "cell_activations"
    if model.vocab_size is None or model.bidirectional:
        raise ValueError(f"{where}: model must read ids, in one direction, got {model!r:.200}")
    config = model.config
    ids = check_ids(where, "ids", ids, model.vocab_size, ("T", "B"))
    state = model.checked_state(where, state, ids.shape[1])
    _, _, cache = network.forward(model.functions, config, model.arrays(), ids, state, masks={})
    layers = [cache[f"{config.cell}.{k}"] for k in range(config.num_layers)]
    names = [unit.name for unit in CELLS[config.cell].units]
    Activations: Any = namedtuple("Activations", names)  # type: ignore[misc]
    return [Activations(*(getattr(layer, name) for name in names)) for layer in layers]


def gate_saturation(gate: Array) -> GateSaturation:
    """Return how often each unit of a gate is below 0.1 (shut) and above 0.9 (open).

    A forget gate that is nearly always open belongs to a cell that remembers for long, one that is
    nearly always shut to a cell that sees the present step only. A saturated gate passes almost no
    gradient to its own weights, since ``f (1 - f)`` is small there.

    Parameters
    ----------
    gate : (T, B, H) real numbers
        For example ``cell_activations(model, ids)[0].f``.

    Returns
    -------
    GateSaturation
        ``(shut, open)``, each (H,), between 0 and 1.

    Raises
    ------
    ValueError
        If the gate does not have shape (T, B, H) or is empty.

    References
    ----------
    A. Karpathy, J. Johnson and L. Fei-Fei, "Visualizing and understanding recurrent networks",
    2015, arXiv:1506.02078, section 4.2.

    Examples
    --------
    >>> import numpy as np
    >>> from numpylstm.laboratory.diagnostics import gate_saturation
    >>> gate = np.array([[[0.05, 0.95]], [[0.5, 0.99]]])  # T = 2, B = 1, H = 2
    >>> shut, open = gate_saturation(gate)
    >>> shut.tolist(), open.tolist()
    ([0.5, 0.0], [0.0, 1.0])
    """
    gate = real_array("gate_saturation", "gate", gate)
    because = "cell_activations returns such gates"
    check_shape("gate_saturation", "gate", gate, ("T", "B", "H"), because)
    return GateSaturation((gate < 0.1).mean(axis=(0, 1)), (gate > 0.9).mean(axis=(0, 1)))
