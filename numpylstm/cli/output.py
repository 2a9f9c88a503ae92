"""Output of the commands: the lines of a run on the terminal and in log.txt, errors on stderr."""

import logging
import os
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from numpylstm.printing import printable
from numpylstm.training.display import LINES

LINES.setLevel(logging.DEBUG)
LINES.propagate = False


class Terminal(logging.StreamHandler[TextIO]):
    """Standard output of a run; if writing fails, one line says so and the run continues."""

    def __init__(self, prog: str) -> None:
        super().__init__(sys.stdout)
        self.prog = prog

    def emit(self, record: logging.LogRecord) -> None:
        """Print a line, above the progress bar if there is one."""
        from tqdm import tqdm

        try:
            tqdm.write(record.getMessage(), file=self.stream)
            self.stream.flush()
        except OSError as error:
            discard(self.stream)
            print_error(
                f"{self.prog}: standard output is lost ({error.strerror}); the run continues"
            )


@contextmanager
def lines_to(handler: logging.Handler) -> Iterator[None]:
    """Send the lines of a run to a handler in this context."""
    LINES.addHandler(handler)
    try:
        yield
    finally:
        LINES.removeHandler(handler)
        with suppress(OSError):
            handler.close()


class Log(logging.FileHandler):
    """A file with the lines of a run; a line that cannot be written is dropped."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Do nothing: the disk may be full."""


@contextmanager
def logged(path: Path, words: Sequence[str]) -> Iterator[None]:
    """Append the lines of a run to a file, below the time and the command."""
    log = Log(path, encoding="utf-8", errors="backslashreplace")
    head = f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {shlex.join(words)}"
    log.handle(logging.makeLogRecord({"msg": head}))
    with lines_to(log):
        yield


def print_error(text: str) -> None:
    """Print a line on standard error, unless nothing can be printed there."""
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        discard(sys.stderr)


def one_line(text: object) -> str:
    """Return a text in one line, safe to print."""
    return printable(" ".join(str(text).split()))


def discard(stream: Any) -> None:
    """Send a stream and its buffer to the null device; Python would try to write it at exit."""
    with suppress(OSError, ValueError), open(os.devnull, "w") as nowhere:  # no file in notebooks
        os.dup2(nowhere.fileno(), stream.fileno())


def open_closed_streams() -> None:
    """Open standard streams that were closed, so that no file of ours gets their numbers.

    Writing to them fails, as to any closed stream.
    """
    while (descriptor := os.open(os.devnull, os.O_RDONLY)) <= 2:
        pass
    os.close(descriptor)
    sys.stdout = sys.stdout or os.fdopen(1, "w")
    sys.stderr = sys.stderr or os.fdopen(2, "w")
