"""The textbook behind the doors of the fast path: for layers, whose callers may pass anything.

The functions are those of `numpylstm.reference`, and refuse what those of `numpylstm.functional`
refuse.
"""

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from numpylstm import arguments, reference


def embedding_forward(ids: NDArray[Any], W: NDArray[Any]) -> Any:
    """With a copy of the ids, as the fast one."""
    return reference.embedding_forward(arguments.embedding_forward(ids, W), W)


def sequence_cross_entropy_forward(
    logits: NDArray[Any], targets: NDArray[Any], weights: Any = None, **averaging: bool
) -> Any:
    """With a copy of the targets, as the fast one."""
    targets = arguments.sequence_cross_entropy_forward(logits, targets, weights, **averaging)
    return reference.sequence_cross_entropy_forward(logits, targets, weights, **averaging)


def __getattr__(name: str) -> Callable[..., Any]:
    compute: Callable[..., Any] = getattr(reference, name)
    check = getattr(arguments, name, None)  # a user's own cell checks for itself

    def function(*given: Any, **options: Any) -> Any:
        if check is not None:
            check(*given, **options)
        return compute(*given, **options)

    function.unchecked = compute  # type: ignore[attr-defined]
    return function
