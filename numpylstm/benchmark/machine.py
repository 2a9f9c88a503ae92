"""What this machine can do, what it is, and whether others are using it."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

COPIED = 256 * 2**20  # bytes: more than any cache holds
SETTLE = 0.25  # seconds: the threads of a BLAS and of OpenMP spin so long after their work


def product_speeds(size: int, seconds: float) -> dict[str, float]:
    """The best speed of a product of two square float32 matrices: NumPy's and ours, in FLOP/s."""
    from numpylstm.functional import linear_forward

    rng = np.random.default_rng(0)
    A, B = rng.random((2, size, size), dtype=np.float32)
    zeros = np.zeros(size, np.float32)
    out = np.empty_like(A)
    speeds = {}
    for name, product in (
        ("numpy.matmul", lambda: np.matmul(A, B, out=out)),
        ("numpylstm", lambda: linear_forward(A, B, zeros)),
    ):
        time.sleep(SETTLE)
        speeds[name] = 2 * size**3 / shortest(product, seconds)
    return speeds


def bandwidth(threads: int, seconds: float) -> float:
    """Bytes per second read and written, when all threads copy a large array."""
    source = np.ones(COPIED // 4, np.float32)
    target = np.empty_like(source)
    pieces = list(
        zip(np.array_split(target, threads), np.array_split(source, threads), strict=True)
    )
    with ThreadPoolExecutor(threads) as pool:
        # NumPy lets go of the interpreter's lock while it copies.
        best = shortest(lambda: list(pool.map(lambda pair: np.copyto(*pair), pieces)), seconds)
    return 2 * source.nbytes / best


def shortest(call: Any, seconds: float) -> float:
    """The shortest time of one call, of at least three after one that does not count."""
    call()
    times: list[float] = []
    began = time.perf_counter()
    while len(times) < 3 or time.perf_counter() - began < seconds:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def pause() -> float | None:
    """Wait until the threads of the last turn sleep, and watch the processors for a moment.

    Returns
    -------
    share : float or None
        How much of the processors others used, between 0 and 1; None where it cannot be seen.
    """
    time.sleep(SETTLE)
    before = ticks()
    time.sleep(SETTLE)
    after = ticks()
    if before is None or after is None or after[1] == before[1]:
        return None
    return (after[0] - before[0]) / (after[1] - before[1])


def ticks() -> tuple[int, int] | None:
    """Processor time spent and processor time passed, over all processors; None if unknown."""
    try:
        first = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    except OSError:
        return None
    if len(first) < 6 or first[0] != "cpu":
        return None
    times = [int(field) for field in first[1:9]]  # guests are counted within user
    idle = times[3] + times[4]
    return sum(times) - idle, sum(times)


def load() -> float | None:
    """The load average of the last minute for each processor; None if unknown."""
    return os.getloadavg()[0] / (os.cpu_count() or 1) if hasattr(os, "getloadavg") else None
