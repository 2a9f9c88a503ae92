"""Slides for three weeks, made from the notebooks: ``python docs/teaching/slides.py [FOLDER]``.

Each file ``slides/*.md`` becomes one page that needs no network. Slides are Markdown between lines
of dashes; what follows the line ``Notes:`` is for the speaker (key N). Pictures, tables, code and
printed lines come from the notebooks, by number and cell::

    @ 01 unrolled picture    the picture that cell `unrolled` of notebook 1 draws
    @ 02 equations table     the table of that cell
    @ 01 shared output       what that cell prints
    @ 03 step-code da = dh   the paragraph of its code that contains "da = dh"
"""

import base64
import re
import sys
from html import escape
from pathlib import Path

HERE = Path(__file__).parent
DOCS = HERE.parent
sys.path[:0] = [str(DOCS / "tools"), str(HERE)]

from notebook_pictures import cell, picture  # noqa: E402
from sheets import FONT_FACE, as_html  # noqa: E402

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


def slide(text: str) -> str:
    """Return a slide with its notes as HTML."""
    shown, _, notes = re.sub(r"^@ (.*)$", quoted, text, flags=re.M).partition("\nNotes:\n")
    return f"<section>{as_html(shown)}<aside>{as_html(notes)}</aside></section>"


def main(folder: str = str(DOCS / "_build" / "slides")) -> None:
    """Write the decks."""
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    for path in sorted((HERE / "slides").glob("*.md")):
        slides = path.read_text(encoding="utf-8").split("\n---\n")
        title = slides[0].partition("\n")[0].removeprefix("# ")
        body = "\n".join(slide(text) for text in slides)
        page = PAGE.replace("FONT_FACE", FONT_FACE).replace("TITLE", escape(title))
        (out / f"{path.stem}.html").write_text(page.replace("SLIDES", body), encoding="utf-8")
        print(f"{out / path.stem}.html: {len(slides)} slides")


if __name__ == "__main__":
    main(*sys.argv[1:])
