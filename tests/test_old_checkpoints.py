"""Checkpoints of version 0.1 are read, go on training, and mean what they meant.

The files were written by numpylstm 0.1 on Python's language reference with 12 words:
``--preset small --max-vocab 12 --hidden-size 5 --batch-size 2 --num-steps 6 --log-every 40`` and
``--embedding-size 4 --dropout 0.2 --steps 90`` (an LSTM of two layers), or ``--cell rnn
--activation relu --num-layers 1 --momentum 0.5 --lr 0.1 --steps 50 --log-gradients``.
"""

from pathlib import Path

import numpy as np
import pytest

import numpylstm as nl

FOLDER = Path(__file__).parent / "checkpoints"


@pytest.mark.parametrize("name", ["v0.1-lstm", "v0.1-rnn-momentum"])
def test_a_checkpoint_of_version_0_1_goes_on(name):
    saved = nl.load(FOLDER / f"{name}.npz")
    run = nl.restore_run(saved)
    assert run.step == saved.meta["step"] == (90 if name == "v0.1-lstm" else 50)
    with np.load(FOLDER / f"{name}.npz") as arrays:
        for path, array in run.model.state_dict().items():
            np.testing.assert_array_equal(array, arrays[f"parameters/{path}"])
        for field, array in run.state._asdict().items():
            np.testing.assert_array_equal(array, arrays[f"state/{field}"])
    x, y = np.random.default_rng(0).integers(0, 12, (2, 6, 2))
    before = run.model.state_dict()
    run.model.forward(x, y, run.state)
    run.model.backward()
    run.optimizer.step()
    assert all(np.any(before[path] != p.data) for path, p in run.model.parameters().items()
               if path != "embedding.W")  # fmt: skip


def test_the_options_of_other_cells_are_left_behind():
    lstm = nl.load(FOLDER / "v0.1-lstm.npz").config
    assert (lstm.cell, lstm.options) == ("lstm", {"forget_bias": 1.0})
    rnn = nl.load(FOLDER / "v0.1-rnn-momentum.npz").config
    assert (rnn.cell, rnn.options, rnn.momentum) == ("rnn", {"activation": "relu"}, 0.5)


def test_rows_and_sums_of_before_the_clip_was_counted():
    saved = nl.load(FOLDER / "v0.1-lstm.npz")
    run = nl.restore_run(saved)
    assert run.rows
    assert all(row.clipped is None for row in run.rows)
    assert run.tally.clipped == 0
