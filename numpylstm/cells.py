"""Descriptions of the cells (RNN, LSTM, GRU and others): everything except their equations.

The equations are functions of `numpylstm.reference` and `numpylstm.functional`; a record here
describes their arguments, their results and the meaning of their arrays, for layers, models,
checkpoints and diagnostics. To add a cell, write its functions and one more record; no other file
depends on which cells there are.

Only the standard library is imported: ``--help`` reads the records too.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from numpylstm.aliases import warn_of_old_name

LARGEST_SIZE = 500_000_000  # a matrix (H, 4H) still has a number of bytes that fits 64 bits


class RNNState(NamedTuple):
    """The state of an RNN, GRU, minGRU or minLSTM between two windows; h is (L, B, H)."""

    h: Any


class LSTMState(NamedTuple):
    """The state of an LSTM between two windows; both arrays are (L, B, H)."""

    h: Any
    c: Any


class SLSTMState(NamedTuple):
    """The state of an sLSTM between two windows; all four arrays are (L, B, H)."""

    h: Any
    c: Any
    n: Any
    m: Any


State = RNNState | LSTMState | SLSTMState


class Option(NamedTuple):
    """A setting of some cells: one of `choices`, or a number.

    `examples` are the values in comparisons of cells, by default all choices, or the default;
    `in_name` is the form of a choice in the name of a cell, such as "reset-after" GRU.
    """

    default: Any
    help: str
    choices: tuple[str, ...] | None = None
    examples: tuple[Any, ...] = ()
    in_name: str = "{}"


class Vector(NamedTuple):
    """A parameter (H,) of a cell, besides its matrices and b.

    `needs` is an option and the value of it without which the cell has no such parameter; `initial`
    are the limits between which it is drawn, by default those of the other parameters.
    """

    needs: tuple[str, Any] | None = None
    initial: tuple[float, float] | None = None


class Unit(NamedTuple):
    """Units for diagnostics: an attribute of the cache, (T, B, H).

    `role` is "gate", "candidate", "cell" or "hidden"; `curve` is their nonlinearity ("sigmoid",
    "tanh", "relu" or "exp"), the name of the option that chooses it, or None; `words` is their name
    in prose.
    """

    name: str
    role: str
    curve: str | None = None
    words: str = ""


@dataclass(frozen=True)
class Cell:
    """One kind of recurrent cell.

    The cell "lstm" has the functions ``lstm_forward`` and ``lstm_backward`` for a sequence, in
    `reference` and `functional`, and ``lstm_step_forward`` and ``lstm_step_backward`` for one step,
    in `reference`. The forward functions take ``(x, *state, *parameters, **arguments)`` and return
    ``(hs, *state, cache)``; those for a sequence are called by name, with h0 and so on for the
    state. The backward functions take ``(dhs, *dstate, cache)`` and return the `gradients`
    ``(dx, *dstate, *dparameters)``, with None for a parameter that the layer does not have. If the
    state has further fields, `reference` also has ``lstm_through_h(dh, cache)``: their gradients by
    way of the h of the same step, one array each.

    Parameters
    ----------
    name : str
        The name in settings, functions and the paths of parameters.
    title : str
        The name in prose.
    State : class of NamedTuple
        Its fields pass from step to step; the first is h.
    cache : str
        The class of the cache in `reference`. It holds x, h and the other values of each step,
        then Wx, the other parameters that the backward pass needs, and the options.
    blocks : tuple of str
        The blocks of H columns in the matrices and in b.
    units : tuple of Unit
    matrices : tuple of str
        Wx, and Wh unless the cell has none.
    vectors : mapping of name -> Vector
        Further parameters (H,), such as the weights of a peephole.
    options : mapping of name -> Option
    biases : mapping of block -> option
        Options that are added to the initial bias of a block. The others are arguments of the
        forward functions.
    keep : str, optional
        The attribute of the cache that scales the memory on its direct path from step to step.
    memory_field : str
        The field of the state that is the long-term memory, such as "c".
    initial_values : mapping of field -> float
        Of the fields of the state that do not begin at 0.
    orders : mapping of program -> str
        The order of the blocks in the programs that have the cell: PyTorch, Keras, ONNX.
    """

    name: str
    title: str
    State: type[Any]
    cache: str
    blocks: tuple[str, ...]
    units: tuple[Unit, ...]
    matrices: tuple[str, ...] = ("Wx", "Wh")
    vectors: Mapping[str, Vector] = field(default_factory=dict)
    options: Mapping[str, Option] = field(default_factory=dict)
    biases: Mapping[str, str] = field(default_factory=dict)
    keep: str | None = None
    memory_field: str = "h"
    initial_values: Mapping[str, float] = field(default_factory=dict)
    orders: Mapping[str, str] = field(default_factory=dict)

    @property
    def memory(self) -> str:
        """The old name of `memory_field`."""
        warn_of_old_name("Cell.memory")
        return self.memory_field

    @functools.cached_property
    def states(self) -> tuple[str, ...]:
        """The fields of the state, such as ``("h", "c")``."""
        return self.State._fields

    @functools.cached_property
    def gradients(self) -> tuple[str, ...]:
        """The names of what the backward functions return a gradient of, in their order."""
        return ("x", *[f"{name}0" for name in self.states], *self.matrices, "b", *self.vectors)

    def parameters(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the names of a layer's parameters, in the order of the arguments."""
        names = [*self.matrices, "b"]
        for name, vector in self.vectors.items():
            if vector.needs is None or options[vector.needs[0]] == vector.needs[1]:
                names.append(name)
        return tuple(names)

    def shapes(self, D: int, H: int, options: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
        """Return the shapes of a layer's parameters, for D inputs and H units."""
        columns = len(self.blocks) * H
        known = {"Wx": (D, columns), "Wh": (H, columns), "b": (columns,)}
        return {name: known.get(name, (H,)) for name in self.parameters(options)}

    def arguments(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options that are arguments of the forward functions."""
        arguments = dict(options)
        for name in self.biases.values():
            del arguments[name]
        return arguments

    def function(self, module: Any, way: str) -> Any:
        """Return a function of `reference` or `functional`, such as ``lstm_forward``.

        `way` is "forward" or "backward"; in `reference` also "step_forward", "step_backward" or
        "through_h".
        """
        # Found by its name, not in a table of the module: the museum and the diagnostics pass
        # namespaces in place of `reference` in which they have replaced one function.
        return getattr(module, f"{self.name}_{way}")

    def describe(self, options: Mapping[str, Any]) -> str:
        """Return the choices and the title, such as "tanh RNN"."""
        chosen = [option.in_name.format(options[name])
                  for name, option in self.options.items() if option.choices]  # fmt: skip
        return " ".join([*chosen, self.title])


class ChosenCell:
    """A cell with all its options.

    Attributes
    ----------
    cell : Cell
    parameters : tuple of str
        The names of the parameters of a layer.
    arguments : dict of name -> value
        The options that are arguments of the forward functions.
    """

    def __init__(self, cell: Cell, options: Mapping[str, Any]) -> None:
        self.cell = cell
        self.parameters = cell.parameters(options)
        self.arguments = cell.arguments(options)


RNN = Cell(
    name="rnn",
    title="RNN",
    State=RNNState,
    cache="RNNCache",
    blocks=("h",),
    units=(Unit("h", "hidden", "activation", "hidden units"),),
    options={
        "activation": Option(
            "tanh",
            "nonlinearity of the vanilla RNN",
            choices=("tanh", "relu", "sigmoid"),
            examples=("sigmoid", "tanh", "relu"),
        )
    },
    orders={"PyTorch": "h", "Keras": "h", "ONNX": "h"},
)

FORGET_BIAS = Option(1.0, "added to the initial bias of the forget gates")

LSTM = Cell(
    name="lstm",
    title="LSTM",
    State=LSTMState,
    cache="LSTMCache",
    blocks=("i", "f", "g", "o"),
    units=(
        Unit("i", "gate", "sigmoid", "input gate"),
        Unit("f", "gate", "sigmoid", "forget gate"),
        Unit("g", "candidate", "tanh", "candidate"),
        Unit("o", "gate", "sigmoid", "output gate"),
        Unit("c", "cell"),
        Unit("h", "hidden"),
    ),
    options={"forget_bias": FORGET_BIAS._replace(examples=(0.0, 1.0, 3.0))},
    biases={"f": "forget_bias"},
    keep="f",
    memory_field="c",
    orders={"PyTorch": "ifgo", "Keras": "ifgo", "ONNX": "iofg"},
)

GRU = Cell(
    name="gru",
    title="GRU",
    State=RNNState,
    cache="GRUCache",
    blocks=("r", "z", "n"),
    units=(
        Unit("r", "gate", "sigmoid", "reset gate"),
        Unit("z", "gate", "sigmoid", "update gate"),
        Unit("n", "candidate", "tanh", "candidate"),
        Unit("h", "hidden"),
    ),
    vectors={"bn": Vector(needs=("reset", "after"))},
    options={
        "reset": Option(
            "after",
            "apply the GRU's reset gate after the product with Wh, as in PyTorch and Keras, or "
            "before it, as in Cho et al. (2014)",
            choices=("after", "before"),
            in_name="reset-{}",
        )
    },
    keep="z",
    orders={"PyTorch": "rzn", "Keras": "zrn", "ONNX": "zrn"},
)

MINGRU = Cell(
    name="mingru",
    title="minGRU",
    State=RNNState,
    cache="MinGRUCache",
    blocks=("z", "n"),
    units=(
        Unit("z", "gate", "sigmoid", "update gate"),
        Unit("n", "candidate"),
        Unit("h", "hidden"),
    ),
    matrices=("Wx",),
    options={
        "factors": Option(
            "positive",
            "factors of the state of a minGRU: 1 - z, between 0 and 1, or 1 - 2 z, between -1 and "
            "1, with which it can count modulo two",
            choices=("positive", "signed"),
            in_name="{}-factor",
        )
    },
    keep="a",
)

MINLSTM = Cell(
    name="minlstm",
    title="minLSTM",
    State=RNNState,
    cache="MinLSTMCache",
    blocks=("i", "f", "g"),
    units=(
        Unit("i", "gate", "sigmoid", "input gate"), Unit("f", "gate", "sigmoid", "forget gate"),
        Unit("g", "candidate"), Unit("h", "hidden"),
    ),
    matrices=("Wx",),
    options={"forget_bias": FORGET_BIAS},
    biases={"f": "forget_bias"},
    keep="a",
)  # fmt: skip

SLSTM = Cell(
    name="slstm",
    title="sLSTM",
    State=SLSTMState,
    cache="SLSTMCache",
    blocks=("i", "f", "z", "o"),
    units=(
        Unit("i", "gate", "exp", "input gate"),
        Unit("f", "gate", "forget_gate", "forget gate"),
        Unit("z", "candidate", "tanh", "candidate"),
        Unit("o", "gate", "sigmoid", "output gate"),
        Unit("c", "cell"), Unit("n", "cell"), Unit("m", "cell"), Unit("h", "hidden"),
    ),
    options={
        "forget_gate": Option(
            "sigmoid",
            "nonlinearity of the sLSTM's forget gate",
            choices=("sigmoid", "exp"),
            in_name="{}-forget",
        ),
        "forget_bias": FORGET_BIAS,
    },
    biases={"f": "forget_bias"},
    keep="f_scaled",
    memory_field="c",
    # With m = 0, the first weight, exp(a_i - m), could underflow, and n be 0.
    initial_values={"m": -1e30},
)  # fmt: skip

CELLS: dict[str, Cell] = {cell.name: cell for cell in (RNN, LSTM, GRU, MINGRU, MINLSTM, SLSTM)}
"""The cells by name."""


def examples() -> dict[str, dict[str, Any]]:
    """Return the cells to compare, with their options, by a readable name.

    >>> list(examples())[2:4], examples()["RNN relu"]
    (['RNN relu', 'LSTM, forget bias 0'], {'cell': 'rnn', 'options': {'activation': 'relu'}})
    """
    named: dict[str, dict[str, Any]] = {}
    for cell in CELLS.values():
        for name, option in cell.options.items():
            for value in option.examples or option.choices or (option.default,):
                words = (
                    f" {option.in_name.format(value)}" if option.choices
                    else f", {name.replace('_', ' ')} {value:g}"
                )  # fmt: skip
                named[cell.title + words] = {"cell": cell.name, "options": {name: value}}
        if not cell.options:
            named[cell.title] = {"cell": cell.name}
    return named
