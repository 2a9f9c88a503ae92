"""The other end of `worker`: starts the process of one library and talks to it."""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any, Self

from numpylstm.benchmark.configurations import BenchmarkError

OURS = "numpylstm"
PEERS = ("torch", "jax")

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
ONLY_PROCESSOR = {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}


def installed() -> tuple[str, ...]:
    """Return the peers that can be imported."""
    return tuple(name for name in PEERS if importlib.util.find_spec(name) is not None)


class Worker:
    """A process with one library; a context, at whose end the process ends.

    `about` holds the library's ``version``, the ``seconds`` of its import, the ``bytes`` held after
    that, and the ``cells`` and ``dtypes`` that it can compute.
    """

    def __init__(
        self, library: str, threads: int, environment: Mapping[str, str] | None = None
    ) -> None:
        self.library = library
        variables = os.environ | ONLY_PROCESSOR | dict.fromkeys(THREADS, str(threads))
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "numpylstm.benchmark.worker", library, str(threads)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8",
            env=variables | dict(environment or {}),
        )  # fmt: skip
        if threads < (os.cpu_count() or 1) and hasattr(os, "sched_setaffinity"):
            # Not every library has a setting for its threads; the system has.
            allowed = sorted(os.sched_getaffinity(0))[:threads]
            os.sched_setaffinity(self._process.pid, allowed)
        self.about = self._answer()

    def ask(self, request: str, **arguments: Any) -> dict[str, Any]:
        """Send a request and return the answer; a worker that failed raises BenchmarkError."""
        try:
            print(json.dumps({"do": request, **arguments}), file=self._process.stdin, flush=True)
        except BrokenPipeError:
            raise BenchmarkError(f"the process of {self.library} has ended") from None
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise BenchmarkError(f"the process of {self.library} has ended")
        answer = json.loads(line)
        if "error" in answer:
            raise BenchmarkError(f"the process of {self.library} failed: {answer['error']}")
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.terminate()
        self._process.wait()
