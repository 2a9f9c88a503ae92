"""``numpylstm-train``: train a language model on a text."""

import argparse
import math
import os
import re
import shlex
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

from numpylstm.cli.common import (
    CommandError,
    Parser,
    advised,
    check_plots,
    flag,
    named_by,
    run,
    set_threads,
)
from numpylstm.cli.output import logged
from numpylstm.config import PRESETS, ConfigError, from_preset
from numpylstm.levels import LEVELS, WORD
from numpylstm.printing import printable
from numpylstm.training.display import LINES, is_quiet, waiting

if TYPE_CHECKING:  # commands import slow modules only when they need them
    from numpylstm.data import Corpus
    from numpylstm.training.loop import Run
    from numpylstm.training.session import SaveInterval

LARGE_VOCABULARY = 20_000  # tokens; their scores take most of the time of a small model
UNITS = {"s": 1, "m": 60, "h": 3600}


def seconds(name: str, text: str, or_else: str = "") -> float:
    """Parse ``90s``, ``30m`` or ``2h``."""
    match = re.fullmatch(r"(0*[1-9]\d*)([smh])", text)
    if match is None:
        raise CommandError(f"{name} must be {or_else}a time such as 90s, 30m or 2h; got {text!r}")
    return float(match[1]) * UNITS[match[2]]


def minutes(text: str) -> float:
    """Parse a positive number of minutes."""
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a positive number, got {text}")
    return value


def interval(text: str) -> "SaveInterval":
    """Parse the updates, as ``500``, or the time between two saves."""
    from numpylstm.training.session import SaveInterval

    if text.isdecimal() and int(text) > 0:
        return SaveInterval(updates=int(text))
    time_between = seconds("--save-every", text, "a number of updates such as 500, or ")
    return SaveInterval(seconds=time_between)


def list_of_presets() -> str:
    """Return the settings of each preset, for the help text."""
    lines = ["presets:"]
    for name, preset in PRESETS.items():
        shown = (
            f"{setting}={value:.3g}" if isinstance(value, float) else f"{setting}={value}"
            for setting, value in preset.items()
            if value is not None
        )
        text = f"  {name}: {', '.join(shown)}"
        lines.append(fill(text, subsequent_indent="    "))
    return "\n".join(lines)


def default_presets() -> str:
    """Return the preset of each level, for the help text."""
    levels_of: dict[str, list[str]] = {}
    for level in LEVELS.values():
        if level is not WORD:
            levels_of.setdefault(level.preset, []).append(level.name)
    others = [f"{preset} with --level {' or '.join(of)}" for preset, of in levels_of.items()]
    return ", or ".join([WORD.preset, *others])


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command's arguments."""
    parser = Parser(
        prog="numpylstm-train",
        description="Train a recurrent language model with gradients written by hand. Without "
        "flags, it trains the demo preset on Python's language reference in one to three minutes.",
        epilog=list_of_presets(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--preset",
        choices=PRESETS,
        help=f"settings to start from (default: {default_presets()}); the flags below change them",
    )
    parser.add_argument(
        "--minutes",
        type=minutes,
        metavar="N",
        help="train for about N minutes: measure a few networks, and choose size, epochs and "
        "dropout by rules; a flag that you give comes before a rule",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder of the run; it must be new or empty (default: runs/PRESET-N, runs/minutes-N "
        "or runs/tuned-N)",
    )
    parser.add_argument(
        "--resume",
        type=Path,
        metavar="DIR",
        help="resume the run in this folder from its last save; only --epochs, --steps, "
        "--patience and --test-streams may change, and the path of a text that has moved",
    )
    parser.add_argument(
        "--save-every",
        metavar="N|TIME",
        help="save every N updates, or after each time such as 10m, as well as after each epoch",
    )
    parser.add_argument(
        "--stop-after",
        metavar="TIME",
        help="save and stop after this time, such as 90s, 30m or 2h, as Ctrl-C does",
    )
    parser.add_argument(
        "--check-gradients",
        action="store_true",
        help="first compare the gradients of this model with finite differences, print the tables, "
        "and stop if they differ; this does not change the run",
    )
    parser.add_quiet("the report at the end")
    parser.add_threads(
        "the fastest number",
        but=" (with --impl reference: for a fixed number of BLAS threads)",
    )
    parser.add_settings()
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    words = ["numpylstm-train", *(sys.argv[1:] if argv is None else argv)]
    train = partial(run, make_parser, partial(command, words), argv)
    if os.environ.keys() & {"PMI_RANK", "PMIX_RANK"}:  # mpiexec or srun has started this process
        from numpylstm.training.workers import on_all_ranks

        return on_all_ranks(train)
    return train()


def command(
    words: list[str],
    *,
    resume: Path | None = None,
    save_every: str | None = None,
    stop_after: str | None = None,
    threads: int | None = None,
    **options: Any,
) -> None:
    """Start or resume a run, train it and report; `words` are the command line."""
    started = time.monotonic()
    check_plots()
    from numpylstm.report import summary
    from numpylstm.training import run_folder, session

    if threads is not None:
        set_threads(threads)
    save_interval = session.NEVER if save_every is None else interval(save_every)
    deadline = math.inf if stop_after is None else started + seconds("--stop-after", stop_after)
    flags_of_process = ["--quiet"] if is_quiet() else []
    limits = {"--threads": threads, "--save-every": save_every, "--stop-after": stop_after}
    for name, value in limits.items():
        if value is not None:
            flags_of_process += [name, str(value)]
    locked_run = new_run(**options) if resume is None else old_run(resume, options)
    with locked_run as (folder, training_run, corpus), logged(folder / run_folder.LOG, words):
        called = [as_called("numpylstm-train"), "--resume", str(folder), *flags_of_process]
        resume_command = printable(shlex.join(called))
        announce(training_run, corpus)
        if "minutes" in options:
            LINES.info(f"The same without measuring: {flags_by_rule(training_run, options)}")
        try:
            with waiting("counting for the baselines"):
                references = summary.baselines(corpus)
            timing = session.train_to_end(
                training_run,
                corpus,
                folder,
                save_every=save_interval,
                deadline=deadline,
                resume_command=resume_command,
                draw=partial(summary.draw, folder, references=references),
            )
            summary.conclude(
                folder,
                training_run,
                corpus,
                references=references,
                timing=timing,
                command=words,
            )
        except KeyboardInterrupt as interrupt:
            interrupt.add_note(f"continue with {resume_command}")
            raise
        print_next_commands(folder, training_run)


@contextmanager
def new_run(
    *,
    preset: str | None = None,
    minutes: float | None = None,
    out: Path | None = None,
    init_from: str | None = None,
    check_gradients: bool = False,
    **settings: Any,
) -> "Iterator[tuple[Path, Run, Corpus]]":
    """Start a run in a folder of its own; return the folder, the run and its text."""
    from numpylstm.training import run_folder, session

    if preset is not None and init_from is not None:
        raise CommandError("--preset cannot be combined with --init-from, whose settings are kept")
    if minutes is not None:
        check_free_to_choose(preset=preset, init_from=init_from, **settings)
        name = "minutes"
        training_run, corpus = session.start_for_minutes(minutes, settings)
    else:
        with waiting("reading the text"):
            if init_from is None:
                level = LEVELS.get(settings.get("level", ""), WORD)
                name = preset or level.preset
                training_run, corpus = session.start(from_preset(name, **settings))
            else:
                name = "tuned"
                training_run, corpus = session.fine_tune(Path(init_from), settings)
    if check_gradients:
        session.check_gradients(training_run, corpus)
    with named_by("--out", run_folder.create(out, name)) as folder:
        run_folder.write_initial(folder, training_run)
        yield folder, training_run, corpus


def check_free_to_choose(**options: Any) -> None:
    """Raise a CommandError if an option decides what ``--minutes`` decides."""
    from numpylstm.training import parallel

    for name in ("preset", "init_from", "epochs", "steps"):
        if options.get(name) is not None:
            raise CommandError(
                f"--minutes cannot be combined with {flag(name)}; it chooses the settings itself"
            )
    if parallel.RANKS.size > 1:
        raise CommandError("--minutes measures one process; on MPI ranks, name the settings")


def flags_by_rule(training_run: "Run", given: Mapping[str, Any]) -> str:
    """Return the flags that make a run of ``--minutes`` again, beside those that were given."""
    from numpylstm.training.minutes import BASE, BY_RULE

    words = ["--preset", BASE]
    for name in BY_RULE:
        value = getattr(training_run.config, name)
        if name in given or value is None:
            continue
        words += [flag(name)] if value is True else [flag(name), str(value)]
    return shlex.join(words)


@contextmanager
def old_run(folder: Path, options: dict[str, Any]) -> "Iterator[tuple[Path, Run, Corpus]]":
    """Lock the folder of a run and continue it; return the folder, the run and its text."""
    from numpylstm.training import run_folder, session

    for name in ("out", "preset", "minutes", "init_from", "check_gradients"):
        if name in options:
            raise CommandError(
                f"{flag(name)} is for a new run; --resume continues in the old folder"
            )
    with named_by("--resume", run_folder.locked(folder)):
        advice = "name a text that has moved with --train or --data"
        with waiting("reading the text"), advised(advice):
            training_run, corpus = session.resume(folder, options)
        run_folder.write_initial(folder, training_run)
        yield folder, training_run, corpus


def print_next_commands(folder: Path, training_run: "Run") -> None:
    """Name the commands that take the folder of the run."""
    names = ["numpylstm-sample"]
    with suppress(ImportError, ConfigError):  # no page, or none for such a model
        from numpylstm.explore import check_config

        check_config(training_run.config)
        names.append("numpylstm-explore")
    commands = [shlex.join([as_called(name), str(folder)]) for name in names]
    LINES.info(f"Next: {printable(', '.join(commands))}")


def as_called(name: str) -> str:
    """Return the name of a command, or its path if the shell would not find the name."""
    beside = shutil.which(name, path=os.path.dirname(sys.executable))
    return name if shutil.which(name) or beside is None else beside


def announce(training_run: "Run", corpus: "Corpus") -> None:
    """Print the model and the text of a run."""
    from numpylstm import __version__
    from numpylstm.kernels import threads
    from numpylstm.training import parallel
    from numpylstm.training.loop import describe

    number = threads.get_num_threads()
    ranks = parallel.RANKS.size
    used = f"{number} thread{'s' if number > 1 else ''}"
    if number > 1 and not threads.number_is_set():
        used = f"1 to {number} threads, whichever is faster"
    if ranks > 1:
        used += f" on each of {ranks} ranks"
    LINES.debug(
        f"numpylstm {__version__}: {describe(training_run)}, {used}\n"
        f"{printable(str(corpus))}\nHeld out: {printable(corpus.held_out)}"
    )
    V = len(corpus.vocabulary)
    if V > LARGE_VOCABULARY:
        LINES.debug(
            f"The vocabulary has {V:,} tokens, and the model {training_run.model.num_parameters:,} "
            "parameters; --max-vocab 10000 keeps the most frequent tokens, and is faster"
        )
