"""Settings: of a model, `ModelConfig`, of a training run, `TrainConfig`, and the presets.

Each field carries its help text, its group and its bounds, so that the command line, the checks
and the documentation are made from this one place. Only the standard library is imported here:
``numpylstm-train --help`` has to be quick.
"""

import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import Field, asdict, dataclass, field, fields
from numbers import Integral, Real
from reprlib import repr as shortened
from typing import Any

from numpylstm.cells import CELLS, Option


class ConfigError(ValueError):
    """A setting that cannot be; `setting` is its name, `problem` the rest of the sentence."""

    def __init__(self, setting: str, problem: str) -> None:
        super().__init__(f"{setting} {problem}")
        self.setting = setting
        self.problem = problem


def option(
    default: Any,
    kind: type,
    group: str,
    help: str,
    *,
    choices: Collection[str] | None = None,
    several: bool = False,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
) -> Any:
    """A field of a configuration with all that is to be known about it."""
    bounds = {"at least": at_least, "above": above, "at most": at_most, "below": below}
    metadata = {
        "kind": kind,
        "group": group,
        "help": help,
        "choices": choices,
        "several": several,
        "bounds": {words: bound for words, bound in bounds.items() if bound is not None},
    }
    return field(default=default, metadata=metadata)


DATA, MODEL, OPTIMISATION, RUN = "data", "model", "optimisation", "run"
LARGEST_OPTION = 1_000

TEXTS = ("data", "train", "valid", "test")
"""Settings that say where a text lies."""

NOT_OF_THE_RUN = frozenset({"epochs", "steps", "patience", "test_streams", *TEXTS})
"""Settings that may change when a run goes on: how long it is, how its end is measured, and where
its text lies."""

OPTIMIZER_SETTINGS: dict[str, dict[str, float]] = {
    "sgd": {"lr": 1.0, "momentum": 0.0},
    "adam": {"lr": 0.002, "weight_decay": 0.0},
    "adamw": {"lr": 0.002, "weight_decay": 0.01},
}
"""The settings of each optimiser, and what they are unless given. Presets give rates of SGD."""


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The settings of a language model, all but the size of its vocabulary.

    `options` are those of the cell, such as ``{"activation": "relu"}``; what is not given is filled
    in.

    Raises
    ------
    ConfigError
        If a value is of the wrong kind, out of bounds, or does not go with another.
    """

    cell: str = option("lstm", str, MODEL, "recurrent cell", choices=CELLS)
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    hidden_size: int = option(200, int, MODEL, "hidden units in a layer, H", at_least=1)
    embedding_size: int | None = option(
        None, int, MODEL, "size of the word vectors, D; by default H", at_least=1
    )
    num_layers: int = option(2, int, MODEL, "recurrent layers, L", at_least=1, at_most=100)
    dropout: float = option(
        0.0, float, MODEL, "probability of dropping a non-recurrent connection",
        at_least=0, below=1,
    )  # fmt: skip
    tied: bool = option(
        False, bool, MODEL, "decode with the transpose of the embedding table; needs D = H"
    )
    init_scale: float = option(
        0.1, float, MODEL, "parameters start as U(-s, s) with this s", at_least=0, at_most=1_000
    )
    dtype: str = option("float32", str, MODEL, "precision", choices=("float32", "float64"))
    impl: str = option(
        "fast", str, MODEL, "kernels, or the textbook in plain NumPy: the same numbers, slowly",
        choices=("fast", "reference"),
    )  # fmt: skip
    average_across_timesteps: bool = option(
        False, bool, OPTIMISATION, "divide the loss by T; multiply the rate of SGD by T, and "
        "divide the clip by T",
    )  # fmt: skip
    average_across_batch: bool = option(True, bool, OPTIMISATION, "divide the loss by B")

    def __post_init__(self) -> None:
        for setting in settings_of(type(self)):
            value = plain(getattr(self, setting.name))
            if setting.metadata["several"] and isinstance(value, list | tuple):
                value = value[0] if len(value) == 1 else tuple(value)
            check_value(setting, value)
            object.__setattr__(self, setting.name, value)
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
        """The settings of the model alone, as `LanguageModel` takes them."""
        names = (setting.name for setting in settings_of(ModelConfig))
        return {name: getattr(self, name) for name in names} | dict(self.options)

    @property
    def averaging(self) -> dict[str, bool]:
        """How the loss is reduced: two arguments of `sequence_cross_entropy`."""
        names = ("average_across_timesteps", "average_across_batch")
        return {name: getattr(self, name) for name in names}


def settings_of(kind: type) -> list[Field]:
    """The fields of a configuration that have a flag; the options of cells have flags of theirs."""
    return [setting for setting in fields(kind) if setting.name != "options"]


def plain(value: Any) -> Any:
    """A number of NumPy's as one of Python's; all else as it is."""
    if isinstance(value, Integral) and not isinstance(value, int):
        return int(value)
    if isinstance(value, Real) and not isinstance(value, int | float):
        return float(value)
    return value


def cell_options(cell: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a cell: what is given, and the defaults for the rest.

    Raises
    ------
    ConfigError
        If there is no such cell, or an option is another cell's, or has a value that cannot be.
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
            raise TypeError(f"{name!r} is not an option of any cell; got {value!r}")
        if name in options:
            check_option(name, options[name], value)
        elif not (
            isinstance(value, str | int | float) and value == owners[0].options[name].default
        ):
            raise ConfigError(
                name,
                f"must be left out, got {value!r}; it is a setting of "
                f"{either(owner.name for owner in owners)}, and the cell is {cell!r}",
            )
    return {name: given.get(name, option.default) for name, option in options.items()}


def check_option(name: str, option: Option, value: Any) -> None:
    """Hold the value of a cell's option against its record."""
    if option.choices is not None:
        if not (isinstance(value, str) and value in option.choices):
            raise ConfigError(name, f"must be {either(option.choices)}, got {value!r}")
    elif isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(name, f"must be of type float, got {value!r}")
    elif not abs(value) <= LARGEST_OPTION:
        raise ConfigError(
            name, f"must be at least -{LARGEST_OPTION} and at most {LARGEST_OPTION}, got {value}"
        )


def either(names: Iterable[str]) -> str:
    """``'tanh', 'relu' or 'sigmoid'``."""
    *others, last = map(repr, names)
    return f"{', '.join(others)} or {last}" if others else last


@dataclass(frozen=True, kw_only=True)
class TrainConfig(ModelConfig):
    """The settings of one run: those of its model, its text, its training.

    The loss reduction, the rate and the clip come as a set: with the defaults (sum over time, mean
    over the batch) a rate of 1 and a clip of 5 are the recipe of Zaremba et al. (2014).

    Raises
    ------
    ConfigError
        If a value is of the wrong kind, out of bounds, or does not go with another.
    """

    data: str | None = option(
        None, str, DATA, "Penn Treebank: a folder with ptb.train.txt, ptb.valid.txt and "
        "ptb.test.txt, or simple-examples.tgz, which is read in place",
    )  # fmt: skip
    train: str | tuple[str, ...] | None = option(
        None, str, DATA, "your own text, UTF-8: files, plain or .gz, folders with .txt or .txt.gz "
        "files, or - for standard input; several are read one after the other", several=True,
    )  # fmt: skip
    valid: str | tuple[str, ...] | None = option(
        None, str, DATA, "validation text; split from --train if absent", several=True
    )
    test: str | tuple[str, ...] | None = option(
        None, str, DATA, "test text; split from --train if absent", several=True
    )
    level: str = option("word", str, DATA, "what a token is", choices=("word", "char"))
    split_punctuation: bool = option(
        False, bool, DATA, "part the words of --train from punctuation, as the demo does with its "
        "own text: 'end.' is then 'end .'",
    )  # fmt: skip
    max_vocab: int | None = option(
        None, int, DATA, "keep this many tokens, <unk> included; rarer ones become <unk> "
        "(that of the demo preset is for its own text only)",
        at_least=2,
    )  # fmt: skip

    max_eval: int | None = option(
        None, int, DATA, "validate and test on the first N tokens of those texts only", at_least=2
    )

    batch_size: int = option(20, int, OPTIMISATION, "streams read side by side, B", at_least=1)
    num_steps: int = option(
        20, int, OPTIMISATION, "steps of truncated backpropagation, T", at_least=1
    )
    epochs: int = option(13, int, OPTIMISATION, "times through the training text", at_least=1)
    steps: int | None = option(
        None, int, OPTIMISATION, "stop after this many updates, however many epochs are left",
        at_least=1,
    )  # fmt: skip
    lr: float = option(
        None, float, OPTIMISATION, "learning rate of the first epoch; unless given that of the "
        f"preset, or with Adam and AdamW {OPTIMIZER_SETTINGS['adam']['lr']}", above=0,
    )  # fmt: skip
    schedule: str = option(
        "epoch", str, OPTIMISATION, "when the rate is multiplied by --decay: after each epoch past "
        "--constant-epochs, or after each whose validation did not improve",
        choices=("epoch", "plateau"),
    )  # fmt: skip
    decay: float = option(
        0.5, float, OPTIMISATION, "factor of the learning rate", above=0, at_most=1
    )
    constant_epochs: int = option(4, int, OPTIMISATION, "epochs at the first rate", at_least=0)
    optimizer: str = option(
        "sgd", str, OPTIMISATION, "how gradients move the parameters", choices=OPTIMIZER_SETTINGS
    )
    momentum: float | None = option(
        None, float, OPTIMISATION, "momentum of SGD (default: 0)", at_least=0, below=1
    )
    weight_decay: float | None = option(
        None, float, OPTIMISATION, "how strongly Adam draws parameters to zero, as a part of the "
        "gradient (default: 0), and AdamW, apart from it (default: 0.01)", at_least=0,
    )  # fmt: skip
    clip: float = option(5.0, float, OPTIMISATION, "largest global norm of the gradients", above=0)
    patience: int | None = option(
        None, int, OPTIMISATION, "stop after N epochs in a row without a new best validation",
        at_least=1,
    )  # fmt: skip

    seed: int = option(
        0, int, RUN, "of the initial values, the dropout masks and the samples", at_least=0
    )
    init_from: str | None = option(
        None, str, RUN, "start from the parameters, vocabulary and settings of this run (a folder, "
        "or a checkpoint) in a new folder; name another text, and what else shall be different",
    )  # fmt: skip
    log_every: int = option(100, int, RUN, "updates between two rows of metrics.csv", at_least=1)
    test_streams: int = option(
        1, int, RUN, "streams in which the test text is scored at the end: 20 are several times as "
        "fast, and leave out 20 tokens or some more", at_least=1,
    )  # fmt: skip
    log_gradients: bool = option(
        False, bool, RUN, "write gradients.csv and gradients.png: how far back the gradient of one "
        "fixed window reaches, at the start and at each row of metrics.csv; changes no number",
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        own = OPTIMIZER_SETTINGS[self.optimizer]
        for setting in dict.fromkeys(name for of in OPTIMIZER_SETTINGS.values() for name in of):
            owners = [name for name, of in OPTIMIZER_SETTINGS.items() if setting in of]
            value = getattr(self, setting)
            if setting not in own and value not in (None, 0):  # which is as if it were not there
                raise ConfigError(
                    setting,
                    f"must be left out, got {value!r}; it is a setting of {either(owners)}, and "
                    f"the optimizer is {self.optimizer!r}",
                )
            if setting not in own or value is None:
                object.__setattr__(self, setting, own.get(setting))
        if self.data is not None and self.train is not None:
            raise ConfigError("data", "cannot go with train: they name two corpora")
        if self.train is None and (self.valid is not None or self.test is not None):
            raise ConfigError("train", "must be given where a valid or test text is")
        if self.split_punctuation and (self.level != "word" or self.train is None):
            raise ConfigError(
                "split_punctuation",
                "is for words of a text of your own, named by train; the other texts are split, "
                "and characters are split anyway",
            )

    @property
    def optimizer_settings(self) -> dict[str, Any]:
        """The settings of the optimiser, as its class takes them."""
        return {name: getattr(self, name) for name in OPTIMIZER_SETTINGS[self.optimizer]}

    def to_dict(self) -> dict[str, Any]:
        """All settings, as plain values."""
        return asdict(self)


def check_value(setting: Field, value: Any) -> None:
    """Hold one value against the metadata of its field."""
    name = setting.name
    kind, choices = setting.metadata["kind"], setting.metadata["choices"]
    if value is None and setting.default is None:
        return  # not given
    if setting.metadata["several"] and isinstance(value, tuple) and value:
        for one in value:
            check_value(setting, one if isinstance(one, str) else [one])
        return
    accepted = (int, float) if kind is float else kind
    if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
        raise ConfigError(name, f"must be of type {kind.__name__}, got {shortened(value)}")
    if choices is not None and value not in choices:
        raise ConfigError(name, f"must be {either(choices)}, got {shortened(value)}")
    if kind is int and abs(value) > 1e100:
        raise ConfigError(name, "must have at most 100 digits, got a longer number")
    if kind in (int, float):
        holds = {
            "at least": lambda bound: value >= bound,
            "above": lambda bound: value > bound,
            "at most": lambda bound: value <= bound,
            "below": lambda bound: value < bound,
        }
        bounds = setting.metadata["bounds"]
        finite = kind is int or abs(value) <= sys.float_info.max
        if not finite or not all(holds[words](bound) for words, bound in bounds.items()):
            expected = [f"{words} {bound}" for words, bound in bounds.items()]
            if not finite:
                expected.append("finite")
            raise ConfigError(name, f"must be {' and '.join(expected)}, got {value}")


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
TIED = MEDIUM | {  # the rate and the clip of a mean over 35 steps, 20 and 1/4, for our sum
    "tied": True, "epochs": 40, "schedule": "plateau", "decay": 1 / 4, "lr": 0.571, "clip": 8.75,
}  # fmt: skip
TUTORIAL = MEDIUM | {"epochs": 60, "decay": 0.93, "constant_epochs": 10}
DEMO = SMALL | {
    "max_vocab": 4000, "tied": True, "epochs": 8, "dropout": 0.3, "decay": 0.6,
    "constant_epochs": 5, "log_every": 25,
}  # fmt: skip

CHAR = {
    "level": "char", "hidden_size": 128, "num_layers": 2, "batch_size": 20, "num_steps": 50,
    "epochs": 10, "dropout": 0.2, "init_scale": 0.1, "lr": 0.5, "decay": 0.7, "constant_epochs": 6,
    "clip": 5.0,
}  # fmt: skip

PRESETS: dict[str, dict[str, Any]] = {
    "demo": DEMO,
    "char": CHAR,
    "tutorial": TUTORIAL,
    "small": SMALL,
    "medium": MEDIUM,
    "large": LARGE,
    "tied": TIED,
}
"""Settings by name. `small`, `medium` and `large` are Table 1 of Zaremba et al. (2014); `tutorial`
is the 2 x 650 model with its rate decayed by 0.93 after ten epochs; `tied` is the recipe of
PyTorch's word-level example for 2 x 650 units that share one table between input and output; `demo`
is for the embedded corpus, `char` for characters: its window, rate and clip come from a search that
the page "Train on characters" records."""


def from_preset(name: str, **changes: Any) -> TrainConfig:
    """The settings of a preset, with some of them changed; options of the cell by their names."""
    if not isinstance(name, str) or name not in PRESETS:
        raise ConfigError("preset", f"must be one of {', '.join(PRESETS)}; got {name!r}")
    settings = PRESETS[name] | changes
    other_text = any(changes.get(key) is not None for key in ("data", "train"))
    if other_text and "max_vocab" not in changes:
        settings.pop("max_vocab", None)  # a preset's is for the embedded corpus
    if changes.get("optimizer", "sgd") != "sgd" and "lr" not in changes:
        del settings["lr"]  # a rate of SGD
    named = {option for cell in CELLS.values() for option in cell.options} & settings.keys()
    options = settings.pop("options", {})
    if not isinstance(options, Mapping):
        raise ConfigError("options", f"must be a dict of name -> value, got {shortened(options)}")
    options = {**options, **{option: settings.pop(option) for option in named}}
    if unknown := settings.keys() - {setting.name for setting in fields(TrainConfig)}:
        raise ConfigError(min(unknown), "is not a setting of TrainConfig")
    return TrainConfig(**settings, options=options)
