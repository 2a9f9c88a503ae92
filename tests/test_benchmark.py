"""The measuring instrument: what it counts, what it refuses, and one short run from end to end."""

import json
import math
import os
import re
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import numpylstm as nl
from numpylstm.benchmark import (
    configurations,
    machine,
    phases,
    report,
    runs,
    scaling,
    watching,
)
from numpylstm.benchmark.configurations import (
    CONFIGURATIONS,
    BenchmarkError,
    Configuration,
    flops,
    tokens,
    weights,
    windows,
)
from numpylstm.benchmark.grid import GRID, rows
from numpylstm.benchmark.measure import (
    Comparison,
    Memory,
    Settings,
    Start,
    Timing,
    as_numbers,
    check_agreement,
    compare,
    fitted_exponent,
)
from numpylstm.benchmark.process import OURS, PEERS, Worker, installed
from numpylstm.benchmark.watching import Stopwatch
from numpylstm.plots import ratio_bars, scaling_lines

SMALL = Configuration("test", V=11, H=6, L=2, T=5, B=3)
GRU = replace(SMALL, name="test gru", cell="gru")
RNN = replace(SMALL, name="test rnn", cell="rnn")
WIDE = replace(SMALL, name="test float64", dtype="float64")
WORK = {"task": "train", "settings": asdict(SMALL)}
COMMAND = Path(sys.executable).parent / "numpylstm-bench"


@pytest.fixture(scope="module")
def worker():
    with Worker(OURS, 1) as worker:
        yield worker


@pytest.fixture(scope="module", params=PEERS)
def other(request):
    if request.param not in installed():
        pytest.skip(f"{request.param} is not installed")
    with Worker(request.param, 1) as worker:
        yield worker


# --- what is measured --------------------------------------------------------------------------


@pytest.mark.parametrize("c", [SMALL, GRU, RNN, WIDE], ids=lambda c: c.name)
def test_the_weights_are_those_of_the_model(c):
    model = nl.LanguageModel(c.V, c.H, c.L, cell=c.cell, dtype=c.dtype)
    arrays = weights(c)
    model.load_state_dict(arrays)
    assert all(np.abs(a).max() <= c.init_scale for a in arrays.values())
    assert all((a == b).all() for a, b in zip(arrays.values(), weights(c).values(), strict=True))


def test_windows_go_on_where_the_one_before_stopped():
    (x0, y0), (x1, _) = windows(SMALL, 2)
    assert x0.shape == (SMALL.T, SMALL.B)
    assert (x0[1:] == y0[:-1]).all()
    assert (y0[-1] == x1[0]).all()


@pytest.mark.parametrize(("cell", "columns"), [("lstm", 12), ("gru", 9)])
def test_arithmetic_by_hand(cell, columns):
    c = Configuration("c", V=7, H=3, L=2, T=4, B=5, cell=cell)
    one_token = 2 * (3 * columns + 3 * columns) * 2 + 2 * (3 * 7)
    assert flops("train", c) == 3 * 4 * 5 * one_token
    assert flops("sample", c) == configurations.SAMPLE_LENGTH * one_token
    assert flops("evaluate", c) == tokens("evaluate", c) * one_token
    in_phases = sum(cost.flops for cost in phases.costs(c).values())
    assert in_phases == flops("train", c)


def test_an_evaluation_call_scores_what_it_says():
    ids = configurations.evaluation_text(SMALL)
    result = nl.evaluate(nl.LanguageModel(SMALL.V, SMALL.H), ids, SMALL.B, SMALL.T)
    assert result.tokens == tokens("evaluate", SMALL)


# --- one process -------------------------------------------------------------------------------


def test_a_worker_measures_and_answers(worker):
    assert worker.about["version"] == nl.__version__
    assert worker.about["seconds"] > 0
    assert worker.about["bytes"] > 2**25  # Numba and LLVM were loaded, and are in the seconds
    assert worker.about["tasks"] == list(configurations.TASKS)
    for task in configurations.TASKS:
        work = {"task": task, "settings": asdict(SMALL)}
        worker.ask("prepare", **work, own_weights=True)
        times = worker.ask("measure", seconds=0.01)["times"]
        assert len(times) >= 2
        assert min(times) > 0
    assert worker.ask("memory")["bytes"] > worker.about["bytes"] / 2
    assert worker.ask("bandwidth", seconds=0.0)["bandwidth"] > 0
    assert set(worker.ask("products", size=64, seconds=0.0)) == {"numpy.matmul", OURS}
    assert "processor" in worker.ask("facts")


def test_what_a_worker_computes_is_what_the_model_computes(worker):
    model = nl.LanguageModel(SMALL.V, SMALL.H, SMALL.L)
    model.load_state_dict(weights(SMALL))
    x, y = windows(SMALL, 1)[0]
    loss, _ = model.forward(x, y, model.zero_state(SMALL.B))
    found = worker.ask("check", **WORK)["results"]
    assert found["the loss of step 1"] == pytest.approx(loss)
    assert found["the loss of step 2"] != found["the loss of step 1"]


def test_a_worker_that_fails_says_why():
    with Worker(OURS, 1) as worker, pytest.raises(BenchmarkError, match="comes too early"):
        worker.ask("measure", seconds=1)


def test_a_worker_for_another_library_does_not_load_ours():
    """Neither its memory nor its start may include Numba; `json` stands for the other library."""
    code = (
        "import sys, importlib; sys.argv = ['', 'json', '1']; import runpy;"
        "w = runpy.run_path(sys.orig_argv[-1]);"
        "importlib.import_module('json');"
        "\ntry: w['load']('json', 1)"
        "\nexcept ModuleNotFoundError as e: print(e.name)"
        "\nprint([m for m in ('numba', 'numpylstm.functional') if m in sys.modules])"
    )
    path = Path(nl.__file__).parent / "benchmark" / "worker.py"
    done = subprocess.run([sys.executable, "-P", "-c", code, path], capture_output=True, text=True,
                          check=False)  # fmt: skip
    assert done.stdout.splitlines() == ["numpylstm.benchmark.peers.json", "[]"], done.stderr


# --- comparisons -------------------------------------------------------------------------------


def test_libraries_that_disagree_are_not_compared():
    ours = {"the loss": 3.0, "token 1": 7}
    check_agreement({OURS: ours, "torch": {"the loss": 3.00001, "token 1": 7}})
    with pytest.raises(BenchmarkError, match=r"the gradient norm is 2\.02 and 2"):
        check_agreement({OURS: {"the gradient norm": 2.0}, "jax": {"the gradient norm": 2.02}})
    with pytest.raises(BenchmarkError, match=r"torch and numpylstm .* the loss is 3\.01 and 3"):
        check_agreement({OURS: ours, "torch": {"the loss": 3.01, "token 1": 7}})
    with pytest.raises(BenchmarkError, match="token 1 is 8 and 7"):
        check_agreement({OURS: ours, "torch": {"the loss": 3.0, "token 1": 8}})
    with pytest.raises(BenchmarkError, match="the loss is nan"):
        check_agreement({OURS: ours, "torch": {"the loss": math.nan, "token 1": 7}})


@pytest.mark.parametrize("task", configurations.TASKS)
@pytest.mark.parametrize("c", [SMALL, GRU, RNN, WIDE], ids=lambda c: c.name)
def test_every_installed_peer_computes_the_same(worker, other, task, c):
    for what, known in ((task, "tasks"), (c.cell, "cells"), (c.dtype, "dtypes")):
        if what not in other.about[known]:
            pytest.skip(f"{other.library} is not asked for {what}")
    work = {"task": task, "settings": asdict(c)}
    check_agreement({w.library: w.ask("check", **work)["results"] for w in (worker, other)})
    other.ask("prepare", **work, own_weights=True)
    assert min(other.ask("measure", seconds=0.01)["times"]) > 0


def test_a_comparison(worker):
    settings = Settings((OURS,), 1, rounds=2, seconds=0.01, product_size=64)
    found = compare("train", SMALL, settings, 0.0, [worker], worker)
    (timing,) = found.timings
    assert len(timing.turns) == 2
    assert found.product_speed > 0
    assert json.loads(json.dumps(as_numbers(found)))["libraries"][OURS]["seconds"] > 0


def comparison():
    timings = Timing(OURS, "1", (0.2, 0.1, 0.3)), Timing("torch", "2", (0.5, 0.6, 0.4))
    return Comparison("train", CONFIGURATIONS["char"], timings, 1e12, 0.4)


def test_ratio_is_that_of_the_medians():
    found = comparison()
    assert found.ratio(found.timings[1]) == pytest.approx(2.5)
    assert found.tokens_per_second(found.timings[0]) == pytest.approx(50 * 32 / 0.2)
    assert as_numbers(found)["libraries"]["torch"]["time_relative_to_ours"] == pytest.approx(2.5)


def test_tables():
    text = report.comparison(comparison())
    assert "torch 2" in text
    assert "2.50" in text
    assert "others used up to 40%" in text
    starts = [
        Start(OURS, "compiled kernels on disk", 0.25, 0.125, 0.5),
        Start("torch", "", 1, 1, 1),
    ]
    assert "numpylstm, compiled kernels on disk" in report.starts(starts)
    assert "0.88" in report.starts(starts)
    memory = report.memory([Memory(OURS, 2**20, 2**28), Memory("torch", 2**20, 2**29)])
    assert "256" in memory
    assert "2.00" in memory


def test_a_busy_machine_is_noticed():
    assert report.busy_warning(0.1, 0.02) == ""
    assert "50%" in report.busy_warning(None, 0.5)
    assert "2.0" in report.busy_warning(2.0, None)
    assert report.busy_warning(None, None) == ""
    share = machine.pause()
    assert share is None or 0 <= share <= 1


# --- scaling -----------------------------------------------------------------------------------


def test_a_power_is_found():
    sizes = [1, 2, 8, 64]
    assert fitted_exponent(sizes, [3 * n**1.5 for n in sizes]) == pytest.approx(1.5)


def test_curves():
    settings = Settings((OURS,), 1, rounds=1, seconds=0.005)
    (curve,), comparisons = scaling.curves("T", (2, 40), settings, 1e9, SMALL)
    assert [c.configuration.T for c in comparisons] == [2, 40]
    assert min(curve.seconds) > 0  # which is larger is the machine's to say
    assert "exponent" in report.curves([curve])


# --- the grid ----------------------------------------------------------------------------------


def test_the_grid_reaches_far_and_has_no_row_twice():
    all_rows = [row for group in GRID.values() for row in group]
    assert len(set(all_rows)) == len(all_rows) >= 30
    sizes = {k: [getattr(row.configuration, k) for row in all_rows] for k in report.SHAPE}
    assert (min(sizes["H"]), max(sizes["H"])) == (8, 1024)
    assert (min(sizes["B"]), max(sizes["B"])) == (1, 256)
    assert (min(sizes["T"]), max(sizes["T"])) == (1, 512)
    assert (min(sizes["V"]), max(sizes["V"])) == (10, 30_000)
    assert {row.configuration.cell for row in all_rows} == {"lstm", "gru", "rnn"}
    assert {row.configuration.dtype for row in all_rows} == {"float32", "float64"}


def test_a_grid_is_measured_and_printed_row_by_row(capsys):
    settings = Settings((OURS,), 1, rounds=1, seconds=0.005, product_size=64)
    shapes = (11, 6, 2, 5, 3), (7, 4, 1, 1, 1)
    small = {"a": rows("train", *shapes), "b": rows("evaluate", *shapes[:1], dtype="float64")}
    results, _ = runs.run_grid(["a", "b"], settings, small)
    assert [(c.task, c.configuration.dtype) for c in results.comparisons] == [
        ("train", "float32"), ("train", "float32"), ("evaluate", "float64"),
    ]  # fmt: skip
    printed = capsys.readouterr().out
    assert "a: train, LSTM, float32" in printed
    shown = re.findall(r"^ +(\d+) +(\d+) +(\d+) +(\d+) +(\d+) +[0-9.]+\b", printed, re.M)
    assert shown == [tuple(map(str, shape)) for shape in (*shapes, shapes[0])]


def test_what_remains_of_a_grid():
    found = [
        replace(comparison(), timings=(Timing(OURS, "1", (0.2,)), Timing("torch", "2", (time,))))
        for time in (0.1, 0.4, 0.8)
    ]
    assert "in 3 rows: worst 0.50, geometric mean 1.59, below 1.0: 1" in report.grid_summary(found)
    row = report.grid_row(found[2], (OURS, "torch", "jax"))
    assert row.endswith("  (others at work)")
    assert row.split()[:10] == ["65", "128", "2", "50", "32", "200", "800", "4.00", "-", "-"]


# --- the profile -------------------------------------------------------------------------------


def test_a_stopwatch_takes_the_inner_time_off_the_outer(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(watching, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    stopwatch = Stopwatch()

    def wait(seconds):
        now[0] += seconds

    inner = stopwatch.watch(lambda: wait(2), "inner")

    def outer():
        wait(0.25)
        inner()
        return 5

    assert stopwatch.watch(outer, "outer")() == 5
    assert stopwatch.seconds == {"outer": 0.25, "outer/inner": 2}


@pytest.mark.parametrize(
    "c", [SMALL, GRU, CONFIGURATIONS["char"], replace(CONFIGURATIONS["char"], cell="gru")],
    ids=lambda c: f"{c.cell} {c.name}",
)  # fmt: skip
def test_every_phase_of_a_step_is_seen(worker, c):
    worker.ask("prepare", task="train", settings=asdict(c), own_weights=True)
    answer = worker.ask("watch", seconds=0.01)
    found = phases.phases(answer["parts"], answer["watched"], c, 1e11, 1e10)
    seen = {phase.name for phase in found if phase.bound}
    # What is small goes through a layer in one kernel, and a product need not be watched apart.
    whole = {name for name in seen if not name.startswith(f"{c.cell}.")}
    expected = {name for name in phases.costs(c) if not name.startswith(f"{c.cell}.")}
    assert whole == expected
    for layer in range(c.L):
        for way in ("forward", "backward"):
            assert any(name.startswith(f"{c.cell}.{layer} {way}: ") for name in seen)
    assert sum(phase.seconds for phase in found) == pytest.approx(answer["watched"])
    assert "times bound" in report.profile(found, answer["step"], 1e11, 1e10)


def test_a_whole_layer_costs_what_its_parts_cost():
    costs = phases.costs(SMALL)
    whole = phases.whole_layers(costs)
    assert len(whole) == 2 * SMALL.L
    apart = sum(cost.flops for name, cost in costs.items() if name.startswith("lstm."))
    assert sum(cost.flops for cost in whole.values()) == apart


# --- pictures and the command ------------------------------------------------------------------


def test_pictures():
    figure = ratio_bars({"tiny": {"torch": 12.0, "jax": 3.0}, "char": {"torch": 2.0}})
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == ["tiny", "char"]
    assert len(figure.axes[0].patches) == 3
    figure = scaling_lines([
        ("H", OURS, (2, 4, 8), (0.1, 0.2, 0.4), 1.0),
        ("H", "torch", (2, 4, 8), (0.2, 0.4, 0.8), 1.0),
        ("T", OURS, (5, 10), (0.1, 0.4), 2.0),
    ])  # fmt: skip
    assert [axes.get_xlabel() for axes in figure.axes] == ["H", "T"]
    assert [len(axes.get_lines()) for axes in figure.axes] == [2, 1]
    assert figure.axes[0].get_xscale() == "log"


def bench(*arguments, cwd, expect=0):
    done = subprocess.run(
        [COMMAND, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, check=False,
        timeout=300, env=os.environ | {"MPLBACKEND": "agg"},
    )  # fmt: skip
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout, done.stderr


def test_the_command(tmp_path):
    out, err = bench("tiny", "--peers", "none", "--rounds", 1, "--seconds", 0.01,
                     "--json", "found.json", cwd=tmp_path)  # fmt: skip
    assert err == ""
    assert "train, tiny: V 20, H 16, L 1, T 100, B 1" in out
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["comparisons"][0]["configuration"]["H"] == 16
    assert found["machine"]["NumPy"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["huge"], "'huge' is not something to measure"),
        (["tiny", "--all"], "names do not go with --all"),
        (["tiny", "--grid"], "'tiny' is not something to measure; the names are hidden, batch,"),
        (["--grid", "--plot", "a.png"], "--plot: the grid has no picture"),
        (["--plot", "a.png", "--peers", "none"], "--plot: a ratio needs another library"),
        (["--plot", "a.jgp"], "--plot must end in '.png', '.pdf' or '.svg', got a.jgp"),
        (["--threads", "0"], "--threads must be from 1 to"),
        (["--rounds", "0"], "--rounds must be at least 1, got 0"),
        (["--seconds", "nan"], "--seconds must be above 0"),
        (["--peers", "theano"], "--peers must name some of torch, jax, tensorflow"),
        (["--json", "no/where.json"], "no/where.json: the folder no does not exist"),
        (["--profile", "tiny", "--plot", "a.png"], "--plot: a profile has no picture"),
    ],
)
def test_errors_are_one_sentence(tmp_path, capsys, monkeypatch, arguments, expected):
    from numpylstm.cli.bench import main

    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"numpylstm-bench: error: {expected}")
    assert captured.err.count("\n") == 1
