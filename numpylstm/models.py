"""Models: a stack of layers with a loss on top, and parameters by path.

`LanguageModel` predicts the next token at every step (many-to-many). The models of whole sequences
are in `numpylstm.sequence_models`. Text generation (one-to-many) is `numpylstm.sampling.generate`,
which feeds a language model its own output.

A model is made from a `ModelConfig`. The constructors take its settings and the options of the
cell as keywords.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from numpylstm.bidirectional import Bidirectional
from numpylstm.cells import CELLS, Cell, State
from numpylstm.checks import any_array, check_dtype, check_kind, check_shape, check_sizes, generator
from numpylstm.config import ModelConfig, plain, settings_of
from numpylstm.layers import Dropout, Embedding, Linear, RecurrentStack, SequenceCrossEntropy
from numpylstm.parameters import Owner, Parameter

Array = NDArray[Any]


class Window(NamedTuple):
    """Input of a language model: everything its loss depends on besides the parameters.

    `masks` are the dropout masks from the input up: after the embedding, between the layers, before
    the decoder. Without a mask nothing is dropped.
    """

    x: Array  # (T, B) ids
    y: Array  # (T, B) ids
    state: Any  # of the cell; (L, B, H) arrays
    masks: Sequence[Array | None] = ()
    weights: Array | None = None  # (T, B)


class ForwardPass(NamedTuple):
    """Result of `language_model_forward`, with the caches from the recurrent layers up."""

    loss: Any
    state: Any  # after the window; (L, B, H) arrays
    cells: list[Any]  # one cache for each layer, from the input up
    decoder: Any
    criterion: Any


def stack_forward(
    arrays: Mapping[str, Array], x: Array, state: Any, functions: Any, cell: Cell,
    options: Mapping[str, Any], drop: Callable[[Array], Array] = lambda values: values,
) -> tuple[Array, Any, list[Any]]:  # fmt: skip
    """Compute the forward pass of a `RecurrentStack` as one pure function.

    `drop` is applied to the input of each layer; the rest is as in `language_model_forward`.
    Returns hs (T, B, H), the state after the window, and the cache of each layer.
    """
    finals, caches = [], []
    for layer in range(len(state[0])):
        initial = [part[layer] for part in state]  # (B, H)
        parameters = [arrays[f"{cell.name}.{layer}.{key}"] for key in cell.parameters(options)]
        x, *final, cache = cell.function(functions, "forward")(
            drop(x), *initial, *parameters, **cell.arguments(options)
        )  # (T, B, H)
        finals.append(final)
        caches.append(cache)
    return x, cell.State(*map(np.stack, zip(*finals, strict=True))), caches


def language_model_forward(
    arrays: Mapping[str, Array], window: Window, functions: Any, config: ModelConfig
) -> ForwardPass:
    """Compute the forward pass of a whole language model as one pure function.

    Parameters
    ----------
    arrays : dict of path -> array
        The parameters of a `LanguageModel`, as in its state dict; without ``decoder.W`` the
        transposed embedding table is used. With `reference`, they may be complex.
    window : Window
    functions : module
        `numpylstm.reference`, or any object with functions of the same names.
    config : ModelConfig
    """
    masks = iter(window.masks)

    def drop(values: Array) -> Any:
        mask = next(masks, None)
        return values if mask is None else functions.dropout_forward(values, mask)[0]

    values, _ = functions.embedding_forward(window.x, arrays["embedding.W"])  # (T, B, D)
    values, state, caches = stack_forward(
        arrays, values, window.state, functions, CELLS[config.cell], config.options, drop
    )
    W = arrays["decoder.W"] if "decoder.W" in arrays else arrays["embedding.W"].T
    logits, decoder = functions.linear_forward(drop(values), W, arrays["decoder.b"])  # (T, B, V)
    loss, criterion = functions.sequence_cross_entropy_forward(
        logits, window.y, window.weights, **config.averaging
    )
    return ForwardPass(loss, state, caches, decoder, criterion)


def model_config(**keywords: Any) -> ModelConfig:
    """Return the configuration of a model from the keywords of its constructor."""
    if "dtype" in keywords:
        check_dtype("model", keywords["dtype"])
        keywords["dtype"] = np.dtype(keywords["dtype"]).name
    names = {setting.name for setting in settings_of(ModelConfig)} & keywords.keys()
    settings = {name: keywords.pop(name) for name in names}
    return ModelConfig(**settings, options=keywords)


class Plan(NamedTuple):
    """Everything that fixes the parameters of a model: the arguments of `parameter_shapes`."""

    config: ModelConfig
    vocab_size: Any  # None: there is no embedding
    outputs: int
    bidirectional: bool = False


class Encoder(Owner):
    """Inputs to hidden states: embedding of ids, dropout, recurrent layers, dropout.

    All models share it. Without `vocab_size`, the inputs are vectors and there is no embedding.
    """

    _pending: Any = None  # the shape of hs, and where the last hidden states are in it

    def __init__(self, plan: Plan, rng: np.random.Generator) -> None:
        config = plan.config
        common: Any = {"impl": config.impl, "rng": rng}
        learned: Any = {"init_scale": config.init_scale, "dtype": config.dtype, **common}
        self.hidden_size = config.hidden_size
        self.embedding: Any = None
        if plan.vocab_size is not None:
            scale = config.init_scale_embedding
            own = learned if scale is None else learned | {"init_scale": scale}
            self.embedding = Embedding(plan.vocab_size, config.input_size, **own)
        of_input = config.dropout if config.dropout_input is None else config.dropout_input
        self.input_dropout = Dropout(of_input, **common)
        kind: Any = Bidirectional if plan.bidirectional else RecurrentStack
        self.recurrent = kind(
            config.cell, config.input_size, config.hidden_size, config.num_layers,
            dropout=config.dropout, **config.options, **learned,
        )  # fmt: skip
        self.output_dropout = Dropout(config.dropout, **common)

    def forward(
        self,
        x: Array,
        state: State | None,
        training: bool,
        lengths: Array | None = None,
        every_step: bool = True,
    ) -> tuple[Array, State]:
        """Return the hidden states of the top layer, (T, B, H), and the state after the window.

        Without `every_step` only those at the end of each sequence, (1, B, H); with two directions,
        (1, B, 2H), each direction where it has read the whole sequence.
        """
        if self.embedding is not None:
            x = self.embedding.forward(x, training)
        x = self.input_dropout.forward(x, training)
        hs, state = self.recurrent.forward(x, state, training, lengths)
        (T, B, width), last = hs.shape, None
        if not every_step:
            ends = np.full(B, T) if lengths is None else lengths.astype(np.int64)
            unit = np.arange(width)
            t = np.where(unit < self.hidden_size, ends[:, None] - 1, 0)  # if it ends at 0, hs is 0
            last = t[None], np.arange(B)[:, None], unit
        if training:
            self._pending = hs.shape, last
        return self.output_dropout.forward(hs if last is None else hs[last], training), state

    def backward(self, dhs: Array) -> None:
        """Backpropagate the gradient of what `forward` returned to every parameter."""
        dhs, (shape, last) = self.output_dropout.backward(dhs), self._pending
        if last is not None:  # gradients reach earlier steps through time only
            dhs, dlast = np.zeros(shape, dhs.dtype), dhs
            dhs[last] = dlast
        dx, _ = self.recurrent.backward(dhs)  # truncated: no gradient of the first state
        dx = self.input_dropout.backward(dx)
        if self.embedding is not None:
            self.embedding.backward(dx)

    def _own(self) -> Iterable[Parameter]:
        for layer in (self.embedding, self.recurrent):
            if layer is not None:
                yield from layer.all_parameters().values()


class Model(Owner):
    """Base class: an encoder, a decoder and a loss.

    `arguments` are the keywords, except `rng`, that construct a model of the same form.
    """

    lacks: frozenset[str] = frozenset()  # settings of `ModelConfig` that are not arguments

    def __init__(self, rng: Any, **arguments: Any) -> None:
        plan = self.plan(**arguments)
        self.config, self.vocab_size, self.answer_size, self.bidirectional = plan
        config, self.rng = plan.config, generator(rng)
        settings = {k: v for k, v in config.arguments.items() if k not in self.lacks}
        self._input = "(T, B)"
        if plan.vocab_size is None:
            del settings["embedding_size"]  # the argument was input_size
            self._input = f"(T, B, {config.input_size})"
        own = {k: plain(v) for k, v in arguments.items() if k not in settings}
        self.arguments = own | settings
        self.encoder = Encoder(plan, self.rng)
        self.decoder = Linear(
            config.hidden_size * (1 + plan.bidirectional), plan.outputs, name="decoder",
            init_scale=config.init_scale, dtype=config.dtype, impl=config.impl, rng=self.rng,
            tied=self.encoder.embedding.W if config.tied else None,
        )  # fmt: skip
        self.criterion: Any = SequenceCrossEntropy(**config.averaging, impl=config.impl)

    @classmethod
    def plan(cls, **arguments: Any) -> Plan:
        """Return the plan of a model from the keywords of its constructor, except `rng`."""
        raise NotImplementedError

    @property
    def embedding(self) -> Embedding:
        """The embedding of ids; `model.embedding.load(vectors)` loads pretrained vectors."""
        return self.encoder.embedding

    def backward(self) -> None:
        """Add the gradient of the pending loss to the `grad` of every parameter."""
        self.encoder.backward(self.decoder.backward(self.criterion.backward()))

    def _sizes(self) -> dict[str, Any]:
        usual = {name: p.default for name, p in inspect.signature(type(self)).parameters.items()}
        return {
            name: value
            for name, value in self.arguments.items()
            if name in self.config.options  # always shown
            or (name != "init_scale" and value != usual.get(name, inspect.Parameter.empty))
        }

    def _own(self) -> Iterable[Parameter]:
        for part in (self.encoder, self.decoder):
            yield from part.all_parameters().values()

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

    def __init__(
        self,
        vocab_size: int,
        hidden_size: int,
        num_layers: int = ModelConfig.num_layers,
        *,
        rng: np.random.Generator | int | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(
            rng, vocab_size=vocab_size, hidden_size=hidden_size, num_layers=num_layers, **settings
        )

    @classmethod
    def plan(cls, *, vocab_size: Any = None, **settings: Any) -> Plan:
        """Return the plan of a model from the keywords of its constructor, except `rng`."""
        check_sizes("LanguageModel", vocab_size=vocab_size)
        if "bidirectional" in settings:
            raise TypeError(
                "LanguageModel: bidirectional must be left out; a stack that reads backward would "
                "read the token to predict"
            )
        return Plan(model_config(**settings), plain(vocab_size), plain(vocab_size))

    @classmethod
    def from_config(
        cls, config: ModelConfig, vocab_size: int, *, rng: np.random.Generator | int | None = None
    ) -> Self:
        """Make the model of a configuration: a `ModelConfig`, or the `TrainConfig` of a run."""
        check_kind("LanguageModel.from_config", "config", config, ModelConfig)
        return cls(vocab_size, **config.arguments, rng=rng)

    def zero_state(self, batch_size: int) -> State:
        """Return the initial state: zeros, (L, B, H)."""
        return self.encoder.recurrent.zero_state(batch_size)

    def forward(
        self,
        x: ArrayLike,
        y: ArrayLike,
        state: State | None = None,
        training: bool = True,
        weights: Array | None = None,
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

        Returns
        -------
        loss : float, in nats
        state : state of the cell
            Pass it to the next window: truncated backpropagation through time.
        """
        if training is True:
            self.criterion._pending = None  # also if an error follows
        x, y = (any_array("LanguageModel.forward", *given) for given in (("x", x), ("y", y)))
        if x.shape != y.shape:
            raise ValueError(
                "LanguageModel.forward: x and y must have one shape (T, B), got "
                f"{x.shape} and {y.shape}"
            )
        logits, state = self._logits(x, state, training)
        return self.criterion.forward(logits, y, weights, training), state

    def training_scores(self) -> tuple[Array, Array]:
        """Return the nll and the predicted ids, both (T, B), of the pending forward pass.

        They are available between `forward` and `backward`, at no extra cost.
        """
        if self.criterion._pending is None:
            raise RuntimeError("LanguageModel.training_scores: there is no pending forward pass")
        return self.criterion._pending.nll, self.criterion._pending.predicted

    def score(
        self, x: ArrayLike, y: ArrayLike, state: State | None = None
    ) -> tuple[Array, Array, State]:
        """Return the nll of the targets in nats, the most probable ids, (T, B), and the state."""
        logits, state = self.logits(x, state)
        return *self.criterion.score(logits, y), state

    def logits(self, x: ArrayLike, state: State | None = None) -> tuple[Array, State]:
        """Return scores (T, B, V), whose softmax predicts the next token, and the state."""
        return self._logits(x, state, training=False)

    def _logits(self, x: ArrayLike, state: State | None, training: bool) -> tuple[Array, State]:
        x = any_array("LanguageModel", "x", x)
        check_shape("LanguageModel", "x", x, ("T", "B"), "time comes first")
        hs, state = self.encoder.forward(x, state, training)
        return self.decoder.forward(hs, training), state


def check_language_model(where: str, model: Any) -> None:
    """Raise a TypeError unless `model` is a LanguageModel."""
    check_kind(where, "model", model, LanguageModel)


def show_settings(kind: type[Model]) -> None:
    """Let `help` show the settings behind the ``**settings`` of a constructor."""
    constructor: Any = kind.__init__
    own = inspect.signature(constructor)
    *given, rng, _ = own.parameters.values()
    settings = {setting.name: setting.default for setting in settings_of(ModelConfig)}
    for cell in CELLS.values():
        settings |= {name: option.default for name, option in cell.options.items()}
    planned = inspect.signature(kind.plan).parameters.values()
    settings |= {p.name: p.default for p in planned if p.kind is p.KEYWORD_ONLY}
    keywords = [
        inspect.Parameter(name, rng.kind, default=default)
        for name, default in settings.items()
        if name not in {*kind.lacks, *own.parameters}
    ]
    constructor.__signature__ = own.replace(parameters=[*given, *keywords, rng])


show_settings(LanguageModel)
