"""Run the examples of the documentation."""

import doctest
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    path.relative_to(ROOT)
    for path in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]
    if ">>>" in path.read_text(encoding="utf-8") and "_build" not in path.parts
)


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_examples_of_a_page(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # for the files of the examples
    assert doctest.testfile(str(ROOT / page), module_relative=False).failed == 0
