"""What the commands share: flags made from settings, and errors as one line."""

import argparse
import sys
from collections.abc import Callable
from dataclasses import fields

from numpylstm.config import ConfigError, TrainConfig

EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130


class CommandError(Exception):
    """A sentence for the person at the terminal, and the exit status."""

    def __init__(self, sentence: str, status: int = EXIT_USAGE) -> None:
        super().__init__(sentence)
        self.status = status


def flag(setting: str) -> str:
    """The flag of a setting: ``num_steps`` is ``--num-steps``."""
    return "--" + setting.replace("_", "-")


def add_settings(parser: argparse.ArgumentParser, groups: dict[str, str]) -> None:
    """Add a flag for each field of `TrainConfig`; one that is not given is absent from the result.

    Parameters
    ----------
    parser : ArgumentParser
    groups : dict
        The title of each group of settings, in the order of the help text.
    """
    sections = {name: parser.add_argument_group(title) for name, title in groups.items()}
    for setting in fields(TrainConfig):
        kind, text = setting.metadata["kind"], setting.metadata["help"].replace("%", "%%")
        options: dict = {"dest": setting.name, "default": argparse.SUPPRESS, "help": text}
        if kind is bool:
            options["action"] = argparse.BooleanOptionalAction
        else:
            options |= {"type": kind, "choices": setting.metadata["choices"]}
            if setting.metadata["choices"] is None:
                options["metavar"] = {int: "N", float: "X", str: "PATH"}[kind]
        sections[setting.metadata["group"]].add_argument(flag(setting.name), **options)


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
    cores = numba.get_num_threads()
    if not 1 <= threads <= cores:
        raise CommandError(
            f"--threads must be from 1 to {cores}, the cores of this machine; got {threads}"
        )
    numba.set_num_threads(threads)


def as_text(error: Exception) -> str:
    """An error as one sentence."""
    if isinstance(error, ConfigError):
        return f"{flag(error.setting)} {error.problem}"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split())


def run(command: Callable[[], None], prog: str) -> int:
    """Call a command; an error that people can cause becomes one line on stderr and a status."""
    from numpylstm.checkpoint import CheckpointError
    from numpylstm.data import DataError
    from numpylstm.run_folder import RunFolderError
    from numpylstm.session import Stopped
    from numpylstm.training import TrainingFailed

    try:
        command()
    except (CommandError, ConfigError, DataError, CheckpointError, RunFolderError) as error:
        print(f"{prog}: error: {as_text(error)}", file=sys.stderr)
        return getattr(error, "status", EXIT_USAGE)
    except TrainingFailed as error:
        print(f"{prog}: {as_text(error)}", file=sys.stderr)
        return EXIT_FAILED
    except BrokenPipeError:
        sys.stderr.close()  # whoever read the output has left; there is nobody to tell
        return EXIT_FAILED
    except OSError as error:
        print(f"{prog}: error: {as_text(error)}", file=sys.stderr)
        return EXIT_USAGE if isinstance(error, FileNotFoundError) else EXIT_FAILED
    except Stopped as stopped:
        return stopped.status
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return 0
