"""Files and texts that others made: how to open the ones, how to show the others.

A name or a token may come from a checkpoint, and so from a stranger: reading a pipe might never
end, reading a device might fill the memory, and a terminal obeys what is printed to it.
"""

import errno
import os
import re
import stat
from pathlib import Path
from typing import BinaryIO

from numpylstm.host import memory_size

KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}

# C0 and C1 but for the line end and the tab; separators; embeddings, overrides and isolates.
_OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_NOT_IN_A_LINE = re.compile(rf"[\t\n]|{_OBEYED.pattern}")


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


def _at_once(name: str, flags: int) -> int:
    """Open without waiting: a pipe may have taken the place of the file."""
    return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))


def printable(text: str, *, lines: bool = False) -> str:
    r"""Write what a terminal would obey, instead of showing it, as escapes.

    These are the control characters, with which a text can move the cursor or take over the
    terminal, the separators of lines and paragraphs, those that turn the direction of writing, and
    half surrogate pairs. Whoever prints a token, a name or a message prints it through this.

    Parameters
    ----------
    text : str
    lines : bool
        Leave line ends and tabs as they are: a text of several lines.

    Examples
    --------
    >>> printable("a\x1b[2J\nb")
    'a\\x1b[2J\\nb'
    """
    pattern = _OBEYED if lines else _NOT_IN_A_LINE
    return pattern.sub(lambda match: match[0].encode("unicode_escape").decode(), text)
