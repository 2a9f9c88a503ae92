"""What the commands share: flags made from settings, and errors as one line."""

import argparse
import contextlib
import io
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from numpylstm.cells import CELLS
from numpylstm.config import MODEL, ConfigError, TrainConfig, settings_of
from numpylstm.text import printable

EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130


LONGEST = 1_000
"""Characters of a message; what came may be of any length."""


class CommandError(Exception):
    """A flag that cannot be: a sentence for the person at the terminal."""


class Parser(argparse.ArgumentParser):
    """A parser whose errors are safe to print: an argument may be the name of a stranger's file."""

    def error(self, message: str) -> NoReturn:
        """Print the usage and the message, and end with status 2."""
        super().error(printable(message))


def flag(setting: str) -> str:
    """The flag of a setting: ``num_steps`` is ``--num-steps``."""
    return "--" + setting.replace("_", "-")


def add_settings(parser: argparse.ArgumentParser, groups: dict[str, str]) -> None:
    """Add a flag for each setting of a run; one that is not given is absent from the result.

    Parameters
    ----------
    parser : ArgumentParser
    groups : dict
        The title of each group of settings, in the order of the help text.
    """
    sections = {name: parser.add_argument_group(title) for name, title in groups.items()}
    for setting in settings_of(TrainConfig):
        kind, text = setting.metadata["kind"], setting.metadata["help"].replace("%", "%%")
        options: dict = {"dest": setting.name, "default": argparse.SUPPRESS, "help": text}
        if kind is bool:
            options["action"] = argparse.BooleanOptionalAction
        else:
            options |= {"type": kind, "choices": setting.metadata["choices"]}
            if setting.metadata["choices"] is None:
                options["metavar"] = {int: "N", float: "X", str: "PATH"}[kind]
        sections[setting.metadata["group"]].add_argument(flag(setting.name), **options)
    for cell in CELLS.values():
        for name, option in cell.options.items():
            sections[MODEL].add_argument(
                flag(name), type=type(option.default), choices=option.choices,
                metavar=None if option.choices else "X", default=argparse.SUPPRESS,
                help=f"{option.help} (--cell {cell.name})",
            )  # fmt: skip


def add_threads(parser: argparse.ArgumentParser) -> None:
    """Add ``--threads``."""
    parser.add_argument(
        "--threads", type=int, metavar="N",
        help="processor cores to use (default: all); the results do not depend on it",
    )  # fmt: skip


def set_threads(threads: int | None) -> None:
    """Use so many threads in all kernels."""
    import numba

    if threads is None:
        return
    cores: int = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
    if not 1 <= threads <= cores:
        raise CommandError(
            f"--threads must be from 1 to {cores}, the cores of this machine; got {threads}"
        )
    numba.set_num_threads(threads)


def as_text(error: BaseException) -> str:
    """An error as one sentence."""
    from numpylstm.checkpoint import SaveError

    text = str(error)
    if isinstance(error, ConfigError):
        text = f"{flag(error.setting)} {error.problem}"
    elif isinstance(error, MemoryError):
        text = (
            f"not enough memory ({text or 'no size known'}); take smaller sizes or a shorter text"
        )
    elif isinstance(error, OSError) and not isinstance(error, SaveError):
        name = "standard output" if error.filename is None else error.filename
        text = f"{name}: {error.strerror}"
    text = printable(" ".join(text.split()))
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]} ... {text[-LONGEST // 2 :]}"


def run(command: Callable[[], None], prog: str) -> int:
    """Call a command; an error that people can cause becomes one line on stderr and a status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # words that the terminal cannot show
            stream.reconfigure(errors="backslashreplace")
    try:
        from numpylstm.checkpoint import CheckpointError, SaveError
        from numpylstm.checks import NotFinite
        from numpylstm.data import DataError
        from numpylstm.run_folder import RunFolderError
        from numpylstm.session import Stopped
        from numpylstm.training import TrainingFailed
    except KeyboardInterrupt:  # the imports take half a second
        return EXIT_INTERRUPTED
    try:
        command()
        sys.stdout.flush()
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except Stopped as stopped:
        return stopped.status
    except (CommandError, ConfigError, DataError, CheckpointError, RunFolderError) as error:
        return complain(prog, error, EXIT_USAGE)
    except BrokenPipeError:
        abandon_output()  # whoever read it has left; there is nobody to tell
        return EXIT_FAILED
    except (TrainingFailed, NotFinite, SaveError, MemoryError) as error:
        return complain(prog, error, EXIT_FAILED)
    except OSError as error:
        if error.filename is not None:  # a file to be read
            return complain(prog, error, EXIT_USAGE)
        abandon_output()
        return complain(prog, error, EXIT_FAILED)
    return 0


def complain(prog: str, error: BaseException, status: int) -> int:
    """Say what is wrong in one line; returns the exit status."""
    print(f"{prog}: error: {as_text(error)}", file=sys.stderr)
    return status


def abandon_output() -> None:
    """Send what is still to be written nowhere: at its end, Python would try again and complain."""
    with contextlib.suppress(io.UnsupportedOperation):  # output that is no file, as in notebooks
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
