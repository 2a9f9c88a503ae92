"""What a network writes while it learns: a sample before the first update and after each epoch.

Each sample has the same prompt and the same random numbers, from a generator of its own; so what
changes from one to the next is the network, and the numbers of the training stay what they are.

The samples can be continued like the run. They are written before the checkpoint of their epoch; a
run that goes on from an older one drops what came after it and makes it again.
"""

import json
from pathlib import Path
from typing import NamedTuple

from numpylstm.checks import NotFinite
from numpylstm.data import UNK, Corpus, detokenize
from numpylstm.models import LanguageModel
from numpylstm.sampling import generate
from numpylstm.training.checkpoint import is_text
from numpylstm.training.loop import Run
from numpylstm.training.run_folder import SAMPLES, write_text
from numpylstm.untrusted import open_regular

TEMPERATURE = 0.8
LENGTH = {"word": 40, "char": 160}
"""Tokens of a sample."""


class Sample(NamedTuple):
    """What was written after so many epochs and updates."""

    epoch: int
    step: int
    text: str


def written(model: LanguageModel, corpus: Corpus, length: int, seed: int) -> str:
    """A text that a model writes after the first token of the test text; never ``<unk>``.

    Nothing where its scores are not finite.
    """
    prompt, banned = corpus.test[:1], [corpus.vocabulary[UNK]]
    try:
        ids = generate(model, prompt, length, temperature=TEMPERATURE, banned=banned, rng=seed)
    except NotFinite:
        return ""
    return detokenize(corpus.vocabulary.decode(ids), corpus.level)


class SampleLog:
    """The file samples.json of a run.

    Parameters
    ----------
    folder : Path
        Of the run. The samples in it that the run has come to are kept.
    run : Run
    corpus : Corpus
    """

    def __init__(self, folder: Path, run: Run, corpus: Corpus) -> None:
        self.path = folder / SAMPLES
        self.corpus = corpus
        self.samples = [sample for sample in read_samples(self.path) if sample.step <= run.step]
        if run.step == 0:
            self.samples = []
            self._add(run)

    def follow(self, run: Run) -> None:
        """Draw and write, if the run has just finished an epoch."""
        if run.window == 0 and run.step > max((s.step for s in self.samples), default=0):
            self._add(run)

    def _add(self, run: Run) -> None:
        length, seed = LENGTH[self.corpus.level], run.config.seed
        sample = Sample(run.epoch, run.step, written(run.model, self.corpus, length, seed))
        samples = [*self.samples, sample]
        listed = [entry._asdict() for entry in samples]
        write_text(self.path, json.dumps(listed, ensure_ascii=False, indent=1) + "\n")
        self.samples = samples  # not before they are written: else nobody would write them again


def read_samples(path: Path) -> list[Sample]:
    """The samples in a file; none if it is not there, or holds anything else."""
    try:
        with open_regular(path) as file:
            listed = json.loads(file.read())
        samples = [Sample(**entry) for entry in listed]
    except (OSError, ValueError, TypeError, RecursionError):
        return []
    kinds = (int, int, str)
    return [
        sample
        for sample in samples
        if all(type(v) is k for v, k in zip(sample, kinds, strict=True)) and is_text(sample.text)
    ]
