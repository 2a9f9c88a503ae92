"""Learning-rate schedules: records whose call returns the rate of the next update.

A schedule is any function of a `Progress`. `SCHEDULES` are those of ``--schedule``; their fields
are settings of the same names. `nl.fit(rate=...)` takes them too, or a function of your own.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from numpylstm.config import TrainConfig
from numpylstm.optim import decayed_rate, plateau_rate


class Progress(NamedTuple):
    """The progress of a run before an update: epochs and updates that are done.

    `window` of the `windows` updates of the current epoch are done, `epoch` of `epochs` epochs.
    `windows` is 0 if their number is not known.
    """

    epoch: int
    epochs: int
    window: int
    windows: int
    valid_losses: Sequence[float] = ()

    @property
    def updates(self) -> tuple[int, int]:
        """The updates that are done, and all that are planned."""
        if self.windows == 0:
            raise ValueError(
                "this schedule needs the number of batches in an epoch: give fit a list of "
                "batches, not a function"
            )
        return self.epoch * self.windows + self.window, self.epochs * self.windows

    @property
    def share(self) -> float:
        """The share of all planned updates that are done, from 0 to 1."""
        done, planned = self.updates
        return done / planned


Schedule = Callable[[Progress], float]


@dataclass(frozen=True)
class EpochDecay:
    """Multiply the rate by `decay` after each epoch past `constant_epochs`."""

    lr: float
    decay: float = 0.5
    constant_epochs: int = 4

    def __call__(self, progress: Progress) -> float:
        """Return the rate of the next update."""
        constant = self.constant_epochs
        return decayed_rate(self.lr, progress.epoch, decay=self.decay, constant_epochs=constant)


@dataclass(frozen=True)
class PlateauDecay:
    """Multiply the rate by `decay` after `decay_patience` epochs without a better validation."""

    lr: float
    decay: float = 0.5
    decay_patience: int = 1

    def __call__(self, progress: Progress) -> float:
        """Return the rate of the next update."""
        return plateau_rate(
            self.lr, progress.valid_losses, decay=self.decay, patience=self.decay_patience
        )


@dataclass(frozen=True)
class OneCycle:
    """Raise the rate from ``lr / 25`` to `lr`, then lower it to almost 0, both by half a cosine.

    Of N updates the last has the rate ``lr / 250_000``, and the highest rate is that of update
    ``warmup * N`` (Smith and Topin 2018; the rates are those of PyTorch's OneCycleLR).
    """

    lr: float
    warmup: float = 0.3

    def __call__(self, progress: Progress) -> float:
        """Return the rate of the next update."""
        done, planned = progress.updates
        end = planned - 1  # counted from 0
        peak = self.warmup * planned - 1
        if done < peak:
            return between(self.lr / 25, self.lr, done / peak)
        if done == peak:
            return self.lr
        return between(self.lr, self.lr / 250_000, (done - peak) / (end - peak))


@dataclass(frozen=True)
class Cosine:
    """Lower the rate from `lr` to 0 by half a cosine (Loshchilov and Hutter 2017).

    Before that it rises in a line, over `warmup` of all updates.
    """

    lr: float
    warmup: float = 0.0

    def __call__(self, progress: Progress) -> float:
        """Return the rate of the next update."""
        share = progress.share
        if share < self.warmup:
            return self.lr * (share / self.warmup)
        return between(self.lr, 0.0, (share - self.warmup) / (1 - self.warmup))


def between(start: float, end: float, share: float) -> float:
    """Return a value on half a cosine from `start` to `end`."""
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


SCHEDULES: dict[str, Callable[..., Schedule]] = {
    "epoch": EpochDecay,
    "plateau": PlateauDecay,
    "one-cycle": OneCycle,
    "cosine": Cosine,
}
PLANNED = "one-cycle", "cosine"
"""The schedules that depend on the number of epochs, which is then fixed for the run."""


def schedule_of(config: TrainConfig) -> Schedule:
    """Return the schedule that the settings of a run name."""
    return SCHEDULES[config.schedule](config.lr, **config.conditional_settings("schedule"))
