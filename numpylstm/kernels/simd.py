"""The one place that speaks in vector instructions.

Numba's loop vectoriser turns a simple loop into vector code, but it will not hold a block of
results in the vector registers while a long sum runs, and that is what makes a matrix product
fast: each number loaded is then used many times. So the innermost block, the *tile*, is written
here as LLVM instructions (the micro-kernel of Van Zee and van de Geijn, "BLIS", 2015); all that
lies around it is ordinary Numba.

Every operation is a plain Python function too, which says in NumPy what it means, and which runs
with NUMBA_DISABLE_JIT=1; compiled code gets the instructions in its place (`emits`).

The shape of the tile follows from the machine: `VECTOR_BYTES` is the width of a vector register,
and `TILE_ROWS` rows of two vectors leave room for the operands. No result depends on either: each
element of a product is one chain of fused multiply-adds along K, in order, whatever the tile.
"""

import os
import platform

import llvmlite.binding
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic


def _features():
    """The instruction sets that Numba will compile for, as a set of names."""
    if config.CPU_FEATURES is not None:
        return {name[1:] for name in config.CPU_FEATURES.split(",") if name.startswith("+")}
    return {name for name, there in llvmlite.binding.get_host_cpu_features().items() if there}


def _vector_bits(features):
    """Width of a vector register; NUMPYLSTM_VECTOR_BITS narrows it, which serves to test."""
    widest = 512 if "avx512f" in features else 256 if {"avx2", "fma"} <= features else 128
    forced = os.environ.get("NUMPYLSTM_VECTOR_BITS")
    if not forced:
        return widest
    if forced not in ("128", "256", "512"):
        raise ValueError(f"NUMPYLSTM_VECTOR_BITS must be 128, 256 or 512, got {forced!r}")
    return int(forced)


_FEATURES = _features()
_ARM = platform.machine().lower() in ("arm64", "aarch64")
_BITS = _vector_bits(_FEATURES)
_REGISTERS = 32 if _ARM or _BITS == 512 else 16

HAS_FMA = _ARM or "fma" in _FEATURES
VECTOR_BYTES = _BITS // 8
TILE_ROWS = (_REGISTERS - 3) // 2  # two vectors of results in each row; three registers stay free
PANELS = 4  # that `copy_panels` copies at a time
AHEAD = 16  # rows of B that a tile asks for before it needs them, if it is to fetch its own


def emits(build):
    """Let compiled code have the instructions that `build` writes in place of a plain function."""
    return lambda plain: plain if config.DISABLE_JIT else intrinsic(build)


# ---------------------------------------------------------------------------------------------
# Scalars
# ---------------------------------------------------------------------------------------------


def _fma(typingctx, a, b, c):
    def codegen(context, builder, signature, args):
        if HAS_FMA:
            return builder.fma(*args)
        return builder.fadd(builder.fmul(args[0], args[1]), args[2])

    return a(a, a, a), codegen


@emits(_fma)
def fma(a, b, c):
    """Return a * b + c, rounded once where the machine can."""
    return a * b + c


def _power_of_two(typingctx, n, shift):
    """The low bits of n + 1.5 * 2**mantissa are the integer n: move them into the exponent."""

    def codegen(context, builder, signature, args):
        bits, mantissa, bias = (32, 23, 127) if n.bitwidth == 32 else (64, 52, 1023)
        word = ir.IntType(bits)
        exponent = builder.shl(builder.bitcast(args[0], word), word(mantissa))
        return builder.bitcast(builder.add(exponent, word(bias << mantissa)), args[0].type)

    return n(n, n), codegen


@emits(_power_of_two)
def power_of_two(n, shift):
    """2 ** n for a whole number n, given as ``shifted = n + shift``: see `elementary`."""
    return type(n)(2) ** (n - shift)


def _widest_vectors(typingctx):
    def codegen(context, builder, signature, args):
        # llvmlite knows no attributes with a value, so this one goes past its check of names.
        set.add(builder.function.attributes, f'"prefer-vector-width"="{_BITS}"')
        return context.get_dummy_value()

    return types.void(), codegen


@emits(_widest_vectors)
def widest_vectors():
    """Let the loops of the calling function use the whole vector register; no effect on results.

    For many processors LLVM prefers half of it, out of fear for the clock rate.
    """


# ---------------------------------------------------------------------------------------------
# Writing LLVM: pointers into arrays, whole and masked vectors
# ---------------------------------------------------------------------------------------------

INT = ir.IntType(64)
_BYTE_POINTER = ir.IntType(8).as_pointer()


def _pointer_name(target):
    """A pointer in the name of one of LLVM's own functions; before LLVM 17 it has a type."""
    return "p0" if llvmlite.binding.llvm_version_info[0] >= 17 else f"p0{target}"


class _Vectors:
    """Emits loads, stores and arithmetic on vectors of one element type."""

    def __init__(self, builder, real):
        self.b = builder
        self.real = ir.FloatType() if real.bitwidth == 32 else ir.DoubleType()
        self.size = real.bitwidth // 8
        self.lanes = VECTOR_BYTES // self.size
        self.type = ir.VectorType(self.real, self.lanes)
        self.name = f"v{self.lanes}f{real.bitwidth}"
        self.undefined = ir.Constant(self.type, ir.Undefined)
        self.zero = ir.Constant(self.type, [0.0] * self.lanes)

    def at(self, pointer, *offsets):
        """`pointer` moved by the sum of the offsets, in bytes."""
        for offset in offsets:
            pointer = self.b.gep(pointer, [offset])
        return pointer

    def load(self, pointer, mask=None):
        pointer = self.b.bitcast(pointer, self.type.as_pointer())
        if mask is None:
            value = self.b.load(pointer)
            value.align = self.size
            return value
        kind = ir.FunctionType(self.type, [pointer.type, ir.IntType(32), mask.type, self.type])
        name = f"llvm.masked.load.{self.name}.{_pointer_name(self.name)}"
        function = cgutils.get_or_insert_function(self.b.module, kind, name)
        return self.b.call(function, [pointer, ir.IntType(32)(self.size), mask, self.zero])

    def store(self, value, pointer, mask=None):
        pointer = self.b.bitcast(pointer, self.type.as_pointer())
        if mask is None:
            self.b.store(value, pointer).align = self.size
            return
        kind = ir.FunctionType(ir.VoidType(), [self.type, pointer.type, ir.IntType(32), mask.type])
        name = f"llvm.masked.store.{self.name}.{_pointer_name(self.name)}"
        function = cgutils.get_or_insert_function(self.b.module, kind, name)
        self.b.call(function, [value, pointer, ir.IntType(32)(self.size), mask])

    def prefetch(self, pointer, write=False):
        """Begin to bring the line of memory at `pointer` into the first cache."""
        i32 = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [pointer.type, i32, i32, i32])
        name = f"llvm.prefetch.{_pointer_name('i8')}"
        function = cgutils.get_or_insert_function(self.b.module, kind, name)
        self.b.call(function, [pointer, i32(int(write)), i32(3), i32(1)])

    def broadcast(self, pointer):
        """A vector with the scalar at `pointer` in every lane."""
        scalar = self.b.load(self.b.bitcast(pointer, self.real.as_pointer()))
        return self._spread(scalar, self.undefined)

    def mask(self, lanes):
        """True in the first `lanes` lanes."""
        index = ir.VectorType(INT, self.lanes)
        limit = self._spread(lanes, ir.Constant(index, ir.Undefined))
        return self.b.icmp_signed("<", ir.Constant(index, list(range(self.lanes))), limit)

    def _spread(self, scalar, undefined):
        first = self.b.insert_element(undefined, scalar, ir.IntType(32)(0))
        lanes = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), [0] * self.lanes)
        return self.b.shuffle_vector(first, undefined, lanes)

    def multiply_add(self, a, b, c):
        if not HAS_FMA:
            return self.b.fadd(self.b.fmul(a, b), c)
        kind = ir.FunctionType(self.type, [self.type] * 3)
        function = cgutils.get_or_insert_function(self.b.module, kind, f"llvm.fma.{self.name}")
        return self.b.call(function, [a, b, c])


def unpacked(context, builder, kind, value, dimensions):
    """Base address, shape and strides (bytes) of an array argument."""
    array = context.make_array(kind)(context, builder, value)
    shape = cgutils.unpack_tuple(builder, array.shape, dimensions)
    strides = cgutils.unpack_tuple(builder, array.strides, dimensions)
    return builder.bitcast(array.data, _BYTE_POINTER), shape, strides


# ---------------------------------------------------------------------------------------------
# The tile of a matrix product
# ---------------------------------------------------------------------------------------------


_TILE_ARGUMENTS = [INT] * 4 + [_BYTE_POINTER, INT, INT, _BYTE_POINTER, INT, INT]
_TILE_ARGUMENTS += [_BYTE_POINTER, INT, _BYTE_POINTER, INT, INT, _BYTE_POINTER, INT]


_TILE_TYPE = ir.FunctionType(ir.VoidType(), _TILE_ARGUMENTS)


def tile_symbol(dtype):
    """The name by which kernels find the tile for this dtype."""
    return f"numpylstm_tile_{dtype}_{_BITS}"


def _tile(typingctx, rows, lanes0, lanes1, A, B, b_apart, D, C, apart, ahead):
    n = types.intp
    signature = types.void(n, n, n, A, B, n, D, C, n, ahead)

    def codegen(context, builder, sig, args):
        _, _, _, A, B, _, D, C, _, ahead = sig.args
        rows, lanes0, lanes1, a, b, b_apart, d, c, apart, next_b = args
        a, (_, depth), (a_row, a_k) = unpacked(context, builder, A, a, 2)
        b, _, (b_k, _) = unpacked(context, builder, B, b, 2)
        d, _, (d_row, _) = unpacked(context, builder, D, d, 2)
        c, _, (c_row, _) = unpacked(context, builder, C, c, 2)
        next_b, _, (next_k, _) = unpacked(context, builder, ahead, next_b, 2)
        arguments = [rows, lanes0, lanes1, depth, a, a_row, a_k, b, b_k, b_apart,
                     d, d_row, c, c_row, apart, next_b, next_k]  # fmt: skip
        name = tile_symbol(A.dtype)
        function = cgutils.get_or_insert_function(builder.module, _TILE_TYPE, name)
        builder.call(function, arguments)
        return context.get_dummy_value()

    return signature, codegen


@emits(_tile)
def tile(rows, lanes0, lanes1, A, B, b_apart, D, C, apart, ahead):
    """C = D + A @ B for one tile: a few rows of two vectors.

    A (rows, K) has any strides. The columns of B (K, .), D and C (rows, .) are two runs of at most
    one vector: `lanes0` columns from column 0, and `lanes1` columns from column `apart` (of B,
    from column `b_apart`); within a run they lie side by side. D may be C, or have equal rows
    (a row stride of zero). At most `TILE_ROWS` rows; `lanes1` may be 0.

    While row k of B is used, row k of `ahead` is brought near: what the tiles that follow will
    read. Only its address is used, and it may lie past the end of everything.
    """
    for b_start, start, lanes in ((0, 0, lanes0), (b_apart, apart, lanes1)):
        if lanes > 0:
            product = A[:rows] @ B[:, b_start : b_start + lanes]
            C[:rows, start : start + lanes] = D[:rows, start : start + lanes] + product


@intrinsic
def define_tile(typingctx, like):
    """Compile the tile for the dtype of `like`, and return its address.

    Numba compiles what a kernel calls again into each kernel. The tile is far larger than all
    else, so kernels only know its name; `compiling` gives the name this address beforehand.
    """

    def codegen(context, builder, signature, args):
        function = ir.Function(builder.module, _TILE_TYPE, "tile")
        function.linkage = "internal"
        function.attributes.add("noinline")
        function.attributes.add("nounwind")
        _write_tile(ir.IRBuilder(function.append_basic_block("entry")), like.dtype, function.args)
        return builder.ptrtoint(function, INT)

    return types.intp(like), codegen


def _write_tile(builder, real, arguments):
    """The body: one loop over K for each number of rows and kind of edge, chosen by switches."""
    rows, lanes0, lanes1, depth, a, a_row, a_k, b, b_k, b_apart = arguments[:10]
    d, d_row, c, c_row, apart, next_b, next_k = arguments[10:]
    v = _Vectors(builder, real)
    size = INT(v.size)
    columns = [INT(0), builder.mul(apart, size)]
    b_columns = [INT(0), builder.mul(b_apart, size)]
    masks = [v.mask(lanes0), v.mask(lanes1)]
    whole = builder.and_(
        builder.icmp_signed("==", lanes0, INT(v.lanes)),
        builder.icmp_signed("==", lanes1, INT(v.lanes)),
    )
    single = builder.icmp_signed("==", lanes1, INT(0))

    def write(rows, vectors, masked):
        """C = D + A @ B for a fixed number of rows, with all of C in registers."""
        mask = masks if masked else [None, None]
        # Rows 3q, 3q+1 and 3q+2 share a pointer: x86 addresses offer base + {0, 1, 2} strides.
        a_row2 = builder.shl(a_row, INT(1))
        offsets = [(), (a_row,), (a_row2,)]
        groups = [v.at(a, builder.mul(a_row, INT(r))) for r in range(0, rows, 3)]
        start = [
            [
                v.load(v.at(d, builder.mul(d_row, INT(r)), columns[n]), mask[n])
                for n in range(vectors)
            ]
            for r in range(rows)
        ]
        before = builder.block
        loop, done = (builder.append_basic_block(n) for n in ("along_k", "store"))
        builder.cbranch(builder.icmp_signed(">", depth, INT(0)), loop, done)

        builder.position_at_end(loop)
        phis = [builder.phi(INT), builder.phi(_BYTE_POINTER), builder.phi(_BYTE_POINTER)]
        phis += [builder.phi(_BYTE_POINTER) for _ in groups]
        left, b_at, next_at, *a_at = phis
        sums = [[builder.phi(v.type) for _ in range(vectors)] for _ in range(rows)]
        right = [v.load(v.at(b_at, b_columns[n]), mask[n]) for n in range(vectors)]
        new = []
        for r in range(rows):
            x = v.broadcast(v.at(a_at[r // 3], *offsets[r % 3]))
            new.append([v.multiply_add(x, right[n], sums[r][n]) for n in range(vectors)])
        for n in range(vectors):
            v.prefetch(v.at(next_at, b_columns[n]))
        following = [builder.sub(left, INT(1)), v.at(b_at, b_k), v.at(next_at, next_k)]
        following += [v.at(pointer, a_k) for pointer in a_at]
        builder.cbranch(builder.icmp_signed(">", following[0], INT(0)), loop, done)
        for phi, first, after in zip(phis, [depth, b, next_b, *groups], following, strict=True):
            phi.add_incoming(first, before)
            phi.add_incoming(after, loop)

        builder.position_at_end(done)
        for r in range(rows):
            for n in range(vectors):
                sums[r][n].add_incoming(start[r][n], before)
                sums[r][n].add_incoming(new[r][n], loop)
                result = builder.phi(v.type)
                result.add_incoming(start[r][n], before)
                result.add_incoming(new[r][n], loop)
                new[r][n] = result
        for r in range(rows):
            for n in range(vectors):
                v.store(new[r][n], v.at(c, builder.mul(c_row, INT(r)), columns[n]), mask[n])
        builder.ret_void()

    def switch(vectors, masked):
        """One case for each number of rows."""
        nothing = builder.append_basic_block("nothing")
        cases = builder.switch(rows, nothing)
        for n in range(1, TILE_ROWS + 1):
            case = builder.append_basic_block(f"rows{n}")
            cases.add_case(INT(n), case)
            builder.position_at_end(case)
            write(n, vectors, masked)
        builder.position_at_end(nothing)
        builder.ret_void()

    with builder.if_then(whole):
        _branch(builder, lambda: switch(2, masked=False))
    with builder.if_then(single):
        _branch(builder, lambda: switch(1, masked=True))
    switch(2, masked=True)


def _branch(builder, write):
    """Run `write`, whose blocks all return, inside `if_then`, which expects to go on."""
    after = builder.append_basic_block("unreachable")
    write()
    builder.position_at_end(after)


def _prefetch_rows(typingctx, rows, C, apart):
    signature = types.void(types.intp, C, types.intp)

    def codegen(context, builder, sig, args):
        c, _, (c_row, _) = unpacked(context, builder, sig.args[1], args[1], 2)
        v = _Vectors(builder, sig.args[1].dtype)
        second = builder.mul(args[2], INT(v.size))
        with cgutils.for_range(builder, args[0]) as loop:
            row = v.at(c, builder.mul(loop.index, c_row))
            v.prefetch(row, write=True)
            v.prefetch(v.at(row, second), write=True)
        return context.get_dummy_value()

    return signature, codegen


@emits(_prefetch_rows)
def prefetch_rows(rows, C, apart):
    """Begin to fetch the rows of C that a tile will need next; no effect on results."""


# ---------------------------------------------------------------------------------------------
# Moving blocks of numbers
# ---------------------------------------------------------------------------------------------


def _copy_columns(typingctx, lanes, S, P):
    signature = types.void(types.intp, S, P)

    def codegen(context, builder, sig, args):
        s, (depth, _), (s_k, _) = unpacked(context, builder, sig.args[1], args[1], 2)
        p, _, (p_k, _) = unpacked(context, builder, sig.args[2], args[2], 2)
        v = _Vectors(builder, sig.args[1].dtype)
        mask = v.mask(args[0])
        with cgutils.for_range(builder, depth) as loop:
            value = v.load(v.at(s, builder.mul(loop.index, s_k)), mask)
            v.store(value, v.at(p, builder.mul(loop.index, p_k)), mask)
        return context.get_dummy_value()

    return signature, codegen


@emits(_copy_columns)
def copy_columns(lanes, S, P):
    """Copy at most one vector of columns, side by side in S (K, .) and in P (K or more, .)."""
    P[: len(S), :lanes] = S[:, :lanes]


def _copy_panels(typingctx, S, P, apart):
    signature = types.void(S, P, types.intp)

    def codegen(context, builder, sig, args):
        s, (depth, _), (s_k, _) = unpacked(context, builder, sig.args[0], args[0], 2)
        p, _, (p_k, _) = unpacked(context, builder, sig.args[1], args[1], 2)
        v = _Vectors(builder, sig.args[0].dtype)
        panel = builder.mul(args[2], p_k)
        with cgutils.for_range(builder, depth) as loop:
            source, target = (v.at(x, builder.mul(loop.index, k)) for x, k in ((s, s_k), (p, p_k)))
            for n in range(PANELS):
                for half in range(2):
                    value = v.load(v.at(source, INT((2 * n + half) * VECTOR_BYTES)))
                    at = builder.mul(INT(n), panel)
                    v.store(value, v.at(target, at, INT(half * VECTOR_BYTES)))
        return context.get_dummy_value()

    return signature, codegen


@emits(_copy_panels)
def copy_panels(S, P, apart):
    """Copy `PANELS` panels of two vectors, side by side in S (K, .), to P, `apart` rows apart.

    Each row of S is read as one run. To copy panel by panel would read a little here and there.
    """
    width = 2 * VECTOR_BYTES // S.itemsize
    for n in range(PANELS):
        P[n * apart : n * apart + len(S), :width] = S[:, n * width : (n + 1) * width]


def _transpose_square(typingctx, S, P):
    signature = types.void(S, P)

    def codegen(context, builder, sig, args):
        s, _, (s_row, _) = unpacked(context, builder, sig.args[0], args[0], 2)
        p, _, (p_row, _) = unpacked(context, builder, sig.args[1], args[1], 2)
        v = _Vectors(builder, sig.args[0].dtype)
        n = v.lanes
        rows = [v.load(v.at(s, builder.mul(s_row, INT(r)))) for r in range(n)]
        # Swap the off-diagonal quarters of blocks of 2, then of 4, 8, ... (Eklundh 1972).
        step = 1
        while step < n:
            upper = [lane if not lane & step else n + lane - step for lane in range(n)]
            lower = [lane + step if not lane & step else n + lane for lane in range(n)]
            kind = ir.VectorType(ir.IntType(32), n)
            for r in range(n):
                if not r & step:
                    pair = rows[r], rows[r + step]
                    rows[r] = builder.shuffle_vector(*pair, ir.Constant(kind, upper))
                    rows[r + step] = builder.shuffle_vector(*pair, ir.Constant(kind, lower))
            step *= 2
        for r in range(n):
            v.store(rows[r], v.at(p, builder.mul(p_row, INT(r))))
        return context.get_dummy_value()

    return signature, codegen


@emits(_transpose_square)
def transpose_square(S, P):
    """P = S.T for a square as wide as a vector; the rows of S and of P are runs."""
    n = VECTOR_BYTES // S.itemsize
    P[:n, :n] = S[:n, :n].T


def _address(typingctx, array):
    def codegen(context, builder, signature, args):
        data = context.make_array(array)(context, builder, args[0]).data
        return builder.ptrtoint(data, INT)

    return types.intp(array), codegen


@emits(_address)
def address(array):
    """Where the first element lies in memory."""
    return array.ctypes.data


def _lanes_of(typingctx, array):
    def codegen(context, builder, signature, args):
        return INT(VECTOR_BYTES // (array.dtype.bitwidth // 8))

    return types.intp(array), codegen


@emits(_lanes_of)
def lanes_of(array):
    """Elements of `array` in one vector register."""
    return VECTOR_BYTES // array.itemsize
