"""The command ``python -m tests.benchmarks``: measure, print, save."""

import argparse
import json
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

import psutil

from numpylstm.kernels.threads import PROCESSORS
from numpylstm.report.result import facts

from . import processor
from .configurations import CONFIGURATIONS, GRID, SCORED
from .measure import BFLOAT16, OURS, PEERS, Worker, compare, installed, pause
from .start import EMPTY_CACHE, starts
from .tables import (
    busy_warning,
    comparison_table,
    compiled_table,
    grid_summary,
    grid_table,
    peak_line,
    start_table,
    states_table,
    stream_table,
    title,
)

QUICK = ("tiny", "char", "small", "medium")
STANDARD = CONFIGURATIONS["medium"]  # on which eval, sample and states are measured
STREAMED = ("tiny", "char", "medium")
STATES = {"normal": 0.1, "zeros": 0.0, "subnormal": 1e-40}  # the scale of the entries
STARTS = 3
ALL = (*CONFIGURATIONS, "eval", "sample", "stream", "states", "start")


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
        "  states  one time step, from a state that is normal, zero or subnormal\n"
        f"or\n  stream  one time step with a batch of one, on {', '.join(STREAMED)}\n"
        "  start   the first step of a fresh process, and the kernels that it compiles\n"
        f"or groups of shapes of the grid:\n  {', '.join(GRID)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="what to measure; see below")
    parser.add_argument("--grid", action="store_true", help="all groups of the grid")
    beside = parser.add_mutually_exclusive_group()
    beside.add_argument("--alone", action="store_true", help="without PyTorch")
    beside.add_argument(
        "--peers", nargs="+", choices=PEERS, help="the libraries to compare with, by default torch"
    )
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
    machine = facts() | {"threads": str(options.threads)}
    print("\n".join(f"{name:12}{value}" for name, value in machine.items()))
    libraries = chosen(options)
    print(busy_warning(pause()), flush=True)
    with ExitStack() as stack:
        workers = [stack.enter_context(Worker(name, options.threads)) for name in libraries]
        found = measure_named(names, workers, options)
    if options.json is not None:
        text = json.dumps({"machine": machine, **found}, indent=2)
        options.json.write_text(f"{text}\n", encoding="utf-8")


def chosen(options):
    """Return the libraries to measure, ours first; say which peer does not suit the processor."""
    if options.alone:
        return (OURS,)
    if options.peers is None:
        return installed()
    libraries = [OURS, *options.peers]
    if BFLOAT16 in libraries and not processor.has_bfloat16(processor.description()):
        libraries.remove(BFLOAT16)
        instructions = " nor ".join(sorted(processor.BFLOAT16))
        print(f"without {BFLOAT16}: the processor has neither {instructions}")
    return libraries


def measure_named(names, workers, options):
    """Measure what the names say, one after the other; print each table as soon as it is made."""
    alone, in_grid, started = [], [], []
    ours = workers[0]
    best_product = ours.product_speed()
    for name in names:
        if name in CONFIGURATIONS or name in ("eval", "sample"):
            best_product = max(best_product, ours.product_speed())
        measured = partial(
            compare,
            workers=workers,
            best_product=best_product,
            rounds=options.rounds,
            seconds=options.seconds,
        )
        if name in GRID:
            task = "evaluate" if name == SCORED else "train"
            of_group = [measured(task, c) for c in GRID[name]]
            in_grid += of_group
            print(grid_table(name, of_group), flush=True)
        elif name == "start":
            trained = [worker.library for worker in workers if "train" in worker.tasks]
            started = starts(trained, options.threads, STARTS)
            print(f"\nstart: the first step of a default run\n{start_table(started)}")
            print(f"\n{compiled_table(typical_start(started))}", flush=True)
        elif name == "states":
            by_state = {}
            for state, scale in STATES.items():
                by_state[state] = measured("restart", replace(STANDARD, state_scale=scale))
            alone += by_state.values()
            heading = title("one step from a state", replace(STANDARD, T=1))
            print(f"{heading}\n{states_table(by_state)}", flush=True)
        elif name == "stream":
            for size in STREAMED:
                c = replace(CONFIGURATIONS[size], B=1)
                alone.append(measured("stream", c))
                heading = title("stream", replace(c, T=1))
                print(f"{heading}\n{stream_table(alone[-1])}", flush=True)
        else:
            task = {"eval": "evaluate", "sample": "sample"}.get(name, "train")
            c = CONFIGURATIONS.get(name, STANDARD)
            alone.append(measured(task, c))
            print(f"{title(task, c)}\n{comparison_table(alone[-1])}", flush=True)
    if in_grid:
        print(grid_summary(in_grid))
    peak = theoretical_peak(ours, options.threads)
    print(f"\n{peak_line(best_product, peak)}")
    return {"comparisons": alone + in_grid, "starts": started, "peak": peak}


def typical_start(started):
    """Return the start of ours with nothing compiled whose first step took the median time."""
    ours = [one for one in started if one["condition"] == EMPTY_CACHE]
    return sorted(ours, key=lambda one: one["seconds"]["first step"])[len(ours) // 2]


def theoretical_peak(worker, threads):
    """Return the FLOP/s of the cores that the threads use, with what is assumed, or None."""
    description = processor.description()
    if processor.vector_bits(description) is None:
        return None
    cores = min(threads, psutil.cpu_count(logical=False) or threads)
    return processor.peak(description, cores, worker.clock())


if __name__ == "__main__":
    main()
