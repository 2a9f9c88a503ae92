"""Whole runs of ``numpylstm-bench``: each prints as it goes, and returns what `report` saves."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from numpylstm.benchmark import machine as this_machine
from numpylstm.benchmark import report
from numpylstm.benchmark.configurations import CONFIGURATIONS, Configuration
from numpylstm.benchmark.grid import GRID, Row
from numpylstm.benchmark.measure import (
    Comparison,
    Memory,
    Settings,
    Start,
    as_numbers,
    compare,
    peak_memory,
    product_speed,
    start_up,
)
from numpylstm.benchmark.phases import Phase, phases
from numpylstm.benchmark.process import OURS, Worker
from numpylstm.benchmark.scaling import CENTRE, SIZES, Curve, curves

QUICK = ("tiny", "char", "small", "medium")
ALL = (*CONFIGURATIONS, "eval", "sample", "start", "memory")
STANDARD = CONFIGURATIONS["medium"]  # on which eval, sample, start and memory are measured
BANDWIDTH_SECONDS = 0.5


@dataclass
class Results:
    """What a run has found so far."""

    comparisons: list[Comparison] = field(default_factory=list)
    starts: list[Start] = field(default_factory=list)
    memory: list[Memory] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)
    phases: list[Phase] = field(default_factory=list)

    def as_numbers(self) -> dict[str, Any]:
        """Everything as plain values."""
        return {
            "comparisons": [as_numbers(comparison) for comparison in self.comparisons],
            "start_up": [asdict(start) | {"total": start.total} for start in self.starts],
            "memory": [asdict(memory) for memory in self.memory],
            "scaling": [asdict(curve) | {"exponent": curve.exponent} for curve in self.curves],
            "profile": [asdict(phase) for phase in self.phases],
        }


def describe_machine(settings: Settings, machine: Worker) -> dict[str, str]:
    """Print what the figures depend on, and a warning if others are at work."""
    facts = machine.ask("facts") | {"threads": str(settings.threads)}
    print(report.facts(facts), flush=True)
    load = this_machine.load()
    warning = report.busy_warning(load, this_machine.pause())
    if warning:
        print(warning, flush=True)
    return facts


def run_comparisons(names: Sequence[str], settings: Settings) -> tuple[Results, dict[str, str]]:
    """Measure what is named of `ALL`, one after the other."""
    results = Results()
    with Worker(OURS, settings.threads) as machine, settings.workers() as workers:
        facts = describe_machine(settings, machine)
        fastest = product_speed(machine, settings)
        for name in names:
            if name == "start":
                print(report.title("start-up", STANDARD), flush=True)
                results.starts = start_up(STANDARD, settings)
                print(report.starts(results.starts), flush=True)
            elif name == "memory":
                print(report.title("memory", STANDARD), flush=True)
                results.memory = peak_memory(STANDARD, settings)
                print(report.memory(results.memory), flush=True)
            else:
                task = {"eval": "evaluate", "sample": "sample"}.get(name, "train")
                configuration = CONFIGURATIONS.get(name, STANDARD)
                print(report.title(task, configuration), flush=True)
                comparison = compare(task, configuration, settings, fastest, workers, machine)
                fastest = comparison.product_speed
                results.comparisons.append(comparison)
                print(report.comparison(comparison), flush=True)
    return results, facts


def run_grid(
    names: Sequence[str], settings: Settings, grid: Mapping[str, Sequence[Row]] = GRID
) -> tuple[Results, dict[str, str]]:
    """Measure the rows of the named groups of the grid."""
    results = Results()
    with settings.workers() as workers:
        facts = describe_machine(settings, workers[0])
        speed = product_speed(workers[0], settings)
        for name in names:
            print(report.grid_heading(name, grid[name][0], settings.libraries), flush=True)
            for row in grid[name]:
                found = compare(row.task, row.configuration, settings, speed, workers)
                results.comparisons.append(found)
                print(report.grid_row(found, settings.libraries), flush=True)
    print(report.grid_summary(results.comparisons), flush=True)
    return results, facts


def run_scaling(settings: Settings) -> tuple[Results, dict[str, str]]:
    """Measure a training step along each dimension."""
    results = Results()
    with Worker(OURS, settings.threads) as machine:
        facts = describe_machine(settings, machine)
        speed = product_speed(machine, settings)
    for dimension, along in SIZES.items():
        heading = f"train, {dimension} from {along[0]:,} to {along[-1]:,}"
        print(report.title(heading, CENTRE), flush=True)
        found, comparisons = curves(dimension, along, settings, speed)
        results.curves += found
        results.comparisons += comparisons
        print(report.curves(found), flush=True)
        warning = report.busy_warning(None, max((c.busy or 0.0) for c in comparisons))
        if warning:
            print(warning, flush=True)
    return results, facts


def run_profile(configuration: Configuration, settings: Settings) -> tuple[Results, dict[str, str]]:
    """Show where the time of our training step goes, next to what bounds it."""
    with Worker(OURS, settings.threads) as machine, Worker(OURS, settings.threads) as worker:
        facts = describe_machine(settings, machine)
        print(report.title("profile of a training step", configuration), flush=True)
        work = {"task": "train", "settings": asdict(configuration), "own_weights": False}
        worker.ask("prepare", **work)
        speed = product_speed(machine, settings)
        bandwidth = machine.ask("bandwidth", seconds=BANDWIDTH_SECONDS)["bandwidth"]
        this_machine.pause()
        answer = worker.ask("watch", seconds=settings.rounds * settings.seconds)
        this_machine.pause()
        speed = max(speed, product_speed(machine, settings))
    found = phases(answer["parts"], answer["watched"], configuration, speed, bandwidth)
    print(report.profile(found, answer["step"], speed, bandwidth), flush=True)
    return Results(phases=found), facts
