"""The benchmark's work in JAX: one compiled function for a whole step, `lax.scan` over time.

The product of all inputs with Wx is taken before the scan, and the old parameters are donated to
the new ones.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from numpylstm.benchmark.configurations import Array, Configuration, Trainer, Weights
from numpylstm.benchmark.configurations import weights as initial_weights

CELLS, DTYPES = ("lstm",), ("float32",)


def lstm(x: Any, h0: Any, c0: Any, Wx: Any, Wh: Any, b: Any) -> Any:
    """Run one layer over a window."""

    def cell(carry: Any, a: Any) -> Any:
        h, c = carry
        i, f, g, o = jnp.split(a + h @ Wh, 4, axis=1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    (h, c), hs = jax.lax.scan(cell, (h0, c0), x @ Wx + b)
    return hs, h, c


def dropped(x: Any, p: float, key: Any) -> Any:
    """Apply inverted dropout."""
    return x if p == 0 else jnp.where(jax.random.bernoulli(key, 1 - p, x.shape), x / (1 - p), 0)


def logits_of(w: Any, x: Any, state: Any, c: Configuration, p: float, key: Any) -> Any:
    """Return the logits (T, B, V) and the state."""
    keys = jax.random.split(key, c.L + 1)
    hs, finals = w["embedding.W"][x], []
    for k in range(c.L):
        layer = (w[f"lstm.{k}.{name}"] for name in ("Wx", "Wh", "b"))
        hs, *final = lstm(dropped(hs, p, keys[k]), state[0][k], state[1][k], *layer)
        finals.append(final)
    logits = dropped(hs, p, keys[-1]) @ w["decoder.W"] + w["decoder.b"]
    return logits, tuple(jnp.stack(part) for part in zip(*finals, strict=True))


def nll_of(logits: Any, y: Any) -> Any:
    """Return the -log p of each target."""
    chosen = jnp.take_along_axis(logits, y[..., None], axis=-1)[..., 0]
    return jax.nn.logsumexp(logits, axis=-1) - chosen


def start(c: Configuration, weights: Weights, B: int) -> tuple[Any, Any, Any]:
    """Return parameters, state and key."""
    given = initial_weights(c) if weights is None else weights
    zeros = jnp.zeros((c.L, B, c.H))
    w = {path: jnp.array(array) for path, array in given.items()}
    return w, (zeros, zeros), jax.random.key(0)


def trainer(c: Configuration, weights: Weights) -> Trainer:
    """Return a training step, and a function that returns the parameters."""

    def cost(w: Any, x: Any, y: Any, state: Any, key: Any) -> Any:
        logits, state = logits_of(w, x, state, c, c.dropout, key)
        return nll_of(logits, y).mean(axis=1).sum(), state

    @partial(jax.jit, donate_argnums=0)
    def update(w: Any, x: Any, y: Any, state: Any, key: Any) -> Any:
        key, used = jax.random.split(key)
        (loss, state), gradients = jax.value_and_grad(cost, has_aux=True)(w, x, y, state, used)
        norm = jnp.sqrt(sum(jnp.sum(g * g) for g in jax.tree.leaves(gradients)))
        rate = c.lr * jnp.minimum(1.0, c.clip / norm)
        w = jax.tree.map(lambda p, g: p - rate * g, w, gradients)
        return w, loss, norm, state, key

    w, state, key = start(c, weights, c.B)

    def step(x: Array, y: Array) -> tuple[float, float]:
        nonlocal w, state, key
        w, loss, norm, state, key = update(w, x, y, state, key)
        jax.block_until_ready(w)
        return float(loss), float(norm)

    return step, lambda: {path: np.array(p) for path, p in w.items()}


def evaluator(c: Configuration, weights: Weights) -> Callable[[Array], tuple[float, float]]:
    """Return a function that scores a text in windows."""
    w, zero, key = start(c, weights, c.B)

    @jax.jit
    def window(w: Any, x: Any, y: Any, state: Any) -> Any:
        logits, state = logits_of(w, x, state, c, 0.0, key)
        return nll_of(logits, y).sum(), (logits.argmax(axis=-1) == y).sum(), state

    def score(ids: Array) -> tuple[float, float]:
        streams = ids.reshape(c.B, -1).T
        state, nll, correct = zero, 0.0, 0
        for first in range(0, len(streams) - 1, c.T):
            x, y = streams[first : first + c.T], streams[first + 1 : first + 1 + c.T]
            window_nll, window_correct, state = window(w, x, y, state)
            nll, correct = nll + float(window_nll), correct + int(window_correct)
        return nll / streams[1:].size, correct / streams[1:].size

    return score


def sampler(c: Configuration, weights: Weights) -> Callable[[int, bool], list[int]]:
    """Return a function that draws tokens, one at a time."""
    w, zero, key = start(c, weights, 1)

    @partial(jax.jit, static_argnames="greedy")
    def next_token(w: Any, x: Any, state: Any, key: Any, greedy: bool) -> Any:
        logits, state = logits_of(w, x, state, c, 0.0, key)
        key, used = jax.random.split(key)
        row = logits[-1, 0]
        drawn = row.argmax() if greedy else jax.random.categorical(used, row)
        return drawn.reshape(1, 1), state, key

    def draw(length: int, greedy: bool) -> list[int]:
        nonlocal key
        x, state, drawn = jnp.zeros((1, 1), jnp.int32), zero, []
        for _ in range(length):
            x, state, key = next_token(w, x, state, key, greedy)
            drawn.append(int(x[0, 0]))
        return drawn

    return draw
