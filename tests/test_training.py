"""The training loop: schedules, limits, rows of metrics; a run resumes from any step."""

import itertools
import math
import time
from dataclasses import fields, replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from support.bad_calls import assert_refused, bad_call
from support.metrics import row_of
from support.runs import made_up
from support.small import IDS, small_model

import numpylstm as nl
from numpylstm.cli import train as train_command
from numpylstm.config import SCHEDULE_NAMES
from numpylstm.data import DataError
from numpylstm.evaluation import Evaluation
from numpylstm.training import loop, schedules, session
from numpylstm.training.checkpoint import load, restore_run, save
from numpylstm.training.loop import Step, TrainingFailed
from numpylstm.training.metrics import Row, best_row

SETTINGS = {
    "hidden_size": 8, "num_layers": 2, "batch_size": 4, "num_steps": 5, "epochs": 3, "lr": 0.7,
    "dropout": 0.3, "init_scale": 0.3, "constant_epochs": 1, "log_every": 7, "dtype": "float64",
}  # fmt: skip


def make_corpus(length=404, held_out=60):
    """Return a text in which the token before decides each token, except for one in five."""
    V, rng = 11, np.random.default_rng(0)
    step = np.where(rng.random(length) < 0.2, rng.integers(0, V, length), 3)
    ids = (np.cumsum(step) % V).astype(np.int32)
    return made_up(V, *np.split(ids, [length - 2 * held_out, length - held_out]))


@pytest.fixture(scope="module")
def corpus():
    return make_corpus()


def new_run(corpus, **changes):
    return nl.new_run(nl.TrainConfig(**(SETTINGS | changes)), corpus)


@pytest.fixture
def saved(tmp_path):
    """Return a function that saves a run and returns all of it as bytes."""

    def content(run):
        save(run, tmp_path / "last.npz")
        return (tmp_path / "last.npz").read_bytes()

    return content


@pytest.fixture
def again(tmp_path, saved):
    """Return a function that saves a run and restores it."""

    def restored(run):
        saved(run)
        return restore_run(load(tmp_path / "last.npz"))

    return restored


def train_to(run, corpus, step):
    for item in nl.train(run, corpus):
        if isinstance(item, Step) and item.step == step:
            break


def test_it_learns():
    """The perplexity falls to near the entropy of the source, and not below it."""
    corpus = make_corpus(length=5000, held_out=500)
    run = new_run(corpus, epochs=6, constant_epochs=4, dropout=0.0)
    rows = [item for item in nl.train(run, corpus) if isinstance(item, Row)]
    likely, other = 0.8 + 0.2 / 11, 0.2 / 11
    floor = math.exp(-likely * math.log(likely) - 10 * other * math.log(other))
    assert rows[0].perplexity > 7
    assert rows[-1].valid_perplexity == pytest.approx(floor, rel=0.15)
    assert rows[-1].valid_accuracy == pytest.approx(likely, abs=0.04)


def test_what_is_reported(corpus):
    run = new_run(corpus)
    items = list(nl.train(run, corpus))
    steps = [item for item in items if isinstance(item, Step)]
    rows = [item for item in items if isinstance(item, Row)]
    windows = (284 // 4 - 1) // 5
    assert [(s.epoch, s.window, s.step) for s in steps] == [
        (1 + step // windows, 1 + step % windows, 1 + step) for step in range(3 * windows)
    ]
    # log_every = 7: in the middle of each epoch, and at its end with the validation
    assert [(r.epoch, r.step, r.valid_perplexity is not None) for r in rows] == [
        (1, 7, False), (1, 14, True), (2, 21, False), (2, 28, True), (3, 35, False), (3, 42, True),
    ]  # fmt: skip
    first = steps[:7]
    for name in ("cost", "gradient_norm", "accuracy"):
        mean = np.mean([getattr(s, name) for s in first])
        assert getattr(rows[0], name) == pytest.approx(mean, rel=1e-12)
    nll = np.mean([math.log(s.perplexity) for s in first])
    assert rows[0].perplexity == pytest.approx(math.exp(nll), rel=1e-12)
    # cost is the sum over 5 steps of the mean over the batch
    assert first[0].cost == pytest.approx(5 * math.log(first[0].perplexity), rel=1e-12)
    assert [r.lr for r in rows] == pytest.approx([0.7, 0.7, 0.35, 0.35, 0.175, 0.175])
    assert repr(run).endswith("parameters, float64, seed 0): 3 epochs, 42 updates done")


def test_a_run_is_described_with_the_settings_that_change_its_outputs(corpus):
    described = repr(new_run(corpus, tied=True, embedding_size=3, dropout=0.5))
    assert "LSTM, embedding size 3, tied, " in described
    assert "dropout" not in described


def test_how_many_updates_were_clipped_is_counted(corpus):
    norms = [
        item.gradient_norm for item in nl.train(new_run(corpus), corpus) if isinstance(item, Step)
    ]
    run = new_run(corpus, clip=float(np.median(norms[:7])))
    items = list(nl.train(run, corpus))
    for row in (item for item in items if isinstance(item, Row)):
        here = [s for s in items if isinstance(s, Step) and row.step - 7 < s.step <= row.step]
        assert row.clipped == np.mean([s.gradient_norm > run.config.clip for s in here])
    assert 0 < run.rows[0].clipped < 1


@pytest.mark.parametrize(("every", "due"), [("3", True), ("4", False), ("9s", True), ("1m", False)])
def test_a_save_is_due_after_updates_or_time(every, due):
    third = Step(*range(10))  # its step is 3
    before = time.monotonic() - 10
    assert session.save_is_due(third, train_command.interval(every), 0, before) is due


def test_a_schedule_has_the_settings_and_defaults_of_its_class():
    assert tuple(schedules.SCHEDULES) == SCHEDULE_NAMES
    for name, kind in schedules.SCHEDULES.items():
        settings = nl.TrainConfig(schedule=name).conditional_settings("schedule")
        own = {each.name: each.default for each in fields(kind) if each.name != "lr"}
        assert settings == own, name


def rates_of(run, updates=10):
    """Return the rate of every update of a run whose epochs have so many."""
    config, epochs = run.config, range(run.config.epochs)
    schedule = schedules.schedule_of(config)
    places = [(epoch, window) for epoch in epochs for window in range(updates)]
    return [
        schedule(schedules.Progress(epoch, len(epochs), window, updates, run.valid_losses))
        for epoch, window in places
    ]


def test_rates_follow_the_schedule(corpus):
    plateau = {"schedule": "plateau", "decay": 0.25, "constant_epochs": None}
    for patience, rate in (None, 0.7 * 0.25), (2, 0.7):
        run = new_run(corpus, **plateau, decay_patience=patience)
        run.valid_losses = [2.0, 1.9, 1.95]
        assert rates_of(run)[0] == pytest.approx(rate)
    run = new_run(corpus, schedule="epoch", decay=0.5, constant_epochs=2)
    assert rates_of(run)[::10] == pytest.approx([0.7, 0.7, 0.35])
    rates = rates_of(new_run(corpus, schedule="one-cycle", warmup=0.5, constant_epochs=None))
    assert (rates[0], rates[14], rates[29]) == pytest.approx((0.7 / 25, 0.7, 0.7 / 250_000))
    assert rates == [*sorted(rates[:15]), *sorted(rates[15:], reverse=True)]
    rates = rates_of(new_run(corpus, schedule="cosine", warmup=0.1, constant_epochs=None))
    np.testing.assert_allclose(rates[:4], 0.7 * np.arange(4) / 3)
    np.testing.assert_allclose(rates[3:], 0.35 * (1 + np.cos(np.pi * np.arange(27) / 27)))


@pytest.mark.parametrize("warmup", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("planned", [1, 2, 3, 21, 1000])
def test_one_cycle_is_two_halves_of_a_cosine(planned, warmup):
    """The highest rate is that of update ``warmup * N``, the lowest that of update N.

    Smith and Topin, "Super-Convergence", 2018, with half a cosine in place of each line.
    """
    rates = [
        schedules.OneCycle(0.7, warmup)(schedules.Progress(0, 1, k, planned))
        for k in range(planned)
    ]
    peak, last = warmup * planned - 1, planned - 1
    for k, rate in enumerate(rates):
        if k < peak:
            share, start, end = k / peak, 0.7 / 25, 0.7
        elif k == peak:
            share, start, end = 1.0, 0.0, 0.7
        else:
            share, start, end = (k - peak) / (last - peak), 0.7, 0.7 / 250_000
        half = np.cos(np.pi * share) / 2  # from 1/2 to -1/2
        assert rate == pytest.approx((0.5 + half) * start + (0.5 - half) * end, rel=1e-12)


def test_the_better_of_the_parameters_and_their_mean_are_the_best(corpus, tmp_path):
    """The rate is so high that the mean is better than the last parameters."""
    run = new_run(corpus, lr=3.0, decay=1.0, average_after=1)
    seen = [
        run.model.state_dict()
        for item in nl.train(run, corpus)
        if isinstance(item, Step) and item.epoch > 1
    ]
    assert run.callbacks["average"].count == len(seen) == 28
    for path, mean in run.better_parameters.items():
        expected = np.mean([arrays[path] for arrays in seen], axis=0)
        np.testing.assert_allclose(mean, expected, rtol=1e-10, atol=1e-14)
    save(run, tmp_path / "best.npz", parameters=run.better_parameters)
    best = nl.restore_model(load(tmp_path / "best.npz"))
    assert nl.evaluate(best, corpus.valid, 1, 5).loss == run.valid_losses[-1]
    assert nl.evaluate(run.model, corpus.valid, 1, 5).loss > run.valid_losses[-1]


def test_the_best_checkpoint_is_that_of_the_lowest_validation(corpus, tmp_path):
    """The rate is so high that it is neither the first nor the last."""
    run = new_run(corpus, lr=4.0, decay=1.0, seed=1)
    session.train_to_end(run, corpus, tmp_path)
    assert run.valid_losses.index(min(run.valid_losses)) == 1
    best = nl.restore_model(load(tmp_path / "best.npz"))
    assert nl.evaluate(best, corpus.valid, 1, 5).loss == min(run.valid_losses)


def test_each_callback_of_a_run_may_have_candidate_parameters(corpus):
    """One that has none yet does not end the search, and the model keeps its own."""
    model = new_run(corpus).model
    own = model.state_dict()
    candidates = [None, {path: array + 1 for path, array in own.items()}, own]
    callbacks = [SimpleNamespace(candidate_parameters=lambda c=c: c) for c in candidates]
    _, better = loop.score_with_candidates(
        model, callbacks, lambda: SimpleNamespace(loss=-model.parameters()["decoder.b"].data.sum())
    )
    assert better is candidates[1]
    np.testing.assert_equal(model.state_dict(), own)


def test_of_two_equal_epochs_the_first_is_the_best(corpus):
    """As in the report, and for the patience."""
    run = new_run(corpus)
    for levels, best in [([9], True), ([9, 8], True), ([9, 9], False)]:
        run.epoch, run.step = len(levels), 14 * len(levels)
        run.rows = rows_with(levels)
        assert run.last_is_best is best


def rows_with(levels):
    """Return the rows of epochs with these validation perplexities."""
    return [row_of(k, 14 * k, valid_perplexity=v) for k, v in enumerate(levels, 1)]


def test_an_end_within_an_epoch_is_best_only_if_no_epoch_has_ended(corpus):
    """Else a run that is made longer would keep a checkpoint that no whole run has."""
    run = new_run(corpus)
    run.rows, run.window, run.step = rows_with([9, 8, 7]), 14, 42
    run.epoch = 2
    assert not run.last_is_best
    assert best_row(run.rows, run.epoch) is run.rows[1]
    run.rows, run.epoch, run.step = run.rows[:1], 0, 14
    assert run.last_is_best
    assert best_row([], 0) is None


@pytest.mark.parametrize("limits", [(17, 30), (7, 42), (14, 21, 35), (1, 2, 41)], ids=str)
def test_a_run_that_a_limit_ended_goes_on_as_if_there_had_been_none(corpus, saved, again, limits):
    """Within an epoch, at its end, and where a row of metrics is due at the last step."""
    whole = new_run(corpus, steps=limits[-1])
    list(nl.train(whole, corpus))
    run = new_run(corpus, steps=limits[0])
    for limit in limits:
        run.config = replace(run.config, steps=limit)
        last = list(nl.train(run, corpus))[-1]
        assert last.step == limit
        assert last.valid_perplexity is not None
        assert (run.epoch, run.window) == divmod(limit, 14)
        assert len(run.valid_losses) == run.epoch  # it ends no epoch
        run = again(run)
        assert list(nl.train(run, corpus)) == []
    assert saved(run) == saved(whole)


def test_a_run_ends_where_a_row_of_metrics_was_due(corpus, saved, again):
    """The limit came later, so that row gets the validation, and loses it if the run goes on."""
    whole, run = new_run(corpus), new_run(corpus)
    list(nl.train(whole, corpus))
    train_to(run, corpus, 7)  # the seventh update has a row
    run.config = replace(run.config, steps=7)
    [row] = nl.train(run, corpus)
    assert (row.step, row.valid_perplexity is None) == (7, False)
    assert run.rows == [row]
    run = again(run)
    run.config = whole.config
    list(nl.train(run, corpus))
    assert saved(run) == saved(whole)


def test_a_text_of_unknown_tokens_teaches_nothing():
    text = np.zeros(400, np.int32)
    with pytest.raises(DataError, match="made up: the train text must hold a token besides <unk>"):
        new_run(made_up(1, text, text, text))


@pytest.mark.parametrize("limit", [14, 17], ids=["of an epoch", "within an epoch"])
def test_a_validation_that_is_interrupted_is_made_again(corpus, saved, again, limit):
    whole = new_run(corpus, steps=limit)
    list(nl.train(whole, corpus))
    run, seen = new_run(corpus, steps=limit), []

    def leave(done, total):
        seen.append((done, total))
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(nl.train(run, corpus, watch=leave))
    assert seen == [(5, 59), (10, 59), (15, 59)]
    resumed = again(run)
    list(nl.train(resumed, corpus))
    assert saved(resumed) == saved(whole)


def test_patience_ends_a_run_that_does_not_improve(corpus):
    run = new_run(corpus, patience=2, epochs=9)
    for losses in ([2.0], [2.0, 1.5, 1.6]):
        run.valid_losses, run.epoch = losses, len(losses)
        assert not run.finished
    run.valid_losses, run.epoch = [2.0, 1.5, 1.6, 1.5], 4  # not better
    assert run.finished
    assert list(nl.train(run, corpus)) == []
    run.config = replace(run.config, patience=3)
    assert next(nl.train(run, corpus)).epoch == 5


def test_the_seed_decides_everything(corpus, saved):
    runs = [new_run(corpus, seed=seed) for seed in (1, 1, 2)]
    for run in runs:
        list(nl.train(run, corpus))
    assert saved(runs[0]) == saved(runs[1])
    assert runs[0].rows != runs[2].rows


@pytest.mark.parametrize(
    "settings",
    [
        {"cell": "lstm", "momentum": 0.0},
        {"cell": "rnn", "momentum": 0.6, "dropout_input": 0.0},
        {"cell": "gru", "optimizer": "adam", "lr": 0.01},
        {"cell": "lstm", "optimizer": "adamw", "lr": 0.01},
        {"cell": "lstm", "optimizer": "adam", "lr": 0.01, "betas": (0, 0.9)},
        {"schedule": "one-cycle", "constant_epochs": None, "optimizer": "adam", "lr": 0.05},
        {"schedule": "cosine", "constant_epochs": None, "momentum": 0.6},
        {"dropout_locked": True, "dropout_weights": 0.3, "dropout_words": 0.2, "average_after": 1},
        {"moving_windows": True},
        {"tied": True, "embedding_size": 5, "dropout_state": 0.3},
    ],
    ids=lambda settings: " ".join(map(str, settings.values())),
)
def test_a_saved_run_goes_on_as_if_it_had_never_stopped(corpus, saved, again, settings):
    """In the middle of an epoch, at its end, and where a row of metrics is due: equal bytes."""
    whole, broken = new_run(corpus, **settings), new_run(corpus, **settings)
    list(nl.train(whole, corpus))
    for stop in (1, 7, 9, 14, 15, 41):
        train_to(broken, corpus, stop)
        resumed, broken = again(broken), again(broken)
        list(nl.train(resumed, corpus))
        assert saved(resumed) == saved(whole)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_what_a_program_told_the_optimiser_is_saved(corpus, saved, again, optimizer):
    """A parameter that is unfrozen later, and rates by path."""
    whole, broken = (new_run(corpus, optimizer=optimizer, lr=0.01) for _ in range(2))
    runs = []
    for run in (whole, broken):
        run.model.freeze(["decoder.W", "lstm.0.b"])
        run = loop.Run.begin(run.config, run.vocabulary, run.fingerprint, run.model)
        run.optimizer.scale_lr({"embedding": 0.1, "lstm.1.Wh": 0.0})
        train_to(run, corpus, 9)
        run.model.unfreeze("decoder")
        train_to(run, corpus, 17)
        run.model.unfreeze("lstm")
        runs.append(run)
    whole, resumed = runs[0], again(runs[1])
    assert resumed.optimizer.unfrozen_at == {"decoder.W": 9, "lstm.0.b": 17}
    assert resumed.optimizer.lr_factors == {"embedding.W": 0.1, "lstm.1.Wh": 0.0}
    list(nl.train(whole, corpus))
    list(nl.train(resumed, corpus))
    assert saved(resumed) == saved(whole)


def older_one_cycle(lr, warmup):
    """Return the schedule as it was before its rates were PyTorch's."""

    def rate(progress):
        if progress.share < warmup:
            return schedules.between(lr / 25, lr, progress.share / warmup)
        return schedules.between(lr, lr / 250_000, (progress.share - warmup) / (1 - warmup))

    return rate


@pytest.mark.parametrize("stop", [2, 7, 9, 14, 15, 41])
def test_a_run_with_other_rates_than_now_is_resumed_with_a_sentence(
    corpus, again, stop, monkeypatch, caplog
):
    """Of the last update, wherever it is in an epoch and between two rows of metrics."""
    changes = {"schedule": "one-cycle", "constant_epochs": None}
    with monkeypatch.context() as before:
        before.setitem(schedules.SCHEDULES, "one-cycle", older_one_cycle)
        older = new_run(corpus, **changes)
        train_to(older, corpus, stop)
        session.warn_of_other_rates(again(older), 14)
    assert not caplog.messages
    session.warn_of_other_rates(again(older), 14)
    [said] = caplog.messages
    used, now = (
        kind(0.7, 0.3)(schedules.Progress(0, 1, stop - 1, 42))
        for kind in (older_one_cycle, schedules.OneCycle)
    )
    assert said.startswith(
        f"Update {stop} had the rate {used:.6g}, for which this version's schedule 'one-cycle' "
        f"gives {now:.6g}: from here on the run differs"
    )


@pytest.mark.parametrize("schedule", SCHEDULE_NAMES)
def test_a_run_with_the_rates_of_now_is_resumed_without_a_word(corpus, again, schedule, caplog):
    run = new_run(corpus, schedule=schedule, constant_epochs=1 if schedule == "epoch" else None)
    for stop in (1, 7, 14, 15, 41):
        session.warn_of_other_rates(again(run), 14)
        train_to(run, corpus, stop)
    assert not caplog.messages


def test_windows_that_move_are_others_in_each_epoch_and_in_each_seed(corpus, monkeypatch):
    """The first epoch begins at the start of the text."""
    seen, update = [], loop.update

    def watched(run, x, y, windows):
        seen.append(x)
        return update(run, x, y, windows)

    monkeypatch.setattr(loop, "update", watched)

    def epochs_of(**settings):
        seen.clear()
        list(nl.train(new_run(corpus, **settings), corpus))
        return np.array(seen).reshape(3, 14, 5, 4)

    still = epochs_of()
    assert (still == still[0]).all()
    moving, other = (epochs_of(moving_windows=True, seed=seed) for seed in (0, 1))
    np.testing.assert_array_equal(moving[0], still[0])
    np.testing.assert_array_equal(other[0], still[0])
    of_all = np.stack([still[0], *moving[1:], *other[1:]])
    for one, two in itertools.combinations(of_all, 2):
        assert (one != two).mean() > 0.5
    ids = corpus.train[:284].reshape(4, 71)
    for windows in of_all:
        read = windows.reshape(70, 4).T
        for stream, whole in zip(read, ids, strict=True):
            assert any((np.roll(whole, -k)[:70] == stream).all() for k in range(71))


@pytest.mark.parametrize(
    ("path", "says"), [("lstm.1.b", "loss is nan, "), ("embedding.W", "must be finite, got nan")]
)
def test_numbers_that_go_bad_stop_the_run_before_the_update(corpus, path, says):
    run = new_run(corpus)
    steps = nl.train(run, corpus)
    next(steps)
    run.model.parameters()[path].data[3] = np.nan
    before = run.model.state_dict()
    with pytest.raises(TrainingFailed, match=rf"{says}.* at epoch 1, step 2; usually"):
        next(steps)
    np.testing.assert_equal(run.model.state_dict(), before)
    assert run.step == 1


def test_a_validation_whose_perplexity_overflows_stops_the_run(corpus, monkeypatch):
    of_800 = Evaluation(800.0, 0.1, tokens=9, unscored=1, batch_size=2, num_steps=3)
    monkeypatch.setattr(loop, "evaluate", lambda *_, **__: of_800)
    says = "^the validation loss is 800, a perplexity that overflows, at epoch 1, step 14; usually"
    with pytest.raises(TrainingFailed, match=says):
        list(nl.train(new_run(corpus), corpus))


def test_a_text_that_is_too_short_is_named(corpus):
    with pytest.raises(nl.DataError, match="made up: the train text must have at least 355 tokens"):
        new_run(corpus, batch_size=71, num_steps=4)
    new_run(corpus, batch_size=71, num_steps=3)  # 284 tokens, as it has


@pytest.mark.parametrize(("held_out", "streams"), [(199, 1), (200, 4), (211, 4)])
def test_a_validation_is_an_evaluation(held_out, streams):
    """A text that is short for the batch is one stream."""
    corpus = make_corpus(1000, held_out)
    run = new_run(corpus)
    assert loop.validate(run, corpus, None) == nl.evaluate(run.model, corpus.valid, streams, 5)


# --- checkpoints -------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_what_is_frozen_is_so_after_a_restart(corpus, saved, again, optimizer):
    def frozen():
        run = new_run(corpus, optimizer=optimizer, lr=0.1, momentum=None)
        run.model.embedding.W.trainable = False
        return run

    whole, begun = frozen(), frozen()
    train_to(begun, corpus, 9)
    resumed = again(begun)
    assert "embedding.W" not in resumed.model.parameters()
    for run in (whole, resumed):
        list(nl.train(run, corpus))
    assert saved(resumed) == saved(whole)


def test_an_optimizer_that_is_not_that_of_the_settings_is_not_saved(corpus, tmp_path):
    run = new_run(corpus)
    run.optimizer = nl.Adam(run.model.parameters())
    with pytest.raises(TypeError, match=r"run\.optimizer must be a SGD, got Adam; name"):
        nl.save(run, tmp_path / "run.npz")


def test_a_run_goes_on_with_its_own_text_only(corpus):
    other = replace(corpus, train=corpus.train[::-1].copy())
    with pytest.raises(nl.data.DataError, match="not the one that the run was started with"):
        next(nl.train(new_run(corpus), other))


# --- bad calls ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "says", "error"),
    [
        bad_call(
            lambda corpus: nl.new_run(nl.TrainConfig(init_from="run"), corpus),
            "init_from is for numpylstm-",
        ),
        bad_call(
            lambda corpus: nl.new_run(nl.TrainConfig(), IDS),
            "corpus must be a Corpus, got ndarray",
            TypeError,
        ),
        bad_call(
            lambda corpus: next(nl.train(small_model(), IDS)),
            "train: run must be a Run, got LanguageModel",
            TypeError,
        ),
        bad_call(
            lambda corpus: nl.new_run(nl.TrainConfig(level="char"), corpus),
            "level must be 'word', as in the",
        ),
        bad_call(
            lambda corpus: nl.new_run(corpus, nl.TrainConfig()),
            "config must be a TrainConfig, got",
            TypeError,
        ),
    ],
)
def test_a_bad_call_gets_one_sentence(call, says, error, corpus):
    assert_refused(partial(call, corpus), says, error)
