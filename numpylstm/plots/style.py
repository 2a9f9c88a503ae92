"""What all pictures share: colours, names as they are written, ticks, the numbers drawn at all."""

from collections.abc import Sized

import numpy as np

# Okabe and Ito (2008): distinguishable with every common kind of colour vision, and in print.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#666666"
PINK, SKY, YELLOW = "#CC79A7", "#56B4E9", "#E69F00"
SERIES = (BLUE, ORANGE, GREEN, PINK, SKY, YELLOW)
"""The order in which lines of one picture take their colours."""

DRAWN = 1e-100, 1e100
"""Lowest and highest number that is drawn; near the ends of the floats, matplotlib overflows."""


def check_some(where: str, name: str, values: Sized) -> None:
    """Refuse to draw nothing."""
    if not len(values):
        raise ValueError(f"{where}: {name} must hold at least one entry to draw, got none")


def as_label(name: object) -> str:
    """A name as matplotlib shows it: a dollar begins no formula, a first "_" does not hide it."""
    text = str(name).replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text


def point(count: int) -> str:
    """The marker of a line with this many points: a line of one point has no length."""
    return "o" if count == 1 else ""


def log_ticks(low: float, high: float) -> list[float]:
    """Some twenty round numbers at most for a logarithmic axis: 1, 2, 5, 10, ... or 1, 10, ..."""
    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    digits = (1, 2, 5) if len(powers) <= 6 else (1,)
    thinned = powers[:: -(-len(powers) // 12)]
    ticks = [float(f"{digit}e{power}") for power in thinned for digit in digits]
    return [tick for tick in ticks if low <= tick <= high]
