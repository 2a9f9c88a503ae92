"""Batches, recipes and checks of all probe tasks."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from numpylstm.checks import Array, check_ids, check_interval, check_whole, real_array


class Batch(NamedTuple):
    """Independent sequences of a task, each read from the zero state."""

    x: Array
    """Tokens, (T, B) integers."""
    y: Array
    """Targets, (T, B) integers."""
    weights: Array
    """1 where the target is scored and 0 elsewhere, (T, B) float32."""
    nll: Array
    """-log of the true probability of each target given all before it, (T, B), in nats.

    Its mean over the scored tokens tends to the floor; the mean difference between a model's nll
    and this one measures the distance from the floor with far less noise than the loss does.
    """


@dataclass(frozen=True)
class Recipe:
    """Settings with which an LSTM learns a task: stochastic gradient descent with momentum.

    The loss is the mean over the scored tokens. The learning rate is constant for the first half of
    the steps and then falls linearly to zero.
    """

    hidden_size: int = 32
    lr: float = 1.0
    momentum: float = 0.9
    clip: float = 1.0
    batch_size: int = 32
    steps: int = 2000
    init_scale: float = 0.2
    forget_bias: float = 1.0  # of the cells that have one


def entropy(p: ArrayLike) -> float:
    """Return ``-sum(p * log(p))`` in nats, with ``0 log 0 = 0``.

    Parameters
    ----------
    p : array_like
        Probabilities that sum to one.
    """
    array = real_array("entropy", "p", p)
    if not ((array >= 0).all() and abs(array.sum() - 1) <= 1e-6):
        raise ValueError(
            "entropy: p must be probabilities that sum to 1; divide counts by their sum"
        )
    positive = array[array > 0].astype(np.float64)
    return abs(float((positive * np.log(positive)).sum()))


def check_settings(task: Any, **at_least: int) -> None:
    """Check the smallest value of each size of a task, and that its noise is in [0, 1)."""
    where = type(task).__name__
    for name, smallest in at_least.items():
        check_whole(where, name, getattr(task, name), smallest)
    check_interval(where, "noise", task.noise, "[0, 1)")


def spell(task: Any, ids: ArrayLike) -> str:
    """Write a sequence of ids (T,) as the tokens of a task, separated by spaces."""
    checked = check_ids("spell", "ids", ids, task.vocab_size, ("T",))
    return " ".join(task.tokens[i] for i in checked.tolist())
