"""The machine that a program runs on: its name, its memory, its load.

Only the standard library is imported here; `facts` loads NumPy when it is called.
"""

import os
import platform
import sys
import time
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def cores() -> int:
    """Return the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def facts() -> dict[str, str]:
    """Return the processor, the system, and the versions that matter here."""
    import numpy as np

    numba = "none"
    with suppress(PackageNotFoundError):
        numba = version("numba")
    blas = np.show_config(mode="dicts").get("Build Dependencies", {}).get("blas", {})
    return {
        "processor": first_field(Path("/proc/cpuinfo"), "model name")
        or platform.processor()
        or platform.machine(),
        "processors": str(cores()),
        "system": platform.platform(),
        "Python": platform.python_version(),
        "NumPy": f"{np.__version__} with {blas.get('name', 'a BLAS')} {blas.get('version', '')}",
        "Numba": numba,
    }


def first_field(path: Path, name: str) -> str | None:
    """Return the value of the first line ``name: value`` of a file of the system, if any."""
    with suppress(OSError):
        for line in path.read_text().splitlines():
            if line.startswith(name):
                return line.partition(":")[2].strip()
    return None


def memory_size() -> int | None:
    """Return the memory of this machine in bytes; None if the system does not report it."""
    if not hasattr(os, "sysconf"):
        return None
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def peak_memory() -> int | None:
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


def busy_share(seconds: float) -> float | None:
    """Sleep, and return the share of the processors in use meanwhile, between 0 and 1.

    None if the system does not report it.
    """
    before = _ticks()
    time.sleep(seconds)
    idle, passed = (after - earlier for after, earlier in zip(_ticks(), before, strict=True))
    return 1 - idle / passed if passed else None


def _ticks() -> tuple[int, int]:
    """Return the idle time and all time so far, in ticks over all processors; 0 if not known."""
    with suppress(OSError):
        first = Path("/proc/stat").read_text().partition("\n")[0]
        times = [int(field) for field in first.split()[1:9]]  # guests are counted within user
        return times[3] + times[4], sum(times)
    return 0, 0
