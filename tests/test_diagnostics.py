"""The gradient laboratory, compared with independent computations of the same numbers."""

from functools import partial

import numpy as np
import pytest
from conftest import B, D, H, L, T, V

import numpylstm as nl
from numpylstm import diagnostics, reference
from numpylstm.cells import examples

EXACT = {"rtol": 0, "atol": 1e-12}
ACTIVATIONS = ("tanh", "relu", "sigmoid")


def arguments_of(rng, cell, wh_scale=1.0):
    """Return random arguments of the forward pass of a layer."""
    blocks, states = {"rnn": (1, 1), "lstm": (4, 2), "gru": (3, 1)}[cell]
    return [
        rng.normal(size=(T, B, D)), *(rng.normal(size=(B, H)) for _ in range(states)),
        rng.normal(size=(D, blocks * H)), wh_scale * rng.normal(size=(H, blocks * H)),
        rng.normal(size=blocks * H),
    ]  # fmt: skip


def rnn(rng, activation="tanh"):
    """Return the arguments and the cache of a random forward pass of a vanilla layer."""
    arguments = arguments_of(rng, "rnn")
    return arguments, reference.rnn_forward(*arguments, activation)[-1]


def lstm(rng, wh_scale=1.0):
    """Return the arguments and the cache of a random forward pass of an LSTM layer."""
    arguments = arguments_of(rng, "lstm", wh_scale=wh_scale)
    return arguments, reference.lstm_forward(*arguments)[-1]


def layers(rng):
    """Yield name, cache, and a function: BPTT from one step of the window to another."""
    kinds = [("rnn", {"activation": activation}) for activation in ACTIVATIONS]
    kinds += [("lstm", {}), *(("gru", {"reset": reset}) for reset in ("after", "before"))]
    for cell, options in kinds:
        forward = partial(getattr(reference, f"{cell}_forward"), **options)
        backward = getattr(reference, f"{cell}_backward")
        x, *first_state, Wx, Wh, b = arguments_of(rng, cell)
        *_, cache = forward(x, *first_state, Wx, Wh, b)
        names = ("h", "c")[: len(first_state)]
        states = [[s, *getattr(cache, n)] for n, s in zip(names, first_state, strict=True)]

        def window(first, last, dhs, x=x, states=states, weights=(Wx, Wh, b), run=forward,
                   back=backward):  # fmt: skip
            state = [values[first] for values in states]
            *_, part = run(x[first : last + 1], *state, *weights)
            after_dx_and_states = 1 + len(state)
            gradients = back(dhs, *(np.zeros((B, H)) for _ in state), part)
            return gradients[after_dx_and_states:][:3]

        yield f"{cell} {options}", cache, window


def model(rng, **options):
    """Return a language model with random biases, a window of ids and a random state."""
    options = {"num_layers": L, "dtype": "float64", "init_scale": 0.5, "rng": 7} | options
    model = nl.LanguageModel(V, H, **options)
    x, y = rng.integers(0, V, (2, T, B))
    zero = model.zero_state(B)
    state = type(zero)(*(rng.normal(size=part.shape).astype(part.dtype) for part in zero))
    return model, x, y, state


MODELS = (
    {"cell": "lstm"},
    {"cell": "rnn", "activation": "relu"},
    {"cell": "lstm", "embedding_size": D, "average_across_timesteps": True},
    {"cell": "rnn", "tied": True, "impl": "reference", "num_layers": 3},
)


# --- gradient by lag ---------------------------------------------------------------------------


def test_the_lag_table_adds_up_to_the_gradient_of_bptt(rng):
    for name, cache, window in layers(rng):
        dhs = rng.normal(size=(T, B, H))
        table = diagnostics.lag_table(dhs, cache)
        before_the_first_step = np.triu_indices(T, 1)
        assert (table.norms("Wx")[before_the_first_step] == 0).all()
        for key, gradient in zip(("Wx", "Wh", "b"), window(0, T - 1, dhs), strict=True):
            assert table.parts[key].shape == (T, T, *gradient.shape)
            np.testing.assert_allclose(table.total(key), gradient, **EXACT, err_msg=name)
            np.testing.assert_allclose(table.by_lag(key).sum(axis=0), gradient, **EXACT)


@pytest.mark.parametrize("tau", range(T + 1))
def test_what_lies_beyond_a_lag_is_what_truncated_bptt_loses(rng, tau):
    """Truncation done by hand: each loss alone, in a window that starts from a stopped state."""
    for name, cache, window in layers(rng):
        dhs = rng.normal(size=(T, B, H))
        table = diagnostics.lag_table(dhs, cache)
        truncated = [0, 0, 0]
        for t in range(T):
            first = max(t - tau, 0)
            alone = np.zeros((t - first + 1, B, H))
            alone[-1] = dhs[t]
            truncated = [a + b for a, b in zip(truncated, window(first, t, alone), strict=True)]
        whole = window(0, T - 1, dhs)
        beyond, within = table.beyond(tau), table.within(tau)
        for key, gradient, kept in zip(("Wx", "Wh", "b"), whole, truncated, strict=True):
            np.testing.assert_allclose(within[key], kept, **EXACT, err_msg=name)
            np.testing.assert_allclose(beyond[key], gradient - kept, **EXACT, err_msg=name)


def test_norms_without_the_table_are_those_of_the_table(rng):
    for _, cache, _ in layers(rng):
        dhs = rng.normal(size=(T, B, H))
        table, norms = diagnostics.lag_table(dhs, cache), diagnostics.lag_norms(dhs, cache)
        for key in ("Wx", "Wh", "b"):
            np.testing.assert_allclose(norms[key], table.norms(key), **EXACT)
            expected = np.linalg.norm(table.by_lag(key).reshape(T, -1), axis=1)
            np.testing.assert_allclose(table.norms_by_lag(key), expected, **EXACT)


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


@pytest.mark.parametrize("options", MODELS[:2])
@pytest.mark.parametrize("tau", [0, 2])
def test_a_stack_is_truncated_in_all_its_layers(rng, options, tau):
    """Each loss alone, in a model that starts tau steps before it from a stopped state."""
    net, x, y, state = model(rng, **options)
    table = diagnostics.model_lag_table(net, x, y, state)
    stack = net.encoder.recurrent
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


def test_a_lag_table_refuses_what_does_not_fit(rng):
    _, cache = rnn(rng)
    with pytest.raises(ValueError, match=r"dhs must have shape \(5, 3, 6\), got \(4, 3, 6\)"):
        diagnostics.lag_table(np.zeros((T - 1, B, H)), cache)
    table = diagnostics.lag_table(np.zeros((T, B, H)), cache)
    with pytest.raises(ValueError, match="tau must be at least 0, got -1"):
        table.beyond(-1)
    net, x, y, state = model(rng)
    with pytest.raises(ValueError, match=r"y must have shape \(5, 3\)"):
        diagnostics.model_lag_table(net, x, y[:-1], state)
    with pytest.raises(TypeError, match="the vanilla cell has no carousel"):
        diagnostics.carousel(cache)
    with pytest.raises(TypeError, match=r"state must be LSTMState\(h, c\), got RNNState"):
        diagnostics.gradient_flow(net, x, y, nl.RNNState(state.h))
    single = reference.rnn_step_forward(*(a[0] if a.ndim == 3 else a for a in rnn(rng)[0]))[1]
    for function in (diagnostics.step_jacobians, diagnostics.singular_values):
        with pytest.raises(TypeError, match="cache must come from a sequence"):
            function(single)
    *_, padded = reference.rnn_forward(*rnn(rng)[0], lengths=np.array([5, 2, 1]))
    with pytest.raises(TypeError, match=r"without lengths, got numpylstm\.reference\.PaddedCache"):
        diagnostics.lag_norms(np.zeros((T, B, H)), padded)
    cache = lstm(rng)[1]
    for h in (cache.h[:0], [[1.0], [1.0, 2.0]]):
        for function in (diagnostics.step_jacobians, diagnostics.carousel):
            with pytest.raises(TypeError, match="cache must come from a sequence"):
                function(cache._replace(h=h))
    with pytest.raises(ValueError, match="every Jacobian of cache must be finite, got nan"):
        diagnostics.singular_values(cache._replace(Wh=np.nan * cache.Wh))
    with pytest.raises(ValueError, match=r"state.h must have shape \(2, 3, 6\)"):
        diagnostics.gradient_flow(net, x, y, net.zero_state(B + 1))


# --- the carousel split ------------------------------------------------------------------------


def complex_step_jacobian(f, values):
    """d f / d values for f: (B, H) -> (B, H), rows of the batch apart: (B, H, H)."""
    jacobian = np.empty((B, H, H))
    for k in range(H):
        point = values.astype(complex)
        point[:, k] += 1e-30j
        jacobian[:, :, k] = f(point).imag / 1e-30
    return jacobian


@pytest.mark.parametrize("wh_scale", [0.3, 1.0, 3.0])
def test_direct_and_indirect_add_up_to_the_complex_step_jacobian(rng, wh_scale):
    (x, h0, c0, *weights), cache = lstm(rng, wh_scale=wh_scale)
    expected = complex_step_jacobian(lambda c: reference.lstm_forward(x, h0, c, *weights)[2], c0)
    split = diagnostics.carousel(cache)
    np.testing.assert_allclose(split.total, expected, rtol=1e-10, atol=1e-12)
    assert np.abs(split.indirect).max() > 1e-3  # the sum has two parts
    forget_gates = cache.f.prod(axis=0)[:, :, None] * np.eye(H)
    np.testing.assert_allclose(split.direct, forget_gates, rtol=1e-13, atol=0)


def test_without_recurrent_weights_the_indirect_part_is_exactly_zero(rng):
    """The derivative is then the product of the forget gates, as tutorials have it."""
    (x, h0, c0, *weights), cache = lstm(rng, wh_scale=0.0)
    split = diagnostics.carousel(cache)
    assert (split.indirect == 0).all()
    expected = complex_step_jacobian(lambda c: reference.lstm_forward(x, h0, c, *weights)[2], c0)
    np.testing.assert_allclose(split.direct, expected, rtol=1e-12, atol=1e-15)


def test_after_one_step_there_is_no_indirect_part(rng):
    """h0 does not depend on c0, so an indirect path has at least two steps."""
    _, cache = lstm(rng)
    norms = diagnostics.carousel_norms(cache)
    assert norms.indirect[0] == 0
    assert (norms.indirect[1:] > 0).all()
    assert norms.share[0] == 0
    split = diagnostics.carousel(cache)
    for part, sizes in zip(split, norms, strict=True):
        assert sizes.shape == (T,)
        assert sizes[-1] == pytest.approx(np.linalg.norm(part, axis=(1, 2)).mean(), rel=1e-14)


def test_the_indirect_share_grows_with_the_recurrent_weights_and_with_time():
    sizes = {"num_steps": 20, "batch_size": 2, "hidden_size": 16}
    found = diagnostics.carousel_share((0.0, 0.1, 0.5, 1.0, 2.0), (1.0,), **sizes, rng=3)
    shares = np.array([norms.share for norms in found.values()])  # (scales, T)
    assert (shares[0] == 0).all()
    assert (np.diff(shares[:, -1]) > 0).all()
    assert (np.diff(shares[1:, :5], axis=1) > 0).all()


@pytest.mark.parametrize("reset", ["after", "before"])
def test_the_split_of_a_gru(rng, reset):
    """The memory of a GRU is h, and its direct path is z."""
    x, h0, Wx, Wh, b = arguments_of(rng, "gru")
    *_, cache = reference.gru_forward(x, h0, Wx, Wh, b, reset=reset)
    split = diagnostics.carousel(cache)
    expected = complex_step_jacobian(
        lambda h: reference.gru_forward(x, h, Wx, Wh, b, reset=reset)[1], h0
    )
    np.testing.assert_allclose(split.total, expected, rtol=1e-10, atol=1e-12)
    straight = cache.z.prod(axis=0)[:, :, None] * np.eye(H)
    np.testing.assert_allclose(split.direct, straight, rtol=1e-13, atol=0)
    assert np.abs(split.indirect).max() > 1e-3
    *_, alone = reference.gru_forward(x, h0, Wx, 0 * Wh, b, reset=reset)
    assert np.abs(diagnostics.carousel(alone).indirect).max() < 1e-15  # without Wh, no other path


# --- gradient flow -----------------------------------------------------------------------------


def last_loss(net, x, y, state, layer, t, what, added):
    """Return the loss of the last step if `added` is added to h or c of one layer at one step.

    Step by step, in complex numbers, and without any code of the tested function.
    """
    arrays = {path: p.data.astype(complex) for path, p in net.parameters().items()}
    cell = net.config.cell
    depth = len(net.encoder.recurrent.layers)
    states = [[part[k].astype(complex) for part in state] for k in range(depth)]
    for s in range(len(x)):
        h = arrays["embedding.W"][x[s]]
        for k in range(depth):
            weights = [arrays[f"{cell}.{k}.{key}"] for key in ("Wx", "Wh", "b")]
            here = (k, s) == (layer, t)
            if cell == "rnn":
                h, _ = reference.rnn_step_forward(
                    h, *states[k], *weights, net.config.options["activation"]
                )
                h = h + added if here else h
                states[k] = [h]
            else:
                h, c, cache = reference.lstm_step_forward(h, *states[k], *weights)
                if here and what == "c":
                    c = c + added
                    h = cache.o * np.tanh(c)
                elif here:
                    h = h + added
                states[k] = [h, c]
    W = arrays["embedding.W"].T if "decoder.W" not in arrays else arrays["decoder.W"]
    logits = h @ W + arrays["decoder.b"]
    nll = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(B), y[-1]]
    averaging = net.criterion.averaging
    return (
        nll.sum()
        / (B if averaging["average_across_batch"] else 1)
        / (len(x) if averaging["average_across_timesteps"] else 1)
    )


@pytest.mark.parametrize("options", MODELS)
def test_flow_norms_are_those_of_complex_step_derivatives(rng, options):
    net, x, y, state = model(rng, **options)
    flow = diagnostics.gradient_flow(net, x, y, state)
    depth = len(net.encoder.recurrent.layers)
    assert list(flow.norms) == (["h"] if options["cell"] == "rnn" else ["h", "c"])
    for what, norms in flow.norms.items():
        assert norms.shape == (depth, T)
        for layer in range(depth):
            for t in (0, 2, T - 1):
                slopes = np.empty((B, H))
                for index in np.ndindex(B, H):
                    added = np.zeros((B, H), complex)
                    added[index] = 1e-30j
                    loss = last_loss(net, x, y, state, layer, t, what, added)
                    slopes[index] = loss.imag / 1e-30
                assert norms[layer, t] == pytest.approx(np.linalg.norm(slopes), rel=1e-10)


def test_step_jacobians_multiply_to_the_jacobian_of_the_window(rng):
    for activation in ACTIVATIONS:
        (x, h0, *weights), cache = rnn(rng, activation)

        def last(h, x=x, weights=weights, activation=activation):
            return reference.rnn_forward(x, h, *weights, activation)[1]

        J = diagnostics.step_jacobians(cache)
        assert J.shape == (T, B, H, H)
        product = J[0]
        for step in J[1:]:
            product = step @ product
        np.testing.assert_allclose(product, complex_step_jacobian(last, h0), atol=1e-12, rtol=1e-10)

    (x, h0, c0, *weights), cache = lstm(rng)
    J = diagnostics.step_jacobians(cache)
    assert J.shape == (T, B, 2 * H, 2 * H)
    product = J[0]
    for step in J[1:]:
        product = step @ product
    blocks = {
        (0, 0): complex_step_jacobian(lambda h: reference.lstm_forward(x, h, c0, *weights)[1], h0),
        (0, 1): complex_step_jacobian(lambda c: reference.lstm_forward(x, h0, c, *weights)[1], c0),
        (1, 0): complex_step_jacobian(lambda h: reference.lstm_forward(x, h, c0, *weights)[2], h0),
        (1, 1): complex_step_jacobian(lambda c: reference.lstm_forward(x, h0, c, *weights)[2], c0),
    }
    for (row, column), expected in blocks.items():
        block = product[:, row * H : (row + 1) * H, column * H : (column + 1) * H]
        np.testing.assert_allclose(block, expected, atol=1e-12, rtol=1e-10)


def test_singular_values_bound_what_a_step_does_to_a_gradient(rng):
    for cache in (rnn(rng)[1], lstm(rng)[1]):
        values, J = diagnostics.singular_values(cache), diagnostics.step_jacobians(cache)
        assert values.shape == J.shape[:3]
        v = rng.normal(size=J.shape[:3])
        gain = np.linalg.norm(np.einsum("tbjk,tbj->tbk", J, v), axis=-1) / np.linalg.norm(
            v, axis=-1
        )
        assert (gain <= values[..., 0] * (1 + 1e-12)).all()
        assert (gain >= values[..., -1] * (1 - 1e-12)).all()
        frobenius = np.linalg.norm(J, axis=(2, 3))
        np.testing.assert_allclose(np.linalg.norm(values, axis=-1), frobenius, rtol=1e-12)


def test_saturation_counts_units_at_the_ends_of_their_curves(rng):
    net, x, y, state = model(rng, init_scale=3.0)
    flow = diagnostics.gradient_flow(net, x, y, state)
    assert set(flow.saturation) == set("ifgo")
    for name, (low, high, _) in flow.saturation.items():
        below, above = (-0.9, 0.9) if name == "g" else (0.05, 0.95)
        for layer, cache in enumerate(flow.caches):
            for t in range(T):
                units = getattr(cache, name)[t].ravel()
                assert low[layer, t] == pytest.approx(sum(u < below for u in units) / units.size)
                assert high[layer, t] == pytest.approx(sum(u > above for u in units) / units.size)
        assert low.max() > 0
        assert high.max() > 0


@pytest.mark.parametrize(("activation", "below", "above"), [
    ("sigmoid", 0.05, 0.95), ("tanh", -0.9, 0.9), ("relu", 1e-300, np.inf),
])  # fmt: skip
def test_saturation_of_the_vanilla_cell(rng, activation, below, above):
    net, x, y, state = model(rng, cell="rnn", activation=activation, init_scale=3.0)
    flow = diagnostics.gradient_flow(net, x, y, state)
    low, high, _ = flow.saturation["h"]
    h = flow.caches[1].h
    np.testing.assert_allclose(low[1], (h < below).mean(axis=(1, 2)), rtol=1e-14)
    np.testing.assert_allclose(high[1], (h > above).mean(axis=(1, 2)), rtol=1e-14)
    assert low.max() > 0
    assert (high.max() > 0) == (activation != "relu")


def test_cells_side_by_side(rng):
    """The sigmoid network forgets first, as in the textbooks."""
    x, y = rng.integers(0, V, (2, 20, 4))
    found = diagnostics.compare_cells(x, y, vocab_size=V, hidden_size=16)
    assert list(found) == list(examples())
    assert "GRU reset-before" in found
    left = {name: np.divide(*cell.flow.norms["h"][0, [0, -1]]) for name, cell in found.items()}
    assert left["RNN sigmoid"] < 1e-6 * left["LSTM, forget bias 3"]
    assert left["RNN sigmoid"] < left["RNN tanh"]
    biases = [left[f"LSTM, forget bias {bias}"] for bias in (0, 1, 3)]
    assert biases == sorted(biases)
    assert found["RNN sigmoid"].singular_values.max() < 0.5  # so it must vanish
    assert found["RNN tanh"].singular_values.shape == (20, 4, 16)
    assert found["LSTM, forget bias 1"].singular_values.shape == (20, 4, 32)
    first, *others = (cell.flow.caches[0].x for cell in found.values())
    assert all(np.array_equal(first, other) for other in others)  # the same data, same embedding


def test_looking_changes_nothing(rng):
    """Neither parameters, gradients, the random generator nor the pending pass."""
    net, x, y, state = model(rng, dropout=0.5, dtype="float32")
    before, draws = net.state_dict(), net.rng.bit_generator.state
    twin, *_ = model(rng, dropout=0.5, dtype="float32")
    for one in (net, twin):
        one.forward(x, y, state)
    after_forward = net.rng.bit_generator.state
    diagnostics.gradient_flow(net, x, y, state)
    diagnostics.model_lag_norms(net, x, y, state)
    assert net.rng.bit_generator.state == after_forward != draws
    assert all(np.array_equal(array, before[path]) for path, array in net.state_dict().items())
    assert not any(parameter.grad.any() for parameter in net.parameters().values())
    for one in (net, twin):
        one.backward()
    for path, parameter in net.parameters().items():
        np.testing.assert_array_equal(parameter.grad, twin.parameters()[path].grad)


def test_a_frozen_parameter_has_its_parts_too(rng):
    model = nl.LanguageModel(5, 3, 2, impl="reference", rng=0)
    x = rng.integers(0, 5, (3, 2))
    free = diagnostics.model_lag_norms(model, x, x)
    model.all_parameters()["lstm.0.Wh"].trainable = False
    frozen = diagnostics.model_lag_norms(model, x, x)
    assert frozen.keys() == free.keys()
    for path, norms in frozen.items():
        np.testing.assert_array_equal(norms, free[path])
