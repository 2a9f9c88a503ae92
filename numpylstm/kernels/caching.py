"""Compiled kernels on disk: what spares every start but the first some seconds, and may fail.

Numba takes a fault of this cache for a fault of the program. Here it never is: whatever goes wrong,
the kernel is compiled in memory, and one warning says so.
"""

import contextlib
import hashlib
import os
import warnings
from pathlib import Path

from numba import config

from . import beside

_FOLDER = Path(__file__).parent


def _stamp():
    """A fingerprint of this folder: a kernel is compiled again when any file here has changed.

    Numba itself looks only at the file that holds the kernel, and would go on using an old copy
    of an inner function from another file.
    """
    digest = hashlib.sha256()
    for path in sorted(_FOLDER.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


_STAMP = _stamp()
# Numba's key for a cached kernel holds the processor, but not a narrower vector that a test forces.
_WANTED = not (os.environ.get("NUMPYLSTM_VECTOR_BITS") or config.DISABLE_JIT)
_warned = False


def keep_on_disk(compiled):
    """Let a dispatcher keep on disk what it compiles, until any file of this folder changes."""
    if _WANTED:
        compiled._cache = KernelCache(compiled.py_func)


class KernelCache:
    """The compiled forms of one function: Numba's cache of them, if there is one and it works."""

    def __init__(self, function):
        self.function, self.disk, self.trouble = function, None, None
        try:
            self.disk = _on_disk(function)
        except Exception as error:
            self.trouble = error

    def load_overload(self, signature, target_context):
        """The compiled form for a signature, or None."""
        if self.disk is None:
            return None
        found = self._found(signature, target_context)
        if found is None and beside.has_compiled(self.function):
            found = self._found(signature, target_context)
            if found is None:
                beside.forget()
        return found

    def _found(self, signature, target_context):
        try:
            return self.disk.load_overload(signature, target_context)
        except Exception:  # whatever comes of a damaged file: another will take its place
            return None

    def save_overload(self, signature, compiled):
        """Keep a compiled form, or warn."""
        try:
            if self.disk is None:
                raise self.trouble
            self.disk.save_overload(signature, compiled)
        except Exception as error:
            _warn(error)


def _on_disk(function):
    """Numba's cache of a function, if there is a place for it."""
    from numba.core.caching import FunctionCache

    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~")
    if not (config.CACHE_DIR or os.path.isabs(home) or os.access(_FOLDER, os.W_OK)):
        raise OSError("the home folder is not known")  # Numba would make a folder "~" here
    cache = FunctionCache(function)
    _give_names(cache._cache_file)
    return cache


def _give_names(file):
    """Let each compiled form have a file whose name says for what it was compiled.

    Numba numbers the files and keeps the numbers in an index, which it writes before the file and
    which two processes write without regard to each other: each could then load what the other has
    compiled for another dtype, or what was there before the last change of the source.
    """
    folder, base = Path(file._cache_path), file._index_name.removesuffix(".nbi")
    source = f"{base}.{_digest(file._version, file._source_stamp, _STAMP)}."

    def load(key):
        with contextlib.suppress(FileNotFoundError):
            return file._load_data(f"{source}{_digest(key)}.nbc")

    def save(key, data):
        file._save_data(f"{source}{_digest(key)}.nbc", data)
        for path in folder.glob(f"{base}*.nb?"):
            if not path.name.startswith(source):  # of an older source
                path.unlink(missing_ok=True)

    file.load, file.save = load, save


def _digest(*parts):
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


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
