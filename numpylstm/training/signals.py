"""Requests to stop: of a run, which `session` then saves, or of anything else a command does."""

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class Stopped(Exception):
    """The run was stopped and is saved; `status` is the exit status of the command."""

    def __init__(self, status: int) -> None:
        super().__init__(f"stopped with status {status}")
        self.status = status


class Terminated(KeyboardInterrupt):
    """SIGTERM came, which ends a command as Ctrl-C does; `status` is its exit status."""

    status = 128 + signal.SIGTERM


@contextmanager
def terminable() -> Iterator[None]:
    """Raise Terminated at SIGTERM, unless somebody else takes care of the signal."""

    def end(number: int, frame: Any) -> None:
        raise Terminated

    ours = threading.current_thread() is threading.main_thread()
    ours = ours and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    if ours:
        signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        if ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def stop_requests(deadline: float = math.inf) -> Iterator[Callable[[], int]]:
    """Collect the signals that stop a run; a second SIGINT raises KeyboardInterrupt at once.

    They are SIGINT (Ctrl-C), SIGTERM and SIGHUP (the terminal was closed; Windows has none), except
    those that the shell told this process to ignore, as `nohup` does. The `deadline`, by
    `time.monotonic`, counts as Ctrl-C does.

    Yields
    ------
    function
        Returns the exit status of the first request; 0 if there is none yet.
    """
    requests: list[int] = []

    def note(number: int, frame: Any) -> None:
        if number == signal.SIGINT and number in requests:
            raise KeyboardInterrupt
        requests.append(number)

    def status() -> int:
        if requests:
            return 128 + requests[0]
        return 128 + signal.SIGINT if time.monotonic() >= deadline else 0

    numbers = {signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)}
    previous = {
        number: signal.signal(number, note)
        for number in numbers
        if signal.getsignal(number) != signal.SIG_IGN
    }
    try:
        yield status
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
