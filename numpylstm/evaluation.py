"""Perplexity and accuracy, with the number of tokens scored.

Perplexity is ``exp(total nll / tokens scored)``. At batch size 1 every token but the first is
scored, with all tokens before it in the state, so the result depends on the model and the text but
not on the window. Larger batches are faster and leave a few tokens unscored, which are counted.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from numpylstm.baselines import check_text
from numpylstm.cells import State
from numpylstm.checks import NotFinite, check_ids, check_kind, check_sizes, check_whole
from numpylstm.data import batches
from numpylstm.models import LanguageModel, check_language_model
from numpylstm.sequence_models import SequenceClassifier, SequenceModel, SequenceRegressor

ProgressCallback = Callable[[int, int], object]
"""Progress callback, called now and then with the amount done and the total."""

Ids = NDArray[Any]
Scores = tuple[NDArray[Any], Ids, State]  # -log p of the targets, most probable ids, (T, B)


@dataclass(frozen=True)
class Evaluation:
    """Result of `evaluate`.

    Attributes
    ----------
    loss : float
        Mean -log p of the scored tokens, in nats.
    accuracy : float
        Share of the scored tokens to which the model gave the highest probability.
    tokens : int
        Tokens scored.
    unscored : int
        Other tokens: the first of each stream, and the remainder of the division into streams.
    batch_size, num_steps : int
        B and T of the windows. The state is zero at the start of each stream and carried from
        window to window.
    """

    loss: float
    accuracy: float
    tokens: int
    unscored: int
    batch_size: int
    num_steps: int

    @property
    def perplexity(self) -> float:
        """``exp(loss)``; infinite where that overflows."""
        return safe_exp(self.loss)

    @property
    def bits(self) -> float:
        """``loss / ln 2``: bits per token, which at character level are bits per character."""
        return self.loss / math.log(2)

    def __repr__(self) -> str:
        stored = ", ".join(f"{name}={value}" for name, value in asdict(self).items())
        return f"Evaluation(perplexity={self.perplexity:.6g}, {stored})"


def safe_exp(nats: float) -> float:
    """Return ``exp(nats)``, or infinity instead of an OverflowError."""
    return math.exp(nats) if nats < 709 else math.inf


def evaluate(
    model: LanguageModel,
    ids: Ids,
    batch_size: int = 1,
    num_steps: int = 35,
    *,
    watch: ProgressCallback | None = None,
) -> Evaluation:
    """Score a text with a language model.

    Parameters
    ----------
    model : LanguageModel
    ids : (N,) integers
        The text as one stream; it is cut into `batch_size` streams of equal length.
    batch_size, num_steps : int
        B and T of the windows; the last window may be shorter.
    watch : callable, optional
        Called after each window with the number of tokens scored and the total. If it raises, the
        scoring stops.

    Returns
    -------
    Evaluation
        If a token has probability 0 or the scores are not finite, scoring stops there, and the loss
        is infinite or NaN.

    Examples
    --------
    With all parameters zero every word is equally probable, and the perplexity is the size of the
    vocabulary:

    >>> import numpy as np, numpylstm as nl
    >>> model = nl.LanguageModel(10, 4, rng=0)
    >>> model.load_state_dict({k: 0 * v for k, v in model.state_dict().items()})
    >>> result = nl.evaluate(model, np.arange(100) % 10)
    >>> round(result.perplexity, 4), result.tokens
    (10.0, 99)
    """
    check_language_model("evaluate", model)
    return score_windows("evaluate", model, ids, batch_size, num_steps, model.score, watch)


@np.errstate(divide="ignore", over="ignore", invalid="ignore")  # an overflow shows in the loss
def score_windows(
    where: str,
    model: LanguageModel,
    ids: Ids,
    batch_size: int,
    num_steps: int,
    score: Callable[[Ids, Ids, State], Scores],
    watch: ProgressCallback | None,
) -> Evaluation:
    """Cut a text into windows, score one after the other and carry the state, as in `evaluate`."""
    ids = check_ids(where, "ids", ids, model.vocab_size, ("N",))
    batch_size, num_steps = check_sizes(where, batch_size=batch_size, num_steps=num_steps)
    state = model.zero_state(batch_size)
    nll_sum = 0.0
    correct = 0
    tokens = 0
    for x, y in batches(ids, batch_size, num_steps, keep_last=True):
        tokens += y.size
        try:
            nll, predicted, state = score(x, y, state)
        except NotFinite:  # a row of the embedding is not finite
            nll_sum = math.nan
            break
        nll_sum += float(nll.sum(dtype=np.float64))
        correct += int((predicted == y).sum())
        if not math.isfinite(nll_sum):
            break  # the state is not finite either
        if watch is not None:
            watch(tokens, len(ids) - len(ids) % batch_size - batch_size)
    return Evaluation(
        loss=nll_sum / tokens,
        accuracy=correct / tokens,
        tokens=tokens,
        unscored=len(ids) - tokens,
        batch_size=batch_size,
        num_steps=num_steps,
    )


@dataclass(frozen=True, eq=False)  # == of arrays is not one truth value
class ClassifierEvaluation:
    """Result of `evaluate_classifier`.

    Attributes
    ----------
    loss : float
        Mean -log p of the targets, in nats.
    accuracy : float
        Share of the predictions that are right.
    sequences : int
        Number of sequences.
    confusion : (C, C) array of int
        Counts: targets in the rows, predictions in the columns.
    """

    loss: float
    accuracy: float
    sequences: int
    confusion: NDArray[np.int64]

    @property
    def precision(self) -> NDArray[np.float64]:
        """Of each class, the share of its predictions that are right; NaN without any, (C,)."""
        return _share(self.confusion.diagonal(), self.confusion.sum(axis=0))

    @property
    def recall(self) -> NDArray[np.float64]:
        """Of each class, the share of its targets that are predicted; NaN without any, (C,)."""
        return _share(self.confusion.diagonal(), self.confusion.sum(axis=1))

    @property
    def f1(self) -> NDArray[np.float64]:
        """The harmonic mean of precision and recall of each class, (C,).

        It is NaN for a class that is neither a target nor a prediction.
        """
        both = self.confusion.sum(axis=0) + self.confusion.sum(axis=1)
        return _share(2 * self.confusion.diagonal(), both)


def _share(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return ``part / whole``, NaN where the whole is 0."""
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)


def evaluate_classifier(
    model: SequenceClassifier,
    x: NDArray[Any],
    y: Ids,
    batch_size: int = 100,
    lengths: ArrayLike | None = None,
    weights: ArrayLike | None = None,
) -> ClassifierEvaluation:
    """Score a classifier or a tagger on sequences with known targets.

    Parameters
    ----------
    model : SequenceClassifier or SequenceTagger
    x : (T, N) integers in [0, V), or (T, N, D)
        Sequences, one in a column.
    y : (N,) integers in [0, C); for a tagger (T, N)
        Their targets.
    batch_size : int
        Sequences per pass; it changes the result by rounding only.
    lengths : (N,) integers, optional
        Steps at and past the end of a sequence are neither read nor scored.
    weights : (N,), for a tagger (T, N), optional
        As in ``model.forward``: the loss is the mean by weight. Accuracy and confusion count each
        target once, if its weight is not 0.

    Returns
    -------
    ClassifierEvaluation

    Examples
    --------
    >>> import numpy as np, numpylstm as nl
    >>> model = nl.SequenceClassifier(11, 2, 6, rng=0)
    >>> ids = np.arange(12).reshape(4, 3) % 11  # (T, N)
    >>> result = nl.evaluate_classifier(model, ids, np.array([0, 1, 0]))
    >>> result.sequences, result.confusion.sum(axis=1)
    (3, array([2, 1]))
    """
    where = "evaluate_classifier"
    check_kind(where, "model", model, SequenceClassifier)
    loss, scored = _score(where, model, x, y, batch_size, lengths, weights)
    confusion = np.zeros((model.num_outputs, model.num_outputs), np.int64)
    for targets, predicted in scored:
        np.add.at(confusion, (targets, predicted), 1)
    return ClassifierEvaluation(
        loss=loss,
        accuracy=int(confusion.trace()) / max(int(confusion.sum()), 1),
        sequences=np.shape(x)[1],
        confusion=confusion,
    )


def evaluate_regressor(
    model: SequenceRegressor,
    x: NDArray[Any],
    y: NDArray[Any],
    batch_size: int = 100,
    lengths: ArrayLike | None = None,
    weights: ArrayLike | None = None,
) -> float:
    """Return the mean squared error of a regressor on sequences with known targets.

    Parameters
    ----------
    model : SequenceRegressor
    x : (T, N, D), or (T, N) integers
    y : (T, N, K), or (N, K) for one target after each sequence
    batch_size, lengths
        As for `evaluate_classifier`.
    weights : (N,) or (T, N), or the shape of y, optional
        As in ``model.forward``.
    """
    where = "evaluate_regressor"
    check_kind(where, "model", model, SequenceRegressor)
    return _score(where, model, x, y, batch_size, lengths, weights)[0]


def _score(
    where: str, model: SequenceModel, x: Any, y: Any, batch_size: int, lengths: Any, weights: Any
) -> tuple[float, list[tuple[Ids, Ids]]]:
    """Return the mean loss and, for each batch, the counted targets and their predictions."""
    [batch_size] = check_sizes(where, batch_size=batch_size)
    x, y, lengths, weights = model.check_arguments(where, x, y, lengths, weights)
    if weights is None:
        weights = np.ones(y.shape[:2], model.config.dtype)
    loss = 0.0
    total = 0.0
    scored = []
    for first in range(0, x.shape[1], batch_size):
        batch = slice(first, first + batch_size)
        targets = y[:, batch]
        weight = weights[:, batch]
        if not model.every_step:
            targets = targets[0]
            weight = weight[0]
        length = None if lengths is None else lengths[batch]
        losses, predicted = model.score(x[:, batch], targets, length, weight)
        if weight.ndim > losses.ndim:  # a weight of each of K numbers
            weight = weight.mean(axis=-1)
        if not np.isfinite(losses).all():
            raise NotFinite(f"{where}: the scores of the model are not finite")
        loss += float(losses.sum(dtype=np.float64))
        total += float(weight.sum(dtype=np.float64))
        scored.append((targets[weight > 0], predicted[weight > 0]))
    return loss / (total or 1), scored


WINDOWS = 30  # of the tutorial
WARM_UP = 5  # windows that do not count


@dataclass(frozen=True)
class TutorialResult:
    """Result of `tutorial_protocol`: the accuracy, and the number of windows it is a mean of."""

    accuracy: float
    batches: int


def tutorial_protocol(
    model: LanguageModel,
    ids: Ids,
    *,
    batch_size: int = 20,
    num_steps: int = 35,
) -> TutorialResult:
    """Measure accuracy on 30 windows of 20 x 35 tokens, without the first 5, which fill the state.

    A well-known tutorial reports it (adventuresinmachinelearning.com, 2017). These are 17,500
    tokens of the test set; `evaluate` scores all of them.

    Parameters
    ----------
    model : LanguageModel
    ids : (N,) integers
    batch_size, num_steps : int
        B and T.

    Returns
    -------
    TutorialResult

    Raises
    ------
    ValueError
        If the text is too short for that many windows.
    """
    where = "tutorial_protocol"
    check_language_model(where, model)
    batch_size, num_steps = check_sizes(where, batch_size=batch_size, num_steps=num_steps)
    ids = check_ids(where, "ids", ids, model.vocab_size, ("N",))
    needed = batch_size * (WINDOWS * num_steps + 1)
    if len(ids) < needed:
        raise ValueError(
            f"tutorial_protocol: ids must hold {WINDOWS} windows of {batch_size} x "
            f"{num_steps} tokens, {needed} in all, got {len(ids)}; the protocol is made for a "
            "test set like Penn Treebank's"
        )
    state = model.zero_state(batch_size)
    accuracies = []
    for x, y in islice(batches(ids, batch_size, num_steps), WINDOWS):
        nll, predicted, state = model.score(x, y, state)
        if not np.isfinite(nll).all():
            raise NotFinite(f"{where}: the scores of the model are not finite")
        accuracies.append((predicted == y).mean())
    return TutorialResult(float(np.mean(accuracies[WARM_UP:])), WINDOWS - WARM_UP)


def true_and_predicted(
    model: LanguageModel, ids: Ids, *, length: int = 35, start: int = 350
) -> tuple[Ids, Ids]:
    """Return a passage of a text, and the most probable token at each position.

    Parameters
    ----------
    model : LanguageModel
    ids : (N,) integers
    length : int
        Number of tokens to return; for a shorter text, all but the first.
    start : int
        Position of the token before the passage, from 0; the model first reads all tokens up to it.
        If the text is too short, the passage starts earlier.

    Returns
    -------
    targets, predicted : (length,) ids
    """
    y, _, predicted = _passage("true_and_predicted", model, ids, length, start)
    return y, predicted


def surprise(
    model: LanguageModel, ids: Ids, *, length: int | None = 35, start: int = 350
) -> tuple[Ids, NDArray[Any]]:
    """Return a passage of a text, (length,), and the -log p of its tokens in nats, (length,).

    The arguments are as for `true_and_predicted`. With ``length=None`` the passage is the whole
    text but its first token, which nothing predicts.

    Examples
    --------
    >>> import numpy as np, numpylstm as nl
    >>> model, text = nl.LanguageModel(11, 6, rng=0), np.arange(50) % 11
    >>> tokens, nats = nl.surprise(model, text, length=None)
    >>> len(tokens), bool(np.isclose(nats.mean(), nl.evaluate(model, text).loss))
    (49, True)
    """
    y, nll, _ = _passage("surprise", model, ids, length, start)
    return y, nll


def _passage(
    where: str, model: LanguageModel, ids: Ids, length: int | None, start: int
) -> tuple[Ids, NDArray[Any], Ids]:
    check_language_model(where, model)
    ids = check_text(where, "ids", ids, model.vocab_size)
    if length is None:
        length = len(ids) - 1
        start = 0
    [length] = check_sizes(where, length=length)
    length = min(length, len(ids) - 1)
    start = min(check_whole(where, "start", start, 0), len(ids) - 1 - length)
    end = start + length
    x = ids[:end, None]
    y = ids[1 : end + 1, None]
    nll, predicted, _ = model.score(x, y, model.zero_state(1))
    return y[start:, 0].copy(), nll[start:, 0], predicted[start:, 0]
