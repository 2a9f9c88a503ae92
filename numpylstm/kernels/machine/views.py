"""Views of arrays that cost nothing inside a kernel.

Numba's slices adjust bounds and count references: with them a first step takes 1.4 times as long to
compile. The views here do neither. Bounds are trusted, and the array must outlive its views.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils

from .simd import INT, emits, unpacked


def _view(X, integers, ndim, layout, where):
    """Return the signature and code of a function that returns a view of the array X.

    ``where(builder, shape, strides, *integers)`` gives its offset in bytes, shape and strides.
    """
    result = types.Array(X.dtype, ndim, layout)

    def codegen(context, builder, signature, args):
        x, shape, strides = unpacked(context, builder, X, args[0])
        itemsize = INT(X.dtype.bitwidth // 8)
        if X.layout == "C":  # NumPy leaves the stride of an axis of length one undefined
            strides = [builder.mul(itemsize, shape[1]), itemsize]
        offset, shape, strides = where(builder, shape, strides, *args[1:])
        view = cgutils.create_struct_proxy(result)(context, builder)  # without an owner
        view.data = builder.bitcast(builder.gep(x, [offset]), view.data.type)
        view.nitems = builder.mul(*shape) if ndim == 2 else shape[0]
        view.itemsize = itemsize
        view.shape = cgutils.pack_array(builder, shape)
        view.strides = cgutils.pack_array(builder, strides)
        return view._getvalue()

    return result(X, *[types.intp] * len(integers)), codegen


def _block(typingctx, X, i0, i1, j0, j1):
    def where(b, shape, strides, i0, i1, j0, j1):
        offset = b.add(b.mul(i0, strides[0]), b.mul(j0, strides[1]))
        return offset, [b.sub(i1, i0), b.sub(j1, j0)], strides

    return _view(X, (i0, i1, j0, j1), 2, "A", where)


@emits(_block)
def block(X, i0, i1, j0, j1):
    """Return X[i0:i1, j0:j1] as an array of any strides."""
    return X[i0:i1, j0:j1]


def _transposed(typingctx, X):
    return _view(X, (), 2, "A", lambda b, shape, strides: (INT(0), shape[::-1], strides[::-1]))


@emits(_transposed)
def transposed(X):
    """Return X.T as an array of any strides."""
    return X.T


def _equal_rows(typingctx, d, rows):
    def where(b, shape, strides, rows):
        return INT(0), [rows, shape[1]], [INT(0), strides[1]]

    return _view(d, (rows,), 2, "A", where)


@emits(_equal_rows)
def equal_rows(d, rows):
    """Return d (1, N) broadcast to `rows` rows."""
    return np.broadcast_to(d, (rows, d.shape[1]))


def _row_slice(typingctx, X, i, j0, j1):
    def where(b, shape, strides, i, j0, j1):
        return b.add(b.mul(i, strides[0]), b.mul(j0, strides[1])), [b.sub(j1, j0)], strides[1:]

    if not isinstance(X, types.BaseTuple):
        return _view(X, (i, j0, j1), 1, "C", where)
    views = [_view(array, (i, j0, j1), 1, "C", where) for array in X]
    result = types.BaseTuple.from_types([signature.return_type for signature, _ in views])

    def codegen(context, builder, signature, args):
        arrays, *where_in_each = args
        slices = [
            emit(context, builder, one, [builder.extract_value(arrays, place), *where_in_each])
            for place, (one, emit) in enumerate(views)
        ]
        return context.make_tuple(builder, result, slices)

    return result(X, *[types.intp] * 3), codegen


@emits(_row_slice)
def row_slice(X, i, j0, j1):
    """Return X[i, j0:j1], whose elements are contiguous; of a tuple of arrays, that of each."""
    if isinstance(X, tuple):
        return tuple(array[i, j0:j1] for array in X)
    return X[i, j0:j1]


def _uncounted(typingctx, X):
    def emit(context, builder, kind, value):
        if isinstance(kind, types.BaseTuple):
            for place, part in enumerate(kind):
                inner = emit(context, builder, part, builder.extract_value(value, place))
                value = builder.insert_value(value, inner, place)
        elif isinstance(kind, types.Array):
            array = cgutils.create_struct_proxy(kind)(context, builder, value=value)
            array.meminfo = ir.Constant(array.meminfo.type, None)
            value = array._getvalue()
        return value

    return X(X), lambda context, builder, signature, args: emit(context, builder, X, args[0])


@emits(_uncounted)
def uncounted(X):
    """Return the same array or tuple of arrays, whose references are not counted.

    Each count is an atomic instruction, which inner functions would execute at every time step.
    """
    return X
