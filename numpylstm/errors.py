"""The base class of the errors that a user can cause, and words of their messages."""

from collections.abc import Iterable


class NumpylstmError(Exception):
    """A wrong argument, setting, file or text, or a run that failed; the message says which.

    A command prints the message in one line and ends with `exit_status`: 2 for arguments and input,
    1 for a run that failed.
    """

    exit_status = 2


RATE_TOO_HIGH = "the learning rate is too high"
"""The usual cause of numbers that are not finite in training."""


def either(names: Iterable[str]) -> str:
    """Join names for a message: ``'tanh', 'relu' or 'sigmoid'``."""
    quoted = [repr(name) for name in names]
    if len(quoted) == 1:
        return quoted[0]
    return f"{', '.join(quoted[:-1])} or {quoted[-1]}"


def brief(error: object) -> str:
    """Return the first line of a message, or a part of it: libraries quote files in theirs."""
    line = str(error).partition("\n")[0]
    return line if len(line) <= 600 else f"{line[:600]} ..."
