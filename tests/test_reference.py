"""Every backward pass of the textbook, checked by the complex step and by central differences.

Each case is a scalar function of named arrays, all random: biases, initial states and the
gradients that arrive from above, from the next window and at the loss.
"""

from functools import partial

import numpy as np
import pytest
from conftest import B, D, H, T, V
from support.arguments import matrix_arrays, recurrent_arrays
from support.every_cell import EVERY_CALL, SIZES
from support.gradients import prove

from numpylstm import gradcheck, reference
from numpylstm.cells import CELLS

WITHOUT_BN = {"reset": "before"}  # the parameters of such a GRU fit one that resets after, too


# --- recurrent layers --------------------------------------------------------------------------


@EVERY_CALL
@pytest.mark.parametrize("sizes", SIZES)
def test_through_time(rng, cell, options, sizes):
    """By both methods at the usual sizes, and by the complex step where a size is one.

    A difference sees that the m of an sLSTM follows its arguments, and moves c and n. So it has a
    loss that reads hs and hT only, where that cancels.
    """
    arrays = recurrent_arrays(rng, sizes, cell, options)
    forward = partial(getattr(reference, f"{cell}_forward"), **options)
    backward = getattr(reference, f"{cell}_backward")
    prove(rng, forward, backward, arrays, ["complex"])
    if sizes == (T, B, D, H):
        prove(rng, forward, backward, arrays, ["central"], read=2)


SCALES = {"lstm": 8, "mingru": 8, "minlstm": 8}  # and 3 for the others


@EVERY_CALL
def test_saturated_gates(rng, cell, options):
    """A flat curve defeats the subtraction of the central difference, not the complex step."""
    arrays = recurrent_arrays(rng, (T, B, D, H), cell, options)
    for name in CELLS[cell].parameters(options):
        arrays[name] *= SCALES.get(cell, 3)
    forward = partial(getattr(reference, f"{cell}_forward"), **options)
    prove(rng, forward, getattr(reference, f"{cell}_backward"), arrays, ["complex"])


def test_a_gru_without_bn_is_one_with_a_bn_of_zeros(rng):
    arrays = recurrent_arrays(rng, (T, B, D, H), "gru", WITHOUT_BN)
    prove(rng, reference.gru_forward, reference.gru_backward, arrays, ["complex"])
    hs, hT, _ = reference.gru_forward(**arrays)
    same, last, _ = reference.gru_forward(**arrays, bn=np.zeros(H))
    np.testing.assert_array_equal([*hs, hT], [*same, last])


@EVERY_CALL
def test_a_sequence_is_the_step_repeated(rng, cell, options):
    arrays = recurrent_arrays(rng, (T, B, D, H), cell, options)
    states = len(CELLS[cell].states)
    x, *rest = arrays.values()
    state, weights = rest[:states], rest[states:]
    hs, *last, cache = getattr(reference, f"{cell}_forward")(x, *state, *weights, **options)
    for t in range(T):
        step = getattr(reference, f"{cell}_step_forward")
        *state, one = step(x[t], *state, *weights, **options)
        np.testing.assert_array_equal(hs[t], state[0])
        for unit in CELLS[cell].units:
            np.testing.assert_array_equal(getattr(cache, unit.name)[t], getattr(one, unit.name))
    np.testing.assert_array_equal(last, state)


def test_the_two_resets_differ_unless_the_gate_is_open(rng):
    """With r = 1 both kinds use the whole previous state."""
    arrays = recurrent_arrays(rng, (T, B, D, H), "gru", WITHOUT_BN)

    def difference():
        after, *_ = reference.gru_forward(**arrays, reset="after")
        before, *_ = reference.gru_forward(**arrays, reset="before")
        return np.abs(after - before).max()

    assert difference() > 0.1
    arrays["b"][:H] = 50
    arrays["Wx"][:, :H] = arrays["Wh"][:, :H] = 0
    assert difference() <= 1e-14


@pytest.mark.parametrize("forget_gate", ["sigmoid", "exp"])
def test_the_stabiliser_changes_neither_output_nor_gradient(rng, forget_gate):
    """As long as nothing overflows; with weighted sums in the thousands it is needed."""

    def loss_without(a):
        """The equations 8 to 14 of Beck et al. (2024), and the loss."""
        h, loss = a["h0"], 0
        c, n = a["c0"] * np.exp(a["m0"]), a["n0"] * np.exp(a["m0"])
        for x, u in zip(a["x"], dhs, strict=True):
            a_i, a_f, a_z, a_o = np.split(x @ a["Wx"] + h @ a["Wh"] + a["b"], 4, axis=1)
            f = np.exp(a_f) if forget_gate == "exp" else 1 / (1 + np.exp(-a_f))
            c, n = f * c + np.exp(a_i) * np.tanh(a_z), f * n + np.exp(a_i)
            h = c / n / (1 + np.exp(-a_o))
            loss = loss + (u * h).sum()
        return loss

    arrays = recurrent_arrays(rng, (T, B, D, H), "slstm")
    dhs, zero = rng.standard_normal((T, B, H)), np.zeros((B, H))
    hs, *_, cache = reference.slstm_forward(**arrays, forget_gate=forget_gate)
    assert (dhs * hs).sum() == pytest.approx(loss_without(arrays), rel=1e-13)
    gradients = reference.slstm_backward(dhs, zero, zero, zero, zero, cache)
    gradients = dict(zip(arrays, gradients, strict=True))
    report = gradcheck.check(loss_without, arrays, gradients, method="complex")
    assert report.passed, f"\n{report}"
    huge = {name: 1000 * arrays[name] for name in ("Wx", "Wh", "b")}
    with np.errstate(over="raise", invalid="raise"):
        hs, *_ = reference.slstm_forward(**arrays | huge, forget_gate=forget_gate)
    assert np.isfinite(hs).all()


def test_a_mean_by_tiny_weights_has_its_gradient(rng):
    """exp(-60), a weight after a state of zeros, is a float32; its square is none."""
    arrays = recurrent_arrays(rng, (T, B, D, H), "slstm")
    arrays |= {name: 0 * arrays[name] for name in ("h0", "c0", "n0", "m0")}
    arrays["b"][:H] -= 60
    dhs, zero = rng.standard_normal((T, B, H)), np.zeros((B, H))
    found = []
    for real in ("float32", "float64"):
        *_, cache = reference.slstm_forward(*(a.astype(real) for a in arrays.values()))
        ends = [zero.astype(real)] * 4
        found.append(reference.slstm_backward(dhs.astype(real), *ends, cache)[-3:])  # dWx, dWh, db
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-4)


# --- the linear recurrence ---------------------------------------------------------------------


@pytest.mark.parametrize("sizes", SIZES)
def test_scan(rng, sizes):
    T, B, _, H = sizes
    arrays = {
        "a": rng.standard_normal((T, B, H)),
        "b": rng.standard_normal((T, B, H)),
        "h0": rng.standard_normal((B, H)),
    }
    prove(rng, reference.scan_forward, reference.scan_backward, arrays)


def test_the_cells_of_an_lstm_are_a_scan(rng):
    arrays = recurrent_arrays(rng, (T, B, D, H), "lstm")
    *_, cT, cache = reference.lstm_forward(*arrays.values())
    cs, last, _ = reference.scan_forward(cache.f, cache.i * cache.g, arrays["c0"])
    np.testing.assert_array_equal(cs, cache.c)
    np.testing.assert_array_equal(last, cT)


# --- around the recurrence ---------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(B,), (T, B)], ids=["step", "sequence"])
def test_embedding(rng, shape):
    ids = rng.integers(0, 4, shape)  # few words, so that they repeat
    assert len(np.unique(ids)) < ids.size or ids.size < 4
    u = rng.standard_normal((*shape, D))
    arrays = {"W": rng.standard_normal((V, D))}
    prove(rng, partial(reference.embedding_forward, ids), reference.embedding_backward, arrays)
    _, cache = reference.embedding_forward(ids, arrays["W"])
    dW = reference.embedding_backward(u, cache)
    assert not dW[4:].any()  # words that did not occur
    rows, drows = reference.embedding_backward_rows(u, cache)
    assert np.array_equal(rows, np.unique(ids))
    assert np.array_equal(drows, dW[rows])


@pytest.mark.parametrize("shape", [(B,), (T, B)], ids=["step", "sequence"])
def test_linear(rng, shape):
    arrays = {
        "x": rng.standard_normal((*shape, H)),
        "W": rng.standard_normal((H, V)),
        "b": rng.standard_normal(V),
    }
    prove(rng, reference.linear_forward, reference.linear_backward, arrays)


def test_dropout(rng):
    mask = (rng.random((T, B, H)) < 0.6) / 0.6
    arrays = {"x": rng.standard_normal((T, B, H))}
    prove(rng, partial(reference.dropout_forward, mask=mask), reference.dropout_backward, arrays)


# --- the loss ----------------------------------------------------------------------------------


def test_softmax(rng):
    scores = rng.standard_normal((T, B, V))
    p = reference.softmax(scores)
    np.testing.assert_allclose(p, np.exp(scores) / np.exp(scores).sum(-1, keepdims=True))
    np.testing.assert_allclose(reference.softmax(scores + 1e5), p, rtol=1e-9)  # no overflow


FLAGS = [(False, False), (False, True), (True, False), (True, True)]


@pytest.mark.parametrize(("over_time", "over_batch"), FLAGS)
@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy(rng, weighted, over_time, over_batch):
    weights = rng.random((T, B)) if weighted else None
    if weighted:
        weights[2] = weights[0, 1] = 0
    forward = partial(
        reference.sequence_cross_entropy_forward,
        targets=rng.integers(0, V, (T, B)),
        weights=weights,
        average_across_timesteps=over_time,
        average_across_batch=over_batch,
    )

    def backward(dloss, cache):
        return reference.sequence_cross_entropy_backward(cache, dloss)

    prove(rng, forward, backward, {"logits": 3 * rng.standard_normal((T, B, V))})


@pytest.mark.parametrize(("over_time", "over_batch"), FLAGS)
def test_averaging_divides_by_the_weights_along_each_axis(rng, over_time, over_batch):
    logits, targets = rng.standard_normal((T, B, V)), rng.integers(0, V, (T, B))
    weights = rng.random((T, B)) / T  # some of their sums are less than 1
    weights[2] = 0  # a step of weight 0
    loss, cache = reference.sequence_cross_entropy_forward(
        logits,
        targets,
        weights,
        average_across_timesteps=over_time,
        average_across_batch=over_batch,
    )
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


# --- squared error -----------------------------------------------------------------------------

K, S = 7, 4  # outputs, or the width of the values; places of the other sequence


@pytest.mark.parametrize("shape", [(T, B, K), (B, K), (T, B, 1)])
@pytest.mark.parametrize("weighted", [False, True])
def test_squared_error(rng, shape, weighted):
    y, targets = rng.standard_normal((2, *shape))
    weights = rng.random(shape[:-1]) / T if weighted else None
    if weighted:
        weights[1], y[1] = 0, np.nan  # what has a weight of 0 is not read
    forward = partial(reference.squared_error_forward, targets=targets, weights=weights)

    def backward(dloss, cache):
        return reference.squared_error_backward(cache, dloss)

    prove(rng, forward, backward, {"y": y})
    read = np.ones(shape[:-1]) if weights is None else weights
    squares = ((y - targets)[read > 0] ** 2).mean(axis=-1)
    mean = np.average(squares, weights=read[read > 0])
    np.testing.assert_allclose(forward(y)[0], mean, rtol=1e-13)


def test_a_squared_error_with_a_weight_of_each_number(rng):
    """Equal weights of all numbers of an answer are one weight of the answer."""
    y, targets, weights = rng.random((3, T, B, K))
    weights[1, :, 2], y[1, :, 2] = 0, np.nan  # not read
    forward = partial(reference.squared_error_forward, targets=targets, weights=weights)

    def backward(dloss, cache):
        return reference.squared_error_backward(cache, dloss)

    prove(rng, forward, backward, {"y": y})
    read = weights > 0
    expected = (weights * (y - targets) ** 2)[read].sum() / weights.sum()
    np.testing.assert_allclose(forward(y)[0], expected, rtol=1e-13)
    y = 2 * targets
    one = np.repeat(weights[..., :1], K, axis=-1)
    losses = [reference.squared_error_forward(y, targets, given)[0] for given in (one, one[..., 0])]
    np.testing.assert_allclose(*losses, rtol=1e-13)


def test_a_squared_error_of_weights_0_is_0(rng):
    y, targets = rng.standard_normal((2, T, B, K))
    loss, cache = reference.squared_error_forward(y, targets, np.zeros((T, B)))
    assert loss == 0
    assert not reference.squared_error_backward(cache).any()


# --- attention ---------------------------------------------------------------------------------


def methods_for(other_sizes):
    """Return both methods at the usual sizes, and the complex step where a size is one."""
    return ["complex"] if other_sizes else ["complex", "central"]


def attention_arrays(rng, T=T, S=S, B=B, H=H, K=K):
    shapes = {"queries": (T, B, H), "keys": (S, B, H), "values": (S, B, K)}
    return {name: rng.standard_normal(shape) for name, shape in shapes.items()}


@pytest.mark.parametrize("sizes", [{}, {"T": 1}, {"S": 1}, {"B": 1}, {"H": 1}, {"K": 1}], ids=str)
@pytest.mark.parametrize("lengths", [None, [4, 1, 3], [0, 2, 4]], ids=str)
def test_attention(rng, sizes, lengths):
    arrays = attention_arrays(rng, **sizes)
    S, B, _ = arrays["keys"].shape
    if lengths is not None:
        lengths = np.minimum(lengths[:B], S)
        for name in ("keys", "values"):
            arrays[name][np.arange(S)[:, None] >= lengths] = np.nan  # what is past an end
    forward = partial(reference.attention_forward, lengths=lengths)
    prove(rng, forward, reference.attention_backward, arrays, methods_for(sizes))


def test_attention_is_a_mean_by_the_softmax_of_dot_products(rng):
    arrays = attention_arrays(rng)
    context, cache = reference.attention_forward(**arrays)
    for t in range(T):
        for b in range(B):
            scores = [arrays["queries"][t, b] @ arrays["keys"][s, b] for s in range(S)]
            weights = np.exp(scores) / np.exp(scores).sum()
            np.testing.assert_allclose(cache.weights[t, b], weights, rtol=1e-12)
            mean = sum(w * v for w, v in zip(weights, arrays["values"][:, b], strict=True))
            np.testing.assert_allclose(context[t, b], mean, rtol=1e-11)


def test_attention_to_a_padded_batch_is_that_to_each_sequence_alone(rng):
    """Length 0 gives a context of 0."""
    arrays, lengths = attention_arrays(rng), np.array([3, 0, 4])
    context, _ = reference.attention_forward(**arrays, lengths=lengths)
    assert not context[:, 1].any()
    for b in (0, 2):
        alone = [arrays[name][: lengths[b], [b]] for name in ("keys", "values")]
        one, _ = reference.attention_forward(arrays["queries"][:, [b]], *alone)
        np.testing.assert_allclose(context[:, [b]], one, rtol=0, atol=1e-14)


# --- a state that is a matrix --------------------------------------------------------------------

MATRIX_SIZES = [{}, {"T": 1}, {"B": 1}, {"K": 1}, {"M": 1}]


@pytest.mark.parametrize("sizes", MATRIX_SIZES, ids=str)
@pytest.mark.parametrize("kind", ["linear_attention", "delta_rule", "gated_delta_rule"])
def test_matrix_state(rng, kind, sizes):
    forward, backward = (getattr(reference, f"{kind}_{way}") for way in ("forward", "backward"))
    prove(rng, forward, backward, matrix_arrays(rng, kind, **sizes), methods_for(sizes))


@pytest.mark.parametrize("kind", ["linear_attention", "delta_rule", "gated_delta_rule"])
def test_a_matrix_state_is_passed_on_from_window_to_window(rng, kind):
    *sequences, S0 = matrix_arrays(rng, kind).values()
    forward = getattr(reference, f"{kind}_forward")
    o, S, _ = forward(*sequences, S0)
    o1, S1, _ = forward(*(array[:2] for array in sequences), S0)
    o2, S2, _ = forward(*(array[2:] for array in sequences), S1)
    np.testing.assert_array_equal([*o1, *o2], o)
    np.testing.assert_array_equal(S2, S)


def test_linear_attention_is_attention_without_the_softmax(rng):
    q, k, v, S0 = matrix_arrays(rng, "linear_attention").values()
    o, _, _ = reference.linear_attention_forward(q, k, v, 0 * S0)
    scores = np.einsum("tbk,sbk->bts", q, k)
    want = np.einsum("bts,sbm->tbm", np.tril(scores), v)  # each step reads the steps up to it
    np.testing.assert_allclose(o, want, rtol=1e-12, atol=1e-12)


def test_orthogonal_keys_are_recalled_exactly(rng):
    """A second value at one key adds in linear attention, and replaces by the delta rule."""
    k = np.eye(K)[[0, 1, 2, 1]][:, None]  # (T, 1, K): the key 1 occurs twice
    v = rng.standard_normal((4, 1, 7))
    q, S0 = np.repeat(k[1:2], 4, axis=0), np.zeros((1, K, 7))  # always asks for the key 1
    added, _, _ = reference.linear_attention_forward(q, k, v, S0)
    replaced, _, _ = reference.delta_rule_forward(q, k, v, np.ones((4, 1)), S0)
    np.testing.assert_array_equal(added[3], v[1] + v[3])
    np.testing.assert_array_equal(replaced[2], v[1])
    np.testing.assert_allclose(replaced[3], v[3], rtol=1e-14)


def test_the_delta_rule_is_a_step_of_gradient_descent_on_the_recall_loss(rng):
    q, k, v, beta, S_prev = (
        a if name == "S0" else a[0] for name, a in matrix_arrays(rng, "delta_rule").items()
    )
    _, S, _ = reference.delta_rule_step_forward(q, k, v, beta, S_prev)

    def recall_loss(arrays):
        return ((v - reference.read(k, arrays["S"])) ** 2).sum() / 2

    descent = {"S": (S_prev - S) / beta[:, None, None]}  # the gradient, if the claim holds
    report = gradcheck.check(recall_loss, {"S": S_prev}, descent, method="complex")
    assert report.passed, f"\n{report}"


def test_a_decay_of_one_gives_the_delta_rule_and_of_zero_forgets(rng):
    q, k, v, beta, decay, S0 = matrix_arrays(rng, "gated_delta_rule").values()
    o, S, _ = reference.gated_delta_rule_forward(q, k, v, beta, np.ones_like(decay), S0)
    want, S_want, _ = reference.delta_rule_forward(q, k, v, beta, S0)
    np.testing.assert_array_equal(o, want)
    np.testing.assert_array_equal(S, S_want)
    decay[2] = 0
    forgotten, _, _ = reference.gated_delta_rule_forward(q, k, v, beta, decay, S0)
    fresh, _, _ = reference.gated_delta_rule_forward(
        *(array[2:] for array in (q, k, v, beta, decay)), 0 * S0
    )
    np.testing.assert_array_equal(forgotten[2:], fresh)


# --- numbers -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "options", "says"),
    [
        ("rnn", {"activation": "gelu"}, "'tanh', 'relu' or 'sigmoid', got 'gelu'"),
        ("gru", {"reset": "never"}, "'before' without bn, got 'never'"),
        ("gru", {"reset": "before", "bn": np.zeros(H)}, "'before' without bn, got 'before'"),
        ("mingru", {"factors": "any"}, "factors must be 'positive' or 'signed', got 'any'"),
        ("slstm", {"forget_gate": "tanh"}, "forget_gate must be 'sigmoid' or 'exp', got 'tanh'"),
    ],
)
def test_unknown_options_are_refused(rng, cell, options, says):
    arrays = recurrent_arrays(rng, (T, B, D, H), cell, WITHOUT_BN)
    with pytest.raises(ValueError, match=says):
        getattr(reference, f"{cell}_forward")(*arrays.values(), **options)


def test_relu_passes_nan_on_and_is_flat_at_0():
    a = np.array([-1.0, 0.0, 2.0, np.nan])
    h = reference.relu(a)
    np.testing.assert_array_equal(h, [0, 0, 2, np.nan])
    np.testing.assert_array_equal(reference.activation_derivative(h, "relu"), [0, 0, 1, np.nan])
    np.testing.assert_array_equal(reference.relu(a[:3] + 1e-30j).imag, [0, 0, 1e-30])
