"""Weights to other programs and back: the same numbers there, the same bytes here.

What needs a package of the extra ``exchange`` is skipped without it. Keras is not among them: its
equations are written out here, in its own order of gates, as its documentation has them.
"""

import io
import json
import pickle
import struct
import sys
import zipfile
from contextlib import suppress
from itertools import product

import numpy as np
import pytest
from conftest import B, D, H, L, T, V, random_state
from support.pytorch import IN_PYTORCH, torch_state
from support.runs import call
from support.sequence_models import SEQUENCE_MODELS, make_sequence_model, sequence_data

import numpylstm as nl
from numpylstm import cells, exchange
from numpylstm.cli import import_ as import_command
from numpylstm.levels import LEVELS
from numpylstm.saving import CheckpointError

NOT_IN_PYTORCH = {
    "reset before": {"cell": "gru", "reset": "before", "embedding_size": D},
    "sigmoid": {"cell": "rnn", "activation": "sigmoid", "embedding_size": D},
}
ONLY_HERE = {  # the cells of no other program, each with its last choices
    cell.name: {
        "cell": cell.name,
        "embedding_size": D,
        "options": {name: of.choices[-1] for name, of in cell.options.items() if of.choices},
    }
    for cell in cells.CELLS.values()
    if "PyTorch" not in cell.orders
}
TOLERANCES = {"float32": 1e-5, "float64": 1e-12}
VOCABULARY = nl.Vocabulary(("<unk>", "été", "\x1b[2J", *"abcdefgh"))


def needed(name):
    return pytest.importorskip(name, reason=f"{name} is not installed (extra: exchange)")


def random_model(rng, dtype="float64", **settings):
    """Return a model whose parameters are all random, biases too."""
    model = nl.LanguageModel(V, H, L, dtype=dtype, rng=0, **settings)
    arrays = model.state_dict()
    model.load_state_dict(
        {k: 0.5 * rng.standard_normal(a.shape).astype(dtype) for k, a in arrays.items()}
    )
    return model


def random_window(rng, model):
    return rng.integers(0, V, (T, B)), random_state(rng, model)


def assert_same_bytes(model, twin):
    ours, back = model.state_dict(), twin.state_dict()
    assert ours.keys() == back.keys()
    for path, array in ours.items():
        assert (array.dtype, array.shape) == (back[path].dtype, back[path].shape)
        assert array.tobytes() == back[path].tobytes(), path
    assert model.config.options == twin.config.options
    assert model.config.tied == twin.config.tied


def torch_module(settings, dtype="float64", bias=True):
    """Return a user's module, with names of its own and the batch first."""
    torch = needed("torch")
    cell, E = settings.get("cell", "lstm"), settings.get("embedding_size", H)

    class Theirs(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.tokens = torch.nn.Embedding(V, E)
            kind = getattr(torch.nn, cell.upper())
            more = {"nonlinearity": settings.get("activation", "tanh")} if cell == "rnn" else {}
            self.memory = kind(E, H, L, batch_first=True, bias=bias, **more)
            layers = [torch.nn.Dropout(0.5), torch.nn.Linear(H, V)]
            if settings.get("tied"):
                layers[1] = torch.nn.Linear(E, V)
                layers[1].weight = self.tokens.weight
            if settings.get("tied") and E != H:
                layers.insert(0, torch.nn.Linear(H, E, bias=False))
            self.head = torch.nn.Sequential(*layers)

        def forward(self, ids, state):  # (B, T)
            hs, state = self.memory(self.tokens(ids), state)
            return self.head(hs), state

    return Theirs().to(getattr(torch, dtype)).eval()


# --- PyTorch ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("kind", IN_PYTORCH)
class TestPyTorch:
    def test_a_module_comes_in_with_its_outputs(self, rng, kind, dtype):
        """Its two biases become one (but for bn). `test_torch` compares the gradients."""
        torch = needed("torch")
        torch.manual_seed(3)
        theirs = torch_module(IN_PYTORCH[kind], dtype)
        cell = IN_PYTORCH[kind].get("cell")
        activation = (
            {"activation": IN_PYTORCH[kind].get("activation", "tanh")} if cell == "rnn" else {}
        )
        arrays = exchange.from_torch(theirs.state_dict())
        ours = exchange.language_model(arrays, **activation)
        assert (ours.config.dtype, ours.config.tied) == (dtype, "tied" in kind)
        x, state = random_window(rng, ours)
        logits, (hT, *_) = ours.logits(x, state)
        with torch.no_grad():
            expected, their_state = theirs(torch.from_numpy(x.T), torch_state(torch, state))
        their_h = their_state[0] if isinstance(their_state, tuple) else their_state
        tolerance = TOLERANCES[dtype]
        np.testing.assert_allclose(logits, expected.numpy().swapaxes(0, 1), rtol=0, atol=tolerance)
        np.testing.assert_allclose(hT, their_h.numpy(), rtol=0, atol=tolerance)

    def test_a_module_and_a_file_go_out_and_the_file_back(self, rng, kind, dtype, tmp_path):
        torch = needed("torch")
        model = random_model(rng, dtype, **IN_PYTORCH[kind])
        x, before = random_window(rng, model)
        module = exchange.torch_module(model)
        with torch.no_grad():
            logits, _ = module(torch.from_numpy(x), torch_state(torch, before))
        np.testing.assert_allclose(
            model.logits(x, before)[0], logits.numpy(), atol=TOLERANCES[dtype]
        )
        assert (module.decoder.weight is module.embedding.weight) == model.config.tied

        exchange.export_model(model, tmp_path / "m.pt", "torch", VOCABULARY)
        stored, theirs = torch.load(tmp_path / "m.pt", weights_only=True), module.state_dict()
        assert stored.keys() == theirs.keys()
        assert all(torch.equal(stored[key], theirs[key]) for key in stored)
        one = stored["embedding.weight"].data_ptr() == stored["decoder.weight"].data_ptr()
        assert one == model.config.tied
        twin, vocabulary = exchange.import_model(tmp_path / "m.pt")
        assert_same_bytes(model, twin)
        assert vocabulary == VOCABULARY


def test_arrays_need_no_pytorch_and_a_negative_zero_stays(rng):
    model = random_model(rng, **IN_PYTORCH["gru"])
    for parameter in model.parameters().values():
        parameter.data.flat[::3] = -0.0
    twin = exchange.language_model(exchange.from_torch(exchange.to_torch(model)))
    assert_same_bytes(model, twin)


@pytest.mark.parametrize("prefix", ["", "module.", "a.b.c."])
def test_prefixes_of_a_module(rng, prefix):
    model = random_model(rng, **IN_PYTORCH["lstm"])
    state = {prefix + key: array for key, array in exchange.to_torch(model).items()}
    assert_same_bytes(model, exchange.language_model(exchange.from_torch(state)))


def test_biases_may_be_missing():
    theirs = torch_module(IN_PYTORCH["gru"], bias=False)
    model = exchange.language_model(exchange.from_torch(theirs.state_dict()))
    assert not any(model.parameters()[f"gru.1.{name}"].data.any() for name in ("b", "bn"))


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s | {"norm.weight": s["decoder.bias"]},
        lambda s: s | {"lstm.weight_hr_l0": s["lstm.weight_hh_l1"][:H]},
        lambda s: {k: a for k, a in s.items() if "lstm" not in k},
        lambda s: {k: a for k, a in s.items() if "decoder" not in k},
        lambda s: s | {"decoder.weight": s["decoder.weight"][:, 1:]},
    ],
)
def test_other_modules_of_pytorch_are_refused(rng, change):
    state = change(exchange.to_torch(random_model(rng, **IN_PYTORCH["lstm"])))
    with pytest.raises(ValueError, match=r"^from_torch: state must be of one LSTM, GRU or RNN"):
        exchange.from_torch(state)


@pytest.mark.parametrize("key", ["weight_hh_l0", "weight_ih_l1", "weight_hh_l0_reverse"])
def test_a_missing_key_is_named(rng, key):
    model = nl.SequenceTagger(V, 3, H, L, bidirectional=True, rng=0)
    state = {"a." + k: array for k, array in exchange.to_torch(model).items()}
    del state[f"a.lstm.{key}"]
    with pytest.raises(ValueError, match=rf"^from_torch: state must hold a\.lstm\.{key}, got no"):
        exchange.from_torch(state)
    arrays = model.state_dict()
    del arrays["backward.1.b"]
    with pytest.raises(ValueError, match=r"parameter backward\.1\.b is missing"):
        exchange.sequence_model(nl.SequenceTagger, arrays)


def test_a_checkpoint_is_no_state_dict(rng):
    state = exchange.to_torch(random_model(rng))
    with pytest.raises(TypeError, match=r"got dicts under \['model'\]; of a checkpoint, take the"):
        exchange.from_torch({"epoch": 3, "model": state})


def test_a_classifier_is_no_language_model(rng):
    state = exchange.to_torch(random_model(rng))
    arrays = exchange.from_torch({key: a[:3] if "decod" in key else a for key, a in state.items()})
    with pytest.raises(ValueError, match=r"decoder\.W must have shape \(6, 11\), got"):
        exchange.language_model(arrays)
    nl.SequenceClassifier(V, 3, H, L, dtype="float64").load_state_dict(arrays)


def test_a_module_is_told_to_give_its_state_dict():
    with pytest.raises(TypeError, match=r"got LSTM; that of a module is module\.state_dict\(\)$"):
        exchange.from_torch(nl.LSTM(D, H))  # as a module of PyTorch


def test_an_embedding_and_a_decoder_of_one_shape_need_the_bias(rng):
    model = random_model(rng)
    state = exchange.to_torch(model)
    turned = dict(sorted(state.items(), key=lambda item: "embedding" in item[0]))
    assert_same_bytes(model, exchange.language_model(exchange.from_torch(turned)))
    del state["decoder.bias"]
    with pytest.raises(ValueError, match="if their shapes are equal, with the bias of the Linear"):
        exchange.from_torch(state)


@pytest.mark.parametrize("kind", NOT_IN_PYTORCH | ONLY_HERE)
def test_cells_that_pytorch_lacks_are_refused(rng, kind):
    model = random_model(rng, **(NOT_IN_PYTORCH | ONLY_HERE)[kind])
    described = cells.CELLS[model.cell].describe(model.config.options)
    says = f"model must have a cell that PyTorch has, got a {described}"
    with pytest.raises(ValueError, match=says):
        exchange.to_torch(model)


# --- sequence models ----------------------------------------------------------------------------

CELLS = {
    "lstm": {},
    "gru": {"cell": "gru"},
    "relu": {"cell": "rnn", "activation": "relu"},
}


@pytest.fixture(
    params=product(SEQUENCE_MODELS, ("ids", "vectors"), ("forward", "both"), CELLS),
    ids=" ".join,
)
def sequence_case(request, rng):
    """Return a function that makes a random model, x, lengths, outputs and what of them counts."""
    kind, inputs, directions, cell = request.param
    settings = {"bidirectional": directions == "both", "init_scale": 0.5} | CELLS[cell]

    def of(dtype):
        model = make_sequence_model(kind, inputs, dtype=dtype, **settings)
        x, _ = sequence_data(rng, kind, inputs)
        if inputs == "vectors":
            x = x.astype(dtype)
        lengths = np.array([3, 1, 5])
        outputs = nl.sequence_models.SequenceModel.predict(model, x, lengths)
        counts = np.arange(T)[:, None] < lengths if model.every_step else slice(None)
        return model, x, lengths, outputs, counts

    return of


class TestSequenceModels:
    def test_a_module_of_pytorch_with_the_same_numbers(self, sequence_case):
        torch = needed("torch")
        model, x, lengths, outputs, counts = sequence_case("float64")
        module = exchange.torch_module(model)
        with torch.no_grad():
            theirs, _ = module(torch.from_numpy(x), None, torch.from_numpy(lengths))
        np.testing.assert_allclose(theirs.numpy()[counts], outputs[counts], rtol=0, atol=1e-12)
        arrays = exchange.from_torch(module.state_dict())
        unseen = {"activation": "relu"} if model.config.cell == "rnn" else {}
        if model.every_step != type(model).fixed_settings.get("every_step", True):
            unseen["every_step"] = model.every_step
        assert_same_bytes(model, exchange.sequence_model(type(model), arrays, **unseen))

    def test_onnx_computes_the_same(self, sequence_case, tmp_path):
        onnx, runtime = needed("onnx"), needed("onnxruntime")
        model, x, lengths, outputs, counts = sequence_case("float32")
        exchange.export_model(model, tmp_path / "m", "onnx")
        onnx.checker.check_model(onnx.load(tmp_path / "m"), full_check=True)
        run = runtime.InferenceSession(tmp_path / "m", providers=["CPUExecutionProvider"]).run
        given = {"x" if model.vocab_size is None else "ids": x, "lengths": lengths.astype("i4")}
        if not model.bidirectional:
            given |= {f"{name}0": part for name, part in model.zero_state(B)._asdict().items()}
        theirs, *after = run(None, given)
        np.testing.assert_allclose(theirs[counts], outputs[counts], rtol=0, atol=1e-5)
        states = () if model.bidirectional else model.advance(x, None, lengths)[1]
        for ours, other in zip(states, after, strict=True):
            np.testing.assert_allclose(other, ours, rtol=0, atol=1e-5)

    def test_files_out_and_back(self, sequence_case, tmp_path):
        needed("torch"), needed("safetensors")
        model, *_ = sequence_case("float32")
        vocabulary = None if model.vocab_size is None else VOCABULARY
        for to in ("safetensors", "torch"):
            exchange.export_model(model, tmp_path / to, to, vocabulary)
            twin, tokens = exchange.import_model(tmp_path / to)
            assert type(twin) is type(model)
            assert (twin.every_step, tokens) == (model.every_step, vocabulary)
            assert_same_bytes(model, twin)


def test_safetensors_name_the_cell_of_both_directions(tmp_path):
    needed("safetensors")
    model = nl.SequenceTagger(V, 3, H, L, cell="mingru", bidirectional=True, rng=0)
    exchange.export_model(model, tmp_path / "m", "safetensors")
    assert_same_bytes(model, exchange.import_model(tmp_path / "m")[0])


@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_module_without_embedding_comes_in_as_a_regressor(rng, bidirectional, tmp_path):
    """An LSTM and a Linear, as a user would write them."""
    torch = needed("torch")
    lstm = torch.nn.LSTM(D, H, bidirectional=bidirectional)
    head = torch.nn.Linear(H * (1 + bidirectional), 2)
    torch.save(torch.nn.ModuleDict({"lstm": lstm, "head": head}).state_dict(), tmp_path / "m")
    model, vocabulary = exchange.import_model(tmp_path / "m", kind=nl.SequenceRegressor)
    x = rng.standard_normal((T, B, D)).astype("f4")
    with torch.no_grad():
        theirs = head(lstm(torch.from_numpy(x))[0]).numpy()
    np.testing.assert_allclose(model.predict(x), theirs, rtol=0, atol=1e-6)
    assert vocabulary is None
    with pytest.raises(CheckpointError, match="arrays must be of an embedding, recurrent layers"):
        exchange.import_model(tmp_path / "m")


def test_layers_that_read_both_directions_are_refused():
    torch = needed("torch")
    lstm = torch.nn.LSTM(D, H, 2, bidirectional=True)
    with pytest.raises(ValueError, match="layer 1 must read one direction of the layer below, got"):
        exchange.from_torch(lstm.state_dict())


def test_a_run_is_of_a_language_model(tmp_path, capsys):
    needed("safetensors")
    exchange.export_model(nl.SequenceTagger(V, 3, H, rng=0), tmp_path / "m", "safetensors")
    assert import_command.main([str(tmp_path / "m"), "--out", str(tmp_path / "run")]) == 2
    assert "m holds a SequenceTagger, and a run is of a language" in capsys.readouterr().err
    with pytest.raises(TypeError, match="kind must be a class such as SequenceTagger, got <class"):
        exchange.sequence_model(nl.LanguageModel, {})
    with pytest.raises(ValueError, match="recurrent layers of one direction and a decoder, got"):
        exchange.language_model(nl.SequenceTagger(V, V, H, bidirectional=True).state_dict())


# --- safetensors --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("kind", IN_PYTORCH | NOT_IN_PYTORCH | ONLY_HERE)
def test_safetensors_out_and_back(rng, kind, dtype, tmp_path):
    needed("safetensors")
    model = random_model(rng, dtype, **(IN_PYTORCH | NOT_IN_PYTORCH | ONLY_HERE)[kind])
    exchange.export_model(model, tmp_path / "m", "safetensors", VOCABULARY)
    twin, vocabulary = exchange.import_model(tmp_path / "m")
    assert_same_bytes(model, twin)
    assert vocabulary == VOCABULARY
    from safetensors.numpy import load_file

    assert load_file(tmp_path / "m").keys() == model.parameters().keys()


def test_safetensors_of_pytorch(rng, tmp_path):
    """Tied weights are stored once, and the metadata name the other key."""
    needed("torch"), needed("safetensors")
    from safetensors.torch import save_model

    theirs = torch_module(IN_PYTORCH["tied lstm"])
    save_model(theirs, str(tmp_path / "m.safetensors"))
    model, vocabulary = exchange.import_model(tmp_path / "m.safetensors")
    expected = exchange.language_model(exchange.from_torch(theirs.state_dict()))
    assert_same_bytes(expected, model)
    assert vocabulary.tokens == ("<unk>", *map(str, range(1, V)))


@pytest.mark.parametrize("sixteen", ["float16", "bfloat16"])
def test_sixteen_bits_in_safetensors_become_32(rng, sixteen, tmp_path, caplog):
    torch = needed("torch")
    from safetensors.torch import save_file

    arrays = random_model(rng).state_dict()
    short = {k: torch.from_numpy(a).to(getattr(torch, sixteen)) for k, a in arrays.items()}
    save_file(short, str(tmp_path / "m"))
    twin, _ = exchange.import_model(tmp_path / "m")
    assert twin.config.dtype == "float32"
    assert "numbers of 16 bits became float32" in caplog.text
    expected = short["decoder.b"].float().numpy()
    np.testing.assert_array_equal(twin.parameters()["decoder.b"].data, expected)


# --- Keras --------------------------------------------------------------------------------------


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def keras_lstm(x, h, c, kernel, recurrent, bias):
    for t in range(T):
        i, f, g, o = np.split(x[t] @ kernel + h @ recurrent + bias, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        yield h


def keras_gru(x, h, kernel, recurrent, bias):
    for t in range(T):
        inner = np.zeros(3 * H) if bias.ndim == 1 else bias[1]
        xz, xr, xh = np.split(x[t] @ kernel + (bias if bias.ndim == 1 else bias[0]), 3, axis=1)
        hz, hr, hh = np.split(h @ recurrent + inner, 3, axis=1)
        z, r = sigmoid(xz + hz), sigmoid(xr + hr)
        if bias.ndim == 1:  # reset_after=False
            hh = (r * h) @ recurrent[:, 2 * H :]
            h = z * h + (1 - z) * np.tanh(xh + hh)
        else:
            h = z * h + (1 - z) * np.tanh(xh + r * hh)
        yield h


def keras_simple_rnn(x, h, kernel, recurrent, bias):
    for t in range(T):
        h = np.tanh(x[t] @ kernel + h @ recurrent + bias)
        yield h


KERAS = {
    "LSTM": (keras_lstm, 4, (4 * H,)),
    "GRU": (keras_gru, 3, (2, 3 * H)),
    "GRU, reset before": (keras_gru, 3, (3 * H,)),
    "SimpleRNN": (keras_simple_rnn, 1, (H,)),
}


def keras_weights(rng, n, bias, dtype="float64"):
    shapes = [(V, D), (D, n * H), (H, n * H), bias, (H, n * H), (H, n * H), bias, (H, V), (V,)]
    return [rng.standard_normal(shape).astype(dtype) / 2 for shape in shapes]


@pytest.mark.parametrize("kind", KERAS)
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_keras_weights_compute_the_same_here(rng, kind, dtype, tmp_path):
    equations, n, bias = KERAS[kind]
    weights = keras_weights(rng, n, bias, dtype)
    np.savez(tmp_path / "keras", *weights)
    activation = {"activation": "tanh"} if n == 1 else {}
    model, _ = exchange.import_model(tmp_path / "keras.npz", **activation)
    assert model.config.dtype == dtype
    x, state = random_window(rng, model)
    embedding, *layers, W, b = (array.astype(np.float64) for array in weights)
    hs = embedding[x]
    for layer in range(L):
        own = (part[layer].astype(np.float64) for part in state)
        hs = np.stack([*equations(hs, *own, *layers[3 * layer : 3 * layer + 3])])
    logits, _ = model.logits(x, state)
    np.testing.assert_allclose(logits, hs @ W + b, rtol=0, atol=TOLERANCES[dtype])


def test_keras_weights_without_an_embedding(rng):
    weights = keras_weights(rng, 4, (4 * H,))
    model = exchange.sequence_model(nl.SequenceTagger, exchange.from_keras(weights[1:]))
    twin = exchange.language_model(exchange.from_keras(weights))
    x = rng.integers(0, V, (T, B))
    outputs, _ = model.advance(twin.embedding.forward(x, False))
    np.testing.assert_array_equal(outputs, twin.logits(x)[0])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda w: w[:-2], "got 7; a layer may lack its bias"),
        (lambda w: [*w[:2], w[2][:, :-1], *w[3:]], "layer 0 must be one of RNN, LSTM, GRU"),
        (lambda w: [*w[:3], w[3][1:], *w[4:]], r"biases of layer 0 must have shape \(k, 24\)"),
        (lambda w: [*w[:4], w[4].astype("i8"), *w[5:]], r"weights\[4\] must have dtype float32 or"),
        (lambda w: 3, "weights must be a Sequence, got int"),
    ],
)
def test_other_arrays_than_keras_has_are_refused(rng, change, says):
    with pytest.raises((ValueError, TypeError), match=f"^from_keras: .*{says}"):
        exchange.from_keras(change(keras_weights(rng, 4, (4 * H,))))


# --- ONNX ---------------------------------------------------------------------------------------


NOT_INTERPRETED = {("relu", "float64"), ("sigmoid", "float64")}  # it has tanh only


@pytest.mark.parametrize(
    ("kind", "dtype"),
    sorted({*product(IN_PYTORCH | NOT_IN_PYTORCH, TOLERANCES)} - NOT_INTERPRETED),
)
def test_onnx_computes_the_same_for_any_window(rng, kind, dtype, tmp_path):
    """Float32 in onnxruntime, which has no other; float64 in the interpreter of ONNX."""
    onnx = needed("onnx")
    model = random_model(rng, dtype, **(IN_PYTORCH | NOT_IN_PYTORCH)[kind])
    path = tmp_path / "m.onnx"
    exchange.export_model(model, path, "onnx", VOCABULARY)
    graph = onnx.load(path)
    onnx.checker.check_model(graph, full_check=True)
    (stored,) = [entry.value for entry in graph.metadata_props if entry.key == "vocabulary"]
    assert nl.Vocabulary(tuple(json.loads(stored))) == VOCABULARY
    if dtype == "float32":
        run = needed("onnxruntime").InferenceSession(path, providers=["CPUExecutionProvider"]).run
    else:
        run = pytest.importorskip("onnx.reference").ReferenceEvaluator(graph).run
    zero = model.zero_state(1)
    for steps, streams in ((T, B), (2, 7), (1, 1)):
        ids = rng.integers(0, V, (steps, streams))
        shape = (L, streams, H)
        state = type(zero)(*(rng.standard_normal(shape).astype(dtype) for _ in zero))
        named = {f"{name}0": part for name, part in state._asdict().items()}
        logits, after = model.logits(ids, state)
        theirs = run(None, {"ids": ids, **named})
        assert [output.name for output in graph.graph.output] == ["logits"] + [
            f"{name}T" for name in state._fields
        ]
        for ours, other in zip((logits, *after), theirs, strict=True):
            np.testing.assert_allclose(ours, other, rtol=0, atol=TOLERANCES[dtype])


# --- hostile and damaged files ------------------------------------------------------------------


class Shout:
    def __reduce__(self):
        return print, ("executed",)


def packed(members, compression=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def torch_zip(content):
    """Return the bytes of a file as PyTorch writes it, with a pickle of our own."""
    return packed({"m/data.pkl": content, "m/version": "3\n", "m/byteorder": "little"})


def good_files(rng, tmp_path):
    for to in ("safetensors", "torch"):
        exchange.export_model(random_model(rng), tmp_path / to, to)
    np.savez(tmp_path / "keras", *keras_weights(rng, 4, (4 * H,)))
    return [(tmp_path / name).read_bytes() for name in ("safetensors", "torch", "keras.npz")]


def header(entries):
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text


F32 = {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}
HOSTILE = {
    "a text": b"hello, world",
    "a bare pickle": pickle.dumps(Shout()),
    "a pickle in a zip": torch_zip(pickle.dumps({"a": Shout()}, 2)),
    "no state dict": torch_zip(pickle.dumps([1, 2], 2)),
    "a bomb": packed({"m/data.pkl": bytes(1 << 20)}, zipfile.ZIP_DEFLATED),
    "a keras file": packed({"config.json": b"{}", "model.weights.h5": b"\x89HDF"}),
    "pickled objects": packed({f"arr_{k}.npy": b"\x93NUMPY\x01\x00" for k in range(9)}),
    "a huge array": header({"a": F32}) + bytes(64),
    "a huge header": struct.pack("<Q", 1 << 60) + b"{" + bytes(64),
    "of another program": header({"a": F32 | {"shape": [2], "data_offsets": [0, 8]}}) + bytes(8),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_in_one_sentence(name, tmp_path, capsys):
    needed("torch"), needed("safetensors")
    path = tmp_path / "file"
    path.write_bytes(HOSTILE[name])
    with pytest.raises(CheckpointError, match=r"file cannot be imported: .*; it must be safetens"):
        exchange.import_model(path)
    assert import_command.main([str(path), "--out", str(tmp_path / "run")]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n"), len(err) < 1100) == ("", 1, True)
    assert not (tmp_path / "run").exists()


def test_tensors_that_share_numbers_take_no_memory(tmp_path):
    torch = needed("torch")
    one = torch.zeros(1000)
    for state in ({f"layer.{k}": one for k in range(2000)}, {"bias": one[:1].expand(1 << 40)}):
        torch.save(state, tmp_path / "m")
        with pytest.raises(CheckpointError, match="its arrays are larger than the file"):
            exchange.import_model(tmp_path / "m")


def test_damaged_files_give_a_model_or_one_sentence(rng, tmp_path):
    """Cut anywhere they are refused; with a changed byte, they are refused or can be computed."""
    needed("torch"), needed("safetensors")
    path = tmp_path / "damaged"
    for content in good_files(rng, tmp_path):
        for cut in np.linspace(0, len(content) - 1, 40).astype(int):
            path.write_bytes(content[:cut])
            with pytest.raises(CheckpointError, match="cannot be imported"):
                exchange.import_model(path)
        for place in rng.integers(0, len(content), 60):
            changed = bytearray(content)
            changed[place] ^= 1 << int(rng.integers(8))
            path.write_bytes(changed)
            with suppress(CheckpointError):
                model, _ = exchange.import_model(path)
                assert np.isfinite(model.logits(np.zeros((1, 1), int))[0]).all()


REFUSED = "cannot be imported: .*"
NO_OBJECT = r"m\.npz\.json must be a JSON object such as [^;]*$"  # it alone is named


@pytest.mark.parametrize(
    ("notes", "says"),
    [
        ('{"options": {"activation": "cosine"}}', REFUSED + "activation must be 'tanh', 'relu' or"),
        ('{"vocabulary": ["<unk>"]}', REFUSED + f"its vocabulary must be a list of {V} texts"),
        (json.dumps({"vocabulary": [*"abcdefghijk"]}), REFUSED + "tokens must contain '<unk>'"),
        (
            json.dumps({"vocabulary": ["<unk>", "\ud800", *"abcdefghi"]}),
            REFUSED + "surrogates not allowed",
        ),
        ('{"level": "rune"}', REFUSED + "level must be"),
        ("[" * 99_999, NO_OBJECT),
        ('["<unk>", "the"]', NO_OBJECT),
    ],
)
def test_texts_beside_a_file_are_checked(rng, notes, says, tmp_path):
    n = 1 if "activation" in notes else 4
    np.savez(tmp_path / "m.npz", *keras_weights(rng, n, (n * H,)))
    (tmp_path / "m.npz.json").write_text(notes)
    with pytest.raises(CheckpointError, match=says):
        exchange.import_model(tmp_path / "m.npz")


def test_a_file_that_is_none(tmp_path):
    for name, says in ((".", ".: Is a directory"), ("absent", "absent: No such file")):
        assert says in call(tmp_path, "numpylstm-import", name, "--out", "run", expect=2)[1]


# --- the commands -------------------------------------------------------------------------------


def test_a_run_out_and_back_is_evaluated_and_sampled_alike(whole, tmp_path):
    needed("safetensors")
    run, file, back = (str(path) for path in (whole, tmp_path / "file", tmp_path / "back"))
    call(tmp_path, "numpylstm-export", run, "--to", "safetensors", "--out", file)
    out, _ = call(tmp_path, "numpylstm-import", file, "--out", back)
    assert out.startswith("Imported LanguageModel(")
    text = ("--file", str(whole.parent / "text.txt"))
    for command, *flags in (("eval", *text), ("sample", "--seed", "3")):
        before, after = (call(tmp_path, f"numpylstm-{command}", r, *flags)[0] for r in (run, back))
        assert before.split("\n")[1:] == after.split("\n")[1:]
    tuned = ("--init-from", back, "--train", text[1], "--steps", "2", "--out", f"{back}-2")
    assert "Test perplexity" in call(tmp_path, "numpylstm-train", *tuned)[0]


def test_a_model_without_vocabulary_is_sampled(rng, tmp_path):
    np.savez(tmp_path / "m.npz", *keras_weights(rng, 1, (H,), "float32"))
    call(tmp_path, "numpylstm-import", "m.npz", "--out", "run", "--activation", "relu")
    assert nl.load(tmp_path / "run" / "best.npz").config.options == {"activation": "relu"}
    out, _ = call(tmp_path, "numpylstm-sample", "run", "--seed", "1", "--prompt", "3 1")
    assert set(out.split()) <= set(map(str, range(1, V)))


def test_a_model_without_vocabulary_says_which_token_is_not_drawn(rng, tmp_path, caplog):
    """Nor is a text of ids cut into digits, if all ids have one."""
    model = nl.LanguageModel(9, H, rng=0)
    arrays = {**exchange.to_torch(model)}
    needed("torch").save({k: needed("torch").from_numpy(a) for k, a in arrays.items()},
                         tmp_path / "m.pt")  # fmt: skip
    out, _ = call(tmp_path, "numpylstm-import", "m.pt", "--out", "run")
    assert out.endswith(
        "Texts are cut into tokens at level word, as its vocabulary suggests; see --level\n"
    )
    (record,) = caplog.records
    assert record.getMessage() == (
        "m.pt holds no vocabulary: the token of id 0 is <unk>, which numpylstm-sample draws with "
        '--no-ban-unk only, the others are "1", "2", ...; a JSON list of the tokens can stand in '
        "m.pt.json"
    )
    saved = nl.load(tmp_path / "run" / "best.npz")
    assert (saved.config.level, list(saved.vocabulary)) == ("word", ["<unk>", *"12345678"])
    out, _ = call(tmp_path, "numpylstm-import", "m.pt", "--out", "letters", "--level", "char")
    assert "see --level" not in out
    assert nl.load(tmp_path / "letters" / "best.npz").config.level == "char"


def test_the_level_is_that_of_a_vocabulary(tmp_path):
    for tokens, level in (("<unk>", "a", "1"), "char"), (("<unk>", "a", "of"), "word"):
        folder = tmp_path / level
        folder.mkdir()
        model = nl.LanguageModel(3, H, rng=0)
        assert exchange.write_run(model, nl.Vocabulary(tokens), folder) == level
        assert nl.load(folder / "best.npz").config.level == level


@pytest.mark.parametrize("to", ["safetensors", "torch"])
@pytest.mark.parametrize("level", LEVELS)
def test_the_level_of_a_run_is_kept(tmp_path, to, level):
    """Although the words of its vocabulary have one letter each."""
    needed(to)
    model, vocabulary = nl.LanguageModel(3, H, rng=0), nl.Vocabulary(("<unk>", "a", "1"))
    (tmp_path / "run").mkdir()
    exchange.write_run(model, vocabulary, tmp_path / "run", level)
    call(tmp_path, "numpylstm-export", "run", "--to", to, "--out", "m")
    out, _ = call(tmp_path, "numpylstm-import", "m", "--out", "back")
    assert "see --level" not in out
    assert nl.load(tmp_path / "back" / "best.npz").config.level == level


def test_a_level_to_export_is_one_of_the_records(tmp_path):
    model = nl.LanguageModel(3, H, rng=0)
    with pytest.raises(ValueError, match="export_model: level must be"):
        exchange.export_model(model, tmp_path / "m", "safetensors", level="rune")


@pytest.mark.parametrize("name", ["tanh", "relu"])
def test_the_nonlinearity_of_an_rnn_is_not_guessed(tmp_path, name):
    """Arrays do not show it; a file of ours does."""
    model = nl.LanguageModel(V, H, cell="rnn", activation=name, rng=0)
    arrays = exchange.from_torch(exchange.to_torch(model))
    says = "activation must be given, one of tanh, relu, sigmoid: the arrays of a"
    with pytest.raises(ValueError, match=says):
        exchange.language_model(arrays)
    twin = exchange.language_model(arrays, activation=name)
    ids = np.arange(6).reshape(3, 2)
    np.testing.assert_array_equal(twin.logits(ids)[0], model.logits(ids)[0])
    np.savez(tmp_path / "m.npz", *model.state_dict().values())  # as of Keras
    out = ("numpylstm-import", "m.npz", "--out", "run")
    assert says in call(tmp_path, *out, expect=2)[1]
    call(tmp_path, *out, "--activation", name)
    assert nl.load(tmp_path / "run" / "best.npz").config.options["activation"] == name
    needed("safetensors")
    exchange.export_model(model, tmp_path / "m.safetensors", "safetensors")
    twin, _ = exchange.import_model(tmp_path / "m.safetensors")
    assert twin.config.options["activation"] == name


TREEBANK = "mr. smith did n't own <unk> 's u.s. firm\n"
SPLIT = "Mr . Smith didn't own <unk> ' s firm\n"


@pytest.mark.parametrize("text", [TREEBANK, SPLIT])
def test_a_text_is_cut_into_the_words_of_an_imported_model(rng, text, tmp_path):
    """Not at the punctuation in them, as that of the demo would be."""
    vocabulary = nl.Vocabulary.build(nl.data.tokenize(text))
    model = nl.LanguageModel(len(vocabulary), H, rng=0)
    exchange.write_run(model, vocabulary, tmp_path)
    (tmp_path / "text.txt").write_text(text.replace(" . ", ". ") * 3)
    evaluated = json.loads(call(tmp_path, "numpylstm-eval", ".", "--file", "text.txt", "--json")[0])
    ids, _ = vocabulary.encode(nl.data.tokenize(text * 3))
    assert (evaluated["tokens"], evaluated["unknown"]) == (30, 0)
    assert evaluated["perplexity"] == nl.evaluate(model, ids).perplexity
    sampled = call(tmp_path, "numpylstm-sample", ".", "--prompt", text.split("\n")[0], "--json")
    assert json.loads(sampled[0])["unknown"] == []
    _, err = call(tmp_path, "numpylstm-eval", ".", expect=2)
    assert "the run was imported, without a text; name the text with --text (numpylstm-eval:" in err


def test_exports_that_are_refused(whole, rng, tmp_path, monkeypatch, capsys):
    from numpylstm.cli.export import main

    run, out = str(whole), str(tmp_path / "file")
    (tmp_path / "there").touch()
    (tmp_path / "other.json").touch()
    for name, found in (("there", "there"), ("other", "other.json")):
        assert main([run, "--to", "onnx", "--out", str(tmp_path / name)]) == 2
        assert f"{found} already exists; name a new file, or remove it\n" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert main([run, "--to", "onnx", "--out", out]) == 2
    assert "install it with: pip install 'numpylstm[exchange]'\n" in capsys.readouterr().err
    before = random_model(rng, "float32", **NOT_IN_PYTORCH["reset before"])
    exchange.write_run(before, VOCABULARY, tmp_path)
    assert main([str(tmp_path), "--to", "torch", "--out", out]) == 2
    says = "got a reset-before GRU; safetensors holds every cell\n"
    assert capsys.readouterr().err.endswith(says)
    with pytest.raises(ValueError, match="vocabulary must be that of the model, got 11 tokens for"):
        exchange.export_model(nl.LanguageModel(12, 6, rng=0), out, "safetensors", VOCABULARY)


def test_a_file_of_save_model_is_exported(tmp_path):
    """Of any model; it has no vocabulary."""
    needed("safetensors")
    model = nl.SequenceTagger(V, 2, H, rng=0)
    nl.save_model(model, tmp_path / "tagger.npz")
    export = "numpylstm-export", "tagger.npz", "--to", "safetensors", "--out", "t.safetensors"
    assert call(tmp_path, *export)[0] == f"Exported {model.num_parameters:,} parameters\n"
    twin, vocabulary = exchange.import_model(tmp_path / "t.safetensors")
    assert vocabulary is None
    assert isinstance(twin, nl.SequenceTagger)
    np.testing.assert_equal(twin.state_dict(), model.state_dict())
    (tmp_path / "none.npz").write_text("x")
    says = "none.npz is not a whole numpylstm checkpoint"
    assert says in call(tmp_path, "numpylstm-export", "none.npz", *export[2:-1], "u", expect=2)[1]
