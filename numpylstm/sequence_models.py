"""Models of whole sequences: one output after each sequence, or one at each step.

`SequenceClassifier` and `SequenceTagger` predict one of C classes, `SequenceRegressor` K real
numbers. The inputs are ids (T, B), with `vocab_size`, or vectors (T, B, D), with `input_size`. The
sequences of a batch may end at different steps: what lies past their `lengths`, in x and in y, is
not read. The loss is the mean over all targets, weighted by `weights`. For a stream, `advance`
returns the outputs step by step: it takes a state and returns the next.
"""

from __future__ import annotations  # so that help() says DTypeLike, not all that it stands for

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from numpylstm import inference, network
from numpylstm.cells import State
from numpylstm.checks import (
    Array,
    Rng,
    any_array,
    before_end,
    check_array,
    check_finite,
    check_ids,
    check_lengths,
    check_shape,
    check_sizes,
    check_whole,
    checked_weights,
    float_dtype,
)
from numpylstm.config import ModelConfig
from numpylstm.functional import softmax
from numpylstm.models import Model

MEAN_LOSS = {"tied": False, "average_across_timesteps": True, "average_across_batch": True}
"""The settings that no model of whole sequences can have otherwise."""


class SequenceModel(Model):
    """Base class: inputs with lengths, forward pass, scores and predictions."""

    predicts_classes = True  # the targets are ids of classes, not real numbers
    left_out_of_repr = Model.left_out_of_repr | {"average_across_timesteps"}

    @classmethod
    def with_defaults_of_class(cls, config: ModelConfig) -> ModelConfig:
        """Return a configuration whose loss is the mean over all targets."""
        return replace(config, average_across_timesteps=True)

    def check_given(self, **sizes: Any) -> None:
        """Raise a TypeError that names the sizes which are missing."""
        missing = [name for name, size in sizes.items() if size is None]
        if missing:
            where = type(self).__name__
            example = ", ".join(f"{name}={sizes[name] or 2}" for name in sizes)
            raise TypeError(
                f"{where}: {' and '.join(missing)} must be given, as in "
                f"{where}(vocab_size=100, {example})"
            )

    def size_of_vectors(
        self, vocab_size: int | None, embedding_size: int | None, input_size: int | None
    ) -> int | None:
        """Return the embedding size; raise unless the inputs are either ids or vectors."""
        where = type(self).__name__
        if (vocab_size is None) == (input_size is None):
            raise TypeError(
                f"{where}: vocab_size or input_size must be given, and not both; ids need a "
                "vocab_size, vectors an input_size"
            )
        if input_size is None:
            return embedding_size
        check_sizes(where, input_size=input_size)
        if embedding_size is not None:
            raise TypeError(f"{where}: embedding_size must be left out with input_size")
        return input_size

    def scale_for(self, hidden_size: Any, init_scale: float | None) -> float:
        """Return the scale of the initial values, by default ``1 / sqrt(H)``."""
        check_sizes(type(self).__name__, hidden_size=hidden_size)
        return 1 / math.sqrt(hidden_size) if init_scale is None else init_scale

    def forward(
        self,
        x: Array,
        y: Array,
        training: bool = True,
        lengths: ArrayLike | None = None,
        weights: ArrayLike | None = None,
    ) -> float:
        """Compute the mean loss over all targets.

        Parameters
        ----------
        x : (T, B) ids or (T, B, D) vectors
        y : the targets
            For each sequence, (B,) classes or (B, K) numbers; or at each step, (T, B) or (T, B, K).
        training : bool
            Apply dropout, and keep the caches for `backward`.
        lengths : (B,) integers in [0, T], optional
            Steps at and past the end of a sequence are not read. By default all have T steps.
        weights : (B,) or (T, B), optional
            Weight of each target in the mean, as real numbers or bools. A target with a weight of
            0 is not read: it may be -100, or NaN. Weights of the classes are ``of_class[y]``. Of a
            regressor also (B, K) or (T, B, K): a weight of each number of a target.
        """
        self.begin_pass(training)
        where = f"{type(self).__name__}.forward"
        x, y, lengths, weights = self.check_arguments(where, x, y, lengths, weights)
        if not training:
            outputs, _ = self.outputs(where, x, None, lengths)
            loss, _ = network.criterion_forward(
                self.functions, self.config, outputs, y, weights, not self.predicts_classes
            )
            return float(loss)
        T, B = x.shape[:2]
        loss, _, self.pending = network.loss_forward(
            self.functions,
            self.config,
            self.arrays(),
            x,
            y,
            self.zero_state(B),
            self.draw_masks(T, B),
            lengths=lengths,
            weights=weights,
            every_step=self.every_step,
            squared_error=not self.predicts_classes,
        )
        return float(loss)

    def score(
        self,
        x: Array,
        y: Array,
        lengths: ArrayLike | None = None,
        weights: ArrayLike | None = None,
    ) -> tuple[Array, Array]:
        """Return the loss of each target, in the shape (B,) or (T, B), and the predictions.

        A loss is multiplied by its weight. At and past the end of a sequence it is 0.
        """
        where = f"{type(self).__name__}.score"
        x, y, lengths, weights = self.check_arguments(where, x, y, lengths, weights)
        outputs, _ = self.outputs(where, x, None, lengths)
        if self.predicts_classes:
            _, criterion = self.functions.sequence_cross_entropy_forward(outputs, y)
            losses = criterion.nll
            predicted = criterion.predicted
        else:
            losses = np.square(outputs - y)
            if weights is not None and weights.ndim == losses.ndim:
                losses = losses * weights
                weights = None  # they have entered
            losses = losses.mean(axis=-1)
            predicted = outputs
        if weights is not None:
            losses = losses * weights
        return (losses, predicted) if self.every_step else (losses[0], predicted[0])

    def predict(self, x: Array, lengths: ArrayLike | None = None, batch_size: int = 512) -> Array:
        """Return the predictions (T, B, K), or (B, K) without `every_step`.

        Parameters
        ----------
        x, lengths : as in `forward`
        batch_size : int
            Sequences to read at once; it changes the memory and the time, not the predictions.
        """
        return self._predict(f"{type(self).__name__}.predict", x, lengths, batch_size)

    def _predict(self, where: str, x: Array, lengths: ArrayLike | None, batch_size: int) -> Array:
        """Return the outputs for all sequences, read in batches."""
        x, lengths, _ = self._inputs(where, x, lengths)
        batch_size = check_whole(where, "batch_size", batch_size)
        parts = []
        for first in range(0, x.shape[1], batch_size):
            batch = slice(first, first + batch_size)
            of_batch = None if lengths is None else lengths[batch]
            outputs, _ = self._read(where, x[:, batch], None, of_batch)
            parts.append(outputs)
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-2)

    def advance(
        self, x: Array, state: State | None = None, lengths: ArrayLike | None = None
    ) -> tuple[Array, State]:
        """Read the next steps of streams of which the earlier ones are in the state.

        Parameters
        ----------
        x : (T, B) ids or (T, B, D) vectors
            The next steps, often one: T = 1.
        state : state of the cell, optional
            The state after the steps before; `zero_state` by default.
        lengths : as in `forward`

        Returns
        -------
        outputs : (T, B, K), or (B, K) after the last step without `every_step`
            The numbers of a regressor. Those of a classifier or tagger are scores of its classes:
            ``outputs.argmax(axis=-1)`` are the most probable ones, and
            ``nl.functional.softmax(outputs)`` the probabilities.
        state : state of the cell
            Pass it to the next call.
        """
        where = f"{type(self).__name__}.advance"
        if self.bidirectional:
            raise ValueError(
                f"{where}: model must have one direction, got two; the backward one begins at the "
                "end of a sequence, so predict reads each sequence as a whole"
            )
        return self._read(where, x, state, lengths)

    def _read(
        self, where: str, x: Array, state: State | None, lengths: ArrayLike | None
    ) -> tuple[Array, State]:
        """Return the outputs, without an axis of time if not `every_step`, and the state."""
        x, lengths, _ = self._inputs(where, x, lengths)
        outputs, state = self.outputs(where, x, state, lengths)
        check_finite(where, "the output", outputs, "a parameter may be NaN, or a product overflow")
        return (outputs if self.every_step else outputs[0]), state

    def outputs(
        self, where: str, x: Array, state: State | None, lengths: Array | None
    ) -> tuple[Array, State]:
        """Return the outputs for checked inputs, with an axis of time, and the state."""
        state = self.checked_state(where, state, x.shape[1])
        return inference.outputs(
            self.functions, self.config, self.arrays(), x, state, lengths, self.every_step
        )

    def check_arguments(
        self,
        where: str,
        x: Array,
        y: Array,
        lengths: ArrayLike | None,
        weights: ArrayLike | None,
    ) -> tuple[Array, Array, Array | None, Array | None]:
        """Raise unless sequences and their targets fit this model and each other.

        Return x, y, lengths and weights: x and y with 0 in place of what is not read, y and weights
        with an axis of time, and None for the weights if all targets count alike.
        """
        x, lengths, inside = self._inputs(where, x, lengths)
        y = any_array(where, "y", y)
        dtype = np.dtype(self.config.dtype)
        per_target = x.shape[:2] if self.every_step else x.shape[1:2]
        shape = per_target if self.predicts_classes else (*per_target, self.num_outputs)
        check_shape(where, "y", y, shape, self._cause_of_shape(x, y, shape))
        if weights is not None:
            per_number = not self.predicts_classes and np.ndim(weights) == len(shape)
            weights = checked_weights(where, weights, shape if per_number else per_target, dtype)
        if self.every_step and inside is not None:
            weights = weights_inside(weights, inside, dtype)
        if weights is not None:
            y = y.copy()
            y[weights == 0] = 0
        if self.predicts_classes:
            y = check_ids(where, "y", y, self.num_outputs)
        else:
            check_array(where, "y", y, y.shape, dtype)
            check_finite(where, "y", y, "a missing target takes a weight of 0")
        if not self.every_step:
            y = y[None]
            weights = None if weights is None else weights[None]
        return x, y, lengths, weights

    def _cause_of_shape(self, x: Array, y: Array, shape: tuple[int, ...]) -> str:
        """Return the likely cause, if y has another shape than this one."""
        T, B = x.shape[:2]
        if self.every_step:
            cause = "a target at each step"
            batch_first = B
            other = "for each sequence"
            other_class = "SequenceClassifier"
        else:
            cause = "a target for each sequence"
            batch_first = T
            other = "at each step"
            other_class = "SequenceTagger"
        if y.ndim == len(shape):
            if y.shape[0] == batch_first != shape[0]:
                cause += "; time comes first, and the x of batch-first data is x.swapaxes(0, 1)"
        elif not self.predicts_classes:
            cause += "; one number is y[..., None], and "
            cause += f"every_step={not self.every_step} takes a target {other}"
        elif y.ndim > 1 and y.shape[-1] == self.num_outputs:
            cause += "; the ids of one-hot targets are y.argmax(axis=-1)"
        else:
            cause += f"; {other_class} takes a target {other}"
        return cause

    def _inputs(
        self, where: str, x: Array, lengths: ArrayLike | None
    ) -> tuple[Array, Array | None, Array | None]:
        """Return x, with id 0 past the ends, lengths, and a mask (T, B) of what is before them."""
        x = any_array(where, "x", x)
        ids = self.vocab_size is not None
        D = self.config.input_size
        because = "time comes first"
        if ids and x.ndim == 3:
            because = (
                "the ids of one-hot vectors are x.argmax(axis=-1), and a model of other vectors is "
                "made with input_size"
            )
        elif not ids and x.ndim == 2:
            because = "one number at each step is x[..., None], and ids need a vocab_size"
            if x.shape[1] == D:
                because = "a single sequence is x[:, None]"
        check_shape(where, "x", x, ("T", "B") if ids else ("T", "B", D), because)
        T, B = x.shape[:2]
        inside = None
        if lengths is not None:
            lengths = check_lengths(where, "lengths", any_array(where, "lengths", lengths), T, B)
            inside = before_end(lengths, T)
            if ids:
                x = x.copy()
                x[~inside] = 0
        if ids:
            x = check_ids(where, "x", x, self.vocab_size, (T, B))
        else:
            check_array(where, "x", x, x.shape, np.dtype(self.config.dtype))
        return x, lengths, inside


def weights_inside(weights: Array | None, inside: Array, dtype: np.dtype[Any]) -> Array:
    """Return the weights of targets, which are 1 by default, with 0 past the ends of sequences."""
    if weights is None:
        return inside.astype(dtype)
    if weights.ndim > inside.ndim:  # one for each number of a target
        inside = inside[..., None]
    return weights * inside


class SequenceClassifier(SequenceModel):
    """A recurrent classifier: one class after a whole sequence (many-to-one).

    Embedding, recurrent layers, and a linear layer on the last hidden state of each sequence; with
    two directions, on the last one of each.

    Parameters
    ----------
    vocab_size, num_classes, hidden_size, num_layers : int
        V, the number of classes C, H and L.
    input_size : int
        D, in place of `vocab_size`: the inputs are vectors (T, B, D), and there is no embedding.
    bidirectional : bool
        Read the sequence in both directions; see `numpylstm.Bidirectional`.
    init_scale : float, optional
        The initial parameters are drawn from U(-init_scale, init_scale), by default with
        ``1 / sqrt(H)``: the decoder reads only the last of T hidden states, and with small initial
        values too little of the sequence would reach it.
    embedding_size, cell, dropout, dropout_input, dropout_output, dropout_locked, dropout_weights,
    dropout_state, dropout_words, init_scale_embedding, dtype, impl, activation, forget_bias, reset,
    factors, forget_gate, options, rng
        As for `LanguageModel`.

    Examples
    --------
    >>> import numpy as np, numpylstm as nl
    >>> model = nl.SequenceClassifier(11, 2, 6, rng=0)
    >>> ids = np.arange(12).reshape(4, 3) % 11  # (T, B)
    >>> loss = model.forward(ids, np.array([0, 1, 0]), lengths=np.array([4, 2, 3]))
    >>> model.backward()
    """

    outputs_argument = "num_classes"
    fixed_settings: Mapping[str, bool] = {**MEAN_LOSS, "every_step": False}

    def __init__(
        self,
        vocab_size: int | None = None,
        num_classes: int | None = None,
        hidden_size: int | None = None,
        num_layers: int = 1,
        *,
        input_size: int | None = None,
        bidirectional: bool = False,
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
        init_scale: float | None = None,
        init_scale_embedding: float | None = None,
        dtype: DTypeLike = "float32",
        impl: str = "fast",
        options: Mapping[str, Any] | None = None,
        rng: Rng = None,
    ) -> None:
        self.check_given(num_classes=num_classes, hidden_size=hidden_size)
        embedding_size = self.size_of_vectors(vocab_size, embedding_size, input_size)
        init_scale = self.scale_for(hidden_size, init_scale)
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
            init_scale=init_scale,
            init_scale_embedding=init_scale_embedding,
            dtype=float_dtype("model", dtype).name,
            impl=impl,
            average_across_timesteps=True,
        )
        self.build(
            config, vocab_size, num_classes, bidirectional, self.fixed_settings["every_step"], rng
        )

    @property
    def num_classes(self) -> int:
        """The number of classes, C."""
        return self.num_outputs

    def predict(self, x: Array, lengths: ArrayLike | None = None, batch_size: int = 512) -> Array:
        """Return the most probable classes, (B,), or (T, B), meaningless past an end.

        The arguments are those of `SequenceRegressor.predict`.
        """
        return super().predict(x, lengths, batch_size).argmax(axis=-1)

    def probabilities(
        self, x: Array, lengths: ArrayLike | None = None, batch_size: int = 512
    ) -> Array:
        """Return the probabilities of all classes, (B, C) or (T, B, C).

        The arguments are those of `SequenceRegressor.predict`.
        """
        return softmax(super().predict(x, lengths, batch_size))


class SequenceTagger(SequenceClassifier):
    """A recurrent tagger: one class at each step of a sequence (many-to-many).

    The parameters are those of `SequenceClassifier`. With ``bidirectional=True`` the output at a
    step may depend on later ones.

    Examples
    --------
    >>> import numpy as np, numpylstm as nl
    >>> model = nl.SequenceTagger(11, 2, 6, bidirectional=True, rng=0)
    >>> ids = np.arange(12).reshape(4, 3) % 11  # (T, B)
    >>> loss = model.forward(ids, ids % 2, lengths=np.array([4, 2, 3]))
    >>> model.predict(ids).shape
    (4, 3)
    """

    fixed_settings: Mapping[str, bool] = {**MEAN_LOSS, "every_step": True}


class SequenceRegressor(SequenceModel):
    """A recurrent model of real numbers: K at each step, or after a whole sequence.

    The loss is the mean of the squared errors; see `numpylstm.reference.squared_error_forward`.

    Parameters
    ----------
    vocab_size, num_outputs, hidden_size, num_layers : int
        V, the number of outputs K, H and L.
    every_step : bool
        Outputs at each step, (T, B, K); if False, after the end of each sequence, (B, K).
    input_size, bidirectional, init_scale and other settings
        As for `SequenceClassifier`.

    Examples
    --------
    >>> import numpy as np, numpylstm as nl
    >>> model = nl.SequenceRegressor(input_size=1, num_outputs=1, hidden_size=6, rng=0)
    >>> series = np.sin(np.arange(15, dtype="float32")).reshape(5, 3, 1)  # (T, B, D)
    >>> loss = model.forward(series[:-1], series[1:])
    >>> model.predict(series).shape
    (5, 3, 1)
    """

    outputs_argument = "num_outputs"
    predicts_classes = False
    fixed_settings: Mapping[str, bool] = MEAN_LOSS

    def __init__(
        self,
        vocab_size: int | None = None,
        num_outputs: int | None = None,
        hidden_size: int | None = None,
        num_layers: int = 1,
        *,
        input_size: int | None = None,
        bidirectional: bool = False,
        every_step: bool = True,
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
        init_scale: float | None = None,
        init_scale_embedding: float | None = None,
        dtype: DTypeLike = "float32",
        impl: str = "fast",
        options: Mapping[str, Any] | None = None,
        rng: Rng = None,
    ) -> None:
        self.check_given(num_outputs=num_outputs, hidden_size=hidden_size)
        embedding_size = self.size_of_vectors(vocab_size, embedding_size, input_size)
        init_scale = self.scale_for(hidden_size, init_scale)
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
            init_scale=init_scale,
            init_scale_embedding=init_scale_embedding,
            dtype=float_dtype("model", dtype).name,
            impl=impl,
            average_across_timesteps=True,
        )
        self.build(config, vocab_size, num_outputs, bidirectional, every_step, rng)
