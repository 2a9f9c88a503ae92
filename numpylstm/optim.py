"""The optimiser: clipping by the global norm, stochastic gradient descent, learning rates.

Everything here is a few lines of arithmetic; the loops over the parameters are in
`numpylstm.kernels.update`.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numpylstm.functional import shares_for
from numpylstm.kernels.fallback import Missing, or_else
from numpylstm.layers import Parameter, Rows

try:
    from numpylstm.kernels import update
except Exception as error:
    update = Missing(error)  # type: ignore[assignment]

Array = NDArray[Any]


def clip_by_global_norm(parameters: Mapping[str, Parameter], max_norm: float) -> float:
    """Scale all gradients by ``min(1, max_norm / norm)``.

    The norm is that of all gradients together, so the direction of the step is kept; clipping each
    parameter by itself would bend it (Pascanu, Mikolov and Bengio 2013). No epsilon is added.
    The factor is noted and applied when a gradient is next used: read `Parameter.grad` after the
    call, not an array that was taken from it before.

    Parameters
    ----------
    parameters : dict of path -> Parameter
    max_norm : float
        Positive; infinity only measures.

    Returns
    -------
    norm : float
        The norm before clipping. If it is not finite the gradients are left as they are: they
        are lost, and only the caller knows what to do.
    """
    if not max_norm > 0:
        raise ValueError(f"clip_by_global_norm: max_norm must be positive, got {max_norm}")
    kept = [parameter.parts_of_grad() for parameter in parameters.values()]
    norm = math.sqrt(sum(squared_norm(gradient) * factor**2 for gradient, factor in kept))
    if math.isfinite(norm) and norm > max_norm:
        for parameter in parameters.values():
            parameter.scale_grad(max_norm / norm)
    return norm


def squared_norm(gradient: Array | Rows | None) -> float:
    """The sum of the squares of the entries, in blocks, so that threads cannot change it."""
    if gradient is None:
        return 0.0
    return sum_of_squares(flat(gradient.values if isinstance(gradient, Rows) else gradient))


@or_else(lambda g: float(np.square(g, dtype=np.float64).sum()))
def sum_of_squares(g: Array) -> float:
    """The sum of g ** 2 for g (N,)."""
    return update.sum_of_squares(g, shares_for(g.size))


def flat(array: Array) -> Array:
    """A view of all entries, (N,), through which the array can be written."""
    if not array.flags.carray:
        raise ValueError(
            "optimiser: parameters and gradients must be writeable and C-contiguous, got strides "
            f"{array.strides} for shape {array.shape}"
        )
    return array.reshape(-1)


class SGD:
    """Stochastic gradient descent: ``v = momentum * v + grad;  data -= lr * v``.

    Parameters
    ----------
    parameters : dict of path -> Parameter
    lr : float
        The learning rate; may be changed between steps.
    momentum : float
        In [0, 1); with 0 no velocity is kept, and ``v`` is the gradient.
    """

    def __init__(
        self, parameters: Mapping[str, Parameter], lr: float, momentum: float = 0.0
    ) -> None:
        if not (lr > 0 and math.isfinite(lr)):
            raise ValueError(f"SGD: lr must be positive and finite, got {lr}")
        if not 0 <= momentum < 1:
            raise ValueError(f"SGD: momentum must be in [0, 1), got {momentum}")
        self.parameters = dict(parameters)
        self.lr = lr
        self.momentum = momentum
        self.velocity: dict[str, Array] = (
            {path: np.zeros_like(p.data) for path, p in self.parameters.items()} if momentum else {}
        )

    def step(self) -> None:
        """Move every parameter against its gradient."""
        lr = float(self.lr)  # an integer would have kernels compiled for it
        for path, parameter in self.parameters.items():
            descend(parameter, self.velocity.get(path), lr, self.momentum)

    def zero_grad(self) -> None:
        """Set every gradient to zero."""
        for parameter in self.parameters.values():
            parameter.zero_grad()


def descend_in_numpy(
    parameter: Parameter, velocity: Array | None, lr: float, momentum: float
) -> None:
    """What `descend` does, without kernels."""
    step = parameter.grad
    if velocity is not None:
        velocity *= momentum
        velocity += step
        step = velocity
    parameter.data -= lr * step


@or_else(descend_in_numpy)
def descend(parameter: Parameter, velocity: Array | None, lr: float, momentum: float) -> None:
    """Move one parameter against its gradient, and its velocity if it has one."""
    data = flat(parameter.data)
    gradient, factor = parameter.parts_of_grad()
    shares = shares_for(data.size)
    if velocity is not None:
        update.descend_with_momentum(
            data, flat(velocity), flat(parameter.grad), lr, momentum, shares
        )  # fmt: skip
    elif isinstance(gradient, Rows):
        update.descend_rows(parameter.data, *gradient, factor, lr)
    elif gradient is not None:
        update.descend(data, flat(gradient), factor, lr, shares)


def decayed_rate(lr: float, epoch: int, *, decay: float, constant_epochs: int) -> float:
    """``lr * decay ** max(epoch + 1 - constant_epochs, 0)``, with epochs counted from 0."""
    return lr * decay ** max(epoch + 1 - constant_epochs, 0)


def plateau_rate(lr: float, validation_losses: Sequence[float], *, decay: float) -> float:
    """The rate after some epochs: multiplied by `decay` for each that did not beat the best before.

    Parameters
    ----------
    lr : float
        The rate of the first epoch.
    validation_losses : sequence of float
        One for each finished epoch.
    decay : float
        Often 1/4.
    """
    best = math.inf
    for loss in validation_losses:
        if loss < best:
            best = loss
        else:
            lr *= decay
    return lr
