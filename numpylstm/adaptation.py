"""Perplexity of a language model that is adapted after its training.

While it reads a text, either it makes a step of gradient descent after each window
(`evaluate_dynamic`), or it keeps a cache of hidden states and of the tokens that followed them
(`evaluate_with_cache`), or both (`evaluate_dynamic_with_cache`). Every token is predicted before it
is used. The model of `numpylstm.evaluate` stays as it was trained, so do not compare the results
with its perplexity.

Or a single number is fitted to another text, the temperature of its probabilities
(`choose_temperature`, `evaluate_at_temperature`).
"""

import copy
from collections.abc import Mapping

import numpy as np

from numpylstm import network
from numpylstm.cells import State
from numpylstm.checks import (
    Array,
    NotFinite,
    check_array,
    check_finite,
    check_interval,
    check_kind,
    check_sizes,
)
from numpylstm.config import CACHE_SHARE, CACHE_THETA
from numpylstm.evaluation import Evaluation, Ids, ProgressCallback, Scores, score_windows
from numpylstm.functional import softmax
from numpylstm.models import LanguageModel, check_language_model
from numpylstm.optim import SGD
from numpylstm.parameters import Parameter

RMS_FLOOR = 0.1
"""Added to the scale of an entry, so that one whose gradient is rarely large makes no huge step."""


def evaluate_dynamic(
    model: LanguageModel,
    ids: Ids,
    batch_size: int = 1,
    num_steps: int = 35,
    *,
    rate: float,
    decay: float = 0.0,
    rms: Mapping[str, Array] | None = None,
    watch: ProgressCallback | None = None,
) -> Evaluation:
    """Score a text, with a step of gradient descent after each window (Mikolov et al. 2010).

    The gradient is that of the window just scored, without dropout. A copy of the model is trained,
    and the model does not change. With `decay` and `rms` these are the steps of Krause et al.
    (2018)::

        scale = rms / (mean of rms over all entries of all parameters)
        data += min(decay * scale, 1) * (trained - data) - rate * grad / (scale + RMS_FLOOR)

    Without `rms` the scale is 1 and nothing is added to it.

    Parameters
    ----------
    model, ids, batch_size, num_steps, watch
        As for `numpylstm.evaluate`. A short window adapts sooner.
    rate : float
        The learning rate, for the loss of the model, by default a sum over the window; choose it on
        the validation text.
    decay : float
        In [0, 1]: the part of the way back to the trained parameters that each step takes.
    rms : dict of path -> array, optional
        Result of `gradient_rms` for a part of the training text; or the square roots of Adam's
        ``state["second_moment"]``, which are of the whole training.

    Examples
    --------
    >>> import numpy as np, numpylstm as nl
    >>> model, ids = nl.LanguageModel(10, 8, init_scale=0.5, rng=0), np.arange(300) % 10
    >>> round(nl.evaluate(model, ids).perplexity, 1)
    10.0
    >>> round(nl.evaluate_dynamic(model, ids, num_steps=5, rate=0.3).perplexity, 1)
    3.2
    """
    where = "evaluate_dynamic"
    learner = DynamicModel(where, model, rate, decay, rms)

    def score(x: Array, y: Array, state: State) -> Scores:
        state = learner.read(x, y, state)
        nll, predicted = learner.model.training_scores()
        learner.step()
        return nll, predicted, state

    return score_windows(where, model, ids, batch_size, num_steps, score, watch)


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
    states = StateCache(where, model, batch_size, size, theta, share)

    def score(x: Array, y: Array, state: State) -> Scores:
        logits, state, cache = network.forward(
            model.functions, model.config, model.arrays(), x, state, masks={}
        )
        return *states.scores(logits, cache["decoder"].x, y), state

    return score_windows(where, model, ids, batch_size, num_steps, score, watch)


def evaluate_dynamic_with_cache(
    model: LanguageModel,
    ids: Ids,
    batch_size: int = 1,
    num_steps: int = 35,
    *,
    rate: float,
    decay: float = 0.0,
    rms: Mapping[str, Array] | None = None,
    size: int = 500,
    theta: float = CACHE_THETA,
    share: float = CACHE_SHARE,
    watch: ProgressCallback | None = None,
) -> Evaluation:
    """Score a text with a step after each window and with a cache.

    The steps are those of `evaluate_dynamic`; their loss is that of the model without the cache.
    The cache is that of `evaluate_with_cache`; it holds each state as the model computed it when it
    read the window, and is not computed again after a step. The arguments are those of both.
    """
    where = "evaluate_dynamic_with_cache"
    learner = DynamicModel(where, model, rate, decay, rms)
    states = StateCache(where, model, batch_size, size, theta, share)

    def score(x: Array, y: Array, state: State) -> Scores:
        state = learner.read(x, y, state)
        pending = learner.model.pending
        nll, predicted = states.scores(pending["cross_entropy"].logits, pending["decoder"].x, y)
        learner.step()
        return nll, predicted, state

    return score_windows(where, model, ids, batch_size, num_steps, score, watch)


def gradient_rms(
    model: LanguageModel,
    ids: Ids,
    batch_size: int = 1,
    num_steps: int = 35,
    *,
    watch: ProgressCallback | None = None,
) -> dict[str, Array]:
    """Return the root mean square of each entry of the gradient, by path, over a text.

    That should be a part of the training text, in windows like those that `evaluate_dynamic` will
    score. The gradients are those of the loss of each window, without dropout. The arguments are as
    for `numpylstm.evaluate`.
    """
    where = "gradient_rms"
    check_language_model(where, model)
    reader = copy.deepcopy(model)
    parameters = reader.parameters()
    totals = {path: np.zeros_like(p.data) for path, p in parameters.items()}
    windows = 0

    def score(x: Array, y: Array, state: State) -> Scores:
        nonlocal windows
        for parameter in parameters.values():
            parameter.zero_grad()
        _, state = reader.forward(x, y, state, masks={})
        nll, predicted = reader.training_scores()
        reader.backward()
        for path, parameter in parameters.items():
            totals[path] += np.square(parameter.grad)
        windows += 1
        return nll, predicted, state

    result = score_windows(where, model, ids, batch_size, num_steps, score, watch)
    if not np.isfinite(result.loss):
        raise NotFinite(f"{where}: the scores of the model are not finite")
    return {path: np.sqrt(total / windows) for path, total in totals.items()}


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


# --- the parts of an adapted model ---------------------------------------------------------------


class DynamicModel:
    """A copy of a model that makes a step after each window; see `evaluate_dynamic`.

    Attributes
    ----------
    model : LanguageModel
        The copy.
    """

    def __init__(
        self,
        where: str,
        model: LanguageModel,
        rate: float,
        decay: float,
        rms: Mapping[str, Array] | None,
    ) -> None:
        check_language_model(where, model)
        check_interval(where, "rate", rate, "(0, inf)")
        check_interval(where, "decay", decay, "[0, 1]")
        self.model = copy.deepcopy(model)
        self.optimizer = SGD(self.model, rate)
        self.trained = model.arrays()
        self.divisors: dict[str, Array] = {}  # of the gradients, by path
        self.pulls: dict[str, float | Array] = {}  # towards the trained parameters, by path
        if decay:
            self.pulls = dict.fromkeys(self.optimizer.parameters, float(decay))
        if rms is not None:
            check_rms(where, rms, self.optimizer.parameters)
            total = sum(float(array.sum(dtype=np.float64)) for array in rms.values())
            mean = total / sum(array.size for array in rms.values())
            for path, array in rms.items():
                scale = array / mean
                self.divisors[path] = scale + RMS_FLOOR
                if decay:
                    self.pulls[path] = np.minimum(decay * scale, 1)

    def read(self, x: Array, y: Array, state: State) -> State:
        """Read a window; return the state after it."""
        self.optimizer.zero_grad()  # the first one is of the copied model
        _, state = self.model.forward(x, y, state, masks={})
        return state

    def step(self) -> None:
        """Make a step with the gradient of the window just read."""
        self.model.backward()
        for path, pull in self.pulls.items():
            parameter = self.optimizer.parameters[path]
            parameter.data += pull * (self.trained[path] - parameter.data)
        for path, divisor in self.divisors.items():
            self.optimizer.parameters[path].grad /= divisor
        self.optimizer.step()


def check_rms(where: str, rms: Mapping[str, Array], parameters: Mapping[str, Parameter]) -> None:
    """Raise unless `rms` holds an array for each parameter, none negative and not all zero."""
    check_kind(where, "rms", rms, Mapping, "gradient_rms returns one")
    because = "gradient_rms of the same model returns them"
    wrong = sorted(map(str, rms.keys() ^ parameters.keys()))
    if wrong:
        raise ValueError(
            f"{where}: rms must hold an array for each trainable parameter; missing or unknown: "
            f"{', '.join(wrong)}; {because}"
        )
    for path, array in rms.items():
        data = parameters[path].data
        check_array(where, f"rms of {path}", array, data.shape, data.dtype, because)
        check_finite(where, f"rms of {path}", array)
        if array.min() < 0:
            raise ValueError(f"{where}: rms of {path} must not be negative, got {array.min():g}")
    if not any(array.any() for array in rms.values()):
        raise ValueError(f"{where}: rms must not be zero everywhere")


class StateCache:
    """The last hidden states of each stream, with the tokens that followed them.

    See `evaluate_with_cache`, which has the same settings.
    """

    def __init__(
        self,
        where: str,
        model: LanguageModel,
        batch_size: int,
        size: int,
        theta: float,
        share: float,
    ) -> None:
        check_language_model(where, model)
        batch_size, size = check_sizes(where, batch_size=batch_size, size=size)
        check_interval(where, "theta", theta, "[0, inf)")
        check_interval(where, "share", share, "[0, 1)")
        config = model.config
        width = config.input_size if config.projected else config.hidden_size
        self.functions = model.functions
        self.size = size
        self.theta = theta
        self.share = share
        self.keys = np.zeros((0, batch_size, width))  # the last vectors that the decoder has read
        self.following = np.zeros((0, batch_size), np.int64)  # the tokens after them

    def scores(self, logits: Array, hs: Array, y: Array) -> tuple[Array, Array]:
        """Return the nll of the targets and the most probable ids, (T, B); remember the window.

        Parameters
        ----------
        logits : (T, B, V)
        hs : (T, B, H)
            The vectors that the decoder has read.
        y : (T, B) ids
        """
        logits = logits.astype(np.float64)
        _, criterion = self.functions.sequence_cross_entropy_forward(logits, y)
        p = softmax(logits)
        log_p = -criterion.nll
        streams = np.arange(y.shape[1])
        start = len(self.keys)
        self.keys = np.concatenate([self.keys, hs])
        self.following = np.concatenate([self.following, y])
        for t, h in enumerate(hs):
            end = start + t
            if end > 0:  # the first token of a stream has nothing before it
                before = slice(max(end - self.size, 0), end)
                cached = cache_probabilities(
                    h, self.keys[before], self.following[before], self.theta, p.shape[-1]
                )
                p[t] = (1 - self.share) * p[t] + self.share * cached
                of_target = np.log(self.share * cached[streams, y[t]])  # -inf if it is not there
                log_p[t] = np.logaddexp(np.log1p(-self.share) + log_p[t], of_target)
        self.keys = self.keys[-self.size :]
        self.following = self.following[-self.size :]
        return -log_p, p.argmax(axis=-1)


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
