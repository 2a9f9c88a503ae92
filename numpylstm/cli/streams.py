"""The streams of a command: what becomes of output that nobody can take."""

import contextlib
import os
import re
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any


class Unfailing:
    """A stream to which writing never fails: at the first failure, all that follows is dropped.

    Parameters
    ----------
    stream : text stream
    lost : callable, optional
        Is then told the error, once.
    """

    def __init__(
        self, stream: Any, lost: Callable[[Exception], object] = lambda error: None
    ) -> None:
        self.stream, self.lost = stream, lost
        self.works = True

    def write(self, text: str) -> int:
        """Write, or drop."""
        self._try(self.stream.write, text)
        return len(text)

    def flush(self) -> None:
        """Write what is buffered, or drop it."""
        self._try(self.stream.flush)

    def _try(self, act: Callable[..., object], *arguments: str) -> None:
        if not self.works:
            return
        try:
            act(*arguments)
        except (OSError, ValueError) as error:  # ValueError: the stream was closed
            self.works = False
            abandon(self.stream)
            self.lost(error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextlib.contextmanager
def unfailing_output(prog: str) -> Iterator[None]:
    """For a command that is not there for what it prints: it goes on where nobody can take it."""

    def lost(error: Exception) -> None:
        reason = getattr(error, "strerror", None) or error
        print(f"{prog}: standard output is lost ({reason}); the run goes on", file=sys.stderr)

    stream = Unfailing(sys.stdout, lost)
    with contextlib.redirect_stdout(stream):
        try:
            yield
        finally:
            stream.flush()


class Log:
    """A stream that is written to another one too, and into a file as a terminal ends up with it.

    Of a line that was written again and again, the file has the last state. What the file cannot
    take is dropped.

    Parameters
    ----------
    stream : text stream
    file : text stream
    """

    def __init__(self, stream: Any, file: Any) -> None:
        self.stream, self.file = stream, Unfailing(file)
        self.line = ""

    def write(self, text: str) -> int:
        """Write to the stream; to the file, the lines that are whole."""
        *whole, rest = (self.line + text).split("\n")
        for line in whole:
            self.file.write(self._left(line) + "\n")
        self.line = rest[rest.rfind("\r") :] if "\r" in rest else rest
        return self.stream.write(text)

    @staticmethod
    def _left(line: str) -> str:
        return MOVES.sub("", line).rpartition("\r")[2].rstrip()

    def flush(self) -> None:
        """Write what is buffered."""
        self.stream.flush()
        self.file.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


MOVES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
"""What a terminal obeys."""


@contextlib.contextmanager
def logged(path: Path, words: Sequence[str]) -> Iterator[None]:
    """Append what is printed to a file, under the command and the time; never fails."""
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(
                path.open("a", encoding="utf-8", errors="backslashreplace", buffering=1)
            )
        except OSError:
            yield
            return
        log = Log(sys.stdout, file)
        log.file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {shlex.join(words)}\n")
        with contextlib.redirect_stdout(log):
            yield


def open_missing_streams() -> None:
    """Give standard streams that were closed their numbers back: no file of ours may get one.

    To write to such an output fails, as it would without Python; errors then go nowhere.
    """
    for name, mode, access in (
        ("stdin", "r", os.O_RDONLY),
        ("stdout", "w", os.O_RDONLY),
        ("stderr", "w", os.O_WRONLY),
    ):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, access), mode))


def abandon(stream: Any) -> None:
    """Send what is still to be written nowhere: at its end, Python would try again and complain."""
    with contextlib.suppress(OSError, ValueError):  # no file, as in notebooks, or closed already
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
