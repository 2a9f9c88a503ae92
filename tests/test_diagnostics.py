"""The gradient laboratory, compared with independent computations of the same numbers."""

from copy import deepcopy
from functools import partial, reduce

import numpy as np
import pytest
from conftest import B, D, H, L, T, V, random_state
from support.bad_calls import assert_refused, bad_call
from support.small import HS, ONES, X, Y, small_classifier, small_model, small_rnn

import numpylstm as nl
from numpylstm import diagnostics, reference
from numpylstm.cells import examples

EXACT = {"rtol": 0, "atol": 1e-12}
KINDS = [
    *({"cell": "rnn", "activation": activation} for activation in ("tanh", "relu", "sigmoid")),
    {"cell": "lstm"},
    *({"cell": "gru", "reset": reset} for reset in ("after", "before")),
]


class Layer:
    """A random layer of the textbook, its state and its cache."""

    def __init__(self, rng, *, cell, wh_scale=1.0, **options):
        blocks, states = {"rnn": (1, 1), "lstm": (4, 2), "gru": (3, 1)}[cell]
        self.forward = partial(getattr(reference, f"{cell}_forward"), **options)
        self.x = rng.normal(size=(T, B, D))
        self.state = rng.normal(size=(states, B, H))
        Wx, Wh, b = (rng.normal(size=(n, blocks * H)) for n in (D, H, 1))
        self.weights = Wx, wh_scale * Wh, b[0]
        *_, self.cache = self.forward(self.x, *self.state, *self.weights)

    def jacobian(self):
        """Return d final state / d initial state of the window, (B, S, S), by the complex step."""
        start = np.hstack(self.state).astype(complex)
        columns = []
        for k in range(start.shape[1]):
            moved = start.copy()
            moved[:, k] += 1e-30j
            state = np.hsplit(moved, len(self.state))
            _, *after, _ = self.forward(self.x, *state, *self.weights)
            columns.append(np.hstack(after).imag / 1e-30)
        return np.stack(columns, axis=2)


def model(rng, **options):
    """Return a language model with random biases, a window of ids and a random state."""
    options = {"num_layers": L, "dtype": "float64", "init_scale": 0.5, "rng": 7} | options
    model = nl.LanguageModel(V, H, **options)
    x, y = rng.integers(0, V, (2, T, B))
    return model, x, y, random_state(rng, model)


MODELS = [
    *KINDS,
    {"cell": "lstm", "embedding_size": D, "average_across_timesteps": True},
    {"cell": "rnn", "tied": True, "impl": "reference", "num_layers": 3},
]


# --- gradient by lag ---------------------------------------------------------------------------


@pytest.mark.parametrize("options", MODELS)
def test_the_tables_of_a_model_add_up_to_its_gradient(rng, options):
    net, x, y, state = model(rng, **options)
    table = diagnostics.model_lag_table(net, x, y, state)
    norms = diagnostics.model_lag_norms(net, x, y, state)
    net.forward(x, y, state)
    net.backward()
    recurrent = {p: v for p, v in net.parameters().items() if p.startswith(options["cell"])}
    assert table.parts.keys() == norms.keys() == recurrent.keys()
    for path, parameter in recurrent.items():
        np.testing.assert_allclose(table.total(path), parameter.grad, **EXACT, err_msg=path)
        np.testing.assert_allclose(norms[path], table.norms(path), **EXACT)
        assert (norms[path][np.triu_indices(T, 1)] == 0).all()  # before the first step
        of_lag_2 = np.linalg.norm(sum(part[2] for part in table.parts[path]))
        assert table.norms_by_lag(path)[2] == pytest.approx(of_lag_2, rel=1e-12)


@pytest.mark.parametrize("options", [KINDS[1], KINDS[3], KINDS[5]])
@pytest.mark.parametrize("tau", [0, 2, T])
def test_a_stack_is_truncated_in_all_its_layers(rng, options, tau):
    """Each loss alone, in a model that starts tau steps before it from a stopped state."""
    net, x, y, state = model(rng, **options)
    table = diagnostics.model_lag_table(net, x, y, state)
    stack = net
    kept = dict.fromkeys(table.parts, 0)
    for t in range(T):
        first = max(t - tau, 0)
        start = net.forward(x[:first], y[:first], state, training=False)[1] if first else state
        weights = np.zeros((t - first + 1, B))
        weights[-1] = 1
        for parameter in stack.parameters().values():
            parameter.grad[...] = 0
        net.forward(x[first : t + 1], y[first : t + 1], start, weights=weights)
        net.backward()
        kept = {path: kept[path] + net.parameters()[path].grad for path in kept}
    for path, array in table.within(tau).items():
        np.testing.assert_allclose(array, kept[path], **EXACT, err_msg=path)
        np.testing.assert_allclose(table.beyond(tau)[path], table.total(path) - kept[path], **EXACT)


def test_what_does_not_fit_is_refused(rng):
    layer = Layer(rng, cell="rnn")
    with pytest.raises(ValueError, match=r"dhs must have shape \(5, 3, 6\), got \(4, 3, 6\)"):
        diagnostics.lag_table(np.zeros((T - 1, B, H)), layer.cache)
    table = diagnostics.lag_table(np.zeros((T, B, H)), layer.cache)
    with pytest.raises(ValueError, match="tau must be at least 0, got -1"):
        table.beyond(-1)
    with pytest.raises(TypeError, match="the vanilla cell has no carousel"):
        diagnostics.carousel(layer.cache)
    _, single = reference.rnn_step_forward(layer.x[0], *layer.state, *layer.weights)
    with pytest.raises(TypeError, match="cache must come from a sequence"):
        diagnostics.step_jacobians(single)
    lengths = np.array([5, 2, 1])
    *_, padded = layer.forward(layer.x, *layer.state, *layer.weights, lengths=lengths)
    with pytest.raises(
        TypeError, match=r"without lengths, got numpylstm\.reference\.padded_batches\.PaddedCache"
    ):
        diagnostics.lag_table(np.zeros((T, B, H)), padded)
    with pytest.raises(ValueError, match="every Jacobian of cache must be finite, got nan"):
        diagnostics.singular_values(layer.cache._replace(Wh=np.nan * layer.cache.Wh))
    net, x, y, state = model(rng)
    with pytest.raises(ValueError, match=r"y must have shape \(5, 3\)"):
        diagnostics.model_lag_table(net, x, y[:-1], state)
    with pytest.raises(ValueError, match=r"state.h must have shape \(2, 3, 6\)"):
        diagnostics.gradient_flow(net, x, y, net.zero_state(B + 1))


# --- the carousel split ------------------------------------------------------------------------


@pytest.mark.parametrize("wh_scale", [0.0, 0.3, 1.0, 3.0])
@pytest.mark.parametrize("options", KINDS[3:])
def test_direct_and_indirect_add_up_to_the_complex_step_jacobian(rng, options, wh_scale):
    """The memory is the last part of the state, and the direct path that of f or z."""
    layer, cell = Layer(rng, wh_scale=wh_scale, **options), options["cell"]
    split = diagnostics.carousel(layer.cache)
    expected = layer.jacobian()[:, -H:, -H:]
    np.testing.assert_allclose(split.total, expected, rtol=1e-10, atol=1e-12)
    gates = layer.cache.f if cell == "lstm" else layer.cache.z
    straight = gates.prod(axis=0)[:, :, None] * np.eye(H)
    np.testing.assert_allclose(split.direct, straight, rtol=1e-13, atol=0)
    indirect = np.abs(split.indirect).max()
    if wh_scale:  # the sum has two parts
        assert indirect > 1e-3
    else:  # the product of the gates is all, as tutorials have it: of an LSTM to the last bit
        assert indirect <= (0 if cell == "lstm" else 1e-15)


def test_after_one_step_there_is_no_indirect_part(rng):
    """h0 does not depend on c0, so an indirect path has at least two steps."""
    cache = Layer(rng, cell="lstm").cache
    norms = diagnostics.carousel_norms(cache)
    assert norms.indirect[0] == 0
    assert (norms.indirect[1:] > 0).all()
    assert norms.share[0] == 0
    split = diagnostics.carousel(cache)
    for part, sizes in zip(split, norms, strict=True):
        assert sizes.shape == (T,)
        assert sizes[-1] == pytest.approx(np.linalg.norm(part, axis=(1, 2)).mean(), rel=1e-14)


# --- gradient flow -----------------------------------------------------------------------------


@pytest.mark.parametrize("cell", ["rnn", "lstm"])
def test_flow_norms_follow_from_the_lag_table(rng, cell):
    """Of one sequence the part of db at a step is da, and da is dh or dc times known factors."""
    net, x, y, state = model(rng, cell=cell)
    window = x[:, :1], y[:, :1], type(state)(*(part[:, :1] for part in state))
    flow = diagnostics.gradient_flow(net, *window)
    table = diagnostics.model_lag_table(net, *window)
    for layer, cache in enumerate(flow.caches):
        da = table.parts[f"{cell}.{layer}.b"][-1, ::-1, None]  # of the last loss, (T, 1, .)
        if cell == "rnn":
            expected = {"h": da / (1 - cache.h**2)}
        else:
            _, da_f, _, da_o = np.split(da, 4, axis=2)
            dh = da_o / (cache.tanh_c * cache.o * (1 - cache.o))
            expected = {"h": dh, "c": da_f / (cache.c_prev * cache.f * (1 - cache.f))}
        assert flow.norms.keys() == expected.keys()
        for name, gradient in expected.items():
            norms = np.linalg.norm(gradient, axis=(1, 2))
            np.testing.assert_allclose(flow.norms[name][layer], norms, rtol=1e-10)


@pytest.mark.parametrize("options", KINDS)
def test_step_jacobians_multiply_to_the_jacobian_of_the_window(rng, options):
    """The largest singular value is the norm of a step."""
    layer = Layer(rng, **options)
    J = diagnostics.step_jacobians(layer.cache)
    assert J.shape == (T, B, *2 * [len(layer.state) * H])
    product = reduce(lambda product, step: step @ product, J)
    np.testing.assert_allclose(product, layer.jacobian(), atol=1e-12, rtol=1e-10)
    largest = diagnostics.singular_values(layer.cache)[:, :, 0]
    np.testing.assert_allclose(largest, np.linalg.norm(J, 2, axis=(2, 3)), rtol=1e-12)


@pytest.mark.parametrize(
    ("options", "ends"),
    [
        ({}, dict.fromkeys("ifo", (0.05, 0.95)) | {"g": (-0.9, 0.9)}),
        ({"cell": "rnn", "activation": "sigmoid"}, {"h": (0.05, 0.95)}),
        ({"cell": "rnn", "activation": "tanh"}, {"h": (-0.9, 0.9)}),
        ({"cell": "rnn", "activation": "relu"}, {"h": (1e-300, np.inf)}),
    ],
)
def test_saturation_counts_units_at_the_ends_of_their_curves(rng, options, ends):
    net, x, y, state = model(rng, init_scale=3.0, **options)
    flow = diagnostics.gradient_flow(net, x, y, state)
    assert flow.saturation.keys() == ends.keys()
    for name, (below, above) in ends.items():
        low, high = flow.saturation[name]
        units = np.stack([getattr(cache, name) for cache in flow.caches])
        np.testing.assert_allclose(low, (units < below).mean(axis=(2, 3)), rtol=1e-14)
        np.testing.assert_allclose(high, (units > above).mean(axis=(2, 3)), rtol=1e-14)
        assert low.max() > 0
        assert (high.max() > 0) == np.isfinite(above)


def test_cells_side_by_side(rng):
    """The sigmoid network forgets first, as in the textbooks."""
    x, y = rng.integers(0, V, (2, 20, 4))
    found = diagnostics.compare_cells(x, y, vocab_size=V, hidden_size=16)
    assert list(found) == list(examples())
    left = {name: np.divide(*cell.flow.norms["h"][0, [0, -1]]) for name, cell in found.items()}
    assert left["RNN sigmoid"] < 1e-6 * left["LSTM, forget bias 3"]
    assert left["RNN sigmoid"] < left["RNN tanh"]
    biases = [left[f"LSTM, forget bias {bias}"] for bias in (0, 1, 3)]
    assert biases == sorted(biases)
    assert found["RNN sigmoid"].singular_values.max() < 0.5  # so it must vanish


def test_looking_changes_nothing(rng):
    """Neither parameters, gradients, the random generator nor the pending pass."""
    net, x, y, state = model(rng, dropout=0.5, dtype="float32")
    twin = deepcopy(net)
    for one in (net, twin):
        one.forward(x, y, state)
    diagnostics.gradient_flow(net, x, y, state)
    diagnostics.model_lag_norms(net, x, y, state)
    for one in (net, twin):
        one.backward()
    assert net.rng.bit_generator.state == twin.rng.bit_generator.state
    np.testing.assert_equal(net.state_dict(), twin.state_dict())
    for path, parameter in net.parameters().items():
        np.testing.assert_array_equal(parameter.grad, twin.parameters()[path].grad)


# --- bad calls ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "says", "error"),
    [
        bad_call(
            lambda: nl.diagnostics.gate_saturation("x"),
            "gate must hold real numbers, got",
            TypeError,
        ),
        bad_call(
            lambda: nl.diagnostics.compare_cells(X, Y, vocab_size=11, hidden_size="4"),
            "hidden_size must be a whole number, got '4'",
            TypeError,
        ),
        bad_call(
            lambda: nl.diagnostics.carousel_share(1.0, [0.0]),
            "wh_scales must have shape (N,), got ()",
        ),
        bad_call(
            lambda: nl.diagnostics.gradient_flow(small_classifier(), X, X),
            "model must be a Language",
            TypeError,
        ),
        bad_call(
            lambda: nl.diagnostics.gate_saturation(ONES),
            "gate must have shape (T, B, H), got (5, 3); cell",
        ),
        bad_call(
            lambda: nl.diagnostics.gate_saturation(HS[:0]),
            "gate must not be empty, got shape (0, 3, 4)",
        ),
        bad_call(
            lambda: nl.diagnostics.cell_activations(small_model(), X + 11),
            "ids must lie in [0, 11), got",
        ),
        bad_call(
            lambda: nl.diagnostics.cell_activations(small_model(), X, small_rnn().zero_state(3)),
            "state must be LSTMState(h, c), got RNNState",
            TypeError,
        ),
    ],
)
def test_a_bad_call_gets_one_sentence(call, says, error):
    assert_refused(call, says, error)
