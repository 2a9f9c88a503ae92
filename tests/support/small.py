"""Small models and layers, new at each call, and arrays that fit them: T=5 B=3 D=6 H=4 V=11."""

import numpy as np

import numpylstm as nl


def read_only(array):
    """Return an array that no test can change for the tests after it."""
    array.setflags(write=False)
    return array


IDS = read_only(np.random.default_rng(0).integers(0, 11, 60).astype(np.int32))  # (N,)
X = read_only(np.arange(15).reshape(5, 3) % 11)  # ids (T, B)
Y = read_only(np.arange(1, 16).reshape(5, 3) % 11)  # the ids that follow
LABELS = read_only(np.array([0, 1, 1]))  # a class for each sequence (B,)
VECTORS = read_only(np.ones((5, 3, 6), np.float32))  # (T, B, D)
HS = read_only(np.ones((5, 3, 4), np.float32))  # outputs of a layer (T, B, H)
ONES = read_only(np.ones((5, 3), np.float32))  # a number for each step, such as a weight (T, B)
TABLE = read_only(np.ones((11, 4)))  # (V, H)


def small_model():
    return nl.LanguageModel(11, 4, 2, rng=0)


def small_state():
    return small_model().zero_state(3)


def small_classifier():
    return nl.SequenceClassifier(11, 2, 4, rng=0)


def small_tagger():
    return nl.SequenceTagger(11, 2, 4, rng=0)


def small_regressor():
    return nl.SequenceRegressor(input_size=6, num_outputs=2, hidden_size=4, rng=0)


def small_lstm():
    return nl.LSTM(6, 4, rng=0)


def small_rnn():
    return nl.RNN(6, 4, rng=0)
