"""Every setting of a model, with a value that is not its default, wherever settings reach.

A setting is enrolled by its field in `ModelConfig` and by a row of `FIELDS` here, an option of a
cell by its record. Nothing may drop one in silence: files and other classes keep it, checks and
diagnostics follow it, and other programs compute the same or refuse it by its name.
"""

import dataclasses
import itertools
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import B, D, H, T, V
from support.node import needs_node, node
from support.pages import data_of
from support.plain_pass import plain_pass

import numpylstm as nl
from numpylstm import diagnostics, exchange, explore, inference, model_check, network, reference
from numpylstm.cells import CELLS
from numpylstm.config import ConfigError, ModelConfig, TrainConfig, check_known, config_fields
from numpylstm.data.configured import ScoredText
from numpylstm.exchange import arrays as exchange_arrays
from numpylstm.explore import cells_of_engine, own

K = 7  # outputs
BASE = {"hidden_size": H, "embedding_size": D, "num_layers": 2, "init_scale": 0.5}
FIELDS = {  # for each setting a value, and the other settings that it needs
    "cell": {"cell": "gru"},
    "options": {"options": {"forget_bias": 0.5}},
    "hidden_size": {"hidden_size": 9},
    "embedding_size": {"embedding_size": 3},
    "num_layers": {"num_layers": 3},
    "dropout": {"dropout": 0.3},
    "dropout_input": {"dropout_input": 0.3},
    "dropout_output": {"dropout_output": 0.3},
    "dropout_locked": {"dropout_locked": True, "dropout": 0.3},
    "dropout_weights": {"dropout_weights": 0.3},
    "dropout_state": {"dropout_state": 0.3},
    "dropout_words": {"dropout_words": 0.3},
    "tied": {"tied": True},  # D is not H: with a projection
    "init_scale": {"init_scale": 0.25},
    "init_scale_embedding": {"init_scale_embedding": 0.25},
    "dtype": {"dtype": "float64"},
    "impl": {"impl": "reference"},
    "average_across_timesteps": {"average_across_timesteps": True},
    "average_across_batch": {"average_across_batch": False},
}


def of_options():
    """Yield every example of every option of every cell."""
    for cell in CELLS.values():
        for name, option in cell.options.items():
            for value in option.examples or option.choices or (option.default,):
                yield f"{cell.name} {name}={value}", {"cell": cell.name, "options": {name: value}}


CASES = FIELDS | {"tied, D = H": {"tied": True, "embedding_size": None}} | dict(of_options())
EVERY_SETTING = pytest.mark.parametrize("case", CASES)
CLASSES = {
    nl.LanguageModel: {},
    nl.SequenceClassifier: {"num_outputs": K},
    nl.SequenceTagger: {"num_outputs": K, "bidirectional": True},
    nl.SequenceRegressor: {"num_outputs": K, "bidirectional": True, "every_step": False},
}


def config_of(case, **changes):
    return ModelConfig(**BASE | CASES[case] | changes)


def of_class(kind, config):
    return kind.from_config(config, V, **CLASSES[kind], rng=0)


def refusal(kind, case):
    """Return the name of the setting that a class refuses, or None."""
    try:
        of_class(kind, config_of(case))
    except ConfigError as error:
        return error.setting
    return None


REFUSED = {pair: refusal(*pair) for pair in itertools.product(CLASSES, CASES)}
ALL_KEPT = [pair for pair in REFUSED if REFUSED[pair] is None]
EVERY_ONE_KEPT = pytest.mark.parametrize(("kind", "case"), ALL_KEPT)


def made(kind, case, rng, **changes):
    """Return a model with the setting and random parameters."""
    model = of_class(kind, config_of(case, **changes))
    for parameter in model.parameters().values():
        parameter.data[...] = 0.5 * rng.standard_normal(parameter.data.shape)
    return model


def outputs_of(model, x, lengths=None):
    if isinstance(model, nl.LanguageModel):
        return model.logits(x)[0]
    if isinstance(model, nl.SequenceRegressor):
        return model.predict(x, lengths)
    return model.probabilities(x, lengths)


@pytest.fixture
def x(rng):
    return rng.integers(0, V, (T, B))


def test_every_setting_has_an_example():
    assert FIELDS.keys() == {each.name for each in dataclasses.fields(ModelConfig)}
    for each in config_fields(ModelConfig):
        assert getattr(config_of(each.name), each.name) not in (each.default, BASE.get(each.name))


# --- it is kept --------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "case"), [pair for pair in REFUSED if REFUSED[pair]])
def test_a_class_refuses_a_setting_by_its_name(kind, case):
    assert REFUSED[kind, case] in CASES[case]
    assert kind is not nl.LanguageModel


@EVERY_ONE_KEPT
def test_a_class_keeps_a_setting(kind, case, rng):
    """The loss of a sequence model is a mean, which `average_across_timesteps` says."""
    config = made(kind, case, rng).config
    wanted = config_of(case)
    if kind is not nl.LanguageModel:
        wanted = dataclasses.replace(wanted, average_across_timesteps=True)
    assert config == wanted


@EVERY_ONE_KEPT
def test_a_saved_model_keeps_a_setting(kind, case, rng, x, tmp_path):
    model = made(kind, case, rng)
    nl.save_model(model, tmp_path / "m.npz")
    twin = nl.load_model(tmp_path / "m.npz")
    assert twin.config == model.config
    np.testing.assert_array_equal(outputs_of(twin, x), outputs_of(model, x))


@EVERY_ONE_KEPT
def test_safetensors_keep_a_setting(kind, case, rng, x, tmp_path):
    pytest.importorskip("safetensors")
    model = made(kind, case, rng)
    exchange.export_model(model, tmp_path / "m", "safetensors")
    twin, _ = exchange.import_model(tmp_path / "m")
    size = model.config.input_size  # a shape of the table, given or not
    assert twin.config == dataclasses.replace(model.config, embedding_size=size)
    np.testing.assert_array_equal(outputs_of(twin, x), outputs_of(model, x))


# --- it has its effect, and the gradient with it ------------------------------------------------


@EVERY_SETTING
def test_the_outputs_are_those_of_the_plain_pass(case, rng, x):
    model = made(nl.LanguageModel, case, rng, dtype="float64")
    want, _ = plain_pass(model.config, model.state_dict(), x, model.zero_state(B), {})
    np.testing.assert_allclose(outputs_of(model, x), want, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("rows", [1, 10**6], ids=["long", "short"])
@EVERY_ONE_KEPT
def test_a_pass_without_training_is_that_of_the_network(kind, case, rows, rng, x, monkeypatch):
    """It is cut into windows, in one and in two directions, with an output at each step or one."""
    monkeypatch.setattr(inference, "ROWS_AT_ONCE", rows)
    model = made(kind, case, rng)
    lengths = np.array([3, 1, T])
    passed = (
        model.functions, model.config, model.arrays(), x, model.zero_state(B),
    )  # fmt: skip
    want, state, _ = network.forward(*passed, {}, lengths, model.every_step)
    got, after = inference.outputs(*passed, lengths, model.every_step)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(np.array(after), np.array(state), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("case", [case for kind, case in ALL_KEPT if kind is nl.SequenceClassifier])
def test_a_sequence_without_new_steps_keeps_its_output(case, rng, x):
    """It is computed from the state alone."""
    model = made(nl.SequenceClassifier, case, rng)
    before, state = model.advance(x)
    after, _ = model.advance(x, state, lengths=[0, 2, 0])
    np.testing.assert_allclose(after[[0, 2]], before[[0, 2]], rtol=1e-5)


@EVERY_SETTING
def test_every_gradient_is_the_slope(case, rng, x):
    model = made(nl.LanguageModel, case, rng)
    report = model_check.check_model(model, x, rng.integers(0, V, (T, B)))
    assert report.passed, f"\n{report}"


@EVERY_SETTING
def test_the_lag_table_adds_up_to_the_gradient(case, rng, x):
    """Its tables are computed without dropout."""
    model = made(nl.LanguageModel, case, rng, dtype="float64")
    y, state = rng.integers(0, V, (T, B)), model.zero_state(B)
    table = diagnostics.model_lag_table(model, x, y, state)
    model.forward(x, y, state, masks={})
    model.backward()
    prefix = f"{model.config.cell}."
    recurrent = {p: v.grad for p, v in model.parameters().items() if p.startswith(prefix)}
    assert table.parts.keys() == recurrent.keys()
    for path, gradient in recurrent.items():
        scale = np.abs(gradient).max()
        np.testing.assert_allclose(table.total(path), gradient, rtol=1e-10, atol=1e-12 * scale)


STEP = 1e-30  # of the complex step


def with_h_moved(config, layer):
    """Return the textbook with a complex step in the last h of a layer: of unit b in sequence b."""
    layers = itertools.count()
    cell_forward = getattr(reference, f"{config.cell}_forward")

    def moved(**arguments):
        hs, *after, cache = cell_forward(**arguments)
        if next(layers) == layer:
            hs = hs.astype(complex)
            hs[-1] += 1j * STEP * np.eye(config.hidden_size)
            after[0] = hs[-1]
        return hs, *after, cache

    return SimpleNamespace(**vars(reference) | {f"{config.cell}_forward": moved})


@EVERY_SETTING
def test_gradient_flow_is_the_slope(case, rng):
    """One sequence in each column of a batch, and in each another unit of h is moved."""
    model = made(nl.LanguageModel, case, rng, dtype="float64")
    config = model.config
    arrays = model.state_dict()
    x, y = rng.integers(0, V, (2, 3, 1))
    flow = diagnostics.gradient_flow(model, x, y)
    _, _, cache = network.loss_forward(reference, config, arrays, x, y, model.zero_state(1), {})
    dlast = reference.sequence_cross_entropy_backward(cache["cross_entropy"])[-1]
    columns = np.repeat(x, config.hidden_size, axis=1)
    for layer, t in itertools.product(range(config.num_layers), range(len(x))):
        start = model.zero_state(config.hidden_size)
        moved = with_h_moved(config, layer)
        logits, state, _ = network.forward(moved, config, arrays, columns[: t + 1], start, {})
        if t + 1 < len(x):
            logits, _, _ = network.forward(reference, config, arrays, columns[t + 1 :], state, {})
        dh = (dlast * logits[-1].imag).sum(axis=1) / STEP
        assert flow.norms["h"][layer, t] == pytest.approx(np.linalg.norm(dh), rel=1e-9)


@pytest.mark.parametrize(
    ("kind", "case"), [pair for pair in ALL_KEPT if pair[0] is not nl.LanguageModel]
)
def test_a_padded_batch_is_each_sequence_alone(kind, case, rng, x):
    model, lengths = made(kind, case, rng, dtype="float64"), np.array([3, 1, 5])
    together = outputs_of(model, x, lengths)
    for b, length in enumerate(lengths):
        alone = outputs_of(model, x[:length, [b]])
        of_steps = alone.ndim == together.ndim == 3
        part = together[:length, [b]] if of_steps else together[[b]]
        np.testing.assert_allclose(part, alone, rtol=1e-10, atol=1e-12)


# --- other programs compute the same, or refuse it ----------------------------------------------


def check_refusal(case, error):
    """A refusal names the setting or the cell."""
    if isinstance(error, ConfigError):
        assert error.setting in CASES[case]
    else:
        assert "must have a cell that" in str(error)


@EVERY_SETTING
def test_pytorch_agrees_or_the_setting_is_refused(case, rng, x):
    torch = pytest.importorskip("torch")
    model = made(nl.LanguageModel, case, rng, dtype="float64")
    try:
        module = exchange.torch_module(model)
    except ValueError as error:
        check_refusal(case, error)
        return
    theirs, _ = module(torch.from_numpy(x))
    np.testing.assert_allclose(theirs.detach().numpy(), outputs_of(model, x), rtol=1e-10)


@EVERY_SETTING
def test_onnx_agrees_or_the_setting_is_refused(case, rng, x, tmp_path):
    """In float32 in onnxruntime, which has no other; in float64 in the interpreter of ONNX."""
    onnx, runtime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    model, path = made(nl.LanguageModel, case, rng), tmp_path / "m.onnx"
    try:
        exchange.export_model(model, path, "onnx")
    except ValueError as error:
        check_refusal(case, error)
        return
    if model.dtype == "float32":
        session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    else:
        session = pytest.importorskip("onnx.reference").ReferenceEvaluator(onnx.load(path))
    state = {f"{name}0": part for name, part in model.zero_state(B)._asdict().items()}
    theirs, *_ = session.run(None, {"ids": x} | state)
    np.testing.assert_allclose(theirs, outputs_of(model, x), rtol=0, atol=1e-5)


@needs_node
@pytest.mark.parametrize(
    "case", [case for case in CASES if CASES[case].get("cell", "lstm") in cells_of_engine()]
)
def test_the_engine_of_the_page_agrees(case, rng):
    """The command refuses the cells that the engine does not have."""
    model = made(nl.LanguageModel, case, rng)
    ids = rng.integers(0, V, 9)
    tokens = nl.Vocabulary(("<unk>", *"abcdefghij"))
    config = TrainConfig(**model.config.to_dict(), train="text.txt")
    page = own.explorer_page("run", model, tokens, config, ScoredText("text", ids, 0))
    stored = data_of(page)["models"]["own"]
    theirs = np.array(node("logits", stored=stored, ids=[[int(k)] for k in ids]))
    np.testing.assert_allclose(theirs, outputs_of(model, ids[:, None]), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "name", [each.name for each in config_fields(ModelConfig) if each.metadata["outputs"]]
)
def test_a_setting_that_a_program_does_not_know_is_refused(name, rng, monkeypatch):
    """As one that is new here: with none of them known, each is refused by its name."""
    model = made(nl.LanguageModel, name, rng)
    known = [each.name for each in config_fields(ModelConfig) if each.name != name]
    says = f"^{name} must be .*, got .*; .* has no such setting"
    with pytest.raises(ConfigError, match=says):
        check_known(model.config, "PyTorch", known)
    monkeypatch.setattr(exchange_arrays, "SHOWN", known)
    monkeypatch.setattr(explore, "KNOWN", known)
    text = ScoredText("text", np.array([1, 2]), 0)
    for call in (
        lambda: exchange.to_torch(model),
        lambda: [*exchange_arrays.layers_for("keras", model, "Keras")],
        lambda: own.explorer_page("run", model, None, model.config, text),
    ):
        with pytest.raises(ConfigError, match=says):
            call()


@pytest.mark.parametrize(
    "case", [each.name for each in config_fields(ModelConfig) if not each.metadata["outputs"]]
)
def test_a_setting_that_no_program_needs_has_no_effect_on_the_outputs(case, rng, x):
    """The masks, the start and the loss."""
    model = made(nl.LanguageModel, case, rng)
    plain = nl.LanguageModel.from_config(ModelConfig(**BASE), V)
    plain.load_state_dict(model.state_dict())
    np.testing.assert_allclose(outputs_of(plain, x), outputs_of(model, x), rtol=0, atol=1e-6)
