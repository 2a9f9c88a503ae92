"""The bug museum: classic mistakes in backward passes, alive and behind glass.

Each exhibit is a `Mutant`: the real backward pass with one mistake in it. `case` puts it into a
small language model for a gradient check or the doctor, `train` trains that model with it, and
`card` tells its story. ``python -m numpylstm.museum`` lists the rooms.
"""


from numpylstm.museum.mutants import MUTANTS, Mutant
from numpylstm.museum.patient import Case, case


__all__ = ["MUTANTS", "Case", "Lesson", "Mutant", "card", "case", "page", "train"]
