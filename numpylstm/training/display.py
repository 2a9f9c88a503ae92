"""Progress of long tasks, on a terminal, and the lines of a run."""

import logging
import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from numpylstm.training.metrics import Row, Step, training_of_epoch

if TYPE_CHECKING:  # the loop is slow to import, and loading it is displayed too
    from numpylstm.training.loop import Run

LINES = logging.getLogger("numpylstm.lines")
"""Logger for the lines of a run: results as INFO, progress as DEBUG, which ``--quiet`` turns off.

The command sends it to the terminal and to log.txt.
"""

EVERY = 0.1  # seconds between two updates of the display
RECENT = 50  # the perplexity shown is a mean over about so many updates


def is_quiet() -> bool:
    """Return True if progress is not to be shown."""
    return not LINES.isEnabledFor(logging.DEBUG)


class Display:
    """A progress bar, or a changing text, for a task: on a terminal only, and not if `quiet`.

    With a total, a bar is drawn and stays at the end; it starts at `done`.
    """

    def __init__(
        self, doing: str, stream: Any, quiet: bool, total: int | None = None, done: int = 0
    ) -> None:
        from tqdm import tqdm

        self.doing = doing
        self.stream = stream
        self.bar = tqdm(
            desc=doing.capitalize(),
            total=total,
            initial=done,
            file=stream,
            mininterval=EVERY,
            miniters=0,
            bar_format="{desc}  |{bar}|" if total else "{desc}",
            leave=total is not None,
            dynamic_ncols=True,
            disable=quiet or not stream.isatty(),
        )

    def show(self, text: str, done: int = 0) -> None:
        """Show a text and the number of steps done, but not too often; `close` shows the last."""
        self.bar.set_description_str(text, refresh=False)
        self.bar.update(done - self.bar.n)

    def share(self, done: int, total: int) -> None:
        """Show how much of the task is done."""
        self.show(f"{self.doing.capitalize()}: {done / total:.0%}")

    def line(self, text: str) -> None:
        """Print a line, above the bar if there is one."""
        self.bar.write(text, file=self.stream)
        self.stream.flush()

    def close(self) -> None:
        """Remove the bar, or leave it complete."""
        self.bar.close()


@contextmanager
def waiting(doing: str) -> Iterator[Display]:
    """Show a task on standard error; an interruption gets a note that it was not finished."""
    shown = Display(doing, sys.stderr, is_quiet())
    try:
        yield shown
    except KeyboardInterrupt as interrupt:
        interrupt.add_note(f"{doing} was not finished")
        raise
    finally:
        shown.close()


# --- a training run ----------------------------------------------------------------------------


@dataclass
class Timing:
    """The updates of this process: their number, their tokens, and the seconds they took.

    `updating` is the time of the updates alone; `seconds` is the time up to the last item,
    including validations, saves and pictures.
    """

    updates: int = 0
    tokens: int = 0
    updating: float = 0.0
    seconds: float = 0.0

    def timed(self, items: Iterator[Step | Row]) -> Iterator[Step | Row]:
        """Yield the items of `numpylstm.train`, and time them."""
        began = start = time.perf_counter()
        for item in items:
            now = time.perf_counter()
            if not isinstance(item, Row):
                self.updating += now - start
                self.tokens += item.tokens
                self.updates += 1
            yield item
            start = time.perf_counter()
            self.seconds = start - began

    @property
    def tokens_per_second(self) -> float | None:
        """Speed of the updates alone; None if there were none."""
        return self.tokens / self.updating if self.updating else None


class ProgressBar(Display):
    """The display of a training run: a bar on a terminal, the rows of metrics.csv elsewhere.

    `windows` is the number of updates in an epoch, `timing` the times of the updates shown.
    """

    def __init__(self, run: "Run", windows: int, timing: Timing) -> None:
        total = windows * run.config.epochs
        self.total = min(total, run.config.steps or total)
        self.epochs = math.ceil(self.total / windows)  # the last one may be incomplete
        self.run = run
        self.timing = timing
        self.nll = 0.0  # a running mean
        self.valid = ""  # the last validation, in words
        super().__init__("training", sys.stdout, is_quiet(), self.total, run.step)

    def follow(self, item: Step | Row) -> None:
        """Show an update on the bar; print metrics, with a bar only at the end of an epoch."""
        if isinstance(item, Row):
            self.print_row(item)
        elif not self.bar.disable:
            recent = min(self.timing.updates, RECENT)
            self.nll += (math.log(item.perplexity) - self.nll) / recent
            perplexity = f"perplexity {math.exp(self.nll):.1f}{self.valid}"
            self.show(
                f"epoch {item.epoch}/{self.epochs}  {perplexity}  {self.pace(item.step)}", item.step
            )

    def print_row(self, row: Row) -> None:
        """Print the end of an epoch; without a bar, the rows within it too."""
        line = f"epoch {row.epoch:3}  step {row.step}/{self.total}  "
        if row.valid_perplexity is not None:
            self.valid = f"  valid {row.valid_perplexity:.1f}"
            self.show(f"epoch {row.epoch}/{self.epochs}{self.valid}", row.step)
            perplexity, accuracy = training_of_epoch(self.run.rows)
            line += (
                f"lr {row.lr:.3g}  train perplexity {perplexity:.2f}  accuracy "
                f"{accuracy:.3f}  |  valid perplexity {row.valid_perplexity:.2f}  accuracy "
                f"{row.valid_accuracy:.3f}"
            )
        elif self.bar.disable:
            line += (
                f"cost {row.cost:.2f}  accuracy {row.accuracy:.3f}  perplexity "
                f"{row.perplexity:.2f}  norm {row.gradient_norm:.2f}  {self.pace(row.step)}"
            )
        else:
            return
        LINES.debug(line)

    def pace(self, step: int) -> str:
        """Format the speed and the time left."""
        left = "?"
        if self.timing.seconds:
            seconds_per_update = self.timing.seconds / self.timing.updates
            left = self.bar.format_interval(seconds_per_update * (self.total - step))
        return f"{self.timing.tokens_per_second or 0:,.0f} tokens/s  left {left}"

    def validation(self, done: int, total: int) -> None:
        """Show how much of a validation is done."""
        epoch = f"epoch {self.run.epoch + 1}/{self.epochs}"
        self.show(f"{epoch}  validating {done / total:.0%}", self.run.step)
