"""Compiled kernels on disk, which make every start but the first some seconds faster.

Numba treats an error of its cache as an error of the program. Here the kernel is compiled in memory
instead, with one warning.
"""

import hashlib
import os
import warnings
from pathlib import Path

from numba import config

_KERNELS = Path(__file__).parents[1]


def _digest(*parts):
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


# Numba compares the file of a kernel only, and would reuse old copies of inner functions from other
# files. So all files of kernels are compared.
_SOURCE = _digest(*(path.read_bytes() for path in sorted(_KERNELS.rglob("*.py"))))
# Numba's key of a compiled kernel has the processor, but not a vector width that a test sets.
_WANTED = not (os.environ.get("NUMPYLSTM_VECTOR_BITS") or config.DISABLE_JIT)
_warned = False


def keep_on_disk(compiled):
    """Cache what a dispatcher compiles until a source file of the kernels changes."""
    if _WANTED:
        compiled._cache = KernelCache(compiled.py_func)


class KernelCache:
    """The compiled forms of one function: Numba's cache, if there is one and it works."""

    def __init__(self, function):
        self.disk, self.fault = None, None
        try:
            self.disk = _on_disk(function)
        except Exception as error:
            self.fault = error

    def load_overload(self, signature, target_context):
        """Return the compiled form for a signature, or None."""
        try:
            return self.disk.load_overload(signature, target_context)
        except Exception:  # no cache, no such file or a damaged one, which will be replaced
            return None

    def save_overload(self, signature, compiled):
        """Save a compiled form, or warn."""
        try:
            if self.disk is None:
                raise self.fault
            self.disk.save_overload(signature, compiled)
        except Exception as error:
            _warn(error)


def _on_disk(function):
    """Return Numba's cache of a function; each compiled form gets a file named by its content.

    Numba numbers the files and keeps the numbers in an index, which it writes before the file and
    which two processes write without coordination: each could then load what the other has
    compiled for another dtype, or an old version. It also hashes what a function made by a function
    refers to, which differs from process to process. Here the qualified name and `_SOURCE` stand
    for it.
    """
    from numba.core.caching import FunctionCache

    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~")
    if not (config.CACHE_DIR or os.path.isabs(home) or os.access(_KERNELS, os.W_OK)):
        raise OSError("the home folder is not known")  # Numba would create a folder "~" here
    cache = FunctionCache(function)
    file = cache._cache_file
    folder, base = Path(file._cache_path), file._index_name.removesuffix(".nbi")
    source = f"{base}.{_digest(file._version, _SOURCE)}."

    def save(name, data):
        file._save_data(name, data)
        for path in folder.glob(f"{base}.*.nb?"):
            if not path.name.startswith(source):  # of an older source
                path.unlink(missing_ok=True)

    cache._index_key = lambda signature, codegen: (
        f"{source}{_digest(signature, codegen.magic_tuple())}.nbc"
    )
    cache._cache_file.load, cache._cache_file.save = file._load_data, save
    return cache


def _warn(error):
    global _warned
    if not _warned:
        _warned = True
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        warnings.warn(
            f"compiled kernels cannot be kept on disk ({reason}), so every start compiles them "
            "again; NUMBA_CACHE_DIR can name a folder for them",
            RuntimeWarning,
            stacklevel=1,
        )
