"""The catalogue: all mistakes that are known of a function, generated and famous."""

from dataclasses import replace
from functools import cache

from numpylstm.laboratory.mistakes.famous import EXHIBITS
from numpylstm.laboratory.mistakes.record import Mistake
from numpylstm.laboratory.mistakes.rules import generated
from numpylstm.laboratory.mistakes.source import Text, exchanged
from numpylstm.laboratory.mistakes.wild import FOUND


@cache
def mistakes_in(text: Text) -> tuple[Mistake, ...]:
    """Return the mistakes in a function: those that the rules generate, then all other known ones.

    The exhibits of one line are among those that the rules generate.
    """
    found = [*generated(text)]
    known = {exchanged(text.source, mistake.changes) for mistake in found}
    of_several_lines = (mistake for mistake in EXHIBITS if len(mistake.changes) > 1)
    for mistake in (*of_several_lines, *FOUND):
        if (
            mistake.function == text.name
            and all(text.source.count(right) == 1 for right, _ in mistake.changes)
            and exchanged(text.source, mistake.changes) not in known
        ):
            first = mistake.changes[0][0].strip()
            line = next(line for line in text.lines if first in line.row)
            found.append(replace(mistake, line=line))
    return tuple(found)
