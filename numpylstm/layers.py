"""Layers: thin owners of parameters, around the pure functions of `functional` or `reference`.

A layer owns its `Parameter` objects, the random generator for its masks, and the cache of one
pending forward pass: the last with ``training=True``. The backward pass consumes it; forward passes
with ``training=False`` keep nothing and disturb nothing. A layer owns no recurrent state: that is a
value, passed in and returned. Two threads cannot train one layer or model, which has one pending
pass: give each its own (`copy.deepcopy` makes one).

The cache holds views, not copies, of the input and of the parameters: do not change them in place
between a forward pass and its backward pass. (Ids and targets are copied.) A result that the
backward pass needs, such as the hidden states `hs`, is a read-only view: NumPy raises ValueError on
``hs *= mask``. Write ``hs = hs * mask``, or ``hs = hs.copy()`` first; the gradient of what you
compute from it is yours to pass back.

``impl="fast"`` takes the functions from `numpylstm.functional`, ``impl="reference"`` from
`numpylstm.reference`. Nothing else differs: a layer checks what comes in, since the reference
checks nothing.
"""

from __future__ import annotations  # so that help() says DTypeLike, not all that it stands for

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, fields
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from numpylstm import functional, reference
from numpylstm.cells import CELLS, Cell
from numpylstm.cells import LSTMState as LSTMState
from numpylstm.cells import RNNState as RNNState
from numpylstm.checks import (
    Array,
    Rng,
    check_array,
    check_choice,
    check_finite,
    check_flag,
    check_ids,
    check_in,
    check_kind,
    check_lengths,
    check_shapes,
    check_sizes,
    check_weights,
    generator,
    real_array,
)
from numpylstm.config import cell_options, check_weight_drop
from numpylstm.parameters import Module, uniform
from numpylstm.parameters import Parameter as Parameter
from numpylstm.parameters import Rows as Rows

IMPLEMENTATIONS: dict[str, ModuleType] = {"fast": functional, "reference": reference}
"""The modules with the mathematics, by the words that choose one."""


class Layer(Module):
    """Base class of the layers: `impl` chooses the module with the mathematics."""

    rng: np.random.Generator  # of the layers with dropout

    def __init__(self, impl: str = "fast") -> None:
        check_choice("layer", "impl", impl, IMPLEMENTATIONS)
        self.impl = impl

    def draw_mask(
        self, p: float, shape: tuple[int, ...], dtype: DTypeLike, same_along: int | None = None
    ) -> Array:
        """Draw a dropout mask from `rng`: 0 with probability p, else 1 / (1 - p).

        With `same_along` it is constant along that axis, and read-only.
        """
        drawn = list(shape)
        if same_along is not None:
            drawn[same_along] = 1
        uniform = self.rng.random(drawn, dtype=np.float32)
        mask = IMPLEMENTATIONS[self.impl].dropout_mask(uniform, p, np.dtype(dtype))
        return mask if same_along is None else np.broadcast_to(mask, shape)


class Embedding(Layer):
    """Row lookup: ids (T, B) to vectors (T, B, D).

    Parameters
    ----------
    vocab_size, embedding_size : int
        V and D; the table ``W`` is (V, D).
    init_scale : float
        W starts as U(-init_scale, init_scale).
    """

    shown = ("vocab_size", "embedding_size")

    def __init__(
        self,
        vocab_size: int,
        embedding_size: int,
        *,
        init_scale: float = 0.05,
        dtype: DTypeLike = "float32",
        impl: str = "fast",
        rng: Rng = None,
        name: str = "embedding",
    ) -> None:
        check_sizes("Embedding", vocab_size=vocab_size, embedding_size=embedding_size)
        shape, self.prefix = (vocab_size, embedding_size), name
        self.W = Parameter(uniform(generator(rng), shape, init_scale, dtype), f"{name}.W")
        self.vocab_size, self.embedding_size = self.W.data.shape
        super().__init__(impl)

    def load(self, vectors: Array, *, trainable: bool = True) -> None:
        """Replace the table by given vectors, (V, D); frozen if not `trainable`.

        Real numbers of any dtype are converted to the dtype of the table.

        Raises
        ------
        ValueError
            If the shape is not (V, D), or a vector is not finite.
        """
        where, W = "Embedding.load", self.W.data
        vectors = real_array(where, "vectors", vectors)
        with np.errstate(over="ignore"):  # what overflows is not finite, and is refused below
            vectors = np.array(vectors, W.dtype, order="C")
        check_array(where, "vectors", vectors, W.shape)
        check_finite(where, "vectors", vectors)
        check_flag(where, "trainable", trainable)
        self.W.data, self.W.trainable = vectors, trainable

    def forward(self, ids: ArrayLike, training: bool = True) -> Array:
        """Look up ids (T, B), integers in [0, V); return (T, B, D)."""
        self.begin_pass(training)
        W = self.W.data
        ids = check_ids("Embedding.forward", "ids", ids, len(W))
        x, cache = IMPLEMENTATIONS[self.impl].embedding_forward(ids, W)
        if training:
            self.pending = cache
        return x

    def backward(self, dx: Array) -> None:
        """Add to ``W.grad``; ids have no gradient, so nothing is returned."""
        cache, W = self.take_pending(), self.W.data
        shape = (*cache.ids.shape, cache.shape[1])
        check_array("Embedding.backward", "dx", dx, shape, W.dtype, "it has the shape of x")
        if not self.W.trainable:
            return
        if cache.ids.size < len(W):  # some rows were certainly not used
            self.W.accumulate(Rows(*IMPLEMENTATIONS[self.impl].embedding_backward_rows(dx, cache)))
        else:
            self.W.accumulate(IMPLEMENTATIONS[self.impl].embedding_backward(dx, cache))


class Dropout(Layer):
    """Inverted dropout with probability `p` of dropping; a new mask at every forward pass.

    If `locked`, the same entries are dropped at all steps of x (T, B, D) (Gal and Ghahramani 2016).
    """

    shown = ("p", "locked")

    def __init__(
        self,
        p: float,
        *,
        locked: bool = False,
        impl: str = "fast",
        rng: Rng = None,
    ) -> None:
        check_in("layer", "dropout", p, "[0, 1)")
        check_flag("Dropout", "locked", locked)
        self.p = float(p)  # comparisons with NumPy's floats may have another precision
        self.locked = locked
        self.rng = generator(rng)
        super().__init__(impl)

    def forward(self, x: Array, training: bool = True) -> Array:
        """Drop entries of x if `training`; otherwise, or if `p` is 0, return a read-only view."""
        self.begin_pass(training)
        check_array("Dropout.forward", "x", x, ("T", "B", "D") if self.locked else None)
        if training and self.p > 0:
            axis = 0 if self.locked else None
            mask = self.draw_mask(self.p, x.shape, x.dtype, axis)
            y, cache = IMPLEMENTATIONS[self.impl].dropout_forward(x, mask)
        else:
            y, cache = x.view(), None
            y.flags.writeable = False  # x would change with it
        if training:
            self.pending = x.shape, x.dtype, cache
        return y

    def backward(self, dy: Array) -> Array:
        """Return the gradient of x."""
        shape, dtype, cache = self.take_pending()
        check_array("Dropout.backward", "dy", dy, shape, dtype, "it has the shape of y")
        if cache is None:
            return dy
        return IMPLEMENTATIONS[self.impl].dropout_backward(dy, cache)


class Linear(Layer):
    """``y = x @ W + b`` for x (T, B, D).

    Parameters
    ----------
    input_size, output_size : int
        W is (input_size, output_size).
    tied : Parameter, optional
        A parameter of shape (output_size, input_size) whose transpose serves as W: the embedding
        table of a tied language model. Gradients are added to its `grad`.
    """

    shown = ("input_size", "output_size", "tied")

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        init_scale: float = 0.05,
        dtype: DTypeLike = "float32",
        impl: str = "fast",
        rng: Rng = None,
        name: str = "linear",
        tied: Parameter | None = None,
    ) -> None:
        check_sizes("Linear", input_size=input_size, output_size=output_size)
        rng, self.prefix = generator(rng), name
        self.input_size, self.output_size = int(input_size), int(output_size)
        self.tied = tied is not None
        if tied is None:
            shape = (input_size, output_size)
            tied = Parameter(uniform(rng, shape, init_scale, dtype), f"{name}.W")
        check_kind("Linear", "tied", tied, Parameter)
        self.W = tied
        if self.tied:  # it is a parameter of another module
            self.path_names = {"W": None}
        self.b = Parameter(uniform(rng, (output_size,), init_scale, dtype), f"{name}.b")
        super().__init__(impl)

    def forward(self, x: Array, training: bool = True) -> Array:
        """Return scores (T, B, output_size) for x (T, B, input_size)."""
        self.begin_pass(training)
        W = self.W.data.T if self.tied else self.W.data
        check_shapes("Linear.forward", "W D V, x * D", W, x)
        y, cache = IMPLEMENTATIONS[self.impl].linear_forward(x, W, self.b.data)
        if training:
            self.pending = cache
        return y

    def backward(self, dy: Array) -> Array:
        """Add to the gradients of W and b; return dx."""
        cache = self.take_pending()
        shape = (*cache.x.shape[:-1], cache.W.shape[1])
        check_array("Linear.backward", "dy", dy, shape, cache.x.dtype, "it has the shape of y")
        dx, dW, db = IMPLEMENTATIONS[self.impl].linear_backward(dy, cache)
        self.W.accumulate(dW.T if self.tied else dW)
        self.b.accumulate(db)
        return dx


def stack_forward(
    functions: ModuleType,
    cell: Cell,
    layers: Sequence[Mapping[str, Array]],
    x: Array,
    state: Any,
    masks: Mapping[str, Array],
    **arguments: Any,
) -> tuple[Array, Any, list[Any], list[dict[str, Any]]]:
    """Compute the forward pass of recurrent layers, as one pure function.

    Parameters
    ----------
    functions : module
        `numpylstm.functional`, or `numpylstm.reference`, with which all arrays may be complex.
    cell : Cell
    layers : sequence of dict of name -> array
        The parameters of each layer, in the order of the cell's record.
    x : (T, B, D)
    state : state of the cell, (L, B, H)
    masks : dict of name -> array
        What is dropped: ``masks["1.x"]`` from the input of layer 1, ``masks["0.Wh"]`` from the Wh
        of layer 0.
    arguments
        Options of the cell, and lengths.

    Returns
    -------
    hs : (T, B, H)
        Of the top layer.
    state : state of the cell, (L, B, H)
        After the window.
    caches : list
        Of each layer, from the input up.
    dropped : list of dict
        Of each layer: the caches of the dropout of its arrays, by name.
    """
    forward = cell.function(functions, "forward")
    finals, caches, every = [], [], []
    for k, (parameters, *initial) in enumerate(zip(layers, *state, strict=True)):
        given, dropped = {"x": x, **parameters}, {}
        for name in given if masks else ():
            if (mask := masks.get(f"{k}.{name}")) is not None:
                given[name], dropped[name] = functions.dropout_forward(given[name], mask)
        x_in, *weights = given.values()  # in the order of the cell's arguments
        x, *final, cache = forward(x_in, *initial, *weights, **arguments)
        finals.append(final)
        caches.append(cache)
        every.append(dropped)
    return x, cell.State(*map(np.array, zip(*finals, strict=True))), caches, every


class RecurrentStack(Layer):
    """Layers of one recurrent cell, each with its own weights, with dropout between them.

    Parameters
    ----------
    cell : str
        A name in `numpylstm.cells.CELLS`.
    input_size, hidden_size, num_layers : int
        D, H and L. Parameters are ``CELL.0.Wx``, ``CELL.0.Wh``, ``CELL.0.b``, ``CELL.1.Wx``, ...
    dropout : float
        Probability of dropping, between layers.
    dropout_locked : bool
        Drop the same entries at all steps of a window (Gal and Ghahramani 2016).
    dropout_weights : float
        Probability of dropping an entry of each Wh, for all steps of a window (Merity et al. 2018).
    init_scale : float
        All parameters start as U(-init_scale, init_scale).
    dtype : "float32" or "float64"
    impl : "fast" or "reference"
    rng : Generator or int, optional
        Source of the initial values and of the dropout masks.
    name : str, optional
        Replaces the cell's name in the paths: ``name="encoder"`` gives ``encoder.0.Wx``. In a
        Module of yours, the name of the attribute does.
    options
        Options of the cell.
    """

    def __init__(
        self,
        cell: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        dropout: float = 0.0,
        dropout_locked: bool = False,
        dropout_weights: float = 0.0,
        init_scale: float = 0.05,
        dtype: DTypeLike = "float32",
        impl: str = "fast",
        rng: Rng = None,
        name: str | None = None,
        **options: Any,
    ) -> None:
        self.options = cell_options(cell, options)
        self.cell = CELLS[cell]
        self.arguments = self.cell.arguments(self.options)
        where = self.cell.title
        check_sizes(where, input_size=input_size, hidden_size=hidden_size, num_layers=num_layers)
        check_in("layer", "dropout", dropout, "[0, 1)")
        check_flag("layer", "dropout_locked", dropout_locked)
        check_in("layer", "dropout_weights", dropout_weights, "[0, 1)")
        check_weight_drop(cell, self.options, dropout_weights)
        super().__init__(impl)
        D, H = int(input_size), int(hidden_size)
        self.input_size, self.hidden_size, self.num_layers = D, H, int(num_layers)
        self.input_shape = f"(T, B, {D})"
        self.prefix, self.rng = name or cell, generator(rng)
        self.dropout, self.dropout_locked = float(dropout), dropout_locked
        self.dropout_weights = float(dropout_weights)
        self.by_layer: dict[str, dict[str, Parameter]] = {}
        self.path_names = {"by_layer": ""}
        for k in range(self.num_layers):
            parameters = {}
            for key, shape in self.cell.shapes(D if k == 0 else H, H, self.options).items():
                data = uniform(self.rng, shape, init_scale, dtype)
                parameters[key] = Parameter(data, f"{self.prefix}.{k}.{key}")
            for key, vector in self.cell.vectors.items():
                if vector.initial is not None and key in parameters:
                    parameters[key].data[...] = self.rng.uniform(*vector.initial, H)
            for block, option in self.cell.biases.items():
                start = self.cell.blocks.index(block) * H
                parameters["b"].data[start : start + H] += self.options[option]
            self.by_layer[str(k)] = parameters
        self.dtype = np.dtype(dtype)  # which `uniform` has checked

    @property
    def layers(self) -> list[tuple[Parameter, ...]]:
        """The parameters of each layer, in the order of the arguments of the cell."""
        return [tuple(parameters.values()) for parameters in self.by_layer.values()]

    def zero_state(self, batch_size: int) -> Any:
        """Return the initial state: zeros, (L, B, H), but for the m of an sLSTM, which is -1e30."""
        check_sizes(self.cell.title, batch_size=batch_size)
        shape, start = (self.num_layers, batch_size, self.hidden_size), self.cell.start
        return self.cell.State(
            *(np.full(shape, start.get(name, 0), self.dtype) for name in self.cell.State._fields)
        )

    def check_state(self, where: str, argument: str, state: Any, batch_size: int) -> None:
        """Raise unless `state` is a finite state of this stack for `batch_size` sequences."""
        State = self.cell.State
        if not isinstance(state, State):
            raise TypeError(
                f"{where}: {argument} must be {State.__name__}({', '.join(State._fields)}), got "
                f"{type(state).__name__}; zero_state(batch_size) makes one"
            )
        shape = (self.num_layers, batch_size, self.hidden_size)
        because = "(L, B, H); B is fixed by x (T, B, D)"
        for field, array in zip(State._fields, state, strict=True):
            name = f"{argument}.{field}"
            check_array(where, name, array, shape, self.dtype, because)
            check_finite(where, name, array, "it overflowed where the state was computed")

    def arrays(self) -> list[dict[str, Array]]:
        """Return the parameters of each layer by name, as `stack_forward` takes them."""
        layers: list[dict[str, Array]] = []
        for own in self.by_layer.values():
            layers.append({})
            for name, parameter in own.items():
                layers[-1][name] = parameter.data
        return layers

    def draw_masks(self, T: int, B: int) -> dict[str, Array]:
        """Draw the dropout masks of a window, as `stack_forward` takes them."""
        masks = {}
        if self.dropout > 0:
            shape, axis = (T, B, self.hidden_size), 0 if self.dropout_locked else None
            for k in range(1, self.num_layers):
                masks[f"{k}.x"] = self.draw_mask(self.dropout, shape, self.dtype, axis)
        if self.dropout_weights > 0:
            for layer, own in self.by_layer.items():
                shape = own["Wh"].data.shape
                masks[f"{layer}.Wh"] = self.draw_mask(self.dropout_weights, shape, self.dtype)
        return masks

    def forward(
        self,
        x: Array,
        state: Any = None,
        training: bool = True,
        lengths: Array | None = None,
        masks: Mapping[str, Array] | None = None,
    ) -> tuple[Array, Any]:
        """Run the stack over a window.

        Parameters
        ----------
        x : (T, B, D)
        state : state of the cell, optional
            The state after the last window; `zero_state` by default.
        training : bool
            Keep the cache for `backward`, and apply dropout.
        lengths : (B,) integers from 0 to T, optional
            Where each sequence ends, if the batch is padded. The rest of x is not read.
        masks : dict of name -> array, optional
            What is dropped, as in `stack_forward`; by default what `draw_masks` returns. Not used
            without `training`.

        Returns
        -------
        hs : (T, B, H), read-only
            The hidden states of the top layer, zero from the end of a sequence. Copy them to
            change them in place.
        state : state of the cell
            The state after the window, or at the end of each sequence.
        """
        where = f"{self.cell.title}.forward"
        self.begin_pass(training)
        because = "time comes first, and D is fixed by Wx"
        check_array(where, "x", x, ("T", "B", self.input_size), self.dtype, because)
        if lengths is not None:
            lengths = check_lengths(where, "lengths", lengths, *x.shape[:2])
        check_finite(where, "x", x, lengths=lengths)
        if state is None:
            state = self.zero_state(x.shape[1])
        else:
            self.check_state(where, "state", state, x.shape[1])
        if not training:
            masks = {}
        elif masks is None:
            masks = self.draw_masks(*x.shape[:2])
        functions, arrays = IMPLEMENTATIONS[self.impl], self.arrays()
        hs, state, caches, dropped = stack_forward(
            functions, self.cell, arrays, x, state, masks, **self.arguments, lengths=lengths
        )
        if training:
            self.pending = hs.shape, caches, dropped
        hs = hs.view()
        hs.flags.writeable = False  # the caches hold it
        return hs, state

    def backward(self, dhs: Array, dstate: Any = None) -> tuple[Array, Any]:
        """Backpropagation through time, layer by layer from the top.

        Parameters
        ----------
        dhs : (T, B, H)
            The gradient of the states of the top layer; not read from the end of a sequence.
        dstate : state of the cell, optional
            The gradient of the state after the window; zeros by default, as in truncated
            backpropagation.

        Returns
        -------
        dx : (T, B, D)
        dstate : state of the cell
            The gradient of the state before the window.
        """
        where, (shape, caches, every) = f"{self.cell.title}.backward", self.take_pending()
        check_array(where, "dhs", dhs, shape, self.dtype, "it has the shape of hs")
        if dstate is None:
            zeros = np.zeros((self.num_layers, shape[1], self.hidden_size), self.dtype)
            dstate = self.cell.State(*[zeros] * len(self.cell.State._fields))
        else:
            self.check_state(where, "dstate", dstate, shape[1])
        functions = IMPLEMENTATIONS[self.impl]
        backward = self.cell.function(functions, "backward")
        before = []  # of each layer, from the top
        for own, *final in reversed([*zip(self.by_layer.values(), *dstate, strict=True)]):
            dx, *rest = backward(dhs, *final, caches.pop())  # frees the memory of the cache
            before.append(rest[: len(final)])
            # A GRU without bn returns a None more.
            gradients = dict(zip(own, rest[len(final) :], strict=False))
            gradients["x"] = dx
            for name, dropped in every.pop().items():
                gradients[name] = functions.dropout_backward(gradients[name], dropped)
            for name, parameter in own.items():
                parameter.accumulate(gradients[name])
            dhs = gradients["x"]
        return dhs, self.cell.State(*map(np.array, zip(*reversed(before), strict=True)))

    def sizes(self) -> dict[str, Any]:
        """Return the settings that `repr` shows."""
        sizes = ("input_size", "hidden_size", "num_layers")
        dropping = ("dropout", "dropout_locked", "dropout_weights")
        return {
            **({"cell": self.cell.name} if type(self) is RecurrentStack else {}),
            **{name: getattr(self, name) for name in sizes},
            **self.options,
            **{name: value for name in dropping if (value := getattr(self, name))},
        }


@dataclass(eq=False, repr=False)
class StackOfCell(RecurrentStack):
    """Base class of the stacks of one cell: its fields are the arguments of their constructors.

    Each adds the options of its cell.
    """

    kind = ""  # the cell

    input_size: int
    hidden_size: int
    num_layers: int = 1
    _: KW_ONLY
    dropout: float = 0.0
    dropout_locked: bool = False
    dropout_weights: float = 0.0
    init_scale: float = 0.05
    dtype: Any = "float32"
    impl: str = "fast"
    rng: Any = None
    name: str | None = None

    def __post_init__(self) -> None:
        super().__init__(
            self.kind, **{each.name: getattr(self, each.name) for each in fields(self)}
        )


@dataclass(kw_only=True, eq=False, repr=False)
class RNN(StackOfCell):
    """Vanilla recurrent layers: ``h = f(x @ Wx + h_prev @ Wh + b)``.

    Parameters
    ----------
    input_size, hidden_size, num_layers : int
        D, H and L. Parameters are ``rnn.0.Wx`` (D, H), ``rnn.0.Wh`` (H, H), ``rnn.0.b`` (H,), ...
    activation : "tanh", "relu" or "sigmoid"
    dropout, dropout_locked, dropout_weights, init_scale, dtype, impl, rng, name
        As for `RecurrentStack`.
    """

    kind = "rnn"

    activation: str = "tanh"


@dataclass(kw_only=True, eq=False, repr=False)
class LSTM(StackOfCell):
    """Long short-term memory layers; see `numpylstm.reference.lstm_step_forward`.

    Parameters
    ----------
    input_size, hidden_size, num_layers : int
        D, H and L. Parameters are ``lstm.0.Wx`` (D, 4H), ``lstm.0.Wh`` (H, 4H), ``lstm.0.b`` (4H,).
    forget_bias : float
        Added to the f block of every b at the start, so that a new cell remembers (Gers et al.
        2000). The equations do not change.
    dropout, dropout_locked, dropout_weights, init_scale, dtype, impl, rng, name
        As for `RecurrentStack`.
    """

    kind = "lstm"

    forget_bias: float = 1.0


@dataclass(kw_only=True, eq=False, repr=False)
class GRU(StackOfCell):
    """Gated recurrent layers; see `numpylstm.reference.gru_step_forward`.

    Parameters
    ----------
    input_size, hidden_size, num_layers : int
        D, H and L. Parameters are ``gru.0.Wx`` (D, 3H), ``gru.0.Wh`` (H, 3H), ``gru.0.b`` (3H,)
        and, with the reset "after", ``gru.0.bn`` (H,), ...
    reset : "after" or "before"
        Whether the reset gate scales the past after its product with Wh, as in PyTorch and Keras,
        or before it, as in Cho et al. (2014): weights that were trained with one do not fit the
        other.
    dropout, dropout_locked, dropout_weights, init_scale, dtype, impl, rng, name
        As for `RecurrentStack`.
    """

    kind = "gru"

    reset: str = "after"


class SequenceCrossEntropy(Layer):
    """Softmax and cross-entropy over a sequence.

    Parameters
    ----------
    average_across_timesteps, average_across_batch : bool
        As in `numpylstm.reference.sequence_cross_entropy_forward`: by default the loss is the sum
        over time of the mean over the batch.
    impl : "fast" or "reference"
    """

    def __init__(
        self,
        *,
        average_across_timesteps: bool = False,
        average_across_batch: bool = True,
        impl: str = "fast",
    ) -> None:
        self.averaging = {
            "average_across_timesteps": average_across_timesteps,
            "average_across_batch": average_across_batch,
        }
        for name, value in self.averaging.items():
            check_flag("SequenceCrossEntropy", name, value)
        super().__init__(impl)

    def forward(
        self, logits: Array, targets: ArrayLike, weights: Array | None = None, training: bool = True
    ) -> float:
        """Return the loss of logits (T, B, V) against targets (T, B), in nats."""
        where = "SequenceCrossEntropy.forward"
        self.begin_pass(training)
        check_shapes(where, "logits T B V", logits)
        T, B, V = logits.shape
        targets = check_ids(where, "targets", targets, V, (T, B), "T and B are fixed by logits")
        if weights is not None:
            check_weights(where, "weights", weights, targets.shape, logits.dtype)
        loss, cache = IMPLEMENTATIONS[self.impl].sequence_cross_entropy_forward(
            logits, targets, weights, **self.averaging
        )
        if training:
            self.pending = cache
        return float(loss)

    def score(self, logits: Array, targets: ArrayLike) -> tuple[Array, Array]:
        """Return -log p of each target, in nats, and the most probable ids; both (T, B)."""
        where = "SequenceCrossEntropy.score"
        check_shapes(where, "logits T B V", logits)
        T, B, V = logits.shape
        targets = check_ids(where, "targets", targets, V, (T, B), "T and B are fixed by logits")
        _, cache = IMPLEMENTATIONS[self.impl].sequence_cross_entropy_forward(logits, targets)
        return cache.nll, cache.predicted

    def backward(self) -> Array:
        """Return the gradient of the loss with respect to the logits, (T, B, V)."""
        cache = self.take_pending()
        return IMPLEMENTATIONS[self.impl].sequence_cross_entropy_backward(cache)


class SquaredError(Layer):
    """Mean squared error of real numbers; see `numpylstm.reference.squared_error_forward`."""

    def forward(
        self, y: Array, targets: Array, weights: Array | None = None, training: bool = True
    ) -> float:
        """Return the loss of y (T, B, K) or (B, K) against targets of the same shape."""
        where = "SquaredError.forward"
        self.begin_pass(training)
        check_shapes(where, "y * K, targets * K", y, targets)
        if weights is not None:
            check_weights(where, "weights", weights, y.shape[:-1], y.dtype)
        loss, cache = IMPLEMENTATIONS[self.impl].squared_error_forward(y, targets, weights)
        if training:
            self.pending = cache
        return float(loss)

    def score(self, y: Array, targets: Array) -> tuple[Array, Array]:
        """Return the mean over K of the squared errors, (T, B) or (B,), and y."""
        check_shapes("SquaredError.score", "y * K, targets * K", y, targets)
        return np.square(y - targets).mean(axis=-1), y

    def backward(self) -> Array:
        """Return the gradient of the loss with respect to y."""
        return IMPLEMENTATIONS[self.impl].squared_error_backward(self.take_pending())
