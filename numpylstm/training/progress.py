"""How far a run is: a bar on a terminal, plain lines elsewhere."""

import math
import shutil
import sys
import time
from typing import Any

from tqdm import tqdm

from numpylstm.training.loop import Row, Run, Step
from numpylstm.training.timing import Timing
from numpylstm.waiting import EVERY, EVERY_IN_A_FILE

ROOM_FOR_BAR = 14  # columns
SMOOTH = 0.98  # of the perplexity that is shown: a mean over some 50 updates


class Progress:
    """A bar on a terminal, plain lines elsewhere.

    Parameters
    ----------
    run : Run
    windows : int
        Updates in an epoch.
    timing : Timing
        Of the updates that are shown.
    quiet : bool
        Show nothing but what `line` is given.
    """

    def __init__(self, run: Run, windows: int, timing: Timing, *, quiet: bool = False) -> None:
        total = windows * run.config.epochs
        self.total = total if run.config.steps is None else min(total, run.config.steps)
        self.epochs = run.config.epochs
        self.timing, self.quiet = timing, quiet
        self.started = time.perf_counter()  # after the first step: of the second
        self.first_step = run.step + 1
        self.nll = self.weight = 0.0  # of the steps so far, the later ones counting more
        validations = [row.valid_perplexity for row in run.rows if row.valid_perplexity is not None]
        self.valid = f"  valid {validations[-1]:.1f}" if validations else ""
        self.last_shown = time.monotonic()
        self.bar: Any = None
        if sys.stdout.isatty() and not quiet:
            sized = shutil.get_terminal_size((0, 0)).columns > 0
            self.bar = tqdm(
                total=self.total, initial=run.step, file=sys.stdout, dynamic_ncols=sized,
                ncols=None if sized else 80, bar_format="{desc}  |{bar}|",
            )  # fmt: skip

    def line(self, text: str) -> None:
        """Print a line above the bar."""
        if self.bar is not None:
            self.bar.write(text)
        else:
            print(text, flush=True)
        self.last_shown = time.monotonic()

    def show(self, item: Step | Row) -> None:
        """Show an update, or metrics."""
        if isinstance(item, Step):
            self.step(item)
        elif not self.quiet:
            self.row(item)

    def step(self, step: Step) -> None:
        """Show an update. The first is left out of the time that is left."""
        if step.step == self.first_step:
            if self.bar is None and not self.quiet:
                self.line(f"First step done after {self.seconds():.1f} s.")
            self.started = time.perf_counter()
        self.nll = SMOOTH * self.nll + (1 - SMOOTH) * math.log(step.perplexity)
        self.weight = SMOOTH * self.weight + (1 - SMOOTH)
        if self.bar is not None:
            text = (
                f"epoch {step.epoch}/{self.epochs}  perplexity "
                f"{math.exp(self.nll / self.weight):.1f}{self.valid}  "
                f"{self.speed(step.step)}"
            )
            more = (
                f"  step {step.step}/{self.total}  cost {step.cost:.2f}  "
                f"accuracy {step.accuracy:.3f}  norm {step.gradient_norm:.2f}"
            )
            width = self.bar.ncols or shutil.get_terminal_size().columns
            if len(text + more) + ROOM_FOR_BAR <= width:
                text += more
            self.bar.set_description_str(text, refresh=step.step == self.first_step)
            self.bar.update()

    def validation(self, run: Run, done: int, total: int) -> None:
        """Show how far a validation is."""
        since = time.monotonic() - self.last_shown
        share = f"epoch {run.epoch + 1}/{self.epochs}  validating {done / total:.0%}"
        if self.bar is not None and since > EVERY:
            self.bar.set_description_str(share)
            self.last_shown = time.monotonic()
        elif self.bar is None and not self.quiet and since > EVERY_IN_A_FILE:
            self.line(share)

    def row(self, row: Row) -> None:
        """Print metrics. Beside a bar only those that end an epoch: metrics.csv has them all."""
        if row.valid_perplexity is not None:
            self.valid = f"  valid {row.valid_perplexity:.1f}"
            if self.bar is not None:  # in place of the validation, which is over
                self.bar.set_description_str(f"epoch {row.epoch}/{self.epochs}{self.valid}")
            self.line(
                f"epoch {row.epoch:3}  step {row.step}/{self.total}  lr {row.lr:.3g}  "
                f"train perplexity {row.perplexity:.2f}  accuracy {row.accuracy:.3f}  |  "
                f"valid perplexity {row.valid_perplexity:.2f}  accuracy {row.valid_accuracy:.3f}"
            )
        elif self.bar is None:
            self.line(
                f"epoch {row.epoch:3}  step {row.step}/{self.total}  cost {row.cost:.2f}  "
                f"accuracy {row.accuracy:.3f}  perplexity {row.perplexity:.2f}  "
                f"norm {row.gradient_norm:.2f}  {self.speed(row.step)}"
            )

    def seconds(self) -> float:
        """Seconds since the first step."""
        return time.perf_counter() - self.started

    def speed(self, step: int) -> str:
        """Tokens a second, and what is left."""
        speed = self.timing.tokens_per_second or 0
        return f"{speed:,.0f} tokens/s  left {self.time_left(step)}"

    def time_left(self, step: int) -> str:
        """What is left if it goes on like that, validations and saves included, such as 01:30."""
        done = step - self.first_step
        return tqdm.format_interval(self.seconds() / done * (self.total - step)) if done else "?"

    def close(self) -> None:
        """Leave the terminal in order."""
        if self.bar is not None:
            self.bar.close()
