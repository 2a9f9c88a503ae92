"""The golden tape: every number of one small LSTM, forwards and backwards, to check your own by.

Two layers of two units read three tokens; every gate, state, probability, loss and gradient on the
way is written out in ``golden_tape.json``. Whoever writes an LSTM, in any language, can print their
own numbers under the same names and have them graded:

    python -m numpylstm.tape show --inputs     # what you need to start
    python -m numpylstm.tape check mine.json   # the first wrong number, and what it is made of
    python -m numpylstm.tape show              # all of it

The numbers are worked out here once more, one by one as on paper, in decimal arithmetic with 50
digits and with nothing of the rest of the package: so the tape is a witness, and what it says to
`numpylstm.reference`, to the fast path, to the complex step and to PyTorch is evidence. Each number
is the double nearest to the exact one.

A GRU, with its reset after the product, has a tape of its own: ``--cell gru``.

Names are those of `numpylstm.reference`. There is one sequence, so the batch axis is left out: what
is (B, H) there is a list of H numbers here. Steps are t0, t1, t2; layers are lstm.0, lstm.1.
"""

from numpylstm.laboratory.tape.grading import TOLERANCE, Grade, TapeError, Wrong, grade, load, read
from numpylstm.laboratory.tape.working import as_json, compute

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
