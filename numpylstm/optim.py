"""The optimiser: clipping by the global norm, stochastic gradient descent, learning rates.

Everything here is a few lines of arithmetic; the loops over the parameters are in
`numpylstm.kernels.update`.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numpylstm.checks import FLOATS, check_array, check_number, check_whole
from numpylstm.functional import shares_for
from numpylstm.kernels import update
from numpylstm.layers import Parameter, Rows

Array = NDArray[Any]


REPLACED = "data was replaced after the optimiser was made"


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
    _check_parameters("clip_by_global_norm", parameters)
    check_number("clip_by_global_norm", "max_norm", max_norm)
    if not max_norm > 0:
        raise ValueError(f"clip_by_global_norm: max_norm must be positive, got {max_norm}")
    kept = [parameter.parts_of_grad() for parameter in parameters.values()]
    norm = math.sqrt(sum(squared_norm(gradient) * factor**2 for gradient, factor in kept))
    if math.isfinite(norm) and norm > max_norm:
        for parameter in parameters.values():
            parameter.scale_grad(max_norm / norm)
    return norm


def _check_parameters(where: str, parameters: Any) -> None:
    if not isinstance(parameters, Mapping) or not all(
        isinstance(parameter, Parameter) for parameter in parameters.values()
    ):
        raise TypeError(
            f"{where}: parameters must be a dict of path -> Parameter, such as model.parameters(), "
            f"got {type(parameters).__name__}"
        )


def squared_norm(gradient: Array | Rows | None) -> float:
    """The sum of the squares of the entries, in blocks, so that threads cannot change it."""
    if gradient is None:
        return 0.0
    gradient = flat(gradient.values if isinstance(gradient, Rows) else gradient)
    return update.sum_of_squares(gradient, shares_for(gradient.size))


def flat(array: Array) -> Array:
    """A view of all entries, (N,), through which the array can be written."""
    if type(array) is not np.ndarray or array.dtype not in FLOATS:
        check_array("optimiser", "parameter", array, getattr(array, "shape", ()))
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
        _check_parameters("SGD", parameters)
        check_number("SGD", "lr", lr)
        check_number("SGD", "momentum", momentum)
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
        check_number("SGD", "lr", self.lr)
        lr, momentum = (
            float(self.lr),
            float(self.momentum),
        )  # kernels are compiled for no other number
        for path, parameter in self.parameters.items():
            data = flat(parameter.data)
            gradient, factor = parameter.parts_of_grad()
            shares = shares_for(data.size)
            if self.momentum:
                velocity, shape = self.velocity[path], parameter.data.shape
                check_array("SGD", f"the velocity of {path}", velocity, shape, data.dtype, REPLACED)
                update.descend_with_momentum(
                    data, flat(velocity), flat(parameter.grad), lr, momentum, shares
                )
            elif isinstance(gradient, Rows):
                update.descend_rows(parameter.data, *gradient, factor, lr)
            elif gradient is not None:
                update.descend(data, flat(gradient), factor, lr, shares)

    def zero_grad(self) -> None:
        """Set every gradient to zero."""
        for parameter in self.parameters.values():
            parameter.zero_grad()


def decayed_rate(lr: float, epoch: int, *, decay: float, constant_epochs: int) -> float:
    """``lr * decay ** max(epoch + 1 - constant_epochs, 0)``, with epochs counted from 0."""
    for name, value in {"lr": lr, "decay": decay}.items():
        check_number("decayed_rate", name, value)
    check_whole("decayed_rate", "epoch", epoch, 0)
    check_whole("decayed_rate", "constant_epochs", constant_epochs, 0)
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
    check_number("plateau_rate", "lr", lr)
    check_number("plateau_rate", "decay", decay)
    best = math.inf
    for loss in validation_losses:
        check_number("plateau_rate", "validation_losses", loss)
        if loss < best:
            best = loss
        else:
            lr *= decay
    return lr
