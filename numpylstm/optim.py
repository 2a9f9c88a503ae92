"""The optimisers: clipping by the global norm, SGD, Adam and AdamW, learning rates.

Everything here is a few lines of arithmetic; the loops over the parameters are in
`numpylstm.kernels.update`.
"""

import math
from collections.abc import Mapping, Sequence
from reprlib import repr as shortened
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from numpylstm.checks import FLOATS, any_array, check_array, check_number, check_whole
from numpylstm.config import TrainConfig
from numpylstm.functional import shares_for
from numpylstm.kernels.fallback import Missing, or_else
from numpylstm.parameters import Parameter, Rows

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
    max_norm = float(max_norm)
    total = 0.0
    for parameter in parameters.values():
        gradient, factor = parameter.parts_of_grad()
        if gradient is not None:
            array = gradient.values if isinstance(gradient, Rows) else gradient
            total += _sum_of_squares(flat(array)) * (factor * factor)  # which may be infinite
    norm = math.sqrt(total)
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
    if len({id(parameter) for parameter in parameters.values()}) < len(parameters):
        raise ValueError(
            f"{where}: parameters must name each Parameter once, got one under two paths"
        )


@or_else(lambda g: float(np.square(g, dtype=np.float64).sum()))
def _sum_of_squares(g: Array) -> float:
    """The sum of g ** 2 for g (N,)."""
    return update.sum_of_squares(g, shares_for(g.size))


def check_flat(array: Array) -> None:
    """Raise unless all entries of an array can be written through one view of them."""
    if type(array) is not np.ndarray or array.dtype not in FLOATS:
        check_array("optimiser", "parameter", array, getattr(array, "shape", ()))
    if not array.flags.carray:
        got = f"strides {array.strides} for shape {array.shape}"
        if not array.flags.writeable:
            got = "a read-only array; copy it"
        elif not array.flags.aligned:
            got = "a misaligned array; copy it"
        raise ValueError(
            f"optimiser: parameters and gradients must be writeable and C-contiguous, got {got}"
        )


def flat(array: Array) -> Array:
    """A view of all entries, (N,), through which the array can be written."""
    check_flat(array)
    return array.ravel()  # of a C-contiguous array this is a view


class Optimizer:
    """What all optimisers are: parameters, a rate, memory for each parameter, a count of steps.

    A new one says how `move` changes a parameter, and how far a step can `reach`; its arguments are
    settings by the same names. Loops, checks and checkpoints are here and elsewhere once for all.

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
            name: {path: np.zeros_like(p.data, subok=False) for path, p in self.parameters.items()}
            for name in memories
        }

    @classmethod
    def from_config(cls, parameters: Mapping[str, Parameter], config: TrainConfig) -> Self:
        """The optimiser of this class with the settings of a run."""
        return cls(parameters, **config.optimizer_settings)

    def move(self, path: str, parameter: Parameter) -> None:
        """Change one parameter by its gradient."""
        raise NotImplementedError

    def reach(self, norm: float, max_norm: float) -> float:
        """The most by which the next step can change any number.

        `norm` is that of this gradient after clipping, `max_norm` that of any.
        """
        raise NotImplementedError

    def step(self) -> None:
        """Change every parameter by its gradient, but for those that are frozen."""
        where = type(self).__name__
        check_number(where, "lr", self.lr)
        if not (self.lr >= 0 and math.isfinite(self.lr)):
            raise ValueError(f"{where}: lr must be from 0 and finite, got {self.lr}")
        moving = {path: p for path, p in self.parameters.items() if p.trainable}
        for path, parameter in moving.items():  # all are moved, or none
            check_flat(parameter.data)
            gradient, _ = parameter.parts_of_grad()
            if gradient is not None:
                check_flat(gradient.values if isinstance(gradient, Rows) else gradient)
            for name in self.memory:
                self.remembered(name, path, parameter)
        self.steps += 1
        for path, parameter in moving.items():
            self.move(path, parameter)

    def remembered(self, name: str, path: str, parameter: Parameter) -> Array:
        """The memory of one parameter as a flat array, (N,), held against the parameter."""
        if path not in self.memory.get(name, {}):
            raise ValueError(
                f"{type(self).__name__}: there is no {name} of {path}; what an optimiser "
                "remembers, and of which parameters, is fixed when it is made"
            )
        memory, data = self.memory[name][path], parameter.data
        where = f"the {name} of {path}"
        check_array(type(self).__name__, where, memory, data.shape, data.dtype, REPLACED)
        return flat(memory)

    def zero_grad(self) -> None:
        """Set every gradient to zero."""
        for parameter in self.parameters.values():
            parameter.zero_grad()

    def __repr__(self) -> str:
        count = sum(parameter.data.size for parameter in self.parameters.values())
        return (
            f"{type(self).__name__}(lr={float(self.lr):g}): {len(self.parameters)} arrays, "
            f"{count:,} numbers, {self.steps:,} steps made"
        )


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

    def _move_in_numpy(self, path: str, parameter: Parameter) -> None:
        """What `move` does, without kernels."""
        step = parameter.grad.reshape(-1)
        if self.momentum:
            velocity = self.remembered("velocity", path, parameter)
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
            velocity = self.remembered("velocity", path, parameter)
            update.descend_with_momentum(data, velocity, flat(parameter.grad), lr, momentum, shares)
        elif isinstance(gradient, Rows):
            change = gradient.values * data.dtype.type(factor)
            change *= data.dtype.type(lr)
            parameter.data[gradient.rows] -= change
        elif gradient is not None:
            update.descend(data, flat(gradient), factor, lr, shares)

    def reach(self, norm: float, max_norm: float) -> float:
        """Lr times the norm of the velocity, which is at most a geometric series of gradients."""
        return self.lr * (max_norm / (1 - self.momentum) if self.momentum else norm)


class Adam(Optimizer):
    """Steps of about `lr` in every number, whatever the size of its gradient.

    With a decaying mean of the gradients, m, and one of their squares, v. Both begin at zero, so
    that after t steps their weights add up to ``1 - beta ** t``, by which they are divided::

        grad = grad + weight_decay * data
        m = beta1 * m + (1 - beta1) * grad
        v = beta2 * v + (1 - beta2) * grad**2
        data -= lr * (m / (1 - beta1**t)) / (sqrt(v / (1 - beta2**t)) + eps)

    A gradient of zero moves a number too, by what is remembered: so do the rows of an embedding
    whose words the window lacks. That is `torch.optim.Adam` on dense gradients. PyTorch's
    SparseAdam leaves such rows and their memory as they are until their word comes again, so that
    it is another algorithm.

    Parameters
    ----------
    parameters : dict of path -> Parameter
    lr : float
        The learning rate; may be changed between steps.
    betas : tuple of two floats
        In [0, 1): how much of both means is kept at each step.
    eps : float
        Positive; outside of the root, as in PyTorch.
    weight_decay : float
        From 0. It becomes a part of the gradient; see `AdamW`.

    References
    ----------
    Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015.
    """

    def __init__(
        self,
        parameters: Mapping[str, Parameter],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        where = type(self).__name__
        if not (isinstance(betas, tuple | list) and len(betas) == 2):
            raise TypeError(f"{where}: betas must be two numbers, got {shortened(betas)}")
        for beta in betas:
            check_number(where, "betas", beta)
            if not 0 <= beta < 1:
                raise ValueError(f"{where}: betas must be in [0, 1), got {beta}")
        check_number(where, "eps", eps)
        if not (eps > 0 and math.isfinite(eps)):
            raise ValueError(f"{where}: eps must be positive and finite, got {eps}")
        check_number(where, "weight_decay", weight_decay)
        if not (weight_decay >= 0 and math.isfinite(weight_decay)):
            raise ValueError(f"{where}: weight_decay must be finite and from 0, got {weight_decay}")
        super().__init__(parameters, lr, ["first_moment", "second_moment"])
        for path, p in self.parameters.items():
            if p.data.dtype.type(eps) == 0:
                raise ValueError(
                    f"{where}: eps must not be 0 in {p.data.dtype} of {path}, got {eps}"
                )
        self.betas = float(betas[0]), float(betas[1])
        self.eps = float(eps)
        self.weight_decay = float(weight_decay)

    def decays(self) -> tuple[float, float]:
        """The shares of the data that weight decay adds to the gradient, and leaves of the data."""
        return self.weight_decay, 1.0

    def weights(self) -> tuple[float, float]:
        """The sums of the weights in m and v: by these both are divided, since they start at 0."""
        if self.steps == 0:
            raise RuntimeError(f"{type(self).__name__}.move: step() counts, and calls it")
        beta1, beta2 = self.betas
        return 1 - beta1**self.steps, 1 - beta2**self.steps

    def _move_in_numpy(self, path: str, parameter: Parameter) -> None:
        """What `move` does, without kernels."""
        (beta1, beta2), (weight_m, weight_v) = self.betas, self.weights()
        data = flat(parameter.data)
        m, v = (self.remembered(name, path, parameter) for name in self.memory)
        added, left = self.decays()
        grad = parameter.grad.reshape(-1) + added * data
        m += (1 - beta1) * (grad - m)  # beta1 * m + (1 - beta1) * grad
        v *= beta2
        v += (1 - beta2) * grad * grad
        data *= left
        data -= float(self.lr) / weight_m * m / (np.sqrt(v) / math.sqrt(weight_v) + self.eps)

    @or_else(_move_in_numpy)
    def move(self, path: str, parameter: Parameter) -> None:
        """Move a parameter by what is remembered of its gradients and of this one."""
        (beta1, beta2), (weight_m, weight_v) = self.betas, self.weights()
        data = flat(parameter.data)
        m, v = (self.remembered(name, path, parameter) for name in self.memory)
        gradient, factor = parameter.parts_of_grad()
        if not isinstance(gradient, np.ndarray):  # rows, or zeros
            gradient, factor = parameter.grad, 1.0
        numbers = (
            factor, *self.decays(), 1 - beta1, beta2, 1 - beta2,
            float(self.lr) / weight_m, math.sqrt(weight_v), self.eps,
        )  # fmt: skip
        numbers = tuple(np.array(numbers, data.dtype))
        update.descend_by_moments(data, m, v, flat(gradient), numbers, shares_for(data.size))

    def reach(self, norm: float, max_norm: float) -> float:
        """Lr times a bound of the quotient of the two means, by the inequality of Cauchy-Schwarz.

        It is infinite unless beta1 ** 2 < beta2. Decay that is apart is left out: it draws to zero.
        """
        beta1, beta2 = self.betas
        if beta1**2 >= beta2:
            return math.inf
        t = self.steps + 1
        squares = (1 - beta2**t) / (1 - beta2) / (1 - beta1**2 / beta2)
        return self.lr * (1 - beta1) / (1 - beta1**t) * math.sqrt(squares)


class AdamW(Adam):
    """Adam whose weight decay is apart from the gradient: ``data -= lr * weight_decay * data``.

    As a part of the gradient it would be divided by the size of the gradients, and draw least where
    these are large. The parameters are those of `Adam`.

    References
    ----------
    Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019.
    """

    def __init__(
        self,
        parameters: Mapping[str, Parameter],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(parameters, lr, betas, eps, weight_decay)

    def decays(self) -> tuple[float, float]:
        """The shares of the data that weight decay adds to the gradient, and leaves of the data."""
        return 0.0, 1 - self.lr * self.weight_decay


OPTIMIZERS: dict[str, type[Optimizer]] = {"sgd": SGD, "adam": Adam, "adamw": AdamW}
"""The optimisers by the names that settings have for them."""


def decayed_rate(lr: float, epoch: int, *, decay: float, constant_epochs: int) -> float:
    """``lr * decay ** max(epoch + 1 - constant_epochs, 0)``, with epochs counted from 0."""
    for name, value in {"lr": lr, "decay": decay}.items():
        check_number("decayed_rate", name, value)
    check_whole("decayed_rate", "epoch", epoch, 0)
    check_whole("decayed_rate", "constant_epochs", constant_epochs, 0)
    times = max(int(epoch) + 1 - int(constant_epochs), 0)
    try:
        return float(lr) * float(decay) ** min(times, 2**63)  # of which every power is its limit
    except OverflowError:
        raise ValueError(
            f"decayed_rate: decay must be from -1 to 1 for so many epochs, got {decay}, which no "
            f"float can hold to the power of {times}"
        ) from None


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
