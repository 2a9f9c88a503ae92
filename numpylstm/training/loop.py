"""Training: one update, and the loop over windows and epochs.

A `Run` is the complete state of a training run, so saving it saves the run, and a loaded run
continues as if it had never stopped.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from operator import attrgetter
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numpylstm.cells import CELLS, State
from numpylstm.checks import NotFinite, check_kind
from numpylstm.config import ConfigError, TrainConfig
from numpylstm.data import UNK, Corpus, DataError, Vocabulary, batches, num_batches
from numpylstm.data.configured import check_fingerprint, fingerprint
from numpylstm.errors import NumpylstmError
from numpylstm.evaluation import Evaluation, Watch, evaluate, safe_exp
from numpylstm.host import memory_size
from numpylstm.models import LanguageModel
from numpylstm.optim import OPTIMIZERS, Optimizer, clip_by_global_norm, decayed_rate, plateau_rate
from numpylstm.parameters import Parameter, parameter_shapes
from numpylstm.training.metrics import Row, Tally
from numpylstm.training.parallel import ALONE, Ranks, backpropagate
from numpylstm.training.thread_trials import ThreadTrials


class TrainingFailed(NumpylstmError, RuntimeError):
    """A loss, a gradient or a parameter is no longer finite."""

    exit_status = 1


class Step(NamedTuple):
    """One update. Epochs and steps are counted from 1."""

    epoch: int
    window: int
    windows: int
    step: int
    lr: float
    cost: float
    perplexity: float
    accuracy: float
    gradient_norm: float
    tokens: int


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
    closing : Row or None
        The last row of a run whose limit of steps ended it within an epoch. It is not saved, since
        with a larger limit the run continues as if there had been none.
    whole : bool
        False while an update is being applied.
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
    closing: Row | None = None
    whole: bool = True

    @property
    def out_of_patience(self) -> bool:
        """True if the validation has not improved for too many epochs."""
        patience, losses = self.config.patience, self.valid_losses
        if patience is None or not losses:
            return False
        return len(losses) > patience + losses.index(min(losses))

    @property
    def finished(self) -> bool:
        """True if no update is left to do."""
        epochs, steps = self.config.epochs, self.config.steps or math.inf
        return self.epoch >= epochs or self.step >= steps or self.out_of_patience

    @property
    def last_is_best(self) -> bool:
        """True if the last validation, of an epoch or of the end, has the lowest loss so far."""
        losses = self.valid_losses
        if self.closing is not None:
            end = self.closing.valid_perplexity or math.inf
            return not losses or end < safe_exp(min(losses))
        return self.window == 0 and bool(losses) and losses.index(min(losses)) == len(losses) - 1

    @property
    def history(self) -> list[Row]:
        """All rows of metrics, with the closing row if there is one."""
        if self.closing is None:
            return self.rows
        return [row for row in self.rows if row.step < self.closing.step] + [self.closing]

    def __repr__(self) -> str:
        return f"Run({describe(self)}): {self.epoch:,} epochs, {self.step:,} updates done"


def check_memory(config: TrainConfig, vocab_size: int) -> None:
    """Refuse sizes that this machine cannot hold, before anything is allocated.

    Parameters and their gradients, the memory of the optimiser, the logits of a window and their
    gradient are counted, and nothing else, so sizes that just pass may still be too large.

    Raises
    ------
    ConfigError
        Naming the setting that needs most.
    """
    memory = memory_size()
    shapes = parameter_shapes(config, vocab_size)
    one = {"any": Parameter(np.zeros(1, np.float32))}
    kept = OPTIMIZERS[config.optimizer].from_config(one, config).memory
    itemsize = np.dtype(config.dtype).itemsize
    parameters = (2 + len(kept)) * itemsize * sum(math.prod(shape) for _, shape in shapes)
    logits = 2 * itemsize * config.batch_size * config.num_steps * vocab_size
    if memory is None or parameters + logits <= memory:
        return
    pair = ("batch_size", "num_steps") if logits > parameters else ("input_size", "hidden_size")
    largest = max(pair[::-1], key=lambda name: getattr(config, name))
    setting = "embedding_size" if largest == "input_size" else largest
    raise ConfigError(
        setting,
        f"{getattr(config, setting)} needs {(parameters + logits) / 2**30:,.0f} GiB of "
        f"memory, with a vocabulary of {vocab_size:,}; this machine has "
        f"{memory / 2**30:,.0f} GiB",
    )


def new_run(config: TrainConfig, corpus: Corpus) -> Run:
    """Return a new run, before its first update.

    `level`, `max_vocab`, `max_eval` and `split_punctuation` (``load_text(prepare=...)``) belong to
    the loading of the corpus: give them to the loader too. `init_from` is for the command.

    Raises
    ------
    ConfigError
        If a setting does not fit the corpus, or the run does not fit into memory.
    """
    check_kind("new_run", "config", config, TrainConfig)
    check_kind("new_run", "corpus", corpus, Corpus)
    if config.init_from is not None:
        raise ConfigError("init_from", "is for numpylstm-train; load_state_dict takes parameters")
    if corpus.level != config.level:
        raise ConfigError(
            "level", f"must be {corpus.level!r}, as in the corpus, got {config.level!r}"
        )
    check_memory(config, len(corpus.vocabulary))
    model = LanguageModel.from_config(config, len(corpus.vocabulary), rng=config.seed)
    return Run(
        config=config,
        vocabulary=corpus.vocabulary,
        fingerprint=fingerprint(corpus),
        model=model,
        optimizer=OPTIMIZERS[config.optimizer].from_config(model.parameters(), config),
        state=model.zero_state(config.batch_size),
    )


def rate(run: Run) -> float:
    """Return the learning rate of the current epoch."""
    config = run.config
    if config.schedule == "plateau":
        return plateau_rate(
            config.lr, run.valid_losses, decay=config.decay, patience=config.decay_patience
        )
    return decayed_rate(
        config.lr, run.epoch, decay=config.decay, constant_epochs=config.constant_epochs
    )


def train(
    run: Run, corpus: Corpus, *, watch: Watch | None = None, ranks: Ranks = ALONE
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
        Called in each validation as ``watch(scored, total)``, in tokens. The run can be saved
        then, too; an exception ends the validation, which is repeated when the run continues.
    ranks : numpylstm.training.parallel.Ranks, optional
        The processes that share the run. All of them call `train`, and either all or none pass
        `watch`.

    Notes
    -----
    If you stop at an update where a row was due, the row is in `run.rows`, and is not yielded
    again.

    Raises
    ------
    DataError
        If the corpus is another text.
    TrainingFailed
        If the loss, the perplexity or a gradient is not finite; the parameters are those before the
        update. Also if a parameter or the validation perplexity is not finite in a validation.
    """
    check_kind("train", "run", run, Run)
    check_kind("train", "corpus", corpus, Corpus)
    check_fingerprint(corpus, run.fingerprint, "a run can only continue with its own text")
    config = run.config
    windows = num_batches(len(corpus.train), config.batch_size, config.num_steps)
    trials = ThreadTrials()
    run.closing = None
    while not run.finished or run.window == windows:
        run.optimizer.lr = rate(run)
        left = batches(corpus.train, config.batch_size, config.num_steps, start=run.window)
        for window, (x, y) in enumerate(left, run.window):
            if run.finished:
                break
            if run.window != window:
                raise RuntimeError("train: another iterator has advanced this run; use that one")
            drawn = run.model.rng.bit_generator.state
            try:
                with trials.step():
                    step = update(run, x, y, windows, ranks)
            except BaseException:
                if run.whole:
                    run.model.rng.bit_generator.state = drawn  # as if this update had not begun
                raise
            row_is_due = run.tally.steps >= config.log_every and run.window < windows
            row = close_row(run) if row_is_due else None  # before the run can be saved
            run.whole = True
            yield step
            if row is not None:
                yield row
        if run.window < windows:
            break  # the limit of steps
        valid = validate(run, corpus, watch, ranks)
        run.whole = False
        last_row = close_row(run, valid)
        run.valid_losses.append(valid.loss)
        run.epoch, run.window = run.epoch + 1, 0
        run.state = run.model.zero_state(config.batch_size)
        run.whole = True
        yield last_row
    if run.window > 0:  # the limit of steps lies within an epoch
        run.optimizer.lr = rate(run)
        valid = validate(run, corpus, watch, ranks)
        if run.tally.steps:
            run.closing = row_of(run, valid)
        else:  # a row was due at the last step
            run.closing = run.rows[-1]._replace(
                valid_perplexity=valid.perplexity, valid_accuracy=valid.accuracy
            )
        yield run.closing


@np.errstate(over="ignore", invalid="ignore")  # its results are checked instead
def update(run: Run, x: NDArray[Any], y: NDArray[Any], windows: int, ranks: Ranks = ALONE) -> Step:
    """Make one update: forward and backward pass, clipping, optimiser step."""
    config, model, optimizer = run.config, run.model, run.optimizer
    try:
        cost, nll, correct, state = backpropagate(model, x, y, run.state, config.shards, ranks)
    except NotFinite as error:
        place = f"at epoch {run.epoch + 1}, step {run.step + 1}"
        raise TrainingFailed(f"{error}, {place}; {usual_causes(run)}") from error
    norm = clip_by_global_norm(optimizer.parameters, config.clip)
    perplexity = safe_exp(nll / y.size)
    if not all(map(math.isfinite, (cost, norm, perplexity))):
        problem = f"the loss is {cost:.3g}; its perplexity or the gradient's norm is infinite"
        if culprits := not_finite({path: p.grad for path, p in optimizer.parameters.items()}):
            problem = f"the loss is {cost} and the gradient is not finite in {culprits}"
        raise TrainingFailed(
            f"{problem} at epoch {run.epoch + 1}, step {run.step + 1}; {usual_causes(run)}"
        )
    run.whole = False
    optimizer.step()

    run.state = state
    run.window += 1
    run.step += 1
    tally = run.tally
    tally.steps += 1
    tally.tokens += y.size
    tally.correct += correct
    tally.nll += nll
    tally.cost += cost
    tally.norm += norm
    tally.clipped += int(norm > config.clip)
    return Step(
        epoch=run.epoch + 1, window=run.window, windows=windows, step=run.step, lr=optimizer.lr,
        cost=cost, perplexity=perplexity, accuracy=correct / y.size, gradient_norm=norm,
        tokens=y.size,
    )  # fmt: skip


def not_finite(arrays: dict[str, NDArray[Any]]) -> str:
    """Return the names of arrays that are not finite."""
    return ", ".join(name for name, array in arrays.items() if not np.isfinite(array).all())


def usual_causes(run: Run) -> str:
    """Describe the usual causes of non-finite numbers, with the values of this run."""
    config = run.config
    return (
        "usually the learning rate is too high, the clip too large or the initial values too big "
        f"(here lr {run.optimizer.lr:g}, clip {config.clip:g}, init_scale {config.init_scale:g})"
    )


def check_parameters(run: Run) -> None:
    """Check that every parameter and the memory of the optimiser are finite.

    Raises
    ------
    TrainingFailed
        Naming those that are not.
    """
    arrays = {path: p.data for path, p in run.optimizer.parameters.items()}
    for memory, kept in run.optimizer.memory.items():
        arrays |= {f"the {memory} of {path}": array for path, array in kept.items()}
    if culprits := not_finite(arrays):
        raise TrainingFailed(
            f"not finite after epoch {run.epoch + 1}, step {run.step}: {culprits}; "
            f"{usual_causes(run)}"
        )


def close_row(run: Run, valid: Evaluation | None = None) -> Row:
    """Turn the tally into a row of metrics and start a new tally."""
    row = row_of(run, valid)
    run.tally = Tally()
    run.rows.append(row)
    return row


def row_of(run: Run, valid: Evaluation | None) -> Row:
    """Return the row of metrics of the tally, with a validation if there was one."""
    tally = run.tally
    return Row(
        epoch=run.epoch + 1, step=run.step, lr=run.optimizer.lr,
        cost=tally.cost / tally.steps, perplexity=safe_exp(tally.nll / tally.tokens),
        accuracy=tally.correct / tally.tokens, gradient_norm=tally.norm / tally.steps,
        valid_perplexity=None if valid is None else valid.perplexity,
        valid_accuracy=None if valid is None else valid.accuracy,
        clipped=tally.clipped / tally.steps,
    )  # fmt: skip


def validate(run: Run, corpus: Corpus, watch: Watch | None, ranks: Ranks = ALONE) -> Evaluation:
    """Score the validation text, by shards; its perplexity and the parameters must be finite."""
    check_parameters(run)
    config, ids = run.config, corpus.valid
    streams = validation_streams(len(ids), config)
    width = max(streams // config.shards, 1)  # streams of a shard
    shards, length = streams // width, len(ids) // streams * width
    scores: list[Evaluation] = []
    for shard in ranks.own(shards):
        part = ids[shard * length : (shard + 1) * length]
        valid = evaluate(run.model, part, width, config.num_steps, watch=watch)
        if not math.isfinite(valid.perplexity):
            raise TrainingFailed(
                f"the validation loss is {valid.loss:.3g}, a perplexity that overflows, at epoch "
                f"{run.epoch + 1}, step {run.step}; {usual_causes(run)}"
            )
        scores.append(valid)
    if shards > 1:
        scores = [valid for shared in ranks.share(scores) for valid in shared]
    tokens = sum(valid.tokens for valid in scores)
    loss, accuracy = (fmean(map(attrgetter(key), scores)) for key in ("loss", "accuracy"))
    return Evaluation(loss, accuracy, tokens, len(ids) - tokens, streams, config.num_steps)


def validation_streams(length: int, config: TrainConfig) -> int:
    """Return the number of streams of a validation: one if the text is short."""
    return config.batch_size if length >= config.batch_size * 50 else 1


def check_corpus(config: TrainConfig, corpus: Corpus) -> None:
    """Check that the training text is long enough, and holds more than `<unk>`.

    Raises
    ------
    DataError
        Naming the text, the number of tokens it needs, and the number it has.
    """
    if len(corpus.vocabulary) == 1:
        raise DataError(
            f"{corpus.source}: the train text must have a token besides {UNK}, got no other; there "
            "is nothing to learn from it"
        )
    B, T, have = config.batch_size, config.num_steps, len(corpus.train)
    if have < B * (T + 1):
        raise DataError(
            f"{corpus.source}: the train text must have at least {B * (T + 1)} tokens for {B} "
            f"streams of {T} steps, got {have}; use a longer text, or a smaller batch_size or "
            "num_steps"
        )


def check_position(run: Run, corpus: Corpus) -> None:
    """Check that a resumed run is at a position within its text.

    Raises
    ------
    DataError
    """
    config = run.config
    windows = num_batches(len(corpus.train), config.batch_size, config.num_steps)
    row_was_due = bool(run.rows) and run.rows[-1].step == run.step and run.window < windows
    if run.window > windows or (run.window > 0 and run.tally.steps == 0 and not row_was_due):
        raise DataError(
            f"{corpus.source}: the run cannot be at window {run.window} of {windows} and step "
            f"{run.step}; its checkpoint was changed"
        )


def describe(run: Run) -> str:
    """Describe the model in a few words."""
    config = run.config
    cell = CELLS[config.cell].describe(config.options)
    return (
        f"{config.num_layers} x {config.hidden_size} {cell}, "
        f"{run.model.num_parameters:,} parameters, {config.dtype}, seed {config.seed}"
    )
