"""The text of `numpylstm.reference`: its chapters in reading order, and the source of a function.

The files are read with the standard library only; nothing is imported.
"""

import ast
import re
from functools import cache
from importlib.resources import files
from typing import NamedTuple


class Source(NamedTuple):
    """Source of a function of the textbook."""

    chapter: str  # the file of the chapter, such as "lstm.py"
    line: int  # the number of the first line in it
    text: str


@cache
def chapters() -> dict[str, str]:
    """Return the text of each chapter by the name of its file, the introduction first."""
    folder = files("numpylstm").joinpath("reference")
    introduction = folder.joinpath("__init__.py").read_text("utf-8")
    texts = {"__init__.py": introduction}
    for name in re.findall(r"^from numpylstm\.reference\.(\w+) import \*", introduction, re.M):
        texts[f"{name}.py"] = folder.joinpath(f"{name}.py").read_text("utf-8")
    return texts


@cache
def source_of(function: str) -> Source:
    """Return the source of a function.

    Raises
    ------
    KeyError
        If no chapter has a function of this name.
    """
    for chapter, text in chapters().items():
        for node in ast.parse(text).body:
            if isinstance(node, ast.FunctionDef) and node.name == function:
                lines = text.splitlines(keepends=True)[node.lineno - 1 : node.end_lineno]
                return Source(chapter, node.lineno, "".join(lines))
    raise KeyError(f"source_of: no function of numpylstm.reference is called {function!r}")
