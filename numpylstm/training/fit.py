"""The training loop for any model: `fit`, and `updates`, the generator that it runs.

`numpylstm.train` is for language models on a text, with a run that can be saved and resumed.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np

from numpylstm.checks import check_in, check_kind, check_number, check_whole
from numpylstm.models import LanguageModel
from numpylstm.optim import Adam, Optimizer, clip_by_global_norm
from numpylstm.parameters import Module
from numpylstm.training.display import Display
from numpylstm.training.loop import TrainingFailed

Batches = Iterable[tuple[Any, ...]] | Callable[[], Iterable[tuple[Any, ...]]]


class FitEpoch(NamedTuple):
    """One epoch of `fit`: means over its updates, and the mean loss of the validation batches."""

    epoch: int
    lr: float
    loss: float
    gradient_norm: float
    validation: float | None = None


def losses(model: Any, batches: Batches, training: bool) -> Iterator[float]:
    """Yield the loss of each batch; a language model passes its state on from batch to batch."""
    name = "batches" if training else "validation"
    state: Any = None
    loss: Any = None
    for batch in batches() if callable(batches) else batches:
        if not isinstance(batch, tuple | list):
            raise TypeError(
                f"fit: {name} must hold tuples (x, y, ...), got {type(batch).__name__}; a single "
                "batch is [(x, y)]"
            )
        x, y, *rest = batch
        if isinstance(model, LanguageModel):
            loss, state = model.forward(x, y, state, training, *rest)
        else:
            loss = model.forward(x, y, training, *rest)
        check_number("fit", "the result of model.forward", loss)
        yield loss
    if loss is None:
        raise ValueError(
            f"fit: {name} must hold at least one batch, got none; a function must return all "
            "batches of an epoch each time"
        )


def updates(
    model: Any, batches: Batches, optimizer: Optimizer, *, clip: float = 1.0
) -> Iterator[tuple[float, float]]:
    """Make one update for each batch; yield its loss and the norm of the gradient before clipping.

    If one is not finite, TrainingFailed is raised before the update.
    """
    for loss in losses(model, batches, training=True):
        optimizer.zero_grad()
        model.backward()
        norm = clip_by_global_norm(optimizer.parameters, clip)
        if not math.isfinite(loss + norm):
            raise TrainingFailed(
                f"fit: the loss is {loss:.3g} and the norm of the gradient {norm:.3g}; usually the "
                f"learning rate is too high (here {optimizer.lr:g}) or the data are not scaled"
            )
        optimizer.step()
        yield loss, norm


@np.errstate(over="ignore", invalid="ignore")  # an overflow shows in the loss
def fit(
    model: Any,
    batches: Batches,
    *,
    epochs: int = 10,
    optimizer: Optimizer | None = None,
    clip: float = 1.0,
    rate: Callable[[int], float] | None = None,
    validation: Batches | None = None,
    quiet: bool = False,
) -> list[FitEpoch]:
    """Train a model on batches.

    Parameters
    ----------
    model : SequenceClassifier, SequenceTagger, SequenceRegressor or LanguageModel
        Or an object of your own with ``forward(x, y, training, ...)``, which returns a loss, and
        ``backward()``; for `validation`, also with `state_dict` and `load_state_dict`.
    batches : list of tuples, or a function that returns the batches of one epoch
        ``(x, y)`` or ``(x, y, lengths)``: the arguments of ``model.forward``. For a language model
        ``(x, y)`` or ``(x, y, weights)``, and each batch continues the one before it, with its B.
    epochs : int
    optimizer : Optimizer, optional
        By default ``Adam(model, lr=0.01)``. An object of your own needs one, made of its layers.
    clip : float
        Maximum global norm of the gradient; infinity for no clipping.
    rate : callable, optional
        The learning rate of each epoch, from 0: ``lambda epoch: 0.01 * 0.8**epoch``.
    validation : as batches, optional
        The model ends with the parameters of the epoch with the lowest mean loss on them, also
        after an interruption or an error. Without it, it ends with the last ones.
    quiet : bool
        Show no progress.

    Returns
    -------
    history : list of FitEpoch
        `numpylstm.plots.loss_curves` draws it.

    Examples
    --------
    >>> import numpy as np, numpylstm as nl
    >>> model = nl.SequenceTagger(11, 2, 8, rng=0)
    >>> x = np.random.default_rng(0).integers(11, size=(7, 20))  # (T, B)
    >>> history = nl.fit(model, [(x, x % 2)], epochs=30, quiet=True)
    >>> bool((model.predict(x) == x % 2).all())
    True
    """
    check_whole("fit", "epochs", epochs)
    check_in("fit", "clip", clip, "(0, inf]")
    for name, given in {"batches": batches, "validation": validation}.items():
        if isinstance(given, Iterator):
            raise TypeError(
                f"fit: {name} must be a list or a function that returns the batches of an epoch, "
                f"got {type(given).__name__}; it would be empty after the first epoch"
            )
    optimizer = Adam(model, lr=0.01) if optimizer is None else optimizer
    check_kind("fit", "optimizer", optimizer, Optimizer)
    if isinstance(model, Module):
        moved = {id(parameter) for parameter in optimizer.parameters.values()}
        if moved.isdisjoint(map(id, model.parameters().values())):
            raise ValueError(
                "fit: optimizer must hold trainable parameters of the model, got none; it was made "
                "with another model, or all parameters are frozen"
            )
    if rate is not None and not callable(rate):
        got = f"got {rate!r}; a constant rate is that of the optimizer"
        raise TypeError(f"fit: rate must be a function of the epoch, {got}")
    history: list[FitEpoch] = []
    best, lowest, display = None, math.inf, Display("training", None, quiet, epochs)
    try:
        for epoch in range(1, epochs + 1):
            if rate is not None:
                optimizer.lr = rate(epoch - 1)
            done, valid, told = [], None, ""
            for loss, norm in updates(model, batches, optimizer, clip=clip):
                done.append((loss, norm))
                display.show(f"epoch {epoch}/{epochs}  loss {loss:.4g}", epoch - 1)
            loss, norm = map(fmean, zip(*done, strict=True))
            if validation is not None:
                valid = fmean(losses(model, validation, training=False))
                told = f"  validation {valid:.4g}"
                if valid < lowest:
                    best, lowest = model.state_dict(), valid
            history.append(FitEpoch(epoch, float(optimizer.lr), loss, norm, valid))
            if not quiet:
                display.line(f"epoch {epoch:3}  loss {loss:.4g}{told}  gradient norm {norm:.3g}")
            display.show(f"epoch {epoch}/{epochs}{told}", epoch)
    finally:
        display.close()
        if best is not None:
            model.load_state_dict(best)
    return history
