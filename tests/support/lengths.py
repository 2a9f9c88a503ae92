"""Lengths of sequences, the steps past their ends, and both passes over them."""

import numpy as np
import pytest
from conftest import T

from numpylstm import functional, reference

LENGTHS = {
    "unsorted": (2, T, 1),
    "sorted": (T, 3, 2),
    "all equal": (T, T, T),
    "T longer than the longest": (1, 3, 3),
    "one is empty": (4, 0, 2),
    "all are empty": (0, 0, 0),
}
EVERY_LENGTHS = pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
MODULES = {"reference": reference, "fast": functional}
EVERY_MODULE = pytest.mark.parametrize("module", MODULES.values(), ids=MODULES)


def past(lengths, steps=T):
    """Return a mask (T, B): the steps past the end of each sequence."""
    return np.arange(steps)[:, None] >= lengths


def with_nan(values, lengths):
    return np.where(past(lengths, len(values))[..., None], np.nan, values)


def both_ways(module, cell, arrays, options, upstream, **lengths):
    """Return hs and the states, and all gradients."""
    *results, cache = getattr(module, f"{cell}_forward")(**arrays, **options, **lengths)
    gradients = getattr(module, f"{cell}_backward")(*upstream, cache)
    return results, [d for d in gradients if d is not None]
