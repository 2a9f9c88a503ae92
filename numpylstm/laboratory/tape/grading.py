"""Grading: somebody's own numbers beside those of the tape, and how each is made."""

import json
import math
import numbers
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from numpylstm.laboratory.tape.working import CELLS
from numpylstm.untrusted import open_regular

MADE_OF = {
    "x": "row ids[t] of embedding.W",
    "logits": "h of the top layer @ decoder.W + decoder.b",
    "probabilities": "exp(logits) / sum(exp(logits))",
    "nll": "-log(probabilities[target]), the natural logarithm",
    "loss": "the sum of nll over the steps; no mean over time",
    "dlogits": "probabilities, minus 1 at the target",
    "dh": "from above (dlogits @ decoder.W.T, or dx of the layer above) plus dh_prev of step t+1",
    "embedding.W": "dx of the bottom layer at every step, added to row ids[t]",
    "decoder.W": "the sum over the steps of the outer product of h of the top layer and dlogits",
    "decoder.b": "the sum over the steps of dlogits",
    "h0": "dh_prev of each layer at t0",
}
"""How each number is made, by the last part of its name: the hint beside a wrong one. Each cell has
its own beside these."""

TOLERANCE = 1e-6


class TapeError(Exception):
    """A file of answers that cannot be graded: one sentence that names the place."""


def load(cell: str = "lstm") -> dict[str, Any]:
    """The golden tape as it is shipped: nested dicts and lists, in the order of computation.

    Parameters
    ----------
    cell : "lstm" or "gru"
    """
    if cell not in CELLS:
        raise TapeError(f"cell must be {' or '.join(map(repr, CELLS))}, got {cell!r}")
    name = "golden_tape.json" if cell == "lstm" else f"golden_tape_{cell}.json"
    text = files(__package__).joinpath(name).read_text(encoding="utf-8")
    tape: dict[str, Any] = json.loads(text)
    return tape


class Wrong(NamedTuple):
    """A number that differs from the tape's by more than the tolerance."""

    name: str
    expected: float
    got: float
    made_of: str


class Grade(NamedTuple):
    """What `grade` found; names are in the order of computation."""

    right: int
    wrong: tuple[Wrong, ...]
    not_given: tuple[str, ...]
    tolerance: float

    def __str__(self) -> str:
        given = self.right + len(self.wrong)
        lines = [f"{how_many(self.right, given)} right, within {self.tolerance:g}."]
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


def how_many(count: int, given: int) -> str:
    """``1 of 2 numbers is``, ``2 of 2 numbers are``."""
    return f"{count} of {given} number{'s' * (given != 1)} {'is' if count == 1 else 'are'}"


def grade(answers: dict[str, Any], tolerance: float = TOLERANCE, cell: str = "lstm") -> Grade:
    """Hold numbers against the tape.

    Parameters
    ----------
    answers : dict
        Nested as the tape is; any part of it. A list must be whole.
    tolerance : float
        Largest difference that passes. No number of the tape but zero is smaller than 5e-4, so the
        default, 1e-6, tells a wrong one from one that was rounded to six decimals or more.
    cell : "lstm" or "gru"
        Which tape.

    Returns
    -------
    Grade

    Raises
    ------
    TapeError
        If a name is unknown, a list has another length, something is not a finite number, or
        nothing is there.

    Examples
    --------
    >>> from numpylstm import tape
    >>> print(tape.grade({"forward": {"t0": {"lstm.0": {"a_i": [-0.24, 0.19]}}}}))
    ... # doctest: +ELLIPSIS
    1 of 2 numbers is right, within 1e-06.
    The first wrong one, in the order of computation:
      forward.t0.lstm.0.a_i[1]: expected -0.19, got 0.19
      it is x @ Wx + h_prev @ Wh + b, columns 0 and 1 (block i of the order i, f, g, o)...
    Not given: inputs, parameters, forward.t0.x, ...
    """
    if not isinstance(tolerance, numbers.Real):  # NumPy's floats are such
        raise TapeError(f"the tolerance must be a number, got {_short(tolerance)}")
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
    return Grade(len(pairs) - len(wrong), wrong, tuple(not_given), float(tolerance))


def made_of(name: str, cell: str = "lstm") -> str:
    """How a number of the tape is made, as a sentence."""
    path = name.split("[")[0]
    if path.startswith(("inputs", "parameters")):
        which = "" if cell == "lstm" else f" --cell {cell}"
        return f"it is given: python -m numpylstm.tape show --inputs{which}"
    name, known = path.removeprefix("gradients."), MADE_OF | CELLS[cell].MADE_OF
    return f"it is {known.get(name) or known[path.rsplit('.', 1)[-1]]}"


def _pairs(
    golden: Any, given: Any, name: str, not_given: list[str]
) -> Iterator[tuple[str, float, float]]:
    """Name, golden number and given number, in the golden order."""
    if hasattr(given, "tolist"):  # NumPy's arrays and numbers
        given = given.tolist()
    if isinstance(golden, dict):
        if not isinstance(given, dict):
            raise TapeError(f"{name or 'the file'} must be an object of {', '.join(golden)}")
        for unknown in given:
            if unknown not in golden:
                raise TapeError(
                    f"{_join(name, unknown)} is not on the tape; {name or 'the file'} has "
                    f"{', '.join(golden)}"
                )
        for key, value in golden.items():
            if key in given:
                yield from _pairs(value, given[key], _join(name, key), not_given)
            else:
                not_given.append(_join(name, key))
    elif isinstance(golden, list):
        what = "lists" if isinstance(golden[0], list) else "numbers"
        if not isinstance(given, list | tuple):
            raise TapeError(f"{name} must be a list of {len(golden)} {what}, got {_short(given)}")
        if len(given) != len(golden):
            raise TapeError(f"{name} must be a list of {len(golden)} {what}, got {len(given)}")
        for k, (value, other) in enumerate(zip(golden, given, strict=True)):
            yield from _pairs(value, other, f"{name}[{k}]", not_given)
    else:
        number = isinstance(given, int | float) and not isinstance(given, bool)
        if not number or not abs(given) <= sys.float_info.max:
            raise TapeError(f"{name} must be a finite number, got {_short(given)}")
        yield name, golden, float(given)


def _join(name: str, key: str) -> str:
    return f"{name}.{key}" if name else key


def _short(value: Any) -> str:
    text = json.dumps(value, default=repr)
    return text if len(text) <= 40 else f"{text[:37]}..."


def read(path: Path) -> Any:
    """The content of a JSON file of answers.

    Raises
    ------
    TapeError
        If it cannot be read, is no JSON, or names something twice.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for name, value in pairs:
            if name in result:
                raise TapeError(f"{path}: {name!r} is there twice in one object")
            result[name] = value
        return result

    try:
        with open_regular(path) as file:
            return json.loads(file.read().decode("utf-8-sig"), object_pairs_hook=once)
    except OSError as error:
        raise TapeError(f"{path}: must be a readable file, got {error.strerror!r}") from error
    except UnicodeDecodeError as error:
        raise TapeError(f"{path}: must be UTF-8 text, got another byte at {error.start}") from error
    except (ValueError, RecursionError) as error:
        raise TapeError(f"{path}: must be JSON; {error}") from error
