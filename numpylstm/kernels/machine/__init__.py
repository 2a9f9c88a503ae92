"""A small BLAS in Numba: what the kernels of the layers are built from.

If you know Numba, this page is a map of the rest. From the bottom up:

`simd`: instructions
    Numba vectorises a simple loop, and nothing else. What it does not generate is written as an
    *intrinsic*, a function that emits LLVM instructions in place of a call. The decorator `emits`
    pairs it with a line of NumPy that means the same; with NUMBA_DISABLE_JIT=1 that line runs.
    An array is a struct to an intrinsic: `unpacked` reads its address, shape and strides.
`views`: slices
    `block`, `row_slice` and `transposed` are ``X[i0:i1, j0:j1]``, ``X[i, j0:j1]`` and ``X.T``
    without bounds checks and reference counts, as intrinsics that fill in the struct of an array.
`tile`: the inner loop of a product
    At most 14 rows (6 with 16 registers) times two vectors of C stay in registers for all of K. It
    is LLVM code, a loop for each number of rows. Compiling it takes a second, so it is compiled
    once and kernels call it by its name, a symbol that `compiling` defines first.
`caching`: kernels on disk
    A file is named by a hash of all it depends on: source, types, processor. It carries a checksum.
`compiling`: four decorators
    `kernel` for a function that Python calls, `inner` for one that kernels call, `inlined` for the
    smallest, `fused` for those of a time step. The last arguments of a kernel are `share` and
    `shares`: `threads.run_parallel` calls it for each share, on several threads. `part` gives the
    range of a share.
`meeting`: threads that wait for each other inside a kernel
    The threads of a pass that splits the hidden units meet after each step. One takes its piece of
    the step by raising a counter (`take`), counts it as done (`finish`), and waits until all pieces
    are (`all_done`).
`elementary`: exp, sigmoid, tanh, log_sigmoid
    Straight-line arithmetic, which vectorises where ``math.exp`` is a call for each number.
`matmul`: products
    `multiply` computes C = d + A @ B, with one row d. It copies A and B in blocks to where the tile
    reads them in order ("packing"). Inside the loop over time, `multiply_packed` multiplies by a
    matrix that `packed`, or `pack` for all threads, copied once.

To follow one product with a finger: ``functional._affine`` lets threads run `multiply`, in which
each takes a run of tiles; `multiply_in_blocks` packs a block of B and calls `tile` for each.

The rules: no result depends on the number of threads, the vector width or the sizes of blocks, as
each element of a product is one chain of multiply-adds in order. Kernels check nothing. Constants
are taken from the dtype. A view must not outlive its array. Numba must not inline a function that
is overloaded (`elementary`): it would then delete the last store to a view as dead code.

Why not NumPy's product, or Numba's loops alone? See docs/explanation/decisions.md.
"""

from .compiling import fused, inlined, inner, kernel, part
from .elementary import exp, log_sigmoid, sigmoid, tanh
from .matmul import (
    FEW_ROWS,
    Packed,
    multiply,
    multiply_in_place,
    multiply_packed,
    pack,
    packed,
    panels_shape,
)
from .meeting import all_done, counters, finish, take
from .simd import widest_vectors
from .views import block, row_slice, uncounted
