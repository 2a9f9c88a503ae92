"""Slides for three weeks, made from the notebooks: ``python docs/teaching/slides.py [FOLDER]``.

Each file ``slides/week-N.md`` becomes one page that needs no network, and a font for formulas is
copied beside it. Slides are Markdown between lines of dashes; what follows the line ``Notes:``
is for the speaker (key N). Pictures, tables, code and printed lines come from the notebooks, by
number and cell::

    @ 01 unrolled picture    the picture that cell `unrolled` of notebook 1 draws
    @ 02 equations table     the table of that cell
    @ 01 shared output       what that cell prints
    @ 03 step-code da = dh   the paragraph of its code that contains "da = dh"
"""

import base64
import re
import shutil
import sys
from html import escape
from pathlib import Path

import matplotlib
from markdown_it import MarkdownIt

HERE = Path(__file__).parent
DOCS = HERE.parent
sys.path[:0] = [str(DOCS), str(DOCS / "_ext")]

from mathml import as_mathml  # noqa: E402
from notebook_pictures import cell, picture  # noqa: E402

MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable("table")
PAGE = (HERE / "slides" / "page.html").read_text(encoding="utf-8")


def quoted(place: re.Match[str]) -> str:
    """Return a picture, a table, the printed lines or a paragraph of code of a notebook."""
    number, cell_id, part = place[1].split(maxsplit=2)
    found = cell(number, cell_id)
    source = "".join(found["source"])
    if part == "picture":
        alt = escape(found["metadata"]["mystnb"]["image"]["alt"])
        data = base64.b64encode(picture(number, cell_id)).decode()
        return f'<figure><img alt="{alt}" src="data:image/png;base64,{data}"></figure>\n'
    if part == "output":
        return fenced("".join("".join(output.get("text", "")) for output in found["outputs"]))
    if part == "table":
        return "\n".join(line for line in source.split("\n") if line.startswith("|"))
    paragraphs = [text for text in re.split(r"\n\n+", source) if part in text]
    if len(paragraphs) != 1:
        raise ValueError(f"{len(paragraphs)} paragraphs of {number} {cell_id} contain {part!r}")
    return fenced(paragraphs[0])


def fenced(text: str) -> str:
    """Return code or printed lines; the page makes the letters as large as the longest allows."""
    longest = max(len(line) for line in text.split("\n"))
    return f'\n<pre style="--longest: {longest}">{escape(text.strip())}</pre>\n\n'


def as_html(markdown: str) -> str:
    """Return the HTML of a slide or of its notes."""
    text = re.sub(r"^@ (.*)$", quoted, markdown, flags=re.M)
    formulas: list[str] = []

    def keep(formula: re.Match[str]) -> str:
        display = "block" if formula[0].startswith("$$") else "inline"
        formulas.append(as_mathml(formula[0].strip("$"), display))
        return f"FORMULA{len(formulas) - 1};"

    code = r"(<pre.*?</pre>|<figure>.*?</figure>|`[^`\n]*`)"  # no formulas in there
    parts = re.split(code, text, flags=re.S)
    parts[::2] = [re.sub(r"\$\$.*?\$\$|\$[^$]+\$", keep, part, flags=re.S) for part in parts[::2]]
    html = MARKDOWN.render("".join(parts))
    return re.sub(r"FORMULA(\d+);", lambda place: formulas[int(place[1])], html)


def slide(text: str) -> str:
    shown, _, notes = text.partition("\nNotes:\n")
    return f"<section>{as_html(shown)}<aside>{as_html(notes)}</aside></section>"


def main(folder: str = str(DOCS / "_build" / "slides")) -> None:
    """Write the three decks."""
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    shutil.copy(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSerif.ttf", out)
    for path in sorted((HERE / "slides").glob("week-*.md")):
        slides = path.read_text(encoding="utf-8").split("\n---\n")
        title = slides[0].partition("\n")[0].removeprefix("# ")
        body = "\n".join(slide(text) for text in slides)
        page = PAGE.replace("TITLE", title).replace("SLIDES", body)
        (out / f"{path.stem}.html").write_text(page, encoding="utf-8")
        print(f"{out / path.stem}.html: {len(slides)} slides")


if __name__ == "__main__":
    main(*sys.argv[1:])
