"""Text in, token ids out: vocabularies, corpora and time-major batches.

The way of a text::

    file --read_text--> str --tokenize--> tokens --Vocabulary.encode--> ids (N,) int32
                                                                           |
                                                x, y (T, B) <---batches----+

The first two steps live in `numpylstm.text`. Three loaders go all the way and return a `Corpus`:
`load_ptb` (Penn Treebank), `load_text` (any UTF-8 text) and `load_embedded` (the language
reference inside every Python). A file that cannot be used raises `DataError`.
"""

from __future__ import annotations

import operator
import platform
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from numpylstm.checks import any_array, check_flag, check_ids, check_plain
from numpylstm.indexing import index
from numpylstm.text import (
    EOS,
    HELD_OUT,
    LEVELS,
    SPLITS,
    UNK,
    AnyPath,
    DataError,
    check_level,
    decode_text,
    detokenize,
    named,
    read_embedded,
    read_ptb,
    read_text,
    read_texts,
    split_punctuation,
    tokenize,
)

__all__ = [
    "EOS",
    "LEVELS",
    "SPLITS",
    "UNK",
    "Corpus",
    "DataError",
    "Vocabulary",
    "batches",
    "decode_text",
    "detokenize",
    "load_embedded",
    "load_ptb",
    "load_text",
    "num_batches",
    "read_embedded",
    "read_ptb",
    "read_text",
    "split_punctuation",
    "tokenize",
]

_MIN_TOKENS = 2  # one to predict from and one to predict


# --- Vocabulary --------------------------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class Vocabulary:
    """An immutable list of distinct tokens; the id of a token is its place in the list.

    ``len(v)`` is its size, ``token in v`` asks, ``v[token]`` is the id of a token that it holds
    (KeyError otherwise) and ``v.tokens[i]`` the token of an id. Two vocabularies are equal if
    their tokens are.

    Parameters
    ----------
    tokens : sequence of str
        In id order: distinct, not empty, `UNK` among them.

    Raises
    ------
    TypeError
        If `tokens` is a single string or holds something that is not a string.
    ValueError
        If a token is empty or repeated, or `UNK` is missing.
    """

    tokens: tuple[str, ...]
    _ids: dict[str, int] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        if isinstance(self.tokens, str):
            raise TypeError("Vocabulary: tokens must be a list of strings, got one string")
        tokens = tuple(self.tokens)
        ids: dict[str, int] = {}
        for i, token in enumerate(tokens):
            if not isinstance(token, str):
                raise TypeError(
                    f"Vocabulary: tokens must be strings, got {type(token).__name__} at index {i}"
                )
            if not token:
                raise ValueError(f"Vocabulary: tokens must not be empty, got '' at index {i}")
            if ids.setdefault(token, i) != i:
                raise ValueError(
                    f"Vocabulary: tokens must be distinct, got {token!r} at index {ids[token]} "
                    f"and again at index {i}"
                )
        if UNK not in ids:
            raise ValueError(
                f"Vocabulary: tokens must contain {UNK!r}, got {len(tokens)} tokens without it; "
                f"Vocabulary.build adds it"
            )
        object.__setattr__(self, "tokens", tokens)
        object.__setattr__(self, "_ids", ids)

    @classmethod
    def build(cls, tokens: Iterable[str], max_size: int | None = None) -> Vocabulary:
        """Collect the tokens of a training text, by frequency, then alphabetically.

        Alphabetical means by code point. `UNK` is always there, with the count it has in the
        text (0 if the text lacks it). If the distinct tokens, `UNK` included, are more than
        `max_size`, the first ``max_size - 1`` others stay; what is cut counts as `UNK`, which
        takes the rank of that sum: the order is that of the text as the model will see it.

        Parameters
        ----------
        tokens : iterable of str
            The training text.
        max_size : int, optional
            The largest size, at least 2; by default every token stays.
        """
        return cls(_by_frequency(Counter(tokens), max_size))

    @property
    def unk_id(self) -> int:
        """The id of `UNK`."""
        return self._ids[UNK]

    def encode(self, tokens: Sequence[str]) -> tuple[NDArray[np.int32], int]:
        """Turn tokens into ids; a token that the vocabulary lacks becomes `UNK`.

        Returns
        -------
        ids : (N,) int32 array
        oov : int
            How many tokens were out of vocabulary. An `UNK` written in the text is not one.
        """
        ids = np.fromiter(map(self._ids.get, tokens, repeat(-1)), np.int32, count=len(tokens))
        missing = ids < 0
        ids[missing] = self.unk_id
        return ids, int(missing.sum())

    def decode(self, ids: ArrayLike) -> list[str]:
        """Turn ids, of any shape, into a flat list of tokens; the ids are checked.

        Raises
        ------
        TypeError
            If they are not integers.
        ValueError
            If one is out of range.
        """
        array = any_array("Vocabulary.decode", "ids", ids)
        if array.size == 0:
            return []
        array = check_ids("Vocabulary.decode", "ids", array, len(self))
        return [self.tokens[i] for i in array.ravel().tolist()]

    def unknown(self, tokens: Iterable[str]) -> list[str]:
        """Return the distinct tokens that the vocabulary lacks, in order of appearance."""
        return [token for token in dict.fromkeys(tokens) if token not in self._ids]

    def __len__(self) -> int:
        return len(self.tokens)

    def __contains__(self, token: object) -> bool:
        return token in self._ids

    def __getitem__(self, token: str) -> int:
        return self._ids[token]

    def __iter__(self) -> Iterator[str]:
        return iter(self.tokens)

    def __repr__(self) -> str:
        shown = ", ".join(map(repr, self.tokens[:4]))
        return f"<Vocabulary of {len(self):,}: {shown}{', ...' if len(self) > 4 else ''}>"


def _by_frequency(counts: Counter[str], max_size: int | None) -> tuple[str, ...]:
    counts.setdefault(UNK, 0)
    if max_size is not None:
        if _integer("Vocabulary.build", "max_size", max_size) < 2:
            raise ValueError(
                f"Vocabulary.build: max_size must be at least 2, got {max_size}; "
                f"{UNK} and one more token have to fit"
            )
        unknown = counts.pop(UNK)
        kept = sorted(counts, key=lambda token: (-counts[token], token))[: max_size - 1]
        unknown += counts.total() - sum(counts[token] for token in kept)
        counts = Counter({token: counts[token] for token in kept})
        counts[UNK] = unknown
    return tuple(sorted(counts, key=lambda token: (-counts[token], token)))


# --- Corpora -----------------------------------------------------------------------------------


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
    left_out : mapping of str to int
        How many of these are tokens that the training split has: the vocabulary leaves them out.
        The others are unknown because the training split lacks them.
    unread : mapping of str to int
        For each split, how many tokens of the text come after it, if it was cut to a largest size.
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
    """What a token is, for people: word or character."""
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
    watch: Callable[[int, int], Any] | None = None,
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
    max_eval : int, optional
        Keep so many tokens of the validation and of the test split, and leave out the rest.
    watch : callable, optional
        Is told now and then how many characters are read, of how many.

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
    tokens, numbers = index(list(read_ptb(path).values()), level, watch)
    parts = dict(zip(SPLITS, numbers, strict=True))
    return _corpus(
        f"Penn Treebank ({path})", level, tokens, parts, max_vocab, vocabulary, max_eval
    )


def load_text(
    train: AnyPath | Sequence[AnyPath],
    valid: AnyPath | Sequence[AnyPath] | None = None,
    test: AnyPath | Sequence[AnyPath] | None = None,
    *,
    level: str = "word",
    max_vocab: int | None = None,
    vocabulary: Vocabulary | None = None,
    max_eval: int | None = None,
    watch: Callable[[int, int], Any] | None = None,
) -> Corpus:
    """Load any UTF-8 text: see `numpylstm.text.read_texts` for what can be named.

    A split without a file of its own is cut from the end of the training text: one token in 20,
    the validation split before the test split. So a single file is split 90/5/5.

    Parameters
    ----------
    train, valid, test : path, or sequence of paths
        Files, plain or packed by gzip, folders of them, or ``"-"`` for standard input.
    level : {"word", "char"}
        See `tokenize`.
    max_vocab : int, optional
        The largest size of a vocabulary made here; see `Vocabulary.build`.
    vocabulary : Vocabulary, optional
        One to read the text with, such as a checkpoint's; `max_vocab` has no part in it. By
        default it is made of the training split.
    max_eval : int, optional
        Keep so many tokens of the validation and of the test split, and leave out the rest.
    watch : callable, optional
        Is told now and then how many characters are read, of how many.

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
    named_texts = {"train": train} | {k: file for k, file in files.items() if file is not None}
    texts = [read_texts(file) for file in named_texts.values()]
    tokens, numbers = index(texts, level, watch)
    parts = dict(zip(named_texts, numbers, strict=True))
    whole = parts["train"]
    to_cut = [split for split, file in files.items() if file is None]
    share = len(whole) // HELD_OUT
    if to_cut and share < _MIN_TOKENS:
        raise DataError(
            f"{named(train)}: must hold at least {_MIN_TOKENS * HELD_OUT} tokens, to cut the "
            f"{' and '.join(to_cut)} split from it, got {len(whole)} at {level} level; "
            f"take a longer text, or a file for each split"
        )
    end = len(whole) - share * len(to_cut)
    parts["train"] = whole[:end]
    for split in to_cut:
        parts[split] = whole[end : end + share]
        end += share
    source = ", ".join(map(named, named_texts.values()))
    return _corpus(source, level, tokens, parts, max_vocab, vocabulary, max_eval)


def load_embedded(
    *,
    level: str = "word",
    max_vocab: int | None = None,
    vocabulary: Vocabulary | None = None,
    max_eval: int | None = None,
    watch: Callable[[int, int], Any] | None = None,
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
    max_eval : int, optional
        Keep so many tokens of the validation and of the test split, and leave out the rest.
    watch : callable, optional
        Is told now and then how many characters are read, of how many.

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
    tokens, numbers = index(list(texts.values()), level, watch)
    parts = dict(zip(SPLITS, numbers, strict=True))
    source = f"Python {platform.python_version()} language reference"
    return _corpus(source, level, tokens, parts, max_vocab, vocabulary, max_eval)


def _corpus(
    source: str,
    level: str,
    tokens: list[str],
    parts: Mapping[str, NDArray[np.int32]],
    max_vocab: int | None,
    vocabulary: Vocabulary | None,
    max_eval: int | None,
) -> Corpus:
    """The corpus of splits whose numbers name `tokens`."""
    for split in SPLITS:
        if len(parts[split]) < _MIN_TOKENS:
            raise DataError(
                f"{source}: the {split} split must hold at least {_MIN_TOKENS} tokens, got "
                f"{len(parts[split])} at {level} level; is the file empty?"
            )
    counts = np.bincount(parts["train"], minlength=len(tokens))
    if vocabulary is None:
        seen = {token: n for token, n in zip(tokens, counts.tolist(), strict=True) if n}
        vocabulary = Vocabulary(_by_frequency(Counter(seen), max_vocab))
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


def _integer(where: str, name: str, value: int) -> int:
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise TypeError(
            f"{where}: {name} must be an integer, got {value!r} ({type(value).__name__})"
        ) from None


# --- Batches -----------------------------------------------------------------------------------


def num_batches(
    num_tokens: int, batch_size: int, num_steps: int, *, keep_last: bool = False
) -> int:
    """Return how many windows `batches` cuts from this many tokens; at least 1.

    Raises
    ------
    TypeError, ValueError
        As `batches`.
    """
    return _count_windows("num_batches", num_tokens, batch_size, num_steps, keep_last)


def batches(
    ids: ArrayLike,
    batch_size: int,
    num_steps: int,
    *,
    keep_last: bool = False,
    start: int = 0,
) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Cut a sequence into parallel streams and walk along them, window by window.

    N ids are cut into B contiguous streams of ``L = N // B`` (the last ``N % B`` ids are left
    out), one for each column of a batch. Window k holds the steps from ``k * T`` of every stream,
    and its targets are the same steps one later. So a window goes on where the one before it
    stopped, and so may the state of the network. There are ``(L - 1) // T`` windows.

    Parameters
    ----------
    ids : (N,) array_like of int
        Token ids. Their range is not checked here.
    batch_size : int
        B, the number of streams.
    num_steps : int
        T, the steps of a window.
    keep_last : bool
        Also yield the last, shorter window, so that every id of a stream but its first is a
        target once. Evaluation needs it: with one stream only the first token goes unscored.
    start : int
        The first window to yield, from 0. A run that stopped after k windows of an epoch goes on
        with ``start=k``, which costs nothing.

    Yields
    ------
    x, y : (T, B) arrays
        Inputs and targets, time-major, C-contiguous, with the dtype of `ids`: views of one
        (L, B) copy of `ids`, in which ``y[:-1]`` is ``x[1:]``.

    Raises
    ------
    TypeError
        If the ids or the sizes are not integers.
    ValueError
        If `ids` is not one-dimensional or too short for one window, or a size is out of range.

    Examples
    --------
    >>> x, y = next(batches(range(1, 19), batch_size=3, num_steps=2))
    >>> x.T.tolist(), y.T.tolist()
    ([[1, 2], [7, 8], [13, 14]], [[2, 3], [8, 9], [14, 15]])
    """
    array = any_array("batches", "ids", ids)
    check_plain("batches", "ids", array)
    if array.dtype.kind not in "iu":
        raise TypeError(
            f"batches: ids must have an integer dtype, got {array.dtype}; "
            f"token ids come from Vocabulary.encode"
        )
    if array.ndim != 1:
        raise ValueError(
            f"batches: ids must have shape (N,), got {array.shape}; "
            f"they are cut into streams here, not before"
        )
    count = _count_windows("batches", len(array), batch_size, num_steps, keep_last)
    if not 0 <= _integer("batches", "start", start) <= count:
        raise ValueError(
            f"batches: start must be from 0 to {count}, the number of windows, got {start}; "
            f"was the run that stopped on another text?"
        )
    length = len(array) // batch_size
    streams = array[: length * batch_size].reshape(batch_size, length).T.copy()  # (L, B)
    return (
        (streams[i : min(i + num_steps, length - 1)], streams[i + 1 : i + 1 + num_steps])
        for i in range(start * num_steps, count * num_steps, num_steps)
    )


def _count_windows(
    where: str, num_tokens: int, batch_size: int, num_steps: int, keep_last: bool
) -> int:
    for name, value in (("batch_size", batch_size), ("num_steps", num_steps)):
        if _integer(where, name, value) < 1:
            raise ValueError(f"{where}: {name} must be at least 1, got {value}")
    check_flag(where, "keep_last", keep_last)
    targets = _integer(where, "num_tokens", num_tokens) // batch_size - 1  # in each stream
    shortest = 1 if keep_last else num_steps
    if targets < shortest:
        raise ValueError(
            f"{where}: {batch_size} streams (batch_size) with a window of {shortest} need at "
            f"least {batch_size * (shortest + 1)} tokens, got {num_tokens}; take a longer text or "
            f"fewer streams"
        )
    return (targets + num_steps - 1) // num_steps if keep_last else targets // num_steps
