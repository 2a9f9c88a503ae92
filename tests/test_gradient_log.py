"""``numpylstm-train --log-gradients`` changes no number of the training, and goes on after a stop.

That a killed run ends with the same bytes is in test_interruptions.py.
"""

import csv
import dataclasses

import numpy as np
import pytest

import numpylstm as nl
from numpylstm import diagnostics
from numpylstm.cli import train as train_command
from numpylstm.data import Corpus
from numpylstm.report import summary
from numpylstm.training import gradient_log, session
from numpylstm.training.checkpoint import load, restore_model, restore_run

VOCABULARY = nl.Vocabulary(("<unk>", *(f"w{k}" for k in range(1, 11))))
SETTINGS = nl.TrainConfig(
    hidden_size=6, num_layers=2, batch_size=7, num_steps=5, epochs=2, log_every=3, lr=0.5,
    log_gradients=True,
)  # fmt: skip
KINDS = {
    "lstm": {},
    "dropout": {"dropout": 0.5, "dropout_input": 0.0, "momentum": 0.5, "dtype": "float64"},
    "rnn": {"cell": "rnn", "options": {"activation": "relu"}, "num_layers": 1},
    "gru": {"cell": "gru", "options": {"reset": "before"}},
    "tied": {"tied": True, "num_layers": 3, "average_across_timesteps": True},
}


def text(seed=0):
    ids = np.random.default_rng(seed).integers(0, 11, (300,)).astype(np.int32)
    return Corpus(
        "made up", "word", VOCABULARY, ids, ids[:60], ids[:60],
        dict.fromkeys(("train", "valid", "test"), 0),
    )  # fmt: skip


def finished(folder, corpus, **changes):
    """Train in a folder; return the checkpoint at the end."""
    folder.mkdir()
    run = nl.new_run(dataclasses.replace(SETTINGS, **changes), corpus)
    session.train_to_end(
        run, corpus, folder, draw=lambda run, log: summary.draw(folder, run, log, {})
    )
    return load(folder / "last.npz")


@pytest.mark.parametrize("kind", KINDS)
def test_the_log_and_its_picture(tmp_path, kind):
    """There is a row for each step of metrics.csv and the start, each layer and each lag."""
    corpus, folder = text(), tmp_path / kind
    last = finished(folder, corpus, **KINDS[kind])
    with (folder / "gradients.csv").open() as file:
        rows = list(csv.DictReader(file))
    with (folder / "metrics.csv").open() as file:
        steps = [0, *(int(row["step"]) for row in csv.DictReader(file))]
    depth = last.config.num_layers
    units = {"rnn": ["h"], "lstm": ["h", "c"], "gru": ["h"]}[last.config.cell]
    assert [(int(r["step"]), int(r["layer"]), int(r["lag"]), r["unit"]) for r in rows] == [
        (s, k, lag, unit) for s in steps for k in range(depth) for lag in range(5) for unit in units
    ]
    x = corpus.train[: 7 * (len(corpus.train) // 7)].reshape(7, -1).T  # seven streams
    norms = diagnostics.gradient_flow(restore_model(last), x[:5, :4], x[1:6, :4]).norms
    for row in rows[-5 * depth * len(units) :]:  # after the last update
        layer, t, unit = int(row["layer"]), 4 - int(row["lag"]), row["unit"]
        assert float(row["norm"]) == pytest.approx(norms[unit][layer, t], rel=1e-5)
    shown, reach = gradient_log.GradientLog(folder, restore_run(last), corpus).norms()
    assert (shown, reach.shape) == (steps, (depth, len(steps), 5))
    expected = [norms["h"][layer, ::-1] for layer in range(depth)]
    np.testing.assert_allclose(reach[:, -1], expected, rtol=1e-5)
    assert (folder / "gradients.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("kind", ["lstm", "dropout"])
def test_it_changes_no_number_of_the_training(tmp_path, kind):
    corpus = text()
    watched = finished(tmp_path / "watched", corpus, **KINDS[kind])
    alone = finished(tmp_path / "alone", corpus, **KINDS[kind], log_gradients=False)
    assert watched.arrays.keys() == alone.arrays.keys()
    for name, array in watched.arrays.items():
        assert array.tobytes() == alone.arrays[name].tobytes(), name
    differing = {key for key in watched.meta if watched.meta[key] != alone.meta[key]}
    assert differing == {"config"}
    metrics = [(tmp_path / name / "metrics.csv").read_bytes() for name in ("watched", "alone")]
    assert metrics[0] == metrics[1]
    assert not (tmp_path / "alone" / "gradients.csv").exists()


def test_the_row_of_a_limit_of_steps_is_measured_until_the_run_goes_on(tmp_path):
    """An epoch has 8 updates."""
    corpus, log = text(), tmp_path / "limited" / "gradients.csv"
    last = finished(log.parent, corpus, steps=10)
    rows = gradient_log.read(log)
    assert list(dict.fromkeys(row.step for row in rows)) == [0, 3, 6, 8, 10]
    run = restore_run(last)
    run.config = dataclasses.replace(run.config, steps=None)
    session.train_to_end(run, corpus, log.parent)
    finished(tmp_path / "whole", corpus)
    assert log.read_bytes() == (tmp_path / "whole" / "gradients.csv").read_bytes()


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Return a function that runs numpylstm-train in a folder with a text."""
    monkeypatch.chdir(tmp_path)
    words = np.random.default_rng(1).integers(0, 30, 600)
    (tmp_path / "text.txt").write_text(" ".join(f"w{k}" for k in words))
    return lambda *flags: train_command.main(["--threads", "1", *map(str, flags)])


NEW = ("--train", "text.txt", "--hidden-size", "6", "--batch-size", "4", "--num-steps", "5",
       "--log-every", "7", "--out", "run", "--log-gradients")  # fmt: skip


def test_rows_that_the_checkpoint_does_not_know_are_made_again(here, tmp_path):
    """As after a kill between the log and the checkpoint."""
    assert here(*NEW, "--epochs", "2") == 0
    expected = (tmp_path / "run" / "gradients.csv").read_bytes()
    (tmp_path / "run").rename(tmp_path / "two")
    assert here(*NEW, "--epochs", "1") == 0
    assert len((tmp_path / "run" / "gradients.csv").read_bytes()) < len(expected)
    (tmp_path / "run" / "gradients.csv").write_bytes(expected)  # ahead of last.npz
    assert here("--resume", "run", "--epochs", "2") == 0
    assert (tmp_path / "run" / "gradients.csv").read_bytes() == expected


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text + "1,2\n",
        lambda text: "",
        lambda text: "\udcff",  # a byte that is no UTF-8
    ],
)
def test_a_log_that_was_changed_is_named(here, tmp_path, capsys, change):
    assert here(*NEW, "--steps", "1") == 0
    log = tmp_path / "run" / "gradients.csv"
    log.write_text(change(log.read_text()), errors="surrogateescape")
    capsys.readouterr()
    assert here("--resume", "run", "--steps", "2") == 2
    err = capsys.readouterr().err
    assert (
        "run/gradients.csv does not hold the gradients of this run; move it away to continue" in err
    )
    assert err.count("\n") == 1


def test_norms_beyond_all_numbers_are_measured():
    model = nl.LanguageModel(11, 6, cell="rnn", activation="relu", dtype="float64", rng=0)
    for parameter in model.parameters().values():
        parameter.data[...] = 1e200
    ids = np.arange(18).reshape(6, 3) % 11
    rows = gradient_log.measure(model, 7, ids[:-1], ids[1:])
    assert not all(np.isfinite(row.norm) for row in rows)
