"""``python -m numpylstm.tape``: show or play the tape, grade numbers or a folder of submissions."""

import argparse
import io
import sys
from collections.abc import Sequence
from pathlib import Path

from numpylstm.printing import printable
from numpylstm.tape.comparison import TOLERANCE, grade, read
from numpylstm.tape.golden import CELLS, TapeError, as_json, load


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m numpylstm.tape",
        description="Every number of one small LSTM, forwards and backwards, to check yours "
        "against; with --cell, of another cell.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    which = argparse.ArgumentParser(add_help=False)
    which.add_argument("--cell", choices=CELLS, default="lstm", help="default: %(default)s")
    show = commands.add_parser("show", help="print the tape, JSON", parents=[which])
    show.add_argument(
        "--inputs", action="store_true", help="only what you need to start: inputs and parameters"
    )
    check = commands.add_parser(
        "check",
        parents=[which],
        help="grade your own numbers: any part of the tape, under the same names",
        description="Exit status 0: every number in the file is right; 1: one is wrong; 2: the "
        "file cannot be graded.",
    )
    check.add_argument("file", type=Path, metavar="FILE", help="JSON, nested like the tape")
    check.add_argument(
        "--tolerance",
        type=float,
        default=TOLERANCE,
        metavar="X",
        help="largest difference that passes (default: %(default)s)",
    )
    play = commands.add_parser(
        "play",
        parents=[which],
        help="write a page that plays one update, line by line and number by number",
        description="The page needs no server and no network. With FILE, your wrong numbers are "
        "red in it.",
    )
    play.add_argument("file", type=Path, nargs="?", metavar="FILE", help="as for check")
    play.add_argument("page", type=Path, metavar="PAGE", help="the HTML file to write")
    folder = commands.add_parser(
        "grade",
        help="grade a folder of submissions written by the workbook, one line each",
        description="Nothing in a submission is executed. Exit status 0: all were graded; 1: some "
        "cannot be graded; 2: there is none.",
    )
    folder.add_argument("folder", type=Path, metavar="FOLDER", help="folder of .json files")
    folder.add_argument("--csv", action="store_true", help="print a table with a header")
    exam = commands.add_parser(
        "strip",
        help="print the workbook without solutions and hints, as an exam or as homework",
    )
    exam.add_argument("file", type=Path, metavar="WORKBOOK", help="notebooks/workbook.ipynb")
    exam.add_argument(
        "--keep-diagnoses",
        action="store_true",
        help="for homework: name what is wrong, but never the right line",
    )
    commands.add_parser(
        "write", help="compute the tape afresh, by the textbook, and print it", parents=[which]
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = make_parser()
    arguments = parser.parse_args(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):  # for names outside its encoding
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        match arguments.command:
            case "grade" | "strip":
                from numpylstm.laboratory.workbook import desk  # needs NumPy

                if arguments.command == "grade":
                    return desk.grade_folder(arguments.folder, as_csv=arguments.csv)
                print(desk.strip(arguments.file, keep_diagnoses=arguments.keep_diagnoses))
            case "check":
                result = grade(read(arguments.file), arguments.tolerance, arguments.cell)
                print(result)
                return 1 if result.wrong else 0
            case "play":
                from numpylstm.explore.player import write_player  # needs NumPy

                mine = None if arguments.file is None else read(arguments.file)
                path = write_player(arguments.page, mine=mine, cell=arguments.cell)
                print(f"{printable(str(path))}: {path.stat().st_size / 1000:.0f} kB")
            case "write":
                from numpylstm.tape.working import compute  # needs NumPy

                print(as_json(compute(arguments.cell)), end="")
            case "show":
                tape = load(arguments.cell)
                parts = ("inputs", "parameters") if arguments.inputs else tape
                print(as_json({name: tape[name] for name in parts}), end="")
    except (TapeError, OSError) as error:
        print(f"{parser.prog}: error: {printable(str(error))}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
