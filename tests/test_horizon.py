"""Probes and the memory horizon: networks on tasks whose best loss is known."""

import math
from dataclasses import replace

import numpy as np
import pytest
from support.bad_calls import assert_refused, bad_call

import numpylstm as nl
from numpylstm import tasks
from numpylstm.laboratory.diagnostics import Horizon, HorizonPoint, Probe, memory_horizon, probe
from numpylstm.laboratory.diagnostics.horizon import HORIZON_RECIPES
from numpylstm.laboratory.diagnostics.probe import CurvePoint, expected_loss
from numpylstm.plots import horizon_curve

SHORT = tasks.Recipe(hidden_size=6, steps=30, batch_size=3)

# --- one probe ----------------------------------------------------------------------------------


class Truth:
    """Model with the true probabilities, or `off` nats worse."""

    def __init__(self, task, seed, off=0.0):
        self.task, self.rng, self.off = task, np.random.default_rng(seed), off

    def zero_state(self, batch_size):
        return None

    def score(self, x, y, state):
        batch = self.task.batch(x.shape[1], self.rng)  # the same draws again
        assert (batch.x == x).all()
        return batch.nll + self.off, None, None


def test_the_truth_scores_the_floor_without_error():
    for task in (tasks.DelayedCopy(5), tasks.EmbeddedReber(12), tasks.Pronoun(6)):
        loss, error = expected_loss(Truth(task, 4), task, 1200, 4)
        assert (loss, error) == (pytest.approx(task.floor, abs=1e-12), pytest.approx(0, abs=1e-12))
        loss, _ = expected_loss(Truth(task, 4, off=0.25), task, 1200, 4)
        assert loss == pytest.approx(task.floor + 0.25)


def test_a_seed_makes_the_run():
    task = tasks.DelayedCopy(3)
    one, again, other = (probe(task, recipe=SHORT, rng=seed) for seed in (1, 1, 2))
    assert one == again
    assert one.curve != other.curve
    assert one.num_parameters == nl.LanguageModel(task.vocab_size, 6).num_parameters


def test_steps_checks_and_early_stop():
    task = tasks.DelayedCopy(3)
    run = probe(task, recipe=SHORT, check_every=20, num_sequences=10)
    assert [point.step for point in run.curve] == [20, 30]
    assert run.steps == 30
    stopped = probe(task, recipe=SHORT, check_every=20, stop_at=100.0, num_sequences=10)
    assert stopped.steps == 20
    assert stopped.curve == run.curve[:1]


def test_a_network_of_ones_own_is_trained_in_place_of_a_new_one():
    task = tasks.DelayedCopy(3)
    common = {"average_across_timesteps": True, "rng": np.random.default_rng(1).spawn(1)[0]}
    own = nl.LanguageModel(task.vocab_size, 6, init_scale=SHORT.init_scale, **common)
    run = probe(task, recipe=SHORT, rng=1, model=own)
    assert run.model is own
    assert run == probe(task, recipe=SHORT, rng=1)  # which draws the same first values
    deep = nl.LanguageModel(task.vocab_size, 6, 2, cell="gru", **common)
    run = probe(task, recipe=SHORT, model=deep)
    assert (run.cell, run.num_parameters) == ("gru", deep.num_parameters)


def test_share_and_distance_from_the_floor():
    run = Probe("lstm", 1, 1, (), chance=2.0, floor=0.5, loss=0.8, error=0.01)
    assert run.share == pytest.approx(0.8)
    assert run.above_floor == pytest.approx(0.6)
    assert math.isinf(replace(run, floor=0.0).above_floor)


def assert_at_the_floor(task, seed):
    """Train a network; its loss is within 2 % of the floor, at most four standard errors below."""
    run = probe(task, rng=seed)
    assert run.above_floor <= 0.02, (task, seed, run.loss, run.error)
    assert run.loss >= run.floor - 4 * run.error
    assert run.error < 0.01 * run.floor  # otherwise the two lines above prove little


def test_an_lstm_comes_within_two_per_cent_of_the_floor():
    assert_at_the_floor(tasks.DelayedCopy(5), seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(
    "task",
    [
        tasks.DelayedCopy(20),
        tasks.DelayedCopy(20, num_fillers=4),
        tasks.Adding(),
        tasks.TemporalOrder(),
        tasks.Parity(),
        tasks.EmbeddedReber(),
        tasks.Pronoun(),
    ],
    ids=repr,
)
def test_every_task_is_learnt_to_within_two_per_cent_of_its_floor(task, seed):
    assert_at_the_floor(task, seed)


# --- the horizon ---------------------------------------------------------------------------------


def made_up(cell, distance, *shares):
    start = Probe(cell, 1, 100, (CurvePoint(100, 1.0),), chance=2.0, floor=0.5, loss=2.0, error=0.0)
    probes = tuple(replace(start, loss=2 - 1.5 * share) for share in shares)
    return HorizonPoint(cell, distance, probes)


HORIZON = Horizon(
    (
        made_up("rnn", 5, 1.0, 0.91, 0.2),
        made_up("rnn", 10, 0.95, 0.3, 0.2),
        made_up("lstm", 5, 1.0, 1.0, 1.0),
        made_up("lstm", 10, 1.0, 0.9, 1.0),
    )
)


def test_the_median_of_the_seeds_decides():
    assert HORIZON.cells == ("rnn", "lstm")
    assert [point.share for point in HORIZON.curve("rnn")] == pytest.approx([0.91, 0.3])
    assert (HORIZON.horizon("rnn"), HORIZON.horizon("lstm")) == (5, 10)
    assert Horizon((made_up("rnn", 5, 0.1),)).horizon("rnn") == 0
    assert str(HORIZON).splitlines()[-1] == "lstm: horizon 10 steps"


@pytest.mark.slow
def test_the_default_horizon():
    """Notebook 5 asserts in CI that an LSTM remembers further than a vanilla network."""
    result = memory_horizon()
    assert result.horizon("lstm") >= 2 * result.horizon("rnn") > 0, str(result)
    assert result.horizon("rnn") >= 10


def test_other_tasks_and_activations(monkeypatch):
    monkeypatch.setitem(HORIZON_RECIPES, "rnn", SHORT)
    seen = []
    result = memory_horizon(
        (6, 5),
        cells=("rnn-sigmoid", "rnn-relu"),
        seeds=(0,),
        task_at=tasks.Adding,
        progress=seen.append,
    )
    assert tuple(seen) == result.points
    assert [(p.cell, p.distance, p.probes[0].steps) for p in result.points] == [
        ("rnn-sigmoid", 5, 30),
        ("rnn-sigmoid", 6, 30),
        ("rnn-relu", 5, 30),
        ("rnn-relu", 6, 30),
    ]
    assert result.points[0].probes[0].floor == tasks.Adding(5).floor


# --- pictures ------------------------------------------------------------------------------------


def test_the_horizon_curve():
    figure = horizon_curve(HORIZON)
    (axes,) = figure.axes
    assert "steps" in axes.get_xlabel()
    assert "chance" in axes.get_ylabel()
    drawn = {line.get_label(): list(line.get_ydata()) for line in axes.get_lines()}
    assert drawn["tanh RNN: horizon 5 steps"] == pytest.approx([0.91, 0.3])
    assert drawn["LSTM: horizon 10 steps"] == pytest.approx([1, 1])
    assert sum(line.get_linestyle() == "None" for line in axes.get_lines()) == 4  # the seeds
    assert {text.get_text().split(":")[0] for text in axes.texts} == {"chance", "floor"}
    figure.canvas.draw()


# --- bad calls ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "says", "error"),
    [
        bad_call(
            lambda: nl.diagnostics.probe(nl.tasks.DelayedCopy(3), stop_at="x"),
            "stop_at must be a number",
            TypeError,
        ),
        bad_call(lambda: nl.diagnostics.memory_horizon(cells=[{}]), "cells must be 'rnn'"),
        bad_call(
            lambda: nl.diagnostics.memory_horizon(3), "distances must have shape (N,), got ()"
        ),
        bad_call(lambda: nl.diagnostics.Horizon(()).horizon("gru"), "Horizon: cell must be one of"),
        bad_call(lambda: nl.diagnostics.memory_horizon(cells=["lstm-relu"]), "got 'lstm-relu'"),
        bad_call(lambda: nl.diagnostics.memory_horizon([0]), "distance must be at least 1"),
        bad_call(lambda: nl.diagnostics.memory_horizon(steps=0), "steps must be at least 1"),
        bad_call(
            lambda: nl.diagnostics.memory_horizon(seeds=[]), "seeds must not be empty, got shape"
        ),
        bad_call(
            lambda: nl.diagnostics.probe(nl.tasks.Adding(), rng=np.random.default_rng(0)),
            "rng must be a whole number",
            TypeError,
        ),
        bad_call(
            lambda: nl.diagnostics.probe(nl.tasks.Adding(), model=nl.LanguageModel(12, 4)),
            "model must have average_across_timesteps=True",
        ),
        bad_call(
            lambda: nl.diagnostics.probe(
                nl.tasks.Adding(), reset="after", model=nl.LanguageModel(12, 4)
            ),
            "model has its options already; got reset as well",
            TypeError,
        ),
    ],
)
def test_a_bad_call_gets_one_sentence(call, says, error):
    assert_refused(call, says, error)
