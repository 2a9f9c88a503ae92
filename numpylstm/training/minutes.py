"""Settings for a training run of so many minutes, from the time that an update takes.

The page "Train for so many minutes" (``docs/how-to/minutes.md``) states the rules, and the runs
from which they come.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from statistics import median
from time import perf_counter
from typing import Any

from numpylstm.cells import CELLS
from numpylstm.config import ConfigError, TrainConfig, from_preset, updated
from numpylstm.data import Corpus, batches, num_batches
from numpylstm.training.loop import Run, new_run, update

BASE = "demo"
"""The preset whose settings hold where neither a rule nor a flag has another one."""
RECIPE: dict[str, Any] = {
    "num_layers": 1,
    "tied": True,
    "num_steps": 35,
    "init_scale": 0.05,
    "init_scale_embedding": 0.3,
    "optimizer": "adam",
    "clip": 1.0,
    "schedule": "one-cycle",
    "warmup": 0.2,
    "moving_windows": True,
}
UNITS = 128, 256, 512, 1024  # of one layer, from the fastest network to the slowest
LARGEST_TABLE = 256  # a wider layer is projected to its vectors
BY_RULE = (
    *RECIPE,
    "hidden_size",
    "embedding_size",
    "batch_size",
    "lr",
    "epochs",
    "dropout",
    "dropout_state",
)
"""The settings that are chosen."""

LONG_TEXT = 200_000  # tokens, from which on there are 32 streams, not 16
FEWEST_EPOCHS = 4
MOST_EPOCHS = 40
MOST_PARAMETERS = 25  # for each token of the training text
PLANNED = 0.9  # share of the time; measuring, validations and saves take the rest
TIMED = 3  # updates of each network, after one that may compile


def with_recipe(given: Mapping[str, Any], **chosen: Any) -> TrainConfig:
    """Return the recipe with some settings chosen; those that are given come first."""
    return from_preset(BASE, **updated(RECIPE | chosen, given))


def new_run_of(minutes: float, corpus: Corpus, given: Mapping[str, Any]) -> Run:
    """Return a new run with the largest network that suits the text and the time.

    The networks are measured from the fastest one on. Settings that are `given` stay.

    Raises
    ------
    ConfigError
        If the time is too short for one epoch of the fastest network.
    """
    tokens = len(corpus.train)
    streams = 32 if tokens >= LONG_TEXT else 16
    networks = (
        with_recipe(
            given,
            hidden_size=units,
            embedding_size=min(given.get("hidden_size", units), LARGEST_TABLE),
            batch_size=streams,
        )
        for units in UNITS
    )
    chosen: list[TrainConfig] = []
    for config in dict.fromkeys(networks):  # the sizes may be given
        run = new_run(config, corpus)
        parameters = run.model.num_parameters / tokens
        if chosen and parameters > MOST_PARAMETERS:
            break
        seconds = seconds_of_epoch(run, corpus)
        epochs = min(int(PLANNED * 60 * minutes / seconds), MOST_EPOCHS)
        if chosen and epochs < FEWEST_EPOCHS:
            break
        if epochs < 1:
            least = math.ceil(seconds / PLANNED / 60)
            raise ConfigError(
                "minutes",
                f"must be at least {least}, got {minutes:g}; with this text an epoch of the "
                f"fastest network takes {seconds:.0f} s",
            )
        decided: dict[str, Any] = {"epochs": epochs, "lr": rate_for(config.hidden_size)}
        if "dropout" not in given:
            decided |= dropout_for(config, epochs * parameters)
        free = {name: value for name, value in decided.items() if name not in given}
        chosen.append(replace(config, **free))
    return new_run(chosen[-1], corpus)


def seconds_of_epoch(run: Run, corpus: Corpus) -> float:
    """Return the time of an epoch without its validation, by the median of a few updates."""
    B, T = run.config.batch_size, run.config.num_steps
    windows = num_batches(len(corpus.train), B, T)
    seconds = []
    for x, y in islice(batches(corpus.train, B, T), 1 + TIMED):
        began = perf_counter()
        update(run, x, y, windows)
        seconds.append(perf_counter() - began)
    return median(seconds[1:] or seconds) * windows


def rate_for(units: int) -> float:
    """Return the highest learning rate of the cycle, which falls slowly with the layer's width."""
    return round(0.008 * (128 / units) ** 0.25, 4)


def dropout_for(config: TrainConfig, readings: float) -> dict[str, float]:
    """Return the dropout if each parameter reads a token so often: epochs x parameters / tokens.

    Around a projection there are two masks, so each is weaker; and h gets one of its own.
    """
    p = min(max(0.1 * math.log(readings), 0.0), 0.65)
    if config.embedding_size == config.hidden_size:
        return {"dropout": round(p, 2)}
    dropout = {"dropout": round(0.7 * p, 2)}
    if "Wh" in CELLS[config.cell].parameters(config.options):
        dropout["dropout_state"] = round(0.35 * p, 2)
    return dropout
