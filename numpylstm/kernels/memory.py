"""A pool of memory for large arrays, which begin at a cache line.

A training step needs the same large arrays every time. After each `free` the operating system
returns them as pages that are zeroed at first touch, which costs a tenth of a step. So the memory
of a large array without references is kept for the next one of about its size: sizes are rounded
up by a quarter at most, and memory that is not touched costs nothing. What is not used again while
`TURN` to twice as many arrays are made is freed: sizes have changed.
"""

import math

import numpy as np

CACHE_LINE = 64  # bytes; a vector across two lines costs twice as much
POOLED = 1 << 16  # bytes; the allocator itself keeps smaller blocks
LIMIT = 1 << 30  # bytes kept at most; beyond it all are freed
TURN = 1000  # arrays, of some thirty training steps

_kept, _older = {}, {}  # bytes -> list of memory blocks; of this turn, and of the one before
_bytes_kept = _taken = 0


class _Loan:
    """The owner of an array's memory, to which all views of the array refer."""

    __slots__ = ("__array_interface__", "memory", "size")

    def __init__(self, size, memory, shape, dtype):
        self.size, self.memory = size, memory
        at = {"data": (memory[1], False), "shape": shape, "typestr": dtype.str, "version": 3}
        self.__array_interface__ = at

    def __del__(self):
        _keep(self.size, self.memory)


def empty(shape, dtype):
    """Return an uninitialised array, as `numpy.empty` does."""
    nbytes = math.prod(shape) * dtype.itemsize
    if nbytes < POOLED:
        return np.empty(shape, dtype)
    step = 1 << nbytes.bit_length() - 3  # a quarter of the power of two below
    size = -(-nbytes // step) * step
    return np.asarray(_Loan(size, _take(size), shape, dtype))


def release_memory():
    """Free the memory of large arrays that is kept for new ones, at most 1 GiB."""
    _turn()
    _turn()


def _turn():
    global _kept, _older, _bytes_kept, _taken
    _kept, _older, _taken = {}, _kept, 0
    _bytes_kept = sum(size * len(blocks) for size, blocks in list(_older.items()))


def _take(size):
    """Return this many bytes and the address of their first cache line."""
    global _bytes_kept, _taken
    _taken += 1
    if _taken >= TURN:
        _turn()
    try:
        memory = (_kept.get(size) or _older[size]).pop()
        _bytes_kept -= size
    except (KeyError, IndexError):
        block = np.empty(size + CACHE_LINE, np.uint8)
        memory = block, block.ctypes.data + -block.ctypes.data % CACHE_LINE
    return memory


def _keep(size, memory):
    global _bytes_kept
    if size > LIMIT:
        return
    if _bytes_kept + size > LIMIT:
        release_memory()
    _kept.setdefault(size, []).append(memory)
    _bytes_kept += size
