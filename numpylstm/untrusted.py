"""Untrusted files and text: open files safely, and print text safely.

Names and tokens may come from somebody else's checkpoint. Reading a pipe might never end, reading
a device might fill the memory, and a terminal executes the escape sequences printed to it. The
bytes of a checkpoint are read in `numpylstm.saving`.
"""

import errno
import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from numpylstm.host import memory_size

KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}

# C0 and C1 controls except the line end and the tab; line and paragraph separators; bidirectional
# embeddings, overrides and isolates; lone surrogates.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_NOT_IN_A_LINE = re.compile(rf"[\t\n]|{_CONTROL.pattern}")


class NotRegular(OSError):
    """A folder, a pipe or a device in place of a file; `strerror` says which."""


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a file to read its bytes; an OSError unless it is regular and fits into memory."""
    path = Path(path)
    status = path.stat()
    check_regular(path, status)
    memory, size = memory_size(), status.st_size
    if memory is not None and size > memory:
        excess = f"{size / 2**30:,.0f} GiB, which the memory of this machine cannot hold"
        raise OSError(errno.EFBIG, excess, str(path))
    return path.open("rb")


def check_regular(path: Path, status: os.stat_result) -> None:
    """Raise NotRegular unless this is the status of a regular file."""
    if stat.S_ISDIR(status.st_mode):
        raise NotRegular(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(status.st_mode):
        kind = KINDS.get(stat.S_IFMT(status.st_mode), "no regular file")
        raise NotRegular(errno.EINVAL, kind, str(path))


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Format a table to print: the first column left-aligned, the others right."""
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if k else cell.ljust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    )


def printable(text: str, *, lines: bool = False) -> str:
    r"""Return a text with everything that controls a terminal written as escapes.

    These are control characters, which can move the cursor or take over the terminal, line and
    paragraph separators, bidirectional controls, and lone surrogates. With `lines`, line ends and
    tabs stay. Print tokens, names and messages through this function.

    Examples
    --------
    >>> printable("a\x1b[2J\nb")
    'a\\x1b[2J\\nb'
    """
    pattern = _CONTROL if lines else _NOT_IN_A_LINE
    return pattern.sub(lambda match: match[0].encode("unicode_escape").decode(), text)
