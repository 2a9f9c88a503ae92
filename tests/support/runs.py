"""Run the commands, in this process or in processes of their own."""

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np

from numpylstm.cli import eval, explore, export, import_, sample
from numpylstm.cli import train as train_command
from numpylstm.data import Corpus, Vocabulary
from numpylstm.training.run_folder import RECORDS

BIN = Path(sys.executable).parent
MAIN = {
    "numpylstm-train": train_command.main,
    "numpylstm-eval": eval.main,
    "numpylstm-sample": sample.main,
    "numpylstm-export": export.main,
    "numpylstm-import": import_.main,
    "numpylstm-explore": explore.main,
}
TINY = ("--train", "text.txt", "--hidden-size", "8", "--num-layers", "2", "--batch-size", "4",
        "--num-steps", "5", "--epochs", "3", "--max-vocab", "40", "--log-every", "10",
        "--save-every", "1")  # fmt: skip
SHORT = (*TINY[:-2], "--epochs", "2", "--save-every", "50")  # an epoch has 97 updates


def made_up(V, train, valid, test):
    """Return a corpus of ids; its words are <unk>, w1, w2, ..."""
    vocabulary = Vocabulary(("<unk>", *(f"w{k}" for k in range(1, V))))
    unknown = dict.fromkeys(("train", "valid", "test"), 0)
    return Corpus("made up", "word", vocabulary, train, valid, test, unknown)


def write_words(folder):
    """Write text.txt, 2,000 words that each depend on the one before; return the folder."""
    rng = np.random.default_rng(0)
    ids = np.cumsum(rng.choice([1, 3, 7], 2000)) % 50
    (folder / "text.txt").write_text(
        "".join(f"w{k}{' ' if n % 12 else chr(10)}" for n, k in enumerate(ids, 1))
    )
    return folder


class PictureAsText:
    """The data of a picture in its place: drawing takes two thirds of the time of a short run."""

    def __init__(self, *data, **options):
        self.data = repr((data, options))

    def savefig(self, file, **how):
        file.write(self.data.encode())


def call(folder, name, *arguments, expect=0):
    """Run a command in this process, which is quicker, and return (stdout, stderr)."""
    out, err = io.StringIO(), io.StringIO()
    streams = contextlib.redirect_stdout(out), contextlib.redirect_stderr(err)
    with contextlib.chdir(folder), streams[0], streams[1]:
        try:
            status = MAIN[name]([*map(str, arguments)])
        except SystemExit as left:  # from argparse
            status = left.code
    assert status == expect, out.getvalue() + err.getvalue()
    return out.getvalue(), err.getvalue()


def train(folder, *arguments, expect=0):
    """Train in this process, with one thread."""
    return call(folder, "numpylstm-train", "--threads", "1", *arguments, expect=expect)


def start(folder, *arguments, threads=1, **options):
    """Start a run in a process of its own."""
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(
        [BIN / "numpylstm-train", *map(str, arguments)],
        cwd=folder,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1", "NUMBA_NUM_THREADS": str(threads)},
        **(streams | options),
    )


def finish(process, expect=0):
    """Wait for the end of a process and return (stdout, stderr)."""
    out, err = process.communicate(timeout=300)
    assert process.returncode == expect, out + err
    return out, err


def run(folder, *arguments, expect=0, **options):
    """Train in a process of its own and return (stdout, stderr)."""
    return finish(start(folder, *arguments, **options), expect)


def wait_for(process, text):
    """Read the output of a process up to a line with this text and return it."""
    seen = ""
    for line in process.stdout:
        seen += line
        if text in line:
            return seen
    raise AssertionError(f"{text!r} was never printed: {seen}{process.stderr.read()}")


def called(line):
    """Return the words of a command that was printed, without the path of its name."""
    name, *words = shlex.split(line)
    return [Path(name).name, *words]


def report(out):
    """Return the end of the output of a run, without the name of its folder."""
    return re.sub(r"Saved in [^:]*|Next: .*", "", out[out.index("Test perplexity") :])


def files(path):
    """Return the bytes of every file of a run by name, except those that record times."""
    entries = (entry for entry in path.iterdir() if entry.name not in RECORDS)
    return {entry.name: entry.read_bytes() for entry in entries}


def whole_run(folder, settings):
    """Return the files and the report of an uninterrupted run, trained once per settings."""
    path = folder / f"whole-{abs(hash(settings))}"
    kept = path.with_suffix(".txt")
    if not kept.exists():
        out, _ = train(folder, *settings, "--out", path.name)
        kept.write_text(report(out))
    return files(path), kept.read_text()
