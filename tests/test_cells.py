"""Every record in CELLS agrees with the reference: slopes by the complex step, names and shapes.

The checks use forward functions only, wherever a number is measured; `CURVES` has the limits of the
nonlinearities that a record may name.
"""

import inspect
import re
from itertools import pairwise

import numpy as np
import pytest
from conftest import B, D, H, T

from numpylstm import diagnostics, reference
from numpylstm.cells import CELLS
from numpylstm.cli import train
from numpylstm.laboratory.diagnostics import flow, steps
from numpylstm.laboratory.doctor import lines

CURVES = {"sigmoid": (0, 1), "tanh": (-1, 1), "relu": (0, None), "exp": (0, None)}
STEP = 1e-30
SIZES = {"T": T, "B": B, "D": D, "H": H}


class Case:
    """A cell with one choice of its options, and a forward pass at random numbers."""

    def __init__(self, layer):
        self.cell, self.options = CELLS[layer.kind], dict(layer.options)
        self.parameters = self.cell.parameters(self.options)
        rng = np.random.default_rng(5)
        self.arrays = {n: rng.normal(size=s) for n, s in layer.shapes(SIZES).items()}
        self.dhs = self.arrays["dhs"]
        *_, self.cache = self.forward(self.arrays["x"], self.initial)

    @property
    def initial(self):
        return [self.arrays[f"{name}0"] for name in self.cell.states]

    def forward(self, x, state, module=reference, **changed):
        weights = [(self.arrays | changed)[name] for name in self.parameters]
        return self.cell.function(module, "forward")(x, *state, *weights, **self.options)

    def states(self):
        """The state before the first step and after every step."""
        found = [self.initial]
        for t in range(T):
            found.append(self.forward(self.arrays["x"][t : t + 1], found[-1])[1:-1])
        return found


@pytest.fixture(params=[layer for layer in lines.layers() if not layer.step], ids=str)
def case(request):
    return Case(request.param)


def moved(state, k, direction):
    """A state with its field k moved along a direction, times the complex step."""
    return [part + 1j * STEP * direction * (j == k) for j, part in enumerate(state)]


def slope(values):
    return np.imag(values) / STEP


def test_the_functions_have_the_arguments_of_the_record(case):
    cell, options = case.cell, dict.fromkeys(case.cell.options)
    every = (*cell.matrices, "b", *cell.vectors, *cell.arguments(options))
    of = {
        "forward": [f"{n}0" for n in cell.states],
        "step_forward": [f"{n}_prev" for n in cell.states],
    }
    for way, states in of.items():
        parameters = inspect.signature(cell.function(reference, way)).parameters
        assert [*parameters][: 1 + len(states) + len(every)] == ["x", *states, *every]
        for name in cell.arguments(options):
            assert parameters[name].default == cell.options[name].default
    assert type(case.cache).__name__ == cell.cache
    assert cell.states[0] == "h"
    assert {"x", "h", *cell.arguments(options)} <= {*case.cache._fields}
    assert cell.matrices[0] == "Wx"


def test_units_have_their_letters_and_curves(case):
    """A bias of -50 or 50 takes the unit with its letter to an end of its curve."""
    curves = {unit.name: unit.curve for unit in case.cell.units}
    assert {*case.cell.states} <= {*curves}
    assert {*case.cell.blocks} <= {*curves}
    for name, curve in curves.items():
        assert getattr(case.cache, name).shape == (T, B, H)
        if curve is None:
            continue
        ends = CURVES[case.options.get(curve, curve)]
        for bias, end in zip((-50, 50), ends, strict=True):
            b = case.arrays["b"].copy()
            b.reshape(-1, H)[case.cell.blocks.index(name)] = bias
            *_, cache = case.forward(case.arrays["x"][:1], case.initial, b=b)
            if end is not None:
                np.testing.assert_allclose(getattr(cache, name), end, atol=1e-6)


def test_gradients_of_the_state_are_slopes(case):
    """The total derivative of each field of the state, after each step, by the complex step.

    That of h is the slope along it. The others cannot be moved alone, since the h of their step
    depends on them; so they are compared with the slope along the state before: what it changes, it
    changes through them.
    """
    cell, x = case.cell, case.arrays["x"]
    states, totals = case.states(), {}
    for step in steps.steps_back(case.dhs, case.cache):
        totals[step.t + 1] = [step.dstate[name] for name in cell.states]
    rng = np.random.default_rng(6)
    for t, (before, after) in enumerate(pairwise(states)):

        def loss(state, start):
            """The loss from a state before step `start`."""
            if start == T:
                return 0
            return (case.dhs[start:] * case.forward(x[start:], state)[0]).sum()

        u = rng.normal(size=(B, H))
        along_h = slope(loss(moved(after, 0, u), t + 1)) + (case.dhs[t] * u).sum()
        assert (totals[t + 1][0] * u).sum() == pytest.approx(along_h, rel=1e-12, abs=1e-14)
        for k in range(1, len(cell.states)):
            start = moved(before, k, u)
            _, *reached, _ = case.forward(x[t : t + 1], start)
            through = sum(
                (totals[t + 1][j] * slope(reached[j])).sum() for j in range(1, len(reached))
            )
            assert through == pytest.approx(slope(loss(start, t)), rel=1e-12, abs=1e-14)


def test_keep_is_the_direct_path_of_the_memory(case):
    """With all recurrent weights zero, the memory reaches the next one on this path only."""
    cell, k = case.cell, case.cell.states.index(case.cell.memory_field)
    zeros = {n: 0 * case.arrays[n] for n in (*cell.matrices[1:], *cell.vectors) if n in case.arrays}
    x, ones = case.arrays["x"][:1], np.ones((B, H))
    _, *after, _ = case.forward(x, moved(case.initial, k, ones), **zeros)
    *_, cache = case.forward(x, case.initial, **zeros)
    kept = 0 if cell.keep is None else getattr(cache, cell.keep)[0]
    np.testing.assert_allclose(slope(after[k]), kept + 0 * ones, rtol=1e-12)
    if cell.keep is not None:
        direct = diagnostics.carousel(case.cache).direct
        product = getattr(case.cache, cell.keep).prod(axis=0)
        np.testing.assert_allclose(direct, product[:, :, None] * np.eye(H), rtol=1e-12)


def test_the_doctor_reads_the_functions(case):
    layer = lines.Layer(case.cell.name, False, tuple(case.options.items()))
    named = {name for text in lines.texts(layer) for line in text.lines for name in line.names}
    assert {f"d{name}" for name in case.parameters} <= named
    assert lines.mistakes(layer)


def test_every_curve_has_its_ends_in_the_diagnostics():
    assert CURVES.keys() == flow.ENDS.keys()


def test_an_option_of_several_cells_is_one_flag():
    text = " ".join(train.make_parser().format_help().split())
    assert text.count("--forget-bias X added to the initial bias") == 1
    assert re.search(r"of the forget gates \(--cell lstm or (\w+ or )*slstm\)", text)
