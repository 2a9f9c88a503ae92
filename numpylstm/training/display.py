"""The display of a task that takes long: a bar on a terminal, a line now and then elsewhere."""

import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

from numpylstm.training.signals import Stopped, stop_requests

EVERY, EVERY_IN_A_FILE = 0.1, 10.0  # seconds from one state of a task to the next


class Display:
    """The display of a task such as "reading the text"; the stream is standard output if None.

    With a total, a bar is drawn and stays; `done` steps were made before. If `quiet`, only the
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
        """Show a state and the steps made so far, unless another was shown a moment ago."""
        since = time.monotonic() - self.last_shown
        if self.bar is not None and since >= EVERY:
            self.bar.n = done
            self.bar.set_description_str(text)
            self.last_shown = time.monotonic()
        elif self.bar is None and not self.quiet and since >= EVERY_IN_A_FILE:
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
        """Leave the terminal in order."""
        if self.bar is not None:
            self.bar.close()


@contextmanager
def waiting(
    doing: str, *, stream: Any = None, then: str = "", quiet: bool = False
) -> Iterator[Display]:
    """Show a task in this context; an interruption says that it was not finished, and `then`."""
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
    """Show the number of functions compiled in this context, which a signal can stop."""
    watched: Any = nullcontext
    with suppress(Exception):  # without Numba, nothing is compiled
        from numpylstm.kernels.machine.compiling import watched
    doing = "compiling kernels"
    with (
        stop_requests() as requests,
        waiting(doing, stream=stream, then=then, quiet=quiet) as shown,
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
