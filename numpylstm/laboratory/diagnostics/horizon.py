"""Memory horizon: the greatest distance over which a network learns to remember."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from numpylstm.cells import CELLS
from numpylstm.checks import any_array, check_choice, check_shape
from numpylstm.laboratory.diagnostics.probe import Probe, probe
from numpylstm.laboratory.tasks import DelayedCopy, Recipe, Task

SOLVED = 0.9
"""Share of the way from chance to the floor from which a distance counts as remembered."""

HORIZON_RECIPES: dict[str, Recipe] = {
    "rnn": Recipe(lr=0.05, init_scale=0.4, steps=1000),
    "lstm": Recipe(lr=0.03, init_scale=0.4, steps=1000, forget_bias=5.0, clip=0.2),
    "gru": Recipe(lr=0.03, init_scale=0.8, steps=1000),
}
"""Settings of each cell: learning rate, initial scale and clip are the best of a small search.

The search was larger for the LSTM (nine settings, at 80 steps) than for the GRU (seven). The
settings of the vanilla cell were searched up to 40 steps, and only the final ones run at 80."""


@dataclass(frozen=True)
class HorizonPoint:
    """Runs of one cell at one distance, one for each seed."""

    cell: str
    distance: int
    probes: tuple[Probe, ...]

    @property
    def share(self) -> float:
        """Median over the seeds of `Probe.share`."""
        return median(run.share for run in self.probes)

    @property
    def loss(self) -> float:
        """Median loss over the seeds, in nats for each scored token."""
        return median(run.loss for run in self.probes)


@dataclass(frozen=True)
class Horizon:
    """Result of `memory_horizon`."""

    points: tuple[HorizonPoint, ...]

    @property
    def cells(self) -> tuple[str, ...]:
        """Names of the cells, in the order of training."""
        return tuple(dict.fromkeys(point.cell for point in self.points))

    def curve(self, cell: str) -> tuple[HorizonPoint, ...]:
        """Return the points of one cell, nearest first."""
        if cell not in self.cells:
            raise ValueError(f"Horizon: cell must be one of {', '.join(self.cells)}, got {cell!r}")
        return tuple(point for point in self.points if point.cell == cell)

    def horizon(self, cell: str) -> int:
        """Return the greatest distance with a share of at least 0.9; 0 if there is none."""
        return max((p.distance for p in self.curve(cell) if p.share >= SOLVED), default=0)

    def __str__(self) -> str:
        lines = [f"{'cell':8} {'distance':>8} {'loss':>7} {'share':>6}  steps for each seed"]
        for point in self.points:
            steps = " ".join(str(run.steps) for run in point.probes)
            lines.append(
                f"{point.cell:8} {point.distance:8} {point.loss:7.3f} {point.share:6.2f}  {steps}"
            )
        lines += [f"{cell}: horizon {self.horizon(cell)} steps" for cell in self.cells]
        return "\n".join(lines)


def noisy_copy(distance: int) -> Task:
    """Return the task of `memory_horizon`: recall one letter of 8 after 4 kinds of filler."""
    return DelayedCopy(distance, num_fillers=4)


def memory_horizon(
    distances: Sequence[int] = (5, 10, 20, 40, 80),
    *,
    cells: Sequence[str] = ("rnn", "lstm"),
    seeds: Sequence[int] = (0, 1, 2),
    task_at: Callable[[int], Task] = noisy_copy,
    steps: int | None = None,
    progress: Callable[[HorizonPoint], object] | None = None,
) -> Horizon:
    """Train every cell at every distance, with equal budgets, and find where memory ends.

    Hochreiter (1991) and Bengio, Simard and Frasconi (1994) showed that a gradient which passes
    through many steps of a vanilla network vanishes or explodes; Hochreiter and Schmidhuber (1997)
    built the cell that carries it. This is that comparison as an experiment: each network has the
    same number of hidden units, the same batches and at most the same number of steps. The LSTM's
    recurrent layer has four times the weights of the vanilla one; whole models, with embedding
    and decoder, differ less (`Probe.num_parameters`; 9165 against 2925 with the defaults). A run
    stops once a check finds 95 % of the way from chance to the floor covered.

    Parameters
    ----------
    distances : sequence of int
        Steps between a symbol and its use.
    cells : sequence of str
        Names in `numpylstm.cells.CELLS`, alone or with a choice: "lstm", "rnn-relu", "gru-before".
        Each has its recipe in `HORIZON_RECIPES`, or else that of the task.
    seeds : sequence of int
        One run each; the median counts.
    task_at : callable
        Maps a distance to a task.
    steps : int, optional
        The most training steps of a run, in place of the recipe's.
    progress : callable, optional
        Called with each point when it is finished.

    Returns
    -------
    Horizon
        ``print(horizon)`` shows a table; `numpylstm.plots.horizon_curve` draws it.
    """
    for name, values in (("distances", distances), ("cells", cells), ("seeds", seeds)):
        listed = any_array("memory_horizon", name, values)
        check_shape("memory_horizon", name, listed, ("N",), "it is a sequence")
    tasks = [(distance, task_at(distance)) for distance in sorted(distances)]
    kinds = [split_cell(cell) for cell in cells]  # all are checked before the first is trained
    points = []
    for cell, (kind, options) in zip(cells, kinds, strict=True):
        for distance, task in tasks:
            recipe = HORIZON_RECIPES.get(kind, task.recipe)
            recipe = recipe if steps is None else replace(recipe, steps=steps)
            enough = task.floor + 0.05 * (task.chance - task.floor)
            runs = [
                probe(task, kind, recipe=recipe, rng=seed, stop_at=enough, **options)
                for seed in seeds
            ]
            points.append(HorizonPoint(cell, distance, tuple(runs)))
            if progress is not None:
                progress(points[-1])
    return Horizon(tuple(points))


def split_cell(cell: str) -> tuple[str, dict[str, Any]]:
    """Split "rnn-relu" into ("rnn", {"activation": "relu"})."""
    known: dict[str, tuple[str, dict[str, Any]]] = {}
    for kind in CELLS.values():
        known[kind.name] = kind.name, {}
        for name, option in kind.options.items():
            for choice in option.choices or ():
                known[f"{kind.name}-{choice}"] = kind.name, {name: choice}
    check_choice("memory_horizon", "cells", cell, known)
    return known[cell]
