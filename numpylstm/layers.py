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

from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from numpylstm.cells import CELLS, ChosenCell
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
    check_interval,
    check_kind,
    check_lengths,
    check_shapes,
    check_sizes,
    check_state,
    check_weights,
    float_dtype,
    generator,
    real_array,
)
from numpylstm.config import cell_options, check_recurrent_drops
from numpylstm.inference import stack_outputs
from numpylstm.masks import check_masks, draw_mask, draw_stack_masks, stack_mask_names
from numpylstm.network import table_backward
from numpylstm.parameters import IMPLEMENTATIONS as IMPLEMENTATIONS
from numpylstm.parameters import Module, initial_layer, uniform
from numpylstm.parameters import Parameter as Parameter
from numpylstm.parameters import Rows as Rows
from numpylstm.stack import stack_backward, stack_forward, zero_state


class Layer(Module):
    """Base class of the layers."""

    def __init__(self, impl: str = "fast") -> None:
        check_choice("layer", "impl", impl, IMPLEMENTATIONS)
        self._impl = impl

    @property
    def impl(self) -> str:
        """The choice of the mathematics, "fast" or "reference", for the updates too."""
        return self._impl

    @impl.setter
    def impl(self, impl: str) -> None:
        check_choice("layer", "impl", impl, IMPLEMENTATIONS)
        self._impl = impl
        for parameter in self.all_parameters().values():
            parameter.impl = impl

    @property
    def functions(self) -> Any:
        """The module with the mathematics."""
        return IMPLEMENTATIONS[self.impl]


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
        super().__init__(impl)
        self.prefix = name
        table = uniform(generator(rng), (vocab_size, embedding_size), init_scale, dtype)
        self.W = Parameter(table, f"{name}.W", impl=impl)
        self.vocab_size = int(vocab_size)
        self.embedding_size = int(embedding_size)

    @classmethod
    def of(cls, W: Parameter, impl: str = "fast") -> Self:
        """Return a layer with this table, which it shares with its other owners."""
        layer = cls.__new__(cls)
        Layer.__init__(layer, impl)
        layer.prefix = "embedding"
        layer.W = W
        layer.vocab_size, layer.embedding_size = W.data.shape
        return layer

    def load(self, vectors: Array, *, trainable: bool = True) -> None:
        """Replace the table by given vectors, (V, D); frozen if not `trainable`.

        Real numbers of any dtype are converted to the dtype of the table.

        Raises
        ------
        ValueError
            If the shape is not (V, D), or a vector is not finite.
        """
        where = "Embedding.load"
        W = self.W.data
        vectors = real_array(where, "vectors", vectors)
        with np.errstate(over="ignore"):  # what overflows is not finite, and is refused below
            vectors = np.array(vectors, W.dtype, order="C")
        check_array(where, "vectors", vectors, W.shape)
        check_finite(where, "vectors", vectors)
        check_flag(where, "trainable", trainable)
        self.W.data = vectors
        self.W.trainable = trainable

    def forward(self, ids: ArrayLike, training: bool = True) -> Array:
        """Look up ids (T, B), integers in [0, V); return (T, B, D)."""
        self.begin_pass(training)
        W = self.W.data
        ids = check_ids("Embedding.forward", "ids", ids, len(W))
        x, cache = self.functions.embedding_forward(ids, W)
        if training:
            self.pending = cache
        return x

    def backward(self, dx: Array) -> None:
        """Add to ``W.grad``; ids have no gradient, so nothing is returned."""
        cache = self.take_pending()
        shape = (*cache.ids.shape, cache.shape[1])
        dtype = self.W.data.dtype
        check_array("Embedding.backward", "dx", dx, shape, dtype, "it has the shape of x")
        if self.W.trainable:
            self.W.accumulate(table_backward(self.functions, dx, cache))


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
        check_interval("layer", "dropout", p, "[0, 1)")
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
            mask = draw_mask(self.functions, self.p, x.shape, x.dtype, self.rng, axis)
            y, cache = self.functions.dropout_forward(x, mask)
        else:
            cache = None
            y = x.view()
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
        return self.functions.dropout_backward(dy, cache)


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
        super().__init__(impl)
        rng = generator(rng)
        self.prefix = name
        self.input_size = int(input_size)
        self.output_size = int(output_size)
        self.tied = tied is not None
        if tied is None:
            shape = (input_size, output_size)
            tied = Parameter(uniform(rng, shape, init_scale, dtype), f"{name}.W", impl=impl)
        check_kind("Linear", "tied", tied, Parameter)
        self.W = tied
        if self.tied:  # it is a parameter of another module
            self.path_names = {"W": None}
        b = uniform(rng, (output_size,), init_scale, dtype)
        self.b = Parameter(b, f"{name}.b", impl=impl)

    def forward(self, x: Array, training: bool = True) -> Array:
        """Return scores (T, B, output_size) for x (T, B, input_size)."""
        self.begin_pass(training)
        W = self.W.data.T if self.tied else self.W.data
        check_shapes("Linear.forward", "W D V, x * D", W, x)
        y, cache = self.functions.linear_forward(x, W, self.b.data)
        if training:
            self.pending = cache
        return y

    def backward(self, dy: Array) -> Array:
        """Add to the gradients of W and b; return dx."""
        cache = self.take_pending()
        shape = (*cache.x.shape[:-1], cache.W.shape[1])
        check_array("Linear.backward", "dy", dy, shape, cache.x.dtype, "it has the shape of y")
        dx, dW, db = self.functions.linear_backward(dy, cache)
        self.W.accumulate(dW.T if self.tied else dW)
        self.b.accumulate(db)
        return dx


class PendingStack(NamedTuple):
    """A forward pass of one or two stacks, kept for the backward pass."""

    shape: tuple[int, ...]  # of hs
    cache: dict[str, Any]


class RecurrentStack(Layer):
    """Layers of one recurrent cell, each with its own weights, with dropout between them.

    Parameters
    ----------
    cell : str
        A name in `numpylstm.cells.CELLS`.
    input_size, hidden_size, num_layers : int
        D, H and L. Parameters are ``CELL.0.Wx``, ``CELL.0.Wh``, ``CELL.0.b``, ``CELL.1.Wx``, ...
    dropout : float
        Probability of dropping, between layers; a single layer drops nothing.
    dropout_locked : bool
        Drop the same entries at all steps of a window (Gal and Ghahramani 2016).
    dropout_weights : float
        Probability of dropping an entry of each Wh, for all steps of a window (Merity et al. 2018).
    dropout_state : float
        Probability of dropping a unit of h from the product with Wh, in each sequence for all steps
        of a window (Gal and Ghahramani 2016). The next layer receives h whole.
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
        dropout_state: float = 0.0,
        init_scale: float = 0.05,
        dtype: DTypeLike = "float32",
        impl: str = "fast",
        rng: Rng = None,
        name: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(impl)
        self.options = cell_options(cell, options)
        self.cell = CELLS[cell]
        self.chosen = ChosenCell(self.cell, self.options)
        where = self.cell.title
        check_sizes(where, input_size=input_size, hidden_size=hidden_size, num_layers=num_layers)
        check_interval("layer", "dropout", dropout, "[0, 1)")
        check_flag("layer", "dropout_locked", dropout_locked)
        check_interval("layer", "dropout_weights", dropout_weights, "[0, 1)")
        check_interval("layer", "dropout_state", dropout_state, "[0, 1)")
        check_recurrent_drops(cell, self.options, dropout_weights, dropout_state)
        self.input_size = int(input_size)
        self.hidden_size = int(hidden_size)
        self.num_layers = int(num_layers)
        self.dropout = float(dropout)
        self.dropout_locked = dropout_locked
        self.dropout_weights = float(dropout_weights)
        self.dropout_state = float(dropout_state)
        self.dtype = float_dtype("layer", dtype)
        self.rng = generator(rng)
        self.prefix = name or cell
        self.input_shape = f"(T, B, {self.input_size})"
        self.path_names = {"by_path": ""}
        self.by_path: dict[str, Parameter] = {}
        for k in range(self.num_layers):
            D = self.input_size if k == 0 else self.hidden_size
            arrays = initial_layer(
                self.cell, self.options, D, self.hidden_size, init_scale, self.dtype, self.rng
            )
            for key, array in arrays.items():
                path = f"{k}.{key}"
                self.by_path[path] = Parameter(array, f"{self.prefix}.{path}", impl=impl)

    @property
    def layers(self) -> list[tuple[Parameter, ...]]:
        """The parameters of each layer, in the order of the arguments of the cell."""
        names = self.chosen.parameters
        layers = range(self.num_layers)
        return [tuple(self.by_path[f"{k}.{name}"] for name in names) for k in layers]

    def arrays(self) -> dict[str, Array]:
        """Return the parameters by their paths within the stack, such as ``0.Wx``."""
        arrays: dict[str, Array] = {}
        for path, parameter in self.by_path.items():
            arrays[path] = parameter.data
        return arrays

    def zero_state(self, batch_size: int) -> Any:
        """Return the initial state (L, B, H): zeros; of an sLSTM, m is very negative."""
        check_sizes(self.cell.title, batch_size=batch_size)
        return zero_state(self.cell, self.num_layers, batch_size, self.hidden_size, self.dtype)

    def draw_masks(self, T: int, B: int) -> dict[str, Array]:
        """Draw the dropout masks of a window by name: ``1.x``, ``0.Wh``, ``0.h``."""
        return draw_stack_masks(self.functions, self, self.arrays(), "", T, B, self.rng)

    def mask_names(self) -> set[str]:
        """Return the names of masks: of the input, the state and each parameter of each layer."""
        return stack_mask_names("", self.num_layers, self.chosen.parameters)

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
            What is dropped: ``masks["1.x"]`` from the input of layer 1, ``masks["0.Wh"]`` from the
            Wh of layer 0, ``masks["0.h"]`` (B, H) from its state; by default what `draw_masks`
            returns. Not used without `training`.

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
        lengths = self.check_input(where, x, lengths)
        T, B, _ = x.shape
        if state is None:
            state = self.zero_state(B)
        else:
            self.check_state(where, "state", state, B)
        if masks is not None:
            check_masks(where, masks, self.mask_names())
        if not training:
            return stack_outputs(self.functions, self.chosen, self.arrays(), "", x, state, lengths)
        if masks is None:
            masks = self.draw_masks(T, B)
        cache: dict[str, Any] = {}
        hs, state = stack_forward(
            self.functions, self.chosen, self.arrays(), "", x, state, masks, cache, lengths
        )
        self.pending = PendingStack(hs.shape, cache)
        hs = hs.view()
        hs.flags.writeable = False  # the cache holds it
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
        where = f"{self.cell.title}.backward"
        pending = self.take_pending()
        check_array(where, "dhs", dhs, pending.shape, self.dtype, "it has the shape of hs")
        if dstate is not None:
            self.check_state(where, "dstate", dstate, pending.shape[1])
        gradients: dict[str, Array] = {}
        dx, dstate = stack_backward(
            self.functions, self.chosen, "", self.num_layers, dhs, dstate, pending.cache, gradients
        )
        for path, gradient in gradients.items():
            self.by_path[path].accumulate(gradient)
        return dx, dstate

    def check_input(self, where: str, x: Array, lengths: Array | None) -> Array | None:
        """Raise unless x is an input of this stack; return a copy of the lengths."""
        because = "time comes first, and D is fixed by Wx"
        check_array(where, "x", x, ("T", "B", self.input_size), self.dtype, because)
        T, B, _ = x.shape
        if lengths is not None:
            lengths = check_lengths(where, "lengths", lengths, T, B)
        check_finite(where, "x", x, lengths=lengths)
        return lengths

    def check_state(self, where: str, argument: str, state: Any, batch_size: int) -> None:
        """Raise unless `state` is a finite state of this stack for `batch_size` sequences."""
        shape = self.num_layers, batch_size, self.hidden_size
        check_state(where, argument, state, self.cell.State, shape, self.dtype)

    def sizes(self) -> dict[str, Any]:
        """Return the settings that `repr` shows."""
        sizes: dict[str, Any] = {}
        if type(self) is RecurrentStack:
            sizes["cell"] = self.cell.name
        for name in ("input_size", "hidden_size", "num_layers"):
            sizes[name] = getattr(self, name)
        sizes |= self.options
        for name in ("dropout", "dropout_locked", "dropout_weights", "dropout_state"):
            if getattr(self, name):
                sizes[name] = getattr(self, name)
        return sizes


class RNN(RecurrentStack):
    """Vanilla recurrent layers: ``h = f(x @ Wx + h_prev @ Wh + b)``.

    Parameters
    ----------
    input_size, hidden_size, num_layers : int
        D, H and L. Parameters are ``rnn.0.Wx`` (D, H), ``rnn.0.Wh`` (H, H), ``rnn.0.b`` (H,), ...
    activation : "tanh", "relu" or "sigmoid"
    dropout, dropout_locked, dropout_weights, dropout_state, init_scale, dtype, impl, rng, name
        As for `RecurrentStack`.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        activation: str = "tanh",
        dropout: float = 0.0,
        dropout_locked: bool = False,
        dropout_weights: float = 0.0,
        dropout_state: float = 0.0,
        init_scale: float = 0.05,
        dtype: DTypeLike = "float32",
        impl: str = "fast",
        rng: Rng = None,
        name: str | None = None,
    ) -> None:
        super().__init__(
            "rnn",
            input_size,
            hidden_size,
            num_layers,
            activation=activation,
            dropout=dropout,
            dropout_locked=dropout_locked,
            dropout_weights=dropout_weights,
            dropout_state=dropout_state,
            init_scale=init_scale,
            dtype=dtype,
            impl=impl,
            rng=rng,
            name=name,
        )


class LSTM(RecurrentStack):
    """Long short-term memory layers; see `numpylstm.reference.lstm_step_forward`.

    Parameters
    ----------
    input_size, hidden_size, num_layers : int
        D, H and L. Parameters are ``lstm.0.Wx`` (D, 4H), ``lstm.0.Wh`` (H, 4H), ``lstm.0.b`` (4H,).
    forget_bias : float
        Added to the f block of every b at the start, so that a new cell remembers (Gers et al.
        2000). The equations do not change.
    dropout, dropout_locked, dropout_weights, dropout_state, init_scale, dtype, impl, rng, name
        As for `RecurrentStack`.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        forget_bias: float = 1.0,
        dropout: float = 0.0,
        dropout_locked: bool = False,
        dropout_weights: float = 0.0,
        dropout_state: float = 0.0,
        init_scale: float = 0.05,
        dtype: DTypeLike = "float32",
        impl: str = "fast",
        rng: Rng = None,
        name: str | None = None,
    ) -> None:
        super().__init__(
            "lstm",
            input_size,
            hidden_size,
            num_layers,
            forget_bias=forget_bias,
            dropout=dropout,
            dropout_locked=dropout_locked,
            dropout_weights=dropout_weights,
            dropout_state=dropout_state,
            init_scale=init_scale,
            dtype=dtype,
            impl=impl,
            rng=rng,
            name=name,
        )


class GRU(RecurrentStack):
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
    dropout, dropout_locked, dropout_weights, dropout_state, init_scale, dtype, impl, rng, name
        As for `RecurrentStack`.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        reset: str = "after",
        dropout: float = 0.0,
        dropout_locked: bool = False,
        dropout_weights: float = 0.0,
        dropout_state: float = 0.0,
        init_scale: float = 0.05,
        dtype: DTypeLike = "float32",
        impl: str = "fast",
        rng: Rng = None,
        name: str | None = None,
    ) -> None:
        super().__init__(
            "gru",
            input_size,
            hidden_size,
            num_layers,
            reset=reset,
            dropout=dropout,
            dropout_locked=dropout_locked,
            dropout_weights=dropout_weights,
            dropout_state=dropout_state,
            init_scale=init_scale,
            dtype=dtype,
            impl=impl,
            rng=rng,
            name=name,
        )


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
            check_weights(where, weights, targets.shape, logits.dtype)
        loss, cache = self.functions.sequence_cross_entropy_forward(
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
        _, cache = self.functions.sequence_cross_entropy_forward(logits, targets)
        return cache.nll, cache.predicted

    def backward(self) -> Array:
        """Return the gradient of the loss with respect to the logits, (T, B, V)."""
        return self.functions.sequence_cross_entropy_backward(self.take_pending())


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
            of_numbers = np.ndim(weights) == y.ndim
            shape = y.shape if of_numbers else y.shape[:-1]
            check_weights(where, weights, shape, y.dtype)
        loss, cache = self.functions.squared_error_forward(y, targets, weights)
        if training:
            self.pending = cache
        return float(loss)

    def score(self, y: Array, targets: Array) -> tuple[Array, Array]:
        """Return the mean over K of the squared errors, (T, B) or (B,), and y."""
        check_shapes("SquaredError.score", "y * K, targets * K", y, targets)
        return np.square(y - targets).mean(axis=-1), y

    def backward(self) -> Array:
        """Return the gradient of the loss with respect to y."""
        return self.functions.squared_error_backward(self.take_pending())
