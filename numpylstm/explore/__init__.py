"""The interactive page: an article on the LSTM, with figures that run in the browser.

    python -m numpylstm.explore cell.html

writes one HTML file that needs no server, no network and no other file. Its engine, ``engine.js``,
is `numpylstm.reference` in JavaScript, as far as reading with a language model of RNN, LSTM or GRU
layers needs it, function by function and name by name; its figures learn with ``trainer.js``. The
tests compare both with the golden tapes and the gradients of the reference.
"""

import base64
import hashlib
import html
import json
import os
import random
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

from numpylstm.cells import CELLS, Cell
from numpylstm.config import ConfigError, TrainConfig, check_known
from numpylstm.data.text import read_embedded
from numpylstm.errors import either
from numpylstm.textbook import chapters, source_of

__all__ = ["FOLDER", "page", "write_page"]

FOLDER = Path(__file__).parent
"""Folder of the parts of the page: modules, style, models."""

NOTEBOOKS = FOLDER.parents[1] / "notebooks"  # only in a clone

PREVIEW = """<meta property="og:title" content="How an LSTM really works">
<meta property="og:image" content="{site}/_static/preview.png">
"""  # the picture of a link

LINK = '<p><a href="{site}/player.html">Play one update, number by number</a></p>'
PLAYER = "<p><code>python -m numpylstm.tape play page.html</code><br>plays one update</p>"

KNOWN = ("cell", "hidden_size", "embedding_size", "num_layers", "tied", "dtype")
"""The settings that the engine of the page has; it computes in float64, from float32."""

OWN_TEXT = 60_000  # characters of the texts that the page offers to learn


def page(site: str | None = None, notebooks: str | None = None) -> str:
    """Return the page as one self-contained HTML document.

    `site` is the address of the documentation, to which the page then links; without it,
    `notebooks` may be the address of a folder with the notebooks.
    """
    cells = {name: cell_record(CELLS[name]) for name in ("lstm", "gru", "rnn")}
    models = json.loads(_read("models.json"))
    for model in models.values():
        model |= {"level": "char", "cell": cells["lstm"], "options": []}
    data = {
        "cells": cells,
        "models": models,
        "texts": {
            "Python's language reference": read_embedded()["train"][:OWN_TEXT],
            "The textbook of this project": "".join(chapters().values())[:OWN_TEXT],
            "Brackets": brackets(20_000),
        },
    }
    return assemble("page", data, site, notebooks)


def brackets(length: int) -> str:
    """Return lines of brackets, four deep at most; a line ends when all of them are closed."""
    rng = random.Random(0)
    out = ""
    depth = 0
    while len(out) < length or depth:
        opens = depth == 0 or (depth < 4 and rng.random() < 0.5)
        depth += 1 if opens else -1
        out += ("(" if opens else ")") + ("" if depth else "\n")
    return out


def assemble(name: str, data: Any, site: str | None = None, notebooks: str | None = None) -> str:
    """Return a page: the template and the module of this name, and its data.

    Data are never run as code: they cannot close their element, and the content security policy
    allows one script only, by its hash, a worker made of it, and no requests.
    """
    modules: dict[str, str] = {}
    _collect(name, modules)
    script = "\n".join(modules.values())
    digest = base64.b64encode(hashlib.sha256(f"\n{script}\n".encode()).digest()).decode()
    parts = {
        "style": _read("page.css"),
        "player_style": _read("player.css"),
        "policy": f"default-src 'none'; script-src 'sha256-{digest}'; "
        "style-src 'unsafe-inline'; img-src data:; worker-src blob:",
        "preview": "" if site is None else PREVIEW.format(site=site),
        "player": PLAYER if site is None else LINK.format(site=site),
        "reading": _read("reading.html"),
        "counts": _read("counts.html"),
        "data": json.dumps(data).replace("<", "\\u003c"),
        "script": script,
    }
    text = _with_links(_read(f"{name}.html"), site, notebooks)
    return re.sub(r"\{\{ (\w+) \}\}", lambda match: parts[match[1]], text)


def _with_links(text: str, site: str | None, notebooks: str | None) -> str:
    """Fill in the lines of the textbook and the notebooks that a template names."""

    def line(match: re.Match[str]) -> str:
        function, code = match.groups()
        source = source_of(function)
        lines = source.text.splitlines()
        place = next(k for k, each in enumerate(lines) if each.strip().startswith(code))
        where = f"reference/{source.chapter}, line {source.line + place}"
        if site is not None:
            page = f"{site}/_modules/numpylstm/reference/{source.chapter.removesuffix('.py')}.html"
            where = f'<a href="{page}#{function}">{where}</a>'
        return f"<code>{html.escape(code)}</code><br>{where}"

    def notebook(match: re.Match[str]) -> str:
        name, said = match.groups()
        address = notebooks and f"{notebooks}/{name}.ipynb"
        if site is not None:
            address = f"{site}/tutorials/generated/{name}.html"
        return f'<a href="{address}">{said}</a>' if address else said

    text = re.sub(r"\{\{ line (\w+): (.*?) \}\}", line, text)
    return re.sub(r"\{\{ notebook (\w+)\.ipynb \}\}(.*?)\{\{ end \}\}", notebook, text)


def cells_of_engine() -> list[str]:
    """Return the names of the cells that the engine of the page has."""
    return re.findall(r"step_forward: (\w+)_step_forward", _read("engine.js"))


def levels_of_page() -> list[str]:
    """Return the names of the levels whose texts the page reads."""
    return re.findall(r"(\w+): \{\s*unit:", _read("tokens.js"))


def check_config(config: TrainConfig) -> None:
    """Raise a ConfigError for a setting, a cell or a level that the page does not have."""
    check_known(config, "the engine of the page", KNOWN)
    if config.cell not in cells_of_engine():
        problem = f"must be {either(cells_of_engine())}, got {config.cell!r}"
        raise ConfigError("cell", f"{problem}; the page has no other")
    if config.level not in levels_of_page():
        problem = f"must be {either(levels_of_page())}, got {config.level!r}"
        raise ConfigError("level", f"{problem}; the page reads no other")


def cell_record(cell: Cell) -> dict[str, Any]:
    """Return the description of a cell that the page needs."""
    units = [unit._asdict() for unit in cell.units]
    names = ("name", "title", "blocks", "keep", "memory_field")
    return {name: getattr(cell, name) for name in names} | {"units": units}


def write_page(path: str | Path, site: str | None = None) -> Path:
    """Write the page to an HTML file, replacing what is there, and return the path.

    In a clone, a page without a site links to the notebooks there.
    """
    path = Path(path)
    there = quote(Path(os.path.relpath(NOTEBOOKS, path.parent.resolve())).as_posix())
    text = page(site, there if NOTEBOOKS.is_dir() else None)
    path.write_text(text, encoding="utf-8")
    return path


def _read(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _collect(name: str, modules: dict[str, str]) -> None:
    """Add a module, after those that it imports."""
    source = _read(f"{name}.js")
    for imported in re.findall(r'from "\./(\w+)\.js";', source):
        if imported not in modules:
            _collect(imported, modules)
    modules[name] = _as_function(name, source)


def _as_function(name: str, source: str) -> str:
    """Wrap an ES module in a function that is called at once and returns the exports.

    A browser loads no modules from a file on disk. ``import { a, b } from``, ``import * as m from``
    and ``export`` in front of a function or a constant are supported.
    """
    exports = re.findall(r"^export (?:function|const) (\w+)", source, re.M)
    source = re.sub(r"^export (?=function|const)", "", source, flags=re.M)
    names = r"\{\s*\w+(?:,\s*\w+)*,?\s*\}"
    source = re.sub(
        rf'^import (?:({names})|\* as (\w+)) from "\./(\w+)\.js";',
        lambda match: f"const {match[1] or match[2]} = {match[3]}_module;",
        source,
        flags=re.M,
    )
    return (
        f"const {name}_module = (() => {{\n{source}\nreturn {{ {', '.join(exports)} }};\n}})();\n"
    )
