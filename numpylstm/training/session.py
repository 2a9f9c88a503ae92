"""A training run in its folder: gone on with, trained to its end, saved whatever happens."""

import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from numpylstm.config import ConfigError
from numpylstm.data import Corpus, num_batches
from numpylstm.training import run_folder
from numpylstm.training.checkpoint import restore_run
from numpylstm.training.corpora import load_corpus
from numpylstm.training.gradient_log import GradientLog
from numpylstm.training.loop import (
    Row,
    Run,
    Step,
    TrainingFailed,
    check_corpus,
    check_fingerprint,
    check_memory,
    check_position,
    train,
)
from numpylstm.training.progress import Progress
from numpylstm.training.sample_log import SampleLog
from numpylstm.training.stopping import Stopped, stop_requests
from numpylstm.training.timing import Timing
from numpylstm.untrusted import printable


def resume(folder: Path, changes: Mapping[str, Any]) -> tuple[Run, Corpus]:
    """The run in a folder at the update where it was saved, made longer if so asked, and its text.

    Parameters
    ----------
    folder : Path
    changes : dict
        Settings given anew. Only `epochs` and `steps` may be.

    Raises
    ------
    ConfigError
        If a change would make it another run than the one that was started.
    """
    saved = run_folder.load_last(folder)
    run = restore_run(saved)
    if fixed := sorted(changes.keys() - {"epochs", "steps"}):
        raise ConfigError(
            fixed[0],
            "cannot change in a resumed run: it would no longer be the run that was started; only "
            "--epochs and --steps can",
        )
    for name, done in (("epochs", run.epoch), ("steps", run.step)):
        if changes.get(name, done) < done:
            raise ConfigError(name, f"must be at least {done}, which are done; got {changes[name]}")
    if "steps" in changes and run.out_of_steps and run.window == 0:
        raise ConfigError(
            "steps",
            f"cannot change any more: the limit of {run.config.steps} cut the last epoch short, "
            "which an uninterrupted run would not have done",
        )
    run.config = replace(run.config, **changes)
    check_memory(run.config, len(run.vocabulary))
    corpus = load_corpus(run.config, run.vocabulary)
    check_fingerprint(corpus, run.fingerprint, "a run can only go on with the same text")
    check_corpus(run.config, corpus)
    check_position(run, corpus)
    return run, corpus


class Saver:
    """Saves a run: when it is due, and before an error ends it.

    Parameters
    ----------
    folder : Path
    run : Run
    every : tuple (number, "steps" or "minutes"), or None for the ends of epochs only
    logs : sequence of SampleLog and GradientLog
        Written first: what is saved has its samples and gradients.
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
        self.saving = True
        for log in self.logs:
            log.follow(self.run)
        run_folder.save(self.folder, self.run)
        self.saving = False
        self.updates, self.since = 0, time.monotonic()

    def rescue(self, error: BaseException) -> None:
        """Save a run that an error is about to end, and let the error say so.

        A run that was being changed or saved when it came is left as it was last saved.
        """
        if self.run.whole and not self.saving:
            with suppress(Exception):  # the first error is the one to tell
                self.save()
        if isinstance(error, TrainingFailed) or not self.saving:
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
) -> Timing:
    """Train until the run is finished, or is asked to stop; save as it goes.

    A save that is due comes before what is shown. An error saves first, too, if the run is whole at
    that moment: in the forward and backward passes, in the validation, and whenever the run is
    logged, shown or drawn. It is not whole while the optimizer changes the parameters and until
    counters and metrics agree with them.

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
    print("Compiling kernels, or loading them from the cache ...", flush=True)
    log = GradientLog(folder, run, corpus) if run.config.log_gradients else None
    logs: list[SampleLog | GradientLog] = [SampleLog(folder, run, corpus)]
    if log is not None:
        logs.append(log)
    progress = Progress(run, windows)
    saver = Saver(folder, run, save_every, logs)
    timing = Timing()
    try:
        with stop_requests(deadline) as requests:
            if run.finished:
                draw(run, log)  # it may have been killed after its last save
            for item in timing.of(train(run, corpus)):
                for kept in logs:
                    kept.follow(run)
                due, status = saver.due(item), requests.status()
                if due or status:
                    saver.save()
                progress.show(item)
                if isinstance(item, Row) and item.valid_perplexity is not None:
                    draw(run, log)
                if status and not run.finished:
                    progress.line(
                        f"Stopped at epoch {run.epoch + 1}, step {run.step}; saved. Resume with\n"
                        f"  {printable(shlex.join(resume_command))}"
                    )
                    raise Stopped(status)
    except Stopped:
        raise
    except BaseException as error:
        saver.rescue(error)
        raise
    finally:
        progress.close()
    return timing
