"""The bug museum: classic mistakes in backward passes, ready to run.

Each exhibit is a `Mistake`: the real backward pass with one mistake in it. `case` puts it into a
small language model for a gradient check or the doctor, `train` trains that model with it, `infect`
puts it into a real model, and `card` describes it. ``python -m numpylstm.museum`` lists the
rooms.
"""

from numpylstm.laboratory.mistakes.famous import MUTANTS
from numpylstm.laboratory.mistakes.record import Mistake
from numpylstm.museum.cards import (
    blind,
    card,
    diagnosis,
    guess,
    lesson,
    page,
    share_of_gain,
)
from numpylstm.museum.patient import Case, case, infect
from numpylstm.museum.school import Lesson, train

__all__ = [
    "MUTANTS",
    "Case",
    "Lesson",
    "Mistake",
    "blind",
    "card",
    "case",
    "diagnosis",
    "guess",
    "infect",
    "lesson",
    "page",
    "share_of_gain",
    "train",
]
