"""CONTRIBUTING's "To add an optimiser", followed to the letter: a made-up optimiser trains.

A script enters its class and its settings, as the two steps say, and calls the command. The class
has two memory arrays for each parameter and uses the number of steps: signs of a fading mean, with
the size of the largest gradient so far.
"""

import contextlib
import inspect
import json

import numpy as np
import pytest
from support.processes import run_python

from numpylstm import config, optim
from numpylstm.cli import train as train_command
from numpylstm.optim import Optimizer


class Signs(Optimizer):
    """``m = fading * m + grad;  s = max(s, |grad|);  data -= lr / steps * s * sign(m)``."""

    def __init__(self, parameters, lr, fading):
        super().__init__(parameters, lr, ["mean", "largest"])
        self.fading = fading

    def update_parameter(self, path, parameter):
        mean, largest = (self.state[name][path] for name in ("mean", "largest"))
        mean[...] = self.fading * mean + parameter.grad
        largest[...] = np.maximum(largest, abs(parameter.grad))
        parameter.data[...] -= self.lr / self.steps * largest * np.sign(mean)


EDITS = {
    "DEFAULT_RATES = {": "DEFAULT_RATES = {'signs': 0.01, ",
    "    momentum: float": "    fading: float | None = conditional_setting('optimizer', "
    "{'signs': 0.5}, OPTIMISATION, 'fading of Signs', below=1)\n    momentum: float",
}
COMMAND = f"""
import sys
from importlib.util import find_spec, module_from_spec

spec = find_spec("numpylstm.config")
sys.modules[spec.name] = module_from_spec(spec)
source = spec.loader.get_source(spec.name)
for old, new in {EDITS!r}.items():
    source = source.replace(old, new)
exec(source, vars(sys.modules[spec.name]))

import numpy as np
from numpylstm import optim
from numpylstm.cli import train
from numpylstm.optim import Optimizer

{inspect.getsource(Signs)}
optim.OPTIMIZERS["signs"] = Signs
statuses = []
for line in sys.argv[1:]:
    try:
        statuses.append(train.main(line.split()))
    except SystemExit as left:  # from argparse
        statuses.append(left.code)
print(statuses)
"""
FLAGS = "--threads 1 --train text.txt --hidden-size 5 --batch-size 4 --num-steps 5 --lr 0.1"
LINES = {  # with the new optimiser; the status of each
    f"{FLAGS} --optimizer signs --out whole --epochs 2": 0,
    f"{FLAGS} --optimizer signs --out parts --epochs 1": 0,
    "--resume parts --epochs 2": 0,
    "--resume before-parts --epochs 2": 0,
    f"{FLAGS} --optimizer signs --momentum 0.5": 2,
    f"{FLAGS} --fading 0.4": 2,
    "--help": 0,
}


@pytest.fixture(scope="module")
def said(folder):
    """Run the lines after two runs without the optimiser; return all that they print."""
    (folder / "text.txt").write_text("a b c d e f g\n" * 60)
    with contextlib.chdir(folder):
        for flags in ("--out before-whole --epochs 2", "--out before-parts --epochs 1"):
            assert train_command.main(f"{FLAGS} {flags}".split()) == 0
    out, err = run_python(COMMAND, *LINES, cwd=folder)
    assert out.splitlines()[-1] == str([*LINES.values()])
    return " ".join(f"{out} {err}".split())


def arrays(run):
    """Return the bytes of parameters and of the optimiser's memory by name."""
    with np.load(run / "last.npz") as file:
        names = [name for name in file.files if name.startswith(("parameters/", "optimizer/"))]
        return {name: file[name].tobytes() for name in names}


def test_training_and_resuming_to_the_byte(said, folder):
    assert "optimizer/largest/lstm.0.Wh" in arrays(folder / "whole")
    assert arrays(folder / "whole") == arrays(folder / "parts")
    assert json.loads((folder / "whole" / "config.json").read_text())["fading"] == 0.5
    assert "--fading X fading of Signs (default: 0.5" in said


def test_checkpoints_from_before_it_existed_are_read(said, folder):
    assert arrays(folder / "before-whole") == arrays(folder / "before-parts")


def test_a_setting_of_another_optimiser_is_refused(said):
    assert "--momentum must be left out, got 0.5; it is a setting of 'sgd', and the" in said
    assert "--fading must be left out, got 0.4; it is a setting of 'signs', and the" in said


def test_the_settings_are_arguments_of_the_classes():
    assert config.DEFAULT_RATES.keys() == optim.OPTIMIZERS.keys()
    for name, kind in optim.OPTIMIZERS.items():
        arguments = inspect.signature(kind).parameters
        settings = config.TrainConfig(optimizer=name).conditional_settings("optimizer")
        assert "lr" in settings
        for setting, default in settings.items():
            if name != "sgd" or setting != "lr":  # the class has none
                assert arguments[setting].default == default
