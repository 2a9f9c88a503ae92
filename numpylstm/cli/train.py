"""``numpylstm-train``: train a language model on a text."""

import argparse
import math
import os
import re
import shlex
import shutil
import sys
import time
from functools import partial
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

from numpylstm.cli.common import CommandError, Parser, check_plots, run, set_threads
from numpylstm.cli.output import logged
from numpylstm.config import PRESETS, from_preset, settings_with
from numpylstm.printing import printable
from numpylstm.training.display import LINES, waiting

if TYPE_CHECKING:  # commands import slow modules only when they need them
    from numpylstm.data import Corpus
    from numpylstm.training.loop import Run

UNITS = {"s": 1, "m": 60, "h": 3600}


def seconds(name: str, text: str, or_else: str = "") -> float:
    """Parse ``90s``, ``30m`` or ``2h``."""
    match = re.fullmatch(r"(0*[1-9]\d*)([smh])", text)
    if match is None:
        raise CommandError(f"{name} must be {or_else}a time such as 90s, 30m or 2h; got {text!r}")
    return float(match[1]) * UNITS[match[2]]


def interval(text: str) -> tuple[float, float]:
    """Parse the updates, as ``500``, or the time between two saves; return updates and seconds."""
    if text.isdecimal() and int(text) > 0:
        return int(text), math.inf
    return math.inf, seconds("--save-every", text, "a number of updates such as 500, or ")


def list_of_presets() -> str:
    """Return the settings of each preset, for the help text."""
    lines = ["presets:"]
    for name, preset in PRESETS.items():
        given = {setting: value for setting, value in preset.items() if value is not None}
        shown = (f"{k}={v:.3g}" if isinstance(v, float) else f"{k}={v}" for k, v in given.items())
        text = f"{name}: {', '.join(shown)}"
        lines.append(fill(text, initial_indent="  ", subsequent_indent="    "))
    return "\n".join(lines)


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
        help="settings to start from (default: demo, or char with --level char); the flags below "
        "change them",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder of the run; it must be new or empty (default: runs/PRESET-N, or runs/tuned-N)",
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
    parser = make_parser()
    words = [parser.prog, *(sys.argv[1:] if argv is None else argv)]
    train = partial(run, parser, partial(command, words), argv)
    if os.environ.keys() & {"PMI_RANK", "PMIX_RANK"}:  # mpiexec or srun has started this process
        from numpylstm.training.parallel import on_all_ranks

        return on_all_ranks(train)
    return train()


def command(
    words: list[str],
    *,
    preset: str | None = None,
    out: Path | None = None,
    resume: Path | None = None,
    save_every: str | None = None,
    stop_after: str | None = None,
    check_gradients: bool = False,
    quiet: bool = False,
    threads: int | None = None,
    **changes: Any,
) -> None:
    """Start or resume a run, train it and report; `words` are the command line."""
    started = time.monotonic()
    with waiting("loading", quiet=quiet):  # slow the first time
        check_plots()
        from numpylstm.training import run_folder, session
    if threads is not None:
        set_threads(threads)
    again = ["--quiet"] * quiet
    kept = {"--threads": threads, "--save-every": save_every, "--stop-after": stop_after}
    for name, value in kept.items():
        if value is not None:
            again += [name, str(value)]
    for name in changes.keys() & settings_with(text=True):  # whole, to resume from any folder
        changes[name] = whole_path(changes[name])
    train = partial(
        train_and_report,
        words=words,
        resume_flags=again,
        save_every=(math.inf, math.inf) if save_every is None else interval(save_every),
        deadline=None if stop_after is None else started + seconds("--stop-after", stop_after),
        quiet=quiet,
    )
    reading = waiting("reading the text", quiet=quiet)
    if resume is not None:
        for_new_runs = {
            "--out": out,
            "--preset": preset,
            "--init-from": changes.get("init_from"),
            "--check-gradients": check_gradients or None,
        }
        for name, given in for_new_runs.items():
            if given is not None:
                raise CommandError(f"{name} is for a new run; --resume continues in the old folder")
        with run_folder.held(resume) as folder:
            with reading:
                training_run, corpus = session.resume(folder, changes)
            train(folder, training_run, corpus)
        return
    init_from = changes.pop("init_from", None)
    if preset is not None and init_from is not None:
        raise CommandError("--preset cannot be combined with --init-from, whose settings are kept")
    with reading:
        if init_from is None:
            name = preset or ("char" if changes.get("level") == "char" else "demo")
            training_run, corpus = session.start(from_preset(name, **changes))
        else:
            name = "tuned"
            training_run, corpus = session.tune(Path(init_from), changes)
    if check_gradients:
        session.check_gradients(training_run, corpus, quiet=quiet)
    with run_folder.new(out, name) as folder:
        train(folder, training_run, corpus)


def train_and_report(
    folder: Path,
    training_run: "Run",
    corpus: "Corpus",
    *,
    words: list[str],
    resume_flags: list[str],
    save_every: tuple[float, float],
    deadline: float | None,
    quiet: bool,
) -> None:
    """Train a run in its folder to the end, and report."""
    from numpylstm.report import summary
    from numpylstm.training import run_folder, session

    go_on = [as_called("numpylstm-train"), "--resume", str(folder), *resume_flags]
    run_folder.begin(folder, training_run)
    with logged(folder / run_folder.LOG, words):
        if not quiet:
            announce(training_run, corpus)
        try:
            with waiting("counting for the baselines", quiet=quiet):
                references = summary.baselines(corpus)
            timing = session.train_to_end(
                training_run,
                corpus,
                folder,
                save_every=save_every,
                deadline=deadline,
                resume_command=go_on,
                quiet=quiet,
                draw=partial(summary.draw, folder, references=references),
            )
            summary.conclude(
                folder,
                training_run,
                corpus,
                references=references,
                timing=timing,
                command=words,
                quiet=quiet,
            )
        except KeyboardInterrupt as interrupt:
            interrupt.add_note(f"continue with {printable(shlex.join(go_on))}")
            raise
        say_what_is_next(folder, training_run)


def say_what_is_next(folder: Path, training_run: "Run") -> None:
    """Name the commands that take the folder of the run."""
    from numpylstm.explore import cells_of_engine

    offered = ["numpylstm-sample"]
    if training_run.config.cell in cells_of_engine():
        offered.append("numpylstm-explore")
    commands = [shlex.join([as_called(name), str(folder)]) for name in offered]
    LINES.info(f"Next: {printable(', '.join(commands))}")


def as_called(name: str) -> str:
    """Return the name of a command, or its path if the shell would not find the name."""
    beside = shutil.which(name, path=os.path.dirname(sys.executable))
    return name if shutil.which(name) or beside is None else beside


def whole_path(path: str | list[str]) -> str | list[str]:
    """Return a path, or several, as absolute paths; ``-`` stays."""
    from numpylstm.data.text import STANDARD_INPUT

    if isinstance(path, list):
        return [str(whole_path(one)) for one in path]
    return path if path in ("", STANDARD_INPUT) else os.path.abspath(path)


def announce(training_run: "Run", corpus: "Corpus") -> None:
    """Print the model and the text of a run."""
    from numpylstm import __version__
    from numpylstm.data.corpus import unit
    from numpylstm.kernels import threads
    from numpylstm.training import parallel
    from numpylstm.training.loop import describe

    number = threads.get_num_threads()
    used = f"{number} thread{'s' if number > 1 else ''}"
    if number > 1 and not threads.number_is_set():
        used = f"1 to {number} threads, whichever is faster"
    LINES.info(
        f"numpylstm {__version__}: {describe(training_run)}, {used}{parallel.in_words()}\n"
        f"{printable(str(corpus))}\nHeld out: {printable(corpus.held_out)}"
    )
    if unknown := corpus.oov["train"]:
        V, N = len(corpus.vocabulary), len(corpus.train)
        LINES.info(
            f"{unknown:,} of the {N:,} {unit(corpus.level)}s of the training text "
            f"({unknown / N:.1%}) are <unk>: the vocabulary of {V:,} leaves them out"
        )
