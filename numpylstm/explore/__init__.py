"""Interactive page: an RNN and an LSTM that run in the browser.

    python -m numpylstm.explore cell.html

writes one HTML file that needs no server, no network and no other file. Its engine, ``engine.js``,
is `numpylstm.reference` (all but dropout) in JavaScript, function by function and name by name; the
tests compare it with the golden tapes and the gradients of the reference, to 1e-12, in a real
browser.
"""

import inspect
import json
import re
from pathlib import Path

from numpylstm import reference

__all__ = ["FOLDER", "page", "write_page"]

FOLDER = Path(__file__).parent
"""Folder of the parts of the page: modules, style, models."""

# Each imports only from those before it.
MODULES = (
    "arrays", "engine", "draws", "lag", "charts", "step", "reading", "reach", "race", "page",
)  # fmt: skip
TEXTBOOK = (
    "rnn_step_forward", "rnn_step_backward", "lstm_step_forward", "lstm_step_backward",
)  # fmt: skip


def page() -> str:
    """Return the page as one self-contained HTML document."""
    models = json.loads(_read("models.json"))
    data = {"models": models, "reference": {name: _source(name) for name in TEXTBOOK}}
    parts = {
        "style": _read("page.css"),
        "data": json.dumps(data, ensure_ascii=False).replace("<", "\\u003c"),
        "script": "\n".join(_as_function(name, _read(f"{name}.js")) for name in MODULES),
    }
    return re.sub(r"\{\{ (\w+) \}\}", lambda match: parts[match[1]], _read("page.html"))


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
