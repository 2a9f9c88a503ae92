"""What a finished run keeps: its result, a sample, a page."""

import math
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from numpylstm.cli.page import Report, page
from numpylstm.data import EOS, SPLITS, UNK, Corpus
from numpylstm.evaluation import Evaluation, surprise
from numpylstm.models import LanguageModel
from numpylstm.training import run_folder
from numpylstm.training.findings import findings
from numpylstm.training.loop import Run, describe
from numpylstm.training.result import read_result, result_of, write_result
from numpylstm.training.run_folder import RunFolderError, write_text
from numpylstm.training.sample_log import read_samples
from numpylstm.training.timing import Timing


class Outcome(NamedTuple):
    """What the best network of a run can do."""

    model: LanguageModel
    test: Evaluation
    true: Sequence[str]
    predicted: Sequence[str]
    sample: str


SEARCHED, SHORTEST, LONGEST = 300, {"word": 12, "char": 40}, {"word": 50, "char": 250}
"""Tokens in which a sentence is looked for, and how long it may be."""


def keep(
    folder: Path,
    run: Run,
    corpus: Corpus,
    outcome: Outcome,
    *,
    references: Sequence[tuple[str, float]],
    timing: Timing,
    command: Sequence[str],
) -> None:
    """Write result.json, sample.txt and report.html. A failure is a warning only."""
    try:
        ids = np.concatenate([getattr(corpus, split) for split in SPLITS])
        found = findings(
            run.history,
            clip=run.config.clip,
            unknown=int((ids == corpus.vocabulary[UNK]).sum()),
            tokens=len(ids),
            test=outcome.test.perplexity,
            references=dict(references),
        )
        result = result_of(
            run, corpus, outcome.test,
            baselines=dict(references), findings=found, timing=timing, command=command,
        )  # fmt: skip
        if timing.updates == 0:  # this process has trained nothing: the one before it has
            result |= making_of(folder, run)
        write_result(folder, result)
        write_text(folder / run_folder.SAMPLE, outcome.sample + "\n")
        tokens, bits = sentence(outcome.model, corpus)
        report = Report(
            name=folder.resolve().name,
            model=describe(run),
            config=run.config,
            rows=run.history,
            result=result,
            true=outcome.true,
            predicted=outcome.predicted,
            sentence=tokens,
            bits=bits,
            samples=read_samples(folder / run_folder.SAMPLES),
            sample=outcome.sample,
        )
        write_text(folder / run_folder.REPORT, page(report))
    except Exception as error:
        warnings.warn(f"the report could not be written: {error}", stacklevel=2)


def making_of(folder: Path, run: Run) -> dict[str, Any]:
    """Times, machine and command of the result that is there, if it is of this moment."""
    before: dict[str, Any] = {}
    with suppress(RunFolderError):
        before = read_result(folder) or {}
    same = before.get("steps") == run.step
    return {name: before[name] for name in ("time", "machine", "command") if same}


def sentence(model: LanguageModel, corpus: Corpus) -> tuple[list[str], list[float]]:
    """The tokens of a line of the test text, not too short, and the bits of surprise at each."""
    targets, nll = surprise(model, corpus.test, length=SEARCHED)
    tokens, level = corpus.vocabulary.decode(targets), corpus.level
    end = EOS if level == "word" else "\n"
    first = 0
    for place, token in enumerate([*tokens, end]):
        if token == end:
            if place - first >= SHORTEST[level]:
                break
            first = place + 1
    else:  # no line is long enough
        first, place = 0, len(tokens)
    chosen = slice(first, min(place, first + LONGEST[level]))
    return tokens[chosen], [float(nats) / math.log(2) for nats in nll[chosen]]
