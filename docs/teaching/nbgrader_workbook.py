"""The workbook for nbgrader: ``python docs/teaching/nbgrader_workbook.py > workbook.ipynb``.

Each blank is a solution that nbgrader takes out, and the cell below it a test with the points of
the blank. The folded solutions go; the hints stay.
"""

import json
import re
from pathlib import Path
from typing import Any

from numpylstm import grading

WORKBOOK = Path(__file__).parents[2] / "notebooks" / "workbook.ipynb"


def tagged(cells: list[dict], tag: str) -> list[dict]:
    """Return the cells with a tag; there is one for each blank."""
    return [cell for cell in cells if tag in cell["metadata"].get("tags", [])]


def for_nbgrader(cell: dict, name: str, source: str, **settings: Any) -> None:
    """Give a cell its source and what nbgrader must know of it."""
    defaults = {"grade": False, "solution": False, "locked": False, "task": False}
    cell["source"] = source
    cell["metadata"]["nbgrader"] = {**defaults, **settings, "grade_id": name, "schema_version": 3}


def main() -> None:
    """Print the notebook."""
    notebook = json.loads(WORKBOOK.read_text(encoding="utf-8"))
    cells = notebook["cells"]
    kinds = (tagged(cells, tag) for tag in ("blank", "grade", "solution"))
    for (name, blank), empty, test, answer in zip(grading.BLANKS.items(), *kinds, strict=True):
        returned = "".join(empty["source"])
        head, body = re.search(r"(def .*?:\n)(.*?)\n```", "".join(answer["source"]), re.S).groups()
        asked = re.search(r"#.*", returned)[0]
        marked = f"{head}    {asked}\n    ### BEGIN SOLUTION\n{body}\n    ### END SOLUTION"
        for_nbgrader(empty, name, marked, solution=True)
        tests = f'verdict = grade({name})\nprint(verdict)\nassert verdict.state == "right"'
        for_nbgrader(test, f"test-{name}", tests, grade=True, locked=True, points=blank.points)
        cells.remove(answer)
    print(json.dumps(notebook, indent=1))


if __name__ == "__main__":
    main()
