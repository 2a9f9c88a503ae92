"""Files in, text and tokens out.

Texts come from UTF-8 files (`read_text`), from Penn Treebank's folder or archive (`read_ptb`), or
from Python's own language reference (`read_embedded`); `tokenize` cuts them. A file that cannot be
used raises `DataError`, one sentence that names it. Token ids are the subject of `numpylstm.data`.
"""

from __future__ import annotations

import gzip
import io
import os
import pathlib
import re
import sys
import tarfile
import unicodedata
import zlib
from collections.abc import Iterable, Iterator, Sequence

from numpylstm.checks import check_choice
from numpylstm.errors import NumpylstmError
from numpylstm.levels import EOS, LEVELS

AnyPath = str | os.PathLike[str]

STANDARD_INPUT = "-"
"""The name of a text that is read from standard input."""

UNK = "<unk>"
"""The token for every token that the vocabulary lacks."""

SPLITS = ("train", "valid", "test")
"""The three parts of a corpus, in order."""

HELD_OUT = 20
"""Of 20 tokens, or blocks, one goes to validation and one to test: 90/5/5."""

_BLOCK = 2_000  # characters of the embedded text that go to one split together

# Combining characters, such as accents, vowel signs and variation selectors; \w has none of them.
_MARKS = "".join(
    character
    for character in map(chr, (*range(0x300, 0x1F000), *range(0xE0100, 0xE01F0)))
    if unicodedata.category(character)[0] == "M"
)
_JOINERS = "\u200c\u200d"  # inside words of Persian and Hindi, and between joined emoji
_SYMBOL = rf"[^\w\s()\[\]{{}}{_JOINERS}]"

# A word (letters, digits, "_"; an English ending such as 's stays on it), a number, an emoji with
# its variation, skin tone and joined others, a flag, a run of one punctuation mark (**, ..., ====),
# a bracket.
_PUNCTUATED = re.compile(
    rf"{UNK}|{EOS}"
    rf"|[^\W\d][\w{_MARKS}{_JOINERS}]*(?:['’](?:d|ll|m|re|s|t|ve)\b)?"
    rf"|\d[\w{_MARKS}]*(?:\.\d\w*)*"
    rf"|{_SYMBOL}(?:[{_MARKS}\U0001f3fb-\U0001f3ff]|\u200d{_SYMBOL})+"
    r"|[\U0001f1e6-\U0001f1ff]{2}"
    r"|([^\w\s()\[\]{}])\1*"
    r"|[()\[\]{}]"
)
_LONGEST_RUN = 3  # longer ones are rulers (****, ----); their length is no word of a language


class DataError(NumpylstmError, ValueError):
    """A file or a text that cannot be used; the message is one sentence that names it."""


# --- Text and tokens ---------------------------------------------------------------------------


def decode_text(raw: bytes, name: str) -> str:
    r"""Decode the bytes of a whole text file; `name` is for the message of an error.

    A UTF-8 byte order mark is dropped, and every line end (``\r\n``, ``\r``) becomes ``\n``.

    Raises
    ------
    DataError
        If the bytes hold a NUL (a binary file) or are not UTF-8.
    """
    nul = raw.find(b"\0")
    if nul >= 0:
        raise DataError(
            f"{name}: must be UTF-8 text, got a NUL at byte {nul}; this is a binary file or UTF-16"
        )
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{name}: must be UTF-8 text, got byte 0x{raw[error.start]:02x} at byte "
            f"{error.start} ({error.reason}); convert the file to UTF-8 first"
        ) from None
    return with_line_ends(text.removeprefix("\ufeff"))


def with_line_ends(text: str) -> str:
    r"""Return a text in which every line ends with ``\n``, not with ``\r\n`` or ``\r``."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_text(path: AnyPath) -> str:
    """Read a UTF-8 text file, plain or gzipped, or standard input (``"-"``); see `decode_text`.

    Raises
    ------
    DataError
        If the file cannot be read or is not UTF-8 text.
    """
    if path != STANDARD_INPUT:
        return decode_text(_read_bytes(path), str(path))
    if sys.stdin is None or sys.stdin.isatty():
        raise DataError(
            "-: standard input must be a text, got a terminal; send the text in, as in "
            "cat my.txt | COMMAND"
        )
    return decode_text(sys.stdin.buffer.read(), "standard input")


def _read_bytes(path: AnyPath) -> bytes:
    """Read a file; unpack it if it is gzipped."""
    try:
        raw = pathlib.Path(path).read_bytes()
        return gzip.decompress(raw) if raw.startswith(b"\x1f\x8b") else raw
    except (OSError, ValueError, EOFError, zlib.error) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise DataError(
            f"{path}: must be a readable file, got '{reason}'; is the name right, and the file "
            "whole?"
        ) from None


def read_texts(paths: Sequence[AnyPath]) -> list[str]:
    """Read several texts: files, the files of folders, or standard input.

    In a folder, the ``.txt`` and ``.txt.gz`` files are read in the order of their names; ``-``
    is standard input. A text without a line end at its end gets one if another follows.

    Raises
    ------
    DataError
        As `read_text`; also if a folder holds no such files.
    """
    texts = [read_text(path) for path in _files_of(paths)]
    for k, text in enumerate(texts[:-1]):
        if text and not text.endswith("\n"):
            texts[k] = f"{text}\n"
    return texts


def named(paths: Sequence[AnyPath]) -> str:
    """Return the names of texts for a message; if more than three, only the first."""
    if len(paths) > 3:
        return f"{paths[0]} and {len(paths) - 1} more"
    return ", ".join(map(str, paths))


def _files_of(paths: Sequence[AnyPath]) -> Iterator[AnyPath]:
    if not paths:
        raise DataError("no file is named; does the pattern match any?")
    for path in paths:
        if not os.path.isdir(path):
            yield path
            continue
        files = sorted(
            os.path.join(path, name)
            for name in os.listdir(path)
            if name.endswith((".txt", ".txt.gz")) and not name.startswith(".")
        )
        if not files:
            raise DataError(
                f"{path}: must be a readable file, got a folder without .txt or .txt.gz files; is "
                "the name right?"
            )
        yield from files


def split_punctuation(text: str) -> str:
    r"""Put spaces between words, numbers and punctuation, as word level needs it.

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
    level : str
        A name in `numpylstm.levels.LEVELS`. "word": words between white space, and `EOS` for each
        line end. Penn Treebank comes in this form; `split_punctuation` converts other text.
        "char": every character, the line end included.
    """
    check_choice("tokenize", "level", level, LEVELS)
    return LEVELS[level].cut(text)


def detokenize(tokens: Iterable[str], level: str = "word", after: str = "") -> str:
    """Write tokens as readable text.

    At word level `EOS` becomes a line end, and no space is left before closing punctuation or
    after an opening bracket, so ``tokenize(split_punctuation(...))`` finds the same tokens again.
    `level` is that of `tokenize`. `after` is the text before the tokens: it decides whether a space
    comes first.
    """
    return "".join(written(tokens, level, after))


def written(tokens: Iterable[str], level: str = "word", after: str = "") -> Iterator[str]:
    """Yield the text of each token, with its space, as `detokenize` writes them."""
    check_choice("detokenize", "level", level, LEVELS)
    return LEVELS[level].join(tokens, after)


# --- Python's own language reference -----------------------------------------------------------


def read_embedded() -> dict[str, str]:
    """Return the text of each split of Python's own language reference (``pydoc_data.topics``).

    The topics, in alphabetical order, are cut at blank lines. They quote each other at length, so
    a paragraph is kept only where it first appears, whatever its line breaks and indentation: no
    paragraph of the test text is in the training text. Whole paragraphs then form blocks of about
    2,000 characters; of every 20 blocks the 10th goes to the validation text and the 20th to the
    test text. So each split samples the whole book (whole topics would not do: three of the 79
    hold a third of the text), and the result depends on the version of Python alone.

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
            "this Python was stripped of it, so name a text of your own"
        ) from None
    paragraphs: dict[str, str] = {}  # by their words
    for topic in sorted(topics):
        for paragraph in re.split(r"\n\s*\n", topics[topic]):
            paragraphs.setdefault(" ".join(paragraph.split()), paragraph.strip("\n"))
    paragraphs.pop("", None)
    blocks = [""]
    for paragraph in paragraphs.values():
        blocks[-1] += f"{paragraph}\n\n"
        if len(blocks[-1]) >= _BLOCK:
            blocks.append("")
    texts = dict.fromkeys(SPLITS, "")
    for i, block in enumerate(blocks):
        split = {HELD_OUT // 2 - 1: "valid", HELD_OUT - 1: "test"}.get(i % HELD_OUT, "train")
        texts[split] += block
    return texts


# --- Penn Treebank's folder and archive --------------------------------------------------------

_PTB = {split: f"ptb.{split}.txt" for split in SPLITS}


def read_ptb(path: AnyPath) -> dict[str, str]:
    """Return the text of each split of Penn Treebank as Mikolov prepared it.

    Parameters
    ----------
    path : path
        A folder that holds ``ptb.train.txt``, ``ptb.valid.txt`` and ``ptb.test.txt``, or that
        holds ``simple-examples/data`` or ``data`` with them; or the archive
        ``simple-examples.tgz``, which is read in place: nothing is unpacked to the disk.

    Raises
    ------
    DataError
        If a file is missing, unreadable, damaged, or not text.
    """
    root = pathlib.Path(path)
    if not root.is_dir():
        return _read_archive(root)
    names = list(_PTB.values())
    for folder in (root, root / "simple-examples" / "data", root / "data"):
        if all((folder / name).exists() for name in names):
            return {split: read_text(folder / name) for split, name in _PTB.items()}
    raise DataError(
        f"{root}: must hold {', '.join(names)} (or simple-examples/data with them), got a folder "
        "that lacks one of them; is it the folder of another data set?"
    )


def _read_archive(path: pathlib.Path) -> dict[str, str]:
    """Read the three texts out of ``simple-examples.tgz``, in memory."""
    found: dict[str, bytes] = {}
    raw = _read_bytes(path)
    try:
        with tarfile.open(fileobj=io.BytesIO(raw), mode="r:") as archive:
            for member in archive:
                file = pathlib.PurePosixPath(member.name)
                if file.parent.name == "data" and (content := archive.extractfile(member)):
                    found[file.name] = content.read()
    except Exception as error:  # tarfile raises whatever the bytes lead to
        raise DataError(
            f"{path}: must be a folder of Penn Treebank or the archive simple-examples.tgz, got a "
            f"file that is no such archive ({error}); any other text is named as a training text"
        ) from None
    missing = [f"data/{name}" for name in _PTB.values() if name not in found]
    if missing:
        raise DataError(
            f"{path}: must hold data/ptb.train.txt, data/ptb.valid.txt and data/ptb.test.txt, got "
            f"no {', '.join(missing)}; is it another archive?"
        )
    return {
        split: decode_text(found[name], f"{path} (data/{name})") for split, name in _PTB.items()
    }
