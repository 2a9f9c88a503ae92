"""The texts that settings name: to train on, and to measure a checkpoint on."""

from dataclasses import replace
from typing import Any, NamedTuple

from numpy.typing import NDArray

from numpylstm.config import TrainConfig
from numpylstm.data import (
    Corpus,
    Vocabulary,
    load_embedded,
    load_ptb,
    load_text,
    read_text,
    split_punctuation,
    tokenize,
)
from numpylstm.training.checkpoint import Checkpoint
from numpylstm.training.loop import check_fingerprint


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
