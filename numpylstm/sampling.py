"""Text from a language model, one token at a time (one-to-many)."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numpylstm import functional
from numpylstm.cells import State
from numpylstm.checks import (
    NotFinite,
    any_array,
    check_array,
    check_ids,
    check_number,
    check_whole,
    generator,
)
from numpylstm.functional import contiguous, shares_for
from numpylstm.kernels.fallback import CannotCompile
from numpylstm.layers import Embedding, Linear, RecurrentStack
from numpylstm.models import LanguageModel, TokenEncoder, check_language_model
from numpylstm.parameters import parameter_shapes

try:
    from numpylstm.kernels import sampling as kernels
except Exception:
    kernels = None  # type: ignore[assignment]

OURS = LanguageModel, TokenEncoder, Embedding, RecurrentStack, Linear
LONGEST = 1_000_000_000
NOT_FINITE = "generate: the scores of the model are not finite; its parameters explode"
READ_AT_ONCE = 1000  # tokens of a prompt: the scores of all of them are computed
AT_ONCE = 64  # tokens that one call of a kernel draws at most: it cannot be interrupted
WEIGHTS_AT_ONCE = 20_000_000  # and this many numbers are read for them: some 10 ms


def generate(
    model: LanguageModel,
    prompt: Sequence[int] | NDArray[Any],
    length: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    banned: Sequence[int] = (),
    rng: np.random.Generator | int | None = None,
) -> NDArray[Any]:
    """Continue a prompt: read it, then draw each token from the model and feed it back.

    Parameters
    ----------
    model : LanguageModel
    prompt : sequence of ids
        At least one; with exactly one this is one-to-many.
    length : int
        How many tokens to draw.
    temperature : float
        The logits are divided by it: below 1 the probable becomes more probable, above 1 less. At
        0 the most probable token is taken at every step, as with ``top_k=1``.
    top_k : int, optional
        Draw from the `top_k` most probable tokens only; more than there are means all.
    banned : sequence of ids
        Tokens that are never drawn, such as that of ``<unk>``.
    rng : Generator or int, optional

    Returns
    -------
    ids : (length,)
        What was drawn, without the prompt.

    Raises
    ------
    ValueError
        If the prompt is empty or holds an id out of range, the temperature is negative, top_k is
        not positive or nothing is left to draw from.
    """
    drawn = stream(
        model, prompt, length, temperature=temperature, top_k=top_k, banned=banned, rng=rng
    )
    return np.fromiter(drawn, np.int64, int(length))


def stream(
    model: LanguageModel,
    prompt: Sequence[int] | NDArray[Any],
    length: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    banned: Sequence[int] = (),
    rng: np.random.Generator | int | None = None,
) -> Iterator[int]:
    """Yield the tokens of `generate`, with the same arguments, as they are drawn.

    The generator may be ahead of what was yielded, by up to 64 numbers.
    """
    check_language_model("generate", model)
    V = model.vocab_size
    prompt = any_array("generate", "prompt", prompt)
    if prompt.ndim != 1 or len(prompt) == 0:
        raise ValueError(
            f"generate: prompt must be one id or more in a row, (N,), got shape {prompt.shape}"
        )
    prompt = check_ids("generate", "prompt", prompt, V)
    never = any_array("generate", "banned", banned)
    never = np.unique(check_ids("generate", "banned", never, V) if never.size else np.intp(never))
    check_number("generate", "temperature", temperature)
    if not 0 <= temperature < np.inf:
        raise ValueError(
            f"generate: temperature must be at least 0 and finite, got {temperature}; "
            "at 0 the most probable token is taken at every step"
        )
    check_whole("generate", "length", length, 0)
    if length > LONGEST:
        raise ValueError(f"generate: length must be at most {LONGEST:,}, got {length}")
    choices = V - len(never)
    if choices == 0:
        raise ValueError(f"generate: banned must leave a token to draw, got all {V} of them")
    k = choices if top_k is None else top_k
    check_whole("generate", "top_k", k)
    k = min(int(k), choices)
    if temperature == 0:
        temperature, k = 1.0, 1
    return _drawn(model, V, prompt, int(length), float(temperature), k, never, generator(rng))


def _drawn(
    model: LanguageModel,
    V: int,
    prompt: NDArray[Any],
    length: int,
    temperature: float,
    k: int,
    banned: NDArray[np.intp],
    rng: np.random.Generator,
) -> Iterator[int]:
    if model.vocab_size != V:
        raise RuntimeError("generate: the vocabulary of the model has changed since the call")
    state = model.zero_state(1)
    read = prompt[:-1, None]  # (T, 1)
    for first in range(0, len(read), READ_AT_ONCE):
        _, state = model.logits(read[first : first + READ_AT_ONCE], state)
    # A model or a layer of a user's own may compute in its own way.
    recurrent = model.encoder.recurrent
    parts = (model, model.encoder, model.encoder.embedding, recurrent, model.decoder)
    by_kernel = recurrent.functions is functional and tuple(map(type, parts)) == OURS
    if by_kernel and recurrent.cell.sampler is not None and kernels is not None:
        before = rng.bit_generator.state
        try:
            yield from _write(model, prompt[-1], state, length, temperature, k, banned, rng)
            return
        except CannotCompile:
            rng.bit_generator.state = before
    x = prompt[-1:, None]  # (T, B) = (1, 1)
    for _ in range(length):
        logits, state = model.logits(x, state)
        token = draw(logits[0, 0], temperature, k, banned, rng)
        yield token
        x = np.array([[token]])  # its own output is the next input


def _write(
    model: LanguageModel,
    last: int,
    state: State,
    length: int,
    temperature: float,
    k: int,
    banned: NDArray[np.intp],
    rng: np.random.Generator,
) -> Iterator[int]:
    """What the loop of `_drawn` does, in the cell's kernel, which draws many tokens at a time."""
    table, Wx, Wh, b, W, bias = _weights(model)
    shape = model.config.num_layers, 1, model.config.hidden_size
    for name, part in zip(state._fields, state, strict=True):
        check_array("generate", f"state.{name}", part, shape, table.dtype)
    parts = [np.array(part) for part in state]  # the kernel changes them
    write = getattr(kernels, str(model.encoder.recurrent.cell.sampler))
    weights = sum(array.size for array in (*Wx, *Wh, W))
    shares, at_once = shares_for(weights), max(1, min(AT_ONCE, WEIGHTS_AT_ONCE // weights))
    for first in range(0, length, at_once):
        uniforms = rng.random(min(at_once, length - first))
        ids = np.empty(len(uniforms) + 1, np.int64)
        ids[0] = last
        write(
            table, Wx, Wh, b, W, model.decoder.tied, bias, *parts, ids, uniforms,
            temperature, k, banned, shares,
        )  # fmt: skip
        if ids[1:].min() < 0:
            raise NotFinite(NOT_FINITE)
        yield from ids[1:].tolist()
        last = ids[-1]


def _weights(model: LanguageModel) -> tuple[Any, ...]:
    """Table, Wx, Wh, b by layers, W and bias of an LSTM language model, as `kernels.write` wants.

    The kernel trusts their shapes, so they are looked at here: the arrays of a parameter may be
    replaced.
    """
    encoder, decoder = model.encoder, model.decoder
    shapes = parameter_shapes(model.config, model.vocab_size)
    parameters = model.all_parameters().values()
    for (path, shape), parameter in zip(shapes, parameters, strict=True):
        check_array("generate", path, parameter.data, shape, encoder.recurrent.dtype)
    if decoder.tied:  # its matrix is no parameter of its own
        shape = encoder.embedding.W.data.shape
        check_array("generate", "decoder.W", decoder.W.data, shape, encoder.recurrent.dtype)
    layers = [[contiguous(p.data) for p in layer] for layer in encoder.recurrent.layers]
    Wx, Wh, b = zip(*layers, strict=True)
    table, W, bias = (contiguous(p.data) for p in (encoder.embedding.W, decoder.W, decoder.b))
    return table, Wx, Wh, tuple(row[None] for row in b), W, bias[None]


def draw(
    logits: NDArray[Any],
    temperature: float,
    k: int,
    banned: NDArray[np.intp],
    rng: np.random.Generator,
) -> int:
    """Draw one id from the softmax of ``logits / temperature`` over the k best not banned."""
    if not np.isfinite(logits).all():
        raise NotFinite(NOT_FINITE)
    scores = logits.copy()
    scores[banned] = -np.inf
    ids = best(scores, k) if k < len(scores) else None
    weights = (scores if ids is None else scores[ids]).astype(np.float64)
    with np.errstate(over="ignore"):  # a tiny temperature: exp(-infinity) is 0, as it should be
        weights -= weights.max()
        weights /= temperature
        np.exp(weights, out=weights)
    upto = np.cumsum(weights)  # inverse transform: the share of the line on which a number falls
    place = np.searchsorted(upto, rng.random() * upto[-1], side="right")
    return int(place if ids is None else ids[place])


def best(scores: NDArray[Any], k: int) -> NDArray[np.intp]:
    """The ids of the k largest scores, in order of id; ties go to the lower id."""
    least = np.partition(scores, -k)[-k]
    above = np.flatnonzero(scores > least)
    ties = np.flatnonzero(scores == least)[: k - len(above)]
    return np.sort(np.concatenate([above, ties]))
