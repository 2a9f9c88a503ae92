"""Resume a run in its folder, or fine-tune another; train it to the end and always save it."""

import os
import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

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
from numpylstm.saving import SaveError
from numpylstm.training import run_folder, sample_log
from numpylstm.training.checkpoint import load, restore_model, restore_run
from numpylstm.training.display import LINES, Progress, Timing, waiting
from numpylstm.training.gradient_log import GradientLog
from numpylstm.training.loop import (
    Run,
    Step,
    TrainingFailed,
    check_corpus,
    check_memory,
    check_parameters,
    check_position,
    new_run,
    train,
)
from numpylstm.training.metrics import Row
from numpylstm.training.parallel import ALONE, Ranks
from numpylstm.training.signals import Stopped, StopRequests, stop_requests
from numpylstm.training.warm_up import warm_up


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
    run.config = replace(run.config, **changes)
    if run.finished and run.epoch < changes.get("epochs", 0):
        limit = "patience" if run.out_of_patience else "steps"
        raise ConfigError("epochs", f"cannot continue a run that {limit} ended; raise that too")
    check_memory(run.config, len(run.vocabulary))
    with naming_a_moved_text():
        corpus = load_corpus(run.config, run.vocabulary, watch)
    check_fingerprint(corpus, run.fingerprint, "a run resumes with the same text only")
    check_corpus(run.config, corpus)
    check_position(run, corpus)
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


class Saver:
    """The saves of a run: those that are due, and the one before an error ends it.

    `every` is (number, "steps" or "minutes"), None for the ends of epochs only. The logs are
    written first, so that a saved run has its samples and gradients if they can be written.
    """

    def __init__(
        self,
        folder: Path,
        run: Run,
        corpus: Corpus,
        every: tuple[float, str] | None,
        log: GradientLog | None,
    ) -> None:
        self.folder, self.run, self.corpus, self.every, self.log = folder, run, corpus, every, log
        self.saving = False
        self.updates, self.since = 0, time.monotonic()

    def due(self, item: Step | Row) -> bool:
        """Count an update; return True if a save is due."""
        if isinstance(item, Row):
            return item.valid_perplexity is not None  # an epoch has ended
        self.updates += 1
        if self.every is None:
            return False
        number, unit = self.every
        passed = self.updates if unit == "steps" else (time.monotonic() - self.since) / 60
        return passed >= number

    def follow(self) -> None:
        """Update the logs."""
        sample_log.follow(self.folder, self.run, self.corpus)
        if self.log is not None:
            self.log.follow(self.run)

    def write(self) -> None:
        """Write the checkpoint and the metrics into the folder, and start counting again."""
        check_parameters(self.run)  # what is saved can be loaded
        self.saving = True
        run_folder.save(self.folder, self.run)
        self.saving = False
        self.updates, self.since = 0, time.monotonic()

    def rescue(self, error: BaseException) -> None:
        """Save a run before an error ends it, and add a note about that to the error.

        If the error came during an update or a save, the last save stays. It also stays if numbers
        are not finite; then only the rows, which show why, are written. The next start repairs the
        logs.
        """
        if self.run.whole and not self.saving:
            with suppress(Exception):  # report the first error
                self.follow()
            with suppress(Exception):
                if isinstance(error, TrainingFailed):
                    run_folder.write_metrics(self.folder, self.run)
                else:
                    self.write()
        last = self.folder / run_folder.LAST
        if not last.exists():
            error.add_note(f"{last} no longer exists")
        elif not (self.saving and isinstance(error, SaveError)):  # its message says so already
            error.add_note(f"{last} holds the run as last saved")


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
    ranks: Ranks = ALONE,
) -> Timing:
    """Train until the run is finished or a stop is requested; save it regularly.

    A save that is due comes before the display of the same step. An error saves the run first if it
    is whole at that moment: during the forward and backward passes, the validation, logging,
    display and drawing. It is not whole from the moment the optimiser changes the parameters until
    counters and metrics agree with them. A run with numbers that are not finite is not saved again.
    After one of `stop_requests`, the run is saved and Stopped raised.

    `save_every` is as in `Saver`, `deadline` the time to stop by `time.monotonic`;
    `resume_command` is shown when the run stops; `draw` draws the pictures after each epoch. The
    other `ranks` have called `assist`.
    """
    windows = num_batches(len(corpus.train), run.config.batch_size, run.config.num_steps)
    how_to_go_on = printable(shlex.join(resume_command))
    then = f"continue with {how_to_go_on}" if how_to_go_on else ""
    if not quiet:
        LINES.info("Compiling kernels, or loading them from the cache ...")
    with waiting("compiling kernels", then=then, quiet=quiet):
        warm_up(run, corpus)
    ranks.share((run, corpus))
    log = GradientLog(folder, run, corpus) if run.config.log_gradients else None
    timing = Timing()
    progress = Progress(run, windows, timing, quiet=quiet)
    saver = Saver(folder, run, corpus, save_every, log)

    def stop(status: int) -> None:
        progress.line(
            f"Stopped at epoch {run.epoch + 1}, step {run.step}; saved. Resume with\n"
            f"  {how_to_go_on}"
        )
        raise Stopped(status)

    def in_validation(done: int, total: int) -> None:
        progress.validation(done, total)
        if status := max(ranks.share(requests.status() or 0)):
            saver.write()
            stop(status)

    try:
        with stop_requests(deadline) as requests:
            ranks.requests = requests
            saver.follow()  # at the start, or where an error has prevented it before
            if run.finished and run.window == 0:
                draw(run, log)  # the process may have been killed after its last save
            for item in timing.of(train(run, corpus, watch=in_validation, ranks=ranks)):
                saver.follow()
                due, status = saver.due(item), max(ranks.share(requests.status() or 0))
                if due or status:
                    saver.write()
                progress.show(item)
                if isinstance(item, Row) and item.valid_perplexity is not None:
                    draw(run, log)
                if status and not run.finished:
                    stop(status)
    except Stopped:
        raise
    except BaseException as error:
        saver.rescue(error)
        raise
    finally:
        progress.close()
    if run.out_of_patience and run.epoch < run.config.epochs and not quiet:
        progress.line(
            f"Stopped early: the validation has not improved for {run.config.patience} epochs."
        )
    return timing


def assist(ranks: Ranks, requests: StopRequests) -> None:
    """Take part in the run that `train_to_end` trains at rank 0."""
    run, corpus = ranks.share(None)[0]
    warm_up(run, corpus)

    def in_validation(done: int, total: int) -> None:
        if status := max(ranks.share(requests.status() or 0)):
            raise Stopped(status)

    for _ in train(run, corpus, watch=in_validation, ranks=ranks):
        if (status := max(ranks.share(requests.status() or 0))) and not run.finished:
            raise Stopped(status)
