"""Where figures come from: the processor, the system and the versions."""

import os
import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np


def cores() -> int:
    """The processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def facts() -> dict[str, str]:
    """The processor, the system, and the versions that matter here."""
    numba = "none"
    with suppress(PackageNotFoundError):
        numba = version("numba")
    blas = np.show_config(mode="dicts").get("Build Dependencies", {}).get("blas", {})
    return {
        "processor": processor(),
        "processors": str(cores()),
        "system": platform.platform(),
        "Python": platform.python_version(),
        "NumPy": f"{np.__version__} with {blas.get('name', 'a BLAS')} {blas.get('version', '')}",
        "Numba": numba,
    }


def processor() -> str:
    """The name of the processor."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
