"""Models: a network with a loss on top, and parameters by path.

`LanguageModel` predicts the next token at every step (many-to-many). The models of whole sequences
are in `numpylstm.sequence_models`. Text generation (one-to-many) is `numpylstm.sampling.generate`,
which feeds a language model its own output.

A model owns its settings (`config`), its parameters, the generator of its masks and the cache of
one pending forward pass. It checks its arguments and calls the functions of `numpylstm.network`.
"""

from __future__ import annotations  # so that help() says DTypeLike, not all that it stands for

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from numpylstm import inference, network
from numpylstm.aliases import warn_of_old_name
from numpylstm.cells import CELLS, State
from numpylstm.checks import (
    Array,
    Rng,
    any_array,
    before_end,
    check_flag,
    check_ids,
    check_kind,
    check_lengths,
    check_shape,
    check_sizes,
    check_state,
    checked_weights,
    float_dtype,
    generator,
)
from numpylstm.config import ConfigError, ModelConfig, config_fields, plain
from numpylstm.functional import softmax
from numpylstm.layers import Embedding
from numpylstm.masks import check_masks, draw_masks, stack_mask_names
from numpylstm.parameters import IMPLEMENTATIONS, Module, Parameter, initial_arrays
from numpylstm.stack import zero_state


class Setting:
    """A read-only attribute of a model: a setting of its `config`, or an option of its cell."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, model: Any, owner: type | None = None) -> Any:
        if model is None:
            return self
        config = model.config
        if self.name in config.options:
            return config.options[self.name]
        if not hasattr(config, self.name):
            raise AttributeError(f"{self.name} is no option of the cell {config.cell!r}")
        return getattr(config, self.name)

    def __set__(self, model: Any, value: Any) -> None:
        change = f"{self.name}={value!r}"
        if not hasattr(model.config, self.name):
            change = f"options={{**model.config.options, {self.name!r}: {value!r}}}"
        raise AttributeError(
            f"{type(model).__name__}: {self.name} must not be set, since it is a setting of the "
            f"config; model.config = dataclasses.replace(model.config, {change}) changes it"
        )


class Model(Module):
    """Base class: a network with a loss on top.

    A class has a constructor with the settings as arguments, and `from_config`; both end in
    `build`.

    Attributes
    ----------
    by_path : dict of path -> Parameter
    num_outputs : int
        The columns of the decoder: V of a language model, the number of classes or of real numbers
        of the others.
    rng : Generator
        Source of the dropout masks.
    """

    outputs_argument = "vocab_size"  # the argument that gives the number of outputs
    fixed_settings: Mapping[str, bool] = {}  # those that no model of the class can have otherwise
    left_out_of_repr: frozenset[str] = frozenset({"hidden_size", "num_layers", "init_scale"})
    replaced_functions: Any = None  # in place of those of `impl`; see `numpylstm.museum.infect`

    hidden_size = Setting()
    num_layers = Setting()
    embedding_size = Setting()
    cell = Setting()
    activation = Setting()
    forget_bias = Setting()
    reset = Setting()
    factors = Setting()
    forget_gate = Setting()
    dropout = Setting()
    dropout_input = Setting()
    dropout_output = Setting()
    dropout_locked = Setting()
    dropout_weights = Setting()
    dropout_state = Setting()
    dropout_words = Setting()
    tied = Setting()
    init_scale = Setting()
    init_scale_embedding = Setting()
    dtype = Setting()
    impl = Setting()
    average_across_timesteps = Setting()
    average_across_batch = Setting()

    @classmethod
    def from_config(
        cls,
        config: ModelConfig,
        vocab_size: int | None,
        num_outputs: int | None = None,
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
        num_outputs : int, optional
            The number of classes, or of real numbers, at each step; by default V.
        bidirectional, every_step, rng
            As in the constructor of the class.
        """
        check_kind(f"{cls.__name__}.from_config", "config", config, ModelConfig)
        if num_outputs is None:
            num_outputs = vocab_size
        if every_step is None:
            every_step = cls.fixed_settings.get("every_step", True)
        for name, value in {"bidirectional": bidirectional, "every_step": every_step}.items():
            cls.check_fixed(name, value)
        if cls.outputs_argument == "vocab_size" and num_outputs != vocab_size:
            raise ConfigError("num_outputs", f"must be the vocab_size, got {num_outputs}")
        model = cls.__new__(cls)
        config = cls.with_defaults_of_class(config.model_settings())
        model.build(config, vocab_size, num_outputs, bidirectional, every_step, rng)
        return model

    @classmethod
    def with_defaults_of_class(cls, config: ModelConfig) -> ModelConfig:
        """Return a configuration with those defaults that differ in this class."""
        return config

    @classmethod
    def check_fixed(cls, name: str, value: Any) -> None:
        """Raise a ConfigError if the class fixes something at another value."""
        expected = cls.fixed_settings.get(name, value)
        if value != expected:
            raise ConfigError(name, f"must be {expected} for a {cls.__name__}, got {value!r}")

    def build(
        self,
        config: ModelConfig,
        vocab_size: Any,
        num_outputs: Any,
        bidirectional: bool,
        every_step: bool,
        rng: Rng,
    ) -> None:
        """Check the sizes and draw the parameters."""
        where = type(self).__name__
        if vocab_size is not None:
            check_sizes(where, vocab_size=vocab_size)
        check_sizes(where, **{self.outputs_argument: num_outputs})
        check_flag(where, "bidirectional", bidirectional)
        check_flag(where, "every_step", every_step)
        self.vocab_size = plain(vocab_size)
        self.num_outputs = plain(num_outputs)
        self.bidirectional = bidirectional
        self.every_step = every_step
        self.check_config(config)
        self._config = config
        self.rng = generator(rng)
        self.input_shape = f"(T, B, {config.input_size})" if vocab_size is None else "(T, B)"
        self.path_names = {"by_path": ""}
        arrays = initial_arrays(config, vocab_size, num_outputs, bidirectional, self.rng)
        self.by_path: dict[str, Parameter] = {}
        for path, array in arrays.items():
            self.by_path[path] = Parameter(array, path, impl=config.impl)

    @property
    def config(self) -> ModelConfig:
        """The settings; every pass reads them here.

        ``model.config = dataclasses.replace(model.config, dropout=0.5)`` changes one. Settings
        that decide the shapes of the parameters cannot change.
        """
        return self._config

    @config.setter
    def config(self, config: ModelConfig) -> None:
        check_kind(f"{type(self).__name__}.config", "config", config, ModelConfig)
        self.check_config(config)
        check_same_shapes(self._config, config)
        self._config = config.model_settings()
        for parameter in self.by_path.values():
            parameter.impl = config.impl

    def check_config(self, config: ModelConfig) -> None:
        """Raise a ConfigError unless this model can have these settings."""
        for name in self.fixed_settings:
            if hasattr(config, name):
                self.check_fixed(name, getattr(config, name))
        if config.dropout_words and self.vocab_size is None:
            raise ConfigError(
                "dropout_words",
                f"must be 0 with vectors, which have no table, got {config.dropout_words}",
            )

    def astype(self, dtype: DTypeLike) -> Self:
        """Return a copy in float32 or float64, without gradients and without a pending pass.

        Its generator begins where that of this model stands.
        """
        twin = copy.deepcopy(self)
        twin.pending = None
        twin._config = replace(self.config, dtype=float_dtype("astype", dtype).name)
        for parameter in twin.by_path.values():
            parameter.data = parameter.data.astype(dtype)
            parameter.zero_grad()
        return twin

    @property
    def answer_size(self) -> int:
        """The old name of `num_outputs`."""
        warn_of_old_name("Model.answer_size")
        return self.num_outputs

    @property
    def functions(self) -> Any:
        """The module with the mathematics."""
        if self.replaced_functions is not None:
            return self.replaced_functions
        return IMPLEMENTATIONS[self._config.impl]

    @property
    def embedding(self) -> Embedding | None:
        """The embedding as a layer; `model.embedding.load(vectors)` loads pretrained vectors."""
        if self.vocab_size is None:
            return None
        return Embedding.of(self.by_path["embedding.W"], self.config.impl)

    def arrays(self) -> dict[str, Array]:
        """Return the arrays themselves, by path; `state_dict` returns copies."""
        arrays: dict[str, Array] = {}
        for path, parameter in self.by_path.items():
            arrays[path] = parameter.data
        return arrays

    def zero_state(self, batch_size: int) -> Any:
        """Return the initial state: zeros, (L, B, H); with two directions, a pair."""
        config = self.config
        cell = CELLS[config.cell]
        check_sizes(cell.title, batch_size=batch_size)
        sizes = config.num_layers, batch_size, config.hidden_size
        state = zero_state(cell, *sizes, np.dtype(config.dtype))
        if self.bidirectional:
            return state, zero_state(cell, *sizes, np.dtype(config.dtype))
        return state

    def checked_state(self, where: str, state: Any, batch_size: int) -> Any:
        """Return the state before a window, by default zeros; raise unless it fits this model."""
        if state is None:
            return self.zero_state(batch_size)
        config = self.config
        shape = config.num_layers, batch_size, config.hidden_size
        kind = CELLS[config.cell].State
        check_state(where, "state", state, kind, shape, np.dtype(config.dtype))
        return state

    def draw_masks(self, T: int, B: int) -> dict[str, Array]:
        """Draw the dropout masks of a window by name, as `forward` does; see `network`."""
        return draw_masks(
            self.functions, self.config, self.arrays(), T, B, self.rng, self.every_step
        )

    def backward(self) -> None:
        """Add the gradient of the pending loss to the `grad` of every parameter."""
        gradients, _ = network.loss_backward(self.functions, self.config, self.take_pending())
        for path, parameter in self.by_path.items():
            parameter.accumulate(gradients[path])

    def sizes(self) -> dict[str, Any]:
        """Return the settings that `repr` shows: those that differ from their defaults."""
        config = self.config
        shown: dict[str, Any] = {}
        if self.vocab_size is not None:
            shown["vocab_size"] = self.vocab_size
        shown[self.outputs_argument] = self.num_outputs
        shown["hidden_size"] = config.hidden_size
        if config.num_layers != 1:
            shown["num_layers"] = config.num_layers
        if self.vocab_size is None:
            shown["input_size"] = config.input_size
        for each in config_fields(ModelConfig):
            value = getattr(config, each.name)
            if each.name not in self.left_out_of_repr and value != each.default:
                shown[each.name] = value
        if self.vocab_size is None:
            shown.pop("embedding_size", None)
        for name, default in {"bidirectional": False, "every_step": True}.items():
            if name not in self.fixed_settings and getattr(self, name) != default:
                shown[name] = getattr(self, name)
        return shown | dict(config.options)

    def __repr__(self) -> str:
        rows = [
            f"  {path:14}{p.data.shape!s:>16}{p.data.size:>13,}{'' if p.trainable else '  frozen'}"
            for path, p in self.all_parameters().items()
        ]
        return "\n".join([super().__repr__(), *rows])


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
        The probability before the decoder, and before a projection, by default `dropout`.
    dropout_locked : bool
        Drop the same entries at all steps of a window (Gal and Ghahramani 2016).
    dropout_weights : float
        Probability of dropping an entry of each Wh, for all steps of a window: weight drop (Merity
        et al. 2018).
    dropout_state : float
        Probability of dropping a unit of h from the product with Wh, in each stream for all steps
        of a window (Gal and Ghahramani 2016). The layer above receives h whole.
    dropout_words : float
        Probability of dropping a word, a row of the embedding table, for all steps of a window. The
        decoder of a tied model keeps all rows.
    tied : bool
        Decode with the transpose of the embedding table (Press and Wolf 2017). If D is not H, a
        projection ``projection.W`` (H, D) stands before it (Melis et al. 2018). PyTorch's
        `proj_size` is another thing: it projects h within the recurrent layer, at every step.
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

    fixed_settings: Mapping[str, bool] = {"bidirectional": False, "every_step": True}

    def __init__(
        self,
        vocab_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        embedding_size: int | None = None,
        cell: str = "lstm",
        activation: str = "tanh",
        forget_bias: float = 1.0,
        reset: str = "after",
        factors: str = "positive",
        forget_gate: str = "sigmoid",
        dropout: float = 0.0,
        dropout_input: float | None = None,
        dropout_output: float | None = None,
        dropout_locked: bool = False,
        dropout_weights: float = 0.0,
        dropout_state: float = 0.0,
        dropout_words: float = 0.0,
        tied: bool = False,
        init_scale: float = 0.05,
        init_scale_embedding: float | None = None,
        dtype: DTypeLike = "float32",
        impl: str = "fast",
        average_across_timesteps: bool = False,
        average_across_batch: bool = True,
        options: Mapping[str, Any] | None = None,
        rng: Rng = None,
    ) -> None:
        config = ModelConfig.with_options(
            options,
            hidden_size=hidden_size,
            num_layers=num_layers,
            embedding_size=embedding_size,
            cell=cell,
            activation=activation,
            forget_bias=forget_bias,
            reset=reset,
            factors=factors,
            forget_gate=forget_gate,
            dropout=dropout,
            dropout_input=dropout_input,
            dropout_output=dropout_output,
            dropout_locked=dropout_locked,
            dropout_weights=dropout_weights,
            dropout_state=dropout_state,
            dropout_words=dropout_words,
            tied=tied,
            init_scale=init_scale,
            init_scale_embedding=init_scale_embedding,
            dtype=float_dtype("model", dtype).name,
            impl=impl,
            average_across_timesteps=average_across_timesteps,
            average_across_batch=average_across_batch,
        )
        self.build(config, vocab_size, vocab_size, False, True, rng)

    def forward(
        self,
        x: ArrayLike,
        y: ArrayLike,
        state: State | None = None,
        training: bool = True,
        weights: Array | None = None,
        masks: Mapping[str, Array] | None = None,
        lengths: ArrayLike | None = None,
    ) -> tuple[float, State]:
        """Compute the loss of one window.

        Parameters
        ----------
        x, y : (T, B) integers in [0, V)
            Tokens, and the tokens that follow them.
        state : state of the cell, optional
            The state after the previous window; `zero_state` by default.
        training : bool
            Apply dropout, and keep the cache for `backward`.
        weights : (T, B), optional
            Weight of each token in the loss, as real numbers or bools.
        masks : dict of name -> array, optional
            Dropout masks to use in place of new ones; `draw_masks` makes them.
        lengths : (B,) integers in [0, T], optional
            Where each sequence ends, if the batch is padded; the tokens past an end are neither
            read nor scored, and the state is that at the end.

        Returns
        -------
        loss : float, in nats
        state : state of the cell
            Pass it to the next window: truncated backpropagation through time.
        """
        self.begin_pass(training)
        where = "LanguageModel.forward"
        x, y, lengths, inside = self.mask_padding(where, x, y, lengths)
        x, y, state = self.checked_window(where, x, y, state)
        functions = self.functions
        config = self.config
        arrays = self.arrays()
        if weights is None:
            weights = inside
        else:
            weights = checked_weights(where, weights, x.shape, config.dtype)
            weights = weights if inside is None else weights * inside
        if masks is not None:
            check_masks(where, masks, self.mask_names())
        if not training:
            logits, state = inference.outputs(functions, config, arrays, x, state, lengths)
            loss, _ = network.criterion_forward(functions, config, logits, y, weights, False)
            return float(loss), state
        if masks is None:
            T, B = x.shape
            masks = draw_masks(functions, config, arrays, T, B, self.rng)
        loss, state, self.pending = network.loss_forward(
            functions, config, arrays, x, y, state, masks, lengths=lengths, weights=weights
        )
        return float(loss), state

    def checked_window(
        self, where: str, x: ArrayLike, y: ArrayLike, state: State | None
    ) -> tuple[Array, Array, State]:
        """Return copies of x and y, and the state; raise unless they are those of a window."""
        x = check_ids(where, "x", x, self.vocab_size, ("T", "B"), "time comes first")
        y = check_ids(where, "y", y, self.vocab_size, x.shape, "it has the shape of x")
        return x, y, self.checked_state(where, state, x.shape[1])

    def mask_padding(
        self, where: str, x: ArrayLike, y: ArrayLike, lengths: ArrayLike | None
    ) -> tuple[ArrayLike, ArrayLike, Array | None, Array | None]:
        """Return x and y with id 0 past the ends, the lengths, and (T, B) with 1 before the ends.

        Without lengths, x and y are the arguments, and the others None.
        """
        if lengths is None:
            return x, y, None, None
        x = any_array(where, "x", x).copy()
        y = any_array(where, "y", y).copy()
        check_shape(where, "x", x, ("T", "B"), "time comes first")
        check_shape(where, "y", y, x.shape, "it has the shape of x")
        lengths = check_lengths(where, "lengths", any_array(where, "lengths", lengths), *x.shape)
        inside = before_end(lengths, len(x))
        x[~inside] = 0
        y[~inside] = 0
        return x, y, lengths, inside.astype(self.config.dtype)

    def mask_names(self) -> set[str]:
        """Return the names that masks may have; see `numpylstm.masks`."""
        config = self.config
        names = stack_mask_names(
            f"{config.cell}.", config.num_layers, config.chosen_cell.parameters
        )
        return names | {"words", "input", "output", "decoder.x"}

    def training_scores(self) -> tuple[Array, Array]:
        """Return the nll and the predicted ids, both (T, B), of the pending forward pass.

        They are available between `forward` and `backward`, at no extra cost.
        """
        if self.pending is None:
            raise RuntimeError("LanguageModel.training_scores: there is no pending forward pass")
        criterion = self.pending["cross_entropy"]
        return criterion.nll, criterion.predicted

    def score(
        self,
        x: ArrayLike,
        y: ArrayLike,
        state: State | None = None,
        lengths: ArrayLike | None = None,
    ) -> tuple[Array, Array, State]:
        """Return the nll of the targets in nats, the most probable ids, (T, B), and the state.

        Past the end of a sequence, by its `lengths`, the nll is 0.
        """
        where = "LanguageModel.score"
        x, y, lengths, inside = self.mask_padding(where, x, y, lengths)
        x, y, state = self.checked_window(where, x, y, state)
        nll = np.empty(x.shape, self.config.dtype)
        predicted = np.empty(x.shape, np.intp)
        for window in inference.windows(*x.shape):
            _, state, cache = network.loss_forward(
                self.functions,
                self.config,
                self.arrays(),
                x[window],
                y[window],
                state,
                masks={},
                lengths=inference.lengths_within(window, lengths),
            )
            criterion = cache["cross_entropy"]
            nll[window] = criterion.nll
            predicted[window] = criterion.predicted
        return nll if inside is None else nll * inside, predicted, state

    def logits(self, x: ArrayLike, state: State | None = None) -> tuple[Array, State]:
        """Return scores (T, B, V), whose softmax predicts the next token, and the state."""
        where = "LanguageModel"
        x = check_ids(where, "x", x, self.vocab_size, ("T", "B"), "time comes first")
        state = self.checked_state(where, state, x.shape[1])
        return inference.outputs(self.functions, self.config, self.arrays(), x, state)

    def probabilities(self, x: ArrayLike, state: State | None = None) -> tuple[Array, State]:
        """Return the probabilities of all next tokens, (T, B, V), and the state."""
        logits, state = self.logits(x, state)
        return softmax(logits), state


def check_same_shapes(before: ModelConfig, after: ModelConfig) -> None:
    """Raise a ConfigError unless a model keeps its parameters with other settings."""
    problem = "must stay {!r}, got {!r}; it decides the shapes of the parameters: make a new model"
    for each in config_fields(ModelConfig):
        name = "input_size" if each.name == "embedding_size" else each.name
        if each.metadata["shapes"] and getattr(after, name) != getattr(before, name):
            values = getattr(before, name), getattr(after, name)
            raise ConfigError(each.name, problem.format(*values))
    if after.chosen_cell.parameters != before.chosen_cell.parameters:
        raise ConfigError("options", problem.format(dict(before.options), dict(after.options)))


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
    return model.checked_window(where, x, y, state)
