"""The benchmark's work in numpylstm."""

import numpy as np

import numpylstm as nl
from numpylstm.cells import CELLS

VERSION = nl.__version__


def model_of(c, weights):
    """Return the language model."""
    model = nl.LanguageModel(
        c.V, c.H, c.L, cell=c.cell, dropout=c.dropout, init_scale=c.init_scale, dtype=c.dtype, rng=0
    )
    model.load_state_dict(weights)
    return model


def train(c, weights):
    """Return a training step, and a function that returns the parameters."""
    model = model_of(c, weights)
    parameters = model.parameters()
    optimizer = nl.SGD(parameters, lr=c.lr)
    state = model.zero_state(c.B)

    def step(x, y):
        nonlocal state
        optimizer.zero_grad()
        loss, state = model.forward(x, y, state)
        model.backward()
        norm = nl.clip_by_global_norm(parameters, c.clip)
        optimizer.step()
        return loss, norm

    return step, model.state_dict


def evaluate(c, weights):
    """Return a function that scores a text in windows."""
    model = model_of(c, weights)

    def score(ids):
        result = nl.evaluate(model, ids, c.B, c.T)
        return result.loss, result.accuracy

    return score


def sample(c, weights):
    """Return a function that draws tokens, one at a time."""
    model, rng = model_of(c, weights), np.random.default_rng(0)

    def draw(length, greedy):
        return nl.generate(model, [0], length, top_k=1 if greedy else None, rng=rng).tolist()

    return draw


def advance(c, weights):
    """Return a function that reads one step of streams, and one that makes a state of arrays."""
    model = nl.SequenceTagger(
        vocab_size=c.V,
        num_classes=c.V,
        hidden_size=c.H,
        num_layers=c.L,
        cell=c.cell,
        dtype=c.dtype,
        rng=0,
    )
    model.load_state_dict(weights)
    State = CELLS[c.cell].State
    return model.advance, lambda arrays: State(*arrays)
