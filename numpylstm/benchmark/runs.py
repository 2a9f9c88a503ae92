"""The measurements of ``numpylstm-bench``: each is printed as soon as it is made."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import geometric_mean, linear_regression
from textwrap import indent
from typing import Any

from numpylstm.benchmark.configurations import (
    CENTRE,
    CONFIGURATIONS,
    GRID,
    SCORED,
    SIZES,
    BenchmarkError,
    Configuration,
)
from numpylstm.benchmark.measure import Figures, Settings, compare, pause, peak_memory, start_up
from numpylstm.cells import CELLS
from numpylstm.host import facts
from numpylstm.printing import aligned

QUICK = ("tiny", "char", "small", "medium")
ALL = (*CONFIGURATIONS, "eval", "sample", "start", "memory")
STANDARD = CONFIGURATIONS["medium"]  # on which eval, sample, start and memory are measured

Results = dict[str, list[Figures]]
"""The figures of the JSON file: comparisons, start_up, memory, scaling."""
BUSY = 0.1  # share of the processors that others may use before it is worth a warning
SHAPE = ("V", "H", "L", "T", "B")


def show(text: str) -> None:
    """Print a text at once, unless it is empty."""
    if text:
        print(text, flush=True)


def describe_machine(settings: Settings) -> dict[str, str]:
    """Print the facts that the figures depend on, and a warning if other programs are running."""
    found = facts() | {"threads": str(settings.threads)}
    show("\n".join(f"{name:12}{value}" for name, value in found.items()))
    show(busy_warning(pause()))
    return found


def measure_named(names: Sequence[str], settings: Settings) -> Results:
    """Measure some of `ALL`, one after the other."""
    results: Results = {"comparisons": [], "start_up": [], "memory": []}
    best_product = 0.0
    with settings.workers() as workers:
        for name in names:
            if name == "start":
                show(title("start-up", STANDARD))
                results["start_up"] = start_up(STANDARD, settings)
                show(start_table(results["start_up"]))
            elif name == "memory":
                show(title("memory", STANDARD))
                results["memory"] = peak_memory(STANDARD, settings)
                show(memory_table(results["memory"]))
            else:
                task = {"eval": "evaluate", "sample": "sample"}.get(name, "train")
                configuration = CONFIGURATIONS.get(name, STANDARD)
                show(title(task, configuration))
                best_product = max(best_product, workers[0].product_speed())
                found = compare(task, configuration, settings, best_product, workers)
                results["comparisons"].append(found)
                show(comparison_table(found))
    return results


def measure_grid(
    names: Sequence[str], settings: Settings, grid: Mapping[str, Sequence[Configuration]] = GRID
) -> Results:
    """Measure the shapes of the named groups of the grid."""
    comparisons: list[Figures] = []
    with settings.workers() as workers:
        best_product = workers[0].product_speed()
        for name in names:
            task = "evaluate" if name == SCORED else "train"
            group = [compare(task, c, settings, best_product, workers) for c in grid[name]]
            comparisons += group
            show(grid_table(name, group, settings.libraries))
    show(grid_summary(comparisons))
    return {"comparisons": comparisons}


def measure_scaling(
    settings: Settings, sizes: Mapping[str, Sequence[int]] = SIZES, centre: Configuration = CENTRE
) -> Results:
    """Measure a training step along each dimension, and fit ``time = a * size ** exponent``."""
    results: Results = {"comparisons": [], "scaling": []}
    with settings.workers() as workers:
        best_product = workers[0].product_speed()
        for dimension, along in sizes.items():
            show(title(f"train, {dimension} from {along[0]:,} to {along[-1]:,}", centre))
            found, curves = [], []
            for size in along:
                change: dict[str, Any] = {dimension: size, "name": f"{dimension} = {size}"}
                c = replace(centre, **change)
                found.append(compare("train", c, settings, best_product, workers))
            for library in settings.libraries:
                seconds = [one["libraries"][library]["seconds"] for one in found]
                fit = linear_regression([*map(math.log, along)], [*map(math.log, seconds)])
                curves.append({"dimension": dimension, "library": library, "sizes": list(along),
                               "seconds": seconds, "exponent": fit.slope})  # fmt: skip
            results["scaling"] += curves
            results["comparisons"] += found
            show(curves_table(curves))
            show(busy_warning(*(one["share_used_by_others"] for one in found)))
    return results


# --- figures as text and as pictures ----------------------------------------------------------


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format a table, indented."""
    return indent(aligned([header, *rows]), "  ")


def title(what: str, c: Configuration) -> str:
    """Format the heading of a table."""
    return f"\n{what}, {c.name}: {c}, dropout {c.dropout:g}, {c.dtype}"


def busy_warning(*shares: float | None) -> str:
    """Format a warning if others use much of the machine; else an empty text."""
    share = max(filter(None, shares), default=0.0)
    if share <= BUSY:
        return ""
    return (
        f"warning: others used up to {share:.0%} of the processors meanwhile; figures from a "
        "busy machine are not worth quoting"
    )


def milliseconds(seconds: float) -> str:
    """Format with three digits or more."""
    ms = 1000 * seconds
    return f"{ms:.0f}" if ms >= 100 else f"{ms:.1f}" if ms >= 10 else f"{ms:.3f}"


def comparison_table(found: Figures) -> str:
    """Format one line for each library; `turns` is the fastest and the slowest turn."""
    call = "step" if found["task"] == "train" else "call"
    header = ["", f"ms a {call}", "turns", "tokens/s", "GFLOP/s", "of best", "its time / ours"]
    rows: list[list[str]] = []
    for library, one in found["libraries"].items():
        turns = one["seconds_of_turns"]
        rows.append([
            f"{library} {one['version']}",
            milliseconds(one["seconds"]),
            f"{milliseconds(min(turns))} - {milliseconds(max(turns))}",
            f"{one['tokens_per_second']:,.0f}",
            f"{one['flops_per_second'] / 1e9:.1f}",
            f"{one['share_of_best_product']:.0%}",
            f"{one['time_relative_to_ours']:.2f}" if rows else "",
        ])  # fmt: skip
    best = found["best_product_flops_per_second"] / 1e9
    below = f"  best matrix product until now: {best:.0f} GFLOP/s"
    warning = busy_warning(found["share_used_by_others"])
    return "\n".join(filter(None, [table(header, rows), below, warning]))


def grid_table(group: str, comparisons: Sequence[Figures], libraries: Sequence[str]) -> str:
    """Format a group of shapes: a heading, and a line for each with its times."""
    first = comparisons[0]
    cell, dtype = CELLS[first["configuration"]["cell"]].title, first["configuration"]["dtype"]
    peers = [cell for name in libraries[1:] for cell in (f"{name} ms", "its / ours")]
    rows = []
    for found in comparisons:
        cells = [f"{found['configuration'][letter]:,}" for letter in SHAPE]
        for k, name in enumerate(libraries):
            one = found["libraries"].get(name)
            cells.append(milliseconds(one["seconds"]) if one else "-")
            if k:
                cells.append(f"{one['time_relative_to_ours']:.2f}" if one else "-")
        busy = (found["share_used_by_others"] or 0.0) > BUSY
        rows.append([*cells, "others at work" * busy])
    header = [*SHAPE, "ours ms", *peers, ""]
    return f"\n{group}: {first['task']}, {cell}, {dtype}\n{table(header, rows)}"


def grid_summary(comparisons: Sequence[Figures]) -> str:
    """Format the worst row, the mean and the number of lost rows, for each peer."""
    ratios: dict[str, list[float]] = {}
    for found in comparisons:
        for library, one in [*found["libraries"].items()][1:]:
            ratios.setdefault(library, []).append(one["time_relative_to_ours"])
    lines = [
        f"{library}: its time / ours in {len(these)} rows: worst {min(these):.2f}, geometric mean "
        f"{geometric_mean(these):.2f}, below 1.0: {sum(ratio < 1 for ratio in these)}"
        for library, these in ratios.items()
    ]
    warning = busy_warning(*(found["share_used_by_others"] for found in comparisons))
    return "\n".join(["", *lines, *filter(None, [warning])])


def start_table(found: Sequence[Figures]) -> str:
    """Format the seconds up to the end of the first training step of a fresh process."""
    header = ["", "import s", "model s", "first step s", "together s"]
    parts = ("imported", "built", "first_step", "total")
    rows = [
        [", ".join(filter(None, [one["library"], one["case"]])), *(f"{one[p]:.2f}" for p in parts)]
        for one in found
    ]
    return table(header, rows)


def memory_table(found: Sequence[Figures]) -> str:
    """Format the peak memory of fresh processes that train."""
    header = ["", "after import MiB", "peak MiB", "its peak / ours"]
    rows = [
        [one["library"], f"{one['imported'] / 2**20:,.0f}", f"{one['peak'] / 2**20:,.0f}",
         "" if one is found[0] else f"{one['peak'] / found[0]['peak']:.2f}"]
        for one in found
    ]  # fmt: skip
    return table(header, rows)


def curves_table(found: Sequence[Figures]) -> str:
    """Format the milliseconds of a step at each size, and the exponent of the fitted power."""
    header = [found[0]["dimension"], *(f"{size:,}" for size in found[0]["sizes"]), "exponent"]
    rows = [
        [f"{one['library']} ms", *map(milliseconds, one["seconds"]), f"{one['exponent']:.2f}"]
        for one in found
    ]
    return table(header, rows)


def save_plot(path: Path, results: Mapping[str, Any]) -> None:
    """Draw the scaling lines if there are curves, else a bar for each ratio."""
    from numpylstm.plots import ratio_bars, scaling_lines

    if along := results.get("scaling"):
        keys = ("dimension", "library", "sizes", "seconds", "exponent")
        scaling_lines([tuple(one[key] for key in keys) for one in along]).savefig(path)
        return
    ratios = {}
    for found in results["comparisons"]:
        task = "" if found["task"] == "train" else f"{found['task']}\n"
        ratios[task + found["configuration"]["name"]] = {
            f"{library} {one['version']}": one["time_relative_to_ours"]
            for library, one in [*found["libraries"].items()][1:]
        }
    if not any(ratios.values()):
        raise BenchmarkError("--plot: there is no ratio to draw, since nothing was compared")
    ratio_bars(ratios).savefig(path)
