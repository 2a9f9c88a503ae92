"""Compile the kernels of all cells before a long run, each of its processes a part of them."""

import os

import numpy as np

import numpylstm as nl
from numpylstm.cells import examples

PARTS = "float32", "float64"
LONG = 400  # tests


def compile_a_part(tests):
    """Compile the part of this process of pytest -n, unless it has few tests.

    Otherwise all processes need the same kernels at about the same time, and each compiles them.
    """
    if "PYTEST_XDIST_WORKER" in os.environ and tests > LONG:
        number = int(os.environ["PYTEST_XDIST_WORKER"].removeprefix("gw"))
        for dtype in PARTS[number :: int(os.environ["PYTEST_XDIST_WORKER_COUNT"])]:
            compile_kernels(dtype)


def compile_kernels(dtype):
    """Take one training step with each cell."""
    ids = np.zeros((2, 3), int)
    for chosen in examples().values():
        model = nl.LanguageModel(11, 6, dtype=dtype, rng=0, **chosen)
        model.forward(ids, ids)
        model.backward()
        nl.clip_by_global_norm(model.parameters(), 1.0)
        nl.SGD(model.parameters(), lr=0.1).step()
