"""Micro-benchmarks of the fast path; each result is held to the reference before it is timed.

They are not collected by `pytest` alone, as the name of this file does not begin with "test".

    pip install -e ".[bench]"
    pytest tests/benchmarks/bench_kernels.py
"""

import numpy as np
import pytest

import numpylstm as nl
from numpylstm import functional, reference

pytest.importorskip("pytest_benchmark", reason="pytest-benchmark is not installed (extra: bench)")
pytestmark = pytest.mark.benchmark(min_rounds=5, max_time=0.5, warmup=True, warmup_iterations=1)

SIZES = {  # T, B, D, H, V
    "tiny": (100, 1, 16, 16, 20),
    "char": (50, 32, 128, 128, 65),
    "small": (20, 20, 200, 200, 10_000),
    "medium": (35, 20, 650, 650, 10_000),
}


def uniform(*shape):
    return np.random.default_rng(len(shape)).uniform(-0.1, 0.1, shape).astype(np.float32)


def recurrent(module, T, B, D, H, V):
    """The arguments of a layer, and of its backward pass with that module's cache."""
    forward = (uniform(T, B, D), uniform(B, H), uniform(B, H),
               uniform(D, 4 * H), uniform(H, 4 * H), uniform(4 * H))  # fmt: skip
    *_, cache = module.lstm_forward(*forward)
    return forward, (uniform(T, B, H), uniform(B, H), uniform(B, H), cache)


def lstm_forward(module, *sizes):
    arguments, _ = recurrent(module, *sizes)
    return lambda: module.lstm_forward(*arguments)[:3]


def lstm_backward(module, *sizes):
    _, arguments = recurrent(module, *sizes)
    return lambda: module.lstm_backward(*arguments)


def linear_forward(module, T, B, D, H, V):
    arguments = uniform(T, B, H), uniform(H, V), uniform(V)
    return lambda: module.linear_forward(*arguments)[:1]


def linear_backward(module, T, B, D, H, V):
    _, cache = module.linear_forward(uniform(T, B, H), uniform(H, V), uniform(V))
    dy = uniform(T, B, V)
    return lambda: module.linear_backward(dy, cache)


def targets_of(T, B, V):
    return np.random.default_rng(0).integers(0, V, (T, B))


def cross_entropy_forward(module, T, B, D, H, V):
    logits, targets = uniform(T, B, V), targets_of(T, B, V)
    return lambda: module.sequence_cross_entropy_forward(logits, targets)[:1]


def cross_entropy_backward(module, T, B, D, H, V):
    _, cache = module.sequence_cross_entropy_forward(uniform(T, B, V), targets_of(T, B, V))
    return lambda: (module.sequence_cross_entropy_backward(cache),)


def embedding_forward(module, T, B, D, H, V):
    ids, W = targets_of(T, B, V), uniform(V, D)
    return lambda: module.embedding_forward(ids, W)[:1]


def embedding_backward(module, T, B, D, H, V):
    _, cache = module.embedding_forward(targets_of(T, B, V), uniform(V, D))
    dx = uniform(T, B, D)
    return lambda: (module.embedding_backward(dx, cache),)


def dropout_mask(module, T, B, D, H, V):
    numbers = np.random.default_rng(0).random((T, B, D), dtype=np.float32)
    return lambda: (module.dropout_mask(numbers, 0.5, np.dtype(np.float32)),)


def dropout_forward(module, T, B, D, H, V):
    x, mask = uniform(T, B, D), 2 * (uniform(T, B, D) > 0).astype(np.float32)
    return lambda: module.dropout_forward(x, mask)[:1]


def sampling(module, T, B, D, H, V):
    impl = "fast" if module is functional else "reference"
    model = nl.LanguageModel(V, H, 2, init_scale=0.1, impl=impl, rng=0)
    return lambda: (nl.generate(model, [0], 20, rng=0),)


WORK = [
    dropout_mask, dropout_forward, embedding_forward, lstm_forward, linear_forward,
    cross_entropy_forward, cross_entropy_backward, linear_backward, lstm_backward,
    embedding_backward, sampling,
]  # fmt: skip


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("work", WORK, ids=lambda work: work.__name__)
def test_speed(benchmark, work, size):
    call = work(functional, *SIZES[size])
    for found, expected in zip(call(), work(reference, *SIZES[size])(), strict=True):
        scale = np.abs(expected).max()
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * scale)
    benchmark.group = work.__name__
    benchmark(call)
