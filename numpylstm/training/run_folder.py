"""The folder of a run: its names, its lock, its files.

The page "Read a run folder" (``docs/how-to/run-folder.md``) describes each file. `write_initial`
and `save` write the run, `load_last` reads the checkpoint to resume from.
"""

import csv
import io
import itertools
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

from numpylstm.config import setting_names
from numpylstm.errors import NumpylstmError
from numpylstm.saving import CheckpointError, write_text
from numpylstm.training import checkpoint
from numpylstm.training.loop import Run
from numpylstm.training.metrics import Row

try:
    import fcntl
except ImportError:  # Windows has no locks that end with their process
    fcntl = None  # type: ignore[assignment]

SETTINGS = CONFIG, VOCABULARY = "config.json", "vocabulary.json"
CHECKPOINTS = LAST, BEST = "last.npz", "best.npz"
TABLES = METRICS, GRADIENTS = "metrics.csv", "gradients.csv"
PICTURES = CURVES, GRADIENT_MAP = "curves.png", "gradients.png"
TEXTS = SAMPLES, SAMPLE = "samples.json", "sample.txt"
RECORDS = RESULT, REPORT, LOG = "result.json", "report.html", "log.txt"
"""Files that contain dates and times. All others are the same bytes if a run is repeated."""
FILES = (*SETTINGS, *CHECKPOINTS, *TABLES, *PICTURES, *TEXTS, *RECORDS)


class RunFolderError(NumpylstmError, ValueError):
    """A folder that cannot hold a new run, or holds none."""


@contextmanager
def locked(folder: Path) -> Iterator[Path]:
    """Lock a folder, so that no other process trains there at the same time.

    Temporary files of killed processes are then removed. The lock always ends with the process and
    leaves no file behind. Some systems and file systems have no locks; there is no protection then.
    A link in place of a file of the run is refused, since a run folder from somebody else could
    write anywhere through it.
    """
    for name in FILES:
        if (folder / name).is_symlink():
            raise RunFolderError(f"{folder / name} is a link; remove it, or copy its target here")
    if not folder.is_dir():
        raise RunFolderError(f"{folder} is not a folder; name the folder of a run")
    descriptor = None if fcntl is None else os.open(folder, os.O_RDONLY)
    try:
        if descriptor is not None:
            lock(folder, descriptor)
        for name in FILES:
            for path in folder.glob(f".{name}.{8 * '[0-9a-f]'}.tmp"):
                path.unlink()
        yield folder
    finally:
        if descriptor is not None:
            os.close(descriptor)


def lock(folder: Path, descriptor: int) -> None:
    """Lock an open folder until it is closed; raise a RunFolderError if another process did."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise RunFolderError(
            f"{folder} is in use: another process trains there; stop it first, or wait"
        ) from None
    except OSError:
        pass  # a network disk without locks


@contextmanager
def create(path: Path | None, name: str) -> Iterator[Path]:
    """Make and lock the folder of a new run, which must be new or empty.

    Without a path it is the first of ``runs/NAME-1``, ``runs/NAME-2``, ... that does not exist.
    """
    parent = Path("runs")
    try:
        numbers = itertools.count(1)
        while path is None:
            parent.mkdir(exist_ok=True)
            with suppress(FileExistsError):
                numbered = parent / f"{name}-{next(numbers)}"
                numbered.mkdir()
                path = numbered
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunFolderError(f"{path or parent} cannot be used: {error.strerror}") from error
    with locked(path):
        if any(path.iterdir()):
            advice = "name a new folder"
            if (path / LAST).exists():
                advice += ", or resume its run"
            raise RunFolderError(f"{path} is not empty; {advice}")
        yield path


def write_initial(folder: Path, run: Run) -> None:
    """Save the run before its next update here, with its settings and vocabulary."""
    checkpoint.save(run, folder / LAST)
    write_text(folder / CONFIG, json.dumps(run.config.to_dict(), indent=2) + "\n")
    tokens = json.dumps(run.vocabulary.tokens, ensure_ascii=False, indent=0)
    write_text(folder / VOCABULARY, tokens + "\n")


def save(folder: Path, run: Run) -> None:
    """Write the best checkpoint, if the run has just become the best, the metrics, and the last.

    The last checkpoint is written last: a run killed before that repeats the rest.
    """
    if run.last_is_best:
        checkpoint.save(run, folder / BEST, parameters=run.better_parameters)
    write_metrics(folder, run)
    checkpoint.save(run, folder / LAST)


def write_metrics(folder: Path, run: Run) -> None:
    """Write the rows of a run so far."""
    if run.rows:
        write_rows(folder / METRICS, Row._fields, run.rows)


def load_last(folder: Path) -> checkpoint.Checkpoint:
    """Load the checkpoint to resume from."""
    if not (folder / LAST).exists():
        raise RunFolderError(f"{folder} holds no {LAST}; name the folder of a run")
    try:
        return checkpoint.load(folder / LAST)
    except CheckpointError as error:
        if (folder / BEST).exists():
            error.add_note(f"copy {BEST} over it to continue from the best epoch")
        raise


def checkpoint_of(path: Path) -> Path:
    """Return `best.npz` of a run's folder, or the path of a checkpoint itself."""
    if not path.is_dir():
        return path
    if (path / BEST).exists():
        return path / BEST
    advice = "name the folder of a run, or a checkpoint in it"
    if (path / LAST).exists():
        advice = f"no epoch of its run has ended yet, so name {path / LAST}"
    raise RunFolderError(f"{path} holds no {BEST}; {advice}")


def with_current_texts(saved: checkpoint.Checkpoint, path: Path) -> checkpoint.Checkpoint:
    """Return the best checkpoint of a run's folder with the paths of its text in the last one."""
    if not (path / LAST).exists():
        return saved
    now = checkpoint.load(path / LAST).config  # the text may have moved since
    moved = {name: getattr(now, name) for name in setting_names(text=True)}
    return replace(saved, config=replace(saved.config, **moved))


@contextmanager
def reading(path: Path, content: str) -> Iterator[TextIO]:
    """Open a file of a run folder; raise a RunFolderError if it does not hold its `content`."""
    try:
        with path.open(encoding="utf-8") as file:
            yield file
    except Exception as error:  # the readers raise whatever the text leads to
        reason = "it was damaged or changed"
        if isinstance(error, OSError):
            reason = error.strerror or reason
        raise RunFolderError(f"{path} does not hold {content}: {reason}") from error


def write_rows(path: Path, fields: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write rows as CSV, with a header; floats in full, so that equal runs give equal bytes."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(fields)
    writer.writerows(rows)  # None is an empty cell
    write_text(path, text.getvalue())
