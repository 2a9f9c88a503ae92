"""Safe opening of files: reading a pipe might never end, a device might fill the memory."""

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
    stat.S_IFLNK: "a link",
}


class NotRegular(OSError):
    """A folder, a pipe or a device in place of a file; `strerror` says which."""


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a file to read its bytes; an OSError unless it is a regular file."""
    path = Path(path)
    check_regular(path, path.stat())
    return path.open("rb")


def check_regular(path: Path, status: os.stat_result) -> None:
    """Raise NotRegular unless this is the status of a regular file."""
    if stat.S_ISDIR(status.st_mode):
        raise NotRegular(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(status.st_mode):
        kind = KINDS.get(stat.S_IFMT(status.st_mode), "no regular file")
        raise NotRegular(errno.EINVAL, kind, str(path))
