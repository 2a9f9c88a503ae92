"""Agreement of results, caches and gradients with those of the textbook, by dtype."""

import numpy as np
import pytest

TOLERANCE = {"float64": 1e-10, "float32": 1e-5}
DTYPES = pytest.mark.parametrize("dtype", TOLERANCE)


def close(got, want, dtype, scale=None):
    """Assert the same shape, dtype and numbers."""
    got, want = np.asarray(got), np.asarray(want)
    assert got.shape == want.shape
    assert got.dtype == want.dtype
    if got.dtype.kind in "iu":
        assert np.array_equal(got, want)
        return
    scale = np.abs(want).max() if scale is None else scale
    assert np.abs(got - want).max() <= TOLERANCE[dtype] * max(scale, np.finfo(dtype).tiny)


def all_close(got, want, dtype):
    """Compare tuples of results, gradients and caches entry by entry."""
    assert len(got) == len(want)
    for g, w in zip(got, want, strict=True):
        if isinstance(w, tuple) and w and isinstance(w[0], np.ndarray):
            all_close(g, w, dtype)
        elif isinstance(w, np.ndarray | np.number):
            close(g, w, dtype)
        else:
            assert g == w
