"""Models: layers in a row, one loss at the end, and parameters by path.

`LanguageModel` predicts the next token at every step (many-to-many); `SequenceClassifier` gives
one answer after the last step (many-to-one). Text generation (one-to-many) is
`numpylstm.sampling.generate`, which feeds a language model its own output.

A model is made from a `ModelConfig`. The constructors take its settings and the options of the
cell as keywords.
"""

import inspect
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from numpylstm.cells import CELLS, Cell, State
from numpylstm.checks import (
    any_array,
    check_dtype,
    check_ids,
    check_kind,
    check_shape,
    check_sizes,
    generator,
)
from numpylstm.config import ModelConfig, plain, settings_of
from numpylstm.layers import (
    Dropout,
    Embedding,
    Linear,
    RecurrentStack,
    SequenceCrossEntropy,
)
from numpylstm.parameters import Owner, Parameter

Array = NDArray[Any]

LANGUAGE_MODEL_ONLY = frozenset({"tied", "average_across_timesteps", "average_across_batch"})
"""Settings that a classifier lacks."""


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
    """Result of `language_model_forward`, with the caches of all functions, in their order."""

    loss: Any
    state: Any  # after the window; (L, B, H) arrays
    embedding: Any
    cells: list[Any]  # one cache for each layer, from the input up
    masks: list[Any]  # one for each mask, None where nothing was dropped
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

    Returns
    -------
    ForwardPass
    """
    masks = [*window.masks, *[None] * (config.num_layers + 1 - len(window.masks))]
    mask_caches: list[Any] = []

    def drop(values: Array) -> Array:
        mask, cache = masks[len(mask_caches)], None
        if mask is not None:
            values, cache = functions.dropout_forward(values, mask)
        mask_caches.append(cache)
        return values

    values, embedding = functions.embedding_forward(window.x, arrays["embedding.W"])  # (T, B, D)
    values, state, caches = stack_forward(
        arrays, values, window.state, functions, CELLS[config.cell], config.options, drop
    )
    W = arrays["decoder.W"] if "decoder.W" in arrays else arrays["embedding.W"].T
    logits, decoder = functions.linear_forward(drop(values), W, arrays["decoder.b"])  # (T, B, V)
    loss, criterion = functions.sequence_cross_entropy_forward(
        logits, window.y, window.weights, **config.averaging
    )
    return ForwardPass(loss, state, embedding, caches, mask_caches, decoder, criterion)


def model_config(**keywords: Any) -> ModelConfig:
    """Return the configuration of a model from the keywords of its constructor."""
    if "dtype" in keywords:
        check_dtype("model", keywords["dtype"])
        keywords["dtype"] = np.dtype(keywords["dtype"]).name
    names = {setting.name for setting in settings_of(ModelConfig)} & keywords.keys()
    settings = {name: keywords.pop(name) for name in names}
    return ModelConfig(**settings, options=keywords)


class TokenEncoder(Owner):
    """Ids (T, B) to hidden states (T, B, H): embedding, dropout, recurrent layers, dropout.

    Language models and classifiers share it.
    """

    def __init__(self, config: ModelConfig, vocab_size: int, rng: np.random.Generator) -> None:
        check_sizes("model", vocab_size=vocab_size)
        common: dict[str, Any] = {"impl": config.impl, "rng": rng}
        learned: dict[str, Any] = {
            "init_scale": config.init_scale, "dtype": config.dtype, **common
        }  # fmt: skip
        self.embedding = Embedding(vocab_size, config.input_size, **learned)
        of_input = config.dropout if config.dropout_input is None else config.dropout_input
        self.input_dropout = Dropout(of_input, **common)
        self.recurrent = RecurrentStack(
            config.cell, config.input_size, config.hidden_size, config.num_layers,
            dropout=config.dropout, **config.options, **learned,
        )  # fmt: skip
        self.output_dropout = Dropout(config.dropout, **common)

    def forward(self, ids: Array, state: State | None, training: bool) -> tuple[Array, State]:
        """Hidden states of the top layer, (T, B, H), and the state after the window."""
        x = self.embedding.forward(ids, training)
        x = self.input_dropout.forward(x, training)
        hs, state = self.recurrent.forward(x, state, training)
        return self.output_dropout.forward(hs, training), state

    def backward(self, dhs: Array) -> None:
        """Backpropagate the gradient of the hidden states, (T, B, H), to every parameter."""
        dhs = self.output_dropout.backward(dhs)
        dx, _ = self.recurrent.backward(dhs)  # truncated: nothing arrives from the next window
        self.embedding.backward(self.input_dropout.backward(dx))

    def _own(self) -> Iterable[Parameter]:
        for layer in (self.embedding, self.recurrent):
            yield from layer.all_parameters().values()


class Model(Owner):
    """Base class: an encoder, a decoder and a loss, and copies of their arrays in and out."""

    _input = "(T, B)"

    def __init__(self, config: ModelConfig, vocab_size: int, outputs: int, rng: Any) -> None:
        self.config, self.vocab_size, self.rng = config, plain(vocab_size), generator(rng)
        self.encoder = TokenEncoder(config, vocab_size, self.rng)
        self.decoder = Linear(
            config.hidden_size, outputs, init_scale=config.init_scale, dtype=config.dtype,
            impl=config.impl, rng=self.rng, name="decoder",
            tied=self.encoder.embedding.W if config.tied else None,
        )  # fmt: skip
        self.criterion = SequenceCrossEntropy(**config.averaging, impl=config.impl)

    @property
    def arguments(self) -> dict[str, Any]:
        """The keywords that construct a model like this one, without generator and arrays."""
        raise NotImplementedError

    def _sizes(self) -> dict[str, Any]:
        parameters = inspect.signature(type(self)).parameters
        usual = {name: parameter.default for name, parameter in parameters.items()}
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
    cell : "lstm", "gru" or "rnn"
    dropout : float
        Probability of dropping, on the non-recurrent connections: after the embedding, between
        the layers and before the decoder (Zaremba et al. 2014).
    dropout_input : float, optional
        The probability after the embedding, by default `dropout`.
    tied : bool
        Decode with the transpose of the embedding table (Press and Wolf 2017); needs D = H.
    init_scale : float
        The initial parameters are drawn from U(-init_scale, init_scale).
    dtype : "float32" or "float64"
    impl : "fast" or "reference"
    average_across_timesteps, average_across_batch : bool
        As in `numpylstm.reference.sequence_cross_entropy_forward`.
    activation, forget_bias, reset
        Options of the cells: ``activation`` of the vanilla RNN is "tanh", "relu" or "sigmoid";
        ``forget_bias`` is added to the initial bias of the LSTM's forget gates; ``reset`` of the
        GRU is "after" or "before" the product with Wh.
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
        config = model_config(hidden_size=hidden_size, num_layers=num_layers, **settings)
        super().__init__(config, vocab_size, vocab_size, rng)

    @classmethod
    def from_config(
        cls, config: ModelConfig, vocab_size: int, *, rng: np.random.Generator | int | None = None
    ) -> Self:
        """Make the model of a configuration: a `ModelConfig`, or the `TrainConfig` of a run."""
        check_kind("LanguageModel.from_config", "config", config, ModelConfig)
        model = cls.__new__(cls)
        Model.__init__(model, config, vocab_size, vocab_size, rng)
        return model

    @property
    def arguments(self) -> dict[str, Any]:
        """The keywords of a model like this one: ``LanguageModel(**arguments)``."""
        return {"vocab_size": self.vocab_size, **self.config.arguments}

    @property
    def embedding(self) -> Embedding:
        """The embedding layer; `model.embedding.load(vectors)` loads pretrained vectors."""
        return self.encoder.embedding

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
        state : LSTMState or RNNState, optional
            The state after the previous window; `zero_state` by default.
        training : bool
            Apply dropout, and keep the caches for `backward`.
        weights : (T, B), optional
            Weight of each token in the loss; 0 for padding.

        Returns
        -------
        loss : float, in nats
        state : LSTMState or RNNState
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

    def backward(self) -> None:
        """Add the gradient of the pending loss to the `grad` of every parameter."""
        dlogits = self.criterion.backward()
        self.encoder.backward(self.decoder.backward(dlogits))

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


class SequenceClassifier(Model):
    """A recurrent classifier: one answer after a whole sequence (many-to-one).

    Embedding, recurrent layers, and a linear layer on the last hidden state. All sequences of a
    batch have one length.

    Parameters
    ----------
    vocab_size, num_classes, hidden_size, num_layers : int
        V, the number of answers C, H and L.
    init_scale : float, optional
        The initial parameters are drawn from U(-init_scale, init_scale), by default with
        ``1 / sqrt(H)``: the decoder reads only the last of T hidden states, so small initial values
        would pass on too little.
    embedding_size, cell, dropout, dropout_input, dtype, impl, activation, forget_bias, reset, rng
        As for `LanguageModel`.

    Examples
    --------
    >>> import numpy as np, numpylstm as nl
    >>> model = nl.SequenceClassifier(11, 2, 6, rng=0)
    >>> ids = np.arange(12).reshape(4, 3) % 11  # (T, B)
    >>> loss = model.forward(ids, np.array([0, 1, 0]))
    >>> model.backward()
    """

    def __init__(
        self,
        vocab_size: int,
        num_classes: int,
        hidden_size: int,
        num_layers: int = ModelConfig.num_layers,
        *,
        init_scale: float | None = None,
        rng: np.random.Generator | int | None = None,
        **settings: Any,
    ) -> None:
        check_sizes("SequenceClassifier", num_classes=num_classes, hidden_size=hidden_size)
        for name in LANGUAGE_MODEL_ONLY & settings.keys():
            raise TypeError(f"SequenceClassifier: {name} is a setting of LanguageModel only")
        if init_scale is None:
            init_scale = 1 / math.sqrt(hidden_size)
        config = model_config(
            hidden_size=hidden_size, num_layers=num_layers, init_scale=init_scale, **settings
        )
        super().__init__(config, vocab_size, num_classes, rng)  # the loss is over one step
        self.num_classes = plain(num_classes)

    @property
    def arguments(self) -> dict[str, Any]:
        """The keywords of a model like this one: ``SequenceClassifier(**arguments)``."""
        sizes = {"vocab_size": self.vocab_size, "num_classes": self.num_classes}
        settings = self.config.arguments
        return sizes | {k: v for k, v in settings.items() if k not in LANGUAGE_MODEL_ONLY}

    def forward(self, x: ArrayLike, y: ArrayLike, training: bool = True) -> float:
        """Compute the mean loss over the batch, in nats, of sequences x (T, B), answers y (B,)."""
        if training is True:
            self.criterion._pending = None  # also if an error follows
        logits = self._logits(x, training)
        return self.criterion.forward(logits, self._answers(logits, y), training=training)

    def backward(self) -> None:
        """Add the gradient of the pending loss to the `grad` of every parameter."""
        dlast = self.decoder.backward(self.criterion.backward())  # (1, B, H)
        T = self.encoder.recurrent._pending[0][0]
        dhs = np.zeros((T, *dlast.shape[1:]), dlast.dtype)
        dhs[-1] = dlast[0]  # gradients reach earlier steps through time only
        self.encoder.backward(dhs)

    def predict(self, x: ArrayLike) -> Array:
        """Return the most probable answers (B,) for the sequences x (T, B)."""
        return self._logits(x, training=False)[0].argmax(axis=-1)

    def probabilities(self, x: ArrayLike) -> Array:
        """Return the probabilities (B, C) of all answers for the sequences x (T, B)."""
        logits = self._logits(x, training=False)[0]
        weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return weights / weights.sum(axis=-1, keepdims=True)

    def score(self, x: ArrayLike, y: ArrayLike) -> tuple[Array, Array]:
        """Return the nll of the answers y (B,) in nats, and the most probable answers, (B,)."""
        logits = self._logits(x, training=False)
        nll, predicted = self.criterion.score(logits, self._answers(logits, y))
        return nll[0], predicted[0]

    def _answers(self, logits: Array, y: ArrayLike) -> Array:
        where, because = "SequenceClassifier", "an answer for each sequence of x (T, B)"
        return check_ids(where, "y", y, self.num_classes, (logits.shape[1],), because)[None]

    def _logits(self, x: ArrayLike, training: bool) -> Array:
        x = any_array("SequenceClassifier", "x", x)
        check_shape("SequenceClassifier", "x", x, ("T", "B"), "time comes first")
        hs, _ = self.encoder.forward(x, None, training)
        return self.decoder.forward(hs[-1:], training)


def _show_settings(constructor: Any, left_out: Collection[str] = ()) -> None:
    """Let `help` show the settings behind the ``**settings`` of a constructor."""
    own = inspect.signature(constructor)
    *given, rng, _ = own.parameters.values()
    settings = {setting.name: setting.default for setting in settings_of(ModelConfig)}
    for cell in CELLS.values():
        settings |= {name: option.default for name, option in cell.options.items()}
    keywords = [
        inspect.Parameter(name, rng.kind, default=default)
        for name, default in settings.items()
        if name not in {*left_out, *own.parameters}
    ]
    signature = own.replace(parameters=[*given, *keywords, rng])
    constructor.__signature__ = signature


_show_settings(LanguageModel.__init__)
_show_settings(SequenceClassifier.__init__, LANGUAGE_MODEL_ONLY)
