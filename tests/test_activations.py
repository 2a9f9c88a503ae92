"""What the cells did while a model read, and how often a gate was shut or open."""

import numpy as np
import pytest
from conftest import B, H, L, T, V

import numpylstm as nl
from numpylstm import reference
from numpylstm.laboratory.diagnostics import cell_activations, gate_saturation


@pytest.fixture
def model(rng):
    model = nl.LanguageModel(V, H, L, embedding_size=4, dropout=0.5, dtype="float64", rng=rng)
    model.load_state_dict({k: rng.normal(size=a.shape) for k, a in model.state_dict().items()})
    return model


@pytest.fixture
def ids(rng):
    return rng.integers(0, V, (T, B))


@pytest.fixture
def state(rng):
    return nl.LSTMState(rng.normal(size=(L, B, H)), rng.normal(size=(L, B, H)))


def test_every_value_is_that_of_the_textbook(model, ids, state):
    p = model.state_dict()
    layers = cell_activations(model, ids, state)
    assert len(layers) == L
    x = p["embedding.W"][ids]
    for k, layer in enumerate(layers):
        weights = [p[f"lstm.{k}.{name}"] for name in ("Wx", "Wh", "b")]
        x, _, _, cache = reference.lstm_forward(x, state.h[k], state.c[k], *weights)
        for name in layer._fields:
            np.testing.assert_allclose(
                getattr(layer, name), getattr(cache, name), rtol=0, atol=1e-10
            )


def test_a_pending_forward_pass_is_left_alone(model, ids):
    model.forward(ids, ids, model.zero_state(B))
    cell_activations(model, ids[:2])
    model.backward()
    assert model.embedding.W.grad.any()


def test_other_models_and_cells(rng, ids):
    (layer,) = cell_activations(nl.SequenceClassifier(V, 2, H, cell="rnn", rng=rng), ids)
    assert layer._fields == ("h",)
    assert layer.h.shape == (T, B, H)


def test_saturation_counts_steps(rng):
    gate = rng.random((T, B, H))
    shut, opened = gate_saturation(gate)
    assert shut.any()
    assert opened.any()
    np.testing.assert_allclose(shut, (gate < 0.1).mean(axis=(0, 1)))
    np.testing.assert_allclose(opened, (gate > 0.9).mean(axis=(0, 1)))


@pytest.mark.parametrize("vectors", [False, True])
def test_two_directions_and_lengths(vectors):
    """Each sequence has the units that it has alone, at its steps, and zeros past its end."""
    rng = np.random.default_rng(0)
    size = {"input_size": 4} if vectors else {"vocab_size": 11}
    model = nl.SequenceTagger(
        **size, num_classes=2, hidden_size=6, num_layers=2, bidirectional=True, dtype="float64",
        rng=0, init_scale=0.5,
    )  # fmt: skip
    x = rng.standard_normal((5, 3, 4)) if vectors else rng.integers(0, 11, (5, 3))
    lengths = np.array([5, 2, 0])
    found = cell_activations(model, x, lengths=lengths)
    for n, end in enumerate(lengths[:2]):
        alone = cell_activations(model, x[:end, n : n + 1])
        for direction, own in zip(found, alone, strict=True):
            for layer, single in zip(direction, own, strict=True):
                for unit, expected in zip(layer, single, strict=True):
                    np.testing.assert_allclose(unit[:end, n], expected[:, 0], rtol=1e-12)
                    assert not unit[end:, n].any()
    hs = np.concatenate([direction[-1].h for direction in found], axis=-1)
    arrays = model.state_dict()
    outputs = hs @ arrays["decoder.W"] + arrays["decoder.b"]
    probabilities = nl.functional.softmax(outputs)
    inside = np.arange(5)[:, None] < lengths
    expected = model.probabilities(x, lengths)
    np.testing.assert_allclose(probabilities[inside], expected[inside], rtol=1e-10)
