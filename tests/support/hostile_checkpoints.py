"""Hostile checkpoints by the thousand: harmful content under a right checksum.

``python -m tests.support.hostile_checkpoints 2500`` makes so many of them from seeds, and runs
`numpylstm-eval`, `numpylstm-sample` and `numpylstm-train --resume` on each, in a child process
whose memory is limited and whose time is watched. What may happen is a run, or one sentence.
"""

import contextlib
import copy
import io
import itertools
import json
import os
import random
import re
import resource
import select
import shutil
import signal
import subprocess
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import numpylstm as nl
from numpylstm.cli import eval as eval_command
from numpylstm.cli import sample as sample_command
from numpylstm.cli import train as train_command
from numpylstm.data.configured import load_corpus
from numpylstm.saving import checksum
from numpylstm.training.checkpoint import save

from .broken_checkpoints import Parts, nested, npy, take_apart, zipped

SECONDS = 300
"""Longest time of one command on a busy machine."""

STOP_AFTER = 5
"""Seconds of work until Ctrl-C: a checkpoint may ask for a very long run."""

MEMORY = 1 << 30
"""Bytes that the child may allocate after its start."""

SECRET = "SECRET"
"""Part of every word in a private file of the user."""

# --- one mutant --------------------------------------------------------------------------------


NUMBERS = [0, 1, -1, 2, 7, 2**31, 2**53, 2**63 - 1, 2**63, 2**64, 10**18, 10**400, -(10**400),
           0.0, -0.0, 0.5, 1.5, 5e-324, 1e-300, 1e-30, 1e30, 1e38, 1e154, 1e299, 1e300, 1.7e308,
           -1.7e308, float("nan"), float("inf"), -float("inf")]  # fmt: skip
TEXTS = ["", "x", "<unk>", "\x1b[2J\x1b]0;owned\x07", "\u202etxt.exe", "\x9b31m", "a\rb", "a\nb",
         "\0", "\ud800", "w" * 100_000, "$\\frac$", "lstm", "rnn", "char", "word", "relu",
         "plateau", "float64", "reference", "/dev/zero", "/dev/stdin", "/proc/self/mem", "/",
         "secret.txt", "pipe", "text.txt", "PCG64", "MT19937"]  # fmt: skip
OTHERS = [None, True, False, [], {}, [[]], [None] * 9, {"a": 1}]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value inside an object of JSON."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        yield (*path, key)
        if isinstance(inner, dict | list):
            yield from places(inner, (*path, key))


def nasty(old: Any, rng: random.Random) -> Any:
    """Return a value in place of another, often of its kind."""
    kind = rng.randrange(10)
    if isinstance(old, int | float) and not isinstance(old, bool) and kind < 7:
        change = rng.choice([lambda: old + 1, lambda: old - 1, lambda: -old, lambda: old * 2,
                             lambda: old * 10**9, lambda: old / 3, lambda: rng.choice(NUMBERS),
                             lambda: rng.choice(NUMBERS)])  # fmt: skip
        return change()
    if isinstance(old, str) and kind < 7:
        return rng.choice([*TEXTS, old + rng.choice(TEXTS)])
    if isinstance(old, list) and kind < 7:
        return rng.choice([old[:-1], old[1:], old * 2, old * 2_000, old[::-1], []])
    return rng.choice([rng.choice(NUMBERS), rng.choice(TEXTS), rng.choice(OTHERS), nested(200)])


def change_meta(meta: dict[str, Any], rng: random.Random) -> None:
    """Make one change in the object; every group is as likely."""
    group = rng.choice([*meta, "config", "config", "rows", "tally", "vocabulary"])
    if group not in meta:
        return
    inside = list(places(meta[group], (group,))) if isinstance(meta[group], dict | list) else []
    path = rng.choice(inside) if inside and rng.random() < 0.9 else (group,)
    holder = meta
    for key in path[:-1]:
        holder = holder[key]
    kind = rng.randrange(12)
    if kind == 0:
        del holder[path[-1]]
    elif kind == 1 and isinstance(holder, dict):
        holder[rng.choice(TEXTS)] = rng.choice(NUMBERS)
    else:
        holder[path[-1]] = nasty(holder[path[-1]], rng)


def change_arrays(arrays: dict[str, Any], rng: random.Random) -> None:
    """Change, add or remove one member."""
    name = rng.choice(sorted(arrays))
    old = arrays[name]
    kind = rng.randrange(11)
    if kind < 4:
        with np.errstate(all="ignore"):
            scale = rng.choice([0, -1, 1e-45, 1e3, 1e10, 1e38, np.inf, np.nan])
            arrays[name] = (old * scale).astype(old.dtype)
    elif kind == 4:
        arrays[name] = np.full_like(old, rng.choice([3e38, -3e38, 1e-45, 1e19, 1e20]))
    elif kind == 5:
        arrays[name] = old.astype(rng.choice([np.float32, np.float64, np.uint8]), casting="unsafe")
    elif kind == 6:
        arrays[name] = rng.choice([old[:-1], old.T, old[None], old.ravel(), old[:0], old[:1]])
    elif kind == 7:
        del arrays[name]
    elif kind == 8:
        arrays[
            rng.choice(["parameters/x", "optimizer/velocity/lstm.0.b", "state/c", "state/z"])
        ] = old
    elif kind == 9:
        arrays |= {f"state/a{k}": np.zeros(1, "f4") for k in range(rng.choice([10, 990, 3_000]))}
    else:
        arrays[name] = np.asfortranarray(old)


def change_text(text: bytes, rng: random.Random) -> bytes:
    """Make one change of the JSON as text that no object can express."""
    numbers = [match.span() for match in re.finditer(rb"-?\d+(?:\.\d+)?", text)]
    start, end = rng.choice(numbers)
    there = rng.choice([b"9" * 401, b"9" * 5_000, b"1e999", b"NaN", b"-Infinity", b"[" * 100_000,
                        b"[" * 900 + b"]" * 900, b"{\"a\":" * 400 + b"1" + b"}" * 400, b"1e-400",
                        b'"\\ud83d"', b"0.1" + b"0" * 9_999, b"\xff"])  # fmt: skip
    return text[:start] + there + text[end:]


def mutant(good: Parts, seed: int) -> bytes:
    """Return a checkpoint with a right checksum, and mostly with a right fingerprint."""
    rng = random.Random(seed)
    arrays, meta = dict(good.arrays), copy.deepcopy(good.meta)
    with np.errstate(all="ignore"):
        for _ in range(rng.choice([1, 1, 1, 2, 3])):
            change = rng.randrange(10)
            if change < 7 and meta:
                change_meta(meta, rng)
            elif change < 9 and arrays:
                change_arrays(arrays, rng)
    if rng.random() < 0.8:
        with contextlib.suppress(Exception):  # what cannot be loaded has no fingerprint
            config = nl.TrainConfig(**meta["config"])
            corpus = load_corpus(config, nl.Vocabulary(tuple(meta["vocabulary"])))
            meta["fingerprint"] = nl.training.loop.fingerprint(corpus)
    try:
        text = json.dumps(meta).encode()
    except RecursionError:
        text = b"[" * 5_000
    if rng.random() < 0.1:
        text = change_text(text, rng)
    arrays["meta"] = np.frombuffer(text, np.uint8)
    arrays["checksum"] = np.frombuffer(checksum(arrays), np.uint8)
    return zipped([(f"{name}.npy", npy(array)) for name, array in arrays.items()])


# --- what it does ------------------------------------------------------------------------------


def prepare(folder: Path) -> list[Parts]:
    """Make a folder with a text, runs on it and private files; return the good checkpoints."""
    os.chdir(folder)
    words = np.random.default_rng(0).integers(0, 20, 700)
    lines = (" ".join(f"w{k}" for k in words[n : n + 9]) for n in range(0, len(words), 9))
    Path("text.txt").write_text("\n".join(lines) + "\n")
    Path("secret.txt").write_text(" ".join(f"{SECRET}{k}" for k in words))
    os.mkfifo("pipe")
    corpus = nl.data.load_text("text.txt")
    goods = []
    for changes in (
        {"momentum": 0.5},
        {"cell": "rnn", "options": {"activation": "relu"}, "tied": True},
    ):
        config = nl.TrainConfig(
            train="text.txt", hidden_size=6, num_layers=2, batch_size=4, num_steps=5, epochs=2,
            dropout=0.2, log_every=9, **changes,
        )  # fmt: skip
        run = nl.new_run(config, corpus)
        for item in nl.train(run, corpus):
            if getattr(item, "epoch", 0) == 2 and getattr(item, "window", 0) == 30:
                break
        save(run, "good.npz")
        goods.append(take_apart(Path("good.npz").read_bytes()))
    return goods


COMMANDS = {
    "eval": (eval_command.main, ["run/last.npz"]),
    "sample": (sample_command.main, ["run/last.npz", "--length", "30", "--seed", "0"]),
    "resume": (train_command.main, ["--resume", "run"]),
}


def faults(command: str, content: bytes) -> list[str]:
    """Run a command on a checkpoint and return its faults."""
    shutil.rmtree("run", ignore_errors=True)
    Path("run").mkdir()
    for name in ("last.npz", "best.npz"):
        Path("run", name).write_bytes(content)
    main, arguments = COMMANDS[command]
    out, err = io.StringIO(), io.StringIO()
    signal.setitimer(signal.ITIMER_PROF, STOP_AFTER)
    start = time.process_time()
    found = []
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main(arguments)
    except BaseException:
        return [traceback.format_exc()]
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    if status not in (0, 1, 2, 130):  # 130: an endless run, which we have stopped ourselves
        found.append(f"status {status}")
    said = out.getvalue() + err.getvalue()
    if hidden := set(re.findall(r"[^\S\n\t ]|[\x00-\x08\x0e-\x1f\x7f-\x9f\u202a-\u202e]", said)) - {
        "\u3000", "\xa0"
    }:  # fmt: skip
        found.append(f"raw control characters: {hidden}")
    if SECRET in said:
        found.append("words of another file were shown")
    lines = [line for line in err.getvalue().splitlines() if "read as <unk>" not in line]
    expected = (0, 1) if status == 130 else (int(status in (1, 2)),)
    if len(lines) not in expected or "Traceback" in said:
        found.append(f"status {status} with {len(lines)} lines: {err.getvalue()[:2000]}")
    if "not enough memory" in said:
        found.append(f"asked for too much memory: {err.getvalue()[:200]}")
    if len(err.getvalue()) > 3_000:
        found.append(f"a message of {len(err.getvalue())} characters")
    if (seconds := time.process_time() - start) > 2 * STOP_AFTER:
        found.append(f"took {seconds:.0f} s")
    return found


def child(folder: Path, first: int, last: int) -> None:
    """Try the mutants of these seeds; print a line of JSON before and after each command."""
    warnings.simplefilter("always")
    signal.signal(signal.SIGPROF, signal.SIG_IGN)
    goods = prepare(folder)
    for good, command in itertools.product(goods, COMMANDS):
        assert not faults(command, good.content)  # and the kernels are compiled
    signal.signal(signal.SIGPROF, lambda number, frame: signal.raise_signal(signal.SIGINT))
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * os.sysconf("SC_PAGE_SIZE") + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for seed in range(first, last):
        content = mutant(goods[seed % len(goods)], seed)
        for command in COMMANDS:
            print(json.dumps([seed, command, None]), flush=True)
            print(json.dumps([seed, command, faults(command, content)]), flush=True)


def fuzz(folder: Path, first: int, last: int) -> Iterator[tuple[int, str, str]]:
    """Try the mutants in child processes; yield seed, command and text of every fault."""
    seed, command = first, ""
    for attempt in range(last - first + 1):
        place = folder / str(attempt)
        place.mkdir()
        with subprocess.Popen(
            [sys.executable, "-m", __spec__.name, "child", place, str(seed), str(last)],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, bufsize=0,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            pending = b""
            while select.select([process.stdout], [], [], SECONDS)[0]:
                piece = process.stdout.read(1 << 16)
                if not piece:
                    break
                *lines, pending = (pending + piece).split(b"\n")
                for line in lines:
                    seed, command, found = json.loads(line)
                    for fault in found or ():
                        yield seed, command, fault
            else:
                yield seed, command, f"no end after {SECONDS} s"
                process.kill()
        if process.returncode == 0:
            return
        yield seed, command, f"the process ended with {process.returncode}"
        seed += 1


if __name__ == "__main__":
    if sys.argv[1] == "child":
        child(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    else:
        import tempfile

        count, start = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
        kinds: Counter[str] = Counter()
        with tempfile.TemporaryDirectory() as name:
            for seed, command, fault in fuzz(Path(name), start, start + count):
                print(f"--- seed {seed}, {command}\n{fault}", flush=True)
                kinds[fault.strip().splitlines()[-1][:150]] += 1
        print(f"{count} mutants, {sum(kinds.values())} faults")
        for kind, number in kinds.most_common():
            print(f"{number:6}  {kind}")
