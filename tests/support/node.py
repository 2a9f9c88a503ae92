"""The JavaScript of the interactive page, run in Node."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

NODE = shutil.which("node")
PAGE = Path(__file__).parent.parent / "page"

needs_node = pytest.mark.skipif(NODE is None, reason="Node is not installed")


def node(script: str, **given: Any) -> Any:
    """Run a module of ``tests/page``; arrays go in and come out as nested lists."""
    done = subprocess.run(
        [str(NODE), PAGE / f"{script}.mjs"],
        input=json.dumps(given, default=as_lists),
        text=True,
        encoding="utf-8",
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def as_lists(array: np.ndarray) -> Any:
    """Return an array as JSON has it; a vector of floats becomes a matrix of one row."""
    is_vector = array.ndim == 1 and array.dtype.kind == "f"
    return (array[None] if is_vector else array).tolist()


def assert_close(name: str, found: Any, expected: Any, close: float = 1e-12) -> None:
    """Compare numbers of the page with those of Python, also in dicts.

    The error is relative to each number, or to a hundredth of the largest of its array where a
    number is smaller than that: what is left of a sum that cancels has fewer digits.
    """
    if isinstance(expected, dict):
        assert found.keys() == expected.keys(), name
        for key in expected:
            assert_close(f"{name}.{key}", found[key], expected[key], close)
        return
    expected = np.asarray(expected, float)
    found = np.asarray(found, float).reshape(expected.shape)
    size = np.abs(expected)
    scale = np.maximum(size, 1e-2 * size.max(initial=0))
    assert (np.abs(found - expected) <= close * scale).all(), f"{name}: {found} is not {expected}"
