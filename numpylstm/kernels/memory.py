"""A pool of memory for large arrays, which begin at a cache line.

A training step needs the same large arrays every time. Fresh from the operating system they are
pages that are zeroed at first touch, which costs a tenth of a step. So the memory of a large array
without references is kept for the next one of about its size: sizes are rounded up by a quarter at
most, and memory that is not touched costs nothing.
"""

import math

import numpy as np

CACHE_LINE = 64  # bytes; a vector across two lines costs twice as much
POOLED = 1 << 16  # bytes; the allocator itself keeps smaller blocks


class Pool:
    """Memory that no array uses, at most `limit` bytes; beyond it all is freed."""

    def __init__(self, limit):
        self.limit = limit
        self.free()

    def free(self):
        """Free all of it."""
        self.kept = {}  # bytes -> list of memory
        self.bytes_kept = 0


POOL = Pool(limit=1 << 30)


class Block:
    """The owner of an array's memory, to which all views of the array refer."""

    pool = POOL  # no global, which would be gone when Python ends

    def __del__(self):
        pool = self.pool
        size = self.size
        if size > pool.limit:
            return
        if pool.bytes_kept + size > pool.limit:
            pool.free()
        pool.kept.setdefault(size, []).append(self.memory)
        pool.bytes_kept += size


def empty(shape, dtype):
    """Return an uninitialised array, as `numpy.empty` does."""
    nbytes = math.prod(shape) * dtype.itemsize
    if nbytes < POOLED:
        return np.empty(shape, dtype)
    step = 1 << nbytes.bit_length() - 3  # a quarter of the power of two below
    size = -(-nbytes // step) * step
    try:
        memory = POOL.kept[size].pop()
        POOL.bytes_kept -= size
    except (KeyError, IndexError):
        room = np.empty(size + CACHE_LINE, np.uint8)
        memory = room, room.ctypes.data + -room.ctypes.data % CACHE_LINE
    block = Block()
    block.size = size
    block.memory = memory
    block.__array_interface__ = {
        "data": (memory[1], False),
        "shape": shape,
        "typestr": dtype.str,
        "version": 3,
    }
    return np.asarray(block)


def release_memory():
    """Free the memory of large arrays that is kept for new ones, at most 1 GiB."""
    POOL.free()
