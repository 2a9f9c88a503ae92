"""Text in, token ids out: vocabularies, corpora and time-major batches.

The way of a text through this file::

    file --read_text--> str --tokenize--> tokens --Vocabulary.encode--> ids (N,) int32
                                                                           |
                                                x, y (T, B) <---batches----+

Three loaders go all the way and return a `Corpus`: `load_ptb` (Penn Treebank), `load_text` (any
UTF-8 text) and `load_embedded` (the language reference inside every Python). A file that cannot
be used raises `DataError`, one sentence that names it.
"""

from __future__ import annotations

import gzip
import io
import operator
import os
import platform
import re
import tarfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "EOS",
    "LEVELS",
    "SPLITS",
    "UNK",
    "Corpus",
    "DataError",
    "Vocabulary",
    "batches",
    "check_ids",
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

EOS = "<eos>"
"""The token for a line end, at word level."""

UNK = "<unk>"
"""The token for every token that the vocabulary lacks."""

LEVELS = ("word", "char")
"""What a token can be; see `tokenize`."""

SPLITS = ("train", "valid", "test")
"""The three parts of a corpus, in order."""

_HELD_OUT = 20  # of 20 tokens, or blocks, one goes to validation and one to test: 90/5/5
_MIN_TOKENS = 2  # one to predict from and one to predict
_BLOCK = 2_000  # characters of the embedded text that go to one split together

_MEBIBYTE = 1 << 20
_MAX_MEMBER = 64 * _MEBIBYTE  # ptb.train.txt has 5 MiB
_MAX_UNPACKED = 512 * _MEBIBYTE
_MAX_HEADER = 32 << 10  # between two members of an archive; a sane header has 0.5 to 2 KiB
_MAX_MEMBERS = 10_000

# A word (letters, digits, "_"; an English ending such as 's stays on it), a number, a run of one
# punctuation mark (**, ..., ====), a bracket.
_PUNCTUATED = re.compile(
    rf"{UNK}|{EOS}"
    r"|[^\W\d]\w*(?:['’](?:d|ll|m|re|s|t|ve)\b)?"
    r"|\d\w*(?:\.\d\w*)*"
    r"|([^\w\s()\[\]{}])\1*"
    r"|[()\[\]{}]"
)
_LONGEST_RUN = 3  # longer ones are rulers (****, ----); their length is no word of a language
_CLOSING = frozenset(".,;:!?)]}")
_OPENING = frozenset("([{")


class DataError(ValueError):
    """A file or a text that cannot be used; the message is one sentence that names it."""


# --- Text and tokens ---------------------------------------------------------------------------


def decode_text(raw: bytes, name: str) -> str:
    r"""Decode the bytes of a text file.

    A UTF-8 byte order mark is dropped, and every line end (``\r\n``, ``\r``) becomes ``\n``.

    Parameters
    ----------
    raw : bytes
        The whole file.
    name : str
        The name of the file, for the message of the error.

    Raises
    ------
    DataError
        If the bytes hold a NUL (a binary file) or are not UTF-8.
    """
    nul = raw.find(b"\0")
    if nul >= 0:
        raise DataError(
            f"{name}: expected UTF-8 text, got a NUL byte at byte {nul}; "
            f"this is a binary file or UTF-16"
        )
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{name}: expected UTF-8 text, got byte 0x{raw[error.start]:02x} at byte "
            f"{error.start} ({error.reason}); convert the file to UTF-8 first"
        ) from None
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def read_text(path: str | os.PathLike[str]) -> str:
    """Read a UTF-8 text file; see `decode_text`.

    Raises
    ------
    DataError
        If the file cannot be read or is not UTF-8 text.
    """
    try:
        raw = Path(path).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise _unreadable(path, error) from None
    return decode_text(raw, str(path))


def split_punctuation(text: str) -> str:
    r"""Set spaces around words, numbers and punctuation: prose becomes fit for word level.

    A run of one punctuation mark (``**``, ``...``) is kept together and cut to three marks;
    brackets stand alone. Case and line ends stay, indentation goes.

    Examples
    --------
    >>> split_punctuation("It's a list, f([1.5])\n----------\n")
    "It's a list , f ( [ 1.5 ] )\n---\n"
    """
    return "\n".join(
        " ".join(
            match[0] if match[1] is None else match[0][:_LONGEST_RUN]
            for match in _PUNCTUATED.finditer(line)
        )
        for line in text.split("\n")
    )


def tokenize(text: str, level: str = "word") -> list[str]:
    r"""Cut a text into tokens.

    Parameters
    ----------
    text : str
        Lines end with ``\n``.
    level : {"word", "char"}
        ``word``: what white space separates, and `EOS` for each line end. Penn Treebank comes
        in this form; `split_punctuation` brings other text into it.
        ``char``: every character, the line end included.

    Returns
    -------
    list of str
    """
    _check_level("tokenize", level)
    return list(text) if level == "char" else text.replace("\n", f" {EOS} ").split()


def detokenize(tokens: Iterable[str], level: str = "word") -> str:
    """Write tokens as readable text.

    At word level `EOS` becomes a line end, and no space is left before closing punctuation or
    after an opening bracket, so ``tokenize(split_punctuation(...))`` finds the same tokens again.

    Parameters
    ----------
    tokens : iterable of str
    level : {"word", "char"}
        The level at which the tokens were cut.
    """
    _check_level("detokenize", level)
    if level == "char":
        return "".join(tokens)
    pieces: list[str] = []
    left = "\n"
    for token in tokens:
        right = "\n" if token == EOS else token
        # Equal marks side by side ("." and "...") would look like one longer run.
        glued = (right[0] in _CLOSING or left in _OPENING) and left[-1] != right[0]
        if not (glued or "\n" in (left, right)):
            pieces.append(" ")
        pieces.append(right)
        left = right
    return "".join(pieces)


def _check_level(where: str, level: str) -> None:
    if level not in LEVELS:
        raise ValueError(f"{where}: level must be one of {', '.join(LEVELS)}, got {level!r}")


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
        counts = Counter(tokens)
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
        return cls(tuple(sorted(counts, key=lambda token: (-counts[token], token))))

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
        TypeError, ValueError
            As `check_ids`.
        """
        checked = check_ids("Vocabulary.decode", "ids", ids, len(self))
        return [self.tokens[i] for i in checked.ravel().tolist()]

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


def check_ids(where: str, name: str, ids: ArrayLike, size: int) -> NDArray[Any]:
    """Check token ids, before they reach code that checks nothing.

    Parameters
    ----------
    where, name : str
        The function and its argument, for the message of the error.
    ids : array_like of int
        Any shape and any integer dtype; read-only and strided arrays are fine.
    size : int
        The size of the vocabulary: ``0 <= id < size``.

    Returns
    -------
    ndarray
        `ids` as an array; not a copy if it was one.

    Raises
    ------
    TypeError
        If the dtype is not an integer one.
    ValueError
        If an id is out of range; the message names the first one and its index.
    """
    array = np.asarray(ids)
    if array.dtype.kind not in "iu":
        raise TypeError(
            f"{where}: {name} must have an integer dtype, got {array.dtype}; "
            f"token ids come from Vocabulary.encode"
        )
    if array.size and (array.min() < 0 or array.max() >= size):
        first = np.argwhere((array < 0) | (array >= size))[0]
        index = tuple(first.tolist())
        place = index[0] if len(index) == 1 else index
        raise ValueError(
            f"{where}: {name} must hold token ids from 0 to {size - 1}, got {array[index]} at "
            f"index {place}; was the text encoded with another vocabulary?"
        )
    return array


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
        Made of the training split alone.
    train, valid, test : (N,) int32 array
        The splits; each holds at least two tokens.
    oov : mapping of str to int
        For each split, how many of its tokens the vocabulary lacks; in the ids they are `UNK`.
        The training split has some if its vocabulary was cut to a largest size.
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
    path: str | os.PathLike[str], *, max_vocab: int | None = None, level: str = "word"
) -> Corpus:
    """Load Penn Treebank as Mikolov prepared it.

    Parameters
    ----------
    path : path
        The folder or the archive; see `read_ptb`.
    max_vocab : int, optional
        The largest vocabulary; see `Vocabulary.build`.
    level : {"word", "char"}
        See `tokenize`.

    Returns
    -------
    Corpus
        929,589 / 73,760 / 82,430 words, 10,000 of them distinct.

    Raises
    ------
    DataError
        If a file is missing, unreadable, damaged, or not text.
    """
    _check_level("load_ptb", level)
    parts = {split: tokenize(text, level) for split, text in read_ptb(path).items()}
    return _corpus(f"Penn Treebank ({path})", level, parts, max_vocab)


def load_text(
    train: str | os.PathLike[str],
    valid: str | os.PathLike[str] | None = None,
    test: str | os.PathLike[str] | None = None,
    *,
    level: str = "word",
    max_vocab: int | None = None,
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
        The largest vocabulary; see `Vocabulary.build`.

    Returns
    -------
    Corpus

    Raises
    ------
    DataError
        If a file is missing, unreadable, too short, or not UTF-8 text.
    """
    _check_level("load_text", level)
    files = {"valid": valid, "test": test}
    parts = {"train": tokenize(read_text(train), level)}
    tokens = parts["train"]
    to_cut = [split for split, file in files.items() if file is None]
    share = len(tokens) // _HELD_OUT
    if to_cut and share < _MIN_TOKENS:
        raise DataError(
            f"{train}: must hold at least {_MIN_TOKENS * _HELD_OUT} tokens, to cut the "
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
    return _corpus(source, level, parts, max_vocab)


def load_embedded(*, level: str = "word", max_vocab: int | None = None) -> Corpus:
    """Load the language reference that ships inside Python; see `read_embedded`.

    At word level its text goes through `split_punctuation`. Case is kept, because ``None`` and
    ``TypeError`` are names.

    Parameters
    ----------
    level : {"word", "char"}
        See `tokenize`.
    max_vocab : int, optional
        The largest vocabulary; see `Vocabulary.build`. Some hundred less than the 4,100 distinct
        training tokens lets the model see `UNK` in training.

    Returns
    -------
    Corpus

    Raises
    ------
    DataError
        If this Python lacks the reference.
    """
    _check_level("load_embedded", level)
    texts = read_embedded()
    if level == "word":
        texts = {split: split_punctuation(text) for split, text in texts.items()}
    parts = {split: tokenize(text, level) for split, text in texts.items()}
    return _corpus(
        f"Python {platform.python_version()} language reference", level, parts, max_vocab
    )


def read_embedded() -> dict[str, str]:
    """Read Python's own language reference (``pydoc_data.topics``), in three splits.

    The topics, in alphabetical order, are cut at blank lines. They quote each other at length, so
    a paragraph is kept only where it first appears, whatever its line breaks and indentation: no
    paragraph of the test text is in the training text. Whole paragraphs then form blocks of about
    2,000 characters; of every 20 blocks the 10th goes to the validation text and the 20th to the
    test text. So each split samples the whole book (whole topics would not do: three of the 79
    hold a third of the text), and the result depends on the version of Python alone.

    Returns
    -------
    dict of str to str
        The text of each split.

    Raises
    ------
    DataError
        If this Python lacks the reference.
    """
    try:
        from pydoc_data.topics import topics  # half a megabyte: only when it is needed
    except ImportError:
        raise DataError(
            "pydoc_data.topics: must hold Python's language reference, got no such module; "
            "this Python was stripped of it, so name a text of your own with --train FILE"
        ) from None
    texts = dict.fromkeys(SPLITS, "")
    for i, block in enumerate(_blocks(_paragraphs(topics))):
        split = {_HELD_OUT // 2 - 1: "valid", _HELD_OUT - 1: "test"}.get(i % _HELD_OUT, "train")
        texts[split] += block
    return texts


def _paragraphs(topics: Mapping[str, str]) -> Iterator[str]:
    seen = set()
    for topic in sorted(topics):
        for paragraph in re.split(r"\n\s*\n", topics[topic]):
            words = " ".join(paragraph.split())
            if words and words not in seen:
                seen.add(words)
                yield paragraph.strip("\n")


def _blocks(paragraphs: Iterable[str]) -> Iterator[str]:
    block = ""
    for paragraph in paragraphs:
        block += f"{paragraph}\n\n"
        if len(block) >= _BLOCK:
            yield block
            block = ""
    yield block


def _corpus(
    source: str, level: str, parts: Mapping[str, list[str]], max_vocab: int | None
) -> Corpus:
    for split in SPLITS:
        if len(parts[split]) < _MIN_TOKENS:
            raise DataError(
                f"{source}: the {split} split must hold at least {_MIN_TOKENS} tokens, got "
                f"{len(parts[split])} at {level} level; is the file empty?"
            )
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


def _integer(where: str, name: str, value: int) -> int:
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise TypeError(
            f"{where}: {name} must be an integer, got {value!r} ({type(value).__name__})"
        ) from None


# --- Penn Treebank's folder and archive --------------------------------------------------------


def read_ptb(path: str | os.PathLike[str]) -> dict[str, str]:
    """Read the three texts of Penn Treebank as Mikolov prepared it.

    Parameters
    ----------
    path : path
        A folder that holds ``ptb.train.txt``, ``ptb.valid.txt`` and ``ptb.test.txt``, or that
        holds ``simple-examples/data`` or ``data`` with them; or the archive
        ``simple-examples.tgz``, which is read in place: nothing is unpacked to the disk.

    Returns
    -------
    dict of str to str
        The text of each split.

    Raises
    ------
    DataError
        If a file is missing, unreadable, damaged, or not text.
    """
    root = Path(path)
    if not root.is_dir():
        return {
            split: decode_text(raw, f"{root} (data/{_ptb_file(split)})")
            for split, raw in _read_archive(root).items()
        }
    names = [_ptb_file(split) for split in SPLITS]
    for folder in (root, root / "simple-examples" / "data", root / "data"):
        missing = [name for name in names if not (folder / name).exists()]
        if not missing:
            return {split: read_text(folder / _ptb_file(split)) for split in SPLITS}
        if len(missing) < len(names):
            raise DataError(
                f"{folder}: must hold {', '.join(names)}, got no {', '.join(missing)}; "
                f"was the folder copied whole?"
            )
    raise DataError(
        f"{root}: must hold {', '.join(names)} (or simple-examples/data with them), got a folder "
        f"without them; is it the folder of another data set?"
    )


def _ptb_file(split: str) -> str:
    return f"ptb.{split}.txt"


def _unreadable(path: str | os.PathLike[str], error: Exception) -> DataError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return DataError(f"{path}: must be a readable file, got {reason!r}; is the name right?")


class _MeteredStream(io.RawIOBase):
    """Fails when more is read from it than was allowed, so that no archive is a bomb."""

    def __init__(self, stream: io.BufferedIOBase) -> None:
        self._stream = stream
        self._count = 0
        self.allow(_MAX_HEADER)

    def allow(self, size: int) -> None:
        self._limit = min(self._count + size, _MAX_UNPACKED)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(len(buffer))
        self._count += len(data)
        if self._count > self._limit:
            raise tarfile.ReadError("it unpacks to more bytes than its files need")
        buffer[: len(data)] = data
        return len(data)


def _read_archive(path: Path) -> dict[str, bytes]:
    """Read the three files out of ``simple-examples.tgz``, in one pass and in memory."""
    found: dict[str, bytes] = {}
    try:
        with gzip.open(path) as unpacked:
            stream = _MeteredStream(unpacked)
            with tarfile.open(fileobj=stream, mode="r|") as archive:
                for i, member in enumerate(archive):
                    if i >= _MAX_MEMBERS:
                        raise tarfile.ReadError(f"it holds more than {_MAX_MEMBERS:,} files")
                    is_file = member.isreg() and not member.issparse()
                    # What follows: the data of this member and the header of the next.
                    stream.allow((member.size if is_file else 0) + _MAX_HEADER)
                    for split in SPLITS:
                        if member.name.split("/")[-2:] != ["data", _ptb_file(split)]:
                            continue
                        if split in found:
                            raise tarfile.ReadError(f"it holds {member.name} twice")
                        data = archive.extractfile(member) if is_file else None
                        if data is None:
                            raise tarfile.ReadError(f"its {member.name} is not a regular file")
                        if member.size > _MAX_MEMBER:
                            raise tarfile.ReadError(
                                f"its {member.name} has {member.size:,} bytes, over {_MAX_MEMBER:,}"
                            )
                        found[split] = data.read()
            stream.allow(_MEBIBYTE)
            while stream.read(_MAX_HEADER):  # only padding, but gzip's checksum is at the end
                pass
    except (  # what gzip and tarfile raise on hostile bytes
        gzip.BadGzipFile,
        tarfile.TarError,
        zlib.error,
        EOFError,
        ValueError,
        LookupError,
        ArithmeticError,
        RecursionError,
    ) as error:
        raise DataError(
            f"{path}: must be a folder or the archive simple-examples.tgz, got a file that cannot "
            f"be read as one ({error}); is it damaged, or was the download cut?"
        ) from None
    except OSError as error:
        raise _unreadable(path, error) from None
    missing = [f"data/{_ptb_file(split)}" for split in SPLITS if split not in found]
    if missing:
        raise DataError(
            f"{path}: must hold data/ptb.train.txt, data/ptb.valid.txt and data/ptb.test.txt, got "
            f"no {', '.join(missing)}; is it another archive?"
        )
    return found


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
    array = np.asarray(ids)
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
    targets = _integer(where, "num_tokens", num_tokens) // batch_size - 1  # in each stream
    shortest = 1 if keep_last else num_steps
    if targets < shortest:
        raise ValueError(
            f"{where}: {batch_size} streams with a window of {shortest} need at least "
            f"{batch_size * (shortest + 1)} tokens, got {num_tokens}; take a longer text or fewer "
            f"streams"
        )
    return (targets + num_steps - 1) // num_steps if keep_last else targets // num_steps
