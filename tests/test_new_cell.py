"""CONTRIBUTING's "To add a cell", followed to the letter: a made-up cell works everywhere.

The test enters its record and its functions. Unlike any other cell, it has a state (h, m) with an h
that is not a gate times a tanh, two blocks, a parameter `s` and an option `leak`::

    z = sigmoid(a_z),  n = tanh(a_n),  m = z * m_prev + (1 - z) * n,  h = s * tanh(m) + leak * n
"""

import inspect
from collections import namedtuple
from types import FunctionType, SimpleNamespace

import numpy as np
import pytest
from conftest import B, D, H, L, T, V
from support.gradients import check_gradients
from support.textbook_layers import of_textbook

import numpylstm as nl
from numpylstm import diagnostics, doctor, functional, museum, reference
from numpylstm.cells import CELLS, Cell, Option, Unit, Vector
from numpylstm.cli import train as train_command
from numpylstm.laboratory.doctor import lines
from numpylstm.model_check import check_model
from numpylstm.reference import (
    PaddedCache,
    padded_backward,
    padded_forward,
    state_dropout_backward,
    state_dropout_forward,
)
from numpylstm.training import logs

LeakyState = namedtuple("LeakyState", "h m")
LeakyCache = namedtuple(
    "LeakyCache", "x h_prev m_prev z n m h Wx Wh s leak h_mask", defaults=[None]
)
LEAKY = Cell(
    name="leaky",
    title="leaky cell",
    State=LeakyState,
    cache="LeakyCache",
    blocks=("z", "n"),
    units=(
        Unit("z", "gate", "sigmoid"),
        Unit("n", "candidate", "tanh"),
        Unit("m", "cell"),
        Unit("h", "hidden"),
    ),
    vectors={"s": Vector(initial=(0.5, 2.0))},
    options={
        "leak": Option(0.1, "how much of the candidate is shown at once", examples=(0.0, 0.5)),
        "open_bias": Option(0.0, "added to the bias of the gates"),
    },
    biases={"z": "open_bias"},
    keep="z",
    memory_field="m",
)


def leaky_step_forward(x, h_prev, m_prev, Wx, Wh, b, s, leak=0.1):
    a_z, a_n = np.split(x @ Wx + h_prev @ Wh + b, 2, axis=1)
    z, n = reference.sigmoid(a_z), np.tanh(a_n)
    m = z * m_prev + (1 - z) * n
    h = s * np.tanh(m) + leak * n
    return h, m, LeakyCache(x, h_prev, m_prev, z, n, m, h, Wx, Wh, s, leak)


def leaky_step_backward(dh, dm, cache):
    x, h_prev, m_prev, z, n, m, _, Wx, Wh, s, leak, _ = cache
    ds = (dh * np.tanh(m)).sum(axis=0)
    dm = dm + dh * s * (1 - np.tanh(m) ** 2)
    dn = leak * dh + dm * (1 - z)
    da_z, da_n = dm * (m_prev - n) * z * (1 - z), dn * (1 - n * n)
    da = np.concatenate([da_z, da_n], axis=1)
    return da @ Wx.T, da @ Wh.T, dm * z, x.T @ da, h_prev.T @ da, da.sum(axis=0), ds


def leaky_through_h(dh, cache):
    return (dh * cache.s * (1 - np.tanh(cache.m) ** 2),)


def leaky_forward(x, h0, m0, Wx, Wh, b, s, leak=0.1, lengths=None, h_mask=None):
    given = [h0, m0], Wx, Wh, b, s, leak
    if lengths is not None:
        return padded_forward(leaky_forward, lengths, x, *given, h_mask=h_mask)
    if h_mask is not None:
        return state_dropout_forward(leaky_forward, h_mask, x, *given)
    h, m, steps = h0, m0, []
    for x_t in x:
        h, m, step = leaky_step_forward(x_t, h, m, Wx, Wh, b, s, leak)
        steps.append(step)
    over_time = [np.stack(values) for values in list(zip(*steps, strict=True))[:7]]
    cache = LeakyCache(*over_time, Wx, Wh, s, leak)
    return cache.h, h, m, cache


def leaky_backward(dhs, dhT, dmT, cache):
    if isinstance(cache, PaddedCache):
        return padded_backward(leaky_backward, dhs, [dhT, dmT], cache)
    if cache.h_mask is not None:
        return state_dropout_backward(leaky_backward, dhs, [dhT, dmT], cache)
    *over_time, Wx, Wh, s, leak, _ = cache
    dx, dh, dm = np.empty_like(cache.x), dhT, dmT
    sums = [np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(Wh[0]), np.zeros_like(s)]
    for t in reversed(range(len(dhs))):
        step = LeakyCache(*(values[t] for values in over_time), Wx, Wh, s, leak)
        dx[t], dh, dm, *parts = leaky_step_backward(dhs[t] + dh, dm, step)
        for total, part in zip(sums, parts, strict=True):
            total += part
    return dx, dh, dm, *sums


@pytest.fixture(autouse=True)
def leaky(monkeypatch):
    """Enter the functions of the new cell in both modules, and its record."""
    for module in (reference, functional):
        for function in (
            leaky_forward,
            leaky_backward,
            leaky_step_forward,
            leaky_step_backward,
            leaky_through_h,
        ):
            monkeypatch.setattr(module, function.__name__, function, raising=False)
    monkeypatch.setitem(CELLS, "leaky", LEAKY)


@pytest.fixture
def model():
    return nl.LanguageModel(
        V,
        H,
        L,
        embedding_size=D,
        cell="leaky",
        options={"leak": 0.3},
        dropout=0.2,
        dropout_state=0.2,
        init_scale=0.5,
        dtype="float64",
        rng=0,
    )


def test_the_model_and_its_gradients(model, rng):
    x, y = rng.integers(0, V, (2, T, B))
    assert "leaky.1.s" in model.parameters()
    assert model.zero_state(B)._fields == ("h", "m")
    report = check_model(model, x, y, along="entries")
    assert report.passed, f"\n{report}"
    assert report.tolerance <= 1e-12
    assert museum.case(cell="leaky").check().passed
    biased = nl.LanguageModel(V, H, cell="leaky", options={"open_bias": 7.0}, rng=0).state_dict()[
        "leaky.0.b"
    ]
    assert (biased[:H] > 6).all()
    assert (abs(biased[H:]) < 1).all()
    assert all((model.parameters()[f"leaky.{k}.s"].data >= 0.5).all() for k in range(L))


@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_padded_batch(rng, bidirectional):
    model = nl.SequenceRegressor(
        input_size=D,
        num_outputs=2,
        hidden_size=H,
        num_layers=L,
        cell="leaky",
        every_step=False,
        bidirectional=bidirectional,
        dropout_state=0.3,
        init_scale=0.5,
        dtype="float64",
        rng=0,
    )
    x, y, lengths = rng.normal(size=(T, B, D)), rng.normal(size=(B, 2)), np.array([3, 0, 5])
    x[np.arange(T)[:, None] >= lengths] = np.nan
    check_gradients(model, lambda m: m.forward(x, y, lengths=lengths))


def test_its_options_belong_to_it_alone():
    with pytest.raises(ValueError, match=r"leak must be left out, got 0\.3; it is a setting of"):
        nl.LanguageModel(V, H, cell="lstm", options={"leak": 0.3})
    with pytest.raises(TypeError, match="'leek' is not an option of any cell"):
        nl.LanguageModel(V, H, cell="leaky", options={"leek": 0.3})


def test_diagnostics(model, rng):
    ids = rng.integers(0, V, (T + 1, B))
    x, y = ids[:-1], ids[1:]
    flow = diagnostics.gradient_flow(model, x, y)
    assert {name: norms.shape for name, norms in flow.norms.items()} == {"h": (L, T), "m": (L, T)}
    assert flow.saturation.keys() == {"z", "n"}
    table = diagnostics.model_lag_table(model, x, y)
    assert {"leaky.0.Wh", "leaky.1.s"} <= table.parts.keys()
    split = diagnostics.carousel(flow.caches[0])
    assert np.abs(split.indirect).max() > 0
    bottom, _ = diagnostics.cell_activations(model, x)
    assert bottom.z.shape == (T, B, H)
    assert "leaky cell, leak 0.5" in diagnostics.compare_cells(x, y, vocab_size=V, hidden_size=4)
    horizon = diagnostics.memory_horizon([3], cells=["leaky"], seeds=[0], steps=2)
    assert horizon.cells == ("leaky",)
    rows = logs.measure(model, 0, x, y)
    assert {row.unit for row in rows} == set(CELLS["leaky"].states)


@pytest.mark.parametrize(
    ("cell", "option", "value"), [("leaky", "leak", 0.25), ("slstm", "forget_gate", "exp")]
)
def test_training_resuming_and_sampling(tmp_path, monkeypatch, cell, option, value):
    """The command checks and logs gradients, and resumes to the byte; with an sLSTM too."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("a b c d e f g\n" * 60)
    flags = (
        f"--threads 1 --train text.txt --cell {cell} --{option.replace('_', '-')} {value} "
        "--hidden-size 5 --num-layers 2 --batch-size 4 --num-steps 5 --log-every 7 "
        "--log-gradients --momentum 0.5 --lr 0.1 --dropout-state 0.2"
    )
    for command in (
        f"{flags} --out whole --epochs 2 --check-gradients",
        f"{flags} --out parts --epochs 1",
        "--resume parts --epochs 2",
    ):
        assert train_command.main(command.split()) == 0
    for name in ("metrics.csv", "gradients.csv"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "parts" / name).read_bytes()
    whole, parts = nl.load("whole/last.npz"), nl.load("parts/last.npz")
    defaults = {name: option.default for name, option in CELLS[cell].options.items()}
    assert whole.config.options == defaults | {option: value}
    assert {f"state/{name}" for name in CELLS[cell].states} <= whole.arrays.keys()
    assert whole.arrays.keys() == parts.arrays.keys()
    for name, array in whole.arrays.items():
        assert array.tobytes() == parts.arrays[name].tobytes(), name
    assert len(nl.generate(nl.restore_model(whole), [1], 8, rng=0)) == 8


@pytest.mark.parametrize(
    ("right", "wrong", "words"),
    [
        ("dm * z,", "dm,", "dm_prev: the factor z is missing; it must be dm_prev = dm * z"),
        ("leak * dh + dm", "dm", "dn: the term leak * dh is missing"),
    ],
)
def test_the_doctor_names_its_lines(right, wrong, words, rng):
    source = inspect.getsource(leaky_step_backward)
    assert source.count(right) == 1
    names = dict(globals())
    exec(source.replace(right, wrong), names)
    spoilt = SimpleNamespace(leaky_backward=FunctionType(leaky_backward.__code__, names))
    layer = lines.Layer("leaky", False, (("leak", 0.1),))
    (finding,) = doctor.examine(*of_textbook(layer, rng, textbook=spoilt)).findings
    assert finding.sentence.startswith(words)
