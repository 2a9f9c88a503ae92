"""The smallest whole program, docs/examples/one_file.py, computes what the engine computes."""

import runpy

import numpy as np
import pytest
from conftest import B, H, T, V
from support.one_file import ONE_FILE, PATHS

import numpylstm as nl


@pytest.fixture
def program():
    return runpy.run_path(str(ONE_FILE))


def test_it_needs_numpy_alone_and_has_at_most_120_lines():
    lines = ONE_FILE.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 120
    assert [line for line in lines if line.startswith(("import ", "from "))] == [
        "import sys",
        "import numpy as np",
    ]


@pytest.mark.parametrize("impl", ["fast", "reference"])
def test_its_loss_and_gradients_are_those_of_the_engine(program, impl):
    rng = np.random.default_rng(0)
    p = {name: rng.standard_normal(a.shape) for name, a in program["parameters"](V, H, rng).items()}
    x, y = rng.integers(0, V, (2, T, B))
    h, c = rng.standard_normal((2, B, H))
    model = nl.LanguageModel(V, H, dtype="float64", impl=impl, rng=0)
    model.load_state_dict({path: p[name] for path, name in PATHS.items()})

    loss, *last, record = program["forward"](p, x, y, h, c)
    gradients = program["backward"](p, x, y, record)
    expected, state = model.forward(x, y, nl.LSTMState(h[None], c[None]))
    model.backward()

    assert loss == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(last, [state.h[0], state.c[0]], rtol=1e-12)
    for path, parameter in model.parameters().items():
        scale = abs(parameter.grad).max()
        np.testing.assert_allclose(
            gradients[PATHS[path]], parameter.grad, rtol=1e-12, atol=1e-12 * scale, err_msg=path
        )

    for parameter in model.parameters().values():
        parameter.scale_grad(10)
    assert nl.clip_by_global_norm(model, program["MAX_NORM"]) > program["MAX_NORM"]
    nl.SGD(model, lr=program["RATE"]).step()
    program["step"](p, {name: 10 * gradient for name, gradient in gradients.items()})
    for path, array in model.state_dict().items():
        np.testing.assert_allclose(p[PATHS[path]], array, rtol=1e-12, atol=1e-12, err_msg=path)


def test_it_learns_from_its_own_source(program, capsys):
    program["main"].__globals__.update(T=20, B=8, H=32)  # a fifth of the time
    program["main"](updates=100)
    checked, _, found, written = capsys.readouterr().out.split("\n", 3)
    assert float(checked.split(":")[1]) < 1e-6
    loss = float(found.removeprefix("--- update 100, loss ").split()[0])
    characters = len(set(ONE_FILE.read_text(encoding="utf-8")))
    assert loss < 0.75 * np.log(characters)  # chance
    assert len(written) >= 200


def test_a_short_text_is_refused(program, tmp_path):
    path = tmp_path / "short.txt"
    path.write_text("abc" * 50, encoding="utf-8")
    with pytest.raises(SystemExit, match=r"must have at least 656 characters, got 150"):
        program["main"](path)
