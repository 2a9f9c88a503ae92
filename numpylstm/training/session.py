"""A training run in its folder: gone on with, trained to its end, saved whatever happens."""

import os
import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from numpylstm.archive import SaveError
from numpylstm.cells import CELLS
from numpylstm.config import NOT_OF_THE_RUN, OPTIMIZER_SETTINGS, TEXTS, ConfigError
from numpylstm.data import Corpus, DataError, num_batches
from numpylstm.data.configured import (
    check_fingerprint,
    fingerprint,
    load_corpus,
    splits_punctuation,
)
from numpylstm.evaluation import Watch
from numpylstm.training import run_folder
from numpylstm.training.checkpoint import load, restore_model, restore_run
from numpylstm.training.display import compiling
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
from numpylstm.training.progress import Progress
from numpylstm.training.sample_log import SampleLog
from numpylstm.training.signals import Stopped, stop_requests
from numpylstm.training.timing import Timing
from numpylstm.training.warm_up import warm_up
from numpylstm.untrusted import printable

OF_THE_PARAMETERS = {
    "cell", "hidden_size", "embedding_size", "num_layers", "tied", "dtype", "level", "max_vocab"
}  # fmt: skip
"""Settings that say what the parameters of a model are, and what its tokens."""


def resume(
    folder: Path, changes: Mapping[str, Any], watch: Watch | None = None
) -> tuple[Run, Corpus]:
    """The run in a folder at the update where it was saved, made longer if so asked, and its text.

    Parameters
    ----------
    folder : Path
    changes : dict
        Settings given anew: `NOT_OF_THE_RUN`, and no others. A text that has moved must be the
        same one.
    watch : callable, optional
        Is told how much of the text is read.

    Raises
    ------
    ConfigError
        If a change would make it another run than the one that was started.
    """
    saved = run_folder.load_last(folder)
    run = restore_run(saved)
    if fixed := sorted(changes.keys() - NOT_OF_THE_RUN):
        *others, last = (f"--{name.replace('_', '-')}" for name in sorted(NOT_OF_THE_RUN))
        raise ConfigError(
            fixed[0],
            "cannot change in a resumed run: it would no longer be the run that was started; only "
            f"{', '.join(others)} and {last} can",
        )
    for name, done in (("epochs", run.epoch), ("steps", run.step)):
        if changes.get(name, done) < done:
            raise ConfigError(name, f"must be at least {done}, which are done; got {changes[name]}")
    run.config = replace(run.config, **changes)
    check_memory(run.config, len(run.vocabulary))
    with naming_a_moved_text():
        corpus = load_corpus(run.config, run.vocabulary, watch)
    check_fingerprint(corpus, run.fingerprint, "a run can only go on with the same text")
    check_corpus(run.config, corpus)
    check_position(run, corpus)
    check_whole_epochs(run, corpus)
    return run, corpus


@contextmanager
def naming_a_moved_text() -> Iterator[None]:
    """Where a text of an earlier run cannot be read, say how to name it."""
    try:
        yield
    except DataError as error:
        error.add_note("a text that has moved is named anew, with --train or --data")
        raise


def check_whole_epochs(run: Run, corpus: Corpus) -> None:
    """Refuse to train on from an epoch that version 0.1 cut short at a limit of steps."""
    config = run.config
    windows = num_batches(len(corpus.train), config.batch_size, config.num_steps)
    if not run.finished and run.step < run.epoch * windows + run.window:
        raise ConfigError(
            "steps",
            f"cannot change any more: numpylstm 0.1 ended an epoch at the limit of {run.step}, "
            "which an uninterrupted run would not have done",
        )


def tune(path: Path, changes: Mapping[str, Any], watch: Watch | None = None) -> tuple[Run, Corpus]:
    """A new run that begins with the parameters of another, and its text.

    It has the vocabulary and the settings of the other, but for the changes, and what is frozen
    there is frozen here. Where the changes name a text, the other's is left; it is parted into
    tokens as the other's was.

    Parameters
    ----------
    path : Path
        The folder of the other run, or a checkpoint.
    changes : dict
    watch : callable, optional
        Is told how much of the text is read.

    Raises
    ------
    ConfigError
        If a change asks for other parameters than there are.
    DataError
        If the text cannot be read, or, where none is named, is no longer the one that it was.
    """
    saved = load(run_folder.checkpoint_of(path))
    old = saved.config
    options = {name for cell in CELLS.values() for name in cell.options}
    for name in sorted(changes.keys() & (options | OF_THE_PARAMETERS)):
        if changes[name] != old.options.get(name, getattr(old, name, None)):
            raise ConfigError(name, f"cannot change with --init-from: it is that of {path}")
    named = {"data", "train"} & changes.keys()
    if named:
        split = "train" in changes and splits_punctuation(old)
        others = dict.fromkeys(TEXTS) | {"split_punctuation": split}
        changes = others | dict(changes)
    if changes.get("optimizer", old.optimizer) != old.optimizer:  # it has settings of its own
        settings = {name for own in OPTIMIZER_SETTINGS.values() for name in own}
        changes = dict.fromkeys(settings) | dict(changes)
    own = {name: value for name, value in changes.items() if name not in options}
    config = replace(old, **{"steps": None} | own | {"init_from": None})
    with naming_a_moved_text():
        corpus = load_corpus(config, saved.vocabulary, watch)
        if not named and fingerprint(corpus) != saved.meta["fingerprint"]:  # or only cut otherwise
            cut = {"valid", "test", "max_eval", "split_punctuation"} & changes.keys()
            whole = load_corpus(old, saved.vocabulary, watch) if cut else corpus
            check_fingerprint(whole, saved.meta["fingerprint"], "name the one to go on with")
    check_corpus(config, corpus)
    run = new_run(config, corpus)
    run.config = replace(config, init_from=os.path.abspath(path))
    run.model.load_state_dict(restore_model(saved).state_dict())
    run.model.freeze(saved.meta["frozen"])
    return run, corpus


class Saver:
    """Saves a run: when it is due, and before an error ends it.

    Parameters
    ----------
    folder : Path
    run : Run
    every : tuple (number, "steps" or "minutes"), or None for the ends of epochs only
    logs : sequence of SampleLog and GradientLog
        Written first: what is saved has its samples and gradients, unless they cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        run: Run,
        every: tuple[float, str] | None,
        logs: Sequence[SampleLog | GradientLog],
    ) -> None:
        self.folder, self.run, self.every, self.logs = folder, run, every, logs
        self.saving = False
        self.updates, self.since = 0, time.monotonic()

    def due(self, item: Step | Row) -> bool:
        """Count an update; say whether to save now."""
        if isinstance(item, Row):
            return item.valid_perplexity is not None  # an epoch has ended
        self.updates += 1
        if self.every is None:
            return False
        number, unit = self.every
        passed = self.updates if unit == "steps" else (time.monotonic() - self.since) / 60
        return passed >= number

    def save(self) -> None:
        """Save now, and start counting again."""
        self.follow()
        self.write()

    def follow(self) -> None:
        """Write the logs as far as the run is."""
        for log in self.logs:
            log.follow(self.run)

    def write(self) -> None:
        """Write the checkpoint and what else the folder holds of the run."""
        check_parameters(self.run)  # what is saved can be loaded
        self.saving = True
        run_folder.save(self.folder, self.run)
        self.saving = False
        self.updates, self.since = 0, time.monotonic()

    def rescue(self, error: BaseException) -> None:
        """Save a run that an error is about to end, and let the error say so.

        A run that was being changed or saved when it came is left as it was last saved, and so is
        one whose numbers are no longer finite: it would only come to the same end again. But its
        rows are written, which show why. What a log cannot write now, the next start writes.
        """
        if self.run.whole and not self.saving:
            with suppress(Exception):  # the first error is the one to tell
                self.follow()
            with suppress(Exception):
                if isinstance(error, TrainingFailed):
                    run_folder.write_metrics(self.folder, self.run)
                else:
                    self.write()
        if not (self.saving and isinstance(error, SaveError)):  # which says so itself
            error.add_note(f"{self.folder / run_folder.LAST} is the run as it was last saved")


def run_to_end(
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
    """Train until the run is finished, or is asked to stop; save as it goes.

    A save that is due comes before what is shown. An error saves first, too, if the run is whole at
    that moment: in the forward and backward passes, in the validation, and whenever the run is
    logged, shown or drawn. It is not whole while the optimizer changes the parameters and until
    counters and metrics agree with them. A run that has exploded is not saved once more.

    Parameters
    ----------
    run : Run
    corpus : Corpus
    folder : Path
        Where the run is saved.
    save_every : tuple (number, "steps" or "minutes"), optional
    deadline : float, optional
        When to stop, by `time.monotonic`.
    resume_command : sequence of str
        What to tell people who stop the run.
    draw : callable
        Makes the pictures, after each epoch and after its save.
    quiet : bool
        Show no progress.

    Returns
    -------
    Timing
        Of what was trained here.

    Raises
    ------
    Stopped
        After one of `stop_requests`; the run is saved.
    TrainingFailed
        If a number is no longer finite.
    """
    windows = num_batches(len(corpus.train), run.config.batch_size, run.config.num_steps)
    how_to_go_on = printable(shlex.join(resume_command))
    then = f"go on with {how_to_go_on}" if how_to_go_on else ""
    if not quiet:
        print("Compiling kernels, or loading them from the cache ...", flush=True)
    with compiling(then=then, quiet=quiet):
        warm_up(run, corpus)
    log = GradientLog(folder, run, corpus) if run.config.log_gradients else None
    logs: list[SampleLog | GradientLog] = [SampleLog(folder, run, corpus)]
    if log is not None:
        logs.append(log)
    timing = Timing()
    progress = Progress(run, windows, timing, quiet=quiet)
    saver = Saver(folder, run, save_every, logs)

    def stop(status: int) -> None:
        progress.line(
            f"Stopped at epoch {run.epoch + 1}, step {run.step}; saved. Resume with\n"
            f"  {how_to_go_on}"
        )
        raise Stopped(status)

    def in_validation(done: int, total: int) -> None:
        progress.validation(done, total)
        if status := requests.status():
            saver.save()
            stop(status)

    try:
        with stop_requests(deadline) as requests:
            saver.follow()  # an error may have ended a run before its logs were written
            if run.finished and run.window == 0:
                draw(run, log)  # it may have been killed after its last save
            for item in timing.of(train(run, corpus, watch=in_validation)):
                saver.follow()
                due, status = saver.due(item), requests.status()
                if due or status:
                    saver.save()
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
