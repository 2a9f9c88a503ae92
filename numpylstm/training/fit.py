"""The training loop for any model: `fit`.

`numpylstm.train` is for language models on a text, with a run that can be saved and resumed.
"""

import math
import sys
from collections.abc import Callable, Iterable, Iterator
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np

from numpylstm.checks import (
    before_end,
    check_flag,
    check_interval,
    check_kind,
    check_number,
    check_whole,
)
from numpylstm.errors import RATE_TOO_HIGH
from numpylstm.models import LanguageModel
from numpylstm.optim import Adam, AveragedParameters, Optimizer, clip_by_global_norm
from numpylstm.parameters import Module
from numpylstm.training.display import Display
from numpylstm.training.loop import (
    TrainingFailed,
    out_of_patience,
    score_with_candidates,
)
from numpylstm.training.schedules import Progress, Schedule

Batches = Iterable[tuple[Any, ...]] | Callable[[], Iterable[tuple[Any, ...]]]


class FitEpoch(NamedTuple):
    """One epoch of `fit`: mean losses over the targets, mean norm, and the rate at its end."""

    epoch: int
    lr: float
    loss: float
    gradient_norm: float
    validation: float | None = None
    metric: float | None = None


class BatchLoss(NamedTuple):
    """The mean loss over the targets of a batch, and their number or total weight."""

    loss: float
    targets: float


def batch_losses(
    model: Any, batches: Batches, training: bool, carry_state: bool | None
) -> Iterator[BatchLoss]:
    """Yield the loss of each batch."""
    name = "batches" if training else "validation"
    state: Any = None
    loss: Any = None
    for batch in batches() if callable(batches) else batches:
        if not isinstance(batch, tuple | list):
            raise TypeError(
                f"fit: {name} must hold tuples (x, y, ...), got {type(batch).__name__}; a single "
                "batch is [(x, y)]"
            )
        x, y = batch[:2]
        rest = batch[2:]  # lengths and weights, if there are any
        if isinstance(model, LanguageModel):
            check_streams(name, x, state)
            loss, state = language_model_loss(model, x, y, state, training, *rest)
            state = state if carry_state else None
            yield loss
            continue
        loss = model.forward(x, y, training, *rest)
        check_number("fit", "the result of model.forward", loss)
        yield BatchLoss(loss, count_targets(model, x, y, *rest))
    if loss is None:
        raise ValueError(
            f"fit: {name} must hold at least one batch, got none; a function must return all "
            "batches of an epoch each time"
        )


def check_streams(name: str, x: Any, state: Any) -> None:
    """Raise a ValueError if a state is carried over to a batch of another size."""
    before = None if state is None else state.h.shape[1]
    if before is not None and np.shape(x)[1:2] != (before,):
        raise ValueError(
            f"fit: {name} must all hold {before} streams, as the first, to carry the state, got x "
            f"of shape {np.shape(x)}; carry_state=False is for sequences that are independent"
        )


def language_model_loss(
    model: LanguageModel,
    x: Any,
    y: Any,
    state: Any,
    training: bool,
    lengths: Any = None,
    weights: Any = None,
) -> tuple[BatchLoss, Any]:
    """Return the mean -log p of the tokens of a batch, and the state after it.

    What is minimised is the loss of the model itself, by default a sum over time.
    """
    if training:
        _, state = model.forward(x, y, state, weights=weights, lengths=lengths)
        nll, _ = model.training_scores()
    else:
        nll, _, state = model.score(x, y, state, lengths)
    counts = np.ones(np.shape(y)) if weights is None else np.array(weights, float)
    if lengths is not None:
        counts *= before_end(np.asarray(lengths), len(counts))
    targets = counts.sum(dtype=np.float64)
    loss = (nll * counts).sum(dtype=np.float64) / (targets or 1)
    return BatchLoss(float(loss), float(targets)), state


def count_targets(
    model: Any, x: Any, y: Any, lengths: Any = None, weights: Any = None, *others: Any
) -> float:
    """Return the number of targets that the loss of a batch is a mean of, or their weight."""
    shape = np.shape(y)
    every_step = getattr(model, "every_step", shape[:2] == np.shape(x)[:2])
    counted = np.ones(shape[: 1 + every_step]) if weights is None else np.array(weights, float)
    if counted.ndim > 1 + every_step:  # a weight of each number of a target
        counted = counted.mean(axis=-1)
    if every_step and lengths is not None:
        counted *= before_end(np.asarray(lengths), len(counted))
    return float(counted.sum())


def mean_of(batches: Iterable[BatchLoss]) -> BatchLoss:
    """Return the mean loss over all targets of some batches, 0 if there is none."""
    batches = list(batches)
    targets = math.fsum(batch.targets for batch in batches)
    weighted = math.fsum(batch.loss * batch.targets for batch in batches)
    return BatchLoss(weighted / (targets or 1), targets)


def update(model: Any, loss: float, optimizer: Optimizer, clip: float) -> float:
    """Make the update after a forward pass; return the norm of the gradient before clipping.

    If the loss or the norm is not finite, TrainingFailed is raised before the update.
    """
    optimizer.zero_grad()
    model.backward()
    norm = clip_by_global_norm(optimizer.parameters, clip)
    if not math.isfinite(loss + norm):
        raise TrainingFailed(
            f"fit: the loss is {loss:.3g} and the norm of the gradient {norm:.3g}; usually "
            f"{RATE_TOO_HIGH} (here {optimizer.lr:g}) or the data are not scaled"
        )
    if optimizer.steps == 0 and norm == 0 and loss != 0:
        raise ValueError(
            "fit: no gradient reached any parameter of the optimizer; it was made with other "
            "parameters than those that model.forward uses, or backward() reaches none of them"
        )
    optimizer.step()
    return norm


def check_carried(carry_state: bool | None) -> None:
    """Raise unless it is said for a language model how its batches belong together."""
    if carry_state is None:
        raise TypeError(
            "fit: carry_state must be given with a LanguageModel: True if each batch continues the "
            "one before it, as those of nl.data.batches do, or False if all sequences are "
            "independent"
        )
    check_flag("fit", "carry_state", carry_state)


@np.errstate(over="ignore", invalid="ignore")  # an overflow shows in the loss
def fit(
    model: Any,
    batches: Batches,
    *more: Any,
    epochs: int = 10,
    optimizer: Optimizer | None = None,
    clip: float = 1.0,
    rate: Schedule | None = None,
    validation: Batches | None = None,
    patience: int | None = None,
    average_after: int | None = None,
    carry_state: bool | None = None,
    metric: Callable[[Any], float] | None = None,
    after_epoch: Callable[[FitEpoch], object] | None = None,
    quiet: bool = False,
) -> list[FitEpoch]:
    """Train a model on batches.

    Ctrl-C ends the training, and the history so far is returned.

    Parameters
    ----------
    model : SequenceClassifier, SequenceTagger, SequenceRegressor or LanguageModel
        Or an object of your own with ``forward(x, y, training, ...)``, which returns a loss, and
        ``backward()``; for `validation`, also with `state_dict` and `load_state_dict`.
    batches : list of tuples, or a function that returns the batches of one epoch
        ``(x, y)``, ``(x, y, lengths)`` or ``(x, y, lengths, weights)``, the arguments of
        ``model.forward``; `numpylstm.data.minibatches` cuts them from all sequences. Lengths may be
        None.
    more
        Nothing: x and y are given in a batch, ``[(x, y)]``.
    epochs : int
    optimizer : Optimizer, optional
        By default ``Adam(model, lr=0.01)``. An object of your own needs one, made of its layers.
    clip : float
        Maximum global norm of the gradient; infinity for no clipping.
    rate : callable, optional
        The learning rate of each update, as a function of the progress: a schedule such as
        ``nl.schedules.OneCycle(0.01)``, or ``lambda progress: 0.01 * 0.8**progress.epoch``; see
        `numpylstm.training.schedules.Progress`.
    validation : as batches, optional
        The model ends with the parameters of the epoch with the lowest mean loss over its targets,
        also after an interruption or an error. Without it, it ends with the last ones.
    patience : int, optional
        Stop after so many epochs in a row without a lower loss in the validation.
    average_after : int, optional
        Average the parameters over all updates after so many epochs. The mean is validated too, and
        kept where it is better than the last parameters.
    carry_state : bool
        Only for a language model, which needs it. If True, each batch continues the streams of the
        one before it, as those of `numpylstm.data.batches` do, and begins with its state. If False,
        the sequences are independent, as in `numpylstm.data.minibatches`, and each begins with a
        state of zeros.
    metric : callable, optional
        Called with the model after each epoch. The number that it returns is shown, and kept in the
        history: ``lambda model: nl.evaluate_classifier(model, x, y).accuracy``.
    after_epoch : callable, optional
        Called with the new row of the history after each epoch; if it returns True, the training
        ends.
    quiet : bool
        Show no progress.

    Returns
    -------
    history : list of FitEpoch
        The losses of each epoch, as means over its targets; of a language model, over its tokens.

    Raises
    ------
    TrainingFailed
        If a loss, also that of the validation, or a gradient is not finite.

    Examples
    --------
    >>> import numpy as np, numpylstm as nl
    >>> model = nl.SequenceTagger(11, 2, 8, rng=0)
    >>> x = np.random.default_rng(0).integers(11, size=(7, 20))  # (T, B)
    >>> history = nl.fit(model, [(x, x % 2)], epochs=30, quiet=True)
    >>> bool((model.predict(x) == x % 2).all())
    True
    """
    if more:
        raise TypeError(
            "fit: batches must hold x and y together, got more arguments; a single batch is "
            "[(x, y)], and nl.data.minibatches(x, y) cuts more of them"
        )
    check_whole("fit", "epochs", epochs)
    check_interval("fit", "clip", clip, "(0, inf]")
    for name, given in {"batches": batches, "validation": validation}.items():
        if isinstance(given, Iterator):
            raise TypeError(
                f"fit: {name} must be a list or a function that returns the batches of an epoch, "
                f"got {type(given).__name__}; it would be empty after the first epoch"
            )
    if rate is not None and not callable(rate):
        raise TypeError(
            f"fit: rate must be a function, got {rate!r}; a constant rate is that of the optimizer"
        )
    if isinstance(model, LanguageModel):
        check_carried(carry_state)
    elif carry_state is not None:
        kind = type(model).__name__
        raise TypeError(f"fit: carry_state is for a LanguageModel, got a {kind}")
    if patience is not None:
        check_whole("fit", "patience", patience)
        if validation is None:
            raise ValueError("fit: patience needs a validation, whose loss it watches")
    if validation is not None and not hasattr(model, "load_state_dict"):
        raise TypeError(
            "fit: model must have state_dict and load_state_dict to keep the best epoch of a "
            f"validation, got {type(model).__name__}"
        )
    if optimizer is None:
        check_kind("fit", "model", model, Module, "give an optimizer of the layers of another")
        optimizer = Adam(model, lr=0.01)
    check_kind("fit", "optimizer", optimizer, Optimizer)
    callbacks: list[AveragedParameters] = []
    if average_after is not None:
        check_whole("fit", "average_after", average_after, 0, epochs - 1)
        check_kind("fit", "model", model, Module, "its parameters are averaged")
        if validation is None:
            raise ValueError("fit: average_after needs a validation, in which the better is kept")
        callbacks = [AveragedParameters(model, average_after)]
    history: list[FitEpoch] = []
    valid_losses: list[float] = []
    best: Any = None
    display = Display("training", sys.stdout, quiet, epochs)
    windows = 0 if callable(batches) else len(list(batches))
    try:
        for epoch in range(epochs):
            done: list[BatchLoss] = []
            norms: list[float] = []
            valid = None
            summary = ""
            for window, batch in enumerate(batch_losses(model, batches, True, carry_state)):
                if rate is not None:
                    optimizer.lr = rate(Progress(epoch, epochs, window, windows, valid_losses))
                norms.append(update(model, batch.loss, optimizer, clip))
                done.append(batch)
                for callback in callbacks:
                    callback.after_update(epoch)
                display.show(f"epoch {epoch + 1}/{epochs}  loss {batch.loss:.4g}", epoch)
            if validation is not None:
                scored, better_parameters = score_with_candidates(
                    model,
                    callbacks,
                    lambda: mean_of(
                        batch_losses(model, validation, training=False, carry_state=carry_state)
                    ),
                )
                valid = scored.loss
                if not math.isfinite(valid):
                    raise TrainingFailed(
                        f"fit: the loss of the validation is {valid:.3g} after epoch {epoch + 1}; "
                        f"it may hold a value that is not finite, or {RATE_TOO_HIGH}"
                    )
                summary = f"  validation {valid:.4g}"
                if valid < min(valid_losses, default=math.inf):
                    best = better_parameters or model.state_dict()
                valid_losses.append(valid)
            measured: float | None = None
            if metric is not None:
                measured = metric(model)
                check_number("fit", "the result of metric", measured)
                summary += f"  metric {measured:.4g}"
            row = FitEpoch(
                epoch=epoch + 1,
                lr=float(optimizer.lr),
                loss=mean_of(done).loss,
                gradient_norm=fmean(norms),
                validation=valid,
                metric=measured,
            )
            history.append(row)
            if not quiet:
                display.line(
                    f"epoch {row.epoch:3}  loss {row.loss:.4g}{summary}  gradient norm "
                    f"{row.gradient_norm:.3g}"
                )
            display.show(f"epoch {row.epoch}/{epochs}{summary}", row.epoch)
            if after_epoch is not None and after_epoch(row) is True:
                break
            if out_of_patience(valid_losses, patience):
                break
    except KeyboardInterrupt:
        pass  # the history so far is returned
    finally:
        display.close()
        if best is not None:
            model.load_state_dict(best)
    return history
