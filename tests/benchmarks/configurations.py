"""The models and shapes that are measured: their weights, their data and their arithmetic.

Workers for other libraries import this module, so of numpylstm it imports only `cells`.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from numpylstm.cells import CELLS

# Each task, and the function of a peer that does it.
TASKS = {
    "train": "train",
    "evaluate": "evaluate",
    "sample": "sample",
    "stream": "advance",  # one time step; the next call goes on from its state
    "restart": "advance",  # one time step, always from the same given state
}

EVALUATION_WINDOWS = 4  # scored in one call
SAMPLE_LENGTH = 20  # tokens drawn in one call


class BenchmarkError(Exception):
    """A measurement that cannot be made, or cannot be trusted; the message says why."""


@dataclass(frozen=True)
class Configuration:
    """A language model with D = H, and the size of its batches.

    Vocabulary, hidden units, layers, time steps, batch. Parameters start as U(-init_scale,
    init_scale); the options of the cell are the defaults; the optimiser is SGD. The given state of
    a single time step is U(-state_scale, state_scale).
    """

    name: str
    V: int
    H: int
    L: int
    T: int
    B: int
    dropout: float = 0.5
    # Thousands of steps on random text at a rate of 1 drive the gates so far into saturation that
    # some numbers become subnormal, which processors multiply a hundred times more slowly.
    lr: float = 1e-3
    clip: float = 5.0
    init_scale: float = 0.05
    cell: str = "lstm"
    dtype: str = "float32"
    state_scale: float = 0.0

    def __str__(self):
        return f"V {self.V:,}, H {self.H}, L {self.L}, T {self.T}, B {self.B}"


CONFIGURATIONS = {
    c.name: c
    for c in (
        Configuration("tiny", V=20, H=16, L=1, T=100, B=1),
        Configuration("char", V=65, H=128, L=2, T=50, B=32),
        Configuration("small", V=10_000, H=200, L=2, T=20, B=20),
        Configuration("medium", V=10_000, H=650, L=2, T=35, B=20),
        Configuration("large", V=10_000, H=1500, L=2, T=35, B=20),
    )
}
CONFIGURATIONS |= {
    f"gru-{size}": replace(CONFIGURATIONS[size], name=f"gru-{size}", cell="gru")
    for size in ("small", "medium")
}


def shapes(*sizes, **others):
    """Return a configuration for each (V, H, L, T, B)."""
    return tuple(Configuration("", *size, **others) for size in sizes)  # type: ignore[arg-type]


SCORED = "forward"  # the group of the grid that is scored; the others are trained
TINY, CHAR = (20, 16, 1, 100, 1), (65, 128, 2, 50, 32)
SMALL, WIDE = (10_000, 200, 2, 20, 20), (1000, 512, 2, 32, 32)

GRID = {
    # from a toy to a network whose matrices exceed every cache
    "hidden": shapes(
        (1000, 8, 1, 32, 32), *((1000, H, 2, 32, 32) for H in (32, 64, 128, 256, 512, 1024))
    ),
    # few rows in a product, and many
    "batch": shapes(*((1000, 200, 2, 20, B) for B in (1, 2, 8, 64, 256)), (10_000, 650, 2, 35, 1)),
    # a single step, and sequences in which a fixed cost of each step shows
    "time": shapes(
        *((1000, 256, 2, T, 32) for T in (1, 4, 128)),
        (100, 64, 1, 512, 4), (100, 256, 1, 512, 1), (10, 1024, 1, 512, 4),
    ),
    # hardly any decoder, and hardly anything else
    "vocabulary": shapes(
        (10, 128, 2, 32, 32), (100, 256, 2, 32, 32), (10_000, 100, 1, 20, 20),
        (30_000, 128, 1, 20, 20), (30_000, 512, 2, 20, 20),
    ),
    "corners": shapes(
        (10, 8, 1, 1, 1), (10, 8, 1, 512, 256), (10, 1024, 1, 1, 256),
        (30_000, 8, 1, 20, 20), (30_000, 1024, 1, 1, 1),
    ),
    "float64": shapes(TINY, CHAR, SMALL, WIDE, dtype="float64"),
    "rnn": shapes(
        TINY, CHAR, (1000, 256, 2, 32, 32), (1000, 512, 2, 32, 8), (1000, 1024, 2, 32, 32),
        (100, 64, 1, 512, 4), cell="rnn",
    ),
    "gru": shapes(TINY, CHAR, WIDE, cell="gru"),
    SCORED: shapes(
        TINY, CHAR, SMALL, (1000, 512, 2, 8, 256), (1000, 1024, 1, 32, 1), (30_000, 256, 1, 35, 20)
    ),
}  # fmt: skip
"""Groups of widely different shapes; the comments say what each group is for."""


def layer_shapes(c):
    """Return the shapes of the parameters of a recurrent layer, by name."""
    options = {name: option.default for name, option in CELLS[c.cell].options.items()}
    return CELLS[c.cell].shapes(c.H, c.H, options)


def weights(c):
    """Return initial parameters by path: the same numbers in every process."""
    shape_of = {"embedding.W": (c.V, c.H)}
    for layer in range(c.L):
        shape_of |= {f"{c.cell}.{layer}.{key}": shape for key, shape in layer_shapes(c).items()}
    shape_of |= {"decoder.W": (c.H, c.V), "decoder.b": (c.V,)}
    rng, dtype = np.random.default_rng(0), np.dtype(c.dtype)
    scale = dtype.type(c.init_scale)
    return {
        path: (2 * rng.random(shape, dtype=dtype) - 1) * scale for path, shape in shape_of.items()
    }


def given_state(c):
    """Return the arrays (L, B, H) of a state: h, and c of an LSTM."""
    rng, names = np.random.default_rng(2), CELLS[c.cell].states
    entries = rng.uniform(-c.state_scale, c.state_scale, (len(names), c.L, c.B, c.H))
    return [*entries.astype(c.dtype)]


def windows(c, count):
    """Return consecutive windows (x, y), each (T, B), of random text."""
    ids = np.random.default_rng(1).integers(0, c.V, (count * c.T + 1, c.B))
    return [*zip(np.split(ids[:-1], count), np.split(ids[1:], count), strict=True)]


def evaluation_text(c):
    """Return random text (N,) of `EVALUATION_WINDOWS` full windows."""
    return np.random.default_rng(1).integers(0, c.V, c.B * (EVALUATION_WINDOWS * c.T + 1))


def tokens(task, c):
    """Return the number of tokens that one call of a task processes."""
    if task == "sample":
        return SAMPLE_LENGTH
    if task in ("stream", "restart"):
        return c.B
    windows_in_call = EVALUATION_WINDOWS if task == "evaluate" else 1
    return windows_in_call * c.T * c.B


def flops(task, c):
    """Return the multiplications and additions in the matrix products of one call.

    Each token is multiplied by every matrix of the layers and the decoder once in the forward pass,
    and twice in the backward pass: for the gradient of the input and for that of the matrix.
    """
    layer = sum(math.prod(shape) for shape in layer_shapes(c).values() if len(shape) == 2)
    forward = 2 * tokens(task, c) * (c.L * layer + c.H * c.V)
    return 3 * forward if task == "train" else forward
