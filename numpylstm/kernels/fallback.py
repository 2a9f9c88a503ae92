"""What happens where kernels cannot be had: with an unknown Numba, or on an unknown processor.

Kernels use parts of Numba and LLVM that may change. What then fails is an import or the compilation
of a kernel, never a result. So the functions that call kernels say what computes the same without
them, and the first failure of any kernel switches over, once and for all, with a warning.
"""

import functools
import warnings

from . import CannotCompile as Unusable


class Missing:
    """Stands for a module of kernels that could not be imported."""

    def __init__(self, error):
        give_up(error)

    def __getattr__(self, name):
        raise Unusable


given_up = False
"""Whether a kernel has failed."""


def give_up(error):
    """From now on there are no kernels; `error` says why."""
    global given_up
    if not given_up:
        given_up = True
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        usually = "; usually this version of Numba is too new or too old"
        if isinstance(error, ValueError):  # of a variable of the environment, which it names
            usually = ""
        warnings.warn(
            f"the compiled kernels do not work here ({reason:.200}), so plain NumPy computes the "
            f"same, slowly{usually}",
            RuntimeWarning,
            stacklevel=2,
        )


def or_else(plain):
    """Let `plain`, with the same arguments, do what a function cannot do without kernels.

    The function may raise before it calls a kernel, but it must not have changed anything.
    """

    def decorate(function):
        @functools.wraps(function)
        def with_or_without(*arguments, **options):
            try:
                return function(*arguments, **options)
            except Unusable as error:
                give_up(error.__cause__ or error)
                return plain(*arguments, **options)

        return with_or_without

    return decorate
