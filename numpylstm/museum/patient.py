"""The patient: a language model of pure functions, each of which can be replaced.

Embedding, recurrent layers, a mask, a linear decoder and a weighted cross-entropy, with a gradient
from the next window for every final state. All mathematics is in `numpylstm.reference`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FunctionType, SimpleNamespace
from typing import Any

import numpy as np

from numpylstm import network, reference
from numpylstm.cells import CELLS
from numpylstm.checks import Array
from numpylstm.config import ModelConfig
from numpylstm.laboratory import gradcheck
from numpylstm.laboratory.mistakes import around
from numpylstm.laboratory.mistakes.famous import check_mutant
from numpylstm.laboratory.mistakes.record import Mistake
from numpylstm.masks import Cache
from numpylstm.models import LanguageModel, check_language_model
from numpylstm.parameters import parameter_shapes

Arrays = dict[str, Array]

T, B, D, H, V, L = 5, 3, 4, 6, 11, 2


def functions(mutant: Mistake | None) -> tuple[Any, ...]:
    """Return `reference` and `around`, one of them with the mistake."""
    spoilt = {} if mutant is None else {mutant.module: mutant.functions()}
    return tuple(spoilt.get(right.__name__, right) for right in (reference, around))


def parameters(rng: np.random.Generator, config: ModelConfig, V: int, scale: float) -> Arrays:
    """Draw parameters by path, all random, biases too."""
    return {path: scale * rng.standard_normal(shape) for path, shape in parameter_shapes(config, V)}


def state_paths(config: ModelConfig) -> list[str]:
    """List the paths of the initial states and of the gradients from the next window, by layer."""
    return [
        f"{config.cell}.{layer}.{name}"
        for layer in range(config.num_layers)
        for state in CELLS[config.cell].states
        for name in (f"{state}0", f"d{state}T")
    ]


def stacked_state(arrays: Mapping[str, Array], config: ModelConfig, form: str) -> Any:
    """Return the state with the arrays of all layers: of the form ``{}0`` or ``d{}T``."""
    cell = CELLS[config.cell]
    parts = []
    for name in cell.states:
        paths = [f"{cell.name}.{k}.{form.format(name)}" for k in range(config.num_layers)]
        parts.append(np.stack([arrays[path] for path in paths]))
    return cell.State(*parts)


def loss_and_cache(arrays: Mapping[str, Array], config: ModelConfig) -> tuple[Any, Cache]:
    """Return the loss plus the gradients from the next window times the final states."""
    loss, final, cache = network.loss_forward(
        reference,
        config,
        arrays,
        arrays["ids"],
        arrays["targets"],
        stacked_state(arrays, config, "{}0"),
        {"output": arrays["mask"]},
        weights=arrays["weights"],
    )
    for dpart, part in zip(stacked_state(arrays, config, "d{}T"), final, strict=True):
        loss = loss + np.sum(dpart * part)
    return loss, cache


def loss_and_gradients(
    arrays: Mapping[str, Array], config: ModelConfig, f: tuple[Any, ...]
) -> tuple[Any, Arrays]:
    """Return the loss, and its gradient for every parameter and every initial state.

    The loss includes the gradients from the next window times the final states.
    """
    of_layers, outside = f
    cell = CELLS[config.cell]
    value, cache = loss_and_cache(arrays, config)
    dfinal = stacked_state(arrays, config, "d{}T")
    gradients, dstate = network.loss_backward(of_layers, config, cache, dfinal)
    for name, dpart in zip(cell.states, dstate, strict=True):
        for k in range(config.num_layers):
            gradients[f"{cell.name}.{k}.{name}0"] = dpart[k]
    keys = cell.parameters(config.options)
    paths = [{k: f"{config.cell}.{n}.{k}" for k in keys} for n in range(config.num_layers)]
    room = outside.zero_gradients([{k: arrays[path] for k, path in of.items()} for of in paths])
    for of, own in zip(paths, room, strict=True):
        for key, path in of.items():
            own[key] += gradients[path]
    for of, own in zip(paths, room, strict=True):  # after all sums: layers may share an array
        gradients |= {path: own[key] for key, path in of.items()}
    return value, gradients


@dataclass(frozen=True)
class Case:
    """The arguments of a gradient check: a function, its backward pass, and a point.

    f and backward take `arrays` and `fixed` in one dict.
    """

    f: Callable[[Mapping[str, Array]], Any]
    backward: Callable[[Mapping[str, Array]], Arrays]
    arrays: Arrays
    fixed: Arrays

    def check(self) -> gradcheck.Report:
        """Run `numpylstm.laboratory.gradcheck.check` on the case, by the complex step."""
        gradients = self.backward(self.fixed | self.arrays)
        return gradcheck.check(
            lambda a: self.f(self.fixed | a), self.arrays, gradients, method="complex"
        )


def case(mutant: Mistake | None = None, *, cell: str = "lstm", seed: int = 20141) -> Case:
    """Return the patient with a mutant's mistake, or healthy, at a random point.

    Parameters
    ----------
    mutant : Mistake, optional
        None for the right backward pass.
    cell : str
        A name in `numpylstm.cells.CELLS`, if the mutant does not fix it. The m of an sLSTM is
        fixed for the complex step and not for central differences, which therefore disagree.
    seed : int
    """
    options: Mapping[str, Any] = {}
    input_size = D
    if mutant is not None:
        check_mutant("case", mutant)
        cell, options = mutant.cell, mutant.options
        if mutant.equal_layers:  # they can share a gradient only if their weights have one shape
            input_size = H
    rng = np.random.default_rng(seed)
    config = ModelConfig(
        cell=cell,
        options=options,
        hidden_size=H,
        num_layers=L,
        embedding_size=input_size,
        average_across_timesteps=True,
    )
    arrays = parameters(rng, config, V, scale=0.5)
    fixed: Arrays = {
        "ids": rng.integers(0, 5, (T, B)),  # some words occur more than once, and one time step
        "targets": rng.integers(0, V, (T, B)),  # can have three different ones
        "weights": rng.uniform(0.5, 2.0, (T, B)),
        "mask": rng.choice([0.0, 2.0], (T, B, H)),
    }
    for path in state_paths(config):
        array = rng.standard_normal((B, H))
        if path.endswith("0"):
            arrays[path] = array
        else:
            fixed[path] = 0.2 * array
    f = functions(mutant)
    whole = Case(
        lambda a: loss_and_cache(a, config)[0],
        lambda a: loss_and_gradients(a, config, f)[1],
        arrays,
        fixed,
    )
    clips = mutant is not None and mutant.function == "clip"
    return _clipped(whole, f[1].clip) if clips else whole


def _clipped(whole: Case, clip: Callable[[Arrays, float], Arrays]) -> Case:
    """Return clipping as the gradient of the loss times one number, max_norm / norm of its slope.

    Clipping by global norm has exactly this gradient; no other clipping is the gradient of a
    multiple of the loss. The norm comes from measured slopes.
    """
    weights = {path: a for path, a in whole.arrays.items() if not path.endswith("0")}
    fixed = whole.fixed | {path: a for path, a in whole.arrays.items() if path not in weights}
    slopes = gradcheck.complex_step(lambda a: whole.f(fixed | a), weights)
    norm = float(np.sqrt(sum(np.sum(s * s) for s in slopes.values())))
    max_norm = norm / 10

    def clipped(a: Mapping[str, Array]) -> Arrays:
        gradients = whole.backward(a)
        return clip({path: gradients[path] for path in weights}, max_norm)

    return Case(lambda a: whole.f(a) * (max_norm / norm), clipped, weights, fixed)


def infect(model: LanguageModel, mutant: Mistake) -> LanguageModel:
    """Give every layer of a real model the functions of the reference with a mutant's mistake.

    Parameters
    ----------
    model : LanguageModel
        It is changed, and returned.
    mutant : Mistake
        One of `numpylstm.reference`; those around the layers have no place in a layer.

    Examples
    --------
    >>> import numpylstm as nl
    >>> from numpylstm import museum
    >>> model = museum.infect(nl.LanguageModel(11, 6, rng=0), museum.MUTANTS["dc-next-dropped"])
    """
    check_language_model("infect", model)
    check_mutant("infect", mutant)
    if mutant.module != reference.__name__:
        raise ValueError(
            f"infect: the mutant must change numpylstm.reference, got {mutant.name!r}, which "
            f"changes {mutant.module}; use museum.case or museum.train"
        )
    own = {"cell": model.config.cell, **model.config.options}
    needed = {"cell": mutant.cell, **mutant.options}
    if mutant.function.split("_")[0] in CELLS and not needed.items() <= own.items():
        expected, got = (", ".join(f"{k} {v!r}" for k, v in d.items()) for d in (needed, own))
        raise ValueError(
            f"infect: {mutant.name!r} is a mistake of {expected}, got a model with {got}"
        )
    wrong = mutant.functions()
    values = {name: getattr(wrong, name) for name in dir(wrong)}
    # Functions alone, so that the model can be copied: a module cannot.
    model.replaced_functions = SimpleNamespace(
        **{name: value for name, value in values.items() if isinstance(value, FunctionType)}
    )
    return model
