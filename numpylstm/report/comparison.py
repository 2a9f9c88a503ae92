"""Several runs side by side: the settings in which they differ, and their results."""

from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple

from numpylstm.config import DATA, setting_names
from numpylstm.report.findings import Finding, last_is_better
from numpylstm.report.result import read_result
from numpylstm.saving import CheckpointError
from numpylstm.training.checkpoint import rows_of
from numpylstm.training.metrics import Row, best_row
from numpylstm.training.run_folder import RunFolderError, load_last


class ComparedRun(NamedTuple):
    """A run as its folder describes it: `valid` and `test` are perplexities, None if not known.

    `valid` is the lowest, reached in `epoch`; the settings include the options of the cell, and the
    fingerprint is that of the text.
    """

    name: str
    settings: dict[str, Any]
    rows: list[Row]
    valid: float
    epoch: int
    test: float | None
    tokens_per_second: float | None
    fingerprint: str
    better: Finding | None = None  # if its last network is better than its best checkpoint


def read_run(folder: Path, name: str) -> ComparedRun:
    """Read the folder of a run, finished or not, with at least one finished epoch."""
    saved = load_last(folder)
    rows = rows_of(saved)
    epochs = saved.meta["epoch"]
    if not isinstance(epochs, int):
        raise CheckpointError(f"{saved.path} is inconsistent: epoch {epochs!r}")
    best = best_row(rows, epochs)
    if best is None or best.valid_perplexity is None:
        raise RunFolderError(
            f"{folder}: this run has no validation yet; it has one after its first epoch"
        )
    result: dict[str, Any] = read_result(folder) or {}
    if result.get("steps") != rows[-1].step:
        result = {}  # it is older: the run has continued since
    return ComparedRun(
        name=name,
        settings=saved.config.flattened(),
        rows=rows,
        valid=best.valid_perplexity,
        epoch=best.epoch,
        test=result.get("test", {}).get("perplexity"),
        tokens_per_second=result.get("time", {}).get("tokens_per_second"),
        fingerprint=str(saved.meta["fingerprint"]),
        better=last_is_better(rows, epochs),
    )


def differences(runs: Sequence[ComparedRun]) -> list[str]:
    """Return the settings that are not the same in all runs, in their usual order."""
    names = dict.fromkeys(name for run in runs for name in run.settings)
    return [name for name in names if len({repr(run.settings.get(name)) for run in runs}) > 1]


def experiments(runs: Sequence[ComparedRun]) -> list[int]:
    """Return a number for each run, equal for runs that differ in seed and logging only."""
    numbers: dict[str, int] = {}
    apart = {*setting_names(experiment=False), *setting_names(group=DATA)}
    keys = (
        run.fingerprint + repr(sorted((k, v) for k, v in run.settings.items() if k not in apart))
        for run in runs
    )
    return [numbers.setdefault(key, len(numbers)) for key in keys]


def mean_and_spread(values: Sequence[float | None]) -> str:
    """Format ``44.21 ± 0.31``: mean and sample standard deviation of the known values."""
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    spread = f" ± {stdev(known):.2f}" if len(known) > 1 else ""
    return f"{mean(known):.2f}{spread}"


def table_of_runs(runs: Sequence[ComparedRun]) -> list[list[str]]:
    """Return titles, and for each run the settings in which it differs, and its results."""
    different = differences(runs)
    head = ["run", *different, "last epoch", "valid", "best epoch", "test", "tokens/s"]
    rows = [
        [
            run.name,
            *(shown(run.settings.get(name)) for name in different),
            str(run.rows[-1].epoch),
            f"{run.valid:.2f}",
            str(run.epoch),
            shown(run.test, ".2f"),
            shown(run.tokens_per_second, ",.0f"),
        ]
        for run in runs
    ]
    return [head, *rows]


def table_of_seeds(runs: Sequence[ComparedRun]) -> list[list[str]] | None:
    """Return each experiment that was made with several seeds; None if there is none."""
    by_seed: dict[int, dict[Any, ComparedRun]] = {}
    for run, number in zip(runs, experiments(runs), strict=True):
        by_seed.setdefault(number, {}).setdefault(run.settings.get("seed"), run)
    groups = [list(found.values()) for found in by_seed.values()]
    if max(map(len, groups)) == 1:
        return None
    rows = [
        [
            ", ".join(run.name for run in group),
            str(len(group)),
            mean_and_spread([run.valid for run in group]),
            mean_and_spread([run.test for run in group]),
        ]
        for group in groups
    ]
    return [["runs", "seeds", "valid", "test"], *rows]


def shown(value: Any, form: str = "") -> str:
    """Format a value in a table; None is a dash."""
    return "-" if value is None else format(value, form)
