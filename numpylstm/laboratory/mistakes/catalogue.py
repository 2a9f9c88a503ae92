"""The catalogue: all mistakes that are known of a function, generated and famous."""

from dataclasses import replace
from functools import cache

from numpylstm.laboratory.mistakes.famous import EXHIBITS
from numpylstm.laboratory.mistakes.record import Mistake
from numpylstm.laboratory.mistakes.rules import generated
from numpylstm.laboratory.mistakes.source import Text


@cache
def mistakes_in(text: Text) -> tuple[Mistake, ...]:
    """Return the mistakes in a function: those that the rules generate, then the famous ones.

    The famous ones are those of several lines; the rules know those of one line.
    """
    found = [*generated(text)]
    for mistake in EXHIBITS:
        if (
            mistake.function == text.name
            and len(mistake.changes) > 1
            and all(text.source.count(right) == 1 for right, _ in mistake.changes)
        ):
            first = mistake.changes[0][0].strip()
            line = next(line for line in text.lines if first in line.row)
            found.append(replace(mistake, line=line))
    return tuple(found)
