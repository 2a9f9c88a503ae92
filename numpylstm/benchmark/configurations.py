"""What is measured: models of five sizes, with their weights, their data and their arithmetic.

Workers for other libraries use this too, so of the package it imports only what cells are.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numpylstm.cells import CELLS, Cell

Array = NDArray[Any]
Weights = Mapping[str, Array] | None
"""Initial parameters by path; None for the library's own."""

TASKS = {"train": "trainer", "evaluate": "evaluator", "sample": "sampler"}
"""What is measured, and the function of a peer that does it."""

EVALUATION_WINDOWS = 4  # scored in one call
SAMPLE_LENGTH = 20  # tokens drawn in one call


class BenchmarkError(Exception):
    """A measurement that cannot be made, or must not be believed; the sentence says why."""


@dataclass(frozen=True)
class Configuration:
    """A language model and the batches it is trained on: D = H.

    Attributes
    ----------
    name : str
    V, H, L, T, B : int
        Vocabulary, hidden units, layers, time steps, batch.
    dropout : float
        Probability of dropping, on the non-recurrent connections.
    lr, clip : float
        Of SGD and of the global norm.
    init_scale : float
        Parameters start as U(-init_scale, init_scale).
    cell : str
        A name in `numpylstm.cells.CELLS`; its options are the defaults.
    dtype : "float32" or "float64"
    """

    name: str
    V: int
    H: int
    L: int
    T: int
    B: int
    dropout: float = 0.5
    lr: float = 1.0
    clip: float = 5.0
    init_scale: float = 0.05
    cell: str = "lstm"
    dtype: str = "float32"

    @property
    def kind(self) -> Cell:
        """What there is to know of the cell."""
        return CELLS[self.cell]

    def __str__(self) -> str:
        return f"V {self.V:,}, H {self.H}, L {self.L}, T {self.T}, B {self.B}"


CONFIGURATIONS = {
    c.name: c
    for c in (
        Configuration("tiny", V=20, H=16, L=1, T=100, B=1),
        Configuration("char", V=65, H=128, L=2, T=50, B=32),
        Configuration("small", V=10_000, H=200, L=2, T=20, B=20),
        Configuration("medium", V=10_000, H=650, L=2, T=35, B=20),
        Configuration("large", V=10_000, H=1500, L=2, T=35, B=20),
        Configuration("gru-small", V=10_000, H=200, L=2, T=20, B=20, cell="gru"),
        Configuration("gru-medium", V=10_000, H=650, L=2, T=35, B=20, cell="gru"),
    )
}


def parameter_shapes(configuration: Configuration) -> dict[str, tuple[int, ...]]:
    """The shape of each parameter, by path."""
    V, H = configuration.V, configuration.H
    shapes: dict[str, tuple[int, ...]] = {"embedding.W": (V, H)}
    kind = configuration.kind
    options = {name: option.default for name, option in kind.options.items()}
    for layer in range(configuration.L):
        for key, shape in kind.shapes(H, H, options).items():
            shapes[f"{kind.name}.{layer}.{key}"] = shape
    return shapes | {"decoder.W": (H, V), "decoder.b": (V,)}


def weights(configuration: Configuration) -> dict[str, Array]:
    """Initial parameters by path: the same numbers in every process."""
    rng, dtype = np.random.default_rng(0), np.dtype(configuration.dtype)
    scale = dtype.type(configuration.init_scale)
    return {
        path: (2 * rng.random(shape, dtype=dtype) - 1) * scale
        for path, shape in parameter_shapes(configuration).items()
    }


def windows(configuration: Configuration, count: int) -> list[tuple[Array, Array]]:
    """Consecutive windows (x, y), each (T, B), of random text."""
    c = configuration
    ids = np.random.default_rng(1).integers(0, c.V, (count * c.T + 1, c.B))
    return [
        (ids[k * c.T : (k + 1) * c.T], ids[k * c.T + 1 : (k + 1) * c.T + 1]) for k in range(count)
    ]


def evaluation_text(configuration: Configuration) -> Array:
    """Random text (N,) that makes `EVALUATION_WINDOWS` full windows."""
    c = configuration
    length = c.B * (EVALUATION_WINDOWS * c.T + 1)
    return np.random.default_rng(1).integers(0, c.V, length)


def tokens(task: str, configuration: Configuration) -> int:
    """How many tokens one call of a task works through."""
    if task == "sample":
        return SAMPLE_LENGTH
    windows_in_call = EVALUATION_WINDOWS if task == "evaluate" else 1
    return windows_in_call * configuration.T * configuration.B


def flops(task: str, configuration: Configuration) -> int:
    """Multiplications and additions in the matrix products of one call; nothing else is counted.

    A token meets Wx and Wh of each layer and the decoder once on the way forward, and each of them
    twice on the way back: once for the gradient of the input, once for that of the matrix.
    """
    H, V, L = configuration.H, configuration.V, configuration.L
    columns = len(configuration.kind.blocks) * H
    forward = 2 * tokens(task, configuration) * (L * 2 * H * columns + H * V)
    return 3 * forward if task == "train" else forward
