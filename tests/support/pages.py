"""The data and the contrasts of a page, and a model for the explorer of a run."""

import json
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from numpylstm import LanguageModel, TrainConfig, Vocabulary
from numpylstm.data.configured import ScoredText


def data_of(page: str) -> Any:
    """Return what a page of `numpylstm.explore` holds as JSON."""
    return json.loads(re.search(r'id="data">(.*?)</script>', page, re.S)[1])


def contrast(*colours: Sequence[float]) -> float:
    """Return the contrast of two colours (red, green, blue), each from 0 to 1, by WCAG 2."""
    rgb = np.array(colours)
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    low, high = sorted(linear @ [0.2126, 0.7152, 0.0722] + 0.05)
    return float(high / low)


def untrained(
    words: tuple[str, ...], scale: float, **settings: Any
) -> tuple[LanguageModel, Vocabulary, TrainConfig, ScoredText]:
    """Return a model of 7 units with large random weights, what belongs to it, and a text."""
    config = TrainConfig(train="text.txt", hidden_size=7, **settings)
    vocabulary = Vocabulary((*words, "<unk>", "<eos>"))
    model, rng = LanguageModel.from_config(config, len(vocabulary)), np.random.default_rng(3)
    for parameter in model.parameters().values():
        parameter.data[...] = rng.normal(0, scale, parameter.data.shape)
    ids = rng.integers(0, len(vocabulary), 23)
    return model, vocabulary, config, ScoredText("text", ids, 0)
