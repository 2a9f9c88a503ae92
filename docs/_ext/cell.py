"""Write the interactive page of `numpylstm.explore`, which the front page embeds, to the site."""

from pathlib import Path

from sphinx.application import Sphinx

from numpylstm import explore


def write(app: Sphinx, exception: Exception | None) -> None:
    if exception is None and app.builder.format == "html":
        explore.write_page(Path(app.outdir) / "cell.html")


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("build-finished", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
