"""What a training run shows besides its progress: a gradient check, pictures, a final report."""

import math
import warnings
from pathlib import Path

import numpy as np

from numpylstm.cli.results import Outcome
from numpylstm.config import TrainConfig
from numpylstm.data import Corpus, batches
from numpylstm.evaluation import (
    Evaluation,
    Watch,
    evaluate,
    interpolated_bigram_perplexity,
    true_and_predicted,
    unigram_perplexity,
)
from numpylstm.laboratory.model_check import check_model, check_precision
from numpylstm.models import LanguageModel
from numpylstm.plots import training_curves, training_lag_heatmap
from numpylstm.saving import write_atomically
from numpylstm.training import run_folder
from numpylstm.training.corpora import why_unknown
from numpylstm.training.gradient_log import GradientLog
from numpylstm.training.loop import Run, TrainingFailed
from numpylstm.training.sample_log import TEMPERATURE, written
from numpylstm.untrusted import printable
from numpylstm.waiting import waiting

SAMPLE_LENGTH = {"word": 100, "char": 400}

CHECKED_STREAMS, CHECKED_STEPS = 4, 8  # enough for every path that a gradient takes
EVERY_ENTRY_UP_TO = 2_000  # parameters: one evaluation each, a few seconds in all
CHECK_TOLERANCE = 1e-9  # a thousand times the usual: initial values may be large, units saturated


class WrongGradient(TrainingFailed):
    """The gradients of the configured model are not the slopes of its loss."""


@np.errstate(over="ignore", invalid="ignore")  # what is not finite fails
def check_gradients(run: Run, corpus: Corpus, *, quiet: bool = False) -> None:
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
    with waiting("checking the gradients", then="nothing was begun", quiet=quiet):
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


def draw(
    folder: Path, run: Run, log: GradientLog | None, references: list[tuple[str, float]]
) -> None:
    """Draw the curves of a run, and how far its gradients reach. A failure is a warning only."""
    try:
        curves = training_curves(run.history, clip=run.config.clip, references=references)
        write_atomically(
            folder / run_folder.CURVES, lambda file: curves.savefig(file, format="png")
        )
        if log is not None and log.rows:
            reach = training_lag_heatmap(*log.norms())
            write_atomically(
                folder / run_folder.GRADIENT_MAP, lambda file: reach.savefig(file, format="png")
            )
    except Exception as error:
        warnings.warn(f"the pictures could not be drawn: {error}", stacklevel=2)


def measure_test(
    model: LanguageModel, config: TrainConfig, corpus: Corpus, watch: Watch
) -> Evaluation:
    """Score the test text."""
    streams = min(config.test_streams, len(corpus.test) // 2)
    return evaluate(model, corpus.test, streams, watch=watch)


def report(
    model: LanguageModel,
    corpus: Corpus,
    folder: Path,
    references: list[tuple[str, float]],
    test: Evaluation,
    *,
    seed: int,
) -> Outcome:
    """Say how good the best checkpoint is, show words and a sample, say where all is."""
    vocabulary, level = corpus.vocabulary, corpus.level
    print(
        f"\nTest perplexity {test.perplexity:.2f}{in_bits(test.perplexity, level)}, accuracy "
        f"{test.accuracy:.3f} ({ledger(corpus, test)})"
    )
    for name, perplexity in references:
        print(f"     for comparison, {name} model: {perplexity:.2f}{in_bits(perplexity, level)}")

    true, predicted = map(vocabulary.decode, true_and_predicted(model, corpus.test))
    print("\nTrue values (1st line) and predicted values (2nd line):")
    separator = " " if level == "word" else ""
    for tokens in (true, predicted):
        print(printable(separator.join(tokens)))

    sample = written(model, corpus, SAMPLE_LENGTH[level], seed)
    print(f"\nA sample (temperature {TEMPERATURE:g}):")
    print(printable(sample, lines=True))
    names = f"{run_folder.BEST}, {run_folder.LAST}, {run_folder.METRICS}, {run_folder.CURVES}"
    print(f"\nSaved in {printable(str(folder))}: {names}, {run_folder.REPORT}")
    return Outcome(model, test, true, predicted, sample)


def ledger(corpus: Corpus, test: Evaluation) -> str:
    """What was scored of the test text, and how much of it is ``<unk>``, and why."""
    unknown, left_out = corpus.oov["test"], corpus.left_out["test"]
    why = why_unknown(unknown, left_out, corpus.level, corpus.vocabulary)
    streams = f" in {test.batch_size} streams" if test.batch_size > 1 else ""
    unread = f", {corpus.unread['test']:,} left unread" if corpus.unread["test"] else ""
    return (
        f"{test.tokens:,} tokens scored{streams}{unread}, {unknown:,} of "
        f"{'the text' if streams else 'them'} <unk>"
        f"{',' if left_out else ''} {why}"
    )


def in_bits(perplexity: float, level: str) -> str:
    """Bits per character, where a token is one."""
    return f", {math.log2(perplexity):.3f} bits per character" if level == "char" else ""
