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
from typing import TYPE_CHECKING, Any

from numpylstm.cli.common import (
    CommandError,
    Parser,
    add_quiet,
    add_settings,
    add_threads,
    check_plots,
    flag,
    run,
    set_threads,
)
from numpylstm.cli.streams import logged, unfailing_output
from numpylstm.config import PRESETS, TEXTS, TrainConfig, from_preset, settings_of
from numpylstm.training.display import waiting
from numpylstm.untrusted import printable

if TYPE_CHECKING:  # the commands import what is slow to load only when they need it
    from numpylstm.data import Corpus
    from numpylstm.training.loop import Run

GROUPS = {
    "data": "text (default: Python's own language reference)",
    "model": "model",
    "optimisation": "optimisation",
    "run": "run",
}

LARGE_VOCABULARY, SMALLER_VOCABULARY = 20_000, 10_000


def save_interval(text: str) -> tuple[float, str]:
    """``500`` means updates, ``10m`` minutes."""
    match = re.fullmatch(r"(\d+)(m?)", text)
    if match is None or int(match[1]) == 0:
        raise argparse.ArgumentTypeError(
            f"must be a number of steps such as 500, or of minutes such as 10m; got {text!r}"
        )
    return float(match[1]), "minutes" if match[2] else "steps"


def duration(text: str) -> float:
    """``90s``, ``30m`` or ``2h``, in seconds."""
    match = re.fullmatch(r"(\d+)([smh])", text)
    if match is None or int(match[1]) == 0:
        raise argparse.ArgumentTypeError(f"must be a time such as 90s, 30m or 2h; got {text!r}")
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]]


def table_of_presets() -> str:
    """The settings of each preset, for the help text: what a flag is when it is not given."""
    names = list(dict.fromkeys(name for preset in PRESETS.values() for name in preset))
    lines = ["presets:", " " * 18 + "".join(f"{preset:>10}" for preset in PRESETS)]
    for name in names:
        default = next(f.default for f in settings_of(TrainConfig) if f.name == name)
        values = (preset.get(name, default) for preset in PRESETS.values())
        cells = ("-" if v is None else f"{v:.3g}" if isinstance(v, float) else str(v)
                 for v in values)  # fmt: skip
        lines.append(f"  {name.replace('_', '-'):16}" + "".join(f"{cell:>10}" for cell in cells))
    shared = [
        f"{flag(f.name)} {f.default}"
        for f in settings_of(TrainConfig)
        if f.name not in names and f.default is not None and not isinstance(f.default, bool)
    ]
    lines.append("  and in all of them: " + ", ".join(shared))
    return "\n".join(lines)


def make_parser() -> argparse.ArgumentParser:
    """The arguments of the command."""
    parser = Parser(
        prog="numpylstm-train",
        description="Train a recurrent language model whose gradients are written by hand. "
        "Without flags: the demo preset on Python's own language reference, about a minute.",
        epilog=table_of_presets(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--preset", choices=PRESETS,
        help="settings to start from (default: demo, or char with --level char); every flag below "
        "changes one of them",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, metavar="DIR",
        help="folder of the run, new or empty (default: runs/PRESET-N)",
    )  # fmt: skip
    parser.add_argument(
        "--resume", type=Path, metavar="DIR",
        help="continue the run in this folder where it was saved; of the settings, only --epochs, "
        "--steps, --patience and --test-streams may be changed, and the text named, if it has "
        "moved",
    )  # fmt: skip
    parser.add_argument(
        "--save-every", type=save_interval, metavar="N|Nm",
        help="save every N updates or N minutes too (default: after each epoch)",
    )  # fmt: skip
    parser.add_argument(
        "--stop-after", type=duration, metavar="TIME",
        help="after so long, such as 90s, 30m or 2h, save and stop as Ctrl-C does",
    )  # fmt: skip
    parser.add_argument(
        "--check-gradients", action="store_true",
        help="first hold the gradients of this model against measured slopes, print the tables, "
        "and stop if they are wrong; the run is the same with and without",
    )  # fmt: skip
    add_quiet(parser, "the report at the end")
    add_threads(
        parser, "as many as is fastest",
        but=" (with --impl reference: with one number of BLAS threads)",
    )  # fmt: skip
    add_settings(parser, GROUPS)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    parser = make_parser()
    arguments = vars(parser.parse_args(argv))
    words = [parser.prog, *(sys.argv[1:] if argv is None else argv)]

    def train() -> None:
        with unfailing_output(parser.prog):
            command(words, **arguments)

    return run(train, parser.prog)


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
    """Start a run, or go on with one; `words` are those of the command."""
    started = time.monotonic()
    from numpylstm.data.configured import load_corpus
    from numpylstm.training import run_folder, session
    from numpylstm.training.loop import check_corpus, new_run

    with waiting("loading", then="nothing was begun", quiet=quiet):  # its first time takes longer
        check_plots()
        from numpylstm.report import summary
    set_threads(threads)
    again, deadline = ["--quiet"] if quiet else [], None
    if threads is not None:
        again += ["--threads", str(threads)]
    if save_every is not None:
        again += ["--save-every", f"{save_every[0]:.0f}{'m' if save_every[1] == 'minutes' else ''}"]
    if stop_after is not None:
        again += ["--stop-after", f"{stop_after:.0f}s"]
        deadline = started + stop_after

    def train_in(folder: Path, training_run: "Run", corpus: "Corpus") -> None:
        go_on = [as_called("numpylstm-train"), "--resume", str(folder), *again]
        begin(folder, training_run, corpus, quiet=quiet)
        then = f"go on with {printable(shlex.join(go_on))}"
        with waiting("counting for the baselines", then=then, quiet=quiet):
            references = summary.baselines(corpus)
        timing = session.run_to_end(
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
            print(f"How far the gradients reach: {names}")
        print(f"Next: {printable(shlex.join([as_called('numpylstm-sample'), str(folder)]))}")

    init_from = changes.pop("init_from", None)
    paths = changes.keys() & set(TEXTS)  # stored whole, so that a run resumes from any folder
    changes |= {name: whole_path(changes[name]) for name in paths}
    reading = waiting("reading the text", then="nothing was begun", quiet=quiet)
    if resume is not None:
        new_only = {
            "--out": out, "--preset": preset, "--init-from": init_from,
            "--check-gradients": check_gradients or None,
        }  # fmt: skip
        for name, value in new_only.items():
            if value is not None:
                raise CommandError(f"{name} is for a new run; --resume goes on in the old folder")
        with run_folder.held(resume):
            with reading as shown:
                training_run, corpus = session.resume(resume, changes, shown.share)
            with logged(resume / run_folder.LOG, words):
                train_in(resume, training_run, corpus)
        return
    if init_from is not None and preset is not None:
        raise CommandError("--preset cannot go with --init-from, whose settings are kept")
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
    with run_folder.new(out, name) as folder, logged(folder / run_folder.LOG, words):
        train_in(folder, training_run, corpus)


def as_called(name: str) -> str:
    """A command as it can be called from here: by its path where the environment is not active."""
    own, found = shutil.which(name, path=os.path.dirname(sys.executable)), shutil.which(name)
    if own is None or (found is not None and os.path.samefile(found, own)):
        return name
    with suppress(ValueError):  # on another drive
        near = os.path.relpath(own)
        return min(own, near, key=len) if os.path.dirname(near) else own
    return own


def whole_path(path: str | list[str]) -> str | list[str]:
    """A path, or several, from the root; ``-`` stays."""
    from numpylstm.data.text import STANDARD_INPUT

    if isinstance(path, list):
        return [str(whole_path(one)) for one in path]
    return path if path in ("", STANDARD_INPUT) else os.path.abspath(path)


def begin(folder: Path, training_run: "Run", corpus: "Corpus", *, quiet: bool) -> None:
    """Save a run before its first update, or where it goes on, and say what it is."""
    from numpylstm import __version__
    from numpylstm.data.corpus import unit
    from numpylstm.kernels import threads
    from numpylstm.training import run_folder
    from numpylstm.training.loop import describe

    run_folder.begin(folder, training_run)
    if quiet:
        return
    print(
        f"numpylstm {__version__}: {describe(training_run)}, {threads.in_words()}\n"
        f"{printable(str(corpus))}",
        flush=True,
    )
    V, N = len(corpus.vocabulary), len(corpus.train)
    tokens = f"{unit(corpus.level)}s"
    if unknown := corpus.oov["train"]:
        print(
            f"{unknown:,} of the {N:,} {tokens} of the training text ({unknown / N:.1%}) are <unk>:"
            f" the vocabulary of {V:,} leaves them out",
            flush=True,
        )
    elif V > LARGE_VOCABULARY and training_run.step == 0:
        cut = int((corpus.train >= SMALLER_VOCABULARY - 1).sum())  # ids are in order of frequency
        print(
            f"A vocabulary of {V:,} makes every step slow; --max-vocab {SMALLER_VOCABULARY} would "
            f"leave out {cut / N:.1%} of the training text",
            flush=True,
        )


if __name__ == "__main__":
    sys.exit(main())
