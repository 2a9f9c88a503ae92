"""The benchmark: its counts, its refusals, and one short run from end to end."""

import json
import math
from dataclasses import asdict, replace

import numpy as np
import pytest
from benchmarks import __main__ as command
from benchmarks import configurations, measure, tables
from benchmarks.configurations import (
    GRID,
    SCORED,
    BenchmarkError,
    Configuration,
    flops,
    tokens,
    weights,
    windows,
)
from benchmarks.measure import OURS, PEER, ROOT, Worker, check_agreement, compare
from support.processes import run_python

import numpylstm as nl

SMALL = Configuration("test", V=11, H=6, L=2, T=5, B=3)
GRU = replace(SMALL, name="test gru", cell="gru")
RNN = replace(SMALL, name="test rnn", cell="rnn")
WIDE = replace(SMALL, name="test float64", dtype="float64")
measure.SETTLE = 0.01  # seconds: no time is looked at here
EVERY_MODEL = pytest.mark.parametrize("c", [SMALL, GRU, RNN, WIDE], ids=lambda c: c.name)


@pytest.fixture(scope="module")
def worker():
    with Worker(OURS, 1) as worker:
        yield worker


@pytest.fixture(scope="module")
def other():
    pytest.importorskip(PEER)
    with Worker(PEER, 1) as worker:
        yield worker


# --- what is measured --------------------------------------------------------------------------


@EVERY_MODEL
def test_the_weights_are_those_of_the_model(c):
    model = nl.LanguageModel(c.V, c.H, c.L, cell=c.cell, dtype=c.dtype)
    arrays = weights(c)
    model.load_state_dict(arrays)
    assert all(np.abs(a).max() <= c.init_scale for a in arrays.values())
    np.testing.assert_equal(weights(c), arrays)  # the same numbers again


@pytest.mark.parametrize(("cell", "columns"), [("lstm", 12), ("gru", 9)])
def test_arithmetic_by_hand(cell, columns):
    c = Configuration("c", V=7, H=3, L=2, T=4, B=5, cell=cell)
    one_token = 2 * (3 * columns + 3 * columns) * 2 + 2 * (3 * 7)
    assert flops("train", c) == 3 * 4 * 5 * one_token
    assert flops("sample", c) == configurations.SAMPLE_LENGTH * one_token
    assert flops("evaluate", c) == tokens("evaluate", c) * one_token


def test_an_evaluation_call_scores_what_it_says():
    ids = configurations.evaluation_text(SMALL)
    result = nl.evaluate(nl.LanguageModel(SMALL.V, SMALL.H), ids, SMALL.B, SMALL.T)
    assert result.tokens == tokens("evaluate", SMALL)


# --- one process -------------------------------------------------------------------------------


def test_a_worker_measures_and_answers(worker):
    assert worker.version == nl.__version__
    for task in configurations.TASKS:
        worker.ask("prepare", task=task, settings=asdict(SMALL))
        times = worker.ask("measure", seconds=0.01)["times"]
        assert len(times) >= 2
        assert min(times) > 0
    assert worker.ask("product", size=64, seconds=0.0)["speed"] > 0


def test_what_a_worker_computes_is_what_the_model_computes(worker):
    model = nl.LanguageModel(SMALL.V, SMALL.H, SMALL.L)
    model.load_state_dict(weights(SMALL))
    x, y = windows(SMALL, 1)[0]
    loss, _ = model.forward(x, y, model.zero_state(SMALL.B))
    found = worker.ask("check", task="train", settings=asdict(SMALL))["results"]
    assert found["the loss of step 1"] == pytest.approx(loss)
    assert found["the loss of step 2"] != found["the loss of step 1"]


def test_a_worker_that_fails_says_why():
    with Worker(OURS, 1) as worker, pytest.raises(BenchmarkError, match="comes too early"):
        worker.ask("measure", seconds=1)


def test_a_worker_for_another_library_does_not_load_ours():
    code = (
        "import sys, tests.benchmarks.worker\n"
        "print([name for name in ('numba', 'numpylstm.functional') if name in sys.modules])"
    )
    assert run_python(code, cwd=ROOT)[0] == "[]\n"


# --- comparisons -------------------------------------------------------------------------------


def test_libraries_that_disagree_are_not_compared():
    ours = {"the loss": 3.0, "the gradient norm": 2.0, "token 1": 7}
    check_agreement({OURS: ours, PEER: ours | {"the loss": 3.00001}})
    for name, value in {"the gradient norm": 2.02, "the loss": math.nan, "token 1": 8}.items():
        says = f"torch and numpylstm .*: {name} is {value} and {ours[name]:.0f}$"
        with pytest.raises(BenchmarkError, match=says):
            check_agreement({OURS: ours, PEER: ours | {name: value}})


@pytest.mark.parametrize("task", configurations.TASKS)
@EVERY_MODEL
def test_every_installed_peer_computes_the_same(worker, other, task, c):
    work = {"task": task, "settings": asdict(c)}
    check_agreement({w.library: w.ask("check", **work)["results"] for w in (worker, other)})
    other.ask("prepare", **work)
    assert min(other.ask("measure", seconds=0.01)["times"]) > 0


def test_a_comparison(worker):
    found = compare("train", SMALL, [worker], 1e9, rounds=2, seconds=0.01)
    ours = json.loads(json.dumps(found))["libraries"][OURS]
    assert len(ours["seconds_of_turns"]) == 2
    assert ours["seconds"] == pytest.approx(np.median(ours["seconds_of_turns"]))
    assert ours["tokens_per_second"] == pytest.approx(SMALL.T * SMALL.B / ours["seconds"])
    assert ours["share_of_best_product"] == pytest.approx(ours["flops_per_second"] / 1e9)
    assert ours["time_relative_to_ours"] == 1


# --- the grid ----------------------------------------------------------------------------------


def test_the_grid_has_48_rows_and_none_twice():
    trained = [c for name, group in GRID.items() if name != SCORED for c in group]
    assert len(set(trained)) + len(set(GRID[SCORED])) == len(trained) + len(GRID[SCORED]) == 48


def test_the_summary_of_the_grid():
    libraries = {name: {"time_relative_to_ours": ratio} for name, ratio in ((OURS, 1), (PEER, 2.5))}
    shown = tables.grid_summary([{"libraries": libraries, "share_used_by_others": 0.5}])
    assert "in 1 rows: worst 2.50, geometric mean 2.50, below 1.0: 0" in shown
    assert "others used up to 50%" in shown


# --- the command -------------------------------------------------------------------------------


def test_the_command(tmp_path, capsys, monkeypatch):
    """A model, and on small shapes a score and a group of the grid."""
    monkeypatch.setattr(command, "STANDARD", SMALL)
    monkeypatch.setattr(measure, "PRODUCT_SIZE", 64)
    monkeypatch.setitem(GRID, "corners", (SMALL, replace(SMALL, B=4)))
    found = tmp_path / "found.json"
    words = "tiny eval corners --alone --rounds 1 --seconds 0.01 --json"
    command.main([*words.split(), str(found)])
    shown = capsys.readouterr().out
    assert "train, tiny: V 20, H 16, L 1, T 100, B 1" in shown
    assert "evaluate, test: V 11, H 6, L 2, T 5, B 3" in shown
    assert "corners: train, LSTM, float32" in shown
    found = json.loads(found.read_text())
    assert [one["configuration"]["B"] for one in found["comparisons"]] == [1, 3, 3, 4]
    assert found["machine"]["NumPy"]


def test_an_unknown_name(capsys):
    with pytest.raises(SystemExit, match="2"):
        command.main(["huge"])
    assert "'huge' cannot be measured; the names are tiny," in capsys.readouterr().err
