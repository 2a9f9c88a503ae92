"""Libraries take turns at the same work, and each turn is timed in that library's own process.

A turn lasts a second or less; the others sleep meanwhile. Whatever the machine does in the course
of minutes (its clock, its neighbours) then happens to all of them.
"""

import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from statistics import linear_regression, median
from typing import Any

from numpylstm.benchmark.configurations import (
    BenchmarkError,
    Configuration,
    flops,
    tokens,
)
from numpylstm.benchmark.machine import pause
from numpylstm.benchmark.process import OURS, Worker

PRODUCT_SECONDS = 0.2
LOSS_TOLERANCE = 1e-5  # relative, between the float32 results of two libraries
NORM_TOLERANCE = 5e-3  # of gradients: PyTorch adds up millions of squares in float32
STEPS_FOR_MEMORY = 0.5  # seconds


@dataclass(frozen=True)
class Settings:
    """How to measure.

    Attributes
    ----------
    libraries : tuple of str
        ``"numpylstm"`` first, then the peers.
    threads : int
    rounds : int
        Turns of each library.
    seconds : float
        How long a turn lasts, about.
    product_size : int
        Rows of the square matrices whose product shows the machine's best speed.
    """

    libraries: tuple[str, ...]
    threads: int
    rounds: int
    seconds: float
    product_size: int = 2048

    @contextmanager
    def workers(self) -> Iterator[list[Worker]]:
        """A process for each library, ours first."""
        with ExitStack() as stack:
            yield [stack.enter_context(Worker(x, self.threads)) for x in self.libraries]


@dataclass(frozen=True)
class Timing:
    """Seconds of one call in one library: the median of each of its turns."""

    library: str
    version: str
    turns: tuple[float, ...]

    @property
    def median(self) -> float:
        """Of the turns."""
        return median(self.turns)


@dataclass(frozen=True)
class Comparison:
    """One task on one configuration, in all libraries; ours is the first timing.

    Attributes
    ----------
    task : "train", "evaluate" or "sample"
    configuration : Configuration
    timings : tuple of Timing
    product_speed : float
        The best speed of a matrix product seen in this run until now, in FLOP/s.
    busy : float or None
        The largest share of the processors that others used between turns.
    """

    task: str
    configuration: Configuration
    timings: tuple[Timing, ...]
    product_speed: float
    busy: float | None

    def ratio(self, peer: Timing) -> float:
        """How many times faster we are."""
        return peer.median / self.timings[0].median

    def tokens_per_second(self, timing: Timing) -> float:
        """Tokens trained on, scored or drawn."""
        return tokens(self.task, self.configuration) / timing.median

    def flops_per_second(self, timing: Timing) -> float:
        """Arithmetic of the matrix products only."""
        return flops(self.task, self.configuration) / timing.median


def product_speed(machine: Worker, settings: Settings) -> float:
    """The best speed of a large matrix product now, in FLOP/s."""
    speeds = machine.ask("products", size=settings.product_size, seconds=PRODUCT_SECONDS)
    return max(speeds.values())


def compare(
    task: str,
    configuration: Configuration,
    settings: Settings,
    fastest_product: float,
    workers: Sequence[Worker],
    machine: Worker | None = None,
) -> Comparison:
    """Check that the libraries agree, then time them in turns.

    Parameters
    ----------
    task : "train", "evaluate" or "sample"
    configuration : Configuration
    settings : Settings
    fastest_product : float
        The best speed of a matrix product seen before, in FLOP/s.
    workers : sequence of Worker
        Ours first; those that do not know the task, the cell or the dtype are left out.
    machine : Worker, optional
        Measures the matrix product again in each round.

    Raises
    ------
    BenchmarkError
        If two libraries do not compute the same.
    """
    workers = [
        worker for worker in workers
        if task in worker.about["tasks"] and configuration.cell in worker.about["cells"]
        and configuration.dtype in worker.about["dtypes"]
    ]  # fmt: skip
    work = {"task": task, "settings": asdict(configuration)}
    check_agreement({w.library: w.ask("check", **work)["results"] for w in workers})
    for worker in workers:
        worker.ask("prepare", **work, own_weights=False)
    turns: dict[str, list[float]] = {worker.library: [] for worker in workers}
    shares = []
    for _ in range(settings.rounds):
        if machine is not None:
            shares.append(pause())
            fastest_product = max(fastest_product, product_speed(machine, settings))
        for worker in workers:
            shares.append(pause())
            times = worker.ask("measure", seconds=settings.seconds)["times"]
            turns[worker.library].append(median(times))
    timings = tuple(Timing(w.library, w.about["version"], tuple(turns[w.library]))
                    for w in workers)  # fmt: skip
    seen = [share for share in shares if share is not None]
    busy = max(seen) if seen else None
    return Comparison(task, configuration, timings, fastest_product, busy)


def check_agreement(results: Mapping[str, Mapping[str, float]]) -> None:
    """All libraries must find the numbers that ours finds; whole numbers exactly.

    Parameters
    ----------
    results : dict of library -> dict of name -> number

    Raises
    ------
    BenchmarkError
        Naming the first number that differs.
    """
    ours = results[OURS]
    for library, theirs in results.items():
        for name, expected in ours.items():
            tolerance = LOSS_TOLERANCE if "loss" in name else NORM_TOLERANCE
            if isinstance(expected, int):
                tolerance = 0.0
            if not math.isclose(theirs[name], expected, rel_tol=tolerance):
                raise BenchmarkError(
                    f"{library} and {OURS} do not compute the same, so their times are not "
                    f"compared: {name} is {theirs[name]:.8g} and {expected:.8g}"
                )


@dataclass(frozen=True)
class Start:
    """How long a fresh process takes to its first training step, in seconds."""

    library: str
    case: str
    imported: float
    built: float
    first_step: float

    @property
    def total(self) -> float:
        """From the import to the end of the step; Python itself has started before."""
        return self.imported + self.built + self.first_step


def start_up(configuration: Configuration, settings: Settings) -> list[Start]:
    """Fresh processes up to their first training step, with the library's own initial weights.

    Ours is measured with the compiled kernels on disk, and once without.
    """
    starts: dict[str, list[Start]] = {library: [] for library in settings.libraries}
    first_step(OURS, "", configuration, settings)  # so that the kernels are on disk
    for _ in range(settings.rounds):
        for library in settings.libraries:
            case = "compiled kernels on disk" if library == OURS else ""
            pause()
            starts[library].append(first_step(library, case, configuration, settings))
    with tempfile.TemporaryDirectory() as empty:
        cold = first_step(
            OURS, "nothing compiled yet", configuration, settings, {"NUMBA_CACHE_DIR": empty}
        )
    typical = [sorted(found, key=lambda s: s.total)[len(found) // 2] for found in starts.values()]
    return [typical[0], cold, *typical[1:]]


def first_step(
    library: str,
    case: str,
    configuration: Configuration,
    settings: Settings,
    environment: Mapping[str, str] | None = None,
) -> Start:
    """One fresh process."""
    with Worker(library, settings.threads, environment) as worker:
        answer = worker.ask(
            "prepare", task="train", settings=asdict(configuration), own_weights=True
        )
        return Start(library, case, worker.about["seconds"], answer["build"], answer["first"])


@dataclass(frozen=True)
class Memory:
    """The most memory held, in bytes: once the library is imported, and after training steps."""

    library: str
    imported: int
    peak: int


def peak_memory(configuration: Configuration, settings: Settings) -> list[Memory]:
    """Fresh processes that take a few training steps."""
    found = []
    for library in settings.libraries:
        with Worker(library, settings.threads) as worker:
            worker.ask("prepare", task="train", settings=asdict(configuration), own_weights=True)
            worker.ask("measure", seconds=STEPS_FOR_MEMORY)
            peak = worker.ask("memory")["bytes"]
            if peak is None:
                raise BenchmarkError("memory: this system does not say how much a process holds")
            found.append(Memory(library, worker.about["bytes"], peak))
    return found


def fitted_exponent(sizes: Sequence[float], times: Sequence[float]) -> float:
    """The p of ``time = a * size ** p``, by least squares on the logarithms."""
    return linear_regression([*map(math.log, sizes)], [*map(math.log, times)]).slope


def as_numbers(comparison: Comparison) -> dict[str, Any]:
    """A comparison as plain values, with what is derived from it."""
    return {
        "task": comparison.task,
        "configuration": asdict(comparison.configuration),
        "best_product_flops_per_second": comparison.product_speed,
        "share_used_by_others": comparison.busy,
        "libraries": {
            timing.library: {
                "version": timing.version,
                "seconds_of_turns": list(timing.turns),
                "seconds": timing.median,
                "tokens_per_second": comparison.tokens_per_second(timing),
                "flops_per_second": comparison.flops_per_second(timing),
                "share_of_best_product": (
                    comparison.flops_per_second(timing) / comparison.product_speed
                ),
                "time_relative_to_ours": comparison.ratio(timing),
            }
            for timing in comparison.timings
        },
    }
