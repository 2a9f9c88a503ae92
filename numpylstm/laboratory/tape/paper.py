"""Arithmetic as on paper: rows and matrices of decimals, with the operators of the equations."""

import operator
from collections.abc import Callable
from decimal import Decimal
from itertools import repeat
from typing import Any


def _entrywise(act: Callable[[Any, Any], Any]) -> Callable[["Row", Any], "Row"]:
    """Operator that acts entry by entry; a single number is repeated."""
    return lambda row, other: Row(map(act, row, other if isinstance(other, Row) else repeat(other)))


class Row(tuple[Decimal, ...]):
    """A row of numbers."""

    __add__ = _entrywise(operator.add)
    __sub__ = _entrywise(operator.sub)
    __rsub__ = _entrywise(lambda a, b: b - a)
    __mul__ = _entrywise(operator.mul)
    __truediv__ = _entrywise(operator.truediv)
    __pow__ = _entrywise(operator.pow)

    def __matmul__(self, W: "Matrix") -> "Row":
        return Row(sum(self * column, Decimal(0)) for column in W.T)


class Matrix(tuple[Row, ...]):
    """Rows, one above the other."""

    @property
    def T(self) -> "Matrix":
        """The transpose."""
        return Matrix(map(Row, zip(*self, strict=True)))

    def __add__(self, other: "Matrix") -> "Matrix":  # type: ignore[override]
        return Matrix(map(operator.add, self, other))


def outer(left: Row, right: Row) -> Matrix:
    """Outer product: every product of two entries."""
    return Matrix(right * value for value in left)


def join(*rows: Row) -> Row:
    """Join rows end to end."""
    return Row(value for row in rows for value in row)


def sigmoid(a: Row) -> Row:
    """Return 1 / (1 + exp(-a))."""
    return Row(1 / (1 + (-value).exp()) for value in a)


def exp(a: Row) -> Row:
    """Return powers of e."""
    return Row(value.exp() for value in a)


def log(a: Row) -> Row:
    """Return natural logarithms."""
    return Row(value.ln() for value in a)


def maximum(left: Row, right: Row) -> Row:
    """Return the larger of two entries."""
    return Row(map(max, left, right))


def tanh(a: Row) -> Row:
    """Return (exp(2a) - 1) / (exp(2a) + 1)."""
    return Row(((2 * value).exp() - 1) / ((2 * value).exp() + 1) for value in a)
