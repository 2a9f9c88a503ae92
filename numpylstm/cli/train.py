"""``numpylstm-train``: train a language model on a text."""

import argparse
import os
import re
import shlex
import shutil
import sys
import time
from contextlib import suppress
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Any

from numpylstm.cli.common import CommandError, Parser, check_plots, execute, flag, set_threads
from numpylstm.cli.output import logged, on_terminal
from numpylstm.config import PRESETS, TrainConfig, from_preset, settings_of, settings_with
from numpylstm.printing import aligned, printable
from numpylstm.training.display import LINES, waiting

if TYPE_CHECKING:  # commands import slow modules only when they need them
    from numpylstm.data import Corpus
    from numpylstm.training.loop import Run

LARGE_VOCABULARY, SMALLER_VOCABULARY = 20_000, 10_000


def save_interval(text: str) -> tuple[float, str]:
    """Parse ``500`` as updates, ``10m`` as minutes."""
    match = re.fullmatch(r"(0*[1-9]\d*)(m?)", text)
    if match is None:
        raise argparse.ArgumentTypeError(
            f"must be a number of steps such as 500, or of minutes such as 10m; got {text!r}"
        )
    return float(match[1]), "minutes" if match[2] else "steps"


def duration(text: str) -> float:
    """Parse ``90s``, ``30m`` or ``2h`` into seconds."""
    match = re.fullmatch(r"(0*[1-9]\d*)([smh])", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"must be a time such as 90s, 30m or 2h; got {text!r}")
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]]


def table_of_presets() -> str:
    """Return the table of the presets' settings, for the help text."""
    defaults = {setting.name: setting.default for setting in settings_of(TrainConfig)}
    names = dict.fromkeys(name for preset in PRESETS.values() for name in preset)
    rows = [["", *PRESETS]]
    for name in names:
        values = (preset.get(name, defaults[name]) for preset in PRESETS.values())
        cells = ("-" if v is None else f"{v:.3g}" if isinstance(v, float) else str(v)
                 for v in values)  # fmt: skip
        rows.append([name.replace("_", "-"), *cells])
    shared = ", ".join(
        f"{flag(name)} {value}"
        for name, value in defaults.items()
        if name not in names and value is not None and not isinstance(value, bool)
    )
    return f"presets:\n{indent(aligned(rows), '  ')}\n  and in all of them: {shared}"


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command's arguments."""
    parser = Parser(
        prog="numpylstm-train",
        description="Train a recurrent language model with gradients written by hand. Without "
        "flags, it trains the demo preset on Python's language reference in about a minute.",
        epilog=table_of_presets(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--preset", choices=PRESETS,
        help="settings to start from (default: demo, or char with --level char); the flags below "
        "change them",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, metavar="DIR",
        help="folder of the run; it must be new or empty (default: runs/PRESET-N, or runs/tuned-N)",
    )  # fmt: skip
    parser.add_argument(
        "--resume", type=Path, metavar="DIR",
        help="resume the run in this folder from its last save; only --epochs, --steps, "
        "--patience and --test-streams may change, and the path of a text that has moved",
    )  # fmt: skip
    parser.add_argument(
        "--save-every", type=save_interval, metavar="N|Nm",
        help="save every N updates or N minutes as well as after each epoch",
    )  # fmt: skip
    parser.add_argument(
        "--stop-after", type=duration, metavar="TIME",
        help="save and stop after this time, such as 90s, 30m or 2h, as Ctrl-C does",
    )  # fmt: skip
    parser.add_argument(
        "--check-gradients", action="store_true",
        help="first compare the gradients of this model with finite differences, print the tables, "
        "and stop if they differ; this does not change the run",
    )  # fmt: skip
    parser.add_quiet("the report at the end")
    parser.add_threads("the fastest number",
        but=" (with --impl reference: for a fixed number of BLAS threads)",
    )  # fmt: skip
    parser.add_settings()
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    if os.environ.keys() & {"PMI_RANK", "PMIX_RANK"}:  # mpiexec or srun has started this process
        from numpylstm.training.parallel import on_all_ranks

        return on_all_ranks(lambda: on_one_rank(argv))
    return on_one_rank(argv)


def on_one_rank(argv: list[str] | None) -> int:
    """Run the command in this process and return its exit status."""
    parser = make_parser()
    arguments = vars(parser.parse_args(argv))
    words = [parser.prog, *(sys.argv[1:] if argv is None else argv)]

    def guarded() -> None:
        with on_terminal(parser.prog):
            command(words, **arguments)

    return execute(guarded, parser.prog)


def command(
    words: list[str],
    *,
    preset: str | None,
    out: Path | None,
    resume: Path | None,
    save_every: tuple[float, str] | None,
    stop_after: float | None,
    check_gradients: bool,
    quiet: bool,
    threads: int | None = None,
    **changes: Any,
) -> None:
    """Start or resume a run; `words` are the command line."""
    started = time.monotonic()
    from numpylstm.data.configured import load_corpus
    from numpylstm.explore import cells_of_engine
    from numpylstm.training import run_folder, session
    from numpylstm.training.loop import check_corpus, new_run

    with waiting("loading", then="nothing was started", quiet=quiet):  # slow the first time
        check_plots()
        from numpylstm.report import summary
    if threads is not None:
        set_threads(threads)
    again, deadline = ["--quiet"] if quiet else [], None
    if threads is not None:
        again += ["--threads", str(threads)]
    if save_every is not None:
        again += ["--save-every", f"{save_every[0]:.0f}{'m' if save_every[1] == 'minutes' else ''}"]
    if stop_after is not None:
        again += ["--stop-after", f"{stop_after:.0f}s"]
        deadline = started + stop_after

    def finish(folder: Path, training_run: "Run", corpus: "Corpus") -> None:
        go_on = [as_called("numpylstm-train"), "--resume", str(folder), *again]
        run_folder.begin(folder, training_run)
        with logged(folder / run_folder.LOG, words):
            if not quiet:
                announce(training_run, corpus)
            then = f"continue with {printable(shlex.join(go_on))}"
            with waiting("counting for the baselines", then=then, quiet=quiet):
                references = summary.baselines(corpus)
            timing = session.train_to_end(
                training_run, corpus, folder, save_every=save_every, deadline=deadline,
                resume_command=go_on, quiet=quiet,
                draw=lambda run, log: summary.draw(folder, run, log, references),
            )  # fmt: skip
            summary.conclude(
                folder, training_run, corpus,
                references=references, timing=timing, command=words, then=then, quiet=quiet,
            )  # fmt: skip
            if training_run.config.log_gradients:
                names = f"{run_folder.GRADIENTS}, {run_folder.GRADIENT_MAP}"
                LINES.info(f"How far the gradients reach: {names}")
            offered = ["numpylstm-sample"]
            if training_run.config.cell in cells_of_engine():
                offered.append("numpylstm-explore")
            commands = [shlex.join([as_called(name), str(folder)]) for name in offered]
            LINES.info(f"Next: {printable(', '.join(commands))}")

    init_from = changes.pop("init_from", None)
    paths = changes.keys() & settings_with(text=True)  # whole, to resume from any folder
    changes |= {name: whole_path(changes[name]) for name in paths}
    reading = waiting("reading the text", then="nothing was started", quiet=quiet)
    if resume is not None:
        new_only = {
            "--out": out, "--preset": preset, "--init-from": init_from,
            "--check-gradients": check_gradients or None,
        }  # fmt: skip
        for name, value in new_only.items():
            if value is not None:
                raise CommandError(f"{name} is for a new run; --resume continues in the old folder")
        with run_folder.held(resume):
            with reading as shown:
                training_run, corpus = session.resume(resume, changes, shown.share)
            finish(resume, training_run, corpus)
        return
    if init_from is not None and preset is not None:
        raise CommandError("--preset cannot be combined with --init-from, whose settings are kept")
    preset = preset or ("char" if changes.get("level") == "char" else "demo")
    with reading as shown:
        if init_from is not None:
            training_run, corpus = session.tune(Path(init_from), changes, shown.share)
        else:
            config = from_preset(preset, **changes)
            corpus = load_corpus(config, watch=shown.share)
            check_corpus(config, corpus)
            training_run = new_run(config, corpus)
    if check_gradients:
        from numpylstm.training import gradient_check

        gradient_check.check_gradients(training_run, corpus, quiet=quiet)
    name = "tuned" if init_from is not None else preset
    with run_folder.new(out, name) as folder:
        finish(folder, training_run, corpus)


def as_called(name: str) -> str:
    """Return the name of a command, or its path if the shell would not find the name."""
    own, found = shutil.which(name, path=os.path.dirname(sys.executable)), shutil.which(name)
    if own is None or (found is not None and os.path.samefile(found, own)):
        return name
    with suppress(ValueError):  # on another drive
        near = os.path.relpath(own)
        return min(own, near, key=len) if os.path.dirname(near) else own
    return own


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

    LINES.info(
        f"numpylstm {__version__}: {describe(training_run)}, {threads.in_words()}"
        f"{parallel.in_words()}\n"
        f"{printable(str(corpus))}\nHeld out: {printable(corpus.held_out)}"
    )
    V, N = len(corpus.vocabulary), len(corpus.train)
    if unknown := corpus.oov["train"]:
        LINES.info(
            f"{unknown:,} of the {N:,} {unit(corpus.level)}s of the training text "
            f"({unknown / N:.1%}) are <unk>: the vocabulary of {V:,} leaves them out"
        )
    elif V > LARGE_VOCABULARY and training_run.step == 0 and training_run.config.init_from is None:
        cut = int((corpus.train >= SMALLER_VOCABULARY - 1).sum())  # ids are in order of frequency
        LINES.info(
            f"A vocabulary of {V:,} makes every step slow; --max-vocab {SMALLER_VOCABULARY} would "
            f"leave out {cut / N:.1%} of the training text"
        )
