"""Start or resume a run, or fine-tune another; train it to the end and save it regularly."""

import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from numpylstm.config import ConfigError, TrainConfig, setting_names, updated
from numpylstm.data import Corpus, Vocabulary, batches, num_batches
from numpylstm.data.configured import load_corpus, load_same_text, splits_punctuation
from numpylstm.model_check import check_before_training
from numpylstm.saving import CheckpointError
from numpylstm.training import logs, run_folder
from numpylstm.training.checkpoint import load, restore_model, restore_run
from numpylstm.training.display import LINES, ProgressBar, Timing, waiting
from numpylstm.training.loop import (
    Run,
    TrainingFailed,
    check_corpus,
    new_run,
    out_of_patience,
    train,
)
from numpylstm.training.metrics import Row, Step
from numpylstm.training.minutes import new_run_of, with_recipe
from numpylstm.training.schedules import PLANNED, Progress, schedule_of
from numpylstm.training.signals import Stopped, stop_requests
from numpylstm.training.workers import stop_if_asked, with_workers

# Enough for every path that a gradient takes.
CHECKED_STREAMS = 4
CHECKED_STEPS = 8


class SaveInterval(NamedTuple):
    """The updates, or the time, between two saves within an epoch."""

    updates: float = math.inf
    seconds: float = math.inf


NEVER = SaveInterval()


def start(config: TrainConfig, vocabulary: Vocabulary | None = None) -> tuple[Run, Corpus]:
    """Return a new run and its text, whose vocabulary may be given."""
    corpus = load_corpus(config, vocabulary)
    return new_run(config, corpus), corpus


def start_for_minutes(minutes: float, given: Mapping[str, Any]) -> tuple[Run, Corpus]:
    """Return a new run whose settings, but for those that are given, follow from its minutes."""
    with waiting("reading the text"):
        corpus = load_corpus(with_recipe(given))
    with waiting("measuring the networks"):
        return new_run_of(minutes, corpus, given), corpus


def resume(folder: Path, changes: Mapping[str, Any]) -> tuple[Run, Corpus]:
    """Return the run in a folder, at the update where it was saved, and its text.

    `changes` are settings that are ``resumable``; another one raises ConfigError. A text that has
    moved must be the same text.
    """
    run = restore_run(run_folder.load_last(folder))
    change_settings(run, changes)
    corpus = load_same_text(run.config, run.vocabulary, run.fingerprint)
    check_corpus(run.config, corpus)
    windows = num_batches(len(corpus.train), run.config.batch_size, run.config.num_steps)
    if run.window > windows:
        raise CheckpointError(
            f"{folder / run_folder.LAST} is inconsistent: window {run.window} of an epoch of "
            f"{windows}"
        )
    return run, corpus


def change_settings(run: Run, changes: Mapping[str, Any]) -> None:
    """Change settings of a run that continues; raise a ConfigError if that cannot be."""
    resumable = setting_names(resumable=True)
    fixed = sorted(changes.keys() - resumable)
    if fixed:
        raise ConfigError(
            fixed[0],
            "cannot change in a resumed run: it would no longer be the run that was started; only "
            f"these settings can: {', '.join(sorted(resumable))}",
        )
    for name, done in (("epochs", run.epoch), ("steps", run.step)):
        if changes.get(name, done) < done:
            raise ConfigError(name, f"must be at least {done}, which are done; got {changes[name]}")
    schedule = run.config.schedule
    epochs = run.config.epochs
    if schedule in PLANNED and changes.get("epochs", epochs) != epochs:
        raise ConfigError(
            "epochs", f"cannot change: the schedule {schedule!r} is planned for {epochs} epochs"
        )
    run.config = replace(run.config, **changes)
    if run.epoch < changes.get("epochs", 0) and run.finished:
        limit = "patience" if out_of_patience(run.valid_losses, run.config.patience) else "steps"
        raise ConfigError("epochs", f"cannot continue a run that {limit} ended; raise that too")


def fine_tune(path: Path, changes: Mapping[str, Any]) -> tuple[Run, Corpus]:
    """Return a new run that starts from the parameters of another, and its text.

    `path` is the folder of the other run, or a checkpoint. The new run keeps its vocabulary, its
    settings except the changes, and its frozen parameters; a change that needs other parameters
    raises ConfigError. If the changes name a text, the other run's text is dropped; the new one is
    split into tokens in the same way.
    """
    saved = load(run_folder.checkpoint_of(path))
    changes = dict(changes)
    old = saved.config
    vocabulary = saved.vocabulary
    for name in sorted(changes.keys() - setting_names(shapes=False)):
        if changes.pop(name) != old.flattened().get(name):
            raise ConfigError(name, f"cannot change: the parameters of {path} depend on it")
    if changes.keys().isdisjoint({"data", "train"}):
        if not saved.meta["fingerprint"]:
            raise ConfigError("train", f"must be given: {path} was imported, without a text")
        old = run_folder.with_current_texts(saved, path).config
    else:
        split = "train" in changes and splits_punctuation(old, vocabulary)
        changes = {**dict.fromkeys(setting_names(text=True)), "split_punctuation": split, **changes}
    settings = updated(old.to_dict(), {"steps": None, **changes, "init_from": None})
    run, corpus = start(TrainConfig(**settings), vocabulary)
    run.config = replace(run.config, init_from=os.path.abspath(path))
    run.model.load_state_dict(restore_model(saved).state_dict())
    run.model.freeze(saved.meta["frozen"])
    return run, corpus


@np.errstate(over="ignore", invalid="ignore")  # non-finite values fail the check
def check_gradients(run: Run, corpus: Corpus) -> None:
    """Compare the gradients of a run's model with slopes on the start of its text; print tables.

    The checks are those of `check_before_training`, on copies: the run itself stays the same, bit
    for bit. TrainingFailed names the arrays that fail.
    """
    config = run.config
    num_steps = min(config.num_steps, CHECKED_STEPS)
    x, y = next(batches(corpus.train, min(config.batch_size, CHECKED_STREAMS), num_steps))
    LINES.info(
        f"Checking the gradients ({config.impl}, {num_steps} steps of {x.shape[1]} streams); "
        "training is not affected ..."
    )
    with waiting("checking the gradients"):
        reports = check_before_training(run.model, x, y)
    for report in reports:
        LINES.info(f"{report}\n")
    wrong = [entry.path for report in reports for entry in report.entries if not entry.passed]
    if wrong:
        raise TrainingFailed(
            f"the gradient check failed for {', '.join(dict.fromkeys(wrong))}: the backward pass "
            "does not give the slope of the loss, so nothing was trained; unless its code was "
            "changed, slopes are lost in rounding with these initial values "
            f"(init_scale {config.init_scale:g}), as in saturated units"
        )


def train_to_end(
    run: Run,
    corpus: Corpus,
    folder: Path,
    *,
    save_every: SaveInterval = NEVER,
    deadline: float = math.inf,
    resume_command: str = "",
    draw: Callable[[Run], None] = lambda run: None,
) -> Timing:
    """Train until the run is finished or a stop is requested; save it between updates.

    The run is saved before and after the validation at the end of each epoch, by `save_every`,
    before it stops, and before anything but an update ends it: a log that cannot be written, a
    display that fails. An error in an update leaves the last save.

    `deadline` is the time to stop by `time.monotonic`; `resume_command` is shown when the run
    stops; `draw` draws the pictures after each epoch.
    """
    windows = num_batches(len(corpus.train), run.config.batch_size, run.config.num_steps)
    timing = Timing()
    progress = ProgressBar(run, windows, timing)
    saved_step = run.step
    saved_time = time.monotonic()
    if not run.complete:
        warn_of_other_rates(run, windows)
        LINES.debug("Compiling kernels, or loading them from the cache ...")

    def in_validation(done: int, total: int) -> None:  # the run was saved before it
        progress.validation(done, total)
        stop_if_asked(run, asked)

    with stop_requests(deadline) as asked, with_workers(run, corpus):
        try:
            if run.config.log_gradients:  # an unreadable file fails now, not at the next row
                logs.read_gradients(folder / run_folder.GRADIENTS)
            logs.write_due(folder, run, corpus)  # at the start, or where an error has prevented it
            if run.complete:
                draw(run)  # the process may have been killed after its last save
            for item in timing.timed(train(run, corpus, watch=in_validation)):
                try:
                    logs.write_due(folder, run, corpus)
                    if run.finished or save_is_due(item, save_every, saved_step, saved_time):
                        run_folder.save(folder, run)
                        saved_step = run.step
                        saved_time = time.monotonic()
                    progress.follow(item)
                    if isinstance(item, Row) and item.valid_perplexity is not None:
                        draw(run)
                    stop_if_asked(run, asked)
                except BaseException:  # a request to stop too
                    run_folder.save(folder, run)
                    raise
        except Stopped:
            LINES.info(
                f"Stopped at epoch {run.epoch + 1}, step {run.step}; saved. Resume with\n"
                f"  {resume_command}"
            )
            raise
        except TrainingFailed:
            run_folder.write_metrics(folder, run)  # its rows show why
            raise
        finally:
            progress.close()
    patience = run.config.patience
    if run.epoch < run.config.epochs and out_of_patience(run.valid_losses, patience):
        LINES.debug(f"Stopped early: the validation has not improved for {patience} epochs.")
    return timing


def warn_of_other_rates(run: Run, windows: int) -> None:
    """Say so if the schedule no longer gives the rate that the last update of a run had.

    Another version trained it then, such as one before the rates of one-cycle were PyTorch's.
    """
    if run.step == 0:
        return
    config = run.config
    used = run.tally.lr if run.tally.steps else run.rows[-1].lr
    epoch, window = divmod(run.step - 1, windows)  # before the last update
    schedule = schedule_of(config)
    rate = schedule(Progress(epoch, config.epochs, window, windows, run.valid_losses[:epoch]))
    if not math.isclose(used, rate, rel_tol=1e-9):
        LINES.warning(
            f"Update {run.step} had the rate {used:.6g}, for which this version's schedule "
            f"{config.schedule!r} gives {rate:.6g}: from here on the run differs from one that was "
            "never stopped."
        )


def save_is_due(
    item: Step | Row, save_every: SaveInterval, saved_step: int, saved_time: float
) -> bool:
    """Return True before and after a validation, and if the interval has passed since the save."""
    if isinstance(item, Row):
        return item.valid_perplexity is not None
    return (
        item.window == item.windows
        or item.step - saved_step >= save_every.updates
        or time.monotonic() - saved_time >= save_every.seconds
    )
