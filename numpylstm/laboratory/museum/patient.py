"""The patient: a language model of pure functions, whose every function can be exchanged.

Embedding, recurrent layers, a mask, a linear decoder, and a weighted cross-entropy; beside it what
the next window asks of the final states. All mathematics is that of `numpylstm.reference`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numpylstm import reference
from numpylstm.cells import CELLS
from numpylstm.config import ModelConfig
from numpylstm.laboratory import gradcheck
from numpylstm.laboratory.museum import around
from numpylstm.laboratory.museum.mutant import Mutant, check_mutant
from numpylstm.models import (
    ForwardPass,
    LanguageModel,
    Window,
    check_language_model,
    language_model_forward,
)
from numpylstm.parameters import parameter_shapes

Array = NDArray[Any]
Arrays = dict[str, Array]

T, B, D, H, V, L = 5, 3, 4, 6, 11, 2


def functions(mutant: Mutant | None) -> SimpleNamespace:
    """The functions of the reference and of `around`, with the mutant's among them."""
    modules = {reference: reference, around: around}
    if mutant is not None:
        modules[mutant.module] = mutant.functions()
    return SimpleNamespace(**vars(modules[reference]), clip=modules[around].clip,
                           zero_gradients=modules[around].zero_gradients)  # fmt: skip


def parameters(rng: np.random.Generator, config: ModelConfig, V: int, scale: float) -> Arrays:
    """Parameters by path, all random, biases too."""
    return {path: scale * rng.standard_normal(shape) for path, shape in parameter_shapes(config, V)}


def with_states(arrays: Arrays, config: ModelConfig, make: Callable[[str], Array]) -> Arrays:
    """The arrays, and for each layer what the window before left and what the next one asks for."""
    states = [
        f"{config.cell}.{layer}.{name}"
        for layer in range(config.num_layers)
        for state in CELLS[config.cell].states
        for name in (f"{state}0", f"d{state}T")
    ]
    return arrays | {path: make(path) for path in states}


def forward(
    arrays: Mapping[str, Array], f: SimpleNamespace, config: ModelConfig
) -> tuple[Any, ForwardPass]:
    """The loss, what the next window asks for included, and the pass."""

    def states(form: str) -> list[Array]:
        layers, fields = range(config.num_layers), CELLS[config.cell].states
        return [
            np.stack([arrays[f"{config.cell}.{layer}.{form.format(s)}"] for layer in layers])
            for s in fields
        ]

    masks = [*[None] * config.num_layers, arrays["mask"]]  # before the decoder
    window = Window(arrays["ids"], arrays["targets"], states("{}0"), masks, arrays["weights"])
    passed = language_model_forward(arrays, window, f, config)
    asked = zip(states("d{}T"), passed.state, strict=True)
    return passed.loss + sum(np.sum(d * state) for d, state in asked), passed


def backward(arrays: Mapping[str, Array], f: SimpleNamespace, config: ModelConfig) -> Arrays:
    """The gradient of the loss for every parameter and every initial state."""
    cell = CELLS[config.cell]
    keys = cell.parameters(config.options)
    step_backward = cell.function(f, "backward")
    _, passed = forward(arrays, f, config)
    dlogits = f.sequence_cross_entropy_backward(passed.criterion)
    dx, dW, db = f.linear_backward(dlogits, passed.decoder)
    gradients: Arrays = {"decoder.W": dW, "decoder.b": db}
    dx = f.dropout_backward(dx, passed.masks[-1])
    prefixes = [f"{config.cell}.{layer}" for layer in range(config.num_layers)]
    room = f.zero_gradients([{key: arrays[f"{p}.{key}"] for key in keys} for p in prefixes])
    for prefix, cache, own in reversed(list(zip(prefixes, passed.cells, room, strict=True))):
        final = [arrays[f"{prefix}.d{s}T"] for s in cell.states]
        dx, *rest = step_backward(dx, *final, cache)
        gradients |= {f"{prefix}.{s}0": d for s, d in zip(cell.states, rest, strict=False)}
        for key, gradient in zip(keys, rest[len(cell.states) :], strict=False):
            own[key] += gradient
    for prefix, own in zip(prefixes, room, strict=True):
        gradients |= {f"{prefix}.{key}": gradient for key, gradient in own.items()}
    gradients["embedding.W"] = f.embedding_backward(dx, passed.embedding)
    return gradients


@dataclass(frozen=True)
class Case:
    """What a gradient check takes: a function, its backward pass, and a point.

    f and backward take `arrays` and `fixed` in one dict.
    """

    f: Callable[[Mapping[str, Array]], Any]
    backward: Callable[[Mapping[str, Array]], Arrays]
    arrays: Arrays
    fixed: Arrays

    def check(self, method: str = "complex") -> gradcheck.Report:
        """`numpylstm.laboratory.gradcheck.check` of the case."""
        claimed = self.backward({**self.fixed, **self.arrays})
        return gradcheck.check(
            lambda arrays: self.f({**self.fixed, **arrays}),
            self.arrays,
            {path: claimed[path] for path in self.arrays},
            method=method,
        )


def case(mutant: Mutant | None = None, *, cell: str = "lstm", seed: int = 20141) -> Case:
    """The patient with a mutant's mistake, or in good health, at a random point.

    Parameters
    ----------
    mutant : Mutant, optional
        None for the right backward pass.
    cell : str
        A name in `numpylstm.cells.CELLS`.
        Where the mutant does not fix it.
    seed : int

    Returns
    -------
    Case

    Examples
    --------
    >>> from numpylstm import museum
    >>> museum.case().check().passed
    True
    >>> museum.case(museum.MUTANTS["dh-next-dropped"]).check().passed
    False
    """
    if mutant is not None:
        check_mutant("case", mutant)
    rng = np.random.default_rng(seed)
    config = ModelConfig(
        cell=cell if mutant is None else mutant.cell,
        options={} if mutant is None else mutant.options,
        hidden_size=H,
        num_layers=L,
        # Layers can share a gradient only where their weights have one shape.
        embedding_size=H if mutant is not None and mutant.equal_layers else D,
        average_across_timesteps=True,
    )
    arrays = parameters(rng, config, V, scale=0.5)
    fixed: Arrays = {
        "ids": rng.integers(0, 5, (T, B)),  # some words occur more than once, and one time step
        "targets": rng.integers(0, V, (T, B)),  # can have three different ones
        "weights": rng.uniform(0.5, 2.0, (T, B)),
        "mask": rng.choice([0.0, 2.0], (T, B, H)),
    }
    for path, array in with_states({}, config, lambda _: rng.standard_normal((B, H))).items():
        if path.endswith("0"):
            arrays[path] = array
        else:
            fixed[path] = 0.2 * array
    f = functions(mutant)
    if mutant is not None and mutant.function == "clip":
        return _clipped(f, arrays, fixed, config)
    return Case(lambda a: forward(a, f, config)[0], lambda a: backward(a, f, config), arrays, fixed)


def _clipped(f: SimpleNamespace, arrays: Arrays, fixed: Arrays, config: ModelConfig) -> Case:
    """Clipping as a gradient: that of the loss times one number, max_norm / norm of its slope.

    Clipping by global norm has exactly this gradient; no other clipping is the gradient of a
    multiple of the loss. The norm comes from measured slopes.
    """
    weights = {path: a for path, a in arrays.items() if not path.endswith("0")}
    fixed = fixed | {path: a for path, a in arrays.items() if path not in weights}
    slopes = gradcheck.complex_step(lambda a: forward({**fixed, **a}, f, config)[0], weights)
    norm = float(np.sqrt(sum(np.sum(s * s) for s in slopes.values())))
    max_norm = norm / 10
    return Case(
        lambda a: forward(a, f, config)[0] * (max_norm / norm),
        lambda a: f.clip(
            {path: g for path, g in backward(a, f, config).items() if path in weights}, max_norm
        ),
        weights,
        fixed,
    )


def _in_words(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value!r}" for name, value in settings.items())


def infect(model: LanguageModel, mutant: Mutant) -> LanguageModel:
    """Give every layer of a real model the functions of the reference with a mutant's mistake.

    Parameters
    ----------
    model : LanguageModel
        It is changed, and returned.
    mutant : Mutant
        One of `numpylstm.reference`; those around the layers have no place in a layer.

    Returns
    -------
    LanguageModel

    Examples
    --------
    >>> import numpylstm as nl
    >>> from numpylstm import museum
    >>> model = museum.infect(nl.LanguageModel(11, 6, rng=0), museum.MUTANTS["dc-next-dropped"])
    """
    check_language_model("infect", model)
    check_mutant("infect", mutant)
    if mutant.module is not reference:
        raise ValueError(
            f"infect: the mutant must change numpylstm.reference, got {mutant.name!r}, which "
            f"changes {mutant.module.__name__}; use museum.case or museum.train"
        )
    own = {"cell": model.config.cell, **model.config.options}
    needed = {"cell": mutant.cell, **mutant.options}
    of_a_cell = mutant.function.split("_")[0] in CELLS
    if of_a_cell and not needed.items() <= own.items():
        raise ValueError(
            f"infect: {mutant.name!r} is a mistake of {_in_words(needed)}, got a model with "
            f"{_in_words(own)}"
        )
    encoder = model.encoder
    layers: tuple[Any, ...] = (
        encoder.embedding, encoder.input_dropout, encoder.recurrent, *encoder.recurrent.dropouts,
        encoder.output_dropout, model.decoder, model.criterion,
    )  # fmt: skip
    functions = mutant.functions()
    for layer in layers:
        layer.functions = functions
    return model
