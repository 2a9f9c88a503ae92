"""The folder of a run: what is written there, and when.

===================  ==========================================================
``config.json``      the settings
``vocabulary.json``  the tokens in the order of their ids
``metrics.csv``      a row every so many updates; `numpylstm.training.Row`
``curves.png``       the same as a picture
``gradients.csv``    with ``--log-gradients``; `numpylstm.gradient_log.GradientRow`
``gradients.png``    the same as a picture
``last.npz``         the checkpoint to resume from
``best.npz``         the checkpoint of the epoch with the lowest validation loss
===================  ==========================================================
"""

import csv
import io
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from numpylstm import checkpoint
from numpylstm.checkpoint import write_atomically
from numpylstm.plots import training_curves
from numpylstm.training import Row, Run

try:
    import fcntl
except ImportError:  # Windows has no locks that end with their process
    fcntl = None  # type: ignore[assignment]

CONFIG, VOCABULARY, METRICS, CURVES = "config.json", "vocabulary.json", "metrics.csv", "curves.png"
LAST, BEST = "last.npz", "best.npz"


class RunFolderError(ValueError):
    """A folder that cannot take a run, or holds none."""


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep other processes out: two that write one run would mix their files.

    The lock is the system's and ends with the process, however that ends; nothing is left behind.
    Where the system or the disk has none, nobody is kept out.
    """
    if fcntl is None or not folder.is_dir():
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunFolderError(
                f"{folder} is in use: another process trains there; stop it first, or wait"
            ) from None
        except OSError:
            pass  # a network disk without locks
        yield
    finally:
        os.close(descriptor)


def create(path: Path) -> Path:
    """Make the folder of a new run; one that holds anything is refused."""
    try:
        if path.exists() and not path.is_dir():
            raise RunFolderError(f"--out {path} is a file; name a folder that is new or empty")
        path.mkdir(parents=True, exist_ok=True)
        with held(path):
            checkpoint.remove_leftovers(path)  # of a run that was killed before its first save
            if any(path.iterdir()):
                advice = f", or continue its run with --resume {path}" * (path / LAST).exists()
                raise RunFolderError(f"--out {path} is not empty; name a new folder{advice}")
    except OSError as error:
        raise RunFolderError(f"--out {path} cannot be used: {error.strerror}") from error
    return path


def next_free(parent: Path, name: str) -> Path:
    """The first of ``NAME-1``, ``NAME-2``, ... that is not there."""
    number = 1
    while (parent / f"{name}-{number}").exists():
        number += 1
    return parent / f"{name}-{number}"


def begin(folder: Path, run: Run) -> None:
    """Write the run as it is before its first update, or goes on; its settings and vocabulary."""
    save_last(folder, run)
    write_text(folder / CONFIG, json.dumps(run.config.to_dict(), indent=2) + "\n")
    tokens = json.dumps(list(run.vocabulary.tokens), ensure_ascii=False, indent=0)
    write_text(folder / VOCABULARY, tokens + "\n")


def save_epoch(folder: Path, run: Run, references: Sequence[tuple[str, float]] = ()) -> None:
    """Write the curves, the best checkpoint if this is one, the metrics and the last checkpoint.

    The last checkpoint is written last: a run that is killed before it makes the rest again.
    """
    figure = training_curves(run.rows, clip=run.config.clip, references=references)
    write_atomically(folder / CURVES, lambda file: figure.savefig(file, format="png"))
    if run.last_is_best:
        checkpoint.save(run, folder / BEST)
    save_last(folder, run)


def save_last(folder: Path, run: Run) -> None:
    """Write the metrics so far, and the checkpoint to resume from."""
    if run.rows:
        write_metrics(folder / METRICS, run.rows)
    checkpoint.save(run, folder / LAST)


def load_last(folder: Path) -> checkpoint.Checkpoint:
    """The checkpoint to resume from."""
    if not folder.is_dir():
        raise RunFolderError(f"--resume {folder} is not a folder; name the folder of a run")
    if not (folder / LAST).exists():
        raise RunFolderError(f"--resume {folder} holds no {LAST}; the run was never saved")
    checkpoint.remove_leftovers(folder)  # of a process that was killed in a save
    return checkpoint.load(folder / LAST)


def write_metrics(path: Path, rows: Sequence[Row]) -> None:
    """The rows as CSV, with a header; every float in full, so that equal runs give equal bytes."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Row._fields)
    writer.writerows(["" if value is None else value for value in row] for row in rows)
    write_text(path, text.getvalue())


def write_text(path: Path, text: str) -> None:
    """UTF-8, atomically."""
    write_atomically(path, lambda file: file.write(text.encode()))
