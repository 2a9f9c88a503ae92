"""The check that a bad call is refused in one sentence, and the names in such calls."""

import numpy as np
import pytest

import numpylstm as nl


def assert_refused(call, says, error=ValueError, **others):
    """Fail unless an expression raises an error whose message is one line with these words.

    `^` is the beginning of the message. The names in the expression are those of `names`, and
    others.
    """
    with pytest.raises(error) as refused:
        eval(call, names() | others)
    assert says in f"^{refused.value}"
    assert "\n" not in str(refused.value)


def names():
    """Return modules, new small models and layers, and arrays by name: T=5 B=3 D=6 H=4 V=11."""
    rng = np.random.default_rng(0)
    model = nl.LanguageModel(11, 4, 2, rng=0)
    state, nan_state = model.zero_state(3), model.zero_state(3)
    nan_state.c[1, 2, 3] = np.nan
    lstm = nl.LSTM(6, 4, rng=0)
    return {
        "nl": nl, "np": np, "model": model, "arrays": model.state_dict(),
        "state": state, "nan_state": nan_state,
        "double_state": type(state)(*(part.astype(float) for part in state)),
        "ids": rng.integers(0, 11, 60).astype(np.int32), "x": np.arange(15).reshape(5, 3) % 11,
        "y": np.arange(1, 16).reshape(5, 3) % 11, "labels": np.array([0, 1, 1]),
        "classifier": nl.SequenceClassifier(11, 2, 4, rng=0),
        "tagger": nl.SequenceTagger(11, 2, 4, rng=0),
        "regressor": nl.SequenceRegressor(input_size=6, num_outputs=2, hidden_size=4, rng=0),
        "lstm": lstm, "lstm_state": lstm.zero_state(3), "rnn": nl.RNN(6, 4, rng=0),
        "v": np.ones((5, 3, 6), np.float32), "hs": np.ones((5, 3, 4), np.float32),
        "ones": np.ones((5, 3), np.float32), "table": np.ones((11, 4)), "nan": np.float32(np.nan),
    }  # fmt: skip
