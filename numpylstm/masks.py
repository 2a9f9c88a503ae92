"""Dropout masks by name: drawn for a window, and applied on the way forward and back.

A mask has the shape of what it drops from. It is 0 where an entry is dropped and 1 / (1 - p)
elsewhere, so that the mean is kept. `draw_masks` lists what a model drops; the name of a mask says
from where:

``words``       rows of the embedding table
``input``       the input of the recurrent layers
``lstm.1.x``    the input of a recurrent layer
``lstm.0.Wh``   entries of a parameter, by its path
``lstm.0.h``    the state of a layer, (B, H), where it enters the product with Wh at every step
``output``      the output of the recurrent layers
``decoder.x``   the input of the decoder, if it is a projection of the output
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np

from numpylstm.checks import Array
from numpylstm.config import ModelConfig
from numpylstm.parameters import DIRECTIONS

Arrays = Mapping[str, Array]
Cache = dict[str, Any]


def drop_forward(functions: Any, name: str, x: Array, masks: Arrays, cache: Cache) -> Array:
    """Return x with the entries dropped that the mask of this name drops, if there is one."""
    if name not in masks:
        return x
    y, cache[name] = functions.dropout_forward(x, masks[name])
    return y


def drop_backward(functions: Any, name: str, dy: Array, cache: Cache) -> Array:
    """Return the gradient of x in `drop_forward`."""
    if name not in cache:
        return dy
    return functions.dropout_backward(dy, cache.pop(name))


def stack_mask_names(prefix: str, num_layers: int, parameters: Iterable[str]) -> set[str]:
    """Return the names that the masks of a stack may have: ``lstm.1.x``, ``lstm.0.Wh``, ..."""
    of_layer = {"x", *parameters}
    if "Wh" in of_layer:
        of_layer.add("h")
    names = set()
    for k in range(num_layers):
        for name in of_layer:
            names.add(f"{prefix}{k}.{name}")
    return names


def check_masks(where: str, masks: Any, known: Collection[str]) -> None:
    """Raise a ValueError for a mask with an unknown name, which would drop nothing."""
    if not isinstance(masks, Mapping):
        raise TypeError(
            f"{where}: masks must be a dict of name -> array, got {type(masks).__name__}; "
            "draw_masks makes one"
        )
    for name in masks:
        if name not in known:
            raise ValueError(
                f"{where}: masks must have names such as {', '.join(sorted(known)[:3])}, got "
                f"{name!r}; draw_masks makes them"
            )


def draw_masks(
    functions: Any,
    config: ModelConfig,
    arrays: Arrays,
    T: int,
    B: int,
    rng: np.random.Generator,
    every_step: bool = True,
) -> dict[str, Array]:
    """Draw the dropout masks of a window, as `forward` takes them."""
    p_input = config.dropout if config.dropout_input is None else config.dropout_input
    p_output = config.dropout if config.dropout_output is None else config.dropout_output
    stacks = DIRECTIONS if "backward.0.Wx" in arrays else (config.cell,)
    width = config.hidden_size * len(stacks)
    dtype = arrays["decoder.b"].dtype
    axis = 0 if config.dropout_locked else None
    masks: dict[str, Array] = {}
    if config.dropout_words > 0:  # a whole row of the table, (V, D)
        shape = arrays["embedding.W"].shape
        masks["words"] = draw_mask(functions, config.dropout_words, shape, dtype, rng, 1)
    if p_input > 0:
        shape = T, B, len(arrays[f"{stacks[0]}.0.Wx"])
        masks["input"] = draw_mask(functions, p_input, shape, dtype, rng, axis)
    for stack in stacks:
        masks |= draw_stack_masks(functions, config, arrays, f"{stack}.", T, B, rng)
    if p_output > 0:
        shape = T if every_step else 1, B, width
        masks["output"] = draw_mask(functions, p_output, shape, dtype, rng, axis)
        if "projection.W" in arrays:
            shape = *shape[:2], config.input_size
            masks["decoder.x"] = draw_mask(functions, p_output, shape, dtype, rng, axis)
    return masks


def draw_stack_masks(
    functions: Any,
    settings: Any,
    arrays: Arrays,
    prefix: str,
    T: int,
    B: int,
    rng: np.random.Generator,
) -> dict[str, Array]:
    """Draw the masks of a stack with these settings, a `ModelConfig` or a `RecurrentStack`."""
    layers = range(settings.num_layers)
    masks: dict[str, Array] = {}
    if settings.dropout > 0:
        shape = T, B, settings.hidden_size
        axis = 0 if settings.dropout_locked else None
        for k in layers[1:]:
            dtype = arrays[f"{prefix}{k}.Wx"].dtype
            name = f"{prefix}{k}.x"
            masks[name] = draw_mask(functions, settings.dropout, shape, dtype, rng, axis)
    if settings.dropout_weights > 0:
        for k in layers:
            name = f"{prefix}{k}.Wh"
            Wh = arrays[name]
            masks[name] = draw_mask(functions, settings.dropout_weights, Wh.shape, Wh.dtype, rng)
    if settings.dropout_state > 0:
        for k in layers:
            dtype = arrays[f"{prefix}{k}.Wh"].dtype
            name = f"{prefix}{k}.h"
            shape_of_h = B, settings.hidden_size
            masks[name] = draw_mask(functions, settings.dropout_state, shape_of_h, dtype, rng)
    return masks


def draw_mask(
    functions: Any,
    p: float,
    shape: tuple[int, ...],
    dtype: Any,
    rng: np.random.Generator,
    same_along: int | None = None,
) -> Array:
    """Draw a dropout mask: 0 with probability p, else 1 / (1 - p).

    With `same_along` it is constant along that axis, and read-only.
    """
    drawn = list(shape)
    if same_along is not None:
        drawn[same_along] = 1
    mask = functions.dropout_mask(rng.random(drawn, dtype=np.float32), p, np.dtype(dtype))
    return mask if same_along is None else np.broadcast_to(mask, shape)
