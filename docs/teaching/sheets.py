"""Markdown with formulas as pages that need no network: the slides, exams, quizzes and homework.

Formulas are MathML, and the font that they need is a part of the page.
"""

import base64
import re
import sys
from html import escape
from pathlib import Path

from markdown_it import MarkdownIt

DOCS = Path(__file__).parents[1]
sys.path[:0] = [str(DOCS / "_ext")]

from mathml import as_mathml  # noqa: E402

MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable("table")
FONT = base64.b64encode((DOCS / "_static" / "stix-two-math.woff").read_bytes()).decode()
FONT_FACE = f"""@font-face {{ font-family: Formulas; src: url("data:font/woff;base64,{FONT}"); }}
  math {{ font-family: Formulas, math; }}"""
SHEET = (Path(__file__).parent / "sheet.html").read_text(encoding="utf-8")


def as_html(markdown: str) -> str:
    """Return the HTML of Markdown in which formulas stand between dollar signs."""
    formulas: list[str] = []

    def keep(formula: re.Match[str]) -> str:
        display = "block" if formula[0].startswith("$$") else "inline"
        formulas.append(as_mathml(formula[0].strip("$"), display))
        return f"FORMULA{len(formulas) - 1};"

    code = r"(<pre.*?</pre>|<figure>.*?</figure>|```.*?```|`[^`\n]*`)"  # no formulas in there
    parts = re.split(code, markdown, flags=re.S)
    parts[::2] = [re.sub(r"\$\$.*?\$\$|\$[^$]+\$", keep, part, flags=re.S) for part in parts[::2]]
    html = MARKDOWN.render("".join(parts))
    return re.sub(r"FORMULA(\d+);", lambda place: formulas[int(place[1])], html)


def write_sheet(path: Path, markdown: str) -> None:
    """Write a page to print; its title is the first heading."""
    title = re.search(r"^# (.*)$", markdown, re.M)[1]
    page = SHEET.replace("FONT_FACE", FONT_FACE).replace("TITLE", escape(title))
    path.write_text(page.replace("TEXT", as_html(markdown)), encoding="utf-8")
