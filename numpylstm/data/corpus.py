"""Texts as ids, in three splits."""

from __future__ import annotations

import itertools
import os
import platform
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from numpylstm.checks import check_choice, check_kind, check_whole
from numpylstm.data.text import (
    HELD_OUT,
    LEVELS,
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
from numpylstm.data.vocabulary import Vocabulary, by_frequency

Watch = Callable[[int, int], object]
"""Progress callback, called now and then with the amount done and the total."""

PIECE = 1 << 20  # characters, some tenths of a second
_SPACE = re.compile(r"\s")
_MIN_TOKENS = 2  # one to predict from and one to predict


@dataclass(frozen=True, eq=False)
class Corpus:
    """A text in three splits, as ids of one vocabulary; ``str(corpus)`` describes it in a line.

    Attributes
    ----------
    source : str
        The origin of the text, for messages.
    level : {"word", "char"}
        The kind of a token; see `tokenize`.
    vocabulary : Vocabulary
        Made of the training split alone, unless one was given.
    train, valid, test : (N,) int32 array
        The splits; each holds at least two tokens.
    oov : mapping of str to int
        For each split, how many of its tokens the vocabulary lacks; in the ids they are `UNK`.
        The training split has some if the vocabulary was cut to a largest size, or given.
    left_out : mapping of str to int
        How many of these are tokens of the training split that the vocabulary leaves out. The
        training split lacks the others.
    unread : mapping of str to int
        For each split, how many tokens were cut from its end by a largest size.
    """

    source: str
    level: str
    vocabulary: Vocabulary
    train: NDArray[np.int32]
    valid: NDArray[np.int32]
    test: NDArray[np.int32]
    oov: Mapping[str, int]
    left_out: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(SPLITS, 0))
    unread: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(SPLITS, 0))

    @property
    def num_tokens(self) -> dict[str, int]:
        """The number of tokens in each split."""
        return {"train": len(self.train), "valid": len(self.valid), "test": len(self.test)}

    def __str__(self) -> str:
        line = (
            f"{self.source}: {unit(self.level)}s {_counts(self.num_tokens)}; vocabulary "
            f"{len(self.vocabulary):,}; out of it, read as {UNK}: {_counts(self.oov)}"
        )
        if any(self.left_out.values()):
            line += f"; of these, the training text has: {_counts(self.left_out)}"
        if any(self.unread.values()):
            line += f"; left out at the end: {_counts(self.unread)}"
        return line

    def __repr__(self) -> str:
        return f"<Corpus {self}>"


def unit(level: str) -> str:
    """Return the name of a token in a message: word or character."""
    return "word" if level == "word" else "character"


def _counts(of_splits: Mapping[str, int]) -> str:
    return ", ".join(f"{split} {count:,}" for split, count in of_splits.items())


def load_ptb(
    path: AnyPath,
    *,
    level: str = "word",
    max_vocab: int | None = None,
    vocabulary: Vocabulary | None = None,
    max_eval: int | None = None,
    watch: Watch | None = None,
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
        The vocabulary to use, such as a checkpoint's; `max_vocab` is then ignored. By default it
        is made of the training split.
    max_eval : int, optional
        Number of tokens to keep of the validation and of the test split; by default all.
    watch : callable, optional
        Called now and then with the number of characters read and their total.

    Returns
    -------
    Corpus
        929,589 / 73,760 / 82,430 words, 10,000 of them distinct.

    Raises
    ------
    DataError
        If a file is missing, unreadable, damaged, or not text.
    """
    check_choice("load_ptb", "level", level, LEVELS)
    source = f"Penn Treebank ({path})"
    return _corpus(source, read_ptb(path), level, max_vocab, vocabulary, max_eval, watch)


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
    watch: Watch | None = None,
) -> Corpus:
    """Load any UTF-8 text: see `numpylstm.data.text.read_texts` for what can be named.

    A split without its own file is cut from the end of the training text: one token in 20,
    the validation split before the test split. So a single file is split 90/5/5.

    Parameters
    ----------
    train, valid, test : path, or sequence of paths
        Files, plain or gzipped, folders of them, or ``"-"`` for standard input.
    prepare : callable, optional
        Applied to each text before it is cut into tokens, such as `split_punctuation`.
    level, max_vocab, vocabulary, max_eval, watch
        As for `load_ptb`.

    Raises
    ------
    DataError
        If a file is missing, unreadable, too short, or not UTF-8 text.
    """
    check_choice("load_text", "level", level, LEVELS)
    files = {
        split: file if isinstance(file, str | os.PathLike) else list(file)  # it is read twice
        for split, file in zip(SPLITS, (train, valid, test), strict=True)
        if file is not None
    }
    texts = {split: read_texts(file) for split, file in files.items()}
    if prepare is not None:
        texts = {split: prepare(text) for split, text in texts.items()}
    source = ", ".join(map(named, files.values()))
    return _corpus(source, texts, level, max_vocab, vocabulary, max_eval, watch)


def load_embedded(
    *,
    level: str = "word",
    max_vocab: int | None = None,
    vocabulary: Vocabulary | None = None,
    max_eval: int | None = None,
    watch: Watch | None = None,
) -> Corpus:
    """Load the language reference that ships inside Python; see `read_embedded`.

    At word level its text goes through `split_punctuation`. Case is kept, because ``None`` and
    ``TypeError`` are names.

    Parameters
    ----------
    max_vocab : int, optional
        The largest size of a vocabulary made here; see `Vocabulary.build`. A few hundred less than
        the 4,100 distinct training tokens lets the model see `UNK` in training.
    level, vocabulary, max_eval, watch
        As for `load_ptb`.

    Raises
    ------
    DataError
        If this Python lacks the reference.
    """
    check_choice("load_embedded", "level", level, LEVELS)
    texts = read_embedded()
    if level == "word":
        texts = {split: split_punctuation(text) for split, text in texts.items()}
    source = f"Python {platform.python_version()} language reference"
    return _corpus(source, texts, level, max_vocab, vocabulary, max_eval, watch)


def _corpus(
    source: str,
    texts: Mapping[str, str],
    level: str,
    max_vocab: int | None,
    vocabulary: Vocabulary | None,
    max_eval: int | None,
    watch: Watch | None,
) -> Corpus:
    """Make a corpus of the texts of the splits; those missing are cut from the training text."""
    if max_eval is not None:
        check_whole("Corpus", "max_eval", max_eval, _MIN_TOKENS)
    if vocabulary is not None:
        check_kind("Corpus", "vocabulary", vocabulary, Vocabulary)
    tokens, numbers = index(list(texts.values()), level, watch)
    parts = dict(zip(texts, numbers, strict=True))
    to_cut = [split for split in SPLITS if split not in parts]
    whole = parts["train"]
    share = len(whole) // HELD_OUT
    if to_cut and share < _MIN_TOKENS:
        raise DataError(
            f"{source}: must hold at least {_MIN_TOKENS * HELD_OUT} tokens, to cut the "
            f"{' and '.join(to_cut)} split from it, got {len(whole)} at {level} level; "
            f"use a longer text, or a file for each split"
        )
    end = len(whole) - share * len(to_cut)
    parts["train"] = whole[:end]
    for split in to_cut:
        parts[split] = whole[end : end + share]
        end += share
    for split in SPLITS:
        if len(parts[split]) < _MIN_TOKENS:
            raise DataError(
                f"{source}: the {split} split must hold at least {_MIN_TOKENS} tokens, got "
                f"{len(parts[split])} at {level} level; is the file empty?"
            )
    counts = np.bincount(parts["train"], minlength=len(tokens))
    if vocabulary is None:
        seen = {token: n for token, n in zip(tokens, counts.tolist(), strict=True) if n}
        vocabulary = Vocabulary(by_frequency(Counter(seen), max_vocab))
    lacking = np.array([token not in vocabulary for token in tokens])
    ids, _ = vocabulary.encode(tokens)
    kept = {split: parts[split][: None if split == "train" else max_eval] for split in SPLITS}
    encoded = {split: ids[kept[split]] for split in SPLITS}

    def count(which: NDArray[np.bool_]) -> dict[str, int]:
        return {split: int(np.count_nonzero(which[kept[split]])) for split in SPLITS}

    return Corpus(
        source, level, vocabulary, **encoded, oov=count(lacking),
        left_out=count(lacking & (counts > 0)),
        unread={split: len(parts[split]) - len(kept[split]) for split in SPLITS},
    )  # fmt: skip


def index(
    texts: Sequence[str], level: str, watch: Watch | None = None
) -> tuple[list[str], list[NDArray[np.int32]]]:
    """Number the tokens of texts piece by piece: with little memory, and with progress.

    Returns the distinct tokens in the order of first appearance, and the numbers (N,) of each text.
    `watch` is called after each piece with the number of characters done and their total.
    """
    number: defaultdict[str, int] = defaultdict(itertools.count().__next__)
    done, total = 0, sum(map(len, texts))
    numbers = []
    for text in texts:
        parts = [np.empty(0, np.int32)]
        for piece in pieces(text):
            tokens = tokenize(piece, level)
            parts.append(np.fromiter(map(number.__getitem__, tokens), np.int32, len(tokens)))
            done += len(piece)
            if watch is not None:
                watch(done, total)
        numbers.append(np.concatenate(parts))
    return list(number), numbers


def pieces(text: str) -> Iterator[str]:
    """Cut a text after white space, so that no word is cut."""
    start = 0
    while start < len(text):
        space = _SPACE.search(text, start + PIECE)
        end = space.end() if space else len(text)
        yield text[start:end]
        start = end
