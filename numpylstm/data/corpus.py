"""Texts as ids, in three splits."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from numpylstm.data.text import (
    HELD_OUT,
    SPLITS,
    UNK,
    DataError,
    check_level,
    read_embedded,
    read_ptb,
    read_text,
    split_punctuation,
    tokenize,
)
from numpylstm.data.vocabulary import Vocabulary

_MIN_TOKENS = 2  # one to predict from and one to predict


@dataclass(frozen=True, eq=False, repr=False)
class Corpus:
    """A text in three splits, as ids of one vocabulary; ``str(corpus)`` describes it in a line.

    Attributes
    ----------
    source : str
        Where the text comes from, for people.
    level : {"word", "char"}
        What a token is; see `tokenize`.
    vocabulary : Vocabulary
        Made of the training split alone, unless one was given.
    train, valid, test : (N,) int32 array
        The splits; each holds at least two tokens.
    oov : mapping of str to int
        For each split, how many of its tokens the vocabulary lacks; in the ids they are `UNK`.
        The training split has some if the vocabulary was cut to a largest size, or given.
    """

    source: str
    level: str
    vocabulary: Vocabulary
    train: NDArray[np.int32]
    valid: NDArray[np.int32]
    test: NDArray[np.int32]
    oov: Mapping[str, int]

    @property
    def num_tokens(self) -> dict[str, int]:
        """The number of tokens in each split."""
        return {"train": len(self.train), "valid": len(self.valid), "test": len(self.test)}

    def __str__(self) -> str:
        sizes = ", ".join(f"{split} {count:,}" for split, count in self.num_tokens.items())
        unknown = ", ".join(f"{split} {self.oov[split]:,}" for split in SPLITS)
        tokens = "words" if self.level == "word" else "characters"
        return (
            f"{self.source}: {tokens} {sizes}; vocabulary {len(self.vocabulary):,}; "
            f"out of it, read as {UNK}: {unknown}"
        )

    def __repr__(self) -> str:
        return f"<Corpus {self}>"


def load_ptb(
    path: str | os.PathLike[str],
    *,
    level: str = "word",
    max_vocab: int | None = None,
    vocabulary: Vocabulary | None = None,
) -> Corpus:
    """Load Penn Treebank as Mikolov prepared it.

    Parameters
    ----------
    path : path
        The folder or the archive; see `read_ptb`.
    level : {"word", "char"}
        See `tokenize`.
    max_vocab : int, optional
        The largest size of a vocabulary made here; see `Vocabulary.build`.
    vocabulary : Vocabulary, optional
        One to read the text with, such as a checkpoint's; `max_vocab` has no part in it. By
        default it is made of the training split.

    Returns
    -------
    Corpus
        929,589 / 73,760 / 82,430 words, 10,000 of them distinct.

    Raises
    ------
    DataError
        If a file is missing, unreadable, damaged, or not text.
    """
    check_level("load_ptb", level)
    parts = {split: tokenize(text, level) for split, text in read_ptb(path).items()}
    return _corpus(f"Penn Treebank ({path})", level, parts, max_vocab, vocabulary)


def load_text(
    train: str | os.PathLike[str],
    valid: str | os.PathLike[str] | None = None,
    test: str | os.PathLike[str] | None = None,
    *,
    level: str = "word",
    max_vocab: int | None = None,
    vocabulary: Vocabulary | None = None,
) -> Corpus:
    """Load any UTF-8 text, from one, two or three files.

    A split without a file of its own is cut from the end of the training text: one token in 20,
    the validation split before the test split. So a single file is split 90/5/5.

    Parameters
    ----------
    train, valid, test : path
        The files.
    level : {"word", "char"}
        See `tokenize`.
    max_vocab : int, optional
        The largest size of a vocabulary made here; see `Vocabulary.build`.
    vocabulary : Vocabulary, optional
        One to read the text with, such as a checkpoint's; `max_vocab` has no part in it. By
        default it is made of the training split.

    Returns
    -------
    Corpus

    Raises
    ------
    DataError
        If a file is missing, unreadable, too short, or not UTF-8 text.
    """
    check_level("load_text", level)
    files = {"valid": valid, "test": test}
    parts = {"train": tokenize(read_text(train), level)}
    tokens = parts["train"]
    to_cut = [split for split, file in files.items() if file is None]
    share = len(tokens) // HELD_OUT
    if to_cut and share < _MIN_TOKENS:
        raise DataError(
            f"{train}: must hold at least {_MIN_TOKENS * HELD_OUT} tokens, to cut the "
            f"{' and '.join(to_cut)} split from it, got {len(tokens)} at {level} level; "
            f"take a longer text, or a file for each split"
        )
    end = len(tokens) - share * len(to_cut)
    parts["train"] = tokens[:end]
    for split, file in files.items():
        if file is None:
            parts[split] = tokens[end : end + share]
            end += share
        else:
            parts[split] = tokenize(read_text(file), level)
    source = ", ".join(str(file) for file in (train, valid, test) if file is not None)
    return _corpus(source, level, parts, max_vocab, vocabulary)


def load_embedded(
    *,
    level: str = "word",
    max_vocab: int | None = None,
    vocabulary: Vocabulary | None = None,
) -> Corpus:
    """Load the language reference that ships inside Python; see `read_embedded`.

    At word level its text goes through `split_punctuation`. Case is kept, because ``None`` and
    ``TypeError`` are names.

    Parameters
    ----------
    level : {"word", "char"}
        See `tokenize`.
    max_vocab : int, optional
        The largest size of a vocabulary made here; see `Vocabulary.build`. Some hundred less than
        the 4,100 distinct training tokens lets the model see `UNK` in training.
    vocabulary : Vocabulary, optional
        One to read the text with, such as a checkpoint's; `max_vocab` has no part in it. By
        default it is made of the training split.

    Returns
    -------
    Corpus

    Raises
    ------
    DataError
        If this Python lacks the reference.
    """
    check_level("load_embedded", level)
    texts = read_embedded()
    if level == "word":
        texts = {split: split_punctuation(text) for split, text in texts.items()}
    parts = {split: tokenize(text, level) for split, text in texts.items()}
    return _corpus(
        f"Python {platform.python_version()} language reference",
        level,
        parts,
        max_vocab,
        vocabulary,
    )


def _corpus(
    source: str,
    level: str,
    parts: Mapping[str, list[str]],
    max_vocab: int | None,
    vocabulary: Vocabulary | None,
) -> Corpus:
    for split in SPLITS:
        if len(parts[split]) < _MIN_TOKENS:
            raise DataError(
                f"{source}: the {split} split must hold at least {_MIN_TOKENS} tokens, got "
                f"{len(parts[split])} at {level} level; is the file empty?"
            )
    if vocabulary is None:
        vocabulary = Vocabulary.build(parts["train"], max_vocab)
    encoded = {split: vocabulary.encode(parts[split]) for split in SPLITS}
    return Corpus(
        source=source,
        level=level,
        vocabulary=vocabulary,
        train=encoded["train"][0],
        valid=encoded["valid"][0],
        test=encoded["test"][0],
        oov={split: oov for split, (_, oov) in encoded.items()},
    )
