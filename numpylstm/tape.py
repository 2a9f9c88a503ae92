"""``python -m numpylstm.tape``: the golden tape, `numpylstm.laboratory.tape`."""

import sys

from numpylstm.laboratory import tape
from numpylstm.laboratory.tape.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
sys.modules[__name__] = tape
