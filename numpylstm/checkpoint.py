"""Checkpoints: a whole run in one `.npz` file, without pickles, with a checksum.

The file is an uncompressed zip of `.npy` members, so `numpy.load(path, allow_pickle=False)` reads
it in any program:

==================  ==================================================================
``parameters/PATH``  the parameters, by path
``velocity/PATH``    the momentum of the optimiser, where there is one
``state/h``, ``/c``  the recurrent state, (L, B, H)
``meta``             UTF-8 bytes of a JSON object with all the rest (see `META_KEYS`)
``checksum``         the 32 bytes of `checksum` over all other members
==================  ==================================================================

A file is written beside its destination, flushed to the disk and then renamed over it, so that at
every moment the old one or the new one is there, whole.
"""

import hashlib
import io
import json
import os
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from numpylstm.config import ConfigError, TrainConfig
from numpylstm.data import Vocabulary
from numpylstm.models import LanguageModel, State
from numpylstm.optim import SGD
from numpylstm.training import Row, Run, Tally, build_model

FORMAT = "numpylstm checkpoint"
VERSION = 1

META_KEYS = {
    "format": str, "version": int, "config": dict, "vocabulary": list, "fingerprint": str,
    "epoch": int, "window": int, "step": int, "valid_losses": list, "rows": list, "tally": dict,
    "rng": dict,
}  # fmt: skip
"""What the JSON object in ``meta`` holds, and the type of each entry."""


class CheckpointError(ValueError):
    """A file that is not a whole checkpoint of this program; the message names the file."""


@dataclass(frozen=True)
class Checkpoint:
    """The content of a checkpoint file, verified: arrays by member name, and the rest."""

    path: Path
    arrays: Mapping[str, NDArray[Any]]
    meta: Mapping[str, Any]
    config: TrainConfig
    vocabulary: Vocabulary

    def group(self, prefix: str) -> dict[str, NDArray[Any]]:
        """The arrays under a prefix, without it."""
        start = prefix + "/"
        return {k[len(start) :]: v for k, v in self.arrays.items() if k.startswith(start)}


# --- writing -----------------------------------------------------------------------------------


def save(run: Run, path: str | Path) -> None:
    """Write a run to a file, atomically.

    Raises
    ------
    OSError
        If the file cannot be written; an older file of that name is then untouched.
    """
    arrays = {f"parameters/{k}": v for k, v in run.model.state_dict().items()}
    arrays |= {f"velocity/{k}": v for k, v in run.optimizer.velocity.items()}
    arrays |= {f"state/{field}": v for field, v in run.state._asdict().items()}
    meta = {
        "format": FORMAT,
        "version": VERSION,
        "config": run.config.to_dict(),
        "vocabulary": list(run.vocabulary.tokens),
        "fingerprint": run.fingerprint,
        "epoch": run.epoch,
        "window": run.window,
        "step": run.step,
        "valid_losses": run.valid_losses,
        "rows": [list(row) for row in run.rows],
        "tally": asdict(run.tally),
        "rng": run.model.rng.bit_generator.state,
    }
    arrays["meta"] = np.frombuffer(json.dumps(meta).encode(), np.uint8)
    arrays["checksum"] = np.frombuffer(checksum(arrays), np.uint8)
    # Member names hold slashes and dots, which savez takes as they are.
    write_atomically(path, lambda file: np.savez(file, **arrays))  # type: ignore[arg-type]


def checksum(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """SHA-256 over name, dtype, shape and bytes of every array, in the order of the names.

    The bytes are row-major and little-endian, whatever the array and the machine are.
    """
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        array = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        digest.update(f"{name}|{array.dtype.str}|{array.shape}|".encode())
        digest.update(array.data)
    return digest.digest()


def write_atomically(path: str | Path, write: Callable[[IO[bytes]], object]) -> None:
    """Call ``write(file)`` on a temporary file in the same folder, then rename it to `path`."""
    path = Path(path)
    handle, temporary = tempfile.mkstemp(".tmp", f".{path.name}.", path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    if os.name == "posix":  # make the rename itself durable
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


# --- reading -----------------------------------------------------------------------------------


def load(path: str | Path) -> Checkpoint:
    """Read and verify a checkpoint. Nothing in the file is executed, whoever made it.

    Raises
    ------
    CheckpointError
        If the file is not a whole checkpoint of a version that this program reads.
    OSError
        If the file cannot be read.
    """
    path = Path(path)
    arrays = read_members(path)
    for name in ("meta", "checksum"):
        if name not in arrays or arrays[name].dtype != np.uint8 or arrays[name].ndim != 1:
            raise CheckpointError(f"{path} is not a numpylstm checkpoint: it has no {name}")
    stored = arrays.pop("checksum").tobytes()
    if checksum(arrays) != stored:
        raise CheckpointError(f"{path} is damaged: its checksum does not match its content")
    meta = parse_meta(path, arrays.pop("meta").tobytes())
    try:
        config = TrainConfig(**meta["config"])
        vocabulary = Vocabulary(tuple(meta["vocabulary"]))
    except (ConfigError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} holds settings that cannot be: {error}") from error
    return Checkpoint(path, arrays, meta, config, vocabulary)


def read_members(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an `.npz` file.

    Shapes are held against the size of the file before any memory is taken, and members must be
    stored uncompressed, so a small file cannot ask for much.
    """
    arrays: dict[str, NDArray[Any]] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                name = member.filename.removesuffix(".npy")
                if name in arrays or member.compress_type != zipfile.ZIP_STORED:
                    raise CheckpointError(
                        f"{path} is not a numpylstm checkpoint: member {member.filename!r} is "
                        f"{'there twice' if name in arrays else 'compressed'}"
                    )
                arrays[name] = read_npy(path, name, archive.read(member))
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise CheckpointError(
            f"{path} is not a whole checkpoint: {error}; it may be truncated or another kind of "
            "file"
        ) from error
    return arrays


def read_npy(path: Path, name: str, content: bytes) -> NDArray[Any]:
    """One array from the bytes of an `.npy` file; plain numbers only."""
    file = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise ValueError(f"npy version {version}")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    except (ValueError, SyntaxError) as error:
        raise CheckpointError(f"{path}: array {name!r} has a bad header: {error}") from error
    if dtype.hasobject or dtype.kind not in "fiu":
        raise CheckpointError(f"{path}: array {name!r} must hold numbers, its dtype is {dtype}")
    left = len(content) - file.tell()
    count = 1
    for size in shape:
        count *= size
    if min(shape, default=0) < 0 or count * dtype.itemsize != left:
        raise CheckpointError(
            f"{path}: array {name!r} of shape {shape} and dtype {dtype} needs "
            f"{count * dtype.itemsize} bytes, the file holds {left}"
        )
    array = np.frombuffer(content, dtype, offset=file.tell())
    return array.reshape(shape, order="F" if fortran else "C")


def parse_meta(path: Path, content: bytes) -> dict[str, Any]:
    """The JSON object in ``meta``, with all its entries, each of its type."""
    try:
        meta = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: its meta entry is not JSON: {error}") from error
    if not isinstance(meta, dict) or meta.get("format") != FORMAT:
        raise CheckpointError(f"{path} is not a numpylstm checkpoint: its meta does not say so")
    if meta.get("version") != VERSION:
        raise CheckpointError(
            f"{path} has checkpoint version {meta.get('version')!r}, this program reads {VERSION}; "
            "a newer numpylstm may have written it"
        )
    for key, kind in META_KEYS.items():
        if not isinstance(meta.get(key), kind):
            raise CheckpointError(f"{path}: meta entry {key!r} must be a {kind.__name__}")
    return meta


# --- back to life ------------------------------------------------------------------------------


def restore_model(checkpoint: Checkpoint) -> LanguageModel:
    """The model of a checkpoint, ready to evaluate, sample or train."""
    vocab_size = len(checkpoint.vocabulary)
    try:
        model = build_model(checkpoint.config, vocab_size)
        model.load_state_dict(checkpoint.group("parameters"))
        model.rng.bit_generator.state = checkpoint.meta["rng"]
    except (ValueError, TypeError, KeyError) as error:
        raise CheckpointError(f"{checkpoint.path} does not fit together: {error}") from error
    return model


def restore_run(checkpoint: Checkpoint) -> Run:
    """The run of a checkpoint, at the update where it was saved."""
    config, meta = checkpoint.config, checkpoint.meta
    model = restore_model(checkpoint)
    try:
        optimizer = SGD(model.parameters(), config.lr, config.momentum)
        restore_velocity(optimizer, checkpoint.group("velocity"))
        return Run(
            config=config,
            vocabulary=checkpoint.vocabulary,
            fingerprint=meta["fingerprint"],
            model=model,
            optimizer=optimizer,
            state=restore_state(model, config.batch_size, checkpoint.group("state")),
            epoch=meta["epoch"],
            window=meta["window"],
            step=meta["step"],
            valid_losses=list(meta["valid_losses"]),
            rows=[Row(*row) for row in meta["rows"]],
            tally=Tally(**meta["tally"]),
        )
    except (ValueError, TypeError, KeyError) as error:
        raise CheckpointError(f"{checkpoint.path} does not fit together: {error}") from error


def restore_velocity(optimizer: SGD, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Copy the momentum back; its paths and shapes must be those of the optimiser."""
    shapes = {path: (v.shape, v.dtype) for path, v in optimizer.velocity.items()}
    if shapes != {path: (v.shape, v.dtype) for path, v in arrays.items()}:
        raise ValueError("the velocity arrays are not those of its parameters")
    for path, array in arrays.items():
        optimizer.velocity[path][...] = array


def restore_state(model: LanguageModel, batch_size: int, arrays: Mapping[str, Any]) -> State:
    """The recurrent state; it must have the shape of the model's."""
    zero = model.zero_state(batch_size)
    shapes = {field: (v.shape, v.dtype) for field, v in zero._asdict().items()}
    if shapes != {field: (v.shape, v.dtype) for field, v in arrays.items()}:
        raise ValueError("the state arrays are not those of its model")
    return type(zero)(**{field: arrays[field].copy() for field in shapes})
