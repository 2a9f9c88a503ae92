"""Calls of every public callable that takes arrays or numbers, with good and bad arguments.

A third of the calls are valid (in every dtype and memory layout that is promised) and must give
what the reference gives; a third are nearly valid: one thing in one argument is wrong; a third are
absurd. A call is a fault if the process dies, if another error than ValueError, TypeError or
RuntimeError comes out or it names no argument, if an argument was changed, or if a valid call
fails or gives another result.

    python -m tests.support.fuzz --calls 300         # of each callable; a table, and every fault
    python -m tests.support.fuzz --only functional.lstm_backward --calls 1000

Calls run in child processes, one for each module: once as compiled for everybody, once with
NUMBA_BOUNDSCHECK=1. Case k of a callable is always the same, whatever else runs.
"""

import argparse
import contextlib
import copy
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from numpylstm.layers import Parameter

from .fuzz_recipes import EXEMPT, RECIPES, Call, discovered

SEED = 20141
KINDS = ("valid", "nearly", "absurd")


# --- arguments that are odd but right -----------------------------------------------------------


def spaced(array):
    """Every second element of a larger array along the last axis."""
    wide = np.repeat(array, 2, axis=-1)
    return wide[..., ::2]


def backwards(array):
    """The same numbers through negative strides."""
    return np.ascontiguousarray(array[::-1])[::-1]


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def misaligned(array):
    room = np.empty(array.nbytes + 1, np.uint8)
    view = room[1:].view(array.dtype).reshape(array.shape)
    view[...] = array
    return view


def mapped(array):
    """A memory-mapped copy; the file is gone, the memory stays."""
    with tempfile.TemporaryFile() as file:
        file.write(array.tobytes())
        file.flush()
        return np.memmap(file, array.dtype, "r+", shape=array.shape)


LAYOUTS = (np.asfortranarray, spaced, backwards, read_only, misaligned, mapped)
INTEGERS = ("i1", "u1", "<i2", ">i2", "<u2", ">u2", "<i4", ">i4", "<u4", ">u4", "<i8", ">i8",
            "<u8", ">u8")  # fmt: skip


def odd_but_right(rng, value):
    """An array in another layout, ids in another integer type; all else as it is."""
    if type(value) is not np.ndarray or value.ndim == 0:
        return value
    if value.dtype.kind in "iu":
        value = value.astype(rng.choice(INTEGERS))
    return LAYOUTS[rng.integers(len(LAYOUTS))](value) if rng.random() < 0.5 else value


# --- arguments that are wrong -------------------------------------------------------------------


def other_shape(rng, array):
    axis = int(rng.integers(max(array.ndim, 1)))
    changes = [lambda a: a[None], lambda a: a[..., None], lambda a: a.ravel(), lambda a: a[:0],
               lambda a: np.concatenate([a, a], axis), lambda a: np.take(a, [0], axis),
               lambda a: a.T, lambda a: a[0]]  # fmt: skip
    return changes[rng.integers(len(changes))](np.atleast_1d(array))


def other_type(rng, array):
    dtypes = (
        ">f4",
        ">f8",
        "f2",
        "f4",
        "f8",
        "g",
        "c16",
        "i4",
        ">i4",
        "u1",
        "?",
        "O",
        "U8",
        "m8[s]",
    )
    with np.errstate(all="ignore"), contextlib.suppress(TypeError, ValueError):
        return array.astype(dtypes[rng.integers(len(dtypes))])
    return array.astype("O")


def other_values(rng, array):
    array = array.copy()
    if array.size:
        choices = (
            (np.nan, np.inf, -1.0, 1e30) if array.dtype.kind == "f" else (-1, 11, 100, 2**24, 2**40)
        )
        value = choices[rng.integers(len(choices))]
        if array.dtype.kind in "iu":
            array = array.astype(rng.choice(INTEGERS[4:]))
            value = value % 2 ** (8 * array.itemsize - (array.dtype.kind == "i"))
            value = -1 if array.dtype.kind == "i" and rng.random() < 0.3 else value
        with np.errstate(all="ignore"):
            array.flat[rng.integers(array.size)] = value
    return array


def other_kind(rng, array):
    kinds = (lambda a: np.ma.masked_array(a, np.arange(a.size).reshape(a.shape) % 2 == 0),
             lambda a: a.tolist(), lambda a: a.view(np.recarray),
             lambda a: np.broadcast_to(a[:1], a.shape) if a.ndim else a)  # fmt: skip
    return kinds[rng.integers(len(kinds))](array)


ABSURD = (None, True, -1, 0, 2**70, 10**400, 2.5, float("nan"), float("inf"), "x", "", b"x", (),
          [], {}, [[1], [1, 2]], object(), 1j, np.float16(0.5), np.longdouble(2), np.int8(-3),
          np.array(3), np.zeros(0), np.zeros((0, 3)), np.array("a"), np.array([None]), max)  # fmt: skip  # noqa: E501


def wrong(rng, value, near):
    """A value that may not be right any more."""
    if near and type(value) is np.ndarray:
        change = (other_shape, other_type, other_values, other_kind)[rng.integers(4)]
        return change(rng, value)
    if near and type(value) is int:
        return (-1, 0, value + 1, value * 7, -value, float(value), np.uint8(value % 256))[
            rng.integers(7)
        ]
    if near and type(value) is float:
        return (-value, 0.0, 1.0, float("nan"), float("inf"), np.float16(value), str(value))[
            rng.integers(7)
        ]
    return ABSURD[rng.integers(len(ABSURD))]


# --- where an argument can be changed -----------------------------------------------------------


def places(value: Any, at: tuple = ()) -> Iterator[tuple]:
    """The ways into a nest of tuples and dicts, each to a leaf or a branch."""
    yield at
    if isinstance(value, dict):
        for key, part in value.items():
            yield from places(part, (*at, key))
    elif isinstance(value, tuple):
        for index, part in enumerate(value):
            yield from places(part, (*at, index))
    elif isinstance(value, Parameter):  # to whose array anything may happen
        yield (*at, "data")


def with_change(value: Any, at: tuple, change: Callable[[Any], Any]) -> Any:
    """The nest with one place changed."""
    if not at:
        return change(value)
    first, *rest = at
    if isinstance(value, dict):
        return {**value, first: with_change(value[first], tuple(rest), change)}
    if isinstance(value, tuple):
        parts = list(value)
        parts[first] = with_change(parts[first], tuple(rest), change)
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    setattr(value, first, change(getattr(value, first)))
    return value


def arguments_of(rng, call: Call, kind: str) -> dict[str, Any]:
    arguments = dict(call.arguments)
    ways = [
        at
        for at in places(arguments)
        if at and (at[0] not in call.fixed or (at[-1] == "data" and kind != "valid"))
    ]
    if kind == "valid":
        for at in ways:
            arguments = with_change(arguments, at, lambda value: odd_but_right(rng, value))
        return arguments
    for _ in range(1 if kind == "nearly" else 1 + rng.integers(3)):
        with contextlib.suppress(Exception):  # a place that an earlier change has removed
            at = ways[rng.integers(len(ways))]
            arguments = with_change(
                arguments,
                at,
                lambda value: wrong(rng, value, kind == "nearly" or rng.random() < 0.3),
            )
    return arguments


# --- one call ------------------------------------------------------------------------------------


PRECISION = {"float32": 3e-4, "float64": 1e-9}
"""Relative to the largest number of an array. A double loses a few of its 16 digits in the sums of
these sizes; a float has 7, and loses up to 3 where a gradient is a small rest of large parts."""


def same(got: Any, want: Any, dtype: str) -> bool:
    """Whether two results agree to the rounding of this dtype, or of their own if that is less."""
    if isinstance(got, dict):
        return got.keys() == want.keys() and all(same(got[k], want[k], dtype) for k in got)
    if isinstance(got, tuple | list):
        return len(got) == len(want) and all(map(same, got, want, [dtype] * len(got)))
    if isinstance(got, np.ndarray | np.generic | float | complex):
        got, want = np.asarray(got), np.asarray(want)
        if np.float32 in (got.dtype, want.dtype):
            dtype = "float32"
        if got.shape != want.shape:
            return False
        if got.dtype.kind not in "fc":
            return bool((got == want).all())
        precision, scale = PRECISION[dtype], max(1.0, float(np.abs(want).max(initial=0)))
        return bool(np.allclose(got, want, precision, precision * scale, equal_nan=True))
    return bool(got == want)


def frozen(value: Any) -> Any:
    """What an argument holds, to be compared with later."""
    if isinstance(value, np.ndarray) and value.dtype.kind != "O":
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, dict):
        return {key: frozen(part) for key, part in value.items()}
    if isinstance(value, tuple | list):
        return [frozen(part) for part in value]
    return None


def names_in(call: Call, arguments: dict[str, Any]) -> set[str]:
    found = set(call.names)
    for at in places(arguments):
        found.update(part.split(".")[-1] for part in at if isinstance(part, str))
    for value in arguments.values():
        found.update(getattr(value, "_fields", ()))
    return found


def fault_of(name: str, k: int) -> tuple[str, str]:
    """How a call went: "returned", "refused" or "fault", and what is wrong."""
    rng = np.random.default_rng([SEED, zlib.crc32(name.encode()), k])
    kind = KINDS[k % 3]
    call = RECIPES[name](rng)
    arguments = arguments_of(rng, call, kind)
    before = frozen(arguments)
    want = None
    if kind == "valid" and call.reference:
        want = call.reference(**copy.deepcopy(call.arguments))
    try:
        with np.errstate(all="ignore"):
            got = call.function(**arguments)
            if isinstance(got, Iterator):
                got = [part for part, _ in zip(got, range(50), strict=False)]
    except (ValueError, TypeError, RuntimeError) as error:
        if kind == "valid":
            return "fault", f"a valid call was refused: {type(error).__name__}: {error}"
        words = set(re.findall(r"\w+", str(error)))
        if not words & names_in(call, arguments):
            return "fault", f"the error names no argument: {type(error).__name__}: {error}"
        return "refused", ""
    except BaseException as error:
        return "fault", f"{type(error).__name__}: {error}"
    if not call.takes_over and frozen(arguments) != before:
        return "fault", "an argument was changed"
    if want is not None and not same(got, want, call.dtype):
        return "fault", "not what the reference gives"
    return "returned", ""


# --- many calls ----------------------------------------------------------------------------------


class Row(NamedTuple):
    """What happened to one callable."""

    name: str
    counts: Counter
    faults: list[str]


def child(names: list[str], calls: int, skip: tuple[str, int] | None) -> None:
    """Run the calls, and say on standard output what each will be and how it went."""
    import warnings

    warnings.simplefilter("ignore")
    started = skip is None
    for name in names:
        for k in range(calls):
            if not started:
                started = [name, k] == list(skip)
                continue
            print(json.dumps([name, k]), flush=True)
            how, what = fault_of(name, k)
            print(json.dumps([name, k, how, what]), flush=True)
    print(json.dumps("done"), flush=True)


def run(names: list[str], calls: int, **environment: str) -> dict[str, Row]:
    """Run `calls` calls of each callable in child processes; a new one after each that dies."""
    rows = {name: Row(name, Counter(), []) for name in names}
    skip: tuple[str, int] | None = None
    while True:
        command = [sys.executable, "-m", __spec__.name, "--child", json.dumps([names, calls, skip])]
        with subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
        ) as process:
            said: Any = None
            for line in process.stdout or ():
                said = json.loads(line)
                if len(said) == 4 and said != "done":
                    name, k, how, what = said
                    rows[name].counts[KINDS[k % 3], how] += 1
                    if how == "fault":
                        rows[name].faults.append(f"{name} {k} {KINDS[k % 3]}: {what}")
                        print(rows[name].faults[-1][:300], file=sys.stderr, flush=True)
        if said == "done":
            return rows
        if said is None or len(said) != 2 or process.returncode == 1:  # an error of this file
            raise RuntimeError(f"the child ended with {process.returncode} between two calls")
        name, k = skip = tuple(said)
        rows[name].counts[KINDS[k % 3], "fault"] += 1
        rows[name].faults.append(f"{name} {k}: the process died with {process.returncode}")


COLUMNS = ("calls", "valid", "compared", "refused", "faults")


def table(rows: dict[str, Row]) -> str:
    """A line for each callable."""

    def line(name, figures):
        return f"{name:46}" + "".join(f"{figures[column]:>9}" for column in COLUMNS)

    total: Counter = Counter()
    lines = [f"{'callable':46}" + "".join(f"{column:>9}" for column in COLUMNS)]
    for row in rows.values():
        compared = RECIPES[row.name](np.random.default_rng(0)).reference is not None
        figures = {
            "calls": row.counts.total(),
            "valid": sum(n for (kind, _), n in row.counts.items() if kind == "valid"),
            "compared": row.counts["valid", "returned"] if compared else 0,
            "refused": sum(n for (_, how), n in row.counts.items() if how == "refused"),
            "faults": len(row.faults),
        }
        total.update(figures)
        lines.append(line(row.name, figures))
    return "\n".join([*lines, line(f"all {len(rows)}", total)])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=300, help="of each callable, in each mode")
    parser.add_argument("--only", default="", help="callables whose name begins so")
    parser.add_argument("--cache", help="a folder for the checked kernels, to be kept")
    parser.add_argument("--table", type=Path, help="a file for the tables and the faults")
    parser.add_argument("--mode", choices=("both", "plain", "checked"), default="both")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(*json.loads(options.child))
        return 0
    forgotten = discovered() - RECIPES.keys() - EXEMPT.keys()
    if forgotten:
        print("no recipe for:", *sorted(forgotten), sep="\n  ")
    names = [name for name in RECIPES if name.startswith(options.only)]
    status = bool(forgotten)
    with tempfile.TemporaryDirectory() as cache:
        kept = str(Path(options.cache or cache).resolve())
        modes = {"plain": {}, "checked": {"NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": kept}}
        said = []
        for mode, environment in modes.items():
            if options.mode not in ("both", mode):
                continue
            rows: dict[str, Row] = {}
            for _, group in itertools.groupby(names, lambda name: name.split(".")[0]):
                rows |= run(list(group), options.calls, **environment)
            faults = [fault for row in rows.values() for fault in row.faults]
            said.append("\n".join([mode, table(rows), *faults]))
            print(f"\n{mode}\n{table(rows)}", flush=True)
            status |= bool(faults)
        if options.table:
            options.table.write_text("\n\n".join(said) + "\n")
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
