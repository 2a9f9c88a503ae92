"""Opening files that others made.

A name may come from a checkpoint, and so from a stranger: reading a pipe might never end, reading a
device might fill the memory.
"""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


class NotRegular(OSError):
    """A folder, a pipe or a device in place of a file; `strerror` says which."""


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a regular file, of a size that the memory can hold, to read its bytes.

    Raises
    ------
    NotRegular
        If it is anything else.
    OSError
        If it cannot be opened, or is larger than the memory of this machine.
    ValueError
        If the name cannot be that of a file.
    """
    path = Path(path)
    check_regular(path, path.stat())  # first: to open a device can set it in motion
    file = open(path, "rb", opener=_at_once)  # noqa: SIM115 - the caller closes it
    try:
        check_regular(path, os.fstat(file.fileno()))  # it may have been exchanged since
    except OSError:
        file.close()
        raise
    return file


def check_regular(path: Path, status: os.stat_result) -> None:
    """Raise an OSError unless this is the status of a regular file that the memory can hold."""
    if stat.S_ISDIR(status.st_mode):
        raise NotRegular(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(status.st_mode):
        kind = KINDS.get(stat.S_IFMT(status.st_mode), "no regular file")
        raise NotRegular(errno.EINVAL, kind, str(path))
    memory = memory_size()
    if memory is not None and status.st_size > memory:
        size = f"{status.st_size / 2**30:,.0f} GiB, which the memory of this machine cannot hold"
        raise OSError(errno.EFBIG, size, str(path))


def memory_size() -> int | None:
    """The memory of this machine in bytes; None where the system does not say."""
    if not hasattr(os, "sysconf"):
        return None
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _at_once(name: str, flags: int) -> int:
    """Open without waiting: a pipe may have taken the place of the file."""
    return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))
