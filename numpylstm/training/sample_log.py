"""Samples of a network while it learns: before the first update and after each epoch.

All samples have the same prompt and the same random numbers, from their own generator; so only the
network changes from one to the next, and training is not affected. They are written before
the checkpoint of their epoch; a run that resumes from an older one draws the later ones again.
"""

import json
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from numpylstm.checks import NotFinite
from numpylstm.data import UNK, Corpus, detokenize
from numpylstm.models import LanguageModel
from numpylstm.sampling import generate
from numpylstm.training.loop import Run
from numpylstm.training.run_folder import SAMPLES, RunFolderError, reading, write_text

TEMPERATURE = 0.8
LENGTH = {"word": 40, "char": 160}  # tokens of a sample


class Sample(NamedTuple):
    """A text drawn from the network, and the epochs and updates before it."""

    epoch: int
    step: int
    text: str


def written(model: LanguageModel, corpus: Corpus, length: int, seed: int) -> str:
    """Let a model continue the first token of the test text, without ``<unk>``; return the text.

    It is empty if the scores of the model are not finite.
    """
    prompt, banned = corpus.test[:1], [corpus.vocabulary[UNK]]
    try:
        ids = generate(model, prompt, length, temperature=TEMPERATURE, banned=banned, rng=seed)
    except NotFinite:
        return ""
    return detokenize(corpus.vocabulary.decode(ids), corpus.level)


def follow(folder: Path, run: Run, corpus: Corpus) -> None:
    """Add a sample if the run begins or has just finished an epoch; drop samples of later steps."""
    if run.window > 0:
        return
    samples = read_samples(folder / SAMPLES)
    if samples and samples[-1].step == run.step:
        return
    text = written(run.model, corpus, LENGTH[corpus.level], run.config.seed)
    samples = [*(s for s in samples if s.step < run.step), Sample(run.epoch, run.step, text)]
    listed = json.dumps([s._asdict() for s in samples], ensure_ascii=False, indent=1)
    write_text(folder / SAMPLES, listed + "\n")


def read_samples(path: Path) -> list[Sample]:
    """Read the samples in a file; none if it is missing or damaged."""
    with suppress(RunFolderError), reading(path, "samples") as file:
        return [Sample(**entry) for entry in json.load(file)]
    return []
