"""The loop of `nl.fit`: what it updates, keeps, returns and refuses."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import B, D, H, T, V
from support.bad_calls import assert_refused, bad_call
from support.small import ONES, X, Y

import numpylstm as nl
from numpylstm.training import fit
from numpylstm.training.display import Display
from numpylstm.training.loop import TrainingFailed


def tagger(**settings):
    return nl.SequenceTagger(V, 2, H, rng=0, **settings)


def batches_of(rng, count=3):
    return [(x, x % 2) for x in rng.integers(0, V, (count, T, B))]


def test_it_is_the_loop_that_one_would_write(rng):
    """Clip, rate by epoch, lengths; the history has the means over the updates."""
    model, twin = tagger(), tagger()
    batches = [(*batch, rng.integers(0, T + 1, B)) for batch in batches_of(rng)]
    rates = [0.5, 0.25]
    history = nl.fit(
        model,
        batches,
        epochs=2,
        optimizer=nl.SGD(model.parameters(), lr=1.0),
        clip=0.02,
        rate=lambda p: rates[p.epoch],
        validation=batches[:2],
        quiet=True,
    )
    optimizer = nl.SGD(twin.parameters(), lr=1.0)
    for epoch, rate in enumerate(rates):
        optimizer.lr, losses, norms = rate, [], []
        for x, y, lengths in batches:
            optimizer.zero_grad()
            losses.append(twin.forward(x, y, lengths=lengths))
            twin.backward()
            norms.append(nl.clip_by_global_norm(twin.parameters(), 0.02))
            optimizer.step()
        assert max(norms) > 0.02
        counts = [lengths.sum() for *_, lengths in batches]  # targets scored
        valid = [twin.forward(x, y, False, lengths) for x, y, lengths in batches[:2]]
        valid = np.average(valid, weights=counts[:2])
        want = (epoch + 1, rate, np.average(losses, weights=counts), np.mean(norms), valid)
        np.testing.assert_allclose(history[epoch][:5], want, rtol=1e-12)
    np.testing.assert_equal(twin.state_dict(), model.state_dict())


def test_weights_are_the_fourth_of_a_batch(rng):
    """The history weighs each batch by its weights."""
    model = tagger()
    x, lengths = rng.integers(0, V, (T, 7)), rng.integers(1, T + 1, 7)
    y, weights = np.where(x > 2, x % 2, -100), x > 2
    batches = [*nl.data.minibatches(x, y, lengths, 3, rng, weights)]
    losses = [model.forward(*batch[:2], False, *batch[2:]) for batch in batches]
    counts = [(w & (np.arange(len(w))[:, None] < n)).sum() for *_, n, w in batches]
    history = nl.fit(model, batches, epochs=1, optimizer=nl.SGD(model, lr=1e-30), quiet=True)
    assert history[0].loss == pytest.approx(np.average(losses, weights=counts), rel=1e-5)


def test_the_best_parameters_are_kept(rng):
    """A rate that is far too high ruins the last epochs; an error does not lose the best ones."""
    model, batches = tagger(), batches_of(rng)

    def rate(progress):
        if progress.epoch == 5:
            raise KeyboardInterrupt
        return 0.3 if progress.epoch < 3 else 30.0

    optimizer = nl.SGD(model.parameters(), lr=1.0)
    valid, best = [], {}

    def validation():
        valid.append(np.mean([model.forward(x, y, training=False) for x, y in batches]))
        if valid[-1] == min(valid):
            best.update(model.state_dict())
        return batches

    history = nl.fit(
        model, batches, epochs=9, optimizer=optimizer, rate=rate, validation=validation, quiet=True
    )
    assert [row.validation for row in history] == pytest.approx(valid[:5])
    assert 0 < valid.index(min(valid)) < len(valid) - 1
    np.testing.assert_equal(model.state_dict(), best)


def unchanged(model):
    """Return an optimiser whose rate is too small to change a parameter."""
    return nl.SGD(model, lr=1e-30)


def test_a_language_model_passes_its_state_on(rng):
    """If it is told to; the losses are means over the tokens."""
    ids = rng.integers(0, V, 60)
    model = nl.LanguageModel(V, H, rng=0, init_scale=0.5)
    windows = lambda: nl.data.batches(ids, B, T)  # noqa: E731
    fit = partial(nl.fit, model, windows, epochs=1, optimizer=unchanged(model), quiet=True)
    state, carried, fresh = None, [], []
    for x, y in windows():
        loss, state = model.forward(x, y, state)
        carried.append(loss / T)
        fresh.append(model.forward(x, y)[0] / T)
    assert np.mean(carried) != pytest.approx(np.mean(fresh), rel=1e-4)
    (row,) = fit(carry_state=True)
    assert row.loss == pytest.approx(np.mean(carried), rel=1e-6)
    assert row.validation is None
    (row,) = fit(carry_state=False)
    assert row.loss == pytest.approx(np.mean(fresh), rel=1e-6)


@pytest.mark.parametrize("average", [False, True])
def test_the_loss_of_a_language_model_is_the_mean_over_its_tokens(rng, average):
    """Also if windows are of different lengths, whatever is minimised: a sum over T or a mean."""
    model = nl.LanguageModel(V, H, rng=0, average_across_timesteps=average, init_scale=0.5)
    ids = rng.integers(0, V, (8, B))
    windows = [(ids[:5], ids[1:6]), (ids[5:7], ids[6:])]
    (row,) = nl.fit(
        model, windows, epochs=1, optimizer=unchanged(model), validation=windows, quiet=True,
        carry_state=True,
    )  # fmt: skip
    nll, _, _ = model.score(ids[:-1], ids[1:])
    assert row.loss == pytest.approx(nll.mean(), rel=1e-6)
    assert row.validation == pytest.approx(nll.mean(), rel=1e-6)


def test_the_sequences_of_a_language_model_may_be_independent(rng):
    """Each has a length, its weights and a state of its own, whatever batch it is in."""
    x, y, weights = rng.integers(0, V, (T, 7)), rng.integers(0, V, (T, 7)), rng.random((T, 7))
    lengths = rng.integers(1, T + 1, 7)
    model = nl.LanguageModel(V, H, rng=0, init_scale=0.5)
    parts = [*nl.data.minibatches(x, y, lengths, 3, rng, weights.astype("f4"))]
    (row,) = nl.fit(
        model, parts, epochs=1, optimizer=unchanged(model), validation=parts, quiet=True,
        carry_state=False,
    )  # fmt: skip
    nll, _, _ = model.score(x, y)
    weights[np.arange(T)[:, None] >= lengths] = 0
    expected = np.average(nll, weights=weights)
    assert (row.loss, row.validation) == pytest.approx((expected, expected), rel=1e-6)


def test_what_a_language_model_minimises_is_its_own_loss(rng):
    """Only the figures of the history are means."""
    x, y = rng.integers(0, V, (2, T, B))
    model, twin = (nl.LanguageModel(V, H, rng=0) for _ in range(2))
    nl.fit(model, [(x, y)], epochs=1, optimizer=nl.SGD(model, 0.5), clip=np.inf, quiet=True,
           carry_state=False)  # fmt: skip
    twin.forward(x, y)
    twin.backward()
    nl.SGD(twin, 0.5).step()
    np.testing.assert_equal(model.state_dict(), twin.state_dict())


def test_streams_cannot_change_their_number(rng):
    model = nl.LanguageModel(V, H, rng=0)
    windows = [(x, x) for x in (rng.integers(0, V, (T, n)) for n in (B, B + 1))]
    with pytest.raises(ValueError, match=r"batches must all hold 3 streams, as the first, to carr"):
        nl.fit(model, windows, epochs=1, quiet=True, carry_state=True)
    assert len(nl.fit(model, windows, epochs=1, quiet=True, carry_state=False)) == 1


class Mine(nl.Module):
    """A model of your own."""

    def __init__(self):
        self.linear, self.error = nl.Linear(D, 2, rng=0), nl.SquaredError()

    def forward(self, x, y, training=True):
        return self.error.forward(self.linear.forward(x, training), y, None, training)

    def backward(self):
        self.linear.backward(self.error.backward())


def test_a_model_of_your_own(rng):
    x = rng.standard_normal((T, 20, D)).astype("f4")
    y = x[..., :2] - 2 * x[..., 1:3]
    model = Mine()
    history = nl.fit(model, [(x, y)], epochs=200, optimizer=nl.Adam(model, lr=0.05), quiet=True)
    assert history[-1].loss < 1e-3 * history[0].loss


def test_it_tells_each_epoch(rng, capsys, monkeypatch):
    batches, shown = batches_of(rng), []
    monkeypatch.setattr(Display, "show", lambda self, text, done: shown.append((text[:9], done)))
    nl.fit(tagger(), batches, epochs=2, validation=batches)
    first, second = ([(f"epoch {n}/2", n - 1)] * 3 + [(f"epoch {n}/2", n)] for n in (1, 2))
    assert shown == first + second
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in lines] == [["epoch", "1", "loss"], ["epoch", "2", "loss"]]
    assert all("validation" in line for line in lines)
    nl.fit(tagger(), batches, epochs=1, quiet=True)
    assert capsys.readouterr().out == ""


def test_the_defaults(rng):
    x, y = rng.standard_normal((2, T, B, 1)).astype("f4")
    model, twin = (nl.SequenceRegressor(None, 1, H, input_size=1, rng=0) for _ in range(2))
    batches = [(x, 9 * y), (y, 9 * x)]
    history = nl.fit(model, batches, quiet=True)
    optimizer = nl.Adam(twin, lr=0.01)
    assert history == nl.fit(twin, batches, epochs=10, optimizer=optimizer, clip=1.0, quiet=True)
    assert history[0].gradient_norm > 2


def test_a_loss_or_a_gradient_that_is_not_finite_changes_nothing(rng, monkeypatch):
    model = nl.SequenceRegressor(input_size=D, num_outputs=1, hidden_size=H, rng=0)
    before, x = model.state_dict(), rng.standard_normal((T, B, D)).astype("f4")
    y = np.full((T, B, 1), 1e30, "f4")
    with pytest.raises(TrainingFailed, match=r"the loss is inf .*the data are not scaled"):
        nl.fit(model, [(x, y)], optimizer=nl.SGD(model, lr=1.0), quiet=True)
    monkeypatch.setattr(fit, "clip_by_global_norm", lambda *_: np.inf)
    with pytest.raises(TrainingFailed, match=r"the norm of the gradient inf; usually"):
        nl.fit(model, [(x, 0 * y)], quiet=True)
    np.testing.assert_equal(model.state_dict(), before)


BATCHES = [(X, X % 2), (Y, Y % 2)]


@pytest.mark.parametrize(
    ("call", "says", "error"),
    [
        bad_call(
            lambda: nl.fit(tagger(), list),
            "fit: batches must hold at least one batch, got none; a f",
        ),
        bad_call(
            lambda: nl.fit(tagger(), zip([X], [Y], strict=True)),
            "batches must be a list or a function",
            TypeError,
        ),
        bad_call(
            lambda: nl.fit(tagger(), (X, Y)),
            "batches must hold tuples (x, y, ...), got ndarray",
            TypeError,
        ),
        bad_call(
            lambda: nl.fit(tagger(), BATCHES, validation=[ONES]),
            "fit: validation must hold tuples",
            TypeError,
        ),
        bad_call(
            lambda: nl.fit(tagger(), BATCHES, validation=iter([])),
            "validation must be a list or a function",
            TypeError,
        ),
        bad_call(
            lambda: nl.fit(tagger(), BATCHES, validation=[]),
            "fit: validation must hold at least one batch",
        ),
        bad_call(lambda: nl.fit(tagger(), BATCHES, epochs=0), "epochs must be at least 1, got 0"),
        bad_call(
            lambda: nl.fit(tagger(), BATCHES, optimizer=0.1),
            "optimizer must be an Optimizer, got float",
            TypeError,
        ),
        bad_call(
            lambda: nl.fit(tagger(), BATCHES, rate=0.1),
            "rate must be a function, got 0.1; a const",
            TypeError,
        ),
        bad_call(lambda: nl.fit(tagger(), BATCHES, patience=1), "fit: patience needs a validation"),
        bad_call(
            lambda: nl.fit(tagger(), BATCHES, average_after=1),
            "fit: average_after needs a validation",
        ),
        bad_call(
            lambda: nl.fit(tagger(), BATCHES, average_after=10, validation=[]),
            "from 0 to 9, got 10",
        ),
        bad_call(
            lambda: nl.fit(tagger(), BATCHES, patience=0, validation=[]),
            "patience must be at least 1, got 0",
        ),
        bad_call(lambda: nl.fit(tagger(), BATCHES, clip=0), "fit: clip must be positive, got 0"),
        bad_call(
            lambda: nl.fit(tagger(), X, Y),
            "got more arguments; a single batch is [(x, y)], and nl.",
            TypeError,
        ),
        bad_call(
            lambda: nl.fit(tagger(), BATCHES, carry_state=False),
            "carry_state is for a LanguageModel, got a SequenceTagger",
            TypeError,
        ),
        bad_call(
            lambda: nl.fit(nl.LanguageModel(11, 3), BATCHES),
            "carry_state must be given with a LanguageModel: True if each batch continues",
            TypeError,
        ),
        bad_call(
            lambda: nl.fit(nl.LanguageModel(11, 3), BATCHES, carry_state=1),
            "carry_state must be True or False, got 1",
            TypeError,
        ),
        bad_call(
            lambda: nl.fit(tagger(), BATCHES, metric=lambda model: None, quiet=True),
            "the result of metric must be a number, got None",
            TypeError,
        ),
    ],
)
def test_a_bad_call_gets_one_sentence(call, says, error):
    assert_refused(call, says, error)


def test_a_model_of_your_own_must_return_its_loss(rng, monkeypatch):
    monkeypatch.setattr(nl.SequenceTagger, "forward", lambda *_: None)
    with pytest.raises(TypeError, match=r"the result of model\.forward must be a number, got None"):
        nl.fit(tagger(), batches_of(rng), quiet=True)


def test_a_validation_is_weighed_by_its_targets(rng):
    """Else a batch of one sequence would weigh as much as one of 63."""
    x = rng.integers(0, V, (T, 64))
    y = x[0] % 2
    model = nl.SequenceClassifier(V, 2, H, rng=0)
    parts = [(x[:, :1], y[:1]), (x[:, 1:], y[1:])]
    history = nl.fit(model, [(x, y)], epochs=2, validation=parts, quiet=True)
    best = min(row.validation for row in history)
    assert best == pytest.approx(model.forward(x, y, training=False), rel=1e-6)


def test_the_mean_of_the_parameters_is_kept_where_it_is_better(rng):
    """The rate is so high that the mean is better than the last parameters."""
    model, batches, seen = tagger(dtype="float64"), batches_of(rng), []

    def rate(progress):
        seen.append(model.state_dict())
        return 5.0

    history = nl.fit(
        model,
        batches,
        epochs=3,
        optimizer=nl.SGD(model, lr=1.0),
        validation=batches,
        rate=rate,
        average_after=1,
        after_epoch=lambda row: seen.append(model.state_dict()),
        quiet=True,
    )
    del seen[3], seen[6]  # the same as before the next update
    for path, array in model.state_dict().items():
        mean = np.mean([arrays[path] for arrays in seen[4:]], axis=0)
        np.testing.assert_allclose(array, mean, rtol=1e-12, atol=1e-14)
    losses = [model.forward(*batch, training=False) for batch in batches]
    assert min(row.validation for row in history) == pytest.approx(np.mean(losses))


def test_patience_and_a_call_after_each_epoch(rng):
    model, batches, rows = tagger(), batches_of(rng), []
    history = nl.fit(
        model,
        batches,
        epochs=30,
        optimizer=nl.SGD(model.parameters(), lr=1.0),
        patience=3,
        validation=batches,
        rate=lambda p: 0.3 if p.epoch < 4 else 1e-30,
        after_epoch=rows.append,
        quiet=True,
    )
    assert history == rows
    valid = [row.validation for row in history]
    assert len(valid) - 1 - valid.index(min(valid)) == 3


def test_a_metric_beside_the_loss(rng, capsys):
    """It is of the parameters at the end of the epoch."""
    model, (batch, *_), seen = tagger(), batches_of(rng), []

    def accuracy(trained):
        seen.append((trained.predict(batch[0]) == batch[1]).mean())
        return seen[-1]

    optimizer = nl.Adam(model, lr=0.1)
    history = nl.fit(model, [batch], epochs=3, optimizer=optimizer, metric=accuracy)
    assert [row.metric for row in history] == seen
    assert len(set(seen)) > 1
    lines = capsys.readouterr().out.splitlines()
    assert [f"metric {value:.4g}" in line for value, line in zip(seen, lines, strict=True)] == [
        True
    ] * 3


def test_a_call_after_an_epoch_can_end_the_training(rng):
    model, batches = tagger(), batches_of(rng)
    history = nl.fit(model, batches, after_epoch=lambda row: row.epoch == 3, quiet=True)
    assert [row.epoch for row in history] == [1, 2, 3]
    assert len(nl.fit(model, batches, epochs=2, after_epoch=lambda row: row, quiet=True)) == 2


@pytest.mark.parametrize("first", [0, 1])
def test_a_validation_that_is_not_finite_ends_the_training(rng, first):
    """Else no later epoch would be better, and patience would end a training that improves."""
    model = nl.SequenceRegressor(input_size=D, num_outputs=1, hidden_size=H, rng=0)
    x, y = rng.standard_normal((T, B, D)).astype("f4"), np.zeros((T, B, 1), "f4")
    epochs, best = [], {}

    def validation():
        if len(epochs) == first:
            return [(x, y + np.float32(1e30))]  # its square overflows
        best.update(model.state_dict())
        return [(x, y)]

    with pytest.raises(TrainingFailed, match=rf"of the validation is inf after epoch {first + 1}"):
        nl.fit(model, [(x, y)], validation=validation, after_epoch=epochs.append, quiet=True)
    if first:
        np.testing.assert_equal(model.state_dict(), best)


def test_a_schedule_changes_the_rate_with_each_update(rng):
    model, rates = tagger(), []
    optimizer = nl.SGD(model.parameters(), lr=1.0)
    step = optimizer.step
    optimizer.step = lambda: (rates.append(optimizer.lr), step())
    schedule = nl.schedules.Cosine(0.5)
    nl.fit(model, batches_of(rng), epochs=2, optimizer=optimizer, rate=schedule, quiet=True)
    np.testing.assert_allclose(rates, 0.25 * (1 + np.cos(np.pi * np.arange(6) / 6)))
    with pytest.raises(ValueError, match="needs the number of batches in an epoch: give fit a li"):
        nl.fit(model, lambda: batches_of(rng), optimizer=optimizer, rate=schedule, quiet=True)


def test_a_gradient_that_reaches_no_parameter_is_noticed(rng):
    x = rng.standard_normal((T, B, D)).astype("f4")
    optimizer = nl.SGD(nl.Linear(D, 2, rng=0), lr=0.1)  # not the layer of the model
    with pytest.raises(ValueError, match="no gradient reached any parameter of the optimizer"):
        nl.fit(Mine(), [(x, x[..., :2])], optimizer=optimizer, quiet=True)


def test_an_object_that_is_no_module_needs_more(rng):
    plain = SimpleNamespace(forward=None, backward=None)
    with pytest.raises(TypeError, match=r"must have state_dict and load_state_dict .* got Simple"):
        nl.fit(plain, [], validation=[])
    with pytest.raises(
        TypeError, match=r"fit: model must be a Module, got Simple.*; give an optimizer"
    ):
        nl.fit(plain, [])
