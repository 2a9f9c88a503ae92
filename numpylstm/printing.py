"""Text for a terminal, which executes the escape sequences printed to it.

Names and tokens may come from somebody else's checkpoint: print them through `printable`.
"""

import re
from collections.abc import Sequence

# C0 and C1 controls except the line end and the tab; line and paragraph separators; bidirectional
# embeddings, overrides and isolates; lone surrogates.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_NOT_IN_A_LINE = re.compile(rf"[\t\n]|{_CONTROL.pattern}")


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Format a table to print: the first column left-aligned, the others right."""
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[k]) for row in cells) for k in range(len(cells[0]))]
    lines = []
    for row in cells:
        padded = [row[0].ljust(widths[0])]
        padded += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)


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
