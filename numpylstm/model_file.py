"""A model in one file, without the run that made it: `save_model` and `load_model`."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from numpylstm.archive import (
    CheckpointError,
    check_format,
    check_shapes,
    file_path,
    fitting_together,
    read_arrays,
    within,
    write_arrays,
)
from numpylstm.checks import check_array, check_finite, check_sizes, generator
from numpylstm.config import ModelConfig, settings_of
from numpylstm.models import LanguageModel, SequenceClassifier
from numpylstm.parameters import parameter_shapes

FORMAT, VERSION = "numpylstm model", 1
MODELS = {kind.__name__: kind for kind in (LanguageModel, SequenceClassifier)}


def save_model(model: LanguageModel | SequenceClassifier, path: str | Path) -> None:
    """Write a model to a file, atomically: its kind, its settings and its arrays.

    Parameters
    ----------
    model : LanguageModel or SequenceClassifier
    path : str or Path
        By habit with the ending ``.npz``, which it is; none is added.

    Raises
    ------
    TypeError
        If it is another kind of model, of which `load_model` would not know, or `path` is no path.
    ValueError
        If a parameter is not finite, or was replaced by one of another shape (or dtype: TypeError).
    SaveError
        If the file cannot be written; an older file of that name is then untouched.
    """
    if type(model) not in MODELS.values():
        raise TypeError(
            f"save_model: model must be a {' or a '.join(MODELS)}, got {type(model).__name__}; "
            "of a class of your own save model.state_dict() with numpy.savez"
        )
    path = file_path("save_model", path)
    state = model.state_dict()
    for name, shape in shapes_of(model.arguments):
        dtype = np.dtype(model.config.dtype)
        check_array("save_model", name, state[name], shape, dtype, "so say its arguments")
        check_finite("save_model", name, state[name], "the training that made it had failed")
    arrays = {f"parameters/{name}": array for name, array in state.items()}
    frozen = [name for name, p in model.all_parameters().items() if not p.trainable]
    meta = {
        "format": FORMAT,
        "version": VERSION,
        "model": type(model).__name__,
        "arguments": model.arguments,
        "frozen": frozen,
    }
    write_arrays(path, arrays, meta)


def load_model(
    path: str | Path, *, rng: np.random.Generator | int | None = None
) -> LanguageModel | SequenceClassifier:
    """Read a model that `save_model` wrote. Nothing in the file is executed, whoever made it.

    The checkpoints of a run hold more, and are read by `numpylstm.load`; `numpylstm.restore_model`
    makes a model of one.

    Parameters
    ----------
    path : str or Path
    rng : Generator or int, optional
        Source of the dropout masks.

    Raises
    ------
    CheckpointError
        If the file is not whole, or does not fit together.
    OSError
        If the file cannot be read.

    Examples
    --------
    >>> import tempfile, numpy as np, numpylstm as nl
    >>> model = nl.SequenceClassifier(11, 2, 6, rng=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     nl.save_model(model, f"{folder}/model.npz")
    ...     twin = nl.load_model(f"{folder}/model.npz")
    >>> x = np.array([[3], [5]])  # (T, B)
    >>> bool((model.probabilities(x) == twin.probabilities(x)).all())
    True
    """
    path = file_path("load_model", path)
    arrays, meta = read_arrays(path)
    check_format(path, meta, FORMAT, (VERSION,))
    kind = MODELS.get(str(meta.get("model")))
    if kind is None:
        raise CheckpointError(
            f"{path} holds a model of kind {meta.get('model')!r}, this program knows "
            f"{' and '.join(MODELS)}; a newer numpylstm may have written it"
        )
    parameters, rng = within("parameters", arrays), generator(rng)
    with fitting_together(path):
        arguments = dict(meta["arguments"])
        check_shapes(parameters, shapes_of(arguments))  # before any memory
        model = kind(**arguments, rng=rng)
        model.load_state_dict(parameters)
        model.freeze(meta["frozen"])
    return model


def shapes_of(arguments: Mapping[str, Any]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Paths and shapes of the parameters of a model that would be made with these arguments."""
    sizes = {name: arguments[name] for name in ("vocab_size", "num_classes") if name in arguments}
    check_sizes("load_model", **sizes)
    own = {setting.name for setting in settings_of(ModelConfig)}
    settings = {name: value for name, value in arguments.items() if name in own}
    options = {name: arguments[name] for name in arguments.keys() - own - sizes.keys()}
    return parameter_shapes(ModelConfig(**settings, options=options), **sizes)
