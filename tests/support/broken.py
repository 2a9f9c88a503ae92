"""Break each promise on purpose, in a copy of the checkout, and note which tests notice.

``python -m tests.support.broken [PROMISE...]`` changes one line for each promise, runs tests, and
writes the day and those that failed to ``tests/figures/broken.json``; ``tests.support.report`` puts
them into the page.
"""

import argparse
import datetime
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from tests.support.report import ROOT, read, write


class Change(NamedTuple):
    """A line of the package, what stands there instead, and tests of the promise."""

    file: str
    old: str
    new: str
    tests: str


CHANGES = {
    "Gradients of the textbook": Change(
        "reference/lstm.py", "dc_prev = dc * f", "dc_prev = dc", "tests/test_reference.py"
    ),
    "The fast path is the textbook": Change(
        "kernels/lstm.py", "h[k] = o_k * tanh_c_k", "h[k] = o_k * c_k",
        "tests/test_functional.py tests/test_network.py",
    ),
    "Every float32": Change(
        "kernels/machine/elementary.py", "- quotient * lost", "", "tests/test_every_float32.py"
    ),
    "The golden tape": Change(
        "reference/gru.py", "dh_prev = dh * z +", "dh_prev = dh * (1 - z) +", "tests/test_tape.py"
    ),
    "Resume": Change(
        "training/checkpoint.py", 'model.rng.bit_generator.state = checkpoint.meta["rng"]',
        "pass", "tests/test_interruptions.py",
    ),
    "Threads": Change(
        "kernels/machine/compiling.py", "size * (share + 1) // shares",
        "(size * (share + 1) - share) // shares",
        "tests/test_threads.py tests/test_lengths.py",
    ),
    "Ranks": Change(
        "training/parallel.py", "first = self.rank * each % shards", "first = 0",
        "tests/test_mpi.py",
    ),
    "Files of others": Change(
        "saving.py", "allow_pickle=False", "allow_pickle=True",
        "tests/test_checkpoint_files.py tests/test_model_file.py",
    ),
    "The grader": Change(
        "laboratory/workbook/grading.py", "for place in BLANKS[name].places(outcomes.seed):",
        "for place in BLANKS[name].places(outcomes.seed)[:1]:", "tests/test_workbook.py",
    ),
    "The doctor": Change(
        "laboratory/doctor/reasoning.py", "and a.any()", "and not a.any()",
        "tests/test_museum.py tests/test_doctor.py",
    ),
    "The page": Change(
        "explore/engine.js", "(h) => 1 - h * h", "(h) => 1 - h", "tests/test_engine.py"
    ),
}  # fmt: skip


def noticed(change):
    """Return the names of the tests that fail in a changed copy of the last commit."""
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, capture_output=True, check=True)
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=BytesIO(archive.stdout)) as files:
            files.extractall(folder, filter="data")
        file = Path(folder, "numpylstm", change.file)
        text = file.read_text(encoding="utf-8")
        assert text.count(change.old) == 1, f"{change.old!r} must be once in {change.file}"
        file.write_text(text.replace(change.old, change.new), encoding="utf-8")
        tests = ["-m", "not slow", *change.tests.split()]
        command = [sys.executable, "-m", "pytest", "-q", "--tb=no", *tests]
        environment = os.environ | {"PYTHONPATH": folder}
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
    failed = re.findall(r"^FAILED tests/(test_\w+\.py::(?:\w+::)?\w+)", done.stdout, re.M)
    assert failed or done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return sorted(set(failed))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("promises", nargs="*", help="all by default", metavar="PROMISE")
    rows = read("broken")
    for promise in parser.parse_args().promises or CHANGES:
        change = CHANGES[promise]
        rows[promise] = {
            "day": datetime.date.today().isoformat(),
            "file": change.file,
            "old": change.old,
            "new": change.new,
            "noticed": noticed(change),
        }
        print(promise, rows[promise]["noticed"], flush=True)
        write("broken", rows)


if __name__ == "__main__":
    main()
