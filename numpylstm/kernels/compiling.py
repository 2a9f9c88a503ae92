"""How every kernel is compiled.

`kernel` is for the functions that Python calls. They are kept on disk (`cache=True`), run without
the interpreter's lock, and divide as NumPy does. `inner` is for the functions that kernels call:
they are compiled into each kernel that uses them.

No fast-math flag is set here. A kernel that lets a sum be reordered (so that it vectorises) asks
for "reassoc" by name; nothing may assume that NaN does not occur.
"""

import hashlib
import os
from pathlib import Path

from numba import njit


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

inner = njit(error_model="numpy", nogil=True)


def kernel(function=None, *, parallel=False, fastmath=False):
    """`numba.njit` with the settings of this package."""
    if function is None:
        return lambda function: kernel(function, parallel=parallel, fastmath=fastmath)
    dispatcher = njit(
        cache=_CACHE, error_model="numpy", nogil=True, parallel=parallel, fastmath=fastmath
    )(function)
    file = getattr(getattr(dispatcher, "_cache", None), "_cache_file", None)
    if hasattr(file, "_source_stamp"):
        file._source_stamp = (file._source_stamp, _STAMP)
    return dispatcher
