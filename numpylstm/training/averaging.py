"""The mean of the parameters over many updates, for ``--average-after`` and `nl.fit`.

The mean is often better than the last parameters (Polyak and Juditsky 1992; Merity et al. 2018).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numpylstm.parameters import Module


@contextmanager
def loaded(model: Module, parameters: Mapping[str, NDArray[Any]]) -> Iterator[None]:
    """Give a model other parameters in this context."""
    own = model.state_dict()
    model.load_state_dict(parameters)
    try:
        yield
    finally:
        model.load_state_dict(own)


class AveragedParameters:
    """A part of a run: the mean of all parameters after each update past so many epochs."""

    def __init__(self, model: Module, after: int) -> None:
        self.model, self.after = model, after
        self.count = np.zeros(1, np.int64)  # updates in the mean
        self.mean = {path: np.zeros_like(p.data) for path, p in model.all_parameters().items()}

    def after_update(self, epoch: int) -> None:
        """Take the parameters into the mean if so many epochs are finished."""
        if epoch < self.after:
            return
        self.count += 1
        for path, parameter in self.model.all_parameters().items():
            mean = self.mean[path]
            mean += (parameter.data - mean) / int(self.count[0])

    def offer(self) -> dict[str, NDArray[Any]] | None:
        """Return the mean if there is one."""
        return self.mean if self.count[0] else None

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Return the arrays themselves: the mean by path, and the number of updates in it."""
        return {**self.mean, "count": self.count}
