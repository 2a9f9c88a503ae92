"""One check in front of the fast path and of the textbook, and the fallback between them.

`door` decorates a function of `numpylstm.functional` with the shapes that it accepts. The check is
made once for both tellings: `textbook` holds the functions of `numpylstm.reference` behind it. If
the kernels cannot be used, the decorated functions compute what the textbook computes.
"""

import functools
import inspect
import sys
import warnings
from collections.abc import Callable
from threading import Event
from types import ModuleType
from typing import Any

from numpylstm import reference
from numpylstm.cells import CELLS
from numpylstm.checks import check_arrays, check_choice, check_ids
from numpylstm.kernels.fallback import CannotCompile

Function = Callable[..., Any]

textbook = ModuleType(f"{__name__}.textbook", "`numpylstm.reference` behind the same checks.")
textbook.__getattr__ = lambda name: getattr(reference, name)  # type: ignore[method-assign]
sys.modules[textbook.__name__] = textbook  # so that layers that hold it can be pickled

_without_kernels = Event()


def door(
    *accepted: str, also: Callable[[str, dict[str, Any]], None] | None = None
) -> Callable[[Function], Function]:
    """Put a check of the arguments in front of a function and of its twin in the reference.

    The decorated function gets the documentation of its twin, and the checked twin goes into
    `textbook`. Both have two attributes: ``check(where, *arguments)`` returns the arguments by
    name, or raises with `where` in front of the sentence; ``compute(**arguments)`` checks nothing.

    Parameters
    ----------
    *accepted : str
        ``"Wx D 4H"``: a float array, as in `check_arrays`. ``"cache.x T B D"``: one in the cache;
        these come first. ``"ids T B in V"``: ids, which are copied. ``"reset of gru"``: an option
        of this cell.
    also : callable, optional
        ``also(where, arguments)`` checks the rest, and may replace arguments.
    """
    floats = tuple(spec for spec in accepted if " in " not in spec and " of " not in spec)
    names_of_floats = [spec.split()[0] for spec in floats]
    in_cache = [name[6:] for name in names_of_floats if name.startswith("cache.")]
    direct = names_of_floats[len(in_cache) :]
    ids = [spec.replace(" in ", " ").split() for spec in accepted if " in " in spec]
    choices = [spec.split(" of ") for spec in accepted if " of " in spec]

    def decorate(fast: Function) -> Function:
        plain = getattr(reference, fast.__name__)
        parameters = inspect.signature(fast).parameters
        names = list(parameters)
        positional = sum(p.kind is p.POSITIONAL_OR_KEYWORD for p in parameters.values())
        defaults = {n: p.default for n, p in parameters.items() if p.default is not p.empty}
        kind = parameters["cache"].annotation if "cache" in names else object

        def check(where: str, *given: Any, **options: Any) -> dict[str, Any]:
            arguments = {**defaults, **dict(zip(names, given, strict=False)), **options}
            fits = len(given) <= positional and len(arguments) >= len(names)
            if not (fits and options.keys() <= set(names[len(given) :])):
                fast(*given, **options)  # raises Python's own TypeError
            cache = arguments.get("cache")
            if not isinstance(cache, kind):
                raise TypeError(
                    f"{where}: cache must be {kind.__name__}, got {type(cache).__name__}; the "
                    f"forward pass returns it last"
                )
            arrays = [getattr(cache, field) for field in in_cache]
            sizes = check_arrays(where, floats, *arrays, *[arguments[name] for name in direct])
            for name, *axes, letter in ids:
                shape = None if axes == ["*"] else tuple(sizes[axis] for axis in axes)
                because = f"{' and '.join(axes)} are fixed by {names_of_floats[0]}"
                given_ids = _get(arguments, name)
                _put(
                    arguments, name,
                    check_ids(where, name, given_ids, sizes[letter], shape, because),
                )  # fmt: skip
            for name, cell in choices:
                option = CELLS[cell].options[name.removeprefix("cache.")]
                check_choice(where, name, _get(arguments, name), option.choices or ())
            if also is not None:
                also(where, arguments)
            return arguments

        def compute(**arguments: Any) -> Any:
            if not _without_kernels.is_set():
                try:
                    return fast(**arguments)
                except CannotCompile as error:
                    do_without_kernels(error.__cause__ or error)
            return plain(**arguments)

        setattr(textbook, plain.__name__, _checked(plain, check, plain))
        function = _checked(fast, check, compute)
        sections = (plain.__doc__ or "").partition("\n")[2]
        function.__doc__ = f"{(fast.__doc__ or '').rstrip()}\n{sections}"
        return function

    return decorate


def _get(arguments: dict[str, Any], name: str) -> Any:
    of, _, field = name.rpartition(".")
    return getattr(arguments[of], field) if of else arguments[name]


def _put(arguments: dict[str, Any], name: str, value: Any) -> None:
    of, _, field = name.rpartition(".")
    arguments[of or name] = arguments[of]._replace(**{field: value}) if of else value


def _checked(like: Function, check: Function, compute: Function) -> Function:
    @functools.wraps(like)
    def function(*given: Any, **options: Any) -> Any:
        return compute(**check(like.__name__, *given, **options))

    vars(function).update(check=check, compute=compute)
    return function


def call(where: str, function: Function, *given: Any, **options: Any) -> Any:
    """Call a checked function with `where` in place of its name in error sentences.

    A function without a `door`, such as one of your own cell, is called directly.
    """
    if not hasattr(function, "check"):
        return function(*given, **options)
    return function.compute(**function.check(where, *given, **options))  # type: ignore[attr-defined]


def do_without_kernels(error: BaseException) -> None:
    """Let the reference compute from now on; warn once."""
    if _without_kernels.is_set():
        return
    _without_kernels.set()
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    hint = "; this version of Numba may be too new or too old"
    if isinstance(error, ModuleNotFoundError | ValueError):  # not installed; a wrong variable
        hint = ""
    warnings.warn(
        f"the compiled kernels do not work here ({reason:.200}), so plain NumPy computes the same, "
        f"slowly{hint}",
        RuntimeWarning,
        stacklevel=2,
    )
