"""What importing the package does and does not do, and that its examples are true."""

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest
from support.processes import run_python

import numpylstm
from numpylstm.aliases import RENAMED
from numpylstm.cells import CELLS


def test_import_loads_no_matplotlib_and_compiles_nothing(tmp_path):
    code = "import sys, numpylstm; print([m for m in ('matplotlib', 'torch') if m in sys.modules])"
    assert run_python(code, NUMBA_CACHE_DIR=str(tmp_path))[0] == "[]\n"
    assert not list(tmp_path.rglob("*.nb?"))


NAMES_USED = """
import sys
import numpylstm

print("numba" in sys.modules)
numpylstm.config
print("numba" in sys.modules)
numpylstm.PRESETS
print("numba" in sys.modules)
from numpylstm import *

print(LanguageModel.__name__, data.UNK)
"""


def test_nothing_is_loaded_before_a_name_is_used():
    assert run_python(NAMES_USED)[0].split() == ["False", "False", "True", "LanguageModel", "<unk>"]


def test_a_name_is_looked_for_once():
    """Loops say ``numpylstm.clip_by_global_norm(...)`` at every step."""
    assert numpylstm.clip_by_global_norm is vars(numpylstm)["clip_by_global_norm"]


def test_a_name_that_is_not_there():
    assert not hasattr(numpylstm, "absent")


def test_every_public_name_is_there_and_offered():
    assert dir(numpylstm) == sorted({*numpylstm.__all__, "__version__"})
    for name in numpylstm.__all__:
        assert hasattr(numpylstm, name)


WITH_EXAMPLES = {"numpylstm.models", "numpylstm.evaluation", "numpylstm.laboratory.gradcheck"}
MODULES = [module.name for module in pkgutil.walk_packages(numpylstm.__path__, "numpylstm.")]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings(name):
    tried = doctest.testmod(importlib.import_module(name))
    assert tried.failed == 0
    assert tried.attempted > 0 or name not in WITH_EXAMPLES


# --- old names -----------------------------------------------------------------------------------

CHANGELOG = (Path(__file__).parents[1] / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.fixture
def owners():
    """Return an object of each class with an old name."""
    model = numpylstm.SequenceClassifier(11, 2, 6, rng=0)
    return {"Model": model, "Optimizer": numpylstm.Adam(model), "Cell": CELLS["lstm"]}


@pytest.mark.parametrize("old", RENAMED)
def test_an_old_name_works_and_warns(old, owners):
    owner, name = old.split(".")
    new = RENAMED[old].split(".")[1]
    with pytest.warns(DeprecationWarning, match=f"{old} is called {new} now") as warned:
        assert getattr(owners[owner], name) is getattr(owners[owner], new)
    assert warned[0].filename == __file__


@pytest.mark.parametrize("old", RENAMED)
def test_the_changelog_has_the_new_name(old):
    assert f"| `{old}` | `{RENAMED[old]}`; the old name warns |" in CHANGELOG


def test_a_docstring_begins_with_an_imperative_or_a_noun():
    """No first line begins with What, Whether, How, Where or Who."""
    question = re.compile(r'"""(What|Whether|How|Where|Who) .*')
    modules = Path(numpylstm.__file__).parent.rglob("*.py")
    found = [m[0] for path in modules for m in question.finditer(path.read_text("utf-8"))]
    assert not found
