"""Text from a language model, one token at a time (one-to-many)."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from numpylstm.cells import State
from numpylstm.checks import (
    Array,
    NotFinite,
    Rng,
    any_array,
    check_ids,
    check_interval,
    check_whole,
    generator,
)
from numpylstm.models import LanguageModel, check_language_model

MAX_LENGTH = 1_000_000_000
NOT_FINITE = "generate: the scores of the model are not finite; its parameters have exploded"
PROMPT_WINDOW = 1000  # tokens of a prompt; the logits of all of them are held in memory


def generate(
    model: LanguageModel,
    prompt: Sequence[int] | Array,
    length: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float = 1.0,
    banned: Sequence[int] = (),
    stop: Sequence[int] = (),
    state: State | None = None,
    rng: Rng = None,
) -> Array:
    """Continue a prompt: read it, then draw each token from the model and feed it back.

    Parameters
    ----------
    model : LanguageModel
    prompt : sequence of ids
        At least one; with exactly one this is one-to-many.
    length : int
        The number of tokens to draw, at most.
    temperature : float
        The logits are divided by it: below 1, probable tokens become more probable, above 1 less.
        At 0 the most probable token is taken at every step, as with ``top_k=1``.
    top_k : int, optional
        Draw only from the `top_k` most probable tokens, and those that are as probable as the last
        of these; a number above the vocabulary size means all.
    top_p : float
        In (0, 1]: draw only from the most probable tokens whose probabilities, at this temperature,
        add up to at least `top_p` (nucleus sampling, Holtzman et al. 2020).
    banned : sequence of ids
        Tokens that are never drawn, such as ``<unk>``.
    stop : sequence of ids
        Tokens after which the text ends, such as ``<eos>``.
    state : state of the cell, optional
        The state before the prompt, of one stream, (L, 1, H); `zero_state` by default.
    rng : Generator or int, optional

    Returns
    -------
    ids : (length,), or shorter if it ends with a token of `stop`
        The tokens drawn, without the prompt.

    Raises
    ------
    ValueError
        If the prompt is empty or contains an id out of range, the temperature is negative, top_k is
        not positive, no token is left to draw from or the scores are not finite.
    """
    drawn = stream(
        model,
        prompt,
        length,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        banned=banned,
        stop=stop,
        state=state,
        rng=rng,
    )
    return np.fromiter(drawn, np.int64)


def stream(
    model: LanguageModel,
    prompt: Sequence[int] | Array,
    length: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float = 1.0,
    banned: Sequence[int] = (),
    stop: Sequence[int] = (),
    state: State | None = None,
    rng: Rng = None,
) -> Iterator[int]:
    """Yield the tokens of `generate`, with the same arguments, as they are drawn."""
    check_language_model("generate", model)
    V = model.vocab_size
    prompt = check_ids("generate", "prompt", prompt, V, ("N",), "one id or more in a row")
    banned_ids = ids_of("banned", banned, V)
    stop_ids = ids_of("stop", stop, V)
    check_interval("generate", "temperature", temperature, "[0, inf)")
    check_whole("generate", "length", length, 0, MAX_LENGTH)
    choices = V - len(banned_ids)
    if choices == 0:
        raise ValueError(f"generate: banned must leave a token to draw, got all {V} of them")
    k = choices if top_k is None else top_k
    k = min(check_whole("generate", "top_k", k), choices)
    check_interval("generate", "top_p", top_p, "(0, 1]")
    initial_state = model.checked_state("generate", state, 1)
    if temperature == 0:
        temperature = 1.0
        k = 1
    rng = generator(rng)

    def drawn() -> Iterator[int]:
        state = initial_state
        x = prompt[:-1, None]  # (T, 1)
        try:
            for first in range(0, len(x), PROMPT_WINDOW):
                _, state = model.logits(x[first : first + PROMPT_WINDOW], state)
            token = prompt[-1]
            for _ in range(length):
                logits, state = model.logits(np.array([[token]]), state)
                token = draw(logits[0, 0], float(temperature), k, banned_ids, rng, float(top_p))
                yield token  # and read it next
                if token in stop_ids:
                    return
        except NotFinite as error:  # found by a layer or in the scores
            raise NotFinite(NOT_FINITE) from error

    return drawn()  # the arguments are checked by the call, not by the first token


def ids_of(argument: str, ids: Sequence[int], V: int) -> NDArray[np.intp]:
    """Return a set of ids, which may be empty, in order."""
    array = any_array("generate", argument, ids)
    if not array.size:
        return np.empty(0, np.intp)
    return np.unique(check_ids("generate", argument, array, V))


def draw(
    logits: Array,
    temperature: float,
    k: int,
    banned: NDArray[np.intp],
    rng: np.random.Generator,
    p: float = 1.0,
) -> int:
    """Draw an id from the softmax of ``logits / temperature`` over the k best allowed ids.

    With `p` below 1, only over the fewest of these whose probabilities add up to at least p.

    Ids that are as probable as the last of these may be drawn too, unless k is 1.
    """
    if not np.isfinite(logits).all():
        raise NotFinite(NOT_FINITE)
    scores = logits.astype(np.float64)
    scores[banned] = -np.inf
    if k == 1:
        return int(scores.argmax())
    if k < len(scores):
        scores[scores < np.partition(scores, -k)[-k]] = -np.inf
    with np.errstate(over="ignore"):  # with a tiny temperature, to -infinity, whose exp is 0
        weights = np.exp((scores - scores.max()) / temperature)
    if p < 1:
        order = np.argsort(-weights, kind="stable")
        cumulative = np.cumsum(weights[order])
        enough = 1 + np.searchsorted(cumulative, p * cumulative[-1])
        weights[order[enough:]] = 0
    # Inverse transform: the weights lie end to end on a line, and a random number is a place on it.
    cumulative = np.cumsum(weights)
    return int(np.searchsorted(cumulative, rng.random() * cumulative[-1], side="right"))
