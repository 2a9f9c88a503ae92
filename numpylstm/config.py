"""Settings of a model, `ModelConfig`, and of a training run, `TrainConfig`; and the presets.

Everything to be known about a setting stands at its field: type, default, bounds, help and roles.
The command line, the reports and the documentation read it there, and the constructor checks it.
Only the standard library is imported here: ``numpylstm-train --help`` must be fast.
"""

import functools
from collections.abc import Collection, Iterable, Mapping
from dataclasses import Field, asdict, dataclass, field, fields
from numbers import Integral, Real
from operator import ge, gt, le, lt
from reprlib import repr as shortened
from typing import Any, NamedTuple, Self

from numpylstm.cells import CELLS, LARGEST_SIZE, ChosenCell
from numpylstm.errors import NumpylstmError, either
from numpylstm.levels import LEVELS


class ConfigError(NumpylstmError, ValueError):
    """An invalid setting: its name, `setting`, and the rest of the message, `problem`."""

    def __init__(self, setting: str, problem: str) -> None:
        super().__init__(f"{setting} {problem}")
        self.setting = setting
        self.problem = problem


class ConfigTypeError(ConfigError, TypeError):
    """A setting of the wrong type."""


class Metadata(NamedTuple):
    """Everything about a setting but its name, type and default."""

    group: str
    help: str
    choices: Collection[str] | None = None
    several: bool = False  # a tuple of values is accepted too
    length: int | None = None  # a tuple of so many values is needed
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None
    parent: str | None = None  # this setting exists for some values of its parent only
    defaults: Mapping[str, Any] = {}  # these values, and the default with each
    experiment: bool = True  # False if runs that differ only in it repeat one experiment
    resumable: bool = False  # may change when a run is resumed
    shapes: bool = False  # decides the shapes of the parameters, or what the tokens are
    outputs: bool = True  # False if a trained model computes the same with any value
    text: bool = False  # names a text


def setting(default: Any, group: str, help: str, **others: Any) -> Any:
    """Dataclass field with `Metadata`."""
    return field(default=default, metadata=Metadata(group, help, **others)._asdict())


def conditional_setting(
    parent: str, defaults: Mapping[str, Any], group: str, help: str, **others: Any
) -> Any:
    """Dataclass field of a setting that exists for some values of another one, its `parent`.

    `defaults` are these values, each with its default. With another value the setting is None.
    """
    shown = ", ".join(
        f"{on_command_line(default)} with {choice}" for choice, default in defaults.items()
    )
    text = f"{help} (default: {shown})"
    return setting(None, group, text, parent=parent, defaults=defaults, **others)


def on_command_line(value: Any) -> str:
    """Write a number, or several, as on the command line."""
    values = value if isinstance(value, tuple) else (value,)
    return " ".join(f"{one:g}" for one in values)


GROUPS = DATA, MODEL, OPTIMISATION, RUN = "data", "model", "optimisation", "run"
DEFAULT_RATES = {"sgd": 1.0, "adam": 0.001, "adamw": 0.001}
"""The names of the optimisers, each with its default learning rate."""
SCHEDULE_NAMES = "epoch", "plateau", "one-cycle", "cosine"
LARGEST_OPTION = 1_000
LARGEST = 3e38  # which float32 can hold
FRACTION: dict[str, Any] = {"at_least": 0, "below": 1}
CACHE_THETA = 0.3
CACHE_SHARE = 0.1
"""Defaults of `numpylstm.adaptation.evaluate_with_cache` and of its command."""

BOUNDS = {"at_least": ge, "above": gt, "at_most": le, "below": lt}
KINDS = {int: "a whole number", float: "a number", str: "a string", bool: "True or False"}


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Settings of a language model, except the size of its vocabulary.

    `options` are options of the cell, such as ``{"activation": "relu"}``; missing ones take their
    defaults.

    Raises
    ------
    ConfigError
        If a value has the wrong type, is out of bounds, or conflicts with another.
    """

    cell: str = setting("lstm", MODEL, "recurrent cell", choices=CELLS, shapes=True)
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    hidden_size: int = setting(
        200,
        MODEL,
        "hidden units per layer, H",
        at_least=1,
        at_most=LARGEST_SIZE,
        shapes=True,
    )
    embedding_size: int | None = setting(
        None,
        MODEL,
        "size of the word vectors, D (default: H)",
        at_least=1,
        at_most=LARGEST_SIZE,
        shapes=True,
    )
    num_layers: int = setting(1, MODEL, "recurrent layers, L", at_least=1, at_most=100, shapes=True)
    dropout: float = setting(
        0.0,
        MODEL,
        "probability of dropping a non-recurrent connection",
        outputs=False,
        **FRACTION,
    )
    dropout_input: float | None = setting(
        None,
        MODEL,
        "dropout after the embedding (default: as --dropout)",
        outputs=False,
        **FRACTION,
    )
    dropout_output: float | None = setting(
        None,
        MODEL,
        "dropout before the decoder, and before a projection (default: as --dropout)",
        outputs=False,
        **FRACTION,
    )
    dropout_locked: bool = setting(
        False,
        MODEL,
        "drop the same entries at all steps of a window (variational dropout)",
        outputs=False,
    )
    dropout_weights: float = setting(
        0.0,
        MODEL,
        "probability of dropping an entry of Wh, for a whole window (weight drop)",
        outputs=False,
        **FRACTION,
    )
    dropout_state: float = setting(
        0.0,
        MODEL,
        "probability of dropping a unit of h from the product with Wh, for a whole window",
        outputs=False,
        **FRACTION,
    )
    dropout_words: float = setting(
        0.0,
        MODEL,
        "probability of dropping a word: its row of the embedding table, for a whole window",
        outputs=False,
        **FRACTION,
    )
    tied: bool = setting(
        False,
        MODEL,
        "decode with the transposed embedding table, and if D is not H, after a projection (H, D)",
        shapes=True,
    )
    init_scale: float = setting(
        0.05,
        MODEL,
        "draw the initial parameters from U(-s, s) with this s",
        outputs=False,
        at_least=0,
        at_most=1_000,
    )
    init_scale_embedding: float | None = setting(
        None,
        MODEL,
        "s for the embedding (default: as --init-scale)",
        outputs=False,
        at_least=0,
        at_most=1_000,
    )
    dtype: str = setting("float32", MODEL, "precision", choices=("float32", "float64"), shapes=True)
    impl: str = setting(
        "fast",
        MODEL,
        "compiled kernels, or the textbook in plain NumPy, which gives the same numbers slowly",
        choices=("fast", "reference"),
        outputs=False,
    )
    average_across_timesteps: bool = setting(
        False,
        OPTIMISATION,
        "divide the loss by T; for the same training, multiply SGD's "
        "learning rate by T and divide the clip by T",
        outputs=False,
    )
    average_across_batch: bool = setting(True, OPTIMISATION, "divide the loss by B", outputs=False)

    def __post_init__(self) -> None:
        for each in config_fields(type(self)):
            object.__setattr__(self, each.name, checked(each, getattr(self, each.name)))
        for each in config_fields(type(self)):
            if each.metadata["parent"] is not None:
                self._follow_parent(each)
        object.__setattr__(self, "options", cell_options(self.cell, self.options))
        check_recurrent_drops(self.cell, self.options, self.dropout_weights, self.dropout_state)

    def _follow_parent(self, each: "Field[Any]") -> None:
        """Give a conditional setting the default of its parent's value; refuse it with others."""
        name = each.name
        value = getattr(self, name)
        parent = each.metadata["parent"]
        defaults = each.metadata["defaults"]
        choice = getattr(self, parent)
        if choice in defaults:
            value = defaults[choice] if value is None else value
        elif value in (None, next(iter(defaults.values()))):
            value = None
        else:
            raise refused_with_parent(name, value, defaults, parent, choice)
        object.__setattr__(self, name, value)

    @functools.cached_property
    def chosen_cell(self) -> ChosenCell:
        """The cell with its options."""
        return ChosenCell(CELLS[self.cell], self.options)

    @property
    def input_size(self) -> int:
        """The size of the word vectors, D."""
        return self.hidden_size if self.embedding_size is None else self.embedding_size

    @property
    def projected(self) -> bool:
        """True if a projection (H, D) stands between the hidden states and the tied decoder."""
        return self.tied and self.input_size != self.hidden_size

    @property
    def averaging(self) -> dict[str, bool]:
        """The reduction of the loss: two arguments of `sequence_cross_entropy_forward`."""
        return {
            "average_across_timesteps": self.average_across_timesteps,
            "average_across_batch": self.average_across_batch,
        }

    @classmethod
    def with_options(cls, options: Mapping[str, Any] | None = None, **settings: Any) -> Self:
        """Return the settings, among which the options of cells may stand by name.

        `options` are further ones, which come before those of the same name.
        """
        option_names = {name for cell in CELLS.values() for name in cell.options}
        by_name = {name: settings.pop(name) for name in [*settings] if name in option_names}
        return cls(options=by_name | dict(options or {}), **settings)

    def model_settings(self) -> "ModelConfig":
        """Return the settings of the model alone, without those of its training."""
        return ModelConfig(**{each.name: getattr(self, each.name) for each in fields(ModelConfig)})

    def to_dict(self) -> dict[str, Any]:
        """Return all settings as plain values: the keywords of the class."""
        return asdict(self)

    def flattened(self) -> dict[str, Any]:
        """Return all settings by name, with the options of the cell among them."""
        settings = self.to_dict()
        options = settings.pop("options")
        return settings | options


def config_fields(kind: type) -> "list[Field[Any]]":
    """Return the fields of a configuration, except the options of the cell."""
    return [each for each in fields(kind) if each.name != "options"]


def check_known(config: ModelConfig, program: str, known: Collection[str]) -> None:
    """Raise a ConfigError for a setting with which another program would compute something else.

    `known` are the settings that the program has; the others must have their defaults, unless they
    leave the outputs of a trained model as they are.
    """
    for each in config_fields(ModelConfig):
        value = getattr(config, each.name)
        if each.metadata["outputs"] and each.name not in known and value != each.default:
            raise ConfigError(
                each.name, f"must be {each.default!r}, got {value!r}; {program} has no such setting"
            )


def kind_of(each: "Field[Any]") -> Any:
    """Return the type of a setting: its annotation, without None and without a tuple."""
    kind: Any = each.type
    while hasattr(kind, "__args__"):  # a union, or a tuple
        kind = kind.__args__[0]
    return kind


def plain(value: Any) -> Any:
    """Return a NumPy number as a Python number, and anything else unchanged."""
    if isinstance(value, Integral) and not isinstance(value, int):
        return int(value)
    if isinstance(value, Real) and not isinstance(value, int | float):
        return float(value)
    return value


def checked(each: "Field[Any]", value: Any) -> Any:
    """Return the value of a setting in its plain form; raise a ConfigError unless it is allowed."""
    value = plain(value)
    known = each.metadata
    if value is None and each.default is None:
        return None
    length = known["length"]
    if length is not None and not (isinstance(value, list | tuple) and len(value) == length):
        raise ConfigTypeError(each.name, f"must be {length} numbers, got {shortened(value)}")
    several = length or (known["several"] and isinstance(value, list | tuple) and value)
    values = tuple(map(plain, value)) if several else (value,)
    for one in values:
        check_value(each.name, one, kind_of(each), known)
    return values[0] if len(values) == 1 else values


def check_value(name: str, value: Any, kind: Any, known: Mapping[str, Any]) -> None:
    """Raise a ConfigError unless one value agrees with the type and metadata of its setting."""
    choices = known["choices"]
    if choices is not None:
        if not (isinstance(value, str) and value in choices):
            raise ConfigError(name, f"must be {either(choices)}, got {shortened(value)}")
        return
    accepted = (int, float) if kind is float else kind
    if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
        raise ConfigTypeError(name, f"must be {KINDS[kind]}, got {shortened(value)}")
    bounds = {words: known[words] for words in BOUNDS if known[words] is not None}
    if not all(BOUNDS[words](value, bound) for words, bound in bounds.items()):
        expected = " and ".join(f"{words.replace('_', ' ')} {b}" for words, b in bounds.items())
        raise ConfigError(name, f"must be {expected}, got {shortened(value)}")


def check_recurrent_drops(
    cell: str, options: Mapping[str, Any], of_weights: float, of_state: float
) -> None:
    """Raise a ConfigError if something is to be dropped from a product that the cell lacks."""
    if "Wh" in CELLS[cell].parameters(options):
        return
    title = CELLS[cell].title
    for name, p in {"dropout_weights": of_weights, "dropout_state": of_state}.items():
        if p:
            raise ConfigError(name, f"must be 0, got {p}; a {title} has no Wh to drop")


def cell_options(cell: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return all options of a cell: the given ones, and the defaults of the others.

    The default of an option of another cell is accepted and left out.

    Raises
    ------
    ConfigError
        If the cell is unknown, or an option belongs to another cell or has an impossible value.
    TypeError
        If no cell has an option of that name.
    """
    if cell not in [*CELLS]:
        raise ConfigError("cell", f"must be {either(CELLS)}, got {cell!r}")
    if not isinstance(given, Mapping):
        raise ConfigError("options", f"must be a dict of name -> value, got {shortened(given)}")
    options = {name: option.default for name, option in CELLS[cell].options.items()}
    for name, value in given.items():
        defaults = {c.name: c.options[name].default for c in CELLS.values() if name in c.options}
        if not defaults:
            raise TypeError(f"{name!r} is not an option of any cell; got {shortened(value)}")
        if name in options:
            option = CELLS[cell].options[name]
            known = Metadata(
                MODEL,
                option.help,
                option.choices,
                at_least=-LARGEST_OPTION,
                at_most=LARGEST_OPTION,
            )
            options[name] = plain(value)
            check_value(name, options[name], type(option.default), known._asdict())
        elif value not in defaults.values():
            raise refused_with_parent(name, value, defaults, "cell", cell)
    return options


def refused_with_parent(
    name: str, value: Any, choices: Iterable[str], parent: str, choice: str
) -> ConfigError:
    """Return the error of a conditional setting that its parent's value does not have."""
    return ConfigError(
        name,
        f"must be left out, got {shortened(value)}; it is a setting of {either(choices)}, and the "
        f"{parent} is {choice!r}",
    )


@dataclass(frozen=True, kw_only=True)
class TrainConfig(ModelConfig):
    """Settings of a training run: of its model, its text and its optimisation.

    The reduction of the loss, the learning rate and the clip belong together: with the defaults
    (sum over time, mean over the batch) a rate of 1 and a clip of 5 are the recipe of Zaremba et
    al. (2014).

    Raises
    ------
    ConfigError
        If a value has the wrong type, is out of bounds, or conflicts with another.
    """

    data: str | None = setting(
        None,
        DATA,
        "Penn Treebank: a folder with ptb.train.txt, ptb.valid.txt and "
        "ptb.test.txt, or simple-examples.tgz, which is read in place",
        resumable=True,
        text=True,
    )
    train: str | tuple[str, ...] | None = setting(
        None,
        DATA,
        "your own text, UTF-8: files, plain or .gz, folders with .txt or .txt.gz "
        "files, or - for standard input; of several, each is split",
        several=True,
        resumable=True,
        text=True,
    )
    valid: str | tuple[str, ...] | None = setting(
        None,
        DATA,
        "validation text (default: a part of --train)",
        several=True,
        resumable=True,
        text=True,
    )
    test: str | tuple[str, ...] | None = setting(
        None,
        DATA,
        "test text (default: a part of --train)",
        several=True,
        resumable=True,
        text=True,
    )
    level: str = setting(
        "word",
        DATA,
        f"split the text into {' or '.join(f'{level.unit}s' for level in LEVELS.values())}",
        choices=tuple(LEVELS),
        shapes=True,
    )
    split_punctuation: bool = setting(
        False,
        DATA,
        "separate punctuation from the words of --train, as the demo does with "
        "its own text: 'end.' becomes 'end .'",
    )
    max_vocab: int | None = setting(
        None,
        DATA,
        "size of the vocabulary, <unk> included; rarer tokens become <unk> "
        "(the demo preset limits the vocabulary of its own text only)",
        at_least=2,
        shapes=True,
    )

    max_eval: int | None = setting(
        None,
        DATA,
        "use only the first N tokens of the validation and the test text",
        at_least=2,
    )

    batch_size: int = setting(20, OPTIMISATION, "parallel streams of text, B", at_least=1)
    num_steps: int = setting(
        20, OPTIMISATION, "steps of truncated backpropagation through time, T", at_least=1
    )
    moving_windows: bool = setting(
        False,
        OPTIMISATION,
        "begin each stream elsewhere in each epoch past the first, so that windows differ",
    )
    epochs: int = setting(
        13, OPTIMISATION, "passes over the training text", at_least=1, resumable=True
    )
    steps: int | None = setting(
        None,
        OPTIMISATION,
        "stop after N updates, however many epochs are left",
        at_least=1,
        resumable=True,
    )
    lr: float = conditional_setting(
        "optimizer",
        DEFAULT_RATES,
        OPTIMISATION,
        "initial learning rate, unless the preset has one",
        above=0,
        at_most=LARGEST,
    )
    schedule: str = setting(
        "epoch",
        OPTIMISATION,
        "multiply the learning rate by --decay after each epoch past "
        "--constant-epochs, or on a plateau: after --decay-patience epochs without a better "
        "validation loss; or change it with each update: one cycle up and down, or down by a "
        "cosine",
        choices=SCHEDULE_NAMES,
    )
    decay: float | None = conditional_setting(
        "schedule",
        {"epoch": 0.5, "plateau": 0.5},
        OPTIMISATION,
        "decay factor of the learning rate",
        above=0,
        at_most=1,
    )
    constant_epochs: int | None = conditional_setting(
        "schedule",
        {"epoch": 4},
        OPTIMISATION,
        "epochs at the initial learning rate",
        at_least=0,
    )
    warmup: float | None = conditional_setting(
        "schedule",
        {"one-cycle": 0.3, "cosine": 0.0},
        OPTIMISATION,
        "share of all updates in which the learning rate rises",
        **FRACTION,
    )
    decay_patience: int | None = conditional_setting(
        "schedule",
        {"plateau": 1},
        OPTIMISATION,
        "epochs in a row without a better validation loss before each decay",
        at_least=1,
    )
    optimizer: str = setting("sgd", OPTIMISATION, "optimiser", choices=DEFAULT_RATES)
    momentum: float | None = conditional_setting(
        "optimizer", {"sgd": 0.0}, OPTIMISATION, "momentum of SGD", **FRACTION
    )
    betas: tuple[float, float] | None = conditional_setting(
        "optimizer",
        {"adam": (0.9, 0.999), "adamw": (0.9, 0.999)},
        OPTIMISATION,
        "decay of Adam's mean of the gradients and of its mean of their squares, at each update",
        length=2,
        **FRACTION,
    )
    weight_decay: float | None = conditional_setting(
        "optimizer",
        {"adam": 0.0, "adamw": 0.01},
        OPTIMISATION,
        "weight decay, added to the gradient by Adam and decoupled in AdamW",
        at_least=0,
        at_most=LARGEST,
    )
    shards: int = setting(
        1,
        OPTIMISATION,
        "cut each batch into N shards, whose gradients are computed one "
        "after the other, or side by side: mpiexec -n N numpylstm-train --shards N",
        at_least=1,
        experiment=False,
    )
    clip: float = setting(
        5.0, OPTIMISATION, "maximum global norm of the gradient", above=0, at_most=LARGEST
    )
    average_after: int | None = setting(
        None,
        OPTIMISATION,
        "average the parameters over all updates after N epochs; at the "
        "end of each epoch the mean is validated too, and best.npz holds the better of the two",
        at_least=0,
    )
    patience: int | None = setting(
        None,
        OPTIMISATION,
        "stop after N epochs in a row without a better validation loss",
        at_least=1,
        resumable=True,
    )

    seed: int = setting(
        0,
        RUN,
        "seed of the initial parameters, the dropout masks and the samples",
        at_least=0,
        experiment=False,
    )
    init_from: str | None = setting(
        None,
        RUN,
        "start a new run from the parameters, vocabulary and settings of this run "
        "(a folder or a checkpoint); the other flags change its text or settings",
    )
    log_every: int = setting(
        100, RUN, "updates between two rows of metrics.csv", at_least=1, experiment=False
    )
    test_streams: int = setting(
        1,
        RUN,
        "parallel streams for the test at the end: 20 are several times faster, but "
        "leave about 20 tokens unscored",
        at_least=1,
        resumable=True,
    )
    log_gradients: bool = setting(
        False,
        RUN,
        "write gradients.csv and gradients.png: how far back the gradient of one "
        "fixed window reaches, at the start and at each row of metrics.csv; changes no result",
        experiment=False,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch_size % self.shards:
            raise ConfigError(
                "shards", f"must divide batch_size {self.batch_size}, got {self.shards}"
            )
        if self.data is not None and self.train is not None:
            raise ConfigError("data", "cannot be combined with train: they name two corpora")
        if self.train is None and (self.valid is not None or self.test is not None):
            raise ConfigError("train", "must be given with a valid or test text")
        splits_words = LEVELS[self.level].splits_punctuation and self.train is not None
        if self.split_punctuation and not splits_words:
            split = [f"{level.unit}s" for level in LEVELS.values() if level.splits_punctuation]
            raise ConfigError(
                "split_punctuation",
                f"is for {' and '.join(split)} of your own text, given by train; the other texts "
                "are split already, and other tokens need no splitting",
            )

    def conditional_settings(self, parent: str) -> dict[str, Any]:
        """Return the settings of the "optimizer" or the "schedule", as keywords of its class."""
        names = setting_names(parent=parent)
        return {k: v for k in names if (v := getattr(self, k)) is not None}


def setting_names(**metadata: Any) -> list[str]:
    """Return the names of the settings with this metadata, such as ``text=True``."""
    return [
        each.name
        for each in config_fields(TrainConfig)
        if all(each.metadata[key] == value for key, value in metadata.items())
    ]


def updated(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a run with some changed.

    If another optimiser or schedule is chosen, the settings that belong to the choice are left out,
    so that they take the defaults of the new one.
    """
    kept = dict(settings)
    for parent in ("optimizer", "schedule"):
        before = settings.get(parent, getattr(TrainConfig, parent))
        if changes.get(parent, before) != before:
            for name in setting_names(parent=parent):
                kept.pop(name, None)
    return {**kept, **changes}


SMALL = {
    "hidden_size": 200,
    "num_layers": 2,
    "num_steps": 20,
    "batch_size": 20,
    "epochs": 13,
    "dropout": 0.0,
    "init_scale": 0.1,
    "lr": 1.0,
    "decay": 1 / 2,
    "constant_epochs": 4,
    "clip": 5.0,
}
MEDIUM = SMALL | {
    "hidden_size": 650,
    "num_steps": 35,
    "epochs": 39,
    "dropout": 0.5,
    "init_scale": 0.05,
    "decay": 1 / 1.2,
    "constant_epochs": 6,
}
LARGE = MEDIUM | {
    "hidden_size": 1500,
    "epochs": 55,
    "dropout": 0.65,
    "init_scale": 0.04,
    "decay": 1 / 1.15,
    "constant_epochs": 14,
    "clip": 10.0,
}
TIED = MEDIUM | {  # a rate of 20 and a clip of 1/4 for a mean over 35 steps, converted to our sum
    "tied": True,
    "epochs": 40,
    "schedule": "plateau",
    "decay": 1 / 4,
    "constant_epochs": None,
    "lr": 0.571,
    "clip": 8.75,
}
# As in Harvard's course CS 287, whose loss is a sum over the batch, with clip 2 and weight decay
# 1e-4: if every update is clipped, Adam depends on their ratio only, and with our mean a clip of 1
# clips every update. Clips 1, 2 and 5 gave 76.1, 73.3 and 75.2 there. The rate falls by epoch to
# 6.8e-5. The table starts with a standard deviation of 0.98; there it is drawn from N(0, 1).
TIED_ADAM = SMALL | {
    "tied": True,
    "hidden_size": 512,
    "num_steps": 32,
    "batch_size": 128,
    "epochs": 24,
    "dropout": 0.5,
    "dropout_input": 0.0,
    "init_scale": 0.05,
    "init_scale_embedding": 1.7,
    "optimizer": "adam",
    "lr": 0.01,
    "decay": 0.7,
    "constant_epochs": 10,
    "clip": 1.0,
    "weight_decay": 5e-5,
}
# After Melis et al. (2018): one layer, wider than its table, and masks on every side of it.
REGULARISED = SMALL | {
    "tied": True,
    "embedding_size": 256,
    "hidden_size": 1024,
    "num_layers": 1,
    "batch_size": 64,
    "num_steps": 35,
    "moving_windows": True,
    "epochs": 40,
    "dropout_input": 0.4,
    "dropout_output": 0.4,
    "dropout_state": 0.2,
    "init_scale": 0.05,
    "init_scale_embedding": 0.1,
    "optimizer": "adam",
    "lr": 0.0045,
    "schedule": "one-cycle",
    "decay": None,
    "constant_epochs": None,
    "warmup": 0.1,
    "clip": 10.0,
    "weight_decay": 1e-4,
    "average_after": 30,
}
TUTORIAL = MEDIUM | {"epochs": 60, "decay": 0.93, "constant_epochs": 10}
DEMO = SMALL | {
    "max_vocab": 4000,
    "tied": True,
    "epochs": 8,
    "dropout": 0.3,
    "decay": 0.6,
    "constant_epochs": 5,
    "log_every": 25,
}

CHAR = SMALL | {
    "level": "char",
    "hidden_size": 128,
    "num_steps": 50,
    "epochs": 10,
    "dropout": 0.2,
    "lr": 0.5,
    "decay": 0.7,
    "constant_epochs": 6,
}

PRESETS: dict[str, dict[str, Any]] = {
    "demo": DEMO,
    "char": CHAR,
    "tutorial": TUTORIAL,
    "small": SMALL,
    "medium": MEDIUM,
    "large": LARGE,
    "tied": TIED,
    "tied-adam": TIED_ADAM,
    "regularised": REGULARISED,
}
"""Settings by name. `small`, `medium` and `large` are Table 1 of Zaremba et al. (2014); `tutorial`
is the 2 x 650 model with its rate decayed by 0.93 after ten epochs; `tied` is the recipe of
PyTorch's word-level example for 2 x 650 units with one table for input and output; `tied-adam` also
ties the tables, with 2 x 512 units and Adam, after a course at Harvard; `regularised` is one layer
of 1,024 units, projected to a tied table of 256, with masks and one cycle of Adam; `demo` is for
the embedded corpus; `char` is for characters, with a window, a rate and a clip from the search on
the page "Train on characters"."""


def from_preset(name: str, **changes: Any) -> TrainConfig:
    """Return the settings of a preset with some changed; options of the cell are keywords too."""
    if name not in [*PRESETS]:
        raise ConfigError("preset", f"must be one of {', '.join(PRESETS)}; got {name!r}")
    settings = updated(PRESETS[name], changes)
    other_text = any(changes.get(key) is not None for key in ("data", "train"))
    if other_text and "max_vocab" not in changes:
        settings.pop("max_vocab", None)  # a preset's is for the embedded corpus
    return TrainConfig.with_options(**settings)
