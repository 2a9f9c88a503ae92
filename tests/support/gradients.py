"""Checks of every gradient of a function and of a model."""

import numpy as np

from numpylstm import gradcheck
from numpylstm.model_check import check_module


def prove(rng, forward, backward, arrays, methods=("complex", "central"), read=None):
    """Check ``backward`` by each method, with random gradients of all that ``forward`` returns.

    If `read` is given, the loss reads only so many of the results. No array is written to. Complex
    arrays have the same gradients, although those from above are real.
    """
    for array in arrays.values():
        array.setflags(write=False)
    *results, cache = forward(*arrays.values())
    upstream = [rng.standard_normal(result.shape) for result in results]
    for unread in upstream[read:] if read else ():
        unread[...] = 0

    def loss(a):
        *results, _ = forward(*a.values())
        return sum((u * result).sum() for u, result in zip(upstream, results, strict=True))

    def gradients_from(cache):
        gradients = backward(*upstream, cache)
        gradients = gradients if isinstance(gradients, tuple) else (gradients,)
        assert all(gradient is None for gradient in gradients[len(arrays) :])
        return dict(zip(arrays, gradients, strict=False))

    gradients = gradients_from(cache)
    *_, cache = forward(*(array + 0j for array in arrays.values()))
    for name, other in gradients_from(cache).items():
        gradient = gradients[name]
        np.testing.assert_allclose(other, gradient, rtol=1e-12, atol=1e-12 * np.abs(gradient).max())
    for method in methods:
        report = gradcheck.check(loss, arrays, gradients, method=method)
        assert report.passed, f"\n{report}"


def check_gradients(model, forward):
    """Check every parameter along a random direction, by the loss of ``forward(model)``."""
    report = check_module(model, forward, along="arrays")
    assert report.passed, f"\n{report}"
