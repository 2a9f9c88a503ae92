"""Check the gradients of a run's own model before training: ``--check-gradients``."""

import numpy as np

from numpylstm.data import Corpus, batches
from numpylstm.model_check import check_model, check_precision
from numpylstm.training.display import LINES, waiting
from numpylstm.training.loop import Run, TrainingFailed

STREAMS, STEPS = 4, 8  # enough for every path that a gradient takes
EVERY_ENTRY_UP_TO = 2_000  # parameters: one evaluation each, a few seconds in all
TOLERANCE = 1e-9  # a thousand times the usual: initial values may be large, units saturated


@np.errstate(over="ignore", invalid="ignore")  # non-finite values fail the check
def check_gradients(run: Run, corpus: Corpus, *, quiet: bool = False) -> None:
    """Compare the gradients of a run's model with slopes, on the start of its text; print tables.

    The backward pass of the run is compared, in float64 and with dropout, with the complex step
    through the textbook: along every entry of a small model, along one random direction in each
    array of a larger one. If the run is in float32, its gradient is then compared with the one in
    float64. Copies are checked: the run itself stays the same, bit for bit. TrainingFailed names
    the arrays that fail.
    """
    config, model = run.config, run.model
    num_steps = min(config.num_steps, STEPS)
    x, y = next(batches(corpus.train, min(config.batch_size, STREAMS), num_steps))
    small = sum(p.data.size for p in model.parameters().values()) <= EVERY_ENTRY_UP_TO
    LINES.info(
        f"Checking the gradients ({config.impl}, {num_steps} steps of {x.shape[1]} streams); "
        "training is not affected ..."
    )
    along = "entries" if small else "arrays"
    with waiting("checking the gradients", quiet=quiet):
        reports = [check_model(model, x, y, along=along, tolerance=TOLERANCE)]
        if config.dtype == "float32":
            reports.append(check_precision(model, x, y))
    for report in reports:
        LINES.info(f"{report}\n")
    wrong = [entry.path for report in reports for entry in report.entries if not entry.passed]
    if wrong:
        raise TrainingFailed(
            f"the gradient check failed for {', '.join(dict.fromkeys(wrong))}: the backward pass "
            "does not give the slope of the loss, so nothing was trained; unless its code was "
            "changed, slopes are lost in rounding with these initial values "
            f"(init_scale {config.init_scale:g}), as in saturated units"
        )
