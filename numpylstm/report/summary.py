"""The end of a run: score the test text, print the outcome, write result, sample and page."""

import math
import time
import warnings
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from numpylstm.baselines import Baseline, interpolated_bigram_perplexity, unigram_perplexity
from numpylstm.data import Corpus
from numpylstm.evaluation import ProgressCallback, evaluate, surprise, true_and_predicted
from numpylstm.levels import LEVELS, Level
from numpylstm.plots import training_curves, training_lag_heatmap
from numpylstm.printing import printable
from numpylstm.report.findings import last_is_better
from numpylstm.report.page import Report, page
from numpylstm.report.result import read_result, result_of, write_result
from numpylstm.saving import write_atomically, write_text
from numpylstm.training import run_folder
from numpylstm.training.checkpoint import load, restore_model
from numpylstm.training.display import LINES, Display, Timing, waiting
from numpylstm.training.logs import (
    TEMPERATURE,
    draw_sample,
    norms_by_lag,
    read_gradients,
    read_samples,
)
from numpylstm.training.loop import Run, describe

BETWEEN_LINES = 10  # seconds


def baselines(corpus: Corpus) -> dict[Baseline, float]:
    """Return the perplexities of the unigram and the bigram model on the test text."""
    V = len(corpus.vocabulary)
    bigram, _ = interpolated_bigram_perplexity(corpus.train, corpus.valid, corpus.test, V)
    return {
        Baseline.UNIGRAM: unigram_perplexity(corpus.train, corpus.test, V),
        Baseline.INTERPOLATED_BIGRAM: bigram,
    }


def draw(folder: Path, run: Run, references: dict[Baseline, float]) -> None:
    """Draw the curves of a run, and its gradients by lag. A failure only gives a warning."""
    try:
        figures = {
            run_folder.CURVES: training_curves(
                run.rows,
                clip=run.config.clip,
                references=[(one.value, reached) for one, reached in references.items()],
            )
        }
        if run.config.log_gradients:
            rows = read_gradients(folder / run_folder.GRADIENTS)
            figures[run_folder.GRADIENT_MAP] = training_lag_heatmap(*norms_by_lag(rows))
        for name, figure in figures.items():
            write_atomically(folder / name, partial(figure.savefig, format="png"))
    except Exception as error:
        warnings.warn(f"the pictures could not be drawn: {error}", stacklevel=2)


def conclude(
    folder: Path,
    run: Run,
    corpus: Corpus,
    *,
    references: dict[Baseline, float],
    timing: Timing,
    command: Sequence[str],
) -> None:
    """Score the best checkpoint, print the outcome, and write the files of a finished run.

    `references` are from `baselines`; `command` made the run.
    """
    model = restore_model(load(folder / run_folder.BEST))
    with waiting("scoring the test text") as shown:
        streams = min(run.config.test_streams, len(corpus.test) // 2)
        test = evaluate(model, corpus.test, streams, watch=progress_callback(shown))
    result = result_of(run, corpus, test, baselines=references, timing=timing, command=command)
    if timing.updates == 0:  # made by an earlier process
        with suppress(run_folder.RunFolderError, KeyError):  # a damaged result is replaced
            before = read_result(folder)
            if before is not None and before["steps"] == run.step:
                result |= {name: before[name] for name in ("time", "machine", "command")}
    true, predicted = map(corpus.vocabulary.decode, true_and_predicted(model, corpus.test))
    _, nll = surprise(model, corpus.test)
    report = Report(
        name=folder.resolve().name,
        model=describe(run),
        config=run.config,
        rows=run.rows,
        result=result,
        true=true,
        predicted=predicted,
        bits=(nll / math.log(2)).tolist(),
        samples=read_samples(folder / run_folder.SAMPLES),
        sample=draw_sample(model, corpus, LEVELS[corpus.level].sample_length, run.config.seed),
    )
    print_outcome(report)
    try:
        write_result(folder, result)
        write_text(folder / run_folder.SAMPLE, report.sample + "\n")
        write_text(folder / run_folder.REPORT, page(report))
    except Exception as error:
        warnings.warn(f"the report could not be written: {error}", stacklevel=2)
    files = ", ".join(sorted(name for name in run_folder.FILES if (folder / name).exists()))
    LINES.info(f"\nSaved in {printable(str(folder))}: {files}")


def progress_callback(shown: Display) -> ProgressCallback:
    """Return a call that displays the share that is done, and without a terminal prints it."""
    last = time.monotonic()

    def watch(done: int, total: int) -> None:
        nonlocal last
        shown.share(done, total)
        if shown.bar.disable and time.monotonic() - last >= BETWEEN_LINES:
            last = time.monotonic()
            LINES.debug(f"Scoring the test text: {done / total:.0%}")

    return watch


def print_outcome(report: Report) -> None:
    """Print the outcome of a run."""
    level = LEVELS[report.config.level]
    result = report.result
    test, text = result["test"], result["text"]
    streams = f" in {test['batch_size']} streams" if test["batch_size"] > 1 else ""
    unread = f", {text['unread']['test']:,} left unread" if text["unread"]["test"] else ""
    LINES.info(
        f"\nTest perplexity {test['perplexity']:.2f}{in_bits(test['perplexity'], level)}, accuracy "
        f"{test['accuracy']:.3f} ({test['tokens']:,} tokens scored{streams}{unread}, "
        f"{test['unknown']:,} of the text <unk>)"
    )
    for name, perplexity in result["baselines"].items():
        bits = in_bits(perplexity, level)
        LINES.info(f"     for comparison, {name} model: {perplexity:.2f}{bits}")
    better = last_is_better(report.rows, result["epochs"])
    if better is not None:
        LINES.info(f"\n{better}")
    LINES.info("\nTrue values (1st line) and predicted values (2nd line):")
    for tokens in (report.true, report.predicted):
        LINES.info(printable(level.separator.join(tokens)))
    LINES.info(f"\nA sample (temperature {TEMPERATURE:g}):")
    LINES.info(printable(report.sample, lines=True))


def in_bits(perplexity: float, level: Level) -> str:
    """Format the bits per character if tokens are characters; else return an empty text."""
    if not level.bits_per_unit:
        return ""
    return f", {math.log2(perplexity):.3f} bits per {level.unit}"
