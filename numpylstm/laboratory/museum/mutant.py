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
    """One mistake.

    Attributes
    ----------
    name, title : str
    function : str
        The function of `module` that is changed.
    changes : tuple of (right, wrong)
        Pieces of its source, each of which occurs in it once.
    story : str
        Who gets it wrong, and why.
    finding : str
        Words by which the doctor names it.
    module : module
        `numpylstm.reference`, or `numpylstm.laboratory.museum.around`.
    cell : str
        A name in `numpylstm.cells.CELLS`.
    options : dict
        Options of the cell.
    equal_layers : bool
        It needs layers of one shape.
    """

    name: str
    title: str
    function: str
    changes: tuple[tuple[str, str], ...]
    story: str
    finding: str
    module: ModuleType = reference
    cell: str = "lstm"
    options: Mapping[str, Any] = field(default_factory=dict)
    equal_layers: bool = False

    def sources(self) -> tuple[str, str]:
        """Return the source of the function, without and with the mistake.

        Raises
        ------
        ValueError
            If a piece is not in the function exactly once: the function has changed.
        """
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
    """Raise a TypeError unless it is one."""
    if not isinstance(mutant, Mutant):
        raise TypeError(
            f"{where}: mutant must be a Mutant, such as museum.MUTANTS['dc-overwritten'], got "
            f"{mutant!r}"
        )
