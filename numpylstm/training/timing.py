"""The duration of a run."""

import time
from collections.abc import Iterator

from numpylstm.training.loop import Step
from numpylstm.training.metrics import Row


class Timing:
    """The updates of this process: their number, their tokens, and the seconds they took.

    `updating` is the time of the updates alone, `seconds` the time up to the last item, with
    validations, saves and pictures.
    """

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self.seconds = self.updating = 0.0
        self.updates = self.tokens = 0

    def of(self, items: Iterator[Step | Row]) -> Iterator[Step | Row]:
        """Yield the items of `numpylstm.train`, and time them."""
        start = time.perf_counter()
        for item in items:
            now = time.perf_counter()
            if isinstance(item, Step):
                self.updating += now - start
                self.tokens += item.tokens
                self.updates += 1
            yield item
            start = time.perf_counter()
            self.seconds = start - self.began

    @property
    def tokens_per_second(self) -> float | None:
        """Speed of the updates alone; None if there were none."""
        return self.tokens / self.updating if self.updating else None
