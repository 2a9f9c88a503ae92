"""How long a run takes."""

import time
from collections.abc import Iterator

from numpylstm.training.loop import Step
from numpylstm.training.metrics import Row


class Timing:
    """How long the updates of one process took.

    Attributes
    ----------
    seconds : float
        From its making to the last item, with validations, saves and pictures.
    tokens : int
        Read in all updates but the first, which may be slow.
    updating : float
        The seconds of these updates alone.
    """

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self.seconds = self.updating = 0.0
        self.updates = self.tokens = 0

    def of(self, items: Iterator[Step | Row]) -> Iterator[Step | Row]:
        """The items of `numpylstm.train`, whose times are taken."""
        start = time.perf_counter()
        for item in items:
            now = time.perf_counter()
            if isinstance(item, Step):
                if self.updates > 0:
                    self.updating += now - start
                    self.tokens += item.tokens
                self.updates += 1
            yield item
            start = time.perf_counter()
            self.seconds = start - self.began

    @property
    def tokens_per_second(self) -> float | None:
        """While updates were made; None if there were none."""
        return self.tokens / self.updating if self.updating else None
