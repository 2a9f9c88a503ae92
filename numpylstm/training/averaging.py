"""The mean of the parameters over many updates, for ``--average-after`` and `nl.fit`.

The mean is often better than the last parameters (Polyak and Juditsky 1992; Merity et al. 2018).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numpylstm.checks import check_array, check_finite
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
        self.model, self.after, self.count = model, after, 0
        self.mean = {path: np.zeros_like(p.data) for path, p in model.all_parameters().items()}

    def after_update(self, epoch: int) -> None:
        """Take the parameters into the mean if so many epochs are finished."""
        if epoch < self.after:
            return
        self.count += 1
        for path, parameter in self.model.all_parameters().items():
            mean = self.mean[path]
            mean += (parameter.data - mean) / self.count

    def offer(self) -> dict[str, NDArray[Any]] | None:
        """Return the mean if there is one."""
        return self.mean if self.count else None

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Return the arrays to save: the mean by path, and the number of updates in it."""
        return {**self.mean, "count": np.array([self.count])}

    def load_state_dict(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take saved arrays; raise a ValueError if they do not fit."""
        for path, mean in self.mean.items():
            check_array("the mean", path, arrays[path], mean.shape, mean.dtype)
            check_finite("the mean", path, arrays[path])
            np.copyto(mean, arrays[path])
        self.count = int(arrays["count"][0])
