"""Levels of tokens: words, characters. A record for each, with everything that depends on it.

A new level is one more record; no other module compares the names of levels. The interactive page
reads tokens in JavaScript, so it has records of its own (`LEVELS` in ``explore/tokens.js``).

Only the standard library is imported: ``--help`` reads the records too.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

EOS = "<eos>"
"""The token for a line end, at word level."""

_CLOSING = frozenset(".,;:!?)]}")
_OPENING = frozenset("([{")


@dataclass(frozen=True)
class Level:
    """A kind of token."""

    name: str  # as in the settings
    unit: str  # a token in messages and help texts; "s" makes it plural
    cut: Callable[[str], list[str]]  # a text, whose lines end with "\n", into tokens
    join: Callable[[Iterable[str], str], Iterator[str]]  # tokens into text, after some text
    separator: str  # between tokens that are printed side by side
    first_prompt: str  # the token after which a sample begins without a prompt
    sample_length: int  # tokens of the sample at the end of a run
    logged_length: int  # tokens of a sample in the log of a run
    preset: str  # the settings of a run that names none
    splits_punctuation: bool  # True if a text may need `split_punctuation` before it is cut
    bits_per_unit: bool  # True if perplexities are given in bits too


def _words(text: str) -> list[str]:
    return text.replace("\n", f" {EOS} ").split()


def _written_words(tokens: Iterable[str], after: str) -> Iterator[str]:
    """Yield words with their spaces; no space before closing punctuation, or after an opening."""
    left = "\n" if after[-1:].isspace() or not after else after[-1]
    for token in tokens:
        if not isinstance(token, str):
            got = type(token).__name__
            raise TypeError(
                f"detokenize: tokens must be strings, got {got}; Vocabulary.decode makes them"
            )
        if not token:
            continue
        right = "\n" if token == EOS else token
        # Equal marks side by side ("." and "...") would look like one longer run.
        glued = (_CLOSING.issuperset(right) or left in _OPENING) and left[-1] != right[0]
        if glued or "\n" in (left, right):
            yield right
        else:
            yield f" {right}"
        left = right


def _written_characters(tokens: Iterable[str], after: str) -> Iterator[str]:
    yield from tokens


WORD = Level(
    name="word",
    unit="word",
    cut=_words,
    join=_written_words,
    separator=" ",
    first_prompt=EOS,
    sample_length=100,
    logged_length=40,
    preset="demo",
    splits_punctuation=True,
    bits_per_unit=False,
)
CHAR = Level(
    name="char",
    unit="character",
    cut=list,
    join=_written_characters,
    separator="",
    first_prompt="\n",
    sample_length=400,
    logged_length=160,
    preset="char",
    splits_punctuation=False,
    bits_per_unit=True,
)

LEVELS = {level.name: level for level in (WORD, CHAR)}
"""The levels by name."""
