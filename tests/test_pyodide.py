"""The package in Pyodide, which is Python for a browser; here it runs in Node.

Its NumPy comes from a network only: neither npm nor PyPI has it. So without one, what needs the
standard library alone is tested; ``-m slow`` fetches NumPy and trains.
"""

import json
from importlib.metadata import requires
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement
from support.node import needs_node, node
from support.processes import run_python

import numpylstm

PYODIDE = Path(__file__).parent.parent / ".ci" / "node_modules" / "pyodide" / "pyodide.mjs"
pytestmark = [
    needs_node,
    pytest.mark.skipif(not PYODIDE.exists(), reason="needs `npm ci --prefix .ci`"),
]


def lines_of(program, packages=()):
    """Return the lines that a program prints in Pyodide."""
    folder = str(Path(numpylstm.__file__).parent)
    return node(
        "python", pyodide=PYODIDE.as_uri(), folder=folder, packages=packages, program=program
    )


CHECK_TAPE = """
import json, sys, threading
from pathlib import Path
from numpylstm import tape
from numpylstm.tape.__main__ import main

mine = Path("mine.json")
for cell in ("lstm", "gru"):
    golden = tape.load(cell)
    mine.write_text(tape.as_json(golden))
    print(main(["check", "--cell", cell, "mine.json"]))
    golden["gradients"]["decoder.b"][0] += 1
    mine.write_text(json.dumps(golden))
    print(main(["check", "--cell", cell, "mine.json"]))
print(sys.platform, sorted({"numpy", "numba", "matplotlib", "tqdm"} & sys.modules.keys()))
try:
    threading.Thread(target=print).start()
except RuntimeError as error:
    print(error)
"""


def test_the_standard_library_parts():
    """The package does not ask for Numba there; test_fallback.py imitates its threads."""
    *graded, platform, no_threads = lines_of(CHECK_TAPE)
    assert [line for line in graded if line in ("0", "1")] == ["0", "1", "0", "1"]
    assert sum(line.startswith("Right, within 1e-06: ") for line in graded) == 4
    assert sum(line.startswith("  gradients.decoder.b[0]: expected ") for line in graded) == 2
    assert platform == "emscripten []"
    (numba,) = [each for each in map(Requirement, requires("numpylstm")) if each.name == "numba"]
    assert not numba.marker.evaluate({"sys_platform": "emscripten"})
    assert no_threads == "can't start new thread"


TRAIN = """
import json, warnings
import numpy as np

warnings.simplefilter("ignore")  # the kernels do not work in Pyodide
import numpylstm as nl

model = nl.LanguageModel(11, 6, 2, dtype="float64", rng=0)
optimizer = nl.Adam(model.parameters(), lr=0.01)
state, (x, y) = model.zero_state(3), np.random.default_rng(1).integers(11, size=(2, 5, 3))
losses = []
for _ in range(3):
    optimizer.zero_grad()
    loss, _ = model.forward(x, y, state)
    model.backward()
    optimizer.step()
    losses.append(float(loss))
print(json.dumps(losses))
"""


@pytest.mark.slow
def test_training():
    (there,) = lines_of(TRAIN, packages=["numpy"])
    here, _ = run_python(TRAIN)
    np.testing.assert_allclose(json.loads(there), json.loads(here), rtol=1e-9)
