"""How every kernel is compiled.

`kernel` is for the functions that Python calls. They are kept on disk (`caching`), run without the
interpreter's lock, and divide as NumPy does. `inner` is for the functions that kernels call:
they are linked into each kernel that uses them (`linked`). `inlined` is for the smallest of these:
to compile any function by itself takes a twentieth of a second.

`reordering` is for inner functions whose one sum or maximum may be taken in any order, which lets
the compiler use vectors. It sets the two fast-math flags that allow this, and none that assumes
that there is no NaN. All other functions switch fast-math off explicitly; without that, Numba
compiles an inner function with the flags of its first caller.

A shared kernel does one of several equal parts of its work. Its last two arguments are `share` and
`shares`; Python gives the second only, and the parts are done by as many threads (`threads`). To
wake these costs some 30 us, and far more on a busy machine. With one share nobody is woken.
"""

import functools
import gc
import inspect
from contextlib import contextmanager

import llvmlite.binding
import numpy as np
from numba import config, from_dtype, njit, types
from numba.core import cgutils, event
from numba.extending import intrinsic
from numba.np.numpy_support import as_dtype

from . import simd, threads, tile
from .caching import keep_on_disk
from .fallback import CannotCompile

_inner = {
    "error_model": "numpy",
    "nogil": True,
    "no_cpython_wrapper": True,  # Python calls kernels only
    "no_cfunc_wrapper": True,
}
try:
    from .linked import Compiler

    _inner["pipeline_class"] = Compiler
except Exception:  # another Numba than known: its own compiler takes longer, and does as well
    pass
inner = njit(fastmath=False, **_inner)
inlined = njit(fastmath=False, inline="always", **_inner)
reordering = njit(fastmath={"reassoc", "nsz"}, **_inner)


def _kept(function, **options):
    """`njit` of a function that is kept on disk."""
    compiled = njit(
        error_model="numpy", nogil=True, fastmath=False, no_cfunc_wrapper=True, **options
    )(function)
    keep_on_disk(compiled)
    return compiled


def kernel(function=None, *, shared=False, calls=()):
    """`numba.njit` with the settings of this package; `shared` if threads share the work.

    `calls` names the functions made by `outside` that the kernel calls; its first argument is then
    an array of the dtype that they must have.
    """
    if function is None:
        return functools.partial(kernel, shared=shared, calls=calls)
    compiled = _kept(function)
    if not config.DISABLE_JIT:
        _name_failures(compiled, calls)
    if not shared:
        return compiled

    @functools.wraps(function)
    def in_shares(*arguments):
        shares = arguments[-1]
        if shares == 1:
            return compiled(*arguments[:-1], 0, 1)
        return threads.share_out(lambda share: compiled(*arguments[:-1], share, shares), shares)

    return in_shares


def _name_failures(compiled, calls):
    """Let a dispatcher raise `CannotCompile` where Numba fails."""
    compile_as_before = compiled.compile

    def compile_or_say_so(signature):
        try:
            for call in calls:
                call.name_it(as_dtype(signature[0].dtype))
            with _no_collection():
                return compile_as_before(signature)
        except (MemoryError, RecursionError):  # the next call may have more room
            raise
        except Exception as error:
            raise CannotCompile from error

    compiled.compile = compile_or_say_so


@contextmanager
def _no_collection():
    """Leave Python's garbage for later: Numba makes a great many objects, and keeps most of them.

    To look through them again and again takes a tenth of the time of compilation.
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
    """Call look(count) whenever Numba can be left: it may raise; count is that of functions so far.

    Elsewhere an interruption may be lost in a function that LLVM calls.
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


def outside(*kinds):
    """Compile a large function once, apart from the kernels that call it.

    Numba compiles what a kernel calls again into each kernel, and into a parallel one several
    times over. These functions kernels know by their name only; no others may call `tile.tile`.
    `kinds` are those of the arguments: "index", "matrix" or "sequence" (2-D or 3-D, contiguous),
    "strided" (2-D). Nothing is returned.
    """

    def decorate(function):
        if config.DISABLE_JIT:
            return function
        compiled = _kept(function, no_cpython_wrapper=True)

        def signature_for(real):
            return types.void(*(_KINDS[kind](real) for kind in kinds))

        def symbol(real):
            return f"numpylstm_{function.__module__}_{function.__name__}_{real}_{simd.VECTOR_BYTES}"

        @functools.cache  # so that it is done once
        def name_it(dtype):
            _name_tile(dtype)
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
                args = [_borrowed(context, builder, k, a) for k, a in zip(kinds, args, strict=True)]
                kind = convention.get_function_type(types.none, kinds)
                callee = cgutils.get_or_insert_function(builder.module, kind, symbol(like.dtype))
                status, _ = convention.call_function(builder, callee, types.none, kinds, args)
                with cgutils.if_unlikely(builder, status.is_error):
                    convention.return_status_propagate(builder, status)
                return context.get_dummy_value()

            return signature, codegen

        # Numba wants to see the names of the arguments.
        context = inspect.Parameter("typingctx", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        arguments = inspect.signature(function).parameters.values()
        by_name.__signature__ = inspect.Signature([context, *arguments])
        call = intrinsic(by_name)
        call.name_it = name_it
        return call

    return decorate


def _borrowed(context, builder, kind, argument):
    """An argument that owns nothing, as the caller does: references to it need no counting.

    To count takes an atomic instruction, and inner functions would do it at every time step.
    """
    if not isinstance(kind, types.Array):
        return argument
    array = context.make_array(kind)(context, builder, argument)
    array.meminfo = cgutils.get_null_value(array.meminfo.type)
    array.parent = cgutils.get_null_value(array.parent.type)
    return array._getvalue()


_KINDS = {
    "index": lambda real: types.intp,
    "matrix": lambda real: types.Array(real, 2, "C"),
    "sequence": lambda real: types.Array(real, 3, "C"),
    "strided": lambda real: types.Array(real, 2, "A"),
}


def _name_tile(dtype):
    if llvmlite.binding.address_of_symbol(tile.symbol(dtype)) is None:
        llvmlite.binding.add_symbol(tile.symbol(dtype), _define_tile(np.empty(0, dtype)))


def do_without_tile(dtype):
    """Let functions be compiled for others, and never be called here: the tile has no address."""
    llvmlite.binding.add_symbol(tile.symbol(dtype), 1)


@kernel
def _define_tile(like):
    return tile.define(like)
