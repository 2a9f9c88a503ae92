"""Load of this machine, where the system reports it."""

import time
from contextlib import suppress
from pathlib import Path


def busy_share(seconds):
    """Sleep, and return the share of the processors in use meanwhile, between 0 and 1.

    0 if the system does not report it.
    """
    before = _ticks()
    time.sleep(seconds)
    idle, passed = (after - earlier for after, earlier in zip(_ticks(), before, strict=True))
    return 1 - idle / passed if passed else 0.0


def _ticks():
    """Return the idle time and all time so far, in ticks over all processors; 0 if not known."""
    with suppress(OSError):
        first = Path("/proc/stat").read_text().partition("\n")[0]
        times = [int(field) for field in first.split()[1:9]]  # guests are counted within user
        return times[3] + times[4], sum(times)
    return 0, 0
