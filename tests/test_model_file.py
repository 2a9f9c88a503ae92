"""Model files: a model comes back unchanged, and a hostile file does no harm."""

import numpy as np
import pytest
from conftest import B, D, H, L, T, V
from support.runs import write_words

import numpylstm as nl
from numpylstm import saving
from numpylstm.saving import CheckpointError, write_arrays

pytestmark = pytest.mark.usefixtures("pictures_as_text")
MODELS = {
    "lstm": lambda: nl.LanguageModel(
        V, H, L, embedding_size=D, dropout=0.3, dropout_input=0.1, rng=0
    ),
    "projected": lambda: nl.LanguageModel(V, H, embedding_size=D, tied=True, rng=0),
    "tied": lambda: nl.LanguageModel(V, H, tied=True, dtype="float64", forget_bias=2.0, rng=0),
    "relu": lambda: nl.LanguageModel(V, H, cell="rnn", activation="relu", impl="reference", rng=0),
    "averaged": lambda: nl.LanguageModel(V, H, average_across_timesteps=True, rng=0),
    "classifier": lambda: nl.SequenceClassifier(V, 3, H, L, embedding_size=D, rng=0),
    "tagger": lambda: nl.SequenceTagger(V, 3, H, L, bidirectional=True, cell="gru", rng=0),
    "regressor": lambda: nl.SequenceRegressor(V, 2, H, every_step=False, dtype="float64", rng=0),
    "of vectors": lambda: nl.SequenceClassifier(input_size=D, num_classes=3, hidden_size=H, rng=0),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_comes_back(name, rng, tmp_path):
    model, path = MODELS[name](), tmp_path / "model.npz"
    nl.save_model(model, path)
    twin = nl.load_model(path)
    assert type(twin) is type(model)
    assert twin.config == model.config
    assert repr(twin) == repr(model)
    np.testing.assert_equal(twin.state_dict(), model.state_dict())
    x, y = rng.integers(0, V, (2, T, B))
    if model.vocab_size is None:
        x = rng.standard_normal((T, B, D)).astype("f4")
    if not isinstance(model, nl.LanguageModel):
        np.testing.assert_array_equal(model.predict(x), twin.predict(x))
    else:
        assert model.forward(x, y, training=False)[0] == twin.forward(x, y, training=False)[0]


def test_a_file_keeps_its_keys_when_names_in_the_code_change(tmp_path):
    nl.save_model(MODELS["tagger"](), tmp_path / "model.npz")
    _, meta = saving.read_arrays(tmp_path / "model.npz", saving.FORMAT, [saving.VERSION])
    assert meta["form"] == {"vocab_size": V, "answer_size": 3, "bidirectional": True}


def test_sizes_may_be_numbers_of_numpy(tmp_path):
    model = nl.SequenceClassifier(np.int64(V), np.uint8(3), np.int32(H), rng=0)
    nl.save_model(model, tmp_path / "model.npz")
    assert repr(nl.load_model(tmp_path / "model.npz")) == repr(model)


def test_what_is_frozen_stays_frozen(tmp_path):
    model = MODELS["lstm"]()
    model.embedding.load(np.ones((V, D)), trainable=False)
    nl.save_model(model, tmp_path / "model.npz")
    assert "embedding.W" not in nl.load_model(tmp_path / "model.npz").parameters()


def test_masks_come_from_the_generator_that_is_given(rng, tmp_path):
    nl.save_model(MODELS["lstm"](), tmp_path / "model.npz")
    x, y = rng.integers(0, V, (2, T, B))
    losses = [
        nl.load_model(tmp_path / "model.npz", rng=seed).forward(x, y)[0] for seed in (1, 1, 2)
    ]
    assert losses[0] == losses[1] != losses[2]


def test_what_could_not_be_loaded_is_not_saved_over_what_can(tmp_path):
    path, model = tmp_path / "model.npz", nl.LanguageModel(5, 4, rng=0)
    nl.save_model(model, path)
    model.parameters()["decoder.b"].data[0] = np.nan
    with pytest.raises(ValueError, match=r"save_model: decoder.b must be finite, got nan at \[0\]"):
        nl.save_model(model, path)
    model.parameters()["decoder.b"].data = np.zeros(7, np.float32)
    with pytest.raises(ValueError, match=r"decoder.b must have shape \(5,\), got \(7,\)"):
        nl.save_model(model, path)
    nl.load_model(path)


def test_a_model_of_another_class_is_refused(tmp_path):
    class Mine(nl.LanguageModel):
        pass

    with pytest.raises(TypeError, match=r"must be a 'LanguageModel', .*, got Mine"):
        nl.save_model(Mine(V, H), tmp_path / "model.npz")


def test_a_checkpoint_of_a_run_is_not_a_model_and_the_reverse(tmp_path):
    text = nl.data.load_text(write_words(tmp_path) / "text.txt")
    nl.save(nl.new_run(nl.TrainConfig(hidden_size=4), text), tmp_path / "last.npz")
    with pytest.raises(CheckpointError, match=r"is not a numpylstm model: .* nl.load reads"):
        nl.load_model(tmp_path / "last.npz")
    nl.save_model(MODELS["lstm"](), tmp_path / "model.npz")
    with pytest.raises(CheckpointError, match=r"is not a .* checkpoint: .* nl.load_model a model"):
        nl.load(tmp_path / "model.npz")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda meta, arrays: meta.update(version=9), "has model version 9, this program reads 2"),
        (lambda meta, arrays: meta.update(model="Oracle"), "is inconsistent: 'Oracle'"),
        (lambda meta, arrays: meta.update(frozen=["x"]), "inconsistent: freeze: .* got 'x'"),
        (lambda meta, arrays: meta["form"].pop("vocab_size"), "is inconsistent"),
        (lambda meta, arrays: meta["form"].update(vocab_size=10**8), "must have shape"),
        (lambda meta, arrays: meta["config"].update(num_layers=10**15), "num_layers must be"),
        (lambda meta, arrays: meta["config"].update(colour="red"), "unexpected .* 'colour'"),
        (lambda meta, arrays: arrays.pop("parameters/decoder.b"), "decoder.b is missing"),
        (lambda meta, arrays: arrays.update({"parameters/x": arrays["parameters/decoder.b"]}),
         "unknown: x"),
        (lambda meta, arrays: arrays["parameters/decoder.b"].fill(np.nan), "not finite|NaN|nan"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_one_sentence(change, message, tmp_path):
    path = tmp_path / "model.npz"
    nl.save_model(MODELS["lstm"](), path)
    arrays, meta = saving.read_arrays(path, saving.FORMAT, [saving.VERSION])
    arrays = {name: array.copy() for name, array in arrays.items()}
    change(meta, arrays)
    write_arrays(path, arrays, meta)
    with pytest.raises(CheckpointError, match=message):
        nl.load_model(path)


def test_meta_is_json_for_every_program(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_arrays(tmp_path / "model.npz", {}, {"loss": np.nan})


def test_what_is_no_model_is_not_saved(tmp_path):
    with pytest.raises(TypeError, match="must be a 'LanguageModel', 'Seq"):
        nl.save_model(MODELS["lstm"]().embedding, tmp_path / "model.npz")
