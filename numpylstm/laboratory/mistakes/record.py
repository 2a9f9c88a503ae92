"""The record of a mistake: pieces of a function exchanged, and the words for it."""

import difflib
import importlib
import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from numpylstm.laboratory.mistakes.source import Change, exchanged


@dataclass(frozen=True, eq=False)
class Mistake:
    """A mistake in a function of the textbook.

    The rules make hundreds of them for each line. The famous ones, the exhibits of the museum, have
    a name, a title and a story too; only they can be of another module.
    """

    function: str
    changes: tuple[Change, ...]
    words: str
    line: Any = None  # the `Line` that is wrong, if the mistake was read in a text
    kind: str = ""  # "name", "lost", "sign", "size", "gate", "curve", "form"; or none
    about: str = ""  # the array used instead ("name"), the text of the term ("lost")
    name: str = ""
    title: str = ""
    story: str = ""  # who gets it wrong, why, and where it was found
    module: str = "numpylstm.reference"  # or "numpylstm.laboratory.mistakes.around"
    cell: str = "lstm"
    options: Mapping[str, Any] = field(default_factory=dict)
    equal_layers: bool = False  # True if it needs layers of one shape

    @property
    def said(self) -> str:
        """The mistake in its line: ``dx: Wx is not transposed``."""
        names = enumeration(self.line.names)
        if self.line.kind == "call" or len(self.line.names) > 4:  # too many to name them
            names = "the step"
        return f"{names}: {self.words}".replace("cache.", "")

    @property
    def must(self) -> str:
        """The right line: ``be dx = da @ Wx.T``."""
        right, names = str(self.line), enumeration(self.line.names)
        must = "be passed on unchanged" if right == f"{names} = {names}" else f"be {right}"
        return must.replace("cache.", "")

    def sources(self) -> tuple[str, str]:
        """Return the source of the function, without and with the mistake."""
        module = importlib.import_module(self.module)
        source = inspect.getsource(getattr(module, self.function))
        return source, exchanged(source, self.changes)

    def diff(self) -> str:
        """Return a unified diff with one line of context."""
        source, spoilt = (text.splitlines() for text in self.sources())
        lines = difflib.unified_diff(
            source, spoilt, f"{self.module}.{self.function}", self.name, lineterm="", n=1
        )
        return "\n".join(line for line in lines if not line.startswith("@@"))

    def functions(self) -> Any:
        """Return a copy of the module with the mistake in it.

        Of the textbook, the chapter with the mistake is run again; all other functions are its own.
        """
        right = importlib.import_module(self.module)
        copy = ModuleType(f"{self.module} with {self.name}")
        for name in getattr(right, "__all__", ()):
            setattr(copy, name, getattr(right, name))
        chapter: Any = inspect.getmodule(getattr(right, self.function))
        text = inspect.getsource(chapter).replace(*self.sources())
        exec(compile(text, copy.__name__, "exec"), copy.__dict__)
        return copy


def enumeration(words: Iterable[str]) -> str:
    """Join words: ``a, b and c``."""
    *head, tail = list(words) or [""]
    return f"{', '.join(head)} and {tail}" if head else tail
