"""Decorators that compile functions, and the share-out of a kernel's work.

`kernel` is for functions that Python calls. They are cached on disk (`caching`), release the
interpreter's lock and divide as NumPy does. `inner` is for functions that kernels call; they are
linked into each kernel (`linked`). `inlined` is for the smallest of these: compiling a function by
itself takes a twentieth of a second.

All of them switch fast-math off explicitly: its flags assume that there is no NaN, and otherwise
Numba compiles an inner function with the flags of its first caller.

A shared kernel computes one of several equal parts of its work. Its last two arguments are `share`
and `shares`; Python passes only the second, and threads compute the parts (`threads`). Waking them
costs some 30 us, and far more on a busy machine. With one share no thread is woken.
"""

import functools
import gc
import inspect
from contextlib import contextmanager

import llvmlite.binding
import numpy as np
from numba import config, from_dtype, njit, types
from numba.core import cgutils, event
from numba.np.numpy_support import as_dtype

from .. import CannotCompile, threads
from . import simd, tile
from .caching import keep_on_disk
from .views import borrow

_inner = {
    "error_model": "numpy",
    "nogil": True,
    "no_cpython_wrapper": True,  # Python calls kernels only
    "no_cfunc_wrapper": True,
}
try:
    from .linked import Compiler

    _inner["pipeline_class"] = Compiler
except Exception:  # an unknown version of Numba: its own compiler is slower, with the same result
    pass
inner = njit(fastmath=False, **_inner)
inlined = njit(fastmath=False, inline="always", **_inner)

GRAIN = 16  # elements: threads with parts in multiples of it do not write to one cache line


@inlined
def part(size, share, shares, grain):
    """Return start and stop of the `share`-th of `shares` nearly equal parts of range(size).

    Parts begin at multiples of `grain`.
    """
    grains = (size + grain - 1) // grain
    start, stop = grains * share // shares, grains * (share + 1) // shares
    return start * grain, min(size, stop * grain)


def _cached(function, **options):
    """Compile with `njit` and cache on disk."""
    compiled = njit(
        error_model="numpy", nogil=True, fastmath=False, no_cfunc_wrapper=True, **options
    )(function)
    keep_on_disk(compiled)
    return compiled


def kernel(function=None, *, shared=False, calls=()):
    """Decorator: compile a function that Python calls; `shared` if threads share its work.

    `calls` names the functions made by `outside` that it calls. The first argument is then an array
    of their dtype.
    """
    if function is None:
        return functools.partial(kernel, shared=shared, calls=calls)
    compiled = _cached(function)
    if not config.DISABLE_JIT:
        compiled.compile = _with_calls(compiled.compile, calls)
    if not shared:
        return compiled

    @functools.wraps(function)
    def in_shares(*arguments):
        shares = arguments[-1]
        if shares == 1:
            return compiled(*arguments[:-1], 0, 1)
        return threads.share_out(lambda share: compiled(*arguments[:-1], share, shares), shares)

    return in_shares


def _with_calls(compile_kernel, calls):
    """Compile the functions that a kernel calls by name first; raise CannotCompile on failure."""

    def compile_all(signature):
        try:
            for call in calls:
                call.bind(as_dtype(signature[0].dtype))
            with _no_collection():
                return compile_kernel(signature)
        except (MemoryError, RecursionError):  # the next call may have more memory
            raise
        except Exception as error:
            raise CannotCompile(f"{type(error).__name__}: {error}") from error

    return compile_all


@contextmanager
def _no_collection():
    """Suspend garbage collection, which takes a tenth of the compile time.

    Numba creates a great many objects, and most of them stay.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@contextmanager
def watched(look):
    """Call look(count) between passes of the compiler, with the number of functions so far.

    `look` may raise to stop. Elsewhere an exception may be lost in a function that LLVM calls.
    """

    class Watcher(event.Listener):
        count = 0

        def on_start(self, event):
            self.count += event.kind == "numba:compile"
            look(self.count)

        def on_end(self, event):
            look(self.count)

    watcher = Watcher()
    with (
        event.install_listener("numba:compile", watcher),
        event.install_listener("numba:run_pass", watcher),
    ):
        yield


def outside(function):
    """Decorator: compile a large function once, apart from the kernels that call it.

    Numba compiles an inner function again into each kernel. This one is called by its name. Its
    arguments are 2-D arrays of one dtype, in any strides, and then two integers; it returns
    nothing.
    """
    if config.DISABLE_JIT:
        return function
    compiled = _cached(function, no_cpython_wrapper=True)
    arrays = len(inspect.signature(function).parameters) - 2

    def signature_for(real):
        return types.void(*[types.Array(real, 2, "A")] * arrays, types.intp, types.intp)

    def symbol(real):
        return f"numpylstm_{function.__module__}_{function.__name__}_{real}_{simd.VECTOR_BYTES}"

    @functools.cache
    def bind(dtype):
        """Compile the function for a dtype and give its name the address."""
        bind_tile(dtype)
        signature = signature_for(from_dtype(dtype))
        with _no_collection():
            compiled.compile(signature)
        found = compiled.overloads[signature.args]
        address = found.library.get_pointer_to_function(found.fndesc.llvm_func_name)
        llvmlite.binding.add_symbol(symbol(from_dtype(dtype)), address)

    def by_name(typingctx, like, *others):
        signature = signature_for(like.dtype)

        def codegen(context, builder, _, args):
            convention, kinds = context.call_conv, signature.args
            args = [borrow(context, builder, k, a) for k, a in zip(kinds, args, strict=True)]
            kind = convention.get_function_type(types.none, kinds)
            callee = cgutils.get_or_insert_function(builder.module, kind, symbol(like.dtype))
            status, _ = convention.call_function(builder, callee, types.none, kinds, args)
            with cgutils.if_unlikely(builder, status.is_error):
                convention.return_status_propagate(builder, status)
            return context.get_dummy_value()

        return signature, codegen

    call = simd.emits(by_name)(function)
    call.bind = bind
    return call


def bind_tile(dtype):
    """Compile the tile for a dtype and give its name the address."""
    if llvmlite.binding.address_of_symbol(tile.symbol(dtype)) is None:
        llvmlite.binding.add_symbol(tile.symbol(dtype), _define_tile(np.empty(0, dtype)))


@kernel
def _define_tile(like):
    return tile.define(like)
