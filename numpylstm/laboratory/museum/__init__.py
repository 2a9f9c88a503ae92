"""The bug museum: classic mistakes in backward passes, ready to run.

Each exhibit is a `Mutant`: the real backward pass with one mistake in it. `case` puts it into a
small language model for a gradient check or the doctor, `train` trains that model with it, `infect`
puts it into a real model, and `card` describes it. ``python -m numpylstm.museum`` lists the
rooms.
"""

from numpylstm.laboratory.museum.cards import (
    blind,
    card,
    diagnosis,
    guess,
    lesson,
    page,
    share_of_gain,
)
from numpylstm.laboratory.museum.mutant import Mutant
from numpylstm.laboratory.museum.mutants import MUTANTS
from numpylstm.laboratory.museum.patient import Case, case, infect
from numpylstm.laboratory.museum.school import Lesson, train

__all__ = [
    "MUTANTS",
    "Case",
    "Lesson",
    "Mutant",
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
