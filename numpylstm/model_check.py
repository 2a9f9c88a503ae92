"""Gradient checks of whole models.

`check_model` is for language models: the loss is `numpylstm.network.loss_forward` with the
functions of `numpylstm.reference`, which accept complex numbers, so a model of any `impl` is
checked forward and backward at once. `check_module` compares any layer or model, also of a class of
your own, with the slope of its own forward pass.

``python -m numpylstm.model_check`` measures the error of every parameter of a two-layer model of
each kind of cell, with dropout, and prints the tables.
"""

import copy
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from numpylstm import network, reference
from numpylstm.cells import State, examples
from numpylstm.checks import Array, Rng, check_array, check_number, generator
from numpylstm.laboratory import gradcheck
from numpylstm.laboratory.gradcheck import Report
from numpylstm.models import LanguageModel, check_window

EVERY_ENTRY_UP_TO = 2_000  # parameters: one evaluation each, a few seconds in all
LOOSE = 1e-9  # a thousand times the usual: initial values may be large, units saturated


def pass_of_copy(
    model: LanguageModel, x: Array, y: Array, state: State, dtype: DTypeLike
) -> tuple[dict[str, Array], dict[str, Array], dict[str, Array]]:
    """Run a copy of the model, in the given dtype, forward and backward.

    Return its parameters, the gradients of those that are trained, and its dropout masks. The copy
    has its own arrays and its own generator, in the same position: the model does not change, and
    copies of either dtype draw the same masks.
    """
    twin = model.astype(dtype)
    state = type(state)(*(part.astype(dtype) for part in state))
    masks = twin.draw_masks(*x.shape)
    twin.forward(x, y, state, masks=masks)
    twin.backward()
    gradients = {path: parameter.grad for path, parameter in twin.parameters().items()}
    return twin.state_dict(), gradients, masks


def random_state(model: LanguageModel, batch_size: int, rng: np.random.Generator) -> State:
    """Draw a state from U(0.25, 0.75), float64.

    Zeros would hide mistakes, and an sLSTM divides by n, which is a sum of positive weights.
    """
    zeros = model.zero_state(batch_size)
    return type(zeros)(*(rng.uniform(0.25, 0.75, part.shape) for part in zeros))


def _start(
    where: str, model: LanguageModel, x: Array, y: Array, state: Any, rng: np.random.Generator
) -> tuple[Array, Array, State]:
    """Check the window and the state; the state is random if none is given."""
    x, y, given = check_window(where, model, x, y, state)
    if not model.parameters():
        raise ValueError(f"{where}: the model must have a parameter that is trained, got none")
    return x, y, random_state(model, x.shape[1], rng) if state is None else given


def check_model(
    model: LanguageModel,
    x: Array,
    y: Array,
    state: State | None = None,
    *,
    along: str = "arrays",
    tolerance: float | None = None,
    rng: Rng = 0,
) -> Report:
    """Compare a model's own backward pass, in float64, with the slope of the textbook's loss.

    The slope is measured by the complex step. The model does not change: a copy is checked, with
    the same parameters in float64 and the masks that the model would draw next.

    Parameters
    ----------
    model : LanguageModel
        With any cell, dtype and `impl`.
    x, y : (T, B) integers in [0, V)
        Tokens and their successors; a few steps and streams are enough.
    state : state of the cell, optional
        The state before the window; by default a random one.
    along : "arrays", "entries" or "all"
        As in `numpylstm.laboratory.gradcheck.check`.
    tolerance : float, optional
        Largest relative error that passes, by default 1e-12. A saturated unit needs more: the
        slope of tanh, 1 - h^2, has no digits left where h is nearly 1.
    rng : Generator or int
        Draws the random directions and the random state.

    Returns
    -------
    Report
        By parameter path.

    Examples
    --------
    >>> import numpy as np, numpylstm as nl
    >>> from numpylstm.model_check import check_model
    >>> model = nl.LanguageModel(11, 6, num_layers=2, dropout=0.3, rng=0)
    >>> ids = np.arange(18).reshape(6, 3) % 11  # (T + 1, B)
    >>> check_model(model, ids[:-1], ids[1:]).passed
    True
    """
    rng = generator(rng)
    x, y, state = _start("check_model", model, x, y, state, rng)
    arrays, gradients, masks = pass_of_copy(model, x, y, state, np.float64)

    def loss(point: dict[str, Array]) -> Any:
        value, _, _ = network.loss_forward(
            reference, model.config, arrays | point, x, y, state, masks
        )
        return value

    trained = {path: arrays[path] for path in gradients}
    return gradcheck.check(
        loss, trained, gradients, method="complex", along=along, tolerance=tolerance, rng=rng
    )


def check_module(
    module: Any,
    forward: Callable[[Any], Any],
    backward: Callable[[Any], Any] | None = None,
    *,
    method: str = "central",
    along: str = "entries",
    tolerance: float | None = None,
    rng: np.random.Generator | int = 0,
) -> Report:
    """Compare the backward pass of any layer or model with the slope of its forward pass.

    Every evaluation is that of a copy, whose generator stands where that of the module stands: all
    draw the same dropout masks, and the module does not change.

    Parameters
    ----------
    module : layer or model
        With float64 parameters.
    forward : callable
        Takes the module, runs a forward pass and returns the loss, alone or first in a tuple.
    backward : callable, optional
        Takes the module and runs the backward pass; by default ``module.backward()``.
    method : "central" or "complex"
        With the complex step the parameters are complex: the forward pass must be plain NumPy.
    along, tolerance, rng
        As in `numpylstm.laboratory.gradcheck.check`.

    Examples
    --------
    >>> import numpy as np, numpylstm as nl
    >>> from numpylstm.model_check import check_module
    >>> model = nl.SequenceTagger(11, 2, 6, dtype="float64", dropout=0.3, rng=0)
    >>> ids = np.arange(12).reshape(4, 3) % 11  # (T, B)
    >>> check_module(model, lambda m: m.forward(ids, ids % 2), along="arrays").passed
    True
    """

    def loss(point: dict[str, Array]) -> Any:
        twin = copy.deepcopy(module)
        for path, parameter in twin.parameters().items():
            parameter.data = point[path]
        result = forward(twin)
        return result[0] if isinstance(result, tuple) else result

    parameters = module.parameters()
    for path, parameter in parameters.items():
        check_array("check_module", path, parameter.data, dtype=np.dtype("f8"))
    twin = copy.deepcopy(module)
    for parameter in twin.all_parameters().values():
        parameter.zero_grad()
    forward(twin)
    if backward is None:
        twin.backward()
    else:
        backward(twin)
    return gradcheck.check(
        loss,
        {path: parameter.data for path, parameter in parameters.items()},
        {path: parameter.grad for path, parameter in twin.parameters().items()},
        method=method,
        along=along,
        tolerance=tolerance,
        rng=rng,
    )


def check_precision(
    model: LanguageModel,
    x: Array,
    y: Array,
    state: State | None = None,
    *,
    tolerance: float = 1e-3,
    rng: Rng = 0,
) -> Report:
    """Compare the gradient in the model's own dtype with the same backward pass in float64.

    Parameters
    ----------
    model, x, y, state
        As in `check_model`; the model does not change.
    tolerance : float
        Largest relative error that passes. Rounding leaves float32 5 or 6 of its 7 digits in sums
        of this length; a mistake leaves none.
    rng : Generator or int
        Draws the random state.

    Returns
    -------
    Report
        The worst entry of every array; "slope" is the float64 gradient.
    """
    check_number("check_precision", "tolerance", tolerance)
    x, y, state = _start("check_precision", model, x, y, state, generator(rng))
    dtype = np.dtype(model.config.dtype)
    _, own, _ = pass_of_copy(model, x, y, state, dtype)
    _, exact, _ = pass_of_copy(model, x, y, state, np.float64)
    entries = tuple(gradcheck.compare(path, own[path], exact[path], tolerance) for path in own)
    return Report(entries, f"the gradient in {dtype} beside the one in float64", tolerance)


def check_before_training(model: LanguageModel, x: Array, y: Array) -> list[Report]:
    """Check a model as ``numpylstm-train --check-gradients`` does.

    `check_model` looks at every entry of a small model, and along one random direction in each
    array of a larger one. If the model is in float32, `check_precision` follows.
    """
    small = sum(p.data.size for p in model.parameters().values()) <= EVERY_ENTRY_UP_TO
    along = "entries" if small else "arrays"
    reports = [check_model(model, x, y, along=along, tolerance=LOOSE)]
    if model.config.dtype == "float32":
        reports.append(check_precision(model, x, y))
    return reports


def check_examples(impl: str = "fast") -> dict[str, Report]:
    """Check every entry of every parameter of one small model of each kind.

    T=5, B=3, D=4, H=6, V=11, two layers, dropout 0.3: all sizes differ, no number is special.

    Returns
    -------
    reports : dict of the kind of model -> Report
    """
    reports = {}
    for kind, settings in examples().items():
        rng = np.random.default_rng(0)
        model = LanguageModel(
            11, 6, 2, embedding_size=4, dropout=0.3, init_scale=0.5, impl=impl, rng=rng, **settings
        )
        x, y = rng.integers(0, 11, (2, 5, 3))
        reports[kind] = check_model(model, x, y, along="entries", rng=rng)
    return reports


def main() -> int:
    """``python -m numpylstm.model_check``: print the reports, and return 0 if all passed."""
    reports = check_examples()
    for kind, report in reports.items():
        print(f"{kind}, two layers\n{report}\n")
    return int(not all(report.passed for report in reports.values()))


if __name__ == "__main__":
    sys.exit(main())
