"""Settings of a model: `model.config` is their only place, and every pass reads them there."""

import copy
import inspect
from dataclasses import replace

import numpy as np
import pytest
from conftest import B, D, H, L, T, V

import numpylstm as nl
from numpylstm import functional
from numpylstm.cells import CELLS
from numpylstm.config import ConfigError, ModelConfig, config_fields

LENGTHS = np.array([3, 1, 5])
SETTINGS = {each.name: each for each in config_fields(ModelConfig)}
OPTIONS = {name: cell.name for cell in CELLS.values() for name in cell.options}
CHANGED = {  # of what decides no shape: another value
    "dropout": 0.4,
    "dropout_input": 0.4,
    "dropout_output": 0.3,
    "dropout_locked": True,
    "dropout_weights": 0.3,
    "dropout_state": 0.3,
    "dropout_words": 0.3,
    "init_scale": 0.2,
    "init_scale_embedding": 0.2,
    "impl": "reference",
    "average_across_timesteps": True,
    "average_across_batch": False,
}
OTHER_SHAPES = {
    "cell": "slstm",
    "hidden_size": H + 1,
    "embedding_size": D + 1,
    "num_layers": L + 1,
    "dtype": "float32",
    "tied": True,
}
given = {"embedding_size": D, "init_scale": 0.5, "dtype": "float64"}


def language_model(**settings):
    return nl.LanguageModel(V, H, L, **given | settings, rng=0)


def classifier(**settings):
    return nl.SequenceClassifier(V, 3, H, L, **given | settings, rng=0)


def tagger(**settings):
    return nl.SequenceTagger(V, 3, H, L, **given | settings, bidirectional=True, rng=0)


def regressor(**settings):
    return nl.SequenceRegressor(V, 2, H, L, **given | settings, rng=0)


MODELS = [language_model, classifier, tagger, regressor]


def loss_of(model, rng):
    """Return the loss of a window or batch, for any model."""
    x = rng.integers(0, V, (T, B))
    if isinstance(model, nl.LanguageModel):
        return model.forward(x, rng.integers(0, V, (T, B)))[0]
    shape = (T, B) if model.every_step else (B,)
    if model.predicts_classes:
        return model.forward(x, rng.integers(0, 3, shape), lengths=LENGTHS)
    return model.forward(x, rng.normal(size=(*shape, 2)), lengths=LENGTHS)


def test_each_setting_is_tested_here():
    assert SETTINGS.keys() == CHANGED.keys() | OTHER_SHAPES.keys()


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize("name", [*SETTINGS, *OPTIONS])
def test_a_setting_is_not_set_on_a_model(make, name):
    """It would be a second copy, and change nothing: model.dropout = 0 did."""
    model = make(cell=OPTIONS.get(name, "lstm"))
    before = getattr(model, name)
    assert before == model.config.flattened()[name]
    match = (
        rf"{name} must not be set.*; model\.config = dataclasses\.replace\(model\.config, .*{name}"
    )
    with pytest.raises(AttributeError, match=match):
        setattr(model, name, before)


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize("name", CHANGED)
def test_a_replaced_setting_takes_effect_in_every_part(make, name, rng):
    """A model whose config is replaced is the model that was made with it: masks, loss, update."""
    if name.startswith("average") and make is not language_model:
        pytest.skip("the loss of sequence models is a mean")
    model = make()
    twin = make(**{name: CHANGED[name]})
    twin.load_state_dict(model.state_dict())
    model.rng = copy.deepcopy(twin.rng)
    model.config = replace(model.config, **{name: CHANGED[name]})
    assert model.config == twin.config
    assert model.functions is twin.functions
    seed = rng.integers(100)
    assert loss_of(model, np.random.default_rng(seed)) == loss_of(twin, np.random.default_rng(seed))
    for each in (model, twin):
        each.backward()
        nl.clip_by_global_norm(each.parameters(), 0.1)
        nl.Adam(each.parameters()).step()
    np.testing.assert_equal(model.state_dict(), twin.state_dict())
    assert model.rng.bit_generator.state == twin.rng.bit_generator.state


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize("name", OTHER_SHAPES)
def test_a_config_with_other_shapes_is_refused(make, name):
    if name == "tied" and make is not language_model:
        expected = "tied must be False for a Sequence"
    else:
        expected = f"{name} must stay .*; it decides the shapes of the parameters: make a new model"
    model = make() if name != "tied" else make(embedding_size=H)
    before = model.config
    with pytest.raises(ConfigError, match=expected):
        model.config = replace(before, **{name: OTHER_SHAPES[name]})
    assert model.config is before


def test_an_option_that_decides_a_parameter_is_refused_and_another_one_taken():
    gru = language_model(cell="gru")
    with pytest.raises(ConfigError, match=r"options must stay .*'after'.*, got .*'before'"):
        gru.config = replace(gru.config, options={"reset": "before"})
    rnn = language_model(cell="rnn")
    rnn.config = replace(rnn.config, options={"activation": "relu"})
    assert rnn.activation == "relu"


def test_what_is_no_config_is_refused():
    with pytest.raises(
        TypeError, match=r"LanguageModel\.config: config must be a ModelConfig, got"
    ):
        language_model().config = {"dropout": 0.5}
    vectors = nl.SequenceClassifier(input_size=D, num_classes=3, hidden_size=H)
    with pytest.raises(ConfigError, match="dropout_words must be 0 with vectors"):
        vectors.config = replace(vectors.config, dropout_words=0.1)


@pytest.mark.parametrize("kind", [nl.SequenceClassifier, nl.SequenceTagger, nl.SequenceRegressor])
def test_the_mean_of_a_sequence_model_is_not_dropped_in_silence(kind):
    match = f"average_across_batch must be True for a {kind.__name__}, got False"
    with pytest.raises(ConfigError, match=match):
        kind.from_config(ModelConfig(average_across_batch=False), V, 3)
    model = kind.from_config(ModelConfig(), V, 3)
    for name in ("average_across_batch", "average_across_timesteps"):
        assert getattr(model.config, name)
        with pytest.raises(ConfigError, match=f"{name} must be True"):
            model.config = replace(model.config, **{name: False})


# --- one generator -------------------------------------------------------------------------------


@pytest.mark.parametrize("make", MODELS)
def test_a_replaced_generator_draws_all_masks(make, rng):
    """A checkpoint keeps `model.rng`: masks from elsewhere would differ when a run is resumed."""
    settings = {"dropout": 0.3, "dropout_weights": 0.2, "dropout_state": 0.2, "dropout_words": 0.2}
    model = make(**settings)
    loss_of(model, rng)
    model.rng = np.random.default_rng(7)
    other = make(**settings)
    other.load_state_dict(model.state_dict())
    other.rng = np.random.default_rng(7)
    seed = rng.integers(100)
    before = model.rng.bit_generator.state
    losses = [loss_of(each, np.random.default_rng(seed)) for each in (model, other)]
    assert losses[0] == losses[1]
    assert model.rng.bit_generator.state == other.rng.bit_generator.state != before


# --- the textbook from end to end ----------------------------------------------------------------


@pytest.mark.parametrize("how", ["made", "replaced"])
@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize(
    "optimizer",
    [
        lambda parameters: nl.SGD(parameters, lr=0.1),
        lambda parameters: nl.SGD(parameters, lr=0.1, momentum=0.9),
        lambda parameters: nl.Adam(parameters),
        lambda parameters: nl.AdamW(parameters),
    ],
)
def test_a_reference_model_runs_no_compiled_code(how, make, optimizer, rng, monkeypatch):
    """From the masks to the update; `functional` may not even be asked."""
    settings = {"dropout": 0.3, "dropout_weights": 0.2, "dropout_state": 0.2, "dropout_words": 0.2}
    model = make(**settings, impl="reference" if how == "made" else "fast")
    model.config = replace(model.config, impl="reference")
    optimizer = optimizer(model.parameters())

    def compiled(*arguments, **settings):
        raise AssertionError("a compiled function was called")

    for name in functional_names():
        monkeypatch.setattr(functional, name, compiled)
    loss_of(model, rng)
    model.backward()
    nl.clip_by_global_norm(model.parameters(), 0.1)
    optimizer.step()
    model.config = replace(model.config, impl="fast")
    with pytest.raises(AssertionError, match="compiled"):
        optimizer.step()


def functional_names():
    """Return the public functions that `functional` defines itself, which run kernels."""
    for name, value in vars(functional).items():
        if inspect.isfunction(value) and value.__module__ == functional.__name__ and name[0] != "_":
            yield name


@pytest.mark.parametrize("kind", [nl.LSTM, nl.GRU, nl.RNN])
def test_the_impl_of_a_layer_is_that_of_its_parameters(kind, rng, monkeypatch):
    layer = kind(D, H, impl="reference", rng=0)
    for name in functional_names():
        monkeypatch.setattr(functional, name, None)
    hs, _ = layer.forward(rng.normal(size=(T, B, D)).astype("float32"))
    layer.backward(np.ones_like(hs))
    nl.clip_by_global_norm(layer, 0.1)
    nl.SGD(layer, lr=0.1).step()
    layer.impl = "fast"
    with pytest.raises(TypeError, match="not callable"):
        nl.clip_by_global_norm(layer, 0.1)


# --- signatures ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind",
    [
        nl.LanguageModel, nl.SequenceClassifier, nl.SequenceTagger, nl.SequenceRegressor,
        nl.RNN, nl.LSTM, nl.GRU,
    ],
)  # fmt: skip
def test_a_signature_shows_every_argument(kind):
    parameters = inspect.signature(kind).parameters.values()
    assert not any(p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL) for p in parameters)
    text = inspect.getdoc(kind) + inspect.getdoc(nl.SequenceClassifier)
    for p in parameters:
        assert p.name in text, p.name


@pytest.mark.parametrize("kind", [nl.RNN, nl.LSTM, nl.GRU, nl.Bidirectional])
def test_a_recurrent_layer_has_the_settings_of_a_stack(kind):
    stack = inspect.signature(nl.RecurrentStack).parameters
    own = inspect.signature(kind).parameters
    for name in stack.keys() - {"cell", "options"}:
        assert own[name] == stack[name]


@pytest.mark.parametrize(
    ("call", "missing"),
    [
        (lambda: nl.SequenceClassifier(11), "num_classes and hidden_size must be given, as in"),
        (lambda: nl.SequenceClassifier(11, 2), "SequenceClassifier: hidden_size must be given"),
        (lambda: nl.SequenceTagger(11, hidden_size=3), "SequenceTagger: num_classes must be given"),
        (lambda: nl.SequenceRegressor(), "num_outputs and hidden_size must be given, as in Seq"),
        (lambda: nl.SequenceRegressor(num_outputs=1, hidden_size=3), "vocab_size or input_size"),
    ],
)
def test_an_argument_that_is_missing_is_named(call, missing):
    with pytest.raises(TypeError, match=missing):
        call()
