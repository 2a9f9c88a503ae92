"""Views of arrays that cost nothing, for kernels.

Slices as Numba makes them test their bounds and count references. Within kernels that are called
thousands of times for small layers this costs more than the arithmetic, and it doubles the time
that kernels take to compile. These views do neither: the arrays must outlive them, and bounds are
trusted.
"""

import numpy as np
from numba import types
from numba.np.arrayobj import populate_array

from .simd import INT, emits, unpacked


def _view(context, builder, kind, pointer, shape, strides):
    """An array value of type `kind` that owns nothing."""
    view = context.make_array(kind)(context, builder)
    populate_array(
        view,
        data=builder.bitcast(pointer, view.data.type),
        shape=shape,
        strides=strides,
        itemsize=INT(kind.dtype.bitwidth // 8),
        meminfo=None,
    )
    return view._getvalue()


def _block(typingctx, X, i0, i1, j0, j1):
    n = types.intp
    kind = types.Array(X.dtype, 2, "A")

    def codegen(context, builder, signature, args):
        x, _, (row, column) = unpacked(context, builder, X, args[0], 2)
        _, i0, i1, j0, j1 = args
        at = builder.add(builder.mul(i0, row), builder.mul(j0, column))
        shape = [builder.sub(i1, i0), builder.sub(j1, j0)]
        return _view(context, builder, kind, builder.gep(x, [at]), shape, [row, column])

    return kind(X, n, n, n, n), codegen


@emits(_block)
def block(X, i0, i1, j0, j1):
    """X[i0:i1, j0:j1], in a type that admits any strides; the bounds are trusted."""
    return X[i0:i1, j0:j1]


def _turned(typingctx, X):
    kind = types.Array(X.dtype, 2, "A")

    def codegen(context, builder, signature, args):
        x, shape, strides = unpacked(context, builder, X, args[0], 2)
        return _view(context, builder, kind, x, shape[::-1], strides[::-1])

    return kind(X), codegen


@emits(_turned)
def turned(X):
    """X.T, in a type that admits any strides."""
    return X.T


def _equal_rows(typingctx, D, rows):
    kind = types.Array(D.dtype, 2, "A")

    def codegen(context, builder, signature, args):
        d, (height, width), (row, column) = unpacked(context, builder, D, args[0], 2)
        single = builder.icmp_signed("==", height, INT(1))
        strides = [builder.select(single, INT(0), row), column]
        return _view(context, builder, kind, d, [args[1], width], strides)

    return kind(D, types.intp), codegen


@emits(_equal_rows)
def equal_rows(D, rows):
    """D (rows, N) as it is, or D (1, N) as `rows` equal rows, without a copy."""
    return np.broadcast_to(D, (rows, D.shape[1]))


def _run(typingctx, X, i, j0, j1):
    n = types.intp
    kind = types.Array(X.dtype, 1, "C")

    def codegen(context, builder, signature, args):
        x, _, (row, column) = unpacked(context, builder, X, args[0], 2)
        at = builder.add(builder.mul(args[1], row), builder.mul(args[2], column))
        shape = [builder.sub(args[3], args[2])]
        return _view(context, builder, kind, builder.gep(x, [at]), shape, [column])

    return kind(X, n, n, n), codegen


@emits(_run)
def run(X, i, j0, j1):
    """X[i, j0:j1], whose elements lie side by side; the bounds are trusted."""
    return X[i, j0:j1]


def _at_time(typingctx, X, t):
    kind = types.Array(X.dtype, 2, "C")

    def codegen(context, builder, signature, args):
        x, shape, strides = unpacked(context, builder, X, args[0], 3)
        at = builder.gep(x, [builder.mul(args[1], strides[0])])
        return _view(context, builder, kind, at, shape[1:], strides[1:])

    return kind(X, types.intp), codegen


@emits(_at_time)
def at_time(X, t):
    """X[t] of a contiguous array (T, B, N), which is (B, N); the bounds are trusted."""
    return X[t]
