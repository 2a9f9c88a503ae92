"""The textbook as a text: chapters that can be read at one go, and the source of each function."""

import ast
import inspect
import pickle
import re
from pathlib import Path

import numpy as np
import pytest

from numpylstm import reference
from numpylstm.textbook import chapters, source_of

FOLDER = Path(reference.__file__).parent
EACH = pytest.mark.parametrize("chapter", sorted(path.name for path in FOLDER.glob("*.py")))
FUNCTIONS = [name for name in reference.__all__ if inspect.isfunction(getattr(reference, name))]


def definitions(chapter):
    """Return the names of the functions and classes of a chapter, in its order."""
    body = ast.parse((FOLDER / chapter).read_text(encoding="utf-8")).body
    return [node.name for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)]


@EACH
def test_a_chapter_is_short(chapter):
    assert len(chapters()[chapter].splitlines()) < 350


@EACH
def test_a_backward_pass_stands_directly_below_its_forward_pass(chapter):
    names = [name for name in definitions(chapter) if not name.endswith("Cache")]
    forward = [name for name in names if name.endswith("_forward")]
    assert all(names[names.index(f) + 1] == f.replace("_forward", "_backward") for f in forward)


def test_the_table_of_contents_names_the_chapters_in_their_order():
    first, *others = chapters()
    assert first == "__init__.py"
    contents = reference.__doc__[: reference.__doc__.index("How to read it")]
    assert re.findall(r"``(\w+\.py)``", contents) == others
    assert sorted(chapters()) == sorted(path.name for path in FOLDER.glob("*.py"))


@EACH
def test_every_name_of_a_chapter_is_one_of_the_package(chapter):
    defined = definitions(chapter)
    assert set(defined) <= set(reference.__all__)
    if chapter != "__init__.py":
        module = getattr(reference, chapter.removesuffix(".py"))
        assert module.__all__ == defined


def test_no_name_stands_in_two_chapters():
    assert len(set(reference.__all__)) == len(reference.__all__)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_source_of_a_function(name):
    source = source_of(name)
    assert source.text == inspect.getsource(getattr(reference, name))
    lines = (FOLDER / source.chapter).read_text(encoding="utf-8").splitlines()
    assert lines[source.line - 1].startswith(f"def {name}(")


def test_a_function_that_is_not_there():
    with pytest.raises(KeyError, match=r"no function of numpylstm\.reference is called"):
        source_of("lstm")


@pytest.mark.parametrize("chapter", ["attention", "linear_attention", "delta_rule"])
def test_functions_without_a_layer_say_so(chapter):
    module = getattr(reference, chapter)
    of_sequences = [name for name in module.__all__ if re.search("(?<!_step)_forward$", name)]
    for each in (module, *(getattr(module, name) for name in of_sequences)):
        assert "No layer or model uses" in " ".join(each.__doc__.split())


def test_a_cache_can_be_pickled():
    one = np.ones((1, 1))
    *_, cache = reference.rnn_forward(np.ones((2, 1, 1)), one, one, one, np.ones(1))
    again = pickle.loads(pickle.dumps(cache))  # noqa: S301
    assert type(again) is reference.RNNCache
    np.testing.assert_array_equal(again.h, cache.h)
