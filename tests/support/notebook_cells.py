"""The cells of a notebook file, their tags and their output; running them in Jupyter."""

import json
import re

import pytest


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def source(cell):
    return "".join(cell["source"])  # a list of lines in the file, a string from nbformat


def tags(cell):
    return cell["metadata"].get("tags", [])


def tagged(notebook, tag):
    return [cell for cell in notebook["cells"] if tag in tags(cell)]


def code_cells(notebook):
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def outputs(notebook):
    return [output for cell in code_cells(notebook) for output in cell["outputs"]]


def text_of(output):
    """Return an output as text: the print or the plain form of a result."""
    return "".join(output.get("text", [])) + "".join(output.get("data", {}).get("text/plain", []))


def printed(cell):
    return "".join(text_of(output) for output in cell["outputs"])


def solution_code(cell):
    """Return the one Python block of a solution."""
    (block,) = re.findall(r"^```python\n(.*?)^```", source(cell), re.DOTALL | re.MULTILINE)
    return block


def exchanged(code, *pieces):
    """Replace pieces of code, in pairs: an old one, which must be there once, and the new."""
    for old, new in zip(pieces[::2], pieces[1::2], strict=True):
        assert code.count(old) == 1, f"{old!r} must be there once:\n{code}"
        code = code.replace(old, new)
    return code


def in_jupyter(path):
    """Return a valid notebook as nbformat reads it; without Jupyter, skip the test."""
    for name in ("ipykernel", "nbclient", "nbformat"):
        pytest.importorskip(name, reason=f"{name} is in the extra 'notebooks'")
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return notebook


def execute(notebook, path):
    """Run a notebook of `in_jupyter` in the folder of its file."""
    from nbclient import NotebookClient

    resources = {"metadata": {"path": str(path.parent)}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute()
