"""Mutants: changes of the source text, the real function with some lines exchanged.

Nothing is written twice, so an exhibit stays in step with the code that it changes, and the diff on
its card is the change itself.
"""

import difflib
import inspect
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from numpylstm import reference


@dataclass(frozen=True)
class Mutant:
    """One mistake: pieces of a function exchanged, with the story of who gets it wrong, and why."""

    name: str
    title: str
    function: str  # of `module`
    changes: tuple[tuple[str, str], ...]  # right and wrong pieces of its source, each there once
    story: str
    finding: str  # the words by which the doctor names it
    module: ModuleType = reference  # or `numpylstm.laboratory.museum.around`
    cell: str = "lstm"
    options: Mapping[str, Any] = field(default_factory=dict)
    equal_layers: bool = False  # True if it needs layers of one shape

    def sources(self) -> tuple[str, str]:
        """Return the source of the function, without and with the mistake."""
        source = inspect.getsource(getattr(self.module, self.function))
        spoilt = source
        for right, wrong in self.changes:
            if source.count(right) != 1:
                raise ValueError(
                    f"museum: {self.name} changes {right!r}, which must occur once in "
                    f"{self.module.__name__}.{self.function}, got {source.count(right)} times; the "
                    "function has changed, so the exhibit must too"
                )
            spoilt = spoilt.replace(right, wrong)
        return source, spoilt

    def diff(self) -> str:
        """Return a unified diff with one line of context."""
        source, spoilt = (text.splitlines() for text in self.sources())
        lines = difflib.unified_diff(
            source, spoilt, f"{self.module.__name__}.{self.function}", self.name, lineterm="", n=1
        )
        return "\n".join(line for line in lines if not line.startswith("@@"))

    def functions(self) -> Any:
        """Return a copy of the module with the mistake in it."""
        module = ModuleType(f"{self.module.__name__} with {self.name}")
        text = inspect.getsource(self.module).replace(*self.sources())
        exec(compile(text, module.__name__, "exec"), module.__dict__)
        sys.modules[module.__name__] = module  # so that a layer that has it can be copied
        return module


def check_mutant(where: str, mutant: Any) -> None:
    """Raise a TypeError unless `mutant` is a Mutant."""
    if not isinstance(mutant, Mutant):
        raise TypeError(
            f"{where}: mutant must be a Mutant, such as museum.MUTANTS['dc-overwritten'], got "
            f"{mutant!r}"
        )
