"""A training step on more cores than there are: the table of "Many cores".

    python docs/many_cores.py

The threads are real, the cores are not. Each part of a kernel is run by itself, on this thread, and
timed; then as many threads as there would be are woken, and each sleeps as long as its part took.
Sleeping needs no core. So what passes is the time of the slowest part, and what it costs to wake
the threads and to wait for the last; only this and what lies between the kernels is counted. That
cores share the way to memory is left out.
"""

import ctypes
import time
from statistics import median
from unittest.mock import patch

import numpylstm as nl
from numpylstm.benchmark.configurations import CONFIGURATIONS, Configuration, windows
from numpylstm.kernels import threads

CORES = (1, 2, 4, 8, 16, 32, 64)
NAMES = ("char", "small", "medium", "large")
STEPS = 5
OVERSLEEPS = 22e-6  # seconds, here, by which a thread is late that asks to be woken
PR_SET_TIMERSLACK = 29  # else Linux lets a thread sleep 50 microseconds longer than it asks to

share_out = threads.share_out


class Cores:
    """Stands in for `share_out`.

    `done` is the time of the slowest part of each kernel, `met` what waking and waiting added to
    it, and `imagined` the time that no real machine would need.
    """

    def __init__(self) -> None:
        self.done = self.met = self.imagined = 0.0

    def share_out(self, part, shares):
        began = time.perf_counter()
        seconds = []
        for share in range(shares):
            start = time.perf_counter()
            part(share)
            seconds.append(time.perf_counter() - start)
        asleep = time.perf_counter()
        self.imagined += asleep - began
        share_out(lambda share: time.sleep(max(0.0, seconds[share] - OVERSLEEPS)), shares)
        self.done += max(seconds)
        self.met += time.perf_counter() - asleep - max(seconds)


def step_of(c: Configuration):
    """One training step, as in the benchmark."""
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
    """Seconds of a step on so many cores, those in shared kernels, and those for meeting."""
    found = []
    for _ in range(1 + STEPS):
        cores = Cores()
        with threads.at_most(number), patch.object(threads, "share_out", cores.share_out):
            began = time.perf_counter()
            step()
            took = time.perf_counter() - began - cores.imagined
        found.append((took, cores.done, cores.met))
    return sorted(found[1:])[STEPS // 2]


def really(step) -> float:
    """Seconds of a step on the cores that are there."""
    took = []
    for _ in range(1 + STEPS):
        began = time.perf_counter()
        step()
        took.append(time.perf_counter() - began)
    return median(took[1:])


def main() -> None:
    """Print the table."""
    ctypes.CDLL(None).prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0)
    print("ms a step: in shared kernels + meeting + alone, on so many cores; really, on those here")
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
