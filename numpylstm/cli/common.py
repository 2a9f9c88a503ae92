"""Shared by the commands: flags for settings, and errors in one line."""

import argparse
import contextlib
import importlib
import io
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from numpylstm import __version__
from numpylstm.cells import CELLS
from numpylstm.cli.output import (
    Terminal,
    discard,
    lines_to,
    one_line,
    open_closed_streams,
    print_error,
)
from numpylstm.config import DATA, GROUPS, MODEL, ConfigError, TrainConfig, config_fields, kind_of
from numpylstm.errors import NumpylstmError
from numpylstm.printing import printable
from numpylstm.training.display import LINES, waiting
from numpylstm.training.signals import Stopped, terminable

if TYPE_CHECKING:
    from numpylstm.data.configured import ScoredText
    from numpylstm.models import LanguageModel
    from numpylstm.training.checkpoint import Checkpoint

ALIASES = {"train": ("--text", "--file")}  # a text is named by the same flag in each command
EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130


class CommandError(NumpylstmError):
    """A mistake in the arguments, as a sentence for the terminal."""


class Parser(argparse.ArgumentParser):
    """A parser with safe error messages and the arguments that several commands have.

    The result holds only the arguments that are given, or that have a default of their own here.
    """

    def __init__(self, **options: Any) -> None:
        options.setdefault("formatter_class", argparse.ArgumentDefaultsHelpFormatter)
        super().__init__(argument_default=argparse.SUPPRESS, **options)
        self.add_argument("--version", action="version", version=f"numpylstm {__version__}")

    def error(self, message: str) -> NoReturn:
        """Print the message in one line and exit with status 2."""
        self.exit(EXIT_USAGE, f"{self.prog}: error: {printable(message)}\n")

    def add_run(self) -> None:
        """Add the argument RUN; it is parsed as `checkpoint`."""
        self.add_argument(
            "checkpoint",
            metavar="RUN",
            type=Path,
            help="run folder (for its best.npz), or any checkpoint",
        )

    def add_settings(self) -> None:
        """Add a flag for each setting of a run."""
        titles = {DATA: "text (default: Python's language reference)"}
        sections = {name: self.add_argument_group(titles.get(name, name)) for name in GROUPS}
        for setting in config_fields(TrainConfig):
            known = setting.metadata
            kind = kind_of(setting)
            options: dict[str, Any] = {
                "dest": setting.name,
                "help": known["help"].replace("%", "%%"),
            }
            if kind is bool:
                options["action"] = argparse.BooleanOptionalAction
            else:
                options["type"] = whole_path if known["text"] else kind
                options["choices"] = known["choices"]
                options["nargs"] = "+" if known["several"] else known["length"]
                if known["choices"] is None:
                    options["metavar"] = {int: "N", float: "X", str: "PATH"}[kind]
            flags = [flag(setting.name), *ALIASES.get(setting.name, ())]
            sections[known["group"]].add_argument(*flags, **options)
        options_of_cells = dict(item for cell in CELLS.values() for item in cell.options.items())
        for name, option in options_of_cells.items():  # one name means one thing in all cells
            owners = [cell.name for cell in CELLS.values() if name in cell.options]
            sections[MODEL].add_argument(
                flag(name),
                type=type(option.default),
                choices=option.choices,
                metavar=None if option.choices else "X",
                help=f"{option.help} (--cell {' or '.join(owners)})",
            )

    def add_threads(self, default: str, but: str = "") -> None:
        """Add ``--threads``; `but` names the case in which results depend on it."""
        self.add_argument(
            "--threads",
            type=int,
            metavar="N",
            help=f"number of threads (default: {default}); the results do not depend on it{but}",
        )

    def add_quiet(self, shown: str) -> None:
        """Add ``--quiet``; `shown` is what it still prints."""
        self.add_argument("--quiet", action="store_true", help=f"print only {shown}, and errors")


def at_least(least: int) -> Callable[[str], int]:
    """Return the type of an argument for a parser: a whole number from `least`."""

    def number(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"must be at least {least}, got {value}")
        return value

    return number


def flag(setting: str) -> str:
    """Return the flag of a setting: ``--num-steps`` for ``num_steps``."""
    return "--" + setting.replace("_", "-")


def whole_path(path: str) -> str:
    """Return the absolute path of a text, so that its run resumes from any folder; ``-`` stays."""
    from numpylstm.data.text import STANDARD_INPUT

    try:
        return path if path in ("", STANDARD_INPUT) else os.path.abspath(path)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"the current folder: {error.strerror}") from error


def load_run(path: Path) -> "tuple[Checkpoint, LanguageModel]":
    """Return a checkpoint, or the best one of a run folder, and its model."""
    from numpylstm.training import checkpoint, run_folder

    saved = checkpoint.load(run_folder.checkpoint_of(path))
    return saved, checkpoint.restore_model(saved)


def read_text(
    path: Path, saved: "Checkpoint", named: Mapping[str, Any], streams: int = 1
) -> "ScoredText":
    """Read the text to score a checkpoint on; `named` are arguments of `scored_text`.

    If they name no text it is that of the run at this path, where it is now.
    """
    from numpylstm.data.configured import scored_text
    from numpylstm.training import run_folder

    advice = ""
    if named.keys().isdisjoint({"data", "file", "prompt"}):
        saved = run_folder.with_current_texts(saved, path)
        advice = "name the text with --text (numpylstm-eval: or with --data)"
    with waiting("reading the text"), advised(advice):
        text = scored_text(saved.config, saved.vocabulary, saved.meta["fingerprint"], **named)
    if len(text.ids) < 2 * streams:
        of_each = ", 2 for each stream" if streams > 1 else ""
        raise CommandError(
            f"{text.name}: must hold at least {2 * streams} tokens{of_each}, got {len(text.ids)}"
        )
    return text


@contextlib.contextmanager
def advised(advice: str) -> Iterator[None]:
    """Add advice about flags, if there is any, to the message of a text that cannot be used."""
    from numpylstm.data import DataError

    try:
        yield
    except DataError as error:
        if advice:
            error.add_note(advice)
        raise


@contextlib.contextmanager
def named_by(flag: str, folder: "contextlib.AbstractContextManager[Path]") -> "Iterator[Path]":
    """Enter the folder of a run; if it cannot be used, the message names the flag too."""
    from numpylstm.training.run_folder import RunFolderError

    with contextlib.ExitStack() as stack:
        try:
            path = stack.enter_context(folder)
        except RunFolderError as error:
            raise CommandError(f"{flag} {error}") from error
        yield path


def set_threads(threads: int | None) -> None:
    """Set the number of threads of all kernels; None means the fastest number."""
    from numpylstm.kernels.threads import CAP, PROCESSORS, set_num_threads

    if threads is not None and not 1 <= threads <= PROCESSORS:
        raise CommandError(f"--threads must be from 1 to {PROCESSORS}, {CAP}; got {threads}")
    set_num_threads(threads)


@contextlib.contextmanager
def arguments_checked() -> Iterator[None]:
    """Turn the ValueError of a function that checks its arguments into an error of the command."""
    try:
        yield
    except NumpylstmError:
        raise
    except ValueError as error:
        raise CommandError(str(error)) from error


def check_plots() -> None:
    """Import Matplotlib early, so that a wrong setup fails before hours of training."""
    try:
        importlib.import_module("numpylstm.plots")
    except (ImportError, ValueError) as error:
        raise CommandError(f"Matplotlib cannot be loaded: {error}") from error


def run(
    make_parser: Callable[[], argparse.ArgumentParser],
    command: Callable[..., None],
    argv: Sequence[str] | None = None,
) -> int:
    """Call a command with its arguments by name; return its exit status.

    An error that a user can cause is one line on standard error.
    """
    parser = make_parser()
    prog = parser.prog
    arguments = vars(parser.parse_args(argv))
    LINES.setLevel(logging.INFO if arguments.pop("quiet", False) else logging.DEBUG)
    open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # for characters outside its encoding
            stream.reconfigure(errors="backslashreplace")
    with warnings.catch_warnings(), lines_to(Terminal(prog)), terminable():
        warnings.filterwarnings("default", category=UserWarning, module="numpylstm")
        warnings.showwarning = lambda message, *_: print_error(
            f"{prog}: warning: {one_line(message)}"
        )
        try:
            with waiting("loading"):  # a second or two
                importlib.import_module("numpylstm.training.loop")
            compiling: Any = sys.modules.get("numpylstm.kernels.machine.compiling")
            if compiling is not None:  # it is absent without Numba
                compiling.displayed = True
            command(**arguments)
            sys.stdout.flush()
            return 0
        except Stopped as stopped:
            return stopped.status
        except BrokenPipeError:  # its reader has closed it
            discard(sys.stdout)
            return EXIT_FAILED
        except (KeyboardInterrupt, NumpylstmError, ImportError, MemoryError, OSError) as error:
            text, status = described(error)
            notes = getattr(error, "__notes__", ())
        print_error(f"{prog}: {one_line('; '.join([text, *notes]))}")
        return status


def described(error: BaseException) -> tuple[str, int]:
    """Return the message and the exit status for an error that a user can cause."""
    match error:
        case KeyboardInterrupt():
            return "interrupted", getattr(error, "status", EXIT_INTERRUPTED)
        case ConfigError():
            return f"error: {flag(error.setting)} {error.problem}", error.exit_status
        case NumpylstmError():
            return f"error: {error}", error.exit_status
        case MemoryError():
            size = str(error) or "size unknown"
            return (
                f"error: not enough memory ({size}); use smaller sizes or a shorter text",
                EXIT_FAILED,
            )
        case OSError(filename=None):
            discard(sys.stdout)
            return f"error: standard output: {error.strerror}", EXIT_FAILED
        case OSError():  # an input file
            return f"error: {error.filename}: {error.strerror}", EXIT_USAGE
    return f"error: {error}", EXIT_USAGE
