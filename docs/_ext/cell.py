"""Write the pages of `numpylstm.explore` to the site: the story, the player, and an explorer.

The demo run is trained once and kept in the folder of the build; it takes a minute or two.
"""

from pathlib import Path

from sphinx.application import Sphinx

from numpylstm import explore
from numpylstm.cli import explore as explore_command
from numpylstm.cli import train
from numpylstm.explore.player import write_player


def write(app: Sphinx, exception: Exception | None) -> None:
    if exception is None and app.builder.format == "html":
        site = Path(app.outdir)
        address = app.config.html_baseurl.rstrip("/")  # a preview needs the whole address
        explore.write_page(site / "cell.html", site=address or ".")
        write_player(site / "player.html", site=address or ".")
        run = site.parent / "demo"
        if not (run / "report.html").exists():
            train.main(["--resume" if run.exists() else "--out", str(run), "--quiet"])
        explore_command.main([str(run), "--out", str(site / "explorer.html"), "--quiet"])


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("build-finished", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
