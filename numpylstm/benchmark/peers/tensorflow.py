"""The benchmark's training step in TensorFlow: Keras layers, one `tf.function` for a whole step.

Keras is batch-major, so windows are transposed on the way in. Evaluation and sampling are not
measured.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from numpylstm.benchmark.configurations import Array, Configuration, Weights

CELLS, DTYPES = ("lstm",), ("float32",)


def set_threads(threads: int) -> None:
    """Use so many threads."""
    tf.config.threading.set_intra_op_parallelism_threads(threads)


def layers_of(c: Configuration, weights: Weights) -> tuple[Any, list[Any], Any]:
    """Embedding, LSTM layers and decoder."""
    keras = tf.keras.layers
    embedding, decoder = keras.Embedding(c.V, c.H), keras.Dense(c.V)
    lstms = [
        keras.LSTM(c.H, return_sequences=True, return_state=True, unit_forget_bias=False)
        for _ in range(c.L)
    ]
    embedding.build(None)
    decoder.build((None, None, c.H))
    for lstm in lstms:
        lstm.build((None, None, c.H))
    if weights is not None:
        embedding.set_weights([weights["embedding.W"]])
        decoder.set_weights([weights["decoder.W"], weights["decoder.b"]])
        for k, lstm in enumerate(lstms):
            lstm.set_weights([weights[f"lstm.{k}.{name}"] for name in ("Wx", "Wh", "b")])
    return embedding, lstms, decoder


def trainer(
    c: Configuration, weights: Weights
) -> tuple[Callable[[Array, Array], tuple[float, float]], Callable[[], dict[str, Array]]]:
    """One training step, and the parameters."""
    embedding, lstms, decoder = layers_of(c, weights)
    trained = [v for layer in (embedding, *lstms, decoder) for v in layer.trainable_variables]
    optimizer = tf.keras.optimizers.SGD(c.lr)
    optimizer.build(trained)

    def dropped(x: Any) -> Any:
        return tf.nn.dropout(x, c.dropout) if c.dropout else x

    @tf.function
    def update(x: Any, y: Any, state: Any) -> Any:
        with tf.GradientTape() as tape:
            hs, finals = embedding(x), []
            for lstm, initial in zip(lstms, state, strict=True):
                hs, h, cell = lstm(dropped(hs), initial_state=initial, training=True)
                finals.append((h, cell))
            logits = decoder(dropped(hs))
            nll = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits)
            loss = tf.reduce_sum(nll) / c.B
        gradients, norm = tf.clip_by_global_norm(tape.gradient(loss, trained), c.clip)
        optimizer.apply_gradients(zip(gradients, trained, strict=True))
        return loss, norm, finals

    state = [(tf.zeros((c.B, c.H)), tf.zeros((c.B, c.H))) for _ in lstms]

    def step(x: Array, y: Array) -> tuple[float, float]:
        nonlocal state
        loss, norm, state = update(tf.constant(x.T), tf.constant(y.T), state)
        return float(loss), float(norm)

    def parameters() -> dict[str, Array]:
        paths = ["embedding.W"]
        paths += [f"lstm.{k}.{name}" for k in range(c.L) for name in ("Wx", "Wh", "b")]
        paths += ["decoder.W", "decoder.b"]
        return {path: v.numpy().copy() for path, v in zip(paths, trained, strict=True)}

    return step, parameters
