"""The textbook behind the doors of the fast path: for layers, whose callers may pass anything.

The functions are those of `numpylstm.reference`, and refuse what those of `numpylstm.functional`
refuse.
"""

from collections.abc import Callable
from typing import Any

from numpylstm import arguments, reference


def _checked(name: str) -> Callable[..., Any]:
    check, compute = getattr(arguments, name), getattr(reference, name)

    def function(*given: Any, **options: Any) -> Any:
        check(*given, **options)
        return compute(*given, **options)

    return function


embedding_forward = _checked("embedding_forward")
embedding_backward = _checked("embedding_backward")
embedding_backward_rows = _checked("embedding_backward_rows")
rnn_forward = _checked("rnn_forward")
rnn_backward = _checked("rnn_backward")
lstm_forward = _checked("lstm_forward")
lstm_backward = _checked("lstm_backward")
linear_forward = _checked("linear_forward")
linear_backward = _checked("linear_backward")
dropout_mask = _checked("dropout_mask")
dropout_forward = _checked("dropout_forward")
dropout_backward = _checked("dropout_backward")
sequence_cross_entropy_forward = _checked("sequence_cross_entropy_forward")
sequence_cross_entropy_backward = _checked("sequence_cross_entropy_backward")
