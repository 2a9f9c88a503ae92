"""A training run in a folder, watched from a terminal: progress, saving, stopping, final report."""

import shlex
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numpylstm import gradient_log, run_folder
from numpylstm.baselines import interpolated_bigram_perplexity, unigram_perplexity
from numpylstm.checkpoint import Checkpoint, load, restore_model, restore_run
from numpylstm.config import ConfigError, TrainConfig
from numpylstm.data import (
    UNK,
    Corpus,
    Vocabulary,
    batches,
    detokenize,
    load_embedded,
    load_ptb,
    load_text,
    num_batches,
    read_text,
    split_punctuation,
    tokenize,
)
from numpylstm.evaluation import evaluate, true_and_predicted
from numpylstm.gradient_log import GradientLog
from numpylstm.model_check import check_model, check_precision
from numpylstm.progress import Progress
from numpylstm.sampling import generate
from numpylstm.text import printable
from numpylstm.training import (
    Row,
    Run,
    Step,
    TrainingFailed,
    check_corpus,
    check_fingerprint,
    check_memory,
    check_position,
    train,
)

SAMPLE_LENGTH = {"word": 100, "char": 400}

CHECKED_STREAMS, CHECKED_STEPS = 4, 8  # enough for every path that a gradient takes
EVERY_ENTRY_UP_TO = 2_000  # parameters: one evaluation each, a few seconds in all
CHECK_TOLERANCE = 1e-9  # a thousand times the usual: initial values may be large, units saturated


class WrongGradient(TrainingFailed):
    """The gradients of the configured model are not the slopes of its loss."""


class Stopped(Exception):
    """The run was asked to stop, and is saved; `status` is the exit status of the command."""

    def __init__(self, status: int) -> None:
        super().__init__(f"stopped with status {status}")
        self.status = status


def load_corpus(config: TrainConfig, vocabulary: Vocabulary | None = None) -> Corpus:
    """The text that the settings name; Python's own language reference if they name none.

    A vocabulary is made from the training text, unless one is given.
    """
    options: dict[str, Any] = {
        "level": config.level, "max_vocab": config.max_vocab, "vocabulary": vocabulary
    }  # fmt: skip
    if config.data is not None:
        return load_ptb(config.data, **options)
    if config.train is not None:
        return load_text(config.train, config.valid, config.test, **options)
    return load_embedded(**options)


# --- stopping ----------------------------------------------------------------------------------


@contextmanager
def stop_signals() -> Iterator[list[int]]:
    """Collect the signals that ask to stop; a second SIGINT raises KeyboardInterrupt at once.

    They are SIGINT (Ctrl-C), SIGTERM and SIGHUP (the terminal was closed), except what the shell
    told this process to ignore, as `nohup` does.
    """
    received: list[int] = []

    def note(number: int, frame: Any) -> None:
        if number == signal.SIGINT and received:
            raise KeyboardInterrupt
        received.append(number)

    numbers = [getattr(signal, name, None) for name in ("SIGINT", "SIGTERM", "SIGHUP")]
    previous = {
        number: signal.signal(number, note)
        for number in numbers
        if number is not None and signal.getsignal(number) != signal.SIG_IGN
    }
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


class SaveTimer:
    """Says when a save is due: every so many updates, or every so many minutes.

    Parameters
    ----------
    every : tuple (number, "steps" or "minutes"), or None for never
    """

    def __init__(self, every: tuple[float, str] | None) -> None:
        self.every = every
        self.reset()

    def reset(self) -> None:
        """Start counting again: something was saved."""
        self.updates, self.since = 0, time.monotonic()

    def due(self) -> bool:
        """Count one update and answer."""
        self.updates += 1
        if self.every is None:
            return False
        number, unit = self.every
        passed = self.updates if unit == "steps" else (time.monotonic() - self.since) / 60
        return passed >= number


# --- the session -------------------------------------------------------------------------------


def resume(folder: Path, changes: Mapping[str, Any]) -> tuple[Run, Corpus]:
    """The run in a folder at the update where it was saved, made longer if so asked, and its text.

    Parameters
    ----------
    folder : Path
    changes : dict
        Settings given anew. Only `epochs` and `steps` may be.

    Raises
    ------
    ConfigError
        If a change would make it another run than the one that was started.
    """
    saved = run_folder.load_last(folder)
    run = restore_run(saved)
    if fixed := sorted(changes.keys() - {"epochs", "steps"}):
        raise ConfigError(
            fixed[0],
            "cannot change in a resumed run: it would no longer be the run that was started; only "
            "--epochs and --steps can",
        )
    for name, done in (("epochs", run.epoch), ("steps", run.step)):
        if changes.get(name, done) < done:
            raise ConfigError(name, f"must be at least {done}, which are done; got {changes[name]}")
    if "steps" in changes and run.out_of_steps and run.window == 0:
        raise ConfigError(
            "steps",
            f"cannot change any more: the limit of {run.config.steps} cut the last epoch short, "
            "which an uninterrupted run would not have done",
        )
    run.config = replace(run.config, **changes)
    check_memory(run.config, len(run.vocabulary))
    corpus = load_corpus(run.config, run.vocabulary)
    check_fingerprint(corpus, run.fingerprint, "a run can only go on with the same text")
    check_corpus(run.config, corpus)
    check_position(run, corpus)
    return run, corpus


@np.errstate(over="ignore", invalid="ignore")  # what is not finite fails
def check_gradients(run: Run, corpus: Corpus) -> None:
    """Hold the gradients of a run's model against slopes, on the start of its text; print tables.

    The backward pass that the run will use is held, in float64 and with dropout, against the
    complex step through the textbook: along every entry of a small model, along one random
    direction in each array of a larger one. Then, if the run is in float32, its gradient is held
    against that in float64. Copies are checked: the run is left as it is, to the bit.

    Raises
    ------
    WrongGradient
        Naming the arrays that fail.
    """
    config, model = run.config, run.model
    num_steps = min(config.num_steps, CHECKED_STEPS)
    x, y = next(batches(corpus.train, min(config.batch_size, CHECKED_STREAMS), num_steps))
    small = sum(p.data.size for p in model.parameters().values()) <= EVERY_ENTRY_UP_TO
    print(
        f"Checking the gradients ({config.impl}, {num_steps} steps of {x.shape[1]} streams); "
        "training is not affected ...",
        flush=True,
    )
    along = "entries" if small else "arrays"
    reports = [check_model(model, x, y, along=along, tolerance=CHECK_TOLERANCE)]
    if config.dtype == "float32":
        reports.append(check_precision(model, x, y))
    for report in reports:
        print(f"{report}\n", flush=True)
    wrong = [entry.path for report in reports for entry in report.entries if not entry.passed]
    if wrong:
        raise WrongGradient(
            f"the gradient check failed for {', '.join(dict.fromkeys(wrong))}: the backward pass "
            "does not give the slope of the loss, so nothing was trained; unless its code was "
            "changed, slopes are lost in rounding with these initial values "
            f"(init_scale {config.init_scale:g}), as in saturated units"
        )


def baselines(corpus: Corpus) -> list[tuple[str, float]]:
    """Perplexities on the test text of models that only count, to compare with."""
    V = len(corpus.vocabulary)
    bigram, _ = interpolated_bigram_perplexity(corpus.train, corpus.valid, corpus.test, V)
    return [
        ("unigram", unigram_perplexity(corpus.train, corpus.test, V)),
        ("interpolated bigram", bigram),
    ]


def run_to_end(
    run: Run,
    corpus: Corpus,
    folder: Path,
    *,
    save_every: tuple[float, str] | None = None,
    resume_command: Sequence[str] = (),
) -> None:
    """Train until the run is finished, saving as it goes, and report.

    Parameters
    ----------
    run : Run
    corpus : Corpus
    folder : Path
        Where the run is saved.
    save_every : tuple (number, "steps" or "minutes"), optional
    resume_command : sequence of str
        What to tell people who stop the run.

    Raises
    ------
    Stopped
        After one of `stop_signals`; the run is saved.
    TrainingFailed
        If a number is no longer finite; the last save is as it was.
    """
    windows = num_batches(len(corpus.train), run.config.batch_size, run.config.num_steps)
    references = baselines(corpus)
    print("Compiling kernels, or loading them from the cache ...", flush=True)
    log = GradientLog(folder, run, corpus) if run.config.log_gradients else None
    progress = Progress(run, windows)
    timer = SaveTimer(save_every)
    try:
        with stop_signals() as signals:
            for item in train(run, corpus):
                epoch_ended = isinstance(item, Row) and item.valid_perplexity is not None
                if log is not None:
                    log.follow(run)  # before any save: what is saved has its gradients
                    if epoch_ended:
                        log.draw()
                if isinstance(item, Step):
                    progress.step(item)
                else:
                    progress.row(item)
                if epoch_ended:
                    run_folder.save_epoch(folder, run, references)
                    timer.reset()
                elif signals or (isinstance(item, Step) and timer.due()):
                    run_folder.save_last(folder, run)
                    timer.reset()
                if signals and not run.finished:
                    progress.line(
                        f"Stopped at epoch {run.epoch + 1}, step {run.step}; saved. Resume with\n"
                        f"  {printable(shlex.join(resume_command))}"
                    )
                    raise Stopped(128 + signals[0])
    except TrainingFailed as error:
        raise TrainingFailed(
            f"{error}; {folder / run_folder.LAST} is the run as it was last saved"
        ) from error
    finally:
        progress.close()
    report(corpus, folder, references, seed=run.config.seed)
    if log is not None:
        print(f"How far the gradients reach: {gradient_log.CSV}, {gradient_log.PNG}")


def report(corpus: Corpus, folder: Path, references: list[tuple[str, float]], *, seed: int) -> None:
    """Measure the best checkpoint on the test text, show words and a sample, say where all is."""
    model = restore_model(load(folder / run_folder.BEST))
    vocabulary, level = corpus.vocabulary, corpus.level
    test = evaluate(model, corpus.test)
    print(
        f"\nTest perplexity {test.perplexity:.2f}, accuracy {test.accuracy:.3f} "
        f"({test.tokens:,} tokens scored, {corpus.oov['test']:,} of them <unk> for words that the "
        "training text lacks)"
    )
    for name, perplexity in references:
        print(f"     for comparison, {name} model: {perplexity:.2f}")

    targets, predicted = true_and_predicted(model, corpus.test)
    print("\nTrue values (1st line) and predicted values (2nd line):")
    separator = " " if level == "word" else ""
    for ids in (targets, predicted):
        print(printable(separator.join(vocabulary.decode(ids))))

    prompt = corpus.test[:1]
    ids = generate(
        model, prompt, SAMPLE_LENGTH[level], temperature=0.8, banned=[vocabulary[UNK]], rng=seed
    )
    print("\nA sample (temperature 0.8):")
    print(printable(detokenize(vocabulary.decode(ids), level), lines=True))
    names = f"{run_folder.BEST}, {run_folder.LAST}, {run_folder.METRICS}, {run_folder.CURVES}"
    print(f"\nSaved in {printable(str(folder))}: {names}")


# --- other texts -------------------------------------------------------------------------------


def tokens_like(config: TrainConfig, text: str) -> list[str]:
    """The tokens of another text, made as those of the training text were."""
    embedded = config.data is None and config.train is None
    if embedded and config.level == "word":
        text = split_punctuation(text)
    return tokenize(text, config.level)


class ScoredText(NamedTuple):
    """A text as ids of a checkpoint's vocabulary, with its name and its unknown words."""

    name: str
    ids: NDArray[Any]
    unknown: int


def scored_text(
    checkpoint: Checkpoint, *, data: str | None, file: str | None, split: str
) -> ScoredText:
    """The text to measure a checkpoint on.

    A split of a Treebank folder or archive (`data`), a whole file (`file`) or, if neither is named,
    a split of the text that it was trained on.

    Raises
    ------
    DataError
        If that text cannot be read, or is no longer what it was.
    """
    vocabulary, config = checkpoint.vocabulary, checkpoint.config
    if file is not None:
        ids, unknown = vocabulary.encode(tokens_like(config, read_text(file)))
        return ScoredText(file, ids, unknown)
    if data is not None:
        config = replace(config, data=data, train=None, valid=None, test=None)
    corpus = load_corpus(config, vocabulary)
    if data is None:
        check_fingerprint(
            corpus,
            checkpoint.meta["fingerprint"],
            "name the text to score with --file, or --data for a Treebank",
        )
    name = f"{split} split of {corpus.source}"
    return ScoredText(name, getattr(corpus, split), corpus.oov[split])
