"""Results as text for a terminal, as JSON and as pictures."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import geometric_mean
from typing import Any

from numpylstm.benchmark.configurations import BenchmarkError, Configuration
from numpylstm.benchmark.grid import Row
from numpylstm.benchmark.measure import Comparison, Memory, Start
from numpylstm.benchmark.phases import Phase
from numpylstm.benchmark.scaling import Curve

BUSY = 0.1  # share of the processors that others may use before it is worth a warning
LOADED = 0.5  # load average for each processor
SHAPE = ("V", "H", "L", "T", "B")


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell; the first reads from the left, the others end alike."""
    lines = [header, *rows]
    widths = [max(len(line[k]) for line in lines) for k in range(len(header))]
    return "\n".join(
        "  "
        + "  ".join(
            cell.ljust(width) if k == 0 else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def title(what: str, configuration: Configuration) -> str:
    """The heading of a table."""
    c = configuration
    return f"\n{what}, {c.name}: {c}, dropout {c.dropout:g}, {c.dtype}"


def facts(found: Mapping[str, str]) -> str:
    """The machine and the versions."""
    return "\n".join(f"{name:12}{value}" for name, value in found.items())


def busy_warning(load: float | None, share: float | None) -> str:
    """One line if others use the machine, else nothing."""
    if share is not None:
        return (
            f"warning: others used up to {share:.0%} of the processors meanwhile; figures from a "
            "busy machine are not worth quoting"
            if share > BUSY
            else ""
        )
    if load is not None and load > LOADED:
        return (
            f"warning: the load average is {load:.1f} for each processor; figures from a busy "
            "machine are not worth quoting"
        )
    return ""


def milliseconds(seconds: float) -> str:
    """Three digits or more."""
    ms = 1000 * seconds
    return f"{ms:.0f}" if ms >= 100 else f"{ms:.1f}" if ms >= 10 else f"{ms:.3f}"


def comparison(found: Comparison) -> str:
    """One line for each library; `turns` is the spread: the fastest and the slowest turn."""
    call = {"train": "step", "evaluate": "call", "sample": "call"}[found.task]
    header = ["", f"ms a {call}", "turns", "tokens/s", "GFLOP/s", "of best", "its time / ours"]
    rows = []
    for timing in found.timings:
        speed = found.flops_per_second(timing)
        ours = timing is found.timings[0]
        rows.append([
            f"{timing.library} {timing.version}",
            milliseconds(timing.median),
            f"{milliseconds(min(timing.turns))} - {milliseconds(max(timing.turns))}",
            f"{found.tokens_per_second(timing):,.0f}",
            f"{speed / 1e9:.1f}",
            f"{speed / found.product_speed:.0%}",
            "" if ours else f"{found.ratio(timing):.2f}",
        ])  # fmt: skip
    lines = [
        table(header, rows),
        f"  best matrix product until now: {found.product_speed / 1e9:.0f} GFLOP/s",
        busy_warning(None, found.busy),
    ]
    return "\n".join(line for line in lines if line)


def columns(cells: Sequence[str]) -> str:
    """One line of a table whose lines are printed as they come."""
    return (
        "  "
        + "".join(cell.rjust(7 if k < len(SHAPE) else 11) for k, cell in enumerate(cells)).rstrip()
    )


def grid_heading(group: str, row: Row, libraries: Sequence[str]) -> str:
    """The heading of a group of rows."""
    c = row.configuration
    peers = [cell for name in libraries[1:] for cell in (f"{name} ms", "its / ours")]
    what = f"\n{group}: {row.task}, {c.kind.title}, {c.dtype}"
    return f"{what}\n{columns([*SHAPE, 'ours ms', *peers])}"


def grid_row(found: Comparison, libraries: Sequence[str]) -> str:
    """A line of the grid: the shape, and the times."""
    timings = {timing.library: timing for timing in found.timings}
    cells = [f"{getattr(found.configuration, letter):,}" for letter in SHAPE]
    for name in libraries:
        timing = timings.get(name)
        cells.append(milliseconds(timing.median) if timing else "-")
        if name != libraries[0]:
            cells.append(f"{found.ratio(timing):.2f}" if timing else "-")
    return columns(cells) + ("  (others at work)" if (found.busy or 0.0) > BUSY else "")


def grid_summary(found: Sequence[Comparison]) -> str:
    """The worst row, the mean and how many rows are lost, for each peer."""
    ratios: dict[str, list[float]] = {}
    for comparison in found:
        for timing in comparison.timings[1:]:
            ratios.setdefault(timing.library, []).append(comparison.ratio(timing))
    lines = [
        f"{library}: its time / ours in {len(these)} rows: worst {min(these):.2f}, geometric mean "
        f"{geometric_mean(these):.2f}, below 1.0: {sum(ratio < 1 for ratio in these)}"
        for library, these in ratios.items()
    ]
    busy = [c.busy for c in found if c.busy is not None]
    return "\n".join(["", *lines, *filter(None, [busy_warning(None, max(busy, default=None))])])


def starts(found: Sequence[Start]) -> str:
    """Seconds up to the end of the first training step of a fresh process."""
    header = ["", "import s", "model s", "first step s", "together s"]
    rows = [
        [
            ", ".join(filter(None, [start.library, start.case])),
            *(f"{s:.2f}" for s in (start.imported, start.built, start.first_step, start.total)),
        ]
        for start in found
    ]
    return table(header, rows)


def memory(found: Sequence[Memory]) -> str:
    """Peak memory of fresh processes that train."""
    header = ["", "after import MiB", "peak MiB", "its peak / ours"]
    rows = [
        [m.library, f"{m.imported / 2**20:,.0f}", f"{m.peak / 2**20:,.0f}",
         "" if m is found[0] else f"{m.peak / found[0].peak:.2f}"]
        for m in found
    ]  # fmt: skip
    return table(header, rows)


def curves(found: Sequence[Curve]) -> str:
    """Milliseconds of a step at each size, and the exponent of the power that fits best."""
    header = [found[0].dimension, *(f"{size:,}" for size in found[0].sizes), "exponent"]
    rows = [
        [f"{curve.library} ms", *map(milliseconds, curve.seconds), f"{curve.exponent:.2f}"]
        for curve in found
    ]
    return table(header, rows)


def profile(found: Sequence[Phase], step: float, speed: float, bandwidth: float) -> str:
    """Each phase, its share of the step, and the least that it can take."""
    whole = sum(phase.seconds for phase in found)
    rows = [
        [
            phase.name,
            milliseconds(phase.seconds),
            f"{phase.seconds / whole:.1%}",
            *(
                (milliseconds(phase.bound), phase.bound_by, f"{phase.seconds / phase.bound:.1f}")
                if phase.bound
                else ("", "", "")
            ),
        ]
        for phase in found
    ]
    bound = sum(phase.bound for phase in found)
    rows.append(["together", milliseconds(whole), "", milliseconds(bound), "",
                 f"{whole / bound:.1f}"])  # fmt: skip
    header = ["", "ms", "of step", "bound ms", "bound by", "times bound"]
    return (
        f"{table(header, rows)}\n"
        f"  not watched, a step takes {milliseconds(step)} ms\n"
        f"  bounds: products at {speed / 1e9:.0f} GFLOP/s, memory at {bandwidth / 1e9:.1f} GB/s"
    )


def save_json(path: Path, facts: Mapping[str, str], numbers: Mapping[str, Any]) -> None:
    """Everything that was measured."""
    text = json.dumps({"machine": dict(facts), **numbers}, indent=2)
    path.write_text(text + "\n", encoding="utf-8")


def save_plot(path: Path, found: Sequence[Comparison], along: Sequence[Curve]) -> None:
    """The scaling plot if there are curves, else the bar chart.

    Raises
    ------
    BenchmarkError
        If there is nothing to draw.
    """
    from numpylstm.plots import ratio_bars, scaling_lines

    if along:
        lines = [(c.dimension, c.library, c.sizes, c.seconds, c.exponent) for c in along]
        scaling_lines(lines).savefig(path)
        return
    ratios = {
        label(c): {f"{t.library} {t.version}": c.ratio(t) for t in c.timings[1:]} for c in found
    }
    if not any(ratios.values()):
        raise BenchmarkError("--plot: there is no ratio to draw, since nothing was compared")
    ratio_bars(ratios).savefig(path)


def label(found: Comparison) -> str:
    """The name of a comparison under its bars."""
    name = found.configuration.name
    return name if found.task == "train" else f"{found.task}\n{name}"
