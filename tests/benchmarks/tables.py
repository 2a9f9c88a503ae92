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
    share = max(shares)
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


def grid_table(group, comparisons):
    """Format a group of shapes: a heading, and a line for each with its times."""
    first = comparisons[0]
    cell, dtype = CELLS[first["configuration"]["cell"]].title, first["configuration"]["dtype"]
    ours, *peers = first["libraries"]
    header, rows = [*SHAPE, f"{ours} ms"], []
    for name in peers:
        header += [f"{name} ms", "its / ours"]
    for found in comparisons:
        row = [f"{found['configuration'][letter]:,}" for letter in SHAPE]
        row.append(milliseconds(found["libraries"][ours]["seconds"]))
        for name in peers:
            its = found["libraries"][name]
            row += [milliseconds(its["seconds"]), f"{its['time_relative_to_ours']:.2f}"]
        rows.append([*row, "others at work" * (found["share_used_by_others"] > BUSY)])
    return f"\n{group}: {first['task']}, {cell}, {dtype}\n{table([*header, ''], rows)}"


def grid_summary(comparisons):
    """Format the worst row, the mean and the number of lost rows, for each peer."""
    lines = [""]
    for library in [*comparisons[0]["libraries"]][1:]:
        ratios = [found["libraries"][library]["time_relative_to_ours"] for found in comparisons]
        lines.append(
            f"{library}: its time / ours in {len(ratios)} rows: worst {min(ratios):.2f}, geometric "
            f"mean {geometric_mean(ratios):.2f}, below 1.0: {sum(ratio < 1 for ratio in ratios)}"
        )
    lines.append(busy_warning(*(found["share_used_by_others"] for found in comparisons)))
    return "\n".join(lines).rstrip()
