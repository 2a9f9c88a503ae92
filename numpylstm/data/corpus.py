"""Texts as ids, in three splits."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from numpylstm.checks import check_choice, check_kind, check_whole
from numpylstm.data.text import (
    HELD_OUT,
    SPLITS,
    UNK,
    AnyPath,
    DataError,
    named,
    read_embedded,
    read_ptb,
    read_texts,
    split_punctuation,
    tokenize,
)
from numpylstm.data.vocabulary import Vocabulary
from numpylstm.levels import LEVELS

_PIECE = re.compile(r"(?s).{1,65536}\S*")  # up to 65,536 characters, and the rest of a word
_MIN_TOKENS = 2  # one to predict from and one to predict


@dataclass(frozen=True, eq=False)
class Corpus:
    """A text in three splits, as ids of one vocabulary; ``str(corpus)`` describes it in a line.

    Attributes
    ----------
    source : str
        The origin of the text, for messages.
    level : str
        The kind of a token; see `tokenize`.
    vocabulary : Vocabulary
        Made of the training split alone, unless one was given.
    train, valid, test : (N,) int32 array
        The splits; each holds at least two tokens.
    oov : mapping of str to int
        For each split, how many of its tokens the vocabulary lacks; in the ids they are `UNK`.
        The training split has some if the vocabulary was cut to a largest size, or given.
    unread : mapping of str to int
        For each split, how many tokens were cut from its end by a largest size.
    held_out : str
        The parts of the files that are the validation and the test split.
    """

    source: str
    level: str
    vocabulary: Vocabulary
    train: NDArray[np.int32]
    valid: NDArray[np.int32]
    test: NDArray[np.int32]
    oov: Mapping[str, int]
    unread: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(SPLITS, 0))
    held_out: str = ""

    @property
    def num_tokens(self) -> dict[str, int]:
        """The number of tokens in each split."""
        return {split: len(getattr(self, split)) for split in SPLITS}

    def __str__(self) -> str:
        unit = LEVELS[self.level].unit
        line = (
            f"{self.source}: {unit}s {_counts(self.num_tokens)}; vocabulary "
            f"{len(self.vocabulary):,}; out of it, read as {UNK}: {_counts(self.oov)}"
        )
        if any(self.unread.values()):
            line += f"; left out at the end: {_counts(self.unread)}"
        return line

    def __repr__(self) -> str:
        return f"<Corpus {self}>"


def _counts(of_splits: Mapping[str, int]) -> str:
    return ", ".join(f"{split} {count:,}" for split, count in of_splits.items())


def load_ptb(
    path: AnyPath,
    *,
    level: str = "word",
    max_vocab: int | None = None,
    vocabulary: Vocabulary | None = None,
    max_eval: int | None = None,
) -> Corpus:
    """Load Penn Treebank as Mikolov prepared it.

    Parameters
    ----------
    path : path
        The folder or the archive; see `read_ptb`.
    level : str
        The kind of a token; see `tokenize`.
    max_vocab : int, optional
        The largest size of a vocabulary made here; see `Vocabulary.build`.
    vocabulary : Vocabulary, optional
        The vocabulary to use, such as a checkpoint's; `max_vocab` is then ignored. By default it
        is made of the training split.
    max_eval : int, optional
        Number of tokens to keep of the validation and of the test split; by default all.

    Returns
    -------
    Corpus
        929,589 / 73,760 / 82,430 words, 10,000 of them distinct.

    Raises
    ------
    DataError
        If a file is missing, unreadable, damaged, or not text.
    """
    source = f"Penn Treebank ({path})"
    texts = {split: [text] for split, text in read_ptb(path).items()}
    held_out = "its files for validation and test"
    return _corpus(source, texts, held_out, level, max_vocab, vocabulary, max_eval)


def load_text(
    train: AnyPath | Sequence[AnyPath],
    valid: AnyPath | Sequence[AnyPath] | None = None,
    test: AnyPath | Sequence[AnyPath] | None = None,
    *,
    level: str = "word",
    max_vocab: int | None = None,
    vocabulary: Vocabulary | None = None,
    max_eval: int | None = None,
    prepare: Callable[[str], str] | None = None,
) -> Corpus:
    """Load any UTF-8 text: see `numpylstm.data.text.read_texts` for what can be named.

    A split without its own file is cut from the end of each training file: one token in 20,
    the validation split before the test split. So each file is split 90/5/5. Join the files of one
    long text, such as the chapters of a book, if you want to hold out its end instead.

    Parameters
    ----------
    train, valid, test : path, or sequence of paths
        Files, plain or gzipped, folders of them, or ``"-"`` for standard input.
    prepare : callable, optional
        Applied to each text before it is cut into tokens, such as `split_punctuation`.
    level, max_vocab, vocabulary, max_eval
        As for `load_ptb`.

    Raises
    ------
    DataError
        If a file is missing, unreadable, too short, or not UTF-8 text.
    """
    files = {
        split: [file] if isinstance(file, str | os.PathLike) else list(file)
        for split, file in zip(SPLITS, (train, valid, test), strict=True)
        if file is not None
    }
    texts = {
        split: [prepare(text) if prepare else text for text in read_texts(several)]
        for split, several in files.items()
    }
    source = ", ".join(map(named, files.values()))
    held_out = _held_out(files, len(texts["train"]))
    return _corpus(source, texts, held_out, level, max_vocab, vocabulary, max_eval)


def _held_out(files: Mapping[str, Sequence[AnyPath]], count: int) -> str:
    """Describe the validation and the test split; `count` is the number of training files."""
    parts = [f"{split}: {named(files[split])}" for split in SPLITS[1:] if split in files]
    to_cut = [split for split in SPLITS[1:] if split not in files]
    if to_cut:
        share = 100 // HELD_OUT
        first = 100 - share * len(to_cut)
        each = "" if count == 1 else f"each of the {count:,} files "
        shares = [
            f"{split} {start} % to {start + share} %"
            for split, start in zip(to_cut, range(first, 100, share), strict=True)
        ]
        parts.append(f"{', '.join(shares)} of {each}{named(files['train'])}")
    return "; ".join(parts)


def load_embedded(
    *,
    level: str = "word",
    max_vocab: int | None = None,
    vocabulary: Vocabulary | None = None,
    max_eval: int | None = None,
) -> Corpus:
    """Load the language reference that ships inside Python; see `read_embedded`.

    At word level its text goes through `split_punctuation`. Case is kept, because ``None`` and
    ``TypeError`` are names.

    Parameters
    ----------
    max_vocab : int, optional
        The largest size of a vocabulary made here; see `Vocabulary.build`. A few hundred less than
        the 4,100 distinct training tokens lets the model see `UNK` in training.
    level, vocabulary, max_eval
        As for `load_ptb`.

    Raises
    ------
    DataError
        If this Python lacks the reference.
    """
    check_choice("Corpus", "level", level, LEVELS)
    prepare = split_punctuation if LEVELS[level].splits_punctuation else str
    texts = {split: [prepare(text)] for split, text in read_embedded().items()}
    source = f"Python {platform.python_version()} language reference"
    held_out = f"of every {HELD_OUT} blocks, one for validation and one for test"
    return _corpus(source, texts, held_out, level, max_vocab, vocabulary, max_eval)


def _corpus(
    source: str,
    texts: Mapping[str, Sequence[str]],
    held_out: str,
    level: str,
    max_vocab: int | None,
    vocabulary: Vocabulary | None,
    max_eval: int | None,
) -> Corpus:
    """Make a corpus of the texts of each split; missing splits are cut from the training texts."""
    if max_eval is not None:
        check_whole("Corpus", "max_eval", max_eval, _MIN_TOKENS)
    if vocabulary is not None:
        check_kind("Corpus", "vocabulary", vocabulary, Vocabulary)
    to_cut = [split for split in SPLITS if split not in texts]
    tokens: dict[str, list[str]] = {split: [] for split in SPLITS}
    for split, several in texts.items():
        for text in several:
            file = _tokens(text, level)
            share = len(file) // HELD_OUT
            for held in reversed(to_cut if split == "train" else []):
                end = len(file) - share
                tokens[held] += file[end:]
                del file[end:]
            tokens[split] += file
    for split, part in tokens.items():
        if len(part) < _MIN_TOKENS:
            advice = "is the file empty?"
            if split in to_cut:
                advice = f"it is one token in {HELD_OUT} of each file: use longer files, or name it"
            raise DataError(
                f"{source}: the {split} split must hold at least {_MIN_TOKENS} tokens, got "
                f"{len(part)} at {level} level; {advice}"
            )
    unread = dict.fromkeys(SPLITS, 0)
    if max_eval is not None:
        for split in SPLITS[1:]:
            unread[split] = len(tokens[split][max_eval:])
            del tokens[split][max_eval:]
    if vocabulary is None:
        vocabulary = Vocabulary.build(tokens["train"], max_vocab)
    encoded = {split: vocabulary.encode(part) for split, part in tokens.items()}
    return Corpus(
        source,
        level,
        vocabulary,
        **{split: ids for split, (ids, _) in encoded.items()},
        oov={split: unknown for split, (_, unknown) in encoded.items()},
        unread=unread,
        held_out=held_out,
    )


def _tokens(text: str, level: str) -> list[str]:
    """Return the tokens of a text; equal ones are one string, so a long text takes less memory.

    It is cut into pieces, since the tokens of a piece are not shared until all of it is cut.
    """
    tokens: list[str] = []
    for piece in _PIECE.findall(text):
        tokens += map(sys.intern, tokenize(piece, level))
    return tokens
