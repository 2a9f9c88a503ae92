"""Every backward pass of the textbook, checked by the complex step and by central differences.

Each case is a scalar function of named arrays, all random: biases, initial states and the
gradients that arrive from above, from the next window and at the loss.
"""

import numpy as np
import pytest
from conftest import B, D, H, T, V

from numpylstm import gradcheck, reference

ACTIVATIONS = ("tanh", "relu", "sigmoid")
SIZES = [  # T, B, D, H: the usual, then each size one
    pytest.param((T, B, D, H), id="usual"),
    pytest.param((1, B, D, H), id="T=1"),
    pytest.param((T, 1, D, H), id="B=1"),
    pytest.param((T, B, D, 1), id="H=1"),
    pytest.param((1, 1, 1, 1), id="all 1"),
]


def prove(loss, arrays, gradients):
    """The gradient is right: both measures agree with it."""
    for method in ("complex", "central"):
        report = gradcheck.check(loss, arrays, gradients, method=method)
        assert report.passed, f"\n{report}"


def gates_and_state(rng, sizes, blocks):
    T, B, D, H = sizes
    return {
        "x": rng.standard_normal((T, B, D)),
        "h0": rng.standard_normal((B, H)),
        "Wx": rng.standard_normal((D, blocks * H)),
        "Wh": rng.standard_normal((H, blocks * H)),
        "b": rng.standard_normal(blocks * H),
    }


# --- one step ----------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_rnn_step(rng, activation):
    arrays = gates_and_state(rng, (T, B, D, H), 1)
    arrays["x"], arrays["h_prev"] = arrays["x"][0], arrays.pop("h0")
    names = ("x", "h_prev", "Wx", "Wh", "b")
    u = rng.standard_normal((B, H))

    def loss(a):
        h, _ = reference.rnn_step_forward(*(a[k] for k in names), activation)
        return (u * h).sum()

    _, cache = reference.rnn_step_forward(*(arrays[k] for k in names), activation)
    gradients = dict(zip(names, reference.rnn_step_backward(u, cache), strict=True))
    prove(loss, arrays, gradients)


def test_lstm_step(rng):
    arrays = gates_and_state(rng, (T, B, D, H), 4)
    arrays["x"], arrays["h_prev"] = arrays["x"][0], arrays.pop("h0")
    arrays["c_prev"] = rng.standard_normal((B, H))
    names = ("x", "h_prev", "c_prev", "Wx", "Wh", "b")
    uh, uc = rng.standard_normal((2, B, H))

    def loss(a):
        h, c, _ = reference.lstm_step_forward(*(a[k] for k in names))
        return (uh * h).sum() + (uc * c).sum()

    _, _, cache = reference.lstm_step_forward(*(arrays[k] for k in names))
    gradients = dict(zip(names, reference.lstm_step_backward(uh, uc, cache), strict=True))
    prove(loss, arrays, gradients)


def gru_arrays(rng, sizes, reset):
    arrays = gates_and_state(rng, sizes, 3)
    return arrays | ({"bn": rng.standard_normal(sizes[-1])} if reset == "after" else {})


RESETS = pytest.mark.parametrize("reset", ["after", "before"])


@RESETS
def test_gru_step(rng, reset):
    arrays = gru_arrays(rng, (T, B, D, H), reset)
    arrays["x"] = arrays["x"][0]
    u = rng.standard_normal((B, H))

    def loss(a):
        h, _ = reference.gru_step_forward(*a.values(), reset=reset)
        return (u * h).sum()

    _, cache = reference.gru_step_forward(*arrays.values(), reset=reset)
    gradients = dict(zip(arrays, reference.gru_step_backward(u, cache), strict=reset == "after"))
    prove(loss, arrays, gradients)


# --- through time ------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_rnn(rng, activation, sizes):
    arrays = gates_and_state(rng, sizes, 1)
    hs_shape, h_shape = (*sizes[:2], sizes[3]), arrays["h0"].shape
    u, uT = rng.standard_normal(hs_shape), rng.standard_normal(h_shape)

    def loss(a):
        hs, hT, _ = reference.rnn_forward(*a.values(), activation)
        return (u * hs).sum() + (uT * hT).sum()

    _, _, cache = reference.rnn_forward(*arrays.values(), activation)
    gradients = dict(zip(arrays, reference.rnn_backward(u, uT, cache), strict=True))
    prove(loss, arrays, gradients)


@pytest.mark.parametrize("scale", [1.0, pytest.param(8.0, id="saturated gates")])
@pytest.mark.parametrize("sizes", SIZES)
def test_lstm(rng, sizes, scale):
    arrays = gates_and_state(rng, sizes, 4)
    arrays = {
        "x": arrays["x"],
        "h0": arrays["h0"],
        "c0": rng.standard_normal(arrays["h0"].shape),
        "Wx": scale * arrays["Wx"],
        "Wh": scale * arrays["Wh"],
        "b": scale * arrays["b"],
    }
    u = rng.standard_normal((*sizes[:2], sizes[3]))
    uh, uc = rng.standard_normal((2, *arrays["h0"].shape))

    def loss(a):
        hs, hT, cT, _ = reference.lstm_forward(*a.values())
        return (u * hs).sum() + (uh * hT).sum() + (uc * cT).sum()

    *_, cache = reference.lstm_forward(*arrays.values())
    gradients = dict(zip(arrays, reference.lstm_backward(u, uh, uc, cache), strict=True))
    if scale == 1:
        prove(loss, arrays, gradients)
    else:  # a flat curve defeats the subtraction of the central difference, not the complex step
        report = gradcheck.check(loss, arrays, gradients, method="complex")
        assert report.passed, f"\n{report}"


@RESETS
@pytest.mark.parametrize("scale", [1.0, pytest.param(3.0, id="saturated gates")])
@pytest.mark.parametrize("sizes", SIZES)
def test_gru(rng, sizes, scale, reset):
    arrays = gru_arrays(rng, sizes, reset)
    arrays = {k: a if k in ("x", "h0") else scale * a for k, a in arrays.items()}
    u, uT = rng.standard_normal((*sizes[:2], sizes[3])), rng.standard_normal(arrays["h0"].shape)

    def loss(a):
        hs, hT, _ = reference.gru_forward(*a.values(), reset=reset)
        return (u * hs).sum() + (uT * hT).sum()

    *_, cache = reference.gru_forward(*arrays.values(), reset=reset)
    gradients = dict(zip(arrays, reference.gru_backward(u, uT, cache), strict=reset == "after"))
    if scale == 1:
        prove(loss, arrays, gradients)
    else:
        report = gradcheck.check(loss, arrays, gradients, method="complex")
        assert report.passed, f"\n{report}"


@RESETS
def test_a_gru_without_bn_has_no_gradient_of_it(rng, reset):
    arrays = gates_and_state(rng, (T, B, D, H), 3)
    u = rng.standard_normal((T, B, H))
    hs, hT, cache = reference.gru_forward(*arrays.values(), reset=reset)
    *gradients, dbn = reference.gru_backward(u, u[0], cache)
    assert dbn is None
    if reset == "after":  # as with a bn of zeros
        *same, cache = reference.gru_forward(*arrays.values(), np.zeros(H))
        same += reference.gru_backward(u, u[0], cache)[:-1]
        for one, other in zip([hs, hT, *gradients], same, strict=True):
            np.testing.assert_array_equal(one, other)


def test_gru_sequence_is_the_step_repeated(rng):
    x, h, *weights = gru_arrays(rng, (T, B, D, H), "after").values()
    hs, hT, cache = reference.gru_forward(x, h, *weights)
    for t in range(T):
        h, step = reference.gru_step_forward(x[t], h, *weights)
        np.testing.assert_array_equal(hs[t], h)
        for gate in ("r", "z", "n"):
            np.testing.assert_array_equal(getattr(cache, gate)[t], getattr(step, gate))
    np.testing.assert_array_equal(hT, h)


def test_the_two_resets_differ_unless_the_gate_is_open(rng):
    """With r = 1 the candidate sees all of the past, whichever way it goes."""
    arrays = gates_and_state(rng, (T, B, D, H), 3)
    after, before = (reference.gru_forward(*arrays.values(), reset=r)[0]
                     for r in ("after", "before"))  # fmt: skip
    assert np.abs(after - before).max() > 0.1
    arrays["b"][:H] = 50
    arrays["Wx"][:, :H] = arrays["Wh"][:, :H] = 0
    after, before = (reference.gru_forward(*arrays.values(), reset=r)[0]
                     for r in ("after", "before"))  # fmt: skip
    np.testing.assert_allclose(after, before, rtol=0, atol=1e-14)


@pytest.mark.parametrize(("reset", "bn"), [("never", None), ("before", np.zeros(H))])
def test_unknown_reset_is_refused(rng, reset, bn):
    a = gates_and_state(rng, (T, B, D, H), 3)
    with pytest.raises(ValueError, match=f"'before' without bn, got '{reset}'"):
        reference.gru_forward(*a.values(), bn, reset)


def test_lstm_sequence_is_the_step_repeated(rng):
    a = gates_and_state(rng, (T, B, D, H), 4)
    h, c = a["h0"], rng.standard_normal((B, H))
    hs, hT, cT, cache = reference.lstm_forward(a["x"], h, c, a["Wx"], a["Wh"], a["b"])
    for t in range(T):
        h, c, step = reference.lstm_step_forward(a["x"][t], h, c, a["Wx"], a["Wh"], a["b"])
        np.testing.assert_array_equal(hs[t], h)
        for gate in ("i", "f", "g", "o"):
            np.testing.assert_array_equal(getattr(cache, gate)[t], getattr(step, gate))
    np.testing.assert_array_equal(hT, h)
    np.testing.assert_array_equal(cT, c)


def test_a_window_split_in_two_gives_the_same_states_and_gradients(rng):
    """State carried forward and gradients carried back make two windows one."""
    a = gates_and_state(rng, (T, B, D, H), 4)
    weights = (a["Wx"], a["Wh"], a["b"])
    c0 = rng.standard_normal((B, H))
    u = rng.standard_normal((T, B, H))
    uh, uc = rng.standard_normal((2, B, H))
    hs, hT, cT, cache = reference.lstm_forward(a["x"], a["h0"], c0, *weights)
    whole = reference.lstm_backward(u, uh, uc, cache)

    k = 2
    hs1, h, c, cache1 = reference.lstm_forward(a["x"][:k], a["h0"], c0, *weights)
    hs2, h, c, cache2 = reference.lstm_forward(a["x"][k:], h, c, *weights)
    dx2, dh, dc, *dweights2 = reference.lstm_backward(u[k:], uh, uc, cache2)
    dx1, dh, dc, *dweights1 = reference.lstm_backward(u[:k], dh, dc, cache1)
    np.testing.assert_allclose(np.concatenate([hs1, hs2]), hs, rtol=1e-13)
    np.testing.assert_allclose(h, hT, rtol=1e-13)
    np.testing.assert_allclose(c, cT, rtol=1e-13)
    split = [np.concatenate([dx1, dx2]), dh, dc]
    split += [one + two for one, two in zip(dweights1, dweights2, strict=True)]
    for ours, theirs in zip(split, whole, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-13)


# --- around the recurrence ---------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(B,), (T, B)], ids=["step", "sequence"])
def test_embedding(rng, shape):
    ids = rng.integers(0, 4, shape)  # few words, so that they repeat
    assert len(np.unique(ids)) < ids.size or ids.size < 4
    u = rng.standard_normal((*shape, D))

    def loss(a):
        x, _ = reference.embedding_forward(ids, a["W"])
        return (u * x).sum()

    arrays = {"W": rng.standard_normal((V, D))}
    _, cache = reference.embedding_forward(ids, arrays["W"])
    dW = reference.embedding_backward(u, cache)
    assert not dW[4:].any()  # words that did not occur
    prove(loss, arrays, {"W": dW})
    rows, drows = reference.embedding_backward_rows(u, cache)
    assert np.array_equal(rows, np.unique(ids))
    assert np.array_equal(drows, dW[rows])


@pytest.mark.parametrize("shape", [(B,), (T, B)], ids=["step", "sequence"])
def test_linear(rng, shape):
    names = ("x", "W", "b")
    arrays = {
        "x": rng.standard_normal((*shape, H)),
        "W": rng.standard_normal((H, V)),
        "b": rng.standard_normal(V),
    }
    u = rng.standard_normal((*shape, V))

    def loss(a):
        y, _ = reference.linear_forward(*(a[k] for k in names))
        return (u * y).sum()

    _, cache = reference.linear_forward(*arrays.values())
    prove(loss, arrays, dict(zip(names, reference.linear_backward(u, cache), strict=True)))


def test_dropout(rng):
    mask = (rng.random((T, B, H)) < 0.6) / 0.6
    u = rng.standard_normal((T, B, H))

    def loss(a):
        y, _ = reference.dropout_forward(a["x"], mask)
        return (u * y).sum()

    arrays = {"x": rng.standard_normal((T, B, H))}
    _, cache = reference.dropout_forward(arrays["x"], mask)
    prove(loss, arrays, {"x": reference.dropout_backward(u, cache)})


# --- the loss ----------------------------------------------------------------------------------

FLAGS = [(False, False), (False, True), (True, False), (True, True)]


@pytest.mark.parametrize(("over_time", "over_batch"), FLAGS)
@pytest.mark.parametrize("kind", ["none", "random", "masked", "a masked step"])
def test_cross_entropy(rng, kind, over_time, over_batch):
    weights = {
        "none": None,
        "random": rng.random((T, B)),
        "masked": (rng.random((T, B)) < 0.5).astype(float),
        "a masked step": np.where(np.arange(T)[:, None] == 2, 0.0, rng.random((T, B))),
    }[kind]
    targets = rng.integers(0, V, (T, B))
    averaging = {"average_across_timesteps": over_time, "average_across_batch": over_batch}

    def loss(a):
        value, _ = reference.sequence_cross_entropy_forward(
            a["logits"], targets, weights, **averaging
        )
        return 0.7 * value

    arrays = {"logits": 3 * rng.standard_normal((T, B, V))}
    _, cache = reference.sequence_cross_entropy_forward(
        arrays["logits"], targets, weights, **averaging
    )
    dlogits = reference.sequence_cross_entropy_backward(cache, dloss=0.7)
    prove(loss, arrays, {"logits": dlogits})


@pytest.mark.parametrize(("over_time", "over_batch"), FLAGS)
def test_averaging_divides_by_the_weights_along_each_axis(rng, over_time, over_batch):
    logits, targets = rng.standard_normal((T, B, V)), rng.integers(0, V, (T, B))
    weights = rng.random((T, B))
    weights[2] = 0  # a step that counts for nothing
    loss, cache = reference.sequence_cross_entropy_forward(
        logits, targets, weights, average_across_timesteps=over_time,
        average_across_batch=over_batch,
    )  # fmt: skip
    log_p = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    nll = np.array([[-log_p[t, b, targets[t, b]] for b in range(B)] for t in range(T)])
    np.testing.assert_allclose(cache.nll, nll, rtol=1e-12)
    weighted = weights * nll
    others = [0, 1, 3, 4]
    expected = {
        (False, False): weighted.sum(),
        (False, True): sum(weighted[t].sum() / weights[t].sum() for t in others),
        (True, False): sum(weighted[:, b].sum() / weights[:, b].sum() for b in range(B)),
        (True, True): weighted.sum() / weights.sum(),
    }[over_time, over_batch]
    np.testing.assert_allclose(loss, expected, rtol=1e-12)


def test_default_loss_is_the_sum_over_time_of_the_mean_over_the_batch(rng):
    logits, targets = rng.standard_normal((T, B, V)), rng.integers(0, V, (T, B))
    loss, cache = reference.sequence_cross_entropy_forward(logits, targets)
    np.testing.assert_allclose(loss, cache.nll.mean(axis=1).sum(), rtol=1e-13)
    np.testing.assert_array_equal(cache.predicted, logits.argmax(axis=-1))


def test_cross_entropy_does_not_overflow(rng):
    logits = np.array([[[1000.0, 0.0], [-1000.0, 0.0]]])
    loss, cache = reference.sequence_cross_entropy_forward(logits, np.array([[0, 0]]))
    assert loss == 500  # 0 for the first of the batch, 1000 for the second
    assert np.isfinite(reference.sequence_cross_entropy_backward(cache)).all()


# --- a whole model -----------------------------------------------------------------------------


@pytest.mark.parametrize("cell", ["lstm", *ACTIVATIONS])
def test_two_layer_language_model(rng, cell):
    """Embedding, dropout, two recurrent layers with dropout between, decoder, loss."""
    blocks = 4 if cell == "lstm" else 1
    x, y = rng.integers(0, V, (2, T, B))
    weights = rng.random((T, B))
    masks = [(rng.random(s) < 0.5) * 2.0 for s in [(T, B, D), (T, B, H), (T, B, H)]]
    first, second = (gates_and_state(rng, (T, B, d, H), blocks) for d in (D, H))
    arrays = {"embedding.W": rng.standard_normal((V, D))}
    for layer, part in enumerate((first, second)):
        arrays |= {f"{layer}.h0": part["h0"], f"{layer}.c0": rng.standard_normal((B, H))}
        arrays |= {f"{layer}.{name}": part[name] for name in ("Wx", "Wh", "b")}
    arrays |= {"decoder.W": rng.standard_normal((H, V)), "decoder.b": rng.standard_normal(V)}
    if cell != "lstm":
        del arrays["0.c0"], arrays["1.c0"]

    def forward(a):
        hidden, embedding = reference.embedding_forward(x, a["embedding.W"])
        hidden, drop = reference.dropout_forward(hidden, masks[0])
        caches = [embedding, drop]
        for layer in range(2):
            weights_of = [a[f"{layer}.{name}"] for name in ("Wx", "Wh", "b")]
            if cell == "lstm":
                state = a[f"{layer}.h0"], a[f"{layer}.c0"]
                hidden, _, _, cache = reference.lstm_forward(hidden, *state, *weights_of)
            else:
                h0 = a[f"{layer}.h0"]
                hidden, _, cache = reference.rnn_forward(hidden, h0, *weights_of, cell)
            hidden, drop = reference.dropout_forward(hidden, masks[1 + layer])
            caches += [cache, drop]
        logits, cache = reference.linear_forward(hidden, a["decoder.W"], a["decoder.b"])
        loss, loss_cache = reference.sequence_cross_entropy_forward(logits, y, weights)
        return loss, [*caches, cache, loss_cache]

    _, (embedding, drop0, cell0, drop1, cell1, drop2, decoder, loss_cache) = forward(arrays)
    zero = np.zeros((B, H))
    gradients = {}
    dlogits = reference.sequence_cross_entropy_backward(loss_cache)
    dhs, gradients["decoder.W"], gradients["decoder.b"] = reference.linear_backward(
        dlogits, decoder
    )
    for layer, cache, drop in [(1, cell1, drop2), (0, cell0, drop1)]:
        dhs = reference.dropout_backward(dhs, drop)
        if cell == "lstm":
            dhs, *rest = reference.lstm_backward(dhs, zero, zero, cache)
            names = ("h0", "c0", "Wx", "Wh", "b")
        else:
            dhs, *rest = reference.rnn_backward(dhs, zero, cache)
            names = ("h0", "Wx", "Wh", "b")
        gradients |= {f"{layer}.{n}": g for n, g in zip(names, rest, strict=True)}
    dx = reference.dropout_backward(dhs, drop0)
    gradients["embedding.W"] = reference.embedding_backward(dx, embedding)
    report = gradcheck.check(
        lambda a: forward(a)[0],
        arrays,
        {path: gradients[path] for path in arrays},
        method="complex",
    )
    assert report.passed, f"\n{report}"


# --- numbers -----------------------------------------------------------------------------------


def test_sigmoid_is_exact_on_both_sides():
    a = np.array([-800.0, -30.0, 0.0, 30.0, 800.0])
    with np.errstate(all="raise", under="ignore"):
        s = reference.sigmoid(a)
    np.testing.assert_allclose(s, [0, np.exp(-30.0), 0.5, 1, 1], rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
def test_dtype_is_kept(rng, dtype):
    a = {k: v.astype(dtype) for k, v in gates_and_state(rng, (T, B, D, H), 4).items()}
    real = np.zeros(0, dtype).real.dtype
    c0 = np.zeros((B, H), dtype)
    *values, cache = reference.lstm_forward(a["x"], a["h0"], c0, a["Wx"], a["Wh"], a["b"])
    values += reference.lstm_backward(values[0], values[1], values[2], cache)
    for activation in ACTIVATIONS:
        one = slice(0, H)
        *v, cache = reference.rnn_forward(
            a["x"], a["h0"], a["Wx"][:, one], a["Wh"][:, one], a["b"][one], activation
        )
        values += [*v, *reference.rnn_backward(v[0], v[1], cache)]
    three = {k: v[..., : 3 * H] if k in ("Wx", "Wh", "b") else v for k, v in a.items()}
    for bn, reset in ((a["b"][:H], "after"), (None, "before")):
        *v, cache = reference.gru_forward(*three.values(), bn, reset)
        values += [*v, *(d for d in reference.gru_backward(v[0], v[1], cache) if d is not None)]
    loss, cache = reference.sequence_cross_entropy_forward(
        values[0], np.zeros((T, B), np.intp), np.ones((T, B), real)
    )
    values += [loss, reference.sequence_cross_entropy_backward(cache)]
    values.append(reference.embedding_backward(values[0], reference.EmbeddingCache(
        np.zeros((T, B), np.intp), (V, H))))  # fmt: skip
    assert {v.dtype for v in values} == {np.dtype(dtype)}


def test_arguments_are_not_changed(rng):
    a = gates_and_state(rng, (T, B, D, H), 4)
    a = {"x": a["x"], "h0": a["h0"], "c0": a["h0"] + 1, **{k: a[k] for k in ("Wx", "Wh", "b")}}
    u = rng.standard_normal((T, B, H))
    for array in (*a.values(), u):
        array.setflags(write=False)  # a write would raise
    *_, cache = reference.lstm_forward(*a.values())
    reference.lstm_backward(u, u[0], u[1], cache)
    three = [a[k][..., : 3 * H] for k in ("Wx", "Wh", "b")]
    for bn, reset in ((u[0, 0], "after"), (None, "before")):
        *_, cache = reference.gru_forward(a["x"], a["h0"], *three, bn, reset)
        reference.gru_backward(u, u[0], cache)
    *_, cache = reference.sequence_cross_entropy_forward(u, np.zeros((T, B), np.intp))
    reference.sequence_cross_entropy_backward(cache)


def test_unknown_activation_is_refused(rng):
    a = gates_and_state(rng, (T, B, D, H), 1)
    with pytest.raises(ValueError, match="activation must be 'tanh', 'relu' or 'sigmoid'"):
        reference.rnn_forward(*a.values(), "gelu")


def test_relu_passes_nan_on():
    a = np.array([-1.0, 0.0, 2.0, np.nan])
    h = reference.relu(a)
    np.testing.assert_array_equal(h, [0, 0, 2, np.nan])
    np.testing.assert_array_equal(reference.activation_derivative(h, "relu"), [0, 0, 1, np.nan])


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("complex_one", ["x", "Wx", "b"])
def test_a_real_gradient_may_meet_complex_arrays(rng, cell, complex_one):
    blocks = {"rnn": 1, "lstm": 4, "gru": 3}[cell]
    arrays = gates_and_state(rng, (T, B, D, H), blocks)
    arrays[complex_one] = arrays[complex_one] + 1e-3j
    state = [arrays["h0"]] + [rng.standard_normal((B, H))] * (cell == "lstm")
    weights = (arrays[name] for name in ("Wx", "Wh", "b"))
    forward, backward = (getattr(reference, f"{cell}_{way}") for way in ("forward", "backward"))
    *_, cache = forward(arrays["x"], *state, *weights)
    dhs, dstate = rng.standard_normal((T, B, H)), [rng.standard_normal((B, H)) for _ in state]
    real = backward(dhs, *dstate, cache)
    for one, other in zip(real, backward(dhs + 0j, *dstate, cache), strict=True):
        if one is not None:
            np.testing.assert_array_equal(one, other)
