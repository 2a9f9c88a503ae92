"""Counters by which threads inside a kernel share its pieces and wait for each other.

In Python a thread that waits falls asleep and is woken, which takes 50 us or more, as long as a
time step of a layer of some hundred units. Here it takes a piece of work by raising a counter, and
waits by reading one. A thread that starts late finds its pieces done by the others.

Every share has a piece in every stage, and one counter: 2 * stage while the piece is free, one more
when a thread has taken it, and another one more when it is done.
"""

import platform
import threading

import numpy as np
from llvmlite import ir
from numba import types

from .compiling import inlined, inner
from .simd import INT, call, emits, unpacked

PATIENCE = 4000  # reads of a counter, some 0.1 ms
_X86 = platform.machine().lower() in ("x86_64", "amd64")
_lock = threading.Lock()  # for the plain function


def counters(shares):
    """Return zeros (shares, 8), so that each counter has a cache line of its own."""
    return np.zeros((shares, 8), np.int64)


def _exchanged(typingctx, counts, share, before, after):
    def codegen(context, builder, signature, args):
        start, _, (row, _) = unpacked(context, builder, counts, args[0])
        pointer = builder.gep(start, [builder.mul(args[1], row)])
        pointer = builder.bitcast(pointer, INT.as_pointer())
        if _X86:  # most exchanges wait for another thread, which may share the core
            call(builder, "llvm.x86.sse2.pause", ir.VoidType(), [])
        found = builder.cmpxchg(pointer, args[2], args[3], "acq_rel", "acquire")
        return builder.extract_value(found, 0)

    return types.intp(counts, types.intp, types.intp, types.intp), codegen


@emits(_exchanged)
def exchanged(counts, share, before, after):
    """Return what a counter is; if that is `before`, set it to `after`, as one instruction."""
    with _lock:
        found = counts[share, 0]
        if found == before:
            counts[share, 0] = after
        return found


@inlined
def take(counts, share, stage):
    """Return True to the first thread that takes this piece, and False to all others."""
    return exchanged(counts, share, 2 * stage, 2 * stage + 1) == 2 * stage


@inlined
def finish(counts, share, stage):
    """Count a piece as done."""
    exchanged(counts, share, 2 * stage + 1, 2 * stage + 2)


@inner
def all_done(counts, stage):
    """Wait until all pieces before a stage are done; return False if that takes too long."""
    # No counter is -1, so the exchange only reads: a plain read in a loop would be made once.
    for share in range(len(counts)):
        reads = 0
        while exchanged(counts, share, -1, -1) < 2 * stage:
            reads += 1
            if reads == PATIENCE:
                return False
    return True
