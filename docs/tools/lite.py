"""Notebooks in the browser: ``python docs/tools/lite.py``, after ``sphinx-build``.

Adds a JupyterLite to the site, with notebooks 1 to 6, the workbook, and the wheel of the package
that their first cell installs. It needs no network to be built. A reader's browser fetches Python
(Pyodide), NumPy and matplotlib from the servers of Pyodide.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
SITE = ROOT / "docs" / "_build" / "html" / "lite"
# In the JSON of a notebook: what its first cell installs.
INSTALL = re.compile(r"(%pip install -q )[^\n]+")


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        contents = Path(scratch, "contents")
        contents.mkdir()
        for path in [*ROOT.glob("notebooks/0[1-6]*.ipynb"), ROOT / "notebooks" / "workbook.ipynb"]:
            text, count = INSTALL.subn(r'\1numpylstm\\n",', path.read_text("utf-8"))
            if count != 1:
                sys.exit(f"{path.name}: expected one line to install the package, found {count}")
            (contents / path.name).write_text(text, "utf-8")
        run(scratch, "pip", "wheel", "--no-deps", str(ROOT))
        (wheel,) = Path(scratch).glob("*.whl")
        run(
            scratch,
            "jupyterlite_core",
            "build",
            f"--contents={contents}",
            f"--piplite-wheels={wheel}",
            "--apps=lab",
            "--no-sourcemaps",
            "--no-unused-shared-packages",
            "--no-libarchive",
            f"--output-dir={SITE}",
        )


def run(folder: str, *command: str) -> None:
    """Run a module of this Python in a folder; show what it prints only if it fails."""
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(done.stdout + done.stderr)


if __name__ == "__main__":
    main()
