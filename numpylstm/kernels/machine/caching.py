"""Compiled kernels on disk, which make every start but the first some seconds faster.

Numba's own cache does not fit. It compares the source file of a kernel only, not those of the
functions that the kernel calls; it cannot find a kernel that another function made; two processes
may overwrite its index; and a damaged file ends the process. Here the name of a file is a hash of
all that its content depends on, and its first bytes are a checksum of its name and the rest: a file
under the name of another is not loaded, since it could end the process too.
"""

import hashlib
import os
import pickle
import sys
import tempfile
import warnings
from pathlib import Path

import numba
from numba import config
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

from .simd import VECTOR_BYTES

_KERNELS = Path(__file__).parents[1]
_CHECKSUM = hashlib.sha256().digest_size
_warned = False


def _digest(*parts):
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _checksum(name, content):
    return hashlib.sha256(name.encode() + content).digest()


_SOURCE = _digest(*(path.read_bytes() for path in sorted(_KERNELS.rglob("*.py"))))
_COMPILER = numba.__version__, sys.version, VECTOR_BYTES, config.BOUNDSCHECK


def _folder():
    """Return the folder of the files: of NUMBA_CACHE_DIR, of the package, or of the user."""
    if config.CACHE_DIR:
        return Path(config.CACHE_DIR, "numpylstm")
    if os.access(_KERNELS, os.W_OK):
        return _KERNELS / "__pycache__"
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    if not os.path.isabs(home):
        raise OSError("the home folder is not known")
    return Path(home, "numpylstm")


class DiskCache:
    """The compiled forms of one function; a fault of the disk is one warning, not an error.

    It takes the place of a dispatcher's cache, and so has the methods of Numba's.
    """

    def __init__(self, function):
        self.name = f"{function.__name__}-{_digest(function.__module__, function.__qualname__)}."

    def _file(self, signature, codegen):
        return f"{self.name}{_SOURCE}.{_digest(signature, codegen.magic_tuple(), _COMPILER)}.nbc"

    def load_overload(self, signature, target_context):
        """Return the compiled form for a signature; None if there is none or it is damaged."""
        try:
            name = self._file(signature, target_context.codegen())
            content = (_folder() / name).read_bytes()
            checksum, compiled = content[:_CHECKSUM], content[_CHECKSUM:]
            if _checksum(name, compiled) != checksum:
                return None
            target_context.refresh()
            return CompileResult._rebuild(target_context, *pickle.loads(compiled))  # noqa: S301
        except Exception:  # it is compiled again
            return None

    def save_overload(self, signature, compiled):
        """Save a compiled form in the place of those of older sources, or warn."""
        try:
            folder = _folder()
            content = dumps(compiled._reduce())
            name = self._file(signature, compiled.codegen)
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=folder, suffix=".tmp", delete=False) as file:
                file.write(_checksum(name, content) + content)
            os.replace(file.name, folder / name)
            for old in folder.glob(f"{self.name}*.nbc"):
                if not old.name.startswith(self.name + _SOURCE):
                    old.unlink(missing_ok=True)
        except Exception as error:
            _warn(error)


def _warn(error):
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(
            f"compiled kernels cannot be kept on disk ({error}), so every start compiles them "
            "again; NUMBA_CACHE_DIR can name a folder for them",
            RuntimeWarning,
            stacklevel=1,
        )
