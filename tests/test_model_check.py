"""Whole models: every backward pass, compared with the slope of the textbook's loss."""

import copy

import numpy as np
import pytest
from conftest import B, D, H, L, T, V
from support.bad_calls import assert_refused, bad_call
from support.small import X, Y, small_classifier, small_model, small_state

import numpylstm as nl
from numpylstm import cells, functional, gradcheck, model_check, reference, stack
from numpylstm.cli import train as train_command
from numpylstm.model_check import (
    check_examples,
    check_model,
    check_module,
    check_precision,
    random_state,
)

MODELS = {  # the examples of the module are checked by `check_examples`
    "2-layer LSTM": {"cell": "lstm", "embedding_size": D},
    "tanh RNN": {"cell": "rnn", "embedding_size": D},
    "tied LSTM": {"cell": "lstm", "tied": True},
    "LSTM, mean loss": {"cell": "lstm", "average_across_timesteps": True},
    **{
        f"regularised {cell}": {
            "cell": cell,
            "tied": True,
            "dropout_locked": True,
            "dropout_output": 0.2,
            "dropout_weights": 0.3,
            "dropout_state": 0.3,
            "dropout_words": 0.3,
        }
        for cell in ("rnn", "lstm", "gru", "slstm")
    },
}


def make(kind="2-layer LSTM", **options):
    given = {"init_scale": 0.5, "dtype": "float64", "dropout": 0.4, "rng": 0}
    return nl.LanguageModel(V, H, L, **given | MODELS[kind] | options)


@pytest.fixture
def ids(rng):
    return rng.integers(0, V, (2, T, B))


@pytest.mark.parametrize("impl", ["fast", "reference"])
@pytest.mark.parametrize("kind", MODELS)
def test_every_parameter_of_a_model_to_1e_12(kind, impl, ids):
    report = check_model(make(kind, impl=impl), *ids, along="entries")
    assert report.passed, f"\n{report}"
    assert report.tolerance <= 1e-12
    assert {e.path for e in report.entries} == make(kind).parameters().keys()


@pytest.mark.parametrize("impl", ["fast", "reference"])
@pytest.mark.parametrize("cell", cells.CELLS)
def test_every_gradient_of_a_stack_to_1e_12(cell, impl, rng):
    """With dropout between the layers; of the input and of the initial state too."""
    layers = nl.RecurrentStack(
        cell, D, H, L, dropout=0.4, init_scale=0.5, dtype="float64", impl=impl, rng=0
    )
    x, state = rng.normal(size=(T, B, D)), random_state(layers, B, rng)
    masks = layers.draw_masks(T, B)
    for k in range(L):  # of any matrix
        shape = layers.parameters()[f"{cell}.{k}.Wx"].data.shape
        masks[f"{k}.Wx"] = reference.dropout_mask(rng.random(shape), 0.3, np.float64)
    hs, after = layers.forward(x, state, masks=masks)
    dhs, *dstate = (rng.normal(size=array.shape) for array in (hs, *after))
    dx, before = layers.backward(dhs, type(after)(*dstate))

    def loss(a):
        start = [a[f"{name}0"] for name in state._fields]
        named = {f"{cell}.{name}": mask for name, mask in masks.items()}
        hs, after = stack.stack_forward(
            reference, layers.chosen, a, f"{cell}.", a["x"], start, named, {}
        )
        return sum((d * y).sum() for d, y in zip((dhs, *dstate), (hs, *after), strict=True))

    states = {f"{name}0": getattr(state, name) for name in state._fields}
    gradients = {path: parameter.grad for path, parameter in layers.parameters().items()}
    gradients |= {f"{name}0": getattr(before, name) for name in state._fields} | {"x": dx}
    report = gradcheck.check(
        loss, layers.state_dict() | states | {"x": x}, gradients, method="complex"
    )
    assert report.passed, f"\n{report}"
    assert report.tolerance <= 1e-12


def test_the_examples_of_the_module_to_1e_12():
    """Those of the fast path are an example in docs/laboratory/checking-gradients.md."""
    reports = check_examples("reference")
    assert reports.keys() == cells.examples().keys()
    for report in reports.values():
        assert report.passed, f"\n{report}"
        assert report.worst.relative_error <= 1e-12


def test_weight_drop_without_a_gradient_is_found(ids, monkeypatch):
    """In a published way: Wh gets no gradient (fastai #2591)."""
    model = make("regularised lstm")
    Wh = model.parameters()["lstm.0.Wh"]
    monkeypatch.setattr(Wh, "accumulate", lambda gradient: None)
    wrong = {entry.path for entry in check_model(model, *ids).entries if not entry.passed}
    assert wrong == {"lstm.0.Wh"}


def compare_with_weights_dropped_by_hand(model, x, y):
    """Compare weight drop with a model that has each product Wh * mask as its Wh.

    `check_model` cannot see a mask that the network loses: it would lose it on both sides.
    """
    masks = model.draw_masks(*x.shape)
    of_weights = {path: mask for path, mask in masks.items() if path.endswith(".Wh")}
    assert len(of_weights) == L
    by_hand = copy.deepcopy(model)
    for path, mask in of_weights.items():
        by_hand.parameters()[path].data *= mask
    others = {name: mask for name, mask in masks.items() if name not in of_weights}
    loss, _ = model.forward(x, y, masks=masks)
    expected, _ = by_hand.forward(x, y, masks=others)
    np.testing.assert_allclose(loss, expected, rtol=1e-13)
    model.backward()
    by_hand.backward()
    for path, parameter in by_hand.parameters().items():
        expected = parameter.grad * of_weights.get(path, 1)
        got = model.parameters()[path].grad
        np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-13, err_msg=path)


@pytest.mark.parametrize("impl", ["fast", "reference"])
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru", "slstm"])
def test_weight_drop_is_a_product_with_the_mask(cell, impl, ids):
    compare_with_weights_dropped_by_hand(make(f"regularised {cell}", impl=impl), *ids)


def test_weight_drop_whose_mask_has_no_effect_is_found(ids, monkeypatch):
    """In a published way (awd-lstm-lm #5)."""
    drop = stack.drop_forward

    def without_effect(functions, name, x, masks, cache):
        return x if name.endswith("Wh") else drop(functions, name, x, masks, cache)

    monkeypatch.setattr(stack, "drop_forward", without_effect)
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        compare_with_weights_dropped_by_hand(make("regularised lstm"), *ids)


def test_a_float32_model_is_checked_in_float64(ids):
    """The check uses the parameters of the given model."""
    single, double = make(dtype="float32"), make()
    double.load_state_dict({k: v.astype("f8") for k, v in single.state_dict().items()})
    assert check_model(single, *ids).entries == check_model(double, *ids).entries


def broken(backward, position, change):
    """Return a backward pass with the result at this position changed."""

    def wrong(*arguments):
        results = list(backward(*arguments))
        results[position] = change(results[position])
        return tuple(results)

    return wrong


def one_entry(gradient):
    gradient = gradient.copy()
    gradient[1, 2] *= 1.0001
    return gradient


MISTAKES = [
    ("lstm_backward", 4, lambda dWh: 1.000001 * dWh, {"lstm.0.Wh", "lstm.1.Wh"}),
    ("lstm_backward", 5, np.zeros_like, {"lstm.0.b", "lstm.1.b"}),
    ("lstm_backward", 4, one_entry, {"lstm.0.Wh", "lstm.1.Wh"}),
    ("linear_backward", 1, one_entry, {"decoder.W"}),
    ("linear_backward", 0, lambda dx: -dx, {"embedding.W", "lstm.0.Wx", "lstm.0.Wh", "lstm.0.b",
                                            "lstm.1.Wx", "lstm.1.Wh", "lstm.1.b"}),
]  # fmt: skip


@pytest.mark.parametrize("along", ["entries", "arrays"])
@pytest.mark.parametrize(("name", "position", "change", "culprits"), MISTAKES)
def test_a_mistake_in_the_fast_path_is_found(
    name, position, change, culprits, along, ids, monkeypatch
):
    monkeypatch.setattr(functional, name, broken(getattr(functional, name), position, change))
    report = check_model(make(), *ids, along=along)
    assert {e.path for e in report.entries if not e.passed} == culprits


def test_a_mistake_in_the_forward_pass_is_found(ids, monkeypatch):
    """Its gradient fits it, but is the slope of another function."""
    monkeypatch.setattr(
        functional,
        "rnn_forward",
        lambda x, h0, Wx, Wh, b, **options: reference.rnn_forward(x, h0, Wx, Wh, 2 * b, **options),
    )
    assert not check_model(make("tanh RNN"), *ids).passed


@pytest.mark.parametrize("check", [check_model, check_precision])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_model_is_left_as_it_is(check, dtype, ids):
    model, twin = make(dtype=dtype), make(dtype=dtype)
    for m in (model, twin):
        m.forward(*ids, m.zero_state(B))
    check(model, *ids)
    for m in (model, twin):
        m.backward()  # of the pending pass
        m.forward(*ids, m.zero_state(B))  # with new masks
        m.backward()
    np.testing.assert_equal(model.state_dict(), twin.state_dict())
    for path, parameter in model.parameters().items():
        np.testing.assert_array_equal(parameter.grad, twin.parameters()[path].grad)
        assert parameter.grad.dtype == dtype


@pytest.mark.parametrize("seed", range(4))
def test_the_random_state_of_an_slstm_divides_by_no_number_near_zero(seed):
    """Its n is a sum of positive weights; of 1024 random ones some would cancel them."""
    model = nl.LanguageModel(V, 64, 2, cell="slstm", forget_gate="exp", impl="reference", rng=seed)
    x, y = np.random.default_rng(seed).integers(0, V, (2, 1, 8))
    report = check_model(model, x, y, rng=seed)
    assert report.worst.relative_error < 1e-14, f"\n{report}"


def test_a_frozen_embedding_is_left_out(ids, rng):
    model = make()
    model.embedding.load(rng.standard_normal((V, D)), trainable=False)
    report = check_model(model, *ids)
    assert report.passed
    assert "embedding.W" not in {e.path for e in report.entries}
    model.freeze(model.parameters())
    with pytest.raises(ValueError, match="the model must have a parameter that is trained"):
        check_precision(model, *ids)


class Scaled(nl.Module):
    """A layer of one's own: ``y = tanh(x) * s``, with a loss that is the mean square."""

    def __init__(self):
        self.s = nl.Parameter(np.array([0.5, -1.5, 2.0]))

    def forward(self, x):
        self.x, self.y = np.tanh(x), np.tanh(x) * self.s.data
        return (self.y**2).mean()

    def backward(self, factor=1.0):
        self.s.accumulate(factor * (2 * self.y * self.x).sum(axis=0) / self.y.size)


@pytest.mark.parametrize("method", ["central", "complex"])
def test_a_layer_of_ones_own(method, rng):
    layer, x = Scaled(), rng.normal(size=(4, 3))
    report = check_module(layer, lambda m: m.forward(x), method=method)
    assert report.passed, f"\n{report}"
    assert not hasattr(layer, "x")  # a copy was checked
    wrong = lambda m: m.backward(1.001)  # noqa: E731
    assert not check_module(layer, lambda m: m.forward(x), wrong, method=method).passed
    layer.s.data = layer.s.data.astype(np.float32)
    with pytest.raises(TypeError, match="s must have dtype float64, got float32"):
        check_module(layer, lambda m: m.forward(x))


@pytest.mark.parametrize("kind", MODELS)
def test_float32_stays_near_float64(kind, ids):
    report = check_precision(make(kind, dtype="float32"), *ids)
    assert report.passed, f"\n{report}"
    assert 0 < report.worst.relative_error < 1e-5  # two precisions were compared


def test_a_mistake_in_float32_only_is_found(ids, monkeypatch):
    right = functional.lstm_backward

    def wrong(dhs, *arguments):
        results = right(dhs, *arguments)
        return (*results[:-1], results[-1] * dhs.dtype.type(1.01 if dhs.dtype == "f4" else 1))

    monkeypatch.setattr(functional, "lstm_backward", wrong)
    model = make(dtype="float32")
    assert check_model(model, *ids).passed
    report = check_precision(model, *ids)
    assert {e.path for e in report.entries if not e.passed} == {"lstm.0.b", "lstm.1.b"}


# --- numpylstm-train --check-gradients ---------------------------------------------------------


@pytest.fixture
def arguments(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("a b c d e f g\n" * 60)
    sizes = ("--hidden-size", "5", "--batch-size", "6", "--num-steps", "9", "--epochs", "1")
    return ["--train", "text.txt", "--out", "run", "--check-gradients", *sizes]


@pytest.mark.parametrize(
    ("more", "window", "method"),
    [
        ("", "fast, 8 steps of 4 streams", "every entry"),
        ("--hidden-size 20", "fast, 8 steps of 4 streams", "one random direction in each array"),
        ("--impl reference --num-steps 2", "reference, 2 steps of 4 streams", "every entry"),
    ],
)
def test_the_command_says_what_it_checked(arguments, more, window, method, capsys, tmp_path):
    assert train_command.main([*arguments, *more.split()]) == 0
    said = capsys.readouterr().out
    assert window in said
    assert f"complex step, {method}" in said
    assert (tmp_path / "run" / "best.npz").exists()


def test_the_status_says_whether_all_passed(ids, monkeypatch):
    reports = {"lstm": check_model(make(), *ids), "rnn": check_model(make("tanh RNN"), *ids)}
    monkeypatch.setattr(model_check, "check_examples", lambda: reports)
    assert model_check.main() == 0
    wrong = broken(functional.rnn_backward, 3, np.zeros_like)
    monkeypatch.setattr(functional, "rnn_backward", wrong)
    reports["rnn"] = check_model(make("tanh RNN"), *ids)
    assert model_check.main() == 1


def test_the_command_stops_at_a_wrong_gradient(arguments, monkeypatch, capsys, tmp_path):
    right = functional.lstm_backward
    monkeypatch.setattr(functional, "lstm_backward", broken(right, 4, lambda dWh: dWh * 1.000001))
    assert train_command.main(arguments) == 1
    out, err = capsys.readouterr()
    assert "FAIL lstm.0.Wh" in out
    assert err.count("\n") == 1
    assert "the gradient check failed for lstm.0.Wh, lstm.1.Wh:" in err
    assert not (tmp_path / "run").exists()


# --- bad calls ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "says", "error"),
    [
        bad_call(
            lambda: nl.model_check.check_model(small_model(), X, Y, 3),
            "state must be LSTMState(h, c)",
            TypeError,
        ),
        bad_call(
            lambda: nl.model_check.check_model(small_model(), X, Y, rng=-1),
            "rng must be a Generator",
        ),
        bad_call(
            lambda: nl.model_check.check_precision(
                small_model(), X, Y, small_state()._replace(c=None)
            ),
            "state.c must be a NumPy array, got NoneType",
            TypeError,
        ),
        bad_call(
            lambda: nl.model_check.check_model(small_classifier(), X, X),
            "model must be a Language",
            TypeError,
        ),
    ],
)
def test_a_bad_call_gets_one_sentence(call, says, error):
    assert_refused(call, says, error)
