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
TURN = 1000  # arrays, of some thirty training steps


class Pool:
    """Memory that no array uses, at most `limit` bytes; beyond it all is freed."""

    def __init__(self, limit):
        self.limit, self.bytes_kept, self.taken = limit, 0, 0
        self.kept, self.older = {}, {}  # bytes -> memory; of this turn, and of the one before

    def take(self, size):
        """Return this many bytes, and the address of their first cache line."""
        self.taken += 1
        if self.taken >= TURN:
            self.turn()
        try:
            memory = (self.kept.get(size) or self.older[size]).pop()
            self.bytes_kept -= size
        except (KeyError, IndexError):
            block = np.empty(size + CACHE_LINE, np.uint8)
            memory = block, block.ctypes.data + -block.ctypes.data % CACHE_LINE
        return memory

    def keep(self, size, memory):
        """Keep memory for `take`; no globals are used, which are gone when Python ends."""
        if size > self.limit:
            return
        if self.bytes_kept + size > self.limit:
            self.turn()
            self.turn()
        self.kept.setdefault(size, []).append(memory)
        self.bytes_kept += size

    def turn(self):
        """Free what was kept before the last turn."""
        self.kept, self.older, self.taken = {}, self.kept, 0
        self.bytes_kept = sum(size * len(blocks) for size, blocks in list(self.older.items()))


POOL = Pool(limit=1 << 30)


class Loan:
    """The owner of an array's memory, to which all views of the array refer."""

    def __init__(self, size, memory, shape, dtype):
        self.pool, self.size, self.memory = POOL, size, memory
        at = {"data": (memory[1], False), "shape": shape, "typestr": dtype.str, "version": 3}
        self.__array_interface__ = at

    def __del__(self):
        self.pool.keep(self.size, self.memory)


def empty(shape, dtype):
    """Return an uninitialised array, as `numpy.empty` does."""
    nbytes = math.prod(shape) * dtype.itemsize
    if nbytes < POOLED:
        return np.empty(shape, dtype)
    step = 1 << nbytes.bit_length() - 3  # a quarter of the power of two below
    size = -(-nbytes // step) * step
    return np.asarray(Loan(size, POOL.take(size), shape, dtype))


def release_memory():
    """Free the memory of large arrays that is kept for new ones, at most 1 GiB."""
    POOL.turn()
    POOL.turn()
