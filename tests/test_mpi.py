"""A run on several MPI ranks has the bits of a run on one, and loses nothing when a rank dies."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from support import ranks as cases
from support.processes import run_python
from support.runs import TINY, files, wait_for, whole_run

import numpylstm as nl
from numpylstm.layers import Rows
from numpylstm.training import parallel
from numpylstm.training.checkpoint import load
from numpylstm.training.parallel import (
    RankFailed,
    Ranks,
    add_in_tree,
    backpropagate,
    connect,
)

MPIEXEC = shutil.which(
    "mpiexec", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
)
HERE = Path(__file__).parent
needs_mpi = pytest.mark.skipif(
    MPIEXEC is None or not cases.has_mpi(),
    reason="no MPI is installed (extra: mpi, and an MPI library)",
)
ENVIRONMENT = {
    "NUMBA_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1",
    "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent)]),
    # Open MPI refuses more ranks than processors, and the user root in a container.
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
}  # fmt: skip
SETTINGS = (
    *TINY, "--valid", "text.txt", "--dropout", "0.5", "--moving-windows", "--shards", "4",
)  # fmt: skip


def mpiexec(folder, ranks, *words):
    """Start a Python program on several ranks."""
    return subprocess.Popen(
        [MPIEXEC, "-n", str(ranks), sys.executable, *map(str, words)],
        cwd=folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | ENVIRONMENT,
    )


def train(folder, ranks, *arguments):
    return mpiexec(folder, ranks, "-m", "support.ranks", "train", *arguments)


def processes(process, ranks):
    """Return the ids of the processes, by rank."""
    words = [process.stdout.readline().split() for _ in range(ranks)]
    return {int(rank): int(number) for _, rank, number in words}


def assert_ends_as_the_whole_run(process, out):
    printed, err = process.communicate(timeout=60)
    assert process.returncode == 0, printed + err
    assert files(out) == whole_run(out.parent, SETTINGS)[0]


# --- the same bits -----------------------------------------------------------------------------


@needs_mpi
@pytest.mark.parametrize("updates", [5, pytest.param(200, marks=pytest.mark.slow)])
def test_the_number_of_ranks_changes_no_bit(folder, updates, monkeypatch, capsys):
    """For every kind of gradient and optimiser, with dropout and a validation."""
    monkeypatch.chdir(folder)
    expected = [digest for [digest] in cases.digests(updates)]
    assert len(set(expected)) == len(expected)
    for ranks in (1, 2, 4):
        process = mpiexec(folder, ranks, "-m", "support.ranks", updates)
        out, err = process.communicate(timeout=600)
        assert process.returncode == 0, out + err
        found = json.loads(out)
        assert found["digests"] == [[digest] * ranks for digest in expected]
        with capsys.disabled():
            print(f"\n{ranks} ranks, {len(expected)} x {updates} updates: {found['seconds']:.1f} s")


@needs_mpi
def test_a_run_goes_on_with_other_ranks(folder):
    """Stopped at 2 ranks by a signal to one of them, resumed at 4: the files are those of 1."""
    out = folder / "moved"
    process = train(folder, 2, *SETTINGS, "--out", out.name)
    numbers = processes(process, 2)
    wait_for(process, "step 30/")
    os.kill(numbers[1], signal.SIGTERM)
    printed, err = process.communicate(timeout=60)
    assert re.search(r"Stopped at epoch \d, step \d+; saved. Resume with", printed), printed + err
    assert printed.count("saved") == 1
    assert_ends_as_the_whole_run(train(folder, 4, "--resume", out.name, "--save-every", "1"), out)


# --- the end of a rank -------------------------------------------------------------------------


@needs_mpi
@pytest.mark.parametrize("times", [2, pytest.param(10, marks=pytest.mark.slow)])
def test_a_rank_that_is_killed_ends_the_run_which_can_be_resumed(folder, times, capsys):
    out, moments = folder / f"killed-{times}", np.random.default_rng(times)
    words, waited, steps = [*SETTINGS, "--out", out.name], [], []
    for kill in range(times):
        process = train(folder, 2, *words)
        numbers = processes(process, 2)
        for _ in range(moments.integers(1, 1 + 20 // times)):
            wait_for(process, "step ")
        time.sleep(moments.uniform(0, 0.02))
        os.kill(numbers[kill % 2], signal.SIGKILL)
        began = time.monotonic()
        process.communicate(timeout=10)
        waited.append(time.monotonic() - began)
        assert process.returncode != 0
        steps.append(load(out / "last.npz").meta["step"])
        words = ["--resume", out.name, "--save-every", "1"]
    assert steps == sorted(steps)
    assert_ends_as_the_whole_run(train(folder, 2, *words), out)
    with capsys.disabled():
        print(f"\nkilled at steps {steps}, ended after {', '.join(f'{s:.1f}' for s in waited)} s")


@needs_mpi
@pytest.mark.parametrize("rank", [0, 1])
def test_an_error_of_one_rank_ends_all_with_one_sentence(folder, rank):
    out = folder / f"failed-{rank}"
    process = train(folder, 2, *SETTINGS, "--out", out.name, f"fail-{rank}-at-7")
    printed, err = process.communicate(timeout=60)
    assert process.returncode == 1, printed + err
    sentence, *rest = [line for line in err.splitlines() if "numpylstm" in line]
    assert re.search("not enough memory|rank 1: MemoryError: no memory", sentence)
    assert rest == []
    assert load(out / "last.npz").meta["step"] == 6  # everything up to the error


@needs_mpi
def test_ranks_that_do_not_divide_the_shards_are_refused_once(folder):
    process = train(folder, 3, *SETTINGS, "--out", "refused")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert err.count("--shards must be the number of MPI ranks, 3, or this times a power") == 1
    assert not (folder / "refused").exists()


# --- without MPI -------------------------------------------------------------------------------


def test_shards_add_up_to_the_gradient_of_the_batch(rng):
    model = nl.LanguageModel(31, 6, 2, dtype="float64", rng=0)
    x, y = rng.integers(31, size=(2, 5, 6))
    state = type(model.zero_state(6))(*rng.normal(size=(2, 2, 6, 6)))
    loss, after = model.forward(x, y, state)
    model.backward()
    expected = {path: p.grad for path, p in model.parameters().items()}
    for shards in (2, 3, 6):
        cost, nll, _, state_after = backpropagate(model, x, y, state, shards)
        assert cost == pytest.approx(loss, rel=1e-13)
        assert nll == pytest.approx(loss * 6, rel=1e-13)
        for whole, part in zip(after, state_after, strict=True):
            np.testing.assert_allclose(part, whole, rtol=1e-12, atol=1e-15)
        for path, p in model.parameters().items():
            np.testing.assert_allclose(p.grad, expected[path], rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("parts", range(1, 10))
def test_the_tree_of_a_sum_does_not_depend_on_blocks(parts):
    """A block of 1, 2 or 4 parts may be added by another rank first."""

    class Term(str):
        def __iadd__(self, other):
            return Term(f"({self}+{other})")

    tree = add_in_tree(Term, range(parts))
    assert tree.count("+") == parts - 1
    for block in (2, 4):
        if parts % block == 0:
            sums = [add_in_tree(Term, range(n, n + block)) for n in range(0, parts, block)]
            assert add_in_tree(sums.__getitem__, range(len(sums))) == tree


def test_rows_travel_alone_where_only_an_embedding_is_trained(monkeypatch):
    sent = []

    def allgather(value, flat):
        sent.append(flat.size)
        of_other = Rows(np.array([0, 4]), np.array([[5.0, 6.0], [7.0, 8.0]]))
        return [value, (["other pass"], [of_other])]

    monkeypatch.setattr(parallel, "RANKS", SimpleNamespace(size=2, allgather=allgather))
    rows = Rows(np.array([1, 4]), np.array([[1.0, 2.0], [3.0, 4.0]]))
    passes, (total,) = parallel.sum_over_ranks(["pass"], [rows], rows.values.dtype)
    assert (passes, sent) == (["pass", "other pass"], [0])
    assert total.rows.tolist() == [0, 1, 4]
    assert total.values.tolist() == [[5.0, 6.0], [1.0, 2.0], [10.0, 12.0]]


@pytest.mark.parametrize(("ranks", "shards", "fits"), [
    (1, 1, True), (1, 7, True), (2, 4, True), (3, 12, True), (4, 4, True),
    (2, 1, False), (2, 6, False), (4, 2, False), (3, 4, False),
])  # fmt: skip
def test_blocks_of_shards(monkeypatch, ranks, shards, fits):
    """The number for each rank is a power of two, so that its sum is a branch of the tree."""
    places = [Ranks(SimpleNamespace(rank=rank, size=ranks)) for rank in range(ranks)]
    monkeypatch.setattr(parallel, "RANKS", places[0])
    if fits:
        parallel.check_shards(shards)
        assert [shard for place in places for shard in place.local_shards(shards)] == [
            *range(shards)
        ]
        assert [list(place.local_shards(1)) for place in places] == [[0]] * ranks
    else:
        with pytest.raises(nl.ConfigError, match="shards must be the number of MPI ranks"):
            parallel.check_shards(shards)


def test_ranks_without_mpi_are_refused_a_common_run(monkeypatch):
    """Else each would start the same run."""
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    monkeypatch.setattr(parallel, "RANKS", connect())
    parallel.check_shards(1)
    with pytest.raises(nl.ConfigError, match=r"shards cannot be shared by MPI ranks: .*mpi4py"):
        parallel.check_shards(2)


def test_an_error_of_mpi_is_a_rank_that_failed():
    def test():
        raise RuntimeError("the connection is lost")  # as the errors of mpi4py are

    comm = SimpleNamespace(rank=0, size=2, Ibarrier=lambda: SimpleNamespace(Test=test))
    with pytest.raises(RankFailed, match="the connection is lost"):
        Ranks(comm).allgather(None)


def test_mpi_is_imported_by_the_ranks_of_mpiexec_only(folder):
    code = (
        "import sys; from numpylstm.cli.train import main; main(); print('mpi4py' in sys.modules)"
    )
    flags = (*TINY, "--steps", "2", "--shards", "2", "--out", "no-mpi")
    out, _ = run_python(code, *flags, cwd=folder, **ENVIRONMENT)
    assert out.splitlines()[-1] == "False"
