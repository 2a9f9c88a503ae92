"""A run loses nothing when a user, the machine or a full disk stops it.

Its files and the report at its end equal those of an uninterrupted run, to the last byte.
"""

import errno
import io
import json
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from support.runs import (
    TINY,
    WIDE,
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
from numpylstm import saving
from numpylstm.cli import train as train_command
from numpylstm.training import gradient_log, sample_log, signals
from numpylstm.training import loop as training
from numpylstm.training.checkpoint import load, restore_run
from numpylstm.training.display import Progress

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them"),
    pytest.mark.usefixtures("signals_reach_a_child"),
]


# --- kill -9 -----------------------------------------------------------------------------------


def kill_and_resume(folder, settings, kills, seed):
    """Kill a run at random moments, resume it each time, and compare its end.

    A moment is some rows of metrics, of which a run prints 25 or more, and some milliseconds: so
    all kills come before the end, on a machine of any speed. Returns how many kills there were,
    and how many of them in a save.
    """
    expected, expected_report = whole_run(folder, settings)
    moments = random.Random(seed)
    out = folder / f"killed-{seed}"
    killed = in_a_save = 0
    while True:
        begun = (out / "last.npz").exists()
        again = ("--resume", out.name, "--save-every", "1")
        process = start(folder, *(again if begun else (*settings, "--out", out.name)))
        if killed < kills:
            wait_for(process, "step ")
            for _ in range(moments.randint(0, 20 // kills)):
                wait_for(process, "step ")
            time.sleep(moments.uniform(0, 0.02))
            process.kill()
            process.communicate()
            assert process.returncode == -signal.SIGKILL
            killed += 1
            in_a_save += any(entry.suffix == ".tmp" for entry in out.iterdir())
            saved = restore_run(load(out / "last.npz"))  # whole, whatever happened
            assert saved.step > 0
        else:
            printed, _ = finish(process)
            break
    assert report(printed) == expected_report
    assert files(out) == expected  # and no temporary file is left
    return killed, in_a_save


def test_a_run_that_is_killed_three_times_ends_with_the_same_bytes(folder):
    killed, _ = kill_and_resume(folder, TINY, kills=3, seed=1)
    assert killed == 3


def test_a_log_of_gradients_ends_with_the_same_bytes(folder):
    killed, _ = kill_and_resume(folder, (*TINY, "--log-gradients"), kills=2, seed=3)
    assert killed == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seed", "flags"),
    [
        (11, ()),
        (12, ("--momentum", "0.5", "--lr", "0.3", "--schedule", "plateau")),
        (13, ("--cell", "rnn", "--level", "char", "--dtype", "float64", "--optimizer", "adam")),
        (14, ("--tied", "--dropout", "0.5", "--steps", "250")),
        (15, ("--cell", "rnn", "--activation", "relu", "--log-gradients")),
    ],
)
def test_kills_without_end(folder, seed, flags, capsys):
    killed, in_a_save = kill_and_resume(folder, (*TINY, *flags), kills=8, seed=seed)
    with capsys.disabled():
        print(f"\nkilled {killed} times, {in_a_save} of them while a file was written")
    assert killed == 8


# --- signals -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_saves_and_says_how_to_go_on(folder, name):
    """The step is finished and saved, and the printed command resumes the run."""
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

    words = shlex.split(stopped[2])
    assert words[1:] == ["--resume", out.name, "--save-every", "1"]
    done = subprocess.run(
        words, cwd=folder, capture_output=True, text=True, timeout=300, check=True
    )
    printed = done.stdout
    expected, expected_report = whole_run(folder, TINY)
    assert report(printed) == expected_report
    assert files(out) == expected


def test_many_signals_at_once_harm_nothing(folder):
    """As if Ctrl-C were held down."""
    out = folder / "leaned-on"
    process = start(folder, *TINY, "--out", out.name)
    wait_for(process, "step 20/")
    while process.poll() is None:
        process.send_signal(signal.SIGINT)
        time.sleep(0.002)
    process.communicate()
    assert process.returncode in (130, -signal.SIGINT)  # the last may come after all is done
    printed, _ = train(folder, "--resume", out.name)
    expected, expected_report = whole_run(folder, TINY)
    assert report(printed) == expected_report
    assert files(out) == expected


def test_what_the_shell_ignores_stays_ignored(folder):
    """``nohup numpylstm-train`` outlives its terminal."""
    process = start(
        folder, *TINY, "--out", "nohup",
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )  # fmt: skip
    wait_for(process, "step 20/")
    process.send_signal(signal.SIGHUP)
    finish(process)


# --- within this process, where a fault can be placed exactly ----------------------------------


class Fault:
    """A stand-in for a function that fails at its `at`-th call, perhaps after some of its work."""

    def __init__(self, function, error, at, partly=None):
        self.function, self.error, self.at, self.partly = function, error, at, partly
        self.calls = 0

    def __call__(self, *arguments, **options):
        if isinstance(arguments[0], Path) and arguments[0].suffix != ".tmp":
            return self.function(*arguments, **options)  # only files that are saved count
        self.calls += 1
        if self.calls != self.at:
            return self.function(*arguments, **options)
        if self.partly is not None:
            self.partly(*arguments)
        raise self.error

    def __get__(self, instance, owner):
        """As a method."""
        return self if instance is None else lambda *a, **o: self(instance, *a, **o)


def some_bytes(file, *arguments):
    file.write(b"PK\x03\x04 the beginning of something")


NO_SPACE = OSError(errno.ENOSPC, "No space left on device")
IO_ERROR = OSError(errno.EIO, "Input/output error")

FAULTS = {
    "writing fails": (saving, "write_members", NO_SPACE, some_bytes),
    "flushing to the disk fails": (os, "fsync", IO_ERROR, None),
    "renaming fails": (Path, "replace", OSError(errno.EACCES, "Permission denied"), None),
    "no file can be made": (Path, "open", OSError(errno.EROFS, "Read-only file system"), None),
}


def train_here(folder, monkeypatch, *arguments):
    monkeypatch.chdir(folder)
    return train_command.main(["--threads", "1", *map(str, arguments)])


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("at", [1, 12, 61])
def test_a_save_that_fails_leaves_what_was_saved(folder, monkeypatch, capsys, fault, at):
    """Status 1 and one sentence; the run can be resumed, and loses nothing."""
    out = folder / f"{fault} {at}"
    place, name, error, partly = FAULTS[fault]
    with monkeypatch.context() as patch:
        patch.setattr(place, name, Fault(getattr(place, name), error, at, partly))
        assert train_here(folder, patch, *TINY, "--out", out.name) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert re.fullmatch(
        rf"numpylstm-train: error: {out.name}/(last\.npz|best\.npz|metrics\.csv|config\.json"
        rf"|vocabulary\.json|curves\.png) could not be written: {error.strerror}; what was saved "
        r"before is still there\n",
        err,
    )
    assert not [entry.name for entry in out.iterdir() if entry.suffix == ".tmp"]
    begun = (out / "last.npz").exists()
    assert begun or at == 1
    again = ("--resume", out.name) if begun else (*TINY, "--out", out.name)
    assert train_here(folder, monkeypatch, *again) == 0
    expected, _ = whole_run(folder, TINY)
    assert files(out) == expected


def test_a_temporary_file_that_cannot_be_removed_is_removed_later(folder, monkeypatch, capsys):
    """The message is that of the first error."""
    out = folder / "stuck"
    with monkeypatch.context() as patch:
        patch.setattr(saving, "write_members", Fault(saving.write_members, NO_SPACE, 9, some_bytes))
        stuck = OSError(errno.EPERM, "Operation not permitted")
        patch.setattr(Path, "unlink", lambda *a, **o: (_ for _ in ()).throw(stuck))
        assert train_here(folder, patch, *TINY, "--out", out.name) == 1
    assert "No space left on device" in capsys.readouterr().err
    assert [entry.suffix for entry in out.iterdir()].count(".tmp") == 1
    assert train_here(folder, monkeypatch, "--resume", out.name) == 0
    assert files(out) == whole_run(folder, TINY)[0]


def test_a_second_ctrl_c_in_the_middle_of_a_save_stops_at_once(folder, monkeypatch, capsys):
    out = folder / "twice"

    def interrupt(*arguments):
        some_bytes(*arguments)
        signal.raise_signal(signal.SIGINT)  # the first is only noted
        signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(
            saving,
            "write_members",
            Fault(saving.write_members, AssertionError("not stopped"), 20, interrupt),
        )
        assert train_here(folder, patch, *TINY, "--out", out.name) == 130
    said = f"interrupted; {out.name}/last.npz holds the run as last saved"
    assert capsys.readouterr().err == f"numpylstm-train: {said}\n"
    assert not [entry.name for entry in out.iterdir() if entry.suffix == ".tmp"]
    assert restore_run(load(out / "last.npz")).step == 18  # the first save is before step 1
    assert train_here(folder, monkeypatch, "--resume", out.name) == 0
    assert files(out) == whole_run(folder, TINY)[0]


def test_a_folder_that_disappears(folder, monkeypatch, capsys):
    out = folder / "disappears"
    with monkeypatch.context() as patch:
        remove = Fault(saving.write_members, NO_SPACE, 9, lambda *_: shutil.rmtree(out))
        patch.setattr(saving, "write_members", remove)
        assert train_here(folder, patch, *TINY, "--out", out.name) == 1
    assert "disappears/last.npz could not be written" in capsys.readouterr().err


# --- errors in a run ---------------------------------------------------------------------------

NOT_SAVED_OFTEN = (*TINY[:-2], "--epochs", "2", "--dropout", "0.3")  # after 97 updates, and 194


def fail_in(patch, place, name, error, at):
    """Let a function fail at its `at`-th call, after its work."""
    function, calls = getattr(place, name), []

    def failing(*arguments, **options):
        result = function(*arguments, **options)
        calls.append(None)
        if len(calls) == at:
            if isinstance(error, Exception):
                raise error
            error()
        return result

    patch.setattr(place, name, failing)


def two_ctrl_c():
    signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGINT)
    raise AssertionError("not stopped")


# Before the run, all is done once: a backward pass, two steps of the optimizer.
ERRORS = {
    "a backward pass": (nl.LanguageModel, "backward", MemoryError("1 GiB"), 62, 60),
    "two Ctrl-C in a backward pass": (nl.LanguageModel, "backward", two_ctrl_c, 62, 60),
    "a validation": (training, "evaluate", MemoryError("1 GiB"), 2, 194),
    "the end of an epoch": (training, "close_row", MemoryError("1 GiB"), 20, 97),
    "the step of the optimizer": (nl.SGD, "step", MemoryError("1 GiB"), 123, 97),
}


@pytest.mark.parametrize("what", ERRORS)
def test_an_error_saves_first_if_the_run_is_whole(folder, monkeypatch, capsys, what):
    place, name, error, at, saved = ERRORS[what]
    interrupted = error is two_ctrl_c
    out = folder / f"error in {what}"
    with monkeypatch.context() as patch:
        fail_in(patch, place, name, error, at)
        status = train_here(folder, patch, *NOT_SAVED_OFTEN, "--out", out.name)
    assert status == (130 if interrupted else 1)
    says = "interrupted" if interrupted else "error: not enough memory (1 GiB); use smaller sizes"
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert err.startswith(f"numpylstm-train: {says}")
    assert err.endswith(f"; {out.name}/last.npz holds the run as last saved\n")
    assert restore_run(load(out / "last.npz")).step == saved
    assert train_here(folder, monkeypatch, "--resume", out.name) == 0
    assert files(out) == whole_run(folder, NOT_SAVED_OFTEN)[0]


@pytest.mark.parametrize("log", ["sample_log", "gradient_log"])
def test_a_log_that_cannot_be_written_costs_no_update(folder, monkeypatch, capsys, log):
    """The run is saved without it, and what is missing is written when it goes on."""
    settings = (*NOT_SAVED_OFTEN, "--log-gradients")
    module, name = {
        "sample_log": (sample_log, "generate"),
        "gradient_log": (gradient_log, "measure"),
    }[log]
    function, calls = getattr(module, name), []

    def fails_from_the_third(*arguments, **options):
        calls.append(None)
        if len(calls) >= 3:
            raise MemoryError("1 GiB")
        return function(*arguments, **options)

    out = folder / f"no {log}"
    with monkeypatch.context() as patch:
        patch.setattr(module, name, fails_from_the_third)
        assert train_here(folder, patch, *settings, "--out", out.name) == 1
    assert len(calls) == 4  # it was tried once more
    saved = restore_run(load(out / "last.npz"))
    assert saved.step == (194 if log == "sample_log" else saved.rows[1].step)
    assert train_here(folder, monkeypatch, "--resume", out.name) == 0
    assert files(out) == whole_run(folder, settings)[0]
    capsys.readouterr()


def test_an_explosion_does_not_take_the_place_of_what_was_saved(folder, monkeypatch, capsys):
    """Nor does that of the resumed run."""
    out = folder / "exploded"
    flags = ("--lr", "1e4", "--clip", "1e30")
    for arguments in (*NOT_SAVED_OFTEN, *flags, "--out", out.name), ("--resume", out.name):
        assert train_here(folder, monkeypatch, *arguments) == 1
        assert {load(path).meta["step"] for path in out.glob("*.npz")} == {0}
    assert not (out / "metrics.csv").exists()  # no row was due
    assert "last.npz holds the run as last saved" in capsys.readouterr().err


def test_the_rows_before_an_explosion_are_kept(folder, monkeypatch, capsys):
    """They show why it happened."""
    fails = folder / "explodes late"
    update, calls = training.update, []

    def explode(*arguments):
        calls.append(None)
        if len(calls) == 45:
            raise training.TrainingFailed("not finite")
        return update(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(training, "update", explode)
        assert train_here(folder, patch, *NOT_SAVED_OFTEN, "--out", fails.name) == 1
    assert load(fails / "last.npz").meta["step"] == 0
    rows = (fails / "metrics.csv").read_text().splitlines()
    assert [line.split(",")[1] for line in rows[1:]] == ["10", "20", "30", "40"]
    assert train_here(folder, monkeypatch, "--resume", fails.name) == 0
    assert files(fails) == whole_run(folder, NOT_SAVED_OFTEN)[0]
    capsys.readouterr()


def test_a_folder_that_is_deleted(folder, monkeypatch, capsys):
    """Nothing is said of a checkpoint that is gone."""
    out = folder / "deleted"
    with monkeypatch.context() as patch:
        fail_in(patch, Progress, "show", lambda: shutil.rmtree(out), 30)
        assert train_here(folder, patch, *NOT_SAVED_OFTEN, "--out", out.name) == 1
    assert capsys.readouterr().err == (
        "numpylstm-train: error: deleted/samples.json could not be written: No such file or "
        "directory; deleted/last.npz no longer exists\n"
    )


def test_an_internal_error_saves_first_and_is_shown_whole(folder, monkeypatch):
    """The traceback has a note."""
    with monkeypatch.context() as patch:
        fail_in(patch, Progress, "show", ZeroDivisionError("a mistake"), 100)
        with pytest.raises(ZeroDivisionError) as raised:
            train_here(folder, patch, *NOT_SAVED_OFTEN, "--out", "mistake")
    assert raised.value.__notes__ == ["mistake/last.npz holds the run as last saved"]
    saved = restore_run(load(folder / "mistake" / "last.npz")).step
    assert 80 < saved < 100  # of a hundred items some were rows
    assert train_here(folder, monkeypatch, "--resume", "mistake") == 0
    assert files(folder / "mistake") == whole_run(folder, NOT_SAVED_OFTEN)[0]


# --- validations, limits, the compilation ------------------------------------------------------


@pytest.mark.parametrize("limit", [(), ("--steps", "120")], ids=["of an epoch", "at a limit"])
def test_ctrl_c_in_a_validation(folder, monkeypatch, capsys, limit):
    """The run stops there and is saved; the validation is made again."""
    settings = (*NOT_SAVED_OFTEN, *limit)
    out = folder / f"validating {len(limit)}"
    calls = []

    def interrupt(*_):
        calls.append(None)
        if len(calls) == 7:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Progress, "validation", interrupt)
        assert train_here(folder, patch, *settings, "--out", out.name) == 130
    said = capsys.readouterr()
    assert said.err == ""
    assert "Stopped at epoch 1, step 97; saved. Resume with" in said.out
    assert len(calls) == 7
    assert train_here(folder, monkeypatch, "--resume", out.name) == 0
    expected, expected_report = whole_run(folder, settings)
    assert report(capsys.readouterr().out) == expected_report
    assert files(out) == expected


def without_limit(content):
    """Return the arrays of a checkpoint, and its JSON without the limit of steps."""
    with np.load(io.BytesIO(content)) as arrays:
        found = {name: arrays[name].tobytes() for name in arrays if name != "checksum"}
    meta = json.loads(found.pop("meta"))
    del meta["config"]["steps"]
    return found, meta


@pytest.mark.parametrize("limits", [(150, 250), (97, 120, 291), (30, 60)], ids=str)
def test_a_run_that_a_limit_of_steps_ended_goes_on(folder, monkeypatch, capsys, limits):
    """It reports like any other, and ends with the bytes of a run that had the last limit at once.

    An epoch has 97 updates: limits lie within the first, within a later one, at the end of one.
    """
    settings = (*TINY, "--lr", "3", "--dropout", "0.3")  # the validation goes up and down
    out = folder / f"limits {limits}"
    train_here(folder, monkeypatch, *settings, "--steps", limits[0], "--out", out.name)
    for limit in limits[1:]:
        assert "Test perplexity" in capsys.readouterr().out
        assert load(out / "best.npz").meta["step"] <= load(out / "last.npz").meta["step"]
        assert train_here(folder, monkeypatch, "--resume", out.name, "--steps", limit) == 0
    expected, expected_report = whole_run(folder, (*settings, "--steps", str(limits[-1])))
    assert report(capsys.readouterr().out) == expected_report
    found = files(out)
    assert found.keys() == expected.keys()
    for name in expected:
        if name.startswith("best"):  # made while another limit was planned
            assert without_limit(found[name]) == without_limit(expected[name])
        else:
            assert found[name] == expected[name]


def test_the_best_epoch_comes_back_when_a_run_goes_on(folder, monkeypatch):
    """The end within an epoch was better than all epochs until the run went on."""
    out = folder / "best epoch"
    settings = (*TINY, "--steps", "150", "--out", out.name)
    assert train_here(folder, monkeypatch, *settings) == 0
    assert load(out / "best.npz").meta["step"] == 150
    assert load(out / "best-epoch.npz").meta["step"] == 97

    def stop_at_once(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training, "update", stop_at_once)
        assert train_here(folder, patch, "--resume", out.name, "--steps", "200") == 130
    assert load(out / "best.npz").meta["step"] == 97
    assert not (out / "best-epoch.npz").exists()


@pytest.mark.skipif(nl.kernels.machine.compiling.config.DISABLE_JIT, reason="nothing is compiled")
def test_ctrl_c_while_kernels_are_compiled(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    process = start(folder, *TINY, "--out", "compiling")
    wait_for(process, "Compiling kernels")
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    _, err = finish(process, expect=130)
    said, _, command = err.partition("; continue with ")
    assert said == "numpylstm-train: interrupted; compiling kernels was not finished"
    assert called(command) == ["numpylstm-train", "--resume", "compiling", "--save-every", "1"]
    assert restore_run(load(folder / "compiling" / "last.npz")).step == 0


# --- the end of the time -----------------------------------------------------------------------


def test_the_end_of_the_time_stops_as_ctrl_c_does(folder, monkeypatch, capsys):
    """At the same item both save the same run, say the same and end with the same status."""
    printed = {}
    for way in ("time", "Ctrl-C"):
        looks = []

        def clock(way=way, looks=looks):
            looks.append(None)
            if way == "Ctrl-C" and len(looks) == 49:
                signal.raise_signal(signal.SIGINT)  # noticed at the next item
            return 1e12 if way == "time" and len(looks) == 50 else 0.0

        with monkeypatch.context() as patch:
            patch.setattr(signals, "time", SimpleNamespace(monotonic=clock))
            arguments = (*NOT_SAVED_OFTEN, "--out", way, "--stop-after", "2h")
            assert train_here(folder, patch, *arguments) == 130
        printed[way] = capsys.readouterr().out.partition("Stopped")[2]
    assert called(printed["time"].splitlines()[-1]) == [
        "numpylstm-train", "--resume", "time", "--threads", "1", "--stop-after", "7200s",
    ]  # fmt: skip
    assert printed["Ctrl-C"] == printed["time"].replace("--resume time", "--resume Ctrl-C")
    assert files(folder / "time") == files(folder / "Ctrl-C")
    assert load(folder / "time" / "previous.npz").meta["step"] == 0  # it was saved only once
    assert train_here(folder, monkeypatch, "--resume", "time", "--stop-after", "2h") == 0
    assert files(folder / "time") == whole_run(folder, NOT_SAVED_OFTEN)[0]


# --- before the run ----------------------------------------------------------------------------

INTERRUPTED_IMPORT = """
import signal, sys

class CtrlC:
    def find_spec(name, *_):
        if name == {module!r}:
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, CtrlC)
from numpylstm.cli import {command}
sys.exit({command}.main(["absent"]))
"""


@pytest.mark.parametrize(
    ("command", "module"),
    [("eval", "numpy"), ("sample", "numba"), ("eval", "numpylstm.kernels.lstm")],
)
def test_ctrl_c_while_the_engine_is_loaded(command, module):
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_IMPORT.format(command=command, module=module)],
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 130
    assert done.stderr == (
        f"numpylstm-{command}: interrupted; loading was not finished; nothing was started\n"
    )


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


def test_a_disk_that_is_full_from_the_start(folder):
    """The command works once there is room."""
    arguments = (*TINY, "--steps", "3", "--out", "no-room")
    _, err = run(folder, *arguments, expect=1, preexec_fn=limited(2000))
    assert "no-room/last.npz could not be written: File too large" in err
    assert err.count("\n") == 1
    train(folder, *arguments)


@pytest.mark.parametrize(
    ("place", "crash"),
    [
        ("before the rename", "pathlib.Path.replace = crash"),
        (
            "in the middle of writing",
            "saving.write_members = lambda file, _: (file.write(b'PK'), crash())",
        ),
    ],
)
def test_a_crash_in_a_save(folder, place, crash):
    """The process dies at once, as with a power cut: no handler, no `finally`."""
    out = folder / place
    script = f"""
import os, pathlib, sys
from numpylstm import saving
from numpylstm.cli import train
from numpylstm.training import run_folder

save, count = run_folder.checkpoint.save, 0

def crash(*_):
    os._exit(77)

def count_down(run, path):
    global count
    count += 1
    if count == 30:
        {crash}
    save(run, path)

run_folder.checkpoint.save = count_down
train.main(sys.argv[1:])
"""
    done = subprocess.run(
        [sys.executable, "-c", script, *TINY, "--out", out.name],
        cwd=folder, capture_output=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 77
    assert [entry.suffix for entry in out.iterdir()].count(".tmp") == 1
    assert restore_run(load(out / "last.npz")).step == 28
    printed, _ = train(folder, "--resume", out.name)
    expected, expected_report = whole_run(folder, TINY)
    assert report(printed) == expected_report
    assert files(out) == expected


def test_a_run_that_was_killed_before_its_first_save_can_be_started_again(folder):
    out = folder / "early"
    out.mkdir()
    (out / ".last.npz.0123abcd.tmp").write_bytes(b"PK")
    train(folder, *TINY, "--steps", "3", "--out", out.name)
    assert not list(out.glob(".*.tmp"))


# --- the same bytes ----------------------------------------------------------------------------


def test_a_folder_in_which_another_process_trains_is_left_alone(folder):
    expected, _ = whole_run(folder, TINY)
    process = start(folder, *TINY, "--out", "held")
    wait_for(process, "step ")
    process.send_signal(signal.SIGSTOP)
    try:
        for arguments in (("--resume", "held"), (*TINY, "--out", "held")):
            before = {entry.name for entry in (folder / "held").iterdir()}
            _, err = train(folder, *arguments, expect=2)
            assert err == (
                "numpylstm-train: error: held is in use: another process trains there; "
                "stop it first, or wait\n"
            )
            assert {entry.name for entry in (folder / "held").iterdir()} == before
    finally:
        process.send_signal(signal.SIGCONT)
    finish(process)
    assert files(folder / "held") == expected


def test_resumed_at_the_end_of_an_epoch_and_made_longer(folder):
    """All files equal those of a longer run, except where they hold the number of epochs."""
    out = folder / "longer"
    train(folder, *TINY, "--epochs", "2", "--out", out.name)
    printed, _ = train(folder, "--resume", out.name, "--epochs", "3")
    expected, expected_report = whole_run(folder, TINY)
    found = files(out)
    assert report(printed) == expected_report
    for name in expected.keys() - {"best.npz"}:  # made while two epochs were planned
        assert found[name] == expected[name]


@pytest.mark.parametrize("limit", [(), ("--steps", "30")], ids=["epochs", "steps"])
def test_a_run_that_has_ended_ends_again_with_its_pictures(folder, monkeypatch, capsys, limit):
    """It may have been killed between its last save and its last picture."""
    expected, expected_report = whole_run(folder, (*TINY, *limit))
    out = folder / f"ended {len(limit)}"
    assert train_here(folder, monkeypatch, *TINY, *limit, "--out", out.name) == 0
    (out / "curves.png").unlink()
    capsys.readouterr()
    assert train_here(folder, monkeypatch, "--resume", out.name) == 0
    assert report(capsys.readouterr().out) == expected_report
    assert files(out) == expected


def test_early_is_only_said_of_what_ends_early(folder, monkeypatch, capsys):
    settings = (*TINY, "--lr", "1e-30", "--patience", "1")  # nothing improves
    for epochs, early in (("2", False), ("3", True)):
        arguments = (*settings, "--epochs", epochs, "--out", f"patience-{epochs}")
        assert train_here(folder, monkeypatch, *arguments) == 0
        assert ("Stopped early" in capsys.readouterr().out) is early


def test_the_number_of_threads_changes_nothing(folder):
    """One thread; two threads, stopped within an epoch and resumed with one."""
    expected, expected_report = whole_run(folder, WIDE)
    rows = 20 * 8
    assert rows * 72 * 50 < nl.functional.WORTH_WAKING < rows * 72 * 4 * 72  # both kinds of kernel
    out = folder / "threads"
    process = start(folder, *WIDE, "--threads", "2", "--out", out.name, threads=2)
    wait_for(process, "epoch   2")
    process.send_signal(signal.SIGINT)
    finish(process, expect=130)
    printed, _ = train(folder, "--resume", out.name)
    assert report(printed) == expected_report
    assert files(out) == expected
    run(folder, *WIDE, "--threads", "2", "--out", "both", threads=2)
    assert files(folder / "both") == expected


@pytest.mark.slow
def test_a_fresh_cache_of_kernels_changes_nothing(folder, tmp_path, monkeypatch):
    expected, expected_report = whole_run(folder, WIDE)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    for name in ("fresh", "warm"):
        printed, _ = run(folder, *WIDE, "--out", name, threads=2)
        assert report(printed) == expected_report
        assert files(folder / name) == expected


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
    done = subprocess.run(
        [sys.executable, "-c", MEASURE],
        cwd=folder, capture_output=True, text=True, check=True,
        env=os.environ | {"NUMBA_NUM_THREADS": "1"},
    )  # fmt: skip
    steps, first, highest = map(int, done.stdout.split())
    assert steps >= 1000
    assert highest < 1.02 * first
