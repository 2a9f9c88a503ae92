"""A figure as a part of a page."""

import base64
import io

import matplotlib
from matplotlib.figure import Figure


def inline_svg(figure: Figure) -> str:
    """A figure as the address of an image that holds it: ``data:image/svg+xml;base64,...``.

    Letters are drawn as curves, so that no font need be there; equal figures give equal addresses.
    """
    file = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": "path", "svg.hashsalt": "numpylstm"}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(file.getvalue()).decode()}"
