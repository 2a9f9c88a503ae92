"""``python -m numpylstm.model_check``: a whole model's gradients, from `numpylstm.laboratory`."""

import sys

from numpylstm.laboratory import model_check

if __name__ == "__main__":
    sys.exit(model_check.main())
sys.modules[__name__] = model_check
