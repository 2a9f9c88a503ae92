"""How far a run is: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from typing import Any

from tqdm import tqdm

from numpylstm.training.loop import Row, Run, Step


class Progress:
    """A bar on a terminal, plain lines elsewhere.

    Parameters
    ----------
    run : Run
    windows : int
        Updates in an epoch.
    """

    def __init__(self, run: Run, windows: int) -> None:
        total = windows * run.config.epochs
        self.total = total if run.config.steps is None else min(total, run.config.steps)
        self.started = time.perf_counter()  # after the first step: of the second
        self.first_step = run.step + 1
        self.tokens = 0
        self.bar: Any = None
        if sys.stdout.isatty():
            self.bar = tqdm(
                total=self.total, initial=run.step, file=sys.stdout, unit="step",
                dynamic_ncols=True,
            )  # fmt: skip

    def line(self, text: str) -> None:
        """Print a line above the bar."""
        if self.bar is not None:
            self.bar.write(text)
        else:
            print(text, flush=True)

    def show(self, item: Step | Row) -> None:
        """Show an update, or metrics."""
        if isinstance(item, Step):
            self.step(item)
        else:
            self.row(item)

    def step(self, step: Step) -> None:
        """Count an update. The first compiles the kernels, and is left out of the speed."""
        if step.step == self.first_step:
            self.line(f"First step done after {self.seconds():.1f} s.")
            self.started = time.perf_counter()
        else:
            self.tokens += step.tokens
        if self.bar is not None:
            self.bar.set_description(f"epoch {step.epoch}", refresh=False)
            self.bar.set_postfix_str(
                f"cost {step.cost:.1f}, accuracy {step.accuracy:.3f}, "
                f"perplexity {step.perplexity:.1f}, norm {step.gradient_norm:.2f}, "
                f"{self.tokens_per_second():,.0f} tokens/s",
                refresh=False,
            )
            self.bar.update()

    def row(self, row: Row) -> None:
        """Print metrics; the bar shows them anyway, except at the end of an epoch."""
        if row.valid_perplexity is not None:
            self.line(
                f"epoch {row.epoch:3}  step {row.step}/{self.total}  lr {row.lr:.3g}  "
                f"train perplexity {row.perplexity:.2f}  accuracy {row.accuracy:.3f}  |  "
                f"valid perplexity {row.valid_perplexity:.2f}  accuracy {row.valid_accuracy:.3f}"
            )
        elif self.bar is None:
            self.line(
                f"epoch {row.epoch:3}  step {row.step}/{self.total}  cost {row.cost:.2f}  "
                f"accuracy {row.accuracy:.3f}  perplexity {row.perplexity:.2f}  "
                f"norm {row.gradient_norm:.2f}  {self.tokens_per_second():,.0f} tokens/s  "
                f"left {self.time_left(row.step)}"
            )

    def seconds(self) -> float:
        """Seconds since the first step."""
        return time.perf_counter() - self.started

    def tokens_per_second(self) -> float:
        """Speed since the first step."""
        return self.tokens / self.seconds()

    def time_left(self, step: int) -> str:
        """What is left at that speed, such as 01:30."""
        done = step - self.first_step
        return tqdm.format_interval(self.seconds() / done * (self.total - step)) if done else "?"

    def close(self) -> None:
        """Leave the terminal in order."""
        if self.bar is not None:
            self.bar.close()
