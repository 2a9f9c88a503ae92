"""Files of arrays and a JSON object: `.npz`, without pickles.

The file is an uncompressed zip of `.npy` members, as ``numpy.savez`` writes it; ``meta`` holds the
UTF-8 bytes of the object. Reading executes nothing in a file, and a small file cannot make it take
much memory. A flipped bit is found by the checksum that zip keeps of each member.

`save_model` and `load_model` store a model; the checkpoints of a run
(`numpylstm.training.checkpoint`) are files of the same kind.
"""

import contextlib
import errno
import json
import os
import secrets
import shutil
import zipfile
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from numpylstm.checks import Rng, check_array, check_finite, generator
from numpylstm.config import ModelConfig
from numpylstm.errors import NumpylstmError, brief, either
from numpylstm.models import LanguageModel, Model
from numpylstm.parameters import parameter_shapes
from numpylstm.sequence_models import SequenceClassifier, SequenceRegressor, SequenceTagger

__all__ = ["CheckpointError", "SaveError", "load_model", "save_model"]


class CheckpointError(NumpylstmError, ValueError):
    """A file that is not a whole checkpoint of this program; the message names the file."""


class SaveError(NumpylstmError, OSError):
    """A file that could not be written: `filename`, and the reason as `strerror`."""

    exit_status = 1

    def __str__(self) -> str:
        message = f"{self.filename} could not be written: {self.strerror}"
        if self.errno == errno.ENOENT:
            return message
        return f"{message}; what was saved before is still there"


# --- writing -----------------------------------------------------------------------------------


def write_arrays(
    path: str | Path, arrays: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]
) -> None:
    """Write arrays by member name and a JSON object, by `write_atomically`."""
    text = json.dumps(meta, allow_nan=False).encode()
    members = {**arrays, "meta": np.frombuffer(text, np.uint8)}
    write_atomically(path, lambda file: np.savez(file, **members))  # type: ignore[arg-type]


def write_atomically(path: str | Path, write: Callable[[IO[bytes]], object]) -> None:
    """Call ``write(file)`` on a temporary file, flush it to the disk and rename it to `path`.

    At every moment either the old or the new file is complete. Symbolic links are followed, and an
    existing file keeps its mode. Only a regular file is replaced, and only if it may be written.
    After a SaveError, an older file of that name is unchanged.
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        existing = target.exists()
        if existing and not target.is_file():
            raise OSError(errno.EINVAL, "it is not a regular file")
        if existing and not os.access(target, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        with temporary.open("xb") as file:
            if existing:
                shutil.copymode(target, temporary)
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except OSError as error:
        raise SaveError(error.errno, error.strerror or str(error), str(path)) from error
    finally:
        with contextlib.suppress(OSError):  # after the rename there is nothing to remove
            temporary.unlink()


def write_text(path: str | Path, text: str) -> None:
    """Write a text as UTF-8, by `write_atomically`."""
    write_atomically(path, lambda file: file.write(text.encode()))


# --- reading -----------------------------------------------------------------------------------


def read_arrays(
    path: Path, name: str, versions: Collection[int]
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Read the arrays of a file by member name, and its JSON object.

    A file that is not whole, or not of the format `name` in one of these versions, raises
    CheckpointError.
    """
    with path.open("rb") as file:
        try:
            member_names(file)  # refuses sizes beyond the file before anything is allocated
            with np.load(file, allow_pickle=False) as members:
                arrays = dict(members)
            meta = json.loads(arrays.pop("meta").tobytes(), parse_constant=no_constant)
        except Exception as error:  # the readers raise whatever the bytes lead to
            reason = "it has no meta" if isinstance(error, KeyError) else brief(error)
            raise CheckpointError(
                f"{path} is not a whole {name}: {reason}; it may be truncated or another kind of "
                "file"
            ) from error
    if not (isinstance(meta, dict) and meta.get("format") == name):
        raise CheckpointError(
            f"{path} is not a {name}: its meta has another format; nl.load reads a checkpoint of a "
            "run, nl.load_model a model"
        )
    if meta.get("version") not in versions:
        raise CheckpointError(
            f"{path} has {name.split()[-1]} version {meta.get('version')!r}, this program reads "
            f"{max(versions)}; another version of numpylstm may have written it"
        )
    return arrays, meta


def no_constant(name: str) -> None:
    """Refuse NaN and the infinities in a JSON object, which JSON lacks and nothing here writes."""
    raise ValueError(f"its meta holds {name}")


def member_names(file: IO[bytes]) -> list[str]:
    """Return the names of the members of a zip file, from its directory.

    A ValueError refuses members that are compressed, or do not fit into the file.
    """
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
    for entry in entries:
        if entry.compress_type != zipfile.ZIP_STORED:
            raise ValueError(f"member {entry.filename!r} is compressed")
    if sum(entry.file_size for entry in entries) > os.fstat(file.fileno()).st_size:
        raise ValueError("its members overlap, or end beyond the file")
    file.seek(0)
    return [entry.filename for entry in entries]


@contextlib.contextmanager
def fitting_together(path: Path) -> Iterator[None]:
    """Turn any error from inconsistent content into one sentence that names the file."""
    try:
        yield
    except CheckpointError:  # which has its sentence
        raise
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
        raise CheckpointError(f"{path} is inconsistent: {brief(error)}") from error


# --- models ------------------------------------------------------------------------------------

FORMAT, VERSION = "numpylstm model", 2
MODELS: dict[str, type[Any]] = {
    kind.__name__: kind
    for kind in (LanguageModel, SequenceClassifier, SequenceTagger, SequenceRegressor)
}


def save_model(model: Model, path: str | Path) -> None:
    """Write a model to a file: its class, its settings and its arrays.

    The file is replaced atomically; see `write_atomically`.

    Parameters
    ----------
    model : LanguageModel, SequenceClassifier, SequenceTagger or SequenceRegressor
    path : str or Path
        It usually ends in ``.npz``; no ending is added.

    Raises
    ------
    TypeError
        If `model` is of another class, which `load_model` could not make, or `path` is not a path.
    ValueError
        If a parameter is not finite, or was replaced by one of another shape (or dtype: TypeError).
    SaveError
        If the file cannot be written; an older file of that name is then unchanged.
    """
    if type(model) not in MODELS.values():
        raise TypeError(
            f"save_model: model must be a {either(MODELS)}, got {type(model).__name__}; "
            "save the model.state_dict() of a class of your own with numpy.savez"
        )
    state = model.state_dict()
    dtype = np.dtype(model.config.dtype)
    shapes = parameter_shapes(
        model.config, model.vocab_size, model.num_outputs, model.bidirectional
    )
    for name, shape in shapes:
        check_array("save_model", name, state[name], shape, dtype, "its arguments give the sizes")
        check_finite("save_model", name, state[name], "the training that made it had failed")
    meta = {
        "format": FORMAT,
        "version": VERSION,
        "model": type(model).__name__,
        "config": model.config.to_dict(),
        "form": {
            "vocab_size": model.vocab_size,
            "answer_size": model.num_outputs,  # as it was called when the format was made
            "bidirectional": model.bidirectional,
        },
        "every_step": model.every_step,
        "frozen": [name for name, p in model.all_parameters().items() if not p.trainable],
    }
    write_arrays(path, {f"parameters/{name}": array for name, array in state.items()}, meta)


def make_model(
    kind: type[Any],
    config: ModelConfig,
    parameters: Mapping[str, NDArray[Any]],
    *,
    vocab_size: int | None,
    num_outputs: int | None = None,
    bidirectional: bool = False,
    every_step: bool | None = None,
    rng: Rng = None,
) -> Any:
    """Make a model of a class with these arrays; the other arguments are those of `from_config`.

    A ValueError is raised unless all are there, in the right shapes, before any memory is taken.
    """
    for path, shape in parameter_shapes(config, vocab_size, num_outputs, bidirectional):
        if path not in parameters:
            raise ValueError(f"parameter {path} is missing")
        check_array(
            "parameters", path, parameters[path], shape, None, "the settings give the sizes"
        )
    model = kind.from_config(
        config,
        vocab_size,
        num_outputs,
        bidirectional=bidirectional,
        every_step=every_step,
        rng=rng,
    )
    model.load_state_dict(parameters)
    return model


def within(group: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return the arrays with names that begin with ``GROUP/``, by the rest of their names."""
    start = group + "/"
    return {k[len(start) :]: v for k, v in arrays.items() if k.startswith(start)}


def load_model(path: str | Path, *, rng: Rng = None) -> Any:
    """Read a model from a file of `save_model`. Nothing in the file is executed.

    The checkpoints of a run hold more: `numpylstm.load` reads them, and `numpylstm.restore_model`
    makes their model.

    Parameters
    ----------
    path : str or Path
    rng : Generator or int, optional
        Source of the dropout masks.

    Raises
    ------
    CheckpointError
        If the file is incomplete or inconsistent.
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
    path = Path(path)
    arrays, meta = read_arrays(path, FORMAT, [VERSION])
    parameters = within("parameters", arrays)
    rng = generator(rng)
    with fitting_together(path):
        kind = MODELS[meta["model"]]
        config = ModelConfig(**meta["config"])
        form = meta["form"]
        model = make_model(
            kind,
            config,
            parameters,
            vocab_size=form["vocab_size"],
            num_outputs=form["answer_size"],
            bidirectional=form["bidirectional"],
            every_step=meta["every_step"],
            rng=rng,
        )
        model.freeze(meta["frozen"])
    return model
