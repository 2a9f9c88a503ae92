"""Loading of the texts that settings name: to train on, or to score a checkpoint on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numpylstm.config import TrainConfig
from numpylstm.data.corpus import Corpus, load_embedded, load_ptb, load_text
from numpylstm.data.text import (
    DataError,
    named,
    read_texts,
    split_punctuation,
    tokenize,
    with_line_ends,
)
from numpylstm.data.vocabulary import Vocabulary
from numpylstm.levels import LEVELS


def load_corpus(config: TrainConfig, vocabulary: Vocabulary | None = None) -> Corpus:
    """Load the text that the settings name; Python's own language reference if they name none.

    A vocabulary is made from the training text, unless one is given.
    """
    options: dict[str, Any] = {
        "level": config.level,
        "max_vocab": config.max_vocab,
        "vocabulary": vocabulary,
        "max_eval": config.max_eval,
    }
    if config.data is not None:
        return load_ptb(config.data, **options)
    if config.train is not None:
        prepare = split_punctuation if config.split_punctuation else None
        return load_text(config.train, config.valid, config.test, prepare=prepare, **options)
    return load_embedded(**options)


def fingerprint(corpus: Corpus) -> str:
    """Return a hash of the vocabulary and of all three texts."""
    digest = hashlib.sha256("\n".join(corpus.vocabulary.tokens).encode())
    for ids in (corpus.train, corpus.valid, corpus.test):
        digest.update(b"|" + np.ascontiguousarray(ids, "<i4").tobytes())
    return digest.hexdigest()


def check_fingerprint(corpus: Corpus, expected: str) -> None:
    """Raise a DataError unless a run was started with this text."""
    if not expected:
        raise DataError("the run was imported, without a text")
    if fingerprint(corpus) != expected:
        raise DataError(
            f"{corpus.source}: this text is not the one that the run was started with; it has "
            "changed since"
        )


def load_same_text(config: TrainConfig, vocabulary: Vocabulary, expected: str) -> Corpus:
    """Load the text of an earlier run, whose fingerprint must be the expected one."""
    corpus = load_corpus(config, vocabulary)
    check_fingerprint(corpus, expected)
    return corpus


def tokens_like(config: TrainConfig, vocabulary: Vocabulary, text: str) -> list[str]:
    """Cut a text into tokens as the training text was cut."""
    text = with_line_ends(text)
    if splits_punctuation(config, vocabulary):
        text = split_punctuation(text)
    return tokenize(text, config.level)


def splits_punctuation(config: TrainConfig, vocabulary: Vocabulary) -> bool:
    """Return True if words are separated from punctuation: in our own text, or on request.

    An imported model names no text either; then its vocabulary decides.
    """
    if config.split_punctuation:
        return True
    if config.data is not None or config.train is not None:
        return False
    if not LEVELS[config.level].splits_punctuation:
        return False
    words = " ".join(vocabulary)
    return split_punctuation(words) == words


class ScoredText(NamedTuple):
    """A text as ids of a checkpoint's vocabulary, with its name and its count of unknown tokens.

    A text of its own, of no corpus, has its tokens too, before unknown ones became ``<unk>``.
    """

    name: str
    ids: NDArray[Any]
    unknown: int
    tokens: Sequence[str] = ()


def scored_text(
    config: TrainConfig,
    vocabulary: Vocabulary,
    expected: str,
    *,
    data: str | None = None,
    file: Sequence[str] | None = None,
    prompt: str | None = None,
    split: str = "test",
    max_tokens: int | None = None,
) -> ScoredText:
    """Return the text to score a checkpoint on.

    A split of a Treebank folder or archive (`data`), whole files (`file`), a text that is given
    (`prompt`) or, without any of them, a split of the training run's text, whose fingerprint must
    be `expected`. The first `max_tokens` tokens of it; by default all, or of a split as many as the
    run uses.
    """
    name = "the prompt"
    text = prompt
    if file is not None:
        name = named(file)
        text = "".join(read_texts(file))
    if text is not None:
        tokens = tokens_like(config, vocabulary, text)[:max_tokens]
        return ScoredText(name, *vocabulary.encode(tokens), tokens)
    if data is not None:
        most = config.max_eval if max_tokens is None else max_tokens
        corpus = load_ptb(data, level=config.level, vocabulary=vocabulary, max_eval=most)
    else:
        corpus = load_same_text(config, vocabulary, expected)
        if max_tokens is not None:
            corpus = load_corpus(replace(config, max_eval=max_tokens), vocabulary)
    source = f"{split} split of {corpus.source}"
    return ScoredText(source, getattr(corpus, split), corpus.oov[split])
