"""The record of a mistake: pieces of a function exchanged, its kind, and where it is."""

import difflib
import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from numpylstm.laboratory.mistakes import words
from numpylstm.laboratory.mistakes.source import Change, exchanged
from numpylstm.laboratory.mistakes.words import LOST, OF_CURVE, OF_FORM, OF_GATES, OF_SIZE, Kind


@dataclass(frozen=True, eq=False)
class Mistake:
    """A mistake in a function of the textbook.

    The rules make hundreds of them for each line. The famous ones, the exhibits of the museum, have
    a name, a title and a story too; only they can be of another module.
    """

    function: str
    changes: tuple[Change, ...]
    words: str = ""  # of an exhibit, whose kind is `Kind.NAMED`
    line: Any = None  # the `Line` that is wrong, if the mistake was read in a text
    kind: Kind = Kind.NAMED
    about: tuple[str, ...] = ()  # the names that its words mention
    array: str = ""  # the array whose columns are wrong, if those of some gates are
    gate: str = ""  # the gate whose columns alone are wrong
    in_all_rows: bool = False  # of an array of the author's that stands for several of ours
    name: str = ""
    title: str = ""
    story: str = ""  # who gets it wrong, why, and where it was found
    module: str = "numpylstm.reference"  # or "numpylstm.laboratory.mistakes.around"
    cell: str = "lstm"
    options: Mapping[str, Any] = field(default_factory=dict)
    equal_layers: bool = False  # True if it needs layers of one shape

    @property
    def lost(self) -> str:
        """The array or term that the line leaves out, or an empty string."""
        return self.about[0] if self.kind in LOST and not self.gate else ""

    @property
    def is_rare(self) -> bool:
        """True for a mistake that is not looked for beside another one."""
        return bool(self.gate) or self.kind in OF_SIZE | OF_GATES | OF_CURVE | OF_FORM

    def description(self, translated: Callable[[str], str] = str) -> str:
        """Return the mistake in its line: ``dx: Wx is not transposed``.

        `translated` turns names and expressions of the textbook into those of an author.
        """
        about = [translated(_bare(name)) for name in self.about]
        said = words.WORDS[self.kind].format(
            *about,
            words=translated(_bare(self.words)),
            array=translated(_bare(self.array)),
            listed=enumeration(about),
            in_order=translated(", ".join(map(_bare, self.about))),
            are="is" if len(about) == 1 else "are",
        )
        if self.gate:
            said = words.IN_GATE.format(words=said, gate=self.gate)
        if self.in_all_rows:
            said = words.IN_ALL_ROWS.format(words=said)
        results = enumeration(translated(name) for name in self.line.names)
        if self.line.kind == "call" or len(self.line.names) > 4:
            results = words.THE_STEP
        return words.OF_LINE.format(results=results, words=said)

    def correction(self, translated: Callable[[str], str] = str) -> str:
        """Return what the line must be: ``dx = da @ Wx.T``."""
        right = str(self.line)
        names = enumeration(self.line.names)
        if right == f"{names} = {names}":
            return words.UNCHANGED
        return translated(_bare(right))

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


def _bare(expression: str) -> str:
    """Return an expression without the prefix of the fields of a cache: ``c`` for ``cache.c``."""
    return expression.replace("cache.", "")


def enumeration(names: Iterable[str]) -> str:
    """Join names: ``a, b and c``."""
    listed = list(names)
    if len(listed) < 2:
        return "".join(listed)
    return f"{', '.join(listed[:-1])} and {listed[-1]}"
