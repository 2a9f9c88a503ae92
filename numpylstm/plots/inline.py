"""Figures embedded in a page."""

import base64
import io

import matplotlib
from matplotlib.figure import Figure


def inline_svg(figure: Figure) -> str:
    """Return a figure as a data URL: ``data:image/svg+xml;base64,...``.

    Text is drawn as curves, so no font is needed; equal figures give equal URLs.
    """
    file = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": "path", "svg.hashsalt": "numpylstm"}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(file.getvalue()).decode()}"
