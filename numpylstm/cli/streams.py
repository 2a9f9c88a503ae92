"""Standard streams that may fail: a closed pipe or a full disk loses output and nothing else."""

import contextlib
import os
import re
import shlex
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any


class Unfailing:
    """A stream whose writes never fail: an error calls `lost`, and later output is dropped."""

    def __init__(
        self, stream: Any, lost: Callable[[Exception], object] = lambda error: None
    ) -> None:
        self.stream, self.lost = stream, lost
        self.works = True

    def write(self, text: str) -> int:
        """Write the text, or drop it."""
        self._try(self.stream.write, text)
        return len(text)

    def flush(self) -> None:
        """Write the buffer, or drop it."""
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
    """Let a command that also writes files continue when its output is lost."""

    def lost(error: Exception) -> None:
        reason = getattr(error, "strerror", None) or error
        print(f"{prog}: standard output is lost ({reason}); the run continues", file=sys.stderr)

    stream = Unfailing(sys.stdout, lost)
    with contextlib.redirect_stdout(stream):
        try:
            yield
        finally:
            stream.flush()


MOVES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")  # ANSI escape sequences


class Log:
    """A stream that appends a copy of its output to a file, below the line `head`.

    Of a line that is overwritten on the terminal, the file holds the last state. The file is made
    when the first line is complete; if it cannot be opened, one warning says so.
    """

    def __init__(self, stream: Any, path: Path, head: str) -> None:
        self.stream, self.path, self.head = stream, path, head
        self.file: Any = None
        self.line = ""

    def write(self, text: str) -> int:
        """Write to the stream, and complete lines to the file."""
        written = self.stream.write(text)
        *whole, self.line = (self.line + text).split("\n")
        for line in whole:
            self._keep(MOVES.sub("", line).rpartition("\r")[2].rstrip())
        self.line = self.line[max(self.line.rfind("\r"), 0) :]
        return written

    def _keep(self, line: str) -> None:
        if self.file is None:
            try:
                self.file = open(  # noqa: SIM115 - closed below
                    self.path, "a", encoding="utf-8", errors="backslashreplace", opener=_open_here
                )
            except OSError as error:
                reason = f"it must be new or a regular file ({error.strerror})"
                warnings.warn(f"{self.path} gets no copy of the output: {reason}", stacklevel=2)
                self.file = open(os.devnull, "w")  # noqa: SIM115 - closed below
            self.file = Unfailing(self.file)
            self._keep(self.head)
        self.file.write(line + "\n")
        self.file.flush()  # so that it survives if the process is killed

    def close(self) -> None:
        """Close the file."""
        if self.file is not None:
            with contextlib.suppress(OSError):
                self.file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def _open_here(name: str, flags: int) -> int:
    """Open a file, but not a link or pipe of that name in another user's folder."""
    plain = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    return os.open(name, flags | plain, 0o666)


@contextlib.contextmanager
def logged(path: Path, words: Sequence[str]) -> Iterator[None]:
    """Append standard output to a file, below the time and the command; never fails."""
    log = Log(sys.stdout, path, f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {shlex.join(words)}")
    try:
        with contextlib.redirect_stdout(log):
            yield
    finally:
        log.close()


def open_missing_streams() -> None:
    """Reopen standard streams that were closed, so that no file of ours gets their descriptors.

    Writing to such an output fails, as in other programs; errors are then not shown.
    """
    for name, mode, access in (
        ("stdin", "r", os.O_RDONLY),
        ("stdout", "w", os.O_RDONLY),
        ("stderr", "w", os.O_WRONLY),
    ):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, access), mode))


def abandon(stream: Any) -> None:
    """Discard buffered output: at exit, Python would try to write it again and complain."""
    with contextlib.suppress(OSError, ValueError):  # no file, as in notebooks, or closed already
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
