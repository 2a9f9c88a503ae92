"""How many threads a training run uses: found by trying it, now and then, as it goes.

Alone on the machine, all threads are faster; where other programs want the processors too, often
fewer are. No bit of a result depends on the number, so it may change between two steps.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median

from numpylstm.kernels.threads import PROCESSORS, at_most

ROUNDS = 5  # steps with each number in a trial; the medians count, so one long step does not
PRICE = 0.02  # of the time may be lost by trying what is slower


class Pace:
    """Times the steps of a run and says how many threads the next one gets.

    The first step compiles and is not looked at. A trial follows: some steps with the number that
    is in use, some with half and with twice as many, in turns. The fastest is kept, and the more
    the others lost, the longer it is until the next trial.

    Parameters
    ----------
    processors : int
        The largest number; to begin with it is used.
    clock : callable
        Seconds.
    """

    def __init__(
        self, processors: int = PROCESSORS, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.number = self.processors = processors
        self.clock = clock
        self.trial: dict[int, list[float]] = {}  # number -> seconds of each of its steps
        self.next_trial = clock()

    @contextmanager
    def step(self) -> Iterator[None]:
        """Let a training step run in this context."""
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
