"""Optimisers: clipping by the global norm, SGD, Adam, AdamW, averages and learning rates.

The formulas are functions of `numpylstm.reference` (`sgd_update`, `momentum_update`,
`adam_update`), which `numpylstm.functional` runs with kernels; ``impl`` of a parameter chooses.
"""

import math
from collections.abc import Mapping, Sequence
from reprlib import repr as shortened
from typing import Any

import numpy as np

from numpylstm.aliases import warn_of_old_name
from numpylstm.checks import (
    Array,
    check_finite,
    check_in_place,
    check_interval,
    check_number,
    check_whole,
    real_array,
)
from numpylstm.config import LARGEST
from numpylstm.parameters import (
    IMPLEMENTATIONS,
    Module,
    Parameter,
    Rows,
    TrainableParameters,
    parameters_of,
)

ParametersLike = Module | Mapping[str, Parameter] | Sequence[Module | Mapping[str, Parameter]]


def clip_by_global_norm(parameters: ParametersLike, max_norm: float) -> float:
    """Scale all gradients by ``min(1, max_norm / norm)``.

    The norm is that of all gradients together, so the direction of the step is kept; clipping each
    parameter by itself would change it (Pascanu, Mikolov and Bengio 2013). No epsilon is added.

    Parameters
    ----------
    parameters : layer, model, dict of path -> Parameter, or a list of these
        Frozen ones are left out.
    max_norm : float
        Positive; with infinity the norm is measured and nothing is clipped.

    Returns
    -------
    norm : float
        The norm before clipping. If it is not finite the gradients are left unchanged, and the
        caller decides what to do.
    """
    where = "clip_by_global_norm"
    check_interval(where, "max_norm", max_norm, "(0, inf]")
    gradients = []
    total = 0.0
    for p in parameters_of(where, parameters).values():
        if p.trainable and p.gradient is not None:
            values = p.gradient.values if isinstance(p.gradient, Rows) else p.gradient
            gradients.append(values)
            total += float(IMPLEMENTATIONS[p.impl].sum_of_squares(values))
    norm = math.sqrt(total)
    if math.isfinite(norm) and norm > max_norm:
        for values in gradients:
            values *= float(max_norm) / norm
    return norm


def with_frozen_ones(owners: ParametersLike) -> dict[str, Parameter]:
    """Return the parameters of `parameters_of`, and at their places the frozen ones of modules."""
    found: dict[str, Parameter] = {}
    for owner in owners if isinstance(owners, list | tuple) else [owners]:
        parameters: Any = owner.parameters() if isinstance(owner, Module) else owner
        is_of_module = isinstance(parameters, TrainableParameters)
        found |= parameters.with_frozen if is_of_module else parameters
    return found


class Optimizer:
    """Base class: parameters, learning rate, per-parameter state and step count.

    A subclass defines `update_parameter`, which updates one parameter; its constructor arguments
    are settings with the same names. Loops, checks and checkpoints are common to all optimisers.

    Parameters
    ----------
    parameters : layer, model, dict of path -> Parameter, or a list of these
    lr : float
    names : sequence of str
        Names of the arrays kept for each parameter.

    Attributes
    ----------
    parameters : dict of path -> Parameter
    lr : float
        The learning rate; may be changed between steps.
    steps : int
        The number of steps made.
    state : dict of name -> dict of path -> array
        Arrays with the shapes of the parameters, such as velocities; zero at the start.
    unfrozen_at : dict of path -> int
        The steps that were made before a parameter was unfrozen, where there were any.
    lr_factors : dict of path -> float
        See `scale_lr`.
    """

    def __init__(self, parameters: ParametersLike, lr: float, names: Sequence[str] = ()) -> None:
        where = type(self).__name__
        self.parameters = parameters_of(where, parameters)
        if not self.parameters:
            raise ValueError(
                f"{where}: parameters must hold one to train, got {type(parameters).__name__} with "
                "none that is not frozen; a Module finds its parameters in its attributes"
            )
        check_interval(where, "lr", lr, "(0, inf)")
        for path, p in self.parameters.items():
            if p.trainable:
                check_in_place(where, path, p.data)
        self.lr = lr
        self.steps = 0
        self.with_frozen = with_frozen_ones(parameters)
        self.unfrozen_at: dict[str, int] = {}
        self.lr_factors: dict[str, float] = {}
        self.state: dict[str, dict[str, Array]] = {
            name: {k: np.zeros(p.data.shape, p.data.dtype) for k, p in self.parameters.items()}
            for name in names
        }

    @property
    def memory(self) -> dict[str, dict[str, Array]]:
        """The old name of `state`."""
        warn_of_old_name("Optimizer.memory")
        return self.state

    def add_unfrozen(self) -> None:
        """Add the parameters that were frozen when the optimiser was made, and are no longer.

        They take their places in the order of the model: another order of the sum in the global
        norm is another last digit, and a resumed run must have those of one that never stopped.
        """
        if len(self.parameters) == len(self.with_frozen):
            return
        in_order: dict[str, Parameter] = {}
        for path, p in self.with_frozen.items():
            if path in self.parameters:
                in_order[path] = p
            elif p.trainable:
                check_in_place(type(self).__name__, path, p.data)
                in_order[path] = p
                self.unfrozen_at[path] = self.steps
                for by_path in self.state.values():
                    by_path[path] = np.zeros(p.data.shape, p.data.dtype)
        self.parameters = in_order
        self.state = {
            name: {path: by_path[path] for path in in_order} for name, by_path in self.state.items()
        }

    def scale_lr(self, factors: Mapping[str, float]) -> None:
        """Multiply the learning rate of some parameters by factors, by path, from now on.

        A path may be a beginning: ``optimizer.scale_lr({"embedding": 0.1})``. A schedule sets `lr`,
        of which these are multiples.
        """
        where = f"{type(self).__name__}.scale_lr"
        known = self.with_frozen
        for start, factor in factors.items():
            check_interval(where, f"the factor of {start}", factor, "[0, inf)")
            paths = [path for path in known if f"{path}.".startswith(f"{start}.")]
            if not paths:
                raise ValueError(f"{where}: factors must be of {', '.join(known)}; got {start!r}")
            self.lr_factors |= dict.fromkeys(paths, float(factor))

    def state_dict(self) -> dict[str, Array]:
        """Return copies of the optimiser's state, by names such as ``velocity/lstm.0.Wx``.

        `numpy.savez` can store it. ``lr``, ``steps``, ``joined/PATH`` of `unfrozen_at` and
        ``lr_factors/PATH`` of `scale_lr` are arrays of one number.
        """
        state: dict[str, Array] = {"lr": np.array(self.lr), "steps": np.array(self.steps)}
        for path in self.with_frozen:
            if path in self.unfrozen_at:
                state[f"joined/{path}"] = np.array(self.unfrozen_at[path])
            if path in self.lr_factors:
                state[f"lr_factors/{path}"] = np.array(self.lr_factors[path])
        for name, by_path in self.state.items():
            for path, array in by_path.items():
                state[f"{name}/{path}"] = array.copy()
        return state

    def load_state_dict(self, arrays: Mapping[str, Array]) -> None:
        """Copy in the state of another optimiser of the same parameters, all or nothing."""
        where = f"{type(self).__name__}.load_state_dict"
        self.add_unfrozen()
        state = self.state_dict()
        known = self.with_frozen
        optional = {f"{name}/{path}" for name in ("joined", "lr_factors") for path in known}
        wrong = sorted((state.keys() ^ arrays.keys()) - optional)
        if wrong:
            raise ValueError(
                f"{where}: the arrays must be those of an optimiser of the same parameters; "
                f"missing or unknown: {', '.join(wrong)}"
            )
        for name in arrays:
            array = np.asarray(arrays[name])
            check_finite(where, name, array)
            shape = state[name].shape if name in state else ()
            if array.shape != shape:
                raise ValueError(f"{where}: {name} must have shape {shape}, got {array.shape}")
        self.lr = float(arrays["lr"])
        self.steps = int(arrays["steps"])
        self.unfrozen_at = {}
        self.lr_factors = {}
        for path in known:
            if f"joined/{path}" in arrays:
                self.unfrozen_at[path] = int(arrays[f"joined/{path}"])
            if f"lr_factors/{path}" in arrays:
                self.lr_factors[path] = float(arrays[f"lr_factors/{path}"])
        for name, by_path in self.state.items():
            for path, array in by_path.items():
                array[...] = arrays[f"{name}/{path}"]

    def update_parameter(self, path: str, parameter: Parameter) -> None:
        """Update one parameter with its gradient."""
        raise NotImplementedError

    def step(self) -> None:
        """Update every parameter that is not frozen."""
        check_interval(type(self).__name__, "lr", self.lr, f"[0, {LARGEST:g}]")
        self.lr = lr = float(self.lr)  # a float64 of NumPy would turn float32 data into float64
        self.add_unfrozen()
        self.steps += 1
        for path, parameter in self.parameters.items():
            if parameter.trainable:
                self.lr = lr * self.lr_factors.get(path, 1.0)
                self.update_parameter(path, parameter)
        self.lr = lr

    def zero_grad(self) -> None:
        """Set every gradient to zero."""
        self.add_unfrozen()
        for parameter in self.parameters.values():
            parameter.gradient = None

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
    parameters : layer, model, dict of path -> Parameter, or a list of these
    lr : float
        The learning rate; may be changed between steps.
    momentum : float
        In [0, 1); with 0 no velocity is kept, and ``v`` is the gradient.
    """

    def __init__(self, parameters: ParametersLike, lr: float, momentum: float = 0.0) -> None:
        check_interval("SGD", "momentum", momentum, "[0, 1)")
        super().__init__(parameters, lr, ["velocity"] if momentum else [])
        self.momentum = momentum

    def update_parameter(self, path: str, parameter: Parameter) -> None:
        """Update one parameter with its gradient."""
        functions = IMPLEMENTATIONS[parameter.impl]
        data = parameter.data
        gradient = parameter.gradient
        if self.momentum:
            velocity = self.state["velocity"][path]
            functions.momentum_update(data, velocity, parameter.grad, self.lr, self.momentum)
        elif isinstance(gradient, Rows):
            rows = data[gradient.rows]
            functions.sgd_update(rows, gradient.values, self.lr)
            data[gradient.rows] = rows
        elif gradient is not None:
            functions.sgd_update(data, gradient, self.lr)


class Adam(Optimizer):
    """Adam: steps of about `lr` in every entry, whatever the size of its gradient.

    The update uses a decaying mean of the gradients, m, and one of their squares, v. Both begin at
    zero, so after t steps their weights add up to ``1 - beta ** t``, by which they are divided::

        grad = grad + weight_decay * data
        m = beta1 * m + (1 - beta1) * grad
        v = beta2 * v + (1 - beta2) * grad**2
        data -= lr * (m / (1 - beta1**t)) / (sqrt(v / (1 - beta2**t)) + eps)

    An entry whose gradient is zero still moves, because of m: for example, the rows of an embedding
    whose words are not in the window. This is `torch.optim.Adam` on dense gradients. PyTorch's
    SparseAdam is another algorithm: it leaves such rows and their state unchanged until their
    word occurs again.

    Parameters
    ----------
    parameters : layer, model, dict of path -> Parameter, or a list of these
    lr : float
        The learning rate; may be changed between steps.
    betas : tuple of two floats
        Decay of the two means at each step, in [0, 1).
    eps : float
        Positive; added outside the square root, as in PyTorch.
    weight_decay : float
        At least 0; ``weight_decay * data`` is added to the gradient. Compare `AdamW`.

    References
    ----------
    Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015.
    """

    decoupled = False  # True: weight decay shrinks the data and does not enter the gradient

    def __init__(
        self,
        parameters: ParametersLike,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        where = type(self).__name__
        if not (isinstance(betas, tuple | list) and len(betas) == 2):
            raise TypeError(f"{where}: betas must be two numbers, got {shortened(betas)}")
        for beta in betas:
            check_interval(where, "betas", beta, "[0, 1)")
        check_interval(where, "eps", eps, "(0, inf)")
        check_interval(where, "weight_decay", weight_decay, "[0, inf)")
        super().__init__(parameters, lr, ["first_moment", "second_moment"])
        for path, p in self.parameters.items():
            if p.data.dtype.type(eps) == 0:
                raise ValueError(
                    f"{where}: eps must not be 0 in {p.data.dtype} of {path}, got {eps}"
                )
        self.betas = float(betas[0]), float(betas[1])
        self.eps = float(eps)
        self.weight_decay = float(weight_decay)

    def update_parameter(self, path: str, parameter: Parameter) -> None:
        """Update one parameter with its gradient and its state."""
        beta1, beta2 = self.betas
        IMPLEMENTATIONS[parameter.impl].adam_update(
            parameter.data,
            self.state["first_moment"][path],
            self.state["second_moment"][path],
            parameter.grad,
            self.steps - self.unfrozen_at.get(path, 0),
            self.lr,
            beta1,
            beta2,
            self.eps,
            self.weight_decay,
            self.decoupled,
        )


class AdamW(Adam):
    """Adam with decoupled weight decay: ``data -= lr * weight_decay * data``.

    Added to the gradient, the decay would be divided by the size of the gradients, and so be
    weakest where they are large. The parameters are those of `Adam`.

    References
    ----------
    Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019.
    """

    decoupled = True

    def __init__(
        self,
        parameters: ParametersLike,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(parameters, lr, betas, eps, weight_decay)


OPTIMIZERS: dict[str, type[Optimizer]] = {"sgd": SGD, "adam": Adam, "adamw": AdamW}
"""The optimisers by their names in settings."""


class AveragedParameters:
    """Polyak averaging: the running mean of all parameters, from epoch `after` on.

    It is often better than the last parameters (Polyak and Juditsky 1992; Merity et al. 2018).
    """

    def __init__(self, model: Module, after: int) -> None:
        self.model = model
        self.after = after
        self.count = np.zeros(1, np.int64)  # updates in the mean
        self.mean = {path: np.zeros_like(p.data) for path, p in model.all_parameters().items()}

    def after_update(self, epoch: int) -> None:
        """Take the parameters into the mean if so many epochs are finished."""
        if epoch < self.after:
            return
        self.count += 1
        for path, parameter in self.model.all_parameters().items():
            mean = self.mean[path]
            mean += (parameter.data - mean) / int(self.count[0])

    def candidate_parameters(self) -> dict[str, Array] | None:
        """Return a copy of the mean if there is one."""
        if self.count[0] == 0:
            return None
        return {path: mean.copy() for path, mean in self.mean.items()}

    def state_dict(self) -> dict[str, Array]:
        """Return the arrays themselves: the mean by path, and the number of updates in it."""
        return {**self.mean, "count": self.count}


def decayed_rate(lr: float, epoch: int, *, decay: float, constant_epochs: int) -> float:
    """Return ``lr * decay ** max(epoch + 1 - constant_epochs, 0)``; epochs are counted from 0."""
    check_number("decayed_rate", "lr", lr)
    check_interval("decayed_rate", "decay", decay, "[0, 1]")
    epoch = check_whole("decayed_rate", "epoch", epoch, 0)
    constant_epochs = check_whole("decayed_rate", "constant_epochs", constant_epochs, 0)
    times = max(epoch + 1 - constant_epochs, 0)
    return float(lr) * float(decay) ** min(times, 2**63)  # later powers are all at their limit


def plateau_rate(
    lr: float, validation_losses: Sequence[float], *, decay: float, patience: int = 1
) -> float:
    """Return `lr` times `decay` for each `patience` epochs in a row without a new best loss.

    Parameters
    ----------
    lr : float
        The rate of the first epoch.
    validation_losses : sequence of float
        One for each finished epoch.
    decay : float
        In [0, 1], often 1/4.
    patience : int
        The count restarts after each decay. PyTorch counts one epoch less: its patience of 1 is 2
        here.
    """
    check_number("plateau_rate", "lr", lr)
    check_interval("plateau_rate", "decay", decay, "[0, 1]")
    check_whole("plateau_rate", "patience", patience)
    if real_array("plateau_rate", "validation_losses", validation_losses).ndim != 1:
        raise TypeError(
            "plateau_rate: validation_losses must be a sequence, one loss for each epoch, got "
            f"{validation_losses!r}"
        )
    best = math.inf
    waited = 0
    for loss in validation_losses:
        waited = 0 if loss < best else waited + 1
        best = min(best, loss)
        if waited == patience:
            lr *= decay
            waited = 0
    return lr
