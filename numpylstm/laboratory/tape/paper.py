"""Arithmetic as on paper: lists of decimals, one number after the other."""

from decimal import Decimal

Vector = list[Decimal]
Matrix = list[Vector]


def sigmoid(a: Decimal) -> Decimal:
    """1 / (1 + exp(-a))."""
    return 1 / (1 + (-a).exp())


def tanh(a: Decimal) -> Decimal:
    """(exp(2a) - 1) / (exp(2a) + 1)."""
    e = (2 * a).exp()
    return (e - 1) / (e + 1)


def times(row: Vector, W: Matrix) -> Vector:
    """``row @ W``: one sum for each column."""
    return [sum((r * w for r, w in zip(row, column, strict=True)), Decimal(0))
            for column in zip(*W, strict=True)]  # fmt: skip


def times_transposed(row: Vector, W: Matrix) -> Vector:
    """``row @ W.T``: one sum for each row of W."""
    return [sum((r * w for r, w in zip(row, line, strict=True)), Decimal(0)) for line in W]


def add(*rows: Vector) -> Vector:
    """The sum of rows, entry by entry."""
    return [sum(column, Decimal(0)) for column in zip(*rows, strict=True)]


def add_outer(total: Matrix, left: Vector, right: Vector) -> None:
    """``total += outer(left, right)``."""
    for line, value in zip(total, left, strict=True):
        for k, other in enumerate(right):
            line[k] += value * other
