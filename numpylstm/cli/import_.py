"""``numpylstm-import``: a model of another program as a run folder."""

import argparse
from functools import partial
from pathlib import Path
from typing import Any

from numpylstm.cells import RNN
from numpylstm.cli.common import CommandError, Parser, named_by, run
from numpylstm.levels import LEVELS


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = Parser(prog="numpylstm-import", description="Make a run from another program's model.")
    parser.add_argument(
        "file",
        metavar="FILE",
        type=Path,
        help="safetensors, a state dict of PyTorch, or the arrays of a Keras model; FILE.json may "
        "hold the vocabulary (packages: the extra numpylstm[exchange])",
    )
    parser.add_argument(
        "--out",
        metavar="RUN",
        type=Path,
        required=True,
        help="run folder, new or empty, for numpylstm-eval, -sample and -train --init-from",
    )
    parser.add_argument(
        "--activation",
        choices=RNN.options["activation"].choices,
        help="nonlinearity of a vanilla RNN (default: as the file says; a state dict of PyTorch "
        "and the arrays of Keras do not say it)",
    )
    parser.add_argument(
        "--level",
        choices=tuple(LEVELS),
        help="how a text is cut into tokens (default: as the file says; a file that does not say "
        "it: char if every token of the vocabulary is a single character, else word)",
    )
    return parser


def command(*, file: Path, out: Path, level: str | None = None, **settings: Any) -> None:
    """Read, convert, write."""
    from numpylstm.exchange import write_run
    from numpylstm.exchange.files import import_file
    from numpylstm.models import LanguageModel
    from numpylstm.training import run_folder

    imported = import_file(file, **settings)
    model = imported.model
    if not isinstance(model, LanguageModel):
        raise CommandError(
            f"{file} holds a {type(model).__name__}, and a run is of a language model; "
            "numpylstm.exchange.import_model reads it"
        )
    with named_by("--out", run_folder.create(out, "")) as folder:
        used = write_run(model, imported.vocabulary, folder, level or imported.level)
    print(f"Imported {model!r}")
    if level is None and imported.level is None:
        print(f"Texts are cut into tokens at level {used}, as its vocabulary suggests; see --level")


main = partial(run, make_parser, command)
"""Run the command with a list of arguments, or those of the process; return its exit status."""
