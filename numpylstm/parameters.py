"""Parameters: learnable arrays, each with its gradient and its path.

Layers and models are Modules, which have parameters, and optimisers update these. `parameters_of`
makes one dict of the parameters of several modules; `parameter_shapes` lists the shapes for a model
before it is made.
"""

from collections.abc import Iterable, Iterator, Mapping
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from numpylstm import functional, reference
from numpylstm.cells import CELLS, Cell
from numpylstm.checks import (
    Array,
    check_array,
    check_finite,
    check_flag,
    check_ids,
    check_interval,
    check_number,
    float_dtype,
)
from numpylstm.config import ModelConfig
from numpylstm.kernels.memory import empty

IMPLEMENTATIONS: dict[str, ModuleType] = {"fast": functional, "reference": reference}
"""The modules with the mathematics, by the words that choose one."""

DIRECTIONS = ("forward", "backward")  # names of the two stacks of a bidirectional model


class Rows(NamedTuple):
    """Gradient of a matrix (V, D) in which only some rows are not zero."""

    rows: Array  # (n,), integers, each once
    values: Array  # (n, D)


class Parameter:
    """A learnable array and its gradient.

    Parameters
    ----------
    data : ndarray
    name : str
        Shown in error messages.
    trainable : bool
        False freezes the parameter: no gradient is kept for it, and `parameters()` of a model
        leaves it out.
    impl : "fast" or "reference"
        The functions that clip and update it: those of the layer or model that owns it.

    Attributes
    ----------
    gradient : ndarray, Rows or None
        The sum of the gradients since `zero_grad`. None stands for zeros, and an embedding with a
        large table leaves `Rows`; `grad` is the same as an array.
    """

    def __init__(
        self, data: Array, name: str = "parameter", trainable: bool = True, impl: str = "fast"
    ) -> None:
        check_array("Parameter", "data", data)
        self.impl = impl
        self.data = data
        self.name = name
        self.trainable = trainable
        self.gradient: Array | Rows | None = None

    @property
    def grad(self) -> Array:
        """The gradient as an array with the shape of `data`.

        An assigned array is not copied, so the caller must not use it again.
        """
        gradient = self.gradient
        if not isinstance(gradient, np.ndarray):
            dense = np.zeros_like(self.data, subok=False)  # the data may be a memmap
            if gradient is not None:
                dense[gradient.rows] = gradient.values
            self.gradient = gradient = dense
        return gradient

    @grad.setter
    def grad(self, value: Array) -> None:
        check_array(self.name, "grad", value, self.data.shape, self.data.dtype)
        self.gradient = _owned(value)

    def accumulate(self, gradient: Array | Rows) -> None:
        """``grad += gradient``. The arrays are not copied: the caller must not use them again.

        Raises
        ------
        TypeError, ValueError
            If an array differs from `data` in shape or dtype, or rows are repeated or out of range.
        """
        where = self.name
        data = self.data
        if isinstance(gradient, Rows):
            check_array(where, "data", data, ("V", "D"), because="Rows belong to a matrix")
            V, D = data.shape
            rows = check_ids(where, "Rows.rows", gradient.rows, V, ("n",))
            values = gradient.values
            shape = len(rows), D
            check_array(where, "Rows.values", values, shape, data.dtype, "one for each row")
            if (np.diff(rows) <= 0).any() and len(np.unique(rows)) < len(rows):
                raise ValueError(f"{where}: Rows.rows must name each row once")
            gradient = Rows(rows, _owned(values))
        else:
            check_array(where, "gradient", gradient, data.shape, data.dtype)
            gradient = _owned(gradient)
        if not self.trainable:
            return
        if self.gradient is None:
            self.gradient = gradient
        elif isinstance(gradient, Rows):
            self.grad[gradient.rows] += gradient.values
        else:
            self.grad += gradient

    def scale_grad(self, factor: float) -> None:
        """``grad *= factor``."""
        check_number(self.name, "factor", factor)
        values = self.gradient.values if isinstance(self.gradient, Rows) else self.gradient
        if values is not None:
            values *= float(factor)

    def zero_grad(self) -> None:
        """Set the gradient to zero."""
        self.gradient = None

    def __repr__(self) -> str:
        return f"Parameter({self.name!r}, shape={self.data.shape}, dtype={self.data.dtype})"


def _owned(array: Array) -> Array:
    """Return an array that may be changed in place: C-contiguous and writeable, else a copy."""
    return array if type(array) is np.ndarray and array.flags.carray else np.array(array, order="C")


def uniform(
    rng: np.random.Generator, shape: tuple[int, ...], scale: float, dtype: DTypeLike
) -> Array:
    """Draw from U(-scale, scale), in float64, so that every dtype starts from the same numbers."""
    check_interval("layer", "init_scale", scale, "[0, 1000]")
    shape = tuple(map(int, shape))  # products of NumPy's integers can wrap
    # A matrix that begins at a cache line is read faster.
    array = empty(shape, float_dtype("layer", dtype))
    array[...] = rng.uniform(-scale, scale, shape)
    return array


def parameter_shapes(
    config: ModelConfig,
    vocab_size: int | None,
    num_outputs: int | None = None,
    bidirectional: bool = False,
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield paths and shapes of the parameters of a model, without making one.

    Without `num_outputs` it is a `LanguageModel`, and without `vocab_size` it has no embedding. So
    sizes can be compared with a file or with the memory before anything is allocated.
    """
    H = config.hidden_size
    cell = CELLS[config.cell]
    if vocab_size is not None:
        yield "embedding.W", (vocab_size, config.input_size)
    stacks = DIRECTIONS if bidirectional else (cell.name,)
    for stack in stacks:
        for layer in range(config.num_layers):
            D = config.input_size if layer == 0 else H
            for key, shape in cell.shapes(D, H, config.options).items():
                yield f"{stack}.{layer}.{key}", shape
    columns: Any = vocab_size if num_outputs is None else num_outputs
    if config.projected:
        yield "projection.W", (H, config.input_size)
    if not config.tied:
        yield "decoder.W", (H * len(stacks), columns)
    yield "decoder.b", (columns,)


def initial_arrays(
    config: ModelConfig,
    vocab_size: int | None,
    num_outputs: int,
    bidirectional: bool,
    rng: np.random.Generator,
) -> dict[str, Array]:
    """Draw the initial parameters of a model: path -> array, as `parameter_shapes` lists them."""
    H = config.hidden_size
    cell = CELLS[config.cell]
    scale = config.init_scale
    dtype = config.dtype
    arrays: dict[str, Array] = {}
    if vocab_size is not None:
        table_scale = config.init_scale_embedding
        if table_scale is None:
            table_scale = scale
        arrays["embedding.W"] = uniform(rng, (vocab_size, config.input_size), table_scale, dtype)
    stacks = DIRECTIONS if bidirectional else (cell.name,)
    for stack in stacks:
        for layer in range(config.num_layers):
            D = config.input_size if layer == 0 else H
            of_layer = initial_layer(cell, config.options, D, H, scale, dtype, rng)
            for key, array in of_layer.items():
                arrays[f"{stack}.{layer}.{key}"] = array
    if config.projected:
        arrays["projection.W"] = uniform(rng, (H, config.input_size), scale, dtype)
    if not config.tied:
        arrays["decoder.W"] = uniform(rng, (H * len(stacks), num_outputs), scale, dtype)
    arrays["decoder.b"] = uniform(rng, (num_outputs,), scale, dtype)
    return arrays


def initial_layer(
    cell: Cell,
    options: Mapping[str, Any],
    D: int,
    H: int,
    scale: float,
    dtype: DTypeLike,
    rng: np.random.Generator,
) -> dict[str, Array]:
    """Draw the initial parameters of one recurrent layer: name -> array."""
    arrays: dict[str, Array] = {}
    for name, shape in cell.shapes(D, H, options).items():
        arrays[name] = uniform(rng, shape, scale, dtype)
    for name, vector in cell.vectors.items():
        if vector.initial is not None and name in arrays:
            arrays[name][...] = rng.uniform(*vector.initial, H)
    for block, option in cell.biases.items():
        start = cell.blocks.index(block) * H
        arrays["b"][start : start + H] += options[option]
    return arrays


class TrainableParameters(dict[str, "Parameter"]):
    """Path -> Parameter of a module, without the frozen ones.

    `with_frozen` has all of the module, in its order: an optimiser takes in those that are unfrozen
    later.
    """

    with_frozen: dict[str, "Parameter"]


class Module:
    """Base class of layers and models, and of your own.

    Its parameters are found by its attributes, in the order in which they were assigned: each
    `Parameter`, each other Module, and lists and dicts of these. The names of the attributes make
    the paths, as in ``encoder.0.Wx``. `path_names` gives attributes other names in the paths: an
    empty name adds nothing to a path, and None leaves the attribute out.

    Examples
    --------
    >>> import numpy as np, numpylstm as nl
    >>> class Scale(nl.Module):
    ...     def __init__(self, size):
    ...         self.g = nl.Parameter(np.ones(size, np.float32))
    ...
    ...     def forward(self, x, training=True):
    ...         self.begin_pass(training)
    ...         if training:
    ...             self.pending = x
    ...         return x * self.g.data
    ...
    ...     def backward(self, dy):
    ...         x = self.take_pending()
    ...         self.g.accumulate((dy * x).sum(axis=(0, 1)))
    ...         return dy * self.g.data
    >>> model = Scale(4)
    >>> model.parameters()
    {'g': Parameter('parameter', shape=(4,), dtype=float32)}
    """

    prefix = ""  # of the paths, where no attribute of another Module gives a name
    path_names: Mapping[str, str | None] = {}
    shown: tuple[str, ...] = ()  # the attributes that `repr` shows
    input_shape = ""  # of x, shown where swapped axes could go unnoticed
    pending: Any = None  # what the backward pass needs of the last forward pass with training

    def sizes(self) -> dict[str, Any]:
        """Return the settings that `repr` shows."""
        return {name: getattr(self, name) for name in self.shown}

    def begin_pass(self, training: bool) -> None:
        """Begin a forward pass: one with `training` ends the pending one, even if it then fails."""
        if not isinstance(training, bool):
            check_flag(f"{type(self).__name__}.forward", "training", training)
        if training:
            self.pending = None

    def take_pending(self) -> Any:
        """Return what the last forward pass kept, which serves one backward pass."""
        pending = self.pending
        self.pending = None
        if pending is None:
            raise RuntimeError(
                f"{type(self).__name__}.backward: there is no pending forward pass; each backward "
                "needs one forward(..., training=True) before it"
            )
        return pending

    def all_parameters(self) -> dict[str, Parameter]:
        """Return path -> Parameter, frozen parameters included.

        A parameter or module that is met twice, such as the table of a tied model, has its first
        path.
        """
        found: dict[str, Parameter] = {}
        met: set[int] = set()
        left: list[tuple[str, Any]] = [(self.prefix, self)]
        while left:
            path, value = left.pop()
            if id(value) in met:  # a tied table, or a list that holds itself
                continue
            met.add(id(value))
            if isinstance(value, Parameter):
                if path in found:
                    raise ValueError(
                        f"{type(self).__name__}: parameters must have one path each, got two with "
                        f"the path {path!r}; give an attribute or a key another name"
                    )
                found[path] = value
                continue
            names: Mapping[str, str | None] = {}
            items: Mapping[Any, Any] = {}
            if isinstance(value, Module):
                names = value.path_names
                items = vars(value)  # the parameters of a Module are its attributes
            elif isinstance(value, dict):
                items = value
            else:
                items = dict(enumerate(value))
            for key, item in reversed(items.items()):  # the last one put on `left` is taken next
                name = names.get(key, key)
                if name is not None and isinstance(item, (Parameter, Module, dict, list)):
                    below = path if name == "" else f"{path}.{name}"
                    left.append((below.removeprefix("."), item))
        return found

    def parameters(self) -> "TrainableParameters":
        """Return path -> Parameter, without the frozen parameters."""
        known = self.all_parameters()
        found = TrainableParameters({path: p for path, p in known.items() if p.trainable})
        found.with_frozen = known
        return found

    def freeze(self, paths: str | Iterable[str]) -> None:
        """Exclude parameters from training.

        Parameters
        ----------
        paths : str or several
            Paths, or their beginnings: ``"lstm"`` for all of ``lstm.0.Wx``, ``lstm.0.Wh``, ...

        Raises
        ------
        ValueError
            If there is no parameter with such a path.
        """
        for parameter in self._named("freeze", paths):
            parameter.trainable = False

    def unfreeze(self, paths: str | Iterable[str]) -> None:
        """Take frozen parameters into the training again.

        An optimiser made of this module, or of its `parameters()`, takes them in at its next
        `zero_grad` or `step`. `paths` are as for `freeze`.
        """
        for parameter in self._named("unfreeze", paths):
            parameter.trainable = True

    def _named(self, where: str, paths: str | Iterable[str]) -> list[Parameter]:
        """Return the parameters with these paths, or beginnings of paths."""
        parameters = self.all_parameters()
        found: list[Parameter] = []
        for path in [paths] if isinstance(paths, str) else list(paths):
            those = [p for name, p in parameters.items() if f"{name}.".startswith(f"{path}.")]
            if not those:
                raise ValueError(f"{where}: paths must be of {', '.join(parameters)}; got {path!r}")
            found += those
        return found

    def state_dict(self) -> dict[str, Array]:
        """Return a copy of every array, frozen ones included: path -> ndarray."""
        return {path: p.data.copy() for path, p in self.all_parameters().items()}

    def load_state_dict(self, arrays: Mapping[str, Array]) -> None:
        """Copy in arrays with the paths, shapes and dtypes of these parameters: all or none.

        The arrays hold no settings: a model with other settings computes something else with them.
        `numpylstm.save_model` and `numpylstm.load_model` keep both.

        Raises
        ------
        ValueError
            If a path is missing or unknown, an array has another shape or is not finite, or an
            array to be replaced is read-only.
        TypeError
            If an array has another dtype, or is not an array.
        """
        where = "load_state_dict"
        parameters = self.all_parameters()
        if not isinstance(arrays, Mapping):
            raise TypeError(
                f"{where}: arrays must be a dict of path -> array, got {type(arrays).__name__}"
            )
        missing = parameters.keys() - arrays.keys()
        unknown = arrays.keys() - parameters.keys()
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
        # Copies, since they may be the arrays of these parameters, swapped.
        arrays = {path: array.copy() for path, array in arrays.items()}
        for path, p in parameters.items():
            p.data[...] = arrays[path]

    @property
    def num_parameters(self) -> int:
        """Number of entries of all parameters, frozen ones included."""
        return sum(p.data.size for p in self.all_parameters().values())

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name}={value!r}" for name, value in self.sizes().items())
        text = f"{type(self).__name__}({sizes})"
        count = self.num_parameters
        if count:
            text += f": {count:,} parameters"
        if self.input_shape:
            text += f"; x is {self.input_shape}, time first"
        return text


def parameters_of(where: str, owners: Any) -> dict[str, Parameter]:
    """Return path -> Parameter of a module, a dict of parameters, or a list of these.

    Raise a ValueError if two parameters have one path, or one parameter has two.
    """
    found: dict[str, Parameter] = {}
    for owner in owners if isinstance(owners, list | tuple) else [owners]:
        parameters = owner.parameters() if isinstance(owner, Module) else owner
        if not isinstance(parameters, Mapping):
            parameters = {"": None}  # refused below
        for path, parameter in parameters.items():
            if not isinstance(parameter, Parameter):
                raise TypeError(
                    f"{where}: parameters must be a layer, a model, a dict of path -> Parameter or "
                    f"a list of these, got {type(owner).__name__}"
                )
            if found.setdefault(path, parameter) is not parameter:
                raise ValueError(
                    f"{where}: parameters must have one path each, got two with the path {path!r}; "
                    'name="encoder" gives a layer paths of its own'
                )
    if len(set(map(id, found.values()))) < len(found):
        raise ValueError(
            f"{where}: parameters must name each Parameter once, got one under two paths"
        )
    return found
