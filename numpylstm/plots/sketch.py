"""Boxes, circles and arrows, and the look of the pictures of a notebook."""

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

from numpylstm.plots.style import BLUE, GREY, ORANGE

Point = tuple[float, float]


def notebook_style() -> None:
    """Set the look of all pictures of a notebook: no frame on the right, none around a legend."""
    matplotlib.rc("figure", dpi=90)
    matplotlib.rc("font", size=11)
    matplotlib.rc("axes.spines", top=False, right=False)
    matplotlib.rc("legend", frameon=False)


def canvas(axes: Axes, xlim: Point, ylim: Point) -> None:
    """Make axes a sheet to draw on: no frame, no ticks, one unit equally long both ways."""
    axes.set(xlim=xlim, ylim=ylim, aspect="equal")
    axes.axis("off")


def box(
    axes: Axes,
    x: float,
    y: float,
    text: str,
    colour: str = BLUE,
    width: float = 0.72,
    height: float = 0.5,
) -> None:
    """Draw a rounded box around a text; (x, y) is its centre."""
    corner = x - width / 2, y - height / 2
    rounded = "round,pad=0.02,rounding_size=0.1"
    axes.add_patch(FancyBboxPatch(corner, width, height, rounded, fc="white", ec=colour, lw=2))
    axes.text(x, y, text, ha="center", va="center")


def node(axes: Axes, x: float, y: float, text: str, colour: str = GREY) -> None:
    """Draw a circle around a sign, such as + or x."""
    axes.plot(x, y, "o", ms=21, mfc="white", mec=colour, mew=1.8, zorder=3)
    axes.text(x, y, text, ha="center", va="center", zorder=3)


def arrow(axes: Axes, *points: Point, colour: str = GREY, width: float = 1.6) -> None:
    """Draw an arrow along these points; its head is at the last."""
    line = np.array(points[:-1])  # (N, 2)
    axes.plot(line[:, 0], line[:, 1], color=colour, lw=width)
    style = {"arrowstyle": "-|>", "color": colour, "lw": width, "mutation_scale": 14}
    axes.annotate("", points[-1], points[-2], arrowprops=style | {"shrinkA": 0, "shrinkB": 0})


def both_ways(axes: Axes, start: Point, end: Point, text: str, place: Point) -> None:
    """Draw a grey arrow for a value and beside it an orange one for its gradient, with a text."""
    (x0, y0), (x1, y1) = start, end
    length = ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5
    u, v = 0.09 * (y1 - y0) / length, 0.09 * (x0 - x1) / length
    arrow(axes, (x0 - u, y0 - v), (x1 - u, y1 - v))
    arrow(axes, (x1 + u, y1 + v), (x0 + u, y0 + v), colour=ORANGE, width=2.2)
    axes.text(*place, text, color=ORANGE, ha="center", va="center", fontsize=10)
