"""Vocabularies: tokens and their ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from reprlib import repr as shortened

import numpy as np
from numpy.typing import ArrayLike, NDArray

from numpylstm.checks import any_array, check_ids, check_whole
from numpylstm.data.text import UNK


@dataclass(frozen=True)
class Vocabulary:
    """An immutable list of distinct tokens; the id of a token is its place in the list.

    ``len(v)`` is its size, ``token in v`` tests membership, ``v[token]`` is the id of a token
    (KeyError if it is not there) and ``v.tokens[i]`` the token of an id. Two vocabularies are equal
    if their tokens are.

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

        Alphabetical means by code point. `UNK` is always included, with its count in the text (0
        if the text lacks it). If the distinct tokens, `UNK` included, are more than `max_size`,
        the first ``max_size - 1`` others stay; the rest counts as `UNK`, which takes the rank of
        that sum: the order is as in the text that the model will see.

        Parameters
        ----------
        tokens : iterable of str
            The training text.
        max_size : int, optional
            The largest size, at least 2; by default every token stays.
        """
        counts = Counter(tokens)
        counts.setdefault(UNK, 0)

        def rank(token: str) -> tuple[int, str]:
            return -counts[token], token

        if max_size is not None:
            because = f"since {UNK} and one more token have to fit"
            check_whole("Vocabulary.build", "max_size", max_size, 2, because=because)
            others = sorted(counts.keys() - {UNK}, key=rank)
            counts[UNK] += sum(counts.pop(token) for token in others[max_size - 1 :])
        return cls(tuple(sorted(counts, key=rank)))

    @property
    def unk_id(self) -> int:
        """Id of `UNK`."""
        return self._ids[UNK]

    def encode(self, tokens: Sequence[str]) -> tuple[NDArray[np.int32], int]:
        """Turn tokens into ids; a token that the vocabulary lacks becomes `UNK`.

        Returns
        -------
        ids : (N,) int32 array
        oov : int
            Number of tokens out of vocabulary. An `UNK` written in the text is not one.

        Raises
        ------
        TypeError
            If `tokens` is a text, which is cut by `tokenize`, or by ``list`` into characters.
        """
        if isinstance(tokens, str):
            raise TypeError(
                f"Vocabulary.encode: tokens must be a list of strings, got the text "
                f"{shortened(tokens)}; nl.data.tokenize(text) makes words of it, and list(text) "
                "characters"
            )
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
        return f"<Vocabulary of {len(self):,}: {shortened(self.tokens)}>"
