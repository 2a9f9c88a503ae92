"""Resume a run in its folder, or fine-tune another; train it to the end and save it regularly."""

import math
import os
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from numpylstm.cells import CELLS
from numpylstm.config import ConfigError, TrainConfig, settings_with, updated
from numpylstm.data import Corpus, num_batches
from numpylstm.data.configured import load_corpus, load_same_text, splits_punctuation
from numpylstm.printing import printable
from numpylstm.training import parallel, run_folder, sample_log
from numpylstm.training.checkpoint import load, restore_model, restore_run
from numpylstm.training.display import Progress, Timing
from numpylstm.training.gradient_log import GradientLog
from numpylstm.training.loop import (
    Run,
    TrainingFailed,
    check_corpus,
    check_parameters,
    new_run,
    train,
)
from numpylstm.training.metrics import Row, Step
from numpylstm.training.schedules import PLANNED
from numpylstm.training.signals import Stopped, stop_requests


def resume(folder: Path, changes: Mapping[str, Any]) -> tuple[Run, Corpus]:
    """Return the run in a folder, at the update where it was saved, and its text.

    `changes` are settings that are ``resumable``; another one raises ConfigError. A text that has
    moved must be the same text.
    """
    run = restore_run(run_folder.load_last(folder))
    change_settings(run, changes)
    corpus = load_same_text(run.config, run.vocabulary, run.fingerprint)
    check_corpus(run.config, corpus)
    return run, corpus


def change_settings(run: Run, changes: Mapping[str, Any]) -> None:
    """Change settings of a run that continues; raise a ConfigError if that cannot be."""
    free = settings_with(resumable=True)
    if fixed := sorted(changes.keys() - free):
        *others, last = (f"--{name.replace('_', '-')}" for name in sorted(free))
        raise ConfigError(
            fixed[0],
            "cannot change in a resumed run: it would no longer be the run that was started; only "
            f"{', '.join(others)} and {last} can",
        )
    for name, done in (("epochs", run.epoch), ("steps", run.step)):
        if changes.get(name, done) < done:
            raise ConfigError(name, f"must be at least {done}, which are done; got {changes[name]}")
    schedule, epochs = run.config.schedule, run.config.epochs
    if schedule in PLANNED and changes.get("epochs", epochs) != epochs:
        raise ConfigError(
            "epochs", f"cannot change: the schedule {schedule!r} is planned for {epochs} epochs"
        )
    run.config = replace(run.config, **changes)
    if run.finished and run.epoch < changes.get("epochs", 0):
        limit = "patience" if run.out_of_patience else "steps"
        raise ConfigError("epochs", f"cannot continue a run that {limit} ended; raise that too")


def tune(path: Path, changes: Mapping[str, Any]) -> tuple[Run, Corpus]:
    """Return a new run that starts from the parameters of another, and its text.

    `path` is the folder of the other run, or a checkpoint. The new run keeps its vocabulary, its
    settings except the changes, and its frozen parameters; a change that needs other parameters
    raises ConfigError. If the changes name a text, the other run's text is dropped; the new one is
    split into tokens in the same way.
    """
    saved, changes = load(run_folder.checkpoint_of(path)), dict(changes)
    old, vocabulary = saved.config, saved.vocabulary
    options = {name for cell in CELLS.values() for name in cell.options}
    for name in sorted(changes.keys() & {*options, *settings_with(shapes=True)}):
        if changes[name] != old.options.get(name, getattr(old, name, None)):
            raise ConfigError(name, f"cannot change with --init-from: it comes from {path}")
        if name in options:
            del changes[name]
    if changes.keys().isdisjoint({"data", "train"}):
        if not saved.meta["fingerprint"]:
            raise ConfigError("train", f"must be given: {path} was imported, without a text")
        old = run_folder.where_its_text_is(saved, path).config
    else:
        split = "train" in changes and splits_punctuation(old, vocabulary)
        changes = {**dict.fromkeys(settings_with(text=True)), "split_punctuation": split, **changes}
    settings = updated(old.to_dict(), {"steps": None, **changes, "init_from": None})
    config = TrainConfig(**settings)
    corpus = load_corpus(config, vocabulary)
    check_corpus(config, corpus)
    run = new_run(config, corpus)
    run.config = replace(config, init_from=os.path.abspath(path))
    run.model.load_state_dict(restore_model(saved).state_dict())
    run.model.freeze(saved.meta["frozen"])
    return run, corpus


def train_to_end(
    run: Run,
    corpus: Corpus,
    folder: Path,
    *,
    save_every: tuple[float, float] = (math.inf, math.inf),
    deadline: float | None = None,
    resume_command: Sequence[str] = (),
    draw: Callable[[Run, GradientLog | None], None] = lambda run, log: None,
    quiet: bool = False,
) -> Timing:
    """Train until the run is finished or a stop is requested; save it between updates.

    The run is saved before and after the validation at the end of each epoch, by `save_every`,
    before it stops, and before anything but an update ends it: a log that cannot be written, a
    display that fails. An error in an update leaves the last save.

    `save_every` are the updates and the seconds between two saves; `deadline` is the time to stop
    by `time.monotonic`; `resume_command` is shown when the run stops; `draw` draws the pictures
    after each epoch.
    """
    windows = num_batches(len(corpus.train), run.config.batch_size, run.config.num_steps)
    log = GradientLog(folder, run, corpus) if run.config.log_gradients else None
    timing = Timing()
    progress = Progress(run, windows, timing, quiet=quiet)
    saves = Saves(folder, run, save_every)
    if not (quiet or run.ended):
        progress.line("Compiling kernels, or loading them from the cache ...")

    def stop(status: int) -> NoReturn:
        progress.line(
            f"Stopped at epoch {run.epoch + 1}, step {run.step}; saved. Resume with\n"
            f"  {printable(shlex.join(resume_command))}"
        )
        raise Stopped(status)

    def in_validation(done: int, total: int) -> None:  # the run was saved before it
        progress.validation(done, total)
        if status := parallel.asked_to_stop(requests):
            stop(status)

    def follow() -> None:
        sample_log.follow(folder, run, corpus)
        if log is not None:
            log.follow(run)

    def between_updates(item: Step | Row) -> int:
        follow()
        status = parallel.asked_to_stop(requests)
        if status or run.finished or saves.are_due(item):
            saves.save()
        progress.show(item)
        if isinstance(item, Row) and item.valid_perplexity is not None:
            draw(run, log)
        return status

    with stop_requests(deadline) as requests:
        parallel.begin(run, corpus, requests)
        try:
            follow()  # at the start, or where an error has prevented it before
            if run.ended:
                draw(run, log)  # the process may have been killed after its last save
            for item in timing.of(train(run, corpus, watch=in_validation)):
                try:
                    status = between_updates(item)
                except BaseException:
                    with suppress(Exception):  # report the first error
                        saves.save()
                    raise
                if status and not run.ended:
                    stop(status)
        except TrainingFailed:
            run_folder.write_metrics(folder, run)  # its rows show why
            raise
        finally:
            progress.close()
    if run.out_of_patience and run.epoch < run.config.epochs and not quiet:
        progress.line(
            f"Stopped early: the validation has not improved for {run.config.patience} epochs."
        )
    return timing


class Saves:
    """The saves of a run in its folder; `every` are the updates and the seconds between two."""

    def __init__(self, folder: Path, run: Run, every: tuple[float, float]) -> None:
        self.folder, self.run, self.every = folder, run, every
        self.last = run.step, time.monotonic()

    def save(self) -> None:
        """Save the run, if all its numbers are finite."""
        check_parameters(self.run)
        run_folder.save(self.folder, self.run)
        self.last = self.run.step, time.monotonic()

    def are_due(self, item: Step | Row) -> bool:
        """Return True before and after a validation, and by `every`."""
        if isinstance(item, Row):
            return item.valid_perplexity is not None
        (steps, seconds), (last_step, last_time) = self.every, self.last
        return (
            item.window == item.windows
            or item.step - last_step >= steps
            or time.monotonic() - last_time >= seconds
        )
