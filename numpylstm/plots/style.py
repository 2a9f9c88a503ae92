"""Style of all pictures: colours, axes, labels, ticks and the range of numbers that is drawn."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from numpylstm.checks import Array

# Okabe and Ito (2008): distinguishable with every common kind of colour vision, and in print.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#666666"
PINK, SKY, YELLOW = "#CC79A7", "#56B4E9", "#E69F00"
SERIES = (BLUE, ORANGE, GREEN, PINK, SKY, YELLOW)
"""Colours of the lines of a picture, in order."""
GATES = {"i": BLUE, "f": ORANGE, "g": GREEN, "o": PINK}
"""Colours of the gates of an LSTM."""
DASHES = ("-", "--", "-.", ":")

DRAWN = 1e-100, 1e100
"""Lowest and highest number that is drawn; near the ends of the floats, matplotlib overflows."""


def new_figure(width: float, height: float, layout: Any = "constrained") -> Figure:
    """Return an empty figure of this size, in inches."""
    return Figure(figsize=(width, height), layout=layout, dpi=120)


def one_panel(width: float, height: float) -> tuple[Figure, Axes]:
    """Return a figure with one pair of axes."""
    figure = new_figure(width, height)
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def line_style(k: int) -> dict[str, Any]:
    """Return colour and dashes of line k; twelve lines differ."""
    return {"color": SERIES[k % len(SERIES)], "ls": DASHES[k % len(DASHES)]}


def draw_line(axes: Axes, x: Array, y: Array, k: int, label: str) -> None:
    """Draw line k of a panel."""
    axes.plot(x, y, **line_style(k), lw=1.6, marker=point(len(x)), label=label)


def draw_level(
    axes: Axes, level: float, text: str, *, right: bool = False, below: bool = False
) -> None:
    """Draw a dashed horizontal line, with a text at its left or right end, above or below it."""
    axes.axhline(level, color=GREY, lw=1, ls="--")
    axes.annotate(
        text,
        (int(right), level),
        xycoords=("axes fraction", "data"),
        xytext=(-4 if right else 4, -3 if below else 3),
        textcoords="offset points",
        ha="right" if right else "left",
        va="top" if below else "bottom",
        color=GREY,
    )


def whole_ticks(axis: Axis, most: int | None = None) -> None:
    """Put the ticks of an axis on whole numbers."""
    axis.set_major_locator(MaxNLocator(most, integer=True))


def as_label(name: object) -> str:
    """Escape a label, so that a dollar starts no formula and an underscore does not hide it."""
    text = str(name).replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text


def point(count: int) -> str:
    """Return the marker of a line with this many points: a line of one point has no length."""
    return "o" if count == 1 else ""
