"""The tile: the innermost block of every matrix product, a few rows of two vectors.

A product is fast if a block of results stays in the vector registers while a long sum runs, since
each number loaded is then used many times. Numba does not generate such code. So the tile is
written here in LLVM instructions (the micro-kernel of Van Zee and van de Geijn, "BLIS", 2015), and
for the commonest case, whole vectors of packed operands, in x86 instructions (`x86`). The loops
around it are ordinary Numba.

Its shape depends on the processor and no result depends on its shape: each element of a product is
one chain of fused multiply-adds along K, in order.
"""

import functools

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from . import x86
from .simd import BYTE_POINTER, HAS_FMA, INT, REGISTERS, VECTOR_BYTES, Vectors, emits, unpacked

TILE_ROWS = (REGISTERS - 4) // 2  # two vectors of results in each row; four registers stay free
AHEAD = 16  # a tile that prefetches B fetches this many rows ahead


def rows_side_by_side(lanes):
    """Return the number of rows in a turned copy of A: `TILE_ROWS`, in whole vectors."""
    return (TILE_ROWS + lanes - 1) // lanes * lanes


_ARGUMENTS = [INT] * 3 + [BYTE_POINTER, INT, INT] + 4 * [BYTE_POINTER, INT]
_TYPE = ir.FunctionType(ir.VoidType(), _ARGUMENTS)


def symbol(dtype):
    """Return the name by which kernels call the tile for this dtype."""
    return f"numpylstm_tile_{dtype}_{VECTOR_BYTES}"


def _tile(typingctx, A, B, D, C, ahead):
    signature = types.void(A, B, D, C, ahead)

    def codegen(context, builder, sig, args):
        (a, (rows, depth), (a_row, a_k)), *others = (
            unpacked(context, builder, kind, arg, 2)
            for kind, arg in zip(sig.args, args, strict=True)
        )
        columns = others[2][1][1]
        arguments = [rows, columns, depth, a, a_row, a_k]
        for pointer, _, (row, _) in others:
            arguments += [pointer, row]
        name = symbol(A.dtype)
        function = cgutils.get_or_insert_function(builder.module, _TYPE, name)
        builder.call(function, arguments)
        return context.get_dummy_value()

    return signature, codegen


@emits(_tile)
def tile(A, B, D, C, ahead):
    """C = D + A @ B for one tile: at most `TILE_ROWS` rows and two vectors of columns.

    A (rows, K) has any strides. Rows of B (K, columns or more), D and C (rows, columns) are
    contiguous. D may be C, or have equal rows (a row stride of zero).

    Along with row k of B, row k of `ahead` is prefetched, which the next tiles will read. Only its
    address is used, and it may lie past the end of the array.
    """
    total = D.copy()
    for k in range(A.shape[1]):  # the order in which a BLAS sums depends on the layout
        total += A[:, k : k + 1] * B[k, : C.shape[1]]
    C[...] = total


@intrinsic
def define(typingctx, like):
    """Compile the tile for the dtype of `like` and return its address.

    Numba compiles a function again into each kernel that calls it. The tile is by far the largest,
    so kernels call it by name; `compiling` binds the name to this address beforehand.
    """

    def codegen(context, builder, signature, args):
        function = ir.Function(builder.module, _TYPE, "tile")
        function.linkage = "internal"
        function.attributes.add("noinline")
        function.attributes.add("nounwind")
        _write(ir.IRBuilder(function.append_basic_block("entry")), like.dtype, function.args)
        return builder.ptrtoint(function, INT)

    return types.intp(like), codegen


def _write(builder, real, arguments):
    """Emit the body: a loop over K for each number of rows and kind of tile."""
    rows, columns, depth, a, a_row, a_k, b, b_k, d, d_row, c, c_row, ahead, ahead_k = arguments
    v = Vectors(builder, real)
    second = builder.sub(columns, INT(v.lanes))  # columns in the second vector, if any
    masks = [v.mask(columns), v.mask(second)]
    at = [INT(0), INT(VECTOR_BYTES)]  # where the two vectors of a row begin

    def add_in_any_strides(sums, masks):
        """Add A @ B to the sums."""
        offsets = [(), (a_row,), (builder.shl(a_row, INT(1)),)]
        starts = range(0, len(sums), x86.SHARING)
        groups = [v.at(a, builder.mul(a_row, INT(r))) for r in starts]
        before = builder.block
        loop, done = (builder.append_basic_block(n) for n in ("along_k", "store"))
        builder.cbranch(builder.icmp_signed(">", depth, INT(0)), loop, done)

        builder.position_at_end(loop)
        phis = [builder.phi(INT), builder.phi(BYTE_POINTER), builder.phi(BYTE_POINTER)]
        phis += [builder.phi(BYTE_POINTER) for _ in groups]
        left, b_at, ahead_at, *a_at = phis
        going = [[builder.phi(v.type) for _ in row] for row in sums]
        right = [v.load(v.at(b_at, at[n]), mask) for n, mask in enumerate(masks)]
        new = []
        for r, row in enumerate(going):
            x = v.broadcast(v.at(a_at[r // x86.SHARING], *offsets[r % x86.SHARING]))
            new.append([v.multiply_add(x, y, z) for y, z in zip(right, row, strict=True)])
        for n in range(len(masks)):
            v.prefetch(v.at(ahead_at, at[n]))
        following = [builder.sub(left, INT(1)), v.at(b_at, b_k), v.at(ahead_at, ahead_k)]
        following += [v.at(pointer, a_k) for pointer in a_at]
        builder.cbranch(builder.icmp_signed(">", following[0], INT(0)), loop, done)
        for phi, first, after in zip(phis, [depth, b, ahead, *groups], following, strict=True):
            phi.add_incoming(first, before)
            phi.add_incoming(after, loop)

        builder.position_at_end(done)
        for r, row in enumerate(sums):
            for n, first in enumerate(row):
                after, result = new[r][n], builder.phi(v.type)
                for phi in (going[r][n], result):
                    phi.add_incoming(first, before)
                    phi.add_incoming(after, loop)
                new[r][n] = result
        return new

    def add_packed(sums, _):
        """Add A @ B to the sums if each row of A is contiguous."""
        return x86.add_product(v, sums, a, a_row, v.size, b, ahead, ahead_k, depth)

    def add_packed_turned(sums, _):
        """Add A @ B to the sums if each column of A is contiguous, `a_step` bytes apart."""
        return x86.add_product(v, sums, a, v.size, a_step, b, ahead, ahead_k, depth)

    def write(rows, masks, add):
        """Emit C = D + A @ B for a fixed number of rows, with all of C in registers."""
        sums = [
            [
                v.load(v.at(d, builder.mul(d_row, INT(r)), at[n]), mask)
                for n, mask in enumerate(masks)
            ]
            for r in range(rows)
        ]
        for r, row in enumerate(add(sums, masks)):
            for n, mask in enumerate(masks):
                v.store(row[n], v.at(c, builder.mul(c_row, INT(r)), at[n]), mask)
        builder.ret_void()

    def write_all(masks, add):
        """Emit a case for each number of rows."""
        nothing = builder.append_basic_block("nothing")
        cases = builder.switch(rows, nothing)
        for n in range(1, TILE_ROWS + 1):
            case = builder.append_basic_block(f"rows{n}")
            cases.add_case(INT(n), case)
            builder.position_at_end(case)
            write(n, masks, add)
        builder.position_at_end(nothing)
        builder.ret_void()

    def equal(*pairs):
        """Emit a test that each value equals its number."""
        tests = [builder.icmp_signed("==", value, INT(number)) for value, number in pairs]
        return functools.reduce(builder.and_, tests)

    whole = (columns, 2 * v.lanes)
    packed = whole, (b_k, 2 * VECTOR_BYTES)
    a_step = rows_side_by_side(v.lanes) * v.size
    kinds = [(equal(whole), [None, None], add_in_any_strides)]
    if HAS_FMA and VECTOR_BYTES >= x86.LEAST_VECTOR_BYTES:
        kinds = [
            (equal(*packed, (a_k, v.size)), [None, None], add_packed),
            (equal(*packed, (a_row, v.size), (a_k, a_step)), [None, None], add_packed_turned),
            *kinds,
        ]
    for condition, kind, add in kinds:
        with builder.if_then(condition):
            after = builder.append_basic_block("never")  # `if_then` continues here
            write_all(kind, add)
            builder.position_at_end(after)
    write_all(masks, add_in_any_strides)
