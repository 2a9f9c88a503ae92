"""Old public names. Each works for one release, with a warning that gives the new name.

Beside each new name stands a property or a function with the old one, which calls
`warn_of_old_name`.
"""

import warnings

RENAMED = {
    "Optimizer.memory": "Optimizer.state",
    "Model.answer_size": "Model.num_outputs",
    "Cell.memory": "Cell.memory_field",
}
"""The new name of each. The table "If you come from ..." of the changelog has the same rows."""


def warn_of_old_name(old: str) -> None:
    """Warn the caller of the property or function with this name, which calls this one."""
    new = RENAMED[old].rpartition(".")[2]
    warnings.warn(f"{old} is called {new} now", DeprecationWarning, stacklevel=3)
