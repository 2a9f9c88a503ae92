"""The shapes in which somebody may want a network: far apart, and each for its own reason.

A shape that is slow in a library is often one that its authors did not try. So the rows here go
from 8 to 1024 units, from 1 to 256 sequences, from 1 to 512 steps and from 10 to 30,000 words.
"""

from dataclasses import dataclass

from numpylstm.benchmark.configurations import Configuration


@dataclass(frozen=True)
class Row:
    """One line of the grid: what is done, and with which network."""

    task: str
    configuration: Configuration


def rows(task: str, *shapes: tuple[int, int, int, int, int], **others: str) -> tuple[Row, ...]:
    """A row for each (V, H, L, T, B)."""
    return tuple(Row(task, Configuration("", *shape, **others)) for shape in shapes)  # type: ignore[arg-type]


GRID = {
    # from a toy to a network whose matrices no cache holds
    "hidden": rows(
        "train", (1000, 8, 1, 32, 32), (1000, 32, 2, 32, 32), (1000, 64, 2, 32, 32),
        (1000, 128, 2, 32, 32), (1000, 256, 2, 32, 32), (1000, 512, 2, 32, 32),
        (1000, 1024, 2, 32, 32),
    ),
    # few rows in a product, and many
    "batch": rows(
        "train", (1000, 200, 2, 20, 1), (1000, 200, 2, 20, 2), (1000, 200, 2, 20, 8),
        (1000, 200, 2, 20, 64), (1000, 200, 2, 20, 256), (10_000, 650, 2, 35, 1),
    ),
    # a single step, and sequences in which a fixed cost of each step shows
    "time": rows(
        "train", (1000, 256, 2, 1, 32), (1000, 256, 2, 4, 32), (1000, 256, 2, 128, 32),
        (100, 64, 1, 512, 4), (100, 256, 1, 512, 1), (10, 1024, 1, 512, 4),
    ),
    # hardly any decoder, and hardly anything else
    "vocabulary": rows(
        "train", (10, 128, 2, 32, 32), (100, 256, 2, 32, 32), (10_000, 100, 1, 20, 20),
        (30_000, 128, 1, 20, 20), (30_000, 512, 2, 20, 20),
    ),
    "corners": rows(
        "train", (10, 8, 1, 1, 1), (10, 8, 1, 512, 256), (10, 1024, 1, 1, 256),
        (30_000, 8, 1, 20, 20), (30_000, 1024, 1, 1, 1),
    ),
    "float64": rows(
        "train", (20, 16, 1, 100, 1), (65, 128, 2, 50, 32), (10_000, 200, 2, 20, 20),
        (1000, 512, 2, 32, 32), dtype="float64",
    ),
    "rnn": rows(
        "train", (20, 16, 1, 100, 1), (65, 128, 2, 50, 32), (1000, 256, 2, 32, 32),
        (1000, 512, 2, 32, 8), (1000, 1024, 2, 32, 32), (100, 64, 1, 512, 4), cell="rnn",
    ),
    "gru": rows("train", (20, 16, 1, 100, 1), (65, 128, 2, 50, 32), (1000, 512, 2, 32, 32),
                cell="gru"),
    "forward": rows(
        "evaluate", (20, 16, 1, 100, 1), (65, 128, 2, 50, 32), (10_000, 200, 2, 20, 20),
        (1000, 512, 2, 8, 256), (1000, 1024, 1, 32, 1), (30_000, 256, 1, 35, 20),
    ),
}  # fmt: skip
