"""Vector instructions that Numba does not generate from a simple loop.

Each operation is also a plain Python function, which defines it in NumPy and runs with
NUMBA_DISABLE_JIT=1. Compiled code gets LLVM instructions in its place (`emits`).

`VECTOR_BYTES` is the width of a vector register of this machine and `REGISTERS` their number. No
result depends on either.
"""

import os
import platform

import llvmlite.binding
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

# The instruction sets that Numba compiles for.
if config.CPU_FEATURES is None:
    _FEATURES = {name for name, there in llvmlite.binding.get_host_cpu_features().items() if there}
else:
    _FEATURES = {name[1:] for name in config.CPU_FEATURES.split(",") if name.startswith("+")}
_ARM = platform.machine().lower() in ("arm64", "aarch64")
_WIDEST = 512 if "avx512f" in _FEATURES else 256 if {"avx2", "fma"} <= _FEATURES else 128
_BITS = int(os.environ.get("NUMPYLSTM_VECTOR_BITS") or _WIDEST)  # tests set another

HAS_FMA = _ARM or "fma" in _FEATURES
VECTOR_BYTES = _BITS // 8
REGISTERS = 32 if _ARM or _BITS == 512 else 16


def emits(build):
    """Decorator: compiled code gets what `build` emits in place of a plain function."""

    def decorate(plain):
        if config.DISABLE_JIT:
            return plain
        return intrinsic(build)

    return decorate


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
    """Return a * b + c, rounded once if the processor can."""
    return a * b + c


def _power_of_two(typingctx, n, shift):
    """Move the low bits of n + 1.5 * 2**mantissa, the integer n, into the exponent."""

    def codegen(context, builder, signature, args):
        bits, mantissa, bias = (32, 23, 127) if n.bitwidth == 32 else (64, 52, 1023)
        word = ir.IntType(bits)
        exponent = builder.shl(builder.bitcast(args[0], word), word(mantissa))
        return builder.bitcast(builder.add(exponent, word(bias << mantissa)), args[0].type)

    return n(n, n), codegen


@emits(_power_of_two)
def power_of_two(n, shift):
    """Return 2 ** (n - shift) for a whole number n - shift; see `elementary`."""
    return type(n)(2) ** (n - shift)


def _widest_vectors(typingctx):
    def codegen(context, builder, signature, args):
        # llvmlite refuses attributes with a value, so this bypasses its check of names.
        set.add(builder.function.attributes, f'"prefer-vector-width"="{_BITS}"')
        return context.get_dummy_value()

    return types.void(), codegen


@emits(_widest_vectors)
def widest_vectors():
    """Let the loops of the calling function use the widest vectors; results do not change.

    On many processors LLVM uses only half of a 512-bit register, because wide vectors lowered the
    clock of early ones.
    """


# ---------------------------------------------------------------------------------------------
# LLVM: pointers into arrays, whole and masked vectors
# ---------------------------------------------------------------------------------------------

INT = ir.IntType(64)
INT32 = ir.IntType(32)
BYTE_POINTER = ir.IntType(8).as_pointer()


def call(builder, name, result, arguments):
    """Call a function by its symbol, an intrinsic of LLVM or the tile; `result` is an LLVM type."""
    kind = ir.FunctionType(result, [argument.type for argument in arguments])
    function = cgutils.get_or_insert_function(builder.module, kind, name)
    return builder.call(function, arguments)


class Vectors:
    """Emitter of loads, stores and arithmetic on vectors of one element type."""

    def __init__(self, builder, real):
        self.b = builder
        self.real = ir.FloatType() if real.bitwidth == 32 else ir.DoubleType()
        self.size = real.bitwidth // 8
        self.lanes = VECTOR_BYTES // self.size
        self.type = ir.VectorType(self.real, self.lanes)
        # In the names of LLVM's intrinsics; before LLVM 17 a pointer's includes its target.
        self.name = f"v{self.lanes}f{real.bitwidth}"
        self.pointer = "p0" if llvmlite.binding.llvm_version_info[0] >= 17 else f"p0{self.name}"
        self.zero = ir.Constant(self.type, [0.0] * self.lanes)

    def at(self, pointer, *offsets):
        """Return `pointer` plus the offsets, in bytes."""
        for offset in offsets:
            pointer = self.b.gep(pointer, [offset])
        return pointer

    def opaque(self, pointer):
        """Return the same pointer, of which LLVM cannot tell how it was computed."""
        kind = ir.FunctionType(pointer.type, [pointer.type])
        return self.b.call(ir.InlineAsm(kind, "", "=r,0"), [pointer])

    def load(self, pointer, mask=None):
        """Load the vector at `pointer`, with zeros where the mask is false."""
        pointer = self.b.bitcast(pointer, self.type.as_pointer())
        if mask is None:
            value = self.b.load(pointer)
            value.align = self.size
            return value
        name = f"llvm.masked.load.{self.name}.{self.pointer}"
        return call(self.b, name, self.type, [pointer, INT32(self.size), mask, self.zero])

    def store(self, value, pointer, mask=None):
        """Store the vector at `pointer` where the mask is true."""
        pointer = self.b.bitcast(pointer, self.type.as_pointer())
        if mask is None:
            self.b.store(value, pointer).align = self.size
            return
        name = f"llvm.masked.store.{self.name}.{self.pointer}"
        call(self.b, name, ir.VoidType(), [value, pointer, INT32(self.size), mask])

    def prefetch(self, pointer):
        """Prefetch the cache line at `pointer` into the first-level cache."""
        name = "llvm.prefetch.p0" + ("" if self.pointer == "p0" else "i8")
        call(self.b, name, ir.VoidType(), [pointer, INT32(0), INT32(3), INT32(1)])

    def broadcast(self, pointer):
        """Load the scalar at `pointer` into every lane."""
        return self._spread(self.b.load(self.b.bitcast(pointer, self.real.as_pointer())))

    def mask(self, lanes):
        """Return a mask that is true in the first `lanes` lanes."""
        index = ir.Constant(ir.VectorType(INT, self.lanes), list(range(self.lanes)))
        return self.b.icmp_signed("<", index, self._spread(lanes))

    def _spread(self, scalar):
        undefined = ir.Constant(ir.VectorType(scalar.type, self.lanes), ir.Undefined)
        first = self.b.insert_element(undefined, scalar, INT32(0))
        return self._picked(first, undefined, [0] * self.lanes)

    def transposed(self, rows):
        """Transpose a square of `lanes` vectors, which stays in registers.

        Each round shuffles the upper half of the square into the lower one, number by number, like
        two halves of a deck of cards. That rotates the bits of a number's place, those of its row
        and then those of its column, by one. After log2(lanes) rounds, rows and columns have
        changed places (Stone 1971).
        """
        half = self.lanes // 2
        to_left = [k // 2 + k % 2 * self.lanes for k in range(self.lanes)]
        to_right = [place + half for place in to_left]
        for _ in range(self.lanes.bit_length() - 1):
            pairs = zip(rows[:half], rows[half:], strict=True)
            rows = [self._picked(*pair, places) for pair in pairs for places in (to_left, to_right)]
        return rows

    def _picked(self, a, b, places):
        """Return a vector of the numbers at these places of a, followed by b."""
        kind = ir.VectorType(INT32, self.lanes)
        return self.b.shuffle_vector(a, b, ir.Constant(kind, places))

    def multiply_add(self, a, b, c):
        """Return a * b + c, rounded once if the processor can."""
        if not HAS_FMA:
            return self.b.fadd(self.b.fmul(a, b), c)
        return call(self.b, f"llvm.fma.{self.name}", self.type, [a, b, c])


def unpacked(context, builder, kind, value):
    """Return the base address, shape and strides (bytes) of an array argument."""
    array = cgutils.create_struct_proxy(kind)(context, builder, value=value)
    shape = cgutils.unpack_tuple(builder, array.shape)
    strides = cgutils.unpack_tuple(builder, array.strides)
    return builder.bitcast(array.data, BYTE_POINTER), shape, strides


# ---------------------------------------------------------------------------------------------
# Arrays
# ---------------------------------------------------------------------------------------------


def _copy_vector(typingctx, lanes, S, P, k):
    def codegen(context, builder, signature, args):
        s, _, (s_k, _) = unpacked(context, builder, S, args[1])
        p, _, (p_k, _) = unpacked(context, builder, P, args[2])
        v = Vectors(builder, S.dtype)
        value = v.load(v.at(s, builder.mul(args[3], s_k)), v.mask(args[0]))
        v.store(value, v.at(p, builder.mul(args[3], p_k)))
        return context.get_dummy_value()

    return types.void(types.intp, S, P, types.intp), codegen


@emits(_copy_vector)
def copy_vector(lanes, S, P, k):
    """Copy at most one vector, contiguous in row k of S (K, .) and in row k of P (K or more, .).

    A row of P has room for a whole vector, and all of it is written: on AMD processors a masked
    store takes many times as long.
    """
    P[k, :lanes] = S[k, :lanes]


def _copy_square(typingctx, S, P):
    def codegen(context, builder, signature, args):
        s, _, (_, s_j) = unpacked(context, builder, S, args[0])
        p, _, (p_k, _) = unpacked(context, builder, P, args[1])
        v = Vectors(builder, S.dtype)
        vectors = [v.load(v.at(s, builder.mul(s_j, INT(j)))) for j in range(v.lanes)]
        for k, vector in enumerate(v.transposed(vectors)):
            v.store(vector, v.at(p, builder.mul(p_k, INT(k))))
        return context.get_dummy_value()

    return types.void(S, P), codegen


@emits(_copy_square)
def copy_square(S, P):
    """P = S, both a vector wide and high; the columns of S are contiguous, and the rows of P.

    The square is transposed in registers, which is several times as fast as number by number.
    """
    P[...] = S


def _lanes_of(typingctx, array):
    def codegen(context, builder, signature, args):
        return INT(VECTOR_BYTES // (array.dtype.bitwidth // 8))

    return types.intp(array), codegen


@emits(_lanes_of)
def lanes_of(array):
    """Return the number of elements of `array` in a vector register."""
    return VECTOR_BYTES // array.itemsize
