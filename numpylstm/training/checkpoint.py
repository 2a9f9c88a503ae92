"""Checkpoints: a whole run in one `.npz` file, without pickles.

The arrays are ``parameters/PATH``, ``optimizer/velocity/PATH`` and the like, ``state/h`` and
``state/c``, and ``parts/NAME/...`` of each callback of the run. `numpylstm.saving` writes and
reads such files, and the page "The checkpoint file" (``docs/checkpoint-format.md``) describes them
for other programs.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from numpylstm.checks import (
    Array,
    check_array,
    check_finite,
    check_interval,
    check_kind,
    check_whole,
)
from numpylstm.config import TrainConfig
from numpylstm.data import Vocabulary
from numpylstm.errors import RATE_TOO_HIGH
from numpylstm.models import LanguageModel
from numpylstm.optim import OPTIMIZERS
from numpylstm.saving import fitting_together, make_model, read_arrays, within, write_arrays
from numpylstm.training.loop import Arrays, Run
from numpylstm.training.metrics import LARGEST_COUNT, OPTIONAL, RANGES, Row, Tally

FORMAT, VERSION = "numpylstm checkpoint", 3
READABLE_VERSIONS = (2, 3)  # the versions that can be read
FIRST_COLUMNS = (
    "epoch",
    "step",
    "lr",
    "cost",
    "perplexity",
    "accuracy",
    "gradient_norm",
    "valid_perplexity",
    "valid_accuracy",
    "clipped",
)
"""The columns of rows in files that do not name them. New columns are not added here."""


@dataclass(frozen=True)
class Checkpoint:
    """The content of a checkpoint: arrays by member name, and `meta` with its objects."""

    path: Path
    arrays: Arrays
    meta: Mapping[str, Any]
    config: TrainConfig
    vocabulary: Vocabulary


def save(run: Run, path: str | Path, *, parameters: Arrays | None = None) -> None:
    """Write a run to a file, which is replaced atomically.

    Parameters
    ----------
    run : Run
    path : str or Path
    parameters : dict of path -> array, optional
        Stored in place of those of the model.

    Raises
    ------
    TypeError
        If the optimiser does not agree with the settings.
    NotFinite
        If a number is not finite: it would be of no use, so the older file is kept.
    SaveError
        If the file cannot be written; an older file of that name is then unchanged.
    """
    check_kind("save", "run", run, Run, "save_model is for models")
    kind = OPTIMIZERS[run.config.optimizer]
    because = "name it with TrainConfig(optimizer=...)"
    check_kind("save", "run.optimizer", run.optimizer, kind, because)
    run.optimizer.add_unfrozen()
    parameters = parameters or run.model.state_dict()
    arrays = {f"parameters/{path}": array for path, array in parameters.items()} | run_arrays(run)
    for name, array in arrays.items():
        check_finite("save", name, array, f"at step {run.step}; usually {RATE_TOO_HIGH}")
    meta = {
        "format": FORMAT,
        "version": VERSION,
        "config": run.config.to_dict(),
        "vocabulary": run.vocabulary.tokens,
        "fingerprint": run.fingerprint,
        "epoch": run.epoch,
        "window": run.window,
        "step": run.step,
        "valid_losses": run.valid_losses,
        "columns": Row._fields,
        "rows": run.rows,
        "tally": asdict(run.tally),
        "rng": run.model.rng.bit_generator.state,
        "frozen": [path for path, p in run.model.all_parameters().items() if not p.trainable],
        "joined": run.optimizer.unfrozen_at,
        "lr_factors": run.optimizer.lr_factors,
    }
    write_arrays(path, arrays, meta)


def load(path: str | Path) -> Checkpoint:
    """Read a checkpoint. Nothing in the file is executed.

    Raises
    ------
    CheckpointError
        If the file is not a whole checkpoint of a version that this program reads.
    OSError
        If the file cannot be read.
    """
    path = Path(path)
    arrays, meta = read_arrays(path, FORMAT, READABLE_VERSIONS)
    with fitting_together(path):
        settings = dict(meta["config"])
        if meta["version"] == 2 and settings["schedule"] == "plateau":
            settings["constant_epochs"] = None  # it was stored, and had no effect
        config = TrainConfig(**settings)
        vocabulary = Vocabulary(meta["vocabulary"])
    return Checkpoint(path, arrays, meta, config, vocabulary)


def restore_model(checkpoint: Checkpoint) -> LanguageModel:
    """Make the model of a checkpoint, ready to evaluate, sample or train.

    Raises
    ------
    CheckpointError
        If settings, vocabulary and arrays do not agree, or a parameter is not finite. Sizes are
        compared with the arrays before any memory is taken.
    """
    check_kind("restore_model", "checkpoint", checkpoint, Checkpoint, "load(path) returns one")
    config = checkpoint.config
    V = len(checkpoint.vocabulary)
    parameters = within("parameters", checkpoint.arrays)
    with fitting_together(checkpoint.path):
        model: LanguageModel = make_model(LanguageModel, config, parameters, vocab_size=V)
        model.rng.bit_generator.state = checkpoint.meta["rng"]
        model.freeze(checkpoint.meta["frozen"])
    return model


def restore_run(checkpoint: Checkpoint) -> Run:
    """Make the run of a checkpoint, at the update where it was saved.

    Raises
    ------
    CheckpointError
        As `restore_model`, and for the optimiser's state, the recurrent state and callbacks.
    """
    model = restore_model(checkpoint)
    config = checkpoint.config
    meta = checkpoint.meta
    with fitting_together(checkpoint.path):
        run = Run.begin(config, checkpoint.vocabulary, str(meta["fingerprint"]), model)
        for name, array in run_arrays(run).items():
            if name not in checkpoint.arrays:
                raise ValueError(f"{name} is missing")
            saved = checkpoint.arrays[name]
            check_array("checkpoint", name, saved, array.shape, array.dtype)
            check_finite("checkpoint", name, saved)
            np.copyto(array, saved)
        for name in ("epoch", "window", "step"):
            setattr(run, name, check_whole("checkpoint", name, meta[name], 0, LARGEST_COUNT))
        run.optimizer.steps = run.step
        run.optimizer.scale_lr(meta.get("lr_factors", {}))
        for path, step in meta.get("joined", {}).items():
            if path not in model.all_parameters():
                raise ValueError(f"joined has the unknown path {path!r}")
            check_whole("checkpoint", f"joined of {path}", step, 0, run.step)
            run.optimizer.unfrozen_at[path] = step
        for loss in meta["valid_losses"]:
            check_interval("checkpoint", "valid_losses", loss, "[0, inf)")
            run.valid_losses.append(float(loss))
        run.rows = rows_of(checkpoint)
        run.tally = Tally(**meta["tally"])
        check_counts(run)
    return run


def rows_of(checkpoint: Checkpoint) -> list[Row]:
    """Return the rows of metrics of a run; a CheckpointError refuses numbers out of range."""
    with fitting_together(checkpoint.path):
        columns = checkpoint.meta.get("columns", FIRST_COLUMNS)
        rows = []
        for values in checkpoint.meta["rows"]:
            if len(values) > len(columns):
                raise ValueError(f"a row has {len(values)} values for {len(columns)} columns")
            rows.append(Row(**dict(zip(columns, values, strict=False))))
        for row in rows:
            for name, interval in RANGES.items():
                value = getattr(row, name)
                if value is not None or name not in OPTIONAL:
                    check_interval("checkpoint", f"{name} of a row", value, interval)
        for before, after in pairwise(rows):
            if not (before.step < after.step and before.epoch <= after.epoch):
                raise ValueError(f"its rows are not in order, at step {after.step}")
    return rows


def check_counts(run: Run) -> None:
    """Raise a ValueError unless the counts of a run agree with each other."""
    for name, value in asdict(run.tally).items():
        check_interval("checkpoint", f"{name} of the tally", value, "[0, inf)")
    last = run.rows[-1].step if run.rows else 0
    since = run.step - last  # updates after the last row
    if len(run.valid_losses) != run.epoch or not 0 <= since <= run.tally.steps:
        raise ValueError(
            f"its counts do not agree: {run.epoch} epochs with {len(run.valid_losses)} validation "
            f"losses, {run.step} updates with {run.tally.steps} after the row of update {last}"
        )
    if run.tally.tokens < run.tally.steps:
        raise ValueError("its tally has updates without tokens")


def run_arrays(run: Run) -> dict[str, Array]:
    """Return the arrays of a run itself besides its parameters, by the names of their members."""
    arrays: dict[str, Array] = {}
    for name, by_path in run.optimizer.state.items():
        for path in run.model.parameters():  # in their order, also of one that was unfrozen
            if path in by_path:
                arrays[f"optimizer/{name}/{path}"] = by_path[path]
    for name, array in run.state._asdict().items():
        arrays[f"state/{name}"] = array
    for callback, of_callback in run.callbacks.items():
        for name, array in of_callback.state_dict().items():
            arrays[f"parts/{callback}/{name}"] = array
    return arrays
