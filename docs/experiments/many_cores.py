"""Simulate a training step on many cores: the table of "Many cores".

    python -m docs.experiments.many_cores

The threads are real, the cores are not. Each part of a kernel runs by itself, on this thread, and
is timed; then the simulated number of threads is woken, and each sleeps as long as its part took.
Sleeping needs no core. So the elapsed time is that of the slowest part plus the cost of waking
the threads and waiting for the last; only this and the time between kernels is counted. The
simulation leaves out that cores share memory bandwidth.
"""

import ctypes
import time
from statistics import median
from unittest.mock import patch

import numpylstm as nl
from numpylstm import functional
from numpylstm.kernels import recurrence, threads
from numpylstm.kernels.machine import counters
from tests.benchmarks.configurations import CONFIGURATIONS, Configuration, windows

CORES = (1, 2, 4, 8, 16, 32, 64)
NAMES = ("char", "small", "medium", "large")
STEPS = 5
MEETS = 1e-7  # seconds; two cores of a Zen 5 take twice that
OVERSLEEPS = 22e-6  # seconds by which a sleeping thread wakes too late on this machine
PR_SET_TIMERSLACK = 29  # without it, Linux lets a thread sleep 50 microseconds longer

run_parallel = threads.run_parallel


def sleep_as_long(seconds, share, _) -> None:
    """Sleep for the seconds of this share."""
    time.sleep(max(0.0, seconds[share] - OVERSLEEPS))


class Cores:
    """Replacement for `run_parallel`.

    `done` is the time of the slowest part of each kernel, `met` the time added by waking and
    waiting, and `imagined` the time that only the simulation needs.
    """

    def __init__(self) -> None:
        self.done = self.met = self.imagined = 0.0

    def run_parallel(self, kernel, arguments, shares):
        began = time.perf_counter()
        seconds = []
        for share in range(shares):
            start = time.perf_counter()
            kernel(*arguments, share, shares)
            seconds.append(time.perf_counter() - start)
        self.imagined += time.perf_counter() - began
        self.sleep(seconds)

    def run_steps(self, kernel, arguments, steps, shares):
        began = time.perf_counter()
        kernel(*arguments, counters(shares), 0, steps, 0, shares)
        took = time.perf_counter() - began
        self.imagined += took
        self.sleep([took / shares + MEETS * steps * (shares - 1)] * shares)

    def sleep(self, seconds):
        """Let a thread sleep for each part."""
        asleep = time.perf_counter()
        run_parallel(sleep_as_long, (seconds,), len(seconds))
        self.done += max(seconds)
        self.met += time.perf_counter() - asleep - max(seconds)


def step_of(c: Configuration):
    """Return a function that runs one training step, as in the benchmark."""
    model = nl.LanguageModel(c.V, c.H, c.L, dropout=c.dropout, rng=0)
    optimizer, state = nl.SGD(model.parameters(), lr=1e-3), model.zero_state(c.B)
    ((x, y),) = windows(c, 1)

    def step() -> None:
        nonlocal state
        optimizer.zero_grad()
        _, state = model.forward(x, y, state)
        model.backward()
        nl.clip_by_global_norm(model.parameters(), c.clip)
        optimizer.step()

    return step


def on_cores(step, number: int) -> tuple[float, ...]:
    """Return the seconds of a step on `number` cores, in shared kernels, and in synchronisation."""
    found = []
    for _ in range(1 + STEPS):
        cores = Cores()
        with (
            threads.at_most(number),
            patch.object(functional, "run_parallel", cores.run_parallel),
            patch.object(recurrence, "run_parallel", cores.run_parallel),
            patch.object(recurrence, "run_steps", cores.run_steps),
        ):
            began = time.perf_counter()
            step()
            took = time.perf_counter() - began - cores.imagined
        found.append((took, cores.done, cores.met))
    return sorted(found[1:])[STEPS // 2]


def really(step) -> float:
    """Return the seconds of a step on the real cores."""
    took = []
    for _ in range(1 + STEPS):
        began = time.perf_counter()
        step()
        took.append(time.perf_counter() - began)
    return median(took[1:])


def main() -> None:
    """Print the table."""
    ctypes.CDLL(None).prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0)
    print("ms a step: shared kernels + synchronisation + alone, by cores; really: on this machine")
    for name in NAMES:
        step = step_of(CONFIGURATIONS[name])
        step()
        print(f"| {name}, really | {1e3 * really(step):.4g} |", flush=True)
        for number in CORES:
            took, done, met = (1e3 * seconds for seconds in on_cores(step, number))
            parts = f"{done:.3g} + {met:.3g} + {took - done - met:.3g}"
            print(f"| {name} | {number} | {took:.4g} | {parts} |", flush=True)


if __name__ == "__main__":
    main()
