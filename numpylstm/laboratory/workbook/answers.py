"""Answers: the callable objects of a student, and the functions behind them.

An answer is any callable under the name of its blank: a function, a lambda, a
`functools.partial`, an object with ``__call__``, a function under a decorator.
"""

import contextlib
import dis
import functools
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import CodeType, FrameType, FunctionType
from typing import Any

from numpylstm.laboratory.workbook.blanks import BLANKS

Answer = Callable[..., Any]

WRAPPED = ("py_func", "pyfunc", "__wrapped__", "__func__")
"""Attributes with the function inside: of Numba, of np.vectorize, of decorators, of methods."""


def name_of(where: str, answer: Any) -> str:
    """Return the name of the blank that an answer fills: its own, or that of its variable."""
    if not callable(answer):
        got = type(answer).__name__
        raise TypeError(f"{where}: the answer must be a function, got {got}")
    own = functions_in(answer)
    name = own[0].__name__ if own else getattr(answer, "__name__", type(answer).__name__)
    spaces = [*(f.__globals__ for f in own), *_callers(sys._getframe(1))]
    bound = [n for space in spaces for n in BLANKS if space.get(n) is answer]
    if name in BLANKS and (isinstance(answer, FunctionType) or not bound):
        return name
    if not bound:
        raise ValueError(
            f"{where}: the function must be one of {', '.join(BLANKS)}; got {name!r}, and "
            "no variable of these names holds it"
        )
    return bound[0]


def _callers(frame: FrameType | None) -> Iterator[Mapping[str, Any]]:
    while frame is not None:
        yield from (frame.f_locals, frame.f_globals)
        frame = frame.f_back


def functions_in(answer: Any) -> list[FunctionType]:
    """Return the Python functions of an answer: its own, and those that it wraps."""
    found: list[FunctionType] = []
    waiting = [answer]
    while waiting:
        part = waiting.pop(0)
        if any(part is function for function in found):
            continue
        inside = _inside(part)
        if isinstance(part, FunctionType):
            found.append(part)
        elif part is answer and not inside and callable(part):
            inside = [type(part).__call__]
        waiting += inside
    return found


def _inside(part: Any) -> list[Any]:
    """Return what a callable object wraps."""
    if isinstance(part, FunctionType):
        return [cell.cell_contents for cell in part.__closure__ or () if _filled(cell)]
    if isinstance(part, functools.partial):
        return [part.func]
    return [getattr(part, name) for name in WRAPPED if hasattr(part, name)]


def _filled(cell: Any) -> bool:
    try:
        return callable(cell.cell_contents)
    except ValueError:  # a name that is bound later
        return False


def is_empty(answer: Any) -> bool:
    """Return True for a function that only returns None."""
    body = (lambda: None).__code__.co_code  # compiled
    function = getattr(answer, "py_func", getattr(answer, "pyfunc", answer))
    return isinstance(function, FunctionType) and function.__code__.co_code == body


# --- blanks that it calls -------------------------------------------------------------------------


def called_by(own: str, answer: Any) -> dict[str, Answer]:
    """Return the blanks that an answer to one calls, itself or through helpers beside it."""
    called: dict[str, Answer] = {}
    for function in with_helpers(answer):
        for name in globals_of(function.__code__):
            part: Any = function.__globals__.get(name)
            if name in BLANKS and name != own and functions_in(part):
                called[name] = part
    return {name: called[name] for name in BLANKS if name in called}


def with_helpers(answer: Any) -> list[FunctionType]:
    """Return the functions of an answer, and those beside it that it calls and are no blanks."""
    found: list[FunctionType] = []
    waiting = functions_in(answer)
    while waiting:
        function = waiting.pop(0)
        if function not in found:
            found.append(function)
            scope = function.__globals__
            parts = [scope.get(n) for n in globals_of(function.__code__) if n not in BLANKS]
            beside = [part for part in parts if isinstance(part, FunctionType)]
            waiting += [part for part in beside if part.__globals__ is scope]
    return found


def plain_functions(answer: Any) -> list[FunctionType]:
    """Return `with_helpers` without those of this package, or none if Numba has compiled them."""
    own = [] if hasattr(answer, "py_func") else with_helpers(answer)
    return [function for function in own if not str(function.__module__).startswith("numpylstm.")]


def globals_of(code: CodeType) -> set[str]:
    """Return the global names that a function reads; ``np.clip`` is not ``clip``."""
    read = {i.argval for i in dis.get_instructions(code) if i.opname == "LOAD_GLOBAL"}
    return read.union(*(globals_of(c) for c in code.co_consts if isinstance(c, CodeType)))


@contextlib.contextmanager
def textbook_parts(answer: Any, names: Iterable[str]) -> Iterator[None]:
    """Put the textbook's functions in the place of blanks that an answer calls."""
    wanted = [*names]
    scopes = [function.__globals__ for function in functions_in(answer)]
    own = [(scope, name, scope[name]) for scope in scopes for name in wanted if name in scope]
    try:
        for scope, name, _ in own:
            scope[name] = BLANKS[name].part
        yield
    finally:
        for scope, name, function in own:
            scope[name] = function
