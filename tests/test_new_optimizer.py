"""CONTRIBUTING's "To add an optimiser", followed to the letter: a made-up optimiser trains.

The test enters its class and its settings. It has two memory arrays for each parameter and uses the
number of steps: signs of a decaying mean, with the size of the largest gradient so far.
"""

import dataclasses

import numpy as np
import pytest

import numpylstm as nl
from numpylstm import config, optim
from numpylstm.cli import train as train_command
from numpylstm.optim import Optimizer


class Signs(Optimizer):
    """``m = (m + grad) / 2;  s = max(s, |grad|);  data -= lr / steps * s * sign(m)``."""

    def __init__(self, parameters, lr):
        super().__init__(parameters, lr, ["mean", "largest"])

    def move(self, path, parameter):
        mean, largest = (self.remembered(name, path, parameter) for name in ("mean", "largest"))
        mean[...] = (mean + parameter.grad) / 2
        largest[...] = np.maximum(largest, abs(parameter.grad))
        parameter.data[...] -= self.lr / self.steps * largest * np.sign(mean)


@pytest.fixture(autouse=True)
def signs(monkeypatch):
    """Enter the class of the new optimiser, and its settings with their defaults."""
    monkeypatch.setitem(optim.OPTIMIZERS, "signs", Signs)
    monkeypatch.setitem(config.RATES, "signs", 0.01)


def test_training_and_resuming_to_the_byte(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("a b c d e f g\n" * 60)
    flags = ["--threads", "1", "--train", "text.txt", "--optimizer", "signs", "--lr", "0.1",
             "--hidden-size", "5", "--batch-size", "4", "--num-steps", "5"]  # fmt: skip
    assert train_command.main([*flags, "--out", "whole", "--epochs", "2"]) == 0
    assert train_command.main([*flags, "--out", "parts", "--epochs", "1"]) == 0
    assert train_command.main(["--resume", "parts", "--epochs", "2"]) == 0
    whole, parts = nl.load("whole/last.npz"), nl.load("parts/last.npz")
    assert "optimizer/largest/lstm.0.Wh" in whole.arrays
    assert whole.arrays.keys() == parts.arrays.keys()
    for name, array in whole.arrays.items():
        assert array.tobytes() == parts.arrays[name].tobytes(), name
    assert nl.restore_run(whole).optimizer.steps == whole.meta["step"]


def test_a_setting_of_another_optimiser_is_refused():
    settings = nl.from_preset("demo", optimizer="signs")
    with pytest.raises(nl.ConfigError, match=r"momentum must be left out, got 0\.5; it"):
        dataclasses.replace(settings, momentum=0.5)


def test_the_settings_are_those_of_the_classes():
    assert config.RATES.keys() == optim.OPTIMIZERS.keys()
