"""Memory of this process and load of this machine, where the system reports them.

The standard library only: each worker imports this, and what it imports is measured.
"""

import sys
import time
from contextlib import suppress
from pathlib import Path


def first_field(path, name):
    """Return the value of the first line ``name: value`` of a file of the system, if any."""
    with suppress(OSError):
        for line in path.read_text().splitlines():
            if line.startswith(name):
                return line.partition(":")[2].strip()
    return None


def peak_memory():
    """Return the peak memory of this process in bytes; None if the system does not report it."""
    # Not getrusage: on Linux a process inherits the peak of its parent.
    if peak := first_field(Path("/proc/self/status"), "VmHWM"):
        return int(peak.split()[0]) * 1024
    try:
        import resource
    except ImportError:
        return None
    peak_rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak_rss if sys.platform == "darwin" else peak_rss * 1024


def busy_share(seconds):
    """Sleep, and return the share of the processors in use meanwhile, between 0 and 1.

    None if the system does not report it.
    """
    before = _ticks()
    time.sleep(seconds)
    idle, passed = (after - earlier for after, earlier in zip(_ticks(), before, strict=True))
    return 1 - idle / passed if passed else None


def _ticks():
    """Return the idle time and all time so far, in ticks over all processors; 0 if not known."""
    with suppress(OSError):
        first = Path("/proc/stat").read_text().partition("\n")[0]
        times = [int(field) for field in first.split()[1:9]]  # guests are counted within user
        return times[3] + times[4], sum(times)
    return 0, 0
