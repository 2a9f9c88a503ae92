"""The optimiser: clipping by the global norm, stochastic gradient descent, learning rates.

Everything here is a few lines of arithmetic; the loops over the parameters are in
`numpylstm.kernels.update`.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from numpylstm.checks import FLOATS, any_array, check_array, check_number, check_whole
from numpylstm.config import TrainConfig
from numpylstm.functional import shares_for
from numpylstm.kernels.fallback import Missing, or_else
from numpylstm.layers import Parameter, Rows

try:
    from numpylstm.kernels import update
except Exception as error:
    update = Missing(error)  # type: ignore[assignment]

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
    arrays = [
        flat(gradient.values if isinstance(gradient, Rows) else gradient)
        for gradient, _ in kept if gradient is not None
    ]  # fmt: skip
    factors = [factor for gradient, factor in kept if gradient is not None]
    squares = sums_of_squares(arrays)
    norm = math.sqrt(sum(square * f**2 for square, f in zip(squares, factors, strict=True)))
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


@or_else(lambda arrays: [float(np.square(g, dtype=np.float64).sum()) for g in arrays])
def sums_of_squares(arrays: Sequence[Array]) -> list[float]:
    """The sum of g ** 2 for each g (N,)."""
    return [update.sum_of_squares(g, shares_for(g.size)) for g in arrays]


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


class Optimizer:
    """What all optimisers are: parameters, a rate, memory for each parameter, a count of steps.

    A new one says how `move` changes a parameter, how far a step can `reach`, and how it is made
    `from_config`; loops, checks and checkpoints are here and elsewhere once for all.

    Attributes
    ----------
    parameters : dict of path -> Parameter
    lr : float
        The learning rate; may be changed between steps.
    steps : int
        How many have been made.
    memory : dict of name -> dict of path -> array
        What is remembered of the gradients, in arrays of the shapes of the parameters.
    """

    def __init__(
        self, parameters: Mapping[str, Parameter], lr: float, memories: Sequence[str] = ()
    ) -> None:
        where = type(self).__name__
        _check_parameters(where, parameters)
        check_number(where, "lr", lr)
        if not (lr > 0 and math.isfinite(lr)):
            raise ValueError(f"{where}: lr must be positive and finite, got {lr}")
        for path, p in parameters.items():
            check_array(where, path, p.data, getattr(p.data, "shape", ()))
        self.parameters = dict(parameters)
        self.lr = lr
        self.steps = 0
        self.memory: dict[str, dict[str, Array]] = {
            name: {path: np.zeros_like(p.data) for path, p in self.parameters.items()}
            for name in memories
        }

    @classmethod
    def from_config(cls, parameters: Mapping[str, Parameter], config: TrainConfig) -> Self:
        """The optimiser that the settings of a run ask for."""
        raise NotImplementedError

    def move(self, path: str, parameter: Parameter) -> None:
        """Change one parameter by its gradient."""
        raise NotImplementedError

    def reach(self, norm: float, max_norm: float) -> float:
        """The most by which the next step can change any number.

        `norm` is that of this gradient after clipping, `max_norm` that of any.
        """
        raise NotImplementedError

    def step(self) -> None:
        """Change every parameter by its gradient."""
        check_number(type(self).__name__, "lr", self.lr)
        self.steps += 1
        for path, parameter in self.parameters.items():
            self.move(path, parameter)

    def remembered(self, name: str, path: str) -> Array:
        """The memory of one parameter as a flat array, (N,), held against the parameter."""
        memory, data = self.memory[name][path], self.parameters[path].data
        where = f"the {name} of {path}"
        check_array(type(self).__name__, where, memory, data.shape, data.dtype, REPLACED)
        return flat(memory)

    def zero_grad(self) -> None:
        """Set every gradient to zero."""
        for parameter in self.parameters.values():
            parameter.zero_grad()


class SGD(Optimizer):
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
        check_number("SGD", "momentum", momentum)
        if not 0 <= momentum < 1:
            raise ValueError(f"SGD: momentum must be in [0, 1), got {momentum}")
        super().__init__(parameters, lr, ["velocity"] if momentum else [])
        self.momentum = momentum

    @classmethod
    def from_config(cls, parameters: Mapping[str, Parameter], config: TrainConfig) -> Self:
        """The optimiser that the settings of a run ask for."""
        return cls(parameters, config.lr, config.momentum)

    def _move_in_numpy(self, path: str, parameter: Parameter) -> None:
        """What `move` does, without kernels."""
        step = parameter.grad.reshape(-1)
        if self.momentum:
            velocity = self.remembered("velocity", path)
            velocity *= float(self.momentum)
            velocity += step
            step = velocity
        data = flat(parameter.data)
        data -= float(self.lr) * step

    @or_else(_move_in_numpy)
    def move(self, path: str, parameter: Parameter) -> None:
        """Move a parameter against its gradient."""
        lr, momentum = float(self.lr), float(self.momentum)  # kernels know no other numbers
        data = flat(parameter.data)
        gradient, factor = parameter.parts_of_grad()
        shares = shares_for(data.size)
        if self.momentum:
            velocity = self.remembered("velocity", path)
            update.descend_with_momentum(data, velocity, flat(parameter.grad), lr, momentum, shares)
        elif isinstance(gradient, Rows):
            update.descend_rows(parameter.data, *gradient, factor, lr)
        elif gradient is not None:
            update.descend(data, flat(gradient), factor, lr, shares)

    def reach(self, norm: float, max_norm: float) -> float:
        """Lr times the norm of the velocity, which is at most a geometric series of gradients."""
        return self.lr * (max_norm / (1 - self.momentum) if self.momentum else norm)


OPTIMIZERS: dict[str, type[Optimizer]] = {"sgd": SGD}
"""The optimisers by the names that settings have for them."""


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
    if any_array("plateau_rate", "validation_losses", validation_losses).ndim != 1:
        raise TypeError(
            "plateau_rate: validation_losses must be a sequence, one loss for each epoch, got "
            f"{validation_losses!r}"
        )
    best = math.inf
    for loss in validation_losses:
        check_number("plateau_rate", "validation_losses", loss)
        if loss < best:
            best = loss
        else:
            lr *= decay
    return lr
