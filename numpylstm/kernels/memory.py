"""A pool of memory for large arrays, which begin at a cache line.

A training step needs the same large arrays every time. After each `free` the operating system
returns them as pages that are zeroed at first touch, which costs a tenth of a step. So the memory
of a large array without references is kept for the next one of about its size: sizes are rounded
up by a quarter at most, and memory that is not touched costs nothing. What is not used again while
`TURN` to twice as many arrays are made is freed: sizes have changed.
"""

import math
import weakref

import numpy as np

CACHE_LINE = 64  # bytes; a vector across two lines costs twice as much
POOLED = 1 << 16  # bytes; the allocator itself keeps smaller blocks
LIMIT = 1 << 30  # bytes kept at most; beyond it all are freed
TURN = 1000  # arrays, of some thirty training steps

_kept, _older = {}, {}  # bytes -> list of memory blocks; of this turn, and of the one before
_bytes_kept = _taken = 0


def empty(shape, dtype):
    """Return an uninitialised array, as `numpy.empty` does."""
    nbytes = math.prod(shape) * dtype.itemsize
    if nbytes < POOLED:
        return np.empty(shape, dtype)
    global _bytes_kept, _taken
    _taken += 1
    if _taken >= TURN:
        _turn()
    step = 1 << nbytes.bit_length() - 3  # a quarter of the power of two below
    size = -(-nbytes // step) * step
    try:
        memory = (_kept.get(size) or _older[size]).pop()
        _bytes_kept -= size
    except (KeyError, IndexError):
        memory = np.empty(size + CACHE_LINE, np.uint8)
    # All views of the result refer to `whole` (and not past it, as a memoryview lies between), so
    # it lives as long as any of them.
    whole = np.frombuffer(memory.data, np.uint8)
    weakref.finalize(whole, _keep, size, memory).atexit = False
    start = -memory.__array_interface__["data"][0] % CACHE_LINE
    return whole[start : start + nbytes].view(dtype).reshape(shape)


def release_memory():
    """Free the memory of large arrays that is kept for new ones, at most 1 GiB."""
    _turn()
    _turn()


def _turn():
    global _kept, _older, _bytes_kept, _taken
    _kept, _older, _taken = {}, _kept, 0
    _bytes_kept = sum(size * len(blocks) for size, blocks in list(_older.items()))


def _keep(size, memory):
    global _bytes_kept
    if size > LIMIT:
        return
    if _bytes_kept + size > LIMIT:
        release_memory()
    _kept.setdefault(size, []).append(memory)
    _bytes_kept += size
