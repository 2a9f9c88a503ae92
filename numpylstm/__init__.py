"""numpylstm: how an LSTM really works, in NumPy and Numba, every gradient written by hand.

Read `numpylstm.reference` to learn; `numpylstm.LanguageModel` to use; ``numpylstm-train`` to run.

The public names are listed in `numpylstm.public`, which is loaded when the first of them is used,
so that a command can report an error during loading in one sentence.
"""

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

if TYPE_CHECKING:
    from numpylstm.public import *  # noqa: F403
else:

    def __getattr__(name: str) -> Any:
        """Return a module of the package, or one of its public names."""
        if name.startswith("_") and name != "__all__":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        if importlib.util.find_spec(f"{__name__}.{name}"):
            return importlib.import_module(f"{__name__}.{name}")
        public = importlib.import_module(f"{__name__}.public")
        if not hasattr(public, name):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(public, name)
        globals()[name] = value  # found without this function from now on
        return value

    def __dir__() -> list[str]:
        return sorted(["__version__", *__getattr__("__all__")])
