"""Perplexity of a language model that is adapted after its training.

While it reads a text, either it makes a step of gradient descent after each window
(`evaluate_dynamic`), or it keeps a cache of hidden states and of the tokens that followed them
(`evaluate_with_cache`). Every token is predicted before it is used. The model of
`numpylstm.evaluate` stays as it was trained, so do not compare the results with its perplexity.

Or a single number is fitted to another text, the temperature of its probabilities
(`choose_temperature`, `evaluate_at_temperature`).
"""

import copy

import numpy as np

from numpylstm import network
from numpylstm.cells import State
from numpylstm.checks import Array, NotFinite, check_interval, check_sizes
from numpylstm.config import CACHE_SHARE, CACHE_THETA
from numpylstm.evaluation import Evaluation, Ids, ProgressCallback, Scores, score_windows
from numpylstm.functional import softmax
from numpylstm.models import LanguageModel, check_language_model
from numpylstm.optim import SGD


def evaluate_dynamic(
    model: LanguageModel,
    ids: Ids,
    batch_size: int = 1,
    num_steps: int = 35,
    *,
    rate: float,
    watch: ProgressCallback | None = None,
) -> Evaluation:
    """Score a text, with a step of gradient descent after each window (Mikolov et al. 2010).

    The gradient is that of the window just scored, without dropout. A copy of the model is trained,
    and the model does not change. Krause et al. (2018) scale the steps of each parameter by its
    gradients in training; these are plain steps.

    Parameters
    ----------
    model, ids, batch_size, num_steps, watch
        As for `numpylstm.evaluate`. A short window adapts sooner.
    rate : float
        The learning rate, for the loss of the model, by default a sum over the window; choose it on
        the validation text.

    Examples
    --------
    >>> import numpy as np, numpylstm as nl
    >>> model, ids = nl.LanguageModel(10, 8, init_scale=0.5, rng=0), np.arange(300) % 10
    >>> round(nl.evaluate(model, ids).perplexity, 1)
    10.0
    >>> round(nl.evaluate_dynamic(model, ids, num_steps=5, rate=0.3).perplexity, 1)
    3.2
    """
    check_language_model("evaluate_dynamic", model)
    check_interval("evaluate_dynamic", "rate", rate, "(0, inf)")
    learner = copy.deepcopy(model)
    optimizer = SGD(learner, rate)

    def score(x: Array, y: Array, state: State) -> Scores:
        optimizer.zero_grad()  # the first one is of the copied model
        _, state = learner.forward(x, y, state, masks={})
        nll, predicted = learner.training_scores()
        learner.backward()
        optimizer.step()
        return nll, predicted, state

    return score_windows("evaluate_dynamic", model, ids, batch_size, num_steps, score, watch)


def evaluate_with_cache(
    model: LanguageModel,
    ids: Ids,
    batch_size: int = 1,
    num_steps: int = 35,
    *,
    size: int = 500,
    theta: float = CACHE_THETA,
    share: float = CACHE_SHARE,
    watch: ProgressCallback | None = None,
) -> Evaluation:
    """Score a text with a cache of the tokens that followed similar states (Grave et al. 2017).

    The probability of the next token is ``(1 - share) * p_model + share * p_cache``, where p_cache
    is that of `cache_probabilities`. Each stream has its own cache, which is empty at its start. In
    a model with a projection, the projected states are compared.

    Parameters
    ----------
    model, ids, batch_size, num_steps, watch
        As for `numpylstm.evaluate`; the window does not change the result.
    size : int
        The number of steps that are remembered.
    theta, share : float
        Choose them on the validation text.
    """
    where = "evaluate_with_cache"
    check_language_model(where, model)
    batch_size, size = check_sizes(where, batch_size=batch_size, size=size)
    check_interval(where, "theta", theta, "[0, inf)")
    check_interval(where, "share", share, "[0, 1)")
    config = model.config
    width = config.input_size if config.projected else config.hidden_size
    keys = np.zeros((0, batch_size, width))  # the last vectors that the decoder has read
    following = np.zeros((0, batch_size), np.int64)  # the tokens after them
    streams = np.arange(batch_size)

    def score(x: Array, y: Array, state: State) -> Scores:
        nonlocal keys, following
        logits, state, cache = network.forward(
            model.functions, model.config, model.arrays(), x, state, masks={}
        )
        hs = cache["decoder"].x  # (T, B, H)
        logits = logits.astype(np.float64)  # (T, B, V)
        _, criterion = model.functions.sequence_cross_entropy_forward(logits, y)
        p = softmax(logits)
        log_p = -criterion.nll
        start = len(keys)
        keys = np.concatenate([keys, hs])
        following = np.concatenate([following, y])
        for t, h in enumerate(hs):
            end = start + t
            if end > 0:  # the first token of a stream has nothing before it
                before = slice(max(end - size, 0), end)
                cached = cache_probabilities(
                    h, keys[before], following[before], theta, model.vocab_size
                )
                p[t] = (1 - share) * p[t] + share * cached
                of_target = np.log(share * cached[streams, y[t]])  # -inf if it is not there
                log_p[t] = np.logaddexp(np.log1p(-share) + log_p[t], of_target)
        keys, following = keys[-size:], following[-size:]
        return -log_p, p.argmax(axis=-1), state

    return score_windows(where, model, ids, batch_size, num_steps, score, watch)


TEMPERATURES = tuple(k / 50 for k in range(35, 76))
"""The temperatures that `choose_temperature` tries: 0.70, 0.72, ..., 1.50."""


def evaluate_at_temperature(
    model: LanguageModel,
    ids: Ids,
    batch_size: int = 1,
    num_steps: int = 35,
    *,
    temperature: float,
    watch: ProgressCallback | None = None,
) -> Evaluation:
    """Score a text with the logits divided by a temperature (Guo et al. 2017).

    Above 1 it makes a model less sure of itself, as one needs that has memorised its text. The
    accuracy does not depend on it.

    Parameters
    ----------
    model, ids, batch_size, num_steps, watch
        As for `numpylstm.evaluate`.
    temperature : float
        Positive; choose it on the validation text, with `choose_temperature`.

    Examples
    --------
    >>> import numpy as np, numpylstm as nl
    >>> model, ids = nl.LanguageModel(10, 8, init_scale=2, rng=0), np.arange(200) % 10
    >>> for temperature in (1, 1.5):
    ...     result = nl.evaluate_at_temperature(model, ids, temperature=temperature)
    ...     print(round(result.perplexity, 1))
    18.5
    12.6
    """
    where = "evaluate_at_temperature"
    check_language_model(where, model)
    check_interval(where, "temperature", temperature, "(0, inf)")

    def score(x: Array, y: Array, state: State) -> Scores:
        logits, state = model.logits(x, state)
        return *scores_at(model, logits, y, temperature), state

    return score_windows(where, model, ids, batch_size, num_steps, score, watch)


def choose_temperature(
    model: LanguageModel,
    ids: Ids,
    batch_size: int = 1,
    num_steps: int = 35,
    *,
    watch: ProgressCallback | None = None,
) -> float:
    """Return the temperature of `TEMPERATURES` with the lowest perplexity of a text.

    That should be the validation text: a temperature that was chosen on the test text is fitted to
    it. The arguments are as for `numpylstm.evaluate`.
    """
    where = "choose_temperature"
    check_language_model(where, model)
    totals = dict.fromkeys(TEMPERATURES, 0.0)

    def score(x: Array, y: Array, state: State) -> Scores:
        logits, state = model.logits(x, state)
        for temperature in totals:
            nll, predicted = scores_at(model, logits, y, temperature)
            totals[temperature] += float(nll.sum(dtype=np.float64))
        return nll, predicted, state

    score_windows(where, model, ids, batch_size, num_steps, score, watch)
    if not np.isfinite([*totals.values()]).all():
        raise NotFinite(f"{where}: the scores of the model are not finite")
    return min(totals, key=totals.__getitem__)


def scores_at(
    model: LanguageModel, logits: Array, y: Array, temperature: float
) -> tuple[Array, Array]:
    """Return the nll of the targets and the most probable ids, (T, B), at a temperature."""
    _, criterion = model.functions.sequence_cross_entropy_forward(logits / float(temperature), y)
    return criterion.nll, criterion.predicted


def cache_probabilities(
    h: Array, keys: Array, following: Array, theta: float, vocab_size: int
) -> Array:
    """Return the probabilities of the next token by a cache: those that followed similar states.

    ``p[w]`` is proportional to the sum of ``exp(theta * h @ keys[i])`` over all i for which
    ``following[i] == w``.

    Parameters
    ----------
    h : (B, H)
    keys : (n, B, H)
    following : (n, B) ids
    theta : float
    vocab_size : int

    Returns
    -------
    p : (B, V)
    """
    p = np.zeros((len(h), vocab_size))
    weights = softmax(theta * np.einsum("bh,nbh->bn", h, keys))
    np.add.at(p, (np.arange(len(h))[:, None], following.T), weights)
    return p
