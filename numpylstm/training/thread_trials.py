"""The number of threads of a training run, found by trials during the run.

On an idle machine all threads are fastest; beside other programs, often fewer are. No bit of a
result depends on the number, so it may change between two steps.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median

from numpylstm.kernels.threads import at_most, get_num_threads

ROUNDS = 5  # steps with each number in a trial; medians are compared
PRICE = 0.02  # share of the time that trials of slower numbers may cost


class ThreadTrials:
    """Time the steps of a run and choose the number of threads of the next one.

    The first step may compile and is not timed. A trial follows: steps with the current number of
    threads, half as many and twice as many, in turn. The fastest is kept, and the more time the
    others cost, the later the next trial. The first number is the largest, `processors`.
    """

    def __init__(
        self, processors: int | None = None, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.number = self.processors = processors or get_num_threads()
        self.clock = clock
        self.trial: dict[int, list[float]] = {}  # number -> seconds of each of its steps
        self.next_trial = clock()

    @contextmanager
    def step(self) -> Iterator[None]:
        """Run a training step in this context."""
        began = self.clock()
        number = self.number
        if self.trial:
            number = min(self.trial, key=lambda n: len(self.trial[n]))
        with at_most(number):
            yield
        now = self.clock()
        if self.trial:
            self.trial[number].append(now - began)
            if min(map(len, self.trial.values())) == ROUNDS:
                self.conclude(now)
        elif now >= self.next_trial:
            half, double = max(1, self.number // 2), min(2 * self.number, self.processors)
            self.trial = {n: [] for n in (self.number, half, double)}

    def conclude(self, now: float) -> None:
        """Keep the fastest number of the trial."""
        seconds = {number: median(times) for number, times in self.trial.items()}
        self.number = min(seconds, key=lambda n: seconds[n])
        lost = ROUNDS * sum(time - seconds[self.number] for time in seconds.values())
        self.next_trial = now + lost / PRICE
        self.trial = {}
