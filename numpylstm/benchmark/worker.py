"""One library in one process: reads a request on each line of stdin, answers on stdout, in JSON.

It is started by its path, not as a module of the package, and imports the standard library only:
the time that the library takes to be imported is one of the things it measures, and a process that
measures another library must not pay for ours.
"""

import importlib
import json
import os
import sys
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).resolve().parents[1]
WARM_UP = 0.2  # of the time measured
GREEDY_LENGTH = 5  # tokens that all libraries must agree on
CLIP_IN_CHECK = 0.5  # small, so that clipping is seen
# Thousands of steps on random text at a rate of 1 drive the gates so far into saturation that some
# numbers become subnormal, which processors multiply a hundred times more slowly.
RATE_IN_TURNS = 1e-3


def load(library: str, threads: int) -> tuple[Any, dict[str, Any]]:
    """Import a library; returns the functions that use it, and what there is to say."""
    start = time.perf_counter()
    module = importlib.import_module(library)
    if library == PACKAGE.name:
        importlib.import_module(f"{library}.public")  # as the first name that is used does
    seconds = time.perf_counter() - start
    if PACKAGE.name not in sys.modules:
        # A bare package: its parts can be imported, and its __init__, with Numba, is not run.
        bare = types.ModuleType(PACKAGE.name)
        bare.__path__ = [str(PACKAGE)]
        sys.modules[PACKAGE.name] = bare
    memory = peak_memory()
    peer = importlib.import_module(f"{PACKAGE.name}.benchmark.peers.{library}")
    peer.set_threads(threads)
    tasks = importlib.import_module(f"{PACKAGE.name}.benchmark.configurations").TASKS
    return peer, {
        "version": module.__version__,
        "seconds": seconds,
        "bytes": memory,
        "tasks": [task for task, maker in tasks.items() if hasattr(peer, maker)],
        "cells": list(peer.CELLS),
        "dtypes": list(peer.DTYPES),
    }


def peak_memory() -> int | None:
    """The most memory this process has held, in bytes; None where the system does not say."""
    try:
        # Not getrusage: on Linux a process inherits the peak of the one that started it.
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def calls(peer: Any, task: str, settings: dict[str, Any], own_weights: bool) -> Callable[[], Any]:
    """A function that does one call of a task: a training step, or what `tokens` says."""
    from numpylstm.benchmark import configurations as c

    configuration = c.Configuration(**(settings | {"lr": RATE_IN_TURNS}))
    weights = None if own_weights else c.weights(configuration)
    work = getattr(peer, c.TASKS[task])(configuration, weights)
    if task == "train":
        take_step, _ = work
        batches = c.windows(configuration, 8)
        count = 0

        def step() -> Any:
            nonlocal count
            x, y = batches[count % len(batches)]
            count += 1
            return take_step(x, y)

        return step
    if task == "evaluate":
        ids = c.evaluation_text(configuration)
        return lambda: work(ids)
    return lambda: work(c.SAMPLE_LENGTH, False)


def results(peer: Any, task: str, settings: dict[str, Any]) -> dict[str, float]:
    """Numbers that every library must find, from the same weights and data; no dropout."""
    from numpylstm.benchmark import configurations as c

    configuration = c.Configuration(**(settings | {"dropout": 0.0, "clip": CLIP_IN_CHECK}))
    work = getattr(peer, c.TASKS[task])(configuration, c.weights(configuration))
    if task == "train":
        step, parameters = work
        return results_of_training(step, parameters, c.windows(configuration, 2))
    if task == "evaluate":
        return {"the loss": work(c.evaluation_text(configuration))[0]}
    drawn = work(GREEDY_LENGTH, True)
    return {f"token {number}": token for number, token in enumerate(drawn, 1)}


def results_of_training(
    step: Callable[..., Any], parameters: Callable[[], dict[str, Any]], batches: list[Any]
) -> dict[str, float]:
    """Loss and norm of a few steps, and how far they moved each parameter.

    The second step sees the update and the state of the first.
    """
    import numpy as np

    before = parameters()
    found: dict[str, float] = {}
    for number, (x, y) in enumerate(batches, 1):
        loss, norm = step(x, y)
        found |= {f"the loss of step {number}": loss, f"the gradient norm of step {number}": norm}
    for path, array in parameters().items():
        moved = np.subtract(array, before[path], dtype=np.float64)
        found[f"the way of {path}"] = float(np.linalg.norm(moved))
    return found


def timed(call: Callable[[], Any], seconds: float) -> list[float]:
    """Seconds of each call, for about so many seconds; calls at the beginning do not count."""
    began = time.perf_counter()
    call()  # the caches still hold what the other process used
    while time.perf_counter() - began < WARM_UP * seconds:
        call()
    times: list[float] = []
    began = time.perf_counter()
    while len(times) < 2 or time.perf_counter() - began < seconds:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return times


def answers(library: str, threads: int, lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """An answer to each request, after one that tells about the library."""
    peer, about = load(library, threads)
    yield about
    call: Callable[[], Any] | None = None
    for line in lines:
        request = json.loads(line)
        match request.pop("do"):
            case "check":
                yield {"results": results(peer, **request)}
            case "prepare":
                start = time.perf_counter()
                call = calls(peer, **request)
                built = time.perf_counter()
                call()
                yield {"build": built - start, "first": time.perf_counter() - built}
            case "measure" if call is not None:
                yield {"times": timed(call, **request)}
            case "memory":
                yield {"bytes": peak_memory()}
            case "watch" if call is not None:
                from numpylstm.benchmark.watching import watched

                yield watched(call, **request)
            case "products":
                from numpylstm.benchmark.machine import product_speeds

                yield product_speeds(**request)
            case "bandwidth":
                from numpylstm.benchmark.machine import bandwidth

                yield {"bandwidth": bandwidth(threads, **request)}
            case "facts":
                from numpylstm.training.provenance import facts

                yield facts()
            case unknown:
                raise ValueError(f"the request {unknown!r} does not exist or comes too early")


def main() -> None:
    """Answer until stdin ends; an error is the last answer."""
    # What libraries print goes to stderr: stdout is for answers.
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    library, threads = sys.argv[1], int(sys.argv[2])
    try:
        for answer in answers(library, threads, iter(sys.stdin.readline, "")):
            print(json.dumps(answer), file=replies, flush=True)
    except Exception as error:
        sentence = " ".join(f"{type(error).__name__}: {error}".split())
        print(json.dumps({"error": sentence}), file=replies, flush=True)


if __name__ == "__main__":
    main()
