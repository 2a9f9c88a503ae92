"""The measurements of ``numpylstm-bench``; each function prints as it goes."""

from collections.abc import Mapping, Sequence

from numpylstm.benchmark import report
from numpylstm.benchmark.configurations import (
    CENTRE,
    CONFIGURATIONS,
    GRID,
    SCORED,
    SIZES,
    Configuration,
)
from numpylstm.benchmark.measure import (
    Figures,
    Settings,
    compare,
    pause,
    peak_memory,
    product_speed,
    scaling,
    start_up,
)
from numpylstm.benchmark.process import OURS, Worker
from numpylstm.host import facts

QUICK = ("tiny", "char", "small", "medium")
ALL = (*CONFIGURATIONS, "eval", "sample", "start", "memory")
STANDARD = CONFIGURATIONS["medium"]  # on which eval, sample, start and memory are measured

Results = dict[str, list[Figures]]
"""The figures of the JSON file: comparisons, start_up, memory, scaling."""


def show(text: str) -> None:
    """Print a text at once, unless it is empty."""
    if text:
        print(text, flush=True)


def describe_machine(settings: Settings) -> dict[str, str]:
    """Print the facts that the figures depend on, and a warning if others are at work."""
    found = facts() | {"threads": str(settings.threads)}
    show("\n".join(f"{name:12}{value}" for name, value in found.items()))
    show(report.busy_warning(pause()))
    return found


def measure_named(names: Sequence[str], settings: Settings) -> Results:
    """Measure some of `ALL`, one after the other."""
    results: Results = {"comparisons": [], "start_up": [], "memory": []}
    best_product = 0.0
    with settings.workers() as workers:
        for name in names:
            if name == "start":
                show(report.title("start-up", STANDARD))
                results["start_up"] = start_up(STANDARD, settings)
                show(report.starts(results["start_up"]))
            elif name == "memory":
                show(report.title("memory", STANDARD))
                results["memory"] = peak_memory(STANDARD, settings)
                show(report.memory(results["memory"]))
            else:
                task = {"eval": "evaluate", "sample": "sample"}.get(name, "train")
                configuration = CONFIGURATIONS.get(name, STANDARD)
                show(report.title(task, configuration))
                best_product = max(best_product, product_speed(workers[0]))
                found = compare(task, configuration, settings, best_product, workers)
                results["comparisons"].append(found)
                show(report.comparison(found))
    return results


def measure_grid(
    names: Sequence[str],
    settings: Settings,
    grid: Mapping[str, Sequence[Configuration]] = GRID,
) -> Results:
    """Measure the shapes of the named groups of the grid."""
    comparisons: list[Figures] = []
    with settings.workers() as workers:
        best_product = product_speed(workers[0])
        for name in names:
            task = "evaluate" if name == SCORED else "train"
            group = [compare(task, c, settings, best_product, workers) for c in grid[name]]
            comparisons += group
            show(report.grid(name, group, settings.libraries))
    show(report.grid_summary(comparisons))
    return {"comparisons": comparisons}


def measure_scaling(settings: Settings) -> Results:
    """Measure a training step along each dimension."""
    results: Results = {"comparisons": [], "scaling": []}
    with Worker(OURS, settings.threads) as worker:
        best_product = product_speed(worker)
    for dimension, along in SIZES.items():
        show(report.title(f"train, {dimension} from {along[0]:,} to {along[-1]:,}", CENTRE))
        curves, comparisons = scaling(dimension, along, settings, best_product)
        results["scaling"] += curves
        results["comparisons"] += comparisons
        show(report.curves(curves))
        show(report.busy_warning(report.busiest(comparisons)))
    return results
