"""Choices that a secret draws, for exams, quizzes and the programs of a hunt."""

import hmac
from collections.abc import Callable, Iterable
from typing import Self, TypeVar

Option = TypeVar("Option")


class Choice:
    """Choices of one purpose, by the HMAC-SHA256 of the purpose and the options.

    Each depends on the secret, the purpose, a label and the options, and not on the choices before
    it. Without the secret, choices say nothing about one another.
    """

    def __init__(self, secret: str | bytes, *purpose: str) -> None:
        key = secret.encode() if isinstance(secret, str) else secret
        self.key = hmac.digest(key, "\n".join(purpose).encode(), "sha256")

    def within(self, purpose: str) -> Self:
        """Return the choices of a part of this purpose."""
        return type(self)(self.key, purpose)

    def order(self, label: str, options: Iterable[Option]) -> list[Option]:
        """Return the options, numbers or texts, in an order drawn for this label."""

        def rank(option: Option) -> bytes:
            return hmac.digest(self.key, f"{label}\n{option!r}".encode(), "sha256")

        return sorted(options, key=rank)

    def of(self, label: str, options: Iterable[Option]) -> Option:
        """Return one of the options."""
        return self.order(label, options)[0]

    def among(self, functions: Iterable[Callable[..., Option]]) -> Callable[..., Option]:
        """Return one of the functions, drawn by their names."""
        by_name = {function.__name__: function for function in functions}
        return by_name[self.of("function", by_name)]
