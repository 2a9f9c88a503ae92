"""Measurements in turns: each library does the same work, timed in its own process.

A turn lasts a second or less; the others sleep meanwhile. So changes of the machine over minutes
(clock frequency, other programs) affect all libraries alike. Functions return their figures in the
form of the JSON file.
"""

import importlib.util
import json
import math
import os
import subprocess
import sys
import time
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict
from pathlib import Path
from statistics import median

import numpy as np
import psutil

from .configurations import BenchmarkError, flops, tokens

OURS, PEER = "numpylstm", "torch"
BFLOAT16 = "torch_bfloat16"
PEERS = (PEER, BFLOAT16, "torch_compiled", "onnxruntime")  # the modules of `peers`
ROOT = Path(__file__).parents[2]

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
ONLY_PROCESSOR = {"CUDA_VISIBLE_DEVICES": ""}

PRODUCT_SIZE, PRODUCT_SECONDS = 2048, 0.2
SETTLE = 0.25  # seconds: the threads of a BLAS and of OpenMP spin so long after their work
LOSS_TOLERANCE = 1e-5  # relative, between the float32 results of two libraries
NORM_TOLERANCE = 5e-3  # of gradients: PyTorch adds up millions of squares in float32
TOLERANCES = {BFLOAT16: (1e-4, 2e-2)}  # of loss and norm; bfloat16 numbers are 4e-3 apart


def installed():
    """Return the libraries that can be measured here, ours first."""
    return (OURS, PEER) if importlib.util.find_spec(PEER) else (OURS,)


class Worker(AbstractContextManager["Worker"]):
    """A process with one library; as a context manager it ends the process."""

    def __init__(self, library, threads):
        self.library = library
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.worker", library],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=os.environ | ONLY_PROCESSOR | dict.fromkeys(THREADS, str(threads)),
        )
        description = self._answer()
        self.version = description["version"]
        self.tasks = description["tasks"]

    def ask(self, request, **arguments):
        """Send a request and return the answer; a worker that failed raises BenchmarkError."""
        with suppress(BrokenPipeError):  # there is no answer then
            print(json.dumps({"do": request, **arguments}), file=self._process.stdin, flush=True)
        return self._answer()

    def product_speed(self):
        """Return the speed of a large matrix product now, in FLOP/s."""
        return float(self.ask("product", size=PRODUCT_SIZE, seconds=PRODUCT_SECONDS)["speed"])

    def clock(self):
        """Return the clock of one busy core, in Hz."""
        return float(self.ask("clock")["hertz"])

    def _answer(self):
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise BenchmarkError(f"the process of {self.library} has ended")
        answer = json.loads(line)
        if "error" in answer:
            raise BenchmarkError(f"the process of {self.library} failed: {answer['error']}")
        return answer

    def __exit__(self, *exception):
        self._process.terminate()
        with suppress(BrokenPipeError):  # a request that the process did not read
            self._process.__exit__(None, None, None)  # closes the pipes and waits


def pause():
    """Wait until the threads of the last turn sleep; return the share other programs then use."""
    time.sleep(SETTLE)
    return psutil.cpu_percent(SETTLE) / 100


def compare(task, c, workers, best_product, rounds, seconds):
    """Check that the libraries agree, then time them in turns; the first of the workers is ours.

    Each library has so many turns (`rounds`) of so many seconds. `best_product` is the best speed
    of a matrix product so far, in FLOP/s. The figures of a library are the median seconds of each
    turn, their median, and what follows from it; and the 99th percentile of all its calls. A
    library that lacks the task is left out.
    """
    workers = [worker for worker in workers if task in worker.tasks]
    work = {"task": task, "settings": asdict(c)}
    check_agreement({w.library: w.ask("check", **work)["results"] for w in workers})
    first_calls = {w.library: w.ask("prepare", **work)["seconds"] for w in workers}
    turns = {worker.library: [] for worker in workers}
    all_times = {worker.library: [] for worker in workers}
    shares = []
    for _ in range(rounds):
        for worker in workers:
            shares.append(pause())
            times = worker.ask("measure", seconds=seconds)["times"]
            turns[worker.library].append(median(times))
            all_times[worker.library] += times
    ours = median(turns[OURS])
    libraries = {}
    for worker in workers:
        typical = median(turns[worker.library])
        speed = flops(task, c) / typical
        libraries[worker.library] = {
            "version": worker.version,
            "seconds_of_turns": turns[worker.library],
            "seconds": typical,
            "seconds_p99": float(np.percentile(all_times[worker.library], 99)),
            "seconds_of_first_call": first_calls[worker.library],
            "tokens_per_second": tokens(task, c) / typical,
            "flops_per_second": speed,
            "share_of_best_product": speed / best_product,
            "time_relative_to_ours": typical / ours,
        }
    return {
        "task": task,
        "configuration": asdict(c),
        "best_product_flops_per_second": best_product,
        "share_used_by_others": max(shares),
        "libraries": libraries,
    }


def check_agreement(results):
    """Raise a BenchmarkError unless all libraries get our numbers, by name; integers exactly."""
    ours = results[OURS]
    for library, theirs in results.items():
        of_loss, of_norm = TOLERANCES.get(library, (LOSS_TOLERANCE, NORM_TOLERANCE))
        for name, expected in ours.items():
            tolerance = of_loss if "loss" in name else of_norm
            if isinstance(expected, int):
                tolerance = 0.0
            if not math.isclose(theirs[name], expected, rel_tol=tolerance):
                raise BenchmarkError(
                    f"{library} and {OURS} do not compute the same, so their times are not "
                    f"compared: {name} is {theirs[name]:.8g} and {expected:.8g}"
                )
