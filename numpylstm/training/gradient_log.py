"""The gradient by lag while a network learns: ``numpylstm-train --log-gradients``.

Every measurement takes the first window of the training text, a few of its streams, and a state of
zeros; so only the network changes from row to row. Nothing is dropped and no random number is
drawn: training is not affected.

The log is written whenever the run has a new row of metrics, before the checkpoint with that row; a
run that resumes from an older checkpoint drops later rows and recomputes them. Values are rounded
to six digits, which are the same with any number of threads.
"""

import csv
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numpylstm.data import Corpus, batches
from numpylstm.laboratory.diagnostics import gradient_flow
from numpylstm.models import LanguageModel
from numpylstm.training.loop import Run
from numpylstm.training.run_folder import GRADIENTS, reading, write_rows

STREAMS = 4  # columns of the measured window; enough for a norm, and cheap


class GradientRow(NamedTuple):
    """A row of gradients.csv: one kind of state of one layer, `lag` steps before the loss.

    `norm` is the norm of dL_T/dh_t or dL_T/dc_t at t = T - lag, over the streams and the units of
    the layer.
    """

    step: int
    layer: int
    lag: int
    unit: str
    norm: float


class GradientLog:
    """The file gradients.csv of a run, with rows at its start and at the steps of its rows.

    Another file of that name raises RunFolderError.
    """

    def __init__(self, folder: Path, run: Run, corpus: Corpus) -> None:
        config = run.config
        x, y = next(batches(corpus.train, config.batch_size, config.num_steps))
        self.x, self.y = x[:, :STREAMS], y[:, :STREAMS]
        self.path = folder / GRADIENTS
        self.rows = read(self.path)

    def follow(self, run: Run) -> None:
        """Add a measurement if the run begins, or has just made a row of metrics."""
        known = {0, *(row.step for row in run.rows)}
        if run.step != max(known):
            return
        rows = [row for row in self.rows if row.step in known]
        if not rows or rows[-1].step < run.step:
            rows += measure(run.model, run.step, self.x, self.y)
            write_rows(self.path, GradientRow._fields, rows)
        self.rows = rows  # not before they are written, so that a failure is repaired

    def norms(self) -> tuple[list[int], NDArray[Any]]:
        """Return the steps, and the norms of dL_T/dh_t at each: (layers, steps, lags)."""
        steps = list(dict.fromkeys(row.step for row in self.rows))
        L, T = 1 + self.rows[-1].layer, 1 + self.rows[-1].lag
        shown = [row.norm for row in self.rows if row.unit == "h"]
        return steps, np.array(shown).reshape(len(steps), L, T).swapaxes(0, 1)


@np.errstate(all="ignore")  # a network about to fail may overflow; the row then says inf or nan
def measure(model: LanguageModel, step: int, x: NDArray[Any], y: NDArray[Any]) -> list[GradientRow]:
    """Return the rows of one step, by layer and lag.

    The cost is a forward and a backward pass of the textbook over the window, in float64.
    """
    norms = gradient_flow(model, x, y).norms
    L, T = norms["h"].shape
    rows = []
    for layer, lag, unit in product(range(L), range(T), norms):
        # Rounded, so that the order of summation in a product cannot be seen.
        norm = float(f"{norms[unit][layer, -1 - lag]:.6g}")
        rows.append(GradientRow(step, layer, lag, unit, norm))
    return rows


def read(path: Path) -> list[GradientRow]:
    """Read the rows of a file; none if it is missing.

    A file that does not hold such rows raises RunFolderError.
    """
    if not path.exists():
        return []
    with reading(
        path, "the gradients of this run; move it away to continue without its rows"
    ) as file:
        _, *lines = csv.reader(file)
        return [
            GradientRow(int(step), int(layer), int(lag), unit, float(norm))
            for step, layer, lag, unit, norm in lines
        ]
