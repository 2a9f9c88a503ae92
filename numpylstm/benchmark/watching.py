"""Where the time of a training step goes: the real functions, watched while they run.

Every function of `functional` and every kernel that it calls is replaced, for a while and in this
process only, by one that notes its time and calls it. The step itself is not written again here, so
what is measured is what people run.
"""

import functools
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from statistics import median
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpylstm
from numpylstm import functional, layers, optim
from numpylstm.cells import CELLS
from numpylstm.kernels import machine

NUMBERED = {f"{cell}_{way}" for cell in CELLS for way in ("forward", "backward")}  # by layers


class Stopwatch:
    """Seconds spent in each watched function, without what the watched functions in it spent.

    Attributes
    ----------
    seconds : dict of path -> float
        A path is the names of the functions that were running, from the outside, joined by "/".
    """

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._running: list[str] = []
        self._inside: list[float] = [0.0]  # spent in watched functions, for each one running
        self._calls: Counter[str] = Counter()

    def begin_step(self) -> None:
        """Start from nothing, and number the layers from the first."""
        self.seconds = defaultdict(float)
        self._calls.clear()

    def watch(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        """The function, watched."""

        @functools.wraps(function)
        def watched(*arguments: Any, **options: Any) -> Any:
            label = name
            if name in NUMBERED:
                label = f"{name}#{self._calls[name]}"
                self._calls[name] += 1
            self._running.append(label)
            self._inside.append(0.0)
            start = time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                elapsed = time.perf_counter() - start
                self.seconds["/".join(self._running)] += elapsed - self._inside.pop()
                self._inside[-1] += elapsed
                self._running.pop()

        if hasattr(function, "compute"):  # layers call this one
            watched.compute = self.watch(function.compute, name)  # type: ignore[attr-defined]
        return watched


def own_functions(module: ModuleType) -> list[str]:
    """The names of the public functions that a module defines."""
    return [
        name
        for name, value in vars(module).items()
        if callable(value)
        and not isinstance(value, type)
        and not name.startswith("_")
        and getattr(value, "__module__", None) == module.__name__
    ]


def watched(call: Callable[[], Any], seconds: float) -> dict[str, Any]:
    """Time one call, a training step, and what it spends in each function.

    Parameters
    ----------
    call : callable
        It must have been called before, so that everything is compiled.
    seconds : float
        How long to measure, about: half of it without watching.

    Returns
    -------
    dict
        ``step``, the median seconds of a call that is not watched; ``watched``, the mean seconds of
        the faster half of those that are; ``parts``, path -> mean seconds in these.
    """
    alone: list[float] = []
    began = time.perf_counter()
    while len(alone) < 3 or time.perf_counter() - began < seconds / 2:
        start = time.perf_counter()
        call()
        alone.append(time.perf_counter() - start)

    stopwatch = Stopwatch()
    targets: list[tuple[Any, str, str]] = [
        *((functional, name, name) for name in own_functions(functional)),
        *((machine, name, "matmul") for name in ("multiply", "gradients_alone")),
        (layers.Dropout, "forward", "dropout"),
        (layers.Dropout, "backward", "dropout"),
        (numpylstm, "clip_by_global_norm", "clip_by_global_norm"),
        (optim.SGD, "step", "update"),
        (optim.SGD, "zero_grad", "update"),
    ]
    steps: list[tuple[float, dict[str, float]]] = []
    with ExitStack() as stack:
        for owner, name, label in targets:
            function = getattr(owner, name)
            stack.enter_context(patch.object(owner, name, stopwatch.watch(function, label)))
        began = time.perf_counter()
        while len(steps) < 4 or time.perf_counter() - began < seconds / 2:
            stopwatch.begin_step()
            start = time.perf_counter()
            call()
            steps.append((time.perf_counter() - start, stopwatch.seconds))
    # Means, so that the parts add up; of the faster half, so that one hiccup does not spoil them.
    steps = sorted(steps, key=lambda step: step[0])[: len(steps) // 2]
    paths = {path for _, parts in steps for path in parts}
    return {
        "step": median(alone),
        "watched": sum(elapsed for elapsed, _ in steps) / len(steps),
        "parts": {path: sum(p.get(path, 0.0) for _, p in steps) / len(steps) for path in paths},
    }
