"""One library in one process: reads a request on each line of stdin, answers on stdout, in JSON.

A process that measures another library must not load ours.
"""

import importlib
import json
import os
import sys
import time
from dataclasses import replace
from itertools import cycle

import numpy as np

from . import configurations as c

WARM_UP = 0.2  # of the time measured
GREEDY_LENGTH = 5  # tokens that all libraries must agree on
STEPS_IN_CHECK = 3  # of a stream
IN_CHECK = {"dropout": 0.0, "lr": 1.0, "clip": 0.5}  # the clip is so small that it acts


def work_of(peer, task, settings):
    """Return a configuration, and what a peer returns for a task on it."""
    configuration = c.Configuration(**settings)
    function = getattr(peer, c.TASKS[task])
    return configuration, function(configuration, c.weights(configuration))


def calls(peer, task, settings):
    """Return a function that makes one call of a task: a training step, or what `tokens` says."""
    configuration, work = work_of(peer, task, settings)
    if task == "train":
        step, batches = work[0], cycle(c.windows(configuration, 8))
        return lambda: step(*next(batches))
    if task == "evaluate":
        ids = c.evaluation_text(configuration)
        return lambda: work(ids)
    if task == "sample":
        return lambda: work(c.SAMPLE_LENGTH, False)
    advance, state_of = work
    return steps(configuration, advance, state_of(c.given_state(configuration)), task == "stream")


def steps(configuration, advance, state, carry):
    """Return a function that makes one time step, from the state of the last call if `carry`."""
    ((x, _),) = c.windows(configuration, 1)
    ids = cycle(x[:, None])  # each (1, B)

    def step():
        nonlocal state
        _, after = advance(next(ids), state)
        if carry:
            state = after

    return step


def results(peer, task, settings):
    """Return numbers that every library must find from the same weights and data; no dropout."""
    configuration, work = work_of(peer, task, settings | IN_CHECK)
    if task == "evaluate":
        return {"the loss": work(c.evaluation_text(configuration))[0]}
    if task == "sample":
        return {f"token {n}": token for n, token in enumerate(work(GREEDY_LENGTH, True), 1)}
    if task in ("stream", "restart"):
        return results_of_steps(configuration, *work)
    step, parameters = work
    before = parameters()
    found = {}
    # The second step sees the update and the state of the first.
    for number, (x, y) in enumerate(c.windows(configuration, 2), 1):
        loss, norm = step(x, y)
        found |= {f"the loss of step {number}": loss, f"the gradient norm of step {number}": norm}
    for path, array in parameters().items():
        moved = np.subtract(array, before[path], dtype=np.float64)
        found[f"the change of {path}"] = float(np.linalg.norm(moved))
    return found


def results_of_steps(configuration, advance, state_of):
    """Return the mean -log p of the next ids after each of some time steps."""
    found = {}
    state = state_of(c.given_state(configuration))
    x, y = c.windows(replace(configuration, T=STEPS_IN_CHECK), 1)[0]
    for t in range(STEPS_IN_CHECK):
        outputs, state = advance(x[t : t + 1], state)
        logits = outputs[0].astype(np.float64)  # (B, V)
        of_targets = np.take_along_axis(logits, y[t, :, None], axis=1)[:, 0]
        nll = np.log(np.exp(logits).sum(axis=1)) - of_targets
        found[f"the loss of step {t + 1}"] = float(nll.mean())
    return found


def timed(call, seconds, warm_up, least=2):
    """Return the seconds of each call, for about so many seconds after a warm-up."""
    began = time.perf_counter()
    call()  # the caches still hold the data of another process
    while time.perf_counter() - began < warm_up:
        call()
    times = []
    began = time.perf_counter()
    while len(times) < least or time.perf_counter() - began < seconds:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return times


def product_speed(size, seconds):
    """Return the best speed of a product of two square float32 matrices here, in FLOP/s.

    NumPy's product and our own are both timed, and the faster counts.
    """
    from numpylstm.functional import linear_forward

    A, B = np.random.default_rng(0).random((2, size, size), dtype=np.float32)
    zeros, out = np.zeros(size, np.float32), np.empty_like(A)
    best = []
    for product in (lambda: np.matmul(A, B, out=out), lambda: linear_forward(A, B, zeros)):
        time.sleep(0.25)  # the threads of a BLAS spin for a while after their work
        best.append(min(timed(product, seconds, 0.0, least=3)))
    return 2 * size**3 / min(best)


def clock(iterations=20_000_000):
    """Return the clock of one busy x86 core, in Hz, from a chain of six instructions of one cycle.

    What an operating system reports may be the nominal clock, in a virtual machine always. Each
    instruction of the chain needs the result of the one before, and no compiler can shorten it.
    """
    from numba import njit, uint64

    @njit
    def chain(x, iterations):
        for _ in range(iterations):
            x ^= x << uint64(13)
            x ^= x >> uint64(7)
            x ^= x << uint64(17)
        return x

    one = np.uint64(1)
    chain(one, 1)
    return 6 * iterations / min(timed(lambda: chain(one, iterations), 0.1, 0.1, least=3))


def answers(library, lines):
    """Yield an answer to each request, after one that describes the library."""
    peer = importlib.import_module(f".peers.{library}", __package__)
    tasks = [task for task, function in c.TASKS.items() if hasattr(peer, function)]
    yield {"version": peer.VERSION, "tasks": tasks}
    call = None
    for line in lines:
        request = json.loads(line)
        match request.pop("do"):
            case "check":
                yield {"results": results(peer, **request)}
            case "prepare":
                call = calls(peer, **request)
                began = time.perf_counter()
                call()
                yield {"seconds": time.perf_counter() - began}
            case "measure" if call is not None:
                seconds = request["seconds"]
                yield {"times": timed(call, seconds, WARM_UP * seconds)}
            case "product":
                yield {"speed": product_speed(**request)}
            case "clock":
                yield {"hertz": clock()}
            case unknown:
                raise ValueError(f"the request {unknown!r} does not exist or comes too early")


def main():
    """Answer requests until stdin ends; an error is the last answer."""
    # The output of libraries goes to stderr: stdout is for answers.
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    try:
        for answer in answers(sys.argv[1], iter(sys.stdin.readline, "")):
            print(json.dumps(answer), file=replies, flush=True)
    except KeyboardInterrupt:
        pass  # Ctrl-C reaches all processes; the parent reports it
    except Exception as error:
        sentence = " ".join(f"{type(error).__name__}: {error}".split())
        print(json.dumps({"error": sentence}), file=replies, flush=True)


if __name__ == "__main__":
    main()
