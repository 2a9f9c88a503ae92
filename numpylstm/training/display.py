"""Progress of long tasks: a bar on a terminal, a line from time to time elsewhere."""

import math
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any

from numpylstm.training.metrics import Row, epochs_of
from numpylstm.training.signals import Stopped, stop_requests

if TYPE_CHECKING:  # the loop is slow to import, and loading it is displayed too
    from numpylstm.training.loop import Run, Step

EVERY, EVERY_IN_A_FILE = 0.1, 10.0  # seconds between two updates of the display
RECENT = 50  # the perplexity shown is a mean over about so many updates


class Display:
    """The display of a task such as "reading the text"; the stream is standard output if None.

    With a total, a bar is drawn and stays at the end; it starts at `done`. If `quiet`, only the
    texts given to `line` are shown.
    """

    def __init__(
        self, doing: str, stream: Any, quiet: bool, total: int | None = None, done: int = 0
    ) -> None:
        self.doing, self.quiet = doing, quiet
        self.stream = sys.stdout if stream is None else stream
        self.last_shown = time.monotonic()
        self.bar: Any = None
        if self.stream.isatty() and not quiet:
            from tqdm import tqdm  # other streams do without

            sized = shutil.get_terminal_size((0, 0)).columns > 0
            self.bar = tqdm(
                desc=doing.capitalize(), total=total, initial=done, file=self.stream,
                bar_format="{desc}  |{bar}|" if total else "{desc}", leave=total is not None,
                dynamic_ncols=sized, ncols=None if sized else 80,
            )  # fmt: skip

    def show(self, text: str, done: int = 0) -> None:
        """Show a text and the number of steps done, but not too often; `close` shows the last."""
        since = time.monotonic() - self.last_shown
        if self.bar is not None:
            self.bar.n = done
            self.bar.set_description_str(text, refresh=since >= EVERY)
            if since >= EVERY:
                self.last_shown = time.monotonic()
        elif not self.quiet and since >= EVERY_IN_A_FILE:
            self.line(text)

    def share(self, done: int, total: int) -> None:
        """Show how much of the task is done."""
        self.show(f"{self.doing.capitalize()}: {done / max(total, 1):.0%}")

    def line(self, text: str) -> None:
        """Print a line, above the bar if there is one."""
        if self.bar is not None:
            self.bar.write(text, file=self.stream)
        else:
            print(text, file=self.stream, flush=True)
        self.last_shown = time.monotonic()

    def close(self) -> None:
        """Remove the bar, or leave it complete."""
        if self.bar is not None:
            self.bar.close()


@contextmanager
def waiting(
    doing: str, *, stream: Any = None, then: str = "", quiet: bool = False
) -> Iterator[Display]:
    """Show a task in this context; an interruption gets a note that it was not finished."""
    shown = Display(doing, stream, quiet)
    try:
        yield shown
    except KeyboardInterrupt as interrupt:
        interrupt.add_note(f"{doing} was not finished" + f"; {then}" * bool(then))
        raise
    finally:
        shown.close()


@contextmanager
def compiling(*, stream: Any = None, then: str = "", quiet: bool = False) -> Iterator[None]:
    """Show the number of functions compiled in this context; a signal stops it."""
    watched: Any = nullcontext
    with suppress(Exception):  # without Numba, nothing is compiled
        from numpylstm.kernels.machine.compiling import watched
    with (
        stop_requests() as requests,
        waiting("compiling kernels", stream=stream, then=then, quiet=quiet) as shown,
    ):

        def look(count: int) -> None:
            if requests.signals:
                raise KeyboardInterrupt
            shown.show(f"Compiling kernels: {count} functions")

        try:
            with watched(look):
                yield
            if requests.signals:
                raise KeyboardInterrupt
        except KeyboardInterrupt:
            if requests.signals and requests.signals[0] != signal.SIGINT:
                raise Stopped(128 + requests.signals[0]) from None
            raise


# --- a training run ----------------------------------------------------------------------------


class Timing:
    """The updates of this process: their number, their tokens, and the seconds they took.

    `updating` is the time of the updates alone; `seconds` is the time up to the last item,
    including validations, saves and pictures.
    """

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self.seconds = self.updating = 0.0
        self.updates = self.tokens = 0

    def of(self, items: "Iterator[Step | Row]") -> "Iterator[Step | Row]":
        """Yield the items of `numpylstm.train`, and time them."""
        start = time.perf_counter()
        for item in items:
            now = time.perf_counter()
            if not isinstance(item, Row):
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


class Progress:
    """The display of a training run: a bar on a terminal, the rows of metrics.csv elsewhere.

    `windows` is the number of updates in an epoch, `timing` the times of the updates shown.
    """

    def __init__(self, run: "Run", windows: int, timing: Timing, *, quiet: bool = False) -> None:
        from tqdm import tqdm

        total = windows * run.config.epochs
        self.total = total if run.config.steps is None else min(total, run.config.steps)
        self.epochs = math.ceil(self.total / windows)  # the last one may be incomplete
        self.run, self.timing, self.format_interval = run, timing, tqdm.format_interval
        self.nll, self.valid = 0.0, ""
        self.display = Display("training", None, quiet, self.total, run.step)
        self.line, self.close = self.display.line, self.display.close

    def show(self, item: "Step | Row") -> None:
        """Show an update on the bar; print metrics, with a bar only at the end of an epoch."""
        if self.display.bar is None and (not isinstance(item, Row) or self.display.quiet):
            return
        epoch = f"epoch {item.epoch}/{self.epochs}"
        speed, done = self.timing.tokens_per_second or 0, max(1, self.timing.updates)
        left = self.format_interval(self.timing.seconds / done * (self.total - item.step))
        pace = f"{speed:,.0f} tokens/s  left {left if self.timing.seconds else '?'}"
        if not isinstance(item, Row):
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
        epoch = f"epoch {self.run.epoch + 1}/{self.epochs}"
        self.display.show(f"{epoch}  validating {done / total:.0%}", self.run.step)
