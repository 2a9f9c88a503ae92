"""The golden tape: every number of one small LSTM, forwards and backwards, to check yours against.

Two layers of two units read three tokens; every gate, state, probability, loss and gradient on the
way is written out in ``golden_tape.json``. If you write an LSTM, in any language, print your
numbers under the same names and have them graded:

    python -m numpylstm.tape show --inputs     # what you need to start
    python -m numpylstm.tape check mine.json   # the first wrong number and its formula
    python -m numpylstm.tape show              # all of it

Each number is the double nearest to the exact one, which is computed in decimal arithmetic by code
that uses nothing else of the package. A GRU that applies its reset gate after the product has its
own tape, ``--cell gru``, and so have minGRU, minLSTM and sLSTM. Names are as in
`numpylstm.reference`, without the batch axis.
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
