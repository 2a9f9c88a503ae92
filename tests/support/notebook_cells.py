"""The cells of a notebook file, their tags and their output."""

import json
import re


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
