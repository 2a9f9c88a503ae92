"""Checkpoints: a whole run in one `.npz` file, without pickles, with a checksum.

The file is an uncompressed zip of `.npy` members, so `numpy.load(path, allow_pickle=False)` reads
it in any program:

======================  ==============================================================
``parameters/PATH``     the parameters, by path
``optimizer/.../PATH``  what the optimiser remembers, such as ``velocity``
``state/h``, ``/c``     the recurrent state, (L, B, H)
``meta``                UTF-8 bytes of a JSON object with all the rest (`META_ENTRIES`)
``checksum``            the 32 bytes of `checksum` over all other members
======================  ==============================================================

It is written and read by `numpylstm.archive`.
"""

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

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
from numpylstm.cells import CELLS, State
from numpylstm.checks import check_finite
from numpylstm.config import ConfigError, TrainConfig
from numpylstm.data import Vocabulary
from numpylstm.evaluation import safe_exp
from numpylstm.models import LanguageModel
from numpylstm.optim import OPTIMIZERS, Optimizer
from numpylstm.parameters import parameter_shapes
from numpylstm.training.loop import Run, build_model, check_parameters
from numpylstm.training.metrics import Row, Tally

FORMAT = "numpylstm checkpoint"
VERSION = 2
READABLE = (1, 2)
ADDED_SETTINGS = {
    "log_gradients": False, "optimizer": "sgd", "weight_decay": None, "patience": None,
    "test_streams": 1, "max_eval": None, "split_punctuation": False, "init_from": None,
}  # fmt: skip
"""Settings that older files lack, and what they mean there."""
FLAT_OPTIONS = {"activation", "forget_bias"}
"""Options of cells that older files hold among the settings of the run."""
CELLS_OF_OLDER_ROWS = 9
"""Those of `Row` before it had `clipped`."""


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
        return within(prefix, self.arrays)


# --- writing -----------------------------------------------------------------------------------


def save(run: Run, path: str | Path) -> None:
    """Write a run to a file, atomically.

    Raises
    ------
    TypeError
        If its optimiser is not that of its settings.
    TrainingFailed
        If a parameter is no longer finite: such a run is not worth an older one.
    SaveError
        If the file cannot be written; an older file of that name is then untouched.
    """
    path = file_path("save", path)
    if not isinstance(run, Run):
        raise TypeError(
            f"save: run must be a Run, got {type(run).__name__}; save_model is for models"
        )
    kind = OPTIMIZERS[run.config.optimizer]
    if type(run.optimizer) is not kind:
        got = type(run.optimizer).__name__
        raise TypeError(
            f"save: run.optimizer must be the {kind.__name__} of its config, got {got}; name it "
            "with TrainConfig(optimizer=...)"
        )
    check_parameters(run)
    parameters = run.model.all_parameters()
    arrays = {f"parameters/{k}": v for k, v in run.model.state_dict().items()}
    for memory, kept in run.optimizer.memory.items():
        arrays |= {f"optimizer/{memory}/{k}": v for k, v in kept.items() if parameters[k].trainable}
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
        "frozen": [path for path, parameter in parameters.items() if not parameter.trainable],
    }
    write_arrays(path, arrays, meta)


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
    path = file_path("load", path)
    arrays, meta = read_arrays(path)
    meta = checked_meta(path, meta)
    try:
        config = TrainConfig(**meta["config"])
        vocabulary = Vocabulary(tuple(meta["vocabulary"]))
    except (ConfigError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} holds settings that cannot be: {error}") from error
    return Checkpoint(path, arrays, meta, config, vocabulary)


# --- the JSON object ---------------------------------------------------------------------------


def is_count(value: Any) -> bool:
    """A whole number from 0, of a sane size."""
    return type(value) is int and 0 <= value < 2**63


def is_number(value: Any) -> bool:
    """A finite number, of a size that a float can be."""
    return type(value) in (int, float) and abs(value) <= sys.float_info.max


def is_list_of(accepts: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """A list of values, each accepted."""
    return lambda value: isinstance(value, list) and all(map(accepts, value))


def is_text(value: Any) -> bool:
    """A string that can be written as UTF-8: one without half surrogate pairs."""
    return isinstance(value, str) and value == value.encode(errors="ignore").decode()


def is_object_of(*names: str) -> Callable[[Any], bool]:
    """A JSON object with these names and no others."""
    return lambda value: isinstance(value, dict) and value.keys() == set(names)


def is_size(value: Any) -> bool:
    """A number far from the largest ones, so that sums of such numbers are finite."""
    return is_number(value) and abs(value) < 1e300


def is_share(value: Any) -> bool:
    """A number from 0 to 1."""
    return is_number(value) and 0 <= value <= 1


def is_loss(value: Any) -> bool:
    """A mean -log p, whose perplexity is finite. Rounding can take it a little below 0."""
    return is_number(value) and value > -0.1 and math.isfinite(safe_exp(value))


def is_perplexity(value: Any) -> bool:
    """The exponential of such a mean."""
    return is_number(value) and value > 0 and is_loss(math.log(value))


def is_list_of_rows(value: Any) -> bool:
    """Rows of metrics: steps go up, epochs do not go down; what not every row has may be empty."""
    if not is_list_of(lambda row: isinstance(row, list) and len(row) == len(Row._fields))(value):
        return False
    rows = [Row(*row) for row in value]
    cells_are_right = all(
        is_count(row.epoch)
        and is_count(row.step)
        and is_number(row.lr)
        and all(map(is_size, (row.cost, row.gradient_norm)))
        and is_perplexity(row.perplexity)
        and is_share(row.accuracy)
        and (row.valid_perplexity is None or is_perplexity(row.valid_perplexity))
        and (row.valid_accuracy is None or is_share(row.valid_accuracy))
        and (row.clipped is None or is_share(row.clipped))
        for row in rows
    )
    return cells_are_right and all(
        epoch <= next_epoch and step < next_step
        for (epoch, step), (next_epoch, next_step) in pairwise([(1, 0), *(row[:2] for row in rows)])
    )


def is_tally(value: Any) -> bool:
    """Sums: four counts and three numbers, whose means are those of updates."""
    if not is_object_of(*(field.name for field in fields(Tally)))(value) or not all(
        (is_count if field.type is int else is_size)(value[field.name]) for field in fields(Tally)
    ):
        return False
    tally = Tally(**value)
    if tally.steps == 0:
        return tally == Tally()
    return (
        max(tally.steps, tally.correct) <= tally.tokens
        and tally.clipped <= tally.steps
        and is_loss(tally.nll / tally.tokens)
    )


META_ENTRIES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "config": (
        "an object with all settings and no others",
        is_object_of(*(field.name for field in fields(TrainConfig))),
    ),
    "vocabulary": ("a list of texts", is_list_of(is_text)),
    "fingerprint": ("a text", is_text),
    "epoch": ("a whole number from 0", is_count),
    "window": ("a whole number from 0", is_count),
    "step": ("a whole number from 0", is_count),
    "valid_losses": ("a list of losses", is_list_of(is_loss)),
    "rows": (f"a list of rows of {len(Row._fields)} cells, steps going up", is_list_of_rows),
    "tally": ("an object with the sums since the last row", is_tally),
    "rng": ("an object", lambda value: isinstance(value, dict)),
    "frozen": ("a list of texts", is_list_of(is_text)),
}
"""What the JSON object in ``meta`` holds, next to its format and version."""


def checked_meta(path: Path, meta: dict[str, Any]) -> dict[str, Any]:
    """The JSON object in ``meta``, with all its entries, each of its type."""
    check_format(path, meta, FORMAT, READABLE)
    if isinstance(meta.get("config"), dict):
        meta = meta | {"config": with_added_settings(meta["config"])}
    meta = {"frozen": [], **with_added_metrics(meta)}
    for key, (expected, accepts) in META_ENTRIES.items():
        if key not in meta or not accepts(meta[key]):
            raise CheckpointError(f"{path}: meta entry {key!r} must be {expected}")
    if len(meta["valid_losses"]) != meta["epoch"]:
        raise CheckpointError(
            f"{path}: meta entry 'valid_losses' must have one number for each of the "
            f"{meta['epoch']} finished epochs, got {len(meta['valid_losses'])}"
        )
    epoch, step = meta["rows"][-1][:2] if meta["rows"] else (1, 0)
    if epoch > meta["epoch"] + 1 or max(step, meta["tally"]["steps"]) > meta["step"]:
        raise CheckpointError(
            f"{path}: meta entry 'step' must be that of the last update, got {meta['step']} in "
            f"epoch {meta['epoch'] + 1}, which its other entries are past"
        )
    return meta


def with_added_settings(config: dict[str, Any]) -> dict[str, Any]:
    """Settings as they are today, from those of an older file."""
    config = ADDED_SETTINGS | config
    if "options" not in config:  # every cell was given the options of all
        flat = {name: config.pop(name) for name in FLAT_OPTIONS & config.keys()}
        cell = CELLS.get(str(config.get("cell")))
        own = cell.options if cell is not None else {}
        config["options"] = {name: value for name, value in flat.items() if name in own}
    return config


def with_added_metrics(meta: dict[str, Any]) -> dict[str, Any]:
    """Rows and sums as they are today, from those of an older file: nothing is known of clips."""
    rows, tally = meta.get("rows"), meta.get("tally")
    if isinstance(rows, list):
        older = [isinstance(row, list) and len(row) == CELLS_OF_OLDER_ROWS for row in rows]
        rows = [[*row, None] if old else row for row, old in zip(rows, older, strict=True)]
    if isinstance(tally, dict):
        tally = {"clipped": 0, **tally}
    return meta | {name: value for name, value in (("rows", rows), ("tally", tally)) if value}


# --- back to life ------------------------------------------------------------------------------


def restore_model(checkpoint: Checkpoint) -> LanguageModel:
    """The model of a checkpoint, ready to evaluate, sample or train.

    Raises
    ------
    CheckpointError
        If settings, vocabulary and arrays do not belong together, or a parameter is not finite.
        Sizes are held against the arrays before any memory is taken.
    """
    if not isinstance(checkpoint, Checkpoint):
        got = type(checkpoint).__name__
        raise TypeError(f"restore_model: checkpoint must be what load(path) returns, got {got}")
    config, V = checkpoint.config, len(checkpoint.vocabulary)
    parameters = checkpoint.group("parameters")
    with fitting_together(checkpoint.path):
        check_shapes(parameters, parameter_shapes(config, V))
        model = build_model(config, V)
        model.load_state_dict(parameters)
        model.rng.bit_generator.state = checkpoint.meta["rng"]
        model.freeze(checkpoint.meta["frozen"])
    return model


def restore_run(checkpoint: Checkpoint) -> Run:
    """The run of a checkpoint, at the update where it was saved.

    Raises
    ------
    CheckpointError
        As `restore_model`, and for the momentum and the recurrent state.
    """
    model = restore_model(checkpoint)
    config, meta = checkpoint.config, checkpoint.meta
    with fitting_together(checkpoint.path):
        optimizer = OPTIMIZERS[config.optimizer].from_config(model.parameters(), config)
        restore_memory(optimizer, checkpoint.group("optimizer") | old_velocity(checkpoint))
        optimizer.steps = meta["step"]
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


def old_velocity(checkpoint: Checkpoint) -> dict[str, NDArray[Any]]:
    """The momentum where version 1 has it."""
    return {f"velocity/{path}": array for path, array in checkpoint.group("velocity").items()}


def restore_memory(optimizer: Optimizer, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Copy back what the optimiser remembers; names, paths and shapes must be its own."""
    own = {
        f"{name}/{path}": array
        for name, kept in optimizer.memory.items()
        for path, array in kept.items()
    }
    for name in [*own, *arrays]:
        if (
            name not in own
            or name not in arrays
            or own[name].shape != arrays[name].shape
            or own[name].dtype != arrays[name].dtype
        ):
            raise ValueError(f"the {name.partition('/')[0]} arrays are not those of its parameters")
    for name, array in arrays.items():
        memory, _, path = name.partition("/")
        check_finite(memory, path, array)
        own[name][...] = array


def restore_state(model: LanguageModel, batch_size: int, arrays: Mapping[str, Any]) -> State:
    """The recurrent state; it must have the shape of the model's."""
    one = model.zero_state(1)
    L, _, H = one.h.shape
    shapes = dict.fromkeys(one._fields, ((L, batch_size, H), one.h.dtype))
    if shapes != {field: (v.shape, v.dtype) for field, v in arrays.items()}:
        raise ValueError("the state arrays are not those of its model")
    for field, array in arrays.items():
        check_finite("state", field, array)
    return type(one)(**{field: arrays[field].copy() for field in shapes})
