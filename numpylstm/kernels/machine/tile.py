"""The tile: the innermost block of every matrix product, a few rows of two vectors.

A product is fast if a block of results stays in the vector registers while a long sum runs, since
each number loaded is then used many times. Numba does not generate such code, so the tile is
written here in LLVM instructions (the micro-kernel of Van Zee and van de Geijn, "BLIS", 2015). The
loops around it are ordinary Numba.

Its shape depends on the processor and no result depends on its shape: each element of a product is
one chain of fused multiply-adds along K, in order.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .simd import BYTE_POINTER, INT, REGISTERS, VECTOR_BYTES, Vectors, call, emits, unpacked

TILE_ROWS = (REGISTERS - 4) // 2  # two vectors of results in each row; four registers stay free
AHEAD = 16  # rows of B that are prefetched
SHARING = 3  # rows of A whose addresses are one pointer plus 0, 1 or 2 strides

_TYPE = ir.FunctionType(
    ir.VoidType(), [INT] * 3 + [BYTE_POINTER, INT, INT] + 3 * [BYTE_POINTER, INT]
)


def symbol(dtype):
    """Return the name by which kernels call the tile for this dtype."""
    return f"numpylstm_tile_{dtype}_{VECTOR_BYTES}"


def _tile(typingctx, A, B, D, C):
    def codegen(context, builder, signature, args):
        a, (rows, depth), (a_row, a_k) = unpacked(context, builder, A, args[0])
        b, _, (b_row, _) = unpacked(context, builder, B, args[1])
        d, _, (d_row, _) = unpacked(context, builder, D, args[2])
        c, (_, columns), (c_row, _) = unpacked(context, builder, C, args[3])
        arguments = [rows, columns, depth, a, a_row, a_k, b, b_row, d, d_row, c, c_row]
        call(builder, symbol(A.dtype), ir.VoidType(), arguments)
        return context.get_dummy_value()

    return types.void(A, B, D, C), codegen


@emits(_tile)
def tile(A, B, D, C):
    """C = D + A @ B for one tile: at most `TILE_ROWS` rows and two vectors of columns.

    A (rows, K), K > 0, has any strides. Rows of B (K, columns or more), D and C (rows, columns) are
    contiguous. D may be C, or have equal rows (a row stride of zero).
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
    """Emit the body: a loop over K for each number of rows, with two vectors in a row or one."""
    rows = arguments[0]
    columns = arguments[1]
    operands = arguments[2:]
    v = Vectors(builder, real)
    second = builder.sub(columns, INT(v.lanes))  # columns in the second vector, if any
    whole = builder.icmp_signed("==", second, INT(v.lanes))
    both = builder.icmp_signed(">", second, INT(0))
    kinds = [
        (whole, [None, None]),
        (both, [v.mask(columns), v.mask(second)]),
        (builder.not_(both), [v.mask(columns)]),
    ]
    for condition, masks in kinds:
        with builder.if_then(condition):
            after = builder.append_basic_block("after")
            cases = builder.switch(rows, after)
            for n in range(1, TILE_ROWS + 1):
                case = builder.append_basic_block(f"rows{n}")
                cases.add_case(INT(n), case)
                builder.position_at_end(case)
                _write_rows(v, n, masks, *operands)
                builder.branch(after)
            builder.position_at_end(after)
            builder.ret_void()
    builder.ret_void()


def _write_rows(v, rows, masks, depth, a, a_row, a_k, b, b_k, d, d_row, c, c_row):
    """Emit C = D + A @ B for a fixed number of rows, with all of C in registers.

    A row has a vector for each mask; None stands for all columns of a vector.
    """
    builder = v.b

    def address(pointer, row, stride, n=0):
        """Return the address of vector n in a row."""
        return v.at(pointer, builder.mul(stride, INT(row)), INT(n * VECTOR_BYTES))

    results = [(r, n, mask) for r in range(rows) for n, mask in enumerate(masks)]
    sums = [v.load(address(d, r, d_row, n), mask) for r, n, mask in results]
    a_starts = [address(a, r, a_row) for r in range(0, rows, SHARING)]
    ahead = builder.mul(b_k, INT(AHEAD))
    before = builder.block
    loop = builder.append_basic_block("along_k")
    done = builder.append_basic_block("store")
    builder.branch(loop)

    builder.position_at_end(loop)
    at_start = [depth, b, *a_starts, *sums]
    left, b_at, *others = now = [builder.phi(value.type) for value in at_start]
    a_at, sums = others[: len(a_starts)], others[len(a_starts) :]
    b_vectors = [v.load(v.at(b_at, INT(n * VECTOR_BYTES)), mask) for n, mask in enumerate(masks)]
    for n in range(len(masks)):
        v.prefetch(v.at(b_at, ahead, INT(n * VECTOR_BYTES)))
    for r in range(rows):
        x = v.broadcast(address(a_at[r // SHARING], r % SHARING, a_row))
        for n, b_vector in enumerate(b_vectors, r * len(masks)):
            sums[n] = v.multiply_add(x, b_vector, sums[n])
    left = builder.sub(left, INT(1))
    # LLVM would compute each address from the one before, by additions that take the place of
    # multiply-adds on Intel processors.
    a_next = [v.opaque(v.at(pointer, a_k)) for pointer in a_at]
    at_end = [left, v.at(b_at, b_k), *a_next, *sums]
    for phi, start, end in zip(now, at_start, at_end, strict=True):
        phi.add_incoming(start, before)
        phi.add_incoming(end, loop)
    builder.cbranch(builder.icmp_signed(">", left, INT(0)), loop, done)

    builder.position_at_end(done)
    for (r, n, mask), total in zip(results, sums, strict=True):
        v.store(total, address(c, r, c_row, n), mask)
