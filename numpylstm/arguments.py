"""What each function of `functional` accepts: looked at before a kernel is called.

A function here has the name and the arguments of the one that it serves, raises the sentence for
the first argument that does not fit, and compares every size with every other, those in a cache
too: a cache is a plain tuple, and anybody can make one. `functional` calls them itself; for
`reference`, which looks at nothing, `checked_reference` does.

A layer keeps its caches to itself. So its backward pass looks at the gradients that arrive and not
at the cache again: it calls what `unchecked` gives it.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numpylstm.cells import CELLS, Option
from numpylstm.checks import (
    check_array,
    check_arrays,
    check_dtype,
    check_flag,
    check_ids,
    check_number,
    check_weights,
    check_whole,
)
from numpylstm.config import either
from numpylstm.reference import (
    CrossEntropyCache,
    DropoutCache,
    EmbeddingCache,
    GRUCache,
    LinearCache,
    LSTMCache,
    RNNCache,
)

Array = NDArray[Any]


def unchecked(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function without its look at the arguments, for some that are known to fit."""
    bare: Callable[..., Any] = getattr(function, "unchecked", function)
    return bare


def embedding_forward(ids: Array, W: Array) -> NDArray[np.int64]:
    """Return the ids as int64."""
    check_arrays("embedding_forward", ("W V D",), W)
    return check_ids("embedding_forward", "ids", ids, W.shape[0])


def embedding_backward(dx: Array, cache: EmbeddingCache) -> tuple[Array, EmbeddingCache]:
    """Return the cache with its ids as int64."""
    return _embedding_backward("embedding_backward", dx, cache)


def embedding_backward_rows(dx: Array, cache: EmbeddingCache) -> tuple[Array, EmbeddingCache]:
    """Return the cache with its ids as int64."""
    return _embedding_backward("embedding_backward_rows", dx, cache)


def _embedding_backward(
    where: str, dx: Array, cache: EmbeddingCache
) -> tuple[Array, EmbeddingCache]:
    _check_cache(where, cache, EmbeddingCache)
    if not (isinstance(cache.shape, tuple) and len(cache.shape) == 2):
        raise TypeError(f"{where}: cache.shape must be the (V, D) of a table, got {cache.shape!r}")
    V, D = cache.shape
    if type(V) is not int or type(D) is not int or V < 1 or D < 1:  # as they rarely are
        check_whole(where, "cache.shape[0]", V)
        check_whole(where, "cache.shape[1]", D)
    ids = check_ids(where, "cache.ids", cache.ids, V)
    check_array(where, "dx", dx, (*ids.shape, D), because="it has the shape of x")
    return dx, EmbeddingCache(ids, (int(V), int(D)))


def rnn_forward(
    x: Array, h0: Array, Wx: Array, Wh: Array, b: Array, activation: str = "tanh"
) -> None:
    """Raise unless all fits."""
    check_arrays("rnn_forward", ("Wx D H", "Wh H H", "b H", "x T B D", "h0 B H"), Wx, Wh, b, x, h0)
    _check_choice("rnn_forward", "activation", activation, CELLS["rnn"].options["activation"])


def rnn_backward(dhs: Array, dhT: Array, cache: RNNCache) -> None:
    """Raise unless all fits."""
    _check_cache("rnn_backward", cache, RNNCache)
    x, h_prev, h, Wx, Wh, activation = cache
    check_arrays(
        "rnn_backward",
        ("cache.Wx D H", "cache.Wh H H", "cache.x T B D", "cache.h_prev T B H", "cache.h T B H",
         "dhs T B H", "dhT B H"),
        Wx, Wh, x, h_prev, h, dhs, dhT,
    )  # fmt: skip
    option = CELLS["rnn"].options["activation"]
    _check_choice("rnn_backward", "cache.activation", activation, option)


def lstm_forward(x: Array, h0: Array, c0: Array, Wx: Array, Wh: Array, b: Array) -> None:
    """Raise unless all fits."""
    check_arrays(
        "lstm_forward",
        ("Wx D 4H", "Wh H 4H", "b 4H", "x T B D", "h0 B H", "c0 B H"),
        Wx, Wh, b, x, h0, c0,
    )  # fmt: skip


def lstm_backward(dhs: Array, dhT: Array, dcT: Array, cache: LSTMCache) -> None:
    """Raise unless all fits."""
    _check_cache("lstm_backward", cache, LSTMCache)
    *over_time, Wx, Wh = cache
    check_arrays(
        "lstm_backward",
        ("cache.Wx D 4H", "cache.Wh H 4H", "cache.x T B D", "cache.h_prev T B H",
         "cache.c_prev T B H", "cache.gates T B 4H", "cache.c T B H", "cache.tanh_c T B H",
         "cache.h T B H", "dhs T B H", "dhT B H", "dcT B H"),
        Wx, Wh, *over_time, dhs, dhT, dcT,
    )  # fmt: skip


def gru_forward(
    x: Array, h0: Array, Wx: Array, Wh: Array, b: Array, bn: Array | None = None,
    reset: str = "after",
) -> None:  # fmt: skip
    """Raise unless all fits."""
    check_arrays(
        "gru_forward", ("Wx D 3H", "Wh H 3H", "b 3H", "x T B D", "h0 B H"), Wx, Wh, b, x, h0
    )
    _check_reset("gru_forward", "", reset, bn, Wh)


def gru_backward(dhs: Array, dhT: Array, cache: GRUCache) -> None:
    """Raise unless all fits."""
    _check_cache("gru_backward", cache, GRUCache)
    *over_time, Wx, Wh, bn, reset = cache
    check_arrays(
        "gru_backward",
        ("cache.Wx D 3H", "cache.Wh H 3H", "cache.x T B D", "cache.h_prev T B H",
         "cache.gates T B 3H", "cache.s T B H", "cache.h T B H", "dhs T B H", "dhT B H"),
        Wx, Wh, *over_time, dhs, dhT,
    )  # fmt: skip
    _check_reset("gru_backward", "cache.", reset, bn, Wh)


def linear_forward(x: Array, W: Array, b: Array) -> None:
    """Raise unless all fits."""
    rows = "x B D" if getattr(x, "ndim", 3) == 2 else "x T B D"
    check_arrays("linear_forward", ("W D V", "b V", rows), W, b, x)


def linear_backward(dy: Array, cache: LinearCache) -> None:
    """Raise unless all fits."""
    _check_cache("linear_backward", cache, LinearCache)
    x, W = cache
    rows = "B" if getattr(x, "ndim", 3) == 2 else "T B"
    check_arrays("linear_backward", ("cache.W D V", f"cache.x {rows} D", f"dy {rows} V"), W, x, dy)


def dropout_mask(uniform: Array, p: float, dtype: Any) -> None:
    """Raise unless all fits."""
    check_array("dropout_mask", "uniform", uniform, getattr(uniform, "shape", ("T", "B", "D")))
    check_number("dropout_mask", "p", p)
    if not 0 <= p < 1:
        raise ValueError(f"dropout_mask: p must be in [0, 1), the probability of dropping; got {p}")
    check_dtype("dropout_mask", dtype)


def dropout_forward(x: Array, mask: Array) -> None:
    """Raise unless all fits."""
    check_array("dropout_forward", "x", x, getattr(x, "shape", ("T", "B", "D")))
    check_array("dropout_forward", "mask", mask, x.shape, x.dtype, "it has the shape of x")


def dropout_backward(dy: Array, cache: DropoutCache) -> None:
    """Raise unless all fits."""
    _check_cache("dropout_backward", cache, DropoutCache)
    mask = cache.mask
    check_array("dropout_backward", "cache.mask", mask, getattr(mask, "shape", ("T", "B", "D")))
    check_array("dropout_backward", "dy", dy, mask.shape, mask.dtype, "it has the shape of y")


def sequence_cross_entropy_forward(
    logits: Array,
    targets: Array,
    weights: Array | None = None,
    *,
    average_across_timesteps: bool = False,
    average_across_batch: bool = True,
) -> NDArray[np.int64]:
    """Return the targets as int64."""
    where = "sequence_cross_entropy_forward"
    check_arrays(where, ("logits T B V",), logits)
    T, B, V = logits.shape
    targets = check_ids(where, "targets", targets, V, (T, B), "T and B are fixed by logits")
    if weights is not None:
        check_weights(where, "weights", weights, (T, B), logits.dtype)
    check_flag(where, "average_across_timesteps", average_across_timesteps)
    check_flag(where, "average_across_batch", average_across_batch)
    return targets


def sequence_cross_entropy_backward(
    cache: CrossEntropyCache, dloss: float = 1.0
) -> tuple[CrossEntropyCache, float]:
    """Return the cache with its targets as int64."""
    where = "sequence_cross_entropy_backward"
    _check_cache(where, cache, CrossEntropyCache)
    logits, log_z, targets, coefficients, _, _ = cache
    check_arrays(
        where,
        ("cache.logits T B V", "cache.log_z T B", "cache.coefficients T B"),
        logits, log_z, coefficients,
    )  # fmt: skip
    check_number(where, "dloss", dloss)
    targets = check_ids(where, "cache.targets", targets, logits.shape[2], log_z.shape)
    return cache._replace(targets=targets), dloss


def _check_cache(where: str, cache: Any, kind: type) -> None:
    if not isinstance(cache, kind):
        raise TypeError(
            f"{where}: cache must be {kind.__name__}, got {type(cache).__name__}; the forward pass "
            f"returns it last"
        )


def _check_choice(where: str, name: str, value: Any, option: Option) -> None:
    if not (isinstance(value, str) and value in (option.choices or ())):
        raise ValueError(f"{where}: {name} must be {either(option.choices or ())}, got {value!r}")


def _check_reset(where: str, of: str, reset: Any, bn: Any, Wh: Array) -> None:
    _check_choice(where, f"{of}reset", reset, CELLS["gru"].options["reset"])
    if bn is None:
        return
    if reset == "before":
        raise ValueError(
            f"{where}: {of}bn must be None with reset='before', got an array; there r scales "
            "nothing that a bias could be added to"
        )
    check_array(where, f"{of}bn", bn, (len(Wh),), Wh.dtype, "H is fixed by Wh")
