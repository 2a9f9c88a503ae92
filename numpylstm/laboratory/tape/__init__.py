"""The golden tape: every number of one small LSTM, forwards and backwards, to check yours against.

Two layers of two units read three tokens; every gate, state, probability, loss and gradient on the
way is written out in ``golden_tape.json``. If you write an LSTM, in any language, print your
numbers under the same names and have them graded:

    python -m numpylstm.tape show --inputs     # what you need to start
    python -m numpylstm.tape check mine.json   # the first wrong number and its formula
    python -m numpylstm.tape show              # all of it

The numbers are computed from the inputs in decimal arithmetic with 50 digits, by code that uses
nothing else of the package, so agreement with `numpylstm.reference`, the fast path, the complex
step and PyTorch is evidence. Each number is the double nearest to the exact one.

A GRU that applies its reset gate after the product has its own tape: ``--cell gru``.

Names are as in `numpylstm.reference`. There is one sequence, so the batch axis is left out: a
(B, H) array there is a list of H numbers here. Steps are t0, t1, t2; layers are lstm.0, lstm.1.
The token 1 is never read, so its row of the embedding has no gradient.
"""

from numpylstm.laboratory.tape.comparison import TOLERANCE, Grade, Wrong, grade, read
from numpylstm.laboratory.tape.working import TapeError, as_json, compute, load

__all__ = [
    "TOLERANCE",
    "Grade",
    "TapeError",
    "Wrong",
    "as_json",
    "compute",
    "grade",
    "load",
    "read",
]
