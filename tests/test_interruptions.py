"""A run loses nothing when a user, the machine or a full disk stops it.

Its files and the report at its end equal those of an uninterrupted run, to the last byte.
"""

import os
import random
import re
import shlex
import signal
import time
from pathlib import Path

import pytest
from support.processes import run_program, run_python
from support.runs import (
    TINY,
    called,
    files,
    finish,
    report,
    run,
    start,
    train,
    wait_for,
    whole_run,
)

import numpylstm as nl
from numpylstm.training import checkpoint, logs
from numpylstm.training import loop as training
from numpylstm.training.checkpoint import load, restore_run
from numpylstm.training.display import ProgressBar

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them"),
    pytest.mark.usefixtures("signals_reach_a_child"),
]


# --- kill -9 -----------------------------------------------------------------------------------


MANY = [
    (11, ()),
    (12, ("--momentum", "0.5", "--lr", "0.3", "--schedule", "plateau")),
    (13, ("--cell", "rnn", "--level", "char", "--dtype", "float64", "--optimizer", "adam")),
    (14, ("--tied", "--dropout", "0.5", "--steps", "250")),
    (15, ("--cell", "rnn", "--activation", "relu", "--log-gradients")),
]


@pytest.mark.parametrize(
    ("seed", "flags", "kills"),
    [(1, (), 2), *(pytest.param(*case, 8, marks=pytest.mark.slow) for case in MANY)],
)
def test_a_run_that_is_killed_often_ends_with_the_same_bytes(folder, seed, flags, kills, capsys):
    """At random moments: some rows of metrics, of which a run prints 25 or more, and milliseconds.

    So all kills come before the end, on a machine of any speed.
    """
    settings = (*TINY, *flags)
    expected, expected_report = whole_run(folder, settings)
    moments, in_a_save = random.Random(seed), 0
    out = folder / f"killed-{seed}"
    words = (*settings, "--out", out.name)
    for _ in range(kills):
        process = start(folder, *words)
        for _ in range(moments.randint(1, 1 + 20 // kills)):
            wait_for(process, "step ")
        time.sleep(moments.uniform(0, 0.02))
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        in_a_save += any(entry.suffix == ".tmp" for entry in out.iterdir())
        saved = restore_run(load(out / "last.npz"))  # whole, whatever happened
        assert saved.step > 0
        words = ("--resume", out.name, "--save-every", "1")
    printed, _ = run(folder, *words)
    assert report(printed) == expected_report
    assert files(out) == expected  # and no temporary file is left
    with capsys.disabled():
        print(f"\nkilled {kills} times, {in_a_save} of them while a file was written")


# --- signals -----------------------------------------------------------------------------------


def stopped_by(folder, name):
    """Stop a run by a signal; return its folder and the command that it prints."""
    number = getattr(signal, name)
    out = folder / f"stopped by {name}"  # a name that needs quotes
    process = start(folder, *TINY, "--out", out.name)
    seen = wait_for(process, "step 30/")
    process.send_signal(number)
    rest, err = finish(process, expect=128 + number)
    assert err == ""
    stopped = re.search(r"Stopped at epoch \d+, step (\d+); saved\. Resume with\n  (.*)\n", rest)
    assert stopped, seen + rest
    assert restore_run(load(out / "last.npz")).step == int(stopped[1])
    return out, shlex.split(stopped[2])


def test_a_signal_saves(folder):
    """The step is finished and saved. SIGHUP: see test_output.py, where a terminal is closed."""
    stopped_by(folder, "SIGTERM")


def test_ctrl_c_saves_and_says_how_to_go_on(folder):
    """The printed command resumes the run."""
    out, words = stopped_by(folder, "SIGINT")
    assert words[1:] == ["--resume", out.name, "--save-every", "1"]
    printed, _ = run_program(*words, cwd=folder)
    expected, expected_report = whole_run(folder, TINY)
    assert report(printed) == expected_report
    assert files(out) == expected


# --- within this process, where a fault can be placed exactly ----------------------------------


IN_THIS_PROCESS = pytest.mark.usefixtures("pictures_as_text")
NOT_SAVED_OFTEN = (*TINY[:-2], "--epochs", "2", "--dropout", "0.3")  # after 97 updates, and 194


def ctrl_c():
    signal.raise_signal(signal.SIGINT)


def run_out_of_memory():
    raise MemoryError("1 GiB")


def before_call(patch, place, name, act, at):
    """Act before the `at`-th call of a function of ours."""
    function, calls = getattr(place, name), []

    def acting(*arguments, **options):
        calls.append(None)
        if len(calls) == at:
            act()
        return function(*arguments, **options)

    patch.setattr(place, name, acting)


# A function of ours, the number of its call, what happens there, and the step that is saved: an
# error in an update leaves the last save; all others save first.
FAULTS = {
    "Ctrl-C in the first update": (training, "update", 1, ctrl_c, 1),
    "Ctrl-C in an update": (training, "update", 60, ctrl_c, 60),
    "Ctrl-C in a sample": (logs, "draw_sample", 2, ctrl_c, 97),
    "Ctrl-C in a validation": (ProgressBar, "validation", 7, ctrl_c, 97),
    "Ctrl-C in a save": (checkpoint, "save", 2, ctrl_c, 97),
    "no memory in a backward pass": (nl.LanguageModel, "backward", 61, run_out_of_memory, 0),
    "no memory in the step of the optimizer": (nl.SGD, "step", 123, run_out_of_memory, 97),
    "no memory in a validation": (training, "evaluate", 2, run_out_of_memory, 194),
    "no memory in a sample": (logs, "draw_sample", 2, run_out_of_memory, 97),
    "no memory in the log of gradients": (logs, "measure", 3, run_out_of_memory, 20),
    "no memory in the display": (ProgressBar, "follow", 60, run_out_of_memory, 55),
}


@IN_THIS_PROCESS
@pytest.mark.parametrize("what", FAULTS)
def test_what_was_done_between_updates_is_not_lost(folder, monkeypatch, what):
    place, name, at, act, saved = FAULTS[what]
    settings = (*NOT_SAVED_OFTEN, *["--log-gradients"] * ("log" in what))
    expected, expected_report = whole_run(folder, settings)
    out = folder / what
    with monkeypatch.context() as patch:
        before_call(patch, place, name, act, at)
        status = 130 if act is ctrl_c else 1
        printed, err = train(folder, *settings, "--out", out.name, expect=status)
    if act is ctrl_c:
        assert err == ""
        assert re.search(rf"Stopped at epoch \d, step {saved}; saved. Resume with", printed)
    else:
        assert err.count("\n") == 1
    assert restore_run(load(out / "last.npz")).step == saved
    printed, _ = train(folder, "--resume", out.name)
    assert report(printed) == expected_report
    assert files(out) == expected


@IN_THIS_PROCESS
def test_a_second_ctrl_c_does_not_wait_for_the_update(folder, monkeypatch):
    with monkeypatch.context() as patch:
        before_call(patch, nl.SGD, "step", lambda: [ctrl_c(), ctrl_c()], 123)
        _, err = train(folder, *NOT_SAVED_OFTEN, "--out", "twice", expect=130)
    assert "interrupted; continue with" in err
    assert restore_run(load(folder / "twice/last.npz")).step == 97


def test_an_explosion_does_not_take_the_place_of_what_was_saved(folder):
    """Nor does that of the resumed run."""
    out = folder / "exploded"
    flags = ("--lr", "1e4", "--clip", "1e30")
    for arguments in (*NOT_SAVED_OFTEN, *flags, "--out", out.name), ("--resume", out.name):
        train(folder, *arguments, expect=1)
        assert {load(path).meta["step"] for path in out.glob("*.npz")} == {0}
    assert not (out / "metrics.csv").exists()  # no row was due


@IN_THIS_PROCESS
def test_the_rows_before_an_explosion_are_kept(folder, monkeypatch):
    """They show why it happened."""

    def explode():
        raise training.TrainingFailed("not finite")

    fails = folder / "explodes late"
    with monkeypatch.context() as patch:
        before_call(patch, training, "update", explode, 45)
        train(folder, *NOT_SAVED_OFTEN, "--out", fails.name, expect=1)
    assert load(fails / "last.npz").meta["step"] == 0
    rows = (fails / "metrics.csv").read_text().splitlines()
    assert [line.split(",")[1] for line in rows[1:]] == ["10", "20", "30", "40"]
    train(folder, "--resume", fails.name)
    assert files(fails) == whole_run(folder, NOT_SAVED_OFTEN)[0]


# --- limits ------------------------------------------------------------------------------------


@IN_THIS_PROCESS
@pytest.mark.parametrize(("flag", "first", "last"), [("--steps", 60, 150), ("--epochs", 1, 2)])
def test_a_run_that_is_made_longer(folder, flag, first, last):
    """All files equal those of a run with the last limit, except where they hold the limit."""
    out = folder / f"longer by {flag}"
    train(folder, *NOT_SAVED_OFTEN, flag, first, "--out", out.name)
    printed, _ = train(folder, "--resume", out.name, flag, last)
    settings = NOT_SAVED_OFTEN if flag == "--epochs" else (*NOT_SAVED_OFTEN, flag, str(last))
    expected, expected_report = whole_run(folder, settings)
    assert report(printed) == expected_report
    found = files(out)
    for name in expected.keys() - {"best.npz"}:  # made under the first limit
        assert found[name] == expected[name]


@IN_THIS_PROCESS
def test_the_end_of_the_time_stops_as_ctrl_c_does(folder, monkeypatch):
    out = folder / "time"
    arguments = (*NOT_SAVED_OFTEN, "--out", out.name, "--stop-after", "1s")
    handler = signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patch:
        before_call(patch, training, "update", lambda: time.sleep(1), at=30)
        said, _ = train(folder, *arguments, expect=130)
    assert "saved. Resume with" in said
    assert called(said.splitlines()[-1])[:3] == ["numpylstm-train", "--resume", "time"]
    assert said.endswith("--threads 1 --stop-after 1s\n")
    assert signal.getsignal(signal.SIGTERM) == handler
    train(folder, "--resume", "time")
    assert files(out) == whole_run(folder, NOT_SAVED_OFTEN)[0]


# --- the disk, from outside --------------------------------------------------------------------


def limited(size):
    """Return a function that limits the size of every file, as a full disk does."""
    import resource

    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_a_full_disk(folder):
    out = folder / "full"
    train(folder, *TINY, "--out", out.name, "--epochs", "1")
    before = files(out)
    size = len(before["last.npz"])
    _, err = run(
        folder, "--resume", out.name, "--epochs", "3", expect=1, preexec_fn=limited(size // 2)
    )
    assert err == (
        "numpylstm-train: error: full/last.npz could not be written: File too large; what was "
        "saved before is still there\n"
    )
    assert files(out)["last.npz"] == before["last.npz"]
    train(folder, "--resume", out.name, "--epochs", "3")
    for name in ("last.npz", "metrics.csv", "config.json"):
        assert files(out)[name] == whole_run(folder, TINY)[0][name]


# --- the same bytes ----------------------------------------------------------------------------


def test_a_folder_in_which_another_process_trains_is_left_alone(folder):
    expected, _ = whole_run(folder, TINY)
    process = start(folder, *TINY, "--out", "held")
    wait_for(process, "step ")
    process.send_signal(signal.SIGSTOP)
    try:
        for flag, others in {"--resume": (), "--out": TINY}.items():
            before = {entry.name for entry in (folder / "held").iterdir()}
            _, err = train(folder, *others, flag, "held", expect=2)
            assert err == (
                f"numpylstm-train: error: {flag} held is in use: another process trains there; "
                "stop it first, or wait\n"
            )
            assert {entry.name for entry in (folder / "held").iterdir()} == before
    finally:
        process.send_signal(signal.SIGCONT)
    finish(process)
    assert files(folder / "held") == expected


@IN_THIS_PROCESS
@pytest.mark.parametrize("limit", [(), ("--steps", "30")], ids=["epochs", "steps"])
def test_a_run_that_has_ended_ends_again_with_its_pictures(folder, limit):
    """It may have been killed between its last save and its last picture."""
    settings = (*NOT_SAVED_OFTEN, *limit)
    expected, expected_report = whole_run(folder, settings)
    out = folder / f"ended {len(limit)}"
    train(folder, *settings, "--out", out.name)
    (out / "curves.png").unlink()
    printed, _ = train(folder, "--resume", out.name)
    assert report(printed) == expected_report
    assert files(out) == expected


@IN_THIS_PROCESS
def test_early_is_only_said_of_what_ends_early(folder):
    settings = (*NOT_SAVED_OFTEN, "--lr", "1e-30", "--patience", "1")  # nothing improves
    for epochs, early in (("2", False), ("3", True)):
        arguments = (*settings, "--epochs", epochs, "--out", f"patience-{epochs}")
        printed, _ = train(folder, *arguments)
        assert ("Stopped early" in printed) is early


def test_the_number_of_threads_changes_nothing(folder):
    settings = (
        "--train text.txt --hidden-size 72 --num-layers 2 --batch-size 20 --num-steps 8 "
        "--epochs 3 --log-every 3 --save-every 2"
    )
    wide = tuple(settings.split())
    expected, expected_report = whole_run(folder, wide)
    rows = 20 * 8
    assert rows * 72 * 50 < nl.functional.WORTH_WAKING < rows * 72 * 4 * 72  # both kinds of kernel
    printed, _ = run(folder, *wide, "--threads", "2", "--out", "threads", threads=2)
    assert report(printed) == expected_report
    assert files(folder / "threads") == expected


# --- memory ------------------------------------------------------------------------------------

MEASURE = """
import os
import numpy as np
import numpylstm as nl
from numpylstm.data import Corpus, Vocabulary

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

ids = np.random.default_rng(0).integers(0, 200, 13_000).astype(np.int32)
vocabulary = Vocabulary(("<unk>", *(f"w{k}" for k in range(1, 200))))
corpus = Corpus("made up", "word", vocabulary, ids, ids[:300], ids[:300], dict.fromkeys(
    ("train", "valid", "test"), 0))
config = nl.TrainConfig(hidden_size=32, num_steps=5, batch_size=4, epochs=9, log_every=50,
                        dropout=0.2, momentum=0.5, lr=0.1)
run = nl.new_run(config, corpus)
sizes = []
for item in nl.train(run, corpus):
    if run.step >= 300 and isinstance(item, nl.training.loop.Step):
        sizes.append(resident())
    if run.step == 1300:
        break
print(len(sizes), sizes[0], max(sizes))
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc/self/statm")
def test_memory_is_flat_over_a_thousand_steps(folder):
    out, _ = run_python(MEASURE, cwd=folder, NUMBA_NUM_THREADS="1")
    steps, first, highest = map(int, out.split())
    assert steps >= 1000
    assert highest < 1.02 * first
