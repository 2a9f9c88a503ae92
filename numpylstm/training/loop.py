"""Training: one update, and the loop over windows and epochs.

A `Run` is the complete state of a training run, so saving it saves the run, and a loaded run
continues as if it had never stopped.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import numpy as np

from numpylstm.cells import CELLS, State
from numpylstm.checks import Array, NotFinite, check_kind
from numpylstm.config import ConfigError, ModelConfig, TrainConfig, config_fields
from numpylstm.data import UNK, Corpus, DataError, Vocabulary, batches, num_batches
from numpylstm.data.configured import check_fingerprint, fingerprint
from numpylstm.errors import RATE_TOO_HIGH, NumpylstmError
from numpylstm.evaluation import Evaluation, ProgressCallback, evaluate, safe_exp
from numpylstm.models import LanguageModel
from numpylstm.optim import OPTIMIZERS, AveragedParameters, Optimizer, clip_by_global_norm
from numpylstm.parameters import Module
from numpylstm.training import parallel
from numpylstm.training.metrics import Row, Step, Tally, best_row
from numpylstm.training.schedules import Progress, schedule_of
from numpylstm.training.thread_trials import ThreadTrials

Arrays = Mapping[str, Array]

NAMED_BY_DESCRIBE = {"num_layers", "hidden_size", "cell", "dtype"}
"""The settings that `describe` writes in a form of their own."""


class TrainingFailed(NumpylstmError, RuntimeError):
    """A loss or a gradient is no longer finite."""

    exit_status = 1


class Callback(Protocol):
    """Object that follows a run beside its model and optimiser; `Run.callbacks` holds it by name.

    A checkpoint stores its arrays, and those of a resumed run are filled from it.
    """

    def after_update(self, epoch: int) -> None:
        """Follow an update of the run; `epoch` is the number of finished epochs."""

    def candidate_parameters(self) -> Arrays | None:
        """Return parameters to validate beside those of the model, by path, or None."""

    def state_dict(self) -> dict[str, Array]:
        """Return the arrays themselves, by name."""


@dataclass
class Run:
    """The state of a training run between two updates.

    Attributes
    ----------
    config : TrainConfig
    vocabulary : Vocabulary
    fingerprint : str
        A hash of the corpus, so that a run cannot be resumed on another text.
    model, optimizer
        The model's generator holds the position in the stream of dropout masks.
    state : state of the cell
        The recurrent state between two windows.
    epoch, window, step : int
        Epochs finished, windows of the current epoch done, updates made in all.
    valid_losses : list of float
        One for each finished epoch.
    rows : list of Row
    tally : Tally
    callbacks : dict of str -> Callback
    better_parameters : dict of path -> array, or None
        The parameters of a callback, if they were better in the last validation.
    """

    config: TrainConfig
    vocabulary: Vocabulary
    fingerprint: str
    model: LanguageModel
    optimizer: Optimizer
    state: State
    epoch: int = 0
    window: int = 0
    step: int = 0
    valid_losses: list[float] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    callbacks: dict[str, Callback] = field(default_factory=dict)
    better_parameters: Arrays | None = None

    @classmethod
    def begin(
        cls, config: TrainConfig, vocabulary: Vocabulary, fingerprint: str, model: LanguageModel
    ) -> Self:
        """Return a run of this model before its first update."""
        settings = config.conditional_settings("optimizer")
        optimizer = OPTIMIZERS[config.optimizer](model.parameters(), **settings)
        run = cls(
            config, vocabulary, fingerprint, model, optimizer, model.zero_state(config.batch_size)
        )
        if config.average_after is not None:
            run.callbacks["average"] = AveragedParameters(model, config.average_after)
        return run

    @property
    def finished(self) -> bool:
        """True if no update is left to do."""
        config = self.config
        return (
            self.epoch >= config.epochs
            or self.step >= (config.steps or math.inf)
            or out_of_patience(self.valid_losses, config.patience)
        )

    @property
    def validated(self) -> bool:
        """True if the last row has a validation after the last update."""
        if not self.rows:
            return False
        return self.rows[-1].step == self.step and self.rows[-1].valid_perplexity is not None

    @property
    def complete(self) -> bool:
        """True if nothing is left to do, not even the last validation."""
        return self.finished and (self.window == 0 or self.validated)

    @property
    def last_is_best(self) -> bool:
        """True if the last update is that of `best_row`."""
        return self.validated and best_row(self.rows, self.epoch) is self.rows[-1]

    def __repr__(self) -> str:
        return f"Run({describe(self)}): {self.epoch:,} epochs, {self.step:,} updates done"


def out_of_patience(losses: Sequence[float], patience: int | None) -> bool:
    """Return True if `patience` epochs or more have followed that of the lowest loss."""
    if patience is None or not losses:
        return False
    return len(losses) > patience + losses.index(min(losses))


def new_run(config: TrainConfig, corpus: Corpus) -> Run:
    """Return a new run, before its first update.

    `level`, `max_vocab`, `max_eval` and `split_punctuation` (``load_text(prepare=...)``) belong to
    the loading of the corpus: give them to the loader too. `init_from` is for the command.

    Raises
    ------
    ConfigError
        If a setting does not fit the corpus.
    DataError
        If the training text is too short.
    """
    check_kind("new_run", "config", config, TrainConfig)
    check_kind("new_run", "corpus", corpus, Corpus)
    if config.init_from is not None:
        raise ConfigError("init_from", "is for numpylstm-train; load_state_dict takes parameters")
    if corpus.level != config.level:
        raise ConfigError(
            "level", f"must be {corpus.level!r}, as in the corpus, got {config.level!r}"
        )
    check_corpus(config, corpus)
    model = LanguageModel.from_config(config, len(corpus.vocabulary), rng=config.seed)
    return Run.begin(config, corpus.vocabulary, fingerprint(corpus), model)


def train(
    run: Run, corpus: Corpus, *, watch: ProgressCallback | None = None
) -> Iterator[Step | Row]:
    """Return an iterator that trains a run to its end: each item is the result of one update.

    Nothing is trained until you iterate. Between two items you can save the run, inspect it or
    stop. Each item is a `Step` after an update, or a `Row` when metrics are due; a `Row` with a
    validation perplexity ends an epoch, or the run.

    Parameters
    ----------
    run : Run
        Changed in place.
    corpus : Corpus
        The text that the run was made for.
    watch : callable, optional
        Called in each validation as ``watch(scored, total)``, in tokens. An exception ends the
        validation, which is repeated when the run continues.

    Notes
    -----
    If you stop at an update where a row was due, the row is in `run.rows`, and is never yielded.

    Raises
    ------
    DataError
        If the corpus is another text.
    TrainingFailed
        If the loss, the perplexity or a gradient is not finite; the parameters are those before the
        update. Also if the validation perplexity is not finite.
    """
    check_kind("train", "run", run, Run)
    check_kind("train", "corpus", corpus, Corpus)
    check_fingerprint(corpus, run.fingerprint)
    config = run.config
    trials = ThreadTrials()
    B, T = config.batch_size, config.num_steps
    windows = num_batches(len(corpus.train), B, T)
    rate = schedule_of(config)
    if run.window > 0 and run.validated and not run.finished:
        undo_validation(run)
    while not run.complete:
        for x, y in batches(corpus.train, B, T, start=run.window, rng=rng_of_offsets(run)):
            if run.finished:  # at a limit of steps
                break
            progress = Progress(run.epoch, config.epochs, run.window, windows, run.valid_losses)
            run.optimizer.lr = rate(progress)
            with trials.step():
                step = update(run, x, y, windows)
            due = run.tally.steps >= config.log_every and run.window < windows and not run.finished
            if due:  # the rows that end an epoch or the run follow its validation
                close_row(run)
            yield step  # the caller may save the run here
            if due:
                yield run.rows[-1]
        valid = validate(run, corpus, watch)
        if run.window == windows:
            yield end_epoch(run, valid)
        else:
            yield add_row(run, valid)


def rng_of_offsets(run: Run) -> np.random.Generator | None:
    """Return the generator of the offsets at which the streams of this epoch begin.

    None if they begin at their first one. It depends on the seed and the epoch only, so that a run
    that is resumed within an epoch finds the same windows.
    """
    if not run.config.moving_windows or run.epoch == 0:
        return None
    return np.random.default_rng([run.config.seed, run.epoch])


@np.errstate(over="ignore", invalid="ignore")  # its results are checked instead
def update(run: Run, x: Array, y: Array, windows: int) -> Step:
    """Make one update: forward and backward pass, clipping, optimiser step."""
    config = run.config
    optimizer = run.optimizer
    try:
        cost, nll, correct, state = parallel.backpropagate(
            run.model, x, y, run.state, config.shards
        )
    except NotFinite as error:
        raise training_failed(run, run.step + 1, str(error)) from error
    optimizer.add_unfrozen()
    norm = clip_by_global_norm(optimizer.parameters, config.clip)
    perplexity = safe_exp(nll / y.size)
    if not all(map(math.isfinite, (cost, norm, perplexity))):
        problem = (
            f"the loss is {cost:.3g}, its perplexity {perplexity:.3g}, the norm of the gradient "
            f"{norm:.3g}"
        )
        raise training_failed(run, run.step + 1, problem)
    optimizer.step()
    run.state = state
    run.window += 1
    run.step += 1
    step = Step(
        epoch=run.epoch + 1,
        window=run.window,
        windows=windows,
        step=run.step,
        lr=optimizer.lr,
        cost=cost,
        perplexity=perplexity,
        accuracy=correct / y.size,
        gradient_norm=norm,
        tokens=y.size,
    )
    run.tally.add(step, nll, correct, clipped=norm > config.clip)
    for callback in run.callbacks.values():
        callback.after_update(run.epoch)
    return step


# --- metrics -----------------------------------------------------------------------------------


def close_row(run: Run, valid: Evaluation | None = None) -> Row:
    """Add the row of the tally, with a validation if there was one, and start a new tally."""
    row = add_row(run, valid)
    run.tally = Tally()
    return row


def add_row(run: Run, valid: Evaluation | None) -> Row:
    """Add the row of metrics of the tally, with a validation if there was one.

    If a row was due at this update, and the run was then told to end here, that row gets the
    validation.
    """
    tally = run.tally
    if tally.steps == 0 and valid is not None:
        run.rows[-1] = run.rows[-1]._replace(
            valid_perplexity=valid.perplexity, valid_accuracy=valid.accuracy
        )
        return run.rows[-1]
    row = Row(
        epoch=run.epoch + 1,
        step=run.step,
        lr=tally.lr,
        cost=tally.cost / tally.steps,
        perplexity=safe_exp(tally.nll / tally.tokens),
        accuracy=tally.correct / tally.tokens,
        gradient_norm=tally.norm / tally.steps,
        valid_perplexity=None if valid is None else valid.perplexity,
        valid_accuracy=None if valid is None else valid.accuracy,
        clipped=tally.clipped / tally.steps,
    )
    run.rows.append(row)
    return row


def end_epoch(run: Run, valid: Evaluation) -> Row:
    """End an epoch with its last row of metrics; the next begins at the start of the text."""
    row = close_row(run, valid)
    run.valid_losses.append(valid.loss)
    run.epoch += 1
    run.window = 0
    run.state = run.model.zero_state(run.config.batch_size)
    return row


def undo_validation(run: Run) -> None:
    """Remove the validation that a limit of steps added within an epoch; its tally goes on."""
    row = run.rows.pop()
    if run.tally.steps == 0:
        run.rows.append(row._replace(valid_perplexity=None, valid_accuracy=None))
    if run.tally.steps >= run.config.log_every:
        close_row(run)


# --- validation --------------------------------------------------------------------------------


def validate(run: Run, corpus: Corpus, watch: ProgressCallback | None) -> Evaluation:
    """Score the validation text in streams, a single one if it is short.

    If the candidate parameters of a callback are better, their result counts, and the run keeps
    them.
    """
    ids = corpus.valid
    config = run.config
    streams = config.batch_size if len(ids) >= config.batch_size * 50 else 1

    def score() -> Evaluation:
        valid = evaluate(run.model, ids, streams, config.num_steps, watch=watch)
        if not math.isfinite(valid.perplexity):
            problem = f"the validation loss is {valid.loss:.3g}, a perplexity that overflows"
            raise training_failed(run, run.step, problem)
        return valid

    best, run.better_parameters = score_with_candidates(run.model, run.callbacks.values(), score)
    return best


def score_with_candidates(
    model: Module, callbacks: Iterable[Callback], score: Callable[[], Any]
) -> tuple[Any, Arrays | None]:
    """Score a model, and score it with the candidate parameters of each callback.

    Return the result with the lowest `loss`, and the parameters if they are those of a callback.
    """
    best = score()
    best_parameters: Arrays | None = None
    for callback in callbacks:
        parameters = callback.candidate_parameters()
        if parameters is None:
            continue
        before = model.state_dict()
        model.load_state_dict(parameters)
        try:
            other = score()
        finally:
            model.load_state_dict(before)
        if other.loss < best.loss:
            best = other
            best_parameters = parameters
    return best, best_parameters


# --- checks ------------------------------------------------------------------------------------


def check_corpus(config: TrainConfig, corpus: Corpus) -> None:
    """Check that the training text is long enough, and that its batches can be shared by ranks.

    Raises
    ------
    DataError
        Naming the text, the number of tokens it needs, and the number it has.
    ConfigError
        If MPI ranks cannot share the shards.
    """
    B, T = config.batch_size, config.num_steps
    have = len(corpus.train)
    if have < B * (T + 1):
        raise DataError(
            f"{corpus.source}: the train text must have at least {B * (T + 1)} tokens for {B} "
            f"streams of {T} steps, got {have}; use a longer text, or a smaller batch_size or "
            "num_steps"
        )
    if len(corpus.vocabulary) < 2:
        raise DataError(
            f"{corpus.source}: the train text must hold a token besides {UNK}, got none; there is "
            "nothing to predict"
        )
    parallel.check_shards(config.shards)


def training_failed(run: Run, step: int, problem: str) -> TrainingFailed:
    """Return an error with the place in the run, and the usual causes."""
    config = run.config
    return TrainingFailed(
        f"{problem}, at epoch {run.epoch + 1}, step {step}; usually {RATE_TOO_HIGH}, "
        f"the clip too large or the initial values too big (here lr {run.optimizer.lr:g}, clip "
        f"{config.clip:g}, init_scale {config.init_scale:g})"
    )


def describe(run: Run) -> str:
    """Describe the model: its layers, and each other setting that changes its outputs."""
    config = run.config
    cell = CELLS[config.cell].describe(config.options)
    words = [f"{config.num_layers} x {config.hidden_size} {cell}"]
    for each in config_fields(ModelConfig):
        value = getattr(config, each.name)
        if each.name in NAMED_BY_DESCRIBE or not each.metadata["outputs"] or value == each.default:
            continue
        name = each.name.replace("_", " ")
        words.append(name if value is True else f"{name} {value}")
    words += [f"{run.model.num_parameters:,} parameters", config.dtype, f"seed {config.seed}"]
    return ", ".join(words)
