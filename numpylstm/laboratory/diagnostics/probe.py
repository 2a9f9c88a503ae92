"""Training on a probe task, and the remaining distance from the floor."""

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from numpylstm.cells import CELLS
from numpylstm.checks import Rng, check_number, check_sizes, check_whole
from numpylstm.laboratory.tasks import Recipe, Task
from numpylstm.models import LanguageModel
from numpylstm.optim import SGD, clip_by_global_norm

CHUNK = 500  # sequences scored at once, to bound memory


class CurvePoint(NamedTuple):
    """Point of a learning curve."""

    step: int
    loss: float


@dataclass(frozen=True)
class Probe:
    """Result of `probe`; losses in nats for each scored token."""

    cell: str
    num_parameters: int
    steps: int
    """Training steps taken."""
    curve: tuple[CurvePoint, ...]
    """Loss on a separate small sample during training."""
    chance: float
    floor: float
    loss: float
    """Expected loss, estimated on fresh sequences; see `expected_loss`."""
    error: float
    """Standard error of `loss`."""
    model: LanguageModel | None = field(default=None, repr=False, compare=False)
    """The network that was trained."""

    @property
    def share(self) -> float:
        """Share of the way from chance to the floor: 0 to 1, negative if worse than chance."""
        return (self.chance - self.loss) / (self.chance - self.floor)

    @property
    def above_floor(self) -> float:
        """``loss / floor - 1``: 0.02 is two per cent; infinite for a floor of 0."""
        return self.loss / self.floor - 1 if self.floor else math.inf


def probe(
    task: Task,
    cell: str = "lstm",
    *,
    recipe: Recipe | None = None,
    rng: int = 0,
    num_sequences: int = 2000,
    check_every: int = 100,
    stop_at: float | None = None,
    model: LanguageModel | None = None,
    **options: Any,
) -> Probe:
    """Train a network on a task, and measure its loss on fresh sequences.

    Stochastic gradient descent with momentum on the mean loss of the scored tokens, with the
    settings of a `Recipe`. Every step has a new batch, so there is nothing to overfit. Every
    sequence starts from the zero state.

    Parameters
    ----------
    task : Task
        One of `numpylstm.laboratory.tasks`.
    cell : str
        A name in `numpylstm.cells.CELLS`.
    recipe : Recipe, optional
        By default ``task.recipe``.
    rng : int
        Seed of the parameters, the batches, and the sequences scored during training and at the
        end: independent streams, so two cells with one seed see the same batches.
    num_sequences : int
        Fresh sequences scored at the end, from 2.
    check_every : int
        Steps between two points of the curve.
    stop_at : float, optional
        Stop once a point of the curve is at or below this loss; by default take all steps of the
        recipe. The final loss is measured on other sequences than the curve, so stopping early
        does not bias it.
    model : LanguageModel, optional
        A network to train in place of a new one, with initial values or layers of its own. It
        takes the place of `cell`, of `options`, and of the sizes and initial values of the recipe.
    options
        Options of the cell, such as ``activation="relu"``; the forget bias is by default the
        recipe's.

    Examples
    --------
    >>> from numpylstm import tasks
    >>> from numpylstm.laboratory.diagnostics import probe
    >>> result = probe(tasks.DelayedCopy(distance=3), stop_at=0.6)
    >>> result.share > 0.9
    True
    """
    check_whole("probe", "rng", rng, 0, because="a seed")
    if stop_at is not None:
        check_number("probe", "stop_at", stop_at)
    recipe = task.recipe if recipe is None else recipe
    check_sizes("probe", steps=recipe.steps, batch_size=recipe.batch_size)
    for_model, for_training, for_curve, for_scoring = np.random.default_rng(rng).spawn(4)
    if model is None:
        model = _new_model(task, cell, recipe, for_model, options)
    elif options:
        raise TypeError(f"probe: model has its options already; got {', '.join(options)} as well")
    elif not model.average_across_timesteps:
        raise ValueError(
            "probe: model must have average_across_timesteps=True; a recipe's rate is for the mean"
        )
    parameters = model.parameters()
    optimizer = SGD(parameters, recipe.lr, recipe.momentum)
    start = model.zero_state(recipe.batch_size)
    curve: list[CurvePoint] = []
    for step in range(1, recipe.steps + 1):
        optimizer.lr = recipe.lr * min(1, 2 * (recipe.steps + 1 - step) / recipe.steps)
        batch = task.batch(recipe.batch_size, for_training)
        model.forward(batch.x, batch.y, start, weights=batch.weights)
        optimizer.zero_grad()
        model.backward()
        clip_by_global_norm(parameters, recipe.clip)
        optimizer.step()
        if step % check_every == 0 or step == recipe.steps:
            loss, _ = expected_loss(model, task, CHUNK, for_curve)
            curve.append(CurvePoint(step, loss))
            if stop_at is not None and loss <= stop_at:
                break
    loss, error = expected_loss(model, task, num_sequences, for_scoring)
    return Probe(
        model.cell,
        model.num_parameters,
        step,
        tuple(curve),
        task.chance,
        task.floor,
        loss,
        error,
        model,
    )


def _new_model(
    task: Task, cell: str, recipe: Recipe, rng: np.random.Generator, options: dict[str, Any]
) -> LanguageModel:
    """Return the network of a recipe."""
    if cell in CELLS and "forget_bias" in CELLS[cell].options:  # the model refuses other names
        options = {"forget_bias": recipe.forget_bias} | options
    return LanguageModel(
        task.vocab_size,
        recipe.hidden_size,
        cell=cell,
        init_scale=recipe.init_scale,
        rng=rng,
        average_across_timesteps=True,
        options=options,
    )


def expected_loss(
    model: LanguageModel, task: Task, num_sequences: int, rng: Rng
) -> tuple[float, float]:
    """Estimate the expected loss of a model on a task, and its standard error, in nats per token.

    The plain mean of the model's nll varies with the sample: improbable targets cost every model.
    The task provides the true probability of each target, and the mean of that nll is known
    exactly, the floor. So the estimate is

        loss = floor + mean(nll of the model - nll of the truth)

    which has the same expectation and, for a good model, a far smaller error (a control variate).
    The error is the standard deviation of that difference over the sequences, divided by the root
    of their number. Since the expected difference is a Kullback-Leibler divergence, a loss below
    the floor by more than about three errors means that the model or the task is wrong.
    """
    rng = np.random.default_rng(rng)
    differences = []  # (B,) for each chunk
    for first in range(0, num_sequences, CHUNK):
        size = min(CHUNK, num_sequences - first)
        batch = task.batch(size, rng)
        nll, _, _ = model.score(batch.x, batch.y, model.zero_state(size))
        scored = batch.weights > 0
        difference = np.where(scored, nll - batch.nll, 0)
        differences.append(difference.sum(axis=0) / scored.sum(axis=0))
    difference = np.concatenate(differences)
    error = difference.std(ddof=1) / math.sqrt(num_sequences)
    return task.floor + float(difference.mean()), float(error)
