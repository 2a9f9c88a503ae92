"""The number of threads of a training run, found by trials during the run.

On an idle machine all threads are fastest; beside other programs, often fewer are. No bit of a
result depends on the number, so it may change between two steps.
"""

import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from statistics import median

from numpylstm.kernels.threads import at_most, get_num_threads

ROUNDS = 5  # steps with each number in a trial; medians are compared
PRICE = 0.02  # share of the time that trials of slower numbers may cost


class ThreadTrials:
    """Time the steps of a run and choose the `number` of threads of the next one."""

    def __init__(self) -> None:
        self.numbers = numbers(get_num_threads())
        self.number = next(self.numbers)

    @contextmanager
    def step(self) -> Iterator[None]:
        """Run a training step in this context."""
        began = time.perf_counter()
        with at_most(self.number):
            yield
        self.number = self.numbers.send(time.perf_counter() - began)


def numbers(processors: int) -> Generator[int, float, None]:
    """Yield the number of threads of each step, and receive the seconds that the step took.

    The first step may compile and is not timed. A trial follows: steps with the current number of
    threads, half as many and twice as many, in turn. The fastest is kept, and the more time the
    others cost, the later the next trial.
    """
    number = processors
    yield number
    while True:
        half = max(1, number // 2)
        double = min(2 * number, processors)
        trial: dict[int, list[float]] = {n: [] for n in (number, half, double)}
        for tried in [*trial] * ROUNDS:
            trial[tried].append((yield tried))
        seconds = {tried: median(times) for tried, times in trial.items()}
        number = min(seconds, key=lambda n: seconds[n])
        lost = ROUNDS * sum(time - seconds[number] for time in seconds.values())
        until_next = lost / PRICE
        while until_next > 0:
            until_next -= yield number
