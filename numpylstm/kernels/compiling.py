"""How every kernel is compiled.

`kernel` is for the functions that Python calls. They are kept on disk (`cache=True`), run without
the interpreter's lock, and divide as NumPy does. `inner` is for the functions that kernels call:
they are compiled into each kernel that uses them. `inlined` is for the smallest of these: to
compile any function by itself takes a twentieth of a second.

`reordering` is for inner functions whose one sum or maximum may be taken in any order, so that it
vectorises; it names the two flags that allow this, and nothing may assume that NaN does not occur.
Everywhere else fast-math is off, and it is said so: where Numba is told nothing, a function takes
the flags of whoever calls it first.

To wake the other threads costs some 10 us, and far more on a busy machine. So a parallel kernel is
told into how many `shares` to cut its work, and with one share it wakes nobody.
"""

import functools
import hashlib
import os
from pathlib import Path

import llvmlite.binding
import numpy as np
from numba import config, njit

from . import simd


def _stamp():
    """A fingerprint of this folder: a kernel is compiled again when any file here has changed.

    Numba itself looks only at the file that holds the kernel, and would go on using an old copy
    of an inner function from another file.
    """
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


_STAMP = _stamp()
# Numba's key for a cached kernel holds the processor, but not a narrower vector that a test forces.
_CACHE = not os.environ.get("NUMPYLSTM_VECTOR_BITS")

_inner = {
    "error_model": "numpy",
    "nogil": True,
    "no_cpython_wrapper": True,  # Python calls kernels only
    "no_cfunc_wrapper": True,
}
inner = njit(fastmath=False, **_inner)
inlined = njit(fastmath=False, inline="always", **_inner)
reordering = njit(fastmath={"reassoc", "nsz"}, **_inner)


def kernel(function=None, *, parallel=False, tiles=False):
    """`numba.njit` with the settings of this package.

    With ``tiles=True`` the kernel calls `simd.tile`, and its first argument is an array of the
    dtype that the tile must have.
    """
    if function is None:
        return functools.partial(kernel, parallel=parallel, tiles=tiles)
    compiled = njit(
        cache=_CACHE, error_model="numpy", nogil=True, parallel=parallel, fastmath=False
    )(function)
    if config.DISABLE_JIT:
        return compiled
    file = getattr(compiled._cache, "_cache_file", None)
    if hasattr(file, "_source_stamp"):
        file._source_stamp = (file._source_stamp, _STAMP)
    if not tiles:
        return compiled

    @functools.wraps(function)
    def with_tile(like, *arguments):
        if like.dtype not in _TILES:
            address = _define_tile(np.empty(0, like.dtype))
            llvmlite.binding.add_symbol(simd.tile_symbol(like.dtype), address)
            _TILES.add(like.dtype)
        return compiled(like, *arguments)

    return with_tile


_TILES = set()  # the dtypes whose tile is in memory


@kernel
def _define_tile(like):
    return simd.define_tile(like)
