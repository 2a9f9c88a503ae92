"""Passes without training: the numbers of a pass with caches, in windows of time."""

import tracemalloc

import numpy as np
import pytest
from conftest import B, D, H, L, T, V, random_state

import numpylstm as nl
from numpylstm import inference, network

LENGTHS = [None, np.array([T, 0, 2])]


@pytest.fixture(autouse=True)
def short_windows(monkeypatch):
    """Cut T = 5 steps of B = 3 sequences into windows of two steps, two and one."""
    monkeypatch.setattr(inference, "ROWS_AT_ONCE", 2 * B)
    assert [window.stop - window.start for window in inference.windows(T, B)] == [2, 2, 1]


def whole(model, x, state, lengths):
    """Return outputs and state of a pass that keeps its caches."""
    outputs, state, cache = network.forward(
        model.functions, model.config, model.arrays(), x, state, {}, lengths, model.every_step
    )
    assert cache
    return outputs, state


def flat(state):
    return [array for part in state for array in (part if isinstance(part, tuple) else [part])]


@pytest.mark.parametrize("lengths", LENGTHS, ids=["all steps", "lengths"])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("every_step", [False, True])
@pytest.mark.parametrize("vectors", [False, True])
@pytest.mark.parametrize("cell", ["lstm", "gru", "slstm"])
def test_windows_change_nothing(rng, cell, vectors, every_step, bidirectional, lengths):
    size = {"input_size": D} if vectors else {"vocab_size": V}
    model = nl.SequenceRegressor(
        **size, num_outputs=2, hidden_size=H, num_layers=L, cell=cell, every_step=every_step,
        bidirectional=bidirectional, dtype="float64", rng=0,
    )  # fmt: skip
    x = rng.standard_normal((T, B, D)) if vectors else rng.integers(0, V, (T, B))
    state = model.zero_state(B)
    want, want_state = whole(model, x, state, lengths)
    got, got_state = inference.outputs(
        model.functions, model.config, model.arrays(), x, state, lengths, every_step
    )
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-14)
    for ours, theirs in zip(flat(got_state), flat(want_state), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("lengths", LENGTHS, ids=["all steps", "lengths"])
def test_layers_without_training(rng, lengths):
    x = rng.standard_normal((T, B, D))
    for layer in (
        nl.LSTM(D, H, L, dtype="float64", rng=0),
        nl.Bidirectional("gru", D, H, L, dtype="float64", rng=0),
    ):
        want, want_state = layer.forward(x, lengths=lengths)
        got, got_state = layer.forward(x, training=False, lengths=lengths)
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-14)
        for ours, theirs in zip(flat(got_state), flat(want_state), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-14)


def test_a_language_model_without_training(rng):
    model = nl.LanguageModel(V, H, L, dtype="float64", init_scale=0.5, rng=0)
    x, y = rng.integers(0, V, (2, T, B))
    state = random_state(rng, model)
    want, want_state = whole(model, x, state, None)
    logits, after = model.logits(x, state)
    np.testing.assert_allclose(logits, want, rtol=1e-12, atol=1e-14)
    nll, predicted, scored = model.score(x, y, state)
    own = np.take_along_axis(-np.log(nl.functional.softmax(want)), y[..., None], axis=-1)[..., 0]
    np.testing.assert_allclose(nll, own, rtol=1e-10)
    np.testing.assert_array_equal(predicted, want.argmax(axis=-1))
    for found in (after, scored):
        for ours, theirs in zip(found, want_state, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    loss, _ = model.forward(x, y, state, training=False)
    assert loss == pytest.approx(model.forward(x, y, state)[0], rel=1e-12)


@pytest.mark.parametrize("kind", [nl.SequenceClassifier, nl.SequenceTagger])
def test_sequences_are_read_in_batches(rng, kind):
    model = kind(V, 4, H, rng=0)
    x, lengths = rng.integers(0, V, (T, 7)), rng.integers(0, T + 1, 7)
    for method in (model.predict, model.probabilities):
        want = method(x, lengths)
        for size in (1, 3, 7, 50):
            np.testing.assert_allclose(method(x, lengths, batch_size=size), want, rtol=1e-5)
    with pytest.raises(ValueError, match=r"predict: batch_size must be at least 1, got 0"):
        model.predict(x, batch_size=0)


@pytest.mark.parametrize("every_step", [False, True])
def test_a_pass_without_training_keeps_no_gates(rng, every_step, monkeypatch):
    """What it allocates at its peak is less than the gates of all steps."""
    monkeypatch.undo()
    T, N, H = 60, 1000, 16
    model = nl.SequenceRegressor(V, 1, H, every_step=every_step, rng=0)
    x = rng.integers(0, V, (T, N))
    calls = [lambda: model.predict(x)]
    layer, vectors = nl.LSTM(H, H, rng=0), np.zeros((T, N, H), np.float32)
    calls.append(lambda: layer.forward(vectors, training=False))
    y = np.zeros((T, N, 1) if every_step else (N, 1), np.float32)
    calls.append(lambda: model.forward(x, y, training=False))
    for call in calls:
        call()
        nl.release_memory()
        tracemalloc.start()
        call()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < T * N * 4 * H * 4  # bytes


def test_a_stream_without_new_steps_has_the_output_of_its_state(rng):
    """It had that of the bias of the decoder."""
    model = nl.SequenceClassifier(V, 3, H, L, dtype="float64", rng=0)
    x = rng.integers(0, V, (T, B))
    before, state = model.advance(x)
    more = rng.integers(0, V, (4, B))
    after, _ = model.advance(more, state, lengths=[4, 0, 1])
    np.testing.assert_allclose(after[1], before[1], rtol=1e-12)
    assert np.abs(after[0] - before[0]).max() > 1e-3
    alone, _ = model.advance(more[:1], state)
    np.testing.assert_allclose(after[2], alone[2], rtol=1e-12)
    bias = model.parameters()["decoder.b"].data  # that of a stream without any step
    np.testing.assert_allclose(model.advance(x, lengths=[0, 1, 2])[0][0], bias, rtol=1e-12)
