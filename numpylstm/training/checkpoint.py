"""Checkpoints: a whole run in one `.npz` file, without pickles, with a checksum.

The arrays are ``parameters/PATH``, ``optimizer/velocity/PATH`` and the like, ``state/h`` and
``state/c``; `META_ENTRIES` lists the rest. `numpylstm.saving` writes and reads such files, and the
page "The checkpoint file" (``docs/checkpoint-format.md``) describes them for other programs.
"""

import math
import sys
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numpylstm.checks import check_array, check_finite
from numpylstm.config import TrainConfig
from numpylstm.data import Vocabulary
from numpylstm.models import LanguageModel
from numpylstm.optim import OPTIMIZERS
from numpylstm.parameters import parameter_shapes
from numpylstm.saving import (
    CheckpointError,
    check_shapes,
    file_path,
    fitting_together,
    read_arrays,
    within,
    write_arrays,
)
from numpylstm.training.loop import Run, check_parameters
from numpylstm.training.metrics import Row, Tally

FORMAT, VERSION = "numpylstm checkpoint", 2
PLAIN = ("fingerprint", "epoch", "window", "step", "valid_losses")  # of a run, stored as they are


@dataclass(frozen=True)
class Checkpoint:
    """The verified content of a checkpoint: arrays by member name, and `meta` with its objects."""

    path: Path
    arrays: Mapping[str, NDArray[Any]]
    meta: Mapping[str, Any]
    config: TrainConfig
    vocabulary: Vocabulary


def save(run: Run, path: str | Path) -> None:
    """Write a run to a file, which is replaced atomically.

    Raises
    ------
    TypeError
        If the optimiser does not agree with the settings.
    TrainingFailed, NotFinite
        If a number is not finite: `load` would refuse the file, so the older one is kept.
    SaveError
        If the file cannot be written; an older file of that name is then unchanged.
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
    for name, array in arrays.items():  # frozen parameters and the state too
        check_finite("save", name, array)
    meta = {
        "format": FORMAT,
        "version": VERSION,
        "config": run.config.to_dict(),
        "vocabulary": list(run.vocabulary.tokens),
        **{name: getattr(run, name) for name in PLAIN},
        "rows": [list(row) for row in run.rows],
        "tally": asdict(run.tally),
        "rng": run.model.rng.bit_generator.state,
        "frozen": [path for path, parameter in parameters.items() if not parameter.trainable],
    }
    write_arrays(path, arrays, meta)


# --- reading -----------------------------------------------------------------------------------


def load(path: str | Path) -> Checkpoint:
    """Read and verify a checkpoint. Nothing in the file is executed.

    Raises
    ------
    CheckpointError
        If the file is not a whole checkpoint of a version that this program reads.
    OSError
        If the file cannot be read.
    """
    path = file_path("load", path)
    arrays, meta = read_arrays(path, FORMAT, VERSION)
    check_meta(path, meta)
    try:
        config = TrainConfig(**meta["config"])
        vocabulary = Vocabulary(tuple(meta["vocabulary"]))
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path} holds impossible settings: {error}") from error
    return Checkpoint(path, arrays, meta, config, vocabulary)


Check = Callable[[Any], bool]  # returns True for a value from JSON that is accepted


def is_count(value: Any) -> bool:
    """Accept a whole number from 0 that int64 can hold."""
    return type(value) is int and 0 <= value < 2**63


def is_text(value: Any) -> bool:
    """Accept a string that UTF-8 can encode: one without lone surrogates."""
    return isinstance(value, str) and value == value.encode(errors="ignore").decode()


def is_object(value: Any) -> bool:
    """Accept a JSON object."""
    return isinstance(value, dict)


def number(least: float, most: float) -> Check:
    """Accept a number within bounds, and so a finite one."""
    return lambda value: type(value) in (int, float) and least <= value <= most


def list_of(accepts: Check) -> Check:
    """Accept a list of accepted values."""
    return lambda value: isinstance(value, list) and all(map(accepts, value))


LARGEST = sys.float_info.max
is_number, is_share = number(-LARGEST, LARGEST), number(0, 1)
is_sum = number(-1e300, 1e300)  # further sums stay finite
is_loss = number(-0.1, math.nextafter(709, 0))  # rounding can take it below 0; exp is finite
is_perplexity = number(math.exp(-0.1), LARGEST)

ROW: dict[str, Check] = {
    "epoch": is_count, "step": is_count, "lr": is_number, "cost": is_sum,
    "perplexity": is_perplexity, "accuracy": is_share, "gradient_norm": is_sum,
    "valid_perplexity": is_perplexity, "valid_accuracy": is_share, "clipped": is_share,
}  # fmt: skip
TALLY: dict[str, Check] = {
    field.name: is_count if field.type is int else is_sum for field in fields(Tally)
}


def is_row(value: Any) -> bool:
    """Accept a row of metrics; the cells of a validation may be empty."""
    return (
        isinstance(value, list)
        and len(value) == len(ROW)
        and all(
            accepts(cell) or (cell is None and name.startswith("valid_"))
            for cell, (name, accepts) in zip(value, ROW.items(), strict=True)
        )
    )


def is_list_of_rows(value: Any) -> bool:
    """Accept rows of metrics in order: steps go up, epochs do not go down."""
    return list_of(is_row)(value) and all(
        epoch <= next_epoch and step < next_step
        for (epoch, step), (next_epoch, next_step) in pairwise(
            [(1, 0), *(row[:2] for row in value)]
        )
    )


def is_tally(value: Any) -> bool:
    """Accept the sums of a `Tally` that updates can have."""
    if not is_object(value) or value.keys() != TALLY.keys():
        return False
    if not all(accepts(value[name]) for name, accepts in TALLY.items()):
        return False
    tally = Tally(**value)
    if tally.steps == 0:
        return tally == Tally()
    return (
        max(tally.steps, tally.correct) <= tally.tokens
        and tally.clipped <= tally.steps
        and is_loss(tally.nll / tally.tokens)
    )


META_ENTRIES: dict[str, tuple[str, Check]] = {
    "config": ("an object", is_object),
    "vocabulary": ("a list of texts", list_of(is_text)),
    "fingerprint": ("a text", is_text),
    "epoch": ("a whole number from 0", is_count),
    "window": ("a whole number from 0", is_count),
    "step": ("a whole number from 0", is_count),
    "valid_losses": ("a list of losses", list_of(is_loss)),
    "rows": (f"a list of rows of {len(ROW)} cells, steps going up", is_list_of_rows),
    "tally": ("an object with the sums since the last row", is_tally),
    "rng": ("an object", is_object),
    "frozen": ("a list of texts", list_of(is_text)),
}
"""The entries of the JSON object in ``meta``, besides format and version."""


def check_meta(path: Path, meta: Mapping[str, Any]) -> None:
    """Raise a CheckpointError unless all entries of ``meta`` are there and agree."""
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
            f"{path}: meta entry 'step' must be the last update, got {meta['step']} in "
            f"epoch {meta['epoch'] + 1}, but other entries are further"
        )


# --- restoring ---------------------------------------------------------------------------------


def restore_model(checkpoint: Checkpoint) -> LanguageModel:
    """Make the model of a checkpoint, ready to evaluate, sample or train.

    Raises
    ------
    CheckpointError
        If settings, vocabulary and arrays do not agree, or a parameter is not finite. Sizes are
        compared with the arrays before any memory is taken.
    """
    if not isinstance(checkpoint, Checkpoint):
        got = type(checkpoint).__name__
        raise TypeError(f"restore_model: checkpoint must be what load(path) returns, got {got}")
    config, V = checkpoint.config, len(checkpoint.vocabulary)
    parameters = within("parameters", checkpoint.arrays)
    with fitting_together(checkpoint.path):
        check_shapes(parameters, parameter_shapes(config, V))
        model = LanguageModel.from_config(config, V)
        model.load_state_dict(parameters)
        model.rng.bit_generator.state = checkpoint.meta["rng"]
        model.freeze(checkpoint.meta["frozen"])
    return model


def restore_run(checkpoint: Checkpoint) -> Run:
    """Make the run of a checkpoint, at the update where it was saved.

    Raises
    ------
    CheckpointError
        As `restore_model`, and for the optimiser's memory and the recurrent state.
    """
    model = restore_model(checkpoint)
    config, meta = checkpoint.config, checkpoint.meta
    arrays = within("optimizer", checkpoint.arrays)
    kept, one = within("state", checkpoint.arrays), model.zero_state(1)
    L, _, H = one.h.shape
    with fitting_together(checkpoint.path):
        optimizer = OPTIMIZERS[config.optimizer].from_config(model.parameters(), config)
        for name in {*optimizer.memory, *(path.partition("/")[0] for path in arrays)}:
            own, found = optimizer.memory.get(name, {}), within(name, arrays)
            check_group(name, found, {path: (a.shape, a.dtype) for path, a in own.items()})
            for path, array in found.items():
                own[path][...] = array
        optimizer.steps = meta["step"]
        of_state = (L, config.batch_size, H), one.h.dtype
        check_group("state", kept, dict.fromkeys(one._fields, of_state))
        return Run(
            config=config,
            vocabulary=checkpoint.vocabulary,
            model=model,
            optimizer=optimizer,
            state=type(one)(**{field: array.copy() for field, array in kept.items()}),
            rows=[Row(*row) for row in meta["rows"]],
            tally=Tally(**meta["tally"]),
            **{name: copy(meta[name]) for name in PLAIN},
        )


def check_group(
    group: str,
    arrays: Mapping[str, NDArray[Any]],
    expected: Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]],
) -> None:
    """Raise a ValueError unless these are the arrays of a group, by shape and dtype, and finite."""
    if arrays.keys() != expected.keys():
        raise ValueError(f"the {group} arrays do not match the model")
    for path, array in arrays.items():
        check_array(group, path, array, *expected[path])
        check_finite(group, path, array)
