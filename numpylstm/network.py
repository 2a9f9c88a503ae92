"""The pass of a whole network, forward and backward, as pure functions on one page.

A network is an embedding (if its inputs are ids), recurrent layers in one or two directions
(`numpylstm.stack`), a linear decoder, and dropout between them (`numpylstm.masks`). The functions
here call those of `numpylstm.functional`, or of `numpylstm.reference`, with which all arrays may be
complex. They draw no random numbers, and change no argument but the cache on the way back. They
leave the checks to their callers: the models, the model check, the diagnostics and the museum.

Everything goes by name, in four dicts:

arrays
    The parameters by path, as in a state dict: ``embedding.W``, ``lstm.0.Wx``, ..., ``decoder.W``,
    ``decoder.b``. The paths say which network it is. Without ``embedding.W`` the inputs are
    vectors; without ``decoder.W`` the decoder is the transposed table, behind ``projection.W`` if
    their sizes differ; with ``forward.0.Wx`` and ``backward.0.Wx`` there are two directions.
masks
    What is dropped, as `numpylstm.masks` lists it: ``words``, ``input`` and ``output`` of the
    recurrent layers, ``lstm.1.x`` and ``decoder.x`` of the input of a layer, and ``lstm.0.Wh`` of a
    parameter, ``lstm.0.h`` of a state. Without a mask nothing is dropped.
cache
    The caches of all calls: ``embedding``, ``lstm.0``, ..., ``projection``, ``decoder``, and those
    of the dropout by the names of the masks. The backward pass takes each one out, which frees its
    memory.
gradients
    By path, as the arrays; that of a large embedding table as `Rows`.
"""

from typing import Any, NamedTuple

import numpy as np

from numpylstm.checks import Array, check_finite
from numpylstm.config import ModelConfig
from numpylstm.masks import Arrays, Cache, drop_backward, drop_forward
from numpylstm.parameters import Rows
from numpylstm.stack import (
    Gradients,
    bidirectional_backward,
    bidirectional_forward,
    stack_backward,
    stack_forward,
)


def forward(
    functions: Any,
    config: ModelConfig,
    arrays: Arrays,
    x: Array,
    state: Any,
    masks: Arrays,
    lengths: Array | None = None,
    every_step: bool = True,
) -> tuple[Array, Any, Cache]:
    """Compute the outputs of a network.

    Parameters
    ----------
    functions : module
        `numpylstm.functional` or `numpylstm.reference`, or an object with the same functions.
    config : ModelConfig
    arrays, masks : dict of name -> array
    x : (T, B) ids or (T, B, D) vectors
    state : state of the cell, (L, B, H)
        With two directions, a pair.
    lengths : (B,) integers, optional
        The end of each sequence.
    every_step : bool
        False for one output after each sequence, True for one at each step.

    Returns
    -------
    outputs : (T, B, K), or (1, B, K) without `every_step`
    state : as the argument, after the last step
    cache : dict
        For `backward`.
    """
    cache: Cache = {}
    x = input_forward(functions, arrays, x, masks, cache, lengths)
    hs, state = recurrent_forward(functions, config, arrays, x, state, masks, cache, lengths)
    if not every_step:
        hs, cache["last"] = last_forward(hs, lengths, config.hidden_size)  # (1, B, .)
    outputs = decoder_forward(functions, config, arrays, hs, masks, cache)
    return outputs, state, cache


def backward(
    functions: Any, config: ModelConfig, cache: Cache, doutputs: Array, dstate: Any = None
) -> tuple[Gradients, Any]:
    """Go back through `forward`: its lines in reverse, each replaced by its gradient.

    Parameters
    ----------
    functions, config
        As for `forward`.
    cache : dict
        Of `forward`; empty afterwards.
    doutputs : array with the shape of the outputs
    dstate : gradient of the state after the last step, optional
        By default zeros, as in truncated backpropagation.

    Returns
    -------
    gradients : dict of path -> array or Rows
        Of all parameters, and ``x`` if the inputs are vectors.
    dstate : gradient of the state before the first step
    """
    gradients: Gradients = {}
    dhs, dW = decoder_backward(functions, doutputs, cache, gradients)
    if "last" in cache:
        dhs = last_backward(dhs, cache.pop("last"))
    dx, dstate = recurrent_backward(functions, config, dhs, dstate, cache, gradients)
    input_backward(functions, dx, cache, gradients)
    if config.tied:  # one array at two places has the sum of their gradients
        gradients["embedding.W"] = add_gradient(dW.T, gradients["embedding.W"])
    else:
        gradients["decoder.W"] = dW
    return gradients, dstate


# --- the input -----------------------------------------------------------------------------------


def input_forward(
    functions: Any, arrays: Arrays, x: Array, masks: Arrays, cache: Cache, lengths: Array | None
) -> Array:
    """Return the input (T, B, D) of the recurrent layers: embedded ids, or the vectors x."""
    if "embedding.W" in arrays:
        ids = x
        x, cache["embedding"] = functions.embedding_forward(ids, arrays["embedding.W"])
        if "words" in masks:  # the rows that were looked up, in place of the whole table
            x, cache["words"] = functions.dropout_forward(x, masks["words"][ids])
    x = drop_forward(functions, "input", x, masks, cache)
    check_finite("network.forward", "x", x, "the embedding may have overflowed", lengths)
    return x


def input_backward(functions: Any, dx: Array, cache: Cache, gradients: Gradients) -> None:
    """Go back through `input_forward`; enter the gradient of the table, or that of x."""
    dx = drop_backward(functions, "input", dx, cache)
    dx = drop_backward(functions, "words", dx, cache)
    if "embedding" in cache:
        gradients["embedding.W"] = table_backward(functions, dx, cache.pop("embedding"))
    else:
        gradients["x"] = dx


# --- the recurrent layers ------------------------------------------------------------------------


def recurrent_forward(
    functions: Any,
    config: ModelConfig,
    arrays: Arrays,
    x: Array,
    state: Any,
    masks: Arrays,
    cache: Cache,
    lengths: Array | None = None,
) -> tuple[Array, Any]:
    """Run the recurrent layers, in one or two directions; return hs and the state."""
    chosen = config.chosen_cell
    if "backward.0.Wx" in arrays:
        return bidirectional_forward(functions, chosen, arrays, x, state, masks, cache, lengths)
    return stack_forward(
        functions, chosen, arrays, f"{config.cell}.", x, state, masks, cache, lengths
    )


def recurrent_backward(
    functions: Any,
    config: ModelConfig,
    dhs: Array,
    dstate: Any,
    cache: Cache,
    gradients: Gradients,
) -> tuple[Array, Any]:
    """Go back through `recurrent_forward`; return dx and the gradient of the first state."""
    chosen = config.chosen_cell
    L = config.num_layers
    if "backward.0" in cache:
        return bidirectional_backward(functions, chosen, L, dhs, dstate, cache, gradients)
    return stack_backward(functions, chosen, f"{config.cell}.", L, dhs, dstate, cache, gradients)


# --- the decoder ---------------------------------------------------------------------------------


def decoder_forward(
    functions: Any, config: ModelConfig, arrays: Arrays, hs: Array, masks: Arrays, cache: Cache
) -> Array:
    """Compute the outputs (T, B, K) from hs (T, B, H).

    If the transposed table decodes and D is not H, a matrix (H, D) stands before it, as in Melis et
    al. (2018). It has no bias, since ``decoder.b`` adds to every score. There is dropout on both of
    its sides.
    """
    hs = drop_forward(functions, "output", hs, masks, cache)
    if "projection.W" in arrays:
        W = arrays["projection.W"]
        no_bias = np.zeros(W.shape[1], W.dtype)
        hs, cache["projection"] = functions.linear_forward(hs, W, no_bias)  # (T, B, D)
        hs = drop_forward(functions, "decoder.x", hs, masks, cache)
    W = arrays["embedding.W"].T if config.tied else arrays["decoder.W"]
    outputs, cache["decoder"] = functions.linear_forward(hs, W, arrays["decoder.b"])
    return outputs


def decoder_backward(
    functions: Any, doutputs: Array, cache: Cache, gradients: Gradients
) -> tuple[Array, Array]:
    """Go back through `decoder_forward`; return dhs and the gradient of the decoding matrix."""
    dhs, dW, gradients["decoder.b"] = functions.linear_backward(doutputs, cache.pop("decoder"))
    if "projection" in cache:
        dhs = drop_backward(functions, "decoder.x", dhs, cache)
        dhs, gradients["projection.W"], _ = functions.linear_backward(dhs, cache.pop("projection"))
    return drop_backward(functions, "output", dhs, cache), dW


# --- with a loss on top --------------------------------------------------------------------------


def loss_forward(
    functions: Any,
    config: ModelConfig,
    arrays: Arrays,
    x: Array,
    y: Array,
    state: Any,
    masks: Arrays,
    *,
    lengths: Array | None = None,
    weights: Array | None = None,
    every_step: bool = True,
    squared_error: bool = False,
) -> tuple[Any, Any, Cache]:
    """Compute the loss of a network, the cross-entropy or the squared error of its outputs.

    The arguments are those of `forward`, with the targets y and the weights of the targets. Returns
    the loss, the state after the last step and the cache.
    """
    outputs, state, cache = forward(functions, config, arrays, x, state, masks, lengths, every_step)
    loss, criterion = criterion_forward(functions, config, outputs, y, weights, squared_error)
    cache["squared_error" if squared_error else "cross_entropy"] = criterion
    return loss, state, cache


def criterion_forward(
    functions: Any,
    config: ModelConfig,
    outputs: Array,
    y: Array,
    weights: Array | None,
    squared_error: bool,
) -> tuple[Any, Any]:
    """Compute the loss of outputs; return it and its cache."""
    if squared_error:
        return functions.squared_error_forward(outputs, y, weights)
    return functions.sequence_cross_entropy_forward(
        outputs,
        y,
        weights,
        average_across_timesteps=config.average_across_timesteps,
        average_across_batch=config.average_across_batch,
    )


def loss_backward(
    functions: Any, config: ModelConfig, cache: Cache, dstate: Any = None
) -> tuple[Gradients, Any]:
    """Go back through `loss_forward`; the result is that of `backward`."""
    if "squared_error" in cache:
        doutputs = functions.squared_error_backward(cache.pop("squared_error"))
    else:
        doutputs = functions.sequence_cross_entropy_backward(cache.pop("cross_entropy"))
    return backward(functions, config, cache, doutputs, dstate)


# --- small steps ---------------------------------------------------------------------------------


class LastCache(NamedTuple):
    """The indices of the last hidden states."""

    indices: tuple[Array, Array, Array]  # of hs
    shape: tuple[int, ...]  # of hs


def last_forward(hs: Array, lengths: Array | None, H: int) -> tuple[Array, LastCache]:
    """Take hs where each sequence has been read: at its end, and by a backward stack at its start.

    Returns (1, B, H), or (1, B, 2H), and the cache.
    """
    T, B, width = hs.shape
    ends = np.full(B, T) if lengths is None else lengths
    unit = np.arange(width)
    t = np.where(unit < H, ends[:, None] - 1, 0)  # of an empty sequence -1, where hs is 0
    indices = t[None], np.arange(B)[:, None], unit
    return hs[indices], LastCache(indices, hs.shape)


def last_backward(dlast: Array, cache: LastCache) -> Array:
    """Return dhs: zero where hs was not taken, since gradients reach it through time only."""
    dhs = np.zeros(cache.shape, dlast.dtype)
    dhs[cache.indices] = dlast
    return dhs


def table_backward(functions: Any, dx: Array, cache: Any) -> Array | Rows:
    """Return the gradient of an embedding table: as `Rows` if some were certainly not used."""
    if cache.ids.size < cache.shape[0]:
        rows, values = functions.embedding_backward_rows(dx, cache)
        return Rows(rows, values)
    return functions.embedding_backward(dx, cache)


def add_gradient(dense: Array, gradient: Array | Rows) -> Array:
    """Add a gradient to another one, in place."""
    if isinstance(gradient, Rows):
        dense[gradient.rows] += gradient.values
    else:
        dense += gradient
    return dense
