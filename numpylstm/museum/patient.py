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

from numpylstm import gradcheck, reference
from numpylstm.models import LanguageModel
from numpylstm.museum import around
from numpylstm.museum.mutant import Mutant

Array = NDArray[Any]
Arrays = dict[str, Array]

T, B, D, H, V, L = 5, 3, 4, 6, 11, 2
WEIGHTS = ("Wx", "Wh", "b")


def functions(mutant: Mutant | None) -> SimpleNamespace:
    """The functions of the reference and of `around`, with the mutant's among them."""
    modules = {reference: reference, around: around}
    if mutant is not None:
        modules[mutant.module] = mutant.functions()
    return SimpleNamespace(**vars(modules[reference]), clip=modules[around].clip,
                           zero_gradients=modules[around].zero_gradients)  # fmt: skip


def parameters(
    rng: np.random.Generator,
    cell: str = "lstm",
    *,
    D: int = D,
    H: int = H,
    V: int = V,
    L: int = L,
    scale: float = 0.5,
) -> Arrays:
    """Parameters by path, all random, biases too."""
    columns = (4 if cell == "lstm" else 1) * H
    shapes: dict[str, tuple[int, ...]] = {"embedding.W": (V, D)}
    for layer in range(L):
        shapes[f"{cell}.{layer}.Wx"] = (D if layer == 0 else H, columns)
        shapes[f"{cell}.{layer}.Wh"] = (H, columns)
        shapes[f"{cell}.{layer}.b"] = (columns,)
    shapes |= {"decoder.W": (H, V), "decoder.b": (V,)}
    return {path: scale * rng.standard_normal(shape) for path, shape in shapes.items()}


def layers_of(arrays: Mapping[str, Array]) -> list[str]:
    """``["lstm.0", "lstm.1"]``."""
    return [path.removesuffix(".Wh") for path in arrays if path.endswith(".Wh")]


def states_of(prefix: str) -> tuple[str, ...]:
    """What a cell carries: ("h", "c"), or ("h",) for the vanilla cell."""
    return ("h", "c") if prefix.startswith("lstm") else ("h",)


def forward(arrays: Mapping[str, Array], f: SimpleNamespace) -> tuple[Any, list[Any]]:
    """The loss, with the caches of all layers."""
    x, cache = f.embedding_forward(arrays["ids"], arrays["embedding.W"])
    caches, loss = [cache], 0.0
    for prefix in layers_of(arrays):
        weights = [arrays[f"{prefix}.{name}"] for name in WEIGHTS]
        states = states_of(prefix)
        initial = [arrays[f"{prefix}.{s}0"] for s in states]
        run = f.lstm_forward if "c" in states else f.rnn_forward
        x, *final, cache = run(x, *initial, *weights)
        for s, state in zip(states, final, strict=True):
            loss = loss + np.sum(arrays[f"{prefix}.d{s}T"] * state)
        caches.append(cache)
    x, cache = f.dropout_forward(x, arrays["mask"])
    logits, linear = f.linear_forward(x, arrays["decoder.W"], arrays["decoder.b"])
    crossed, cross = f.sequence_cross_entropy_forward(
        logits, arrays["targets"], arrays["weights"], average_across_timesteps=True
    )
    return loss + crossed, [*caches, cache, linear, cross]


def backward(arrays: Mapping[str, Array], f: SimpleNamespace) -> Arrays:
    """The gradient of the loss for every parameter and every initial state."""
    _, (embedding, *cells, mask, linear, cross) = forward(arrays, f)
    dlogits = f.sequence_cross_entropy_backward(cross)
    dx, dW, db = f.linear_backward(dlogits, linear)
    gradients: Arrays = {"decoder.W": dW, "decoder.b": db}
    dx = f.dropout_backward(dx, mask)
    prefixes = layers_of(arrays)
    weights = [{name: arrays[f"{prefix}.{name}"] for name in WEIGHTS} for prefix in prefixes]
    room = f.zero_gradients(weights)
    for prefix, cache, own in reversed(list(zip(prefixes, cells, room, strict=True))):
        states = states_of(prefix)
        final = [arrays[f"{prefix}.d{s}T"] for s in states]
        run = f.lstm_backward if "c" in states else f.rnn_backward
        dx, *initial, dWx, dWh, db = run(dx, *final, cache)
        gradients |= {f"{prefix}.{s}0": d for s, d in zip(states, initial, strict=True)}
        for name, gradient in zip(WEIGHTS, (dWx, dWh, db), strict=True):
            own[name] += gradient
    for prefix, own in zip(prefixes, room, strict=True):
        gradients |= {f"{prefix}.{name}": gradient for name, gradient in own.items()}
    gradients["embedding.W"] = f.embedding_backward(dx, embedding)
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
        """`numpylstm.gradcheck.check` of the case."""
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
    cell : "lstm" or "rnn"
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
    rng = np.random.default_rng(seed)
    cell = cell if mutant is None else mutant.cell
    # Layers can share a gradient only where their weights have one shape.
    arrays = parameters(rng, cell, D=H if mutant and mutant.equal_layers else D)
    fixed: Arrays = {
        "ids": rng.integers(0, 5, (T, B)),  # some words occur more than once, and one time step
        "targets": rng.integers(0, V, (T, B)),  # can have three different ones
        "weights": rng.uniform(0.5, 2.0, (T, B)),
        "mask": rng.choice([0.0, 2.0], (T, B, H)),
    }
    for prefix in layers_of(arrays):
        for state in states_of(prefix):
            arrays[f"{prefix}.{state}0"] = rng.standard_normal((B, H))
            fixed[f"{prefix}.d{state}T"] = 0.2 * rng.standard_normal((B, H))
    f = functions(mutant)
    if mutant is None or mutant.function != "clip":
        return Case(lambda a: forward(a, f)[0], lambda a: backward(a, f), arrays, fixed)
    return _clipped(f, arrays, fixed)


def _clipped(f: SimpleNamespace, arrays: Arrays, fixed: Arrays) -> Case:
    """Clipping as a gradient: that of the loss times one number, max_norm / norm of its slope.

    Clipping by global norm has exactly this gradient; no other clipping is the gradient of a
    multiple of the loss. The norm comes from measured slopes.
    """
    weights = {path: a for path, a in arrays.items() if not path.endswith(("h0", "c0"))}
    fixed = fixed | {path: a for path, a in arrays.items() if path not in weights}
    slopes = gradcheck.complex_step(lambda a: forward({**fixed, **a}, f)[0], weights)
    norm = float(np.sqrt(sum(np.sum(s * s) for s in slopes.values())))
    max_norm = norm / 10
    return Case(
        lambda a: forward(a, f)[0] * (max_norm / norm),
        lambda a: f.clip({path: g for path, g in backward(a, f).items() if path in weights},
                         max_norm),
        weights,
        fixed,
    )  # fmt: skip


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
    if mutant.module is not reference:
        raise ValueError(
            f"infect: the mutant must change numpylstm.reference, got {mutant.name!r}, which "
            f"changes {mutant.module.__name__}; use museum.case or museum.train"
        )
    encoder = model.encoder
    layers = (
        encoder.embedding, encoder.input_dropout, encoder.recurrent, *encoder.recurrent.dropouts,
        encoder.output_dropout, model.decoder, model.criterion,
    )  # fmt: skip
    functions = mutant.functions()
    for layer in layers:
        layer.f = functions
    return model
