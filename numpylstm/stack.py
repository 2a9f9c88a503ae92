"""Stacks of recurrent layers, in one or two directions, as pure functions.

As in `numpylstm.network`, everything goes by name: `arrays`, `masks`, `cache` and `gradients` are
dicts. A prefix such as ``lstm.`` stands before the number of a layer in all names.
"""

from typing import Any

import numpy as np

from numpylstm.cells import Cell, ChosenCell
from numpylstm.checks import Array
from numpylstm.masks import Arrays, Cache, drop_backward, drop_forward

Gradients = dict[str, Any]


def zero_state(cell: Cell, num_layers: int, B: int, H: int, dtype: Any) -> Any:
    """Return the initial state (L, B, H): zeros, or the `initial_values` of the cell's record."""
    arrays = {}
    for name in cell.states:
        value = cell.initial_values.get(name, 0)
        arrays[name] = np.full((num_layers, B, H), value, dtype)
    return cell.State(**arrays)


def stack_forward(
    functions: Any,
    chosen: ChosenCell,
    arrays: Arrays,
    prefix: str,
    x: Array,
    state: Any,
    masks: Arrays,
    cache: Cache,
    lengths: Array | None = None,
) -> tuple[Array, Any]:
    """Run layers of one cell, each on the hidden states of the layer below.

    `prefix` stands before the number of the layer in all names, such as ``lstm.`` in ``lstm.0.Wx``.
    The caches are entered into `cache`. Returns hs (T, B, H) and the state after the last step.
    """
    cell = chosen.cell
    cell_forward = cell.function(functions, "forward")
    hs = x
    after: dict[str, list[Array]] = {}  # the last states, of all layers
    for k in range(len(state[0])):
        layer = f"{prefix}{k}"
        inputs = {"x": hs}
        for name in chosen.parameters:
            inputs[name] = arrays[f"{layer}.{name}"]
        for name, array in inputs.items():
            if f"{layer}.{name}" in masks:
                inputs[name] = drop_forward(functions, f"{layer}.{name}", array, masks, cache)
        if f"{layer}.h" in masks:
            inputs["h_mask"] = masks[f"{layer}.h"]
        for name, initial in zip(cell.states, state, strict=True):
            inputs[f"{name}0"] = initial[k]
        results = cell_forward(**inputs, **chosen.arguments, lengths=lengths)
        hs = results[0]  # then one array for each field of the state, then the cache
        for name, final in zip(cell.states, results[1:-1], strict=True):
            after.setdefault(name, []).append(final)
        cache[layer] = results[-1]
    return hs, cell.State(*map(np.array, after.values()))  # (L, B, H)


def output_of_state(state: Any) -> Array:
    """Return the last hs (1, B, H) of `stack_forward` from the state after it: h of the top layer.

    It is the output of a sequence to which no step was added.
    """
    return state[0][-1][None]


def stack_backward(
    functions: Any,
    chosen: ChosenCell,
    prefix: str,
    num_layers: int,
    dhs: Array,
    dstate: Any,
    cache: Cache,
    gradients: Gradients,
) -> tuple[Array, Any]:
    """Go back through `stack_forward`, from the top layer down.

    The gradients of the parameters are entered into `gradients`, by path. Returns dx (T, B, D) and
    the gradient of the state before the first step.
    """
    cell = chosen.cell
    cell_backward = cell.function(functions, "backward")
    if dstate is None:
        zeros = np.zeros((num_layers, *dhs.shape[1:]), dhs.dtype)
        dstate = [zeros] * len(cell.states)
    dbefore: dict[str, list[Array]] = {}  # gradients of the first states, of all layers
    for k in reversed(range(num_layers)):
        layer = f"{prefix}{k}"
        dafter = []
        for part in dstate:
            dafter.append(part[k])
        results = cell_backward(dhs, *dafter, cache.pop(layer))
        of_layer = dict(zip(cell.gradients, results, strict=True))
        for name in ("x", *chosen.parameters):
            path = f"{layer}.{name}"
            if path in cache:
                of_layer[name] = drop_backward(functions, path, of_layer[name], cache)
        dhs = of_layer["x"]
        for name in chosen.parameters:
            gradients[f"{layer}.{name}"] = of_layer[name]
        for name in cell.states:
            dbefore.setdefault(name, []).insert(0, of_layer[f"{name}0"])
    return dhs, cell.State(*map(np.array, dbefore.values()))  # (L, B, H)


def bidirectional_forward(
    functions: Any,
    chosen: ChosenCell,
    arrays: Arrays,
    x: Array,
    state: Any,
    masks: Arrays,
    cache: Cache,
    lengths: Array | None = None,
) -> tuple[Array, tuple[Any, Any]]:
    """Run a stack from the start of each sequence, and one from its end; join their hs."""
    first, second = state
    ahead, first = stack_forward(
        functions, chosen, arrays, "forward.", x, first, masks, cache, lengths
    )
    x = reverse(x, lengths)
    back, second = stack_forward(
        functions, chosen, arrays, "backward.", x, second, masks, cache, lengths
    )
    cache["lengths"] = lengths
    hs = np.concatenate([ahead, reverse(back, lengths)], axis=-1)  # (T, B, 2H)
    return hs, (first, second)


def bidirectional_backward(
    functions: Any,
    chosen: ChosenCell,
    num_layers: int,
    dhs: Array,
    dstate: Any,
    cache: Cache,
    gradients: Gradients,
) -> tuple[Array, tuple[Any, Any]]:
    """Go back through `bidirectional_forward`."""
    lengths = cache.pop("lengths")
    dfirst, dsecond = (None, None) if dstate is None else dstate
    dahead, dback = np.split(dhs, 2, axis=-1)
    dx, dfirst = stack_backward(
        functions, chosen, "forward.", num_layers, dahead, dfirst, cache, gradients
    )
    dback = reverse(dback, lengths)
    dreversed, dsecond = stack_backward(
        functions, chosen, "backward.", num_layers, dback, dsecond, cache, gradients
    )
    return dx + reverse(dreversed, lengths), (dfirst, dsecond)


def reverse(x: Array, lengths: Array | None) -> Array:
    """Reverse each sequence of x (T, B, .) in time; what lies past its end stays in place."""
    if lengths is None:
        return x[::-1]
    t = np.arange(len(x))[:, None]
    ends = lengths.astype(np.int64)
    return x[np.where(t < ends, ends - 1 - t, t), np.arange(len(ends))]
