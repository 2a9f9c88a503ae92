"""Without Numba, or where it cannot compile, the textbook computes; nothing else changes."""

import numba
import pytest
from support.processes import run_python

pytestmark = [
    pytest.mark.big,
    pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled"),
]

WORK = """
import warnings
import numpy as np

{damage}

with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    import numpylstm as nl

    def trained(impl, **options):
        options = {{"dtype": "float64", "dropout": 0.3, "impl": impl, "rng": 0}} | options
        model = nl.LanguageModel(11, 6, 2, **options)
        parameters, state = model.parameters(), model.zero_state(3)
        rng = np.random.default_rng(0)
        for optimizer in (
            nl.SGD(parameters, lr=0.5), nl.SGD(parameters, lr=0.5, momentum=0.9),
            nl.Adam(parameters, lr=0.01, eps=0.01),
        ):
            for _ in range(2):
                x, y = rng.integers(0, 11, (2, 4, 3))
                optimizer.zero_grad()
                loss, state = model.forward(x, y, state)
                model.backward()
                nl.clip_by_global_norm(parameters, 0.1)
                optimizer.step()
        perplexity = nl.evaluate(model, rng.integers(0, 11, 99)).perplexity
        return model.state_dict(), (loss, perplexity), nl.generate(model, [1], 40, rng=5)

    for options in ({{"cell": "lstm"}}, {{"cell": "rnn"}}, {{"tied": True}}):
        fast, plain = trained("fast", **options), trained("reference", **options)
        for path in fast[0]:
            np.testing.assert_allclose(fast[0][path], plain[0][path], rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(fast[1], plain[1], rtol=1e-10)
        np.testing.assert_array_equal(fast[2], plain[2])
print(*(warning.message for warning in seen), sep="\\n")
"""

BROKEN = {
    "a kernel cannot be compiled": "import numba.core.cgutils as c; del c.create_struct_proxy",
    "no way to the disk": "import numba.core.serialize as s; del s.dumps",
    "the browser: neither Numba nor threads": (
        "import sys, threading; sys.modules['numba'] = None\n"
        'def start(self): raise RuntimeError("can\'t start new thread")\n'
        "threading.Thread.start = start"
    ),
}


@pytest.mark.parametrize("damage", BROKEN.values(), ids=BROKEN)
def test_numpy_takes_over(damage, tmp_path):
    out, _ = run_python(WORK.format(damage=damage), NUMBA_CACHE_DIR=str(tmp_path))
    (line,) = out.splitlines()
    assert line.startswith("the compiled kernels do not work here (")


def test_with_kernels_nothing_is_said():
    assert run_python(WORK.format(damage=""))[0] == "\n"


RUN = """
import sys

class NoNumba:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("numba", "llvmlite"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NoNumba())
from numpylstm.cli import sample, train
settings = "--train text.txt --hidden-size 5 --batch-size 2 --num-steps 4 --steps 6 --log-every 2"
for flags in ("--out fast", "--impl reference --out plain"):
    assert train.main([*settings.split(), *flags.split()]) == 0
sys.exit(sample.main(["fast", "--length", "3", "--quiet"]))
"""


@pytest.mark.rare
def test_the_commands_work_without_numba(tmp_path):
    """One warning, and the figures of the textbook to the last digit."""
    (tmp_path / "text.txt").write_text("the cat sat on the mat\n" * 30)
    out, err = run_python(RUN, cwd=tmp_path)
    assert "Test perplexity" in out
    assert err.count("the compiled kernels do not work here (") == 1
    assert "(ModuleNotFoundError: No module named" in err
    fast, plain = (tmp_path / run / "metrics.csv" for run in ("fast", "plain"))
    assert fast.read_text().count("\n") == 4  # the header and three rows
    assert fast.read_bytes() == plain.read_bytes()
