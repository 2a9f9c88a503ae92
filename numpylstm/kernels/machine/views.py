"""Views of arrays that cost nothing inside a kernel.

Numba's slices check bounds and count references. In kernels that run thousands of times for small
layers this costs more than the arithmetic, and it doubles the compile time. The views here do
neither: bounds are trusted, and the array must outlive its views.

Numba does not know that a view shares the memory of its array. Where it inlines `exp`, `sigmoid` or
`tanh` it also removes dead code, and takes a store for dead if its view is not used again: the last
one after a loop is lost, without an error. So a function that calls these stores only to its
arguments, or to views inside a loop.
"""

import numpy as np
from numba import types
from numba.core import cgutils
from numba.np.arrayobj import populate_array

from .simd import INT, emits, unpacked


def borrow(context, builder, kind, value):
    """Emit a value of type `kind`, an array or a tuple of arrays, whose references are not counted.

    Each count is an atomic instruction, which inner functions would execute at every time step.
    """
    if isinstance(kind, types.BaseTuple):
        parts = cgutils.unpack_tuple(builder, value)
        parts = [borrow(context, builder, k, p) for k, p in zip(kind, parts, strict=True)]
        return context.make_tuple(builder, kind, parts)
    if not isinstance(kind, types.Array):
        return value
    array = context.make_array(kind)(context, builder, value)
    array.meminfo = cgutils.get_null_value(array.meminfo.type)
    array.parent = cgutils.get_null_value(array.parent.type)
    return array._getvalue()


def _borrowed(typingctx, X):
    def codegen(context, builder, signature, args):
        return borrow(context, builder, X, args[0])

    return X(X), codegen


@emits(_borrowed)
def borrowed(X):
    """Return the same array or tuple of arrays, without counting references."""
    return X


def _view(ndim, layout, where):
    """Decorator: a function of an array and integers returns a view (`ndim` axes) of the array.

    ``where(builder, shape, strides, *integers)`` gives its offset in bytes, shape and strides. Of a
    tuple of arrays, the function returns a tuple of views.
    """

    def build(typingctx, X, *integers):
        several = isinstance(X, types.BaseTuple)
        kinds = [types.Array(part.dtype, ndim, layout) for part in (X if several else [X])]

        def view_of(context, builder, part, kind, value, integers):
            x, shape, strides = unpacked(context, builder, part, value, part.ndim)
            if part.layout == "C":  # NumPy leaves the stride of an axis of length one undefined
                strides = [INT(kind.dtype.bitwidth // 8)]
                for size in reversed(shape[1:]):
                    strides.insert(0, builder.mul(strides[0], size))
            at, shape, strides = where(builder, shape, strides, *integers)
            view = context.make_array(kind)(context, builder)
            populate_array(
                view,
                data=builder.bitcast(builder.gep(x, [at]), view.data.type),
                shape=shape,
                strides=strides,
                itemsize=INT(kind.dtype.bitwidth // 8),
                meminfo=None,
            )
            return view._getvalue()

        def codegen(context, builder, signature, args):
            if not several:
                return view_of(context, builder, X, kinds[0], args[0], args[1:])
            parts = zip(X, kinds, cgutils.unpack_tuple(builder, args[0]), strict=True)
            views = [view_of(context, builder, *part, args[1:]) for part in parts]
            return context.make_tuple(builder, signature.return_type, views)

        result = types.BaseTuple.from_types(kinds) if several else kinds[0]
        return result(X, *(types.intp for _ in integers)), codegen

    return emits(build)


def _place(b, strides, *index):
    """The offset of an element, in bytes."""
    first, *others = (b.mul(i, stride) for i, stride in zip(index, strides, strict=False))
    for other in others:
        first = b.add(first, other)
    return first


@_view(2, "A", lambda b, _, strides, i0, i1, j0, j1: (
    _place(b, strides, i0, j0), [b.sub(i1, i0), b.sub(j1, j0)], strides
))  # fmt: skip
def block(X, i0, i1, j0, j1):
    """Return X[i0:i1, j0:j1] as an array of any strides."""
    return X[i0:i1, j0:j1]


@_view(2, "A", lambda b, shape, strides: (INT(0), shape[::-1], strides[::-1]))
def turned(X):
    """Return X.T as an array of any strides."""
    return X.T


@_view(2, "A", lambda b, shape, strides, rows: (
    INT(0),
    [rows, shape[1]],
    [b.select(b.icmp_signed("==", shape[0], INT(1)), INT(0), strides[0]), strides[1]],
))  # fmt: skip
def equal_rows(D, rows):
    """Return D (rows, N) itself, or D (1, N) broadcast to `rows` rows."""
    return np.broadcast_to(D, (rows, D.shape[1]))


@_view(1, "C", lambda b, _, strides, i, j0, j1: (
    _place(b, strides, i, j0), [b.sub(j1, j0)], strides[1:]
))  # fmt: skip
def run(X, i, j0, j1):
    """Return X[i, j0:j1], whose elements are contiguous."""
    return X[i, j0:j1]


@_view(3, "C", lambda b, shape, strides, n, rows: (
    _place(b, strides[1:], n), [INT(2), rows, shape[2]], [b.mul(rows, strides[1]), *strides[1:]]
))  # fmt: skip
def from_row(arrays, n, rows):
    """Return two steps of so many rows (2, rows, .), from row n of contiguous arrays (., ., .).

    The second step may lie past the end of an array, if it is not used.
    """
    steps = []
    for X in arrays:
        flat = X.reshape(X.shape[0] * X.shape[1], X.shape[2])[n : n + 2 * rows]
        steps.append(np.lib.stride_tricks.as_strided(
            flat, (2, rows, X.shape[2]), (rows * flat.strides[0], *flat.strides)
        ))  # fmt: skip
    return tuple(steps)


@_view(2, "C", lambda b, shape, strides, t: (_place(b, strides, t), shape[1:], strides[1:]))
def at_time(X, t):
    """Return X[t], which is (B, N), of a contiguous array (T, B, N)."""
    return X[t]
