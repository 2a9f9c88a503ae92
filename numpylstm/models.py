"""Models: layers in a row, one loss at the end, and parameters by path.

`LanguageModel` predicts the next token at every step (many-to-many); `SequenceClassifier` gives
one answer after the last step (many-to-one). Text generation (one-to-many) is
`numpylstm.sampling.generate`, which feeds a language model its own output.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from numpylstm.checks import (
    check_array,
    check_dtype,
    check_finite,
    check_ids,
    check_plain,
    check_sizes,
    generator,
)
from numpylstm.layers import (
    LSTM,
    RNN,
    Dropout,
    Embedding,
    Linear,
    LSTMState,
    Parameter,
    RNNState,
    SequenceCrossEntropy,
)

Array = NDArray[Any]
State = LSTMState | RNNState


def by_path(parameters: Iterable[Parameter]) -> dict[str, Parameter]:
    """Parameters under their paths."""
    return {parameter.name: parameter for parameter in parameters}


def copy_arrays(parameters: Mapping[str, Parameter]) -> dict[str, Array]:
    """The arrays of parameters under their paths: a copy that training leaves alone."""
    return {path: parameter.data.copy() for path, parameter in parameters.items()}


def load_arrays(parameters: Mapping[str, Parameter], arrays: Mapping[str, Array]) -> None:
    """Copy arrays into parameters of the same paths, shapes and dtypes; all or nothing.

    Raises
    ------
    ValueError
        If a path is missing or unknown, or an array has another shape or dtype, or holds NaN or
        infinity.
    """
    if not isinstance(arrays, Mapping):
        raise TypeError(
            f"load_state_dict: arrays must be a dict of path -> array, got {type(arrays).__name__}"
        )
    missing, unknown = parameters.keys() - arrays.keys(), arrays.keys() - parameters.keys()
    if missing or unknown:
        raise ValueError(
            "load_state_dict: the arrays must be those of this model; "
            f"missing: {', '.join(sorted(missing)) or 'none'}; "
            f"unknown: {', '.join(sorted(unknown)) or 'none'}"
        )
    for path, parameter in parameters.items():
        check_array(
            "load_state_dict", path, arrays[path], parameter.data.shape, parameter.data.dtype
        )
        check_finite("load_state_dict", path, arrays[path], "the run that made it had failed")
    for path, parameter in parameters.items():
        parameter.data[...] = arrays[path]


def parameter_shapes(
    vocab_size: int,
    hidden_size: int,
    num_layers: int,
    *,
    embedding_size: int | None = None,
    cell: str = "lstm",
    tied: bool = False,
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Paths and shapes of the parameters of a `LanguageModel`, without making one.

    So sizes can be held against a file, or against the memory, before anything is allocated. They
    come one by one: there may be any number of layers.
    """
    D = hidden_size if embedding_size is None else embedding_size
    columns = (LSTM if cell == "lstm" else RNN).blocks * hidden_size
    yield "embedding.W", (vocab_size, D)
    for layer in range(num_layers):
        yield f"{cell}.{layer}.Wx", (D if layer == 0 else hidden_size, columns)
        yield f"{cell}.{layer}.Wh", (hidden_size, columns)
        yield f"{cell}.{layer}.b", (columns,)
    if not tied:
        yield "decoder.W", (hidden_size, vocab_size)
    yield "decoder.b", (vocab_size,)


class TokenEncoder:
    """Ids (T, B) to hidden states (T, B, H): embedding, dropout, recurrent layers, dropout.

    The part that a language model and a classifier share.
    """

    def __init__(
        self,
        vocab_size: int,
        hidden_size: int,
        num_layers: int,
        *,
        embedding_size: int | None,
        cell: str,
        activation: str,
        dropout: float,
        forget_bias: float,
        init_scale: float,
        dtype: DTypeLike,
        impl: str,
        rng: np.random.Generator,
    ) -> None:
        embedding_size = hidden_size if embedding_size is None else embedding_size
        check_sizes(
            "model",
            vocab_size=vocab_size,
            hidden_size=hidden_size,
            num_layers=num_layers,
            embedding_size=embedding_size,
        )
        check_dtype("model", dtype)
        common: dict[str, Any] = {"impl": impl, "rng": rng}
        learned: dict[str, Any] = {"init_scale": init_scale, "dtype": dtype, **common}
        self.embedding = Embedding(vocab_size, embedding_size, **learned)
        self.input_dropout = Dropout(dropout, **common)
        self.recurrent: LSTM | RNN
        sizes = (embedding_size, hidden_size, num_layers)
        if cell == "lstm":
            self.recurrent = LSTM(*sizes, forget_bias=forget_bias, dropout=dropout, **learned)
        elif cell == "rnn":
            self.recurrent = RNN(*sizes, activation=activation, dropout=dropout, **learned)
        else:
            raise ValueError(f"model: cell must be 'lstm' or 'rnn', got {cell!r}")
        self.output_dropout = Dropout(dropout, **common)

    def forward(self, ids: Array, state: State, training: bool) -> tuple[Array, State]:
        """Hidden states of the top layer, (T, B, H), and the state after the window."""
        x = self.embedding.forward(ids, training)
        x = self.input_dropout.forward(x, training)
        hs, state = self.recurrent.forward(x, state, training)
        return self.output_dropout.forward(hs, training), state

    def backward(self, dhs: Array) -> None:
        """From the gradient of the hidden states, (T, B, H), to that of every parameter."""
        dhs = self.output_dropout.backward(dhs)
        dx, _ = self.recurrent.backward(dhs)  # truncated: nothing arrives from the next window
        self.embedding.backward(self.input_dropout.backward(dx))

    def parameters(self) -> list[Parameter]:
        """The parameters of all layers, from the input up."""
        return [*self.embedding.parameters(), *self.recurrent.parameters()]


class LanguageModel:
    """A recurrent language model: at every step, a probability for each possible next token.

    Parameters
    ----------
    vocab_size, hidden_size, num_layers : int
        V, H and L.
    embedding_size : int, optional
        D, by default H.
    cell : "lstm" or "rnn"
    activation : "tanh", "relu" or "sigmoid"
        Of the vanilla cell; the LSTM has its own.
    dropout : float
        Probability of dropping, on the non-recurrent connections: after the embedding, between
        the layers and before the decoder (Zaremba et al. 2014).
    tied : bool
        Decode with the transpose of the embedding table (Press and Wolf 2017); needs D = H.
    forget_bias : float
        Added to the bias of the forget gates at the start.
    init_scale : float
        All parameters start as U(-init_scale, init_scale).
    dtype : "float32" or "float64"
    impl : "fast" or "reference"
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
        num_layers: int = 1,
        *,
        embedding_size: int | None = None,
        cell: str = "lstm",
        activation: str = "tanh",
        dropout: float = 0.0,
        tied: bool = False,
        forget_bias: float = 1.0,
        init_scale: float = 0.05,
        dtype: DTypeLike = "float32",
        impl: str = "fast",
        rng: np.random.Generator | int | None = None,
        average_across_timesteps: bool = False,
        average_across_batch: bool = True,
    ) -> None:
        if tied and embedding_size not in (None, hidden_size):
            raise ValueError(
                "LanguageModel: a tied model needs embedding_size = hidden_size, got "
                f"{embedding_size} and {hidden_size}; the decoder is the embedding transposed"
            )
        self.rng = generator(rng)
        self.encoder = TokenEncoder(
            vocab_size,
            hidden_size,
            num_layers,
            embedding_size=embedding_size,
            cell=cell,
            activation=activation,
            dropout=dropout,
            forget_bias=forget_bias,
            init_scale=init_scale,
            dtype=dtype,
            impl=impl,
            rng=self.rng,
        )
        self.decoder = Linear(
            hidden_size,
            vocab_size,
            init_scale=init_scale,
            dtype=dtype,
            impl=impl,
            rng=self.rng,
            name="decoder",
            tied=self.embedding.W if tied else None,
        )
        self.criterion = SequenceCrossEntropy(
            average_across_timesteps=average_across_timesteps,
            average_across_batch=average_across_batch,
            impl=impl,
        )
        self.vocab_size = vocab_size

    @property
    def embedding(self) -> Embedding:
        """The embedding layer; `model.embedding.load(vectors)` brings pretrained vectors."""
        return self.encoder.embedding

    def zero_state(self, batch_size: int) -> State:
        """The state before anything was read: zeros, (L, B, H)."""
        return self.encoder.recurrent.zero_state(batch_size)

    def forward(
        self,
        x: Array,
        y: Array,
        state: State,
        training: bool = True,
        weights: Array | None = None,
    ) -> tuple[float, State]:
        """The loss of one window.

        Parameters
        ----------
        x, y : (T, B) integers in [0, V)
            Tokens, and the tokens that follow them.
        state : LSTMState or RNNState
            Where the last window ended, or `zero_state`.
        training : bool
            Drop, and keep what `backward` needs.
        weights : (T, B), optional
            How much each token counts in the loss; 0 for padding.

        Returns
        -------
        loss : float, in nats
        state : LSTMState or RNNState
            To be passed to the next window: truncated backpropagation through time.
        """
        check_plain("LanguageModel.forward", "x", x)
        check_plain("LanguageModel.forward", "y", y)
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
        """The nll and the predicted ids, both (T, B), of the pending forward pass.

        They are there between `forward` and `backward`, and cost nothing.
        """
        if self.criterion.pending is None:
            raise RuntimeError("LanguageModel.training_scores: there is no pending forward pass")
        return self.criterion.pending.nll, self.criterion.pending.predicted

    def score(self, x: Array, y: Array, state: State) -> tuple[Array, Array, State]:
        """The nll of each target in nats and the most probable ids, both (T, B); and the state."""
        logits, state = self.logits(x, state)
        return *self.criterion.score(logits, y), state

    def logits(self, x: Array, state: State) -> tuple[Array, State]:
        """Scores (T, B, V) whose softmax is the probability of each next token; and the state."""
        return self._logits(x, state, training=False)

    def _logits(self, x: Array, state: State, training: bool) -> tuple[Array, State]:
        check_ids("LanguageModel", "the ids x", x, self.vocab_size, ("T", "B"), "time comes first")
        hs, state = self.encoder.forward(x, state, training)
        return self.decoder.forward(hs, training), state

    def parameters(self) -> dict[str, Parameter]:
        """What is trained: path -> Parameter. Frozen parameters are left out."""
        return {path: p for path, p in self._all_parameters().items() if p.trainable}

    def _all_parameters(self) -> dict[str, Parameter]:
        return by_path([*self.encoder.parameters(), *self.decoder.parameters()])

    def state_dict(self) -> dict[str, Array]:
        """A copy of every array, frozen ones included: path -> ndarray."""
        return copy_arrays(self._all_parameters())

    def load_state_dict(self, arrays: Mapping[str, Array]) -> None:
        """Copy arrays in; ValueError if a path, shape or dtype differs from the model's, or NaN."""
        load_arrays(self._all_parameters(), arrays)


class SequenceClassifier:
    """One answer after a whole sequence (many-to-one).

    Embedding, recurrent layers, and a linear layer that reads the last hidden state only. All
    sequences of a batch have one length.

    Parameters
    ----------
    vocab_size, num_classes, hidden_size, num_layers : int
        V, the number of answers, H and L.
    embedding_size, cell, activation, dropout, forget_bias, init_scale, dtype, impl, rng
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
        num_layers: int = 1,
        *,
        embedding_size: int | None = None,
        cell: str = "lstm",
        activation: str = "tanh",
        dropout: float = 0.0,
        forget_bias: float = 1.0,
        init_scale: float = 0.05,
        dtype: DTypeLike = "float32",
        impl: str = "fast",
        rng: np.random.Generator | int | None = None,
    ) -> None:
        check_sizes("SequenceClassifier", num_classes=num_classes)
        self.rng = generator(rng)
        self.encoder = TokenEncoder(
            vocab_size,
            hidden_size,
            num_layers,
            embedding_size=embedding_size,
            cell=cell,
            activation=activation,
            dropout=dropout,
            forget_bias=forget_bias,
            init_scale=init_scale,
            dtype=dtype,
            impl=impl,
            rng=self.rng,
        )
        self.decoder = Linear(
            hidden_size,
            num_classes,
            init_scale=init_scale,
            dtype=dtype,
            impl=impl,
            rng=self.rng,
            name="decoder",
        )
        self.criterion = SequenceCrossEntropy(impl=impl)  # over a sequence of one step
        self._num_steps = 0  # T of the pending forward pass

    def forward(self, x: Array, y: Array, training: bool = True) -> float:
        """The mean loss over the batch, in nats, of sequences x (T, B) with answers y (B,)."""
        logits = self._logits(x, training)
        where, classes = "SequenceClassifier.forward", logits.shape[-1]
        y = check_ids(where, "y", y, classes, (x.shape[1],), "an answer for each sequence")
        return self.criterion.forward(logits, y[None], training=training)

    def backward(self) -> None:
        """Add the gradient of the pending loss to the `grad` of every parameter."""
        dlast = self.decoder.backward(self.criterion.backward())  # (1, B, H)
        dhs = np.zeros((self._num_steps, *dlast.shape[1:]), dlast.dtype)
        dhs[-1] = dlast[0]  # the earlier steps are reached through time only
        self.encoder.backward(dhs)

    def predict(self, x: Array) -> Array:
        """The most probable answer for each sequence of x (T, B); returns (B,)."""
        return self._logits(x, training=False)[0].argmax(axis=-1)

    def _logits(self, x: Array, training: bool) -> Array:
        check_ids("SequenceClassifier", "x", x, len(self.encoder.embedding.W.data), ("T", "B"))
        self._num_steps = len(x)
        state = self.encoder.recurrent.zero_state(x.shape[1])
        hs, _ = self.encoder.forward(x, state, training)
        return self.decoder.forward(hs[-1:], training)

    def parameters(self) -> dict[str, Parameter]:
        """What is trained: path -> Parameter. Frozen parameters are left out."""
        return {path: p for path, p in self._all_parameters().items() if p.trainable}

    def _all_parameters(self) -> dict[str, Parameter]:
        return by_path([*self.encoder.parameters(), *self.decoder.parameters()])

    def state_dict(self) -> dict[str, Array]:
        """A copy of every array, frozen ones included: path -> ndarray."""
        return copy_arrays(self._all_parameters())

    def load_state_dict(self, arrays: Mapping[str, Array]) -> None:
        """Copy arrays in; ValueError if a path, shape or dtype differs from the model's."""
        load_arrays(self._all_parameters(), arrays)
