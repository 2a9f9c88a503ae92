"""The textbook behind the doors of the fast path: for layers, whose callers may pass anything.

The functions are those of `numpylstm.reference`, and refuse what those of `numpylstm.functional`
refuse.
"""

from collections.abc import Callable
from typing import Any

from numpylstm import arguments, reference


def __getattr__(name: str) -> Callable[..., Any]:
    compute: Callable[..., Any] = getattr(reference, name)
    check = getattr(arguments, name, None)  # a user's own cell checks for itself

    def function(*given: Any, **options: Any) -> Any:
        if check is not None:
            check(*given, **options)
        return compute(*given, **options)

    function.unchecked = compute  # type: ignore[attr-defined]
    return function
