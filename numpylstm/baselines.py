"""Baselines of a language model: unigram and bigram counts.

They score every token but the first, as `numpylstm.evaluate` does with one stream, so their
perplexities can be compared directly with a network's.
"""

from enum import Enum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from numpylstm.checks import check_ids, check_sizes


class Baseline(Enum):
    """The baselines of a run; the values are their names in ``result.json``."""

    UNIGRAM = "unigram"
    INTERPOLATED_BIGRAM = "interpolated bigram"


class BigramResult(NamedTuple):
    """Perplexity of the test text, and lambda, the weight of the bigram."""

    perplexity: float
    lam: float


def unigram_perplexity(train_ids: ArrayLike, test_ids: ArrayLike, vocab_size: int) -> float:
    """Return the perplexity of a model that uses only the frequency of each token.

    With add-one smoothing, ``P(w) = (count(w) + 1) / (N + V)``, so that no token is impossible.

    Parameters
    ----------
    train_ids : (N,) array_like of int
        The text to count.
    test_ids : (M,) array_like of int
        The text to score, at least two tokens; the first one is not scored.
    vocab_size : int
        V; ids are below it.

    Returns
    -------
    float
        ``exp(-mean(log P(w)))`` over the scored tokens.
    """
    where = "unigram_perplexity"
    [V] = check_sizes(where, vocab_size=vocab_size)
    train = check_text(where, "train_ids", train_ids, V)
    test = check_text(where, "test_ids", test_ids, V)
    return _perplexity(_unigram(train, V)[test[1:]])


def interpolated_bigram_perplexity(
    train_ids: ArrayLike, valid_ids: ArrayLike, test_ids: ArrayLike, vocab_size: int
) -> BigramResult:
    """Return the perplexity of a bigram model interpolated with a unigram model.

    ``P(w|v) = lambda * count(v, w) / count(v) + (1 - lambda) * P(w)``, with the unigram model of
    `unigram_perplexity` for ``P(w)``. Lambda maximises the likelihood of the validation text,
    which is concave in lambda, so bisection on the sign of its slope finds the maximum. If nothing
    follows v in the training text, ``P(w|v) = P(w)``.

    Parameters
    ----------
    train_ids, valid_ids, test_ids : (N,) array_like of int
        The texts to count, to choose lambda on, and to score; at least two tokens each. The first
        token of a text is not scored.
    vocab_size : int
        V; ids are below it. No V x V table is made.

    References
    ----------
    F. Jelinek and R. L. Mercer, "Interpolated estimation of Markov source parameters from sparse
    data", in Pattern Recognition in Practice, North-Holland, 1980, pp. 381-397.
    """
    where = "interpolated_bigram_perplexity"
    [V] = check_sizes(where, vocab_size=vocab_size)
    train = check_text(where, "train_ids", train_ids, V)
    valid = check_text(where, "valid_ids", valid_ids, V)
    test = check_text(where, "test_ids", test_ids, V)
    p = _unigram(train, V)
    contexts = np.bincount(train[:-1], minlength=V)
    # One number for each pair of neighbours; int64 holds it up to V = 3 * 10**9.
    pairs, counts = np.unique(train[:-1] * V + train[1:], return_counts=True)

    def both(ids: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the bigram's and the unigram's probability of every token but the first."""
        unigram = p[ids[1:]]
        wanted = ids[:-1] * V + ids[1:]
        place = np.minimum(np.searchsorted(pairs, wanted), len(pairs) - 1)
        joint = np.where(pairs[place] == wanted, counts[place], 0)
        context = contexts[ids[:-1]]
        return np.where(context > 0, joint / np.maximum(context, 1), unigram), unigram

    bigram, unigram = both(valid)
    low, high = 0.0, 1.0
    for _ in range(50):  # lambda to 1e-15
        lam = (low + high) / 2
        slope = np.sum((bigram - unigram) / (lam * bigram + (1 - lam) * unigram))
        low, high = (lam, high) if slope > 0 else (low, lam)
    lam = (low + high) / 2

    bigram, unigram = both(test)
    return BigramResult(_perplexity(lam * bigram + (1 - lam) * unigram), lam)


def check_text(where: str, name: str, ids: ArrayLike, vocab_size: int) -> NDArray[np.int64]:
    """Return a text to score, (N,) ids below V, at least two; the first one is not scored."""
    array = check_ids(where, name, ids, vocab_size, ("N",))
    if len(array) < 2:
        raise ValueError(
            f"{where}: {name} must hold at least 2 tokens, got 1; the first is not scored"
        )
    return array


def _unigram(ids: NDArray[np.int64], vocab_size: int) -> NDArray[np.float64]:
    p: NDArray[np.float64] = (np.bincount(ids, minlength=vocab_size) + 1) / (len(ids) + vocab_size)
    return p


def _perplexity(probabilities: NDArray[Any]) -> float:
    return float(np.exp(-np.mean(np.log(probabilities))))
