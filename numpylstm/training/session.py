"""Resume a run in its folder, or fine-tune another; train it to the end and save it regularly."""

import os
import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from numpylstm.cells import CELLS
from numpylstm.config import ConfigError, TrainConfig, settings_with, updated
from numpylstm.data import Corpus, DataError, num_batches
from numpylstm.data.configured import (
    check_fingerprint,
    fingerprint,
    load_corpus,
    splits_punctuation,
)
from numpylstm.evaluation import Watch
from numpylstm.printing import printable
from numpylstm.training import parallel, run_folder, sample_log
from numpylstm.training.checkpoint import load, restore_model, restore_run
from numpylstm.training.display import Progress, Timing
from numpylstm.training.gradient_log import GradientLog
from numpylstm.training.loop import (
    Run,
    Step,
    TrainingFailed,
    check_corpus,
    check_parameters,
    new_run,
    train,
)
from numpylstm.training.metrics import Row
from numpylstm.training.schedules import PLANNED
from numpylstm.training.signals import Stopped, stop_requests


def resume(
    folder: Path, changes: Mapping[str, Any], watch: Watch | None = None
) -> tuple[Run, Corpus]:
    """Return the run in a folder, at the update where it was saved, and its text.

    `changes` are settings that are ``resumable``; another one raises ConfigError. A text that has
    moved must be the same text. `watch` is called while the text is read.
    """
    run = restore_run(run_folder.load_last(folder))
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
    with naming_a_moved_text():
        corpus = load_corpus(run.config, run.vocabulary, watch)
    check_fingerprint(corpus, run.fingerprint, "a run resumes with the same text only")
    check_corpus(run.config, corpus)
    return run, corpus


@contextmanager
def naming_a_moved_text() -> Iterator[None]:
    """Explain how to name the text of an earlier run if it cannot be read."""
    try:
        yield
    except DataError as error:
        error.add_note("name a text that has moved with --train or --data")
        raise


def tune(path: Path, changes: Mapping[str, Any], watch: Watch | None = None) -> tuple[Run, Corpus]:
    """Return a new run that starts from the parameters of another, and its text.

    `path` is the folder of the other run, or a checkpoint. The new run keeps its vocabulary, its
    settings except the changes, and its frozen parameters; a change that needs other parameters
    raises ConfigError. If the changes name a text, the other run's text is dropped; the new one is
    split into tokens in the same way. `watch` is called while the text is read.
    """
    saved, named = load(run_folder.checkpoint_of(path)), {"data", "train"} & changes.keys()
    if not named:
        saved = run_folder.where_its_text_is(saved, path)
    old = saved.config
    options = {name for cell in CELLS.values() for name in cell.options}
    for name in sorted(changes.keys() & {*options, *settings_with(shapes=True)}):
        if changes[name] != old.options.get(name, getattr(old, name, None)):
            raise ConfigError(name, f"cannot change with --init-from: it comes from {path}")
    if named:
        split = "train" in changes and splits_punctuation(old, saved.vocabulary)
        changes = {**dict.fromkeys(settings_with(text=True)), "split_punctuation": split, **changes}
    own = {name: value for name, value in changes.items() if name not in options}
    config = TrainConfig(**updated(old.to_dict(), {"steps": None, **own, "init_from": None}))
    with nullcontext() if named else naming_a_moved_text():
        corpus = load_corpus(config, saved.vocabulary, watch)
        if not named and fingerprint(corpus) != saved.meta["fingerprint"]:  # perhaps only re-split
            cut = {"valid", "test", "max_eval", "split_punctuation"} & changes.keys()
            whole = load_corpus(old, saved.vocabulary, watch) if cut else corpus
            check_fingerprint(whole, saved.meta["fingerprint"], "name the text for this run")
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
    save_every: tuple[float, str] | None = None,
    deadline: float | None = None,
    resume_command: Sequence[str] = (),
    draw: Callable[[Run, GradientLog | None], None] = lambda run, log: None,
    quiet: bool = False,
) -> Timing:
    """Train until the run is finished or a stop is requested; save it between updates.

    The run is saved before and after the validation at the end of each epoch, by `save_every`,
    before it stops, and before anything but an update ends it: a log that cannot be written, a
    display that fails. An error in an update leaves the last save.

    `save_every` is (number, "steps" or "minutes"), None for the ends of epochs only; `deadline` is
    the time to stop by `time.monotonic`; `resume_command` is shown when the run stops; `draw` draws
    the pictures after each epoch.
    """
    windows = num_batches(len(corpus.train), run.config.batch_size, run.config.num_steps)
    log = GradientLog(folder, run, corpus) if run.config.log_gradients else None
    timing = Timing()
    progress = Progress(run, windows, timing, quiet=quiet)
    saved_at = Saved(run.step, time.monotonic())
    if not (quiet or run.ended):
        progress.line("Compiling kernels, or loading them from the cache ...")

    def save() -> None:
        nonlocal saved_at
        check_parameters(run)
        run_folder.save(folder, run)
        saved_at = Saved(run.step, time.monotonic())

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

    def between_updates(item: Step | Row) -> None:
        follow()
        status = parallel.asked_to_stop(requests)
        if status or saved_at.is_due(item, save_every) or run.finished:
            save()
        progress.show(item)
        if isinstance(item, Row) and item.valid_perplexity is not None:
            draw(run, log)
        if status and not run.ended:
            stop(status)

    with stop_requests(deadline) as requests:
        parallel.begin(run, corpus, requests)
        try:
            follow()  # at the start, or where an error has prevented it before
            if run.ended:
                draw(run, log)  # the process may have been killed after its last save
            items = timing.of(train(run, corpus, watch=in_validation))
            while (item := next(items, None)) is not None:
                try:
                    between_updates(item)
                except Stopped:
                    raise
                except BaseException:
                    with suppress(Exception):  # report the first error
                        save()
                    raise
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


class Saved(NamedTuple):
    """The last save: its step, and its time by `time.monotonic`."""

    step: int
    time: float

    def is_due(self, item: Step | Row, every: tuple[float, str] | None) -> bool:
        """Return True if the next save is due: around a validation, and by `every`."""
        if isinstance(item, Row):
            return item.valid_perplexity is not None
        if item.window == item.windows:
            return True
        if every is None:
            return False
        number, unit = every
        if unit == "steps":
            return item.step - self.step >= number
        return time.monotonic() - self.time >= 60 * number
