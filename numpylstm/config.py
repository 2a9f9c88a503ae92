"""Settings of a model, `ModelConfig`, and of a training run, `TrainConfig`; and the presets.

The metadata of a field hold its help text, its bounds and its roles, for the command line, the
checks and the documentation. Only the standard library is imported here: ``numpylstm-train --help``
must be fast.
"""

import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import Field, asdict, dataclass, field, fields
from numbers import Integral, Real
from operator import ge, gt, le, lt
from reprlib import repr as shortened
from typing import Any, NamedTuple, Self

from numpylstm.cells import CELLS
from numpylstm.errors import NumpylstmError


class ConfigError(NumpylstmError, ValueError):
    """An invalid setting: its name, `setting`, and the rest of the message, `problem`."""

    def __init__(self, setting: str, problem: str) -> None:
        super().__init__(f"{setting} {problem}")
        self.setting = setting
        self.problem = problem


class ConfigTypeError(ConfigError, TypeError):
    """A setting of the wrong type."""


class Metadata(NamedTuple):
    """Everything about a setting but its name and default."""

    kind: type
    group: str
    help: str
    choices: Collection[str] | None = None
    several: bool = False  # a tuple of values is accepted too
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None
    absent: Any = ...  # value in files from before the setting existed
    experiment: bool = True  # False if runs that differ only in it repeat one experiment
    resumable: bool = False  # may change when a run is resumed
    shapes: bool = False  # decides the shapes of the parameters, or what the tokens are
    text: bool = False  # names a text


def option(default: Any, kind: type, group: str, help: str, **others: Any) -> Any:
    """Dataclass field with `Metadata`."""
    return field(default=default, metadata=Metadata(kind, group, help, **others)._asdict())


GROUPS = DATA, MODEL, OPTIMISATION, RUN = "data", "model", "optimisation", "run"
LARGEST_OPTION = 1_000
BOUNDS = {"at_least": ge, "above": gt, "at_most": le, "below": lt}
KINDS = {int: "a whole number", float: "a number", str: "a string", bool: "True or False"}


OPTIMIZERS = {
    "sgd": {"lr": 1.0, "momentum": 0.0},
    "adam": {"lr": 0.002, "weight_decay": 0.0},
    "adamw": {"lr": 0.002, "weight_decay": 0.01},
}
"""The settings of each optimiser, arguments of its class, and their defaults."""
OPTIMIZER_SETTINGS = tuple(dict.fromkeys(name for own in OPTIMIZERS.values() for name in own))


def of_optimizer(name: str, help: str, **others: Any) -> Any:
    """Dataclass field of a setting in `OPTIMIZERS`; None stands for the optimiser's default."""
    defaults = [f"{own[name]:g} with {of}" for of, own in OPTIMIZERS.items() if name in own]
    text = f"{help} (default: {', '.join(defaults)})"
    return option(None, float, OPTIMISATION, text, absent=None, **others)


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

    cell: str = option("lstm", str, MODEL, "recurrent cell", choices=CELLS, shapes=True)
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    hidden_size: int = option(200, int, MODEL, "hidden units per layer, H", at_least=1, shapes=True)
    embedding_size: int | None = option(
        None, int, MODEL, "size of the word vectors, D (default: H)", at_least=1, shapes=True
    )
    num_layers: int = option(
        1, int, MODEL, "recurrent layers, L", at_least=1, at_most=100, shapes=True
    )
    dropout: float = option(
        0.0, float, MODEL, "probability of dropping a non-recurrent connection",
        at_least=0, below=1,
    )  # fmt: skip
    dropout_input: float | None = option(
        None, float, MODEL, "dropout after the embedding (default: as --dropout)",
        at_least=0, below=1, absent=None,
    )  # fmt: skip
    tied: bool = option(
        False, bool, MODEL, "decode with the transposed embedding table; needs D = H", shapes=True
    )
    init_scale: float = option(
        0.05, float, MODEL, "draw the initial parameters from U(-s, s) with this s",
        at_least=0, at_most=1_000,
    )  # fmt: skip
    init_scale_embedding: float | None = option(
        None, float, MODEL, "s for the embedding (default: as --init-scale)",
        at_least=0, at_most=1_000, absent=None,
    )  # fmt: skip
    dtype: str = option(
        "float32", str, MODEL, "precision", choices=("float32", "float64"), shapes=True
    )
    impl: str = option(
        "fast", str, MODEL, "compiled kernels, or the textbook in plain NumPy, which gives the "
        "same numbers slowly", choices=("fast", "reference"),
    )  # fmt: skip
    average_across_timesteps: bool = option(
        False, bool, OPTIMISATION, "divide the loss by T; for the same training, multiply SGD's "
        "learning rate by T and divide the clip by T",
    )  # fmt: skip
    average_across_batch: bool = option(True, bool, OPTIMISATION, "divide the loss by B")

    def __post_init__(self) -> None:
        for setting in settings_of(type(self)):
            name, known = setting.name, setting.metadata
            value = plain(getattr(self, name))
            if known["several"] and isinstance(value, list | tuple):
                value = value[0] if len(value) == 1 else tuple(value)
            if value is not None or setting.default is not None:
                several = known["several"] and isinstance(value, tuple) and value
                for one in value if several else [value]:
                    check_value(name, one, known)
            object.__setattr__(self, name, value)
        object.__setattr__(self, "options", cell_options(self.cell, self.options))
        if self.tied and self.embedding_size not in (None, self.hidden_size):
            raise ConfigError(
                "tied",
                f"needs embedding_size = hidden_size, got {self.embedding_size} and "
                f"{self.hidden_size}; the decoder is the embedding transposed",
            )

    @property
    def input_size(self) -> int:
        """The size of the word vectors, D."""
        return self.hidden_size if self.embedding_size is None else self.embedding_size

    @property
    def arguments(self) -> dict[str, Any]:
        """The settings of the model alone, as keywords of `LanguageModel`."""
        names = (setting.name for setting in settings_of(ModelConfig))
        return {name: getattr(self, name) for name in names} | dict(self.options)

    @property
    def averaging(self) -> dict[str, bool]:
        """The reduction of the loss: two arguments of `sequence_cross_entropy_forward`."""
        names = ("average_across_timesteps", "average_across_batch")
        return {name: getattr(self, name) for name in names}


def settings_of(kind: type) -> list[Field]:
    """Return the fields of a configuration, except the options of the cell."""
    return [setting for setting in fields(kind) if setting.name != "options"]


def plain(value: Any) -> Any:
    """Return a NumPy number as a Python number, and anything else unchanged."""
    if isinstance(value, Integral) and not isinstance(value, int):
        return int(value)
    if isinstance(value, Real) and not isinstance(value, int | float):
        return float(value)
    return value


def check_value(name: str, value: Any, known: Mapping[str, Any]) -> None:
    """Raise a ConfigError unless a value agrees with the metadata of its setting."""
    kind, choices = known["kind"], known["choices"]
    if choices is not None:
        if not (isinstance(value, str) and value in choices):
            raise ConfigError(name, f"must be {either(choices)}, got {shortened(value)}")
        return
    accepted = (int, float) if kind is float else kind
    if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
        raise ConfigTypeError(name, f"must be {KINDS[kind]}, got {shortened(value)}")
    if kind not in (int, float):
        return
    if kind is int and abs(value) > 1e100:
        raise ConfigError(name, "must have at most 100 digits, got a longer number")
    bounds = {words: known[words] for words in BOUNDS if known[words] is not None}
    finite = kind is int or abs(value) <= sys.float_info.max
    if not finite or not all(BOUNDS[words](value, bound) for words, bound in bounds.items()):
        expected = [f"{words.replace('_', ' ')} {bound}" for words, bound in bounds.items()]
        if not finite and len(bounds) < 2:
            expected.append("finite")
        raise ConfigError(name, f"must be {' and '.join(expected)}, got {shortened(value)}")


def cell_options(cell: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return all options of a cell: the given ones, and the defaults of the others.

    Raises
    ------
    ConfigError
        If the cell is unknown, or an option belongs to another cell or has an impossible value.
    TypeError
        If no cell has an option of that name.
    """
    if not (isinstance(cell, str) and cell in CELLS):
        raise ConfigError("cell", f"must be {either(CELLS)}, got {cell!r}")
    if not isinstance(given, Mapping):
        raise ConfigError("options", f"must be a dict of name -> value, got {shortened(given)}")
    options = CELLS[cell].options
    given = {name: plain(value) for name, value in given.items()}
    for name, value in given.items():
        owners = [other for other in CELLS.values() if name in other.options]
        if not owners:
            raise TypeError(f"{name!r} is not an option of any cell, nor a setting; got {value!r}")
        if name in options:
            default, text, choices, *_ = options[name]
            known = Metadata(
                type(default), MODEL, text, choices,
                at_least=-LARGEST_OPTION, at_most=LARGEST_OPTION,
            )  # fmt: skip
            check_value(name, value, known._asdict())
        elif not (
            isinstance(value, str | int | float) and value == owners[0].options[name].default
        ):
            raise ConfigError(
                name,
                f"must be left out, got {value!r}; it is a setting of "
                f"{either(owner.name for owner in owners)}, and the cell is {cell!r}",
            )
    return {name: given.get(name, option.default) for name, option in options.items()}


def either(names: Iterable[str]) -> str:
    """Join names for a message: ``'tanh', 'relu' or 'sigmoid'``."""
    *others, last = map(repr, names)
    return f"{', '.join(others)} or {last}" if others else last


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

    data: str | None = option(
        None, str, DATA, "Penn Treebank: a folder with ptb.train.txt, ptb.valid.txt and "
        "ptb.test.txt, or simple-examples.tgz, which is read in place",
        resumable=True, text=True,
    )  # fmt: skip
    train: str | tuple[str, ...] | None = option(
        None, str, DATA, "your own text, UTF-8: files, plain or .gz, folders with .txt or .txt.gz "
        "files, or - for standard input; several are read one after the other", several=True,
        resumable=True, text=True,
    )  # fmt: skip
    valid: str | tuple[str, ...] | None = option(
        None, str, DATA, "validation text (default: a part of --train)", several=True,
        resumable=True, text=True,
    )  # fmt: skip
    test: str | tuple[str, ...] | None = option(
        None, str, DATA, "test text (default: a part of --train)", several=True,
        resumable=True, text=True,
    )  # fmt: skip
    level: str = option(
        "word", str, DATA, "split the text into words or characters", choices=("word", "char"),
        shapes=True,
    )  # fmt: skip
    split_punctuation: bool = option(
        False, bool, DATA, "separate punctuation from the words of --train, as the demo does with "
        "its own text: 'end.' becomes 'end .'", absent=False,
    )  # fmt: skip
    max_vocab: int | None = option(
        None, int, DATA, "size of the vocabulary, <unk> included; rarer tokens become <unk> "
        "(the demo preset limits the vocabulary of its own text only)", at_least=2, shapes=True,
    )  # fmt: skip

    max_eval: int | None = option(
        None, int, DATA, "use only the first N tokens of the validation and the test text",
        at_least=2, absent=None,
    )  # fmt: skip

    batch_size: int = option(20, int, OPTIMISATION, "parallel streams of text, B", at_least=1)
    num_steps: int = option(
        20, int, OPTIMISATION, "steps of truncated backpropagation through time, T", at_least=1
    )
    epochs: int = option(
        13, int, OPTIMISATION, "passes over the training text", at_least=1, resumable=True
    )
    steps: int | None = option(
        None, int, OPTIMISATION, "stop after N updates, however many epochs are left",
        at_least=1, resumable=True,
    )  # fmt: skip
    lr: float = of_optimizer(
        "lr", "initial learning rate, unless the preset has one", above=0, at_most=3e38
    )
    schedule: str = option(
        "epoch", str, OPTIMISATION, "multiply the learning rate by --decay after each epoch past "
        "--constant-epochs, or on a plateau: after --decay-patience epochs without a better "
        "validation loss", choices=("epoch", "plateau"),
    )  # fmt: skip
    decay: float = option(
        0.5, float, OPTIMISATION, "decay factor of the learning rate", above=0, at_most=1
    )
    constant_epochs: int = option(
        4, int, OPTIMISATION, "epochs at the initial learning rate", at_least=0
    )
    decay_patience: int = option(
        1, int, OPTIMISATION, "epochs in a row without a better validation loss before each decay "
        "of --schedule plateau", at_least=1, absent=1,
    )  # fmt: skip
    optimizer: str = option("sgd", str, OPTIMISATION, "optimiser", choices=OPTIMIZERS, absent="sgd")
    momentum: float | None = of_optimizer("momentum", "momentum of SGD", at_least=0, below=1)
    weight_decay: float | None = of_optimizer(
        "weight_decay", "weight decay, added to the gradient by Adam and decoupled in AdamW",
        at_least=0,
    )  # fmt: skip
    shards: int = option(
        1, int, OPTIMISATION, "cut each batch into N shards, whose gradients are computed one "
        "after the other, or side by side: mpiexec -n N numpylstm-train --shards N", at_least=1,
        absent=1, experiment=False,
    )  # fmt: skip
    clip: float = option(5.0, float, OPTIMISATION, "maximum global norm of the gradient", above=0)
    patience: int | None = option(
        None, int, OPTIMISATION, "stop after N epochs in a row without a better validation loss",
        at_least=1, resumable=True, absent=None,
    )  # fmt: skip

    seed: int = option(
        0, int, RUN, "seed of the initial parameters, the dropout masks and the samples",
        at_least=0, experiment=False,
    )  # fmt: skip
    init_from: str | None = option(
        None, str, RUN, "start a new run from the parameters, vocabulary and settings of this run "
        "(a folder or a checkpoint); the other flags change its text or settings", absent=None,
    )  # fmt: skip
    log_every: int = option(
        100, int, RUN, "updates between two rows of metrics.csv", at_least=1, experiment=False
    )
    test_streams: int = option(
        1, int, RUN, "parallel streams for the test at the end: 20 are several times faster, but "
        "leave about 20 tokens unscored", at_least=1, resumable=True, absent=1,
    )  # fmt: skip
    log_gradients: bool = option(
        False, bool, RUN, "write gradients.csv and gradients.png: how far back the gradient of one "
        "fixed window reaches, at the start and at each row of metrics.csv; changes no result",
        absent=False, experiment=False,
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        defaults = OPTIMIZERS[self.optimizer]
        for name in OPTIMIZER_SETTINGS:
            value = getattr(self, name)
            if name not in defaults and value not in (None, 0):
                owners = [of for of, own in OPTIMIZERS.items() if name in own]
                raise ConfigError(
                    name,
                    f"must be left out, got {value!r}; it is a setting of {either(owners)}, and "
                    f"the optimizer is {self.optimizer!r}",
                )
            if name not in defaults or value is None:
                object.__setattr__(self, name, defaults.get(name))
        if self.decay_patience != 1 and self.schedule != "plateau":
            raise ConfigError(
                "decay_patience",
                f"must be left out, got {self.decay_patience}; it is a setting of the schedule "
                f"'plateau', and the schedule is {self.schedule!r}",
            )
        if self.batch_size % self.shards:
            raise ConfigError(
                "shards", f"must divide batch_size {self.batch_size}, got {self.shards}"
            )
        if self.data is not None and self.train is not None:
            raise ConfigError("data", "cannot be combined with train: they name two corpora")
        if self.train is None and (self.valid is not None or self.test is not None):
            raise ConfigError("train", "must be given with a valid or test text")
        if self.split_punctuation and (self.level != "word" or self.train is None):
            raise ConfigError(
                "split_punctuation",
                "is for words of your own text, given by train; the other texts are split already, "
                "and characters need no splitting",
            )

    @property
    def optimizer_settings(self) -> dict[str, Any]:
        """The settings of the optimiser, as keywords of its class."""
        return {name: getattr(self, name) for name in OPTIMIZERS[self.optimizer]}

    def to_dict(self) -> dict[str, Any]:
        """Return all settings as plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> Self:
        """Return the settings from `to_dict`, of this version or an earlier one.

        Raises
        ------
        ConfigError
            If a setting is missing that every version has, or is unknown.
        """
        known = {setting.name: setting.metadata for setting in settings_of(cls)}
        saved = {
            **{name: of["absent"] for name, of in known.items() if of["absent"] is not ...},
            **saved,
        }
        for name in [*known, "options"]:
            if name not in saved:
                raise ConfigError(name, "is missing")
        check_names(saved)
        return cls(**saved)


def check_names(settings: Collection[str]) -> None:
    """Raise a ConfigError if a name is not the name of a setting."""
    if unknown := set(settings) - {setting.name for setting in fields(TrainConfig)}:
        raise ConfigError(min(unknown), "is not a setting of TrainConfig")


def settings_with(**metadata: Any) -> list[str]:
    """Return the names of the settings with this metadata, such as ``text=True``."""
    return [
        setting.name
        for setting in settings_of(TrainConfig)
        if all(setting.metadata[key] == value for key, value in metadata.items())
    ]


SMALL = {
    "hidden_size": 200, "num_layers": 2, "num_steps": 20, "batch_size": 20, "epochs": 13,
    "dropout": 0.0, "init_scale": 0.1, "lr": 1.0, "decay": 1 / 2, "constant_epochs": 4, "clip": 5.0,
}  # fmt: skip
MEDIUM = SMALL | {
    "hidden_size": 650, "num_steps": 35, "epochs": 39, "dropout": 0.5, "init_scale": 0.05,
    "decay": 1 / 1.2, "constant_epochs": 6,
}  # fmt: skip
LARGE = MEDIUM | {
    "hidden_size": 1500, "epochs": 55, "dropout": 0.65, "init_scale": 0.04,
    "decay": 1 / 1.15, "constant_epochs": 14, "clip": 10.0,
}  # fmt: skip
TIED = MEDIUM | {  # a rate of 20 and a clip of 1/4 for a mean over 35 steps, converted to our sum
    "tied": True, "epochs": 40, "schedule": "plateau", "decay": 1 / 4, "lr": 0.571, "clip": 8.75,
}  # fmt: skip
# As in Harvard's course CS 287, whose loss is a sum over the batch, with clip 2 and weight decay
# 1e-4: if every update is clipped, Adam depends on their ratio only, and with our mean a clip of 1
# clips every update. Clips 1, 2 and 5 gave 76.1, 73.3 and 75.2 there. The rate falls by epoch to
# 6.8e-5. The table starts with a standard deviation of 0.98; there it is drawn from N(0, 1).
TIED_ADAM = SMALL | {
    "tied": True, "hidden_size": 512, "num_steps": 32, "batch_size": 128, "epochs": 24,
    "dropout": 0.5, "dropout_input": 0.0, "init_scale": 0.05, "init_scale_embedding": 1.7,
    "optimizer": "adam", "lr": 0.01, "decay": 0.7, "constant_epochs": 10, "clip": 1.0,
    "weight_decay": 5e-5,
}  # fmt: skip
TUTORIAL = MEDIUM | {"epochs": 60, "decay": 0.93, "constant_epochs": 10}
DEMO = SMALL | {
    "max_vocab": 4000, "tied": True, "epochs": 8, "dropout": 0.3, "decay": 0.6,
    "constant_epochs": 5, "log_every": 25,
}  # fmt: skip

CHAR = SMALL | {
    "level": "char", "hidden_size": 128, "num_steps": 50, "epochs": 10, "dropout": 0.2, "lr": 0.5,
    "decay": 0.7, "constant_epochs": 6,
}  # fmt: skip

PRESETS: dict[str, dict[str, Any]] = {
    "demo": DEMO,
    "char": CHAR,
    "tutorial": TUTORIAL,
    "small": SMALL,
    "medium": MEDIUM,
    "large": LARGE,
    "tied": TIED,
    "tied-adam": TIED_ADAM,
}
"""Settings by name. `small`, `medium` and `large` are Table 1 of Zaremba et al. (2014); `tutorial`
is the 2 x 650 model with its rate decayed by 0.93 after ten epochs; `tied` is the recipe of
PyTorch's word-level example for 2 x 650 units with one table for input and output; `tied-adam` also
ties the tables, with 2 x 512 units and Adam, after a course at Harvard; `demo` is for the embedded
corpus; `char` is for characters, with a window, a rate and a clip from the search on the page
"Train on characters"."""


def from_preset(name: str, **changes: Any) -> TrainConfig:
    """Return the settings of a preset with some changed; options of the cell are keywords too."""
    if not isinstance(name, str) or name not in PRESETS:
        raise ConfigError("preset", f"must be one of {', '.join(PRESETS)}; got {name!r}")
    settings = dict(PRESETS[name])
    optimizer = settings.get("optimizer", TrainConfig.optimizer)
    if changes.get("optimizer", optimizer) != optimizer:  # it has its own rate and settings
        settings |= dict.fromkeys(OPTIMIZER_SETTINGS)
    settings |= changes
    other_text = any(changes.get(key) is not None for key in ("data", "train"))
    if other_text and "max_vocab" not in changes:
        settings.pop("max_vocab", None)  # a preset's is for the embedded corpus
    options = settings.pop("options", {})
    if not isinstance(options, Mapping):
        raise ConfigError("options", f"must be a dict of name -> value, got {shortened(options)}")
    named = {option for cell in CELLS.values() for option in cell.options} & settings.keys()
    options = {**options, **{option: settings.pop(option) for option in named}}
    check_names(settings)
    return TrainConfig(**settings, options=options)
