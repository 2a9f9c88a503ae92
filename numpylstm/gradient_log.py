"""How far back the gradient reaches while a network learns: ``numpylstm-train --log-gradients``.

One window is looked at again and again, the first of the training text, in a few of its streams and
from a state of zeros; so what changes from row to row is the network and not the text. Nothing is
dropped, and no random number is drawn: the numbers of the training stay what they are.

The log can be continued like the run. It is written whenever the run has a new row of metrics, and
so before the checkpoint that knows of that row; a run that goes on from an older checkpoint drops
what came after it and makes it again. Values have six digits: the same on every number of threads.
"""

import csv
import io
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numpylstm.data import Corpus, batches
from numpylstm.diagnostics import gradient_flow
from numpylstm.models import LanguageModel
from numpylstm.run_folder import GRADIENTS, RunFolderError, write_text
from numpylstm.training import Run

STREAMS = 4
"""Columns of the window that is looked at; enough for a norm, and cheap."""


class GradientRow(NamedTuple):
    """A row of gradients.csv: one layer of the network, so many steps back from the loss.

    ``dh`` and ``dc`` are the norms of dL_T/dh_t and dL_T/dc_t at t = T - lag, over the streams and
    the units of the layer. The other cells are shares of units, from 0 to 1: of the gates i, f, o
    that are shut (below 0.05) or open (above 0.95), and of the candidates g, or of the hidden units
    of the vanilla cell, at the lower and the upper end of their curve
    (`numpylstm.diagnostics.Saturation`). Cells that the network has no units for are empty.
    """

    step: int
    layer: int
    lag: int
    dh: float
    dc: float | None
    i_low: float | None
    i_high: float | None
    f_low: float | None
    f_high: float | None
    g_low: float | None
    g_high: float | None
    o_low: float | None
    o_high: float | None
    h_low: float | None
    h_high: float | None


class GradientLog:
    """The file gradients.csv of a run.

    Parameters
    ----------
    folder : Path
        Of the run. The rows in it that the run knows of are kept.
    run : Run
        Before its first update the first rows are made at once.
    corpus : Corpus

    Raises
    ------
    RunFolderError
        If the folder holds a file of that name which is not the log of such a run.
    """

    def __init__(self, folder: Path, run: Run, corpus: Corpus) -> None:
        config = run.config
        x, y = next(iter(batches(corpus.train, config.batch_size, config.num_steps)))
        self.x, self.y = x[:, :STREAMS], y[:, :STREAMS]
        self.folder = folder
        known = {0} | {row.step for row in run.rows}
        saved = read(folder / GRADIENTS, config.num_layers, config.num_steps)
        self.rows = [row for row in saved if row.step in known]
        if run.step == 0:
            self.rows = []
            self._measure(run)

    def follow(self, run: Run) -> None:
        """Measure and write, if the run has just made a row of metrics."""
        has_row = bool(run.rows) and run.rows[-1].step == run.step
        if has_row and (not self.rows or self.rows[-1].step < run.step):
            self._measure(run)

    def norms(self) -> tuple[list[int], NDArray[Any]]:
        """The steps, and the norms of dL_T/dh_t at each: (layers, steps, lags)."""
        steps = list(dict.fromkeys(row.step for row in self.rows))
        L, T = 1 + self.rows[-1].layer, 1 + self.rows[-1].lag
        return steps, np.array([row.dh for row in self.rows]).reshape(len(steps), L, T).swapaxes(
            0, 1
        )

    def _measure(self, run: Run) -> None:
        rows = self.rows + measure(run.model, run.step, self.x, self.y)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(GradientRow._fields)
        writer.writerows(["" if value is None else value for value in row] for row in rows)
        write_text(self.folder / GRADIENTS, text.getvalue())
        self.rows = rows  # not before they are written: else nobody would write them again


@np.errstate(all="ignore")  # a network about to fail may overflow; the row then says inf or nan
def measure(model: LanguageModel, step: int, x: NDArray[Any], y: NDArray[Any]) -> list[GradientRow]:
    """The rows of one moment: layer by layer, and in each lag by lag.

    It costs a forward and a backward pass of the textbook over the window, in float64.
    """
    flow = gradient_flow(model, x, y)
    L, T = flow.dh.shape
    columns: dict[str, NDArray[Any]] = {"dh": flow.dh} | (
        {} if flow.dc is None else {"dc": flow.dc}
    )
    for name, shares in flow.saturation.items():
        columns |= {f"{name}_low": shares.low, f"{name}_high": shares.high}
    empty: dict[str, Any] = dict.fromkeys(GradientRow._fields[3:])
    return [
        GradientRow(step=step, layer=layer, lag=lag, **cells)
        for layer in range(L)
        for lag in range(T)
        for cells in [empty | {k: six_digits(v[layer, -1 - lag]) for k, v in columns.items()}]
    ]


def six_digits(value: float) -> float:
    """Rounded so far that the order of summation in a matrix product cannot be seen."""
    return float(f"{value:.6g}")


def read(path: Path, num_layers: int, num_steps: int) -> list[GradientRow]:
    """The rows of a file; none if it is not there.

    Raises
    ------
    RunFolderError
        If it does not hold, for each step, a row for each layer and lag.
    """
    if not path.exists():
        return []
    try:
        header, *lines = csv.reader(io.StringIO(path.read_text(encoding="utf-8")))
        rows = [
            GradientRow(*map(int, line[:3]), *(float(cell) if cell else None for cell in line[3:]))
            for line in lines
        ]  # fmt: skip
        steps = list(dict.fromkeys(row.step for row in rows))
        grid = [(s, k, lag) for s in steps for k in range(num_layers) for lag in range(num_steps)]
        whole = tuple(header) == GradientRow._fields and [row[:3] for row in rows] == grid
    except (OSError, ValueError, TypeError, csv.Error):
        whole = False
    if not whole:
        raise RunFolderError(
            f"{path} must hold a row for each of {num_layers} layers and {num_steps} lags at each "
            "step; it was changed: move it away to go on without its rows"
        )
    return rows
