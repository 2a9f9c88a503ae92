"""Parameters: learnable arrays, each with its gradient and its path.

Layers and models own them, and optimisers update them. `collect` makes one dict of the parameters
of several owners; `parameter_shapes` lists the shapes for a model before it is made.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from numpylstm.cells import CELLS
from numpylstm.checks import (
    check_array,
    check_dtype,
    check_finite,
    check_ids,
    check_in,
    check_number,
    check_plain,
)
from numpylstm.config import ModelConfig
from numpylstm.kernels.memory import empty

Array = NDArray[Any]

DRAWN_AT_ONCE = 1 << 16  # random numbers
DIRECTIONS = ("forward", "backward")  # names of the two stacks of a bidirectional model


class Rows(NamedTuple):
    """Gradient of a matrix (V, D) in which only some rows are not zero."""

    rows: Array  # (n,), integers, each once
    values: Array  # (n, D)


class Parameter:
    """A learnable array, with its gradient and its path.

    `grad` is an array that is made when it is first read: until then zeros, the few rows that an
    embedding changes, and the factor of a clip are stored as such.

    Parameters
    ----------
    data : ndarray
    name : str
        The path, such as ``"lstm.0.Wx"``.
    trainable : bool
        False freezes the parameter: no gradient is kept for it, and `parameters()` of a model
        leaves it out.
    """

    def __init__(self, data: Array, name: str, trainable: bool = True) -> None:
        check_array("Parameter", "data", data, getattr(data, "shape", ()))
        self.data = data
        self.name = name
        self.trainable = trainable
        self._gradient: Array | Rows | None = None  # None stands for zeros
        self._factor = 1.0  # not yet multiplied into it

    @property
    def grad(self) -> Array:
        """The gradient accumulated since `zero_grad`, with the shape of `data`.

        An assigned array is not copied, so the caller must not use it again.
        """
        gradient, factor = self.parts_of_grad()
        if gradient is None or isinstance(gradient, Rows):
            dense = np.zeros_like(self.data, subok=False)  # the data may be a memmap
            if gradient is not None:
                dense[gradient.rows] = gradient.values
            self._gradient = gradient = dense
        if factor != 1:
            gradient *= gradient.dtype.type(factor)
            self._factor = 1.0
        return gradient

    @grad.setter
    def grad(self, value: Array) -> None:
        check_array(self.name, "grad", value, self.data.shape, self.data.dtype)
        self._gradient, self._factor = _owned(value), 1.0

    def accumulate(self, gradient: Array | Rows) -> None:
        """``grad += gradient``. The arrays are not copied: the caller must not use them again.

        Raises
        ------
        TypeError, ValueError
            If an array differs from `data` in shape or dtype, or rows are repeated or out of range.
        """
        if isinstance(gradient, Rows):
            gradient = self._in_order(gradient)
        else:
            check_array(self.name, "gradient", gradient, self.data.shape, self.data.dtype)
            gradient = _owned(gradient)
        self._add(gradient)

    def _add(self, gradient: Array | Rows) -> None:
        """Accumulate a gradient that is known to fit, with its rows in order."""
        if not self.trainable:
            return
        if self._gradient is None:
            self._gradient, self._factor = gradient, 1.0
        elif isinstance(gradient, Rows):
            self.grad[gradient.rows] += gradient.values
        else:
            dense = self.grad
            dense += gradient

    def _in_order(self, gradient: Rows) -> Rows:
        """Return the same rows, checked and in increasing order."""
        check_array(self.name, "data", self.data, ("V", "D"), because="Rows belong to a matrix")
        V, D = self.data.shape
        rows = check_ids(self.name, "Rows.rows", gradient.rows, V, ("n",))
        values, shape = gradient.values, (len(rows), D)
        check_array(self.name, "Rows.values", values, shape, self.data.dtype, "one for each row")
        order = np.argsort(rows)
        if not np.diff(rows[order]).all():
            raise ValueError(f"{self.name}: Rows.rows must name each row once")
        return Rows(rows[order], _owned(values[order]))

    def scale_grad(self, factor: float) -> None:
        """``grad *= factor``."""
        check_number(self.name, "factor", factor)
        self._factor *= float(factor)

    def parts_of_grad(self) -> tuple[Array | Rows | None, float]:
        """Return the gradient as it is stored (None for zeros) and its factor; for optimisers."""
        gradient, data = self._gradient, self.data
        because = "data was replaced after the gradient was computed"
        if type(data) is not np.ndarray:
            check_plain(self.name, "data", data)
        if type(gradient) is np.ndarray:
            if gradient.shape != data.shape or gradient.dtype is not data.dtype:
                check_array(self.name, "grad", gradient, data.shape, data.dtype, because)
        elif gradient is not None:
            rows, values = gradient
            shape = (len(rows), *data.shape[1:])
            check_array(self.name, "grad", values, shape, data.dtype, because)
            if rows[-1] >= len(data):  # the largest
                check_ids(self.name, "rows of grad", rows, len(data), because=because)
        return gradient, self._factor

    def zero_grad(self) -> None:
        """Set the gradient to zero."""
        self._gradient, self._factor = None, 1.0

    def __repr__(self) -> str:
        return f"Parameter({self.name!r}, shape={self.data.shape}, dtype={self.data.dtype})"


def _owned(array: Array) -> Array:
    """Return an array that may be changed in place: C-contiguous and writeable, else a copy."""
    return array if type(array) is np.ndarray and array.flags.carray else np.array(array, order="C")


def uniform(
    rng: np.random.Generator, shape: tuple[int, ...], scale: float, dtype: DTypeLike
) -> Array:
    """Draw from U(-scale, scale), in float64, so that every dtype starts from the same numbers."""
    check_in("layer", "init_scale", scale, "[0, 1000]")
    check_dtype("layer", dtype)
    shape = tuple(map(int, shape))  # products of NumPy's integers can wrap
    array = empty(shape, np.dtype(dtype))  # a matrix that begins at a cache line is read faster
    flat = array.reshape(-1)
    for start in range(0, flat.size, DRAWN_AT_ONCE):  # all at once would need a second array
        piece = flat[start : start + DRAWN_AT_ONCE]
        piece[...] = rng.uniform(-scale, scale, piece.size)
    return array


def parameter_shapes(
    config: ModelConfig,
    vocab_size: int | None,
    answer_size: int | None = None,
    bidirectional: bool = False,
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield paths and shapes of the parameters of a model, without making one.

    Without `answer_size` it is a `LanguageModel`, and without `vocab_size` it has no embedding. So
    sizes can be compared with a file or with the memory before anything is allocated.
    """
    H, cell = config.hidden_size, CELLS[config.cell]
    if vocab_size is not None:
        yield "embedding.W", (vocab_size, config.input_size)
    stacks = DIRECTIONS if bidirectional else (cell.name,)
    for stack in stacks:
        for layer in range(config.num_layers):
            D = config.input_size if layer == 0 else H
            for key, shape in cell.shapes(D, H, config.options).items():
                yield f"{stack}.{layer}.{key}", shape
    columns: Any = vocab_size if answer_size is None else answer_size
    if not config.tied:
        yield "decoder.W", (H * len(stacks), columns)
    yield "decoder.b", (columns,)


class Owner:
    """Base class of everything that has parameters: layers and models."""

    _input = ""  # the shape of x, shown where swapped axes could go unnoticed

    def _own(self) -> Iterable[Parameter]:
        return ()

    def _sizes(self) -> dict[str, Any]:
        return {}

    def all_parameters(self) -> dict[str, Parameter]:
        """Return path -> Parameter, from the input up, frozen parameters included."""
        return {parameter.name: parameter for parameter in self._own()}

    def parameters(self) -> dict[str, Parameter]:
        """Return path -> Parameter, without the frozen parameters."""
        return {path: p for path, p in self.all_parameters().items() if p.trainable}

    def freeze(self, paths: str | Iterable[str]) -> None:
        """Exclude parameters from training; an optimiser made afterwards leaves them out.

        Raises
        ------
        ValueError
            If there is no parameter with such a path.
        """
        parameters = self.all_parameters()
        paths = [paths] if isinstance(paths, str) else list(paths)
        for path in paths:
            if path not in parameters:
                raise ValueError(f"freeze: paths must be of {', '.join(parameters)}; got {path!r}")
        for path in paths:
            parameters[path].trainable = False

    def state_dict(self) -> dict[str, Array]:
        """Return a copy of every array, frozen ones included: path -> ndarray."""
        return {path: p.data.copy() for path, p in self.all_parameters().items()}

    def load_state_dict(self, arrays: Mapping[str, Array]) -> None:
        """Copy in arrays with the paths, shapes and dtypes of these parameters: all or none.

        Raises
        ------
        ValueError
            If a path is missing or unknown, an array has another shape or is not finite, or an
            array to be replaced is read-only.
        TypeError
            If an array has another dtype, or is not an array.
        """
        where, parameters = "load_state_dict", self.all_parameters()
        if not isinstance(arrays, Mapping):
            raise TypeError(
                f"{where}: arrays must be a dict of path -> array, got {type(arrays).__name__}"
            )
        missing, unknown = parameters.keys() - arrays.keys(), arrays.keys() - parameters.keys()
        if missing or unknown:
            raise ValueError(
                f"{where}: the arrays must match the parameters; "
                f"missing: {', '.join(sorted(missing)) or 'none'}; "
                f"unknown: {', '.join(sorted(map(str, unknown))) or 'none'}"
            )
        for path, p in parameters.items():
            check_array(where, path, arrays[path], p.data.shape, p.data.dtype)
            check_finite(where, path, arrays[path], "the run that made it had failed")
            if not p.data.flags.writeable:
                raise ValueError(f"{where}: {path} must be writeable; copy its data")
        own = [p.data for p in parameters.values()]
        if any(np.may_share_memory(array, data) for array in arrays.values() for data in own):
            arrays = {path: array.copy() for path, array in arrays.items()}  # they may be swapped
        for path, p in parameters.items():
            p.data[...] = arrays[path]

    @property
    def num_parameters(self) -> int:
        """Number of entries of all parameters, frozen ones included."""
        return sum(parameter.data.size for parameter in self._own())

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name}={value!r}" for name, value in self._sizes().items())
        text, count = f"{type(self).__name__}({sizes})", self.num_parameters
        text += f": {count:,} parameters" if count else ""
        return text + (f"; x is {self._input}, time first" if self._input else "")


def collect(where: str, owners: Any) -> dict[str, Parameter]:
    """Return path -> Parameter of a layer, a model, a dict of parameters, or a list of these.

    Raise a ValueError if two parameters have one path, or one parameter has two.
    """
    found: dict[str, Parameter] = {}
    for owner in owners if isinstance(owners, list | tuple) else [owners]:
        parameters = owner.parameters() if isinstance(owner, Owner) else owner
        if not isinstance(parameters, Mapping) or not all(
            isinstance(parameter, Parameter) for parameter in parameters.values()
        ):
            raise TypeError(
                f"{where}: parameters must be a layer, a model, a dict of path -> Parameter or a "
                f"list of these, got {type(owner).__name__}"
            )
        for path, parameter in parameters.items() if found else ():
            if found.get(path, parameter) is not parameter:
                raise ValueError(
                    f"{where}: parameters must have one path each, got two with the path {path!r}; "
                    'name="encoder" gives a layer paths of its own'
                )
        found |= parameters
    if len(set(map(id, found.values()))) < len(found):
        raise ValueError(
            f"{where}: parameters must name each Parameter once, got one under two paths"
        )
    return found
