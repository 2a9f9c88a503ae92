"""Interactive page: an RNN and an LSTM that run in the browser.

    python -m numpylstm.explore cell.html

writes one HTML file that needs no server, no network and no other file. Its engine, ``engine.js``,
is the part of `numpylstm.reference` that a language model of RNN, LSTM or GRU layers needs, without
dropout, in JavaScript, function by function and name by name; the tests compare it with the golden
tapes and the gradients of the reference, to 1e-12, in a real browser.
"""

import base64
import hashlib
import inspect
import json
import re
from pathlib import Path
from typing import Any

from numpylstm import reference
from numpylstm.cells import CELLS, Cell

__all__ = ["FOLDER", "page", "write_page"]

FOLDER = Path(__file__).parent
"""Folder of the parts of the page: modules, style, models."""

# Each imports only from those before it.
SHARED = ("arrays", "engine", "lag", "charts", "drawing", "models", "reading")
MODULES = (*SHARED, "draws", "step", "reach", "race", "page")


def page() -> str:
    """Return the page as one self-contained HTML document."""
    models = json.loads(_read("models.json"))
    for model in models.values():
        model |= {"level": "char", "cell": cell_record(CELLS["lstm"]), "options": []}
    steps = [f"{cell}_step_{way}" for cell in cells_of_engine() for way in ("forward", "backward")]
    data = {"models": models, "reference": {name: _source(name) for name in steps}}
    return assemble("page.html", data, *MODULES[len(SHARED) :])


def assemble(template: str, data: Any, *own: str) -> str:
    """Return a page: a template, its data, and the shared modules with its own.

    Data are never run as code: they cannot close their element, and the content security policy
    allows one script only, by its hash, and no requests.
    """
    modules = (*SHARED, *own)
    script = "\n".join(_as_function(name, _read(f"{name}.js")) for name in modules)
    digest = base64.b64encode(hashlib.sha256(f"\n{script}\n".encode()).digest()).decode()
    parts = {
        "style": _read("page.css"),
        "policy": f"default-src 'none'; script-src 'sha256-{digest}'; "
        "style-src 'unsafe-inline'; img-src data:",
        "reading": _read("reading.html"),
        "data": json.dumps(data).replace("<", "\\u003c"),
        "script": script,
    }
    return re.sub(r"\{\{ (\w+) \}\}", lambda match: parts[match[1]], _read(template))


def cells_of_engine() -> list[str]:
    """Return the names of the cells that the engine of the page has."""
    return re.findall(r"^export function (\w+)_step_forward", _read("engine.js"), re.M)


def cell_record(cell: Cell) -> dict[str, Any]:
    """Return the description of a cell that the page needs."""
    units = [unit._asdict() for unit in cell.units]
    names = ("name", "title", "blocks", "keep", "memory")
    return {name: getattr(cell, name) for name in names} | {"units": units}


def write_page(path: str | Path) -> Path:
    """Write the page to an HTML file, replacing what is there, and return the path."""
    path = Path(path)
    path.write_text(page(), encoding="utf-8")
    return path


def _read(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _source(name: str) -> str:
    """Return the source of a function of the textbook, without its docstring."""
    function = getattr(reference, name)
    source = inspect.getsource(function)
    return re.sub(r'\n    """.*?"""\n', "\n", source, count=1, flags=re.S).rstrip()


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
        source, flags=re.M,
    )  # fmt: skip
    if re.search(r"^(import|export)\b", source, re.M):
        raise ValueError(f"explore: {name}.js imports or exports in a way that is not supported")
    return (
        f"const {name}_module = (() => {{\n{source}\nreturn {{ {', '.join(exports)} }};\n}})();\n"
    )
