"""Models of whole sequences, one of each kind, with random data."""

from conftest import B, D, H, L, T, V

import numpylstm as nl

C, K = 7, 2  # classes, numbers of a target
SEQUENCE_MODELS = {
    "classifier": (nl.SequenceClassifier, {"num_classes": C}),
    "tagger": (nl.SequenceTagger, {"num_classes": C}),
    "regressor": (nl.SequenceRegressor, {"num_outputs": K}),
    "last regressor": (nl.SequenceRegressor, {"num_outputs": K, "every_step": False}),
}


def make_sequence_model(kind, inputs="ids", **settings):
    cls, own = SEQUENCE_MODELS[kind]
    size = {"vocab_size": V} if inputs == "ids" else {"input_size": D}
    usual = {"num_layers": L, "dtype": "float64", "init_scale": 0.8, "rng": 0}
    return cls(**size, hidden_size=H, **own, **usual | settings)


def sequence_data(rng, kind, inputs="ids", B=B):
    x = rng.integers(0, V, (T, B)) if inputs == "ids" else rng.standard_normal((T, B, D))
    shape = (T, B) if kind in ("tagger", "regressor") else (B,)
    if "regressor" in kind:
        return x, rng.standard_normal((*shape, K))
    return x, rng.integers(0, C, shape)
