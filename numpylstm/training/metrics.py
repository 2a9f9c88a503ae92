"""Metrics of a training run: of an update, sums of several, rows of metrics.csv, epochs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import attrgetter
from statistics import fmean
from typing import NamedTuple


class Step(NamedTuple):
    """One update. Epochs and steps are counted from 1."""

    epoch: int
    window: int
    windows: int
    step: int
    lr: float
    cost: float
    perplexity: float
    accuracy: float
    gradient_norm: float
    tokens: int


class Row(NamedTuple):
    """A row of metrics.csv: means over the updates since the row before.

    The validation columns are filled in the last row of each epoch. Cost is the loss that is
    minimised, perplexity the exponential of the mean -log p of a token, and `clipped` the share of
    the updates that were clipped.
    """

    epoch: int
    step: int
    lr: float
    cost: float
    perplexity: float
    accuracy: float
    gradient_norm: float
    valid_perplexity: float | None = None
    valid_accuracy: float | None = None
    clipped: float = 0.0


LARGEST_COUNT = 2**53  # epochs and updates
RANGES = {
    "epoch": f"[1, {LARGEST_COUNT}]",
    "step": f"[1, {LARGEST_COUNT}]",
    "lr": "[0, inf)",
    "cost": "[0, inf)",
    "perplexity": "(0, inf)",
    "accuracy": "[0, 1]",
    "gradient_norm": "[0, inf)",
    "valid_perplexity": "(0, inf)",
    "valid_accuracy": "[0, 1]",
    "clipped": "[0, 1]",
}
"""The range of every column of `Row`."""
OPTIONAL = {name for name, default in Row._field_defaults.items() if default is None}
"""The columns that may be empty."""


@dataclass
class Tally:
    """Sums over the updates since the last row of metrics."""

    steps: int = 0
    tokens: int = 0
    correct: int = 0
    nll: float = 0.0
    cost: float = 0.0
    norm: float = 0.0
    clipped: int = 0
    lr: float = 0.0  # of the last update

    def add(self, step: Step, nll: float, correct: int, clipped: bool) -> None:
        """Add one update, with the sum of -log p of its tokens."""
        self.lr = step.lr
        self.steps += 1
        self.tokens += step.tokens
        self.correct += correct
        self.nll += nll
        self.cost += step.cost
        self.norm += step.gradient_norm
        self.clipped += clipped


def best_row(rows: Sequence[Row], epochs: int) -> Row | None:
    """Return the row with the validation of the best checkpoint; None if there is none yet.

    It has the lowest perplexity of all `epochs` finished epochs; of equal ones it is the first. The
    end of a run within an epoch, at a limit of steps, only counts if no epoch has ended: the run
    can be made longer, and is then as if it had never stopped there.
    """
    validated = [row for row in rows if row.valid_perplexity is not None]
    of_epochs = [row for row in validated if row.epoch <= epochs]
    return min(of_epochs or validated, key=attrgetter("valid_perplexity"), default=None)


def training_of_epoch(rows: Sequence[Row]) -> tuple[float, float]:
    """Return perplexity and accuracy in the epoch of the last row, as means over its updates."""
    epoch = rows[-1].epoch
    of_epoch = [row for row in rows if row.epoch == epoch]
    first_step = max((row.step for row in rows if row.epoch < epoch), default=0)
    steps = [first_step, *(row.step for row in of_epoch)]
    updates = [end - start for start, end in pairwise(steps)]
    perplexity = math.exp(fmean((math.log(row.perplexity) for row in of_epoch), updates))
    accuracy = fmean((row.accuracy for row in of_epoch), updates)
    return perplexity, accuracy
