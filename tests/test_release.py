"""The package page and the citation: links that work outside the repository, and one version."""

import os
import re
from importlib.metadata import metadata
from pathlib import Path

import pytest

import numpylstm

ROOT = Path(__file__).parent.parent
LINK = re.compile(r"\]\(([^)\s]+)\)|(?:src|srcset)=\"([^\"]+)\"")
NOTEBOOKS = sorted(f"notebooks/{path.name}" for path in ROOT.glob("notebooks/*.ipynb"))
# File: what stands there until the maintainer has filled it in.
TO_FILL_IN = dict.fromkeys(["pyproject.toml", "CITATION.cff", *NOTEBOOKS], "OWNER")
TO_FILL_IN["paper/paper.md"] = "MAINTAINER"


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_package_page_has_no_relative_link():
    """The installed package has the description that a package index shows."""
    page = str(metadata("numpylstm").get_payload())
    targets = [link or picture for link, picture in LINK.findall(page)]
    assert len(targets) > 20
    assert [target for target in targets if not target.startswith("https://")] == []


def test_the_citation_has_the_version_and_date_of_the_changelog():
    version, date = re.search(r"^## \[([\d.]+)\] - ([\d-]+)$", read("CHANGELOG.md"), re.M).groups()
    citation = read("CITATION.cff")
    assert f"\nversion: {version}\n" in citation
    assert f"\ndate-released: {date}\n" in citation
    assert numpylstm.__version__.startswith(version) or numpylstm.__version__.endswith(".dev0")


def test_the_maintainer_has_filled_in_the_address():
    """A release is published with NUMPYLSTM_RELEASE=1 only; RELEASING.md has the order."""
    empty = [name for name, mark in TO_FILL_IN.items() if mark in read(name)]
    if empty and not os.environ.get("NUMPYLSTM_RELEASE"):
        pytest.skip(f"for the maintainer to fill in before a release: {', '.join(empty)}")
    assert empty == []
