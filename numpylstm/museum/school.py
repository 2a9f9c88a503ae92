"""The school: train with a mistake and with the right gradient, on a task with a known best loss.

Each token repeats the one before the last with probability 0.9, and is drawn at random otherwise.
A model without memory stays near log(V) nats; the best possible loss is `Lesson.entropy`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from numpylstm.checks import Array
from numpylstm.config import ModelConfig
from numpylstm.laboratory.mistakes.famous import check_mutant
from numpylstm.laboratory.mistakes.record import Mistake
from numpylstm.museum.patient import functions, loss_and_gradients, parameters, state_paths

T, B, V, H = 8, 10, 7, 12
REPEATED = 0.9
LAG = 2
LR, MAX_NORM = 2.0, 0.3
"""Learning rate, and the norm at which the gradient is clipped."""


@dataclass(frozen=True)
class Lesson:
    """Losses of a training run, in nats per token: of every step, and the best possible one."""

    losses: Array

    @property
    def first(self) -> float:
        """The mean of the first five steps, before anything was learned."""
        return float(self.losses[:5].mean())

    @property
    def last(self) -> float:
        """The mean of the last twentieth of the steps."""
        return float(self.losses[-max(len(self.losses) // 20, 1) :].mean())

    @property
    def entropy(self) -> float:
        """The loss of a model that knows the source: the best possible.

        The first LAG - 1 targets of a window repeat nothing that the window shows.
        """
        wrong = (1 - REPEATED) / V
        right = REPEATED + wrong
        known = -right * np.log(right) - (V - 1) * wrong * np.log(wrong)
        unknown = LAG - 1
        return (unknown * np.log(V) + (T - unknown) * known) / T


def source(rng: np.random.Generator, length: int) -> Array:
    """Draw tokens (length, B) from the source."""
    ids = rng.integers(0, V, (length, B))
    repeats = rng.random((length, B)) < REPEATED
    for t in range(LAG, length):
        ids[t] = np.where(repeats[t], ids[t - LAG], ids[t])
    return ids


def train(
    mutant: Mistake | None = None,
    *,
    cell: str = "lstm",
    steps: int = 300,
    seed: int = 20141,
    **options: Any,
) -> Lesson:
    """Train the patient for `steps` windows with stochastic gradient descent.

    A right and a wrong backward pass start from the same weights and see the same tokens, masks
    and weights; the step is clipped by the global norm, unless the mutant clips.

    Parameters
    ----------
    mutant : Mistake, optional
        None for the right backward pass.
    cell : str
        A name in `numpylstm.cells.CELLS`, if the mutant does not fix it.
    steps : int
    seed : int
    options
        Options of the cell, if the mutant does not fix it.
    """
    rng = np.random.default_rng(seed)
    if mutant is not None:
        check_mutant("train", mutant)
        cell = mutant.cell
        options = dict(mutant.options)
    f = functions(mutant)
    config = ModelConfig(
        cell=cell, options=options, hidden_size=H, num_layers=2, average_across_timesteps=True
    )
    point = parameters(rng, config, V, scale=0.3)
    learned = list(point)
    point |= {path: np.zeros((B, H)) for path in state_paths(config)}
    losses = np.empty(steps)
    for step in range(steps):
        ids = source(rng, T + 1)
        point |= {
            "ids": ids[:-1],
            "targets": ids[1:],
            "weights": rng.choice([0.5, 1.5], (T, B)),
            "mask": rng.choice([0.0, 1.25], (T, B, H), p=[0.2, 0.8]),
        }
        losses[step], gradients = loss_and_gradients(point, config, f)
        clipped = f[1].clip({path: gradients[path] for path in learned}, MAX_NORM)
        point |= {path: point[path] - LR * clipped[path] for path in learned}
    return Lesson(losses)
