"""What a language model must beat: perplexities of models that only count.

Both baselines score every token of the test text but the first, as `numpylstm.evaluate` does, so
their perplexities and a network's compare directly.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from numpylstm.checks import any_array, check_ids, check_sizes

__all__ = ["BigramResult", "interpolated_bigram_perplexity", "unigram_perplexity"]

_HALVINGS = 50  # lambda to 1e-15


class BigramResult(NamedTuple):
    """What `interpolated_bigram_perplexity` returns."""

    perplexity: float
    """Perplexity on the test text."""
    lam: float
    """Lambda, the weight of the bigram, between 0 and 1."""


def unigram_perplexity(train_ids: ArrayLike, test_ids: ArrayLike, vocab_size: int) -> float:
    """Return the perplexity of a model that knows only how frequent each token is.

    With add-one smoothing, ``P(w) = (count(w) + 1) / (N + V)``, so that no token is impossible.

    Parameters
    ----------
    train_ids : (N,) array_like of int
        The text that is counted.
    test_ids : (M,) array_like of int
        The text that is scored, at least two tokens; the first one is not scored.
    vocab_size : int
        V; ids are below it.

    Returns
    -------
    float
        ``exp(-mean(log P(w)))`` over the scored tokens.

    Raises
    ------
    TypeError, ValueError
        If ids are not integers, not below `vocab_size`, or not one sequence of two or more.
    """
    where = "unigram_perplexity"
    check_sizes(where, vocab_size=vocab_size)
    train = _sequence(where, "train_ids", train_ids, vocab_size)
    test = _sequence(where, "test_ids", test_ids, vocab_size)
    return _perplexity(_unigram(train, vocab_size)[test[1:]])


def interpolated_bigram_perplexity(
    train_ids: ArrayLike, valid_ids: ArrayLike, test_ids: ArrayLike, vocab_size: int
) -> BigramResult:
    """Return the perplexity of a model that knows only which token follows which.

    ``P(w|v) = lambda * count(v, w) / count(v) + (1 - lambda) * P(w)``, with the unigram model of
    `unigram_perplexity` for ``P(w)``. Lambda is the weight most likely on the validation text;
    that likelihood is concave in lambda, so halving an interval by the sign of its slope finds
    the one maximum. After a v that training never continued, ``P(w|v) = P(w)``.

    Parameters
    ----------
    train_ids, valid_ids, test_ids : (N,) array_like of int
        The texts that are counted, that choose lambda, and that are scored; at least two tokens
        each. The first token of a text is not scored.
    vocab_size : int
        V; ids are below it. No V x V table is made.

    Returns
    -------
    BigramResult
        ``(perplexity, lam)``.

    Raises
    ------
    TypeError, ValueError
        If ids are not integers, not below `vocab_size`, or not one sequence of two or more.

    References
    ----------
    F. Jelinek and R. L. Mercer, "Interpolated estimation of Markov source parameters from sparse
    data", in Pattern Recognition in Practice, North-Holland, 1980, pp. 381-397.
    """
    where = "interpolated_bigram_perplexity"
    check_sizes(where, vocab_size=vocab_size)
    train = _sequence(where, "train_ids", train_ids, vocab_size)
    valid = _sequence(where, "valid_ids", valid_ids, vocab_size)
    test = _sequence(where, "test_ids", test_ids, vocab_size)
    p = _unigram(train, vocab_size)
    contexts = np.bincount(train[:-1], minlength=vocab_size)
    pairs, counts = np.unique(_pairs(train, vocab_size), return_counts=True)

    def both(ids: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the bigram's and the unigram's probability of every token but the first."""
        unigram = p[ids[1:]]
        wanted = _pairs(ids, vocab_size)
        place = np.minimum(np.searchsorted(pairs, wanted), len(pairs) - 1)
        joint = np.where(pairs[place] == wanted, counts[place], 0)
        context = contexts[ids[:-1]]
        return np.where(context > 0, joint / np.maximum(context, 1), unigram), unigram

    bigram, unigram = both(valid)
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        lam = (low + high) / 2
        slope = np.sum((bigram - unigram) / (lam * bigram + (1 - lam) * unigram))
        low, high = (lam, high) if slope > 0 else (low, lam)
    lam = (low + high) / 2

    bigram, unigram = both(test)
    return BigramResult(_perplexity(lam * bigram + (1 - lam) * unigram), lam)


def _sequence(where: str, name: str, ids: ArrayLike, size: int) -> NDArray[np.int64]:
    array = check_ids(where, name, any_array(where, name, ids), size)
    if array.ndim != 1 or len(array) < 2:
        raise ValueError(
            f"{where}: {name} must have shape (N,) with N at least 2, got {array.shape}; "
            f"the first token is not scored"
        )
    return array


def _unigram(ids: NDArray[np.int64], vocab_size: int) -> NDArray[np.float64]:
    p: NDArray[np.float64] = (np.bincount(ids, minlength=vocab_size) + 1) / (len(ids) + vocab_size)
    return p


def _pairs(ids: NDArray[np.int64], vocab_size: int) -> NDArray[np.int64]:
    # One number for each pair of neighbours; int64 holds it up to V = 3 * 10**9.
    return ids[:-1] * vocab_size + ids[1:]


def _perplexity(probabilities: NDArray[Any]) -> float:
    return float(np.exp(-np.mean(np.log(probabilities))))
