"""Requests to stop a run, a signal or a deadline; `session` then saves the run."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Stopped(Exception):
    """The run was stopped and is saved; `status` is the exit status of the command."""

    def __init__(self, status: int) -> None:
        super().__init__(f"stopped with status {status}")
        self.status = status


class StopRequests:
    """The signals so far, and a deadline by `time.monotonic`, which counts as Ctrl-C does."""

    def __init__(self, deadline: float | None = None) -> None:
        self.deadline = deadline
        self.signals: list[int] = []

    def status(self) -> int:
        """Return the exit status of the first request; 0 if there is none yet."""
        if self.signals:
            return 128 + self.signals[0]
        if self.deadline is not None and time.monotonic() >= self.deadline:
            return 128 + signal.SIGINT
        return 0


@contextmanager
def stop_requests(deadline: float | None = None) -> Iterator[StopRequests]:
    """Collect the signals that stop a run; a second SIGINT raises KeyboardInterrupt at once.

    They are SIGINT (Ctrl-C), SIGTERM and SIGHUP (the terminal was closed; Windows has none), except
    those that the shell told this process to ignore, as `nohup` does.
    """
    requests = StopRequests(deadline)

    def note(number: int, frame: Any) -> None:
        if number == signal.SIGINT and number in requests.signals:
            raise KeyboardInterrupt
        requests.signals.append(number)

    numbers = {signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)}
    previous = {
        number: signal.signal(number, note)
        for number in numbers
        if signal.getsignal(number) != signal.SIG_IGN
    }
    try:
        yield requests
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
