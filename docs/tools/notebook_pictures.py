"""Write the pictures of notebooks that pages show: ``python docs/tools/notebook_pictures.py``.

A picture is drawn in one place, a cell of a notebook. Pages show a copy of it in ``docs/images``.
"""

import base64
import json
from pathlib import Path

DOCS = Path(__file__).parents[1]
COPIES = {
    "three-rules": ("03", "rules-picture"),
    "three-steps-back": ("03", "question-picture"),
    "lstm-back": ("03", "lstm-picture"),
    "paths": ("05", "paths-picture"),
    "triangles": ("05", "lag-picture"),
    "blocks": ("02", "blocks-picture"),
    "tape": ("06", "tape-picture"),
}
"""Name of each image: the number of the notebook and the id of the cell that draws it."""


def cell(number: str, cell_id: str) -> dict:
    """Return a cell of a notebook."""
    (path,) = DOCS.parent.glob(f"notebooks/{number}_*.ipynb")
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    found = [cell for cell in cells if cell["id"] == cell_id]
    if not found:
        raise ValueError(f"{path.name} has no cell {cell_id!r}")
    return found[0]


def picture(number: str, cell_id: str) -> bytes:
    """Return the first picture that a cell of a notebook draws, a PNG."""
    for output in cell(number, cell_id)["outputs"]:
        if "image/png" in output.get("data", {}):
            return base64.b64decode("".join(output["data"]["image/png"]))
    raise ValueError(f"cell {cell_id!r} of notebook {number} draws nothing")


if __name__ == "__main__":
    for name, place in COPIES.items():
        (DOCS / "images" / f"{name}.png").write_bytes(picture(*place))
