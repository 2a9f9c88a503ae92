"""The command ``python -m tests.benchmarks``: measure, print, save."""

import argparse
import json
from contextlib import ExitStack
from pathlib import Path

from numpylstm.kernels.threads import PROCESSORS
from numpylstm.report.result import facts

from .configurations import CONFIGURATIONS, GRID, SCORED
from .measure import Worker, compare, installed, pause
from .tables import (
    busy_warning,
    comparison_table,
    grid_summary,
    grid_table,
    title,
)

QUICK = ("tiny", "char", "small", "medium")
ALL = (*CONFIGURATIONS, "eval", "sample")
STANDARD = CONFIGURATIONS["medium"]  # on which eval and sample are measured


def make_parser():
    """Return the parser of the command."""
    sizes = "\n".join(f"  {name:12}{c}" for name, c in CONFIGURATIONS.items())
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description="Training steps per second, compared with PyTorch if it is installed. Each "
        "library runs in its own process; they take turns, after a check that they compute the "
        "same numbers. Without names: tiny, char, small and medium, in about two minutes.",
        epilog=f"names: a model to train,\n{sizes}\nor, on medium,\n"
        "  eval    score a text\n  sample  draw one token at a time\n"
        f"or groups of shapes of the grid:\n  {', '.join(GRID)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="what to measure; see below")
    parser.add_argument("--grid", action="store_true", help="all groups of the grid")
    parser.add_argument("--alone", action="store_true", help="without PyTorch")
    parser.add_argument("--rounds", type=int, metavar="N", default=5, help="turns of each library")
    parser.add_argument("--seconds", type=float, metavar="S", default=0.5, help="length of a turn")
    parser.add_argument("--threads", type=int, metavar="N", default=PROCESSORS)
    parser.add_argument("--json", type=Path, metavar="FILE", help="save all figures")
    return parser


def main(argv=None):
    """Run the command."""
    parser = make_parser()
    options = parser.parse_args(argv)
    names = [*options.names, *(GRID if options.grid else ())] or QUICK
    for name in names:
        if name not in (*ALL, *GRID):
            parser.error(f"{name!r} cannot be measured; the names are {', '.join((*ALL, *GRID))}")
    libraries = ("numpylstm",) if options.alone else installed()
    machine = facts() | {"threads": str(options.threads)}
    print("\n".join(f"{name:12}{value}" for name, value in machine.items()))
    print(busy_warning(pause()), flush=True)
    with ExitStack() as stack:
        workers = [stack.enter_context(Worker(name, options.threads)) for name in libraries]
        comparisons = measure_named(names, workers, options.rounds, options.seconds)
    if options.json is not None:
        text = json.dumps({"machine": machine, "comparisons": comparisons}, indent=2)
        options.json.write_text(f"{text}\n", encoding="utf-8")


def measure_named(names, workers, rounds, seconds):
    """Measure what the names say, one after the other; print each table as soon as it is made."""
    alone, in_grid = [], []
    best_product = workers[0].product_speed()
    for name in names:
        if name in GRID:
            task = "evaluate" if name == SCORED else "train"
            found = [compare(task, c, workers, best_product, rounds, seconds) for c in GRID[name]]
            in_grid += found
            print(grid_table(name, found), flush=True)
        else:
            task = {"eval": "evaluate", "sample": "sample"}.get(name, "train")
            c = CONFIGURATIONS.get(name, STANDARD)
            best_product = max(best_product, workers[0].product_speed())
            found = compare(task, c, workers, best_product, rounds, seconds)
            alone.append(found)
            print(f"{title(task, c)}\n{comparison_table(found)}", flush=True)
    if in_grid:
        print(grid_summary(in_grid))
    return alone + in_grid


if __name__ == "__main__":
    main()
