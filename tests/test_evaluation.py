"""Evaluation: perplexity does not depend on the window, and every token is accounted for."""

import math

import numpy as np
import pytest
from support.bad_calls import assert_refused, bad_call
from support.small import IDS, X, Y, small_classifier, small_model

import numpylstm as nl
from numpylstm import evaluation

V = 13


@pytest.fixture(params=["lstm", "rnn", "gru"])
def model(request):
    return nl.LanguageModel(
        V, 6, 2, cell=request.param, dropout=0.3, dtype="float64", init_scale=0.8, rng=0
    )


@pytest.fixture
def ids(rng):
    return rng.integers(0, V, 212).astype(np.int32)


def test_the_window_does_not_matter(model, ids):
    """At batch 1 with the state carried; dropout is off."""
    one, more, all_at_once = (nl.evaluate(model, ids, num_steps=T) for T in (1, 35, 211))
    assert one.perplexity == pytest.approx(more.perplexity, rel=1e-9)
    assert one.perplexity == pytest.approx(all_at_once.perplexity, rel=1e-9)
    assert one.accuracy == more.accuracy == all_at_once.accuracy
    assert more == nl.evaluate(model, ids)


@pytest.mark.parametrize(
    ("batch_size", "num_steps", "tokens"),
    [(1, 35, 211), (1, 300, 211), (4, 10, 4 * 52), (5, 7, 5 * 41)],
)
def test_every_token_is_scored_or_counted_as_not(model, ids, batch_size, num_steps, tokens):
    seen = []
    result = nl.evaluate(model, ids, batch_size, num_steps, watch=lambda *done: seen.append(done))
    assert (result.tokens, seen[-1]) == (tokens, (tokens, tokens))
    assert result.tokens + result.unscored == len(ids)
    assert (result.batch_size, result.num_steps) == (batch_size, num_steps)


def test_integers_of_any_type_are_taken(model, ids):
    usual = nl.evaluate(model, ids, 2, 7)
    assert nl.evaluate(model, ids, np.int8(2), np.int8(7)) == usual
    assert nl.evaluate(model, ids.tolist(), 2, 7) == usual
    backwards = ids.astype("uint16")[::-1]
    backwards.setflags(write=False)
    assert nl.evaluate(model, backwards) == nl.evaluate(model, ids[::-1].copy())
    lists = nl.true_and_predicted(model, ids.tolist())
    np.testing.assert_array_equal(lists, nl.true_and_predicted(model, ids))


def test_the_loss_is_the_mean_over_the_tokens(model, ids):
    """Compared with the formula of the textbook over one long pass."""
    logits, _ = model.logits(ids[:-1, None], model.zero_state(1))
    log_p = logits[:, 0] - np.log(np.exp(logits[:, 0]).sum(axis=-1, keepdims=True))
    nll = -log_p[np.arange(len(ids) - 1), ids[1:]]
    result = nl.evaluate(model, ids, num_steps=16)
    assert result.loss == pytest.approx(nll.mean(), rel=1e-12)
    assert result.bits == pytest.approx(np.log2(result.perplexity), rel=1e-12)
    assert result.accuracy == np.mean(log_p.argmax(axis=-1) == ids[1:])


def test_the_first_figure_that_is_shown_is_the_perplexity():
    result = evaluation.Evaluation(0.0, 0.25, 39, 1, 2, 35)
    assert repr(result) == (
        "Evaluation(perplexity=1, loss=0.0, accuracy=0.25, tokens=39, unscored=1, batch_size=2, "
        "num_steps=35)"
    )
    assert evaluation.safe_exp(math.nextafter(709, 0)) < math.inf == evaluation.safe_exp(709)


def test_tutorial_protocol_is_the_mean_over_the_windows_after_the_warm_up(model, ids):
    result = nl.tutorial_protocol(model, ids[:182], batch_size=2, num_steps=3)
    streams = ids[:182].reshape(2, 91)
    state, accuracies = model.zero_state(2), []
    for window in range(30):
        x = streams[:, 3 * window : 3 * window + 3].T
        y = streams[:, 3 * window + 1 : 3 * window + 4].T
        _, predicted, state = model.score(x, y, state)
        accuracies.append((predicted == y).mean())
    assert result.accuracy == pytest.approx(np.mean(accuracies[5:]), rel=1e-12)
    assert result.batches == 25
    with pytest.raises(ValueError, match="182 in all, got 181"):
        nl.tutorial_protocol(model, ids[:181], batch_size=2, num_steps=3)


def test_the_defaults_are_those_of_the_tutorial(rng):
    model, ids = nl.LanguageModel(V, 6, rng=0), rng.integers(0, V, 20 * (30 * 35 + 1))
    assert nl.tutorial_protocol(model, ids) == nl.tutorial_protocol(
        model, ids, batch_size=20, num_steps=35
    )
    for passage in (nl.true_and_predicted, nl.surprise):
        np.testing.assert_array_equal(passage(model, ids)[0], ids[351:386])


def test_true_and_predicted_words(model, ids):
    targets, predicted = nl.true_and_predicted(model, ids, length=35, start=100)
    np.testing.assert_array_equal(targets, ids[101:136])
    logits, _ = model.logits(ids[:135, None], model.zero_state(1))
    np.testing.assert_array_equal(predicted, logits[100:, 0].argmax(axis=-1))
    short, _ = nl.true_and_predicted(model, ids[:4])
    np.testing.assert_array_equal(short, ids[1:4])


def test_surprise_is_the_nll_of_each_token_of_a_passage(model, ids):
    targets, nll = nl.surprise(model, ids, length=20, start=100)
    np.testing.assert_array_equal(targets, ids[101:121])
    np.testing.assert_array_equal(
        targets, nl.true_and_predicted(model, ids, length=20, start=100)[0]
    )
    whole = nl.surprise(model, ids, length=len(ids), start=0)[1]
    assert nll == pytest.approx(whole[100:120], rel=1e-12)
    assert whole.mean() == pytest.approx(nl.evaluate(model, ids).loss, rel=1e-12)


def test_the_tutorials_protocol_refuses_a_model_that_has_exploded():
    model = nl.LanguageModel(5, 4, rng=0)
    for path, parameter in model.parameters().items():
        if path != "embedding.W":
            parameter.data[...] = 3e38
    ids = np.arange(2000) % 5
    with pytest.raises(ValueError, match="the scores of the model are not finite"):
        nl.tutorial_protocol(model, ids, batch_size=2, num_steps=5)


def test_the_loss_of_a_model_whose_table_is_no_longer_finite_is_no_number():
    model = nl.LanguageModel(5, 4, rng=0)
    model.embedding.W.data[3] = np.nan
    result = nl.evaluate(model, np.arange(20) % 5)
    assert np.isnan(result.loss)
    assert result.perplexity == np.inf
    assert result.accuracy == 0


def test_a_classifier_whose_scores_are_no_numbers_has_no_accuracy():
    model = nl.SequenceClassifier(11, 2, 6, rng=0)
    model.parameters()["decoder.b"].data[0] = np.nan
    x, y = np.zeros((4, 3), int), np.zeros(3, int)
    with pytest.raises(
        ValueError, match="evaluate_classifier: the scores of the model are not fin"
    ):
        nl.evaluate_classifier(model, x, y)


@pytest.mark.parametrize(
    ("call", "says", "error"),
    [
        bad_call(
            lambda: nl.evaluate_classifier(small_classifier(), X, Y[0] + 11),
            "y must lie in [0, 2), got",
        ),
        bad_call(lambda: nl.evaluate(small_model(), IDS[:1]), "need at least 2 tokens, got 1"),
        bad_call(
            lambda: nl.evaluate(small_classifier(), IDS),
            "model must be a LanguageModel, got Seq",
            TypeError,
        ),
        bad_call(lambda: nl.evaluate(small_model(), IDS + 11), "evaluate: ids must lie in [0, 11)"),
        bad_call(
            lambda: nl.evaluate(small_model(), IDS.astype(float)),
            "evaluate: ids must hold integers",
            TypeError,
        ),
        bad_call(
            lambda: nl.evaluate_classifier(small_model(), IDS[:, None], IDS[:1]),
            "model must be a SequenceClassifier, got Lang",
            TypeError,
        ),
        bad_call(
            lambda: nl.evaluate(small_model(), IDS, batch_size=0),
            "batch_size must be at least 1, got 0",
        ),
        bad_call(
            lambda: nl.evaluate(small_model(), IDS, num_steps=2.5),
            "num_steps must be a whole number",
            TypeError,
        ),
        bad_call(
            lambda: nl.surprise(small_model(), IDS, start=-1),
            "surprise: start must be at least 0, got -1",
        ),
        bad_call(
            lambda: nl.tutorial_protocol(small_model(), IDS),
            "ids must hold 30 windows of 20 x 35 tokens",
        ),
    ],
)
def test_a_bad_call_gets_one_sentence(call, says, error):
    assert_refused(call, says, error)


def test_precision_recall_and_f1():
    """A class without predictions has no precision, one that never occurs has nothing."""
    confusion = np.array([[3, 1, 0, 0], [2, 4, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]])
    found = nl.evaluation.ClassifierEvaluation(0.5, 0.6, 11, confusion)
    np.testing.assert_allclose(found.precision, [3 / 6, 4 / 5, np.nan, np.nan])
    np.testing.assert_allclose(found.recall, [3 / 4, 4 / 6, 0, np.nan])
    both = 2 * 0.5 * 0.75 / 1.25, 2 * 0.8 * (4 / 6) / (0.8 + 4 / 6)
    np.testing.assert_allclose(found.f1, [*both, 0, np.nan])


def test_the_surprise_of_a_whole_text(rng):
    model = nl.LanguageModel(11, 6, init_scale=0.5, dtype="float64", rng=0)
    ids = rng.integers(0, 11, 500)
    tokens, nats = nl.surprise(model, ids, length=None)
    np.testing.assert_array_equal(tokens, ids[1:])
    assert nats.mean() == pytest.approx(nl.evaluate(model, ids).loss, rel=1e-12)
