"""Clipping, descent and learning rates."""

import math
from functools import partial

import numpy as np
import pytest
from conftest import H, V
from support.bad_calls import assert_refused, bad_call
from support.small import small_model

import numpylstm as nl
from numpylstm import functional, reference
from numpylstm.layers import Parameter, Rows
from numpylstm.optim import OPTIMIZERS, Optimizer


@pytest.fixture(params=["float32", "float64"])
def parameters(rng, request):
    parameters = {
        name: Parameter(rng.standard_normal(shape).astype(request.param), name)
        for name, shape in {"a": (7, 5), "b": (11,), "c": (3, 130)}.items()
    }
    for parameter in parameters.values():
        parameter.grad = rng.standard_normal(parameter.data.shape).astype(request.param)
    return parameters


def tolerance(parameters):
    return 1e-12 if parameters["a"].data.dtype == np.float64 else 1e-5


def global_norm(parameters):
    return np.linalg.norm(np.concatenate([p.grad.ravel() for p in parameters.values()]))


def test_clipping_scales_all_gradients_together(parameters):
    before = {name: p.grad.copy() for name, p in parameters.items()}
    expected, rtol = global_norm(parameters), tolerance(parameters)
    norm = nl.clip_by_global_norm(parameters, 2.0)
    assert norm == pytest.approx(expected, rel=rtol)  # the norm before clipping
    assert global_norm(parameters) == pytest.approx(2.0, rel=rtol)
    for name, p in parameters.items():
        np.testing.assert_allclose(p.grad, before[name] * (2.0 / expected), rtol=rtol)


def test_a_small_norm_is_left_alone(parameters):
    before = {name: p.grad.copy() for name, p in parameters.items()}
    nl.clip_by_global_norm(parameters, 1e6)
    nl.clip_by_global_norm(parameters, math.inf)
    np.testing.assert_equal({name: p.grad for name, p in parameters.items()}, before)


def test_a_gradient_from_before_a_freeze_is_not_clipped(parameters):
    parameters["a"].trainable = False
    before = parameters["a"].grad.copy()
    moving = {name: parameters[name] for name in ("b", "c")}
    expected = global_norm(moving)
    assert nl.clip_by_global_norm(parameters, 2.0) == pytest.approx(expected, rel=1e-5)
    assert global_norm(moving) == pytest.approx(2.0, rel=1e-5)
    np.testing.assert_array_equal(parameters["a"].grad, before)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_norm_that_is_not_finite_is_returned_and_nothing_is_scaled(parameters, bad):
    parameters["b"].grad[3] = bad
    before = parameters["a"].grad.copy()
    assert not math.isfinite(nl.clip_by_global_norm(parameters, 1.0))
    np.testing.assert_array_equal(parameters["a"].grad, before)


def test_a_gradient_kept_as_rows_is_clipped_and_descended_like_its_array(rng):
    data, rows, values = (
        rng.standard_normal((9, 4)),
        np.array([8, 2, 5]),
        rng.standard_normal((3, 4)),
    )
    other = rng.standard_normal(4)
    for momentum in (0.0, 0.9):
        sparse, dense = (
            {"W": Parameter(data.copy(), "W"), "b": Parameter(np.zeros(4), "b")} for _ in range(2)
        )
        for parameters in (sparse, dense):
            parameters["b"].grad = other.copy()
            parameters["W"].accumulate(Rows(rows, values.copy()))
        assert dense["W"].grad.shape == (9, 4)  # from here on it is an array
        norms = [nl.clip_by_global_norm(parameters, 1.0) for parameters in (sparse, dense)]
        assert norms[0] == pytest.approx(norms[1], rel=1e-14)
        for parameters in (sparse, dense):
            nl.SGD(parameters, lr=0.5, momentum=momentum).step()
        for path in ("W", "b"):
            np.testing.assert_allclose(sparse[path].data, dense[path].data, rtol=1e-14)
        untouched = np.setdiff1d(np.arange(9), rows)
        np.testing.assert_array_equal(sparse["W"].data[untouched], data[untouched])


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_momentum_adds_a_share_of_the_last_velocity(parameters, momentum):
    data, velocity = parameters["a"].data.astype(float), 0.0
    optimizer = nl.SGD(parameters, lr=0.1, momentum=momentum)
    for _ in range(3):
        velocity = momentum * velocity + parameters["a"].grad
        data = data - 0.1 * velocity
        optimizer.step()
    tol = tolerance(parameters)
    np.testing.assert_allclose(parameters["a"].data, data, rtol=tol, atol=tol)
    optimizer.zero_grad()
    assert not any(p.grad.any() for p in parameters.values())


@pytest.mark.parametrize("kind", [nl.Adam, nl.AdamW])
def test_adam_is_what_its_authors_wrote(parameters, rng, kind):
    """Algorithm 1 of Kingma and Ba, and algorithm 2 of Loshchilov and Hutter, line by line."""
    b1, b2, eps, decay = 0.8, 0.95, 1e-6, 0.1
    optimizer = kind(parameters, lr=0.01, betas=(b1, b2), eps=eps, weight_decay=decay)
    theta, m, v = parameters["c"].data.astype(float), 0.0, 0.0
    for t in range(1, 8):
        optimizer.lr = lr = 0.01 / t
        g = parameters["c"].grad.astype(float)
        if kind is nl.Adam:
            g = g + decay * theta
        else:
            theta = theta - lr * decay * theta
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        theta = theta - lr * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)
        optimizer.step()
        parameters["c"].grad = rng.standard_normal(theta.shape).astype(parameters["c"].data.dtype)
    tol = tolerance(parameters)
    np.testing.assert_allclose(parameters["c"].data, theta, rtol=tol, atol=tol)


def updates():
    """Yield each optimiser by name, with its defaults and with each setting of its own changed."""
    for name, kind in OPTIMIZERS.items():
        settings = nl.TrainConfig(optimizer=name).conditional_settings("optimizer") | {"lr": 0.01}
        yield name, (kind, settings)
        for setting, default in settings.items():
            if isinstance(default, float) and setting != "lr":
                yield f"{name} {setting}", (kind, settings | {setting: 0.5})


UPDATES = dict(updates())


@pytest.mark.parametrize(("kind", "settings"), UPDATES.values(), ids=UPDATES)
def test_the_kernels_compute_what_the_textbook_says(parameters, rng, kind, settings):
    """To the bit, clipped or not: both round at the same places."""
    copies = {
        name: Parameter(p.data.copy(), name, impl="reference") for name, p in parameters.items()
    }
    optimizers = [kind(of, **settings) for of in (parameters, copies)]
    for _ in range(5):
        nl.clip_by_global_norm(parameters, 3.0)  # its sum of squares is rounded elsewhere
        for name, p in parameters.items():
            copies[name].grad = p.grad.copy()
        for optimizer in optimizers:
            optimizer.step()
        for name, p in parameters.items():
            np.testing.assert_array_equal(p.data, copies[name].data)
            p.grad = rng.standard_normal(p.data.shape).astype(p.data.dtype)


def test_arrays_that_overlap_are_refused():
    both = np.ones(8)
    with pytest.raises(ValueError, match="sgd_update: w must not share memory with dw"):
        functional.sgd_update(both[1:], both[:-1], 0.1)
    with pytest.raises(ValueError, match="momentum_update: w must not share memory with v"):
        functional.momentum_update(both, both, np.ones(8), 0.1, 0.9)
    np.testing.assert_array_equal(both, 1)


@pytest.mark.parametrize("name", ["lr", "eps", "weight_decay"])
def test_an_update_by_itself_refuses_a_negative_setting(name):
    w, m, v, dw = np.ones((4, 3))
    settings = {"lr": 0.1, "beta1": 0.4, "beta2": 0.3, "eps": 1e-3, name: -1.0}
    with pytest.raises(ValueError, match=f"adam_update: {name} must be finite and at least 0"):
        functional.adam_update(w, m, v, dw, 2, **settings)
    np.testing.assert_array_equal([w, m, v], 1)


def test_an_update_by_itself_has_the_defaults_of_the_textbook(rng):
    arrays, results = rng.random((4, 8)), []
    for module in (functional, reference):
        w, *others = arrays.copy()
        module.sgd_update(w, others[-1], 0.1)
        for decay in ({}, {"weight_decay": 0.1}):
            module.adam_update(w, *others, 2, 0.1, 0.4, 0.3, 1e-3, **decay)
        results.append(w)
    np.testing.assert_allclose(*results, rtol=1e-14)


@pytest.mark.parametrize("size", [3, 4096, 10_000])
def test_the_sum_of_squares(rng, size):
    g = rng.standard_normal((2, size)).astype(np.float32)
    want = reference.sum_of_squares(g)
    assert functional.sum_of_squares(g) == pytest.approx(want, rel=1e-13)
    assert functional.sum_of_squares(g.T) == pytest.approx(want, rel=1e-13)


def test_adam_has_the_defaults_of_pytorch(parameters):
    for kind, decay in ((nl.Adam, 0.0), (nl.AdamW, 0.01)):
        made = kind(parameters)
        found = made.lr, *made.betas, made.eps, made.weight_decay
        assert found == (1e-3, 0.9, 0.999, 1e-8, decay)


@pytest.mark.parametrize("kind", [nl.Adam, nl.AdamW])
def test_rows_that_were_not_used_move_by_what_adam_remembers(rng, kind):
    data, n = rng.standard_normal((9, 4)), 3
    sparse, dense = ({"W": Parameter(data.copy(), "W")} for _ in range(2))
    optimizers = [kind(parameters, 0.1) for parameters in (sparse, dense)]
    for rows in ([8, 2, 5], [0, 1, 2], [8, 3, 4]):
        values = rng.standard_normal((n, 4))
        for parameters, optimizer in zip((sparse, dense), optimizers, strict=True):
            optimizer.zero_grad()
            parameters["W"].accumulate(Rows(np.array(rows), values.copy()))
            if parameters is dense:
                assert parameters["W"].grad.shape == (9, 4)  # from here on it is an array
            nl.clip_by_global_norm(parameters, 1.0)
        before = sparse["W"].data.copy()
        for optimizer in optimizers:
            optimizer.step()
        np.testing.assert_array_equal(sparse["W"].data, dense["W"].data)
    assert (sparse["W"].data[[0, 1, 5]] != before[[0, 1, 5]]).all()
    never = sparse["W"].data[6:8] / data[6:8]
    np.testing.assert_allclose(never, 1 if kind is nl.Adam else (1 - 0.1 * 0.01) ** 3, rtol=1e-14)


def test_decay_after_some_epochs():
    """Zaremba's small model: rate 1 for four epochs, then halved at each."""
    rates = [nl.decayed_rate(1.0, epoch, decay=0.5, constant_epochs=4) for epoch in range(7)]
    assert rates == [1, 1, 1, 1, 0.5, 0.25, 0.125]
    assert nl.decayed_rate(1.0, 0, decay=0.5, constant_epochs=0) == 0.5
    assert nl.decayed_rate(1.0, 10**400, decay=0.5, constant_epochs=4) == 0


def test_decay_on_a_plateau():
    losses = [5.0, 4.0, 4.0, 4.5, 3.9]
    rates = [nl.plateau_rate(20.0, losses[:n], decay=0.25) for n in range(6)]
    assert rates == [20, 20, 20, 5, 1.25, 1.25]
    losses = [5.0, 4.0, 4.0, 3.9, 4.1, 4.2, 4.3, 3.9]  # the count starts again after each decay
    rates = [nl.plateau_rate(20.0, losses[:n], decay=0.25, patience=2) for n in range(1, 9)]
    assert rates == [20, 20, 20, 20, 20, 5, 5, 1.25]
    assert nl.plateau_rate(20.0, [math.inf], decay=0.25) == 5  # a first loss, but no best one


@pytest.mark.parametrize("entry", [3e18, 1e-25])
def test_float32_squares_neither_overflow_nor_vanish(entry):
    parameters = {"W": Parameter(np.zeros((7, 500), np.float32), "W")}
    parameters["W"].grad = np.full((7, 500), entry, np.float32)
    norm = nl.clip_by_global_norm(parameters, 5.0)
    assert norm == pytest.approx(float(np.float32(entry)) * math.sqrt(3500), rel=1e-12)
    assert global_norm(parameters) == pytest.approx(min(norm, 5.0), rel=1e-5)


@pytest.mark.parametrize("kind", [nl.SGD, nl.Adam])
def test_a_parameter_of_another_size_than_what_is_remembered_is_refused(kind):
    """The memory of the small parameter would be written past its end."""
    small, large = Parameter(np.ones(4), "a"), Parameter(np.ones(40), "b")
    options = {"momentum": 0.9} if kind is nl.SGD else {}
    optimizer = kind({"a": small, "b": large}, 0.5, **options)
    optimizer.step()
    says = r"must have shape \(4,\), got \(40,\)|must have shape \(40,\), got \(4,\)"
    with pytest.raises(ValueError, match=says):
        optimizer.update_parameter("a", large)


def test_a_rate_of_numpy_leaves_an_optimiser_of_your_own_in_float32():
    class Mine(Optimizer):
        def update_parameter(self, path, parameter):
            parameter.data = parameter.data - self.lr * parameter.grad

    parameter = Parameter(np.ones(3, np.float32), "W")
    optimizer = Mine({"W": parameter}, lr=0.5)
    optimizer.lr = np.cos(0.25)
    optimizer.step()
    assert parameter.data.dtype == np.float32


def test_a_memmap_may_be_trained(tmp_path):
    data = np.memmap(tmp_path / "data", np.float64, "w+", shape=(5, 3))
    parameter = Parameter(data, "W")
    optimizer = nl.SGD({"W": parameter}, lr=0.5, momentum=0.5)
    for _ in range(2):
        parameter.accumulate(np.ones((5, 3)))
        optimizer.step()
        optimizer.zero_grad()
    assert type(parameter.grad) is np.ndarray
    np.testing.assert_array_equal(data, -0.5 - 0.75)


@pytest.mark.parametrize(
    ("rows", "values", "says"),
    [
        ([0, 7], (2, 4), r"Rows.rows must lie in \[0, 7\), got 7 at \[1\]"),
        ([-1, 2], (2, 4), r"got -1 at \[0\]"),
        ([3, 1, 3], (3, 4), "must name each row once"),
        ([0, 1], (3, 4), r"Rows.values must have shape \(2, 4\), got \(3, 4\)"),
    ],
)
def test_rows_that_do_not_fit(rows, values, says):
    W = Parameter(np.zeros((7, 4), np.float32), "W")
    with pytest.raises(ValueError, match=says):
        W.accumulate(Rows(np.array(rows), np.ones(values, np.float32)))
    assert not W.grad.any()


@pytest.mark.parametrize("kind", [nl.SGD, nl.Adam, nl.AdamW])
def test_what_is_frozen_stands_still(kind):
    """With memory of earlier steps, and with weight decay."""
    options = {"momentum": 0.9} if kind is nl.SGD else {"weight_decay": 0.1}
    parameters = {"W": Parameter(np.ones((4, 3)), "W"), "b": Parameter(np.ones(3), "b")}
    optimizer = kind(parameters, lr=0.1, **options)
    for frozen in (False, True):
        parameters["W"].trainable = not frozen
        before = {path: p.data.copy() for path, p in parameters.items()}
        for p in parameters.values():
            p.accumulate(np.ones_like(p.data))
        optimizer.step()
        optimizer.zero_grad()
        assert (parameters["W"].data == before["W"]).all() == frozen
        assert (parameters["b"].data != before["b"]).all()


def test_a_parameter_under_two_paths_is_refused():
    shared = Parameter(np.ones(3), "W")
    for call in (lambda p: nl.SGD(p, lr=1.0), lambda p: nl.clip_by_global_norm(p, 1.0)):
        with pytest.raises(ValueError, match="must name each Parameter once"):
            call({"encoder.W": shared, "decoder.W": shared})


TAKERS = pytest.mark.parametrize(
    "take",
    [lambda owners: nl.SGD(owners, lr=1.0), lambda owners: nl.clip_by_global_norm(owners, 1)],
    ids=["SGD", "clip"],
)


@TAKERS
def test_two_layers_with_one_path_are_refused(take):
    """In one dict, the second would silently replace the first."""
    stacks = nl.LSTM(3, 4), nl.LSTM(3, 4)
    for owners in (stacks, [stack.parameters() for stack in stacks]):
        with pytest.raises(ValueError, match=r"two with the path 'lstm\.0\.Wx'; name=\"encoder\""):
            take(owners)
    take([nl.LSTM(3, 4), nl.LSTM(3, 4, name="decoder")])


@TAKERS
@pytest.mark.parametrize(
    "owners", [None, 3, [1.0], ["W"], {"W": np.ones(3)}, np.ones(3), Parameter(np.ones(3))]
)
def test_what_owns_no_parameters_is_refused(take, owners):
    with pytest.raises(TypeError, match="parameters must be a layer, a model, a dict of path"):
        take(owners)


def test_several_owners_are_clipped_and_moved_together(rng):
    model, head = nl.LanguageModel(V, H, tied=True, rng=0), nl.Linear(H, V, rng=0, name="head")
    extra = {"scale": Parameter(np.ones((1, 2), np.float32), "scale")}
    owners = [model, head, extra, model]  # the same parameter twice is one
    optimizer = nl.SGD(owners, lr=1.0)
    assert optimizer.parameters == model.parameters() | head.parameters() | extra
    for p in optimizer.parameters.values():
        p.grad = rng.standard_normal(p.data.shape).astype(np.float32)
    before = {path: p.data.copy() for path, p in optimizer.parameters.items()}
    norm = nl.clip_by_global_norm(owners, 1.0)
    assert norm == pytest.approx(nl.clip_by_global_norm(optimizer.parameters, 1.0) * norm, rel=1e-5)
    optimizer.step()
    assert all((p.data != before[path]).any() for path, p in optimizer.parameters.items())


@pytest.mark.parametrize("lr", [math.nan, math.inf, 1e39, -0.1])
def test_the_rate_is_looked_at_in_every_step(parameters, lr):
    optimizer = nl.SGD(parameters, lr=1.0)
    optimizer.lr = lr
    before = {path: p.data.copy() for path, p in parameters.items()}
    with pytest.raises(ValueError, match=r"SGD: lr must be in \[0, 3e\+38\]"):
        optimizer.step()
    assert all((p.data == before[path]).all() for path, p in parameters.items())


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.longdouble])
def test_a_limit_may_be_a_number_of_numpy(parameters, kind, recwarn):
    nl.clip_by_global_norm(parameters, kind(0.5))
    nl.SGD(parameters, lr=1.0).step()
    assert not recwarn.list


SPOILED = {
    "b must be writeable .* a read-only array; copy it": lambda b: np.broadcast_to(b, b.shape),
    "b must be writeable .* a misaligned array; copy it": lambda b: np.frombuffer(
        bytearray(b.nbytes + 1), b.dtype, offset=1
    ),
    "b must be a NumPy array, got list": list,
}


@pytest.mark.parametrize("says", SPOILED)
def test_data_that_cannot_be_updated_is_refused(parameters, says):
    parameters["b"].data = SPOILED[says](parameters["b"].data)
    with pytest.raises((ValueError, TypeError), match=f"Adam: {says}"):
        nl.Adam(parameters)


def test_a_frozen_parameter_may_be_read_only(parameters):
    optimizer = nl.Adam(parameters)
    parameters["b"].trainable = False
    parameters["b"].data.setflags(write=False)
    optimizer.step()
    assert optimizer.steps == 1


def test_an_optimizer_says_what_it_is(parameters):
    numbers = sum(p.data.size for p in parameters.values())
    optimizer = nl.Adam(parameters, lr=0.25)
    optimizer.step()
    sizes = f"{len(parameters)} arrays, {numbers} numbers"
    assert repr(optimizer) == f"Adam(lr=0.25): {sizes}, 1 steps made"


@pytest.mark.parametrize(
    ("call", "says", "error"),
    [
        bad_call(
            lambda: nl.Adam(small_model().parameters(), eps=1e-50),
            "eps must not be 0 in float32 of embedding.W",
        ),
        bad_call(
            lambda: nl.SGD(small_model().parameters(), 1.0, 1.0),
            "momentum must be in [0, 1), got 1.0",
        ),
        bad_call(
            lambda: nl.Adam(small_model().parameters(), 0.0),
            "Adam: lr must be positive and finite, got 0.0",
        ),
        bad_call(
            lambda: nl.Adam(small_model().parameters(), betas=0.9),
            "Adam: betas must be two numbers",
            TypeError,
        ),
        bad_call(
            lambda: nl.Adam(small_model().parameters(), betas=(0.9, 1)),
            "Adam: betas must be in [0, 1), got 1",
        ),
        bad_call(
            lambda: nl.Adam(small_model().parameters(), eps=0),
            "Adam: eps must be positive and finite, got 0",
        ),
        bad_call(
            lambda: nl.functional.sgd_update(*np.ones((2, 3), order="F"), 0.1),
            "w must be writeable and",
        ),
        bad_call(
            lambda: nl.functional.sgd_update(*np.ones((2, 3)), -0.1),
            "lr must be finite and at least 0, got",
        ),
        bad_call(
            lambda: nl.functional.adam_update(*np.ones((4, 3)), 1, 0.1, 0.9, 1.0, 1e-8),
            "beta2 must be in [0, 1), got 1.0",
        ),
        bad_call(
            lambda: nl.AdamW(small_model().parameters(), weight_decay=-1),
            "AdamW: weight_decay must be finite and",
        ),
        bad_call(
            lambda: nl.clip_by_global_norm(small_model().parameters(), 0),
            "max_norm must be positive, got 0",
        ),
        bad_call(
            lambda: nl.plateau_rate(1.0, [3.0], decay=0.5, patience=0),
            "patience must be at least 1, got",
        ),
        bad_call(
            lambda: nl.plateau_rate(1.0, 3.0, decay=0.5),
            "validation_losses must be a seq",
            TypeError,
        ),
        bad_call(
            lambda: nl.decayed_rate(1.0, -1, decay=0.5, constant_epochs=0),
            "epoch must be at least 0, got",
        ),
        bad_call(
            lambda: nl.decayed_rate(0.3, 7, decay=1.5, constant_epochs=2),
            "decayed_rate: decay must be in [0, 1], got 1.5",
        ),
        bad_call(
            lambda: nl.decayed_rate(0.3, 7, decay=0.5, constant_epochs=-1),
            "decayed_rate: constant_epochs must be at least 0, got -1",
        ),
        bad_call(
            lambda: nl.plateau_rate(20.0, [3.0], decay=4),
            "plateau_rate: decay must be in [0, 1], got 4",
        ),
    ],
)
def test_a_bad_call_gets_one_sentence(call, says, error):
    assert_refused(call, says, error)


@pytest.mark.parametrize("owner", [lambda model: model, lambda model: model.parameters()])
def test_a_parameter_that_is_unfrozen_is_taken_in(rng, owner):
    """It moves as in a new optimiser, its gradient is set to zero, and the others go on."""
    x, y = rng.integers(0, 11, (2, 5, 3))

    def step(optimizer, model):
        optimizer.zero_grad()
        model.forward(x, y)
        model.backward()
        optimizer.step()

    model = nl.LanguageModel(11, 6, dtype="float64", init_scale=0.5, rng=0)
    model.freeze("lstm")
    optimizer = nl.Adam(owner(model), lr=0.1)
    before = model.state_dict()
    for _ in range(3):
        step(optimizer, model)
    np.testing.assert_array_equal(model.state_dict()["lstm.0.Wx"], before["lstm.0.Wx"])
    model.unfreeze("lstm")
    twin = nl.LanguageModel(11, 6, dtype="float64", init_scale=0.5, rng=0)
    twin.load_state_dict(model.state_dict())
    model.forward(x, y)
    model.backward()  # left over: zero_grad clears it
    step(optimizer, model)
    step(nl.Adam(twin, lr=0.1), twin)
    ours, theirs = model.state_dict(), twin.state_dict()
    for path in ("lstm.0.Wx", "lstm.0.Wh", "lstm.0.b"):
        np.testing.assert_allclose(ours[path], theirs[path], rtol=1e-12)
    assert np.abs(ours["decoder.W"] - theirs["decoder.W"]).max() > 1e-3  # it has a memory
    assert [*optimizer.parameters] == [*model.parameters()]


def test_the_norm_has_the_bits_of_a_new_optimiser_after_unfreezing(rng):
    """Squares are added in the order of the model, whatever was unfrozen when."""
    model = nl.LanguageModel(11, 6, rng=0)
    model.freeze("embedding")
    optimizer = nl.SGD(model, lr=0.1)
    model.unfreeze("embedding")
    optimizer.zero_grad()
    norms = []
    for _ in range(30):
        for p in model.parameters().values():
            p.grad = rng.standard_normal(p.data.shape, np.float32)
        norms.append([nl.clip_by_global_norm(of, np.inf) for of in (optimizer.parameters, model)])
    ours, theirs = zip(*norms, strict=True)
    assert ours == theirs


@pytest.mark.parametrize("make", [partial(nl.SGD, momentum=0.9), nl.AdamW])
def test_what_an_optimiser_remembers_is_an_npz(rng, make, tmp_path):
    """A twin that reads it goes on in the same way."""

    def parameters():
        return {"a": nl.Parameter(np.ones(3), "a"), "b": nl.Parameter(np.ones((2, 3)), "b")}

    def step(optimizer, seed):
        for p in optimizer.parameters.values():
            p.grad = np.random.default_rng(seed).standard_normal(p.data.shape)
        optimizer.step()

    first, twin = make(parameters(), lr=0.1), make(parameters(), lr=0.3)
    first.scale_lr({"b": 0.5})
    twin.scale_lr({"a": 0.5})  # forgotten
    step(first, 0), step(first, 1)
    np.savez(tmp_path / "state.npz", **first.state_dict())
    for path, p in first.parameters.items():
        twin.parameters[path].data[...] = p.data
    twin.load_state_dict(dict(np.load(tmp_path / "state.npz")))
    step(first, 2), step(twin, 2)
    for path, p in first.parameters.items():
        np.testing.assert_array_equal(p.data, twin.parameters[path].data)
    assert (twin.steps, twin.lr) == (3, 0.1)
    for spoil, says in (
        (lambda kept: kept.pop("lr"), "missing or unknown: lr"),
        (lambda kept: kept.update(x=kept["lr"]), "missing or unknown: x"),
        (lambda kept: kept.update(steps=np.zeros(2)), r"steps must have shape \(\), got \(2,\)"),
        (lambda kept: kept.update({"lr_factors/c": 1}), "missing or unknown: lr_factors/c"),
        (lambda kept: kept.update({"joined/a": np.nan}), "joined/a must be finite"),
    ):
        kept = first.state_dict()
        spoil(kept)
        with pytest.raises(ValueError, match=says):
            twin.load_state_dict(kept)


def test_learning_rates_by_path():
    """They are multiples of the rate, which a schedule may change."""
    parameters = {name: nl.Parameter(np.zeros(2), name) for name in ("low.W", "low.b", "top.W")}
    optimizer = nl.SGD(parameters, lr=1.0)
    optimizer.scale_lr({"low": 0.5, "low.b": 0.0})
    for rate in (1.0, 0.25):
        optimizer.lr = rate
        for p in parameters.values():
            p.data[...], p.grad = 0, np.ones(2)
        optimizer.step()
        assert [-p.data[0] for p in parameters.values()] == [0.5 * rate, 0, rate]
        assert optimizer.lr == rate
    for factors, says in ({"lo": 1}, "must be of low.W, low.b, top.W; got 'lo'"), (
        {"top": -1}, "the factor of top must be finite and at least 0, got -1",
    ):  # fmt: skip
        with pytest.raises(ValueError, match=says):
            optimizer.scale_lr(factors)
