"""The first training step of a fresh process, and the kernels that it compiles.

``python -m tests.benchmarks start`` runs this module in a process of its own, several times.
"""

import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace

from . import configurations as c
from .measure import ONLY_PROCESSOR, OURS, ROOT, THREADS, pause

# A step of `numpylstm-train` with its defaults, on a vocabulary of 10,000.
DEFAULT = replace(c.CONFIGURATIONS["small"], name="default", dropout=0.0)
EMPTY_CACHE, ON_DISK = "nothing compiled", "kernels on disk"


@dataclass
class Compiled:
    """Seconds for which one function was compiled, in all its signatures; not those it calls.

    `llvm` of the `seconds` were in LLVM. `root` is the kernel whose call asked for it first.
    """

    name: str
    root: str
    seconds: float = 0.0
    llvm: float = 0.0
    signatures: int = 0


class CompileTimes:
    """The times of all compilations while it is active, from the events of Numba."""

    def __init__(self, now=time.perf_counter):
        self.now = now
        self.found = {}
        self._open = []  # the functions being compiled, each asked for by the one before
        self._llvm_depth = 0
        self._since = 0.0

    def compilation_begins(self, name):
        """Count from here for this function, and not for the one that asked for it."""
        self._count()
        root = self._open[0].name if self._open else name
        one = self.found.setdefault(name, Compiled(name, root))
        one.signatures += 1
        self._open.append(one)

    def compilation_ends(self):
        """Go on to count for the function that asked."""
        self._count()
        self._open.pop()

    def llvm_begins(self):
        """Count as time of LLVM from here."""
        self._count()
        self._llvm_depth += 1

    def llvm_ends(self):
        """Count no longer as time of LLVM, unless an outer call is in it."""
        self._count()
        self._llvm_depth -= 1

    def _count(self):
        """Add the time since the last event to the innermost function."""
        now = self.now()
        if self._open:
            one = self._open[-1]
            one.seconds += now - self._since
            if self._llvm_depth:
                one.llvm += now - self._since
        self._since = now


def listen(times):
    """Report the events of Numba to `times`, until the process ends."""
    from numba.core import event

    class Compilations(event.Listener):
        def on_start(self, event):
            function = event.data["dispatcher"].py_func
            module = function.__module__.removeprefix("numpylstm.kernels.")
            times.compilation_begins(f"{module}.{function.__qualname__}")

        def on_end(self, event):
            times.compilation_ends()

    class Llvm(event.Listener):
        def on_start(self, event):
            times.llvm_begins()

        def on_end(self, event):
            times.llvm_ends()

    event.register("numba:compile", Compilations())
    event.register("numba:llvm_lock", Llvm())


def first_step(library):
    """Return the seconds of the parts of a first training step, and what was compiled."""
    times = CompileTimes()
    began = time.perf_counter()
    peer = importlib.import_module(f".peers.{library}", __package__)
    if library == OURS:
        listen(times)  # imports Numba
    imported = time.perf_counter()
    weights = c.weights(DEFAULT)
    ((x, y),) = c.windows(DEFAULT, 1)
    before_model = time.perf_counter()
    step, _ = peer.train(DEFAULT, weights)
    made = time.perf_counter()
    step(x, y)
    parts = {
        "import": imported - began,
        "model": made - before_model,
        "first step": time.perf_counter() - made,
    }
    compiled = [asdict(one) for one in times.found.values()]
    return {"library": library, "version": peer.VERSION, "seconds": parts, "compiled": compiled}


def fresh_process(library, threads, cache):
    """Run `first_step` in a fresh process, whose compiled kernels are in the folder `cache`."""
    environment = os.environ | ONLY_PROCESSOR | dict.fromkeys(THREADS, str(threads))
    finished = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.start", library],
        cwd=ROOT,
        env=environment | {"NUMBA_CACHE_DIR": str(cache)},
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(finished.stdout)


def starts(libraries, threads, rounds):
    """Return the first steps of fresh processes, in turns: each library so many times.

    Ours starts with an empty folder of kernels each time, and then again with what it compiled.
    """
    found = []
    for _ in range(rounds):
        for library in libraries:
            with tempfile.TemporaryDirectory() as cache:
                conditions = (EMPTY_CACHE, ON_DISK) if library == OURS else ("",)
                for condition in conditions:
                    share = pause()
                    one = fresh_process(library, threads, cache)
                    found.append(one | {"condition": condition, "share_used_by_others": share})
    return found


if __name__ == "__main__":
    print(json.dumps(first_step(sys.argv[1])))
