"""The counting models: against slow loops, and where the answer is known."""

import math
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from numpylstm.baselines import interpolated_bigram_perplexity, unigram_perplexity

V = 11


@pytest.fixture
def texts():
    """Three texts in which neighbours depend on each other, and id 0 never occurs in training."""
    rng = np.random.default_rng(0)
    train = rng.integers(1, V, 400)
    train[1::2] = train[::2] % (V - 1) + 1  # every second token follows from the one before
    valid, test = train[100:190].copy(), train[250:370].copy()
    valid[::7] = rng.integers(0, V, len(valid[::7]))
    test[::5] = rng.integers(0, V, len(test[::5]))
    return train, valid, test


def slow_unigram(train, w):
    return (list(train).count(w) + 1) / (len(train) + V)


def slow_bigram(train, v, w, lam):
    followers = Counter(b for a, b in pairwise(train) if a == v)
    if not followers:
        return slow_unigram(train, w)
    return lam * followers[w] / followers.total() + (1 - lam) * slow_unigram(train, w)


def slow_perplexity(probabilities):
    probabilities = list(probabilities)
    return math.exp(-sum(map(math.log, probabilities)) / len(probabilities))


def slow_bigram_perplexity(train, text, lam):
    return slow_perplexity(slow_bigram(train, v, w, lam) for v, w in pairwise(text))


def test_unigram_equals_the_slow_loop(texts):
    train, _, test = texts
    expected = slow_perplexity(slow_unigram(train, w) for w in test[1:])
    assert unigram_perplexity(train, test, V) == pytest.approx(expected, rel=1e-12)


def test_bigram_equals_the_slow_loop(texts):
    train, valid, test = map(list, texts)
    perplexity, lam = interpolated_bigram_perplexity(train, valid, test, V)
    assert 0 < lam < 1
    assert perplexity == pytest.approx(slow_bigram_perplexity(train, test, lam), rel=1e-12)


def test_lambda_is_the_best_one_for_the_validation_text(texts):
    train, valid, test = map(list, texts)
    lam = interpolated_bigram_perplexity(train, valid, test, V).lam
    best = slow_bigram_perplexity(train, valid, lam)
    for other in (0.0, 0.25, 0.5, 0.75, lam - 1e-3, lam + 1e-3):
        assert best < slow_bigram_perplexity(train, valid, other)


def test_an_unpredictable_text_takes_nothing_from_the_bigram():
    # Training repeats one order, validation is the reverse of it: no bigram helps.
    train = np.tile(np.arange(V), 30)
    perplexity, lam = interpolated_bigram_perplexity(train, train[::-1], train[::-1], V)
    assert lam == pytest.approx(0, abs=1e-12)
    assert perplexity == pytest.approx(V)


def test_a_vocabulary_too_large_for_a_square_table():
    V = 2_000_000
    ids = np.array([V - 1, V - 2, V - 1, V - 2, V - 1], np.int32)  # V * V overflows int32
    assert interpolated_bigram_perplexity(ids, ids, ids, V).perplexity == pytest.approx(1)


@pytest.mark.parametrize(
    ("train", "error", "sentence"),
    [
        ([0.0, 1.0], TypeError, "train_ids must hold integers, got float64"),
        ([0, V], ValueError, rf"must lie in \[0, {V}\), got {V} at \[1\]"),
        ([0], ValueError, "train_ids must hold at least 2 tokens, got 1"),
    ],
)
def test_ids_that_do_not_fit(train, error, sentence):
    with pytest.raises(error, match=f"unigram_perplexity: .*{sentence}"):
        unigram_perplexity(train, [0, 1], V)
    with pytest.raises(error, match=f"interpolated_bigram_perplexity: .*{sentence}"):
        interpolated_bigram_perplexity(train, [0, 1], [0, 1], V)
    with pytest.raises(error, match=sentence.replace("train", "test")):
        unigram_perplexity([0, 1], train, V)


def test_a_vocabulary_that_no_array_could_hold_is_refused():
    with pytest.raises(ValueError, match="vocab_size must be at most 500,000,000"):
        interpolated_bigram_perplexity([0, 1], [0, 1], [0, 1], 2**70)
