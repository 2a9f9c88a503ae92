"""The progress of a training run, in words for `numpylstm.training.display`."""

import math

from tqdm import tqdm

from numpylstm.training.display import Display
from numpylstm.training.loop import Run, Step
from numpylstm.training.metrics import Row, epochs_of
from numpylstm.training.timing import Timing

RECENT = 50  # updates whose mean perplexity is shown, about


class Progress:
    """The display of a training run: a bar on a terminal, the rows of metrics.csv elsewhere.

    `windows` is the number of updates in an epoch, `timing` that of the updates on display.
    """

    def __init__(self, run: Run, windows: int, timing: Timing, *, quiet: bool = False) -> None:
        total = windows * run.config.epochs
        self.total = total if run.config.steps is None else min(total, run.config.steps)
        self.run, self.timing = run, timing
        self.nll, self.valid = 0.0, ""
        self.display = Display("training", None, quiet, self.total, run.step)
        self.line, self.close = self.display.line, self.display.close

    def show(self, item: Step | Row) -> None:
        """Show an update on the bar; print metrics, beside a bar only those that end an epoch."""
        if self.display.bar is None and (isinstance(item, Step) or self.display.quiet):
            return
        epoch = f"epoch {item.epoch}/{self.run.config.epochs}"
        speed, done = self.timing.tokens_per_second or 0, max(1, self.timing.updates)
        left = tqdm.format_interval(self.timing.seconds / done * (self.total - item.step))
        pace = f"{speed:,.0f} tokens/s  left {left if self.timing.seconds else '?'}"
        if isinstance(item, Step):
            self.nll += (math.log(item.perplexity) - self.nll) / min(done, RECENT)
            perplexity = f"perplexity {math.exp(self.nll):.1f}{self.valid}"
            self.display.show(f"{epoch}  {perplexity}  {pace}", item.step)
            return
        line = f"epoch {item.epoch:3}  step {item.step}/{self.total}  "
        if item.valid_perplexity is not None:
            self.valid = f"  valid {item.valid_perplexity:.1f}"
            if self.display.bar is not None:
                self.display.show(f"{epoch}{self.valid}", item.step)
            whole = epochs_of(self.run.history)[-1]
            line += (
                f"lr {item.lr:.3g}  train perplexity {whole.training:.2f}  accuracy "
                f"{whole.accuracy:.3f}  |  valid perplexity {item.valid_perplexity:.2f}  accuracy "
                f"{item.valid_accuracy:.3f}"
            )
        elif self.display.bar is None:
            line += (
                f"cost {item.cost:.2f}  accuracy {item.accuracy:.3f}  perplexity "
                f"{item.perplexity:.2f}  norm {item.gradient_norm:.2f}  {pace}"
            )
        else:
            return
        self.line(line)

    def validation(self, done: int, total: int) -> None:
        """Show how much of a validation is done."""
        epoch = f"epoch {self.run.epoch + 1}/{self.run.config.epochs}"
        self.display.show(f"{epoch}  validating {done / total:.0%}", self.run.step)
