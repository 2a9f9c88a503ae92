"""``numpylstm-bench``: speed, next to other frameworks on the same machine."""

import argparse
import json as json_format
from pathlib import Path

from numpylstm.benchmark.configurations import CONFIGURATIONS, GRID, BenchmarkError
from numpylstm.cli.common import (
    EXIT_FAILED,
    CommandError,
    Parser,
    check_plots,
    check_threads,
    complain,
    run,
)
from numpylstm.config import either
from numpylstm.printing import printable

PICTURES = (".png", ".pdf", ".svg")


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    sizes = "\n".join(f"  {name:12}{c}" for name, c in CONFIGURATIONS.items())
    parser = Parser(
        prog="numpylstm-bench",
        description="Training steps per second, compared with PyTorch and JAX if they are "
        "installed. Each library runs in its own process; they take turns, after a check that they "
        "compute the same numbers. Without names: tiny, char, small and medium, in about two "
        "minutes.",
        epilog=f"names: a model to train,\n{sizes}\nor, on medium,\n"
        "  eval    score a text\n  sample  draw one token at a time\n"
        "  start   fresh processes up to their first training step\n"
        "  memory  peak memory while training\n"
        f"or, with --grid, groups of shapes (default: all of them):\n"
        f"  {', '.join(GRID)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="what to measure; see below")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--all", action="store_true", help="all of these names")
    what.add_argument(
        "--scaling", action="store_true", help="how a training step grows with H, T, B, L and V"
    )
    what.add_argument(
        "--grid", action="store_true",
        help="every kind of shape: from 8 to 1024 units, from 1 to 256 sequences, and so on",
    )  # fmt: skip
    parser.add_argument(
        "--peers", metavar="A,B",
        help="compare with torch or jax or both, or with none (default: those installed)",
    )  # fmt: skip
    parser.add_argument(
        "--rounds", type=int, metavar="N", default=5,
        help="turns of each library (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--seconds", type=float, metavar="S", default=0.5,
        help="length of a turn (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="FILE", help="save all figures")
    parser.add_argument(
        "--plot", type=Path, metavar="FILE",
        help="save a picture, .png, .pdf or .svg: a bar for each ratio, or with --scaling a line "
        "for each library",
    )  # fmt: skip
    parser.add_argument(
        "--threads", type=int, metavar="N", help="processor cores for each library (default: all)"
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = make_parser()
    try:
        return run(parser, command, argv)
    except BenchmarkError as error:
        return complain(parser.prog, error, EXIT_FAILED)


def command(
    *,
    names: list[str],
    all: bool,
    scaling: bool,
    grid: bool,
    peers: str | None,
    rounds: int,
    seconds: float,
    json: Path | None,
    plot: Path | None,
    threads: int | None,
) -> None:
    """Measure, print, save."""
    from numpylstm.benchmark import runs
    from numpylstm.benchmark.measure import OURS, Settings
    from numpylstm.host import cores

    known = tuple(GRID) if grid else runs.ALL
    for name in names:
        if name not in known:
            listed = ", ".join(known)
            raise CommandError(f"{name!r} cannot be measured; the names are {listed}")
    if names and (all or scaling):
        raise CommandError("names cannot be combined with --all or --scaling; give one of them")
    if plot is not None and grid:
        raise CommandError("--plot: the grid has no picture; leave one of them out")
    if plot is not None:
        if plot.suffix.lower() not in PICTURES:
            raise CommandError(f"--plot must end in {either(PICTURES)}, got {printable(str(plot))}")
        check_plots()
    for file in filter(None, (json, plot)):
        if not file.parent.is_dir():
            raise CommandError(f"{file}: the folder {file.parent} does not exist")
    if rounds < 1:
        raise CommandError(f"--rounds must be at least 1, got {rounds}")
    if not 0 < seconds <= 60:
        raise CommandError(f"--seconds must be above 0 and at most 60, got {seconds:g}")
    check_threads(threads, cores())
    libraries = (OURS, *chosen_peers(peers))
    if plot is not None and not scaling and len(libraries) == 1:
        raise CommandError("--plot: a ratio needs another library; install one, or see --peers")
    settings = Settings(libraries, threads or cores(), rounds, seconds)
    machine = runs.describe_machine(settings)
    if grid:
        results = runs.measure_grid(names or known, settings)
    elif scaling:
        results = runs.measure_scaling(settings)
    else:
        results = runs.measure_named(runs.ALL if all else names or runs.QUICK, settings)
    if json is not None:
        text = json_format.dumps({"machine": machine, **results}, indent=2)
        json.write_text(f"{text}\n", encoding="utf-8")
    if plot is not None:
        runs.save_plot(plot, results)


def chosen_peers(peers: str | None) -> tuple[str, ...]:
    """Return the libraries to compare with."""
    from numpylstm.benchmark.measure import PEERS, installed

    available = installed()
    if peers is None:
        return available
    if peers == "none":
        return ()
    chosen = tuple(dict.fromkeys(peers.split(",")))
    for name in chosen:
        if name not in PEERS:
            listed = ", ".join(PEERS)
            raise CommandError(f"--peers must name some of {listed}, or none; got {name!r}")
        if name not in available:
            raise CommandError(f"--peers: {name} is not installed in this environment")
    return chosen
