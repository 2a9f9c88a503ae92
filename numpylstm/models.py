"""Models: a stack of layers with a loss on top, and parameters by path.

`LanguageModel` predicts the next token at every step (many-to-many). The models of whole sequences
are in `numpylstm.sequence_models`. Text generation (one-to-many) is `numpylstm.sampling.generate`,
which feeds a language model its own output.

A model is an `Encoder` (embedding, recurrent layers and dropout), a `Linear` decoder and a loss. It
is a dataclass: its fields are the arguments of its constructor. Most of them are settings, which a
`ModelConfig` checks and holds.
"""

from __future__ import annotations  # so that help() says DTypeLike, not all that it stands for

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, fields
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from numpylstm.bidirectional import Bidirectional
from numpylstm.cells import CELLS, State
from numpylstm.checks import (
    Array,
    Rng,
    check_flag,
    check_ids,
    check_kind,
    check_sizes,
    float_dtype,
    generator,
)
from numpylstm.config import ConfigError, ModelConfig, plain, settings_of
from numpylstm.functional import softmax
from numpylstm.layers import (
    IMPLEMENTATIONS,
    Embedding,
    Layer,
    Linear,
    RecurrentStack,
    SequenceCrossEntropy,
    SquaredError,
    stack_forward,
)
from numpylstm.parameters import Module


class ForwardPass(NamedTuple):
    """Result of `language_model_forward`, with the caches from the recurrent layers up."""

    loss: Any
    state: Any  # after the window; (L, B, H) arrays
    cells: list[Any]  # one cache for each layer, from the input up
    decoder: Any
    criterion: Any


def language_model_forward(
    functions: Any,
    config: ModelConfig,
    arrays: Mapping[str, Array],
    x: Array,
    y: Array,
    state: Any,
    masks: Mapping[str, Array],
) -> ForwardPass:
    """Compute the forward pass of a whole language model as one pure function.

    It is for checks and experiments; training goes through `LanguageModel.forward`.

    Parameters
    ----------
    functions : module
        `numpylstm.reference`, or any object with functions of the same names.
    config : ModelConfig
    arrays : dict of path -> array
        The parameters of a `LanguageModel`, as in its state dict; without ``decoder.W`` the
        transposed embedding table is used. With `reference`, they may be complex.
    x, y : (T, B) ids
    state : state of the cell, (L, B, H)
    masks : dict of name -> array
        Dropout masks, of the shape of what they drop: ``"words"`` of the embedding table,
        ``"input"`` after the embedding, ``"output"`` before the decoder, and those of
        `numpylstm.layers.stack_forward`. Without a mask nothing is dropped.
    """
    cell = CELLS[config.cell]

    def drop(name: str, values: Array) -> Any:
        return functions.dropout_forward(values, masks[name])[0] if name in masks else values

    layers = [
        {key: arrays[f"{cell.name}.{k}.{key}"] for key in cell.parameters(config.options)}
        for k in range(config.num_layers)
    ]
    table = drop("words", arrays["embedding.W"])
    vectors, _ = functions.embedding_forward(x, table)  # (T, B, D)
    vectors, arguments = drop("input", vectors), cell.arguments(config.options)
    hs, state, caches, _ = stack_forward(
        functions, cell, layers, vectors, state, masks, **arguments
    )
    W = arrays["decoder.W"] if "decoder.W" in arrays else arrays["embedding.W"].T
    hs = drop("output", hs)
    logits, decoder = functions.linear_forward(hs, W, arrays["decoder.b"])  # (T, B, V)
    loss, criterion = functions.sequence_cross_entropy_forward(logits, y, **config.averaging)
    return ForwardPass(loss, state, caches, decoder, criterion)


class Encoder(Layer):
    """Inputs to hidden states: embedding of ids, dropout, recurrent layers, dropout.

    All models share it. Without `vocab_size`, the inputs are vectors and there is no embedding.
    Without `every_step`, the results are the hidden states at the end of each sequence, (1, B, H);
    with two directions, (1, B, 2H), each direction where it has read the whole sequence.
    """

    def __init__(
        self,
        config: ModelConfig,
        vocab_size: int | None,
        bidirectional: bool,
        every_step: bool,
        rng: np.random.Generator,
    ) -> None:
        super().__init__(config.impl)
        self.config, self.every_step, self.rng = config, every_step, rng
        self.input_size, self.width = config.input_size, config.hidden_size * (1 + bidirectional)
        learned: Any = {"dtype": config.dtype, "impl": config.impl, "rng": rng}
        self.embedding: Any = None
        if vocab_size is not None:
            scale = config.init_scale_embedding
            scale = config.init_scale if scale is None else scale
            self.embedding = Embedding(vocab_size, self.input_size, init_scale=scale, **learned)
        kind: Any = Bidirectional if bidirectional else RecurrentStack
        self.recurrent: Any = kind(
            config.cell,
            self.input_size,
            config.hidden_size,
            config.num_layers,
            dropout=config.dropout,
            dropout_locked=config.dropout_locked,
            dropout_weights=config.dropout_weights,
            init_scale=config.init_scale,
            **config.options,
            **learned,
        )
        self.path_names = {"recurrent": self.recurrent.prefix}

    def draw_masks(self, T: int, B: int) -> dict[str, Any]:
        """Draw the dropout masks of a window, as `language_model_forward` takes them."""
        config, dtype, masks = self.config, self.config.dtype, {}
        of_input = config.dropout if config.dropout_input is None else config.dropout_input
        of_output = config.dropout if config.dropout_output is None else config.dropout_output
        axis = 0 if config.dropout_locked else None
        if config.dropout_words > 0:  # a whole row of the table, (V, D)
            shape = self.embedding.W.data.shape
            masks["words"] = self.draw_mask(config.dropout_words, shape, dtype, same_along=1)
        if of_input > 0:
            masks["input"] = self.draw_mask(of_input, (T, B, self.input_size), dtype, axis)
        masks |= self.recurrent.draw_masks(T, B)
        if of_output > 0:
            shape = (T if self.every_step else 1, B, self.width)
            masks["output"] = self.draw_mask(of_output, shape, dtype, axis)
        return masks

    def forward(
        self,
        x: Array,
        state: State | None,
        training: bool,
        lengths: Array | None = None,
        masks: Mapping[str, Array] | None = None,
    ) -> tuple[Array, State]:
        """Return the hidden states of the top layer, (T, B, H), and the state after the window."""
        self.begin_pass(training)
        functions, (T, B) = IMPLEMENTATIONS[self.impl], x.shape[:2]
        if not training:
            masks = {}
        elif masks is None:
            masks = self.draw_masks(T, B)
        dropped: dict[str, Any] = {}
        if self.embedding is not None:
            ids, x = x, self.embedding.forward(x, training)
            if "words" in masks:  # the rows that were looked up, in place of the whole table
                x, dropped["words"] = functions.dropout_forward(x, masks["words"][ids])
        if "input" in masks:
            x, dropped["input"] = functions.dropout_forward(x, masks["input"])
        hs, state = self.recurrent.forward(x, state, training, lengths, masks)
        shape, last = hs.shape, None
        if not self.every_step:
            ends = np.full(B, T) if lengths is None else lengths
            unit, H = np.arange(self.width), self.config.hidden_size
            t = np.where(unit < H, ends[:, None] - 1, 0)  # if it ends at 0, hs is 0
            last = t[None], np.arange(B)[:, None], unit
            hs = hs[last]
        if "output" in masks:
            hs, dropped["output"] = functions.dropout_forward(hs, masks["output"])
        if training:
            self.pending = dropped, shape, last  # where the last hidden states are in hs
        return hs, state

    def backward(self, dhs: Array) -> None:
        """Backpropagate the gradient of what `forward` returned to every parameter."""
        functions, (dropped, shape, last) = IMPLEMENTATIONS[self.impl], self.take_pending()
        if "output" in dropped:
            dhs = functions.dropout_backward(dhs, dropped["output"])
        if last is not None:  # gradients reach earlier steps through time only
            dhs, dlast = np.zeros(shape, dhs.dtype), dhs
            dhs[last] = dlast
        dx, _ = self.recurrent.backward(dhs)  # truncated: no gradient of the first state
        for name in ("input", "words"):
            if name in dropped:
                dx = functions.dropout_backward(dx, dropped[name])
        if self.embedding is not None:
            self.embedding.backward(dx)


OPTIONS = ("activation", "forget_bias", "reset", "factors", "forget_gate")
"""The options of the cells that are arguments of a model."""


@dataclass(kw_only=True, eq=False, repr=False)
class Model(Module):
    """Base class: an encoder, a decoder and a loss.

    The fields of a class are the arguments of its constructor. Those that are settings of a
    `ModelConfig` are checked by one, `config`, from which the parts are made.
    """

    answer = "vocab_size"  # the field that is the size of an answer
    every_step = True  # answer at each step, not once for a sequence
    bidirectional = False
    tied = False
    classes = True  # answers are ids of classes, not real numbers

    vocab_size: Any
    embedding_size: int | None = None
    cell: str = "lstm"
    activation: str = "tanh"
    forget_bias: float = 1.0
    reset: str = "after"
    factors: str = "positive"
    forget_gate: str = "sigmoid"
    dropout: float = 0.0
    dropout_input: float | None = None
    dropout_output: float | None = None
    dropout_locked: bool = False
    dropout_weights: float = 0.0
    dropout_words: float = 0.0
    init_scale: float | None = 0.05
    init_scale_embedding: float | None = None
    dtype: DTypeLike = "float32"
    impl: str = "fast"
    options: Mapping[str, Any] | None = None
    rng: Any = None

    @classmethod
    def from_config(
        cls,
        config: ModelConfig,
        vocab_size: int | None,
        answer_size: int | None = None,
        *,
        bidirectional: bool = False,
        every_step: bool | None = None,
        rng: Rng = None,
    ) -> Self:
        """Make the model of a configuration, which may be the `TrainConfig` of a run.

        Parameters
        ----------
        config : ModelConfig
        vocab_size : int or None
            None for a model of vectors, whose size is the `embedding_size` of the configuration.
        answer_size : int, optional
            The number of classes, or of numbers in an answer; by default V.
        bidirectional, every_step, rng
            As in the constructor of the class.
        """
        check_kind(f"{cls.__name__}.from_config", "config", config, ModelConfig)
        given = config.to_dict() | {
            "vocab_size": vocab_size,
            cls.answer: vocab_size if answer_size is None else answer_size,
            "bidirectional": bidirectional,
            "every_step": cls.every_step if every_step is None else every_step,
            "rng": rng,
        }
        if vocab_size is None:
            given["input_size"], given["embedding_size"] = config.input_size, None
        if given["vocab_size"] != vocab_size:
            raise ConfigError("answer_size", f"must be the vocab_size, got {answer_size}")
        names = {each.name for each in fields(cls)}
        for name in ("tied", "bidirectional", "every_step"):
            fixed = getattr(cls, name)  # where it is no argument
            if name not in names and given[name] != fixed:
                problem = f"must be {fixed} for a {cls.__name__}, got {given[name]!r}"
                raise ConfigError(name, problem)
        return cls(**{name: value for name, value in given.items() if name in names})

    def __post_init__(self) -> None:
        where, given = type(self).__name__, vars(self)
        self.dtype = float_dtype("model", self.dtype).name
        options = {name: given[name] for name in OPTIONS} | dict(self.options or {})
        settings = {
            each.name: getattr(self, each.name)
            for each in settings_of(ModelConfig)
            if hasattr(self, each.name)
        }
        self.config = config = ModelConfig(options=options, **settings)
        given |= {name: config.options[name] for name in OPTIONS if name in config.options}
        if self.vocab_size is not None:
            check_sizes(where, vocab_size=self.vocab_size)
        check_sizes(where, **{self.answer: given[self.answer]})
        check_flag(where, "bidirectional", self.bidirectional)
        check_flag(where, "every_step", self.every_step)
        if config.dropout_words and self.vocab_size is None:
            raise ConfigError(
                "dropout_words",
                f"must be 0 with vectors, which have no table, got {config.dropout_words}",
            )
        self.vocab_size, self.rng = plain(self.vocab_size), generator(self.rng)
        self.input_shape = f"(T, B, {config.input_size})" if self.vocab_size is None else "(T, B)"
        self.path_names = {"encoder": ""}
        self.encoder = Encoder(
            config, self.vocab_size, self.bidirectional, self.every_step, self.rng
        )
        self.decoder = Linear(
            self.encoder.width,
            self.answer_size,
            name="decoder",
            init_scale=config.init_scale,
            dtype=config.dtype,
            impl=config.impl,
            rng=self.rng,
            tied=self.encoder.embedding.W if config.tied else None,
        )
        self.criterion: Any = SquaredError(impl=config.impl)
        if self.classes:
            self.criterion = SequenceCrossEntropy(**config.averaging, impl=config.impl)

    @property
    def answer_size(self) -> int:
        """The number of classes, or of numbers in an answer."""
        return plain(getattr(self, self.answer))

    @property
    def embedding(self) -> Embedding:
        """The embedding of ids; `model.embedding.load(vectors)` loads pretrained vectors."""
        return self.encoder.embedding

    def zero_state(self, batch_size: int) -> State:
        """Return the initial state: zeros, (L, B, H); with two directions, a pair."""
        return self.encoder.recurrent.zero_state(batch_size)

    def draw_masks(self, T: int, B: int) -> dict[str, Array]:
        """Draw the dropout masks of a window by name, as `forward` does."""
        return self.encoder.draw_masks(T, B)

    def backward(self) -> None:
        """Add the gradient of the pending loss to the `grad` of every parameter."""
        self.encoder.backward(self.decoder.backward(self.criterion.backward()))

    def sizes(self) -> dict[str, Any]:
        """Return the settings that `repr` shows: those that differ from their defaults."""
        hidden = {"options", "rng", "init_scale", *OPTIONS}
        if self.vocab_size is None:
            hidden |= {"vocab_size", "embedding_size"}
        named = vars(self) | self.config.to_dict() | {self.answer: self.answer_size}
        shown = {
            each.name: named[each.name]
            for each in sorted(fields(self), key=lambda each: bool(each.kw_only))
            if each.name not in hidden and named[each.name] != each.default
        }
        return shown | dict(self.config.options)

    def __repr__(self) -> str:
        rows = [
            f"  {path:14}{p.data.shape!s:>16}{p.data.size:>13,}{'' if p.trainable else '  frozen'}"
            for path, p in self.all_parameters().items()
        ]
        return "\n".join([super().__repr__(), *rows])


@dataclass(eq=False, repr=False)
class LanguageModel(Model):
    """A recurrent language model: at every step, a probability for each possible next token.

    Parameters
    ----------
    vocab_size, hidden_size, num_layers : int
        V, H and L.
    embedding_size : int, optional
        D, by default H.
    cell : "lstm", "gru", "rnn", "mingru", "minlstm" or "slstm"
    dropout : float
        Probability of dropping, on the non-recurrent connections: after the embedding, between
        the layers and before the decoder (Zaremba et al. 2014).
    dropout_input : float, optional
        The probability after the embedding, by default `dropout`.
    dropout_output : float, optional
        The probability before the decoder, by default `dropout`.
    dropout_locked : bool
        Drop the same entries at all steps of a window (Gal and Ghahramani 2016).
    dropout_weights : float
        Probability of dropping an entry of each Wh, for all steps of a window: weight drop (Merity
        et al. 2018).
    dropout_words : float
        Probability of dropping a word, a row of the embedding table, for all steps of a window. The
        decoder of a tied model keeps all rows.
    tied : bool
        Decode with the transpose of the embedding table (Press and Wolf 2017); needs D = H.
    init_scale : float
        The initial parameters are drawn from U(-init_scale, init_scale).
    init_scale_embedding : float, optional
        The same for the embedding, by default `init_scale`.
    dtype : "float32" or "float64"
    impl : "fast" or "reference"
    average_across_timesteps, average_across_batch : bool
        As in `numpylstm.reference.sequence_cross_entropy_forward`.
    activation, forget_bias, reset, factors, forget_gate
        Options of the cells: ``activation`` of the vanilla RNN is "tanh", "relu" or "sigmoid";
        ``forget_bias`` is added to the initial bias of the forget gates; ``reset`` of the GRU is
        "after" or "before" the product with Wh; ``factors`` of the minGRU are "positive" or
        "signed"; ``forget_gate`` of the sLSTM is "sigmoid" or "exp".
    options : dict, optional
        Other options by name, of a cell that you have added to `numpylstm.cells.CELLS`.
    rng : Generator or int, optional
        Source of the initial values and of the dropout masks.

    Examples
    --------
    >>> import numpy as np, numpylstm as nl
    >>> model = nl.LanguageModel(11, 6, rng=0)
    >>> ids = np.arange(12).reshape(4, 3) % 11  # (T, B)
    >>> state = model.zero_state(batch_size=3)
    >>> loss, state = model.forward(ids[:-1], ids[1:], state)
    >>> model.backward()
    >>> sorted(model.parameters())
    ['decoder.W', 'decoder.b', 'embedding.W', 'lstm.0.Wh', 'lstm.0.Wx', 'lstm.0.b']
    """

    vocab_size: int
    hidden_size: int
    num_layers: int = 1
    _: KW_ONLY
    init_scale: float = 0.05
    tied: bool = False
    average_across_timesteps: bool = False
    average_across_batch: bool = True

    def forward(
        self,
        x: ArrayLike,
        y: ArrayLike,
        state: State | None = None,
        training: bool = True,
        weights: Array | None = None,
        masks: Mapping[str, Array] | None = None,
    ) -> tuple[float, State]:
        """Compute the loss of one window.

        Parameters
        ----------
        x, y : (T, B) integers in [0, V)
            Tokens, and the tokens that follow them.
        state : state of the cell, optional
            The state after the previous window; `zero_state` by default.
        training : bool
            Apply dropout, and keep the caches for `backward`.
        weights : (T, B), optional
            Weight of each token in the loss; 0 for padding.
        masks : dict of name -> array, optional
            Dropout masks to use in place of new ones; `draw_masks` makes them.

        Returns
        -------
        loss : float, in nats
        state : state of the cell
            Pass it to the next window: truncated backpropagation through time.
        """
        self.criterion.begin_pass(training)  # also if an error follows
        where, V = "LanguageModel.forward", self.vocab_size
        x = check_ids(where, "x", x, V, ("T", "B"), "time comes first")
        y = check_ids(where, "y", y, V, x.shape, "it has the shape of x")
        if masks is not None:
            self._check_masks(masks)
        hs, state = self.encoder.forward(x, state, training, masks=masks)
        logits = self.decoder.forward(hs, training)
        return self.criterion.forward(logits, y, weights, training), state

    def _check_masks(self, masks: Mapping[str, Array]) -> None:
        """Raise a ValueError for a mask that would drop nothing."""
        names = ("x", *self.encoder.recurrent.by_layer["0"])
        known = {f"{k}.{name}" for k in range(self.config.num_layers) for name in names}
        for name in masks.keys() - known - {"words", "input", "output"}:
            raise ValueError(
                f"LanguageModel.forward: masks must have the names of draw_masks, got {name!r}"
            )

    def training_scores(self) -> tuple[Array, Array]:
        """Return the nll and the predicted ids, both (T, B), of the pending forward pass.

        They are available between `forward` and `backward`, at no extra cost.
        """
        if self.criterion.pending is None:
            raise RuntimeError("LanguageModel.training_scores: there is no pending forward pass")
        return self.criterion.pending.nll, self.criterion.pending.predicted

    def score(
        self, x: ArrayLike, y: ArrayLike, state: State | None = None
    ) -> tuple[Array, Array, State]:
        """Return the nll of the targets in nats, the most probable ids, (T, B), and the state."""
        logits, state = self.logits(x, state)
        return *self.criterion.score(logits, y), state

    def logits(self, x: ArrayLike, state: State | None = None) -> tuple[Array, State]:
        """Return scores (T, B, V), whose softmax predicts the next token, and the state."""
        x = check_ids("LanguageModel", "x", x, self.vocab_size, ("T", "B"), "time comes first")
        hs, state = self.encoder.forward(x, state, training=False)
        return self.decoder.forward(hs, training=False), state

    def probabilities(self, x: ArrayLike, state: State | None = None) -> tuple[Array, State]:
        """Return the probabilities of all next tokens, (T, B, V), and the state."""
        logits, state = self.logits(x, state)
        return softmax(logits), state


def check_language_model(where: str, model: Any) -> None:
    """Raise a TypeError unless `model` is a LanguageModel."""
    check_kind(where, "model", model, LanguageModel)


def check_window(
    where: str, model: Any, x: ArrayLike, y: ArrayLike, state: State | None
) -> tuple[Array, Array, State]:
    """Raise unless `model` is a LanguageModel and the arguments are those of its forward pass.

    Return copies of x and y, and the state, which is zero by default.
    """
    check_language_model(where, model)
    x = check_ids(where, "x", x, model.vocab_size, ("T", "B"), "time comes first")
    y = check_ids(where, "y", y, model.vocab_size, x.shape, "it has the shape of x")
    state = model.zero_state(x.shape[1]) if state is None else state
    model.encoder.recurrent.check_state(where, "state", state, x.shape[1])
    return x, y, state
