"""The figures of the benchmark as tables of Markdown."""

from statistics import geometric_mean, median

from numpylstm.cells import CELLS
from numpylstm.printing import aligned

SHOWN = 0.01  # of the time of all compilations: functions below it share a line
BUSY = 0.1  # share of the processors that others may use before it is worth a warning
SHAPE = ("V", "H", "L", "T", "B")


def table(header, rows):
    """Format a table of Markdown with aligned columns: the first to the left, others right."""
    rule = ["---", *("---:" for _ in header[1:])]
    with_bars = []
    for row in [header, rule, *rows]:
        cells = [row[0]]
        for cell in row[1:]:
            cells += ["|", cell]
        with_bars.append(cells)
    lines = aligned(with_bars).replace("  |  ", " | ").splitlines()
    return "\n".join(f"| {line} |" for line in lines)


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
    below = f"\nbest matrix product until now: {best:.0f} GFLOP/s; {first_calls(found)}"
    warning = busy_warning(found["share_used_by_others"])
    return "\n".join(filter(None, [table(header, rows), below, warning]))


def first_calls(found):
    """Format how long the first call took, in which some libraries compile."""
    each = [
        f"{library} {one['seconds_of_first_call']:.2g}"
        for library, one in found["libraries"].items()
    ]
    return f"first call, s: {', '.join(each)}"


def stream_table(found):
    """Format one line for each library, with the latency of a time step that it rarely exceeds."""
    header = ["", "p50, ms", "turns", "p99, ms", "tokens/s", "its p50 / ours", "its p99 / ours"]
    ours = next(iter(found["libraries"].values()))
    rows = []
    for library, one in found["libraries"].items():
        turns = one["seconds_of_turns"]
        p50, p99 = one["seconds"], one["seconds_p99"]
        row = [
            f"{library} {one['version']}",
            milliseconds(p50),
            f"{milliseconds(min(turns))} - {milliseconds(max(turns))}",
            milliseconds(p99),
            f"{one['tokens_per_second']:,.0f}",
        ]
        ratios = [f"{p50 / ours['seconds']:.2f}", f"{p99 / ours['seconds_p99']:.2f}"]
        rows.append(row + (ratios if rows else ["", ""]))
    warning = busy_warning(found["share_used_by_others"])
    return "\n".join(filter(None, [table(header, rows), warning]))


def states_table(found):
    """Format one line for each library: its time from each state, the first of which is usual."""
    usual, *others = found
    header = ["", *(f"{name}, ms" for name in found), *(f"{name} / {usual}" for name in others)]
    rows = []
    for library, one in found[usual]["libraries"].items():
        seconds = {name: found[name]["libraries"][library]["seconds"] for name in found}
        row = [f"{library} {one['version']}", *map(milliseconds, seconds.values())]
        rows.append([*row, *(f"{seconds[name] / seconds[usual]:.2f}" for name in others)])
    warning = busy_warning(*(one["share_used_by_others"] for one in found.values()))
    return "\n".join(filter(None, [table(header, rows), warning]))


def start_table(found):
    """Format the medians of the first steps of fresh processes, with the sums of all."""
    header = ["seconds", *found[0]["seconds"], "together"]
    by_start = {}
    for one in found:
        name = f"{one['library']} {one['version']}"
        by_start.setdefault(", ".join(filter(None, [name, one["condition"]])), []).append(one)
    rows = []
    for name, processes in by_start.items():
        parts = {part: median(one["seconds"][part] for one in processes) for part in header[1:-1]}
        sums = sorted(sum(one["seconds"].values()) for one in processes)
        each = ", ".join(f"{total:.2f}" for total in sums)
        in_words = [f"{seconds:.2f}" for seconds in parts.values()]
        rows.append([name, *in_words, f"{median(sums):.2f} ({each})"])
    warning = busy_warning(*(one["share_used_by_others"] for one in found))
    return "\n".join(filter(None, [table(header, rows), warning]))


def compiled_table(started):
    """Format one line for each function that a start compiled, the largest first."""
    header = ["compiled", "seconds", "of these LLVM", "signatures", "first asked for by"]
    functions = sorted(started["compiled"], key=lambda one: -one["seconds"])
    total = {key: sum(one[key] for one in functions) for key in ("seconds", "llvm", "signatures")}
    shown = [one for one in functions if one["seconds"] >= SHOWN * total["seconds"]]
    rest = {key: total[key] - sum(one[key] for one in shown) for key in total}
    rows = [(one["name"], one, one["root"]) for one in shown]
    rows.append((f"{len(functions) - len(shown)} others", rest, ""))
    rows.append((f"all {len(functions)}", total, ""))
    formatted = []
    for name, one, root in rows:
        figures = [f"{one['seconds']:.2f}", f"{one['llvm']:.2f}", str(one["signatures"])]
        formatted.append([name, *figures, root])
    with_compilation = started["seconds"]["model"] + started["seconds"]["first step"]
    below = f"model and first step, with their compilation: {with_compilation:.2f} s"
    return f"{table(header, formatted)}\n\n{below}"


def peak_line(best_product, peak):
    """Format the best product of the run, beside the theoretical peak with its assumptions."""
    line = f"best matrix product of the run: {best_product / 1e9:.0f} GFLOP/s"
    if peak is None:
        return f"{line}; the theoretical peak of this processor is not known"
    speed, assumed = peak
    share = best_product / speed
    return f"{line}, {share:.0%} of the theoretical peak, {speed / 1e9:.0f} = {assumed}"


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
    ratios_of = {}
    for found in comparisons:
        for library in [*found["libraries"]][1:]:
            ratio = found["libraries"][library]["time_relative_to_ours"]
            ratios_of.setdefault(library, []).append(ratio)
    for library, ratios in ratios_of.items():
        lines.append(
            f"{library}: its time / ours in {len(ratios)} rows: worst {min(ratios):.2f}, geometric "
            f"mean {geometric_mean(ratios):.2f}, below 1.0: {sum(ratio < 1 for ratio in ratios)}"
        )
    lines.append(busy_warning(*(found["share_used_by_others"] for found in comparisons)))
    return "\n".join(lines).rstrip()
