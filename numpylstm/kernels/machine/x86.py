"""The loop of a tile in x86 instructions, for AVX2 and AVX-512.

A tenth of the loop that LLVM generates from `tile` is counting and addresses, which x86 executes on
the ports that multiply. Unrolling would reduce that, but LLVM then moves so many loads to the front
that the sums no longer fit into the registers. So for packed operands and whole vectors the
instructions are written here in the order in which they run. For one term and each row of A:

    x = (a, a, ..., a);  s0 += x * b0;  s1 += x * b1

which in LLVM's assembler, sources before target, is ``vbroadcastss (a), x``,
``vfmadd231ps b0, x, s0`` and ``vfmadd231ps b1, x, s1``.
"""

import platform

import llvmlite.binding
from llvmlite import ir

HERE = platform.machine().lower() in ("x86_64", "amd64")
LEAST_VECTOR_BYTES = 32 if HERE else 1 << 30  # on other processors no vector is wide enough
TERMS = 4  # of the sums in one iteration
SHARING = 3  # rows whose addresses are one pointer plus 0, 1 or 2 strides
CLOBBERED = ["~{memory}", "~{flags}"]

if HERE:
    llvmlite.binding.initialize_native_asmparser()


def add_product(v, sums, a, a_row, a_k, b, ahead, ahead_k, depth):
    """Emit the loop and return the sums with A @ B added, term by term in order.

    `sums` holds a pair of vectors for each row. `a`, `b` and `ahead` are pointers, the last to what
    is prefetched, into the second-level cache since the first is full. Strides in bytes: `a_row`
    from row to row of A (an LLVM value, or an int if constant); from term to term `a_k` (an int),
    two vectors in B, and `ahead_k` (a value).
    """
    rows, vector, kind = len(sums), v.lanes * v.size, "s" if v.size == 4 else "d"
    builder, integer = v.b, depth.type
    fixed = isinstance(a_row, int)
    starts = [a] if fixed else [
        v.at(a, builder.mul(a_row, integer(r))) for r in range(0, rows, SHARING)
    ]  # fmt: skip
    turns, rest = builder.udiv(depth, integer(TERMS)), builder.urem(depth, integer(TERMS))
    changed = [*(s for pair in sums for s in pair), b, ahead, turns, rest, *starts]
    inputs = [ahead_k] if fixed else [ahead_k, a_row]

    # Operands are numbered: results, scratch, initial values of the results, inputs.
    n = len(changed)
    s = [(f"${2 * r}", f"${2 * r + 1}") for r in range(rows)]
    b_at, ahead_at, turns_left, rest_left, *a_at = (f"${k}" for k in range(2 * rows, n))
    b0, b1, *x = (f"${k}" for k in range(n, n + 4))
    ahead_stride, a_stride = f"${2 * n + 4}", f"${2 * n + 5}"

    def address(r, term):
        if fixed:
            return f"{term * a_k + r * a_row}({a_at[0]})"
        strides = ("", f", {a_stride}", f", {a_stride}, 2")[r % SHARING]
        return f"{term * a_k}({a_at[r // SHARING]}{strides})"

    def one_term(term):
        yield f"vmovup{kind} {2 * term * vector}({b_at}), {b0}"
        yield f"vmovup{kind} {(2 * term + 1) * vector}({b_at}), {b1}"
        for r in range(rows):
            yield f"vbroadcasts{kind} {address(r, term)}, {x[r % 2]}"
            yield f"vfmadd231p{kind} {b0}, {x[r % 2]}, {s[r][0]}"
            yield f"vfmadd231p{kind} {b1}, {x[r % 2]}, {s[r][1]}"
        yield f"prefetcht1 ({ahead_at})"
        if 2 * vector > 64:
            yield f"prefetcht1 {vector}({ahead_at})"
        yield f"addq {ahead_stride}, {ahead_at}"

    def loop(left, terms, begin, end):
        yield f"testq {left}, {left}"
        yield f"jz {end}f"
        yield f"{begin}:"
        for term in range(terms):
            yield from one_term(term)
        for pointer in a_at:
            yield f"addq $${terms * a_k}, {pointer}"
        yield f"addq $${terms * 2 * vector}, {b_at}"
        yield f"decq {left}"
        yield f"jnz {begin}b"
        yield f"{end}:"

    text = [*loop(turns_left, TERMS, 1, 2), *loop(rest_left, 1, 3, 4)]
    constraints = ["=&v"] * (2 * rows) + ["=&r"] * (n - 2 * rows) + ["=&v"] * 4
    constraints += [*map(str, range(n)), *("r" for _ in inputs), *CLOBBERED]
    results = ir.LiteralStructType([*(value.type for value in changed), *([v.type] * 4)])
    function = ir.FunctionType(results, [value.type for value in (*changed, *inputs)])
    after = builder.asm(
        function, r"\0A".join(text), ",".join(constraints), [*changed, *inputs], side_effect=True
    )
    found = [builder.extract_value(after, k) for k in range(2 * rows)]
    return [found[2 * r : 2 * r + 2] for r in range(rows)]
