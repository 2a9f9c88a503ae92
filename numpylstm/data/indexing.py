"""Number the tokens of texts, piece by piece: with little memory, and with progress."""

import itertools
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from numpylstm.data.text import tokenize

Watch = Callable[[int, int], object]
"""Called now and then as ``watch(done, total)``."""

PIECE = 1 << 20  # characters, some tenths of a second
_SPACE = re.compile(r"\s")


class Indexed(NamedTuple):
    """Texts as numbers of their distinct tokens, in the order of first appearance."""

    tokens: list[str]
    """The token of each number."""
    numbers: list[NDArray[np.int32]]
    """Of each text, (N,)."""


def index(texts: Sequence[str], level: str, watch: Watch | None = None) -> Indexed:
    """Cut texts into tokens, and number them.

    Parameters
    ----------
    texts : sequence of str
    level : {"word", "char"}
        See `numpylstm.data.text.tokenize`.
    watch : callable, optional
        Called after each piece with the number of characters done and their total.
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
    return Indexed(list(number), numbers)


def pieces(text: str) -> Iterator[str]:
    """Cut a text after white space, so that no word is cut."""
    start = 0
    while start < len(text):
        space = _SPACE.search(text, start + PIECE)
        end = space.end() if space else len(text)
        yield text[start:end]
        start = end
