"""Room for results: large arrays that begin at a cache line, in memory that is used again.

A training step needs the same large arrays every time. The operating system takes them back at each
`free`, and hands them out anew as pages to be zeroed at first touch, which cost a tenth of a step.
So the memory of a large array that nobody holds any more is kept for the next one of about its
size: sizes are rounded up, by a quarter at most, and memory that is not touched costs nothing. To
whoever asks, `empty` is `numpy.empty`.
"""

import math
import weakref

import numpy as np

CACHE_LINE = 64  # bytes of a cache line; a vector that straddles two costs twice
POOLED = 1 << 16  # bytes below which the allocator keeps the memory by itself
LIMIT = 1 << 30  # bytes kept at most; beyond it all is returned, as sizes have changed

_kept = {}  # bytes -> list of memory blocks
_bytes_kept = 0


def empty(shape, dtype):
    """An uninitialised array."""
    nbytes = math.prod(shape) * dtype.itemsize
    if nbytes < POOLED:
        return np.empty(shape, dtype)
    global _bytes_kept
    step = 1 << nbytes.bit_length() - 3  # a quarter of the power of two below
    size = -(-nbytes // step) * step
    try:
        memory = _kept[size].pop()
        _bytes_kept -= size
    except (KeyError, IndexError):
        memory = np.empty(size + CACHE_LINE, np.uint8)
    # All views of the result refer to `whole` (and not past it, as a memoryview lies between), so
    # it lives as long as any of them.
    whole = np.frombuffer(memory.data, np.uint8)
    weakref.finalize(whole, _keep, size, memory).atexit = False
    start = -memory.__array_interface__["data"][0] % CACHE_LINE
    return whole[start : start + nbytes].view(dtype).reshape(shape)


def _keep(size, memory):
    global _bytes_kept
    if size > LIMIT:
        return
    if _bytes_kept + size > LIMIT:
        _kept.clear()
        _bytes_kept = 0
    _kept.setdefault(size, []).append(memory)
    _bytes_kept += size
