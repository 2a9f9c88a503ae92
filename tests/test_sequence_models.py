"""Models of whole sequences: gradients, padding, both directions, sentences of bad calls."""

import numpy as np
import pytest
from conftest import B, D, H, L, T, V
from support.bad_calls import assert_refused, bad_call
from support.gradients import check_gradients
from support.plain_pass import plain_pass
from support.sequence_models import SEQUENCE_MODELS, C, make_sequence_model, sequence_data
from support.small import (
    LABELS,
    VECTORS,
    X,
    Y,
    small_classifier,
    small_regressor,
    small_rnn,
    small_tagger,
)

import numpylstm as nl

LENGTHS = np.array([3, 0, 5])
EVERY = pytest.mark.parametrize("kind", SEQUENCE_MODELS)
BOTH_WAYS = pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "both"])
INPUTS = pytest.mark.parametrize("inputs", ["ids", "vectors"])


def spoil(array, lengths):
    """Return a copy with nonsense past the ends: NaN, or an id that is none."""
    array = array.copy()
    array[np.arange(T)[:, None] >= lengths] = np.nan if array.dtype.kind == "f" else -100
    return array


def loss_and_gradients(model, x, y, lengths=None):
    for p in model.parameters().values():
        p.zero_grad()
    loss = model.forward(x, y, lengths=lengths)
    model.backward()
    return loss, {path: p.grad for path, p in model.parameters().items()}


# --- gradients -----------------------------------------------------------------------------------


@EVERY
@BOTH_WAYS
@INPUTS
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["all", "padded"])
def test_gradients(rng, kind, inputs, bidirectional, lengths):
    dropping = {"dropout": 0.3, "dropout_locked": bidirectional, "dropout_weights": 0.2}
    model = make_sequence_model(kind, inputs, bidirectional=bidirectional, num_layers=3, **dropping)
    x, y = sequence_data(rng, kind, inputs)
    check_gradients(model, lambda m: m.forward(x, y, lengths=lengths))


@EVERY
@pytest.mark.parametrize("cell", ["lstm", "rnn", "gru"])
@pytest.mark.parametrize("impl", ["fast", "reference"])
def test_gradients_of_every_cell(rng, kind, cell, impl):
    dropping = {"dropout": 0.3, "dropout_locked": True, "dropout_weights": 0.3}
    model = make_sequence_model(
        kind, cell=cell, embedding_size=D, impl=impl, dropout_words=0.2, **dropping
    )
    x, y = sequence_data(rng, kind)
    check_gradients(model, lambda m: m.forward(x, y, lengths=LENGTHS))


# --- padding -------------------------------------------------------------------------------------


@EVERY
@BOTH_WAYS
@INPUTS
def test_a_padded_batch_is_each_sequence_alone(rng, kind, inputs, bidirectional):
    """The loss, the predictions and every gradient, with nonsense past the ends."""
    model = make_sequence_model(kind, inputs, bidirectional=bidirectional)
    x, y = sequence_data(rng, kind, inputs)
    lengths = np.array([3, 1, 5])
    padded = spoil(x, lengths), spoil(y, lengths) if model.every_step else y
    loss, gradients = loss_and_gradients(model, *padded, lengths)
    predicted, (losses, _) = model.predict(padded[0], lengths), model.score(*padded, lengths)

    sums, alone = 0.0, dict.fromkeys(gradients, 0)
    targets = lengths if model.every_step else np.ones(B, int)
    for b, length in enumerate(lengths):
        own = np.s_[:length, [b]] if model.every_step else [b]
        one, share = (x[:length, [b]], y[own]), targets[b] / targets.sum()
        np.testing.assert_allclose(predicted[own], model.predict(one[0]), atol=1e-12)
        np.testing.assert_allclose(losses[own], model.score(*one)[0], rtol=1e-12)
        loss_of_one, gradients_of_one = loss_and_gradients(model, *one)
        sums += share * loss_of_one
        alone = {path: alone[path] + share * g for path, g in gradients_of_one.items()}
    assert loss == pytest.approx(sums, rel=1e-12)
    for path, gradient in gradients.items():
        scale = np.abs(gradient).max()
        np.testing.assert_allclose(gradient, alone[path], rtol=0, atol=1e-12 * scale, err_msg=path)


def test_an_output_comes_from_the_final_states_of_both_directions(rng):
    model = make_sequence_model("last regressor", "vectors", bidirectional=True)
    x, _ = sequence_data(rng, "last regressor", "vectors")
    start = model.zero_state(B)
    _, states = plain_pass(model.config, model.state_dict(), x, start, {}, LENGTHS)
    ends = np.concatenate([h[-1] for h, *_ in states], axis=-1)
    want = ends @ model.parameters()["decoder.W"].data + model.parameters()["decoder.b"].data
    np.testing.assert_allclose(model.predict(x, LENGTHS), want, rtol=1e-12)


def test_an_output_after_nothing(rng):
    """A sequence of length 0 ends in the initial state, and the output is the bias."""
    model = make_sequence_model("last regressor", "vectors", bidirectional=True)
    x = np.full((T, B, D), np.nan)
    output = model.predict(x, np.zeros(B, int))
    np.testing.assert_array_equal(output, np.tile(model.parameters()["decoder.b"].data, (B, 1)))


# --- two directions ------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_the_backward_stack_reads_from_the_end(rng, cell):
    """The padding, NaN here, is not read; that each sequence is read alone is tested above."""
    both = nl.Bidirectional(cell, D, H, L, dtype="float64", init_scale=0.8, rng=0)
    x = rng.standard_normal((T, B, D))
    hs, (after, before) = both.forward(x)
    ahead, at_end = both.ahead.forward(x, training=False)
    back, at_start = both.back.forward(x[::-1], training=False)
    np.testing.assert_array_equal(hs, np.concatenate([ahead, back[::-1]], axis=-1))
    np.testing.assert_array_equal((after.h, before.h), (at_end.h, at_start.h))
    padded, _ = both.forward(spoil(x, LENGTHS), lengths=LENGTHS)
    assert not padded[np.arange(T)[:, None] >= LENGTHS].any()


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["all", "padded"])
def test_gradients_of_both_directions(rng, lengths):
    """Of the input and of both initial states; those of the parameters are checked in models."""
    both = nl.Bidirectional("gru", D, H, L, dtype="float64", init_scale=0.8, rng=0, name="low")
    assert list(both.parameters())[::8] == ["low.forward.0.Wx", "low.backward.0.Wx"]
    arrays = {"x": rng.standard_normal((T, B, D))}
    arrays |= {h0: rng.standard_normal((L, B, H)) for h0 in ("first", "second")}
    dhs = rng.standard_normal((T, B, 2 * H))
    dstate = tuple(nl.RNNState(rng.standard_normal((L, B, H))) for _ in range(2))

    def loss(a):
        state = nl.RNNState(a["first"]), nl.RNNState(a["second"])
        hs, after = both.forward(a["x"], state, lengths=lengths)
        return (dhs * hs).sum() + sum((d.h * s.h).sum() for d, s in zip(dstate, after, strict=True))

    loss(arrays)
    dx, (first, second) = both.backward(dhs, dstate)
    gradients = {"x": dx, "first": first.h, "second": second.h}
    report = nl.gradcheck.check(loss, arrays, gradients, method="central")
    assert report.passed, f"\n{report}"


# --- weights -------------------------------------------------------------------------------------


@EVERY
@BOTH_WAYS
def test_weights(rng, kind, bidirectional):
    """A loss is the mean by weight; a target of weight 0 is not read; with every gradient."""
    model = make_sequence_model(kind, bidirectional=bidirectional)
    x, y = sequence_data(rng, kind)
    weights = rng.random((T, B) if model.every_step else B)
    weights[..., 1] = 0
    losses, _ = model.score(x, y)
    missing = y.copy()
    missing[weights == 0] = np.nan if "regressor" in kind else -100
    loss = lambda m: m.forward(x, missing, weights=weights)  # noqa: E731
    assert loss(model) == pytest.approx((weights * losses).sum() / weights.sum(), rel=1e-12)
    check_gradients(model, loss)
    np.testing.assert_allclose(model.score(x, missing, weights=weights)[0], weights * losses)
    there = weights > 0
    assert model.forward(x, missing, weights=there) == pytest.approx(losses[there].mean())
    evaluate = nl.evaluate_regressor if "regressor" in kind else nl.evaluate_classifier
    result = evaluate(model, x, missing, 2, weights=weights)
    of_all = result if "regressor" in kind else result.loss
    assert of_all == pytest.approx(loss(model), rel=1e-12)
    if "regressor" not in kind:
        assert result.confusion.sum() == there.sum()
    if model.every_step:
        inside = weights * (np.arange(T)[:, None] < LENGTHS)
        want = model.forward(x, y, weights=inside)
        if not bidirectional:
            assert model.forward(x, missing, lengths=[*LENGTHS], weights=weights) == want


# --- streams -------------------------------------------------------------------------------------


@EVERY
@INPUTS
@pytest.mark.parametrize("cell", ["lstm", "gru", "slstm"])
def test_a_stream_gives_the_outputs_of_the_sequence(rng, kind, inputs, cell):
    model = make_sequence_model(kind, inputs, cell=cell)
    x, _ = sequence_data(rng, kind, inputs)
    state, parts = model.zero_state(B), []
    for piece in np.split(x, [1, 2, 4]):
        outputs, state = model.advance(piece, state)
        parts.append(outputs)
    got = np.concatenate(parts) if model.every_step else parts[-1]
    if "regressor" in kind:
        want = model.predict(x)
    else:
        got, want = nl.functional.softmax(got), model.probabilities(x)
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-12)


# --- results -------------------------------------------------------------------------------------


@EVERY
@INPUTS
def test_evaluation(rng, kind, inputs):
    """Against the losses and predictions of the textbook, whatever the size of the batches."""
    model = make_sequence_model(kind, inputs, dropout=0.4)
    twin = make_sequence_model(kind, inputs, impl="reference")
    twin.load_state_dict(model.state_dict())
    x, y = sequence_data(rng, kind, inputs, B=7)
    lengths = np.array([3, 0, 5, 1, 2, 5, 4])
    evaluate = nl.evaluate_regressor if "regressor" in kind else nl.evaluate_classifier
    for ends in (None, lengths, lengths // 5 * [1, 1, 1, 0, 1, 0, 1]):
        loss, predicted = twin.forward(x, y, False, ends), twin.predict(x, ends)
        inside = np.ones(predicted.shape[: 2 if model.every_step else 1], bool)
        if ends is not None and model.every_step:
            inside = np.arange(T)[:, None] < ends
        for batch_size in (1, 3, 100):
            result = evaluate(model, x, y, batch_size, ends)
            of_all = result if "regressor" in kind else result.loss
            assert of_all == pytest.approx(loss, rel=1e-12)
            if "regressor" not in kind:
                confusion = np.zeros((C, C), int)
                for target, prediction in zip(y[inside], predicted[inside], strict=True):
                    confusion[target, prediction] += 1
                np.testing.assert_array_equal(result.confusion, confusion)
                assert result.accuracy == (predicted == y)[inside].mean()
                assert result.sequences == 7


@pytest.mark.parametrize("kind", ["classifier", "tagger"])
def test_probabilities(rng, kind):
    model = make_sequence_model(kind)
    x, y = sequence_data(rng, kind)
    p, (nll, predicted) = model.probabilities(x), model.score(x, y)
    np.testing.assert_allclose(p.sum(axis=-1), 1, rtol=1e-14)
    np.testing.assert_allclose(
        np.take_along_axis(p, y[..., None], -1)[..., 0], np.exp(-nll), rtol=1e-12
    )
    np.testing.assert_array_equal(p.argmax(axis=-1), predicted)
    np.testing.assert_array_equal(model.predict(x), predicted)


@EVERY
def test_an_output_that_is_no_number_is_refused(rng, kind):
    """The largest of scores that are NaN would be the first class."""
    model = make_sequence_model(kind)
    model.parameters()["decoder.W"].data[...] = np.nan
    with pytest.raises(ValueError, match=r"predict: the output must be finite, got nan at \[0, 0"):
        model.predict(sequence_data(rng, kind)[0])


# --- bad calls ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "says", "error"),
    [
        bad_call(lambda: nl.SequenceClassifier(11, 0, 4), "num_classes must be at least 1, got 0"),
        bad_call(
            lambda: nl.SequenceTagger(None, 2, 4, input_size=6, dropout_words=0.1),
            "dropout_words must be 0 with vectors",
        ),
        bad_call(
            lambda: nl.SequenceClassifier(11, num_hidden=3),
            "unexpected keyword argument 'num_hidden'",
            TypeError,
        ),
        bad_call(
            lambda: nl.Bidirectional("rnn", 6, 4).forward(VECTORS, small_rnn().zero_state(3)),
            "state must be a pair of states, got RNNState; one for each direction",
            TypeError,
        ),
        bad_call(
            lambda: nl.SequenceTagger(11, 2, 4, bidirectional=True).advance(X),
            "SequenceTagger.advance: model must have one direction, got two",
        ),
        bad_call(
            lambda: small_classifier().forward(X, Y[0, :2] * 0), "y must have shape (3,), got (2,)"
        ),
        bad_call(
            lambda: small_classifier().forward(np.eye(11)[X], LABELS),
            "the ids of one-hot vectors are x.argmax(axis",
        ),
        bad_call(
            lambda: small_classifier().forward(X.T, LABELS),
            "the x of batch-first data is x.swapaxes(0, 1)",
        ),
        bad_call(
            lambda: small_classifier().forward(X, np.eye(2)[LABELS]),
            "the ids of one-hot targets are y.argmax(axis",
        ),
        bad_call(
            lambda: small_classifier().forward(X, LABELS, lengths=X > 3),
            "of a mask (T, B) are mask.sum(axis=0) if the padding is at the end",
            TypeError,
        ),
        bad_call(
            lambda: small_classifier().predict(X, [5, 3, 2.0]),
            "lengths must hold integers, got float",
            TypeError,
        ),
        bad_call(
            lambda: small_classifier().predict(X.T, LABELS),
            "lengths must have shape (5,), got (3,); one for each sequence; time comes first",
        ),
        bad_call(
            lambda: small_classifier().forward(X, LABELS, LABELS),
            "Classifier.forward: training must be True or False, got array([0, 1, 1]); "
            "pass lengths or weights by name",
            TypeError,
        ),
        bad_call(
            lambda: small_classifier().forward(X, LABELS + 1),
            "y must lie in [0, 2), got 2 at [1]; ids and table",
        ),
        bad_call(
            lambda: small_classifier().predict(X[:, 0]),
            "x must have shape (T, B), got (5,); time comes first",
        ),
        bad_call(
            lambda: small_tagger().forward(X, -100 + 0 * Y),
            "y must lie in [0, 2), got -100 at [0, 0]; padding takes",
        ),
        bad_call(
            lambda: small_tagger().forward(X, LABELS),
            "SequenceClassifier takes a target for each sequence",
        ),
        bad_call(
            lambda: small_regressor().forward(VECTORS[..., 0], VECTORS[..., :2]),
            "one number at each step is x[..., None]",
        ),
        bad_call(
            lambda: small_regressor().forward(VECTORS[:, 0], VECTORS[:, 0, :2]),
            "got (5, 6); a single sequence is x[:, None]",
        ),
        bad_call(
            lambda: small_regressor().forward(VECTORS, VECTORS[:, :, 0]),
            "y must have shape (5, 3, 2), got (5, 3); a target at each",
        ),
        bad_call(
            lambda: small_regressor().forward(VECTORS, VECTORS[-1, :, :2]),
            "every_step=False takes a target for each seq",
        ),
        bad_call(
            lambda: small_regressor().forward(VECTORS, np.nan * VECTORS[..., :2]),
            "r.forward: y must be finite, got nan at [0, 0, 0]",
        ),
        bad_call(
            lambda: small_regressor().forward(VECTORS, VECTORS[..., :2].astype(float)),
            "y must have dtype float32, got",
            TypeError,
        ),
        bad_call(
            lambda: small_tagger().forward(X, Y, weights=np.ones(3, "f4")),
            "weights must have shape (5, 3), got (3,)",
        ),
        bad_call(
            lambda: small_tagger().forward(X, Y, weights=np.ones((5, 3), complex)),
            "weights must hold real numbers, got complex128",
            TypeError,
        ),
        bad_call(
            lambda: nl.SequenceTagger(num_classes=2, hidden_size=4),
            "vocab_size or input_size",
            TypeError,
        ),
        bad_call(
            lambda: nl.SequenceTagger(11, 2, 4, input_size=6),
            "must be given, and not both",
            TypeError,
        ),
        bad_call(
            lambda: nl.SequenceTagger(11, hidden_size=4), "num_classes must be given", TypeError
        ),
        bad_call(
            lambda: nl.SequenceTagger(None, 2, 4, input_size=6, embedding_size=6),
            "embedding_size must be left out with input_size",
            TypeError,
        ),
        bad_call(
            lambda: nl.SequenceTagger(11, 2, 4, every_step=True),
            "unexpected keyword argument",
            TypeError,
        ),
        bad_call(
            lambda: nl.SequenceTagger(11, 2, 4, bidirectional=1),
            "bidirectional must be True",
            TypeError,
        ),
    ],
)
def test_a_bad_call_gets_one_sentence(call, says, error):
    assert_refused(call, says, error)


@pytest.mark.parametrize("every_step", [False, True])
def test_single_numbers_of_a_target_may_be_missing(rng, every_step):
    """Their weights are 0, and NaN is not read; loss, gradient and score leave them out."""
    model = nl.SequenceRegressor(
        V, 2, H, every_step=every_step, dtype="float64", rng=0, init_scale=0.5
    )
    x = rng.integers(0, V, (T, B))
    y = rng.standard_normal((T, B, 2) if every_step else (B, 2))
    weights = rng.random(y.shape)
    weights[..., 0, 1] = 0
    gaps = np.where(weights > 0, y, np.nan)
    loss = model.forward(x, gaps, weights=weights)
    square = np.square(model.predict(x) - y)
    assert loss == pytest.approx((weights * square).sum() / weights.sum(), rel=1e-12)
    assert nl.evaluation.evaluate_regressor(
        model, x, gaps, batch_size=2, weights=weights
    ) == pytest.approx(loss, rel=1e-12)
    model.backward()
    b = model.parameters()["decoder.b"]
    residual = weights * (model.predict(x) - y)
    np.testing.assert_allclose(
        b.grad, 2 * residual.reshape(-1, 2).sum(axis=0) / weights.sum(), rtol=1e-10
    )
    same = np.repeat(weights[..., :1], 2, axis=-1)  # as one weight for each target
    for given in (same, same[..., 0]):
        assert model.forward(x, y, weights=given) == pytest.approx(
            (same * square).sum() / same.sum(), rel=1e-12
        )


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "bool"])
def test_weights_may_have_any_real_dtype(rng, dtype):
    model = nl.SequenceTagger(V, 2, H, rng=0)
    x = rng.integers(0, V, (T, B))
    weights = (x > 3).astype(dtype)
    assert model.forward(x, x % 2, weights=weights) == model.forward(
        x, x % 2, weights=weights.astype("f4")
    )
