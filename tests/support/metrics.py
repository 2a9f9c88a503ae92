"""Rows of metrics for tests that need only a few of their columns."""

from numpylstm.training.metrics import Row

PLAIN = {"lr": 1.0, "cost": 60.0, "perplexity": 50.0, "accuracy": 0.1, "gradient_norm": 8.0}


def row_of(epoch, step, **columns):
    """Return a row with these columns, and plain values in the others that need one.

    Columns go by name, so that a new one may stand between them.
    """
    return Row(epoch=epoch, step=step, **PLAIN | columns)
