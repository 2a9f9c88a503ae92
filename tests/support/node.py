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
        input=json.dumps(to_lists(given)),
        text=True,
        encoding="utf-8",
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def to_lists(value: Any) -> Any:
    """Return a value as JSON has it; a vector becomes a matrix of one row."""
    if isinstance(value, dict):
        return {name: to_lists(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [to_lists(each) for each in value]
    if isinstance(value, np.ndarray):
        floats = value.ndim == 1 and value.dtype.kind == "f"
        return (value[None] if floats else value).tolist()
    return value


class Held:
    """Compare arrays of the page with those of Python, and remember the worst.

    The error is relative to each number, or to a hundredth of the largest of its array where a
    number is smaller than that: what is left of a sum that cancels has fewer digits.
    """

    def __init__(self, close: float = 1e-12) -> None:
        self.numbers, self.worst, self.close = 0, 0.0, close

    def __call__(self, name: str, found: Any, expected: Any) -> None:
        if isinstance(expected, dict):
            assert found.keys() == expected.keys(), name
            for key in expected:
                self(f"{name}.{key}", found[key], expected[key])
            return
        expected = np.asarray(expected, float)
        found = np.asarray(found, float).reshape(expected.shape)
        size = np.abs(expected)
        scale = np.maximum(size, 1e-2 * size.max(initial=0))
        error = np.abs(found - expected) / np.where(scale == 0, 1, scale)
        assert error.max(initial=0) <= self.close, f"{name}: {found} is not {expected}"
        self.numbers += expected.size
        self.worst = max(self.worst, float(error.max(initial=0)))

    def __str__(self) -> str:
        return f"{self.numbers} numbers, worst relative error {self.worst:.1e}"
