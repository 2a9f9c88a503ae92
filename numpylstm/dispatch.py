"""Argument checks shared by the fast path and the textbook, and the fallback from one to the other.

`accepts` decorates a function of `numpylstm.functional` with the shapes of its arguments. The same
check serves both implementations: `textbook` holds the functions of `numpylstm.reference` with it.
If the kernels cannot be used, the decorated functions call the reference.
"""

import functools
import inspect
import re
import sys
import warnings
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, TypeVar, get_args

from numpylstm import reference
from numpylstm.cells import CELLS
from numpylstm.checks import check_arrays, check_choice, check_ids, check_lengths
from numpylstm.kernels import CannotCompile
from numpylstm.reference import PaddedCache

Function = Callable[..., Any]
F = TypeVar("F", bound=Function)
Arguments = tuple[Any, ...]
Options = dict[str, Any]


textbook = ModuleType(f"{__name__}.textbook", "`numpylstm.reference` behind the same checks.")
textbook.__getattr__ = lambda name: getattr(reference, name)  # type: ignore[method-assign]
sys.modules[textbook.__name__] = textbook  # so that layers that hold it can be pickled

_failures: list[BaseException] = []  # the first error that ruled out the kernels


def accepts(
    *specs: str, also: Callable[[str, dict[str, Any]], None] | None = None
) -> Callable[[F], F]:
    """Decorator: check the arguments of a function and of its twin in the reference.

    The decorated function gets the documentation of its twin, and the checked twin goes into
    `textbook`. Both have ``check(where, arguments, options)``, which returns all arguments in
    order, or raises with `where` at the start of the message; ``compute(*arguments)``, which
    checks nothing; and the names of the keyword-only arguments, `by_name`.

    Parameters
    ----------
    *specs : str
        ``"Wx D 4H"``: a float array, as in `check_arrays`. ``"cache.x T B D"``: an array of the
        cache; list these first. ``"ids T B in V"``: ids, which are copied. ``"reset of gru"``: an
        option of this cell. ``"lengths B to T"``: the lengths of the sequences, or None.
        ``"cache.lengths B to T"`` also admits a `PaddedCache`, whose arrays are (N, .) instead of
        (T, B, .).
    also : callable, optional
        ``also(where, arguments)`` checks everything else, and may replace arguments.
    """
    floats = tuple(spec for spec in specs if not re.search(" (in|of|to) ", spec))
    packed = tuple(re.sub(r"^(cache\.\w+) T B ", r"\1 N ", spec) for spec in floats)
    ends = [spec.replace(" to ", " ").split() for spec in specs if " to " in spec]
    fields = [spec.split()[0] for spec in floats]
    ids = [_ids(spec, fields[0]) for spec in specs if " in " in spec]
    choices = [spec.split(" of ") for spec in specs if " of " in spec]

    def decorate(fast: F) -> F:
        plain = getattr(reference, fast.__name__)
        signature = inspect.signature(fast)
        names = list(signature.parameters)
        kind: Any = signature.parameters["cache"].annotation if "cache" in names else None
        kind = next(iter(get_args(kind)), kind)  # the first of `OwnCache | PaddedCache`
        in_cache = [kind._fields.index(name[6:]) for name in fields if name.startswith("cache.")]
        direct = [names.index(name) for name in fields[len(in_cache) :]]
        place_of_cache = names.index("cache") if kind else 0
        place_of_lengths = names.index("lengths") if "lengths" in names else 0
        placed_ids = [(one, place_of_cache if one[1] else names.index(one[2])) for one in ids]
        parameters = signature.parameters.values()
        positional = sum(p.kind is not p.KEYWORD_ONLY for p in parameters)
        whole = positional if positional == len(names) else -1  # arguments of a call without names
        defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
        required, optional = len(names) - len(defaults), tuple(defaults.values())

        def check(where: str, given: Arguments, options: Options) -> Sequence[Any]:
            if options or len(given) != whole:
                given = bound(given, options)
            arrays = [given[place] for place in direct]
            cache: Any = None
            lengths: Any = None
            fitting = floats
            if kind is not None:
                cache = given[place_of_cache]
                if ends and isinstance(cache, PaddedCache):
                    (cache, lengths), fitting = cache, packed
                if not isinstance(cache, kind):
                    raise TypeError(
                        f"{where}: cache must be {kind.__name__}, got {type(cache).__name__}; the "
                        f"forward pass returns it last"
                    )
                arrays = [*[cache[place] for place in in_cache], *arrays]
            elif ends:
                lengths = given[place_of_lengths]
            sizes = check_arrays(where, fitting, *arrays) if floats else {}
            values = [*given]
            if ends and (lengths is not None or fitting is packed):
                (name, axis, letter), N = ends[0], sizes.get("N")
                lengths = check_lengths(where, name, lengths, sizes[letter], sizes[axis], N)
                if cache is None:
                    values[place_of_lengths] = lengths
                else:
                    values[place_of_cache] = PaddedCache(cache, lengths)
            for (name, of, field, axes, letter, because), place in placed_ids:
                value = getattr(cache, field) if of else values[place]
                shape = tuple([sizes[axis] for axis in axes]) if axes else None
                copy = check_ids(where, name, value, sizes[letter], shape, because)
                values[place] = cache._replace(**{field: copy}) if of else copy
            for name, cell in choices:
                of, _, field = name.rpartition(".")
                value = getattr(cache, field) if of else values[names.index(field)]
                check_choice(where, name, value, CELLS[cell].options[field].choices or ())
            if also is not None:
                arguments = dict(zip(names, values, strict=True))
                also(where, arguments)
                values = [*arguments.values()]
            return values

        def bound(given: Arguments, options: Options) -> Arguments:
            if not options and required <= len(given) <= positional:
                return (*given, *optional[len(given) - required :])
            left = names[len(given) :]
            if left == [*options] and len(given) <= positional:
                return (*given, *options.values())
            rest = {**defaults, **options}
            if len(given) > positional or not options.keys() <= {*left} <= rest.keys():
                fast(*given, **options)  # raises Python's own TypeError
            return (*given, *[rest[name] for name in left])

        def compute(*given: Any, **options: Any) -> Any:
            if not _failures:
                try:
                    return fast(*given, **options)
                except CannotCompile as error:
                    do_without_kernels(error.__cause__ or error)
            return plain(*given, **options)

        setattr(textbook, plain.__name__, _checked(plain, check, plain, names[positional:]))
        function = _checked(fast, check, compute, names[positional:])
        sections = (plain.__doc__ or "").partition("\n")[2]
        function.__doc__ = f"{(fast.__doc__ or '').rstrip()}\n{sections}"
        return function

    return decorate


def _ids(spec: str, first: str) -> tuple[str, str, str, list[str], str, str]:
    """Split ``"cache.targets T B in V"`` into its parts, and add the cause of a wrong shape."""
    name, *axes, letter = spec.replace(" in ", " ").split()
    of, _, field = name.rpartition(".")
    because = f"{' and '.join(axes)} are fixed by {first}"
    return name, of, field, [axis for axis in axes if axis != "*"], letter, because


def _checked(like: Function, check: Function, compute: Function, by_name: list[str]) -> Any:
    """Return a function that checks and computes; its last arguments are keyword-only."""

    @functools.wraps(like)
    def function(*given: Any, **options: Any) -> Any:
        return call(like.__name__, function, *given, **options)

    vars(function).update(check=check, compute=compute, by_name=by_name)
    return function


def call(where: str, function: Any, *given: Any, **options: Any) -> Any:
    """Call a checked function, with `where` instead of its name in error messages.

    A function that `accepts` does not decorate, such as one of your own cell, is called directly.
    """
    check = getattr(function, "check", None)
    if check is None:
        return function(*given, **options)
    values, by_name = check(where, given, options), function.by_name
    if not by_name:
        return function.compute(*values)
    first = len(values) - len(by_name)
    options = dict(zip(by_name, values[first:], strict=True))
    return function.compute(*values[:first], **options)


def unchecked(function: Function) -> Function:
    """Return the function without its check, for arguments that are known to fit."""
    compute: Function = getattr(function, "compute", function)
    return compute


def do_without_kernels(error: BaseException) -> None:
    """Use the reference from now on, and warn once."""
    if _failures:
        return
    _failures.append(error)
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    hint = "; this version of Numba may be too new or too old"
    if isinstance(error, ModuleNotFoundError | ValueError):  # not installed; a wrong variable
        hint = ""
    warnings.warn(
        f"the compiled kernels do not work here ({reason:.200}); plain NumPy takes their place, "
        f"with the same results but slowly{hint}",
        RuntimeWarning,
        stacklevel=2,
    )
