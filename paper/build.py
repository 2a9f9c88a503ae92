"""Draft of the paper as PDF: ``pip install -e ".[paper]" && python paper/build.py paper.pdf``.

The journal typesets the same two files in its own form.
"""

import sys
import tempfile
from pathlib import Path

import pypandoc
import typst

HERE = Path(__file__).resolve().parent


def main(pdf: str) -> None:
    """Write the paper to a file."""
    with tempfile.TemporaryDirectory() as scratch:
        page = Path(scratch, "paper.typ")
        pypandoc.convert_file(
            HERE / "paper.md",
            "typst",
            outputfile=page,
            # A reference that is not in paper.bib is a warning.
            extra_args=["--standalone", "--citeproc", "--fail-if-warnings"],
            cworkdir=HERE,
        )
        typst.compile(page, output=pdf)


if __name__ == "__main__":
    main(*sys.argv[1:])
