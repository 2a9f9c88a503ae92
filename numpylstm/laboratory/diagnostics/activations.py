"""Gates and cell states of a model as it reads a text, and how often a gate is shut."""

from collections import namedtuple
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from numpylstm.cells import CELLS
from numpylstm.checks import (
    Array,
    any_array,
    before_end,
    check_array,
    check_ids,
    check_kind,
    check_lengths,
    check_shape,
    real_array,
)
from numpylstm.models import Model
from numpylstm.stack import reverse, stack_forward


class GateSaturation(NamedTuple):
    """Shares of steps at which each unit of a gate is nearly shut and nearly open, (H,)."""

    shut: Array
    """Share of the steps with the gate below 0.1."""
    open: Array
    """Share of the steps with the gate above 0.9."""


def cell_activations(
    model: Model, x: Array, state: Any = None, lengths: ArrayLike | None = None
) -> Any:
    """Read a text and return the gates and states of every cell.

    There is no dropout, and a pending forward pass of the model is kept.

    Parameters
    ----------
    model : LanguageModel, or a classifier, tagger or regressor
    x : (T, B) integers in [0, V), or (T, B, D) vectors
        The text; ``ids[:, None]`` makes one stream of a sequence (T,).
    state : state of the cell, optional
        The state before the text; `zero_state` by default.
    lengths : (B,) integers in [0, T], optional
        Past the end of a sequence all units are 0.

    Returns
    -------
    list of NamedTuple, of a model with two directions a pair of lists
        One for each layer, from the input up, with an array (T, B, H) for each kind of unit. For an
        LSTM: the gates ``i`` (how much of the candidate is written), ``f`` (how much of the old
        cell is kept) and ``o`` (how much of it is shown), in (0, 1); the candidate ``g``, in
        (-1, 1); the cell ``c``, unbounded; and ``h = o * tanh(c)``. For a GRU ``r``, ``z``, ``n``
        and ``h``; for a vanilla RNN ``h``.

    Raises
    ------
    ValueError
        If x does not fit the model, or the state.

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
    check_kind(where, "model", model, Model)
    config = model.config
    arrays = model.arrays()
    functions = model.functions
    x = any_array(where, "x", x)
    shape = ("T", "B") if model.vocab_size is not None else ("T", "B", config.input_size)
    check_shape(where, "ids" if model.vocab_size is not None else "x", x, shape)
    T, B = x.shape[:2]
    ends = None
    if lengths is not None:
        ends = check_lengths(where, "lengths", any_array(where, "lengths", lengths), T, B)
        x = np.where(before_end(ends, T).reshape(T, B, *[1] * (x.ndim - 2)), x, 0).astype(x.dtype)
    if model.vocab_size is not None:
        ids = check_ids(where, "ids", x, model.vocab_size)
        x, _ = functions.embedding_forward(ids, arrays["embedding.W"])
    else:
        check_array(where, "x", x, x.shape, np.dtype(config.dtype))
    if not model.bidirectional:
        state = model.checked_state(where, state, B)
        return _units(functions, config, arrays, f"{config.cell}.", x, state, ends)
    first, second = model.zero_state(B) if state is None else state
    ahead = _units(functions, config, arrays, "forward.", x, first, ends)
    back = _units(functions, config, arrays, "backward.", reverse(x, ends), second, ends)
    return ahead, [type(layer)(*(reverse(unit, ends) for unit in layer)) for layer in back]


def _units(
    functions: Any, config: Any, arrays: Any, prefix: str, x: Array, state: Any, ends: Array | None
) -> list[Any]:
    """Return the units of each layer of a stack in the order in which it reads.

    What follows the end of a sequence changes nothing before it, so all of it is read.
    """
    cache: dict[str, Any] = {}
    stack_forward(functions, config.chosen_cell, arrays, prefix, x, state, {}, cache)
    names = [unit.name for unit in CELLS[config.cell].units]
    Activations: Any = namedtuple("Activations", names)  # type: ignore[misc]
    layers = []
    for k in range(config.num_layers):
        units = [getattr(cache[f"{prefix}{k}"], name) for name in names]
        if ends is not None:
            read = before_end(ends, len(x))[..., None]
            units = [np.where(read, unit, 0).astype(unit.dtype) for unit in units]
        layers.append(Activations(*units))
    return layers


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
