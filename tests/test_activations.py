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
