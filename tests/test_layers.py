"""Layers: owners of parameters, with a strict protocol of forward and backward."""

import inspect

import numpy as np
import pytest
from conftest import B, D, H, L, T, V
from support.bad_calls import assert_refused, bad_call
from support.small import LABELS, ONES, TABLE, VECTORS, small_lstm, small_rnn

import numpylstm as nl
from numpylstm.layers import (
    GRU,
    LSTM,
    RNN,
    Dropout,
    Embedding,
    Linear,
    LSTMState,
    Parameter,
    RecurrentStack,
    Rows,
    SequenceCrossEntropy,
    SquaredError,
)


@pytest.fixture(params=["fast", "reference"])
def impl(request):
    return request.param


# --- the protocol ------------------------------------------------------------------------------


def layers_with_input(rng, impl):
    x = rng.standard_normal((T, B, D))
    lstm = LSTM(D, H, dtype="float64", impl=impl, rng=0)
    loss = SequenceCrossEntropy(impl=impl)
    return {
        "Linear": (Linear(D, H, dtype="float64", impl=impl, rng=0), (x,), (np.ones((T, B, H)),)),
        "LSTM": (lstm, (x, lstm.zero_state(B)), (np.ones((T, B, H)),)),
        "Embedding": (Embedding(V, D, dtype="float64", impl=impl, rng=0),
                      (np.ones((T, B), int),), (x,)),
        "Dropout": (Dropout(0.5, impl=impl, rng=0), (x,), (x,)),
        "SequenceCrossEntropy": (loss, (x, np.ones((T, B), int)), ()),
        "SquaredError": (SquaredError(impl=impl), (x, x), ()),
    }  # fmt: skip


@pytest.mark.parametrize("name", layers_with_input(np.random.default_rng(0), "fast"))
def test_backward_needs_one_pending_forward(rng, impl, name):
    layer, arguments, upstream = layers_with_input(rng, impl)[name]
    message = rf"{name}\.backward: there is no pending forward pass"
    with pytest.raises(RuntimeError, match=message):
        layer.backward(*upstream)
    layer.forward(*arguments)
    layer.backward(*upstream)
    with pytest.raises(RuntimeError, match=message):  # the cache was consumed
        layer.backward(*upstream)
    layer.forward(*arguments, training=False)  # keeps nothing
    with pytest.raises(RuntimeError, match=message):
        layer.backward(*upstream)
    layer.forward(*arguments)
    layer.forward(*arguments, training=False)  # and leaves the pending pass alone
    layer.backward(*upstream)


def test_no_pass_is_pending_after_one_that_failed_between_two_layers(rng, impl):
    lstm = LSTM(D, H, 2, dropout=0.5, dtype="float64", impl=impl, rng=0)
    x = rng.standard_normal((T, B, D))
    hs, _ = lstm.forward(x)
    Wh = lstm.parameters()["lstm.1.Wh"]
    Wh.data = Wh.data[:, 1:]
    says = "Wh must have shape" if impl == "fast" else "could not be broadcast"  # NumPy's words
    with pytest.raises(ValueError, match=says):
        lstm.forward(x)  # with new masks
    with pytest.raises(RuntimeError, match="there is no pending forward pass"):
        lstm.backward(np.ones_like(hs))


def test_state_is_carried_by_the_caller_and_remembered_by_no_layer(rng, impl):
    lstm = LSTM(D, H, L, dtype="float64", impl=impl, rng=0)
    x = rng.standard_normal((T, B, D))
    whole, end = lstm.forward(x)
    first, state = lstm.forward(x[:2])
    second, state = lstm.forward(x[2:], state)
    np.testing.assert_allclose(np.concatenate([first, second]), whole, rtol=1e-12)
    np.testing.assert_allclose(state, end, rtol=1e-12)
    np.testing.assert_array_equal(lstm.forward(x, lstm.zero_state(B))[0], whole)
    one, _ = lstm.forward(x[:, :1].copy())  # the batch size is free at every call
    np.testing.assert_allclose(one, whole[:, :1], rtol=1e-12)


# --- results changed in place ------------------------------------------------------------------


RESULTS = {
    **{f"{Cell.__name__} of {n}": lambda Cell=Cell, n=n, **o: Cell(D, D, n, dropout=0.5, **o)
       for Cell in (LSTM, RNN, GRU) for n in (1, 2)},
    "GRU before": lambda **o: GRU(D, D, reset="before", **o),
    "Embedding": lambda **o: Embedding(V, D, **o),
    "Linear": lambda **o: Linear(D, D, **o),
    "tied Linear": lambda **o: Linear(D, D, tied=Parameter(np.eye(D), "W"), **o),
    "Dropout": lambda dtype, **o: Dropout(0.5, **o),
    "no Dropout": lambda dtype, **o: Dropout(0.0, **o),
}  # fmt: skip


@pytest.mark.parametrize("make", RESULTS.values(), ids=RESULTS)
def test_a_result_changed_in_place_raises_or_does_no_harm(make, rng, impl):
    """A result is read-only, or the gradient does not depend on it."""
    x, dy = rng.standard_normal((2, T, B, D))
    if make is RESULTS["Embedding"]:
        x = rng.integers(0, V, (T, B))
    gradients, raised = [], False
    for change in (False, True):
        layer = make(dtype="float64", impl=impl, rng=0)
        result = layer.forward(x.copy())
        if change:
            y, *states = (result[0], *result[1]) if isinstance(result, tuple) else [result]
            for array in (y, *states):
                try:
                    array *= 2
                except ValueError:
                    assert array is y
                    raised = True
        dx = layer.backward(dy)
        gradients.append([p.grad for p in layer.parameters().values()] + [dx])
    for one, other in zip(*gradients, strict=True):
        np.testing.assert_array_equal(*(a[0] if isinstance(a, tuple) else a for a in (one, other)))
    assert raised == isinstance(layer, RNN | LSTM | GRU) or make is RESULTS["no Dropout"]


# --- parameters --------------------------------------------------------------------------------


def test_every_layer_has_its_own_weights():
    first, second, third = (Wh.data for _, Wh, _ in LSTM(D, H, 3, rng=0).layers)
    assert first.shape == second.shape == (H, 4 * H)
    assert not np.array_equal(first, second)
    assert not np.array_equal(second, third)


def test_forget_bias_enters_at_the_start_in_the_f_block_only():
    lstm = LSTM(D, H, 1, init_scale=0.01, forget_bias=3.0, rng=0)
    b = lstm.layers[0][2].data.reshape(4, H)  # i, f, g, o
    assert (np.abs(b[1] - 3) <= 0.01).all()
    assert (np.abs(b[[0, 2, 3]]) <= 0.01).all()


def test_initial_values_fill_the_range_and_do_not_depend_on_the_dtype():
    double = Embedding(100, 50, init_scale=0.1, dtype="float64", rng=3).W.data
    single = Embedding(100, 50, init_scale=0.1, dtype="float32", rng=3).W.data
    assert np.abs(double).max() <= 0.1
    assert np.abs(double).max() > 0.099
    assert abs(double.mean()) < 0.005
    np.testing.assert_array_equal(single, double.astype(np.float32))


def test_a_gradient_kept_as_rows_reads_like_any_other(rng):
    """Rows and arrays in any order: `grad` is their sum."""
    array = rng.standard_normal((5, 3))
    rows, values = np.array([4, 1]), rng.standard_normal((2, 3))
    dense = np.zeros((5, 3))
    dense[rows] = values
    for parts, want in (
        ((Rows(rows, values),), dense),
        ((Rows(rows, values), array), dense + array),
        ((array, Rows(rows, values)), array + dense),
        (
            (Rows(rows, values), Rows(rows[:1], values[:1])),
            dense + [[0], [0], [0], [0], [1]] * dense,
        ),
    ):
        p = Parameter(np.ones((5, 3)), "w")
        for part in parts:
            p.accumulate(type(part)(*map(np.copy, part)) if isinstance(part, Rows) else part.copy())
        np.testing.assert_array_equal(p.grad, want)
        p.scale_grad(0.5)
        p.accumulate(array.copy())
        np.testing.assert_array_equal(p.grad, 0.5 * want + array)


def test_the_embedding_of_a_large_vocabulary_keeps_rows(rng):
    ids = np.array([[3, 1, 2], [3, 0, 1]])
    for vocab_size in (4, 6, 50):  # the last one's is kept as rows, the others' as an array
        layer = Embedding(vocab_size, 6, dtype="float64", rng=0)
        dx = rng.standard_normal((2, 3, 6))
        layer.forward(ids)
        layer.backward(dx)
        assert isinstance(layer.W.gradient, Rows) == (vocab_size == 50)
        want = np.zeros((vocab_size, 6))
        np.add.at(want, ids, dx)
        np.testing.assert_allclose(layer.W.grad, want, rtol=1e-14)


def test_the_defaults_of_a_layer_are_those_of_a_model():
    of_model = dict(inspect.signature(nl.LanguageModel).parameters)
    del of_model["tied"]  # a flag, and not a parameter
    kinds = Embedding, Dropout, Linear, RecurrentStack, RNN, LSTM, GRU, SequenceCrossEntropy
    for kind in kinds:
        for name, own in inspect.signature(kind).parameters.items():
            if name in of_model and own.default is not own.empty:
                assert own.default == of_model[name].default, (kind, name)


@pytest.mark.parametrize("forget_gate", ["sigmoid", "exp"])
def test_the_inputs_of_an_slstm_may_have_any_weight(rng, impl, forget_gate):
    """Its h is a weighted mean, so a factor of all weights, here exp(-800), changes nothing."""
    options = {"dtype": "float64", "impl": impl, "forget_gate": forget_gate, "rng": 0}
    one, other = (RecurrentStack("slstm", D, H, L, **options) for _ in range(2))
    for layer in range(L):
        other.parameters()[f"slstm.{layer}.b"].data[:H] -= 800
    x, dhs = rng.standard_normal((T, B, D)), rng.standard_normal((T, B, H))
    np.testing.assert_allclose(other.forward(x)[0], one.forward(x)[0], rtol=1e-10)
    np.testing.assert_allclose(other.backward(dhs)[0], one.backward(dhs)[0], rtol=1e-9)


# --- dropout -----------------------------------------------------------------------------------


def test_dropout_keeps_the_expected_value_and_uses_one_mask_for_both_passes(impl):
    dropout = Dropout(0.25, impl=impl, rng=0)
    x = np.ones((40, 50, 60))
    y = dropout.forward(x)
    assert np.unique(y).tolist() == [0, 1 / 0.75]
    assert (y == 0).mean() == pytest.approx(0.25, abs=0.005)
    np.testing.assert_array_equal(dropout.backward(x), y)
    assert not np.array_equal(dropout.forward(x), y)  # a new mask
    locked = Dropout(0.25, locked=True, impl=impl, rng=0)
    y = locked.forward(x)
    np.testing.assert_array_equal(y, np.broadcast_to(y[0], y.shape))
    assert (y == 0).mean() == pytest.approx(0.25, abs=0.03)
    np.testing.assert_array_equal(locked.backward(x), y)


def test_without_a_mask_nothing_is_dropped_in_either_direction(rng):
    both = nl.Bidirectional("lstm", D, H, 2, dropout=0.5, rng=0)
    x = rng.random((T, B, D), dtype=np.float32)
    hs, _ = both.forward(x, masks={})
    np.testing.assert_array_equal(hs, both.forward(x, training=False)[0])


def test_no_dropout_is_the_identity(rng, impl):
    x = rng.standard_normal((T, B, D))
    for dropout, training in [(Dropout(0.0, impl=impl), True), (Dropout(0.9, impl=impl), False)]:
        y = dropout.forward(x, training)
        np.testing.assert_array_equal(y, x)
        with pytest.raises(ValueError, match="read-only"):  # else x would change with it
            y *= 2
    layer = Dropout(0.0, impl=impl)
    layer.forward(x)
    np.testing.assert_array_equal(layer.backward(x), x)


def test_dropout_between_layers_only_in_training(rng, impl):
    x = rng.standard_normal((T, B, D))
    for layers in (1, 2):
        lstm = LSTM(D, H, layers, dropout=0.5, dtype="float64", impl=impl, rng=0)
        quiet, noisy = lstm.forward(x, training=False)[0], lstm.forward(x)[0]
        assert np.array_equal(noisy, quiet) == (layers == 1)


# --- arrays whose shape changes ----------------------------------------------------------------


@pytest.mark.parametrize("cell", [LSTM, RNN, GRU])
@pytest.mark.parametrize("weight", [0, 1])
def test_a_weight_of_another_shape_is_not_read_past_its_end(cell, weight):
    layer = cell(D, H, rng=0)
    layer.forward(np.zeros((T, B, D), "f4"))
    layer.layers[0][weight].data = layer.layers[0][weight].data.reshape(1, -1)
    with pytest.raises(ValueError, match="gradient must have shape"):
        layer.backward(np.zeros((T, B, H), "f4"))


@pytest.mark.parametrize("cell", [LSTM, RNN, GRU])
def test_the_option_of_a_cell_is_given_by_name(cell):
    with pytest.raises(TypeError, match="positional"):
        cell(4, 6, 2, 1.0)


@pytest.mark.parametrize("size", [np.uint8, np.int8, np.int64])
def test_sizes_of_numpy_do_not_wrap(size):
    theirs, ours = LSTM(size(4), size(100), rng=0), LSTM(4, 100, rng=0)
    assert repr(theirs) == repr(ours)
    np.testing.assert_equal(theirs.state_dict(), ours.state_dict())


# --- modules of your own -----------------------------------------------------------------------


class Scale(nl.Module):
    def __init__(self, size):
        self.g = Parameter(np.ones(size))


class Net(nl.Module):
    """All that may hold parameters: modules, lists and dicts of them, and one that is shared."""

    def __init__(self):
        self.reader = LSTM(D, H, 2, dtype="float64", rng=0)
        self.both = nl.Bidirectional("rnn", D, H, rng=0)
        self.scales = [Scale(2), Scale(3)]
        self.heads = {"left": Linear(H, V, rng=0), "right": Parameter(np.ones(1))}
        self.size, self.note, self.again, self.me = 7, "x", self.scales[0], self


class Renamed(nl.Module):
    def __init__(self):
        self.path_names = {"scale": "", "paths": "a", "left_out": None}
        self.paths, self.scale, self.left_out = [Linear(H, V, rng=0)], Scale(2), Scale(3)


def test_a_module_may_name_its_parts_itself():
    net = Renamed()
    assert list(net.parameters()) == ["a.0.W", "a.0.b", "g"]
    net.path_names = {}
    assert list(net.parameters()) == ["paths.0.W", "paths.0.b", "scale.g", "left_out.g"]


def test_a_parameter_that_a_subclass_or_a_user_adds_is_found():
    for module in (LSTM(D, H, rng=0), nl.SequenceTagger(V, 3, H, bidirectional=True, rng=0)):
        before = list(module.parameters())
        module.temperature = Parameter(np.ones(1))
        assert list(module.parameters()) == [*before, f"{module.prefix}.temperature".strip(".")]


def test_parameters_are_found_by_the_names_of_attributes():
    net = Net()
    paths = [f"reader.{k}.{name}" for k in range(2) for name in ("Wx", "Wh", "b")]
    paths += [
        f"both.{way}.0.{name}" for way in ("forward", "backward") for name in ("Wx", "Wh", "b")
    ]
    paths += ["scales.0.g", "scales.1.g", "heads.left.W", "heads.left.b", "heads.right"]
    assert list(net.parameters()) == paths
    assert net.num_parameters == sum(p.data.size for p in net.parameters().values())
    net.freeze("scales.0.g")
    assert list(net.parameters()) == [path for path in paths if path != "scales.0.g"]
    net.last = Scale(5)  # also what is assigned, or put into a list, after the first question
    net.scales.append(Scale(4))
    assert {"last.g", "scales.2.g"} <= net.parameters().keys()
    other = Net()
    arrays = {path: np.full_like(array, 0.5) for path, array in other.state_dict().items()}
    other.load_state_dict(arrays)
    assert all((p.data == 0.5).all() for p in other.parameters().values())


class TwoUnnamed(nl.Module):
    def __init__(self):
        self.path_names = {"first": "", "second": ""}
        self.first, self.second = Scale(2), Scale(3)


class OneAndItsText(nl.Module):
    def __init__(self):
        self.heads = {0: Scale(2), "0": Scale(3)}


class ADotInAKey(nl.Module):
    def __init__(self):
        self.heads = {"a.b": Parameter(np.ones(2)), "a": {"b": Parameter(np.ones(3))}}


@pytest.mark.parametrize(
    ("kind", "path"), [(TwoUnnamed, "g"), (OneAndItsText, "heads.0.g"), (ADotInAKey, "heads.a.b")]
)
def test_two_parameters_with_one_path_are_refused(kind, path):
    """One of them would be left out of training, saving and checking, in silence."""
    message = (
        rf"{kind.__name__}: parameters must have one path each, got two with the path '{path}'"
    )
    net = kind()
    for call in (
        net.parameters,
        net.state_dict,
        lambda: net.load_state_dict({}),
        lambda: net.freeze(path),
        lambda: nl.SGD(net, lr=1.0),
        lambda: nl.clip_by_global_norm(net, 1.0),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_a_list_or_dict_that_holds_itself_has_its_parameters_once():
    net = Scale(2)
    net.parts = [Scale(3)]
    net.parts.append(net.parts)
    net.table = {"own": Parameter(np.ones(4))}
    net.table["again"] = [net.table, net]
    assert list(net.parameters()) == ["g", "parts.0.g", "table.own"]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: LSTM(D, H, 2, rng=0), "lstm.1.x"),
        (lambda: LSTM(D, H, 2, rng=0), "2.x"),
        (lambda: nl.RecurrentStack("mingru", D, H, rng=0), "0.Wh"),
        (lambda: nl.Bidirectional("lstm", D, H, rng=0), "0.Wh"),
        (lambda: nl.Bidirectional("lstm", D, H, rng=0), "forward"),
    ],
)
def test_a_mask_with_an_unknown_name_is_refused(make, name, training, rng):
    """It would drop nothing."""
    x = rng.random((T, B, D), dtype=np.float32)
    with pytest.raises(ValueError, match=f"masks must have names such as .*, got '{name}'; draw_m"):
        make().forward(x, training=training, masks={name: np.ones(1, np.float32)})


def test_the_masks_of_two_directions_are_named_as_in_a_model(rng):
    drops = {"dropout": 0.5, "dropout_weights": 0.5, "dropout_state": 0.5}
    both = nl.Bidirectional("lstm", D, H, 2, **drops, rng=0)
    x = rng.random((T, B, D), dtype=np.float32)
    model = nl.SequenceTagger(
        input_size=D, num_classes=V, hidden_size=H, num_layers=2, bidirectional=True, **drops
    )
    masks = both.draw_masks(T, B)
    assert masks.keys() == model.draw_masks(T, B).keys() - {"input", "output"}
    hs, _ = both.forward(x, masks=masks)
    for name in masks:  # each of them has an effect
        others = {other: mask for other, mask in masks.items() if other != name}
        assert not np.array_equal(both.forward(x, masks=others)[0], hs), name


def test_an_optimiser_moves_a_module_of_your_own(rng):
    net = Net()
    for p in net.parameters().values():
        p.accumulate(np.ones_like(p.data))
    count = net.num_parameters
    assert nl.clip_by_global_norm(net, 1.0) == pytest.approx(np.sqrt(count))
    before = net.state_dict()
    nl.SGD(net, lr=1.0).step()
    for path, array in net.state_dict().items():
        np.testing.assert_allclose(array, before[path] - 1 / np.sqrt(count), rtol=1e-6)


@pytest.mark.parametrize("kind", [nl.SGD, nl.Adam])
def test_an_optimiser_without_parameters_says_so(kind):
    frozen = Scale(3)
    frozen.freeze("g")
    for owner in (Dropout(0.5), frozen, [], {}):
        with pytest.raises(ValueError, match="parameters must hold one to train, got "):
            kind(owner, lr=1.0)


def test_a_refused_pass_of_two_directions_leaves_nothing_pending(rng):
    both = nl.Bidirectional("lstm", D, H, dtype="float64", rng=0)
    x, state = rng.standard_normal((T, B, D)), both.zero_state(B)
    hs, _ = both.forward(x)
    wrong = LSTMState(np.full((1, B, H), np.nan), state[1].c)
    with pytest.raises(ValueError, match="must be finite"):
        both.forward(2 * x, (state[0], wrong))  # the first stack has read it
    with pytest.raises(RuntimeError, match=r"Bidirectional\.backward: there is no pending forward"):
        both.backward(np.ones_like(hs))


# --- bad calls ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "says", "error"),
    [
        bad_call(
            lambda: nl.GRU(4, 6, reset="never"), "reset must be 'after' or 'before', got 'never'"
        ),
        bad_call(
            lambda: nl.Dropout(0.5, locked=True).forward(np.ones((2, 3))),
            "x must have shape (T, B, D)",
        ),
        bad_call(
            lambda: setattr(nl.Parameter(ONES, "w"), "grad", ONES.T),
            "w: grad must have shape (5, 3), got (3, 5)",
        ),
        bad_call(
            lambda: small_lstm().forward(VECTORS.tolist(), small_lstm().zero_state(3)),
            "x must be a NumPy array, got list",
            TypeError,
        ),
        bad_call(
            lambda: small_lstm().forward(VECTORS, lengths=np.array([2, 6, 0])),
            "lengths must lie in [0, 5], got 6 at [1]",
        ),
        bad_call(
            lambda: small_lstm().forward(VECTORS, lengths=-LABELS),
            "LSTM.forward: lengths must lie in [0, 5], got -1 at [1]",
        ),
        bad_call(
            lambda: small_lstm().forward(VECTORS, lengths=np.ones(5, int)),
            "lengths must have shape (3,), got (5,)",
        ),
        bad_call(
            lambda: small_lstm().forward(VECTORS, lengths=[2, 1, 3]),
            "lengths must be a NumPy array, got li",
            TypeError,
        ),
        bad_call(
            lambda: small_rnn().forward(VECTORS, small_lstm().zero_state(3)),
            "state must be RNNState(h), got LSTMState",
            TypeError,
        ),
        bad_call(
            lambda: nl.LSTM(6, 4, 2, dropout=()),
            "layer: dropout must be a number, got ()",
            TypeError,
        ),
        bad_call(
            lambda: nl.LSTM(6, 4, dtype=None),
            "layer: dtype must be float32 or float64, got No",
            TypeError,
        ),
        bad_call(lambda: nl.RecurrentStack([], 6, 4), "cell must be 'rnn', 'lstm'"),
        bad_call(
            lambda: nl.Linear(4, 11, tied=TABLE),
            "Linear: tied must be a Parameter, got ndarra",
            TypeError,
        ),
        bad_call(
            lambda: small_lstm().forward(VECTORS, small_lstm().zero_state(3), ONES[:0]),
            "LSTM.forward: training must be",
            TypeError,
        ),
        bad_call(
            lambda: nl.Embedding(11, 4).load(TABLE * np.nan),
            "vectors must be finite, got nan at [0, 0]",
        ),
        bad_call(
            lambda: nl.Embedding(11, 4).load(TABLE, trainable=1),
            "trainable must be True or",
            TypeError,
        ),
    ],
)
def test_a_bad_call_gets_one_sentence(call, says, error):
    assert_refused(call, says, error)
