"""``numpylstm-compare``: several runs in one picture and one table."""

import argparse
import warnings
from functools import partial
from pathlib import Path

from numpylstm.cli.common import Parser, check_plots, run
from numpylstm.errors import NumpylstmError
from numpylstm.printing import aligned, printable


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = Parser(
        prog="numpylstm-compare",
        description="Draw the curves of several runs in one picture, and print the settings in "
        "which they differ, their results, and mean and spread of runs that differ only in the "
        "seed. Runs that have not been validated yet, and folders without a run, are left out.",
    )
    parser.add_argument(
        "runs", metavar="RUN", type=Path, nargs="+", help="run folder, finished or not"
    )
    parser.add_argument(
        "--picture",
        type=Path,
        metavar="PATH",
        default=Path("compare.png"),
        help="where to draw the curves, as a PNG",
    )
    return parser


def command(*, runs: list[Path], picture: Path) -> None:
    """Read, draw, print."""
    from numpylstm.report import comparison
    from numpylstm.saving import write_atomically

    check_plots()
    from numpylstm.plots import comparison_curves

    names = [folder.resolve().name for folder in runs]
    if len(set(names)) < len(names):
        names = [str(folder) for folder in runs]
    compared, errors = [], []
    for folder, name in zip(runs, names, strict=True):
        try:
            compared.append(comparison.read_run(folder, printable(name)))
        except NumpylstmError as error:
            errors.append(error)
    if not compared:
        raise errors[0]
    for found in errors:
        warnings.warn(f"left out: {found}", stacklevel=2)
    figure = comparison_curves(
        [(run.name, run.rows) for run in compared], groups=comparison.experiments(compared)
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # in the name of a folder
        write_atomically(picture, lambda file: figure.savefig(file, format="png"))
    print(aligned(comparison.table_of_runs(compared)))
    if (seeds := comparison.table_of_seeds(compared)) is not None:
        print(f"\nMean and standard deviation over seeds:\n{aligned(seeds)}")
    for each in compared:
        if each.better is not None:
            print(f"\n{each.name}: {each.better}")
    if len({run.fingerprint for run in compared}) > 1:
        print(
            "\nThese runs use different texts, or split them differently: their perplexities "
            "cannot be compared."
        )
    print(f"\nCurves: {printable(str(picture))}")


main = partial(run, make_parser, command)
"""Run the command with a list of arguments, or those of the process; return its exit status."""
