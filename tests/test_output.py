"""Output that is closed or full does not end a run.

Training goes on, or is saved and stops where the terminal was closed. In the end the files equal
those of an uninterrupted run, to the last byte.
"""

import logging
import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from support.runs import BIN, SHORT, files, run, start, train, whole_run

from numpylstm.cli.output import LINES, Log, logged

fcntl = pytest.importorskip("fcntl")
pty = pytest.importorskip("pty")
termios = pytest.importorskip("termios")

pytestmark = pytest.mark.usefixtures("signals_reach_a_child")


def lost(reason):
    return f"numpylstm-train: standard output is lost ({reason}); the run continues\n"


# --- pipes and files ---------------------------------------------------------------------------


@pytest.mark.rare
def test_a_reader_that_leaves_after_the_first_line(folder):
    """``numpylstm-train | head -1``: the run is trained and saved to its end."""
    process = start(folder, *SHORT, "--out", "head")
    process.stdout.readline()
    process.stdout.close()
    process.stdout = None  # or communicate() would read it
    _, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (0, lost("Broken pipe"))
    assert files(folder / "head") == whole_run(folder, SHORT)[0]


@pytest.mark.rare
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_to_a_full_disk(folder):
    with open("/dev/full", "w") as full:
        _, err = run(folder, *SHORT, "--out", "full", stdout=full)
    assert err == lost("No space left on device")
    assert files(folder / "full") == whole_run(folder, SHORT)[0]


def close_streams(*numbers):
    return lambda: [os.close(number) for number in numbers]


@pytest.mark.rare
@pytest.mark.parametrize(
    ("numbers", "says"), [((1,), lost("Bad file descriptor")), ((0, 1, 2), "")]
)
def test_closed_streams(folder, numbers, says):
    """As with ``>&-``. No file of the run may get the number of a stream: libraries write to 2."""
    out = f"closed {len(numbers)}"
    _, err = run(folder, *SHORT, "--out", out, preexec_fn=close_streams(*numbers))
    assert err == says
    assert files(folder / out) == whole_run(folder, SHORT)[0]


@pytest.mark.rare
def test_a_command_that_is_there_for_its_output_fails_without_it(folder):
    whole_run(folder, SHORT)
    checkpoint = next(folder.glob("whole-*/best.npz"))
    for name in ("eval", "sample"):
        done = subprocess.run(
            [BIN / f"numpylstm-{name}", checkpoint, "--quiet"],
            stderr=subprocess.PIPE,
            text=True,
            timeout=100,
            check=False,
            preexec_fn=close_streams(1),
        )
        assert done.returncode == 1
        assert done.stderr == f"numpylstm-{name}: error: standard output: Bad file descriptor\n"


# --- the log -----------------------------------------------------------------------------------


def test_the_log_gets_the_lines_below_the_command(tmp_path, monkeypatch):
    path = tmp_path / "log.txt"
    path.write_text("before\n")
    with monkeypatch.context() as patch:
        for logger in (LINES, logging.getLogger()):  # pytest -n cannot report half a surrogate pair
            patch.setattr(logger, "handlers", [])
        with logged(path, ["numpylstm-train", "--out", "a b"]):
            LINES.info("50 %\n\udcff")
        LINES.info("later")
    before, head, *lines = path.read_text().splitlines()
    assert before == "before"
    assert head.endswith("  numpylstm-train --out 'a b'")
    assert lines == ["50 %", "\\udcff"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_log_on_a_full_disk_is_dropped(capsys):
    log = Log("/dev/full")
    log.handle(logging.makeLogRecord({"msg": "a line"}))
    with suppress(OSError):
        log.close()
    assert capsys.readouterr().err == ""


# --- terminals ---------------------------------------------------------------------------------


def close_terminal(folder, out, more, hang_up=signal.SIG_DFL):
    """Close the terminal of a run after some output; return the exit status."""
    ours, theirs = pty.openpty()

    def take_terminal():
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)
        signal.signal(signal.SIGHUP, hang_up)

    process = start(
        folder, *SHORT, "--out", out, stdin=theirs, stdout=theirs, stderr=theirs,
        start_new_session=True, preexec_fn=take_terminal,
    )  # fmt: skip
    os.close(theirs)
    seen = b""
    while b"perplexity" not in seen:
        seen += os.read(ours, 4096)
    for _ in range(more):
        os.read(ours, 256)
    os.close(ours)
    return process.wait(timeout=300)


def test_a_closed_terminal_saves_first(folder):
    assert close_terminal(folder, "hung-up", 0) == 128 + signal.SIGHUP
    assert (folder / "hung-up" / "last.npz").exists()
    train(folder, "--resume", "hung-up")
    assert files(folder / "hung-up") == whole_run(folder, SHORT)[0]


@pytest.mark.rare
def test_a_run_under_nohup_outlives_its_terminal(folder):
    """Writing to a closed terminal does not stop it."""
    assert close_terminal(folder, "nohup", 1, signal.SIG_IGN) == 0
    assert files(folder / "nohup") == whole_run(folder, SHORT)[0]
