"""Bad calls, and the check that each of them is refused in one sentence."""

import pytest


def bad_call(call, says, error=ValueError):
    """Return the parameters ``("call", "says", "error")`` of a test, one bad call of many.

    Parameters
    ----------
    call : callable
        A function without parameters that makes the bad call: ``lambda: nl.LSTM(0, 4)``.
    says : str
        Words of the message; ``^`` is its beginning.
    error : type or tuple of types
        What the call raises.
    """
    return pytest.param(call, says, error, id=says)


def assert_refused(call, says, error=ValueError):
    """Fail unless a function raises an error whose message is one line with these words.

    ``^`` is the beginning of the message.
    """
    with pytest.raises(error) as refused:
        call()
    assert says in f"^{refused.value}"
    assert "\n" not in str(refused.value)
