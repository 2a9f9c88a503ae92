"""The losses: softmax and cross-entropy for words and classes, squared error for real numbers."""

from typing import NamedTuple

import numpy as np

__all__ = [
    "CrossEntropyCache",
    "token_coefficients",
    "softmax",
    "cross_entropy_step_forward",
    "cross_entropy_step_backward",
    "sequence_cross_entropy_forward",
    "sequence_cross_entropy_backward",
    "SquaredErrorCache",
    "squared_error_forward",
    "squared_error_backward",
]


class CrossEntropyCache(NamedTuple):
    """Values for the backward pass and for evaluation.

    One step holds (B,) arrays, a sequence (T, B) arrays; logits have one more axis, V.
    """

    logits: np.ndarray  # (T, B, V)
    peak: np.ndarray  # (T, B): the largest logit
    total: np.ndarray  # (T, B): sum(exp(logits - peak)), from 1 to V
    targets: np.ndarray  # (T, B)
    coefficients: np.ndarray  # (T, B): the share of each token in the loss
    nll: np.ndarray  # (T, B): -log p(target), in nats, before any weighting
    predicted: np.ndarray  # (T, B): the most probable id


def token_coefficients(weights, *, average_across_timesteps, average_across_batch):
    """The factor with which each token's -log p enters the loss.

    A weight divided by the sum of the weights along each averaged axis. With all weights one: 1/B
    (average across the batch), 1/T (across time), 1/(T B) (both) or 1 (neither). Where the weights
    to divide by are all zero (a time step that is padding for the whole batch: filler after the end
    of shorter sequences), nothing is counted.

    Parameters
    ----------
    weights : (T, B), not negative

    Returns
    -------
    coefficients : (T, B)
    """
    axes = []
    if average_across_timesteps:
        axes.append(0)
    if average_across_batch:
        axes.append(1)
    if not axes:
        return weights
    total = weights.sum(axis=tuple(axes), keepdims=True)
    return weights / np.where(total > 0, total, 1)


def softmax(scores):
    """Probabilities from scores, along the last axis: ``p = exp(scores) / sum(exp(scores))``.

    Parameters
    ----------
    scores : (..., V)
        ``scores / temperature`` gives sharper probabilities below a temperature of 1.

    Returns
    -------
    p : (..., V)
        Positive, with a sum of 1.
    """
    exponentials = np.exp(scores - scores.real.max(axis=-1, keepdims=True))  # no overflow
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def cross_entropy_step_forward(logits, targets, coefficients):
    """Softmax turns scores into probabilities; the loss is -log of the probability of the truth.

    Parameters
    ----------
    logits : (B, V)
    targets : (B,) integers in [0, V)
    coefficients : (B,)

    Returns
    -------
    loss : scalar
        ``sum(coefficients * nll)`` with ``nll = -log softmax(logits)[target]``, in nats.
    cache : CrossEntropyCache
    """
    peak = logits.real.max(axis=-1)  # exp(logits - peak) is at most 1: no overflow
    total = np.exp(logits - peak[..., None]).sum(axis=-1)
    target_logits = np.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
    nll = np.log(total) + (peak - target_logits)  # peak + log(total) would round log(total) away
    predicted = logits.real.argmax(axis=-1)
    loss = (coefficients * nll).sum()
    return loss, CrossEntropyCache(logits, peak, total, targets, coefficients, nll, predicted)


def cross_entropy_step_backward(cache, dloss=1.0):
    """``dlogits = coefficient * (p - onehot(target))``: predicted minus true.

    ``nll = log(sum(exp(logits))) - logits[target]``: the derivative of the first term is p, that
    of the second is -onehot.
    ``dloss`` is the gradient that arrives at the loss: 1 if nothing follows it.

    Returns
    -------
    dlogits : (B, V)
    """
    p = np.exp(cache.logits - cache.peak[..., None]) / cache.total[..., None]  # (B, V): softmax
    onehot = cache.targets[..., None] == np.arange(p.shape[-1])
    return dloss * cache.coefficients[..., None] * (p - onehot)


def sequence_cross_entropy_forward(
    logits,
    targets,
    weights=None,
    *,
    average_across_timesteps=False,
    average_across_batch=True,
):
    """The loss of a sequence: one scalar.

    Parameters
    ----------
    logits : (T, B, V)
    targets : (T, B) integers in [0, V)
    weights : (T, B), optional
        How much each token counts; 0 for padding. All ones by default.
    average_across_timesteps, average_across_batch : bool
        The weighted losses are summed over time and batch, and divided by the sum of the weights
        along each averaged axis (for the batch axis: at each time step). By default the loss is
        the **sum over time of the mean over the batch**; with a rate of 1 and gradients clipped
        at 5 this is the recipe of Zaremba et al. (2014). The mean over both axes with a rate of T
        and a clip of 5/T is the same algorithm.

    Returns
    -------
    loss : scalar, in nats
    cache : CrossEntropyCache
    """
    if weights is None:
        weights = np.ones(targets.shape, logits.real.dtype)
    coefficients = token_coefficients(
        weights,
        average_across_timesteps=average_across_timesteps,
        average_across_batch=average_across_batch,
    )
    # The softmax looks at one token at a time, so the step formula serves all of them at once.
    return cross_entropy_step_forward(logits, targets, coefficients)


def sequence_cross_entropy_backward(cache, dloss=1.0):
    """The gradient of the loss with respect to the scores; ``dloss`` as for the step.

    Returns
    -------
    dlogits : (T, B, V)
    """
    dloss = cache.logits.dtype.type(dloss)  # a float64 would turn float32 gradients into float64
    return cross_entropy_step_backward(cache, dloss)


class SquaredErrorCache(NamedTuple):
    """Cache of `squared_error_forward`."""

    difference: np.ndarray  # (T, B, K): y - targets, and 0 where the weight is 0
    coefficients: np.ndarray  # (T, B, 1) or (T, B, K): the factor of each square in the loss


def squared_error_forward(y, targets, weights=None):
    """The mean of the squared differences: over the K numbers, and by weight over time and batch.

    ``loss = sum(weights * mean((y - targets)**2 over K)) / sum(weights)``, without a factor of 1/2.
    With all weights one this is the mean over all T B K numbers, as in PyTorch and Keras.

    Parameters
    ----------
    y, targets : (T, B, K) or (B, K)
    weights : (T, B) or (B,), or the shape of y, optional
        How much each target counts, or each number of it: then the loss is
        ``sum(weights * (y - targets)**2) / sum(weights)``. Where a weight is 0, y and targets are
        not read. If all are 0, the loss is 0.

    Returns
    -------
    loss : scalar
    cache : SquaredErrorCache
    """
    if weights is None:
        weights = np.ones(y.shape[:-1], y.real.dtype)
    K = 1  # numbers with one weight
    if weights.ndim < y.ndim:
        K = y.shape[-1]
        weights = weights[..., None]
    total = weights.sum()
    coefficients = weights / np.where(total > 0, total, 1) / K
    difference = np.where(weights > 0, y - targets, 0)
    loss = (coefficients * difference * difference).sum()
    return loss, SquaredErrorCache(difference, coefficients)


def squared_error_backward(cache, dloss=1.0):
    """Rule 1: the derivative of a square is twice its root.

    Returns
    -------
    dy : the shape of y
    """
    dloss = cache.difference.dtype.type(dloss)  # as for the cross-entropy
    return 2 * dloss * cache.coefficients * cache.difference
