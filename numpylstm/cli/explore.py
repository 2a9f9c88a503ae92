"""``numpylstm-explore``: one HTML page that shows how a trained run reads a text."""

import argparse
from functools import partial
from pathlib import Path
from typing import Any

from numpylstm.cli.common import (
    CommandError,
    Parser,
    at_least,
    load_run,
    read_text,
    run,
    set_threads,
)
from numpylstm.config import ConfigError
from numpylstm.printing import printable
from numpylstm.training.display import waiting

NAME = "explorer.html"


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = Parser(
        prog="numpylstm-explore",
        description="Write one HTML page that needs no server and no network: a trained run reads "
        "a text, with the probabilities of the next token, the surprise at each, gates and cells "
        "over time, and the earlier tokens that a prediction depends on. You can hold gates and "
        "cells. A model of up to 2 million parameters is in the page itself, so that you can type "
        "another text; for a larger one, the page holds what was recorded on this text.",
    )
    parser.add_run()
    text = parser.add_mutually_exclusive_group()
    text.add_argument(
        "--text",
        "--file",
        dest="file",
        nargs=1,
        metavar="FILE",
        help="UTF-8 text to read, plain or .gz (default: the test split of the training run)",
    )
    text.add_argument("--prompt", metavar="TEXT", help="text to read, given here")
    parser.add_argument(
        "--max-tokens",
        type=at_least(2),
        metavar="N",
        help="read the first N tokens only (default: 200, or 100 if the model is too large for the "
        "page)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="PATH",
        help=f"the page to write (default: {NAME} beside the checkpoint)",
    )
    parser.add_quiet("the name of the page")
    parser.add_threads("all")
    return parser


def command(
    *,
    checkpoint: Path,
    out: Path | None = None,
    threads: int | None = None,
    **text_named: Any,
) -> None:
    """Load, read, rank, write."""
    from numpylstm.explore import check_config
    from numpylstm.explore.own import MOST_PARAMETERS, explorer_page
    from numpylstm.saving import write_text

    set_threads(threads)
    saved, model = load_run(checkpoint)
    path = saved.path
    try:
        check_config(saved.config)
    except ConfigError as error:  # the command has no flag of this name
        raise CommandError(f"{path}: {error}") from error
    out = out or path.with_name(NAME)
    text_named.setdefault("max_tokens", 200 if model.num_parameters <= MOST_PARAMETERS else 100)
    read = read_text(checkpoint, saved, text_named)
    with waiting("holding each cell at its mean") as shown:
        name = path.resolve().parent.name
        page = explorer_page(name, model, saved.vocabulary, saved.config, read, shown.share)
    write_text(out, page)
    print(f"{printable(str(out))}: {len(page) / 1e6:.1f} MB; open it in a browser")


main = partial(run, make_parser, command)
"""Run the command with a list of arguments, or those of the process; return its exit status."""
