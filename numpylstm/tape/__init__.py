"""The golden tape: every number of one small LSTM, forwards and backwards, to check yours against.

Two layers of two units read three tokens; every gate, state, probability, loss and gradient on the
way is written out in ``golden_tape.json``. If you write an LSTM, in any language, print your
numbers under the same names and have them graded:

    python -m numpylstm.tape show --inputs     # what you need to start
    python -m numpylstm.tape check mine.json   # the first wrong number and its formula
    python -m numpylstm.tape show              # all of it
    python -m numpylstm.tape play page.html    # a page that plays it, line by line

The numbers are those of the textbook, computed in longer floats (`numpylstm.tape.working`), and the
formula beside a wrong one is the textbook's line. A GRU that applies its reset gate after the
product has its own tape, ``--cell gru``, and so have minGRU, minLSTM and sLSTM. Names are as in
`numpylstm.reference`, without the batch axis.
"""

from numpylstm.tape.comparison import TOLERANCE, Grade, Wrong, grade, read
from numpylstm.tape.golden import TapeError, as_json, load

__all__ = [
    "TOLERANCE",
    "Grade",
    "TapeError",
    "Wrong",
    "as_json",
    "grade",
    "load",
    "read",
]
