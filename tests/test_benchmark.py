"""The benchmark: its counts, its refusals, and one short run from end to end."""

import json
import math
from dataclasses import asdict, replace

import numpy as np
import pytest
from benchmarks import __main__ as command
from benchmarks import configurations, measure, processor, tables
from benchmarks import worker as benchmark_worker
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
from benchmarks.measure import (
    BFLOAT16,
    OURS,
    PEER,
    PEERS,
    ROOT,
    Worker,
    check_agreement,
    compare,
)
from benchmarks.start import CompileTimes
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


def library_of(peer):
    """Return the package of a module of `peers`."""
    return peer.partition("_")[0]


def suits(peer):
    """Return True if the processor has what a peer needs."""
    return peer != BFLOAT16 or processor.has_bfloat16(processor.description())


COMPILES = "torch_compiled"  # takes a minute to compile, and needs a C++ compiler
EVERY_PEER = [
    pytest.param(peer, marks=pytest.mark.slow) if peer == COMPILES else peer for peer in PEERS
]


@pytest.fixture(scope="module", params=EVERY_PEER)
def other(request):
    pytest.importorskip(library_of(request.param))
    if request.param == "onnxruntime":
        pytest.importorskip("onnx")
    if not suits(request.param):
        pytest.skip("the processor has no products of bfloat16")
    with Worker(request.param, 1) as worker:
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


@pytest.mark.rare
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
    if task not in other.tasks:
        pytest.skip(f"{other.library} does not offer it")
    if other.library == "onnxruntime" and c.dtype == "float64":
        pytest.skip("its LSTM is float32 only")
    if other.library == COMPILES and c is not SMALL:
        pytest.skip("each shape is compiled again")
    work = {"task": task, "settings": asdict(replace(c, state_scale=0.1))}
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


def test_a_comparison_leaves_out_libraries_that_lack_the_task(worker):
    class Trains:
        library, tasks = "other", ("train",)

    found = compare("stream", SMALL, [worker, Trains()], 1e9, rounds=1, seconds=0.01)
    assert [*found["libraries"]] == [OURS]


def test_the_99th_percentile_is_of_all_calls():
    class Answers:
        library, tasks, version = OURS, ("stream",), "1"
        turns = iter([[1.0] * 99 + [3.0], [2.0] * 100])

        def ask(self, request, **arguments):
            if request == "measure":
                return {"times": next(self.turns)}
            return {"results": {}, "seconds": 7.0}

    found = compare("stream", SMALL, [Answers()], 1e9, rounds=2, seconds=0)["libraries"][OURS]
    assert found["seconds"] == 1.5  # the median of the medians of turns
    assert found["seconds_p99"] == 2  # one call in 200 took 3
    assert found["seconds_of_first_call"] == 7


def test_a_stream_carries_its_state_and_a_restart_does_not():
    seen = []

    def advance(ids, state):
        seen.append(state)
        return None, state + 1

    for carry, states in ((True, [0, 1, 2]), (False, [0, 0, 0])):
        seen.clear()
        step = benchmark_worker.steps(SMALL, advance, 0, carry)
        for _ in range(3):
            step()
        assert seen == states


def test_the_subnormal_state_is_subnormal():
    scale = command.STATES["subnormal"]
    arrays = configurations.given_state(replace(SMALL, state_scale=scale))
    assert [array.shape for array in arrays] == [(SMALL.L, SMALL.B, SMALL.H)] * 2
    for array in arrays:
        assert array.dtype == np.float32
        assert 0 < np.abs(array).max() < np.finfo(np.float32).tiny


# --- the processor -----------------------------------------------------------------------------

INTEL, AMD = {"vendor_id": "GenuineIntel"}, {"vendor_id": "AuthenticAMD"}
WITH_512 = {"flags": "fma avx2 avx512f"}


@pytest.mark.parametrize(
    ("description", "lanes"),
    [
        (INTEL | WITH_512 | {"cpu family": "6"}, 16),
        (AMD | WITH_512 | {"cpu family": "26"}, 16),  # Zen 5
        (AMD | WITH_512 | {"cpu family": "25"}, 8),  # Zen 4: in two halves
        (INTEL | {"flags": "fma avx2", "cpu family": "6"}, 8),
    ],
)
def test_the_peak_is_cores_times_units_times_lanes_times_two(description, lanes):
    speed, assumed = processor.peak(description, 2, 3e9)
    assert speed == 2 * 2 * lanes * 2 * 3e9
    assert f"2 cores x 2 units (assumed) x {lanes} lanes x 2 x 3.00 GHz" in assumed


def test_no_peak_of_an_unknown_processor():
    assert processor.peak({}, 2, 3e9) is None
    assert "not known" in tables.peak_line(1e9, None)


def test_the_clock_is_that_of_a_processor(worker):
    if processor.vector_bits(processor.description()) is None:
        pytest.skip("the chain of instructions is one of x86")
    assert 2e8 < worker.clock() < 1e10


# --- the start ---------------------------------------------------------------------------------


def test_time_of_compilation_belongs_to_the_innermost_function():
    clock = iter([0, 1, 2, 4, 5, 9, 14, 20, 27])
    times = CompileTimes(lambda: next(clock))
    times.compilation_begins("kernel")  # at 0
    times.llvm_begins()  # at 1
    times.llvm_ends()  # at 2
    times.compilation_begins("inner")  # at 4
    times.llvm_begins()  # at 5
    times.llvm_ends()  # at 9
    times.compilation_ends()  # at 14
    times.compilation_ends()  # at 20
    times.llvm_begins()  # at 27: nothing is compiled
    kernel, inner = times.found["kernel"], times.found["inner"]
    assert (kernel.seconds, kernel.llvm, kernel.root, kernel.signatures) == (10, 1, "kernel", 1)
    assert (inner.seconds, inner.llvm, inner.root, inner.signatures) == (10, 4, "kernel", 1)


def test_the_table_of_compiled_functions():
    functions = [
        {"name": "large", "root": "large", "seconds": 7.0, "llvm": 5.0, "signatures": 1},
        {"name": "tiny", "root": "large", "seconds": 0.01, "llvm": 0.0, "signatures": 1},
        {"name": "inner", "root": "large", "seconds": 2.0, "llvm": 1.0, "signatures": 3},
    ]
    shown = tables.compiled_table(
        {"compiled": functions, "seconds": {"model": 1.0, "first step": 9.0}}
    )
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in shown.splitlines()[2:6]]
    assert cells == [
        ["large", "7.00", "5.00", "1", "large"],
        ["inner", "2.00", "1.00", "3", "large"],
        ["1 others", "0.01", "0.00", "1", ""],
        ["all 3", "9.01", "6.00", "5", ""],
    ]
    assert shown.endswith("with their compilation: 10.00 s")


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


@pytest.mark.rare
def test_the_command(tmp_path, capsys, monkeypatch):
    """A model, and on small shapes a score, single steps and a group of the grid."""
    monkeypatch.setattr(command, "STANDARD", SMALL)
    monkeypatch.setattr(measure, "PRODUCT_SIZE", 64)
    monkeypatch.setitem(GRID, "corners", (SMALL, replace(SMALL, B=4)))
    found = tmp_path / "found.json"
    monkeypatch.setattr(command, "STREAMED", ("tiny",))
    words = "tiny eval stream states corners --alone --rounds 1 --seconds 0.01 --json"
    command.main([*words.split(), str(found)])
    shown = capsys.readouterr().out
    assert "train, tiny: V 20, H 16, L 1, T 100, B 1" in shown
    assert "evaluate, test: V 11, H 6, L 2, T 5, B 3" in shown
    assert "stream, tiny: V 20, H 16, L 1, T 1, B 1" in shown
    assert "normal, ms | zeros, ms | subnormal, ms | zeros / normal" in " ".join(shown.split())
    assert "corners: train, LSTM, float32" in shown
    assert "best matrix product of the run" in shown
    found = json.loads(found.read_text())
    assert [one["configuration"]["B"] for one in found["comparisons"]] == [1, 3, 1, 3, 3, 3, 3, 4]
    assert found["machine"]["NumPy"]


@pytest.mark.rare
def test_an_unknown_name(capsys):
    with pytest.raises(SystemExit, match="2"):
        command.main(["huge"])
    assert "'huge' cannot be measured; the names are tiny," in capsys.readouterr().err
