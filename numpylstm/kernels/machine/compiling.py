"""Decorators that compile functions, and the division of a kernel's work among threads.

`kernel` is for functions that Python calls. They are cached on disk (`caching`), release the
interpreter's lock and divide as NumPy does. `inner` is for functions that kernels call; they are
linked into each kernel. `inlined` is for the smallest of these, since compiling a function by
itself takes a twentieth of a second. `fused` is for those that run at every time step: LLVM makes
them part of their callers, since passing ten arrays takes longer than the step of a small layer.

All of them switch fast-math off explicitly: its flags assume that there is no NaN, and otherwise
Numba compiles an inner function with the flags of its first caller.

A kernel computes one of several equal parts of its work, which its last two arguments name:
`share` of `shares`. `threads.run_parallel` calls it for all of them. Waking threads costs some
30 us, and far more on a busy machine. With one share no thread is woken.
"""

import functools
import sys
import time

import llvmlite.binding
import numpy as np
from numba import config, njit

from . import tile
from .caching import DiskCache

_njit = functools.partial(
    njit, error_model="numpy", nogil=True, fastmath=False, no_cfunc_wrapper=True
)
inner = _njit(no_cpython_wrapper=True)
fused = _njit(no_cpython_wrapper=True, forceinline=True)
inlined = _njit(no_cpython_wrapper=True, inline="always")

PATIENCE = 2  # seconds


@inlined
def part(size, share, shares):
    """Return start and stop of the `share`-th of `shares` nearly equal parts of range(size)."""
    return size * share // shares, size * (share + 1) // shares


def _cached(function):
    """Compile with `njit` and cache on disk."""
    compiled = _njit()(function)
    if not config.DISABLE_JIT:
        compiled._cache = DiskCache(function)
    return compiled


def kernel(function):
    """Compile a function for `run_parallel`; its first argument is a float array."""
    compiled = _cached(function)
    if not config.DISABLE_JIT:
        compiled.compile = _after_tile(compiled.compile)
    return compiled


def _after_tile(compile_kernel):
    """Define the tile, which kernels call by name, before a kernel is compiled or loaded."""

    def compile_both(signature):
        dtype = signature[0].dtype
        name = tile.symbol(dtype)
        if llvmlite.binding.address_of_symbol(name) is None:
            like = np.empty(0, str(dtype))
            llvmlite.binding.add_symbol(name, _address_of_tile(like))
        start = time.perf_counter()
        compiled = compile_kernel(signature)
        _explain(time.perf_counter() - start)
        return compiled

    return compile_both


_seconds_so_far = 0.0
displayed = False  # True in a command, which displays its progress at a terminal only


def _explain(seconds):
    """Say once why a first step takes so long; a command says it at a terminal only."""
    global _seconds_so_far
    before = _seconds_so_far
    _seconds_so_far += seconds
    told = sys.stderr is not None and (sys.stderr.isatty() or not displayed)
    if told and before < PATIENCE <= _seconds_so_far:
        line = "numpylstm: compiling kernels for this processor, once"
        print(line, file=sys.stderr, flush=True)


@_cached
def _address_of_tile(like):
    return tile.define(like)
