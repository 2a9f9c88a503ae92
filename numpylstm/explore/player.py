"""The player: one update of the network of a golden tape, line by line and number by number.

    python -m numpylstm.tape play page.html

writes one HTML file that needs no server, no network and no other file. The page runs the
textbook's own lines: it holds their syntax trees, which ``textbook.js`` interprets.
"""

import ast
import inspect
import json
import textwrap
from functools import cache
from pathlib import Path
from typing import Any

from numpylstm import reference, tape
from numpylstm.cells import CELLS
from numpylstm.explore import FOLDER, assemble, cell_record
from numpylstm.laboratory.mistakes import around
from numpylstm.tape.golden import CELLS as ON_TAPE

AROUND = ("embedding_forward", "linear_forward", "linear_backward", "embedding_backward",
          "cross_entropy_step_forward", "cross_entropy_step_backward", "mingru_factor",
          "sgd_update")  # fmt: skip
"""Functions of the textbook that an update calls, besides those of the cell."""


def player_page(mine: Any = None, cell: str = "lstm", site: str | None = None) -> str:
    """Return the player as one self-contained HTML document.

    `mine` are your own numbers, named as on the tape of `cell`, to mark in it; `site` is the
    address of the documentation, as for `numpylstm.explore.page`. Raises TapeError if the numbers
    cannot be graded.
    """
    if mine is not None:
        tape.grade(mine, cell=cell)
    steps = [f"{name}{part}" for name in ON_TAPE
             for part in ("_step_forward", "_step_backward", "_backward")]  # fmt: skip
    functions = {name: listing(getattr(reference, name)) for name in (*AROUND, *steps)}
    data = {
        "cells": {
            name: {"record": cell_record(CELLS[name]), "tape": tape.load(name)} for name in ON_TAPE
        },
        "functions": functions | {"clip": listing(around.clip)},
        "pictures": json.loads((FOLDER / "picture.json").read_text("utf-8")),
        "caches": {
            name: _cache(kind) for name, kind in vars(reference).items() if name.endswith("Cache")
        },
        "mine": None if mine is None else {"cell": cell, "numbers": mine},
    }
    return assemble("player", data, site=site)


def write_player(path: str | Path, **options: Any) -> Path:
    """Write the player to an HTML file, replacing what is there, and return the path."""
    path = Path(path)
    path.write_text(player_page(**options), encoding="utf-8")
    return path


@cache
def listing(function: Any) -> dict[str, Any]:
    """Return a function as the player needs it: its lines, their first number, its syntax tree."""
    lines, first = inspect.getsourcelines(function)
    tree: Any = ast.parse(textwrap.dedent("".join(lines))).body[0]
    start = 1  # of the code, after the docstring
    if ast.get_docstring(tree) is not None:
        start = tree.body.pop(0).end_lineno
    return {
        "module": function.__module__.removeprefix("numpylstm."),
        "first": first,
        "start": start,
        "lines": [line.rstrip("\n") for line in lines],
        "tree": {
            "args": [argument.arg for argument in tree.args.args],
            "defaults": as_data(tree.args.defaults),
            "body": as_data(tree.body),
        },
    }


def _cache(kind: Any) -> dict[str, Any]:
    """Return the names of the fields of a cache, and the syntax trees of its properties."""
    properties = {k: v.fget for k, v in vars(kind).items() if isinstance(v, property)}
    trees = {name: listing(function)["tree"]["body"] for name, function in properties.items()}
    return {"fields": kind._fields, "properties": trees}


def as_data(node: Any) -> Any:
    """Return a syntax tree as JSON has it: objects with their `kind` and fields."""
    if isinstance(node, list):
        return [as_data(each) for each in node]
    if not isinstance(node, ast.AST):
        return node if node is not ... else None
    fields = {name: as_data(value) for name, value in ast.iter_fields(node) if name != "ctx"}
    places = {k: getattr(node, k) for k in ("lineno", "end_lineno") if isinstance(node, ast.stmt)}
    return fields | places | {"kind": type(node).__name__}
