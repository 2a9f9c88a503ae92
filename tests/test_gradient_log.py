"""``numpylstm-train --log-gradients`` changes no number of the training, and goes on after a stop.

That a killed run ends with the same bytes is in test_interruptions.py.
"""

import csv
import dataclasses

import numpy as np
import pytest
from support.runs import made_up

import numpylstm as nl
from numpylstm import diagnostics
from numpylstm.report import summary
from numpylstm.training import logs, session
from numpylstm.training.checkpoint import load, restore_model, restore_run
from numpylstm.training.run_folder import RunFolderError

SETTINGS = nl.TrainConfig(
    hidden_size=6,
    num_layers=2,
    batch_size=7,
    num_steps=5,
    epochs=2,
    log_every=3,
    lr=0.5,
    log_gradients=True,
)
KINDS = {
    "lstm": {},
    "dropout": {"dropout": 0.5, "dropout_input": 0.0, "momentum": 0.5, "dtype": "float64"},
    "rnn": {"cell": "rnn", "options": {"activation": "relu"}, "num_layers": 1},
    "gru": {"cell": "gru", "options": {"reset": "before"}},
    "tied": {"tied": True, "num_layers": 3, "average_across_timesteps": True},
}


def text():
    ids = np.random.default_rng(0).integers(0, 11, (300,)).astype(np.int32)
    return made_up(11, ids, ids[:60], ids[:60])


def finished(folder, corpus, **changes):
    """Train in a folder; return the checkpoint at the end."""
    folder.mkdir()
    run = nl.new_run(dataclasses.replace(SETTINGS, **changes), corpus)
    session.train_to_end(run, corpus, folder)
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
    shown, reach = logs.norms_by_lag(logs.read_gradients(folder / "gradients.csv"))
    assert (shown, reach.shape) == (steps, (depth, len(steps), 5))
    expected = [norms["h"][layer, ::-1] for layer in range(depth)]
    np.testing.assert_allclose(reach[:, -1], expected, rtol=1e-5)
    summary.draw(folder, restore_run(last), {})
    assert (folder / "gradients.png").read_bytes().startswith(b"\x89PNG")


def test_it_changes_no_number_of_the_training(tmp_path):
    corpus = text()
    watched = finished(tmp_path / "watched", corpus, **KINDS["dropout"])
    alone = finished(tmp_path / "alone", corpus, **KINDS["dropout"], log_gradients=False)
    np.testing.assert_equal(watched.arrays, alone.arrays)
    differing = {key for key in watched.meta if watched.meta[key] != alone.meta[key]}
    assert differing == {"config"}
    metrics = {(tmp_path / name / "metrics.csv").read_bytes() for name in ("watched", "alone")}
    assert len(metrics) == 1
    assert not (tmp_path / "alone" / "gradients.csv").exists()


@pytest.mark.parametrize(
    ("first", "steps"), [({"steps": 10}, [0, 3, 6, 8, 10]), ({"epochs": 1}, [0, 3, 6, 8])]
)
def test_rows_that_the_run_does_not_have_are_dropped_or_made_again(tmp_path, first, steps):
    """That of a limit within an epoch of 8 updates; those that a killed process wrote last."""
    corpus, log = text(), tmp_path / "resumed" / "gradients.csv"
    run = restore_run(finished(log.parent, corpus, **first))
    assert list(dict.fromkeys(row.step for row in logs.read_gradients(log))) == steps
    finished(tmp_path / "whole", corpus)
    expected = (tmp_path / "whole" / "gradients.csv").read_bytes()
    if "epochs" in first:
        log.write_bytes(expected)  # ahead of last.npz
    run.config = dataclasses.replace(run.config, steps=None, epochs=2)
    session.train_to_end(run, corpus, log.parent)
    assert log.read_bytes() == expected


@pytest.mark.parametrize("content", [b"step,layer,lag,unit,norm\n1,2\n", b"", b"\xff"])
def test_a_log_that_was_changed_is_named(tmp_path, content):
    (tmp_path / "gradients.csv").write_bytes(content)
    says = "gradients.csv does not hold the gradients of this run; move it away to continue"
    with pytest.raises(RunFolderError, match=says):
        logs.read_gradients(tmp_path / "gradients.csv")


def test_a_log_that_was_changed_ends_a_resumed_run_before_its_next_update(tmp_path):
    """The next row, which needs the log too, may be hours away."""
    corpus = text()
    run = nl.new_run(SETTINGS, corpus)
    next(nl.train(run, corpus))
    (tmp_path / "gradients.csv").write_text("step,layer,lag,unit,norm,low,high\n0,0,0,h,1,0,0\n")
    with pytest.raises(RunFolderError, match="move it away to continue"):
        session.train_to_end(run, corpus, tmp_path)
    assert run.step == 1


def test_norms_beyond_all_numbers_are_measured():
    model = nl.LanguageModel(11, 6, cell="rnn", activation="relu", dtype="float64", rng=0)
    for parameter in model.parameters().values():
        parameter.data[...] = 1e200
    ids = np.arange(18).reshape(6, 3) % 11
    rows = logs.measure(model, 7, ids[:-1], ids[1:])
    assert not all(np.isfinite(row.norm) for row in rows)
