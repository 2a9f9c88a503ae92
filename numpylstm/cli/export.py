"""``numpylstm-export``: the model of a run for another program."""

import argparse
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from numpylstm.cli.common import CommandError, Parser, arguments_checked, load_run, run


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = Parser(
        prog="numpylstm-export",
        description="Write a model for another program: that of a run, or of a file of "
        "nl.save_model.",
    )
    parser.add_run()
    parser.add_argument(
        "--to",
        choices=("safetensors", "torch", "onnx"),
        required=True,
        help="safetensors: the arrays by path; torch: a state dict, with the vocabulary in "
        "FILE.json; onnx: a whole model (packages: the extra numpylstm[exchange])",
    )
    parser.add_argument("--out", metavar="FILE", type=Path, required=True, help="a new file")
    return parser


def command(*, checkpoint: Path, to: str, out: Path) -> None:
    """Load, convert, write."""
    from numpylstm.exchange import export_model

    for path in (out, Path(f"{out}.json")):
        if path.exists():
            raise CommandError(f"--out: {path} already exists; name a new file, or remove it")
    model, vocabulary, level = load_either(checkpoint)
    with arguments_checked():  # the other program may lack the cell
        export_model(model, out, to, vocabulary, level)
    print(f"Exported {model.num_parameters:,} parameters")


def load_either(path: Path) -> tuple[Any, Any, str | None]:
    """Return the model of a run, its vocabulary and level; a file of `save_model` lacks these."""
    from numpylstm.saving import CheckpointError, load_model

    if not path.is_dir():
        with suppress(CheckpointError):  # then it must be a checkpoint
            return load_model(path), None, None
    saved, model = load_run(path)
    return model, saved.vocabulary, saved.config.level


main = partial(run, make_parser, command)
"""Run the command with a list of arguments, or those of the process; return its exit status."""
