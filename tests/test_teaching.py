"""The programs and pages of a teacher, in docs/teaching: slides, exams, quizzes, homework."""

import re
import string
import sys
import unicodedata
from html import unescape
from pathlib import Path

import pytest
from fontTools.ttLib import TTFont
from support.notebook_cells import read, source

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
FONT = DOCS / "_static" / "stix-two-math.woff"
sys.path += [str(DOCS / "teaching"), str(DOCS / "_ext")]


# --- formulas ----------------------------------------------------------------------------------


def formulas():
    """Return the formulas of the pages, the slides and the notebooks, as LaTeX."""
    paths = [path for path in DOCS.glob("**/*.md") if "_build" not in path.parts]
    texts = [path.read_text(encoding="utf-8") for path in paths]
    for path in ROOT.glob("notebooks/*.ipynb"):
        texts += [source(cell) for cell in read(path)["cells"] if cell["cell_type"] == "markdown"]
    texts = [re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.S) for text in texts]
    found = [found for text in texts for found in re.findall(r"\$\$.+?\$\$|\$[^$]+\$", text, re.S)]
    return {formula.strip("$") for formula in found}


def test_the_font_has_every_sign_of_a_formula_and_the_measures_that_formulas_need():
    """Without a MATH table, indices stand on the line: "Dt = ft"."""
    convert = pytest.importorskip("latex2mathml.converter").convert
    font = TTFont(FONT)
    assert font["MATH"].table.MathConstants.SubscriptShiftDown.Value > 0
    there = {chr(code) for code in font.getBestCmap()}
    assert there >= set("𝐴𝐵𝐶𝐷𝑊𝑎𝑏𝑐𝑥𝑧𝛼𝛽𝜎𝜑ℎ")  # browsers show single letters in these
    assert len(formulas()) > 200
    for formula in formulas():
        signs = re.sub(r"<[^>]*>", "", convert(formula.replace("{aligned}", "{align*}")))
        missing = {*unescape(signs)} - there - {*string.whitespace}
        assert not missing, (formula, [unicodedata.name(c) for c in missing])
