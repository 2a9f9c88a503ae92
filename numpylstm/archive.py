"""Arrays and a JSON object in one `.npz` file, without pickles, with a checksum.

The file is an uncompressed zip of `.npy` members. ``meta`` holds the UTF-8 bytes of the object and
``checksum`` the 32 bytes of `checksum` over all other members. Nothing in a file is executed when
it is read, whoever made it, and a small file cannot ask for much memory.

A file is written beside its destination, flushed to the disk and then renamed over it, so that at
every moment the old one or the new one is there, whole.
"""

import contextlib
import errno
import hashlib
import json
import os
import re
import secrets
import struct
import zipfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from reprlib import repr as shortened
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from numpylstm.checks import check_array
from numpylstm.untrusted import NotRegular, open_regular


class CheckpointError(ValueError):
    """A file that is not a whole checkpoint of this program; the message names the file."""


class DamagedCheckpoint(CheckpointError):
    """A file whose bytes are not those that were written, or not all of them."""


class SaveError(OSError):
    """A file that could not be written; `filename` and `strerror` say which and why."""

    def __str__(self) -> str:
        return (
            f"{self.filename} could not be written: {self.strerror}; what was saved before is "
            "still there"
        )


def file_path(where: str, path: Any) -> Path:
    """The path that a function was given, or a TypeError: it must name a file."""
    if isinstance(path, str | os.PathLike) and Path(path).name:
        return Path(path)
    raise TypeError(
        f"{where}: path must be the name of a file, a str or a Path, got {shortened(path)}"
    )


# --- writing -----------------------------------------------------------------------------------


def write_arrays(
    path: str | Path, arrays: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]
) -> None:
    """Write arrays by member name, and an object of JSON, atomically.

    Raises
    ------
    SaveError
        If the file cannot be written; an older file of that name is then untouched.
    """
    text = json.dumps(meta, allow_nan=False).encode()
    members = {**arrays, "meta": np.frombuffer(text, np.uint8)}
    members["checksum"] = np.frombuffer(checksum(members), np.uint8)
    # Member names hold slashes and dots, which savez takes as they are.
    write_atomically(path, lambda file: np.savez(file, **members))  # type: ignore[arg-type]


def checksum(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """SHA-256 over name, dtype, shape and bytes of every array, in the order of the names.

    The bytes are row-major and little-endian, whatever the array and the machine are.
    """
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        array = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        digest.update(f"{name}|{array.dtype.str}|{array.shape}|".encode())
        digest.update(array.data)
    return digest.digest()


def write_atomically(path: str | Path, write: Callable[[IO[bytes]], object]) -> None:
    """Call ``write(file)`` on a temporary file in the same folder, then rename it to `path`.

    Raises
    ------
    SaveError
        In place of every OSError.
    """
    path = Path(path)
    temporary = temporary_name(path)
    try:
        with temporary.open("xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        if os.name == "posix":  # make the rename itself durable
            with contextlib.suppress(PermissionError):  # it may be writable but not readable
                flush_folder(path.parent)
    except OSError as error:
        raise SaveError(error.errno, error.strerror or str(error), str(path)) from error
    finally:
        with contextlib.suppress(OSError):  # after a rename there is nothing to remove
            temporary.unlink()


def temporary_name(path: Path) -> Path:
    """A name beside a file's own, for what is to become that file.

    It is cut, so that it is too long only if the file's own name is.
    """
    return path.with_name(f".{path.name[:60]}.{secrets.token_hex(4)}.tmp")


def flush_folder(folder: Path) -> None:
    """Flush the names in a folder to the disk, where the file system can."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network and FUSE disks: they have no such operation
            raise
    finally:
        os.close(descriptor)


# --- reading -----------------------------------------------------------------------------------

MEMBER = re.compile(
    r"(?:(?:parameters|optimizer/\w+|velocity|state)/[\w.]+|meta|checksum)\.npy", re.ASCII
)
"""The names that members have. They are never used as paths."""

MOST_MEMBERS = 2_000
"""More than a GRU of 100 layers needs, with the two memories of Adam."""

NPY_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00(?P<length>..)"
    rb"\{'descr': '(?P<dtype><f4|<f8|\|u1)', 'fortran_order': (?P<fortran>False|True), "
    rb"'shape': \((?P<shape>\d{1,18}, ?(?:\d{1,18}(?:, )?){0,2})\), \} *\n",
    re.DOTALL,
)
"""The header of an array as NumPy writes it, for the dtypes and dimensions of a checkpoint. Nothing
else is read, so there is no syntax to evaluate."""


def read_arrays(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """The arrays of a file by member name, and its object, verified by its checksum.

    Raises
    ------
    CheckpointError
        If the file is not one of ours, or not whole.
    OSError
        If the file cannot be read.
    """
    arrays = read_members(path)
    for name in ("meta", "checksum"):
        if name not in arrays or arrays[name].dtype != np.uint8 or arrays[name].ndim != 1:
            raise CheckpointError(f"{path} is not a numpylstm checkpoint: it has no {name}")
    stored = arrays.pop("checksum").tobytes()
    if checksum(arrays) != stored:
        raise DamagedCheckpoint(f"{path} is damaged: its checksum does not match its content")
    try:
        meta = json.loads(arrays.pop("meta").tobytes())
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: its meta entry is not JSON: {error}") from error
    return arrays, meta if isinstance(meta, dict) else {}


def check_format(path: Path, meta: Mapping[str, Any], name: str, versions: Collection[int]) -> None:
    """Raise a CheckpointError unless an object says that it is of this format and a version."""
    if meta.get("format") != name:
        raise CheckpointError(f"{path} is not a {name}: its meta does not say so")
    version = meta.get("version")
    if type(version) is not int or version not in versions:
        raise CheckpointError(
            f"{path} has {name.split()[-1]} version {version!r}, this program reads "
            f"{' and '.join(map(str, versions))}; a newer numpylstm may have written it"
        )


@contextlib.contextmanager
def fitting_together(path: Path) -> Iterator[None]:
    """Whatever does not fit inside becomes one sentence that names the file."""
    try:
        yield
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise CheckpointError(f"{path} does not fit together: {error}") from error


def check_shapes(
    parameters: Mapping[str, NDArray[Any]], shapes: Iterable[tuple[str, tuple[int, ...]]]
) -> None:
    """Raise a ValueError unless the parameters are there, in their shapes."""
    for path, shape in shapes:
        if path not in parameters:
            raise ValueError(f"parameter {path} is missing")
        check_array("parameters", path, parameters[path], shape, because="so say the settings")


def within(group: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The arrays whose names begin with ``GROUP/``, without it."""
    start = group + "/"
    return {k[len(start) :]: v for k, v in arrays.items() if k.startswith(start)}


def read_members(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an `.npz` file.

    Sizes are held against that of the file before any memory is taken, and members must be stored
    uncompressed, so a small file cannot ask for much.
    """
    arrays: dict[str, NDArray[Any]] = {}
    try:
        file = open_regular(path)
    except NotRegular:
        raise CheckpointError(f"{path} is not a file; name best.npz or last.npz of a run") from None
    with file:
        size = os.fstat(file.fileno()).st_size
        try:
            with zipfile.ZipFile(file) as archive:
                members = archive.infolist()
                check_members(members, size)
                for member in members:
                    name = member.filename.removesuffix(".npy")
                    arrays[name] = read_npy(name, archive.read(member))
        except (  # what zipfile raises on hostile bytes, and ValueError from here
            zipfile.BadZipFile,
            EOFError,
            OSError,
            RuntimeError,  # NotImplementedError too
            ValueError,
            OverflowError,
            struct.error,
        ) as error:
            raise DamagedCheckpoint(
                f"{path} is not a whole checkpoint: {error}; it may be truncated or another kind "
                "of file"
            ) from error
    return arrays


def check_members(members: list[zipfile.ZipInfo], size: int) -> None:
    """Raise a ValueError unless the members are those of a checkpoint and fit into the file."""
    if len(members) > MOST_MEMBERS:
        raise ValueError(f"it has {len(members):,} members, over {MOST_MEMBERS:,}")
    seen: set[str] = set()
    for member in members:
        if not MEMBER.fullmatch(member.filename):
            raise ValueError(f"a member is called {member.filename!r}")
        if member.filename in seen:
            raise ValueError(f"member {member.filename!r} is there twice")
        seen.add(member.filename)
        if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
            raise ValueError(f"member {member.filename!r} is compressed")
    if sum(member.file_size for member in members) > size:
        raise ValueError("its members overlap, or end beyond the file")


def read_npy(name: str, content: bytes) -> NDArray[Any]:
    """One array from the bytes of an `.npy` file; plain numbers only.

    Raises
    ------
    ValueError
        If the bytes are anything else.
    """
    header = NPY_HEADER.match(content)
    if header is None or header.end() != 10 + int.from_bytes(header["length"], "little"):
        raise ValueError(
            f"the header of array {name!r} is not one of plain numbers (pickled objects are never "
            "read)"
        )
    dtype = np.dtype(header["dtype"].decode())
    shape = tuple(int(number) for number in header["shape"].split(b",") if number.strip())
    needed = dtype.itemsize
    for number in shape:
        needed *= number
    if needed != len(content) - header.end():
        raise ValueError(
            f"array {name!r} of shape {shape} and dtype {dtype} needs {needed} bytes, the file "
            f"holds {len(content) - header.end()}"
        )
    array = np.frombuffer(content, dtype, offset=header.end())
    return array.reshape(shape, order="F" if header["fortran"] == b"True" else "C")
