"""Whole models: gradients by path, state, tied and frozen embeddings, and results."""

import copy
import inspect

import numpy as np
import pytest
from conftest import B, D, H, L, T, V, random_state
from support.bad_calls import assert_refused, bad_call
from support.plain_pass import cross_entropy, plain_pass
from support.small import IDS, ONES, X, Y, small_model, small_state

import numpylstm as nl
from numpylstm import reference
from numpylstm.cells import CELLS
from numpylstm.config import config_fields

VARIANTS = {
    "lstm": {"embedding_size": D},
    "tanh": {"embedding_size": D, "cell": "rnn"},
    "relu": {"embedding_size": D, "cell": "rnn", "activation": "relu"},
    "sigmoid": {"embedding_size": D, "cell": "rnn", "activation": "sigmoid"},
    "gru": {"embedding_size": D, "cell": "gru"},
    "reset before": {"embedding_size": D, "cell": "gru", "reset": "before"},
    "tied": {"tied": True},
    "projected": {"tied": True, "embedding_size": D, "dropout": 0.4, "dropout_state": 0.3},
    "dropout": {"embedding_size": D, "dropout": 0.4},
    "no dropout of the input": {"embedding_size": D, "dropout": 0.4, "dropout_input": 0.0},
    "averaged": {"embedding_size": D, "average_across_timesteps": True},
}


def language_model(variant="lstm", impl="fast", **changes):
    options = {"dtype": "float64", "init_scale": 0.8, "rng": 0} | VARIANTS[variant] | changes
    return nl.LanguageModel(V, H, L, impl=impl, **options)


def window(rng):
    x, y = rng.integers(0, V, (2, T, B))
    return x, y


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-10), ("float32", 1e-4)])
@pytest.mark.parametrize("variant", VARIANTS)
def test_both_implementations_train_alike(rng, variant, dtype, tolerance):
    """The same losses, norms and parameters over several updates."""
    batches = [window(rng) for _ in range(6)]
    histories, models = [], []
    for impl in ("fast", "reference"):
        model = language_model(variant, impl, dtype=dtype, init_scale=0.3)
        optimizer = nl.SGD(model.parameters(), lr=0.3, momentum=0.5)
        state, history = model.zero_state(B), []
        for x, y in batches:
            optimizer.zero_grad()
            loss, state = model.forward(x, y, state)
            model.backward()
            history.append((loss, nl.clip_by_global_norm(model.parameters(), 1.0)))
            optimizer.step()
        histories.append(history)
        models.append(model.state_dict())
    np.testing.assert_allclose(histories[0], histories[1], rtol=tolerance)
    for path, array in models[0].items():
        scale = np.abs(array).max()
        np.testing.assert_allclose(array, models[1][path], atol=tolerance * scale, err_msg=path)


# --- paths and arrays --------------------------------------------------------------------------


def test_parameter_paths():
    recurrent = [f"lstm.{layer}.{name}" for layer in range(L) for name in ("Wx", "Wh", "b")]
    paths = ["embedding.W", *recurrent, "decoder.W", "decoder.b"]
    assert list(language_model().parameters()) == paths
    assert "rnn.1.Wh" in language_model("tanh").parameters()
    assert "decoder.W" not in language_model("tied").parameters()


def test_a_tied_table_of_another_size_than_h_gets_a_projection(rng):
    """Scores are hs @ projection.W @ table.T + b; no other model has the projection."""
    model = language_model("projected")
    recurrent = [path for path in model.parameters() if path.startswith("lstm.")]
    assert [*model.parameters()] == ["embedding.W", *recurrent, "projection.W", "decoder.b"]
    arrays = model.state_dict()
    assert arrays["projection.W"].shape == (H, D)
    assert 0.7 < np.abs(arrays["projection.W"]).max() <= 0.8  # U(-0.8, 0.8)
    assert "projection.W" in repr(model)
    x, _ = window(rng)
    stack = nl.LSTM(D, H, L, dtype="float64")
    stack.load_state_dict({path: arrays[path] for path in recurrent})
    hs, _ = stack.forward(arrays["embedding.W"][x], training=False)
    scores = hs @ arrays["projection.W"] @ arrays["embedding.W"].T + arrays["decoder.b"]
    np.testing.assert_allclose(model.logits(x)[0], scores, rtol=1e-12, atol=1e-12)
    for other in (language_model("tied"), language_model("tied", embedding_size=H)):
        assert "projection.W" not in other.parameters()
    assert "projection.W" not in language_model("lstm").parameters()


def test_state_dict_is_a_copy_and_loads_back(rng):
    model, other = language_model(), language_model(rng=1)
    arrays, (x, y) = model.state_dict(), window(rng)
    assert model.forward(x, y)[0] != other.forward(x, y)[0]
    other.load_state_dict(arrays)
    assert model.forward(x, y)[0] == other.forward(x, y)[0]
    arrays["decoder.b"][:] = 0
    assert model.parameters()["decoder.b"].data.any()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda m, a: a.pop("decoder.b"), "missing: decoder.b; unknown: none"),
        (lambda m, a: a.update(extra=a["decoder.b"]), "missing: none; unknown: extra"),
        (lambda m, a: a.update({"decoder.b": a["decoder.b"][1:]}), "decoder.b must have shape"),
        (
            lambda m, a: m.parameters()["decoder.b"].data.setflags(write=False),
            "decoder.b must be writeable",
        ),
    ],
)
def test_arrays_are_loaded_all_or_not_at_all(spoil, message):
    model = language_model()
    before = model.state_dict()
    arrays = {path: array + 1 for path, array in before.items()}
    spoil(model, arrays)
    with pytest.raises(ValueError, match=message):
        model.load_state_dict(arrays)
    np.testing.assert_equal(model.state_dict(), before)


@pytest.mark.parametrize("trainable", [False, True])
def test_pretrained_embeddings_frozen_or_trained(rng, trainable):
    model, vectors = language_model(), rng.standard_normal((V, D)).astype("float32")
    model.embedding.load(vectors, trainable=trainable)
    optimizer = nl.SGD(model.parameters(), lr=1.0)
    model.forward(*window(rng))
    model.backward()
    optimizer.step()
    assert np.array_equal(model.state_dict()["embedding.W"], vectors) != trainable
    assert ("embedding.W" in model.parameters()) == trainable


# --- results -------------------------------------------------------------------------


def test_training_false_is_the_model_without_dropout(rng):
    noisy = language_model(dropout=0.5, dropout_weights=0.5, dropout_state=0.5, dropout_words=0.5)
    plain = language_model()
    noisy.load_state_dict(plain.state_dict())
    x, y = window(rng)
    state = random_state(rng, plain)
    quiet, _ = noisy.forward(x, y, state, training=False)
    assert quiet == plain.forward(x, y, state)[0]
    assert noisy.forward(x, y, state)[0] != quiet


@pytest.mark.parametrize("impl", ["fast", "reference"])
def test_what_comes_between_forward_and_backward_changes_no_gradient(rng, impl):
    """Passes with ``training=False``, also of another length, and new ids in the same arrays."""
    x, y = window(rng)
    model, twin = (language_model(impl=impl) for _ in range(2))
    for m in (model, twin):
        m.forward(x, y)
    twin.backward()
    longer = np.vstack([x, x]), np.vstack([y, y])
    model.score(*longer)
    model.forward(*longer, training=False)
    x[...], y[...] = 0, 1
    model.backward()
    for path, p in model.parameters().items():
        np.testing.assert_array_equal(p.grad, twin.parameters()[path].grad)


def test_a_model_takes_its_own_arrays_swapped():
    both = nl.Bidirectional("rnn", D, H, rng=0)
    before, paths = both.state_dict(), list(both.parameters())
    swapped = dict(zip(paths, paths[3:] + paths[:3], strict=True))  # forward and backward
    both.load_state_dict({path: both.parameters()[swapped[path]].data for path in paths})
    np.testing.assert_equal(both.state_dict(), {path: before[swapped[path]] for path in paths})


def test_a_refused_forward_pass_leaves_nothing_pending(rng):
    x, y = window(rng)
    model, classifier = language_model(), nl.SequenceClassifier(V, 2, H, rng=0)
    model.forward(x, y)
    with pytest.raises(ValueError, match="y must lie in"):
        model.forward(x, y + V)
    classifier.forward(x, y[0] % 2)
    with pytest.raises(ValueError, match="y must lie in"):
        classifier.forward(x, y[0] + V)
    for refused in (model, classifier):
        with pytest.raises(RuntimeError, match="no pending forward"):
            refused.backward()


@pytest.mark.parametrize("path", ["lstm.0.Wx", "lstm.1.b", "decoder.W", "decoder.b"])
def test_what_is_frozen_keeps_no_gradient(rng, path):
    """The gradient would otherwise grow until the parameter is trained again."""
    model = language_model()
    parameter = model.parameters()[path]
    parameter.trainable = False
    for _ in range(2):
        model.forward(*window(rng))
        model.backward()
    assert path not in model.parameters()
    assert not parameter.grad.any()


def test_scores_agree_with_the_loss_and_the_logits(rng):
    model = language_model()
    x, y = window(rng)
    state = random_state(rng, model)
    loss, _ = model.forward(x, y, state)
    nll, predicted = model.training_scores()
    assert loss == pytest.approx(nll.mean(axis=1).sum(), rel=1e-12)
    nll_again, predicted_again, _ = model.score(x, y, state)
    np.testing.assert_array_equal(nll, nll_again)
    np.testing.assert_array_equal(predicted, predicted_again)
    logits, _ = model.logits(x, state)
    np.testing.assert_array_equal(predicted, logits.argmax(axis=-1))
    p, after = model.probabilities(x, state)
    of_targets = np.take_along_axis(p, y[..., None], axis=-1)[..., 0]
    np.testing.assert_allclose(of_targets, np.exp(-nll), rtol=1e-12)
    np.testing.assert_array_equal(after.h, model.logits(x, state)[1].h)
    model.backward()
    with pytest.raises(RuntimeError, match="no pending forward pass"):
        model.training_scores()


def test_only_a_classifier_starts_from_its_size():
    """Its parameters fill U(-1/sqrt(H), 1/sqrt(H)); those of a language model U(-0.05, 0.05)."""
    classifier = nl.SequenceClassifier(V, 3, 64, forget_bias=0.0, rng=0)
    assert classifier.config.init_scale == 1 / 8
    largest = max(np.abs(array).max() for array in classifier.state_dict().values())
    assert 0.124 < largest < 0.125
    assert nl.SequenceClassifier(V, 3, 64, init_scale=0.3).config.init_scale == 0.3
    assert nl.LanguageModel(V, 64).config.init_scale == 0.05


def test_an_embedding_may_start_from_another_scale():
    """The draws are the same, and nothing else changes."""
    own, usual = (nl.LanguageModel(V, H, init_scale_embedding=s, rng=0) for s in (1.5, None))
    arrays, others = own.state_dict(), usual.state_dict()
    np.testing.assert_allclose(arrays.pop("embedding.W"), 30 * others.pop("embedding.W"), rtol=1e-6)
    assert all(np.array_equal(array, others[path]) for path, array in arrays.items())


def test_ids_may_be_lists(rng):
    model, classifier = language_model(), nl.SequenceClassifier(V, 3, H, rng=0)
    x, y = window(rng)
    targets = rng.integers(0, 3, B)
    for call, *ids in (
        (lambda x, y: model.forward(x, y)[0], x, y),
        (lambda x: model.logits(x)[0], x),
        (classifier.forward, x, targets),
        (classifier.predict, x),
        (lambda x, y: nl.evaluate_classifier(classifier, x, y).loss, x, targets),
        (lambda x: nl.diagnostics.cell_activations(model, x)[0].c, x),
        (lambda ids: nl.functional.embedding_forward(ids, model.embedding.W.data)[0], x),
    ):
        np.testing.assert_array_equal(call(*ids), call(*(array.tolist() for array in ids)))


def test_integers_of_any_type_and_read_only_arrays_are_taken(rng):
    model, (x, y) = language_model(), window(rng)
    state, arrays = model.zero_state(B), model.state_dict()
    loss, _ = model.forward(x, y, state)
    assert model.forward(x.astype("uint16"), y.astype("int32"), state)[0] == loss
    for array in (x, y, *state, *arrays.values()):
        array.setflags(write=False)
    assert model.forward(x, y, state)[0] == loss
    model.load_state_dict(arrays)
    nl.Embedding(V, D).load(np.ones((V, D)).tolist())
    nl.LanguageModel(V, H, forget_bias=np.float32(1))


@pytest.mark.parametrize("locked", [False, True])
@pytest.mark.parametrize(
    ("dropout", "of_input", "of_output", "of_weights", "of_words"),
    [
        (0.4, None, None, 0, 0),
        (0.4, 0, 0.3, 0.2, 0),
        (0, 0.4, 0.1, 0, 0.3),
        (0.2, 0.4, 0, 0.1, 0.1),
    ],
)
def test_the_masks_of_a_model(rng, locked, dropout, of_input, of_output, of_weights, of_words):
    """At the ends by default as between; a probability of 0 draws no mask, and shifts none."""
    model = language_model(
        dropout=dropout,
        dropout_input=of_input,
        dropout_output=of_output,
        dropout_locked=locked,
        dropout_weights=of_weights,
        dropout_words=of_words,
    )
    source, masks = copy.deepcopy(model.rng), {}
    steps = 1 if locked else T
    for name, p, drawn, shape in [
        ("words", of_words, (V, 1), (V, D)),
        ("input", dropout if of_input is None else of_input, (steps, B, D), (T, B, D)),
        *((f"lstm.{k}.x", dropout, (steps, B, H), (T, B, H)) for k in range(1, L)),
        *((f"lstm.{k}.Wh", of_weights, (H, 4 * H), (H, 4 * H)) for k in range(L)),
        ("output", dropout if of_output is None else of_output, (steps, B, H), (T, B, H)),
    ]:
        if p:
            uniform = np.broadcast_to(source.random(drawn, dtype=np.float32), shape)
            masks[name] = reference.dropout_mask(uniform, p, np.float64)
    x, y = window(rng)
    state, arrays = model.zero_state(B), model.state_dict()
    logits, _ = plain_pass(model.config, arrays, x, state, masks)
    expected = cross_entropy(logits, y, np.ones((T, B)), sum_over_time=True)
    assert model.forward(x, y)[0] == pytest.approx(expected, rel=1e-12)
    assert model.rng.bit_generator.state == source.bit_generator.state


# --- from a configuration ---------------------------------------------------------------------


def test_a_model_of_a_configuration_is_that_of_its_keywords():
    config = nl.ModelConfig(cell="gru", options={"reset": "before"}, hidden_size=H, dropout=0.2)
    model = nl.LanguageModel.from_config(config, V, rng=3)
    twin = nl.LanguageModel(V, H, cell="gru", reset="before", dropout=0.2, rng=3)
    assert model.config == twin.config == config
    assert model.reset == twin.reset == "before"
    assert repr(model) == repr(twin)
    np.testing.assert_equal(twin.state_dict(), model.state_dict())
    of_a_run = nl.LanguageModel.from_config(nl.from_preset("demo", hidden_size=H), V, rng=3)
    assert of_a_run.config.tied


@pytest.mark.parametrize("kind", [nl.LanguageModel, nl.SequenceClassifier, nl.SequenceRegressor])
def test_the_signature_shows_settings_and_options_with_their_defaults(kind):
    shown = {name: p.default for name, p in inspect.signature(kind).parameters.items()}
    for cell in CELLS.values():
        assert {name: o.default for name, o in cell.options.items()}.items() <= shown.items()
    own = {"hidden_size", "init_scale"}
    language = {"tied", "average_across_timesteps", "average_across_batch"}
    for each in config_fields(nl.ModelConfig):
        if each.name not in own | (set() if kind is nl.LanguageModel else language):
            assert shown[each.name] == each.default
    assert shown["rng"] is None


@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_sequence_model_of_a_configuration(bidirectional):
    twin = nl.SequenceRegressor(
        input_size=D,
        num_outputs=2,
        hidden_size=H,
        every_step=False,
        rng=3,
        cell="gru",
        bidirectional=bidirectional,
    )
    model = nl.SequenceRegressor.from_config(
        twin.config, None, 2, bidirectional=bidirectional, every_step=False, rng=3
    )
    assert repr(model) == repr(twin)
    x = np.ones((T, B, D), np.float32)
    np.testing.assert_array_equal(model.predict(x), twin.predict(x))


# --- common to all ----------------------------------------------------------------------


def test_without_a_state_everything_starts_from_zeros(rng):
    model, (x, y) = language_model(), window(rng)
    zero = model.zero_state(B)
    assert model.forward(x, y)[0] == model.forward(x, y, zero)[0]
    np.testing.assert_array_equal(model.logits(x)[0], model.logits(x, zero)[0])
    np.testing.assert_array_equal(model.score(x, y)[0], model.score(x, y, zero)[0])


def test_parameters_are_a_dict_by_path_of_whatever_has_some(rng):
    model = language_model()
    together = model.parameters()
    shapes = {path: p.data.shape for path, p in together.items()}
    assert list(shapes.items()) == [
        ("embedding.W", (V, D)),
        ("lstm.0.Wx", (D, 4 * H)),
        ("lstm.0.Wh", (H, 4 * H)),
        ("lstm.0.b", (4 * H,)),
        ("lstm.1.Wx", (H, 4 * H)),
        ("lstm.1.Wh", (H, 4 * H)),
        ("lstm.1.b", (4 * H,)),
        ("decoder.W", (H, V)),
        ("decoder.b", (V,)),
    ]
    assert [p.name for p in together.values()] == list(together)
    assert model.embedding.parameters() == {"embedding.W": together["embedding.W"]}
    assert nl.Dropout(0.5).parameters() == nl.SequenceCrossEntropy().parameters() == {}
    model.embedding.load(rng.random((V, D)), trainable=False)
    assert model.embedding.parameters() == {}
    assert model.all_parameters().keys() == together.keys()
    assert model.num_parameters == sum(array.size for array in model.state_dict().values())


def test_what_they_are_called():
    assert repr(nl.LSTM(D, H, L)) == (
        "LSTM(input_size=4, hidden_size=6, num_layers=2, forget_bias=1.0): 576 parameters; "
        "x is (T, B, 4), time first"
    )
    stack = nl.RecurrentStack("gru", D, H)
    assert repr(stack).startswith("RecurrentStack(cell='gru', input_size=4, hidden_size=6, num_lay")
    assert repr(nl.RNN(D, H)).startswith("RNN(input_size=4, hidden_size=6, num_layers=1, activ")
    assert repr(nl.Embedding(V, D)) == "Embedding(vocab_size=11, embedding_size=4): 44 parameters"
    assert repr(nl.Linear(D, H)) == (
        "Linear(input_size=4, output_size=6, tied=False): 30 parameters"
    )
    assert repr(nl.Dropout(0.5)) == "Dropout(p=0.5, locked=False)"
    model = nl.SequenceClassifier(V, 3, H, cell="rnn", rng=0)
    first, *rows = repr(model).splitlines()
    assert first == (
        "SequenceClassifier(vocab_size=11, num_classes=3, hidden_size=6, cell='rnn', "
        "activation='tanh'): 165 parameters; x is (T, B), time first"
    )
    assert [row.split()[0] for row in rows] == list(model.parameters())
    assert rows[0].split() == ["embedding.W", "(11,", "6)", "66"]
    assert eval(f"nl.{first.split(':')[0]}", {"nl": nl}).num_parameters == 165


def test_what_is_frozen_by_name():
    model = nl.LanguageModel(11, 6, rng=0)
    with pytest.raises(ValueError, match=r"of embedding\.W, lstm.* got 'decoder\.x'$"):
        model.freeze(["decoder.b", "decoder.x"])
    assert "decoder.b" in model.parameters()  # all or none
    model.freeze("decoder.b")
    assert set(model.all_parameters()) - set(model.parameters()) == {"decoder.b"}


# --- bad calls ---------------------------------------------------------------------------------


def small_state_as_float64():
    return nl.LSTMState(*(array.astype(float) for array in small_state()))


def small_state_with_nan():
    state = small_state()
    state.c[1, 2, 3] = np.nan
    return state


def load_bias(change):
    """Load the parameters of a model with a change of decoder.b."""
    model = small_model()
    arrays = model.state_dict()
    arrays["decoder.b"] = change(arrays["decoder.b"])
    model.load_state_dict(arrays)


@pytest.mark.parametrize(
    ("call", "says", "error"),
    [
        bad_call(lambda: nl.LanguageModel(0, 4), "vocab_size must be at least 1, got 0"),
        bad_call(
            lambda: nl.LanguageModel(11, -4),
            "hidden_size must be at least 1 and at most 500000000, got",
        ),
        bad_call(
            lambda: nl.LanguageModel(11, "4"),
            "hidden_size must be a whole number, got '4'",
            TypeError,
        ),
        bad_call(lambda: nl.LanguageModel(11, 4, 0), "num_layers must be at least 1 and at most"),
        bad_call(lambda: nl.LanguageModel(11, 4, cell="elman"), "cell must be 'rnn', 'lstm'"),
        bad_call(
            lambda: nl.LanguageModel(11, 4, cell="gru", forget_bias=2.0),
            "forget_bias must be left out, got 2.0; it is a setting of 'lstm'",
        ),
        bad_call(
            lambda: nl.LanguageModel(11, 4, cell="rnn", activation="swish"),
            "activation must be 'tanh'",
        ),
        bad_call(
            lambda: nl.LanguageModel(11, 4, dropout=1.0),
            "dropout must be at least 0 and below 1, got 1.0",
        ),
        bad_call(
            lambda: small_model().forward(IDS[:, None], IDS[:, None], masks={"embedding": 1}),
            "got 'embedding'",
        ),
        bad_call(
            lambda: nl.LanguageModel(11, 4, dtype="float16"), "dtype must be float32 or float64"
        ),
        bad_call(
            lambda: nl.LanguageModel(11, 4, impl="gpu"),
            "impl must be 'fast' or 'reference', got 'gpu'",
        ),
        bad_call(
            lambda: nl.LanguageModel(11, 4, init_scale=-1.0),
            "init_scale must be at least 0 and at most",
        ),
        bad_call(
            lambda: nl.LanguageModel(11, 4, cell="mingru", dropout_weights=0.1),
            "dropout_weights must be 0, got 0.1; a minGRU has no Wh to drop",
        ),
        bad_call(
            lambda: nl.SequenceTagger.from_config(nl.ModelConfig(tied=True), 11, 2),
            "tied must be False for a SequenceTagger, got True",
        ),
        bad_call(
            lambda: nl.LanguageModel.from_config({"hidden_size": 4}, 11),
            "LanguageModel.from_config: config must be a ModelConfig, got dict",
            TypeError,
        ),
        bad_call(lambda: nl.LanguageModel(11, num_hidden=3), "argument 'num_hidden'", TypeError),
        bad_call(
            lambda: small_model().forward(X - 1, Y, small_state()),
            "x must lie in [0, 11), got -1 at [0, 0]",
        ),
        bad_call(
            lambda: small_model().forward(X.astype(float), Y, small_state()),
            "x must hold integers",
            TypeError,
        ),
        bad_call(
            lambda: small_model().forward([[1, 2], [3]], Y, small_state()),
            "x must be an array or a seq",
            TypeError,
        ),
        bad_call(
            lambda: small_model().forward(X[:0], Y[:0], small_state()),
            "x must not be empty, got shape (0, 3)",
        ),
        bad_call(
            lambda: small_model().forward(X[None], Y[None], small_state()),
            "must have shape (T, B), got (1, 5, 3)",
        ),
        bad_call(
            lambda: small_model().forward(X.T, Y.T, small_state()),
            "(2, 3, 4); (L, B, H); B is fixed by x (T, B, D)",
        ),
        bad_call(
            lambda: small_model().forward(X, Y, 0),
            "state must be LSTMState(h, c), got int",
            TypeError,
        ),
        bad_call(
            lambda: small_model().forward(X, Y, small_model().zero_state(2)),
            "state.h must have shape (2, 3, 4)",
        ),
        bad_call(lambda: small_model().zero_state(0), "batch_size must be at least 1, got 0"),
        bad_call(
            lambda: small_model().forward(X, Y, small_state_as_float64()),
            "state.h must have dtype float32",
            TypeError,
        ),
        bad_call(
            lambda: small_model().forward(X, Y, small_state_with_nan()),
            "state.c must be finite, got nan at [1, 2, 3]",
        ),
        bad_call(
            lambda: small_model().forward(X, Y, small_state(), weights=-ONES),
            "weights must be at least 0",
        ),
        bad_call(
            lambda: small_model().zero_state(2**70),
            "batch_size must be at most 500,000,000, got 1180",
        ),
        bad_call(
            lambda: small_model().forward(X, Y, small_state(), weights=3e38 * ONES),
            "weights must be finite, and so must",
        ),
        bad_call(
            lambda: nl.LanguageModel.from_config(small_model().config, 11, 7),
            "num_outputs must be the vocab_size",
        ),
        bad_call(
            lambda: nl.SequenceTagger.from_config(small_model().config, 11, 2, every_step=False),
            "every_step must be True for a SequenceTagger, got False",
        ),
        bad_call(
            lambda: load_bias(lambda b: b * np.nan),
            "decoder.b must be finite, got nan at [0]",
        ),
        bad_call(
            lambda: load_bias(lambda b: b.astype(float)),
            "decoder.b must have dtype float32, got float64",
            TypeError,
        ),
        bad_call(
            lambda: load_bias(np.ndarray.tolist),
            "decoder.b must be a NumPy array, got list",
            TypeError,
        ),
        bad_call(
            lambda: nl.LanguageModel(11, 4).backward(),
            "there is no pending forward pass",
            RuntimeError,
        ),
        bad_call(
            lambda: nl.LanguageModel(11, 4).training_scores(), "there is no pending", RuntimeError
        ),
        bad_call(
            lambda: nl.LanguageModel(11, 4, bidirectional=True),
            "unexpected keyword argument 'bidi",
            TypeError,
        ),
    ],
)
def test_a_bad_call_gets_one_sentence(call, says, error):
    assert_refused(call, says, error)


def test_sequences_of_a_language_model_may_end(rng):
    """Loss, gradients, scores and states are those of the sequences alone, whatever follows."""
    model = nl.LanguageModel(V, H, L, dtype="float64", init_scale=0.5, rng=0,
                             average_across_timesteps=True)  # fmt: skip
    lengths = np.array([T, 2, 0])
    x, y = rng.integers(0, V, (2, T, B))
    past = np.arange(T)[:, None] >= lengths
    x[past], y[past] = -100, V + 7  # not read
    weights = rng.random((T, B))
    loss, state = model.forward(x, y, lengths=lengths, weights=weights)
    model.backward()
    gradients = {path: p.grad.copy() for path, p in model.parameters().items()}
    nll, _, scored = model.score(x, y, lengths=lengths)
    assert not nll[past].any()
    total, expected = weights[~past].sum(), 0.0
    for p in model.parameters().values():
        p.zero_grad()
    for n, end in enumerate(lengths[:2]):
        own = np.s_[:end, n : n + 1]
        each, _, alone = model.score(x[own], y[own])
        np.testing.assert_allclose(nll[:end, n], each[:, 0], rtol=1e-12)
        for found in (state, scored):
            np.testing.assert_allclose(found.h[:, n], alone.h[:, 0], rtol=1e-12)
        part = weights[own].sum() / total
        expected += part * model.forward(x[own], y[own], weights=weights[own])[0]
        model.backward()
        for path, p in model.parameters().items():
            gradients[path] -= part * p.grad
            p.zero_grad()
    assert loss == pytest.approx(expected, rel=1e-12)
    assert model.forward(x, y, None, False, weights, lengths=lengths)[0] == pytest.approx(loss)
    for path, rest in gradients.items():
        np.testing.assert_allclose(rest, 0, atol=1e-12, err_msg=path)
    assert not state.h[:, 2].any()


def test_paths_to_freeze_may_be_beginnings():
    model = nl.LanguageModel(V, H, 2, rng=0)
    model.freeze(["lstm.0", "decoder"])
    assert list(model.parameters()) == ["embedding.W", "lstm.1.Wx", "lstm.1.Wh", "lstm.1.b"]
    model.unfreeze("lstm.0.Wx")
    assert "lstm.0.Wx" in model.parameters()
    model.unfreeze(["lstm", "decoder.b", "decoder.W"])
    assert model.parameters().keys() == model.all_parameters().keys()
    for call in (model.freeze, model.unfreeze):
        with pytest.raises(ValueError, match=r"paths must be of embedding\.W, .*; got 'lst'"):
            call("lst")
