"""The figures of the benchmark as text."""

from statistics import geometric_mean
from textwrap import indent

from numpylstm.cells import CELLS
from numpylstm.printing import aligned

BUSY = 0.1  # share of the processors that others may use before it is worth a warning
SHAPE = ("V", "H", "L", "T", "B")


def table(header, rows):
    """Format a table, indented."""
    return indent(aligned([header, *rows]), "  ")


def title(what, c):
    """Format the heading of a table."""
    return f"\n{what}, {c.name}: {c}, dropout {c.dropout:g}, {c.dtype}"


def busy_warning(*shares):
    """Format a warning if others use much of the machine; else an empty text."""
    share = max(filter(None, shares), default=0.0)
    if share <= BUSY:
        return ""
    return (
        f"warning: others used up to {share:.0%} of the processors meanwhile; figures from a "
        "busy machine are not worth quoting"
    )


def milliseconds(seconds):
    """Format with three digits or more."""
    ms = 1000 * seconds
    return f"{ms:.0f}" if ms >= 100 else f"{ms:.1f}" if ms >= 10 else f"{ms:.3f}"


def comparison_table(found):
    """Format one line for each library; `turns` is the fastest and the slowest turn."""
    call = "step" if found["task"] == "train" else "call"
    header = ["", f"ms a {call}", "turns", "tokens/s", "GFLOP/s", "of best", "its time / ours"]
    rows = []
    for library, one in found["libraries"].items():
        turns = one["seconds_of_turns"]
        rows.append(
            [
                f"{library} {one['version']}",
                milliseconds(one["seconds"]),
                f"{milliseconds(min(turns))} - {milliseconds(max(turns))}",
                f"{one['tokens_per_second']:,.0f}",
                f"{one['flops_per_second'] / 1e9:.1f}",
                f"{one['share_of_best_product']:.0%}",
                f"{one['time_relative_to_ours']:.2f}" if rows else "",
            ]
        )
    best = found["best_product_flops_per_second"] / 1e9
    below = f"  best matrix product until now: {best:.0f} GFLOP/s"
    warning = busy_warning(found["share_used_by_others"])
    return "\n".join(filter(None, [table(header, rows), below, warning]))


def grid_table(group, comparisons, libraries):
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


def grid_summary(comparisons):
    """Format the worst row, the mean and the number of lost rows, for each peer."""
    ratios = {}
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


def start_table(found):
    """Format the seconds up to the end of the first training step of a fresh process."""
    header = ["", "import s", "model s", "first step s", "together s"]
    parts = ("imported", "built", "first_step", "total")
    rows = [
        [", ".join(filter(None, [one["library"], one["case"]])), *(f"{one[p]:.2f}" for p in parts)]
        for one in found
    ]
    return table(header, rows)


def memory_table(found):
    """Format the peak memory of fresh processes that train."""
    header = ["", "after import MiB", "peak MiB", "its peak / ours"]
    rows = [
        [
            one["library"],
            f"{one['imported'] / 2**20:,.0f}",
            f"{one['peak'] / 2**20:,.0f}",
            "" if one is found[0] else f"{one['peak'] / found[0]['peak']:.2f}",
        ]
        for one in found
    ]
    return table(header, rows)
