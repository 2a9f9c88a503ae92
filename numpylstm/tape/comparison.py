"""Compare numbers with the golden tape, name the first wrong one and show its formula."""

import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from numpylstm.tape.formulas import made_of
from numpylstm.tape.golden import TapeError, load

TOLERANCE = 1e-6
LARGEST = 20_000_000  # bytes of a file to read; all numbers of a tape take a hundredth of it


class Wrong(NamedTuple):
    """A number that differs from the tape by more than the tolerance."""

    name: str
    expected: float
    got: float
    made_of: str


class Grade(NamedTuple):
    """Result of `grade`; names are in the order of computation."""

    right: int
    wrong: tuple[Wrong, ...]
    not_given: tuple[str, ...]
    tolerance: float

    def __str__(self) -> str:
        given = self.right + len(self.wrong)
        lines = [f"Right, within {self.tolerance:g}: {self.right} of {given}."]
        if self.wrong:
            first = self.wrong[0]
            lines += [
                "The first wrong one, in the order of computation:",
                f"  {first.name}: expected {first.expected!r}, got {first.got!r}",
                f"  {first.made_of}",
            ]
        if self.not_given:
            lines.append(f"Not given: {', '.join(self.not_given)}.")
        return "\n".join(lines)


def grade(answers: dict[str, Any], tolerance: float = TOLERANCE, cell: str = "lstm") -> Grade:
    """Compare numbers with the tape.

    Parameters
    ----------
    answers : dict
        Any part of the tape, nested like it; lists must be complete.
    tolerance : float
        Largest difference that passes. All numbers on the tape but zeros are above 5e-4 in size,
        so the default, 1e-6, tells a wrong one from one rounded to six decimals or more.
    cell : str
        Which tape, as for `load`.

    Raises
    ------
    TapeError
        If a name is unknown, a list has the wrong length, a value is not a finite number, or
        there is no number at all.

    Examples
    --------
    >>> from numpylstm import tape
    >>> print(tape.grade({"forward": {"t0": {"lstm.0": {"a_i": [-0.24, 0.19]}}}}))
    ... # doctest: +ELLIPSIS
    Right, within 1e-06: 1 of 2.
    The first wrong one, in the order of computation:
      forward.t0.lstm.0.a_i[1]: expected -0.19, got 0.19
      its line: a_i, a_f, a_g, a_o = np.split(a, 4, axis=1), where a = x @ Wx +...
    Not given: inputs, parameters, forward.t0.x, ...
    """
    if not 0 < tolerance < math.inf:
        raise TapeError(f"the tolerance must be above 0 and finite, got {tolerance}")
    golden = load(cell)
    not_given: list[str] = []
    pairs = list(_pairs(golden, answers, "", not_given))
    if not pairs:
        raise TapeError(f"no number of the tape is given; its parts are {', '.join(golden)}")
    wrong = tuple(
        Wrong(name, expected, got, made_of(name, cell))
        for name, expected, got in pairs
        if abs(expected - got) > tolerance
    )
    return Grade(len(pairs) - len(wrong), wrong, tuple(not_given), tolerance)


def _pairs(
    golden: Any, given: Any, name: str, not_given: list[str]
) -> Iterator[tuple[str, float, float]]:
    """Yield name, golden number and given number, in the order of the tape."""
    if hasattr(given, "tolist"):  # NumPy's arrays and numbers
        given = given.tolist()
    if isinstance(golden, dict):
        whole = name or "the file"
        start = f"{name}." if name else ""
        names = ", ".join(golden)
        if not isinstance(given, dict):
            raise TapeError(f"{whole} must be an object of {names}")
        for unknown in given:
            if unknown not in golden:
                raise TapeError(f"{start}{unknown} is not on the tape; {whole} has {names}")
        for key, value in golden.items():
            if key in given:
                yield from _pairs(value, given[key], f"{start}{key}", not_given)
            else:
                not_given.append(f"{start}{key}")
    elif isinstance(golden, list):
        listed = isinstance(given, list | tuple)
        if not listed or len(given) != len(golden):
            what = "lists" if isinstance(golden[0], list) else "numbers"
            got = len(given) if listed else f"{given!r:.40}"
            raise TapeError(f"{name} must be a list of {len(golden)} {what}, got {got}")
        for k, (value, other) in enumerate(zip(golden, given, strict=True)):
            yield from _pairs(value, other, f"{name}[{k}]", not_given)
    else:
        number = isinstance(given, int | float) and not isinstance(given, bool)
        if not number or not abs(given) <= sys.float_info.max:
            raise TapeError(f"{name} must be a finite number, got {given!r:.40}")
        yield name, golden, float(given)


def read(path: Path) -> Any:
    """Read a JSON file of answers; a TapeError if that is impossible, or a name is repeated.

    No more than `LARGEST` bytes are read.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for name, value in pairs:
            if name in result:
                raise TapeError(f"{path}: {name!r} appears twice in one object")
            result[name] = value
        return result

    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise ValueError(f"it is larger than {LARGEST:,} bytes")
        return json.loads(content.decode("utf-8-sig"), object_pairs_hook=once)
    except (OSError, ValueError, RecursionError) as error:  # ValueError: not UTF-8, or not JSON
        raise TapeError(f"{path}: must be JSON in a readable UTF-8 file; {error}") from error
