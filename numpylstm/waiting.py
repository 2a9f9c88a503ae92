"""What is shown while something takes long, and what is said if it is interrupted."""

import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

EVERY = 0.5  # seconds between two looks of a person at a terminal
EVERY_IN_A_FILE = 10.0  # and between two lines of a log


class Waiting:
    """A line that moves on a terminal; elsewhere a line now and then.

    Parameters
    ----------
    doing : str
        What takes long, such as "reading my.txt".
    stream : text stream

    Attributes
    ----------
    how_far : str
        What is shown besides the time.
    """

    def __init__(self, doing: str, stream: Any) -> None:
        self.doing, self.stream = doing, stream
        self.how_far = ""
        self.began = time.monotonic()
        self.shown = False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._tick, daemon=True)

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return time.monotonic() - self.began

    def share(self, done: float, total: float) -> None:
        """Note that so much of it is done."""
        self.how_far = f"{done / total:.0%}" if total else ""

    def count(self, done: int, what: str) -> None:
        """Note that so many are done, of nobody knows how many; `what` is one of them."""
        self.how_far = f"{done:,} {what}{'s' if done != 1 else ''}"

    def start(self) -> None:
        """Begin to show it."""
        self._thread.start()

    def stop(self) -> None:
        """Show it no more, and leave the line of a terminal empty."""
        self._over.set()
        self._thread.join()
        if self.shown and self.stream.isatty():
            self._write("\r\x1b[K")

    def _tick(self) -> None:
        terminal = self.stream.isatty()
        while not self._over.wait(EVERY if terminal else EVERY_IN_A_FILE):
            parts = [self.how_far, f"{self.seconds:.0f} s"]
            line = f"{self.doing[0].upper()}{self.doing[1:]}: {', '.join(filter(None, parts))}"
            if terminal:
                width = shutil.get_terminal_size().columns - 1
                self._write(f"\r\x1b[K{line[:width]}")
            else:
                self._write(f"{line}\n")
            self.shown = True

    def _write(self, text: str) -> None:
        try:
            self.stream.write(text)
            self.stream.flush()
        except (OSError, ValueError):  # whoever reads it has left
            self._over.set()


@contextmanager
def waiting(
    doing: str, *, stream: Any = None, then: str = "", quiet: bool = False
) -> Iterator[Waiting]:
    """Show that something goes on, in this context; an interruption says what was not finished.

    Parameters
    ----------
    doing : str
        What takes long, such as "reading my.txt".
    stream : text stream, optional
        By default standard output.
    then : str
        What the person who interrupts it wants to know, such as how to go on.
    quiet : bool
        Show nothing.

    Yields
    ------
    Waiting
        To be told how far it is.
    """
    shown = Waiting(doing, sys.stdout if stream is None else stream)
    if not quiet:
        shown.start()
    try:
        yield shown
    except KeyboardInterrupt as interrupt:
        interrupt.add_note(f"{doing} was not finished" + f"; {then}" * bool(then))
        raise
    finally:
        if not quiet:
            shown.stop()
