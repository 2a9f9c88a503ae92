"""``python -m numpylstm.museum``: the museum, a room of `numpylstm.laboratory`."""

import sys

from numpylstm.laboratory import museum
from numpylstm.laboratory.museum.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
sys.modules[__name__] = museum
